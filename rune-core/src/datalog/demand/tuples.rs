//! Sets of tuples that grow while they are gone through, and are emptied at no cost.
//!
//! ```text
//!   cells   a b   c d   e f        in the order in which they came
//!   slots   (3, 1) (2, 7) (3, 0)   the round in which a tuple was noted, and its place: of an earlier round, nothing
//! ```

use crate::base::Value;

/// Up to so many tuples are looked through one by one.
const SMALL: usize = 12;
/// Slots of a set that is no longer small, to begin with.
const SLOTS_MIN: usize = 64;
/// Cells that a set keeps room for when it is emptied: what one large question needed others need not carry.
const KEPT_MAX: usize = 1 << 16;

/// Distinct tuples of one width, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Tuples {
    width: usize,
    len: usize,
    cells: Vec<Value>,
    /// Their places, once they are many.
    slots: Vec<Slot>,
    round: u32,
    /// Whether some are not noted in the slots, because nobody has looked for any since.
    is_behind: bool,
}

/// What hashes are made with.
const MIXER: u64 = 0x517C_C1B7_2722_0A95;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    round: u32,
    at: u32,
}

impl Tuples {
    /// No tuple.
    pub(super) const EMPTY: Self =
        Self { width: 0, len: 0, cells: Vec::new(), slots: Vec::new(), round: 0, is_behind: false };

    /// Empties the set for tuples of another width, and adds one.
    #[inline]
    pub(super) fn begin(&mut self, width: usize, tuple: impl Iterator<Item = Value>) {
        self.reset(width);
        self.push(tuple);
    }

    /// Empties the set for tuples of another width, and keeps its room.
    pub(super) fn reset(&mut self, width: usize) {
        if KEPT_MAX < self.cells.capacity() {
            *self = Self::default();
        }
        self.width = width;
        self.len = 0;
        self.cells.clear();
        self.is_behind = false;
        self.round = self.round.checked_add(1).unwrap_or_else(|| {
            self.slots.clear();
            1
        });
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, at: usize) -> &[Value] {
        self.cells.get(at * self.width..(at + 1) * self.width).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[Value]> {
        (0..self.len).map(|at| self.get(at))
    }

    /// The values of all tuples, one tuple after the other.
    pub(super) fn cells(&self) -> &[Value] {
        &self.cells
    }

    pub(super) fn has(&mut self, tuple: impl Iterator<Item = Value> + Clone) -> bool {
        self.find(tuple).is_some()
    }

    /// Where a tuple is.
    pub(super) fn find(&mut self, mut tuple: impl Iterator<Item = Value> + Clone) -> Option<usize> {
        if SMALL < self.len {
            self.catch_up();
            return self.find_slot(hash(tuple.clone()), |at| self.get(at).iter().copied().eq(tuple.clone())).ok();
        }
        if self.width == 1 {
            let value = tuple.next()?;
            return self.cells.iter().position(|other| *other == value);
        }
        (0..self.len).find(|at| self.get(*at).iter().copied().eq(tuple.clone()))
    }

    /// Adds tuples that are known to be new to what had none before: they are noted when somebody looks for one.
    pub(super) fn append(&mut self, tuple: impl Iterator<Item = Value>) {
        self.push(tuple);
        self.is_behind = SMALL < self.len;
    }

    fn catch_up(&mut self) {
        if std::mem::take(&mut self.is_behind) {
            self.spread();
        }
    }

    /// Adds a tuple if it is new. Says where it is, and whether it was new.
    pub(super) fn insert(&mut self, tuple: impl Iterator<Item = Value> + Clone) -> (usize, bool) {
        if self.len <= SMALL {
            match self.find(tuple.clone()) {
                Some(at) => return (at, false),
                None if self.len < SMALL => return (self.push(tuple), true),
                None => self.spread(),
            }
        } else if self.slots.len() < 2 * (self.len + 1) {
            self.slots.clear();
            self.is_behind = false;
            self.spread();
        }
        self.catch_up();
        match self.find_slot(hash(tuple.clone()), |at| self.get(at).iter().copied().eq(tuple.clone())) {
            Ok(at) => (at, false),
            Err(slot) => {
                let at = self.push(tuple);
                self.note(slot, at);
                (at, true)
            }
        }
    }

    /// Adds tuples of one value that are known to be new, as [`Self::append`] does.
    pub(super) fn append_values(&mut self, values: &[Value]) {
        self.cells.extend_from_slice(values);
        self.len += values.len();
        self.is_behind = SMALL < self.len;
    }

    /// Adds a tuple of one value if it is new. Says whether it was: as [`Self::insert`], which is for any.
    #[inline]
    pub(super) fn insert_value(&mut self, value: Value) -> bool {
        debug_assert_eq!(self.width, 1, "a value is a tuple of one");
        if self.len < SMALL {
            let is_new = !self.cells.contains(&value);
            if is_new {
                self.cells.push(value);
                self.len += 1;
            }
            return is_new;
        }
        let is_ready = SMALL < self.len && !self.is_behind && 2 * (self.len + 1) <= self.slots.len();
        if !is_ready {
            return self.insert(std::iter::once(value)).1;
        }
        match self.find_slot(hash_value(value), |at| self.cells.get(at) == Some(&value)) {
            Ok(_) => false,
            Err(slot) => {
                self.note(slot, self.len);
                self.cells.push(value);
                self.len += 1;
                true
            }
        }
    }

    /// Whether a tuple of one value is there.
    #[inline]
    pub(super) fn has_value(&mut self, value: Value) -> bool {
        if self.len <= SMALL {
            return self.cells.contains(&value);
        }
        self.catch_up();
        self.find_slot(hash_value(value), |at| self.cells.get(at) == Some(&value)).is_ok()
    }

    fn push(&mut self, tuple: impl Iterator<Item = Value>) -> usize {
        self.cells.extend(tuple);
        self.len += 1;
        self.len - 1
    }

    fn note(&mut self, slot: usize, at: usize) {
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = Slot { round: self.round, at };
        }
    }

