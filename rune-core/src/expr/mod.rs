//! The one compiled expression: Cedar's language over [`Value`]s, for the conditions of policies and the guards of rules.
//!
//! An expression is a flat list of nodes that refer to earlier ones, so that it is one allocation to walk. Its meaning is
//! Cedar's, from the specification in Lean (`cedar-spec`, `Cedar/Spec/Evaluator.lean`): strict, left to right, the first
//! failure wins. Two things are done ahead: chains of `&&` and `||` are flat, and what is constant is computed, a failing
//! constructor into a node that fails when it is reached.

pub mod eval;
pub mod extension;

use crate::base::{Symbol, Value, Values, limits};

pub use eval::{Evaluator, Failure, World};
pub use extension::Method;

/// A reference to a node of the same expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId(u32);

/// A reference to a run of the same expression's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListId {
    start: u32,
    len: u32,
}

/// A part of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Var {
    /// Who asks.
    Principal,
    /// To do what.
    Action,
    /// To what.
    Resource,
    /// Under which circumstances.
    Context,
}

/// One step of an expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node {
    /// A value known in advance.
    Constant(Value),
    /// A failure known in advance.
    Fail(Failure),
    /// A part of the request.
    Var(Var),
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
    /// The attribute of an entity or record.
    Attribute(NodeId, Symbol),
    /// Whether an entity or record has an attribute, and that one the next, along a path of names.
    Has(NodeId, ListId),
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
    root: NodeId,
}

impl Expr {
    fn node(&self, id: NodeId) -> Node {
        self.nodes.get(id.0 as usize).copied().unwrap_or(Node::Constant(Value::FALSE))
    }

    fn list(&self, list: ListId) -> &[Item] {
        let start = list.start as usize;
        self.items.get(start..start + list.len as usize).unwrap_or_default()
    }

    /// The constant that the expression is, if it is one.
    #[must_use]
    pub fn constant(&self) -> Option<Value> {
        match self.node(self.root) {
            Node::Constant(value) => Some(value),
            _ => None,
        }
    }
}

/// An element of a pattern of `like`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glob {
    /// This character.
    Char(char),
    /// Any number of characters.
    Wild,
}

/// An expression that would be higher than [`limits::EXPRESSION_HEIGHT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooHigh;

/// Builds an [`Expr`] from its leaves up.
#[derive(Debug)]
pub struct Builder<'p, V> {
    values: &'p mut V,
    nodes: Vec<Node>,
    heights: Vec<usize>,
    items: Vec<Item>,
}

impl<'p, V: Values> Builder<'p, V> {
    /// A builder whose constants go to `values`.
    pub fn new(values: &'p mut V) -> Self {
        Self { values, nodes: Vec::new(), heights: Vec::new(), items: Vec::new() }
    }

    /// Where constants go.
    pub fn values(&mut self) -> &mut V {
        self.values
    }

    /// The expression whose last step is `root`.
    ///
    /// # Errors
    ///
    /// If it is too high to be evaluated on any stack.
    pub fn finish(self, root: NodeId) -> Result<Expr, TooHigh> {
        if limits::EXPRESSION_HEIGHT_MAX < self.height(root) {
            return Err(TooHigh);
        }
        Ok(Expr { nodes: self.nodes.into(), items: self.items.into(), root })
    }

    fn height(&self, id: NodeId) -> usize {
        self.heights.get(id.0 as usize).copied().unwrap_or_default()
    }

    fn push(&mut self, node: Node, operands: &[NodeId]) -> NodeId {
        let height = operands.iter().map(|operand| self.height(*operand)).max().map_or(0, |height| height + 1);
        let id = NodeId(clip(self.nodes.len()));
        self.nodes.push(node);
        self.heights.push(height);
        id
    }

    fn push_items(&mut self, items: impl IntoIterator<Item = Item>) -> ListId {
        let start = self.items.len();
        self.items.extend(items);
        ListId { start: clip(start), len: clip(self.items.len() - start) }
    }

    fn known(&self, id: NodeId) -> Option<Value> {
        match self.nodes.get(id.0 as usize) {
            Some(Node::Constant(value)) => Some(*value),
            _ => None,
        }
    }

    /// A constant.
    pub fn constant(&mut self, value: Value) -> NodeId {
        self.push(Node::Constant(value), &[])
    }

    /// A step that fails.
    pub fn fail(&mut self, failure: Failure) -> NodeId {
        self.push(Node::Fail(failure), &[])
    }

    /// A part of the request.
    pub fn var(&mut self, var: Var) -> NodeId {
        self.push(Node::Var(var), &[])
    }

    /// A step with one operand.
    pub fn unary(&mut self, node: fn(NodeId) -> Node, operand: NodeId) -> NodeId {
        self.push(node(operand), &[operand])
    }

