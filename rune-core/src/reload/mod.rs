//! From a new set of sources to a new lineup, or to a refusal that says why.
//!
//! ```text
//!   sources ──▶ build ──▶ swap ──▶ status: serving
//!                  └──findings──▶ status: refused; what was served still is
//! ```
//!
//! The coordinator has no thread and no clock: [`driver`] has them, and one coordinator at a time.

pub mod driver;
mod open;

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use crate::{
    base::{Sources, Span, Version},
    decide::decision::Generation,
    diag::{Code, Finding, Findings, Report},
    engine::{Engine, Lineup},
    program::{BuildError, FileChange, Options, Program, not_in_force},
    store::CarryError,
    watch::Trouble,
};

pub use driver::{Stopped, Watch, WatchOptions};
pub use open::OpenError;

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

/// The folder cannot be read as it is; what is served stays.
#[derive(Debug, Clone)]
pub struct TroubleSince {
    /// When that was first seen.
    pub at: SystemTime,
    /// What is in the way.
    pub trouble: Trouble,
}

/// What is served, and what came of the last edits: one consistent view.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What is served; none as long as no version was good.
    pub lineup: Option<Arc<Lineup>>,
    /// The last version that went live.
    pub last_reload: Option<Reload>,
    /// The last version that was refused.
    pub last_refusal: Option<Refusal>,
    /// Whether the sources, as they are now, are those of the last refusal.
    pub is_refused: bool,
    /// The version that is being built.
    pub building: Option<Version>,
    /// Why the folder cannot be read as it is now.
    pub trouble: Option<TroubleSince>,
    /// Why changes are found by looking every second only.
    pub degraded: Option<String>,
    /// Whether nobody watches the folder any more.
    pub is_unwatched: bool,
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
pub enum Tried {
    /// It is served.
    Live(Reload),
    /// It was served already.
    Unchanged,
    /// It is not served; what was served still is.
    Refused(Refusal),
    /// It could not be tried, for a reason that is not in the sources; what was served still is.
    NotBuilt(String),
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

    /// Serves these sources if they can be, and says so either way. `clock` tells the time, before and after the build.
    pub fn on_sources(&mut self, sources: &Arc<Sources>, mut clock: impl FnMut() -> (SystemTime, Duration)) -> Tried {
        let (_, start) = clock();
        let live = self.served.engine().map(|engine| engine.lineup());
        // Compared with what is live, not with what was last tried: going back to it is a recovery.
        if live.as_ref().is_some_and(|lineup| lineup.stable().version() == sources.version()) {
            self.served.update(|status| (status.is_refused, status.trouble) = (false, None));
            return Tried::Unchanged;
        }
        self.served.update(|status| status.building = Some(sources.version()));
        let built = match &live {
            // Who decides meanwhile needs a processor too.
            Some(live) => {
                let options = Options { threads: self.options.threads.half(), ..self.options };
                live.stable().build_next(sources.clone(), options)
            }
            None => Program::build(sources.clone(), self.options),
        };
        let (at, end) = clock();
        let refused = |report| {
            let not_in_force = live.map(|lineup| not_in_force(lineup.stable(), sources)).unwrap_or_default();
            Tried::Refused(Refusal { at, version: sources.version(), report, not_in_force })
        };
        let tried = match built {
            Ok(program) => {
                let version = program.version();
                match self.serve(program) {
                    Ok(generation) => Tried::Live(Reload { at, took: end.saturating_sub(start), generation, version }),
                    Err(error) => refused(in_the_way(&error, sources)),
                }
            }
            Err(BuildError::Refused(report)) => refused(report),
            Err(error @ BuildError::NoThread(_)) => Tried::NotBuilt(error.to_string()),
        };
        // One update, so that no reader of the status sees the half of it.
        self.served.update(|status| {
            status.building = None;
            match &tried {
                Tried::Live(reload) => {
                    status.lineup = self.served.engine().map(|engine| engine.lineup());
                    status.last_reload = Some(reload.clone());
                    (status.is_refused, status.trouble) = (false, None);
                }
                Tried::Refused(refusal) => {
                    status.last_refusal = Some(refusal.clone());
                    (status.is_refused, status.trouble) = (true, None);
                }
                Tried::Unchanged | Tried::NotBuilt(_) => {}
            }
        });
        tried
    }

    /// The folder cannot be read as it is; what is served stays.
    pub fn on_trouble(&mut self, at: SystemTime, trouble: Trouble) {
        self.served.update(|status| status.trouble = Some(TroubleSince { at, trouble }));
    }

    /// Whether changes are found by looking only. Returns whether that is news.
    pub fn on_degraded(&mut self, why: Option<&str>) -> bool {
        let is_news = self.served.status().degraded.as_deref() != why;
        if is_news {
            self.served.update(|status| status.degraded = why.map(str::to_owned));
        }
        is_news
    }

