//! Cedar's schema with the attributes that rules derive, so that Cedar's validator and tools know them.

use cedar_policy::SchemaFragment;
use serde_json::{Map, Value as Json, json};

use crate::base::Values;

use super::Type;

/// An attribute that is added to an entity type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The entity type, with its namespace.
    pub kind: String,
    /// The attribute.
    pub name: String,
    /// Its type, in Cedar's JSON form.
    pub of: Json,
    /// Whether every entity has it.
    pub is_required: bool,
}

/// A type in Cedar's JSON form.
#[must_use]
pub fn type_json(kind: &Type, values: &impl Values) -> Json {
    match kind {
        Type::Bool => json!({ "type": "Boolean" }),
        Type::Long => json!({ "type": "Long" }),
        Type::Text => json!({ "type": "String" }),
        Type::Entity(name) => json!({ "type": "Entity", "name": values.name(*name) }),
        Type::Set(element) => json!({ "type": "Set", "element": type_json(element, values) }),
        Type::Record(fields) => {
            let attributes: Map<String, Json> = fields
                .fields()
                .map(|(name, field)| {
                    let mut of = type_json(&field.kind, values);
                    if let Some(of) = of.as_object_mut() {
                        of.insert("required".to_owned(), (field.required == super::Required::Yes).into());
                    }
                    (values.name(name).to_owned(), of)
                })
                .collect();
            json!({ "type": "Record", "attributes": attributes })
        }
        Type::Decimal => json!({ "type": "Extension", "name": "decimal" }),
        Type::Ip => json!({ "type": "Extension", "name": "ipaddr" }),
        Type::Datetime => json!({ "type": "Extension", "name": "datetime" }),
        Type::Duration => json!({ "type": "Extension", "name": "duration" }),
    }
}

/// The fragments of a schema in Cedar's JSON form, with attributes added.
#[must_use]
pub fn extended(fragments: &[Json], added: &[Added]) -> Vec<Json> {
    let mut fragments = fragments.to_vec();
    for attribute in added {
        let (namespace, name) = attribute.kind.rsplit_once("::").unwrap_or(("", &attribute.kind));
        let mut of = attribute.of.clone();
        if let Some(of) = of.as_object_mut() {
            of.insert("required".to_owned(), attribute.is_required.into());
        }
        let common: Vec<Json> =
            fragments.iter().filter_map(|fragment| fragment.get(namespace)?.get("commonTypes").cloned()).collect();
        let definition = fragments
            .iter_mut()
            .find_map(|fragment| fragment.get_mut(namespace)?.get_mut("entityTypes")?.get_mut(name));
        let Some(Json::Object(definition)) = definition else { continue };
        let shape = definition.entry("shape").or_insert_with(|| json!({ "type": "Record", "attributes": {} }));
        resolve(shape, &common);
        if let Some(Json::Object(attributes)) = shape.get_mut("attributes") {
            attributes.insert(attribute.name.clone(), of);
        }
    }
    fragments
}

/// A shape that is the name of a common type is written out, so that it can be added to. Cycles were refused by Cedar.
fn resolve(shape: &mut Json, common: &[Json]) {
    for _ in 0..=common.len().max(32) {
        let name = match shape.get("type").and_then(Json::as_str) {
            Some("Record") | None => return,
            Some("EntityOrCommon" | "CommonType") => shape.get("name").and_then(Json::as_str),
            Some(name) => Some(name),
        };
        let Some(name) = name.map(|name| name.rsplit("::").next().unwrap_or(name)) else { return };
        let Some(found) = common.iter().find_map(|types| types.get(name)).cloned() else { return };
        *shape = found;
    }
}

/// Fragments in Cedar's own notation, one after the other.
///
/// # Errors
///
/// If Cedar cannot write them, in its words.
pub fn show(fragments: &[Json]) -> Result<String, String> {
    let mut text = String::new();
    for fragment in fragments {
        let fragment = SchemaFragment::from_json_value(fragment.clone()).map_err(|error| error.to_string())?;
        text.push_str(fragment.to_cedarschema().map_err(|error| error.to_string())?.trim_end());
        text.push('\n');
    }
    Ok(text)
}
