//! Policies: compiled from Cedar's public syntax tree, decided as Cedar decides.
//!
//! A request is allowed if some permit is satisfied and no forbid is. A policy whose condition fails is skipped and listed,
//! whatever its effect (`cedar-spec`, `Cedar/Spec/Authorizer.lean`); only a forbid that reads what rules derive is not skipped.

mod lower;
mod pst;
mod text;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    base::{Span, Symbol, Value, Values, View},
    expr::{Evaluator, Expr, Failure, NodeId, Want, Ways, World, both},
    syntax::ast::Var,
};

pub use lower::{lower, lower_links};
pub use pst::condition;
pub(crate) use text::Text;

/// What a satisfied policy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// Whether the condition names an attribute that rules derive.
    reads_rules: bool,
    /// The clauses of the condition as Cedar writes them, and where they stand.
    clauses: Arc<[(Text, Span)]>,
}

/// A part of a policy that says something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Principal,
    Action,
    Resource,
    /// A node of the condition, and whether it is denied.
    Condition(NodeId, bool),
}

/// The policies of a program.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    /// Forbids, then permits: a decision can stop at the first forbid that is satisfied, and then at the first permit.
    policies: Vec<Policy>,
    n_forbids: usize,
}

/// What came of looking for a policy that is satisfied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict<'s> {
    /// None is.
    Nothing,
    /// This one is.
    Satisfied(&'s Policy),
    /// There is no telling whether this one is, and that matters.
    Undecided(&'s Policy, Failure),
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// Every policy that is satisfied, and every one that failed.
#[derive(Debug, Clone, Default)]
pub struct Reasons<'s> {
    /// The policies that are satisfied.
    pub satisfied: Vec<&'s Policy>,
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

    /// The actions that scopes name.
    pub fn actions(&self) -> impl Iterator<Item = Value> {
        self.policies.iter().flat_map(|policy| match &policy.action {
            ActionScope::Any => Vec::new(),
            ActionScope::Equal(action) => vec![*action],
            ActionScope::In(actions) => actions.to_vec(),
        })
    }

    /// Whether some of them are links.
    #[must_use]
    pub fn has_links(&self) -> bool {
        self.policies.iter().any(|policy| policy.link_span.is_some())
    }

    /// Whether some of them forbid.
    #[must_use]
    pub fn has_forbids(&self) -> bool {
        0 < self.n_forbids
    }

    /// These policies without the links of files, unless they are wanted, and with other links.
    #[must_use]
    pub fn with_links(&self, of_files: bool, others: &[Policy]) -> Self {
        let kept = self.policies.iter().filter(|policy| of_files || policy.link_span.is_none());
        Self::new(kept.chain(others).cloned().collect())
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

    /// The first forbid that is satisfied. One that cannot be told, because of what rules derive, stands in its way.
    pub fn forbidden<'s, V: Values, W: World>(&'s self, evaluator: &mut Evaluator<'_, V, W>) -> Verdict<'s> {
        let (forbids, _) = self.policies.split_at_checked(self.n_forbids).unwrap_or_default();
        first_satisfied(forbids, evaluator)
    }

    /// The first permit that is satisfied.
    pub fn permitted<'s, V: Values, W: World>(&'s self, evaluator: &mut Evaluator<'_, V, W>) -> Verdict<'s> {
        let (_, permits) = self.policies.split_at_checked(self.n_forbids).unwrap_or_default();
        first_satisfied(permits, evaluator)
    }

    /// Looks at every policy.
    pub fn reasons<'s, V: Values, W: World>(&'s self, evaluator: &mut Evaluator<'_, V, W>) -> Reasons<'s> {
        let mut reasons = Reasons::default();
        for policy in &self.policies {
            match policy.is_satisfied(evaluator) {
                Ok(true) => reasons.satisfied.push(policy),
                Ok(false) => {}
                Err(Failure::TooManySteps) => {
                    reasons.is_incomplete = true;
                    break;
                }
                Err(failure) => reasons.failed.push((policy, failure)),
            }
        }
        reasons
    }
}

/// The first policy that is satisfied. One that fails is passed over, as in Cedar; a forbid that reads what rules derive is not,
/// because what is undetermined never grants.
fn first_satisfied<'s, V: Values, W: World>(
    policies: &'s [Policy],
    evaluator: &mut Evaluator<'_, V, W>,
) -> Verdict<'s> {
    let mut undecided = Verdict::Nothing;
    for policy in policies {
        match policy.is_satisfied(evaluator) {
            Ok(true) => return Verdict::Satisfied(policy),
            Err(Failure::TooManySteps) => return Verdict::Undecided(policy, Failure::TooManySteps),
            Err(failure) if policy.blocks(failure) => undecided = Verdict::Undecided(policy, failure),
            Ok(false) | Err(_) => {}
        }
    }
    undecided
}

