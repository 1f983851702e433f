//! Expressions that are tests of what is there already.

use std::cmp::Ordering;

use crate::base::{Value, Values, View};

use super::{Expr, Node, NodeId};

/// A test of values that are there already: it never fails, as long as those that are put in order are integers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Check<T> {
    /// They are one value.
    Equal(T, T),
    /// The first is less.
    Less(T, T),
    /// The first is not greater.
    AtMost(T, T),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// What is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operand {
    Constant(Value),
    /// A variable of a rule, by its slot.
    Local(usize),
}

impl Expr {
    /// The test that the expression is, if it is one.
    pub(crate) fn as_check(&self) -> Option<Check<Operand>> {
        self.check(self.root)
    }

    // Recurses once per level of the expression, whose height is limited when it is built.
    fn check(&self, id: NodeId) -> Option<Check<Operand>> {
        let all = |list| self.nodes_of(list).into_iter().map(|id| self.check(id)).collect::<Option<Vec<_>>>();
        Some(match self.node(id) {
            Node::Equal(a, b) => Check::Equal(self.operand(a)?, self.operand(b)?),
            Node::Less(a, b) => Check::Less(self.operand(a)?, self.operand(b)?),
            Node::LessEqual(a, b) => Check::AtMost(self.operand(a)?, self.operand(b)?),
            Node::Not(a) => Check::Not(Box::new(self.check(a)?)),
            Node::All(list) => Check::All(all(list)?),
            Node::Any(list) => Check::Any(all(list)?),
            _ => return None,
        })
    }

    /// The operand that the expression is, if it is one that is there already.
    pub(crate) fn as_operand(&self) -> Option<Operand> {
        self.operand(self.root)
    }

    fn operand(&self, id: NodeId) -> Option<Operand> {
        match self.node(id) {
            Node::Constant(value) => Some(Operand::Constant(value)),
            Node::Local(slot) => Some(Operand::Local(slot as usize)),
            _ => None,
        }
    }
}

impl<T: Copy> Check<T> {
    /// The same test of other operands.
    // These recurse once per level of the expression.
    pub(crate) fn map<U>(&self, of: &mut dyn FnMut(T) -> U) -> Check<U> {
        match self {
            Self::Equal(a, b) => Check::Equal(of(*a), of(*b)),
            Self::Less(a, b) => Check::Less(of(*a), of(*b)),
            Self::AtMost(a, b) => Check::AtMost(of(*a), of(*b)),
            Self::Not(check) => Check::Not(Box::new(check.map(of))),
            Self::All(checks) => Check::All(checks.iter().map(|check| check.map(of)).collect()),
            Self::Any(checks) => Check::Any(checks.iter().map(|check| check.map(of)).collect()),
        }
    }

    /// What is tested.
    pub(crate) fn operands(&self) -> Vec<T> {
        let mut operands = Vec::new();
        drop(self.map(&mut |operand| operands.push(operand)));
        operands
    }

    /// What is put in order.
    pub(crate) fn ordered(&self) -> Vec<T> {
        match self {
            Self::Equal(..) => Vec::new(),
            Self::Less(a, b) | Self::AtMost(a, b) => vec![*a, *b],
            Self::Not(check) => check.ordered(),
            Self::All(checks) | Self::Any(checks) => checks.iter().flat_map(Self::ordered).collect(),
        }
    }

    /// Whether it holds. What are no integers are in no order.
    pub(crate) fn holds(&self, values: &impl Values, value: &impl Fn(T) -> Value) -> bool {
        let order = |a: T, b: T| match (values.view(value(a)), values.view(value(b))) {
            (View::Long(a), View::Long(b)) => Some(a.cmp(&b)),
            _ => None,
        };
        match self {
            Self::Equal(a, b) => value(*a) == value(*b),
            Self::Less(a, b) => order(*a, *b) == Some(Ordering::Less),
            Self::AtMost(a, b) => order(*a, *b).is_some_and(Ordering::is_le),
            Self::Not(check) => !check.holds(values, value),
            Self::All(checks) => checks.iter().all(|check| check.holds(values, value)),
            Self::Any(checks) => checks.iter().any(|check| check.holds(values, value)),
        }
    }
}
