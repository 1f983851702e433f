//! `--watch`: a command for a folder as it is, and again after every edit.
//!
//! ```text
//!   edits ──▶ Watch ──▶ a program, a refusal or trouble ──▶ the command tells ──▶ an outcome
//!                                                                                    │
//!   SIGINT, SIGTERM ────────────────────────────────────────────────────▶ the last one is the exit code
//! ```
//!
//! Edits settle as they do for `rune serve`, and are told on the thread that watches: a reader who does not read holds up the
//! next run, and never the end of the process.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use anyhow::{Context as _, Result};
use rune_core::{
    Options, Program, Report, Sources, Watch,
    reload::{Served, Tried, WatchOptions, driver::Event},
};
use tokio::sync::mpsc;

use crate::{
    Outcome, dir,
    output::{self, Output, printable},
    stop::Stop,
};

/// Changed files that are named above a run.
const NAMED_MAX: usize = 5;

/// What a command makes of a folder: of its program, or of why it has none.
pub(crate) trait Tell: FnMut(Result<&Program, &Report>) -> Result<Outcome> + Send + 'static {}

impl<T: FnMut(Result<&Program, &Report>) -> Result<Outcome> + Send + 'static> Tell for T {}

/// Calls `tell` for the folder, and again for each set of files that edits leave, until the process is told to end or nobody
/// reads any more. The outcome is that of the last run.
pub(crate) fn run(dir: &Path, options: Options, output: Output, tell: impl Tell) -> Result<Outcome> {
    dir::check(dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let mut stop = Stop::new().context("cannot wait for signals")?;
        let served = Arc::new(OnceLock::new());
        let mut runs = Runs { output, tell, served: served.clone(), before: None, n: 0 };
        let (outcomes, mut told) = mpsc::unbounded_channel();
        output.note(&format!("watching {}; Ctrl-C ends", printable(&dir.display().to_string())));
        let watch = Watch::start(dir, WatchOptions { options, ..WatchOptions::default() }, move |event| {
            if let Some(outcome) = runs.on_event(event) {
                // The receiver is gone only when the process ends.
                let _ = outcomes.send(outcome);
            }
        })
        .context("cannot watch the folder")?;
        // The first event waits for this.
        drop(served.set(watch.served().clone()));
        let mut last = Outcome::Unusable;
        loop {
            tokio::select! {
                biased;
                outcome = told.recv() => {
                    last = outcome.unwrap_or(last);
                    if outcome.is_none() || !output::is_heard() {
                        return Ok(last);
                    }
                }
                () = stop.told() => break,
            }
        }
        // What has been told by now counts, though its outcome may still be on its way.
        drop(watch);
        while let Ok(outcome) = told.try_recv() {
            last = outcome;
        }
        Ok(last)
    })
}

struct Runs<T> {
    output: Output,
    tell: T,
    served: Arc<OnceLock<Arc<Served>>>,
    /// The files of the run before.
    before: Option<Arc<Sources>>,
    n: usize,
}

impl<T: Tell> Runs<T> {
    /// Tells what came of an edit. What is no run has no outcome.
    fn on_event(&mut self, event: Event) -> Option<Outcome> {
        let outcome = match event {
            Event::Tried(Tried::Live(_) | Tried::Unchanged) => {
                // It was swapped in by this very thread, so no later one is there yet.
                let lineup = self.served.wait().engine()?.lineup();
                self.begin(Some(lineup.stable().sources()));
                (self.tell)(Ok(lineup.stable()))
            }
            Event::Tried(Tried::Refused(refusal)) => {
                self.begin(Some(&refusal.report.sources));
                (self.tell)(Err(&refusal.report))
            }
            Event::Tried(Tried::NotBuilt(why)) => {
                self.begin(None);
                Err(anyhow::anyhow!("cannot build: {why}; trying again"))
            }
            Event::Trouble(trouble) => {
                self.begin(None);
                Err(trouble.into())
            }
            Event::Degraded(why) => {
                let text = why.map_or_else(|| "no longer degraded".to_owned(), |why| format!("degraded: {why}"));
                self.output.note(&printable(&text));
                return None;
            }
        };
        Some(outcome.unwrap_or_else(|error| {
            self.output.error(&format!("{error:#}"));
            Outcome::Unusable
        }))
    }

    /// The line between the run before and this one: what changed.
    fn begin(&mut self, files: Option<&Arc<Sources>>) {
        self.n += 1;
        if 1 < self.n {
            let what = match (&self.before, files) {
                (Some(before), Some(after)) => changes(before, after).join(", "),
                (None, Some(_)) => "the folder can be read again".to_owned(),
                (_, None) => "the folder changed".to_owned(),
            };
            self.output.note(&format!("\n--- run {}: {}", self.n, printable(&what)));
        }
        self.before = files.cloned();
    }
}

/// What was added, changed and removed between two sets of files; of many, how many more.
pub(crate) fn changes(before: &Sources, after: &Sources) -> Vec<String> {
    let added_or_changed = after.files().filter_map(|(_, file)| match before.find(&file.path) {
        None => Some(format!("{} added", file.path)),
        Some(old) if old != file => Some(format!("{} changed", file.path)),
        Some(_) => None,
    });
    let removed = before.files().filter(|(_, file)| after.find(&file.path).is_none());
    let mut changes: Vec<_> =
        added_or_changed.chain(removed.map(|(_, file)| format!("{} removed", file.path))).collect();
    let n_beyond = changes.len().saturating_sub(NAMED_MAX);
    changes.truncate(NAMED_MAX);
    if 0 < n_beyond {
        changes.push(format!("and {n_beyond} more"));
    }
    changes
}

#[cfg(test)]
mod tests {
    use rune_core::File;

    use super::*;

    fn sources(files: &[(&str, &str)]) -> Sources {
        Sources::new(files.iter().map(|(path, text)| File::new(*path, text.as_bytes())).collect())
    }

    #[test]
    fn what_changed_is_named_and_many_are_counted() {
        let before = sources(&[("a.rune", "1"), ("b.rune", "1"), ("c.rune", "1")]);
        let after = sources(&[("a.rune", "2"), ("b.rune", "1"), ("d.rune", "1")]);
        assert_eq!(changes(&before, &after).join(", "), "a.rune changed, d.rune added, c.rune removed");
        let many: Vec<_> = (0..7).map(|n| format!("{n}.rune")).collect();
        let many: Vec<_> = many.iter().map(|path| (path.as_str(), "1")).collect();
        let expected = "0.rune added, 1.rune added, 2.rune added, 3.rune added, 4.rune added, and 2 more";
        assert_eq!(changes(&sources(&[]), &sources(&many)).join(", "), expected);
    }
}