impl Policy {
    /// The parts of the scope that say something, then the clauses of the condition.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let scope = [
            (self.principal != Scope::Any, Part::Principal),
            (self.action != ActionScope::Any, Part::Action),
            (self.resource != Scope::Any, Part::Resource),
        ];
        let scope = scope.into_iter().filter(|(asks, _)| *asks).map(|(_, part)| part);
        let condition = self.condition.iter().flat_map(|condition| condition.clauses());
        scope.chain(condition.map(|(id, is_denied)| Part::Condition(id, is_denied))).collect()
    }

    /// The operands of a part that is, or denies, a chain of `&&`, or of `||`; and whether of `&&`.
    pub(crate) fn operands(&self, part: Part) -> Option<(bool, Vec<Part>)> {
        let (Part::Condition(id, _), Some(condition)) = (part, &self.condition) else { return None };
        let (is_all, operands) = condition.operands(id)?;
        Some((is_all, operands.into_iter().map(|id| Part::Condition(id, false)).collect()))
    }

    /// The clauses of the policy with their places: a text for each of [`Self::parts`].
    #[must_use]
    pub fn clauses(&self) -> Vec<(String, Span)> {
        let scope = self.parts().into_iter().filter_map(|part| match part {
            Part::Principal => Some("the principal of the scope"),
            Part::Action => Some("the action of the scope"),
            Part::Resource => Some("the resource of the scope"),
            Part::Condition(..) => None,
        });
        let scope = scope.map(|text| (text.to_owned(), self.span));
        scope.chain(self.clauses.iter().map(|(of, span)| (of.text.clone(), *span))).collect()
    }

    /// What each of [`Self::parts`] says, the slots of a template filled.
    pub(crate) fn texts(&self, values: &impl Values) -> Vec<(Text, Span)> {
        let part = |name: &str, scope: Scope| match scope {
            Scope::Any => None,
            Scope::Equal(entity) => Some(format!("{name} == {}", values.show_briefly(entity))),
            Scope::In(entity) => Some(format!("{name} in {}", values.show_briefly(entity))),
            Scope::Is(kind) => Some(format!("{name} is {}", values.name(kind))),
            Scope::IsIn(kind, entity) => {
                Some(format!("{name} is {} in {}", values.name(kind), values.show_briefly(entity)))
            }
        };
        let action = match &self.action {
            ActionScope::Any => None,
            ActionScope::Equal(action) => Some(format!("action == {}", values.show_briefly(*action))),
            ActionScope::In(actions) => {
                let actions: Vec<_> = actions.iter().map(|action| values.show_briefly(*action)).collect();
                Some(format!("action in [{}]", actions.join(", ")))
            }
        };
        let scope = [part("principal", self.principal), action, part("resource", self.resource)];
        let scope = scope.into_iter().flatten().map(|text| (Text { text, operands: Vec::new() }, self.span));
        scope.chain(self.clauses.iter().cloned()).collect()
    }

    /// The entity that a part of the request must be, if the scope names one.
    pub(crate) fn names(&self, part: Var) -> Option<Value> {
        let scope = match part {
            Var::Principal => self.principal,
            Var::Resource => self.resource,
            _ => return None,
        };
        match scope {
            Scope::Equal(entity) => Some(entity),
            _ => None,
        }
    }

    /// See [`Expr::asked_of_parts`]: each must hold for the policy to be satisfied.
    pub(crate) fn asked_of_parts(&self) -> Vec<(Var, Symbol, Option<Var>)> {
        self.condition.as_ref().map(|condition| condition.asked_of_parts()).unwrap_or_default()
    }

    /// Whether the scope may take an action: it names that one, or a group of actions, or any.
    pub(crate) fn may_take(&self, of: Value) -> bool {
        !matches!(&self.action, ActionScope::Equal(action) if *action != of)
    }

    /// Whether each of [`Self::parts`] holds of a request, one after the other; none for a clause that is not come to.
    pub fn each_part<V: Values, W: World>(
        &self,
        evaluator: &mut Evaluator<'_, V, W>,
        visit: &mut dyn FnMut(Option<Result<bool, Failure>>),
    ) {
        let mut is_reached = true;
        for part in self.parts() {
            let is_asked = is_reached || !matches!(part, Part::Condition(..));
            let answer = is_asked.then(|| self.test(part, evaluator));
            is_reached &= answer == Some(Ok(true));
            visit(answer);
        }
    }

    /// Whether a part holds of a request.
    pub(crate) fn test<V: Values, W: World>(
        &self,
        part: Part,
        evaluator: &mut Evaluator<'_, V, W>,
    ) -> Result<bool, Failure> {
        match (part, &self.condition) {
            (Part::Principal, _) => holds(self.principal, evaluator.var(Var::Principal), evaluator),
            (Part::Action, _) => self.holds_action(evaluator),
            (Part::Resource, _) => holds(self.resource, evaluator.var(Var::Resource), evaluator),
            (Part::Condition(id, is_denied), Some(condition)) => {
                evaluator.test_part(condition, id).map(|holds| holds != is_denied)
            }
            (Part::Condition(..), None) => Ok(true),
        }
    }

    /// Whether a failure of this policy keeps a request from being allowed.
    #[must_use]
    pub fn blocks(&self, failure: Failure) -> bool {
        self.effect == Effect::Forbid && (self.reads_rules || matches!(failure, Failure::Undetermined(_)))
    }

    /// The rows any of which would have a part in making a part that is false true; of a clause that is true because of what it
    /// denies, false. No more than `n_max`.
    pub(crate) fn wants<V: Values, W: World>(
        &self,
        part: Part,
        evaluator: &mut Evaluator<'_, V, W>,
        n_max: usize,
    ) -> Vec<Want> {
        let (scope, var) = match part {
            Part::Principal => (self.principal, Var::Principal),
            Part::Resource => (self.resource, Var::Resource),
            Part::Action => return Vec::new(),
            Part::Condition(id, is_denied) => {
                let Some(condition) = &self.condition else { return Vec::new() };
                let is_false = evaluator.test_part(condition, id) == Ok(false);
                return evaluator.wants(condition, id, is_denied && !is_false, n_max);
            }
        };
        match scope {
            Scope::In(ancestor) | Scope::IsIn(_, ancestor) => vec![Want::Below(evaluator.var(var), ancestor)],
            Scope::Any | Scope::Equal(_) | Scope::Is(_) => Vec::new(),
        }
    }

    /// The ways to make the policy hold of a request by rows that are added, or taken away.
    pub fn ways<V: Values, W: World>(&self, evaluator: &mut Evaluator<'_, V, W>) -> Ways {
        if !self.is_about_action(evaluator) {
            return Vec::new();
        }
        let mut ways = vec![Vec::new()];
        for (part, var) in [(self.principal, Var::Principal), (self.resource, Var::Resource)] {
            let entity = evaluator.var(var);
            let of_part = match (holds(part, entity, evaluator), part) {
                (Ok(true), _) => vec![Vec::new()],
                (Ok(false), Scope::In(ancestor)) => vec![vec![Want::Below(entity, ancestor)]],
                (Ok(false), Scope::IsIn(kind, ancestor)) if kind_of(evaluator.values(), entity) == Some(kind) => {
                    vec![vec![Want::Below(entity, ancestor)]]
                }
                _ => Vec::new(),
            };
            ways = both(&ways, &of_part);
        }
        match &self.condition {
            Some(condition) => both(&ways, &evaluator.ways(condition)),
            None => ways,
        }
    }

    /// Whether the scope takes the action of the request.
    #[must_use]
    pub fn is_about_action<V: Values, W: World>(&self, evaluator: &Evaluator<'_, V, W>) -> bool {
        self.holds_action(evaluator) == Ok(true)
    }

    fn holds_action<V: Values, W: World>(&self, evaluator: &Evaluator<'_, V, W>) -> Result<bool, Failure> {
        let action = evaluator.var(Var::Action);
        match &self.action {
            ActionScope::Any => Ok(true),
            ActionScope::Equal(other) => Ok(action == *other),
            ActionScope::In(ancestors) => {
                let is_in = |ancestor: &Value| evaluator.world().is_in(evaluator.values(), action, *ancestor);
                ancestors.iter().map(is_in).find(|is_in| *is_in != Ok(false)).unwrap_or(Ok(false))
            }
        }
    }

    /// Whether scope and condition hold. The scope comes first, as in Cedar: where it does not hold nothing can fail.
    fn is_satisfied<V: Values, W: World>(&self, evaluator: &mut Evaluator<'_, V, W>) -> Result<bool, Failure> {
        evaluator.spend(1)?;
        let action = self.holds_action(evaluator);
        // A part that does not hold settles it, whatever is undetermined of the others.
        let principal = holds(self.principal, evaluator.var(Var::Principal), evaluator);
        if principal == Ok(false) || action == Ok(false) {
            return Ok(false);
        }
        let resource = holds(self.resource, evaluator.var(Var::Resource), evaluator);
        let in_scope = resource != Ok(false) && principal? && action? && resource?;
        match &self.condition {
            Some(condition) if in_scope => evaluator.test(condition),
            _ => Ok(in_scope),
        }
    }
}

/// Whether a part of a scope holds of an entity.
fn holds<V: Values, W: World>(scope: Scope, entity: Value, evaluator: &Evaluator<'_, V, W>) -> Result<bool, Failure> {
    let (world, values) = (evaluator.world(), evaluator.values());
    match scope {
        Scope::Any => Ok(true),
        Scope::Equal(other) => Ok(entity == other),
        Scope::Is(kind) => Ok(kind_of(values, entity) == Some(kind)),
        Scope::IsIn(kind, _) if kind_of(values, entity) != Some(kind) => Ok(false),
        Scope::In(ancestor) | Scope::IsIn(_, ancestor) => world.is_in(values, entity, ancestor),
    }
}

/// The type of an entity.
pub(crate) fn kind_of(values: &impl Values, entity: Value) -> Option<Symbol> {
    match values.view(entity) {
        View::Entity(kind, _) => Some(kind),
        _ => None,
    }
}
