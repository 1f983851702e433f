//! Whether an explanation is a proof: each fact stands where it says, or follows from facts before it by a rule as it is written.

use std::collections::BTreeMap;

use rune_core::explain::{Atom, Because, Explanation, Fact, Instance};

use super::written::{Written, WrittenGoal, bind, came_to, clause, env, is_asked, is_way, is_whole};
use crate::datalog::{
    plain::Kind,
    twin::{Env, Twin, is_known, row_of},
};

pub struct Checker<'c, 't> {
    /// The model of the rules for the request.
    pub twin: Twin<'t>,
    /// What follows from nothing, and why each of that may be.
    pub leaves: &'c BTreeMap<Atom, Vec<Because>>,
    /// The rules by their ids.
    pub rules: &'c BTreeMap<String, Written<'t>>,
}

impl Checker<'_, '_> {
    /// The first fact that does not follow, or the reason that does not hold.
    pub fn fault(&mut self, of: &Explanation) -> Option<String> {
        let is_unfounded = |at: &usize| !self.follows(&of.facts[*at], &of.facts[..*at], of.is_incomplete);
        let unfounded = (0..of.facts.len()).find(is_unfounded).map(|at| format!("{at}: {}", of.facts[at].atom));
        let mut reasons = of.determining.iter();
        unfounded.or_else(|| Some(reasons.find(|reason| !self.decides(reason, &of.facts))?.rule.id.to_string()))
    }

    fn follows(&mut self, fact: &Fact, before: &[Fact], is_incomplete: bool) -> bool {
        match &fact.because {
            Because::Rule(instance) => self.derives(instance, &fact.atom, before),
            Because::Parents { facts } => is_way(&fact.atom, facts.iter().map(|at| before.get(*at))),
            Because::Unshown => is_incomplete,
            leaf => self.leaves.get(&fact.atom).is_some_and(|leaves| leaves.contains(leaf)),
        }
    }

    fn decides(&mut self, reason: &Instance, facts: &[Fact]) -> bool {
        let Some(written) = self.rules.get(&*reason.rule.id) else {
            let mut holds = |text| self.twin.policy_condition(&clause(text)) == Ok(true);
            return is_whole(reason, facts) && reason.clauses.iter().all(|of| holds(&of.text));
        };
        self.derives(reason, &Atom { relation: written.rule.head.as_str().into(), row: Vec::new() }, facts)
    }

    fn derives(&mut self, instance: &Instance, atom: &Atom, before: &[Fact]) -> bool {
        let Some(written) = self.rules.get(&*instance.rule.id) else { return false };
        let mut env = env(&mut self.twin, instance);
        let holds = written.goals.iter().all(|goal| self.holds(goal, instance, &mut env, before));
        let is_head = written.head(&mut self.twin, &env).is_some_and(|head| head == *atom);
        is_head && holds && is_whole(instance, before) && instance.rule.place == written.place
    }

    pub fn holds(&mut self, of: &WrittenGoal<'_>, instance: &Instance, env: &mut Env, before: &[Fact]) -> bool {
        match &of.goal.kind {
            Kind::Bind(name, expr) => bind(&mut self.twin, name, expr, env),
            Kind::Atom(name, args) if name != "request" => {
                let key = row_of(args, env);
                let of_goal =
                    instance.clauses.iter().filter(|clause| clause.place == of.place && clause.text == of.text);
                let mut cited = of_goal.flat_map(|clause| &clause.facts).filter_map(|at| before.get(*at));
                let is_itself = name == "in" && (key[0] == key[1] || !key.iter().all(is_known));
                is_itself || cited.any(|fact| is_asked(&self.twin, fact, name, &key))
            }
            _ => came_to(&mut self.twin, of, env) == Ok(true),
        }
    }
}
