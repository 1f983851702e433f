//! Demand: a question about derived rows is answered from the rows that are given, and nothing is derived that it does not ask for.
//!
//! ```text
//!   rules ─▶ shapes (nothing in them can fail) ─▶ procedures by (relation, given columns) ─▶ answers to keys
//!                                                  └▶ orders of conditions, at costs found by trial
//! ```
//!
//! A procedure calls those of lower strata, whose answers are complete when they are read: so negation needs nothing more. The
//! design and its measurements are those of a study of this engine; its roots are magic sets (Beeri and Ramakrishnan, 1987),
//! separable recursion (Naughton, 1988), and demand transformation (Tekle and Liu, 2010).

mod ahead;
mod code;
mod compile;
mod describe;
mod directory;
mod lookup;
mod many;
mod merged;
mod plan;
mod prefix;
mod reach;
mod run;
mod samples;
mod scratch;
mod session;
pub(super) mod shape;
mod trial;
mod tuples;
mod unfold;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    base::{Values, limits},
    check::rules::PredicateId,
    facts::Store,
};

use super::{CompiledRule, DatalogEngine};
use compile::{Built, Compiler, Mode, Way};
use lookup::{Lookup, Wanted};
use shape::{Pattern, Shapes};

pub use describe::{PlannedDemand, PlannedProcedure, PlannedRule, QueryPlan};
pub use session::Session;

/// Procedures for questions about derived relations, over the rows of one view of the facts.
#[derive(Debug, Default)]
pub struct Demand {
    procedures: Arc<Procedures>,
    /// What finds rows for what decisions ask.
    lookups: Vec<Lookup>,
    /// What finds them for that and more.
    later: Mutex<Arc<Later>>,
}

/// Procedures over any view of the facts.
#[derive(Debug, Default)]
struct Procedures {
    /// The relations that are evaluated here, and not ahead.
    relations: BTreeSet<PredicateId>,
    shapes: Shapes,
    /// For what decisions ask.
    ready: Built,
    /// How rules that decide are asked about, by their places.
    deciding: Vec<Option<Way>>,
    /// Those and more: for what queries, lists and explanations have asked, in whichever view.
    more: Mutex<More>,
    /// How many questions took longer than trials had shown, and were asked again in the way that is meant for those.
    n_long: AtomicU64,
}

#[derive(Debug, Default)]
struct More {
    built: Arc<Built>,
    /// How often they were too many, and were begun with anew.
    n_anew: u64,
}

/// Procedures for what has been asked of a view besides what decisions ask.
#[derive(Debug, Default)]
struct Later {
    built: Arc<Built>,
    lookups: Vec<Lookup>,
    n_anew: u64,
}

impl Demand {
    /// Demand for these relations, over the rows that are given or derived in a store; nothing is prepared.
    pub(super) fn of(engine: &DatalogEngine, store: &impl Store, relations: BTreeSet<PredicateId>) -> Self {
        let shapes = Shapes::of(engine, store, &relations);
        Self { procedures: Arc::new(Procedures { relations, shapes, ..Procedures::default() }), ..Self::default() }
    }

