//! The rows of a relation that changes while it is read: each revision has its own, and they share what they have in common.
//!
//! ```text
//!   cells   a b   a c   b c        rows by their places; the last one fills the place of one that goes
//!   all     hash of a row ─▶ its place
//!   index   hash of a key ─▶ the newest row of the key ⇄ the one before ⇄ …
//! ```

use crate::base::{Hashed, Paged, Value};

use super::table::{NO_ROW, RowId};

/// Rows whose copies share what they have in common. They have one column or more.
#[derive(Debug, Clone)]
pub(super) struct SharedRows {
    cells: Paged<Value>,
    all: Hashed,
    indexes: Vec<SharedIndex>,
    seed: u64,
}

#[derive(Debug, Clone)]
struct SharedIndex {
    columns: Box<[usize]>,
    newest: Hashed,
    /// The row of the same key that came before, and the one that came after.
    beside: Paged<[RowId; 2]>,
}

const BEFORE: usize = 0;
const AFTER: usize = 1;

impl SharedRows {
    pub(super) fn new(arity: usize, seed: u64) -> Self {
        Self { cells: Paged::new(arity, Value::FALSE), all: Hashed::default(), indexes: Vec::new(), seed }
    }

    pub(super) fn len(&self) -> RowId {
        RowId::try_from(self.cells.len()).unwrap_or(NO_ROW)
    }

    #[inline]
    pub(super) fn row(&self, id: RowId) -> &[Value] {
        self.cells.get(id as usize)
    }

    #[inline]
    pub(super) fn find(&self, row: &[Value]) -> Option<RowId> {
        self.all.find(self.hash(row.iter().copied()), |id| self.row(id) == row)
    }

    /// Adds a row, and says whether it was new.
    pub(super) fn insert(&mut self, row: &[Value]) -> bool {
        if self.find(row).is_some() || self.len() == NO_ROW {
            return false;
        }
        let id = self.len();
        self.cells.push(row);
        self.all.add(self.hash(row.iter().copied()), id);
        for at in 0..self.indexes.len() {
            self.link(at, id);
        }
        true
    }

    /// Takes a row out, and says whether it was there.
    pub(super) fn remove(&mut self, row: &[Value]) -> bool {
        let Some(id) = self.find(row) else { return false };
        self.all.remove(self.hash(row.iter().copied()), id);
        for at in 0..self.indexes.len() {
            self.unlink(at, id);
        }
        let last = self.len() - 1;
        if id != last {
            let moved = self.row(last).to_vec();
            self.all.replace(self.hash(moved.iter().copied()), last, id);
            for at in 0..self.indexes.len() {
                self.relink(at, last, id);
            }
            self.cells.get_mut(id as usize).copy_from_slice(&moved);
        }
        self.cells.pop();
        for index in &mut self.indexes {
            index.beside.pop();
        }
        true
    }

    pub(super) fn index_on(&mut self, columns: &[usize]) -> usize {
        if let Some(at) = self.find_index(columns) {
            return at;
        }
        let beside = Paged::new(1, [NO_ROW; 2]);
        self.indexes.push(SharedIndex { columns: columns.into(), newest: Hashed::default(), beside });
        for id in 0..self.len() {
            self.link(self.indexes.len() - 1, id);
        }
        self.indexes.len() - 1
    }

    pub(super) fn find_index(&self, columns: &[usize]) -> Option<usize> {
        self.indexes.iter().position(|index| *index.columns == *columns)
    }

    pub(super) fn n_keys(&self, index: usize) -> usize {
        self.indexes.get(index).map_or(0, |index| index.newest.len())
    }

    /// The newest row of a key.
    pub(super) fn newest(&self, index: usize, key: &[Value]) -> Option<RowId> {
        let index = self.indexes.get(index)?;
        let is_it = |id: RowId| index.columns.iter().zip(key).all(|(at, value)| self.row(id).get(*at) == Some(value));
        index.newest.find(self.hash(key.iter().copied()), is_it)
    }

    /// The row of the same key that came before one.
    pub(super) fn before(&self, index: usize, id: RowId) -> RowId {
        let [before, _] = self.indexes.get(index).map_or([NO_ROW; 2], |index| *index.beside.one(id as usize));
        before
    }

    fn hash(&self, columns: impl IntoIterator<Item = Value>) -> u64 {
        super::rows::hash_of(self.seed, columns)
    }

