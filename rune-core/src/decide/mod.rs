//! A request decided by policies and rules over facts, under a schema: pure, and the same whoever asks.

mod bind;
pub mod decision;
mod request;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    base::{Pool, Scratch, Span, Value, limits},
    check::rules::{Names, PredicateId},
    datalog::{Answer, Answers, CompiledRule, DatalogEngine, Demand, Query, Solver, Work},
    expr::{Evaluator, Failure},
    facts::{Facts, Store as _, Tick},
    policy::{Effect, Policy, PolicySet, Verdict},
    schema::Schema,
};

pub(crate) use bind::{Bound, RequestWorld, bind};
pub use request::{EntityRefError, Request};

/// What a request is decided by.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The types, if there is a schema.
    pub schema: Option<&'a Schema>,
    /// The type of an action that is given by its name alone.
    pub action_type: &'a str,
    /// The policies.
    pub policies: &'a PolicySet,
    /// The rules.
    pub rules: &'a DatalogEngine,
    /// The facts.
    pub facts: &'a Facts,
    /// What is not derived from them ahead, but when it is asked for.
    pub demand: &'a Demand,
    /// The values of all these.
    pub values: &'a Pool,
}

/// What settles a decision, with one witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// This permit is satisfied, and no forbid is.
    AllowedBy(Arc<str>),
    /// This forbid is satisfied.
    ForbiddenBy(Arc<str>),
    /// No policy is satisfied.
    NotPermitted,
    /// The request does not fit the schema, or takes more than a decision may: it is denied, and this is why.
    Error(String),
}

impl Why {
    /// Whether the request may be carried out.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::AllowedBy(_))
    }

    /// Its kind, in one word for machines.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AllowedBy(_) => "allowed_by",
            Self::ForbiddenBy(_) => "forbidden_by",
            Self::NotPermitted => "not_permitted",
            Self::Error(_) => "error",
        }
    }
}

/// A policy, or a rule that decides.
#[derive(Debug, Clone, Copy)]
pub enum Reason<'a> {
    /// A policy.
    Policy(&'a Policy),
    /// A rule with the head `permit` or `forbid`.
    Rule(&'a CompiledRule),
}

impl<'a> Reason<'a> {
    /// Its identity.
    #[must_use]
    pub fn id(self) -> &'a Arc<str> {
        match self {
            Self::Policy(policy) => &policy.id,
            Self::Rule(rule) => &rule.id,
        }
    }

    /// What it does.
    #[must_use]
    pub fn effect(self) -> Effect {
        match self {
            Self::Policy(policy) => policy.effect,
            Self::Rule(rule) if rule.head == Names::FORBID => Effect::Forbid,
            Self::Rule(_) => Effect::Permit,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn span(self) -> Span {
        match self {
            Self::Policy(policy) => policy.span,
            Self::Rule(rule) => rule.span,
        }
    }

    /// Its annotations, by name.
    #[must_use]
    pub fn annotations(self) -> &'a Arc<BTreeMap<String, String>> {
        match self {
            Self::Policy(policy) => &policy.annotations,
            Self::Rule(rule) => &rule.annotations,
        }
    }
}

/// All that leads to a decision.
#[derive(Debug, Clone, Default)]
pub struct Reasons<'a> {
    /// The satisfied forbids if there are any, else the satisfied permits.
    pub determining: Vec<Reason<'a>>,
    /// The satisfied permits, if there are satisfied forbids as well.
    pub forbidden: Vec<Reason<'a>>,
    /// The policies and rules that have no value, and why.
    pub failed: Vec<(Reason<'a>, String)>,
    /// Attributes that the request supplied and that the schema does not take from requests: `principal.role`.
    pub ignored: Vec<String>,
    /// Whether the steps ran out before everything had been looked at.
    pub is_incomplete: bool,
    /// How many rows of relations rules looked at.
    pub n_touched: u64,
}

/// What settles a decision, and what it took to find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What settles it.
    pub why: Why,
    /// How many steps it took.
    pub n_steps: u64,
    /// How many rows of relations were looked at.
    pub n_touched: u64,
}

