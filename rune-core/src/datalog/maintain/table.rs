//! Rows that come and go, with what is known of each: whether it is there before and after the change that is under way, and
//! how it follows.
//!
//! ```text
//!   cells   a b | a c | . . | b c      a place for each row; one that is free is used again
//!   states  old new 2 | new 1 | | old 3   which revisions have it, and its weight: a height, or how many derivations it has
//! ```
//!
//! A row that is deleted stays in its place until the change is over, so that what was can be read beside what is.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::{
    base::Value,
    facts::{BATCH, RowId, Slots, hash_of, hash_row, is_same, low, row_of},
};

use super::lists::Lists;

/// Which rows count: those before a change, or those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Old,
    New,
}

impl View {
    #[inline]
    fn bit(self) -> u32 {
        match self {
            Self::Old => OLD,
            Self::New => NEW,
        }
    }
}

const OLD: u32 = 1;
const NEW: u32 = 2;
/// The row is on the list of those that may have changed.
const NOTED: u32 = 4;
/// The row waits to be looked at.
const QUEUED: u32 = 8;
const WEIGHT_SHIFT: u32 = 4;
/// What weights are less than, as signed numbers: derivations of one row may be added and taken away in any order.
pub(super) const WEIGHT_MAX: u32 = 1 << (31 - WEIGHT_SHIFT);

/// The rows of one relation.
#[derive(Debug, Default)]
pub(super) struct Table {
    arity: usize,
    cells: Vec<Value>,
    states: Vec<u32>,
    free: Vec<RowId>,
    all: Slots,
    indexes: Vec<Index>,
    changed: Vec<RowId>,
    n_old: usize,
    /// What hashes begin with: nobody who writes rows can know which of them collide.
    seed: u64,
}

/// Rows by some of their columns.
#[derive(Debug)]
struct Index {
    columns: Box<[usize]>,
    keys: HashTable<u32>,
    lists: Lists,
    /// At which place of its list each row is.
    places: Vec<u32>,
}

/// An index of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexId(usize);

impl Table {
    pub(super) fn new(arity: usize) -> Self {
        Self { arity, seed: DefaultHashBuilder::default().hash_one(arity), ..Self::default() }
    }

    pub(super) fn arity(&self) -> usize {
        self.arity
    }

    /// How many rows there were before the change that is under way.
    pub(super) fn len(&self) -> usize {
        self.n_old
    }

    /// Rows that may have changed, each once.
    pub(super) fn changed(&self) -> &[RowId] {
        &self.changed
    }

