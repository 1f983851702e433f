//! From an expression as it is written to one that is evaluated: constants computed, nodes numbered.

use crate::{
    base::{Symbol, Value, Values, limits},
    syntax::ast::{Binary, Expr as Ast, ExprKind, Glob, Method, Unary},
};

use super::{Attribute, Expr, Failure, Item, ListId, Node, NodeId, Source, extension};

/// An expression that would be higher than [`limits::EXPRESSION_HEIGHT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooHigh;

/// Compiles the condition of a policy, or a constant; its constants go to `values`.
///
/// # Errors
///
/// If it is too high to be evaluated on any stack.
pub fn compile(ast: &Ast, values: &mut impl Values) -> Result<Expr, TooHigh> {
    compile_as(ast, Dialect::Policy, values)
}

/// Compiles an expression of a rule, whose variables have these slots.
///
/// What a request supplies is seen only through the words `principal.x`, `action.x` and `resource.x`.
///
/// # Errors
///
/// If it is too high to be evaluated on any stack.
pub fn compile_guard(ast: &Ast, slots: &[(String, u32)], values: &mut impl Values) -> Result<Expr, TooHigh> {
    compile_as(ast, Dialect::Rule(slots), values)
}

/// Where an expression stands.
#[derive(Debug, Clone, Copy)]
enum Dialect<'s> {
    Policy,
    Rule(&'s [(String, u32)]),
}

fn compile_as(ast: &Ast, dialect: Dialect<'_>, values: &mut impl Values) -> Result<Expr, TooHigh> {
    let mut compiler =
        Compiler { values, dialect, nodes: Vec::new(), heights: Vec::new(), items: Vec::new(), failures: Vec::new() };
    let root = compiler.expr(ast);
    if limits::EXPRESSION_HEIGHT_MAX < compiler.height(root) {
        return Err(TooHigh);
    }
    Ok(Expr { nodes: compiler.nodes.into(), items: compiler.items.into(), failures: compiler.failures.into(), root })
}

struct Compiler<'v, V> {
    values: &'v mut V,
    dialect: Dialect<'v>,
    nodes: Vec<Node>,
    heights: Vec<usize>,
    items: Vec<Item>,
    failures: Vec<Failure>,
}

