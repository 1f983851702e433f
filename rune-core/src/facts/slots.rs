//! Where rows are, by a hash of what is asked for.
//!
//! ```text
//!   Slots   hhhhhhhhhhhh iiiiiiiiiiiiiiiiiiii   four bytes: a row, and as much of its hash as there is room for
//!   Keys    a key, or half of its hash | row    eight bytes: a key, and the newest row that has it
//! ```
//!
//! Open addressing with linear probing, at most three quarters full (Knuth, "The Art of Computer Programming", volume 3, 6.4).
//! The upper bits of a hash say where to look first, so that what grows is copied in order; what is taken out is filled from behind
//! (algorithm R there).

use super::{
    rows::low,
    table::{NO_ROW, RowId},
};

const FREE: u32 = u32::MAX;
const SLOTS_MIN: usize = 8;
/// Slots from which on twice as many is enough more.
const LARGE: usize = 1 << 18;
/// Rows whose slots are read at once.
pub const BATCH: usize = 32;

#[expect(clippy::cast_possible_truncation, reason = "the shift leaves as many bits as there are slots")]
#[inline]
fn home(hash: u64, shift: u32) -> usize {
    (hash >> shift) as usize
}

/// How many slots `n` need, if there are too few.
fn growth(n: usize, n_slots: usize) -> Option<usize> {
    let needed = || (n * 4 / 3 + 1).next_power_of_two().max(SLOTS_MIN);
    (n_slots * 3 < n * 4).then(|| if needed() < LARGE { needed().max(4 * n_slots) } else { needed() })
}

/// The rows of a table, each once.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    taken: Box<[u32]>,
    /// How far a hash is shifted to be a slot.
    shift: u32,
    /// The bits of a slot that are a row. There are fewer rows than slots, so that none has all of them.
    rows: u32,
}

impl Slots {
    /// The slot and the row of a hash that is the one wanted, or else the slot where it would be.
    ///
    /// # Errors
    ///
    /// If there is no such row: the slot that is free for it.
    #[inline]
    pub fn find(&self, hash: u64, is_it: impl Fn(RowId) -> bool) -> Result<(usize, RowId), usize> {
        self.find_in(hash, |_, row| is_it(row))
    }

    /// The same, where what a row is depends on its slot too.
    #[inline]
    pub(super) fn find_in(&self, hash: u64, is_it: impl Fn(usize, RowId) -> bool) -> Result<(usize, RowId), usize> {
        let mask = self.taken.len().wrapping_sub(1);
        let mut at = home(hash, self.shift);
        let wanted = low(hash);
        while let Some(slot) = self.taken.get(at) {
            if *slot == FREE {
                return Err(at);
            }
            if (slot ^ wanted) & !self.rows == 0 && is_it(at, slot & self.rows) {
                return Ok((at, slot & self.rows));
            }
            at = (at + 1) & mask;
        }
        Err(at)
    }

    /// Notes a row in a slot that [`Self::find`] found free.
    #[inline]
    pub fn put(&mut self, slot: usize, hash: u64, row: RowId) {
        if let Some(slot) = self.taken.get_mut(slot) {
            *slot = low(hash) & !self.rows | row;
        }
    }

    /// Reads what [`Self::find`] will, all at once.
    pub fn touch(&self, hashes: &[u64], read: impl Fn(RowId) -> u32) {
        touch(hashes, self.rows, |hash| self.taken.get(home(hash, self.shift)).copied().unwrap_or(FREE), read);
    }

