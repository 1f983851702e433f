//! How much of an answer is printed: all of it, unless somebody wants less.

#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Shown {
    /// Print how many there are, and none of them.
    #[arg(long)]
    pub(crate) count: bool,
    /// Print so many at most, and how many more there are.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Print what finding them took.
    #[arg(long)]
    pub(crate) stats: bool,
}

impl Shown {
    /// How many of so many are printed.
    pub(crate) fn n_of(self, n: usize) -> usize {
        if self.count { 0 } else { self.limit.unwrap_or(usize::MAX).min(n) }
    }

    /// The line that stands for those that are not, if some are not for being too many.
    pub(crate) fn rest_of(self, n: usize) -> Option<String> {
        let n_rest = n - self.n_of(n);
        (!self.count && 0 < n_rest).then(|| format!("… and {n_rest} more"))
    }
}
