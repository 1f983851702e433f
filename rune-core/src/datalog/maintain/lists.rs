//! Lists of rows by key, in one block of memory: rows come and go, and what has a key lies side by side.
//!
//! ```text
//!   key a ─▶ one row, in the list itself
//!   key b ─▶ start, 3 of 4 ─▶ … r7 r2 r9 . …
//! ```

use crate::facts::RowId;

/// Places of the smallest block, as a power of two.
const CLASS_MIN: u32 = 2;

/// Many lists of rows.
#[derive(Debug, Default)]
pub(super) struct Lists {
    all: Vec<List>,
    blocks: Vec<RowId>,
    free: Vec<u32>,
    /// Where blocks begin that nobody uses, by the power of two that their size is.
    free_blocks: Vec<Vec<u32>>,
}

#[derive(Debug, Clone, Copy)]
struct List {
    /// What the key is known by.
    check: u32,
    /// Where the rows are; of a single row, the row itself.
    start: u32,
    len: u32,
    /// The power of two that the size of the block is; zero without a block.
    class: u32,
}

impl Lists {
    /// A new list with one row.
    pub(super) fn open(&mut self, check: u32, row: RowId) -> u32 {
        let list = List { check, start: row, len: 1, class: 0 };
        if let Some(id) = self.free.pop() {
            if let Some(place) = self.all.get_mut(id as usize) {
                *place = list;
            }
            return id;
        }
        self.all.push(list);
        u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
    }

    /// The rows of a list.
    #[inline]
    pub(super) fn rows(&self, id: u32) -> &[RowId] {
        let Some(list) = self.all.get(id as usize) else { return &[] };
        if list.class == 0 {
            return std::slice::from_ref(&list.start).get(..list.len as usize).unwrap_or_default();
        }
        let start = list.start as usize;
        self.blocks.get(start..start + list.len as usize).unwrap_or_default()
    }

    /// What the key of a list is known by.
    #[inline]
    pub(super) fn check(&self, id: u32) -> u32 {
        self.all.get(id as usize).map_or(0, |list| list.check)
    }

    /// Adds a row, and says at which place of the list.
    pub(super) fn push(&mut self, id: u32, row: RowId) -> u32 {
        let Some(list) = self.all.get(id as usize).copied() else { return 0 };
        let room = if list.class == 0 { 1 } else { 1 << list.class };
        let mut grown = list;
        if list.len == room {
            grown.class = (list.class + 1).max(CLASS_MIN);
            grown.start = self.block(grown.class);
            for at in 0..list.len {
                let moved = self.at(list, at);
                self.put(grown.start + at, moved);
            }
            self.give_back(list);
        }
        if grown.class == 0 {
            grown.start = row;
        } else {
            self.put(grown.start + grown.len, row);
        }
        grown.len += 1;
        if let Some(place) = self.all.get_mut(id as usize) {
            *place = grown;
        }
        list.len
    }

    /// Takes the row at a place out, and says which row stands there now; nothing if the place was the last. An empty list is
    /// gone.
    pub(super) fn take(&mut self, id: u32, place: u32) -> Option<RowId> {
        let mut list = self.all.get(id as usize).copied()?;
        list.len = list.len.saturating_sub(1);
        let moved = (place < list.len).then(|| self.at(list, list.len));
        if let Some(row) = moved {
            self.put(list.start + place, row);
        }
        if list.len == 0 {
            self.give_back(list);
            self.free.push(id);
            list.class = 0;
        }
        if let Some(place) = self.all.get_mut(id as usize) {
            *place = list;
        }
        moved
    }

    /// Whether a list has no row any more.
    pub(super) fn is_empty(&self, id: u32) -> bool {
        self.all.get(id as usize).is_none_or(|list| list.len == 0)
    }

    fn at(&self, list: List, at: u32) -> RowId {
        if list.class == 0 {
            return list.start;
        }
        self.blocks.get((list.start + at) as usize).copied().unwrap_or_default()
    }

    fn put(&mut self, at: u32, row: RowId) {
        if let Some(place) = self.blocks.get_mut(at as usize) {
            *place = row;
        }
    }

    fn block(&mut self, class: u32) -> u32 {
        if let Some(start) = self.free_blocks.get_mut(class as usize).and_then(Vec::pop) {
            return start;
        }
        let start = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        self.blocks.resize(self.blocks.len() + (1 << class), 0);
        start
    }

    fn give_back(&mut self, list: List) {
        let class = list.class as usize;
        if class == 0 {
            return;
        }
        if self.free_blocks.len() <= class {
            self.free_blocks.resize(class + 1, Vec::new());
        }
        if let Some(free) = self.free_blocks.get_mut(class) {
            free.push(list.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_and_go_and_blocks_are_used_again() {
        let mut lists = Lists::default();
        let (a, b) = (lists.open(7, 0), lists.open(8, 100));
        for row in 1..40 {
            assert_eq!(lists.push(a, row), row);
            lists.push(b, 100 + row);
        }
        assert_eq!(lists.take(a, 3), Some(39));
        assert_eq!(lists.take(a, 38), None);
        assert_eq!(lists.rows(a).len(), 38);
        assert_eq!(lists.rows(b), (100..140).collect::<Vec<_>>());
        while !lists.is_empty(a) {
            lists.take(a, 0);
        }
        let n_cells = lists.blocks.len();
        let c = lists.open(9, 5);
        for row in 0..39 {
            lists.push(c, row);
        }
        assert_eq!((c, lists.check(c), lists.blocks.len()), (a, 9, n_cells));
        assert_eq!((lists.rows(c).len(), lists.rows(b).len()), (40, 40));
    }
}
