//! Rows that several threads found, added to a table by several threads.
//!
//! ```text
//!   found   first thread: r1 r2 r3    second: r4 r5       in the order in which one thread would have found them
//!   sort    region 0: r1 r4    region 1: r2 r3 r5         by how their hashes begin (each thread its own)
//!   fill    a region's slots take its rows, each once     (each region one thread)
//!   name    what is new, counted in the order found, has its place; slots and cells take it
//! ```
//!
//! Rows that are the same have one hash, and meet in one region in the order in which they were found: so the first of them stays,
//! and the table is what it would be had they come one by one. (Partitioned hashing: Manegold, Boncz and Kersten, "Optimizing
//! main-memory join on modern hardware", 2002.)

use crate::base::{Value, threads::each};

use super::{
    rows::{hash_row, is_same, row_of},
    slots::{BATCH, Found, REGIONS, Region, Slots, region_of},
    table::{Index, NO_ROW, RowId, Table},
};

/// Rows that one thread found.
#[derive(Debug, Default)]
pub struct FoundRows {
    /// Their cells, row by row, in the order in which they were found.
    pub cells: Vec<Value>,
    /// The same, region by region.
    sorted: Vec<Value>,
    /// For each of these, which of the rows it is.
    places: Vec<RowId>,
    /// The region of each row.
    regions: Vec<u8>,
    /// Where each region ends among what is sorted.
    ends: Vec<usize>,
}

/// What is new in a region.
#[derive(Debug, Default)]
struct News {
    /// The slot of each, and its place among all that was found.
    slots: Vec<(RowId, RowId)>,
    cells: Vec<Value>,
    /// What has its slot in another region, if it is new.
    beyond: Vec<RowId>,
}

/// All that was found, with a bit for each row that is new.
struct Batch<'f> {
    found: &'f [FoundRows],
    /// The word of bits where each one's begin.
    words: Vec<usize>,
    is_new: Vec<u64>,
}

impl FoundRows {
    /// Sorts the rows as a table needs them to add them.
    pub fn sort(&mut self, table: &Table) {
        let Self { cells, sorted, places, regions, ends } = self;
        let arity = table.arity().max(1);
        let n_rows = cells.len() / arity;
        regions.clear();
        let mut next = [0; REGIONS];
        for row in cells.chunks_exact(arity) {
            let region = region_of(hash_row(table.seed, row));
            if let Some(n) = next.get_mut(region) {
                *n += 1;
            }
            regions.push(u8::try_from(region).unwrap_or_default());
        }
        let mut end = 0;
        ends.clear();
        for n in &mut next {
            (*n, end) = (end, end + *n);
            ends.push(end);
        }
        sorted.resize(n_rows * arity, Value::FALSE);
        places.resize(n_rows, 0);
        for ((place, row), region) in (0..).zip(cells.chunks_exact(arity)).zip(&*regions) {
            let Some(next) = next.get_mut(usize::from(*region)) else { continue };
            if let Some(to) = places.get_mut(*next) {
                *to = place;
            }
            match (sorted.get_mut(*next * arity..(*next + 1) * arity), row) {
                (Some([a, b]), [c, d]) => (*a, *b) = (*c, *d),
                (Some(to), row) => to.copy_from_slice(row),
                (None, _) => {}
            }
            *next += 1;
        }
    }

    /// What belongs to a region: its cells, and which of the rows they are.
    fn of(&self, region: usize, arity: usize) -> (&[Value], &[RowId]) {
        let end = self.ends.get(region).copied().unwrap_or_default();
        let start = region.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let cells = self.sorted.get(start * arity..end * arity);
        (cells.unwrap_or_default(), self.places.get(start..end).unwrap_or_default())
    }
}

impl News {
    fn add(&mut self, slot: usize, place: RowId, row: &[Value]) {
        self.slots.push((RowId::try_from(slot).unwrap_or(NO_ROW), place));
        self.cells.extend_from_slice(row);
    }
}

