//! From Cedar's public syntax tree to ours.
//!
//! Cedar's tree is non-exhaustive: a later Cedar may have constructs that are not known here. Then the file is refused, because
//! a policy that is passed over is a decision changed in silence.

use std::{fmt, sync::Arc};

use cedar_policy::pst::{
    BinaryOp, Clause, EntityUID, Expr as Pst, Literal, PatternElem, Template, UnaryOp, Var as PstVar,
};

use crate::{
    check::arity,
    syntax::ast::{Binary, Expr, ExprKind, Glob, Method, Unary, Var},
};

/// A construct of Cedar's that is not known here, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown(pub(super) String);

fn unknown(what: &impl fmt::Display) -> Unknown {
    Unknown(what.to_string())
}

/// The condition of a policy: all `when` and no `unless`, in the order of the text. None if there is neither.
///
/// # Errors
///
/// If it has a construct that is not known here.
pub fn condition(body: &Template) -> Result<Option<Expr>, Unknown> {
    let clause = |clause: &Clause| match clause {
        Clause::When(expr) => expression(expr),
        Clause::Unless(expr) => Ok(not(expression(expr)?)),
    };
    let clauses: Vec<_> = body.clauses().iter().map(clause).collect::<Result<_, _>>()?;
    Ok((!clauses.is_empty()).then(|| Expr::placeless(Expr::all(clauses))))
}

/// The type and id of an entity.
pub(super) fn entity(uid: &EntityUID) -> (String, String) {
    (uid.ty.0.to_string(), uid.eid.to_string())
}

fn not(operand: Expr) -> Expr {
    unary(Unary::Not, operand)
}

fn unary(operation: Unary, operand: Expr) -> Expr {
    Expr::placeless(ExprKind::Unary(operation, Box::new(operand)))
}

fn binary(operation: Binary, left: Expr, right: Expr) -> Expr {
    Expr::placeless(ExprKind::Binary(operation, Box::new([left, right])))
}

// Recurses once per level of the tree, whose height was limited before it was parsed.
fn expression(pst: &Pst) -> Result<Expr, Unknown> {
    let boxed = |pst: &Pst| expression(pst).map(Box::new);
    Ok(Expr::placeless(match pst {
        Pst::Literal(literal) => match literal {
            Literal::Bool(truth) => ExprKind::Bool(*truth),
            Literal::Long(number) => ExprKind::Long(*number),
            Literal::String(text) => ExprKind::Text(text.to_string()),
            Literal::EntityUID(uid) => {
                let (kind, id) = entity(uid);
                ExprKind::Entity(kind, id)
            }
            _ => return Err(unknown(pst)),
        },
        Pst::Var(var) => ExprKind::Var(match var {
            PstVar::Principal => Var::Principal,
            PstVar::Action => Var::Action,
            PstVar::Resource => Var::Resource,
            PstVar::Context => Var::Context,
        }),
        Pst::UnaryOp { op, expr } => match stand_in(*op, expr) {
            Some(call) => ExprKind::Fail(call.to_owned()),
            None => unary(unary_operation(*op)?, expression(expr)?).kind,
        },
        Pst::BinaryOp { op: op @ (BinaryOp::And | BinaryOp::Or), .. } => chain(pst, *op)?,
        Pst::BinaryOp { op, left, right } => return binary_operation(*op, expression(left)?, expression(right)?),
        Pst::GetAttr { expr, attr } => ExprKind::Attribute(boxed(expr)?, attr.to_string()),
        Pst::HasAttr { expr, attrs } => ExprKind::Has(boxed(expr)?, attrs.iter().map(ToString::to_string).collect()),
        Pst::Like { expr, pattern } => {
            let glob = |elem: &PatternElem| match elem {
                PatternElem::Char(c) => Glob::Char(*c),
                PatternElem::Wildcard => Glob::Wild,
            };
            ExprKind::Like(boxed(expr)?, pattern.iter().map(glob).collect())
        }
        Pst::Is { expr, entity_type, in_expr } => {
            let is = |expr| expression(expr).map(|operand| ExprKind::Is(Box::new(operand), entity_type.to_string()));
            match in_expr {
                None => is(expr)?,
                // `e is T in a` is `e is T && e in a`.
                Some(ancestor) => Expr::all(vec![
                    Expr::placeless(is(expr)?),
                    binary(Binary::In, expression(expr)?, expression(ancestor)?),
                ]),
            }
        }
        Pst::IfThenElse { cond, then_expr, else_expr } => {
            ExprKind::If(Box::new([expression(cond)?, expression(then_expr)?, expression(else_expr)?]))
        }
        Pst::Set(elements) => {
            ExprKind::Set(elements.iter().map(|element| expression(element)).collect::<Result<_, _>>()?)
        }
        Pst::Record(members) => {
            let member = |(name, member): (&String, &Arc<Pst>)| Ok((name.clone(), expression(member)?));
            ExprKind::Record(members.iter().map(member).collect::<Result<_, Unknown>>()?)
        }
        _ => return Err(unknown(pst)),
    }))
}

