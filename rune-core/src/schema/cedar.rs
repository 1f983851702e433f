//! Reading Cedar's schema: by Cedar, then into our own types.

use std::collections::BTreeSet;

use cedar_policy::{Schema as Validator, SchemaFragment};
use cedar_policy_core::{
    ast::EntityType as Name,
    validator::{
        ValidatorEntityTypeKind, ValidatorSchema,
        types::{Attributes, EntityKind, Type as Cedar},
    },
};
use serde_json::Value as Json;

use crate::{
    base::{Symbol, Values},
    diag::{Code, Finding, Findings},
    syntax::{cedar::Piece, height::Notation},
};

use super::{
    ActionType, EntityType, Field, RecordType, Required, Schema, Supplied, Type, bounds,
    extend::{self, Added},
};

/// A schema in both forms: Cedar's, for its validator, and ours, for entities and requests.
#[derive(Debug)]
pub struct CedarSchema {
    /// For Cedar's validator.
    pub validator: Validator,
    /// For entities and requests.
    pub schema: Schema,
    /// The pieces in Cedar's JSON form.
    pub fragments: Vec<Json>,
}

impl CedarSchema {
    /// Lets Cedar's validator know attributes that are derived.
    ///
    /// # Errors
    ///
    /// If the schema does not hold together with them, in Cedar's words.
    pub fn extend(&mut self, added: &[Added]) -> Result<(), String> {
        if added.is_empty() {
            return Ok(());
        }
        let fragments = extend::extended(&self.fragments, added);
        let read =
            |fragment: &Json| SchemaFragment::from_json_value(fragment.clone()).map_err(|error| error.to_string());
        let read: Vec<_> = fragments.iter().map(read).collect::<Result<_, _>>()?;
        self.validator = Validator::from_schema_fragments(read).map_err(|error| error.to_string())?;
        self.fragments = fragments;
        Ok(())
    }
}

/// Reads the pieces of a schema as one. None if there is no piece, or if one has an error, which is then a finding.
pub fn read(pieces: &[Piece], values: &mut impl Values, findings: &mut Findings) -> Option<CedarSchema> {
    let first = pieces.first()?;
    let fragments: Vec<_> = pieces.iter().filter_map(|piece| fragment(piece, findings)).collect();
    if fragments.len() < pieces.len() {
        return None;
    }
    // What Cedar has just read, it can write.
    let json: Vec<Json> =
        fragments.iter().map(|fragment| fragment.clone().to_json_value().unwrap_or_default()).collect();
    if let Some(excess) = bounds::excess(&json) {
        findings.push(Finding::new(Code::SchemaTooLarge, first.span(0..0), excess));
        return None;
    }
    let supplied = SuppliedAttributes::of(&json, pieces, findings);
    let validator = match Validator::from_schema_fragments(fragments) {
        Ok(validator) => validator,
        Err(error) => {
            // Cedar's errors about names say which text they point into only by quoting it.
            let piece = pieces.iter().find(|piece| points_into(&error, piece)).unwrap_or(first);
            for finding in piece.findings(Code::SchemaInvalid, &error) {
                findings.push(finding);
            }
            return None;
        }
    };
    let schema = translate(validator.as_ref(), &supplied, &live_types(&json), values);
    match schema {
        Ok(schema) => Some(CedarSchema { validator, schema, fragments: json }),
        Err(what) => {
            let message = format!("the schema uses {what}, which RUNE does not know");
            findings.push(Finding::new(Code::UnknownConstruct, first.span(0..0), message));
            None
        }
    }
}

fn fragment(piece: &Piece, findings: &mut Findings) -> Option<SchemaFragment> {
    if !piece.is_low(Notation::CedarSchema, findings) {
        return None;
    }
    match SchemaFragment::from_cedarschema_str(&piece.text) {
        Ok((fragment, warnings)) => {
            for warning in warnings {
                findings.push(piece.finding(Code::SchemaSuspicious, &warning));
            }
            Some(fragment)
        }
        Err(error) => {
            for finding in piece.findings(Code::SchemaSyntax, &error) {
                findings.push(finding);
            }
            None
        }
    }
}

