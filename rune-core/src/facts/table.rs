//! The rows of one relation, each once, with an index for each way that they are looked up.
//!
//! ```text
//!   rows    a b   a c   b c        in the order they came: what came in one round is a range
//!   index   on column 0:  a ─▶ row 1 ─▶ row 0,   b ─▶ row 2
//! ```

use std::{hash::BuildHasher, ops::Range};

use hashbrown::DefaultHashBuilder;

use super::{
    rows::{hash_of, hash_row, is_same, low, row_of},
    shared::SharedRows,
    slots::{BATCH, Keys, Slots},
};
use crate::base::Value;

/// A position in the order in which rows came.
pub type RowId = u32;

pub(super) const NO_ROW: RowId = RowId::MAX;

/// The rows of one relation.
#[derive(Debug, Clone)]
pub struct Table {
    pub(super) arity: usize,
    pub(super) n_rows: RowId,
    pub(super) cells: Vec<Value>,
    /// Every row, by all its columns.
    pub(super) all: Slots,
    pub(super) indexes: Vec<Index>,
    /// What hashes begin with: nobody who writes rows can know which of them collide.
    pub(super) seed: u64,
    /// All rows, if they change while others read what they were; then there are none elsewhere.
    shared: Option<Box<SharedRows>>,
}

/// Rows by some of their columns: the newest of each key, and for each row the one before it.
#[derive(Debug, Clone)]
pub(super) struct Index {
    columns: Box<[usize]>,
    newest: Keys,
    before: Vec<RowId>,
}

/// An index of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexId(usize);

impl Default for Table {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Table {
    /// An empty relation of this many columns.
    #[must_use]
    pub fn new(arity: usize) -> Self {
        let seed = DefaultHashBuilder::default().hash_one(arity);
        let (cells, all, indexes) = (Vec::new(), Slots::default(), Vec::new());
        Self { arity, n_rows: 0, cells, all, indexes, seed, shared: None }
    }

    /// An empty relation of this many columns, whose copies share what they have in common.
    #[must_use]
    pub fn shared(arity: usize) -> Self {
        let table = Self::new(arity);
        let shared = (0 < arity).then(|| Box::new(SharedRows::new(arity, table.seed)));
        Self { shared, ..table }
    }

    /// Whether copies share what they have in common.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
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
    #[inline]
    pub fn row(&self, id: RowId) -> &[Value] {
        if let Some(shared) = &self.shared {
            return shared.row(id);
        }
        row_of(&self.cells, self.arity, id)
    }

    /// The rows from the first to the last.
    pub fn rows(&self) -> impl Iterator<Item = &[Value]> {
        (0..self.n_rows).map(|id| self.row(id))
    }

    /// The position of a row.
    #[must_use]
    #[inline]
    pub fn find(&self, row: &[Value]) -> Option<RowId> {
        if self.arity == 0 {
            return (0 < self.n_rows).then_some(0);
        }
        if let Some(shared) = &self.shared {
            return shared.find(row);
        }
        let hash = hash_row(self.seed, row);
        self.all.find(hash, |id| is_same(self.row(id), row)).ok().map(|(_, id)| id)
    }

    /// Adds a row, and says whether it was new.
    pub fn insert(&mut self, row: &[Value]) -> bool {
        debug_assert_eq!(row.len(), self.arity, "a row has as many columns as its relation");
        if self.arity == 0 {
            return std::mem::replace(&mut self.n_rows, 1) == 0;
        }
        if let Some(shared) = &mut self.shared {
            let is_new = shared.insert(row);
            self.n_rows = shared.len();
            return is_new;
        }
        let n_before = self.n_rows;
        self.reserve(1);
        let is_new = self.add(hash_row(self.seed, row), row);
        self.index(n_before);
        is_new
    }

    /// Takes a row out, and says whether it was there. Only of a relation that is shared, or that has no columns.
    pub fn remove(&mut self, row: &[Value]) -> bool {
        let Some(shared) = &mut self.shared else {
            return self.arity == 0 && std::mem::take(&mut self.n_rows) == 1;
        };
        let was_there = shared.remove(row);
        self.n_rows = shared.len();
        was_there
    }

