//! Conditions on many values at once, where a rule goes through a set of single values.
//!
//! ```text
//!   set    a b c d e f …     a batch of it
//!   tests  a   c   e         each condition leaves some, before the next is looked at
//!   rest   a       e         goes on one by one, or is the result as it is
//! ```
//!
//! It comes to what going on with one after the other comes to, in the same order and number of steps. Memory is read for all of a
//! batch before it is waited for.

use std::ops::ControlFlow;

use crate::{
    base::{Value, Values},
    check::rules::PredicateId,
    datalog::solve::{Flow, Stop},
};

use super::{
    ahead::{FEW, ROWS_MIN},
    code::{Bind, Code, Operand, Step},
    lookup::Lookup,
    run::{Frame, Run},
    scratch::{NONE, Scratch},
};

/// Values of a batch, at most.
const BATCH: usize = 64;

/// Values that are looked at together.
struct Batch {
    values: [Value; BATCH],
    n: usize,
}

impl Batch {
    /// What comes next of a set.
    fn of(scratch: &Scratch, set: usize, from: usize) -> Self {
        let mut batch = Self { values: [Value::UNKNOWN; BATCH], n: 0 };
        let left = scratch.set(set).cells().get(from..).unwrap_or_default();
        for (place, value) in batch.values.iter_mut().zip(left) {
            *place = *value;
            batch.n += 1;
        }
        batch
    }

    fn values(&self) -> &[Value] {
        self.values.get(..self.n).unwrap_or_default()
    }

    /// Leaves those that pass a test.
    fn keep(&mut self, mut test: impl FnMut(Value) -> bool) {
        let (values, mut n) = (self.values, 0);
        for value in values.iter().take(self.n) {
            if let Some(place) = self.values.get_mut(n) {
                *place = *value;
            }
            n += usize::from(test(*value));
        }
        self.n = n;
    }
}

/// A rule that goes from a value to the values beside it in the rows of a relation.
pub(super) struct Edge<'r> {
    lookup: &'r Lookup,
    /// The place of what it goes to.
    to: usize,
}

impl<'r, V: Values> Run<'r, V> {
    /// Whether a request names entities of a relation that nothing else knows.
    pub(super) fn has_guests(&self, of: PredicateId) -> bool {
        self.guests.iter().any(|(known, _)| *known == of)
    }

    /// A rule as an edge, if that is all that it is.
    pub(super) fn edge(&self, code: &'r Code) -> Option<Edge<'r>> {
        let (to, [Step::Rows { of, lookup, key, .. }]) = (code.of_row?, &*code.steps) else { return None };
        let ([Bind::Set(from)], [Operand::Register(asked)]) = (&*code.of_tuple, &**key) else { return None };
        let is_open = code.of_key.iter().all(|bind| !matches!(bind, Bind::Same(_)) && *bind != Bind::Set(*from));
        let lookup = self.lookups.get(*lookup)?;
        (from == asked && is_open && !self.has_guests(*of)).then_some(Edge { lookup, to })
    }

    /// Adds to a set all that an edge leads to from what it has.
    pub(super) fn follow_edge(&mut self, into: usize, Edge { lookup, to }: Edge<'r>) -> Result<(), Stop> {
        let (mut at, mut n_ahead) = (0, 0);
        while let Some(value) = self.scratch.set(into).cells().get(at).copied() {
            if n_ahead <= at {
                let next = self.scratch.set(into).cells().get(at..).unwrap_or_default();
                let next = next.get(..BATCH).unwrap_or(next);
                n_ahead = at + next.len();
                read_ahead(lookup, next);
            }
            let flow = self.spend();
            let key = std::iter::once(value);
            // Most lookups are directories, of which nothing is chosen row by row.
            let given = match lookup {
                Lookup::Directory(directory) => self.give_rows(into, directory.probe(key), to),
                _ => self.give_rows(into, lookup.probe(key), to),
            };
            if flow.is_break() || given.is_break() {
                return Err(Stop::TooManySteps);
            }
            at += 1;
        }
        Ok(())
    }

    /// Adds to a set of single values those at a place of rows.
    #[inline]
    pub(super) fn give_rows<'f>(
        &mut self,
        into: usize,
        found: impl Iterator<Item = &'f [Value]>,
        place: usize,
    ) -> Flow {
        let Some(set) = self.scratch.set_mut(into) else { return Flow::Continue(()) };
        for row in found {
            let Some(left) = self.steps_left.checked_sub(1) else { return Flow::Break(Stop::TooManySteps) };
            self.steps_left = left;
            if let Some(value) = row.get(place) {
                set.insert_value(*value);
            }
        }
        Flow::Continue(())
    }

