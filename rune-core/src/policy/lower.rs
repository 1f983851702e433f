//! From Cedar's public syntax tree to compiled policies.
//!
//! The tree is non-exhaustive: a later Cedar may have constructs that this lowering does not know. Then the file is refused,
//! because a policy that is passed over is a decision changed in silence.

use std::{collections::BTreeMap, sync::Arc};

use cedar_policy::pst::{
    ActionConstraint, BinaryOp, Clause, Effect as PstEffect, EntityOrSlot, EntityUID, Expr as Pst, Literal,
    PatternElem, PrincipalConstraint, ResourceConstraint, SlotId, Template, UnaryOp, Var as PstVar,
};

use crate::{
    base::{Pool, Symbol, Value, Values, limits},
    check::{CheckedPolicies, Link, Statement, arity},
    diag::{Code, Finding, Findings},
    expr::{Builder, Expr, Failure, Glob, Method, Node, NodeId, TooHigh, Var},
};

use super::{ActionScope, Effect, Policy, PolicySet, Scope};

/// Why a policy cannot be compiled.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// A construct of Cedar's that is not known here.
    Unknown(String),
    /// An expression beyond [`limits::EXPRESSION_HEIGHT_MAX`].
    TooHigh,
}

impl From<TooHigh> for Refusal {
    fn from(_: TooHigh) -> Self {
        Self::TooHigh
    }
}

