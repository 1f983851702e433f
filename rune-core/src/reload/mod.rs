//! From a new set of sources to a new lineup, or to a refusal that says why.
//!
//! ```text
//!   sources ──▶ build ──▶ swap ──▶ status: serving
//!                  └──findings──▶ status: refused; what was served still is
//! ```
//!
//! The coordinator has no thread and no clock: [`driver`] has them, and one coordinator at a time.

pub mod driver;

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use crate::{
    base::{Sources, Version},
    diag::Report,
    engine::{Engine, Generation, Lineup},
    program::{FileChange, Options, Program, not_in_force},
    watch::Trouble,
};

pub use driver::{Stopped, Watch, WatchOptions};

/// A version that went live.
#[derive(Debug, Clone)]
pub struct Reload {
    /// When.
    pub at: SystemTime,
    /// How long it took from the whole set of sources to the swap.
    pub took: Duration,
    /// The lineup that it began.
    pub generation: Generation,
    /// The version.
    pub version: Version,
}

/// A version that did not go live.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// When.
    pub at: SystemTime,
    /// The version.
    pub version: Version,
    /// Every reason; never without an error.
    pub report: Report,
    /// What was edited and is therefore not in force.
    pub not_in_force: Vec<FileChange>,
}

/// What is served, and what came of the last edits.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The last version that went live.
    pub last_reload: Option<Reload>,
    /// The last version that was refused.
    pub last_refusal: Option<Refusal>,
    /// Whether the sources, as they are now, are those of the last refusal.
    pub is_refused: bool,
    /// Why the folder cannot be read as it is now; what is served stays.
    pub trouble: Option<Trouble>,
    /// Why changes are found by looking every second only.
    pub degraded: Option<String>,
}

/// What a watched folder serves: an engine, once there is a first good version, and a status.
#[derive(Debug, Default)]
pub struct Served {
    engine: OnceLock<Arc<Engine>>,
    status: Mutex<Arc<Status>>,
}

impl Served {
    /// The engine; none as long as no version was good.
    #[must_use]
    pub fn engine(&self) -> Option<&Arc<Engine>> {
        self.engine.get()
    }

    /// What is served, and what came of the last edits. Not for the path of a decision: takes a short lock.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut held = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut held));
    }
}

/// What came of a set of sources.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is served.
    Live(Reload),
    /// It was served already.
    Unchanged,
    /// It is not served; what was served still is.
    Refused(Refusal),
}

/// Builds versions and swaps them in, one at a time.
#[derive(Debug)]
pub struct ReloadCoordinator {
    served: Arc<Served>,
    options: Options,
    /// Lineups that are no longer served. Freed here, when no reader has them: a reader never frees one.
    retired: Vec<Arc<Lineup>>,
}

