//! Who is below whom, as entities that are stored say.

use hashbrown::HashMap;

use crate::{
    base::{Pool, Value, Values as _, View, limits},
    check::CheckedEntity,
};

/// For each of a list of entities, the set of its parents and that of all that it is below. Entities with equal ones share them.
#[derive(Debug)]
pub struct Hierarchy(pub(super) Vec<[Value; 2]>);

/// Why a list of entities has no hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HierarchyFault {
    /// Entities that are above themselves: each one's parent is the next, and the last one's the first.
    Cycle(Vec<Value>),
    /// With this entity there are more than [`limits::ANCESTORS_MAX`] ancestors.
    TooLarge(Value),
}

impl Hierarchy {
    /// The hierarchy of these entities.
    ///
    /// # Errors
    ///
    /// If an entity is above itself, or there are too many ancestors in all.
    pub fn of(values: &mut Pool, entities: &[CheckedEntity]) -> Result<Self, HierarchyFault> {
        Self::bounded(values, entities, limits::ANCESTORS_MAX)
    }

    pub(super) fn bounded(values: &mut Pool, entities: &[CheckedEntity], n_max: usize) -> Result<Self, HierarchyFault> {
        let parents: HashMap<Value, &[Value]> = entities.iter().map(|entity| (entity.uid, &*entity.parents)).collect();
        let mut walk = Walk { values, parents, done: HashMap::with_capacity(entities.len()), n_left: n_max };
        for entity in entities {
            walk.from(entity.uid)?;
        }
        let Walk { values, done, .. } = walk;
        let both = entities.iter().filter_map(|entity| {
            let ancestors = done.get(&entity.uid).copied()?;
            Some([values.set(entity.parents.clone()), ancestors])
        });
        Ok(Self(both.collect()))
    }
}

/// A walk up the hierarchy, depth first with a stack of its own: a long chain is no deeper than a short one.
struct Walk<'a> {
    values: &'a mut Pool,
    parents: HashMap<Value, &'a [Value]>,
    /// All that an entity is below, once it is known.
    done: HashMap<Value, Value>,
    /// How many more ancestors there may be.
    n_left: usize,
}

impl Walk<'_> {
    fn from(&mut self, start: Value) -> Result<(), HierarchyFault> {
        if self.done.contains_key(&start) {
            return Ok(());
        }
        let mut path = vec![(start, 0)];
        let mut on_path = HashMap::new();
        on_path.insert(start, 0_usize);
        while let Some((at, next)) = path.last_mut() {
            let at = *at;
            let above = self.parents.get(&at).copied().unwrap_or_default();
            let Some(&parent) = above.get(*next) else {
                self.close(at, above)?;
                on_path.remove(&at);
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(&start) = on_path.get(&parent) {
                return Err(HierarchyFault::Cycle(path.iter().skip(start).map(|(entity, _)| *entity).collect()));
            }
            if !self.done.contains_key(&parent) && self.parents.contains_key(&parent) {
                on_path.insert(parent, path.len());
                path.push((parent, 0));
            }
        }
        Ok(())
    }

    /// All parents of `entity` are done: so is it.
    fn close(&mut self, entity: Value, above: &[Value]) -> Result<(), HierarchyFault> {
        let mut all = above.to_vec();
        for parent in above {
            if let Some(set) = self.done.get(parent)
                && let View::Set(further) = self.values.view(*set)
            {
                all.extend_from_slice(further);
            }
        }
        let (n_values, n_ancestors) = (self.values.len(), all.len());
        let set = self.values.set(all);
        // A set that was there already is shared and costs nothing.
        if n_values < self.values.len() {
            self.n_left = self.n_left.checked_sub(n_ancestors).ok_or(HierarchyFault::TooLarge(entity))?;
        }
        self.done.insert(entity, set);
        Ok(())
    }
}
