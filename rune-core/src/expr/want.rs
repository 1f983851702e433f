//! What would have to be there for an expression to be true.

use crate::base::{Value, Values, View};

use super::{Evaluator, Expr, Form, ListId, Node, NodeId, World};

/// Something that is not as it should be, and that facts could bring about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// A row of a relation, by its place.
    Row(usize, Vec<Value>),
    /// That an entity is in another.
    Below(Value, Value),
    /// That a relation does not have a row.
    NoRow(usize, Vec<Value>),
    /// That an entity is not in another.
    NotBelow(Value, Value),
}

impl Want {
    /// Whether it is that something is not there.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoRow(..) | Self::NotBelow(..))
    }
}

/// Ways to make something true: in each, all that is wanted. None if there is none; one without a want if it is true already.
pub type Ways = Vec<Vec<Want>>;

/// More ways than this are not looked at.
const WAYS_MAX: usize = 16;
/// Ways that want more than this are not looked at.
const WANTS_MAX: usize = 8;

impl<V: Values, W: World> Evaluator<'_, V, W> {
    /// The ways to make all clauses of a condition true by rows that are added, or taken away.
    pub fn ways(&mut self, expr: &Expr) -> Ways {
        let mut ways = vec![Vec::new()];
        for (part, is_denied) in expr.clauses() {
            let of_part = self.ways_of(expr, part, !is_denied);
            ways = both(&ways, &of_part);
        }
        ways
    }

    /// What would have a part in making a clause of a condition true: so much of it.
    pub(crate) fn wants(&mut self, expr: &Expr, part: NodeId, is_denied: bool, n_max: usize) -> Vec<Want> {
        let mut wants = Vec::new();
        self.collect(expr, part, !is_denied, n_max, &mut wants);
        wants
    }

    // Recurses once per level of the expression, whose height is limited when it is built.
    fn collect(&mut self, expr: &Expr, id: NodeId, wanted: bool, n_max: usize, wants: &mut Vec<Want>) {
        match expr.node(id) {
            Node::All(list) | Node::Any(list) => {
                for id in expr.nodes_of(list) {
                    if n_max <= wants.len() {
                        return;
                    }
                    self.collect(expr, id, wanted, n_max, wants);
                }
            }
            Node::Not(inner) => self.collect(expr, inner, !wanted, n_max, wants),
            Node::If(test, yes, no) => {
                if let Ok(truth) = self.test_part(expr, test) {
                    self.collect(expr, if truth { yes } else { no }, wanted, n_max, wants);
                }
            }
            node => {
                if wanted && self.test_part(expr, id) == Ok(false) {
                    let new =
                        self.want(expr, node).into_iter().filter(|want| !wants.contains(want)).collect::<Vec<_>>();
                    wants.extend(new);
                }
            }
        }
        wants.truncate(n_max);
    }

    // Recurses once per level of the expression, whose height is limited when it is built.
    fn ways_of(&mut self, expr: &Expr, id: NodeId, wanted: bool) -> Ways {
        match expr.node(id) {
            Node::All(list) if wanted => self.all(expr, list, wanted),
            Node::Any(list) if !wanted => self.all(expr, list, wanted),
            Node::All(list) | Node::Any(list) => {
                let ways = expr.nodes_of(list).into_iter().flat_map(|id| self.ways_of(expr, id, wanted)).collect();
                cut(ways)
            }
            Node::Not(inner) => self.ways_of(expr, inner, !wanted),
            Node::If(test, yes, no) => match self.test_part(expr, test) {
                Ok(truth) => self.ways_of(expr, if truth { yes } else { no }, wanted),
                Err(_) => Vec::new(),
            },
            node => match self.test_part(expr, id) {
                Ok(truth) if truth == wanted => vec![Vec::new()],
                Ok(_) if wanted => self.want(expr, node).into_iter().map(|want| vec![want]).collect(),
                Ok(true) => self.absence(expr, node).into_iter().map(|want| vec![want]).collect(),
                _ => Vec::new(),
            },
        }
    }

    fn all(&mut self, expr: &Expr, list: ListId, wanted: bool) -> Ways {
        let mut ways = vec![Vec::new()];
        for id in expr.nodes_of(list) {
            let of_part = self.ways_of(expr, id, wanted);
            ways = both(&ways, &of_part);
        }
        ways
    }

    /// What a node that is false asks for: any one of these.
    fn want(&mut self, expr: &Expr, node: Node) -> Vec<Want> {
        match node {
            Node::In(low, high) => self.want_below(expr, low, high),
            node => self.want_row(expr, node).into_iter().collect(),
        }
    }

    /// What makes a node true that should be false, if it is one thing.
    fn absence(&mut self, expr: &Expr, node: Node) -> Option<Want> {
        if matches!(node, Node::InAttribute(..)) {
            return None;
        }
        match self.want(expr, node).as_slice() {
            [Want::Row(relation, row)] => Some(Want::NoRow(*relation, row.clone())),
            [Want::Below(low, high)] if low != high => Some(Want::NotBelow(*low, *high)),
            _ => None,
        }
    }

    fn want_below(&mut self, expr: &Expr, low: NodeId, high: NodeId) -> Vec<Want> {
        let (Some(low), Some(high)) = (self.value_of(expr, low), self.value_of(expr, high)) else { return Vec::new() };
        let is_entity = |value: &Value| matches!(self.values().view(*value), View::Entity(..));
        let above = match self.values().view(high) {
            View::Set(all) => all.iter().take(WAYS_MAX).copied().collect(),
            _ => vec![high],
        };
        let are_entities = is_entity(&low) && above.iter().all(is_entity);
        above.into_iter().filter(|_| are_entities).map(|high| Want::Below(low, high)).collect()
    }

    fn want_row(&mut self, expr: &Expr, node: Node) -> Option<Want> {
        match node {
            Node::ContainsIn(attribute, element) | Node::InAttribute(element, attribute) => {
                let (owner, element) = (self.value_of(expr, attribute.owner)?, self.value_of(expr, element)?);
                let derived = self.derived_set(owner, attribute)?;
                Some(Want::Row(derived.relation, vec![owner, element]))
            }
            Node::Attribute(attribute) => {
                let owner = self.value_of(expr, attribute.owner)?;
                let View::Entity(kind, _) = self.values().view(owner) else { return None };
                let derived = self.world().derived(kind, attribute.name)?;
                (derived.form == Form::Flag).then(|| Want::Row(derived.relation, vec![owner]))
            }
            _ => None,
        }
    }
}

/// The ways to have both.
#[must_use]
pub fn both(a: &[Vec<Want>], b: &[Vec<Want>]) -> Ways {
    let pairs = a.iter().flat_map(|first| b.iter().map(move |second| (first, second)));
    let joined = pairs.map(|(first, second)| {
        let mut all = first.clone();
        all.extend(second.iter().filter(|want| !first.contains(want)).cloned());
        all
    });
    cut(joined.filter(|way: &Vec<Want>| way.len() <= WANTS_MAX).collect())
}

/// The shortest ways, no more than may be.
fn cut(mut ways: Ways) -> Ways {
    ways.sort_by_key(Vec::len);
    ways.truncate(WAYS_MAX);
    ways
}
