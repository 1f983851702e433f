//! The engine: one pointer to what is served, and decisions made through it.
//!
//! ```text
//!   decide ──load──▶ Lineup ──▶ Program: policies and rules of one generation
//!                      ▲   └──pin──▶ View: its facts at one revision
//!   swap ──────one store
//! ```
//!
//! A decision loads the pointer once, pins one view through it and asks nothing else, so that two generations or two revisions are
//! never mixed, and no reader waits.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::{
    base::{Stats, limits},
    decide::{
        Decided, Request, Terms, Why,
        decision::{Decision, Generation},
    },
    explain::{self, ExplainOptions, Explanation, Proof},
    facts::{
        FactView,
        cell::Cell,
        token::{Revision, Token},
    },
    program::Program,
    query::{Asked, List, Listed, QueryError, Rows},
    store::{CarryError, FactStore, TokenError, View},
};

/// What is served at one time.
#[derive(Debug)]
pub struct Lineup {
    generation: Generation,
    stable: Arc<Program>,
    /// The facts that all of a decision is made by, at their newest revision.
    cell: Arc<Cell<View>>,
    /// The facts in the order in which they follow, at the revision that was explained last.
    ordered: Mutex<Option<(Revision, Arc<FactView>)>>,
}

/// A lineup at one revision of its live facts.
#[derive(Debug, Clone)]
pub struct Snapshot {
    lineup: Arc<Lineup>,
    view: Arc<View>,
}

/// What answers: a lineup, and one view of its facts.
#[derive(Debug, Clone, Copy)]
struct Over<'a> {
    lineup: &'a Lineup,
    view: &'a View,
}

impl Over<'_> {
    fn decide(self, request: &Request) -> Decision {
        self.decision(self.terms().decide(request))
    }

    fn decision(self, why: Why) -> Decision {
        let Self { lineup: Lineup { generation, stable, .. }, view } = self;
        Decision { why, generation: *generation, version: stable.version(), revision: view.revision() }
    }

    fn explain(self, request: &Request, options: ExplainOptions) -> Explanation {
        let (facts, sources) = (self.ordered(), self.lineup.stable.sources());
        let terms = self.terms_over(&facts);
        let Decided { why, n_steps, n_touched } = self.terms().decide_within(request, limits::DECISION_STEPS_MAX);
        let mut explanation =
            explain::explain(terms, (facts.values(), sources), (request, options), self.decision(why));
        explanation.stats.decision = Stats::new(n_steps, n_touched);
        explanation
    }

    fn prove(self, query: &str, request: Option<&Request>, options: ExplainOptions) -> Result<Proof, QueryError> {
        self.asked_over(&self.ordered()).prove(query, request, options)
    }

    /// The facts in the order in which they follow. One revision's are kept: each is a copy of all that is derived.
    fn ordered(self) -> Arc<FactView> {
        let kept = || self.lineup.ordered.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = self.view.revision();
        if let Some((_, facts)) = kept().as_ref().filter(|(of, _)| *of == revision) {
            return facts.clone();
        }
        let facts = self.view.ordered(&self.lineup.stable);
        *kept() = Some((revision, facts.clone()));
        facts
    }

    fn outline(self, request: &Request) -> Explanation {
        explain::outline(self.terms(), self.lineup.stable.sources(), request, self.decide(request))
    }

    fn asked(&self) -> Asked<'_> {
        self.asked_over(self.view.facts())
    }

    fn asked_over<'o>(&'o self, facts: &'o Arc<FactView>) -> Asked<'o> {
        let Lineup { stable, .. } = self.lineup;
        let (sources, relations) = (stable.sources(), stable.relations());
        Asked { terms: self.terms_over(facts), pool: facts.values(), sources, relations }
    }

    fn terms(&self) -> Terms<'_> {
        self.terms_over(self.view.facts())
    }

    fn terms_over<'o>(&'o self, facts: &'o FactView) -> Terms<'o> {
        let (facts, values) = (facts.facts(), facts.values());
        Terms { facts, values, demand: self.view.demand(), ..self.lineup.stable.terms() }
    }
}

