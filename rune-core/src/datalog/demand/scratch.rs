//! What running procedures need besides the rows: registers, sets, and what is answered already. All of it is kept and used
//! again, so that after a few questions none allocates.

use crate::base::Value;

use super::{
    code::{Bind, Operand},
    tuples::Tuples,
};

/// No set, entry or reader.
pub(super) const NONE: usize = usize::MAX;

/// Room for answering questions, one after the other. What is answered is known until it is reset.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Frames of registers: the values of a key, then those of variables.
    pub(super) registers: Vec<Value>,
    sets: Vec<Tuples>,
    n_sets: usize,
    memos: Vec<Memo>,
    touched: Vec<usize>,
    /// The sets of the groups of the procedures at work, and the closures that they are closed under.
    pub(super) groups: Vec<(usize, usize)>,
    pub(super) entries: Vec<Entry>,
    pub(super) readers: Vec<Reader>,
    /// The registers of readers.
    pub(super) saved: Vec<Value>,
    pub(super) jobs: Vec<Job>,
    /// Keys that will be asked for.
    pub(super) ahead: Vec<Value>,
}

/// What is asked of a procedure or a closure, and which set answers.
#[derive(Debug, Default)]
struct Memo {
    keys: Tuples,
    known: Vec<Known>,
}

/// The set that answers, and the entry that fills it if it is of a table; [`NONE`] of a question that is not answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) set: usize,
    pub(super) entry: usize,
}

/// What is known of a question that was only asked.
pub(super) const UNANSWERED: Known = Known { set: NONE, entry: NONE };

/// A table's answers to one key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) procedure: usize,
    /// The place of the key among those of the procedure.
    pub(super) key: usize,
    pub(super) set: usize,
    pub(super) first_reader: usize,
    pub(super) is_queued: bool,
}

/// A rule that waits for more answers of an entry: where it goes on, with which registers, and what it has seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    /// The entry that it gives answers to.
    pub(super) owner: usize,
    pub(super) exit: usize,
    pub(super) step: usize,
    pub(super) saved: usize,
    pub(super) n_seen: usize,
    pub(super) next: usize,
}

/// What is left to do for an entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Job {
    /// All its rules.
    Start(usize),
    /// What waits for its answers.
    Wake(usize),
}

impl Scratch {
    /// Forgets what is answered.
    pub(super) fn reset(&mut self) {
        for at in self.touched.drain(..) {
            if let Some(memo) = self.memos.get_mut(at) {
                memo.known.clear();
            }
        }
        self.n_sets = 0;
        self.registers.clear();
        self.groups.clear();
        self.entries.clear();
        self.readers.clear();
        self.saved.clear();
        self.jobs.clear();
    }

    pub(super) fn new_set(&mut self, width: usize) -> usize {
        if self.sets.len() <= self.n_sets {
            self.sets.push(Tuples::default());
        }
        if let Some(set) = self.sets.get_mut(self.n_sets) {
            set.reset(width);
        }
        self.n_sets += 1;
        self.n_sets - 1
    }

    #[inline]
    pub(super) fn set(&self, at: usize) -> &Tuples {
        const NOTHING: &Tuples = &Tuples::EMPTY;
        self.sets.get(at).unwrap_or(NOTHING)
    }

    pub(super) fn set_mut(&mut self, at: usize) -> Option<&mut Tuples> {
        self.sets.get_mut(at)
    }

    /// Gives a register a value.
    #[inline]
    pub(super) fn put(&mut self, base: usize, register: usize, value: Value) {
        if let Some(place) = self.registers.get_mut(base + register) {
            *place = value;
        }
    }

    /// Whether a set has a tuple.
    pub(super) fn has(&mut self, set: usize, base: usize, key: &[Operand]) -> bool {
        let Self { sets, registers, .. } = self;
        sets.get_mut(set).is_some_and(|set| set.has(values_of(registers, base, key)))
    }

    /// Adds to a set, and says whether that is new.
    pub(super) fn insert(&mut self, set: usize, base: usize, result: &[Operand]) -> bool {
        let Self { sets, registers, .. } = self;
        let Some(set) = sets.get_mut(set) else { return false };
        match result {
            [of] => set.insert_value(value_of(registers, base, *of)),
            _ => set.insert(values_of(registers, base, result)).1,
        }
    }

    /// Adds to a set what is known to be new.
    pub(super) fn append(&mut self, set: usize, base: usize, result: &[Operand]) {
        let Self { sets, registers, .. } = self;
        if let Some(set) = sets.get_mut(set) {
            set.append(values_of(registers, base, result));
        }
    }

    /// What is known of a question, and its place among those asked.
    pub(super) fn look_up(&mut self, memo: usize, base: usize, key: &[Operand]) -> (usize, Option<Known>) {
        let Self { memos, touched, registers, .. } = self;
        look_up(memos, touched, memo, (key.len(), values_of(registers, base, key)))
    }

    /// The same, of values.
    pub(super) fn look_up_values(&mut self, memo: usize, key: &[Value]) -> (usize, Option<Known>) {
        let Self { memos, touched, .. } = self;
        look_up(memos, touched, memo, (key.len(), key.iter().copied()))
    }