    /// All places, those that are free included: a view has none of those.
    pub(super) fn places(&self) -> std::ops::Range<RowId> {
        0..u32::try_from(self.states.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn row(&self, id: RowId) -> &[Value] {
        row_of(&self.cells, self.arity, id)
    }

    #[inline]
    fn state(&self, id: RowId) -> u32 {
        self.states.get(id as usize).copied().unwrap_or_default()
    }

    #[inline]
    fn state_mut(&mut self, id: RowId) -> Option<&mut u32> {
        self.states.get_mut(id as usize)
    }

    #[inline]
    pub(super) fn is_in(&self, id: RowId, view: View) -> bool {
        self.state(id) & view.bit() != 0
    }

    /// Whether a row came (`Some(true)`) or went; nothing if neither.
    pub(super) fn change(&self, id: RowId) -> Option<bool> {
        match self.state(id) & (OLD | NEW) {
            OLD => Some(false),
            NEW => Some(true),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn weight(&self, id: RowId) -> u32 {
        self.state(id) >> WEIGHT_SHIFT
    }

    pub(super) fn set_weight(&mut self, id: RowId, weight: u32) {
        if let Some(state) = self.state_mut(id) {
            *state = *state & ((1 << WEIGHT_SHIFT) - 1) | weight << WEIGHT_SHIFT;
        }
    }

    /// Adds to a weight, which may be below zero meanwhile. Nothing if it is more than can be kept.
    pub(super) fn add_weight(&mut self, id: RowId, n: i32) -> Option<()> {
        let state = self.state_mut(id)?;
        let weight = (state.cast_signed() >> WEIGHT_SHIFT) + n;
        let is_kept = weight.unsigned_abs() < WEIGHT_MAX;
        *state = *state & ((1 << WEIGHT_SHIFT) - 1) | weight.cast_unsigned() << WEIGHT_SHIFT;
        is_kept.then_some(())
    }

    /// Whether a weight is above zero.
    pub(super) fn has_weight(&self, id: RowId) -> bool {
        0 < self.state(id).cast_signed() >> WEIGHT_SHIFT
    }

    /// Says whether the row is there after the change, and notes it.
    pub(super) fn set_new(&mut self, id: RowId, is_there: bool) {
        if let Some(state) = self.state_mut(id) {
            *state = if is_there { *state | NEW } else { *state & !NEW };
        }
        self.note(id);
    }

    /// Notes that a row may change.
    #[inline]
    pub(super) fn note(&mut self, id: RowId) {
        if let Some(state) = self.states.get_mut(id as usize)
            && *state & NOTED == 0
        {
            *state |= NOTED;
            self.changed.push(id);
        }
    }

    /// Says that a row waits, and whether it did not yet.
    pub(super) fn queue(&mut self, id: RowId) -> bool {
        self.state_mut(id).is_some_and(|state| std::mem::replace(state, *state | QUEUED) & QUEUED == 0)
    }

    /// Says that a row waits no more.
    pub(super) fn unqueue(&mut self, id: RowId) {
        if let Some(state) = self.state_mut(id) {
            *state &= !QUEUED;
        }
    }

    #[inline]
    pub(super) fn find(&self, row: &[Value]) -> Option<RowId> {
        let hash = hash_row(self.seed, row);
        self.all.find(hash, |id| is_same(self.row(id), row)).ok().map(|(_, id)| id)
    }

    /// Reads what finding these rows will, whose cells follow each other.
    pub(super) fn touch(&self, rows: &[Value]) {
        let mut hashes = [0; BATCH];
        let mut n = 0;
        for (hash, row) in hashes.iter_mut().zip(rows.chunks_exact(self.arity.max(1))) {
            *hash = hash_row(self.seed, row);
            n += 1;
        }
        let cell = |id: RowId| self.cells.get(id as usize * self.arity).map_or(0, |cell| cell.bits());
        self.all.touch(hashes.get(..n).unwrap_or_default(), |id| cell(id) ^ self.state(id));
    }

    /// The place of a row; of a new one, which no view has yet.
    pub(super) fn place(&mut self, row: &[Value]) -> RowId {
        let Self { arity, cells, states, free, all, seed, .. } = self;
        let hash = hash_row(*seed, row);
        let n_places = RowId::try_from(states.len()).unwrap_or(RowId::MAX);
        let is_taken = |id: &RowId| states.get(*id as usize).is_some_and(|state| *state != 0);
        all.reserve(n_places, 1, |id| is_taken(&id).then(|| hash_row(*seed, row_of(cells, *arity, id))));
        let slot = match all.find(hash, |id| is_same(row_of(cells, *arity, id), row)) {
            Ok((_, id)) => return id,
            Err(slot) => slot,
        };
        let id = if let Some(id) = free.pop() {
            let start = id as usize * *arity;
            if let Some(place) = cells.get_mut(start..start + *arity) {
                place.copy_from_slice(row);
            }
            id
        } else {
            cells.extend_from_slice(row);
            states.push(0);
            u32::try_from(states.len() - 1).unwrap_or(u32::MAX)
        };
        all.put(slot, hash, id);
        for index in &mut self.indexes {
            index.add(id, &self.cells, self.arity, self.seed);
        }
        self.note(id);
        id
    }

    /// Takes away what is there after the change, as if nothing were derived yet.
    pub(super) fn begin_anew(&mut self) {
        for (id, state) in (0..).zip(&mut self.states) {
            // A place that is free has none of this.
            if *state == 0 {
                continue;
            }
            if *state & NOTED == 0 {
                self.changed.push(id);
            }
            *state = *state & OLD | NOTED;
        }
    }

    /// Ends a change: what is there after it is all that there is.
    pub(super) fn commit(&mut self) {
        for id in std::mem::take(&mut self.changed) {
            let was = self.state(id);
            self.n_old = self.n_old + usize::from(was & NEW != 0) - usize::from(was & OLD != 0);
            if was & NEW == 0 {
                self.remove(id);
            } else if let Some(state) = self.state_mut(id) {
                *state = *state & !(NOTED | QUEUED) | OLD;
            }
        }
    }

    fn remove(&mut self, id: RowId) {
        let Self { all, cells, arity, seed, .. } = self;
        let hash = |id: RowId| hash_row(*seed, row_of(cells, *arity, id));
        if let Ok((slot, _)) = all.find(hash(id), |other| other == id) {
            all.take(slot, hash);
        }
        for index in &mut self.indexes {
            index.remove(id, &self.cells, self.arity, self.seed);
        }
        if let Some(state) = self.state_mut(id) {
            *state = 0;
        }
        self.free.push(id);
    }

    /// An index on these columns; made if there is none yet.
    pub(super) fn index_on(&mut self, columns: &[usize]) -> IndexId {
        if let Some(at) = self.indexes.iter().position(|index| *index.columns == *columns) {
            return IndexId(at);
        }
        let mut index =
            Index { columns: columns.into(), keys: HashTable::new(), lists: Lists::default(), places: Vec::new() };
        let taken = |id: &RowId| self.states.get(*id as usize).is_some_and(|state| *state != 0);
        for id in self.places().filter(taken) {
            index.add(id, &self.cells, self.arity, self.seed);
        }
        self.indexes.push(index);
        IndexId(self.indexes.len() - 1)
    }

    /// The places of rows whose columns have these values, in any view.
    #[inline]
    pub(super) fn probe(&self, index: IndexId, key: &[Value]) -> &[RowId] {
        let Some(index) = self.indexes.get(index.0) else { return &[] };
        let hash = hash_row(self.seed, key);
        let check = check_of(hash, key);
        let is_it = |list: &u32| {
            index.lists.check(*list) == check
                && (key.len() == 1 || {
                    let row = index.lists.rows(*list).first().map(|id| self.row(*id)).unwrap_or_default();
                    index.columns.iter().zip(key).all(|(column, value)| row.get(*column) == Some(value))
                })
        };
        index.keys.find(hash, is_it).map_or(&[], |list| index.lists.rows(*list))
    }
}

impl Index {
    fn add(&mut self, id: RowId, cells: &[Value], arity: usize, seed: u64) {
        let Self { columns, keys, lists, places } = self;
        let key = |id: RowId| key_of(columns, row_of(cells, arity, id));
        let hash = hash_of(seed, key(id));
        let check = check_of_row(columns, hash, row_of(cells, arity, id));
        let is_it = |list: &u32| is_list(lists, *list, check, columns, |of| key(of).eq(key(id)));
        let place = if let Some(list) = keys.find(hash, is_it).copied() {
            lists.push(list, id)
        } else {
            let list = lists.open(check, id);
            let hash_of_list = |list: &u32| match **columns {
                [_] => hash_row(seed, &[Value::from_bits(lists.check(*list))]),
                _ => lists.rows(*list).first().map_or(0, |of| hash_of(seed, key(*of))),
            };
            keys.insert_unique(hash, list, hash_of_list);
            0
        };
        if places.len() <= id as usize {
            places.resize(id as usize + 1, 0);
        }
        if let Some(of_row) = places.get_mut(id as usize) {
            *of_row = place;
        }
    }

    fn remove(&mut self, id: RowId, cells: &[Value], arity: usize, seed: u64) {
        let Self { columns, keys, lists, places } = self;
        let key = |id: RowId| key_of(columns, row_of(cells, arity, id));
        let hash = hash_of(seed, key(id));
        let check = check_of_row(columns, hash, row_of(cells, arity, id));
        let is_it = |list: &u32| is_list(lists, *list, check, columns, |of| key(of).eq(key(id)));
        let Ok(entry) = keys.find_entry(hash, is_it) else { return };
        let list = *entry.get();
        let place = places.get(id as usize).copied().unwrap_or_default();
        let moved = lists.take(list, place);
        if let Some(of_moved) = moved.and_then(|row| places.get_mut(row as usize)) {
            *of_moved = place;
        }
        if lists.is_empty(list) {
            entry.remove();
        }
    }
}

/// What the key of a row is known by.
#[inline]
fn check_of_row(columns: &[usize], hash: u64, row: &[Value]) -> u32 {
    match *columns {
        [column] => row.get(column).map_or(0, |value| value.bits()),
        _ => check_of(hash, &[]),
    }
}

/// Whether a list is that of a key, which one column says by itself.
#[inline]
fn is_list(lists: &Lists, list: u32, check: u32, columns: &[usize], has_key: impl Fn(RowId) -> bool) -> bool {
    lists.check(list) == check && (columns.len() == 1 || lists.rows(list).first().is_some_and(|of| has_key(*of)))
}

fn key_of(columns: &[usize], row: &[Value]) -> impl Iterator<Item = Value> {
    columns.iter().filter_map(|column| row.get(*column).copied())
}

/// A key of one column, or a part of the hash of another.
#[inline]
fn check_of(hash: u64, key: &[Value]) -> u32 {
    match key {
        [value] => value.bits(),
        _ => low(hash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Pool, Values};

    #[test]
    fn rows_that_come_and_go_are_found_by_any_columns() {
        let mut values = Pool::default();
        let v: Vec<Value> = (0..10).map(|n| values.long(n)).collect();
        let mut table = Table::new(3);
        let early = table.index_on(&[0]);
        let both = table.index_on(&[0, 2]);
        let mut there = std::collections::BTreeSet::new();
        let mut seed = 7_usize;
        for round in 0..2_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let of = [seed >> 33, seed >> 40, seed >> 47].map(|n| v[n % 4]);
            let id = table.place(&of);
            let is_there = there.contains(&of);
            table.set_new(id, !is_there);
            if is_there {
                there.remove(&of)
            } else {
                there.insert(of)
            };
            if round % 3 == 0 {
                table.commit();
                assert_eq!(table.len(), there.len());
            }
        }
        table.commit();
        let late = table.index_on(&[2]);
        for a in &v {
            for b in &v {
                let n = |index, key: &[Value]| table.probe(index, key).len();
                assert_eq!(n(early, &[*a]), there.iter().filter(|row| row[0] == *a).count());
                assert_eq!(n(late, &[*a]), there.iter().filter(|row| row[2] == *a).count());
                assert_eq!(n(both, &[*a, *b]), there.iter().filter(|row| row[0] == *a && row[2] == *b).count());
            }
        }
        assert!(there.iter().all(|row| table.find(row).is_some_and(|id| table.is_in(id, View::Old))));
    }
}
