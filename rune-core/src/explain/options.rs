//! What an explanation goes into beyond what it always does.

/// What an explanation goes into beyond what it always does: at more cost, and within limits that it tells of.
///
/// ```
/// use rune_core::ExplainOptions;
///
/// let options = ExplainOptions::default().minimal();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExplainOptions {
    pub(super) is_minimal: bool,
}

impl ExplainOptions {
    /// The smallest proof alone: of all that there are, one that rests on the fewest given facts, and of those one that derives
    /// the fewest. [`Explanation::minimal`](super::Explanation::minimal) says whether that is proven.
    #[must_use]
    pub fn minimal(self) -> Self {
        let mut options = self;
        options.is_minimal = true;
        options
    }
}