/// The call that a stand-in stands for; see [`arity`].
fn stand_in(op: UnaryOp, argument: &Pst) -> Option<&str> {
    match (op, argument) {
        (UnaryOp::Decimal, Pst::Literal(Literal::String(text))) => text.strip_prefix(arity::STAND_IN),
        _ => None,
    }
}

/// A chain of `&&` or of `||`: the operands from left to right, however the tree leans.
fn chain(pst: &Pst, chained: BinaryOp) -> Result<ExprKind, Unknown> {
    let mut operands = Vec::new();
    let mut pending = vec![pst];
    while let Some(next) = pending.pop() {
        match next {
            Pst::BinaryOp { op, left, right } if *op == chained => {
                pending.push(right);
                pending.push(left);
            }
            other => operands.push(expression(other)?),
        }
    }
    Ok(if chained == BinaryOp::And { Expr::all(operands) } else { Expr::any(operands) })
}

fn unary_operation(op: UnaryOp) -> Result<Unary, Unknown> {
    Ok(Unary::Call(match op {
        UnaryOp::Not => return Ok(Unary::Not),
        UnaryOp::Neg => return Ok(Unary::Negate),
        UnaryOp::IsEmpty => return Ok(Unary::IsEmpty),
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
    }))
}

fn binary_operation(op: BinaryOp, left: Expr, right: Expr) -> Result<Expr, Unknown> {
    let operation = match op {
        BinaryOp::Eq => Binary::Equal,
        BinaryOp::NotEq => return Ok(not(binary(Binary::Equal, left, right))),
        BinaryOp::Less => Binary::Less,
        BinaryOp::LessEq => Binary::LessEqual,
        // `a > b` is `!(a <= b)`: the operands keep their order, and so do their failures.
        BinaryOp::Greater => return Ok(not(binary(Binary::LessEqual, left, right))),
        BinaryOp::GreaterEq => return Ok(not(binary(Binary::Less, left, right))),
        BinaryOp::Add => Binary::Add,
        BinaryOp::Sub => Binary::Subtract,
        BinaryOp::Mul => Binary::Multiply,
        BinaryOp::In => Binary::In,
        BinaryOp::Contains => Binary::Contains,
        BinaryOp::ContainsAll => Binary::ContainsAll,
        BinaryOp::ContainsAny => Binary::ContainsAny,
        BinaryOp::GetTag => Binary::GetTag,
        BinaryOp::HasTag => Binary::HasTag,
        BinaryOp::IsInRange => Binary::Call(Method::IsInRange),
        BinaryOp::Offset => Binary::Call(Method::Offset),
        BinaryOp::DurationSince => Binary::Call(Method::DurationSince),
        BinaryOp::DecimalLessThan => Binary::Call(Method::LessThan),
        BinaryOp::DecimalLessEq => Binary::Call(Method::LessThanOrEqual),
        BinaryOp::DecimalGreater => Binary::Call(Method::GreaterThan),
        BinaryOp::DecimalGreaterEq => Binary::Call(Method::GreaterThanOrEqual),
        _ => return Err(unknown(&op)),
    };
    Ok(binary(operation, left, right))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cedar_policy::pst::SlotId;

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
                assert!(expression(&whole).is_err(), "{whole}");
            }
        }
    }

    /// What Cedar may add cannot be made by hand here, so the text itself is the witness.
    #[test]
    fn every_wildcard_arm_refuses() {
        let text = include_str!("pst.rs").split("#[cfg(test)]").next().unwrap();
        let is_wild = |line: &&str| line.contains("_ =>") || line.contains("_ if ");
        let arms: Vec<_> = text.lines().map(str::trim).filter(is_wild).collect();
        let (refusing, other): (Vec<&str>, Vec<&str>) =
            arms.iter().partition(|arm| arm.starts_with("_ => return Err(unknown("));
        assert_eq!(refusing.len(), 4, "literals, expressions, unary and binary operators");
        assert_eq!(other, ["_ => None,"], "what is no stand-in is converted like anything else");
    }
}
