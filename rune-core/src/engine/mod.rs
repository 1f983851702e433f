//! The engine: one pointer to what is served, and decisions made through it.
//!
//! ```text
//!   decide ──load──▶ Lineup ──▶ Program: policies and facts of one generation
//!                      ▲
//!   swap ──────one store
//! ```
//!
//! A decision loads the pointer once and asks nothing else, so that two generations are never mixed, and no reader waits.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::{
    base::{Stats, limits},
    decide::{
        Decided, Request, Terms, Why,
        decision::{Decision, Generation},
    },
    explain::{self, ExplainOptions, Explanation, Proof},
    facts::FactView,
    program::Program,
    query::{Asked, List, Listed, QueryError, Rows},
};

/// What is served at one time.
#[derive(Debug)]
pub struct Lineup {
    generation: Generation,
    stable: Arc<Program>,
    /// The facts that all of a decision is made by.
    facts: Arc<FactView>,
}

impl Lineup {
    /// The first lineup of an engine.
    pub(crate) fn first(program: Program) -> Arc<Self> {
        let facts = program.facts().clone();
        Arc::new(Self { generation: Generation::FIRST, stable: Arc::new(program), facts })
    }

    /// The lineup after this one.
    pub(crate) fn followed_by(&self, stable: Arc<Program>) -> Arc<Self> {
        let facts = stable.facts().clone();
        Arc::new(Self { generation: self.generation.next(), stable, facts })
    }

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

    /// Decides a request, and stops as soon as the decision is certain.
    #[must_use]
    pub fn decide(&self, request: &Request) -> Decision {
        self.decision(self.terms().decide(request))
    }

    fn decision(&self, why: Why) -> Decision {
        Decision { why, generation: self.generation, version: self.stable.version() }
    }

    /// Decides a request and says why: see [`Explanation`].
    #[must_use]
    pub fn explain(&self, request: &Request) -> Explanation {
        self.explain_with(request, ExplainOptions::default())
    }

    /// Decides a request and says why, going into more: see [`ExplainOptions`].
    #[must_use]
    pub fn explain_with(&self, request: &Request, options: ExplainOptions) -> Explanation {
        let (pool, sources) = (self.facts.values(), self.stable.sources());
        let Decided { why, n_steps, n_touched } = self.terms().decide_within(request, limits::DECISION_STEPS_MAX);
        let mut explanation = explain::explain(self.terms(), (pool, sources), (request, options), self.decision(why));
        explanation.stats.decision = Stats::new(n_steps, n_touched);
        explanation
    }

    /// Decides a request and names what determines that and what failed, without their clauses and facts: an [`Explanation`] at
    /// about the cost of a decision.
    #[must_use]
    pub fn outline(&self, request: &Request) -> Explanation {
        explain::outline(self.terms(), self.stable.sources(), request, self.decide(request))
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
        self.asked().query(query, request)
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
        self.asked().prove(query, request, options)
    }

    /// The entities for which a request with one side open is allowed.
    ///
    /// # Errors
    ///
    /// If the schema has no such action or type: an unknown name is no empty list.
    pub fn list(&self, list: &List) -> Result<Listed, QueryError> {
        self.asked().list(list)
    }

    fn asked(&self) -> Asked<'_> {
        let (pool, sources, relations) = (self.facts.values(), self.stable.sources(), self.stable.relations());
        Asked { terms: self.terms(), pool, sources, relations }
    }

    fn terms(&self) -> Terms<'_> {
        Terms { facts: self.facts.facts(), values: self.facts.values(), ..self.stable.terms() }
    }
}

/// The one mutable cell of the read path: a pointer to what is served.
#[derive(Debug)]
pub struct Engine {
    lineup: ArcSwap<Lineup>,
}

impl Engine {
    /// An engine that serves `program` as generation 1.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self { lineup: ArcSwap::from(Lineup::first(program)) }
    }

    /// An engine that serves this lineup.
    #[cfg(feature = "watch")]
    pub(crate) fn serving(lineup: Arc<Lineup>) -> Self {
        Self { lineup: ArcSwap::new(lineup) }
    }

    /// What is served now. For several decisions by one generation; [`Self::decide`] does this for one.
    #[must_use]
    pub fn lineup(&self) -> Arc<Lineup> {
        self.lineup.load_full()
    }

    /// Decides a request by what is served now.
    #[must_use]
    pub fn decide(&self, request: &Request) -> Decision {
        self.lineup.load().decide(request)
    }

    /// Decides a request by what is served now, and says why.
    #[must_use]
    pub fn explain(&self, request: &Request) -> Explanation {
        self.lineup().explain(request)
    }

    /// Decides a request by what is served now, and says why, going into more: see [`ExplainOptions`].
    #[must_use]
    pub fn explain_with(&self, request: &Request, options: ExplainOptions) -> Explanation {
        self.lineup().explain_with(request, options)
    }

    /// The rows that satisfy a query, by what is served now: see [`Lineup::query`].
    ///
    /// # Errors
    ///
    /// Those of [`Lineup::query`].
    pub fn query(&self, query: &str, request: Option<&Request>) -> Result<Rows, QueryError> {
        self.lineup().query(query, request)
    }

    /// Why a query has rows, or has none, by what is served now: see [`Lineup::prove`].
    ///
    /// # Errors
    ///
    /// Those of [`Lineup::query`].
    pub fn prove(&self, query: &str, request: Option<&Request>) -> Result<Proof, QueryError> {
        self.lineup().prove(query, request)
    }

    /// Why a query has rows, or has none, by what is served now, going into more: see [`ExplainOptions`].
    ///
    /// # Errors
    ///
    /// Those of [`Lineup::query`].
    pub fn prove_with(
        &self,
        query: &str,
        request: Option<&Request>,
        options: ExplainOptions,
    ) -> Result<Proof, QueryError> {
        self.lineup().prove_with(query, request, options)
    }

    /// The entities for which a request with one side open is allowed, by what is served now.
    ///
    /// # Errors
    ///
    /// Those of [`Lineup::list`].
    pub fn list(&self, list: &List) -> Result<Listed, QueryError> {
        self.lineup().list(list)
    }

    /// Serves `program` from now on, and returns what was served before. Decisions that have begun end where they began.
    ///
    /// Whoever drops the last reference to a lineup frees all of it: keep what is returned until no reader has it.
    #[must_use = "a reader that drops the last reference frees the whole lineup"]
    pub fn swap(&self, program: Program) -> Arc<Lineup> {
        let stable = Arc::new(program);
        self.lineup.rcu(|served| served.followed_by(stable.clone()))
    }

    /// Serves this lineup from now on, and returns what was served before.
    #[cfg(feature = "watch")]
    pub(crate) fn serve(&self, lineup: Arc<Lineup>) -> Arc<Lineup> {
        self.lineup.swap(lineup)
    }
}
