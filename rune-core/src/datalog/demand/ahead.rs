//! Reads what will be asked for, much of it at once: where memory is far away, one wait is as long as many.

use std::ops::Range;

use crate::base::{Value, Values, View};

use super::{
    code::{Bind, Operand, Step},
    run::Run,
};

/// Tuples that are looked at ahead, at most; and at least, or it is not worth it.
const BATCH: usize = 32;
pub(super) const FEW: usize = 4;
/// Columns of a key that is read ahead.
const COLUMNS_MAX: usize = 4;
/// What has fewer rows is at hand.
pub(super) const ROWS_MIN: usize = 1 << 12;

impl<V: Values> Run<'_, V> {
    /// Up to where the tuples of a set are looked at ahead, from one of them on.
    #[inline]
    pub(super) fn n_ahead(&self, set: usize, from: usize) -> usize {
        self.scratch.set(set).len().min(from + BATCH)
    }

    /// Reads what the next conditions will ask for of these tuples of a set, up to one that asks for many things itself. No answer
    /// depends on it.
    #[inline]
    pub(super) fn look_ahead(&mut self, base: usize, (set, at): (usize, Range<usize>), binds: &[Bind], steps: &[Step]) {
        if FEW <= at.len() {
            self.read_ahead(base, (set, at), binds, steps);
        }
    }

    fn read_ahead(&mut self, base: usize, (set, at): (usize, Range<usize>), binds: &[Bind], steps: &[Step]) {
        let mut keys = std::mem::take(&mut self.scratch.ahead);
        for step in steps {
            match step {
                Step::Rows { lookup, key, .. } | Step::HasRows { lookup, key, .. } => {
                    if let Some(lookup) = self.lookups.get(*lookup).filter(|of| ROWS_MIN <= of.n_rows())
                        && self.keys((base, key), (set, at.clone()), binds, &mut keys)
                    {
                        lookup.touch(&keys, key.len());
                    }
                }
                Step::Is { of, .. } if self.keys((base, &[*of]), (set, at.clone()), binds, &mut keys) => {
                    let is_entity = |value| matches!(self.values.view(value), View::Entity(..));
                    std::hint::black_box(keys.iter().filter(|value| is_entity(**value)).count());
                }
                _ => {}
            }
            if step.goes_on_often() {
                break;
            }
        }
        self.scratch.ahead = keys;
    }

    /// Collects what a key will be for each of these tuples. Says whether it depends on them.
    fn keys(
        &self,
        (base, key): (usize, &[Operand]),
        (set, at): (usize, Range<usize>),
        binds: &[Bind],
        keys: &mut Vec<Value>,
    ) -> bool {
        let column = |of: &Operand| match of {
            Operand::Register(register) => binds.iter().position(|bind| *bind == Bind::Set(*register)),
            Operand::Constant(_) => None,
        };
        let mut parts = [(None, Value::UNKNOWN); COLUMNS_MAX];
        for (part, of) in parts.iter_mut().zip(key) {
            *part = (column(of), self.scratch.operand(base, *of));
        }
        let parts = parts.get(..key.len()).unwrap_or_default();
        if parts.iter().all(|(column, _)| column.is_none()) {
            return false;
        }
        let tuples = self.scratch.set(set);
        keys.clear();
        for at in at {
            let tuple = tuples.get(at);
            let value = |column: usize| tuple.get(column).copied().unwrap_or(Value::UNKNOWN);
            keys.extend(parts.iter().map(|(column, fixed)| column.map_or(*fixed, value)));
        }
        true
    }
}
