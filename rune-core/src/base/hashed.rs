//! Numbers found by hashes, in an array whose copies share what they have in common.
//!
//! Open addressing with linear probing, at most three quarters full; what is taken out leaves no mark, because those behind it move
//! up (Knuth, "The Art of Computer Programming", volume 3, 6.4, algorithm R). The upper bits of a hash say where to look first.

use super::paged::Paged;

const FREE: u32 = u32::MAX;
const SLOTS_MIN: usize = 16;

/// Numbers by their hashes, of which the upper half is kept.
#[derive(Debug, Clone)]
pub struct Hashed {
    /// Half a hash, and a number.
    slots: Paged<(u32, u32)>,
    n: usize,
}

impl Default for Hashed {
    fn default() -> Self {
        Self { slots: Paged::new(1, (0, FREE)), n: 0 }
    }
}

/// What is kept of a hash.
#[inline]
pub(super) fn half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl Hashed {
    /// How many numbers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The number of a hash that is the one wanted.
    #[must_use]
    #[inline]
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.slot(half(hash), is_it).map(|at| self.slots.one(at).1)
    }

    /// Adds a number, which is not there yet.
    pub fn add(&mut self, hash: u64, number: u32) {
        self.grow();
        self.n += 1;
        self.put(half(hash), number);
    }

    /// Puts a number in the place of another with the same hash.
    pub fn replace(&mut self, hash: u64, old: u32, new: u32) {
        if let Some(at) = self.slot(half(hash), |number| number == old) {
            self.slots.set(at, (half(hash), new));
        }
    }

    /// Takes a number out, and says whether it was there.
    pub fn remove(&mut self, hash: u64, number: u32) -> bool {
        let Some(mut gap) = self.slot(half(hash), |other| other == number) else { return false };
        self.n -= 1;
        let mask = self.slots.len() - 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let (half, number) = *self.slots.one(at);
            if number == FREE {
                break;
            }
            // One that is at home behind the gap, or in its own place, stays.
            if (at.wrapping_sub(self.home(half)) & mask) < (at.wrapping_sub(gap) & mask) {
                continue;
            }
            self.slots.set(gap, (half, number));
            gap = at;
        }
        self.slots.set(gap, (0, FREE));
        true
    }

    fn slot(&self, half: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = self.home(half);
        loop {
            let (of, number) = *self.slots.one(at);
            if number == FREE {
                return None;
            }
            if of == half && is_it(number) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    fn home(&self, half: u32) -> usize {
        half.checked_shr(u32::BITS - self.slots.len().trailing_zeros()).unwrap_or_default() as usize
    }

    fn put(&mut self, half: u32, number: u32) {
        let mask = self.slots.len() - 1;
        let mut at = self.home(half);
        while self.slots.one(at).1 != FREE {
            at = (at + 1) & mask;
        }
        self.slots.set(at, (half, number));
    }

    fn grow(&mut self) {
        let n_slots = self.slots.len();
        if (self.n + 1) * 4 <= n_slots * 3 {
            return;
        }
        let mut slots = Paged::new(1, (0, FREE));
        slots.resize((2 * n_slots).max(SLOTS_MIN));
        let old = std::mem::replace(&mut self.slots, slots);
        for (half, number) in (0..n_slots).map(|at| *old.one(at)).filter(|(_, number)| *number != FREE) {
            self.put(half, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn numbers_are_found_until_they_are_taken_out() {
        let mut hashed = Hashed::default();
        let mut expected: BTreeMap<u32, u64> = BTreeMap::new();
        let mut state = 5u64;
        for n in 0..60_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Few homes, so that they get in each other's way.
            let (hash, number) = (state & !0xFFFF_FFFF_FFFF >> 4, n % 3_000);
            match expected.remove(&number) {
                Some(hash) => assert!(hashed.remove(hash, number)),
                None => {
                    hashed.add(hash, number);
                    expected.insert(number, hash);
                }
            }
            if n % 977 == 0 {
                let copy = hashed.clone();
                for number in 0..3_000 {
                    let hash = expected.get(&number).copied();
                    let found = hash.and_then(|hash| copy.find(hash, |other| other == number));
                    assert_eq!(found, hash.map(|_| number));
                }
                assert_eq!(copy.len(), expected.len());
            }
        }
    }
}
