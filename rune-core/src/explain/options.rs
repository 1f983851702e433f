//! What an explanation goes into beyond what it always does.

use crate::base::limits;

/// What an explanation goes into beyond what it always does: at more cost, and within limits that it tells of.
///
/// ```
/// use rune_core::ExplainOptions;
///
/// let options = ExplainOptions::default().minimal().missing(2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExplainOptions {
    pub(super) is_minimal: bool,
    pub(super) n_missing: Option<usize>,
}

impl ExplainOptions {
    /// Whether it takes more stack than callers are expected to have.
    pub(crate) fn is_deep(self) -> bool {
        self.n_missing.is_some()
    }

    /// The smallest proof alone: of all that there are, one that rests on the fewest given facts, and of those one that derives
    /// the fewest. [`Explanation::minimal`](super::Explanation::minimal) says whether that is proven.
    #[must_use]
    pub fn minimal(self) -> Self {
        Self { is_minimal: true, ..self }
    }

    /// Of what is not permitted and of a query without rows: the smallest sets of facts, of `n` facts at most, with which it
    /// would be otherwise ([`WhyNot`](super::WhyNot)). More than [`MISSING_FACTS_ASKED_MAX`](limits::MISSING_FACTS_ASKED_MAX) are
    /// that many.
    #[must_use]
    pub fn missing(self, n: usize) -> Self {
        Self { n_missing: Some(n.min(limits::MISSING_FACTS_ASKED_MAX)), ..self }
    }
}