    /// Frees what no reader has any more.
    pub fn collect(&mut self) {
        self.retired.retain(|lineup| 1 < Arc::strong_count(lineup));
    }

    fn serve(&mut self, program: Program) -> Result<Generation, CarryError> {
        let engine = match self.served.engine() {
            Some(engine) => {
                self.retired.push(engine.swap(program)?);
                engine
            }
            None => self.served.engine.get_or_init(|| Arc::new(Engine::new(program))),
        };
        Ok(engine.lineup().generation())
    }
}

/// Live facts that a version has no place for, as findings.
fn in_the_way(error: &CarryError, sources: &Arc<Sources>) -> Report {
    let mut findings = Findings::default();
    let misfits = match error {
        CarryError::Misfits { misfits, .. } => misfits.clone(),
        CarryError::Derivation(message) => vec![message.clone()],
    };
    for misfit in misfits {
        let finding = Finding::new(Code::LiveFactsInTheWay, Span::NOWHERE, misfit);
        findings.push(finding.help("delete them first, or leave the declaration as it was"));
    }
    findings.into_report(sources.clone())
}

impl Drop for ReloadCoordinator {
    /// However the coordinator ends, those who read the status learn that it has.
    fn drop(&mut self) {
        self.served.update(|status| status.is_unwatched = true);
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

    fn clock() -> (SystemTime, Duration) {
        (SystemTime::UNIX_EPOCH, Duration::ZERO)
    }

    /// What comes of each set in turn: the generation if it went live, the state, and what is not in force.
    fn check(sets: &[&[(&str, &str)]], expected: &[&str]) {
        let mut coordinator = ReloadCoordinator::new(Options::default());
        let mut seen = Vec::new();
        for set in sets {
            let tried = coordinator.on_sources(&sources(set), clock);
            let status = coordinator.served().status();
            coordinator.collect();
            seen.push(match tried {
                Tried::Live(reload) => format!("live {}", reload.generation),
                Tried::Unchanged => format!("unchanged, refused {}", status.is_refused),
                Tried::NotBuilt(why) => why,
                Tried::Refused(refusal) => {
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
    fn a_version_that_live_facts_have_no_place_in_is_refused_and_says_which() {
        let text = |columns: &str| {
            format!(
                "version = \"rune/1.0\"\n[rules]\n@live relation seen({columns}).\n@id(\"p\") permit(U, _, _) :- seen(U)."
            )
        };
        let mut coordinator = ReloadCoordinator::new(Options::default());
        coordinator.on_sources(&sources(&[("a.rune", &text("User"))]), clock);
        let engine = coordinator.served().engine().unwrap().clone();
        let ada = crate::base::EntityRef::new("User", "ada");
        engine.facts().apply(&crate::store::Batch::default().insert("seen", [ada.into()])).unwrap();
        let Tried::Refused(refusal) = coordinator.on_sources(&sources(&[("a.rune", &text("Group"))]), clock) else {
            panic!("it is refused");
        };
        let told = refusal.report.to_string();
        assert!(
            told.contains("live-facts-in-the-way") && told.contains("seen(User::\"ada\"): column 1 is Group"),
            "{told}"
        );
        assert!(coordinator.served().status().is_refused);
        assert_eq!(engine.facts().counts().rows, 1);
        coordinator.on_sources(&sources(&[("a.rune", &text("User"))]), clock);
        assert!(!coordinator.served().status().is_refused);
    }

    #[test]
    fn a_file_that_loses_its_last_policy_takes_effect() {
        check(&[&[("a.cedar", FORBID)], &[("a.cedar", "// nothing")]], &["live 1", "live 2"]);
    }

    #[test]
    fn what_a_reader_still_has_is_kept_and_freed_by_the_coordinator() {
        let mut coordinator = ReloadCoordinator::new(Options::default());
        coordinator.on_sources(&sources(&[("a.cedar", PERMIT)]), clock);
        let held = coordinator.served().engine().unwrap().lineup();
        let freed = Arc::downgrade(&held);
        coordinator.on_sources(&sources(&[("a.cedar", FORBID)]), clock);
        coordinator.collect();
        drop(held);
        assert!(freed.upgrade().is_some(), "the reader was the last to hold it, and did not free it");
        coordinator.collect();
        assert!(freed.upgrade().is_none());
    }

    #[test]
    fn the_end_of_the_coordinator_is_told() {
        let coordinator = ReloadCoordinator::new(Options::default());
        let served = coordinator.served().clone();
        assert!(!served.status().is_unwatched);
        drop(coordinator);
        assert!(served.status().is_unwatched);
    }

    #[test]
    fn nothing_is_served_before_the_first_good_version() {
        let mut coordinator = ReloadCoordinator::new(Options::default());
        coordinator.on_sources(&sources(&[]), clock);
        assert!(coordinator.served().engine().is_none());
        assert!(coordinator.served().status().is_refused);
    }
}