    /// The hash of the key that a row has, and the newest row of that key.
    fn key_of(&self, at: usize, id: RowId) -> Option<(u64, Option<RowId>)> {
        let index = self.indexes.get(at)?;
        let row = self.row(id);
        let key = || index.columns.iter().filter_map(|column| row.get(*column).copied());
        let hash = self.hash(key());
        let is_it = |other: RowId| {
            let other = self.row(other);
            index.columns.iter().filter_map(|column| other.get(*column).copied()).eq(key())
        };
        Some((hash, index.newest.find(hash, is_it)))
    }

    /// Makes a row the newest of its key.
    fn link(&mut self, at: usize, id: RowId) {
        let Some((hash, newest)) = self.key_of(at, id) else { return };
        let Some(index) = self.indexes.get_mut(at) else { return };
        index.beside.push(&[[newest.unwrap_or(NO_ROW), NO_ROW]]);
        match newest {
            Some(newest) => {
                index.newest.replace(hash, newest, id);
                index.set(newest, AFTER, id);
            }
            None => index.newest.add(hash, id),
        }
    }

    /// Takes a row out of those of its key.
    fn unlink(&mut self, at: usize, id: RowId) {
        let Some((hash, _)) = self.key_of(at, id) else { return };
        let Some(index) = self.indexes.get_mut(at) else { return };
        let [before, after] = *index.beside.one(id as usize);
        index.set(before, AFTER, after);
        match (after, before) {
            (NO_ROW, NO_ROW) => drop(index.newest.remove(hash, id)),
            (NO_ROW, before) => index.newest.replace(hash, id, before),
            (after, before) => index.set(after, BEFORE, before),
        }
    }

    /// Lets those of a row's key know that it has another place.
    fn relink(&mut self, at: usize, old: RowId, new: RowId) {
        let Some((hash, _)) = self.key_of(at, old) else { return };
        let Some(index) = self.indexes.get_mut(at) else { return };
        let beside = *index.beside.one(old as usize);
        let [before, after] = beside;
        index.beside.set(new as usize, beside);
        index.set(before, AFTER, new);
        match after {
            NO_ROW => index.newest.replace(hash, old, new),
            after => index.set(after, BEFORE, new),
        }
    }
}

impl SharedIndex {
    fn set(&mut self, id: RowId, side: usize, other: RowId) {
        if let Some(place) = self.beside.get_mut(id as usize).first_mut().and_then(|beside| beside.get_mut(side)) {
            *place = other;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::{Pool, Values as _};

    #[test]
    fn rows_come_and_go_and_copies_stay_what_they_were() {
        let mut values = Pool::default();
        let v: Vec<Value> = (0..50).map(|n| values.long(n)).collect();
        let mut rows = SharedRows::new(3, 7);
        let indexes = [rows.index_on(&[0]), rows.index_on(&[1, 2])];
        let mut expected: BTreeSet<Vec<Value>> = BTreeSet::new();
        let (mut state, mut kept) = (3u64, Vec::new());
        for n in 0..30_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pick = |shift: u32, n: u64| v[usize::try_from((state >> shift) % n).unwrap()];
            let row = vec![pick(20, 8), pick(30, 5), pick(40, 20)];
            if state >> 60 < 7 {
                assert_eq!(rows.remove(&row), expected.remove(&row));
            } else {
                assert_eq!(rows.insert(&row), expected.insert(row));
            }
            if n % 1_500 == 0 {
                kept.push((rows.clone(), expected.clone()));
            }
        }
        for (rows, expected) in &kept {
            assert_eq!(rows.len() as usize, expected.len());
            assert!(expected.iter().all(|row| rows.find(row).is_some_and(|id| rows.row(id) == *row)));
            for (index, columns) in indexes.iter().zip([&[0][..], &[1, 2]]) {
                for n in 0..800 {
                    let key: Vec<Value> = columns.iter().map(|at| v[n / [1, 1, 40][*at] % [8, 5, 20][*at]]).collect();
                    let mut found: Vec<Vec<Value>> = Vec::new();
                    let mut next = rows.newest(*index, &key);
                    while let Some(id) = next.filter(|id| *id != NO_ROW) {
                        found.push(rows.row(id).to_vec());
                        next = Some(rows.before(*index, id));
                    }
                    found.sort();
                    let is_it = |row: &&Vec<Value>| columns.iter().zip(&key).all(|(at, value)| row[*at] == *value);
                    assert_eq!(found, expected.iter().filter(is_it).cloned().collect::<Vec<_>>());
                }
            }
        }
    }
}
