//! What answering a question took.

use serde::Serialize;

/// What answering a question took. Counts, not times: the same question to the same version takes the same again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Steps, of which there is a limit.
    pub steps: u64,
    /// Rows of relations that were looked at.
    pub rows_touched: u64,
}

impl Stats {
    pub(crate) fn new(steps: u64, rows_touched: u64) -> Self {
        Self { steps, rows_touched }
    }
}