    /// Takes the row of a slot out, and moves up what stands behind it because its own slot was taken.
    pub fn take(&mut self, slot: usize, hash: impl Fn(RowId) -> u64) {
        let mask = self.taken.len().wrapping_sub(1);
        let (mut gap, mut at) = (slot, slot);
        loop {
            at = (at + 1) & mask;
            let Some(slot) = self.taken.get(at).copied().filter(|slot| *slot != FREE) else { break };
            let home = home(hash(slot & self.rows), self.shift);
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

    /// Makes room for `n` rows more than there are; `hash` gives that of a row, and none for a place that is free.
    pub fn reserve(&mut self, n_rows: RowId, n: usize, hash: impl Fn(RowId) -> Option<u64>) {
        if self.grow(n_rows, n).is_none() {
            return;
        }
        let mut hashes = [None; BATCH];
        let mut first = 0;
        while first < n_rows {
            for (place, row) in hashes.iter_mut().zip(first..n_rows) {
                *place = hash(row);
            }
            let slot = |hash: u64| self.taken.get(home(hash, self.shift)).copied().unwrap_or(FREE);
            std::hint::black_box(hashes.iter().flatten().fold(0, |all, hash| all ^ slot(*hash)));
            for (hash, row) in hashes.iter().zip(first..n_rows) {
                if let Some(hash) = *hash
                    && let Err(slot) = self.find(hash, |_| false)
                {
                    self.put(slot, hash, row);
                }
            }
            first = first.saturating_add(RowId::try_from(BATCH).unwrap_or(RowId::MAX));
        }
    }
}

/// Regions that slots are divided into, so that several threads fill them at once: those of the hashes that begin with one number.
/// Enough that each is in a cache while it is filled.
pub(super) const REGIONS: usize = 1 << REGION_BITS;
const REGION_BITS: u32 = 6;

/// The region where a hash is at home.
#[inline]
pub(super) fn region_of(hash: u64) -> usize {
    home(hash, u64::BITS - REGION_BITS)
}

/// A region of slots. A row whose place would be in the next one has none here.
pub(super) struct Region<'s> {
    taken: &'s mut [u32],
    first: usize,
    shift: u32,
    rows: u32,
}

/// What there is in a region for a row that is looked for.
pub(super) enum Found {
    /// The row.
    Row,
    /// A free slot, counted from the first of the region.
    Free(usize),
    /// Neither: it may be further on.
    Beyond,
}

impl Slots {
    /// Becomes large enough for `n` rows more than there are, if it is not, and empty then: gives what there was.
    pub(super) fn grow(&mut self, n_rows: RowId, n: usize) -> Option<Self> {
        let n_slots = growth(n_rows as usize + n, self.taken.len())?;
        let (shift, rows) = (64 - n_slots.trailing_zeros(), u32::try_from(n_slots - 1).unwrap_or(u32::MAX));
        Some(std::mem::replace(self, Self { taken: vec![FREE; n_slots].into(), shift, rows }))
    }

    /// The rows in the slots of a region.
    pub(super) fn rows_in(&self, region: usize) -> impl Iterator<Item = RowId> {
        let len = self.region_len();
        let taken = self.taken.get(region * len..(region + 1) * len).unwrap_or_default();
        taken.iter().filter(|slot| **slot != FREE).map(|slot| slot & self.rows)
    }

    /// How many slots a region has: none if there are fewer slots than regions.
    pub(super) fn region_len(&self) -> usize {
        self.taken.len() / REGIONS
    }

    /// The regions, if there are as many slots.
    pub(super) fn regions(&mut self) -> impl Iterator<Item = Region<'_>> {
        let (len, shift, rows) = (self.region_len().max(1), self.shift, self.rows);
        let regions = self.taken.chunks_mut(len).enumerate();
        regions.map(move |(at, taken)| Region { taken, first: at * len, shift, rows })
    }
}