impl Snapshot {
    /// The lineup that answers.
    #[must_use]
    pub fn lineup(&self) -> &Arc<Lineup> {
        &self.lineup
    }

    /// What it answers over.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    fn over(&self) -> Over<'_> {
        Over { lineup: &self.lineup, view: &self.view }
    }

    /// Decides a request, and stops as soon as the decision is certain.
    #[must_use]
    pub fn decide(&self, request: &Request) -> Decision {
        self.over().decide(request)
    }

    /// Decides a request and says why: see [`Explanation`].
    #[must_use]
    pub fn explain(&self, request: &Request) -> Explanation {
        self.explain_with(request, ExplainOptions::default())
    }

    /// Decides a request and says why, going into more: see [`ExplainOptions`].
    #[must_use]
    pub fn explain_with(&self, request: &Request, options: ExplainOptions) -> Explanation {
        self.over().explain(request, options)
    }

    /// Decides a request and names what determines that and what failed, without their clauses and facts: an [`Explanation`] at
    /// about the cost of a decision.
    #[must_use]
    pub fn outline(&self, request: &Request) -> Explanation {
        self.over().outline(request)
    }

    /// The rows that satisfy a query, for a request if it depends on one: see [`Rows`].
    ///
    /// ```
    /// # use rune_core::{Engine, Options, Program, Sources};
    /// let rules = "version = \"rune/1.0\"\n[rules]\nrelation edge(String, String).\nedge(a, b).\nedge(b, c).";
    /// let program = Program::build(Sources::single("a.rune", rules), Options::default()).map_err(|error| error.to_string())?;
    /// let engine = Engine::new(program);
    /// let rows = engine.query("edge(X, Y), edge(Y, Z)", None).map_err(|error| error.to_string())?;
    /// assert_eq!((rows.columns.join(" "), rows.rows.len()), ("X Y Z".to_owned(), 1));
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the text is no query, if it depends on a request that was not given or does not fit, or if it takes too many steps.
    pub fn query(&self, query: &str, request: Option<&Request>) -> Result<Rows, QueryError> {
        self.over().asked().query(query, request)
    }

    /// Why a query has rows, or has none: see [`Proof`].
    ///
    /// # Errors
    ///
    /// Those of [`Self::query`].
    pub fn prove(&self, query: &str, request: Option<&Request>) -> Result<Proof, QueryError> {
        self.prove_with(query, request, ExplainOptions::default())
    }

    /// Why a query has rows, or has none, going into more: see [`ExplainOptions`].
    ///
    /// # Errors
    ///
    /// Those of [`Self::query`].
    pub fn prove_with(
        &self,
        query: &str,
        request: Option<&Request>,
        options: ExplainOptions,
    ) -> Result<Proof, QueryError> {
        self.over().prove(query, request, options)
    }

    /// The entities for which a request with one side open is allowed.
    ///
    /// # Errors
    ///
    /// If the schema has no such action or type: an unknown name is no empty list.
    pub fn list(&self, list: &List) -> Result<Listed, QueryError> {
        self.over().asked().list(list)
    }
}

impl Lineup {
    /// The number of this lineup.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The program that answers.
    #[must_use]
    pub fn stable(&self) -> &Arc<Program> {
        &self.stable
    }

    /// The lineup at the newest revision of its live facts, the last one before another lineup was served, and at that from then on.
    #[must_use]
    pub fn snapshot(self: &Arc<Self>) -> Snapshot {
        Snapshot { lineup: self.clone(), view: self.cell.load() }
    }

    /// Decides a request, and stops as soon as the decision is certain.
    #[must_use]
    pub fn decide(&self, request: &Request) -> Decision {
        let view = self.cell.pin();
        Over { lineup: self, view: &view }.decide(request)
    }
}

/// The one mutable cell of the read path: a pointer to what is served.
#[derive(Debug)]
pub struct Engine {
    lineup: ArcSwap<Lineup>,
    store: FactStore,
}