impl<'a> Terms<'a> {
    /// Decides a request, and stops as soon as the decision is certain.
    #[must_use]
    pub fn decide(self, request: &Request) -> Why {
        self.decide_within(request, limits::DECISION_STEPS_MAX).why
    }

    /// Decides a request in at most so many steps, and says how many it took.
    #[must_use]
    pub fn decide_within(self, request: &Request, steps_max: u64) -> Decided {
        match bind::bind(self, request) {
            Ok(mut bound) => self.decide_bound(&mut bound, steps_max),
            Err(error) => Decided { why: Why::Error(error), n_steps: 0, n_touched: 0 },
        }
    }

    /// Decides a request that is bound, in at most so many steps.
    pub(crate) fn decide_bound(self, bound: &mut Bound<'a>, steps_max: u64) -> Decided {
        let mut work = Work { steps_left: steps_max, n_touched: 0, n_rows: 0 };
        let why = self.try_decide(bound, &mut work).unwrap_or_else(Why::Error);
        Decided { why, n_steps: steps_max - work.steps_left, n_touched: work.n_touched }
    }

    fn try_decide(self, bound: &mut Bound<'a>, work: &mut Work) -> Result<Why, String> {
        let steps_max = std::mem::take(&mut work.steps_left);
        *work = bound.derive(self.rules, steps_max).map_err(|error| error.to_string())?;
        let Work { steps_left: steps, n_touched, .. } = work;
        let (values, world, parts) = bound.parts();
        for effect in [Effect::Forbid, Effect::Permit] {
            world.session.allow(*steps);
            let mut evaluator = Evaluator::new(&mut *values, world, parts, *steps);
            let verdict = match effect {
                Effect::Forbid => self.policies.forbidden(&mut evaluator),
                Effect::Permit => self.policies.permitted(&mut evaluator),
            };
            let n_asked = world.session.n_taken();
            *steps = evaluator.steps_left().saturating_sub(n_asked);
            *n_touched += n_asked;
            let mut undecided = None;
            match verdict {
                Verdict::Nothing => {}
                Verdict::Satisfied(policy) => return Ok(Self::settled(effect, &policy.id)),
                Verdict::Undecided(_, Failure::TooManySteps) => return Err(Failure::TooManySteps.describe(&*values)),
                Verdict::Undecided(policy, failure) => undecided = Some((&policy.id, failure)),
            }
            let mut solver = Solver::new(&mut *values, world, parts, *steps);
            for rule in self.deciding(effect) {
                world.session.allow(*steps);
                let asked = world.session.decides(self.rules, rule, subject(parts), (self.facts, solver.values()));
                let answer = match asked {
                    Some(decides) => decides.map(|decides| if decides { Answer::Yes } else { Answer::No }),
                    None => solver.decide(rule, subject(parts)),
                };
                let n_asked = world.session.n_taken();
                *steps = solver.steps_left().saturating_sub(n_asked);
                solver.allow(*steps);
                *n_touched += solver.take_touched() + n_asked;
                match answer {
                    Ok(Answer::Yes) => return Ok(Self::settled(effect, &rule.id)),
                    Ok(Answer::No) => {}
                    Ok(Answer::Undetermined(cause)) => {
                        undecided.get_or_insert((&rule.id, Failure::Undetermined(cause)));
                    }
                    Err(_) => return Err(Failure::TooManySteps.describe(&*values)),
                }
            }
            // What may forbid is not known not to.
            if let (Effect::Forbid, Some((id, failure))) = (effect, undecided) {
                return Err(format!("the forbid {id} is undetermined: {}", failure.describe(&*values)));
            }
        }
        Ok(Why::NotPermitted)
    }

    fn settled(effect: Effect, id: &Arc<str>) -> Why {
        match effect {
            Effect::Forbid => Why::ForbiddenBy(id.clone()),
            Effect::Permit => Why::AllowedBy(id.clone()),
        }
    }

