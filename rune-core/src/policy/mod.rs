//! Policies: compiled from Cedar's public syntax tree, decided as Cedar decides.
//!
//! A request is allowed if some permit is satisfied and no forbid is. A policy whose condition fails is skipped and listed,
//! whatever its effect (`cedar-spec`, `Cedar/Spec/Authorizer.lean`).

mod lower;
mod pst;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    base::{Span, Symbol, Value, Values, View},
    expr::{Evaluator, Expr, Failure, World},
    syntax::ast::Var,
};

pub use lower::lower;

/// What a satisfied policy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It allows, unless a forbid is satisfied too.
    Permit,
    /// It denies.
    Forbid,
}

/// What the scope of a policy asks of the principal or the resource. It never fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Any,
    Equal(Value),
    In(Value),
    Is(Symbol),
    IsIn(Symbol, Value),
}

/// What the scope of a policy asks of the action.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ActionScope {
    Any,
    Equal(Value),
    In(Box<[Value]>),
}

/// A compiled policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its identity.
    pub id: Arc<str>,
    /// What it does when it is satisfied.
    pub effect: Effect,
    /// Where it stands; for a link, the template.
    pub span: Span,
    /// Its annotations, by name.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// The template that it is a link of.
    pub template: Option<Arc<str>>,
    /// Where the link stands, if it is one.
    pub link_span: Option<Span>,
    principal: Scope,
    action: ActionScope,
    resource: Scope,
    /// All `when` and no `unless`; none if there are none.
    condition: Option<Arc<Expr>>,
}

/// The policies of a program.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    /// Forbids, then permits: a decision can stop at the first forbid that is satisfied, and then at the first permit.
    policies: Vec<Policy>,
    n_forbids: usize,
}

/// A decision as the policies make it, with the policy that settles it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict<'s> {
    /// A permit is satisfied and no forbid is.
    AllowedBy(&'s Policy),
    /// A forbid is satisfied.
    ForbiddenBy(&'s Policy),
    /// No policy is satisfied.
    NotPermitted,
    /// There is no telling, so the request is denied.
    Undecided(Failure),
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// Every policy that determines a decision, and every one that failed.
#[derive(Debug, Clone, Default)]
pub struct Reasons<'s> {
    /// If a forbid is satisfied the satisfied forbids, else the satisfied permits.
    pub determining: Vec<&'s Policy>,
    /// The policies whose condition has no value, and why.
    pub failed: Vec<(&'s Policy, Failure)>,
    /// Whether the steps ran out before every policy had been looked at.
    pub is_incomplete: bool,
}

impl PolicySet {
    /// The set of these policies.
    #[must_use]
    pub fn new(mut policies: Vec<Policy>) -> Self {
        policies.sort_by_key(|policy| policy.effect == Effect::Permit);
        let n_forbids = policies.iter().filter(|policy| policy.effect == Effect::Forbid).count();
        Self { policies, n_forbids }
    }

    /// The policies, forbids first and otherwise as they are written.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }

    /// How many policies there are, links included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there is no policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Decides, and stops as soon as the decision is certain.
    pub fn decide<'s, W: World>(&'s self, evaluator: &mut Evaluator<'_, '_, W>) -> Verdict<'s> {
        let (forbids, permits) = self.policies.split_at_checked(self.n_forbids).unwrap_or_default();
        match first_satisfied(forbids, evaluator) {
            Ok(None) => {}
            Ok(Some(forbid)) => return Verdict::ForbiddenBy(forbid),
            Err(failure) => return Verdict::Undecided(failure),
        }
        match first_satisfied(permits, evaluator) {
            Ok(None) => Verdict::NotPermitted,
            Ok(Some(permit)) => Verdict::AllowedBy(permit),
            Err(failure) => Verdict::Undecided(failure),
        }
    }

    /// Looks at every policy.
    pub fn reasons<'s, W: World>(&'s self, evaluator: &mut Evaluator<'_, '_, W>) -> Reasons<'s> {
        let mut reasons = Reasons::default();
        for policy in &self.policies {
            match policy.is_satisfied(evaluator) {
                Ok(true) => reasons.determining.push(policy),
                Ok(false) => {}
                Err(Failure::TooManySteps) => {
                    reasons.is_incomplete = true;
                    break;
                }
                Err(failure) => reasons.failed.push((policy, failure)),
            }
        }
        if reasons.determining.iter().any(|policy| policy.effect == Effect::Forbid) {
            reasons.determining.retain(|policy| policy.effect == Effect::Forbid);
        }
        reasons
    }
}

/// The first policy that is satisfied. One that fails is passed over; running out of steps is a failure of the decision.
fn first_satisfied<'s, W: World>(
    policies: &'s [Policy],
    evaluator: &mut Evaluator<'_, '_, W>,
) -> Result<Option<&'s Policy>, Failure> {
    for policy in policies {
        match policy.is_satisfied(evaluator) {
            Ok(true) => return Ok(Some(policy)),
            Err(failure @ Failure::TooManySteps) => return Err(failure),
            Ok(false) | Err(_) => {}
        }
    }
    Ok(None)
}

impl Policy {
    /// Whether scope and condition hold. The scope comes first, as in Cedar: where it does not hold nothing can fail.
    fn is_satisfied<W: World>(&self, evaluator: &mut Evaluator<'_, '_, W>) -> Result<bool, Failure> {
        evaluator.spend(1)?;
        let (world, values) = (evaluator.world(), evaluator.values());
        let holds = |scope: Scope, entity: Value| match scope {
            Scope::Any => true,
            Scope::Equal(other) => entity == other,
            Scope::In(ancestor) => world.is_in(entity, ancestor),
            Scope::Is(kind) => kind_of(values, entity) == Some(kind),
            Scope::IsIn(kind, ancestor) => kind_of(values, entity) == Some(kind) && world.is_in(entity, ancestor),
        };
        let action = evaluator.var(Var::Action);
        let in_scope = holds(self.principal, evaluator.var(Var::Principal))
            && match &self.action {
                ActionScope::Any => true,
                ActionScope::Equal(other) => action == *other,
                ActionScope::In(ancestors) => ancestors.iter().any(|ancestor| world.is_in(action, *ancestor)),
            }
            && holds(self.resource, evaluator.var(Var::Resource));
        match &self.condition {
            Some(condition) if in_scope => evaluator.test(condition),
            _ => Ok(in_scope),
        }
    }
}

fn kind_of(values: &impl Values, entity: Value) -> Option<Symbol> {
    match values.view(entity) {
        View::Entity(kind, _) => Some(kind),
        _ => None,
    }
}
