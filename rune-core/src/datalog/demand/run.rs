//! Procedures at work.

use std::ops::ControlFlow;

use crate::{
    base::{Value, Values},
    check::rules::PredicateId,
    datalog::{
        fold::chosen,
        solve::{Flow, Stop},
    },
    syntax::rules::{Choice, Fold},
};

use super::{
    code::{Bind, Code, Operand, Procedure, Step},
    compile::Built,
    lookup::Lookup,
    scratch::{Entry, Job, Known, NONE, Reader, Scratch, UNANSWERED, values_of},
    session::Found,
};

/// Runs procedures for questions.
#[derive(Debug)]
pub(super) struct Run<'r, V> {
    built: &'r Built,
    /// What finds the rows that the procedures want.
    pub(super) lookups: &'r [Lookup],
    pub(super) values: &'r V,
    pub(super) scratch: &'r mut Scratch,
    pub(super) steps_left: u64,
    /// Entities that a request alone names, in the relations of those that are known.
    pub(super) guests: &'r [(PredicateId, Value)],
    /// Where rows go that answers rest on, if somebody wants to know.
    pub(super) found: Option<&'r mut Found>,
}

/// Where a rule is run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Where its key begins, and then its registers.
    start: usize,
    pub(super) base: usize,
    /// Where the sets of its groups begin.
    pub(super) groups: usize,
    /// The set that its results go to.
    pub(super) into: usize,
    /// The entry of that set, if it is of a table, and which exit this is.
    pub(super) entry: usize,
    exit: usize,
    /// Whether its results are known to be new.
    pub(super) is_new: bool,
}

impl<'r, V: Values> Run<'r, V> {
    pub(super) fn new(
        (built, lookups): (&'r Built, &'r [Lookup]),
        values: &'r V,
        scratch: &'r mut Scratch,
        steps_max: u64,
        guests: &'r [(PredicateId, Value)],
    ) -> Self {
        Self { built, lookups, values, scratch, steps_left: steps_max, guests, found: None }
    }

    pub(super) fn steps_left(&self) -> u64 {
        self.steps_left
    }

    /// The set of answers to a question: the open columns of the rows that have this key.
    ///
    /// # Errors
    ///
    /// If that takes more steps than there are. Then nothing that the scratch knows is of any worth.
    pub(super) fn answers(&mut self, procedure: usize, key: &[Value]) -> Result<usize, Stop> {
        let (key, known) = self.scratch.look_up_values(memo_of(procedure), key);
        match known {
            Some(known) => Ok(known.set),
            None => self.evaluate(procedure, key),
        }
    }

    // Recurses once per stratum of relations above others, whose number is limited.
    fn evaluate(&mut self, at: usize, key: usize) -> Result<usize, Stop> {
        let Some(procedure) = self.built.procedures.get(at) else { return Ok(self.scratch.new_set(0)) };
        if procedure.is_tabled {
            return self.table(at, key);
        }
        let start = self.scratch.push_key(memo_of(at), key, procedure.n_registers);
        let frame = Frame {
            start,
            base: start + procedure.n_given,
            groups: self.scratch.groups.len(),
            into: NONE,
            entry: NONE,
            exit: NONE,
            is_new: false,
        };
        for group in &procedure.groups {
            let set = self.demand(frame, group.closure, &group.columns)?;
            self.scratch.groups.push((set, group.closure));
        }
        let answers = self.answer(frame, procedure);
        self.scratch.registers.truncate(start);
        self.scratch.groups.truncate(frame.groups);
        let set = answers?;
        self.scratch.learn(memo_of(at), key, Known { set, entry: NONE });
        Ok(set)
    }