impl<'f> Batch<'f> {
    fn of(found: &'f [FoundRows], arity: usize) -> Self {
        let mut n_words = 0;
        let mut words = |of: &FoundRows| {
            let first = n_words;
            n_words += (of.cells.len() / arity).div_ceil(64);
            first
        };
        let words = found.iter().map(&mut words).collect();
        Self { found, words, is_new: vec![0; n_words] }
    }

    /// All that was found, each with the place of its first row.
    fn parts(&self) -> impl Iterator<Item = (&'f FoundRows, RowId)> {
        let first = |word: &usize| RowId::try_from(word * 64).unwrap_or(NO_ROW);
        self.found.iter().zip(self.words.iter().map(first))
    }

    /// Notes what is new, and says how many rows are before each word of bits, and in all.
    fn rank(&mut self, news: &[News]) -> (Vec<RowId>, RowId) {
        for (_, place) in news.iter().flat_map(|news| &news.slots) {
            if let Some(word) = self.is_new.get_mut(*place as usize / 64) {
                *word |= 1 << (place % 64);
            }
        }
        let mut n = 0;
        let mut rank = |word: &u64| {
            let before = n;
            n += word.count_ones();
            before
        };
        let ranks = self.is_new.iter().map(&mut rank).collect();
        (ranks, n)
    }

    /// The row of a place.
    fn row(&self, place: RowId, arity: usize) -> &'f [Value] {
        let word = place as usize / 64;
        let at = self.words.partition_point(|first| *first <= word).saturating_sub(1);
        let first = self.words.get(at).map_or(0, |word| word * 64);
        let id = RowId::try_from(place as usize - first).unwrap_or(NO_ROW);
        self.found.get(at).map_or(&[], |found| row_of(&found.cells, arity, id))
    }

    /// Adds the cells of what is new, in the order in which it was found.
    fn append(&self, cells: &mut Vec<Value>, arity: usize) {
        for (found, first) in self.found.iter().zip(&self.words) {
            let n_words = (found.cells.len() / arity).div_ceil(64);
            for (at, word) in (0..).step_by(64).zip(self.is_new.iter().skip(*first).take(n_words)) {
                let mut left = *word;
                while left != 0 {
                    match row_of(&found.cells, arity, at + left.trailing_zeros()) {
                        [a, b] => cells.extend([*a, *b]),
                        row => cells.extend_from_slice(row),
                    }
                    left &= left - 1;
                }
            }
        }
    }
}

/// What is done once it is known what is new.
enum Task<'t> {
    Append(&'t mut Vec<Value>),
    Name(Region<'t>, &'t News),
}