fn points_into(error: &dyn miette::Diagnostic, piece: &Piece) -> bool {
    let Some(source) = error.source_code() else { return false };
    source.read_span(&(0, 0).into(), 0, usize::MAX / 2).is_ok_and(|contents| contents.data() == piece.text.as_bytes())
}

/// The attributes that carry `@request`, by full type name. Cedar keeps annotations of attributes only in its JSON form.
struct SuppliedAttributes(Vec<(String, String)>);

/// The entity types that carry `@live`, by full name.
fn live_types(fragments: &[Json]) -> BTreeSet<String> {
    let mut live = BTreeSet::new();
    for (namespace, definitions) in fragments.iter().filter_map(Json::as_object).flatten() {
        let types = definitions.get("entityTypes").and_then(Json::as_object);
        for (name, definition) in types.into_iter().flatten() {
            if definition.get("annotations").and_then(|all| all.get("live")).is_some() {
                live.insert(if namespace.is_empty() { name.clone() } else { format!("{namespace}::{name}") });
            }
        }
    }
    live
}

impl SuppliedAttributes {
    /// Reads the annotations of entities' attributes. One that stands elsewhere has no effect, and that is said.
    fn of(fragments: &[Json], pieces: &[Piece], findings: &mut Findings) -> Self {
        let mut marked = Vec::new();
        for (json, piece) in fragments.iter().zip(pieces) {
            let n_before = marked.len();
            for (namespace, definitions) in json.as_object().into_iter().flatten() {
                let types = definitions.get("entityTypes").and_then(Json::as_object);
                for (name, definition) in types.into_iter().flatten() {
                    let full = if namespace.is_empty() { name.clone() } else { format!("{namespace}::{name}") };
                    let attributes = definition.get("shape").and_then(|shape| shape.get("attributes"));
                    for (attribute, kind) in attributes.and_then(Json::as_object).into_iter().flatten() {
                        if is_marked(kind) {
                            marked.push((full.clone(), attribute.clone()));
                        }
                    }
                }
            }
            if marked.len() - n_before < n_marks(json) {
                let at = piece.text.find("@request").unwrap_or_default();
                let message = "`@request` has no effect but on an attribute of an entity";
                let finding = Finding::new(Code::IneffectiveAnnotation, piece.span(at..at + "@request".len()), message);
                findings.push(
                    finding.help("a request always supplies its context; nested members go with their attribute"),
                );
            }
        }
        marked.sort();
        Self(marked)
    }

    fn contains(&self, kind: &str, attribute: &str) -> bool {
        self.0.binary_search_by(|(k, a)| (k.as_str(), a.as_str()).cmp(&(kind, attribute))).is_ok()
    }
}

fn is_marked(json: &Json) -> bool {
    json.get("annotations").and_then(|all| all.get("request")).is_some()
}

/// How many things carry `@request`. Recurses once per level of the schema, whose nesting was limited.
fn n_marks(json: &Json) -> usize {
    let inner: usize = match json {
        Json::Object(members) => members.values().map(n_marks).sum(),
        Json::Array(items) => items.iter().map(n_marks).sum(),
        _ => 0,
    };
    inner + usize::from(is_marked(json))
}

/// What we have no type for, in words.
type Unknown = &'static str;