/// Compiles policies and the links of templates. What cannot be compiled is a finding.
pub fn lower(checked: &CheckedPolicies, values: &mut Pool, findings: &mut Findings) -> PolicySet {
    let mut policies = Vec::new();
    let mut links: BTreeMap<usize, Vec<&Link>> = BTreeMap::new();
    for link in &checked.links {
        links.entry(link.template).or_default().push(link);
    }
    for (at, statement) in checked.statements.iter().enumerate() {
        let links = links.get(&at).map_or(&[][..], |links| links);
        let lowered = lower_statement(statement, links, values, &mut policies);
        let Err(refusal) = lowered else { continue };
        findings.push(match refusal {
            Refusal::Unknown(what) => {
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
    PolicySet::new(policies)
}

fn lower_statement(
    statement: &Statement,
    links: &[&Link],
    values: &mut Pool,
    policies: &mut Vec<Policy>,
) -> Result<(), Refusal> {
    // The condition is compiled once, however many links a template has.
    let condition = condition(&statement.body, values)?.map(Arc::new);
    let annotations: BTreeMap<_, _> =
        statement.body.annotations.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
    let annotations = Arc::new(annotations);
    let policy = |link: Option<&Link>, values: &mut Pool| {
        let slots = link.map_or(&[][..], |link| &link.slots);
        Ok::<_, Refusal>(Policy {
            id: link.map_or(&statement.id, |link| &link.id).clone(),
            effect: match statement.body.effect {
                PstEffect::Permit => Effect::Permit,
                PstEffect::Forbid => Effect::Forbid,
            },
            span: statement.span,
            annotations: annotations.clone(),
            template: link.map(|_| statement.id.clone()),
            principal: match &statement.body.principal {
                PrincipalConstraint::Any => Scope::Any,
                PrincipalConstraint::Eq(entity) => Scope::Equal(fill(entity, slots, values)?),
                PrincipalConstraint::In(entity) => Scope::In(fill(entity, slots, values)?),
                PrincipalConstraint::Is(kind) => Scope::Is(values.symbol(&kind.to_string())),
                PrincipalConstraint::IsIn(kind, entity) => {
                    Scope::IsIn(values.symbol(&kind.to_string()), fill(entity, slots, values)?)
                }
            },
            action: match &statement.body.action {
                ActionConstraint::Any => ActionScope::Any,
                ActionConstraint::Eq(action) => ActionScope::Equal(entity(action, values)),
                ActionConstraint::In(actions) => {
                    ActionScope::In(actions.iter().map(|action| entity(action, values)).collect())
                }
            },
            resource: match &statement.body.resource {
                ResourceConstraint::Any => Scope::Any,
                ResourceConstraint::Eq(entity) => Scope::Equal(fill(entity, slots, values)?),
                ResourceConstraint::In(entity) => Scope::In(fill(entity, slots, values)?),
                ResourceConstraint::Is(kind) => Scope::Is(values.symbol(&kind.to_string())),
                ResourceConstraint::IsIn(kind, entity) => {
                    Scope::IsIn(values.symbol(&kind.to_string()), fill(entity, slots, values)?)
                }
            },
            condition: condition.clone(),
        })
    };
    if statement.body.is_static() {
        policies.push(policy(None, values)?);
    }
    for link in links {
        policies.push(policy(Some(link), values)?);
    }
    Ok(())
}

/// The entity that stands in a scope, or that a link puts there.
fn fill(
    entity_or_slot: &EntityOrSlot,
    slots: &[(SlotId, String, String)],
    values: &mut Pool,
) -> Result<Value, Refusal> {
    match entity_or_slot {
        EntityOrSlot::Entity(uid) => Ok(entity(uid, values)),
        EntityOrSlot::Slot(slot) => match slots.iter().find(|(filled, ..)| filled == slot) {
            Some((_, kind, id)) => Ok(values.entity(kind, id)),
            None => Err(unknown(&format_args!("the slot {slot}, which nothing fills"))),
        },
    }
}

fn entity(uid: &EntityUID, values: &mut Pool) -> Value {
    values.entity(&uid.ty.0.to_string(), &uid.eid)
}

/// All `when` and no `unless`, in the order of the text. Each operand must be a boolean, and `all` sees to that.
fn condition(body: &Template, values: &mut Pool) -> Result<Option<Expr>, Refusal> {
    if body.clauses().is_empty() {
        return Ok(None);
    }
    let mut builder = Builder::new(values);
    let mut operands = Vec::with_capacity(body.clauses().len());
    for clause in body.clauses() {
        operands.push(match clause {
            Clause::When(expr) => expression(expr, &mut builder)?,
            Clause::Unless(expr) => {
                let expr = expression(expr, &mut builder)?;
                builder.unary(Node::Not, expr)
            }
        });
    }
    let root = builder.all(&operands);
    Ok(Some(builder.finish(root)?))
}

fn unknown(what: &impl std::fmt::Display) -> Refusal {
    Refusal::Unknown(what.to_string())
}

// Recurses once per level of the tree, whose height was limited before it was parsed.
fn expression(pst: &Pst, to: &mut Builder<'_, Pool>) -> Result<NodeId, Refusal> {
    Ok(match pst {
        Pst::Literal(literal) => {
            let value = match literal {
                Literal::Bool(truth) => (*truth).into(),
                Literal::Long(number) => to.values().long(*number),
                Literal::String(text) => to.values().text(text),
                Literal::EntityUID(uid) => entity(uid, to.values()),
                _ => return Err(unknown(pst)),
            };
            to.constant(value)
        }
        Pst::Var(var) => to.var(match var {
            PstVar::Principal => Var::Principal,
            PstVar::Action => Var::Action,
            PstVar::Resource => Var::Resource,
            PstVar::Context => Var::Context,
        }),
        Pst::UnaryOp { op: UnaryOp::Decimal, expr } if stand_in(expr).is_some() => {
            let call = to.values().text(stand_in(expr).unwrap_or_default());
            to.fail(Failure::WrongArity(call))
        }
        Pst::UnaryOp { op, expr } => {
            let operand = expression(expr, to)?;
            unary(*op, operand, to)?
        }
        Pst::BinaryOp { op: BinaryOp::And, .. } => chain(pst, BinaryOp::And, to)?,
        Pst::BinaryOp { op: BinaryOp::Or, .. } => chain(pst, BinaryOp::Or, to)?,
        Pst::BinaryOp { op, left, right } => {
            let (left, right) = (expression(left, to)?, expression(right, to)?);
            binary(*op, left, right, to)?
        }
        Pst::GetAttr { expr, attr } => {
            let operand = expression(expr, to)?;
            let name = to.values().symbol(attr);
            to.attribute(operand, name)
        }
        Pst::HasAttr { expr, attrs } => {
            let operand = expression(expr, to)?;
            let path: Vec<Symbol> = attrs.iter().map(|attr| to.values().symbol(attr)).collect();
            to.has(operand, &path)
        }
        Pst::Like { expr, pattern } => {
            let operand = expression(expr, to)?;
            let pattern: Vec<_> = pattern
                .iter()
                .map(|elem| match elem {
                    PatternElem::Char(c) => Glob::Char(*c),
                    PatternElem::Wildcard => Glob::Wild,
                })
                .collect();
            to.like(operand, &pattern)
        }
        Pst::Is { expr, entity_type, in_expr } => {
            let operand = expression(expr, to)?;
            let kind = to.values().symbol(&entity_type.to_string());
            let is = to.is(operand, kind);
            match in_expr {
                None => is,
                // `e is T in a` is `e is T && e in a`.
                Some(ancestor) => {
                    let ancestor = expression(ancestor, to)?;
                    let is_in = to.binary(Node::In, operand, ancestor);
                    to.all(&[is, is_in])
                }
            }
        }
        Pst::IfThenElse { cond, then_expr, else_expr } => {
            let (test, yes) = (expression(cond, to)?, expression(then_expr, to)?);
            let no = expression(else_expr, to)?;
            to.choose(test, yes, no)
        }
        Pst::Set(elements) => {
            let elements = elements.iter().map(|element| expression(element, to)).collect::<Result<Vec<_>, _>>()?;
            to.set(&elements)
        }
        Pst::Record(members) => {
            let member = |(name, expr): (&String, &Arc<Pst>)| {
                let node = expression(expr, to)?;
                Ok((to.values().symbol(name), node))
            };
            let members = members.iter().map(member).collect::<Result<Vec<_>, Refusal>>()?;
            to.record(&members)
        }
        _ => return Err(unknown(pst)),
    })
}

/// A chain of `&&` or of `||`: the operands from left to right, however the tree leans.
fn chain(pst: &Pst, chained: BinaryOp, to: &mut Builder<'_, Pool>) -> Result<NodeId, Refusal> {
    let mut operands = Vec::new();
    let mut pending = vec![pst];
    while let Some(next) = pending.pop() {
        match next {
            Pst::BinaryOp { op, left, right } if *op == chained => {
                pending.push(right);
                pending.push(left);
            }
            other => operands.push(expression(other, to)?),
        }
    }
    Ok(if chained == BinaryOp::And { to.all(&operands) } else { to.any(&operands) })
}

/// The call that a stand-in stands for; see [`arity`].
fn stand_in(argument: &Pst) -> Option<&str> {
    match argument {
        Pst::Literal(Literal::String(text)) => text.strip_prefix(arity::STAND_IN),
        _ => None,
    }
}

fn unary(op: UnaryOp, operand: NodeId, to: &mut Builder<'_, Pool>) -> Result<NodeId, Refusal> {
    let method = match op {
        UnaryOp::Not => return Ok(to.unary(Node::Not, operand)),
        UnaryOp::Neg => return Ok(to.unary(Node::Negate, operand)),
        UnaryOp::IsEmpty => return Ok(to.unary(Node::IsEmpty, operand)),
        UnaryOp::Datetime => Method::Datetime,
        UnaryOp::Decimal => Method::Decimal,
        UnaryOp::Duration => Method::Duration,
        UnaryOp::Ip => Method::Ip,
        UnaryOp::IsIPv4 => Method::IsIpv4,
        UnaryOp::IsIPV6 => Method::IsIpv6,
        UnaryOp::IsLoopback => Method::IsLoopback,
        UnaryOp::IsMulticast => Method::IsMulticast,
        UnaryOp::ToDate => Method::ToDate,
        UnaryOp::ToTime => Method::ToTime,
        UnaryOp::ToMilliseconds => Method::ToMilliseconds,
        UnaryOp::ToSeconds => Method::ToSeconds,
        UnaryOp::ToMinutes => Method::ToMinutes,
        UnaryOp::ToHours => Method::ToHours,
        UnaryOp::ToDays => Method::ToDays,
        _ => return Err(unknown(&op)),
    };
    Ok(to.call(method, operand))
}

fn binary(op: BinaryOp, left: NodeId, right: NodeId, to: &mut Builder<'_, Pool>) -> Result<NodeId, Refusal> {
    let method = match op {
        BinaryOp::Eq => return Ok(to.binary(Node::Equal, left, right)),
        BinaryOp::NotEq => {
            let equal = to.binary(Node::Equal, left, right);
            return Ok(to.unary(Node::Not, equal));
        }
        BinaryOp::Less => return Ok(to.binary(Node::Less, left, right)),
        BinaryOp::LessEq => return Ok(to.binary(Node::LessEqual, left, right)),
        // `a > b` is `!(a <= b)`: the operands keep their order, and so do their failures.
        BinaryOp::Greater => {
            let less_equal = to.binary(Node::LessEqual, left, right);
            return Ok(to.unary(Node::Not, less_equal));
        }
        BinaryOp::GreaterEq => {
            let less = to.binary(Node::Less, left, right);
            return Ok(to.unary(Node::Not, less));
        }
        BinaryOp::Add => return Ok(to.binary(Node::Add, left, right)),
        BinaryOp::Sub => return Ok(to.binary(Node::Subtract, left, right)),
        BinaryOp::Mul => return Ok(to.binary(Node::Multiply, left, right)),
        BinaryOp::In => return Ok(to.binary(Node::In, left, right)),
        BinaryOp::Contains => return Ok(to.binary(Node::Contains, left, right)),
        BinaryOp::ContainsAll => return Ok(to.binary(Node::ContainsAll, left, right)),
        BinaryOp::ContainsAny => return Ok(to.binary(Node::ContainsAny, left, right)),
        BinaryOp::GetTag => return Ok(to.binary(Node::GetTag, left, right)),
        BinaryOp::HasTag => return Ok(to.binary(Node::HasTag, left, right)),
        BinaryOp::IsInRange => Method::IsInRange,
        BinaryOp::Offset => Method::Offset,
        BinaryOp::DurationSince => Method::DurationSince,
        BinaryOp::DecimalLessThan => Method::LessThan,
        BinaryOp::DecimalLessEq => Method::LessThanOrEqual,
        BinaryOp::DecimalGreater => Method::GreaterThan,
        BinaryOp::DecimalGreaterEq => Method::GreaterThanOrEqual,
        _ => return Err(unknown(&op)),
    };
    Ok(to.call2(method, left, right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_construct_that_is_not_known_is_refused_wherever_it_stands() {
        let unknown: Arc<Pst> = Arc::new(Pst::Unknown { name: "x".into() });
        let slot = Arc::new(Pst::Slot(SlotId::Principal));
        let yes = Arc::new(Pst::Literal(Literal::Bool(true)));
        for strange in [unknown, slot] {
            for whole in [
                (*strange).clone(),
                Pst::UnaryOp { op: UnaryOp::Not, expr: strange.clone() },
                Pst::BinaryOp { op: BinaryOp::And, left: yes.clone(), right: strange.clone() },
                Pst::BinaryOp { op: BinaryOp::Eq, left: strange.clone(), right: yes.clone() },
                Pst::Set(vec![yes.clone(), strange.clone()]),
                Pst::Record(BTreeMap::from([("a".to_owned(), strange.clone())])),
                Pst::GetAttr { expr: strange.clone(), attr: "a".into() },
                Pst::IfThenElse { cond: yes.clone(), then_expr: yes.clone(), else_expr: strange.clone() },
            ] {
                let mut values = Pool::default();
                let lowered = expression(&whole, &mut Builder::new(&mut values));
                assert!(matches!(lowered, Err(Refusal::Unknown(_))), "{whole}");
            }
        }
    }

    /// What Cedar may add cannot be made by hand here, so the text itself is the witness.
    #[test]
    fn every_wildcard_arm_refuses() {
        let text = include_str!("lower.rs").split("#[cfg(test)]").next().unwrap();
        let arms: Vec<_> =
            text.lines().map(str::trim).filter(|line| line.starts_with("_ =>") && *line != "_ => None,").collect();
        assert_eq!(arms.len(), 4, "literals, expressions, unary and binary operators: {arms:?}");
        assert!(arms.iter().all(|arm| arm.starts_with("_ => return Err(unknown(")), "{arms:?}");
    }
}