    /// The rules that decide with this effect.
    pub(crate) fn deciding(self, effect: Effect) -> impl Iterator<Item = &'a CompiledRule> {
        let (forbids, permits) = match effect {
            Effect::Forbid => (Some(self.rules.forbids()), None),
            Effect::Permit => (None, Some(self.rules.permits())),
        };
        forbids.into_iter().flatten().chain(permits.into_iter().flatten())
    }

    /// Notes which clauses of policies and of rules hold of a request, or without one of the facts alone.
    pub(crate) fn cover(self, request: Option<&Request>, coverage: &mut Coverage) {
        let mut lasting = Bound::without_request(self);
        let (values, world, nothing) = lasting.parts();
        for (rule, seen) in
            self.rules.rules.iter().zip(&mut coverage.rules).filter(|(rule, _)| !self.rules.is_per_request(rule))
        {
            let mut solver = Solver::new(&mut *values, world, nothing, limits::EXPLANATION_STEPS_MAX);
            note(seen, solver.cover(rule, None).unwrap_or_default());
        }
        let Some(Ok(mut bound)) = request.map(|request| bind::bind(self, request)) else { return };
        if bound.derive(self.rules, limits::EXPLANATION_STEPS_MAX).is_err() {
            return;
        }
        let anew = bound.anew.clone();
        let (values, world, parts) = bound.parts();
        let is_about_it = |rule: &CompiledRule| self.rules.is_per_request(rule) || anew.contains(&rule.head);
        for (rule, seen) in self.rules.rules.iter().zip(&mut coverage.rules).filter(|(rule, _)| is_about_it(rule)) {
            let of = [Names::PERMIT, Names::FORBID].contains(&rule.head).then(|| subject(parts));
            let mut solver = Solver::new(&mut *values, world, parts, limits::EXPLANATION_STEPS_MAX);
            note(seen, solver.cover(rule, of).unwrap_or_default());
        }
        for policy in self.policies.iter() {
            let mut evaluator = Evaluator::new(&mut *values, world, parts, limits::EXPLANATION_STEPS_MAX);
            let mut answers = Vec::new();
            policy.each_part(&mut evaluator, &mut |answer| {
                answers.push([answer == Some(Ok(true)), answer == Some(Ok(false))]);
            });
            note(coverage.of_policy(policy), answers);
        }
    }

    /// Answers a query as a rule would for this request; the values of the rows are those of the scratch.
    ///
    /// # Errors
    ///
    /// If the request cannot be decided, or the query takes more steps than it may.
    pub fn query(self, request: &Request, query: &Query) -> Result<(Answers, Scratch<'a>), String> {
        let mut bound = bind::bind(self, request)?;
        let work = bound.derive(self.rules, limits::EXPLANATION_STEPS_MAX).map_err(|error| error.to_string())?;
        let (values, world, parts) = bound.parts();
        let answers = Solver::new(&mut *values, world, parts, work.steps_left).query(query, limits::ANSWER_ROWS_MAX);
        let answers = answers.map_err(|_| Failure::TooManySteps.describe(&*values))?;
        Ok((answers, bound.into_values()))
    }

    /// All rows of a relation that are certain without a request, given and derived, in no order.
    ///
    /// # Errors
    ///
    /// If finding them takes more steps than it may.
    pub fn rows(self, id: PredicateId) -> Result<Vec<Vec<Value>>, Failure> {
        let mut bound = Bound::without_request(self);
        let (values, world, _) = bound.parts();
        if !world.is_demanded(id) {
            let rows =
                self.facts.relations.get(id).map(|relation| relation.rows.rows().map(<[Value]>::to_vec).collect());
            return Ok(rows.unwrap_or_default());
        }
        let rows = world.demanded(&*values, id, &vec![None; self.rules.arity(id)], Tick::END)?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// Looks at every policy and rule that a request concerns. Nothing for a request that cannot be decided.
    #[must_use]
    pub fn reasons(self, request: &Request) -> Reasons<'a> {
        bind(self, request).map_or_else(|_| Reasons::default(), |mut bound| self.reasons_of(&mut bound).0)
    }

    /// Looks at every policy and rule that a bound request concerns, and says how many steps are left.
    pub(crate) fn reasons_of(self, bound: &mut Bound<'a>) -> (Reasons<'a>, u64) {
        let mut reasons = Reasons { ignored: std::mem::take(&mut bound.ignored), ..Reasons::default() };
        let Ok(work) = bound.derive(self.rules, limits::EXPLANATION_STEPS_MAX) else {
            return (Reasons { is_incomplete: true, ..reasons }, 0);
        };
        let (values, world, parts) = bound.parts();
        let mut evaluator = Evaluator::new(&mut *values, world, parts, work.steps_left);
        let of_policies = self.policies.reasons(&mut evaluator);
        let steps = evaluator.steps_left();
        reasons.is_incomplete = of_policies.is_incomplete;
        reasons.determining.extend(of_policies.satisfied.iter().map(|policy| Reason::Policy(policy)));
        let describe = |(policy, failure): &(&'a Policy, Failure)| (Reason::Policy(policy), failure.describe(&*values));
        reasons.failed.extend(of_policies.failed.iter().map(describe));
        let mut solver = Solver::new(&mut *values, world, parts, steps);
        for rule in self.deciding(Effect::Forbid).chain(self.deciding(Effect::Permit)) {
            match solver.decide(rule, subject(parts)) {
                Ok(Answer::Yes) => reasons.determining.push(Reason::Rule(rule)),
                Ok(Answer::No) => {}
                Ok(Answer::Undetermined(cause)) => {
                    let message = Failure::Undetermined(cause).describe(solver.values());
                    reasons.failed.push((Reason::Rule(rule), message));
                }
                Err(_) => reasons.is_incomplete = true,
            }
        }
        reasons.n_touched = work.n_touched + solver.n_touched();
        if reasons.determining.iter().any(|reason| reason.effect() == Effect::Forbid) {
            let is_forbid = |reason: &Reason<'_>| reason.effect() == Effect::Forbid;
            (reasons.determining, reasons.forbidden) = reasons.determining.into_iter().partition(is_forbid);
        }
        (reasons, solver.steps_left())
    }
}