    /// Notes all tuples anew, in slots of which a quarter is taken at most.
    fn spread(&mut self) {
        let n = (4 * (self.len + 1)).next_power_of_two().max(SLOTS_MIN);
        if self.slots.len() < n {
            self.slots.clear();
            self.slots.resize(n, Slot::default());
        }
        for at in 0..self.len {
            if let Err(slot) = self.find_slot(hash(self.get(at).iter().copied()), |_| false) {
                self.note(slot, at);
            }
        }
    }

    /// The place of the tuple of this hash that is wanted, or else the slot where it would be.
    fn find_slot(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Result<usize, usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = (hash >> 32) as usize & mask;
        loop {
            match self.slots.get(at) {
                Some(slot) if slot.round == self.round => {
                    if is_it(slot.at as usize) {
                        return Ok(slot.at as usize);
                    }
                }
                _ => return Err(at),
            }
            at = (at + 1) & mask;
        }
    }
}

#[inline]
fn hash_value(value: Value) -> u64 {
    u64::from(value.bits()).wrapping_mul(MIXER)
}

fn hash(tuple: impl Iterator<Item = Value>) -> u64 {
    let mut hash = 0u64;
    for value in tuple {
        hash = (hash.rotate_left(5) ^ u64::from(value.bits())).wrapping_mul(MIXER);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Pool, Values};

    #[test]
    fn each_tuple_is_there_once_and_keeps_its_place() {
        let mut values = Pool::default();
        let v: Vec<Value> = (0..300).map(|n| values.long(n)).collect();
        let mut tuples = Tuples::default();
        for round in 0..3 {
            tuples.reset(2);
            for n in 0..1_200 {
                let (at, is_new) = tuples.insert([v[n % 100], v[n % 3 + round]].into_iter());
                assert_eq!((at, is_new), (n % 300, n < 300));
            }
            assert_eq!((tuples.len(), tuples.get(7)), (300, [v[7], v[1 + round]].as_slice()));
            assert!(tuples.has([v[9], v[2 + round]].into_iter()) && !tuples.has([v[9], v[9]].into_iter()));
        }
        tuples.reset(1);
        for n in 0..300 {
            assert!(!tuples.has(std::iter::once(v[n])));
            assert_eq!(tuples.insert(std::iter::once(v[n])), (n, true));
            assert_eq!(tuples.find(std::iter::once(v[n / 2])), Some(n / 2));
        }
        // Tuples that were new by themselves are found as well, and once.
        for n_appended in [5, 12, 13, 200] {
            tuples.reset(1);
            v.iter().take(n_appended).for_each(|value| tuples.append(std::iter::once(*value)));
            for (n, value) in v.iter().enumerate() {
                assert_eq!(tuples.has(std::iter::once(*value)), n < n_appended);
                assert_eq!(tuples.insert(std::iter::once(*value)), (n, n_appended <= n));
            }
            tuples.reset(1);
            tuples.append_values(&v[..n_appended]);
            for (n, value) in v.iter().enumerate() {
                assert_eq!(tuples.has_value(*value), n < n_appended);
                assert_eq!(tuples.insert_value(*value), n_appended <= n);
                assert!(
                    tuples.has_value(*value) && tuples.has(std::iter::once(*value)) && !tuples.insert_value(*value)
                );
            }
            assert_eq!((tuples.len(), tuples.cells()), (300, v.as_slice()));
        }
        tuples.reset(0);
        assert!(!tuples.has(std::iter::empty()));
        assert_eq!([(0, true), (0, false)].map(|_| tuples.insert(std::iter::empty())), [(0, true), (0, false)]);
    }
}
