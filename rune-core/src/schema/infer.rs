//! What a ruleset without a schema shows of one: a schema to begin with.
//!
//! Types are those in use, attributes and tags those that entities have, actions those that are named. Nothing says which
//! actions apply to what, so that each applies to all types.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use crate::base::{Pool, Value, Values, View};

use super::{extend::type_json, is_action_type};

/// What is seen of entities and actions.
#[derive(Debug, Default)]
pub struct Seen {
    types: BTreeMap<String, SeenType>,
    actions: BTreeSet<(String, String)>,
}

/// What is seen of the entities of one type.
#[derive(Debug, Default)]
struct SeenType {
    n_entities: usize,
    /// In how many entities each attribute was, and its types in Cedar's JSON form.
    attributes: BTreeMap<String, (usize, Vec<Json>)>,
    tags: Vec<Json>,
    parents: BTreeSet<String>,
}

impl Seen {
    /// Notes a type.
    pub fn add_type(&mut self, kind: &str) {
        if !is_action_type(kind) {
            self.types.entry(kind.to_owned()).or_default();
        }
    }

    /// Notes an action, if an entity is one.
    pub fn add_action(&mut self, entity: Value, values: &Pool) {
        if let View::Entity(kind, id) = values.view(entity)
            && is_action_type(values.name(kind))
        {
            self.actions.insert((values.name(kind).to_owned(), values.name(id).to_owned()));
        }
    }

    /// Notes a stored entity.
    pub fn add_entity(&mut self, uid: Value, [attributes, tags]: [Value; 2], parents: &[Value], values: &Pool) {
        let View::Entity(kind, _) = values.view(uid) else { return };
        if is_action_type(values.name(kind)) {
            self.add_action(uid, values);
            return;
        }
        let above = parents.iter().filter_map(|parent| match values.view(*parent) {
            View::Entity(kind, _) => Some(values.name(kind).to_owned()),
            _ => None,
        });
        let above: Vec<String> = above.collect();
        let mut named = Vec::new();
        for value in [attributes, tags] {
            crate::base::value::each_entity(values, value, &mut |kind, _| named.push(values.name(kind).to_owned()));
        }
        for kind in above.iter().chain(&named) {
            self.add_type(kind);
        }
        let of = self.types.entry(values.name(kind).to_owned()).or_default();
        of.n_entities += 1;
        of.parents.extend(above);
        for (name, value) in members(attributes, values) {
            let (n, types) = of.attributes.entry(name).or_default();
            *n += 1;
            note(types, json_type_of(value, values));
        }
        for (_, value) in members(tags, values) {
            note(&mut of.tags, json_type_of(value, values));
        }
    }

    /// The schema, in Cedar's JSON form; none if there is nothing to show. What has several types is left out.
    #[must_use]
    pub fn fragment(&self) -> Option<Json> {
        if self.types.is_empty() {
            return None;
        }
        let mut namespaces: BTreeMap<&str, [Map<String, Json>; 2]> = BTreeMap::new();
        for (kind, of) in &self.types {
            let (namespace, name) = kind.rsplit_once("::").unwrap_or(("", kind));
            let single = of.attributes.iter().filter_map(|(name, (n, types))| match types.as_slice() {
                [Json::Object(of_type)] => Some((name, *n, of_type.clone())),
                _ => None,
            });
            let attributes: Map<String, Json> = single
                .map(|(name, n, mut of_type)| {
                    of_type.insert("required".to_owned(), (n == of.n_entities).into());
                    (name.clone(), Json::Object(of_type))
                })
                .collect();
            let mut entity = json!({
                "memberOfTypes": of.parents,
                "shape": { "type": "Record", "attributes": attributes },
            });
            if let ([tags], Some(entity)) = (of.tags.as_slice(), entity.as_object_mut()) {
                entity.insert("tags".to_owned(), tags.clone());
            }
            let [types, _] = namespaces.entry(namespace).or_default();
            types.insert(name.to_owned(), entity);
        }
        let all: Vec<&String> = self.types.keys().collect();
        for (kind, id) in &self.actions {
            let namespace = kind.rsplit_once("::").map_or("", |(namespace, _)| namespace);
            let [_, actions] = namespaces.entry(namespace).or_default();
            actions.insert(id.clone(), json!({ "appliesTo": { "principalTypes": all, "resourceTypes": all } }));
        }
        let whole = namespaces.into_iter().map(|(namespace, [types, actions])| {
            (namespace.to_owned(), json!({ "entityTypes": types, "actions": actions }))
        });
        Some(Json::Object(whole.collect()))
    }
}

fn members(record: Value, values: &Pool) -> Vec<(String, Value)> {
    match values.view(record) {
        View::Record(members) => members.iter().map(|(name, value)| (values.name(*name).to_owned(), *value)).collect(),
        _ => Vec::new(),
    }
}

/// Adds a type, if it is a new one; what has none that could be written counts as two.
fn note(types: &mut Vec<Json>, of: Option<Json>) {
    match of {
        Some(of) if of.is_null() || types.contains(&of) => {}
        Some(of) => types.push(of),
        None => types.extend([Json::Null, Json::Null]),
    }
}

/// The type of a value in Cedar's JSON form: null of an empty set, which may be of any, and none of one whose elements differ.
// Recurses once per level of a value, whose number is limited.
fn json_type_of(value: Value, values: &Pool) -> Option<Json> {
    Some(match values.view(value) {
        View::Set(elements) => {
            let mut types = Vec::new();
            for element in elements {
                note(&mut types, json_type_of(*element, values));
            }
            match types.as_slice() {
                [] => Json::Null,
                [element] => json!({ "type": "Set", "element": element }),
                _ => return None,
            }
        }
        View::Record(_) => {
            let mut attributes = Map::new();
            for (name, value) in members(value, values) {
                let mut of = json_type_of(value, values)?;
                of.as_object_mut()?.insert("required".to_owned(), true.into());
                attributes.insert(name, of);
            }
            json!({ "type": "Record", "attributes": attributes })
        }
        _ => type_json(&super::type_of(values, value)?, values),
    })
}
