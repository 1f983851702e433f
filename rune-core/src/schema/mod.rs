//! Types: what the Cedar schema says of entities, actions and requests, and declarations of relations.

mod bounds;
mod cedar;
mod columns;
pub mod conform;
pub mod extend;
pub mod infer;

use std::collections::BTreeMap;

use crate::base::{Symbol, Value, Values, View};

pub use cedar::{CedarSchema, read};
pub use columns::{Types, UnknownType, is_of, resolve, type_of};

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the type of Cedar's that has its name")]
pub enum Type {
    Bool,
    Long,
    Text,
    /// An entity of this type.
    Entity(Symbol),
    Set(Box<Type>),
    Record(RecordType),
    Decimal,
    Ip,
    Datetime,
    Duration,
}

/// The members that a record has, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordType {
    fields: BTreeMap<Symbol, Field>,
}

/// A member of a record type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its type.
    pub kind: Type,
    /// Whether every record has it.
    pub required: Required,
    /// Whether a request may supply it (`@request`).
    pub supplied: Supplied,
}

/// Whether a member must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// It must.
    Yes,
    /// It may be missing.
    No,
}

/// Whether a request may supply an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supplied {
    /// Only the stored value counts.
    No,
    /// A value that the request brings replaces the stored one.
    ByRequest,
}

impl RecordType {
    /// The member of this name.
    #[must_use]
    pub fn field(&self, name: Symbol) -> Option<&Field> {
        self.fields.get(&name)
    }

    /// The members, in a fixed order.
    pub fn fields(&self) -> impl Iterator<Item = (Symbol, &Field)> {
        self.fields.iter().map(|(name, field)| (*name, field))
    }
}

/// What the schema says of the entities of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityType {
    /// Their attributes.
    pub attributes: RecordType,
    /// The type of their tags; without it they have none.
    pub tags: Option<Type>,
    /// The types that their parents may have.
    pub parents: Vec<Symbol>,
    /// The only ids there are, if the type lists them.
    pub choices: Option<Vec<Symbol>>,
    /// Whether its entities, with their attributes and parents, come through the API: `@live`.
    pub is_live: bool,
}

/// What the schema says of one action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionType {
    /// The types that may ask.
    pub principals: Vec<Symbol>,
    /// The types that it is done to.
    pub resources: Vec<Symbol>,
    /// What a request for it says besides.
    pub context: RecordType,
    /// The groups of actions that it belongs to, near and far.
    pub ancestors: Vec<Value>,
}

/// A schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    types: BTreeMap<Symbol, EntityType>,
    actions: BTreeMap<Value, ActionType>,
}

impl Schema {
    /// The entity type of this name.
    #[must_use]
    pub fn entity_type(&self, name: Symbol) -> Option<&EntityType> {
        self.types.get(&name)
    }

    /// Whether there is a type whose entities come through the API.
    #[must_use]
    pub fn has_live_types(&self) -> bool {
        self.types.values().any(|of| of.is_live)
    }

    /// The action that an entity is.
    #[must_use]
    pub fn action(&self, action: Value) -> Option<&ActionType> {
        self.actions.get(&action)
    }

    /// Whether an entity is one of those that the schema lists, where it lists them: actions, and the ids of enumerated types.
    #[must_use]
    pub fn may_have(&self, values: &impl Values, entity: Value) -> bool {
        let View::Entity(kind, id) = values.view(entity) else { return true };
        match self.entity_type(kind) {
            None => !is_action_type(values.name(kind)) || self.action(entity).is_some(),
            Some(of) => of.choices.as_ref().is_none_or(|choices| choices.contains(&id)),
        }
    }

    /// The entity types, in a fixed order.
    pub fn entity_types(&self) -> impl Iterator<Item = (Symbol, &EntityType)> {
        self.types.iter().map(|(name, entity_type)| (*name, entity_type))
    }

    /// The actions, in a fixed order.
    pub fn actions(&self) -> impl Iterator<Item = (Value, &ActionType)> {
        self.actions.iter().map(|(action, action_type)| (*action, action_type))
    }
}

impl Type {
    /// The type in Cedar's notation, for people.
    #[must_use]
    pub fn show(&self, values: &impl Values) -> String {
        match self {
            Self::Bool => "Bool".to_owned(),
            Self::Long => "Long".to_owned(),
            Self::Text => "String".to_owned(),
            Self::Entity(name) => values.name(*name).to_owned(),
            Self::Set(element) => format!("Set<{}>", element.show(values)),
            Self::Record(_) => "a record".to_owned(),
            Self::Decimal => "decimal".to_owned(),
            Self::Ip => "ipaddr".to_owned(),
            Self::Datetime => "datetime".to_owned(),
            Self::Duration => "duration".to_owned(),
        }
    }
}

/// Whether a type's name is one that actions have: `Action`, in any namespace.
#[must_use]
pub fn is_action_type(name: &str) -> bool {
    name == "Action" || name.ends_with("::Action")
}