    fn answer(&mut self, frame: Frame, procedure: &'r Procedure) -> Result<usize, Stop> {
        let into = self.scratch.new_set(procedure.n_open);
        let frame = Frame { into, ..frame };
        for exit in &procedure.exits {
            let is_new = exit.is_distinct && self.scratch.set(into).len() == 0;
            match self.code(Frame { is_new, ..frame }, exit) {
                ControlFlow::Break(Stop::TooManySteps) => return Err(Stop::TooManySteps),
                // Whether there is one is all that there is to say.
                ControlFlow::Break(Stop::Enough) => return Ok(into),
                ControlFlow::Continue(()) => {}
            }
        }
        self.follow(frame, &procedure.forwards)?;
        Ok(into)
    }

    /// What a procedure answers for all that is demanded of a group, in one place of its key.
    fn seeded(
        &mut self,
        caller: Frame,
        (at, key): (usize, &[Operand]),
        place: usize,
        group: usize,
    ) -> Result<usize, Stop> {
        let seeds = self.scratch.groups.get(caller.groups + group).copied();
        let (Some(procedure), Some((seeds, closed_under))) = (self.built.procedures.get(at), seeds) else {
            return Ok(self.scratch.new_set(0));
        };
        let start = self.scratch.push_operands(caller.base, key, procedure.n_registers);
        let groups = self.scratch.groups.len();
        let frame = Frame { start, base: start + procedure.n_given, groups, ..caller };
        let frame = Frame { into: NONE, entry: NONE, exit: NONE, is_new: false, ..frame };
        for group in &procedure.groups {
            let closure = self.built.closures.get(group.closure);
            let set = if *group.columns != [place] {
                self.demand(frame, group.closure, &group.columns)?
            } else if group.closure == closed_under && closure.is_some_and(|closure| closure.is_shared) {
                seeds
            } else {
                let set = self.scratch.new_set(1);
                self.scratch.insert_all(seeds, set);
                let edges = closure.map(|closure| closure.edges.as_slice()).unwrap_or_default();
                self.follow(Frame { into: set, ..frame }, edges)?;
                set
            };
            self.scratch.groups.push((set, group.closure));
        }
        let answers = self.answer(frame, procedure);
        self.scratch.registers.truncate(start);
        self.scratch.groups.truncate(groups);
        answers
    }

    /// All that is demanded of a group of columns.
    fn demand(&mut self, frame: Frame, at: usize, columns: &[usize]) -> Result<usize, Stop> {
        let Some(closure) = self.built.closures.get(at) else { return Ok(NONE) };
        let memo = memo_of_closure(at);
        let (key, known) = self.scratch.look_up_columns(memo, frame.start, columns);
        if let Some(known) = known.filter(|_| closure.is_shared) {
            return Ok(known.set);
        }
        let set = self.scratch.new_set(closure.width);
        self.scratch.insert_key(memo, key, set);
        self.follow(Frame { into: set, ..frame }, &closure.edges)?;
        self.scratch.learn(memo, key, Known { set, entry: NONE });
        Ok(set)
    }

