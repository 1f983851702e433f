//! Rows that stand in files: column by column of numbers, not row by row of lists.

use crate::base::{FileId, Span, Value};

use super::PredicateId;

/// A row that stands in a file.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'l> {
    /// The relation.
    pub predicate: PredicateId,
    /// The row.
    pub row: &'l [Value],
    /// Where it stands.
    pub span: Span,
}

/// Rows in the order in which they stand, four bytes for each value and eight for each place.
#[derive(Debug, Clone, Default)]
pub struct FactList {
    runs: Vec<Run>,
}

/// Rows of one relation that follow each other in one file.
#[derive(Debug, Clone)]
pub struct Run {
    /// The relation.
    pub predicate: PredicateId,
    file: FileId,
    n_columns: usize,
    /// The values of the rows, row by row.
    pub cells: Vec<Value>,
    /// Where rows begin and end.
    places: Vec<(u32, u32)>,
}

impl FactList {
    /// Adds a row.
    pub fn push(&mut self, fact: Fact<'_>) {
        let Fact { predicate, row, span } = fact;
        if let Some(run) = self.run(predicate, span.file, row.len()) {
            run.cells.extend_from_slice(row);
            run.places.push((span.start, span.end));
        }
    }

    /// Makes room for as many rows as there would be in so many bytes if all were as long as the one that was added last. Where there
    /// is no room, they are added as far as they come.
    pub fn expect_like_last(&mut self, n_bytes: usize) {
        if let Some(run) = self.runs.last_mut()
            && let Some((start, end)) = run.places.last()
        {
            let n_rows = n_bytes / (end.saturating_sub(*start) as usize + 1);
            run.cells.try_reserve(n_rows * run.n_columns).ok();
            run.places.try_reserve(n_rows).ok();
        }
    }

    /// Where such a row goes.
    fn run(&mut self, predicate: PredicateId, file: FileId, n_columns: usize) -> Option<&mut Run> {
        let is_it = |run: &Run| run.predicate == predicate && run.file == file && run.n_columns == n_columns;
        if !self.runs.last().is_some_and(is_it) {
            self.runs.push(Run { predicate, file, n_columns, cells: Vec::new(), places: Vec::new() });
        }
        self.runs.last_mut()
    }

    /// Adds the rows of another list.
    pub fn extend(&mut self, others: &Self) {
        self.runs.extend(others.runs.iter().cloned());
    }

    /// The rows, relation by relation as they stand.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// The rows.
    pub fn iter(&self) -> impl Iterator<Item = Fact<'_>> {
        self.of(|_| true)
    }

    /// The rows of some relations.
    pub fn of(&self, mut is_wanted: impl FnMut(PredicateId) -> bool) -> impl Iterator<Item = Fact<'_>> {
        self.runs.iter().filter(move |run| is_wanted(run.predicate)).flat_map(Run::facts)
    }
}

impl Run {
    /// How many rows there are.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.places.len()
    }

    /// Where a row stands.
    #[must_use]
    pub fn span(&self, at: usize) -> Span {
        self.places.get(at).map_or(Span::NOWHERE, |(start, end)| Span { file: self.file, start: *start, end: *end })
    }

    /// The rows.
    pub fn facts(&self) -> impl Iterator<Item = Fact<'_>> {
        let row = |at: usize| self.cells.get(at * self.n_columns..(at + 1) * self.n_columns).unwrap_or_default();
        (0..self.n_rows()).map(move |at| Fact { predicate: self.predicate, row: row(at), span: self.span(at) })
    }
}
