//! The one compiled expression: Cedar's language over [`Value`]s, for the conditions of policies and the guards of rules.
//!
//! An expression is a flat list of nodes that refer to earlier ones, so that it is one allocation to walk. Its meaning is
//! Cedar's, from the specification in Lean (`cedar-spec`, `Cedar/Spec/Evaluator.lean`): strict, left to right, the first
//! failure wins. Two things are done ahead: chains of `&&` and `||` are flat, and what is constant in sets, records and calls is
//! computed, a failing constructor into a node that fails when it is reached.

mod check;
mod compile;
pub mod eval;
pub mod extension;
mod like;
mod want;
mod world;

use crate::{
    base::{Symbol, Value},
    syntax::ast::{Method, Var},
};

pub(crate) use check::{Check, Operand};
pub use compile::{TooHigh, compile, compile_guard};
pub use eval::{Evaluator, Failure, Member};
pub use want::{Want, Ways, both};
pub use world::{Derived, Form, World};

/// A reference to a node of the same expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId(u32);

/// A reference to a run of the same expression's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListId {
    start: u32,
    len: u32,
}

/// An attribute of what a node is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attribute {
    owner: NodeId,
    source: Source,
    name: Symbol,
}

/// Where the attributes of an entity come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The facts, and over them what the request supplies.
    Request,
    /// The facts alone.
    Facts,
}

/// One step of an expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node {
    /// A value known in advance.
    Constant(Value),
    /// A failure known in advance, by its place among the expression's failures.
    Fail(u32),
    /// A part of the request.
    Var(Var),
    /// A variable of a rule, by its slot.
    Local(u32),
    /// All are true; stops at the first that is not. Each must be a boolean.
    All(ListId),
    /// One is true; stops at the first that is. Each must be a boolean.
    Any(ListId),
    /// If the first, then the second, else the third.
    If(NodeId, NodeId, NodeId),
    /// Boolean negation.
    Not(NodeId),
    /// Arithmetic negation.
    Negate(NodeId),
    /// Whether a set has no element.
    IsEmpty(NodeId),
    /// Equal, whatever the types.
    Equal(NodeId, NodeId),
    /// `<` of integers, points in time, lengths of time.
    Less(NodeId, NodeId),
    /// `<=` of the same.
    LessEqual(NodeId, NodeId),
    /// Sum.
    Add(NodeId, NodeId),
    /// Difference.
    Subtract(NodeId, NodeId),
    /// Product.
    Multiply(NodeId, NodeId),
    /// Whether an entity is another, or below it, or below one of a set.
    In(NodeId, NodeId),
    /// Whether an entity is of a type.
    Is(NodeId, Symbol),
    /// Whether a set has an element.
    Contains(NodeId, NodeId),
    /// Whether a set has all elements of another.
    ContainsAll(NodeId, NodeId),
    /// Whether two sets have an element in common.
    ContainsAny(NodeId, NodeId),
    /// The tag of an entity.
    GetTag(NodeId, NodeId),
    /// Whether an entity has a tag.
    HasTag(NodeId, NodeId),
    /// Whether the attribute of an entity or record, a set, has an element. Of a derived attribute, one row is asked for.
    ContainsIn(Attribute, NodeId),
    /// Whether an entity is below an element of an attribute that is a set. Of a derived one, its ancestors are asked for.
    InAttribute(NodeId, Attribute),
    /// The attribute of an entity or record.
    Attribute(Attribute),
    /// Whether an entity or record has an attribute, and that one the next, along a path of names.
    Has(NodeId, Source, ListId),
    /// Whether a string matches a pattern.
    Like(NodeId, ListId),
    /// A set of these elements.
    Set(ListId),
    /// A record with these members: names and nodes in turn.
    Record(ListId),
    /// A function of an extension type with one argument.
    Call(Method, NodeId),
    /// One with two arguments.
    Call2(Method, NodeId, NodeId),
}

/// An element of an expression's lists.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Item {
    Node(NodeId),
    Name(Symbol),
    Char(char),
    /// Any characters, of a pattern.
    Wild,
}

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    nodes: Box<[Node]>,
    items: Box<[Item]>,
    failures: Box<[Failure]>,
    root: NodeId,
}

impl Expr {
    /// The value of an expression that is constant, or the failure of one that always fails.
    #[must_use]
    pub fn as_constant(&self) -> Option<Result<Value, Failure>> {
        match self.node(self.root) {
            Node::Constant(value) => Some(Ok(value)),
            Node::Fail(at) => Some(Err(self.failure(at))),
            _ => None,
        }
    }

    /// The operands of the conjunction that an expression is, each as the operands of the disjunction that it denies, or as
    /// one: with whether it is denied.
    pub(crate) fn clauses(&self) -> Vec<(NodeId, bool)> {
        let operands = match self.node(self.root) {
            Node::All(list) => self.nodes_of(list),
            _ => vec![self.root],
        };
        let mut clauses = Vec::new();
        for operand in operands {
            match self.node(operand) {
                Node::Not(inner) => match self.node(inner) {
                    Node::Any(list) => clauses.extend(self.nodes_of(list).into_iter().map(|id| (id, true))),
                    _ => clauses.push((inner, true)),
                },
                _ => clauses.push((operand, false)),
            }
        }
        clauses
    }

    /// The derived attributes that a conjunction asks of parts of the request: of which part, under which name, and whether it has
    /// another part or, if it is a boolean, is true.
    pub(crate) fn asked_of_parts(&self) -> Vec<(Var, Symbol, Option<Var>)> {
        let var = |id: NodeId| match self.node(id) {
            Node::Var(var) => Some(var),
            _ => None,
        };
        let asked = |(id, is_denied): (NodeId, bool)| match self.node(id) {
            Node::ContainsIn(attribute, element) if !is_denied => {
                Some((var(attribute.owner)?, attribute.name, Some(var(element)?)))
            }
            Node::Attribute(attribute) if !is_denied => Some((var(attribute.owner)?, attribute.name, None)),
            _ => None,
        };
        self.clauses().into_iter().filter_map(asked).collect()
    }

    /// The operands of the chain that a node is, or that it denies: whether all of them must be true, and which they are.
    pub(crate) fn operands(&self, mut id: NodeId) -> Option<(bool, Vec<NodeId>)> {
        loop {
            match self.node(id) {
                Node::Not(inner) => id = inner,
                Node::All(list) => return Some((true, self.nodes_of(list))),
                Node::Any(list) => return Some((false, self.nodes_of(list))),
                _ => return None,
            }
        }
    }

    fn nodes_of(&self, list: ListId) -> Vec<NodeId> {
        let node = |item: &Item| match item {
            Item::Node(id) => Some(*id),
            _ => None,
        };
        self.list(list).iter().filter_map(node).collect()
    }

    fn node(&self, id: NodeId) -> Node {
        // A node refers to earlier ones only, so that there always is one; a failure grants nothing.
        self.nodes.get(id.0 as usize).copied().unwrap_or(Node::Fail(u32::MAX))
    }

    fn failure(&self, at: u32) -> Failure {
        self.failures.get(at as usize).copied().unwrap_or(Failure::TooManySteps)
    }

    fn list(&self, list: ListId) -> &[Item] {
        let start = list.start as usize;
        self.items.get(start..start + list.len as usize).unwrap_or_default()
    }
}
