//! Where given rows stand, and when derived rows came.

use std::ops::Range;

use crate::base::{FileId, Span};

use super::table::RowId;

/// The places of the given rows of a relation, which are its first rows: four bytes for each, and a few for each file.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The first row of each run of rows that stand in one file.
    files: Vec<(RowId, FileId)>,
    starts: Vec<u32>,
}

impl Places {
    /// Notes where the next row stands.
    pub fn push(&mut self, span: Span) {
        if self.files.last().is_none_or(|(_, file)| *file != span.file) {
            self.files.push((self.len(), span.file));
        }
        self.starts.push(span.start);
    }

    /// How many rows are given.
    #[must_use]
    pub fn len(&self) -> RowId {
        RowId::try_from(self.starts.len()).unwrap_or(RowId::MAX)
    }

    /// Whether no row is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Where a row begins, if it is given.
    #[must_use]
    pub fn of(&self, row: RowId) -> Option<Span> {
        let start = *self.starts.get(row as usize)?;
        let run = self.files.partition_point(|(first, _)| *first <= row).checked_sub(1)?;
        let (_, file) = self.files.get(run)?;
        Some(Span { file: *file, start, end: start })
    }
}

/// A point in the course of a derivation: rows that an application of a rule adds are younger than all that it can have read.
/// Given rows have the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick of what is given.
    pub const GIVEN: Self = Self(0);
    /// Later than any.
    pub const END: Self = Self(u32::MAX);

    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// When the rows of a relation were derived: for each application of a rule that added some, the first of them.
#[derive(Debug, Clone, Default)]
pub struct Births(Vec<(Tick, RowId)>);

impl Births {
    /// Notes that the rows of this range came at a tick that is not before those noted already.
    pub fn note(&mut self, tick: Tick, rows: Range<RowId>) {
        if !rows.is_empty() && self.0.last().is_none_or(|(last, _)| *last < tick) {
            self.0.push((tick, rows.start));
        }
    }

    /// When a row came.
    #[must_use]
    pub fn of(&self, row: RowId) -> Tick {
        let n_before = self.0.partition_point(|(_, first)| *first <= row);
        n_before.checked_sub(1).and_then(|at| self.0.get(at)).map_or(Tick::GIVEN, |(tick, _)| *tick)
    }

    /// How many of `n` rows were there before a tick.
    #[must_use]
    pub fn n_before(&self, tick: Tick, n: RowId) -> RowId {
        let at = self.0.partition_point(|(of, _)| *of < tick);
        self.0.get(at).map_or(n, |(_, first)| *first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_given_row_has_its_place_and_each_derived_row_its_tick() {
        let mut places = Places::default();
        let text = |path| crate::base::File::new(path, *b"");
        let sources = crate::base::Sources::new(vec![text("a.rune"), text("b.rune")]);
        let files: Vec<FileId> = sources.files().map(|(id, _)| id).collect();
        let spans = [Span::new(files[0], 3..5), Span::new(files[0], 9..12), Span::new(files[1], 1..2)];
        for span in spans {
            places.push(span);
        }
        let starts = [0, 1, 2].map(|row| places.of(row).map(|span| (span.file, span.start)));
        assert_eq!(starts, [Some((files[0], 3)), Some((files[0], 9)), Some((files[1], 1))]);
        assert_eq!(places.of(3), None);
        let mut births = Births::default();
        births.note(Tick(4), 3..5);
        births.note(Tick(5), 5..5);
        births.note(Tick(7), 5..6);
        assert_eq!([2, 3, 4, 5].map(|row| births.of(row).0), [0, 4, 4, 7]);
        assert_eq!([4, 5, 7, 8].map(|tick| births.n_before(Tick(tick), 6)), [3, 5, 5, 6]);
    }
}
