//! What was probably meant by an entity that the schema does not have, or by what is no entity.
//!
//! A text may have as many wrong names as right ones: each search asks first whether a finding will be kept.

use crate::{
    base::{FileId, Span, Symbol, Value, Values, View, value::brief},
    diag::{Finding, Findings},
    schema::{Schema, Types, conform::Misfit, is_action_type},
};

/// Advice on an entity that the schema does not have: the nearest action, id of an enumerated type, or type.
pub(crate) fn entity(entity: Value, schema: &Schema, values: &impl Values, findings: &Findings) -> Option<String> {
    let View::Entity(kind, id) = values.view(entity) else { return None };
    let (kind_name, id_name) = (values.name(kind), values.name(id));
    let (kind, id) = if let Some(of) = schema.entity_type(kind) {
        let choices = of.choices.iter().flatten().map(|choice| values.name(*choice));
        (kind_name, findings.nearest(id_name, choices)?)
    } else if is_action_type(kind_name) {
        let actions = || schema.actions().filter_map(|(action, _)| parts(action, values));
        let near = findings.nearest(id_name, actions().map(|(_, id)| id))?;
        actions().find(|(_, id)| *id == near)?
    } else {
        (entity_type(kind_name, schema, values, findings)?, id_name)
    };
    Some(format!("did you mean `{kind}::{}`?", brief(id)))
}

/// The entity type of the schema that is nearest to a name.
pub(crate) fn entity_type<'v>(
    name: &str,
    schema: &Schema,
    values: &'v impl Values,
    findings: &Findings,
) -> Option<&'v str> {
    findings.nearest(name, schema.entity_types().map(|(name, _)| values.name(name)))
}

/// The action of the schema that has this id.
pub(crate) fn action(id: &str, schema: &Schema, values: &mut impl Values, findings: &Findings) -> Option<String> {
    if !findings.has_room() {
        return None;
    }
    let id = values.symbol(id);
    let is_it = |action: &Value| matches!(values.view(*action), View::Entity(_, known) if known == id);
    let action = schema.actions().map(|(action, _)| action).find(is_it)?;
    parts(action, values).map(|(kind, id)| format!("{kind}::{}", brief(id)))
}

/// The type and id of the entity that a value was probably meant to be, in a place of these types.
pub(crate) fn of_types<'v, V: Values>(
    value: Value,
    types: &Types,
    values: &'v V,
    findings: &Findings,
) -> Option<(&'v str, &'v str)> {
    let kinds = types.entities().filter(|kinds| !kinds.is_empty())?;
    let name = |kind: &Symbol| values.name(*kind);
    let near = |kind: &str| {
        let known = kinds.iter().map(name).find(|known| *known == kind);
        known.or_else(|| findings.nearest(kind, kinds.iter().map(name)))
    };
    match values.view(value) {
        View::Entity(kind, id) => Some((near(values.name(kind))?, values.name(id))),
        View::Text(text) if !text.contains('"') => match text.rsplit_once("::") {
            Some((kind, id)) => Some((near(kind)?, id)),
            None => Some((kinds.first().map(name)?, text)),
        },
        _ => None,
    }
}

/// The finding for data that is not what it should be.
pub(crate) fn misfit(
    file: FileId,
    misfit: Misfit,
    schema: Option<&Schema>,
    values: &impl Values,
    findings: &Findings,
) -> Finding {
    let finding = Finding::new(misfit.code, Span::new(file, misfit.span.clone()), misfit.describe());
    let near = || entity(misfit.unknown?, schema?, values, findings);
    Finding { help: misfit.help.or_else(near), ..finding }
}

fn parts<V: Values>(entity: Value, values: &V) -> Option<(&str, &str)> {
    match values.view(entity) {
        View::Entity(kind, id) => Some((values.name(kind), values.name(id))),
        _ => None,
    }
}
