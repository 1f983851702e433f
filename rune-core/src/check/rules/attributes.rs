//! Derived attributes: relations that policies read as attributes of entities.

use std::collections::HashMap;

use crate::{
    base::{Pool, Span, Symbol, Values, View},
    check::CheckedEntity,
    diag::{Code, Finding, Findings},
    schema::{
        Schema, Type,
        extend::{Added, type_json},
    },
};

use super::{Names, Predicate};

/// The attributes that relations declare, for the schema. One that an entity has already is a finding.
pub fn added(
    names: &Names,
    schema: Option<&Schema>,
    entities: &[CheckedEntity],
    values: &Pool,
    findings: &mut Findings,
) -> Vec<Added> {
    let mut added = Vec::new();
    if !names.predicates().iter().any(|predicate| predicate.is_attribute) {
        return added;
    }
    // The attributes that entities have, each with the place of one that has it.
    let mut stored: HashMap<(Symbol, &str), Option<Span>> = HashMap::new();
    for entity in entities {
        if let (View::Entity(kind, _), View::Record(members)) =
            (values.view(entity.uid), values.view(entity.attributes))
        {
            for (name, _) in members {
                stored.entry((kind, values.name(*name))).or_insert(entity.span);
            }
        }
    }
    for predicate in names.predicates().iter().filter(|predicate| predicate.is_attribute) {
        let Some(kind) = predicate.columns.first().and_then(|column| column.types.entity()) else { continue };
        let span = predicate.span.unwrap_or(Span::NOWHERE);
        let kind_name = values.name(kind).to_owned();
        let of_kind = schema.and_then(|schema| schema.entity_type(kind));
        if of_kind.is_some_and(|of| of.choices.is_some()) {
            let message = format!("{kind_name} lists its ids, and such a type has no attributes");
            findings.push(
                Finding::new(Code::AttributeForm, span, message)
                    .help("take `@attribute` away and read the relation in rules"),
            );
            continue;
        }
        let in_schema =
            of_kind.is_some_and(|of| of.attributes.fields().any(|(name, _)| values.name(name) == predicate.name));
        let in_entity = stored.get(&(kind, predicate.name.as_str()));
        if in_schema || (schema.is_none() && in_entity.is_some()) {
            let message = format!("{kind_name} has a stored attribute `{}` already", predicate.name);
            let finding = Finding::new(Code::AttributeForm, span, message).help("give the relation another name");
            findings.push(match in_entity.copied().flatten() {
                Some(other) => finding.related(other, "stored here"),
                None => finding,
            });
            continue;
        }
        if let Some(of) = type_of(predicate, values) {
            added.push(Added {
                kind: kind_name,
                name: predicate.name.clone(),
                of,
                is_required: predicate.key.is_none(),
            });
        }
    }
    added
}

/// The type of the attribute that a relation is, in Cedar's JSON form.
fn type_of(predicate: &Predicate, values: &Pool) -> Option<serde_json::Value> {
    let rest = predicate.columns.get(1..)?;
    let single = |column: &super::Column| column.types.single().map(|kind| type_json(kind, values));
    Some(match (rest, predicate.key.is_some()) {
        ([], _) => type_json(&Type::Bool, values),
        ([column], true) => single(column)?,
        ([column], false) => serde_json::json!({ "type": "Set", "element": single(column)? }),
        (columns, is_function) => {
            let mut attributes = serde_json::Map::new();
            for column in columns {
                attributes.insert(column.name.as_deref()?.to_owned(), single(column)?);
            }
            let record = serde_json::json!({ "type": "Record", "attributes": attributes });
            if is_function { record } else { serde_json::json!({ "type": "Set", "element": record }) }
        }
    })
}
