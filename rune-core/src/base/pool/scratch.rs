//! Values that one request brings.

use super::{Held, LOCAL, NOTHING, Pool, hash_entity, hash_of, hash_text};
use crate::base::value::{Datum, Value, Values, View};

/// What one request adds to a pool: the strings, sets and records that only it knows.
#[derive(Debug)]
pub struct Scratch<'p> {
    pool: &'p Pool,
    held: Held,
}

impl<'p> Scratch<'p> {
    /// An empty scratch over `pool`.
    #[must_use]
    pub fn new(pool: &'p Pool) -> Self {
        Self { pool, held: Held::default() }
    }

    /// A value that the pool may have, or this.
    fn find(&self, hash: u64, is_it: &impl Fn(&Datum) -> bool) -> Option<Value> {
        let here = || self.held.find(hash, is_it).map(|at| Value(at | LOCAL));
        self.pool.find(hash, is_it).or_else(here)
    }
}

impl Values for Scratch<'_> {
    fn n_values(&self) -> usize {
        self.pool.len() + self.held.data.len()
    }

    fn intern(&mut self, datum: Datum) -> Value {
        if let Datum::Long(number) = datum
            && let Some(value) = Value::inline(number)
        {
            return value;
        }
        let hash = hash_of(&self.pool.hasher, &datum, self);
        let found = self.find(hash, &|held| *held == datum);
        found.unwrap_or_else(|| Value(self.held.push(hash, datum) | LOCAL))
    }

    fn text(&mut self, text: &str) -> Value {
        let hash = hash_text(&self.pool.hasher, text);
        let found = self.find(hash, &|held| matches!(held, Datum::Text(held) if held == text));
        found.unwrap_or_else(|| Value(self.held.push(hash, Datum::Text(text.into())) | LOCAL))
    }

    fn find_entity(&self, kind: &str, id: &str) -> Option<Value> {
        self.pool.entity_at(hash_entity(&self.pool.hasher, kind, id), kind, id)
    }

    fn view(&self, value: Value) -> View<'_> {
        if value.is_local() {
            self.held.get(value.0 & !LOCAL).map_or(NOTHING, Datum::view)
        } else {
            self.pool.view(value)
        }
    }
}