/// Which clauses held, and which did not: `[yes, no]` for each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coverage {
    /// Those of policies and templates, by place.
    pub(crate) policies: BTreeMap<Span, PolicyCoverage>,
    /// Those of rules, in their order.
    pub(crate) rules: Vec<Vec<[bool; 2]>>,
}

/// The clauses of a policy, or of a template with all its links.
#[derive(Debug, Clone)]
pub(crate) struct PolicyCoverage {
    pub(crate) id: Arc<str>,
    pub(crate) clauses: Vec<(String, Span)>,
    pub(crate) seen: Vec<[bool; 2]>,
}

impl Coverage {
    /// What has been seen of a policy.
    pub(crate) fn of_policy(&mut self, policy: &Policy) -> &mut Vec<[bool; 2]> {
        let coverage = self.policies.entry(policy.span).or_insert_with(|| {
            let clauses = policy.clauses();
            let id = policy.template.as_ref().unwrap_or(&policy.id).clone();
            PolicyCoverage { id, seen: vec![[false; 2]; clauses.len()], clauses }
        });
        &mut coverage.seen
    }
}

fn note(seen: &mut Vec<[bool; 2]>, answers: Vec<[bool; 2]>) {
    seen.resize(seen.len().max(answers.len()), [false; 2]);
    for ([yes, no], [now_yes, now_no]) in seen.iter_mut().zip(answers) {
        *yes |= now_yes;
        *no |= now_no;
    }
}

/// What a decision is about: principal, action and resource.
fn subject([principal, action, resource, _]: [Value; 4]) -> [Value; 3] {
    [principal, action, resource]
}