    /// Adds to a set what comes of its tuples, and of those that are added.
    fn follow(&mut self, frame: Frame, codes: &'r [Code]) -> Result<(), Stop> {
        if let [code] = codes
            && let Some(edge) = self.edge(code)
        {
            return self.follow_edge(frame.into, edge);
        }
        let (mut at, mut n_ahead) = (0, 0);
        while !codes.is_empty() && at < self.scratch.set(frame.into).len() {
            if n_ahead <= at {
                n_ahead = self.n_ahead(frame.into, at);
                for code in codes {
                    self.look_ahead(frame.base, (frame.into, at..n_ahead), &code.of_tuple, &code.steps);
                }
            }
            for code in codes {
                let agrees = self.scratch.bind_key(frame.base, &code.of_key, frame.start)
                    && self.scratch.bind_tuple(frame.base, &code.of_tuple, frame.into, at);
                if agrees && self.steps(frame, code, 0) == ControlFlow::Break(Stop::TooManySteps) {
                    return Err(Stop::TooManySteps);
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Runs a rule for the key of its frame.
    fn code(&mut self, frame: Frame, code: &'r Code) -> Flow {
        if self.scratch.bind_key(frame.base, &code.of_key, frame.start) {
            self.steps(frame, code, 0)
        } else {
            Flow::Continue(())
        }
    }

    // Recurses once per step.
    pub(super) fn steps(&mut self, frame: Frame, code: &'r Code, at: usize) -> Flow {
        let Some(step) = code.steps.get(at) else { return self.emit(frame, code) };
        self.spend()?;
        let base = frame.base;
        let found = match step {
            Step::Rows { of, lookup, key, binds } => {
                let Some(lookup) = self.lookups.get(*lookup) else { return Flow::Continue(()) };
                if let Some(place) = code.of_row.filter(|_| at + 1 == code.steps.len() && frame.entry == NONE)
                    && !self.has_guests(*of)
                {
                    return self.give_rows(
                        frame.into,
                        lookup.probe(values_of(&self.scratch.registers, base, key)),
                        place,
                    );
                }
                let key = values_of(&self.scratch.registers, base, key);
                // Most lookups are directories, of which nothing is chosen row by row.
                match lookup {
                    Lookup::Directory(directory) => {
                        for row in directory.probe(key) {
                            self.go_on(frame, (binds, row), code, at)?;
                        }
                    }
                    _ => {
                        for row in lookup.probe(key) {
                            self.go_on(frame, (binds, row), code, at)?;
                        }
                    }
                }
                for (_, guest) in self.guests.iter().filter(|(known, _)| known == of) {
                    self.go_on(frame, (binds, &[*guest]), code, at)?;
                }
                return Flow::Continue(());
            }
            Step::Beside { lookup, of, place, bind } => {
                let of = self.scratch.operand(base, *of);
                let lookup = self.lookups.get(*lookup);
                let others = lookup.into_iter().flat_map(|lookup| lookup.probe(std::iter::once(of)));
                for value in std::iter::once(of).chain(others.filter_map(|row| row.get(*place).copied())) {
                    self.go_on(frame, (&[*bind], &[value]), code, at)?;
                }
                return Flow::Continue(());
            }
            Step::Read { procedure, key, binds } => return self.read(frame, (*procedure, key, binds), code, at),
            Step::Demand { group, binds } => {
                let set = self.scratch.groups.get(frame.groups + group).map_or(NONE, |(set, _)| *set);
                Ok((set, binds))
            }
            Step::Call { procedure, key, binds } => self.call(*procedure, base, key).map(|set| (set, binds)),
            Step::Seeded { procedure, key, place, group, binds } => {
                self.seeded(frame, (*procedure, key), *place, *group).map(|set| (set, binds))
            }
            _ => {
                return match self.test(frame, step) {
                    Ok(true) => self.steps(frame, code, at + 1),
                    Ok(false) => Flow::Continue(()),
                    Err(why) => Flow::Break(why),
                };
            }
        };
        match found {
            Ok((set, binds)) => self.each_from(frame, (set, binds), code, at, 0).map_continue(|_| ()),
            Err(why) => Flow::Break(why),
        }
    }

    /// Whether a condition holds that goes on once or not at all.
    fn test(&mut self, frame: Frame, step: &'r Step) -> Result<bool, Stop> {
        let base = frame.base;
        Ok(match step {
            Step::HasRows { of, lookup, key, wanted } => {
                let key = values_of(&self.scratch.registers, base, key);
                let mut guests = self.guests.iter().filter(|(known, _)| known == of);
                let lookup = self.lookups.get(*lookup);
                let has = lookup.is_some_and(|lookup| lookup.has(key.clone()))
                    || guests.any(|(_, guest)| key.clone().all(|value| value == *guest));
                has == *wanted
            }
            Step::Demanded { group, key } => {
                let set = self.scratch.groups.get(frame.groups + group).copied();
                set.is_some_and(|(set, _)| self.scratch.has(set, base, key))
            }
            Step::Holds { procedure, key, wanted } => {
                let set = self.call(*procedure, base, key)?;
                (0 < self.scratch.set(set).len()) == *wanted
            }
            Step::Among { procedure, key, open, wanted } => {
                let set = self.call(*procedure, base, key)?;
                self.scratch.has(set, base, open) == *wanted
            }
            Step::Fold { procedure, key, fold, bind } => {
                let set = self.call(*procedure, base, key)?;
                let folded = self.fold(*fold, set);
                folded.is_some_and(|value| self.scratch.bind(base, &[*bind], &[value]))
            }
            Step::Test(check) => check.holds(self.values, &|of| self.scratch.operand(base, of)),
            Step::Below { lookup, low, high, wanted } => {
                let key = [*low, *high].map(|of| self.scratch.operand(base, of));
                let lookup = self.lookups.get(*lookup);
                let [low, high] = key;
                (low == high || lookup.is_some_and(|lookup| lookup.has(key.into_iter()))) == *wanted
            }
            Step::Is { of, types } => types.has(self.values, self.scratch.operand(base, *of)),
            Step::Let { bind, value } => {
                let value = self.scratch.operand(base, *value);
                self.scratch.bind(base, &[*bind], &[value])
            }
            // These go on more than once.
            Step::Rows { .. }
            | Step::Beside { .. }
            | Step::Read { .. }
            | Step::Demand { .. }
            | Step::Call { .. }
            | Step::Seeded { .. } => false,
        })
    }

    /// Goes on with a row, if it agrees with what is known.
    fn go_on(&mut self, frame: Frame, (binds, row): (&[Bind], &[Value]), code: &'r Code, at: usize) -> Flow {
        self.spend()?;
        if self.scratch.bind(frame.base, binds, row) { self.steps(frame, code, at + 1) } else { Flow::Continue(()) }
    }

    /// What answers come to; of none there is no smallest and no largest.
    fn fold(&self, fold: Fold, set: usize) -> Option<Value> {
        let set = self.scratch.set(set);
        let firsts = set.iter().filter_map(|row| row.first().copied());
        match fold {
            Fold::Min => chosen(self.values, Choice::Min, firsts).ok().flatten(),
            Fold::Max => chosen(self.values, Choice::Max, firsts).ok().flatten(),
            _ => Value::small(set.len()),
        }
    }

    /// Adds what comes of a rule; of one without open columns, once.
    fn emit(&mut self, frame: Frame, code: &'r Code) -> Flow {
        if frame.is_new {
            self.scratch.append(frame.into, frame.base, &code.result);
            return if code.result.is_empty() { Flow::Break(Stop::Enough) } else { Flow::Continue(()) };
        }
        let is_new = self.scratch.insert(frame.into, frame.base, &code.result);
        if is_new && self.found.is_some() {
            self.find(frame, code);
        }
        if let Some(entry) = self.scratch.entries.get_mut(frame.entry)
            && is_new
            && entry.first_reader != NONE
            && !entry.is_queued
        {
            entry.is_queued = true;
            self.scratch.jobs.push(Job::Wake(frame.entry));
        }
        if code.result.is_empty() { Flow::Break(Stop::Enough) } else { Flow::Continue(()) }
    }

    /// Notes a row that was derived.
    fn find(&mut self, frame: Frame, code: &Code) {
        let Some(Entry { procedure, key, .. }) = self.scratch.entries.get(frame.entry) else { return };
        let Some(procedure_of) = self.built.procedures.get(*procedure) else { return };
        let pattern = procedure_of.pattern;
        let (mut given, mut open) = (0, 0);
        let key = self.scratch.key(memo_of(*procedure), *key);
        let row = (0..procedure_of.n_given + procedure_of.n_open).map(|column| {
            if pattern.has(column) {
                given += 1;
                key.get(given - 1).copied().unwrap_or(Value::UNKNOWN)
            } else {
                open += 1;
                code.result.get(open - 1).map_or(Value::UNKNOWN, |of| self.scratch.operand(frame.base, *of))
            }
        });
        let row: Vec<Value> = row.collect();
        if let Some(found) = &mut self.found {
            found.add(procedure_of.predicate, &row);
        }
    }

    /// Goes on for each tuple of a set that is not seen yet, whether it grows meanwhile or not. Says how many are seen then.
    fn each_from(
        &mut self,
        frame: Frame,
        (set, binds): (usize, &[Bind]),
        code: &'r Code,
        at: usize,
        mut n_seen: usize,
    ) -> ControlFlow<Stop, usize> {
        if let [Bind::Set(register)] = binds
            && frame.entry == NONE
            && !code.result.is_empty()
        {
            return self.each_value(frame, (set, *register), code, at, n_seen);
        }
        let mut n_ahead = 0;
        while n_seen < self.scratch.set(set).len() {
            if n_ahead <= n_seen {
                n_ahead = self.n_ahead(set, n_seen);
                let steps = code.steps.get(at + 1..).unwrap_or_default();
                self.look_ahead(frame.base, (set, n_seen..n_ahead), binds, steps);
            }
            self.spend()?;
            if self.scratch.bind_tuple(frame.base, binds, set, n_seen) {
                self.steps(frame, code, at + 1)?;
            }
            n_seen += 1;
        }
        ControlFlow::Continue(n_seen)
    }

    pub(super) fn call(&mut self, at: usize, base: usize, key: &[Operand]) -> Result<usize, Stop> {
        let (key, known) = self.scratch.look_up(memo_of(at), base, key);
        match known {
            Some(known) => Ok(known.set),
            None => self.evaluate(at, key),
        }
    }

    #[inline]
    pub(super) fn spend(&mut self) -> Flow {
        self.spend_on(1)
    }

    #[inline]
    pub(super) fn spend_on(&mut self, n: usize) -> Flow {
        match self.steps_left.checked_sub(n as u64) {
            Some(left) => {
                self.steps_left = left;
                Flow::Continue(())
            }
            None => ControlFlow::Break(Stop::TooManySteps),
        }
    }
}

/// Tables.
impl<'r, V: Values> Run<'r, V> {
    /// Fills the table of a key, with those that it reads.
    fn table(&mut self, at: usize, key: usize) -> Result<usize, Stop> {
        let (n_jobs, n_entries) = (self.scratch.jobs.len(), self.scratch.entries.len());
        let root = self.open(at, key);
        let is_question = self.built.procedures.get(at).is_some_and(|procedure| procedure.n_open == 0);
        while n_jobs < self.scratch.jobs.len() {
            if let Some(job) = self.scratch.jobs.pop()
                && self.work(job) == ControlFlow::Break(Stop::TooManySteps)
            {
                return Err(Stop::TooManySteps);
            }
            if is_question && 0 < self.scratch.set(root.set).len() {
                self.leave(n_jobs, n_entries, root);
            }
        }
        Ok(root.set)
    }

    /// Forgets what is not complete, now that what it was for is known.
    fn leave(&mut self, n_jobs: usize, n_entries: usize, root: Known) {
        self.scratch.jobs.truncate(n_jobs);
        for at in n_entries..self.scratch.entries.len() {
            if let Some(Entry { procedure, key, .. }) = self.scratch.entries.get(at).filter(|_| at != root.entry) {
                self.scratch.learn(memo_of(*procedure), *key, UNANSWERED);
            }
        }
    }

    fn open(&mut self, at: usize, key: usize) -> Known {
        let n_open = self.built.procedures.get(at).map_or(0, |procedure| procedure.n_open);
        let known = Known { set: self.scratch.new_set(n_open), entry: self.scratch.entries.len() };
        let entry = Entry { procedure: at, key, set: known.set, first_reader: NONE, is_queued: false };
        self.scratch.entries.push(entry);
        self.scratch.learn(memo_of(at), key, known);
        self.scratch.jobs.push(Job::Start(known.entry));
        known
    }

    /// Goes on for each answer that a table has, and waits for more.
    fn read(
        &mut self,
        frame: Frame,
        (procedure, key, binds): (usize, &[Operand], &[Bind]),
        code: &'r Code,
        at: usize,
    ) -> Flow {
        let (key, known) = self.scratch.look_up(memo_of(procedure), frame.base, key);
        let known = known.unwrap_or_else(|| self.open(procedure, key));
        // Steps that come later write registers which these do not read before they have written them.
        let saved = self.scratch.saved.len();
        self.scratch.saved.extend_from_slice(self.scratch.registers.get(frame.base..).unwrap_or_default());
        let n_seen = self.each_from(frame, (known.set, binds), code, at, 0)?;
        let Some(entry) = self.scratch.entries.get_mut(known.entry) else { return Flow::Continue(()) };
        let next = std::mem::replace(&mut entry.first_reader, self.scratch.readers.len());
        let reader = Reader { owner: frame.entry, exit: frame.exit, step: at, saved, n_seen, next };
        self.scratch.readers.push(reader);
        Flow::Continue(())
    }

    fn work(&mut self, job: Job) -> Flow {
        match job {
            Job::Start(at) => {
                let Some((procedure, frame)) = self.frame(at, None) else { return Flow::Continue(()) };
                let run = |(exit, code)| self.code(Frame { exit, ..frame }, code);
                let flow = procedure.exits.iter().enumerate().try_for_each(run);
                self.scratch.registers.truncate(frame.start);
                return flow;
            }
            Job::Wake(at) => {
                let Some(entry) = self.scratch.entries.get_mut(at) else { return Flow::Continue(()) };
                entry.is_queued = false;
                let (set, mut next) = (entry.set, entry.first_reader);
                while let Some(reader) = self.scratch.readers.get(next).copied() {
                    self.resume(next, reader, set)?;
                    next = reader.next;
                }
            }
        }
        Flow::Continue(())
    }

    /// Lets a reader go on with the answers that it has not seen.
    fn resume(&mut self, at: usize, reader: Reader, set: usize) -> Flow {
        let n = self.scratch.set(set).len();
        if n <= reader.n_seen {
            return Flow::Continue(());
        }
        let Some((procedure, frame)) = self.frame(reader.owner, Some(reader.saved)) else { return Flow::Continue(()) };
        let is_proved = procedure.n_open == 0 && 0 < self.scratch.set(frame.into).len();
        if let (Some(code), false) = (procedure.exits.get(reader.exit), is_proved)
            && let Some(Step::Read { binds, .. }) = code.steps.get(reader.step)
        {
            let frame = Frame { exit: reader.exit, ..frame };
            match self.each_from(frame, (set, binds), code, reader.step, reader.n_seen) {
                ControlFlow::Break(Stop::TooManySteps) => return Flow::Break(Stop::TooManySteps),
                ControlFlow::Break(Stop::Enough) => {}
                ControlFlow::Continue(n_seen) => {
                    if let Some(reader) = self.scratch.readers.get_mut(at) {
                        reader.n_seen = n_seen;
                    }
                }
            }
        }
        self.scratch.registers.truncate(frame.start);
        Flow::Continue(())
    }

    /// A frame for a rule of an entry, with its key or with registers that were saved.
    fn frame(&mut self, entry: usize, saved: Option<usize>) -> Option<(&'r Procedure, Frame)> {
        let Entry { procedure: at, key, set, .. } = *self.scratch.entries.get(entry)?;
        let procedure = self.built.procedures.get(at)?;
        let start = match saved {
            None => self.scratch.push_key(memo_of(at), key, procedure.n_registers),
            Some(saved) => {
                let start = self.scratch.registers.len();
                let Scratch { registers, saved: all, .. } = &mut *self.scratch;
                registers.resize(start + procedure.n_given, Value::UNKNOWN);
                registers.extend_from_slice(all.get(saved..saved + procedure.n_registers).unwrap_or_default());
                start
            }
        };
        let base = start + procedure.n_given;
        Some((procedure, Frame { start, base, groups: NONE, into: set, entry, exit: NONE, is_new: false }))
    }
}

/// Where it is noted what a procedure was asked.
fn memo_of(procedure: usize) -> usize {
    2 * procedure
}

fn memo_of_closure(closure: usize) -> usize {
    2 * closure + 1
}
