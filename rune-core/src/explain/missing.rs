//! The facts that a permit would have needed: a small set, with which the request is allowed.

use std::sync::Arc;

use crate::{
    base::{OwnedValue, Pool, Values, limits},
    check::rules::Names,
    datalog::{self, Bounds, Missing, Solver, Wanted},
    decide::{Reason, Request, Terms},
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
        // What is tried is paid for by the explanation.
        let mut steps = self.steps;
        let mut taken: Vec<Missing> = Vec::new();
        let mut tried: Vec<Vec<Missing>> = Vec::new();
        for wanted in wanted {
            let mut solver = Solver::new(&mut *self.values, self.world.world, self.parts, limits::MISSING_STEPS_MAX);
            let searched =
                solver.missing(terms.rules, terms.schema, wanted, limits::MISSING_FACTS_MAX, &mut |values, rows| {
                    let mut set = rows.to_vec();
                    set.sort();
                    if tried.contains(&set) {
                        return false;
                    }
                    let is_enough = is_allowed_with((terms, pool), request, values, rows, &mut steps);
                    if is_enough {
                        taken = rows.to_vec();
                    }
                    tried.push(set);
                    is_enough || limits::SUPPOSED_SETS_MAX <= tried.len()
                });
            // What was not found within the limits may be there all the same.
            self.is_incomplete |= searched.is_err();
            if !taken.is_empty() || limits::SUPPOSED_SETS_MAX <= tried.len() {
                break;
            }
        }
        self.steps = steps;
        let atom = |(id, row): &Missing| Atom {
            relation: if *id == Names::PARENT { "parent".into() } else { terms.rules.name(*id) },
            row: row.iter().map(|value| OwnedValue::of(self.values, *value)).collect(),
        };
        taken.iter().map(atom).collect()
    }
}

/// Whether a request would be allowed if these rows were given.
fn is_allowed_with(
    (terms, pool): (Terms<'_>, &Arc<Pool>),
    request: &Request,
    values: &impl Values,
    rows: &[Missing],
    steps: &mut u64,
) -> bool {
    let mut pool = Pool::over(pool.clone());
    let bounds = Bounds { steps_max: *steps, rows_max: u64::from(u32::MAX) };
    let supposed = datalog::suppose(terms.rules, terms.facts, &mut pool, (values, rows), bounds);
    *steps = supposed.as_ref().map_or(0, |(_, work)| work.steps_left);
    let Ok((facts, _)) = supposed else { return false };
    let steps_max = limits::DECISION_STEPS_MAX.min(*steps);
    let decided = Terms { facts: &facts, values: &pool, ..terms }.decide_within(request, steps_max);
    *steps -= decided.n_steps.min(*steps);
    decided.why.is_allowed()
}