    /// Goes on for each value of a set that is not seen yet, which is bound to a register. Says how many are seen then.
    pub(super) fn each_value(
        &mut self,
        frame: Frame,
        (set, register): (usize, usize),
        code: &'r Code,
        at: usize,
        mut n_seen: usize,
    ) -> ControlFlow<Stop, usize> {
        loop {
            let mut batch = Batch::of(self.scratch, set, n_seen);
            if batch.n == 0 {
                return ControlFlow::Continue(n_seen);
            }
            n_seen += batch.n;
            self.spend_on(batch.n)?;
            let at = self.test_all(frame, register, code, at + 1, &mut batch)?;
            if batch.n == 0 {
                continue;
            }
            let value = Operand::Register(register);
            if at == code.steps.len() && *code.result == [value] {
                self.give(frame, &batch);
                continue;
            }
            if let Some(Step::Rows { lookup, key, .. }) = code.steps.get(at)
                && **key == [value]
                && let Some(lookup) = self.lookups.get(*lookup)
            {
                read_ahead(lookup, batch.values());
            }
            for value in batch.values() {
                self.scratch.put(frame.base, register, *value);
                self.steps(frame, code, at)?;
            }
        }
    }

    /// Leaves the values of a batch that pass the conditions from a step on. Says at which step they go on.
    fn test_all(
        &mut self,
        frame: Frame,
        register: usize,
        code: &'r Code,
        mut at: usize,
        batch: &mut Batch,
    ) -> ControlFlow<Stop, usize> {
        let is_it = |of: &[Operand]| *of == [Operand::Register(register)];
        while let Some(step) = code.steps.get(at).filter(|_| 0 < batch.n) {
            match step {
                Step::HasRows { of, lookup, key, wanted } if is_it(key) => {
                    let (Some(lookup), guests) = (self.lookups.get(*lookup), self.guests) else { break };
                    read_ahead(lookup, batch.values());
                    let is_guest = |value| guests.contains(&(*of, value));
                    self.spend_on(batch.n)?;
                    batch.keep(|value| (lookup.has(std::iter::once(value)) || is_guest(value)) == *wanted);
                }
                Step::Is { of, types } if is_it(&[*of]) => {
                    self.spend_on(batch.n)?;
                    batch.keep(|value| types.has(self.values, value));
                }
                Step::Demanded { group, key } if is_it(key) => {
                    self.spend_on(batch.n)?;
                    let set = self.scratch.groups.get(frame.groups + group).map_or(NONE, |(set, _)| *set);
                    self.keep_among(set, true, batch);
                }
                Step::Among { procedure, key, open, wanted }
                    if is_it(open) && !key.contains(&Operand::Register(register)) =>
                {
                    self.spend_on(batch.n)?;
                    match self.call(*procedure, frame.base, key) {
                        Ok(set) => self.keep_among(set, *wanted, batch),
                        Err(stop) => return ControlFlow::Break(stop),
                    }
                }
                _ => break,
            }
            at += 1;
        }
        ControlFlow::Continue(at)
    }

    /// Leaves the values that are in a set, or those that are not.
    fn keep_among(&mut self, set: usize, wanted: bool, batch: &mut Batch) {
        match self.scratch.set_mut(set) {
            Some(set) => batch.keep(|value| set.has_value(value) == wanted),
            None => batch.keep(|_| !wanted),
        }
    }

    /// Adds values to the results.
    fn give(&mut self, frame: Frame, batch: &Batch) {
        let Some(set) = self.scratch.set_mut(frame.into) else { return };
        if frame.is_new {
            set.append_values(batch.values());
        } else {
            for value in batch.values() {
                set.insert_value(*value);
            }
        }
    }
}

fn read_ahead(lookup: &Lookup, values: &[Value]) {
    if FEW <= values.len() && ROWS_MIN <= lookup.n_rows() {
        lookup.touch(values, 1);
    }
}
