//! From checked policies to compiled ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cedar_policy::pst::{
    ActionConstraint, Effect as PstEffect, EntityOrSlot, EntityUID, PrincipalConstraint, ResourceConstraint,
};

use crate::{
    base::{Pool, Span, Value, Values, limits},
    check::{CheckedPolicies, Link, Statement},
    diag::{Code, Finding, Findings},
    expr::{self, TooHigh},
};

use super::{ActionScope, Effect, Policy, PolicySet, Scope, Text, pst, text};

/// Why a policy cannot be compiled.
enum Refusal {
    /// A construct of Cedar's that is not known here.
    Unknown(pst::Unknown),
    /// An expression beyond [`limits::EXPRESSION_HEIGHT_MAX`].
    TooHigh,
}

impl From<TooHigh> for Refusal {
    fn from(_: TooHigh) -> Self {
        Self::TooHigh
    }
}

impl From<pst::Unknown> for Refusal {
    fn from(unknown: pst::Unknown) -> Self {
        Self::Unknown(unknown)
    }
}

/// Compiles policies and the links of templates. What cannot be compiled is a finding.
///
/// `derived` are the names of attributes that rules derive.
pub fn lower(
    checked: &CheckedPolicies,
    derived: &BTreeSet<String>,
    values: &mut Pool,
    findings: &mut Findings,
) -> PolicySet {
    let statics = (0..checked.statements.len()).map(|at| (at, Vec::new()));
    PolicySet::new(lower_with(checked, statics.collect(), &checked.links, derived, values, findings))
}

/// Compiles links that stand beside those of the files: those of a test.
pub fn lower_links(
    checked: &CheckedPolicies,
    links: &[Link],
    derived: &BTreeSet<String>,
    values: &mut Pool,
    findings: &mut Findings,
) -> Vec<Policy> {
    lower_with(checked, BTreeMap::new(), links, derived, values, findings)
}

fn lower_with<'l>(
    checked: &CheckedPolicies,
    mut wanted: BTreeMap<usize, Vec<&'l Link>>,
    links: &'l [Link],
    derived: &BTreeSet<String>,
    values: &mut Pool,
    findings: &mut Findings,
) -> Vec<Policy> {
    let mut policies = Vec::new();
    for link in links {
        wanted.entry(link.template).or_default().push(link);
    }
    for (at, links) in &wanted {
        let Some(statement) = checked.statements.get(*at) else { continue };
        let Err(refusal) = lower_statement(statement, links, derived, values, &mut policies) else { continue };
        findings.push(match refusal {
            Refusal::Unknown(pst::Unknown(what)) => {
                let message = format!("RUNE does not know this construct of Cedar's: {what}");
                Finding::new(Code::UnknownConstruct, statement.span, message)
            }
            Refusal::TooHigh => {
                let message =
                    format!("an expression of this policy is more than {} levels high", limits::EXPRESSION_HEIGHT_MAX);
                Finding::new(Code::ExpressionTooHigh, statement.span, message).help("split the policy")
            }
        });
    }
    policies
}

/// A static policy gives one, a template one for each of its links. The condition is compiled once, however many.
fn lower_statement(
    statement: &Statement,
    links: &[&Link],
    derived: &BTreeSet<String>,
    values: &mut Pool,
    policies: &mut Vec<Policy>,
) -> Result<(), Refusal> {
    let condition = pst::condition(&statement.body)?;
    let texts = text::clauses(&statement.body);
    let places = statement.clauses.iter().copied().chain(std::iter::repeat(statement.span));
    let clauses: Arc<[(Text, Span)]> = texts.into_iter().zip(places).collect();
    let reads_rules =
        condition.as_ref().is_some_and(|of| of.mentions().attributes.iter().any(|name| derived.contains(*name)));
    let condition = condition.map(|condition| expr::compile(&condition, values)).transpose()?.map(Arc::new);
    let annotations: BTreeMap<_, _> =
        statement.body.annotations.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
    let annotations = Arc::new(annotations);
    let is_static = statement.body.is_static().then_some(None);
    for link in is_static.into_iter().chain(links.iter().copied().map(Some)) {
        let mut filler = Filler { link, values };
        policies.push(Policy {
            id: link.map_or(&statement.id, |link| &link.id).clone(),
            effect: match statement.body.effect {
                PstEffect::Permit => Effect::Permit,
                PstEffect::Forbid => Effect::Forbid,
            },
            span: statement.span,
            annotations: annotations.clone(),
            template: link.map(|_| statement.id.clone()),
            link_span: link.map(|link| link.span),
            principal: filler.principal(&statement.body.principal)?,
            action: match &statement.body.action {
                ActionConstraint::Any => ActionScope::Any,
                ActionConstraint::Eq(action) => ActionScope::Equal(filler.entity(action)),
                ActionConstraint::In(actions) => {
                    ActionScope::In(actions.iter().map(|action| filler.entity(action)).collect())
                }
            },
            resource: filler.resource(&statement.body.resource)?,
            condition: condition.clone(),
            reads_rules,
            clauses: Arc::clone(&clauses),
        });
    }
    Ok(())
}

/// Fills the slots of a scope with the entities of a link.
struct Filler<'a> {
    link: Option<&'a Link>,
    values: &'a mut Pool,
}

impl Filler<'_> {
    fn principal(&mut self, constraint: &PrincipalConstraint) -> Result<Scope, Refusal> {
        Ok(match constraint {
            PrincipalConstraint::Any => Scope::Any,
            PrincipalConstraint::Eq(entity) => Scope::Equal(self.fill(entity)?),
            PrincipalConstraint::In(entity) => Scope::In(self.fill(entity)?),
            PrincipalConstraint::Is(kind) => Scope::Is(self.values.symbol(&kind.to_string())),
            PrincipalConstraint::IsIn(kind, entity) => {
                Scope::IsIn(self.values.symbol(&kind.to_string()), self.fill(entity)?)
            }
        })
    }

    fn resource(&mut self, constraint: &ResourceConstraint) -> Result<Scope, Refusal> {
        Ok(match constraint {
            ResourceConstraint::Any => Scope::Any,
            ResourceConstraint::Eq(entity) => Scope::Equal(self.fill(entity)?),
            ResourceConstraint::In(entity) => Scope::In(self.fill(entity)?),
            ResourceConstraint::Is(kind) => Scope::Is(self.values.symbol(&kind.to_string())),
            ResourceConstraint::IsIn(kind, entity) => {
                Scope::IsIn(self.values.symbol(&kind.to_string()), self.fill(entity)?)
            }
        })
    }

    fn fill(&mut self, entity_or_slot: &EntityOrSlot) -> Result<Value, Refusal> {
        let slot = match entity_or_slot {
            EntityOrSlot::Entity(uid) => return Ok(self.entity(uid)),
            EntityOrSlot::Slot(slot) => slot,
        };
        let filled = self.link.and_then(|link| link.slots.iter().find(|(filled, ..)| filled == slot));
        match filled {
            Some((_, kind, id)) => Ok(self.values.entity(kind, id)),
            None => Err(Refusal::Unknown(pst::Unknown(format!("the slot {slot}, which nothing fills")))),
        }
    }

    fn entity(&mut self, uid: &EntityUID) -> Value {
        let (kind, id) = pst::entity(uid);
        self.values.entity(&kind, &id)
    }
}
