//! Live facts: written through the API while decisions go on, each batch whole or not at all.
//!
//! ```text
//!   batch ─▶ read ─▶ rows and entities ─▶ who is known ─▶ what follows ─▶ View of the next revision ─▶ Cell ─▶ decisions
//!            every change, or every         on a copy that shares                                   └▶ Revisions: tokens
//!            reason why not                 what does not change
//! ```
//!
//! One writer at a time, which no reader waits for. It also brings another program in: what is live is carried over to it, between
//! two batches.

mod batch;
mod carried;
mod changes;
mod continued;
mod draft;
mod hierarchy;

use std::{
    collections::BTreeSet,
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    base::{LivePool, Pool},
    check::rules::PredicateId,
    datalog::Demand,
    facts::{
        FactView,
        cell::{Cell, Writer},
        revisions::{self, RevisionError, Revisions, WaitError},
        token::{Origin, Revision, Token},
    },
    program::Program,
};

pub use batch::{ApplyError, Batch, BatchError, ChangeFault};
pub use carried::CarryError;

use changes::{ANEW, Live};

/// What decisions are made over at one revision.
#[derive(Debug)]
pub struct View {
    generation: u64,
    revision: Revision,
    facts: Arc<FactView>,
    demand: Demand,
    /// The relations that are derived ahead and follow from live facts.
    ahead: Arc<BTreeSet<PredicateId>>,
}

impl View {
    /// The lineup that it belongs to.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The facts.
    #[must_use]
    pub fn facts(&self) -> &Arc<FactView> {
        &self.facts
    }

    /// The facts, each younger than those that it follows from: what follows from live facts is derived once more for that, which
    /// takes its time. Decisions do not ask for it.
    pub(crate) fn ordered(&self, program: &Program) -> Arc<FactView> {
        if self.ahead.is_empty() {
            return self.facts.clone();
        }
        let (mut facts, mut values) = (self.facts.facts().next(), Pool::over(self.facts.values().clone()));
        match changes::derive_anew(program, (&mut facts, &mut values), &self.ahead, ANEW) {
            Ok(()) => Arc::new(FactView::new(Arc::new(values), facts)),
            // What came step by step takes too much at once: then reasons are not found, which an explanation says.
            Err(_) => self.facts.clone(),
        }
    }

    /// What is not derived from them ahead.
    #[must_use]
    pub fn demand(&self) -> &Demand {
        &self.demand
    }
}

/// The live facts of one ruleset.
///
/// A batch is in force for every decision that begins after [`Self::apply`] returns.
///
/// ```
/// use rune_core::{Batch, Engine, EntityRef, Options, Program, Request, Sources};
///
/// let sources = Sources::single("a.rune", r#"
/// version = "rune/1.0"
/// [rules]
/// @live relation suspended(User).
/// @id("all") permit(U, _, _) :- U is User.
/// @id("suspended") forbid(U, _, _) :- suspended(U).
/// "#);
/// let engine = Engine::new(Program::build(sources, Options::default())?);
/// let [ada, read, plan] = [("User", "ada"), ("Action", "read"), ("Document", "plan")].map(|(a, b)| EntityRef::new(a, b));
/// let request = Request::new(ada.clone(), read, plan);
/// let before = engine.facts().token();
/// assert!(engine.decide(&request).is_allowed());
///
/// let token = engine.facts().apply(&Batch::default().insert("suspended", [ada.into()]))?;
/// assert!(!engine.decide(&request).is_allowed());
/// // An earlier revision is still there to be asked about.
/// assert!(engine.at(&before)?.decide(&request).is_allowed());
/// assert!(!engine.at(&token)?.decide(&request).is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FactStore {
    state: Mutex<State>,
    revisions: Revisions<View>,
    start: Instant,
}

/// What the writer has.
#[derive(Debug)]
struct State {
    writer: Writer<View>,
    cell: Arc<Cell<View>>,
    program: Arc<Program>,
    /// The live facts; none of a program that has none.
    live: Option<Live>,
}

/// How much of what is live there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveCounts {
    /// Rows of live relations.
    pub rows: u64,
    /// Entities of live types.
    pub entities: u64,
    /// Values that they brought along.
    pub values: u64,
}

impl FactStore {
    /// Over a program, which brings no live facts; and the cell that decisions read.
    pub(crate) fn new(program: Arc<Program>, generation: u64) -> (Self, Arc<Cell<View>>) {
        // A store that is made anew counts anew, and tokens of the one before must not be taken for its own.
        let origin = Origin::new("", RandomState::new().hash_one(0u8));
        let mut writer = Writer::default();
        let live = Live::over(&program);
        let first = Revision::new(1);
        let cell = Arc::new(writer.cell(view(&program, live.as_ref(), (generation, first))));
        let revisions = Revisions::new(origin, revisions::Bounds::default(), first, cell.load());
        let state = State { writer, cell: cell.clone(), program, live };
        (Self { state: Mutex::new(state), revisions, start: now() }, cell)
    }

    /// The revision that is served now, for those who want to be answered no older from then on.
    #[must_use]
    pub fn token(&self) -> Token {
        self.token_of(&self.revisions.newest().1)
    }

