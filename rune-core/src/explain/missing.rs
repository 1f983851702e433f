//! The facts that a permit would have needed: a small set, with which the request is allowed.

use std::sync::Arc;

use crate::{
    base::{Pool, Values, limits},
    check::rules::Names,
    datalog::{self, Bounds, Missing, Solver, Wanted},
    decide::{Reason, Request, Terms, Why},
    expr::Evaluator,
};

use super::{Atom, builder::Builder};

impl<'p> Builder<'_, 'p> {
    /// A few facts with which a permit would hold, and the request be allowed. None if none were found within the limits.
    pub(super) fn missing(&mut self, reason: Reason<'p>, request: &Request) -> Vec<Atom> {
        let (terms, pool) = (self.terms, self.pool);
        if limits::SUPPOSED_VALUES_MAX < self.values.n_values() {
            self.is_incomplete = true;
            return Vec::new();
        }
        let ways = match reason {
            Reason::Policy(policy) => {
                let mut evaluator = Evaluator::new(&mut *self.values, self.world.world, self.parts, self.steps);
                let ways = policy.ways(&mut evaluator);
                self.steps = evaluator.steps_left();
                ways
            }
            Reason::Rule(_) => Vec::new(),
        };
        let [principal, action, resource, _] = self.parts;
        let wanted: Vec<Wanted<'_>> = match reason {
            Reason::Policy(_) => ways.iter().map(|way| Wanted::All(way)).collect(),
            Reason::Rule(rule) => vec![Wanted::Row(rule, [principal, action, resource])],
        };
        // What is looked for and what is tried is paid for by the explanation.
        let (mut steps, mut search_steps) = (self.steps, limits::MISSING_STEPS_MAX.min(self.steps));
        let mut tried: Vec<Vec<Missing>> = Vec::new();
        let mut found = None;
        for wanted in wanted {
            let mut last = Tried::Denied;
            let mut solver = Solver::new(&mut *self.values, self.world.world, self.parts, search_steps);
            let searched =
                solver.missing(terms.rules, terms.schema, wanted, limits::MISSING_FACTS_MAX, &mut |values, rows| {
                    let mut set = rows.to_vec();
                    set.sort();
                    if tried.contains(&set) {
                        return false;
                    }
                    last = if limits::SUPPOSED_SETS_MAX <= tried.len() {
                        Tried::GivenUp
                    } else {
                        try_with((terms, pool), (request, reason), values, rows, &mut steps)
                    };
                    tried.push(set);
                    if last == Tried::Allowed {
                        found = Some(rows.to_vec());
                    }
                    last != Tried::Denied
                });
            search_steps = solver.steps_left();
            // What was not found within the limits may be there all the same.
            self.is_incomplete |= searched.is_err() || last == Tried::GivenUp;
            if found.is_some() || last == Tried::GivenUp {
                break;
            }
        }
        if let Some(rows) = &mut found {
            // What was found in one way may hold more than it takes: whatever it holds without goes.
            for at in (0..rows.len()).rev() {
                let mut fewer = rows.clone();
                fewer.remove(at);
                if try_with((terms, pool), (request, reason), &*self.values, &fewer, &mut steps) == Tried::Allowed {
                    *rows = fewer;
                }
            }
        }
        self.steps = steps.saturating_sub(limits::MISSING_STEPS_MAX.min(self.steps) - search_steps);
        let mut missing = Vec::new();
        for (id, row) in found.into_iter().flatten() {
            let relation = if id == Names::PARENT { "parent".into() } else { terms.rules.name(id) };
            missing.push(Atom { relation, row: row.into_iter().map(|value| self.own(value)).collect() });
        }
        missing
    }
}

/// What came of trying a set of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    /// With them the permit allows the request.
    Allowed,
    /// It is not.
    Denied,
    /// There were no steps left for it.
    GivenUp,
}

/// Whether a request would be allowed by a permit if these rows were given.
fn try_with(
    (terms, pool): (Terms<'_>, &Arc<Pool>),
    (request, reason): (&Request, Reason<'_>),
    values: &impl Values,
    rows: &[Missing],
    steps: &mut u64,
) -> Tried {
    let mut pool = Pool::over(pool.clone());
    let bounds = Bounds { steps_max: *steps, rows_max: limits::ROWS_MAX };
    let all = terms.demand.is_empty();
    let Ok((facts, demand, work)) = datalog::suppose(terms.rules, terms.facts, &mut pool, (values, rows), all, bounds)
    else {
        *steps = 0;
        return Tried::GivenUp;
    };
    let steps_max = limits::DECISION_STEPS_MAX.min(work.steps_left);
    let terms = Terms { facts: &facts, demand: &demand, values: &pool, ..terms };
    let decided = terms.decide_within(request, steps_max);
    *steps = work.steps_left - decided.n_steps.min(work.steps_left);
    // By this permit: that another allows says nothing of it.
    let is_it = |of: &Reason<'_>| of.id() == reason.id();
    let is_by_it = || match &decided.why {
        Why::AllowedBy(id) => id == reason.id() || terms.reasons(request).determining.iter().any(is_it),
        _ => false,
    };
    if is_by_it() { Tried::Allowed } else { Tried::Denied }
}
