//! The permits that a denied request came nearest to.

use std::sync::Arc;

use crate::{
    base::limits,
    datalog::CompiledRule,
    decide::{Reason, Request},
    expr::Evaluator,
    facts::Tick,
    policy::{Effect, Policy},
};

use super::{Candidate, builder::Builder};

impl<'p> Builder<'_, 'p> {
    /// The permits that come nearest to holding, without those that failed, and how many there are besides.
    pub(super) fn candidates(&mut self, request: &Request, failed: &[Arc<str>]) -> (Vec<Candidate>, usize) {
        let policies = self.terms.policies;
        let mut all: Vec<(usize, Reason<'p>)> = Vec::new();
        for policy in policies.iter().filter(|policy| policy.effect == Effect::Permit) {
            if let Some(n_left) = self.clauses_left(policy) {
                all.push((n_left, Reason::Policy(policy)));
            }
        }
        for rule in self.terms.rules.permits() {
            if let Some(n_left) = self.conditions_left(rule) {
                all.push((n_left, Reason::Rule(rule)));
            }
        }
        all.retain(|(_, reason)| !failed.contains(reason.id()));
        all.sort_by_key(|(n_left, _)| *n_left);
        let beyond = all.len().saturating_sub(limits::CANDIDATES_MAX);
        all.truncate(limits::CANDIDATES_MAX);
        let candidates = all.into_iter().map(|(_, reason)| {
            let instance = match reason {
                Reason::Policy(policy) => self.policy(policy),
                Reason::Rule(rule) => self.deciding_rule(rule),
            };
            Candidate { instance, missing: self.missing(reason, request) }
        });
        (candidates.collect(), beyond)
    }

    /// How many clauses of a policy are not known to hold, if it is about the action.
    fn clauses_left(&mut self, policy: &Policy) -> Option<usize> {
        let mut evaluator = Evaluator::new(&mut *self.values, self.world.world, self.parts, self.steps);
        let mut n_left = 0;
        policy.each_clause(&mut evaluator, &mut |answer| n_left += usize::from(answer != Some(Ok(true))));
        let is_about_it = policy.is_about_action(&evaluator);
        self.steps = evaluator.steps_left();
        is_about_it.then_some(n_left)
    }

    /// How many conditions of a rule are not known to hold, if it is about the action, and about entities of such types.
    fn conditions_left(&mut self, rule: &'p CompiledRule) -> Option<usize> {
        let [principal, action, resource, _] = self.parts;
        let found = self.find_instance(rule, &[principal, action, resource].map(Some), Tick::END)?;
        let is_about_it = found.failing.is_none_or(|at| at < rule.goals.len() && !rule.asks_for_action_alone(at));
        if !is_about_it {
            return None;
        }
        Some((rule.goals.len() + 1).saturating_sub(found.done.len()))
    }
}
