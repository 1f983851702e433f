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
        let is_it = |run: &Run| run.predicate == predicate && run.file == span.file && run.n_columns == row.len();
        if !self.runs.last().is_some_and(is_it) {
            let (cells, places) = (Vec::new(), Vec::new());
            self.runs.push(Run { predicate, file: span.file, n_columns: row.len(), cells, places });
        }
        if let Some(run) = self.runs.last_mut() {
            run.cells.extend_from_slice(row);
            run.places.push((span.start, span.end));
        }
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
