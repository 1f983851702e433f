//! A request decided by policies over facts, under a schema: pure, and the same whoever asks.

mod bind;
mod request;

use std::sync::Arc;

use crate::{
    base::limits,
    expr::Evaluator,
    facts::FactView,
    policy::{Policy, PolicySet, Verdict},
    schema::Schema,
};

pub use request::{EntityRef, EntityRefError, Request};

/// What a request is decided by.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The types, if there is a schema.
    pub schema: Option<&'a Schema>,
    /// The type of an action that is given by its name alone.
    pub action_type: &'a str,
    /// The policies.
    pub policies: &'a PolicySet,
    /// The facts; the values of the policies are theirs.
    pub facts: &'a FactView,
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
}

/// All that leads to a decision.
#[derive(Debug, Clone, Default)]
pub struct Reasons<'a> {
    /// The satisfied forbids if there are any, else the satisfied permits.
    pub determining: Vec<&'a Policy>,
    /// The policies whose conditions have no value, and why.
    pub failed: Vec<(&'a Policy, String)>,
    /// Attributes that the request supplied and that the schema does not take from requests: `principal.role`.
    pub ignored: Vec<String>,
    /// Whether the steps ran out before every policy had been looked at.
    pub is_incomplete: bool,
}

impl<'a> Terms<'a> {
    /// Decides a request, and stops as soon as the decision is certain.
    #[must_use]
    pub fn decide(self, request: &Request) -> Why {
        let mut bound = match bind::bind(self, request) {
            Ok(bound) => bound,
            Err(fault) => return Why::Error(fault),
        };
        let (values, world, parts) = bound.parts();
        let mut evaluator = Evaluator::new(values, world, parts, limits::DECISION_STEPS_MAX);
        match self.policies.decide(&mut evaluator) {
            Verdict::AllowedBy(policy) => Why::AllowedBy(policy.id.clone()),
            Verdict::ForbiddenBy(policy) => Why::ForbiddenBy(policy.id.clone()),
            Verdict::NotPermitted => Why::NotPermitted,
            Verdict::Undecided(failure) => Why::Error(failure.describe(evaluator.values())),
        }
    }

    /// Looks at every policy that a request concerns. Nothing for a request that cannot be decided.
    #[must_use]
    pub fn reasons(self, request: &Request) -> Reasons<'a> {
        let Ok(mut bound) = bind::bind(self, request) else { return Reasons::default() };
        let ignored = std::mem::take(&mut bound.ignored);
        let (values, world, parts) = bound.parts();
        let mut evaluator = Evaluator::new(values, world, parts, limits::EXPLANATION_STEPS_MAX);
        let reasons = self.policies.reasons(&mut evaluator);
        let describe = |(policy, failure): &(&'a Policy, _)| {
            let failure: &crate::expr::Failure = failure;
            (*policy, failure.describe(evaluator.values()))
        };
        let failed = reasons.failed.iter().map(describe).collect();
        Reasons { determining: reasons.determining, failed, ignored, is_incomplete: reasons.is_incomplete }
    }
}
