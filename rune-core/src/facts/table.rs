//! The rows of one relation, each once, with an index for each way that they are looked up.
//!
//! ```text
//!   rows    a b   a c   b c        in the order they came: what came in one round is a range
//!   index   on column 0:  a ─▶ row 1 ─▶ row 0,   b ─▶ row 2
//! ```

use std::{hash::BuildHasher, ops::Range};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::base::Value;

/// A position in the order in which rows came.
pub type RowId = u32;

const NO_ROW: RowId = RowId::MAX;

/// The rows of one relation.
#[derive(Debug, Clone, Default)]
pub struct Table {
    arity: usize,
    n_rows: RowId,
    cells: Vec<Value>,
    /// Every row, by all its columns.
    all: HashTable<RowId>,
    indexes: Vec<Index>,
    hasher: DefaultHashBuilder,
}

/// Rows by some of their columns: the newest of each key, and for each row the one before it.
#[derive(Debug, Clone)]
struct Index {
    columns: Box<[usize]>,
    newest: HashTable<RowId>,
    before: Vec<RowId>,
}

/// An index of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexId(usize);

impl Table {
    /// An empty relation of this many columns.
    #[must_use]
    pub fn new(arity: usize) -> Self {
        Self { arity, ..Self::default() }
    }

    /// How many columns a row has.
    #[must_use]
    pub fn arity(&self) -> usize {
        self.arity
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> RowId {
        self.n_rows
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_rows == 0
    }

    /// A row by its position; of one that is not there, no columns.
    #[must_use]
    pub fn row(&self, id: RowId) -> &[Value] {
        let start = id as usize * self.arity;
        self.cells.get(start..start + self.arity).unwrap_or_default()
    }

    /// The rows from the first to the last.
    pub fn rows(&self) -> impl Iterator<Item = &[Value]> {
        (0..self.n_rows).map(|id| self.row(id))
    }

    /// The position of a row.
    #[must_use]
    pub fn find(&self, row: &[Value]) -> Option<RowId> {
        let hash = self.hasher.hash_one(row);
        self.all.find(hash, |id| self.row(*id) == row).copied()
    }

    /// Adds a row, and says whether it was new.
    pub fn insert(&mut self, row: &[Value]) -> bool {
        debug_assert_eq!(row.len(), self.arity, "a row has as many columns as its relation");
        let hash = self.hasher.hash_one(row);
        let Self { arity, cells, all, hasher, .. } = self;
        let row_at = |cells: &[Value], id: RowId| -> Range<usize> {
            let start = id as usize * *arity;
            start..(start + *arity).min(cells.len())
        };
        if all.find(hash, |id| cells.get(row_at(cells, *id)) == Some(row)).is_some() || self.n_rows == NO_ROW {
            return false;
        }
        let id = self.n_rows;
        cells.extend_from_slice(row);
        all.insert_unique(hash, id, |id| hasher.hash_one(cells.get(row_at(cells, *id)).unwrap_or_default()));
        self.n_rows += 1;
        for index in &mut self.indexes {
            index.add(id, &self.cells, self.arity, &self.hasher);
        }
        true
    }

    /// An index on these columns; made if there is none yet.
    pub fn index_on(&mut self, columns: &[usize]) -> IndexId {
        if let Some(at) = self.indexes.iter().position(|index| *index.columns == *columns) {
            return IndexId(at);
        }
        let mut index = Index { columns: columns.into(), newest: HashTable::new(), before: Vec::new() };
        for id in 0..self.n_rows {
            index.add(id, &self.cells, self.arity, &self.hasher);
        }
        self.indexes.push(index);
        IndexId(self.indexes.len() - 1)
    }

    /// The index on these columns, if there is one.
    #[must_use]
    pub fn find_index(&self, columns: &[usize]) -> Option<IndexId> {
        self.indexes.iter().position(|index| *index.columns == *columns).map(IndexId)
    }

    /// The rows whose columns have these values, from the newest to the oldest.
    #[must_use]
    pub fn probe<'t>(&'t self, index: IndexId, key: &[Value]) -> Probe<'t> {
        let found = self.indexes.get(index.0).and_then(|index| {
            let is_it = |id: &RowId| {
                index.columns.iter().zip(key).all(|(column, value)| self.row(*id).get(*column) == Some(value))
            };
            let newest = index.newest.find(hash_key(&self.hasher, key.iter().copied()), is_it)?;
            Some((index.before.as_slice(), *newest))
        });
        let (before, next) = found.unwrap_or((&[], NO_ROW));
        Probe { before, next }
    }
}

impl Index {
    fn add(&mut self, id: RowId, cells: &[Value], arity: usize, hasher: &DefaultHashBuilder) {
        let columns = &self.columns;
        let cell = |id: RowId, column: usize| cells.get(id as usize * arity + column).copied().unwrap_or(Value::FALSE);
        let hash = |id: RowId| hash_key(hasher, columns.iter().map(|column| cell(id, *column)));
        let is_same = |other: &RowId| columns.iter().all(|column| cell(*other, *column) == cell(id, *column));
        let before = match self.newest.find_mut(hash(id), is_same) {
            Some(newest) => std::mem::replace(newest, id),
            None => {
                self.newest.insert_unique(hash(id), id, |other| hash(*other));
                NO_ROW
            }
        };
        self.before.push(before);
    }
}

fn hash_key(hasher: &DefaultHashBuilder, key: impl Iterator<Item = Value>) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut state = hasher.build_hasher();
    key.for_each(|value| value.hash(&mut state));
    state.finish()
}

/// Rows with one key, from the newest to the oldest.
#[derive(Debug, Clone)]
pub struct Probe<'t> {
    before: &'t [RowId],
    next: RowId,
}

impl Iterator for Probe<'_> {
    type Item = RowId;

    fn next(&mut self) -> Option<RowId> {
        if self.next == NO_ROW {
            return None;
        }
        let id = self.next;
        self.next = self.before.get(id as usize).copied().unwrap_or(NO_ROW);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Pool, Values};

    #[test]
    fn a_row_is_held_once_and_found_by_any_columns() {
        let mut values = Pool::default();
        let v: Vec<Value> = (0..4).map(|n| values.long(n)).collect();
        let mut table = Table::new(2);
        let early = table.index_on(&[0]);
        for (a, b) in [(0, 1), (0, 2), (1, 2), (0, 1)] {
            table.insert(&[v[a], v[b]]);
        }
        let late = table.index_on(&[1]);
        assert_eq!(table.len(), 3);
        assert_eq!(table.probe(early, &[v[0]]).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(table.probe(late, &[v[2]]).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(table.probe(late, &[v[3]]).count(), 0);
        assert_eq!(table.find(&[v[1], v[2]]), Some(2));
        assert_eq!(table.find(&[v[2], v[1]]), None);
    }

    #[test]
    fn a_relation_without_columns_holds_one_row_or_none() {
        let mut table = Table::new(0);
        assert_eq!(table.find(&[]), None);
        assert!(table.insert(&[]) && !table.insert(&[]));
        assert_eq!((table.find(&[]), table.len(), table.rows().count()), (Some(0), 1, 1));
    }
}
