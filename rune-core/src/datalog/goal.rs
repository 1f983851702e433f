//! Goals: whether a rule decides a request, and the rows that answer a query.

use crate::{
    base::{Value, Values},
    facts::Store,
};

use super::{
    CompiledRule, Query,
    solve::{Flow, Solver, Stop},
};

/// Whether a rule's body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Something that decides it has no value; what, as a string.
    Undetermined(Value),
}

/// The rows that answer a query.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// The rows, in no order.
    pub rows: Vec<Vec<Value>>,
    /// Why there may be more.
    pub undetermined: Option<Value>,
}

impl<'a, V: Values, S: Store> Solver<'a, V, S> {
    /// Whether a rule of the form `permit(U, A, R) :- …` holds of a principal, an action and a resource.
    ///
    /// # Errors
    ///
    /// If that takes more steps than there are.
    pub fn decide(&mut self, rule: &'a CompiledRule, of: [Value; 3]) -> Result<Answer, Stop> {
        let Some(plan) = rule.plans.first() else { return Ok(Answer::No) };
        self.begin(rule);
        let flow = self
            .unify(&rule.args, &of, &mut |solver| solver.solve(&rule.body, plan, &mut |_| Flow::Break(Stop::Enough)));
        match flow {
            Flow::Break(Stop::Enough) => return Ok(Answer::Yes),
            Flow::Break(stop) => return Err(stop),
            Flow::Continue(()) => {}
        }
        if self.erred.is_none() && !rule.body.reads_doubts(self.store) {
            return Ok(Answer::No);
        }
        let mut undetermined = None;
        self.begin(rule);
        let flow = self.unify(&rule.args, &of, &mut |solver| {
            solver.doubts(&rule.body, plan, None, &mut |_, cause| {
                undetermined = cause;
                if cause.is_some() { Flow::Break(Stop::Enough) } else { Flow::Continue(()) }
            })
        });
        match (flow, undetermined) {
            (_, Some(cause)) => Ok(Answer::Undetermined(cause)),
            (Flow::Break(stop), None) => Err(stop),
            (Flow::Continue(()), None) => Ok(Answer::No),
        }
    }

    /// Notes, for each ask of a rule's body, whether it was answered with yes and with no. A decision is about `of`.
    ///
    /// # Errors
    ///
    /// If that takes more steps than there are.
    pub fn cover(&mut self, rule: &'a CompiledRule, of: Option<[Value; 3]>) -> Result<Vec<[bool; 2]>, Stop> {
        let Some(plan) = rule.plans.first() else { return Ok(Vec::new()) };
        self.begin(rule);
        self.coverage = Some(vec![[false; 2]; rule.body.asks.len()]);
        let flow = match of {
            Some(of) => {
                self.unify(&rule.args, &of, &mut |solver| solver.solve(&rule.body, plan, &mut |_| Flow::Continue(())))
            }
            None => self.solve(&rule.body, plan, &mut |_| Flow::Continue(())),
        };
        let coverage = self.coverage.take().unwrap_or_default();
        match flow {
            Flow::Break(Stop::TooManySteps) => Err(Stop::TooManySteps),
            _ => Ok(coverage),
        }
    }

    /// The rows that answer a query.
    ///
    /// # Errors
    ///
    /// If that takes more steps than there are, or has more than `n_max` rows: [`Stop::Enough`].
    pub fn query(&mut self, query: &'a Query, n_max: usize) -> Result<Answers, Stop> {
        let rule = query.rule();
        let mut answers = Answers::default();
        let Some(plan) = rule.plans.first() else { return Ok(answers) };
        self.begin(rule);
        let mut rows = std::collections::BTreeSet::new();
        let flow = self.solve(&rule.body, plan, &mut |solver| {
            let mut row = Vec::new();
            solver.row(&rule.args, &mut row);
            rows.insert(row);
            if n_max < rows.len() { Flow::Break(Stop::Enough) } else { Flow::Continue(()) }
        });
        if let Flow::Break(stop) = flow {
            return Err(stop);
        }
        if self.erred.is_some() || rule.body.reads_doubts(self.store) {
            self.begin(rule);
            let flow = self.doubts(&rule.body, plan, None, &mut |solver, cause| {
                let mut row = Vec::new();
                solver.row(&rule.args, &mut row);
                if cause.is_some() && !rows.contains(&row) {
                    answers.undetermined = cause;
                    return Flow::Break(Stop::Enough);
                }
                Flow::Continue(())
            });
            if flow == Flow::Break(Stop::TooManySteps) {
                return Err(Stop::TooManySteps);
            }
        }
        answers.rows = rows.into_iter().collect();
        Ok(answers)
    }
}