impl Table {
    /// Adds rows of one column or more that were found and sorted, in this order, on so many threads. Says how many were new.
    pub fn insert_found(&mut self, found: &[FoundRows], n_threads: usize) -> RowId {
        let n_before = self.len();
        let n_found: usize = found.iter().map(|of| of.cells.len() / self.arity().max(1)).sum();
        let n = RowId::try_from(n_found).unwrap_or(NO_ROW);
        let has_room = n_before.checked_add(n).is_some_and(|n| n < NO_ROW - 1);
        if has_room && !self.is_shared() {
            self.make_room(n_found, n_threads);
        }
        if !has_room || self.is_shared() || self.all.region_len() == 0 {
            for of in found {
                self.insert_all(&of.cells);
            }
            return self.len() - n_before;
        }
        let Self { arity, cells, all, seed, .. } = self;
        let (arity, seed) = (*arity, *seed);
        let mut batch = Batch::of(found, arity);
        let mut news: Vec<News> = (0..REGIONS).map(|_| News::default()).collect();
        let fill = |(at, (region, news)): (usize, (Region<'_>, &mut News))| {
            Fill { table: cells, n_before, arity, seed, batch: &batch }.fill(at, region, news);
        };
        each(n_threads, all.regions().zip(&mut news).enumerate(), fill);
        Fill { table: cells, n_before, arity, seed, batch: &batch }.fill_beyond(all, &mut news);
        let (ranks, n_new) = batch.rank(&news);
        let rank = |place: RowId| {
            let (word, bit) = (place as usize / 64, place % 64);
            let of_word = batch.is_new.get(word).copied().unwrap_or_default() & ((1 << bit) - 1);
            n_before + ranks.get(word).copied().unwrap_or_default() + of_word.count_ones()
        };
        let regions = all.regions().zip(&news).map(|(region, news)| Task::Name(region, news));
        each(n_threads, std::iter::once(Task::Append(cells)).chain(regions), |task| match task {
            Task::Append(cells) => batch.append(cells, arity),
            Task::Name(mut region, news) => {
                for slots in news.slots.chunks(BATCH) {
                    region.rename(slots.iter().map(|(slot, place)| (*slot, rank(*place))));
                }
            }
        });
        self.n_rows = n_before + n_new;
        let Self { cells, indexes, .. } = self;
        let rows = || n_before..n_before + n_new;
        let n_threads = n_threads.min(indexes.len());
        each(n_threads, indexes, |index: &mut Index| index.add(rows(), cells, arity, seed));
        n_new
    }

    /// Makes room for so many more rows: each region's rows are at home in the same region when there are more slots.
    fn make_room(&mut self, n: usize, n_threads: usize) {
        if self.all.region_len() == 0 {
            return self.reserve(n);
        }
        let Self { arity, n_rows, cells, all, seed, .. } = self;
        let Some(old) = all.grow(*n_rows, n) else { return };
        let hash = |id: RowId| hash_row(*seed, row_of(cells, *arity, id));
        let mut beyond: Vec<Vec<RowId>> = vec![Vec::new(); REGIONS];
        each(n_threads, all.regions().zip(&mut beyond).enumerate(), |(at, (mut region, beyond))| {
            let mut rows = old.rows_in(at);
            loop {
                let (mut hashes, mut n) = ([(0, 0); BATCH], 0);
                for (place, id) in hashes.iter_mut().zip(&mut rows) {
                    (*place, n) = ((hash(id), id), n + 1);
                }
                for (hash, id) in hashes.iter().take(n) {
                    match region.find(*hash, |_| false) {
                        Found::Free(slot) if region_of(*hash) == at => region.put(slot, *hash, *id),
                        _ => beyond.push(*id),
                    }
                }
                if n < BATCH {
                    return;
                }
            }
        });
        for id in beyond.into_iter().flatten() {
            if let Err(slot) = all.find(hash(id), |_| false) {
                all.put(slot, hash(id), id);
            }
        }
    }
}

/// How slots are filled: what is new has the number of the rows that there were and of those that were new in its region before.
struct Fill<'t> {
    table: &'t [Value],
    n_before: RowId,
    arity: usize,
    seed: u64,
    batch: &'t Batch<'t>,
}

