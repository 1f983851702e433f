//! What a pool has of the one that it was grown from.

use std::sync::Weak;

use super::pool::Pool;

/// The first values of a pool that was grown from another.
#[derive(Debug)]
pub(super) struct Inherited {
    pub(super) from: Weak<Pool>,
    pub(super) n: u32,
    /// A bit for each that was asked for again. The others are held for those who have their ids.
    pub(super) is_used: Box<[u64]>,
    pub(super) n_used: usize,
}

impl Inherited {
    fn place(at: u32) -> (usize, u64) {
        (at as usize / 64, 1 << (at % 64))
    }

    pub(super) fn is_used(&self, at: u32) -> bool {
        let (word, bit) = Self::place(at);
        self.n <= at || self.is_used.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(super) fn take(&mut self, at: u32) {
        let (word, bit) = Self::place(at);
        if at < self.n
            && let Some(word) = self.is_used.get_mut(word)
        {
            self.n_used += usize::from(*word & bit == 0);
            *word |= bit;
        }
    }
}