    /// A step with two operands.
    pub fn binary(&mut self, node: fn(NodeId, NodeId) -> Node, left: NodeId, right: NodeId) -> NodeId {
        self.push(node(left, right), &[left, right])
    }

    /// `if test then yes else no`.
    pub fn choose(&mut self, test: NodeId, yes: NodeId, no: NodeId) -> NodeId {
        self.push(Node::If(test, yes, no), &[test, yes, no])
    }

    /// The conjunction of operands, each a boolean. Operands that are conjunctions are taken apart: nested either way,
    /// the same operands are looked at in the same order, and each must be a boolean when it is.
    pub fn all(&mut self, operands: &[NodeId]) -> NodeId {
        self.chain(Node::All, operands, |node| match node {
            Node::All(list) => Some(list),
            _ => None,
        })
    }

    /// The disjunction of operands, each a boolean, flat like [`Self::all`].
    pub fn any(&mut self, operands: &[NodeId]) -> NodeId {
        self.chain(Node::Any, operands, |node| match node {
            Node::Any(list) => Some(list),
            _ => None,
        })
    }

    fn chain(&mut self, node: fn(ListId) -> Node, operands: &[NodeId], inner: fn(Node) -> Option<ListId>) -> NodeId {
        let mut flat = Vec::new();
        for operand in operands {
            let list = self.nodes.get(operand.0 as usize).and_then(|node| inner(*node));
            match list.and_then(|list| self.items.get(list.start as usize..(list.start + list.len) as usize)) {
                Some(items) => flat.extend_from_slice(items),
                None => flat.push(Item::Node(*operand)),
            }
        }
        let ids: Vec<NodeId> =
            flat.iter().filter_map(|item| if let Item::Node(id) = item { Some(*id) } else { None }).collect();
        let list = self.push_items(flat);
        self.push(node(list), &ids)
    }

    /// Whether the operand is an entity of a type.
    pub fn is(&mut self, operand: NodeId, kind: Symbol) -> NodeId {
        self.push(Node::Is(operand, kind), &[operand])
    }

    /// The attribute of the operand.
    pub fn attribute(&mut self, operand: NodeId, name: Symbol) -> NodeId {
        self.push(Node::Attribute(operand, name), &[operand])
    }

    /// Whether the operand has an attribute, along a path of names.
    pub fn has(&mut self, operand: NodeId, path: &[Symbol]) -> NodeId {
        let list = self.push_items(path.iter().map(|name| Item::Name(*name)));
        self.push(Node::Has(operand, list), &[operand])
    }

    /// Whether the operand matches a pattern.
    pub fn like(&mut self, operand: NodeId, pattern: &[Glob]) -> NodeId {
        let list = self.push_items(pattern.iter().map(|glob| match glob {
            Glob::Char(c) => Item::Char(*c),
            Glob::Wild => Item::Wild,
        }));
        self.push(Node::Like(operand, list), &[operand])
    }

    /// A set; of constants, a constant.
    pub fn set(&mut self, elements: &[NodeId]) -> NodeId {
        if let Some(known) = elements.iter().map(|element| self.known(*element)).collect::<Option<Vec<_>>>() {
            let set = self.values.set(known);
            return self.constant(set);
        }
        let list = self.push_items(elements.iter().map(|element| Item::Node(*element)));
        self.push(Node::Set(list), elements)
    }

    /// A record; of constants, a constant. Names are distinct.
    pub fn record(&mut self, members: &[(Symbol, NodeId)]) -> NodeId {
        let known = members.iter().map(|(name, node)| Some((*name, self.known(*node)?))).collect::<Option<Vec<_>>>();
        if let Some(known) = known {
            let record = self.values.record(known);
            return self.constant(record);
        }
        let list = self.push_items(members.iter().flat_map(|(name, node)| [Item::Name(*name), Item::Node(*node)]));
        let operands: Vec<_> = members.iter().map(|(_, node)| *node).collect();
        self.push(Node::Record(list), &operands)
    }

    /// A call of an extension's function; of a constant, its result or its failure.
    pub fn call(&mut self, method: Method, operand: NodeId) -> NodeId {
        if let Some(argument) = self.known(operand) {
            let node = match extension::call(self.values, method, argument) {
                Ok(value) => Node::Constant(value),
                Err(failure) => Node::Fail(failure),
            };
            return self.push(node, &[]);
        }
        self.push(Node::Call(method, operand), &[operand])
    }

    /// A call with two arguments.
    pub fn call2(&mut self, method: Method, left: NodeId, right: NodeId) -> NodeId {
        self.push(Node::Call2(method, left, right), &[left, right])
    }
}

/// Nodes and items come from sources, whose bytes are bounded far below the range of ids.
fn clip(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