impl Fill<'_> {
    /// Puts what belongs to a region into its slots.
    fn fill(&self, at: usize, mut region: Region<'_>, news: &mut News) {
        let Self { table, arity, seed, .. } = *self;
        for (found, first) in self.batch.parts() {
            let (cells, places) = found.of(at, arity);
            for (rows, places) in cells.chunks(BATCH * arity).zip(places.chunks(BATCH)) {
                let mut hashes = [0; BATCH];
                for (hash, row) in hashes.iter_mut().zip(rows.chunks_exact(arity)) {
                    *hash = hash_row(seed, row);
                }
                let hashes = hashes.get(..places.len()).unwrap_or_default();
                region.touch(hashes, |id| table.get(id as usize * arity).map_or(0, |cell| cell.bits()));
                for ((hash, row), place) in hashes.iter().zip(rows.chunks_exact(arity)).zip(places) {
                    match region.find(*hash, |id| is_same(self.row(id, news), row)) {
                        Found::Row => {}
                        Found::Free(slot) => {
                            region.put(slot, *hash, self.next(news));
                            news.add(slot, first + place, row);
                        }
                        Found::Beyond => news.beyond.push(first + place),
                    }
                }
            }
        }
    }

    /// Puts what found no slot in its region into one further on. All that is the same comes here if one of them does but for
    /// those before it: slots are not freed.
    fn fill_beyond(&self, all: &mut Slots, news: &mut [News]) {
        let mut beyond: Vec<RowId> = news.iter_mut().flat_map(|news| std::mem::take(&mut news.beyond)).collect();
        beyond.sort_unstable();
        let len = all.region_len().max(1);
        for place in beyond {
            let row = self.batch.row(place, self.arity);
            let hash = hash_row(self.seed, row);
            let is_it = |slot: usize, id| news.get(slot / len).is_some_and(|news| is_same(self.row(id, news), row));
            let Err(slot) = all.find_in(hash, is_it) else { continue };
            if let Some(news) = news.get_mut(slot / len) {
                all.put(slot, hash, self.next(news));
                news.add(slot % len, place, row);
            }
        }
    }

    /// The number that stands for the next row that is new in a region.
    fn next(&self, news: &News) -> RowId {
        RowId::try_from(news.slots.len()).unwrap_or(NO_ROW).saturating_add(self.n_before)
    }

    /// A row of the table, or one that is new in a region.
    fn row<'r>(&'r self, id: RowId, news: &'r News) -> &'r [Value] {
        match id.checked_sub(self.n_before) {
            None => row_of(self.table, self.arity, id),
            Some(at) => row_of(&news.cells, self.arity, at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Pool, Values};

    /// Adds batches of random rows that were found in parts, on so many threads; and to a twin one by one.
    fn check(arity: usize, n_values: u64, sizes: &[usize], n_threads: usize) {
        let mut values = Pool::default();
        let mut state = arity as u64 + n_values;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            values.long(i64::try_from((state >> 33) % n_values).unwrap())
        };
        let (mut table, mut twin) = (Table::new(arity), Table::new(arity));
        for columns in [&[0][..], &[0, 1]].into_iter().filter(|columns| columns.len() < arity) {
            table.index_on(columns);
            twin.index_on(columns);
        }
        for size in sizes {
            let mut found: Vec<FoundRows> = Vec::new();
            for part in [size / 3, 0, size - size / 3] {
                let cells = (0..part * arity).map(|_| next()).collect();
                found.push(FoundRows { cells, ..FoundRows::default() });
                found.last_mut().unwrap().sort(&table);
            }
            let n_new = table.insert_found(&found, n_threads);
            let expected: RowId = found.iter().map(|of| twin.insert_all(&of.cells)).sum();
            assert_eq!(n_new, expected);
        }
        assert!(table.rows().eq(twin.rows()));
        for (id, row) in (0..).zip(twin.rows()) {
            assert_eq!(table.find(row), Some(id));
            for columns in [&[0][..], &[0, 1]].into_iter().filter(|columns| columns.len() < arity) {
                let (of, key) = (table.find_index(columns).unwrap(), &row[..columns.len()]);
                assert!(table.probe(of, key).eq(twin.probe(of, key)));
            }
        }
        let absent: Vec<Value> = vec![values.long(-1); arity];
        assert_eq!(table.find(&absent), None);
    }

    #[test]
    fn many_threads_add_what_one_would_in_its_order() {
        for n_threads in [1, 2, 3, 7] {
            // Regions of one slot and of a few, where most rows are beyond theirs, and larger ones.
            for sizes in [&[48, 48, 96][..], &[200, 3, 0, 100, 1_000], &[10_000, 40_000, 5_000]] {
                check(2, 60, sizes, n_threads);
                check(2, 1_000, sizes, n_threads);
                check(1, 10_000, sizes, n_threads);
                check(3, 30, sizes, n_threads);
            }
        }
    }

    #[test]
    fn rows_that_come_and_go_are_added_one_by_one() {
        let mut values = Pool::default();
        let [a, b] = [1, 2].map(|n| values.long(n));
        let mut table = Table::shared(1);
        let mut found = FoundRows { cells: vec![b, a, b], ..FoundRows::default() };
        found.sort(&table);
        assert_eq!(table.insert_found(&[found], 2), 2);
        assert!(table.rows().eq([&[b][..], &[a]]));
    }
}
