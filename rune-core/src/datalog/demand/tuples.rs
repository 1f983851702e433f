//! Sets of tuples that grow while they are gone through.

use hashbrown::HashTable;

use crate::base::Value;

/// Up to so many tuples are looked through one by one.
const SMALL: usize = 12;

/// Distinct tuples of one width, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Tuples {
    width: usize,
    len: usize,
    cells: Vec<Value>,
    /// Their places, once they are many.
    places: HashTable<usize>,
}

impl Tuples {
    /// No tuple.
    pub(super) const EMPTY: Self = Self { width: 0, len: 0, cells: Vec::new(), places: HashTable::new() };

    /// Empties the set for tuples of another width, and keeps its room.
    pub(super) fn reset(&mut self, width: usize) {
        self.width = width;
        self.len = 0;
        self.cells.clear();
        self.places.clear();
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

    pub(super) fn has(&self, tuple: &[Value]) -> bool {
        if self.len <= SMALL {
            return self.iter().any(|of| of == tuple);
        }
        self.places.find(hash(tuple), |at| self.get(*at) == tuple).is_some()
    }

    /// Adds a tuple, and says whether it is new.
    pub(super) fn insert(&mut self, tuple: &[Value]) -> bool {
        if self.has(tuple) {
            return false;
        }
        let at = self.len;
        self.cells.extend_from_slice(tuple);
        self.len += 1;
        let Self { places, cells, width, .. } = self;
        let hash_at = |at: &usize| hash(cells.get(at * *width..(at + 1) * *width).unwrap_or_default());
        match at {
            0..SMALL => {}
            SMALL => {
                for at in 0..=SMALL {
                    places.insert_unique(hash_at(&at), at, hash_at);
                }
            }
            _ => {
                places.insert_unique(hash_at(&at), at, hash_at);
            }
        }
        true
    }
}

fn hash(tuple: &[Value]) -> u64 {
    let mut hash = 0u64;
    for value in tuple {
        hash = (hash.rotate_left(5) ^ u64::from(value.bits())).wrapping_mul(0x517C_C1B7_2722_0A95);
    }
    // The table takes its bits from both ends.
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Pool, Values};

    #[test]
    fn each_tuple_is_there_once_and_keeps_its_place() {
        let mut values = Pool::default();
        let v: Vec<Value> = (0..30).map(|n| values.long(n)).collect();
        let mut tuples = Tuples::default();
        for round in 0..3 {
            tuples.reset(2);
            for n in 0..120 {
                assert_eq!(tuples.insert(&[v[n % 10], v[n % 3 + round]]), n < 30);
            }
            assert_eq!((tuples.len(), tuples.get(7)), (30, [v[7], v[1 + round]].as_slice()));
            assert!(tuples.has(&[v[9], v[2 + round]]) && !tuples.has(&[v[9], v[9]]));
        }
        tuples.reset(0);
        assert!(!tuples.has(&[]) && tuples.insert(&[]) && !tuples.insert(&[]));
    }
}