impl ReloadCoordinator {
    /// A coordinator that serves nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { served: Arc::default(), options, retired: Vec::new() }
    }

    /// Where the engine and the status can be read.
    #[must_use]
    pub fn served(&self) -> &Arc<Served> {
        &self.served
    }

    /// Serves these sources if they can be, and says so either way. `elapsed` tells the time since the sources were read.
    pub fn on_sources(&mut self, now: SystemTime, sources: &Arc<Sources>, elapsed: impl Fn() -> Duration) -> Outcome {
        self.served.update(|status| status.trouble = None);
        let live = self.served.engine().map(|engine| engine.lineup());
        // Compared with what is live, not with what was last tried: going back to it is a recovery.
        if live.as_ref().is_some_and(|lineup| lineup.stable().version() == sources.version()) {
            self.served.update(|status| status.is_refused = false);
            return Outcome::Unchanged;
        }
        match Program::build(sources.clone(), self.options) {
            Ok(program) => {
                let version = program.version();
                let generation = self.swap(program);
                let reload = Reload { at: now, took: elapsed(), generation, version };
                self.served.update(|status| {
                    status.last_reload = Some(reload.clone());
                    status.is_refused = false;
                });
                Outcome::Live(reload)
            }
            Err(report) => {
                let not_in_force = live.map(|lineup| not_in_force(lineup.stable(), sources)).unwrap_or_default();
                let refusal = Refusal { at: now, version: sources.version(), report, not_in_force };
                self.served.update(|status| {
                    status.last_refusal = Some(refusal.clone());
                    status.is_refused = true;
                });
                Outcome::Refused(refusal)
            }
        }
    }

    /// The folder cannot be read as it is; what is served stays.
    pub fn on_trouble(&mut self, trouble: Trouble) {
        self.served.update(|status| status.trouble = Some(trouble));
    }

    /// Whether changes are found by looking only.
    pub fn on_degraded(&mut self, why: Option<String>) {
        if self.served.status().degraded != why {
            self.served.update(|status| status.degraded = why);
        }
    }

    /// Frees what no reader has any more.
    pub fn collect(&mut self) {
        self.retired.retain(|lineup| 1 < Arc::strong_count(lineup));
    }

    fn swap(&mut self, program: Program) -> Generation {
        match self.served.engine() {
            Some(engine) => {
                self.retired.push(engine.swap(program));
                engine.lineup().generation()
            }
            None => self.served.engine.get_or_init(|| Arc::new(Engine::new(program))).lineup().generation(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::File;

    const PERMIT: &str = "permit (principal, action, resource);";
    const FORBID: &str = "@id(\"no\") forbid (principal, action, resource);";

    fn sources(files: &[(&str, &str)]) -> Arc<Sources> {
        Arc::new(Sources::new(files.iter().map(|(path, text)| File::new(*path, text.as_bytes())).collect()))
    }

    /// What comes of each set in turn: the generation if it went live, the state, and what is not in force.
    fn check(sets: &[&[(&str, &str)]], expected: &[&str]) {
        let mut coordinator = ReloadCoordinator::new(Options::default());
        let mut seen = Vec::new();
        for set in sets {
            let outcome = coordinator.on_sources(SystemTime::UNIX_EPOCH, &sources(set), || Duration::ZERO);
            let status = coordinator.served().status();
            coordinator.collect();
            seen.push(match outcome {
                Outcome::Live(reload) => format!("live {}", reload.generation),
                Outcome::Unchanged => format!("unchanged, refused {}", status.is_refused),
                Outcome::Refused(refusal) => {
                    let changes: Vec<_> = refusal.not_in_force.iter().map(ToString::to_string).collect();
                    format!("refused: {}", changes.join("; "))
                }
            });
        }
        assert_eq!(seen, expected);
        assert!(coordinator.retired.is_empty(), "no reader holds anything");
    }

    #[test]
    fn a_broken_edit_changes_nothing_and_going_back_recovers() {
        check(
            &[&[("a.cedar", PERMIT)], &[("a.cedar", "permit (")], &[("a.cedar", PERMIT)], &[("a.cedar", FORBID)]],
            &[
                "live 1",
                "refused: a.cedar changed (policies still in force: a.cedar:policy0)",
                "unchanged, refused false",
                "live 2",
            ],
        );
    }

    #[test]
    fn a_refusal_says_which_removals_are_not_in_force() {
        check(
            &[&[("a.cedar", PERMIT), ("b.cedar", FORBID)], &[("a.cedar", "permit ("), ("c.cedar", FORBID)]],
            &[
                "live 1",
                "refused: a.cedar changed (policies still in force: a.cedar:policy0); \
                 b.cedar removed (policies still in force: no); c.cedar added",
            ],
        );
    }

    #[test]
    fn a_file_that_loses_its_last_policy_takes_effect() {
        check(&[&[("a.cedar", FORBID)], &[("a.cedar", "// nothing")]], &["live 1", "live 2"]);
    }

    #[test]
    fn nothing_is_served_before_the_first_good_version() {
        let mut coordinator = ReloadCoordinator::new(Options::default());
        coordinator.on_sources(SystemTime::UNIX_EPOCH, &sources(&[]), || Duration::ZERO);
        assert!(coordinator.served().engine().is_none());
        assert!(coordinator.served().status().is_refused);
    }
}
