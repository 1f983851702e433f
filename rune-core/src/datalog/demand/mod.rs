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
mod directory;
mod plan;
mod run;
mod scratch;
mod shape;
mod tuples;

use crate::{
    base::{Value, Values},
    check::rules::PredicateId,
    facts::Store,
};

use super::{DatalogEngine, Stop};
use compile::{Built, Compiler};
use run::Run;
pub use scratch::Scratch;
use shape::{Pattern, Shapes};

/// Procedures for questions about derived relations, over rows that do not change.
#[derive(Debug, Default)]
pub struct Demand {
    shapes: Shapes,
    built: Built,
}

/// A way to ask, of one relation with some columns given.
#[derive(Debug, Clone, Copy)]
pub struct Question(usize);

impl Demand {
    /// The relations of these rules that demand can answer for, over the rows that are given in a store.
    pub fn of(engine: &DatalogEngine, store: &impl Store) -> Self {
        Self { shapes: Shapes::of(engine, store), ..Self::default() }
    }

    /// The relations that can be asked about.
    pub fn relations(&self) -> impl Iterator<Item = PredicateId> {
        self.shapes.clauses.keys().copied()
    }

    /// Prepares questions about a relation whose columns `given` have values; none if there is no way to answer them.
    pub fn prepare(
        &mut self,
        engine: &DatalogEngine,
        store: &impl Store,
        values: &impl Values,
        id: PredicateId,
        given: &[usize],
    ) -> Option<Question> {
        let arity = |id| engine.arity(id);
        let built = std::mem::take(&mut self.built);
        let mut compiler = Compiler::new(&self.shapes, store, values, &arity, built);
        let question = compiler.procedure(id, Pattern::of(given.iter().copied()));
        self.built = compiler.built;
        question.map(Question)
    }

    /// The rows that have these values in the columns that are given: their other columns, each once.
    ///
    /// # Errors
    ///
    /// If that takes more steps than it may.
    pub fn answers(
        &self,
        values: &impl Values,
        question: Question,
        key: &[Value],
        steps_max: u64,
    ) -> Result<Vec<Vec<Value>>, Stop> {
        let mut scratch = Scratch::default();
        let mut run = Run::new(&self.built, values, &mut scratch, steps_max);
        run.answers(question.0, key).map(|rows| rows.iter().map(<[Value]>::to_vec).collect())
    }
}
