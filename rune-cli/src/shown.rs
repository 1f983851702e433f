//! How much of an answer is printed: all of it, unless somebody wants less; and what it took.

use std::time::Instant;

use rune_core::Stats;
use serde_json::Value as Json;

use crate::output::Output;

#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Shown {
    /// Print how many there are, and none of them.
    #[arg(long)]
    pub(crate) count: bool,
    /// Print so many at most, and how many more there are.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Say what finding them took, on standard error.
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

/// What answers take, for who wants to know.
#[derive(Debug)]
pub(crate) struct Meter {
    start: Option<Instant>,
    output: Output,
}

impl Meter {
    /// Starts the clock, if somebody wants to know.
    #[expect(clippy::disallowed_methods, reason = "how long a command takes is for people, and decides nothing")]
    pub(crate) fn start(is_wanted: bool, output: Output) -> Self {
        Self { start: is_wanted.then(Instant::now), output }
    }

    /// A document with what it took, if somebody wants to know.
    pub(crate) fn with_stats(&self, mut document: Json, stats: impl FnOnce() -> Json) -> Json {
        if let (Some(_), Json::Object(members)) = (self.start, &mut document) {
            members.insert("stats".to_owned(), stats());
        }
        document
    }

    /// Tells what each part took, and how long all took together.
    pub(crate) fn tell(&self, parts: &[(&str, Stats)]) {
        let Some(start) = self.start else { return };
        let ms = start.elapsed().as_secs_f64() * 1_000.0;
        let part = |(name, stats): &(&str, Stats)| {
            let Stats { steps, rows_touched, .. } = stats;
            let [step, row] = [steps, rows_touched].map(|n| if *n == 1 { "" } else { "s" });
            format!("{name}: {steps} step{step}, {rows_touched} row{row} looked at")
        };
        let parts: Vec<String> = parts.iter().map(part).collect();
        self.output.note(&format!("note: {}; {ms:.1} ms", parts.join("; ")));
    }
}
