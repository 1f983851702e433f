//! Rows by some of their columns, with the other columns of each key side by side.
//!
//! ```text
//!   slots      u ─▶ (0, 2)   v ─▶ c        open addressing, at most three quarters full
//!   payload    a b                         the columns that are not the key, a key's rows in a run
//! ```
//!
//! A probe costs one line of the slots and the run itself, and where a key has one row of one more column the slot alone: where
//! demand goes from row to row it asks for nothing else.

use crate::{
    base::Value,
    facts::{RowId, Table},
};

/// Rows by some of their columns.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    slots: Box<[Slot]>,
    /// How far a hash is shifted to be a slot.
    shift: u32,
    payload: Box<[Value]>,
    /// How many columns a row has in the payload.
    width: usize,
    /// The columns of the key, if rows are whole: where those do not fit a slot, rows are compared.
    compared: Option<Box<[usize]>>,
    n_keys: usize,
    n_rows: usize,
    /// The most rows that a key has.
    n_most: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    key: u64,
    /// Where the run begins, as bits; of one row of one column, that itself.
    start: Value,
    /// Zero of a slot that is free.
    len: RowId,
}

const FREE: Slot = Slot { key: 0, start: Value::FALSE, len: 0 };

impl Directory {
    /// The rows of a table by these columns, and whether they are whole in any case.
    pub(super) fn of(rows: &Table, arity: usize, columns: &[usize], is_whole: bool) -> Self {
        let compared: Option<Box<[usize]>> = (is_whole || 2 < columns.len()).then(|| columns.into());
        let kept: Vec<usize> = (0..arity).filter(|at| compared.is_some() || !columns.contains(at)).collect();
        let key_of = |row: &[Value]| pack(columns.iter().filter_map(|at| row.get(*at).copied()));
        let mut keyed: Vec<(u64, RowId)> = (0..rows.len()).map(|at| (key_of(rows.row(at)), at)).collect();
        keyed.sort_unstable();
        let groups = || keyed.chunk_by(|(a, _), (b, _)| a == b);
        let n_keys = groups().count();
        let n_most = groups().map(<[_]>::len).max().unwrap_or_default();
        // Between three eighths and three quarters full: a probe seldom leaves the line that it begins in.
        let n_slots = (n_keys + n_keys / 3 + 1).max(2).next_power_of_two();
        let mut slots = vec![FREE; n_slots].into_boxed_slice();
        let shift = 64 - n_slots.trailing_zeros();
        let mut payload = Vec::with_capacity(keyed.len() * kept.len());
        let mut start: RowId = 0;
        for group in groups() {
            let cells =
                group.iter().flat_map(|(_, at)| kept.iter().filter_map(|kept| rows.row(*at).get(*kept).copied()));
            let len = RowId::try_from(group.len()).unwrap_or(RowId::MAX);
            let Some((key, _)) = group.first() else { continue };
            let alone = cells.clone().next().filter(|_| kept.len() == 1 && len == 1);
            match alone {
                Some(cell) => place(&mut slots, shift, Slot { key: *key, start: cell, len }),
                None => {
                    payload.extend(cells);
                    place(&mut slots, shift, Slot { key: *key, start: Value::from_bits(start), len });
                    start += len;
                }
            }
        }
        let payload = payload.into_boxed_slice();
        Self { slots, shift, payload, width: kept.len(), compared, n_keys, n_rows: keyed.len(), n_most }
    }

    /// How many keys there are.
    pub(super) fn n_keys(&self) -> usize {
        self.n_keys
    }

    /// The most rows that a key has.
    pub(super) fn n_most(&self) -> usize {
        self.n_most
    }

