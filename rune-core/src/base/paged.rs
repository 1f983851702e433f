//! An array whose copies share what they have in common: a copy costs little, and so does a change of one.
//!
//! ```text
//!   root ─▶ branch ─▶ node ─▶ page   page   page …        a change copies a page and what leads to it,
//!      │         └──▶ node ─▶ page …                      and only what another copy has too
//!      └──▶ branch ─▶ …
//! ```
//!
//! What is read stands in slices of fixed length one after the other, each within a page. Three levels are enough: of sixteen million
//! slices a root has 64 branches. (Path copying; Driscoll, Sarnak, Sleator and Tarjan, "Making data structures persistent", 1989.)

use std::{iter, sync::Arc};

/// Slices in a page.
const PAGE: usize = 1 << PAGE_BITS;
const PAGE_BITS: u32 = 6;
/// Pages in a node, and nodes in a branch.
const FAN: usize = 1 << FAN_BITS;
const FAN_BITS: u32 = 6;

type Page<T> = Arc<[T]>;
type Node<T> = Arc<[Page<T>]>;
type Branch<T> = Arc<[Node<T>]>;

/// An array of slices that all have one length.
#[derive(Debug, Clone)]
pub struct Paged<T> {
    /// How many cells a slice has.
    width: usize,
    n_slices: usize,
    branches: Vec<Branch<T>>,
    /// What a place has before it is written.
    blank: T,
}

/// The branch of a slice, the node in it, and the page in that.
#[inline]
fn path(at: usize) -> [usize; 3] {
    let page = at >> PAGE_BITS;
    [page >> (2 * FAN_BITS), page >> FAN_BITS & (FAN - 1), page & (FAN - 1)]
}

/// Cuts it to `n`, or fills it up to `n`.
fn resize<T: Clone>(parts: &mut Arc<[T]>, n: usize, blank: &T) {
    if parts.len() != n {
        *parts = parts.iter().chain(iter::repeat(blank)).take(n).cloned().collect();
    }
}

impl<T: Clone> Paged<T> {
    /// No slices, of a width; places that are added have `blank` until they are written.
    #[must_use]
    pub fn new(width: usize, blank: T) -> Self {
        Self { width, n_slices: 0, branches: Vec::new(), blank }
    }

    /// How many slices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n_slices
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_slices == 0
    }

    /// A slice; of one that is not there, no cells.
    #[must_use]
    #[inline]
    pub fn get(&self, at: usize) -> &[T] {
        let [branch, node, page] = path(at);
        let branch = self.branches.get(branch).filter(|_| at < self.n_slices);
        let page = branch.and_then(|branch| branch.get(node)?.get(page));
        let start = (at & (PAGE - 1)) * self.width;
        page.and_then(|page| page.get(start..start + self.width)).unwrap_or_default()
    }

    /// A slice, to be changed; of one that is not there, no cells.
    pub fn get_mut(&mut self, at: usize) -> &mut [T] {
        let [branch, node, page] = path(at);
        let node = self.branches.get_mut(branch).and_then(|branch| Arc::make_mut(branch).get_mut(node));
        let page = node.and_then(|node| Arc::make_mut(node).get_mut(page));
        let start = (at & (PAGE - 1)) * self.width;
        page.and_then(|page| Arc::make_mut(page).get_mut(start..start + self.width)).unwrap_or_default()
    }

    /// Makes this many slices of it: cuts, or adds blank ones.
    pub fn resize(&mut self, n_slices: usize) {
        // What is cut off and comes back is blank.
        for at in n_slices..self.n_slices {
            let blank = self.blank.clone();
            self.get_mut(at).fill(blank);
        }
        let (n_before, n_pages) = (self.n_slices.div_ceil(PAGE), n_slices.div_ceil(PAGE));
        if n_pages != n_before {
            self.resize_pages(n_before.min(n_pages), n_pages);
        }
        self.n_slices = n_slices;
    }

    /// Makes this many pages of it, of which the first ones stay.
    fn resize_pages(&mut self, n_stay: usize, n_pages: usize) {
        let blank: Page<T> = vec![self.blank.clone(); PAGE * self.width].into();
        let n_nodes = n_pages.div_ceil(FAN);
        self.branches.resize(n_nodes.div_ceil(FAN), Arc::default());
        let first = n_stay / FAN;
        for (at, branch) in self.branches.iter_mut().enumerate().skip(first / FAN) {
            resize(branch, (n_nodes - at * FAN).min(FAN), &Arc::default());
            let nodes = Arc::make_mut(branch).iter_mut().enumerate();
            for (within, node) in nodes.skip(first.saturating_sub(at * FAN)) {
                resize(node, (n_pages - (at * FAN + within) * FAN).min(FAN), &blank);
            }
        }
    }

    /// Adds a slice.
    pub fn push(&mut self, slice: &[T]) {
        let at = self.n_slices;
        self.resize(at + 1);
        for (place, cell) in self.get_mut(at).iter_mut().zip(slice) {
            place.clone_from(cell);
        }
    }

    /// Takes the last slice away.
    pub fn pop(&mut self) {
        if let Some(n) = self.n_slices.checked_sub(1) {
            self.resize(n);
        }
    }
}

impl<T: Clone> Paged<T> {
    /// The only cell of a slice of one; of one that is not there, the blank.
    #[must_use]
    #[inline]
    pub fn one(&self, at: usize) -> &T {
        self.get(at).first().unwrap_or(&self.blank)
    }

    /// Writes the only cell of a slice of one.
    pub fn set(&mut self, at: usize, value: T) {
        if let Some(cell) = self.get_mut(at).first_mut() {
            *cell = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_stays_what_it_was() {
        let mut cells = Paged::new(2, 0u32);
        for n in 0..300_000 {
            cells.push(&[n, 2 * n]);
        }
        let copy = cells.clone();
        for at in [0, 255, 256, 40_000, 299_999] {
            cells.get_mut(at).fill(7);
        }
        cells.pop();
        assert_eq!((cells.len(), copy.len()), (299_999, 300_000));
        assert!((0..300_000u32).all(|n| copy.get(n as usize) == [n, 2 * n]));
        assert_eq!((cells.get(40_000), cells.get(40_001)), (&[7, 7][..], &[40_001, 80_002][..]));
        assert_eq!(copy.get(300_000), &[] as &[u32]);
    }

    #[test]
    fn what_was_cut_off_comes_back_blank() {
        let mut cells = Paged::new(1, 9u32);
        for n in [1, 300, 600_000, 5, 33_000, 262_145, 262_144, 0, 2] {
            let n_before = cells.len();
            cells.resize(n);
            assert_eq!(cells.len(), n);
            for at in n_before..n {
                assert_eq!(*cells.one(at), 9, "{at} of {n}");
                cells.set(at, 1);
            }
        }
    }
}