fn translate(
    cedar: &ValidatorSchema,
    supplied: &SuppliedAttributes,
    live: &BTreeSet<String>,
    values: &mut impl Values,
) -> Result<Schema, Unknown> {
    let mut schema = Schema::default();
    for entity_type in cedar.entity_types() {
        let name = entity_type.name().to_string();
        let choices = match &entity_type.kind {
            ValidatorEntityTypeKind::Standard(_) => None,
            ValidatorEntityTypeKind::Enum(ids) => {
                Some(ids.iter().map(|id| values.symbol(id.as_ref())).collect::<Vec<_>>())
            }
            ValidatorEntityTypeKind::External => return Err("an external entity type"),
        };
        let mut attributes = record(entity_type.attributes(), values)?;
        for (attribute, _) in entity_type.attributes().iter() {
            if supplied.contains(&name, attribute)
                && let Some(field) = attributes.fields.get_mut(&values.symbol(attribute))
            {
                field.supplied = Supplied::ByRequest;
            }
        }
        let tags = entity_type.tag_type().map(|tags| kind(tags, values)).transpose()?;
        let mut parents: Vec<Symbol> = cedar
            .entity_types()
            .filter(|other| other.has_descendant_entity_type(entity_type.name()))
            .map(|other| values.symbol(&other.name().to_string()))
            .collect();
        parents.sort_unstable();
        schema.types.insert(
            values.symbol(&name),
            EntityType { attributes, tags, parents, choices, is_live: live.contains(&name) },
        );
    }
    for action in cedar.action_ids() {
        if action.is_external() {
            return Err("an external action");
        }
        let context = match action.context() {
            Some(Cedar::Record { attrs, .. }) => record(attrs, values)?,
            Some(_) => return Err("a context that is no record"),
            None => RecordType::default(),
        };
        let translated = ActionType {
            principals: names(action.applies_to_principals(), values),
            resources: names(action.applies_to_resources(), values),
            context,
            ancestors: Vec::new(),
        };
        let entity = entity(action.name(), values);
        schema.actions.entry(entity).or_default().clone_from(&translated);
    }
    for action in cedar.action_ids() {
        let ancestor = entity(action.name(), values);
        for descendant in action.descendants() {
            let descendant = entity(descendant, values);
            if let Some(below) = schema.actions.get_mut(&descendant)
                && descendant != ancestor
            {
                below.ancestors.push(ancestor);
                below.ancestors.sort_unstable();
            }
        }
    }
    Ok(schema)
}

fn entity(uid: &cedar_policy_core::ast::EntityUID, values: &mut impl Values) -> crate::base::Value {
    values.entity(&uid.entity_type().to_string(), uid.eid().as_ref())
}

fn names<'a>(names: impl Iterator<Item = &'a Name>, values: &mut impl Values) -> Vec<Symbol> {
    let mut symbols: Vec<_> = names.map(|name| values.symbol(&name.to_string())).collect();
    symbols.sort_unstable();
    symbols
}

fn record(attributes: &Attributes, values: &mut impl Values) -> Result<RecordType, Unknown> {
    let field = |(name, attribute): (&_, &cedar_policy_core::validator::types::AttributeType)| {
        let required = if attribute.is_required { Required::Yes } else { Required::No };
        let kind = kind(&attribute.attr_type, values)?;
        let name: &str = AsRef::<str>::as_ref(name);
        Ok((values.symbol(name), Field { kind, required, supplied: Supplied::No }))
    };
    Ok(RecordType { fields: attributes.iter().map(field).collect::<Result<_, Unknown>>()? })
}

fn kind(cedar: &Cedar, values: &mut impl Values) -> Result<Type, Unknown> {
    Ok(match cedar {
        Cedar::Bool(_) => Type::Bool,
        Cedar::Long => Type::Long,
        Cedar::String => Type::Text,
        Cedar::Entity(EntityKind::Entity(lub)) => {
            let name = lub.get_single_entity().ok_or("a union of entity types")?;
            Type::Entity(values.symbol(&name.to_string()))
        }
        Cedar::Entity(EntityKind::AnyEntity) => return Err("an entity of any type"),
        Cedar::Set { element_type: Some(element) } => Type::Set(Box::new(kind(element, values)?)),
        Cedar::Set { element_type: None } => return Err("a set of anything"),
        Cedar::Record { attrs, .. } => Type::Record(record(attrs, values)?),
        Cedar::ExtensionType { name } => match name.to_string().as_str() {
            "decimal" => Type::Decimal,
            "ipaddr" => Type::Ip,
            "datetime" => Type::Datetime,
            "duration" => Type::Duration,
            _ => return Err("another extension type"),
        },
        Cedar::Never => return Err("a type without values"),
    })
}
