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

mod code;
mod compile;
mod describe;
mod directory;
mod plan;
mod run;
mod scratch;
mod session;
mod shape;
mod tuples;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{base::Values, check::rules::PredicateId, facts::Store};

use super::{CompiledRule, DatalogEngine};
use compile::{Built, Compiler, Mode};
use shape::{Pattern, Shapes};

pub use describe::{PlannedDemand, PlannedProcedure, PlannedRule, QueryPlan};
pub use session::Session;

/// Procedures for questions about derived relations, over rows that do not change.
#[derive(Debug, Default)]
pub struct Demand {
    /// The relations that are evaluated here, and not ahead.
    relations: BTreeSet<PredicateId>,
    shapes: Shapes,
    /// Procedures for what decisions ask.
    ready: Built,
    /// Those and more: for what queries, lists and explanations have asked.
    more: Mutex<Arc<Built>>,
}

impl Demand {
    /// Demand for these relations, over the rows that are given or derived in a store; nothing is prepared.
    pub(super) fn of(engine: &DatalogEngine, store: &impl Store, relations: BTreeSet<PredicateId>) -> Self {
        let shapes = Shapes::of(engine, store, &relations);
        Self { relations, shapes, ..Self::default() }
    }

    /// Whether there is nothing that it answers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shapes.clauses.is_empty()
    }

    /// The relations that can be asked about.
    #[must_use]
    pub fn relations(&self) -> &BTreeSet<PredicateId> {
        &self.relations
    }

    /// Prepares what decisions ask: rules that decide, and these relations with these columns given.
    pub fn prepare<'c>(
        &mut self,
        engine: &DatalogEngine,
        store: &impl Store,
        values: &impl Values,
        asked: impl IntoIterator<Item = (PredicateId, &'c [usize])>,
    ) {
        let built = std::mem::take(&mut self.ready);
        let rules = engine.forbids().chain(engine.permits()).map(|rule| (engine.question(rule), [0, 1, 2].as_slice()));
        let mut asked: Vec<_> =
            asked.into_iter().chain(rules).map(|(id, columns)| (id, Pattern::of(columns.iter().copied()))).collect();
        let is_left = |rule: &&CompiledRule| {
            engine.is_per_request(rule) && !self.shapes.clauses.contains_key(&engine.question(rule))
        };
        for rule in engine.rules.iter().filter(is_left) {
            for plan in &rule.plans {
                plan.each_lookup(&rule.body, &mut |id, columns, _| {
                    if self.relations.contains(&id) {
                        asked.push((id, Pattern::of(columns)));
                    }
                });
            }
        }
        let mut compiler = Compiler::new(&self.shapes, store, values, built, Mode::Answer);
        for (id, pattern) in &asked {
            compiler.procedure(*id, *pattern);
        }
        // A list that takes long has much to list; whether there is something is another matter.
        let mut compiler = Compiler::new(&self.shapes, store, values, compiler.built, Mode::AnswerRare);
        for (id, pattern) in asked.iter().filter(|(id, pattern)| pattern.is_all(self.shapes.arity(*id))) {
            compiler.procedure(*id, *pattern);
        }
        self.ready = compiler.built;
        *self.more.get_mut().unwrap_or_else(PoisonError::into_inner) = Arc::new(self.ready.clone());
    }

    /// How many procedures were compiled later than for decisions.
    #[must_use]
    pub fn n_later(&self) -> usize {
        let more = self.more.lock().unwrap_or_else(PoisonError::into_inner);
        more.procedures.len() - self.ready.procedures.len()
    }

    /// The procedures with one more. Whoever decides has all that it asks for prepared, and never comes here.
    fn extend(
        &self,
        store: &impl Store,
        values: &impl Values,
        (id, pattern): (PredicateId, Pattern),
        mode: Mode,
    ) -> Arc<Built> {
        let mut built = self.more.lock().unwrap_or_else(PoisonError::into_inner);
        if built.known(id, pattern, mode).is_none() {
            let mut compiler = Compiler::new(&self.shapes, store, values, Built::clone(&built), mode);
            compiler.procedure(id, pattern);
            *built = Arc::new(compiler.built);
        }
        built.clone()
    }
}