    /// Whether there is nothing that it answers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.procedures.shapes.clauses.is_empty()
    }

    /// The relations that can be asked about.
    #[must_use]
    pub fn relations(&self) -> &BTreeSet<PredicateId> {
        &self.procedures.relations
    }

    /// The same, for another who asks.
    #[must_use]
    pub fn share(&self) -> Self {
        let later = self.later.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { procedures: self.procedures.clone(), lookups: self.lookups.clone(), later: Mutex::new(later) }
    }

    /// The same procedures over another view of the facts, in which these relations have other rows.
    #[must_use]
    pub fn over(&self, store: &impl Store, changed: &BTreeSet<PredicateId>) -> Self {
        let Procedures { ready, shapes, .. } = &*self.procedures;
        let anew = |(wanted, known): (&Wanted, &Lookup)| {
            if changed.contains(&wanted.id) {
                Lookup::of(wanted, store, shapes.arity(wanted.id))
            } else {
                known.clone()
            }
        };
        let lookups = ready.wanted.iter().zip(&self.lookups).map(anew).collect();
        Self { procedures: self.procedures.clone(), lookups, later: Mutex::default() }
    }

    /// How many questions took longer than was found when they were planned.
    pub fn n_long(&self) -> u64 {
        self.procedures.n_long.load(Ordering::Relaxed)
    }

    /// The columns by which rows are looked up while decisions are made.
    pub fn looked_up(&self) -> impl Iterator<Item = (PredicateId, &[usize])> {
        self.procedures.ready.wanted.iter().map(|wanted| (wanted.id, &*wanted.columns))
    }

    /// The same relations with what decisions ask prepared, over a view of the facts: rules that decide, and these relations with
    /// these columns given.
    #[must_use]
    pub fn prepare<'c>(
        &self,
        engine: &DatalogEngine,
        store: &impl Store,
        values: &impl Values,
        asked: impl IntoIterator<Item = (PredicateId, &'c [usize])>,
    ) -> Self {
        let Procedures { relations, shapes, .. } = &*self.procedures;
        let rules = engine.forbids().chain(engine.permits()).map(|rule| (engine.question(rule), [0, 1, 2].as_slice()));
        let mut asked: Vec<_> =
            asked.into_iter().chain(rules).map(|(id, columns)| (id, Pattern::of(columns.iter().copied()))).collect();
        let is_left =
            |rule: &&CompiledRule| engine.is_per_request(rule) && !shapes.clauses.contains_key(&engine.question(rule));
        for rule in engine.rules.iter().filter(is_left) {
            for plan in &rule.plans {
                plan.each_lookup(&rule.body, &mut |id, columns, _| {
                    if relations.contains(&id) {
                        asked.push((id, Pattern::of(columns)));
                    }
                });
            }
        }
        let mut compiler = Compiler::new(shapes, (store, values), (Built::default(), Vec::new()), Mode::Answer);
        for (id, pattern) in &asked {
            compiler.procedure(*id, *pattern);
        }
        // A list that takes long has much to list; whether there is something is another matter.
        let known = (compiler.built, compiler.lookups);
        let mut compiler = Compiler::new(shapes, (store, values), known, Mode::AnswerRare);
        for (id, pattern) in asked.iter().filter(|(id, pattern)| pattern.is_all(shapes.arity(*id))) {
            compiler.procedure(*id, *pattern);
        }
        let (ready, lookups) = (compiler.built, compiler.lookups);
        let more = Mutex::new(More { built: Arc::new(ready.clone()), n_anew: 0 });
        let (relations, shapes) = (relations.clone(), shapes.clone());
        let question = |rule| ready.way(engine.question(rule), Pattern::of([0, 1, 2]), Mode::Answer);
        let deciding = engine.rules.iter().map(question).collect();
        let n_long = AtomicU64::new(0);
        let procedures = Arc::new(Procedures { relations, shapes, ready, deciding, more, n_long });
        Self { procedures, lookups, later: Mutex::default() }
    }

    /// How many procedures were compiled later than for decisions.
    #[must_use]
    pub fn n_later(&self) -> usize {
        let more = self.procedures.more.lock().unwrap_or_else(PoisonError::into_inner);
        more.built.procedures.len() - self.procedures.ready.procedures.len()
    }

    /// The procedures with one more. Whoever decides has all that it asks for prepared, and never comes here.
    fn extend(
        &self,
        store: &impl Store,
        values: &impl Values,
        (id, pattern): (PredicateId, Pattern),
        mode: Mode,
    ) -> Arc<Later> {
        let Procedures { shapes, ready, more, .. } = &*self.procedures;
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        if later.built.known(id, pattern, mode).is_some() {
            return later.clone();
        }
        let mut all = more.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.procedures.len() + limits::LATER_PROCEDURES_MAX < all.built.procedures.len() {
            // Who asks for so many kinds of things asks for few of them twice.
            (all.built, all.n_anew) = (Arc::new(ready.clone()), all.n_anew + 1);
        }
        let is_begun = later.n_anew == all.n_anew && !later.lookups.is_empty();
        let known = if is_begun { &later.lookups } else { &self.lookups };
        let wanted = all.built.wanted.iter().skip(known.len());
        let new = wanted.map(|wanted| Lookup::of(wanted, store, shapes.arity(wanted.id)));
        let mut lookups: Vec<Lookup> = known.iter().cloned().chain(new).collect();
        if all.built.known(id, pattern, mode).is_none() {
            let mut compiler = Compiler::new(shapes, (store, values), (Built::clone(&all.built), lookups), mode);
            compiler.procedure(id, pattern);
            (all.built, lookups) = (Arc::new(compiler.built), compiler.lookups);
        }
        *later = Arc::new(Later { built: all.built.clone(), lookups, n_anew: all.n_anew });
        later.clone()
    }
}
