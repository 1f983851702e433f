//! What was probably meant by an entity that the schema does not have, or by what is no entity.

use crate::{
    base::{Symbol, Value, Values, View, limits, value::quote},
    diag::Findings,
    schema::{Schema, Types, is_action_type},
};

/// The entity that is nearest to one that the schema does not have: an action, one of an enumerated type, or one of another
/// type.
pub(crate) fn entity(entity: Value, schema: &Schema, values: &impl Values, findings: &Findings) -> Option<String> {
    let View::Entity(kind, id) = values.view(entity) else { return None };
    let (kind_name, id_name) = (values.name(kind), values.name(id));
    if let Some(of) = schema.entity_type(kind) {
        let choices = of.choices.iter().flatten().map(|choice| values.name(*choice));
        return findings.nearest(id_name, choices).map(|near| question(kind_name, near));
    }
    if is_action_type(kind_name) {
        let actions = schema.actions().filter_map(|(action, _)| parts(action, values)).map(|(_, id)| id);
        let near = findings.nearest(id_name, actions)?;
        return action(near, schema, values).map(|near| format!("did you mean `{near}`?"));
    }
    let types = schema.entity_types().map(|(name, _)| values.name(name));
    findings.nearest(kind_name, types).map(|near| question(near, id_name))
}

/// The action of the schema that has this id.
pub(crate) fn action(id: &str, schema: &Schema, values: &impl Values) -> Option<String> {
    let mut actions = schema.actions().filter_map(|(action, _)| parts(action, values));
    actions.find(|(_, known)| *known == id).map(|(kind, id)| format!("{kind}::{}", brief(id)))
}

/// The entity that a value was probably meant to be, in a place of these types.
pub(crate) fn of_types(value: Value, types: &Types, values: &impl Values, findings: &Findings) -> Option<String> {
    let kinds = types.entities().filter(|kinds| !kinds.is_empty())?;
    let name = |kind: &Symbol| values.name(*kind);
    match values.view(value) {
        View::Entity(kind, id) => {
            let near = findings.nearest(values.name(kind), kinds.iter().map(name))?;
            Some(format!("{near}::{}", brief(values.name(id))))
        }
        View::Text(text) if !text.contains('"') => {
            let (kind, id) = text.split_once("::").unwrap_or((kinds.first().map_or("", name), text));
            Some(format!("{kind}::{}", brief(id)))
        }
        _ => None,
    }
}

fn question(kind: &str, id: &str) -> String {
    format!("did you mean `{kind}::{}`?", brief(id))
}

fn parts<V: Values>(entity: Value, values: &V) -> Option<(&str, &str)> {
    match values.view(entity) {
        View::Entity(kind, id) => Some((values.name(kind), values.name(id))),
        _ => None,
    }
}

/// An id in quotes, if it is short enough to be shown.
fn brief(id: &str) -> String {
    if limits::SHOWN_CHARS_MAX < id.len() { "\"…\"".to_owned() } else { quote(id) }
}
