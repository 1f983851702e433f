//! The engine: one pointer to what is served, and decisions made through it.
//!
//! ```text
//!   decide ──load──▶ Lineup ──▶ Program: policies and facts of one generation
//!                      ▲
//!   swap ──────one store
//! ```
//!
//! A decision loads the pointer once and asks nothing else, so that two generations are never mixed, and no reader waits.

mod decision;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;

use crate::{
    decide::{Request, Terms},
    facts::FactView,
    program::Program,
};

pub use decision::{Decision, Effect, Explanation, Failed, PolicyRef};

/// Counts what has been served, from 1. No two lineups of one engine have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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
        Arc::new(Self { generation: Generation(1), stable: Arc::new(program), facts })
    }

    /// The lineup after this one.
    pub(crate) fn followed_by(&self, stable: Arc<Program>) -> Arc<Self> {
        let facts = stable.facts().clone();
        Arc::new(Self { generation: Generation(self.generation.0 + 1), stable, facts })
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
        let why = self.terms().decide(request);
        Decision { why, generation: self.generation, version: self.stable.version() }
    }

    /// Decides a request and adds every policy that determines the decision, and every one that failed.
    #[must_use]
    pub fn explain(&self, request: &Request) -> Explanation {
        let program = &*self.stable;
        let reasons = self.terms().reasons(request);
        let failed = reasons.failed.into_iter().map(|(reason, message)| {
            let policy = PolicyRef::of(reason, program);
            Failed { policy, message }
        });
        Explanation {
            decision: self.decide(request),
            failed: failed.collect(),
            determining: reasons.determining.iter().map(|reason| PolicyRef::of(*reason, program)).collect(),
            ignored: reasons.ignored,
            is_incomplete: reasons.is_incomplete,
            n_rows_touched: reasons.n_touched,
        }
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