    /// The token of a view.
    pub(crate) fn token_of(&self, view: &View) -> Token {
        Token::new(self.revisions.origin(), view.generation, view.revision)
    }

    /// Makes changes, all or none, and says which revision has them. A batch none of whose changes changes anything makes no revision.
    ///
    /// # Errors
    ///
    /// Every change that cannot be made, or that what follows from them takes too much. Nothing has changed then.
    pub fn apply(&self, batch: &Batch) -> Result<Token, ApplyError> {
        let mut state = self.state();
        let State { writer, cell, program, live } = &mut *state;
        let Some(live) = live else {
            // It says of each change why there is nothing that takes it.
            batch.read(program, &mut LivePool::over(program.facts().values().clone()))?;
            return Ok(self.token());
        };
        let n_changes = live.apply(program, batch)?;
        if n_changes == 0 {
            return Ok(self.token());
        }
        let (newest, before) = self.revisions.newest();
        let next = writer.publish(cell, view(program, Some(live), (before.generation, newest.next())));
        let token = self.token_of(&next);
        self.revisions.publish(next, n_changes, now().duration_since(self.start));
        // Plans say how fast, never what: the new rows are served first.
        if live.has_drifted(program) {
            live.plan(program);
            let replanned = writer.publish(cell, view(program, Some(live), (before.generation, newest.next())));
            self.revisions.replace(replanned);
        }
        Ok(token)
    }

    /// Waits until the revision of a token is served, and says which is the newest then. The calling thread sleeps.
    ///
    /// # Errors
    ///
    /// If the token is of another store, if too many wait, or if the revision does not come in time.
    pub fn wait_for(&self, token: &Token, within: Duration) -> Result<Revision, WaitError> {
        self.revisions.wait_for(*token, within)
    }

    /// What was served at the revision of a token.
    pub(crate) fn at(&self, token: &Token) -> Result<Arc<View>, TokenError> {
        if token.origin() != self.revisions.origin() {
            return Err(TokenError::OtherStore);
        }
        self.revisions.expire(now().duration_since(self.start));
        let view = self.revisions.at(token.revision()).map_err(TokenError::Revision)?;
        if view.generation == token.generation() { Ok(view) } else { Err(TokenError::LineupGone) }
    }

    /// Another program in the place of the one that is served: what is live is carried over. `install` makes its lineup known, which
    /// reads the cell that it is given, while no batch is applied.
    ///
    /// # Errors
    ///
    /// If there are live facts that the program has no place for. Nothing has changed then.
    pub(crate) fn swap<R>(
        &self,
        program: Arc<Program>,
        install: impl FnOnce(Arc<Cell<View>>) -> (u64, R),
    ) -> Result<R, CarryError> {
        let mut state = self.state();
        let State { program: old, live, .. } = &mut *state;
        let live = match live {
            Some(before) => match continued::go_on(before, old, &program) {
                Some(live) => Some(live),
                None => carried::carry(before, old, &program).inspect_err(|_| before.recover(old))?,
            },
            None => Live::over(&program),
        };
        let (newest, before) = self.revisions.newest();
        let generation = before.generation + 1;
        let cell = Arc::new(state.writer.cell(view(&program, live.as_ref(), (generation, newest))));
        self.revisions.restart(cell.load());
        let (installed, result) = install(cell.clone());
        debug_assert_eq!(installed, generation, "a lineup has the number after the one before");
        // The cell of the lineup before lives as long as readers have that, and its last view with it.
        (state.cell, state.program, state.live) = (cell, program, live);
        Ok(result)
    }

    /// How much of what is live there is.
    #[must_use]
    pub fn counts(&self) -> LiveCounts {
        let state = self.state();
        state.live.as_ref().map_or(LiveCounts { rows: 0, entities: 0, values: 0 }, Live::counts)
    }

    /// Whether values are held as often as something names them: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.state().live.as_ref().is_none_or(Live::is_counted)
    }

    /// How many questions have taken longer than was found when they were planned: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn n_long_questions(&self) -> u64 {
        self.revisions.newest().1.demand.n_long()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn view(program: &Program, live: Option<&Live>, (generation, revision): (u64, Revision)) -> View {
    let (facts, demand, ahead) = match live {
        Some(live) => (live.facts(), live.demand().share(), live.ahead().clone()),
        None => (program.facts().clone(), program.demand().share(), Arc::default()),
    };
    View { generation, revision, facts, demand, ahead }
}

#[expect(clippy::disallowed_methods, reason = "how long revisions are retained; no decision depends on it")]
fn now() -> Instant {
    Instant::now()
}

/// Why there is nothing to be read at a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It is of another store: of another ruleset, or of one that is no more.
    OtherStore,
    /// Its revision is gone, or not there yet.
    Revision(RevisionError),
    /// Another lineup is served than the one that answered.
    LineupGone,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherStore => f.write_str("the token is of another store"),
            Self::Revision(error) => error.fmt(f),
            Self::LineupGone => f.write_str("revision gone: another version is served than the one of the token"),
        }
    }
}

impl std::error::Error for TokenError {}
