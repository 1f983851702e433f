//! The permits that a denied request came nearest to, and the forbids that an allowed one did.

use std::sync::Arc;

use crate::{
    base::limits,
    datalog::{CompiledRule, Solver},
    decide::{Reason, Request},
    expr::{Evaluator, Want},
    facts::Tick,
    policy::{Effect, Policy},
};

use super::{Candidate, ExplainOptions, Instance, builder::Builder};

impl<'p> Builder<'_, 'p> {
    /// The permits that come nearest to holding, without those that failed, and how many there are besides.
    pub(super) fn candidates(
        &mut self,
        (request, options, is_forbidden): (&Request, ExplainOptions, bool),
        failed: &[Arc<str>],
    ) -> (Vec<Candidate>, usize) {
        let (nearest, beyond) = self.nearest(Effect::Permit, failed);
        let candidate = |reason| {
            let instance = self.reason(reason);
            let why_not = self.why_not(reason, (request, is_forbidden), options.n_missing);
            let missing = why_not.sets.first().cloned().unwrap_or_default();
            Candidate { instance, missing, why_not: options.n_missing.map(|_| why_not) }
        };
        (nearest.into_iter().map(candidate).collect(), beyond)
    }

    /// The forbids that come nearest to holding, without those that failed, and how many there are besides.
    pub(super) fn forbids(&mut self, failed: &[Arc<str>]) -> (Vec<Instance>, usize) {
        let (nearest, beyond) = self.nearest(Effect::Forbid, failed);
        self.tries_rules = false;
        let forbids = nearest.into_iter().map(|reason| self.reason(reason)).collect();
        self.tries_rules = true;
        (forbids, beyond)
    }

    /// How many forbids there are that do not hold, without those that failed.
    pub(super) fn n_forbids(&mut self, failed: &[Arc<str>]) -> usize {
        let (nearest, beyond) = self.nearest(Effect::Forbid, failed);
        nearest.len() + beyond
    }

    fn nearest(&mut self, effect: Effect, failed: &[Arc<str>]) -> (Vec<Reason<'p>>, usize) {
        let mut all: Vec<([usize; 3], Reason<'p>)> = Vec::new();
        for policy in self.terms.policies.iter().filter(|policy| policy.effect == effect) {
            if let Some(distance) = self.distance(policy) {
                all.push((distance, Reason::Policy(policy)));
            }
        }
        let mut n_of_others = 0;
        for rule in self.terms.deciding(effect) {
            // A forbid for entities of other types is told too: perhaps it should have been for these.
            if !self.is_about(rule, effect == Effect::Permit) {
                continue;
            }
            match self.distance_of_rule(rule) {
                Some(distance) => all.push((distance, Reason::Rule(rule))),
                None => n_of_others += usize::from(effect == Effect::Forbid),
            }
        }
        all.retain(|(_, reason)| !failed.contains(reason.id()));
        all.sort_by_key(|(distance, _)| *distance);
        let beyond = all.len().saturating_sub(limits::CANDIDATES_MAX) + n_of_others;
        all.truncate(limits::CANDIDATES_MAX);
        (all.into_iter().map(|(_, reason)| reason).collect(), beyond)
    }

    /// How far a policy is from holding, if it is about the action: what no fact changes weighs most, then what is false, then
    /// what was not come to.
    fn distance(&mut self, policy: &Policy) -> Option<[usize; 3]> {
        let mut evaluator = Evaluator::new(&mut *self.values, self.world.world, self.parts, self.steps);
        let (mut n_false, mut n_unreached) = (0, 0);
        policy.each_part(&mut evaluator, &mut |answer| match answer {
            Some(Ok(true)) => {}
            Some(_) => n_false += 1,
            None => n_unreached += 1,
        });
        let ways = policy.ways(&mut evaluator);
        let is_out_of_reach = ways.iter().all(|way| way.iter().any(Want::is_absence));
        let is_about_it = policy.is_about_action(&evaluator);
        self.steps = evaluator.steps_left();
        is_about_it.then_some([usize::from(is_out_of_reach), n_false, n_unreached])
    }

    /// Whether a rule is about the action, and about entities of such types if that matters.
    fn is_about(&mut self, rule: &'p CompiledRule, with_types: bool) -> bool {
        let [principal, action, resource, _] = self.parts;
        let mut solver = Solver::new(&mut *self.values, self.world.world, self.parts, self.steps);
        let is_about_it = solver.is_about(rule, [principal, action, resource], with_types);
        self.steps = solver.steps_left();
        is_about_it
    }

    /// How far a rule is from holding, unless its head names others.
    fn distance_of_rule(&mut self, rule: &'p CompiledRule) -> Option<[usize; 3]> {
        let [principal, action, resource, _] = self.parts;
        let found = self.find_instance(rule, &[principal, action, resource].map(Some), Tick::END)?;
        Some([0, 1, rule.goals.len().saturating_sub(found.done.len())])
    }
}
