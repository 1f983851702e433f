//! How large a schema gets once it is written out, told before Cedar does that.
//!
//! ```text
//!   type A = { x: Long };  type B = { x: A, y: A };  type C = { x: B, y: B };  …
//! ```
//!
//! Twenty such lines stand for a million types, and a chain of `entity A in [B]` for as many pairs as the square of its length.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::base::limits;

/// What is too much about a schema, in words; none if nothing is.
pub(super) fn excess(fragments: &[Json]) -> Option<String> {
    let mut types = Types::default();
    for (namespace, definitions) in namespaces(fragments) {
        for (name, definition) in members(definitions, "commonTypes") {
            types.definitions.insert(full(namespace, name), (namespace, definition));
        }
    }
    let mut total = Size::default();
    for (namespace, definitions) in namespaces(fragments) {
        let shapes =
            members(definitions, "entityTypes").flat_map(|(_, entity)| [entity.get("shape"), entity.get("tags")]);
        let contexts = members(definitions, "actions")
            .map(|(_, action)| action.get("appliesTo").and_then(|applies| applies.get("context")));
        for part in shapes.chain(contexts).flatten() {
            total.add(types.size(namespace, part));
        }
    }
    // Common types that nothing uses are written out as well.
    let names: Vec<String> = types.definitions.keys().cloned().collect();
    for name in names {
        total.add(types.named(&name));
    }
    if limits::SCHEMA_SIZE_MAX < total.n {
        return Some(format!("the schema's types are more than {} once they are written out", limits::SCHEMA_SIZE_MAX));
    }
    if limits::SCHEMA_DEPTH_MAX < total.depth {
        return Some(format!("the schema's types are nested deeper than {}", limits::SCHEMA_DEPTH_MAX));
    }
    let n_pairs = n_ancestors(&entity_parents(fragments)) + n_ancestors(&action_parents(fragments));
    (limits::SCHEMA_SIZE_MAX < n_pairs)
        .then(|| format!("entity types or actions are in more than {} others in all", limits::SCHEMA_SIZE_MAX))
}

/// How many types there are in a type, itself included, and how deep.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    n: usize,
    depth: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.n = self.n.saturating_add(other.n);
        self.depth = self.depth.max(other.depth);
    }
}

#[derive(Default)]
struct Types<'j> {
    /// By full name: where it stands, and what it is.
    definitions: BTreeMap<String, (&'j str, &'j Json)>,
    /// None while it is being measured: then it is in itself, which Cedar reports.
    known: BTreeMap<String, Option<Size>>,
}

impl<'j> Types<'j> {
    // Recurses along names of types, at most once for each, on the stack that builds have.
    fn size(&mut self, namespace: &str, json: &'j Json) -> Size {
        let mut size = Size { n: 1, depth: 0 };
        match json {
            Json::Object(parts) => {
                let names = ["type", "name"].map(|key| parts.get(key).and_then(Json::as_str));
                for name in names.into_iter().flatten() {
                    let candidates = [full(namespace, name), name.to_owned()];
                    if let Some(found) = candidates.into_iter().find(|name| self.definitions.contains_key(name)) {
                        size.add(self.named(&found));
                        break;
                    }
                }
                for (_, part) in parts.iter().filter(|(key, _)| *key != "annotations") {
                    if part.is_object() {
                        size.add(self.size(namespace, part));
                    }
                }
            }
            _ => return Size::default(),
        }
        Size { n: size.n, depth: size.depth + 1 }
    }

    fn named(&mut self, name: &str) -> Size {
        if let Some(known) = self.known.get(name) {
            return known.unwrap_or_default();
        }
        let Some((namespace, definition)) = self.definitions.get(name).copied() else { return Size::default() };
        self.known.insert(name.to_owned(), None);
        let size = self.size(namespace, definition);
        self.known.insert(name.to_owned(), Some(size));
        size
    }
}

/// An upper bound of the pairs of one thing and another that it is in, near or far.
fn n_ancestors(parents: &BTreeMap<String, Vec<String>>) -> usize {
    fn above(of: &str, parents: &BTreeMap<String, Vec<String>>, known: &mut BTreeMap<String, usize>) -> usize {
        if let Some(n) = known.get(of) {
            return *n;
        }
        // For a cycle, which Cedar reports.
        known.insert(of.to_owned(), 0);
        let n = parents.get(of).into_iter().flatten().map(|parent| 1 + above(parent, parents, known));
        let n = n.fold(0_usize, usize::saturating_add).min(parents.len());
        known.insert(of.to_owned(), n);
        n
    }
    let mut known = BTreeMap::new();
    parents.keys().map(|of| above(of, parents, &mut known)).fold(0, usize::saturating_add)
}

fn entity_parents(fragments: &[Json]) -> BTreeMap<String, Vec<String>> {
    let mut parents: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (namespace, definitions) in namespaces(fragments) {
        for (name, entity) in members(definitions, "entityTypes") {
            let above = entity.get("memberOfTypes").and_then(Json::as_array).into_iter().flatten();
            let above = above.filter_map(Json::as_str).map(|parent| full(namespace, parent));
            parents.entry(full(namespace, name)).or_default().extend(above);
        }
    }
    parents
}

fn action_parents(fragments: &[Json]) -> BTreeMap<String, Vec<String>> {
    let mut parents: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (namespace, definitions) in namespaces(fragments) {
        for (name, action) in members(definitions, "actions") {
            let above = action.get("memberOf").and_then(Json::as_array).into_iter().flatten();
            let above = above.filter_map(|parent| parent.get("id")?.as_str()).map(|parent| full(namespace, parent));
            parents.entry(full(namespace, name)).or_default().extend(above);
        }
    }
    parents
}

fn namespaces(fragments: &[Json]) -> impl Iterator<Item = (&str, &Json)> {
    fragments
        .iter()
        .filter_map(Json::as_object)
        .flatten()
        .map(|(namespace, definitions)| (namespace.as_str(), definitions))
}

fn members<'j>(definitions: &'j Json, kind: &str) -> impl Iterator<Item = (&'j str, &'j Json)> {
    let members: Option<&'j Map<String, Json>> = definitions.get(kind).and_then(Json::as_object);
    members.into_iter().flatten().map(|(name, definition)| (name.as_str(), definition))
}

fn full(namespace: &str, name: &str) -> String {
    if namespace.is_empty() || name.contains("::") { name.to_owned() } else { format!("{namespace}::{name}") }
}
