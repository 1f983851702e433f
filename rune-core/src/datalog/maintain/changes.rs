//! Rows that come and rows that go.

use std::collections::BTreeMap;

use crate::{base::Value, check::rules::PredicateId};

/// What changes: net, each row once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(BTreeMap<PredicateId, Change>);

/// What changes of one relation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Rows that were not there and are.
    pub inserted: RowList,
    /// Rows that were there and are not.
    pub deleted: RowList,
}

/// Rows of one width.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowList {
    cells: Vec<Value>,
    width: usize,
    n: usize,
}

impl Changes {
    /// Adds a row that comes.
    pub fn insert(&mut self, id: PredicateId, row: &[Value]) {
        self.0.entry(id).or_default().inserted.push(row);
    }

    /// Adds a row that goes.
    pub fn delete(&mut self, id: PredicateId, row: &[Value]) {
        self.0.entry(id).or_default().deleted.push(row);
    }

    /// What changes of each relation of which something does.
    pub fn iter(&self) -> impl Iterator<Item = (PredicateId, &Change)> {
        self.0.iter().map(|(id, change)| (*id, change))
    }

    /// What changes of a relation.
    #[must_use]
    pub fn of(&self, id: PredicateId) -> Option<&Change> {
        self.0.get(&id)
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl RowList {
    fn push(&mut self, row: &[Value]) {
        self.cells.extend_from_slice(row);
        self.width = row.len();
        self.n += 1;
    }

    /// The rows.
    pub fn iter(&self) -> impl Iterator<Item = &[Value]> {
        (0..self.n).map(|at| self.cells.get(at * self.width..(at + 1) * self.width).unwrap_or_default())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }
}