impl Region<'_> {
    /// Looks for a row whose hash is at home here.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(RowId) -> bool) -> Found {
        let (first, wanted) = (self.home(hash), low(hash));
        for (at, slot) in self.taken.iter().enumerate().skip(first) {
            if *slot == FREE {
                return Found::Free(at);
            }
            if (slot ^ wanted) & !self.rows == 0 && is_it(slot & self.rows) {
                return Found::Row;
            }
        }
        Found::Beyond
    }

    /// Notes a row in a slot that [`Self::find`] found free.
    #[inline]
    pub(super) fn put(&mut self, slot: usize, hash: u64, row: RowId) {
        if let Some(slot) = self.taken.get_mut(slot) {
            *slot = low(hash) & !self.rows | row;
        }
    }

    /// Gives the rows of slots their places, at most [`BATCH`] of them, which are read all at once.
    #[inline]
    pub(super) fn rename(&mut self, slots: impl Iterator<Item = (RowId, RowId)> + Clone) {
        let slot = |at: RowId| self.taken.get(at as usize).copied().unwrap_or(FREE);
        std::hint::black_box(slots.clone().fold(0, |all, (at, _)| all ^ slot(at)));
        for (at, row) in slots {
            if let Some(slot) = self.taken.get_mut(at as usize) {
                *slot = *slot & !self.rows | row;
            }
        }
    }

    /// Reads what [`Self::find`] will, as [`Slots::touch`] does.
    pub(super) fn touch(&self, hashes: &[u64], read: impl Fn(RowId) -> u32) {
        touch(hashes, self.rows, |hash| self.taken.get(self.home(hash)).copied().unwrap_or(FREE), read);
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        home(hash, self.shift).wrapping_sub(self.first)
    }
}

/// Reads slots and rows all at once: where memory is far away, one wait is as long as many.
#[inline]
fn touch(hashes: &[u64], rows: u32, slot: impl Fn(u64) -> u32, read: impl Fn(RowId) -> u32) {
    std::hint::black_box(hashes.iter().map(|hash| slot(*hash)).fold(0, |all, of| all ^ of));
    // What is most likely another row is not read: the first one stands for it, which is at hand.
    let row = |hash: &u64| {
        let slot = slot(*hash);
        if (slot ^ low(*hash)) & !rows == 0 { slot & rows } else { 0 }
    };
    std::hint::black_box(hashes.iter().map(|hash| read(row(hash))).fold(0, |all, of| all ^ of));
}

/// The newest row of each key.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    slots: Box<[Key]>,
    shift: u32,
    n: usize,
}

#[derive(Debug, Clone, Copy)]
struct Key {
    /// The key itself if it fits, half of its hash if not.
    check: u32,
    newest: RowId,
}

impl Keys {
    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.n
    }

    /// The newest row of a key, or else the slot where the key would be.
    #[inline]
    pub(super) fn find(&self, hash: u64, check: u32, is_it: impl Fn(RowId) -> bool) -> Result<RowId, usize> {
        self.slot(hash, check, is_it).map(|(_, newest)| newest)
    }

    #[inline]
    fn slot(&self, hash: u64, check: u32, is_it: impl Fn(RowId) -> bool) -> Result<(usize, RowId), usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = home(hash, self.shift);
        while let Some(slot) = self.slots.get(at) {
            if slot.newest == NO_ROW {
                return Err(at);
            }
            if slot.check == check && is_it(slot.newest) {
                return Ok((at, slot.newest));
            }
            at = (at + 1) & mask;
        }
        Err(at)
    }

    /// Makes a row the newest of its key, and says which was. `hash_of` gives the hash of what a slot has.
    #[inline]
    pub(super) fn note(
        &mut self,
        hash: u64,
        check: u32,
        row: RowId,
        is_it: impl Fn(RowId) -> bool,
        hash_of: impl Fn(u32, RowId) -> u64,
    ) -> RowId {
        self.reserve(hash_of);
        let (at, before) = match self.slot(hash, check, is_it) {
            Ok((at, newest)) => (at, newest),
            Err(at) => {
                self.n += 1;
                (at, NO_ROW)
            }
        };
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Key { check, newest: row };
        }
        before
    }

    fn reserve(&mut self, hash_of: impl Fn(u32, RowId) -> u64) {
        let Some(n_slots) = growth(self.n + 1, self.slots.len()) else { return };
        let free = Key { check: 0, newest: NO_ROW };
        let old = std::mem::replace(&mut self.slots, vec![free; n_slots].into_boxed_slice());
        self.shift = 64 - n_slots.trailing_zeros();
        for key in old.iter().filter(|key| key.newest != NO_ROW) {
            if let Err(at) = self.slot(hash_of(key.check, key.newest), key.check, |_| false)
                && let Some(slot) = self.slots.get_mut(at)
            {
                *slot = *key;
            }
        }
    }
}