    /// How many rows there are.
    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The rows of a key, without the columns of the key; of one that is compared, whole rows of which some may be of other keys.
    #[inline]
    pub(super) fn probe(&self, key: impl Iterator<Item = Value>) -> Run<'_> {
        let (payload, len) = match self.find(pack(key)) {
            Some(slot) if slot.len == 1 && self.width == 1 => (std::slice::from_ref(&slot.start), 1),
            Some(slot) => {
                let (start, len) = (slot.start.bits() as usize, slot.len as usize);
                (self.payload.get(start * self.width..(start + len) * self.width).unwrap_or_default(), len)
            }
            None => (Default::default(), 0),
        };
        Run { payload, len, width: self.width }
    }

    /// Reads where these keys and their rows most likely are, all at once.
    pub(super) fn touch<'k>(&self, keys: impl Iterator<Item = &'k [Value]> + Clone) {
        let mask = self.slots.len() - 1;
        let slots = keys.map(|key| {
            let key = pack(key.iter().copied());
            (key, self.slots.get(home(key, self.shift) & mask).copied().unwrap_or(FREE))
        });
        std::hint::black_box(slots.clone().fold(0, |all, (_, slot)| all ^ slot.len));
        let first = |(key, slot): (u64, Slot)| {
            let is_apart = slot.key == key && (slot.len != 1 || self.width != 1);
            let at = if is_apart { slot.start.bits() as usize * self.width } else { 0 };
            self.payload.get(at).map_or(0, |value| value.bits())
        };
        std::hint::black_box(slots.fold(0, |all, slot| all ^ first(slot)));
    }

    /// Whether a key has a row.
    #[inline]
    pub(super) fn has(&self, key: impl Iterator<Item = Value> + Clone) -> bool {
        match &self.compared {
            None => self.find(pack(key)).is_some(),
            Some(columns) => {
                let is_it = |row: &[Value]| columns.iter().filter_map(|at| row.get(*at).copied()).eq(key.clone());
                self.probe(key.clone()).any(is_it)
            }
        }
    }

    /// The columns that a row of the payload has: those of `arity` that are not the key, or all.
    pub(super) fn columns(&self, arity: usize, key: &[usize]) -> Vec<usize> {
        (0..arity).filter(|at| self.compared.is_some() || !key.contains(at)).collect()
    }

    #[inline]
    fn find(&self, key: u64) -> Option<&Slot> {
        let mask = self.slots.len() - 1;
        let mut at = home(key, self.shift);
        loop {
            match self.slots.get(at & mask) {
                Some(slot) if slot.len == 0 => return None,
                Some(slot) if slot.key == key => return Some(slot),
                Some(_) => at += 1,
                None => return None,
            }
        }
    }
}

fn place(slots: &mut [Slot], shift: u32, new: Slot) {
    let mask = slots.len() - 1;
    let mut at = home(new.key, shift);
    while slots.get(at & mask).is_some_and(|slot| slot.len != 0) {
        at += 1;
    }
    if let Some(slot) = slots.get_mut(at & mask) {
        *slot = new;
    }
}

/// The first slot of a key (multiplicative hashing; Knuth, "The Art of Computer Programming", volume 3, 6.4).
#[expect(clippy::cast_possible_truncation, reason = "the shift leaves as many bits as there are slots")]
#[inline]
fn home(key: u64, shift: u32) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> shift) as usize
}

/// One or two values are their own key; more are mixed, and compared when they are found.
#[inline]
fn pack(columns: impl Iterator<Item = Value>) -> u64 {
    let mut key = 0u64;
    for (at, column) in columns.enumerate() {
        key = if at < 2 { key << 32 } else { key.wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(32) };
        key ^= u64::from(column.bits());
    }
    key
}

/// The rows of a key.
#[derive(Debug, Clone)]
pub(super) struct Run<'d> {
    payload: &'d [Value],
    len: usize,
    width: usize,
}

impl<'d> Iterator for Run<'d> {
    type Item = &'d [Value];

    #[inline]
    fn next(&mut self) -> Option<&'d [Value]> {
        self.len = self.len.checked_sub(1)?;
        let (row, rest) = self.payload.split_at_checked(self.width)?;
        self.payload = rest;
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Pool, Values};

    #[test]
    fn rows_are_found_by_any_of_their_columns() {
        let mut values = Pool::default();
        let v: Vec<Value> = (0..40).map(|n| values.long(n)).collect();
        let mut table = Table::new(4);
        for n in 0..600 {
            table.insert(&[v[n % 7], v[n % 11], v[n % 3], v[n % 2]]);
        }
        for columns in [vec![], vec![0], vec![1, 3], vec![3, 0], vec![0, 1, 2], vec![0, 1, 2, 3]] {
            let directory = Directory::of(&table, 4, &columns, false);
            let kept = directory.columns(4, &columns);
            for n in 0..16 {
                let key: Vec<Value> = columns.iter().map(|at| v[(n * (at + 1)) % 12]).collect();
                let is_it = |row: &&[Value]| columns.iter().zip(&key).all(|(at, value)| row[*at] == *value);
                let mut expected: Vec<Vec<Value>> =
                    table.rows().filter(is_it).map(|row| kept.iter().map(|at| row[*at]).collect()).collect();
                let found = directory.probe(key.iter().copied()).filter(|row| 2 >= columns.len() || is_it(row));
                let mut found: Vec<Vec<Value>> = found.map(<[Value]>::to_vec).collect();
                expected.sort();
                found.sort();
                assert_eq!(found, expected, "{columns:?} {key:?}");
                assert_eq!(directory.has(key.iter().copied()), !expected.is_empty());
            }
        }
    }
}
