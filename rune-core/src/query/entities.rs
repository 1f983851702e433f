//! Entities by name, many of them in little room.
//!
//! ```text
//!   kinds   "Document" "User"
//!   rows    (0, 4) (0, 8) (1, 11)   the type of each, and where its id ends
//!   ids     "planspecada"           one after the other
//! ```

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::base::EntityRef;

/// Entities by type and id, in an order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Entities {
    kinds: Vec<Box<str>>,
    rows: Vec<(usize, usize)>,
    ids: String,
}

/// An entity of [`Entities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityName<'e> {
    /// The type, with its namespace: `App::User`.
    pub kind: &'e str,
    /// The id.
    pub id: &'e str,
}

impl Entities {
    pub(super) fn with_capacity(n: usize, n_bytes: usize) -> Self {
        Self { kinds: Vec::new(), rows: Vec::with_capacity(n), ids: String::with_capacity(n_bytes) }
    }

    /// Adds an entity.
    pub(super) fn push(&mut self, EntityName { kind, id }: EntityName<'_>) {
        let is_it = |of: &str| of == kind;
        // Most are of the type that the one before is of.
        let last = self.rows.last().map(|(at, _)| *at).filter(|at| self.kinds.get(*at).is_some_and(|of| is_it(of)));
        let at = last.or_else(|| self.kinds.iter().position(|of| is_it(of))).unwrap_or_else(|| {
            self.kinds.push(kind.into());
            self.kinds.len() - 1
        });
        self.ids.push_str(id);
        self.rows.push((at, self.ids.len()));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One of them, by its place.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<EntityName<'_>> {
        let (kind, end) = *self.rows.get(at)?;
        let start = at.checked_sub(1).and_then(|before| self.rows.get(before)).map_or(0, |(_, end)| *end);
        Some(EntityName { kind: self.kinds.get(kind)?, id: self.ids.get(start..end)? })
    }

    /// All of them.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = EntityName<'_>> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// All of them, each by itself.
    #[must_use]
    pub fn to_vec(&self) -> Vec<EntityRef> {
        self.iter().map(EntityName::to_entity).collect()
    }
}

impl EntityName<'_> {
    /// The entity by itself.
    #[must_use]
    pub fn to_entity(self) -> EntityRef {
        EntityRef::new(self.kind, self.id)
    }
}

impl fmt::Display for EntityName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_entity().fmt(f)
    }
}

impl fmt::Debug for Entities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'e> FromIterator<EntityName<'e>> for Entities {
    fn from_iter<I: IntoIterator<Item = EntityName<'e>>>(names: I) -> Self {
        let mut entities = Self::default();
        names.into_iter().for_each(|name| entities.push(name));
        entities
    }
}

impl PartialEq<[EntityRef]> for Entities {
    fn eq(&self, other: &[EntityRef]) -> bool {
        self.iter().eq(other.iter().map(|EntityRef { kind, id }| EntityName { kind, id }))
    }
}

impl PartialEq<Vec<EntityRef>> for Entities {
    fn eq(&self, other: &Vec<EntityRef>) -> bool {
        *self == **other
    }
}

impl Serialize for Entities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl Serialize for EntityName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entity = serializer.serialize_struct("EntityRef", 2)?;
        entity.serialize_field("type", self.kind)?;
        entity.serialize_field("id", self.id)?;
        entity.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_what_was_put_in() {
        let all: Vec<EntityRef> = [("A", "x"), ("A", ""), ("B", "é"), ("A", "y"), ("B", "")]
            .map(|(kind, id)| EntityRef::new(kind, id))
            .into();
        let entities: Entities = all.iter().map(|EntityRef { kind, id }| EntityName { kind, id }).collect();
        assert_eq!(entities.to_vec(), all);
        assert!(entities == all && entities != all[1..] && entities != all[..4]);
        assert_eq!((entities.len(), entities.get(5), entities.is_empty()), (5, None, false));
        assert_eq!(entities.iter().next_back().map(|name| name.to_string()), Some(all[4].to_string()));
        let json = |of: &dyn Fn() -> serde_json::Result<String>| of().expect("it is JSON");
        assert_eq!(json(&|| serde_json::to_string(&entities)), json(&|| serde_json::to_string(&all)));
    }
}