    /// Adds rows of one column or more, whose cells follow each other. Says how many were new.
    pub fn insert_all(&mut self, rows: &[Value]) -> RowId {
        let n_before = self.n_rows;
        self.insert_each(rows, |_| ());
        self.n_rows - n_before
    }

    /// Adds rows of one column or more, whose cells follow each other. Says of each that was new which it was.
    pub fn insert_each(&mut self, rows: &[Value], mut added: impl FnMut(usize)) {
        let (mut at, arity) = (0, self.arity.max(1));
        if self.shared.is_some() {
            for (at, row) in rows.chunks_exact(arity).enumerate() {
                if self.insert(row) {
                    added(at);
                }
            }
            return;
        }
        for batch in rows.chunks(BATCH * arity) {
            let (mut hashes, n_indexed) = ([0; BATCH], self.n_rows);
            self.reserve(BATCH);
            self.touch(batch, &mut hashes);
            for (hash, row) in hashes.iter().zip(batch.chunks_exact(arity)) {
                if self.add(*hash, row) {
                    added(at);
                }
                at += 1;
            }
            self.index(n_indexed);
        }
    }

    /// The hashes of up to [`BATCH`] rows; and where they may be, memory is on its way.
    fn touch(&self, rows: &[Value], hashes: &mut [u64; BATCH]) {
        for (hash, row) in hashes.iter_mut().zip(rows.chunks_exact(self.arity.max(1))) {
            *hash = hash_row(self.seed, row);
        }
        self.all.touch(hashes, |id| self.cells.get(id as usize * self.arity).map_or(0, |cell| cell.bits()));
    }

    /// The positions of rows of one column or more, whose cells follow each other.
    pub fn find_all(&self, rows: &[Value], mut found: impl FnMut(Option<RowId>)) {
        let arity = self.arity.max(1);
        if let Some(shared) = &self.shared {
            rows.chunks_exact(arity).for_each(|row| found(shared.find(row)));
            return;
        }
        for batch in rows.chunks(BATCH * arity) {
            let mut hashes = [0; BATCH];
            self.touch(batch, &mut hashes);
            for (hash, row) in hashes.iter().zip(batch.chunks_exact(arity)) {
                found(self.all.find(*hash, |id| is_same(self.row(id), row)).ok().map(|(_, id)| id));
            }
        }
    }

    /// Adds a row for which there is room.
    #[inline]
    fn add(&mut self, hash: u64, row: &[Value]) -> bool {
        let Self { arity, cells, all, .. } = self;
        let found = all.find(hash, |id| is_same(row_of(cells, *arity, id), row));
        if let Err(slot) = found
            && self.n_rows < NO_ROW - 1
        {
            all.put(slot, hash, self.n_rows);
            cells.extend_from_slice(row);
            self.n_rows += 1;
            return true;
        }
        false
    }

    /// Makes room for so many more rows.
    pub(super) fn reserve(&mut self, n: usize) {
        let Self { arity, cells, seed, .. } = self;
        let hash = |id: RowId| Some(hash_row(*seed, row_of(cells, *arity, id)));
        self.all.reserve(self.n_rows, n, hash);
    }

    /// Puts the rows from this one on into the indexes.
    fn index(&mut self, first: RowId) {
        for index in &mut self.indexes {
            index.add(first..self.n_rows, &self.cells, self.arity, self.seed);
        }
    }

    /// Makes room for so many rows in all, and gives back what room there is for more.
    pub fn fit(&mut self, n_rows: usize) {
        if self.shared.is_some() {
            return;
        }
        self.cells.shrink_to(n_rows * self.arity);
        self.cells.reserve_exact((n_rows * self.arity).saturating_sub(self.cells.len()));
        self.reserve(n_rows.saturating_sub(self.n_rows as usize));
        for index in &mut self.indexes {
            index.before.shrink_to(n_rows);
        }
    }

