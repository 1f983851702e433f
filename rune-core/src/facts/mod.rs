//! What is given: the entities, their attributes and tags, and who is below whom.

use hashbrown::HashMap;

use crate::{
    base::{Pool, Value, Values, View},
    check::CheckedEntity,
    expr::World,
};

/// The immutable facts of one revision, and the values that they are made of.
#[derive(Debug)]
pub struct FactView {
    values: Pool,
    entities: HashMap<Value, Entity>,
}

/// An entity: three values, which entities that have the same share.
#[derive(Debug, Clone, Copy)]
struct Entity {
    attributes: Value,
    tags: Value,
    /// All that it is below, a set.
    ancestors: Value,
}

/// Entities that are above themselves: each one's parent is the next, and the last one's the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(pub Vec<Value>);

impl FactView {
    /// The facts with these entities.
    ///
    /// # Errors
    ///
    /// If an entity is above itself.
    pub fn build(mut values: Pool, entities: &[CheckedEntity]) -> Result<Self, (Pool, Cycle)> {
        match ancestors(&mut values, entities) {
            Ok(ancestors) => {
                let stored = |entity: &CheckedEntity| {
                    let CheckedEntity { uid, attributes, tags, .. } = *entity;
                    let ancestors = ancestors.get(&uid).copied().unwrap_or(Value::FALSE);
                    (uid, Entity { attributes, tags, ancestors })
                };
                let entities = entities.iter().map(stored).collect();
                Ok(Self { values, entities })
            }
            Err(cycle) => Err((values, cycle)),
        }
    }

    /// The values of the facts and of the program over them.
    #[must_use]
    pub fn values(&self) -> &Pool {
        &self.values
    }

    /// How many entities are known.
    #[must_use]
    pub fn n_entities(&self) -> usize {
        self.entities.len()
    }
}

impl World for FactView {
    fn attributes(&self, entity: Value) -> Option<Value> {
        self.entities.get(&entity).map(|entity| entity.attributes)
    }

    fn tags(&self, entity: Value) -> Option<Value> {
        self.entities.get(&entity).map(|entity| entity.tags)
    }

    fn is_in(&self, entity: Value, ancestor: Value) -> bool {
        if entity == ancestor {
            return true;
        }
        let Some(Entity { ancestors, .. }) = self.entities.get(&entity) else { return false };
        match self.values.view(*ancestors) {
            View::Set(all) => all.binary_search(&ancestor).is_ok(),
            _ => false,
        }
    }
}

/// The set of all ancestors of each entity: its parents, and theirs. Entities with equal ancestors share one set.
fn ancestors(values: &mut Pool, entities: &[CheckedEntity]) -> Result<HashMap<Value, Value>, Cycle> {
    let parents: HashMap<Value, &[Value]> = entities.iter().map(|entity| (entity.uid, &*entity.parents)).collect();
    let mut done: HashMap<Value, Value> = HashMap::with_capacity(entities.len());
    // Depth first with a stack of its own: a chain of a million folders is no deeper than one of two.
    let mut path: Vec<(Value, usize)> = Vec::new();
    let mut on_path: HashMap<Value, usize> = HashMap::new();
    for entity in entities {
        if done.contains_key(&entity.uid) {
            continue;
        }
        path.push((entity.uid, 0));
        on_path.insert(entity.uid, 0);
        while let Some((at, next)) = path.last_mut() {
            let at = *at;
            let above = parents.get(&at).copied().unwrap_or_default();
            if let Some(&parent) = above.get(*next) {
                *next += 1;
                if let Some(&start) = on_path.get(&parent) {
                    return Err(Cycle(path.iter().skip(start).map(|(entity, _)| *entity).collect()));
                }
                if !done.contains_key(&parent) && parents.contains_key(&parent) {
                    on_path.insert(parent, path.len());
                    path.push((parent, 0));
                }
                continue;
            }
            let mut all = above.to_vec();
            for parent in above {
                if let Some(set) = done.get(parent)
                    && let View::Set(further) = values.view(*set)
                {
                    all.extend_from_slice(further);
                }
            }
            done.insert(at, values.set(all));
            on_path.remove(&at);
            path.pop();
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(edges: &[(&str, &[&str])]) -> Result<FactView, Vec<String>> {
        let mut values = Pool::default();
        let nothing = values.record(Vec::new());
        let entity = |(id, parents): &(&str, &[&str])| CheckedEntity {
            uid: values.entity("F", id),
            attributes: nothing,
            tags: nothing,
            parents: parents.iter().map(|parent| values.entity("F", parent)).collect(),
            span: None,
        };
        let entities: Vec<_> = edges.iter().map(entity).collect();
        FactView::build(values, &entities)
            .map_err(|(values, cycle)| cycle.0.iter().map(|entity| values.show(*entity)).collect())
    }

    fn id(view: &FactView, name: &str) -> Value {
        crate::base::Scratch::new(view.values()).entity("F", name)
    }

    #[test]
    fn below_is_reflexive_and_transitive_and_needs_no_stored_ancestor() {
        let view = view(&[("a", &["b", "x"]), ("b", &["c"]), ("c", &["unstored"])]).unwrap();
        let is_in = |a, b| view.is_in(id(&view, a), id(&view, b));
        assert!(is_in("a", "a") && is_in("a", "c") && is_in("a", "x") && is_in("a", "unstored"));
        assert!(is_in("nobody", "nobody"));
        assert!(!is_in("c", "a") && !is_in("x", "a") && !is_in("nobody", "a"));
    }

    #[test]
    fn a_cycle_is_told_as_its_members() {
        let members = view(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]).unwrap_err();
        assert_eq!(members, ["F::\"b\"", "F::\"c\""]);
        assert_eq!(view(&[("a", &["a"])]).unwrap_err(), ["F::\"a\""]);
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let names: Vec<String> = (0..5_000).map(|n| format!("e{n}")).collect();
        let parents: Vec<[&str; 1]> = names.iter().skip(1).map(|name| [name.as_str()]).collect();
        let edges: Vec<(&str, &[&str])> =
            names.iter().zip(&parents).map(|(name, parent)| (name.as_str(), &parent[..])).collect();
        let view = view(&edges).unwrap();
        assert!(view.is_in(id(&view, "e0"), id(&view, "e4999")));
    }
}
