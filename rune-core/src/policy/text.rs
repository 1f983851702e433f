//! What the clauses of a policy say, as Cedar writes it.

use cedar_policy::pst::{BinaryOp, Clause, Expr as Pst, Template, UnaryOp};

use crate::base::limits;

/// What a clause says, as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// The operands of the chain of `&&` or `||` that it is, or that it denies.
    pub(crate) operands: Vec<Text>,
}

/// The clauses of a policy's conditions as Cedar writes them: each operand of `&&` in `when`, of `||` in `unless`.
pub(super) fn clauses(body: &Template) -> Vec<Text> {
    let mut texts = Vec::new();
    for clause in body.clauses() {
        match clause {
            Clause::When(expr) => clauses_of(expr, false, &mut texts),
            Clause::Unless(expr) => clauses_of(expr, true, &mut texts),
        }
    }
    texts
}

fn clauses_of(expr: &Pst, is_denied: bool, texts: &mut Vec<Text>) {
    for of in chained(expr, if is_denied { BinaryOp::Or } else { BinaryOp::And }) {
        match of {
            Operand::Expr(Pst::UnaryOp { op: UnaryOp::Not, expr }) if !is_denied => clauses_of(expr, true, texts),
            of => texts.push(text(&of, is_denied, limits::OPERANDS_DEPTH_MAX)),
        }
    }
}

/// An operand of a chain.
enum Operand<'p> {
    Expr(&'p Pst),
    /// Half of `e is T in a`, which asks two things.
    Half(String),
}

/// The operands of a chain of `&&` or of `||`, in order; of anything else, itself.
fn chained(expr: &Pst, operation: BinaryOp) -> Vec<Operand<'_>> {
    let (mut operands, mut pending) = (Vec::new(), vec![expr]);
    while let Some(next) = pending.pop() {
        match next {
            Pst::BinaryOp { op, left, right } if *op == operation => pending.extend([&**right, &**left]),
            Pst::Is { expr, entity_type, in_expr: Some(ancestor) } if operation == BinaryOp::And => {
                operands.push(Operand::Half(format!("{expr} is {entity_type}")));
                operands.push(Operand::Half(format!("{expr} in {ancestor}")));
            }
            other => operands.push(Operand::Expr(other)),
        }
    }
    operands
}

// Recurses once per level that is shown.
fn text(of: &Operand<'_>, is_denied: bool, depth_max: usize) -> Text {
    let mut expr = match of {
        Operand::Half(text) => return Text { text: text.clone(), operands: Vec::new() },
        Operand::Expr(expr) => *expr,
    };
    let shown = match expr {
        _ if !is_denied => expr.to_string(),
        Pst::BinaryOp { .. } => format!("not ({expr})"),
        _ => format!("not {expr}"),
    };
    while let Pst::UnaryOp { op: UnaryOp::Not, expr: inner } = expr {
        expr = inner;
    }
    let operands = match expr {
        _ if depth_max == 0 => Vec::new(),
        Pst::BinaryOp { op: op @ (BinaryOp::And | BinaryOp::Or), .. } => chained(expr, *op),
        Pst::Is { in_expr: Some(_), .. } => chained(expr, BinaryOp::And),
        _ => Vec::new(),
    };
    Text { text: shown, operands: operands.iter().map(|of| text(of, false, depth_max - 1)).collect() }
}