    /// An index on these columns; made if there is none yet.
    pub fn index_on(&mut self, columns: &[usize]) -> IndexId {
        if let Some(shared) = &mut self.shared {
            return IndexId(shared.index_on(columns));
        }
        if let Some(at) = self.indexes.iter().position(|index| *index.columns == *columns) {
            return IndexId(at);
        }
        let mut index = Index { columns: columns.into(), newest: Keys::default(), before: Vec::new() };
        index.before.reserve_exact(self.n_rows as usize);
        index.add(0..self.n_rows, &self.cells, self.arity, self.seed);
        self.indexes.push(index);
        IndexId(self.indexes.len() - 1)
    }

    /// The index on these columns, if there is one.
    #[must_use]
    pub fn find_index(&self, columns: &[usize]) -> Option<IndexId> {
        if let Some(shared) = &self.shared {
            return shared.find_index(columns).map(IndexId);
        }
        self.indexes.iter().position(|index| *index.columns == *columns).map(IndexId)
    }

    /// How many keys an index has.
    #[must_use]
    pub fn n_keys(&self, index: IndexId) -> usize {
        match &self.shared {
            Some(shared) => shared.n_keys(index.0),
            None => self.indexes.get(index.0).map_or(0, |index| index.newest.len()),
        }
    }

    /// The rows whose columns have these values, from the newest to the oldest.
    #[must_use]
    #[inline]
    pub fn probe<'t>(&'t self, index: IndexId, key: &[Value]) -> Probe<'t> {
        if let Some(shared) = &self.shared {
            let next = shared.newest(index.0, key).unwrap_or(NO_ROW);
            return Probe { before: &[], next, shared: Some((shared, index.0)) };
        }
        let found = self.indexes.get(index.0).and_then(|index| {
            let newest = match key {
                [value] => index.newest.find(hash_row(self.seed, key), value.bits(), |_| true).ok()?,
                _ => {
                    let is_it = |id: RowId| {
                        let row = self.row(id);
                        index.columns.iter().zip(key).all(|(column, value)| row.get(*column) == Some(value))
                    };
                    let hash = hash_row(self.seed, key);
                    index.newest.find(hash, low(hash), is_it).ok()?
                }
            };
            Some((index.before.as_slice(), newest))
        });
        let (before, next) = found.unwrap_or((&[], NO_ROW));
        Probe { before, next, shared: None }
    }
}

impl Index {
    pub(super) fn add(&mut self, rows: Range<RowId>, cells: &[Value], arity: usize, seed: u64) {
        let Self { columns, newest, before } = self;
        if let [column] = **columns {
            let key = |id: RowId| row_of(cells, arity, id).get(column).copied().unwrap_or(Value::FALSE);
            for id in rows {
                let hash = |check: u32, _| hash_row(seed, &[Value::from_bits(check)]);
                before.push(newest.note(hash(key(id).bits(), id), key(id).bits(), id, |_| true, hash));
            }
            return;
        }
        let key = |id: RowId| {
            let row = row_of(cells, arity, id);
            columns.iter().filter_map(|column| row.get(*column).copied())
        };
        for id in rows {
            let hash = hash_of(seed, key(id));
            let is_it = |other: RowId| key(other).eq(key(id));
            before.push(newest.note(hash, low(hash), id, is_it, |_, other| hash_of(seed, key(other))));
        }
    }
}

/// Rows with one key, from the newest to the oldest.
#[derive(Debug, Clone)]
pub struct Probe<'t> {
    before: &'t [RowId],
    next: RowId,
    /// Where the ones before are, if rows are shared.
    shared: Option<(&'t SharedRows, usize)>,
}

impl Iterator for Probe<'_> {
    type Item = RowId;

    #[inline]
    fn next(&mut self) -> Option<RowId> {
        if self.next == NO_ROW {
            return None;
        }
        let id = self.next;
        self.next = match self.shared {
            None => self.before.get(id as usize).copied().unwrap_or(NO_ROW),
            Some((shared, index)) => shared.before(index, id),
        };
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
