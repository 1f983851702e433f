//! Entities by their names, in the order of lists.
//!
//! ```text
//!   entities ─▶ types and ids ─▶ names ─▶ first letters ─▶ order
//! ```
//!
//! Each arrow is taken for all of them before the next is for any: they are far apart in memory, and many waits are then one.

use crate::base::{EntityRef, Symbol, Value, Values, View};

use super::EntityName;

/// An entity by its name, and whether it is on the list for sure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'v> {
    pub(super) entity: Value,
    pub(super) name: EntityName<'v>,
    pub(super) is_sure: bool,
}

/// Whether an entity comes after another, by type and id.
pub(super) fn comes_after(name: EntityName<'_>, other: &EntityRef) -> bool {
    EntityName { kind: &other.kind, id: &other.id } < name
}

/// Whether an entity comes after another, by type and id.
pub(super) fn is_after(values: &impl Values, entity: Value, other: &EntityRef) -> bool {
    match values.view(entity) {
        View::Entity(kind, id) => comes_after(EntityName { kind: values.name(kind), id: values.name(id) }, other),
        _ => false,
    }
}

/// Those that are of these types, by type and id.
pub(super) fn in_order<'v>(values: &'v impl Values, kinds: &[Symbol], found: &[(Value, bool)]) -> Vec<Named<'v>> {
    let mut types: Vec<(&str, Symbol)> = kinds.iter().map(|kind| (values.name(*kind), *kind)).collect();
    types.sort_unstable();
    let mut parts: Vec<(usize, Symbol, Value, bool)> = Vec::with_capacity(found.len());
    parts.extend(found.iter().filter_map(|(entity, is_sure)| {
        let View::Entity(kind, id) = values.view(*entity) else { return None };
        Some((types.iter().position(|(_, of)| *of == kind)?, id, *entity, *is_sure))
    }));
    let named = parts.iter().map(|(kind, id, entity, is_sure)| {
        let kind = types.get(*kind).map_or("", |(kind, _)| *kind);
        Named { entity: *entity, name: EntityName { kind, id: values.name(*id) }, is_sure: *is_sure }
    });
    let all: Vec<Named<'v>> = named.collect();
    let mut order: Vec<u128> = Vec::with_capacity(all.len());
    order.extend(parts.iter().zip(&all).enumerate().map(|(at, ((kind, ..), named))| key(*kind, named.name.id, at)));
    order.sort_unstable();
    let at = |key: &u128| all.get((key & u128::from(u32::MAX)) as usize);
    for alike in order.chunk_by_mut(|a, b| a >> 32 == b >> 32).filter(|alike| 1 < alike.len()) {
        alike.sort_unstable_by_key(|key| at(key).map(|named| named.name.id));
    }
    order.iter().filter_map(|key| at(key).copied()).collect()
}

/// What names are put in order by, before they are looked at as a whole: the place of the type, the first letters, and in the lower
/// 32 bits where the rest is.
fn key(kind: usize, id: &str, at: usize) -> u128 {
    (kind as u128) << 96 | u128::from(first_letters(id)) << 32 | at as u128
}

/// The first eight letters of a name as a number: of two names the one with the smaller number is never the later one.
fn first_letters(name: &str) -> u64 {
    let mut letters = [0; 8];
    letters.iter_mut().zip(name.bytes()).for_each(|(letter, byte)| *letter = byte);
    u64::from_be_bytes(letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Pool;

    #[test]
    fn names_come_in_the_order_of_their_letters_whatever_they_begin_with() {
        let mut values = Pool::default();
        let ids = ["", "a", "a\0", "ab", "abcdefgh", "abcdefgh0", "abcdefgi", "abcdefghi", "b", "é", "10", "9"];
        let mut found = Vec::new();
        for kind in ["B", "A", "C"] {
            found.extend(ids.iter().map(|id| (values.entity(kind, id), id.len() % 2 == 0)));
        }
        let kinds = ["B", "A"].map(|kind| values.symbol(kind));
        let named = in_order(&values, &kinds, &found);
        let mut expected: Vec<EntityRef> =
            ["A", "B"].iter().flat_map(|kind| ids.iter().map(|id| EntityRef::new(*kind, *id))).collect();
        expected.sort();
        assert_eq!(named.iter().map(|named| named.name.to_entity()).collect::<Vec<_>>(), expected);
        for (n, named) in named.iter().enumerate() {
            assert_eq!(named.is_sure, named.name.id.len() % 2 == 0);
            assert!(expected.iter().enumerate().all(|(m, other)| comes_after(named.name, other) == (m < n)));
        }
    }
}