    /// The same, of columns of the key of the frame that begins at `start`.
    pub(super) fn look_up_columns(&mut self, memo: usize, start: usize, columns: &[usize]) -> (usize, Option<Known>) {
        let Self { memos, touched, registers, .. } = self;
        let key = columns.iter().map(|at| registers.get(start + at).copied().unwrap_or(Value::UNKNOWN));
        look_up(memos, touched, memo, (columns.len(), key))
    }

    pub(super) fn learn(&mut self, memo: usize, key: usize, known: Known) {
        let place = self.memos.get_mut(memo).and_then(|memo| memo.known.get_mut(key));
        if let Some(place) = place {
            *place = known;
        }
    }

    /// Begins a frame for a key that was asked: its values, then room for registers. Says where it begins.
    pub(super) fn push_key(&mut self, memo: usize, key: usize, n_registers: usize) -> usize {
        let start = self.registers.len();
        if let Some(memo) = self.memos.get(memo) {
            self.registers.extend_from_slice(memo.keys.get(key));
        }
        self.registers.resize(self.registers.len() + n_registers, Value::UNKNOWN);
        start
    }

    /// Begins a frame for these values. Says where it begins.
    pub(super) fn push_operands(&mut self, base: usize, key: &[Operand], n_registers: usize) -> usize {
        let start = self.registers.len();
        for of in key {
            self.registers.push(self.operand(base, *of));
        }
        self.registers.resize(self.registers.len() + n_registers, Value::UNKNOWN);
        start
    }

    /// Adds all of a set to another.
    pub(super) fn insert_all(&mut self, from: usize, into: usize) {
        for at in 0..self.set(from).len() {
            if let Ok([from, into]) = self.sets.get_disjoint_mut([from, into]) {
                into.insert(from.get(at).iter().copied());
            }
        }
    }

    /// A key that was asked.
    pub(super) fn key(&self, memo: usize, key: usize) -> &[Value] {
        self.memos.get(memo).map(|memo| memo.keys.get(key)).unwrap_or_default()
    }

    /// Adds a key that was asked to a set.
    pub(super) fn insert_key(&mut self, memo: usize, key: usize, set: usize) {
        if let (Some(memo), Some(set)) = (self.memos.get(memo), self.sets.get_mut(set)) {
            set.insert(memo.keys.get(key).iter().copied());
        }
    }

    #[inline]
    pub(super) fn operand(&self, base: usize, of: Operand) -> Value {
        value_of(&self.registers, base, of)
    }

    /// Whether a tuple of a set agrees with what is known; gives the registers its values.
    #[inline]
    pub(super) fn bind_tuple(&mut self, base: usize, binds: &[Bind], set: usize, at: usize) -> bool {
        let Self { registers, sets, .. } = self;
        sets.get(set).is_some_and(|set| bind(registers, base, binds, set.get(at).iter().copied()))
    }

    /// The same, of the key of the frame that begins at `start`.
    pub(super) fn bind_key(&mut self, base: usize, binds: &[Bind], start: usize) -> bool {
        binds.iter().enumerate().all(|(at, of)| {
            let value = self.registers.get(start + at).copied().unwrap_or(Value::UNKNOWN);
            bind(&mut self.registers, base, std::slice::from_ref(of), std::iter::once(value))
        })
    }

    /// The same, of a row.
    pub(super) fn bind(&mut self, base: usize, binds: &[Bind], row: &[Value]) -> bool {
        bind(&mut self.registers, base, binds, row.iter().copied())
    }
}

fn look_up(
    memos: &mut Vec<Memo>,
    touched: &mut Vec<usize>,
    at: usize,
    (width, key): (usize, impl Iterator<Item = Value> + Clone),
) -> (usize, Option<Known>) {
    if memos.len() <= at {
        memos.resize_with(at + 1, Memo::default);
    }
    let Some(memo) = memos.get_mut(at) else { return (0, None) };
    if memo.known.is_empty() {
        memo.keys.begin(width, key);
        memo.known.push(UNANSWERED);
        touched.push(at);
        return (0, None);
    }
    let (key, is_new) = memo.keys.insert(key);
    if is_new {
        memo.known.push(UNANSWERED);
    }
    (key, memo.known.get(key).copied().filter(|known| known.set != NONE))
}

#[inline]
fn value_of(registers: &[Value], base: usize, of: Operand) -> Value {
    match of {
        Operand::Register(at) => registers.get(base + at).copied().unwrap_or(Value::UNKNOWN),
        Operand::Constant(value) => value,
    }
}

pub(super) fn values_of(registers: &[Value], base: usize, of: &[Operand]) -> impl Iterator<Item = Value> + Clone {
    of.iter().map(move |of| value_of(registers, base, *of))
}

#[inline]
fn bind(registers: &mut [Value], base: usize, binds: &[Bind], row: impl Iterator<Item = Value>) -> bool {
    binds.iter().zip(row).all(|(of, value)| match of {
        Bind::Skip => true,
        Bind::Set(register) => {
            if let Some(place) = registers.get_mut(base + register) {
                *place = value;
            }
            true
        }
        Bind::Same(of) => value_of(registers, base, *of) == value,
    })
}