impl<V: Values> Compiler<'_, V> {
    // Recurses once per level of the tree, whose height was limited before it was parsed.
    fn expr(&mut self, ast: &Ast) -> NodeId {
        match &ast.kind {
            ExprKind::Bool(truth) => self.constant((*truth).into()),
            ExprKind::Long(number) => {
                let number = self.values.long(*number);
                self.constant(number)
            }
            ExprKind::Text(text) => {
                let text = self.values.text(text);
                self.constant(text)
            }
            ExprKind::Entity(kind, id) => {
                let entity = self.values.entity(kind, id);
                self.constant(entity)
            }
            ExprKind::Var(var) => self.push(Node::Var(*var), &[]),
            ExprKind::Name(name) => self.local(name),
            ExprKind::All(operands) => self.chain(Node::All, operands),
            ExprKind::Any(operands) => self.chain(Node::Any, operands),
            ExprKind::If(parts) => {
                let [test, yes, no] = parts.each_ref().map(|part| self.expr(part));
                self.push(Node::If(test, yes, no), &[test, yes, no])
            }
            ExprKind::Unary(operation, operand) => {
                let operand = self.expr(operand);
                self.unary(*operation, operand)
            }
            ExprKind::Binary(operation, operands) => self.binary(*operation, operands),
            ExprKind::Is(operand, kind) => {
                let (operand, kind) = (self.expr(operand), self.values.symbol(kind));
                self.push(Node::Is(operand, kind), &[operand])
            }
            ExprKind::Attribute(owner, name) => {
                let attribute = self.attribute(owner, name);
                self.push(Node::Attribute(attribute), &[attribute.owner])
            }
            ExprKind::Has(owner, path) => self.has(owner, path),
            ExprKind::Like(operand, pattern) => {
                let operand = self.expr(operand);
                let pattern = self.push_items(pattern.iter().map(|glob| match glob {
                    Glob::Char(c) => Item::Char(*c),
                    Glob::Wild => Item::Wild,
                }));
                self.push(Node::Like(operand, pattern), &[operand])
            }
            ExprKind::Set(elements) => {
                let elements: Vec<_> = elements.iter().map(|element| self.expr(element)).collect();
                self.set(&elements)
            }
            ExprKind::Record(members) => {
                let member = |(name, member): &(String, Ast)| (self.values.symbol(name), self.expr(member));
                let members: Vec<_> = members.iter().map(member).collect();
                self.record(&members)
            }
            ExprKind::Fail(call) => {
                let call = self.values.text(call);
                self.fail(Failure::WrongArity(call))
            }
        }
    }

    fn local(&mut self, name: &str) -> NodeId {
        let slot = match self.dialect {
            Dialect::Rule(slots) => slots.iter().find(|(known, _)| known == name).map(|(_, slot)| *slot),
            Dialect::Policy => None,
        };
        // A name without a slot was refused before it came here; should one come, it is nothing that could be true.
        self.push(slot.map_or(Node::Fail(u32::MAX), Node::Local), &[])
    }

    fn has(&mut self, owner: &Ast, path: &[String]) -> NodeId {
        // In a rule only `principal` itself has what the request supplies: of the `a` in `principal has a.b` facts tell.
        if matches!((self.dialect, &owner.kind), (Dialect::Rule(_), ExprKind::Var(_))) && 1 < path.len() {
            return self.chain(Node::All, &has_each(owner, path));
        }
        let source = self.source(owner);
        let owner = self.expr(owner);
        let path: Vec<_> = path.iter().map(|name| Item::Name(self.values.symbol(name))).collect();
        let path = self.push_items(path);
        self.push(Node::Has(owner, source, path), &[owner])
    }

    fn source(&self, owner: &Ast) -> Source {
        match (self.dialect, &owner.kind) {
            (Dialect::Policy, _) | (_, ExprKind::Var(_)) => Source::Request,
            _ => Source::Facts,
        }
    }

    fn attribute(&mut self, owner: &Ast, name: &str) -> Attribute {
        let source = self.source(owner);
        Attribute { owner: self.expr(owner), source, name: self.values.symbol(name) }
    }

    fn binary(&mut self, operation: Binary, operands: &[Ast; 2]) -> NodeId {
        let [left, right] = operands;
        match (operation, &left.kind, &right.kind) {
            (Binary::Contains, ExprKind::Attribute(owner, name), _) => {
                let attribute = self.attribute(owner, name);
                let element = self.expr(right);
                self.push(Node::ContainsIn(attribute, element), &[attribute.owner, element])
            }
            (Binary::In, _, ExprKind::Attribute(owner, name)) => {
                let below = self.expr(left);
                let attribute = self.attribute(owner, name);
                self.push(Node::InAttribute(below, attribute), &[below, attribute.owner])
            }
            _ => {
                let [left, right] = [left, right].map(|operand| self.expr(operand));
                self.push(binary(operation, left, right), &[left, right])
            }
        }
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

    fn constant(&mut self, value: Value) -> NodeId {
        self.push(Node::Constant(value), &[])
    }

    fn known(&self, id: NodeId) -> Option<Value> {
        match self.nodes.get(id.0 as usize) {
            Some(Node::Constant(value)) => Some(*value),
            _ => None,
        }
    }

    fn chain(&mut self, node: fn(ListId) -> Node, operands: &[Ast]) -> NodeId {
        let operands: Vec<_> = operands.iter().map(|operand| self.expr(operand)).collect();
        let list = self.push_items(operands.iter().map(|operand| Item::Node(*operand)));
        self.push(node(list), &operands)
    }

    fn unary(&mut self, operation: Unary, operand: NodeId) -> NodeId {
        let node = match operation {
            Unary::Not => Node::Not(operand),
            Unary::Negate => Node::Negate(operand),
            Unary::IsEmpty => Node::IsEmpty(operand),
            Unary::Call(method) => return self.call(method, operand),
        };
        self.push(node, &[operand])
    }

    /// A call of an extension's function; of a constant, its result or its failure.
    fn call(&mut self, method: Method, operand: NodeId) -> NodeId {
        let Some(argument) = self.known(operand) else { return self.push(Node::Call(method, operand), &[operand]) };
        match extension::call(self.values, method, argument) {
            Ok(value) => self.constant(value),
            Err(failure) => self.fail(failure),
        }
    }

    fn fail(&mut self, failure: Failure) -> NodeId {
        self.failures.push(failure);
        self.push(Node::Fail(clip(self.failures.len() - 1)), &[])
    }

    /// A set; of constants, a constant.
    fn set(&mut self, elements: &[NodeId]) -> NodeId {
        if let Some(known) = elements.iter().map(|element| self.known(*element)).collect::<Option<Vec<_>>>() {
            let set = self.values.set(known);
            return self.constant(set);
        }
        let list = self.push_items(elements.iter().map(|element| Item::Node(*element)));
        self.push(Node::Set(list), elements)
    }

    /// A record; of constants, a constant.
    fn record(&mut self, members: &[(Symbol, NodeId)]) -> NodeId {
        let known = members.iter().map(|(name, node)| Some((*name, self.known(*node)?))).collect::<Option<Vec<_>>>();
        if let Some(known) = known {
            let record = self.values.record(known);
            return self.constant(record);
        }
        let list = self.push_items(members.iter().flat_map(|(name, node)| [Item::Name(*name), Item::Node(*node)]));
        let operands: Vec<_> = members.iter().map(|(_, node)| *node).collect();
        self.push(Node::Record(list), &operands)
    }
}

/// `a has b.c` as its steps: `a has b` and `a.b has c`.
fn has_each(owner: &Ast, path: &[String]) -> Vec<Ast> {
    let mut owner = owner.clone();
    let mut steps = Vec::with_capacity(path.len());
    for name in path {
        let of = Box::new(owner);
        steps.push(Ast::placeless(ExprKind::Has(of.clone(), vec![name.clone()])));
        owner = Ast::placeless(ExprKind::Attribute(of, name.clone()));
    }
    steps
}

fn binary(operation: Binary, left: NodeId, right: NodeId) -> Node {
    match operation {
        Binary::Equal => Node::Equal(left, right),
        Binary::Less => Node::Less(left, right),
        Binary::LessEqual => Node::LessEqual(left, right),
        Binary::Add => Node::Add(left, right),
        Binary::Subtract => Node::Subtract(left, right),
        Binary::Multiply => Node::Multiply(left, right),
        Binary::In => Node::In(left, right),
        Binary::Contains => Node::Contains(left, right),
        Binary::ContainsAll => Node::ContainsAll(left, right),
        Binary::ContainsAny => Node::ContainsAny(left, right),
        Binary::GetTag => Node::GetTag(left, right),
        Binary::HasTag => Node::HasTag(left, right),
        Binary::Call(method) => Node::Call2(method, left, right),
    }
}

/// Nodes and items come from sources, whose bytes are bounded far below the range of ids.
fn clip(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
