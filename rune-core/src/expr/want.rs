//! What would have to be there for an expression to be true.

use crate::base::{Value, Values, View};

use super::{Evaluator, Expr, Form, ListId, Node, NodeId, World};

/// Something that is not there, and that facts could bring about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// A row of a relation, by its place.
    Row(usize, Vec<Value>),
    /// That an entity is in another.
    Below(Value, Value),
}

/// Ways to make something true: in each, all that is wanted. None if there is none; one without a want if it is true already.
pub type Ways = Vec<Vec<Want>>;

/// More ways than this are not looked at.
const WAYS_MAX: usize = 16;

impl<V: Values, W: World> Evaluator<'_, V, W> {
    /// The ways to make all clauses of a condition true by rows that are added, none taken away.
    pub fn ways(&mut self, expr: &Expr) -> Ways {
        let mut ways = vec![Vec::new()];
        for (part, is_denied) in expr.clauses() {
            let of_part = self.ways_of(expr, part, !is_denied);
            ways = both(&ways, &of_part);
        }
        ways
    }

    /// What would make a clause of a condition true, in any of the ways.
    pub(crate) fn wants(&mut self, expr: &Expr, part: NodeId, is_denied: bool) -> Vec<Want> {
        let mut wants: Vec<Want> = Vec::new();
        for want in self.ways_of(expr, part, !is_denied).into_iter().flatten() {
            if !wants.contains(&want) {
                wants.push(want);
            }
        }
        wants
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
                Ok(_) if wanted => self.want(expr, node).map(|want| vec![want]).into_iter().collect(),
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

    /// What a node that is false asks for.
    fn want(&mut self, expr: &Expr, node: Node) -> Option<Want> {
        match node {
            Node::In(low, high) => {
                let (low, high) = (self.value_of(expr, low)?, self.value_of(expr, high)?);
                let is_entity = |value: &Value| matches!(self.values().view(*value), View::Entity(..));
                let high = match self.values().view(high) {
                    View::Set(all) => *all.first()?,
                    _ => high,
                };
                [low, high].iter().all(is_entity).then_some(Want::Below(low, high))
            }
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
    cut(joined.take(WAYS_MAX * WAYS_MAX).collect())
}

/// The shortest ways, no more than may be.
fn cut(mut ways: Ways) -> Ways {
    ways.sort_by_key(Vec::len);
    ways.truncate(WAYS_MAX);
    ways
}