impl Engine {
    /// An engine that serves `program` as generation 1.
    #[must_use]
    pub fn new(program: Program) -> Self {
        let (stable, generation) = (Arc::new(program), Generation::FIRST);
        let (store, cell) = FactStore::new(stable.clone(), generation.get());
        Self { lineup: ArcSwap::from_pointee(Lineup { generation, stable, cell, ordered: Mutex::default() }), store }
    }

    /// The live facts: rows of relations and entities of types that are declared `@live`, which come and go while decisions are made.
    #[must_use]
    pub fn facts(&self) -> &FactStore {
        &self.store
    }

    /// What was served at the revision of a token: an answer by it is the one that was given there.
    ///
    /// # Errors
    ///
    /// If the revision is retained no longer, if another version is served by now, or if the token is of another store.
    pub fn at(&self, token: &Token) -> Result<Snapshot, TokenError> {
        let lineup = self.lineup();
        let view = self.store.at(token)?;
        // A lineup that was swapped in between is not that of the token.
        if lineup.generation.get() == view.generation() {
            Ok(Snapshot { lineup, view })
        } else {
            Err(TokenError::LineupGone)
        }
    }

    /// What is served now. Each decision by it is made at the revision that is the newest then; once another lineup is served, at the
    /// last one before.
    #[must_use]
    pub fn lineup(&self) -> Arc<Lineup> {
        self.lineup.load_full()
    }

    /// What is served now, at the newest revision of its live facts, and at that from then on.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.lineup().snapshot()
    }

    /// Decides a request by what is served now.
    #[must_use]
    pub fn decide(&self, request: &Request) -> Decision {
        self.lineup.load().decide(request)
    }

    /// Decides a request by what is served now, and says why.
    #[must_use]
    pub fn explain(&self, request: &Request) -> Explanation {
        self.snapshot().explain(request)
    }

    /// Decides a request by what is served now, and says why, going into more: see [`ExplainOptions`].
    #[must_use]
    pub fn explain_with(&self, request: &Request, options: ExplainOptions) -> Explanation {
        self.snapshot().explain_with(request, options)
    }

    /// The rows that satisfy a query, by what is served now: see [`Snapshot::query`].
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::query`].
    pub fn query(&self, query: &str, request: Option<&Request>) -> Result<Rows, QueryError> {
        self.snapshot().query(query, request)
    }

    /// Why a query has rows, or has none, by what is served now: see [`Snapshot::prove`].
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::query`].
    pub fn prove(&self, query: &str, request: Option<&Request>) -> Result<Proof, QueryError> {
        self.snapshot().prove(query, request)
    }

    /// Why a query has rows, or has none, by what is served now, going into more: see [`ExplainOptions`].
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::query`].
    pub fn prove_with(
        &self,
        query: &str,
        request: Option<&Request>,
        options: ExplainOptions,
    ) -> Result<Proof, QueryError> {
        self.snapshot().prove_with(query, request, options)
    }

    /// The entities for which a request with one side open is allowed, by what is served now.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::list`].
    pub fn list(&self, list: &List) -> Result<Listed, QueryError> {
        self.snapshot().list(list)
    }

    /// Serves `program` from now on, and returns what was served before. Decisions that have begun end where they began. Live facts
    /// stay; where there are many, [`Program::build_next`] of the program that is served makes one that takes them faster.
    ///
    /// Whoever drops the last reference to a lineup frees all of it: keep what is returned until no reader has it.
    ///
    /// # Errors
    ///
    /// If there are live facts that the program has no place for. Then nothing has changed.
    pub fn swap(&self, program: Program) -> Result<Arc<Lineup>, CarryError> {
        let stable = Arc::new(program);
        self.store.swap(stable.clone(), |cell| {
            let generation = self.lineup.load().generation.next();
            let lineup = Arc::new(Lineup { generation, stable, cell, ordered: Mutex::default() });
            (generation.get(), self.lineup.swap(lineup))
        })
    }
}
