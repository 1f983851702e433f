//! Where rows are, by their hashes: four bytes for each, a place and as much of the hash as there is room for.
//!
//! Open addressing with linear probing, at most three quarters full; what is taken out is filled from behind (Knuth, "The Art of
//! Computer Programming", volume 3, 6.4, algorithm R).

use super::table::RowId;

const FREE: u32 = u32::MAX;
const SLOTS_MIN: usize = 8;
/// Rows whose slots are read at once.
pub(super) const BATCH: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Slots {
    taken: Box<[u32]>,
    /// How far a hash is shifted to be a slot.
    shift: u32,
    /// The bits of a slot that are a row. There are fewer rows than slots, so that none has all of them.
    rows: u32,
}

impl Slots {
    #[expect(clippy::cast_possible_truncation, reason = "the shift leaves as many bits as there are slots")]
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }

    /// The slot and the row of a hash that is the one wanted, or else the slot where it would be.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(RowId) -> bool) -> Result<(usize, RowId), usize> {
        let mask = self.taken.len().wrapping_sub(1);
        let mut at = self.home(hash);
        let wanted = low(hash);
        while let Some(slot) = self.taken.get(at) {
            if *slot == FREE {
                return Err(at);
            }
            if (slot ^ wanted) & !self.rows == 0 && is_it(slot & self.rows) {
                return Ok((at, slot & self.rows));
            }
            at = (at + 1) & mask;
        }
        Err(at)
    }

    /// Notes a row in a slot that [`Self::find`] found free.
    #[inline]
    pub(super) fn put(&mut self, slot: usize, hash: u64, row: RowId) {
        if let Some(slot) = self.taken.get_mut(slot) {
            *slot = low(hash) & !self.rows | row;
        }
    }

    /// Takes the row of a slot out, and moves up what stands behind it because its own slot was taken.
    pub(super) fn take(&mut self, slot: usize, hash: impl Fn(RowId) -> u64) {
        let mask = self.taken.len().wrapping_sub(1);
        let (mut gap, mut at) = (slot, slot);
        loop {
            at = (at + 1) & mask;
            let Some(slot) = self.taken.get(at).copied().filter(|slot| *slot != FREE) else { break };
            let home = self.home(hash(slot & self.rows));
            if at.wrapping_sub(gap) & mask <= at.wrapping_sub(home) & mask {
                if let Some(place) = self.taken.get_mut(gap) {
                    *place = slot;
                }
                gap = at;
            }
        }
        if let Some(place) = self.taken.get_mut(gap) {
            *place = FREE;
        }
    }

    /// Reads what [`Self::find`] will, all at once: where memory is far away, one wait is as long as many.
    pub(super) fn touch(&self, hashes: &[u64], read: impl Fn(RowId) -> u32) {
        let slot = |hash: &u64| self.taken.get(self.home(*hash)).copied().unwrap_or(FREE);
        std::hint::black_box(hashes.iter().map(slot).fold(0, |all, of| all ^ of));
        // What is most likely another row is not read: the first one stands for it, which is at hand.
        let row = |hash: &u64| {
            let slot = slot(hash);
            if (slot ^ low(*hash)) & !self.rows == 0 { slot & self.rows } else { 0 }
        };
        std::hint::black_box(hashes.iter().map(|hash| read(row(hash))).fold(0, |all, of| all ^ of));
    }

    /// Makes room for one row more than so many places; `each` gives the rows that there are, with their hashes.
    pub(super) fn reserve(&mut self, n_places: usize, each: impl FnOnce(&mut dyn FnMut(u64, RowId))) {
        if (n_places + 2) * 4 <= self.taken.len() * 3 {
            return;
        }
        let n_slots = (2 * self.taken.len()).max(SLOTS_MIN);
        self.taken = vec![FREE; n_slots].into_boxed_slice();
        self.shift = 64 - n_slots.trailing_zeros();
        self.rows = u32::try_from(n_slots - 1).unwrap_or(u32::MAX);
        each(&mut |hash, row| {
            if let Err(slot) = self.find(hash, |_| false) {
                self.put(slot, hash, row);
            }
        });
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the half that says nothing of the slot")]
#[inline]
fn low(hash: u64) -> u32 {
    hash as u32
}
