//! An array whose copies share what they have in common: a copy costs little, and so does a change of one.
//!
//! ```text
//!   root ─▶ node ─▶ page   page   page …        a change copies a page, a node and the root,
//!      └──▶ node ─▶ page …                      and only those that another copy has too
//! ```
//!
//! What is read stands in slices of fixed length one after the other, each within a page. Two levels are enough: of sixteen million
//! cells a root has some hundreds of nodes. (Path copying; Driscoll, Sarnak, Sleator and Tarjan, "Making data structures
//! persistent", 1989.)

use std::sync::Arc;

/// Slices in a page, and pages in a node.
const PAGE: usize = 1 << PAGE_BITS;
const PAGE_BITS: u32 = 6;
const NODE: usize = 1 << NODE_BITS;
const NODE_BITS: u32 = 6;

type Page<T> = Arc<[T]>;

/// An array of slices that all have one length.
#[derive(Debug, Clone)]
pub struct Paged<T> {
    /// How many cells a slice has.
    width: usize,
    n_slices: usize,
    nodes: Vec<Arc<Vec<Page<T>>>>,
    /// What a place has before it is written.
    blank: T,
}

impl<T: Clone> Paged<T> {
    /// No slices, of a width; places that are added have `blank` until they are written.
    #[must_use]
    pub fn new(width: usize, blank: T) -> Self {
        Self { width, n_slices: 0, nodes: Vec::new(), blank }
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
        let node = self.nodes.get(at >> (PAGE_BITS + NODE_BITS)).filter(|_| at < self.n_slices);
        let page = node.and_then(|node| node.get(at >> PAGE_BITS & (NODE - 1)));
        let start = (at & (PAGE - 1)) * self.width;
        page.and_then(|page| page.get(start..start + self.width)).unwrap_or_default()
    }

    /// A slice, to be changed; of one that is not there, no cells.
    pub fn get_mut(&mut self, at: usize) -> &mut [T] {
        let width = self.width;
        let node = self.nodes.get_mut(at >> (PAGE_BITS + NODE_BITS)).map(Arc::make_mut);
        let page = node.and_then(|node| node.get_mut(at >> PAGE_BITS & (NODE - 1))).map(Arc::make_mut);
        let start = (at & (PAGE - 1)) * width;
        page.and_then(|page| page.get_mut(start..start + width)).unwrap_or_default()
    }

    /// Makes this many slices of it: cuts, or adds blank ones.
    pub fn resize(&mut self, n_slices: usize) {
        // What is cut off and comes back is blank.
        for at in n_slices..self.n_slices {
            let blank = self.blank.clone();
            self.get_mut(at).fill(blank);
        }
        let n_pages = n_slices.div_ceil(PAGE);
        if n_pages != self.n_slices.div_ceil(PAGE) {
            self.nodes.resize(n_pages.div_ceil(NODE), Arc::default());
            let blank: Page<T> = vec![self.blank.clone(); PAGE * self.width].into();
            let first = (n_pages.min(self.n_slices.div_ceil(PAGE)) / NODE).saturating_sub(1);
            for (at, node) in self.nodes.iter_mut().enumerate().skip(first) {
                let n_of_node = n_pages.saturating_sub(at * NODE).min(NODE);
                if node.len() != n_of_node {
                    Arc::make_mut(node).resize(n_of_node, blank.clone());
                }
            }
        }
        self.n_slices = n_slices;
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
        for n in 0..100_000 {
            cells.push(&[n, 2 * n]);
        }
        let copy = cells.clone();
        for at in [0, 255, 256, 40_000, 99_999] {
            cells.get_mut(at).fill(7);
        }
        cells.pop();
        assert_eq!((cells.len(), copy.len()), (99_999, 100_000));
        assert!((0..100_000u32).all(|n| copy.get(n as usize) == [n, 2 * n]));
        assert_eq!((cells.get(40_000), cells.get(40_001)), (&[7, 7][..], &[40_001, 80_002][..]));
        assert_eq!(copy.get(100_000), &[] as &[u32]);
    }

    #[test]
    fn what_was_cut_off_comes_back_blank() {
        let mut cells = Paged::new(1, 9u32);
        for n in [1, 300, 70_000, 5, 33_000, 0, 2] {
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
