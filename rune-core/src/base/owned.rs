//! Values for those outside: whole, with nothing to look them up in.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::value::{Value, Values, View, quote};

/// An entity by its type and id, whether anything knows it or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct EntityRef {
    /// The type, with its namespace: `App::User`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The id.
    pub id: String,
}

impl EntityRef {
    /// The entity of this type and id.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self { kind: kind.into(), id: id.into() }
    }
}

impl EntityRef {
    /// The entity that a value is, if it is one.
    pub(crate) fn of(values: &impl Values, value: Value) -> Option<Self> {
        match values.view(value) {
            View::Entity(kind, id) => Some(Self::new(values.name(kind), values.name(id))),
            _ => None,
        }
    }
}

impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.kind, quote(&self.id))
    }
}

/// A value with all that it holds.
///
/// As JSON: booleans, integers, strings, lists of elements and objects of members are what they are; an entity is
/// `{ "type", "id" }`; a value of an extension type is the call that makes it, `{ "call": "decimal(\"1.5000\")" }`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnedValue {
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Long(i64),
    /// A string.
    Text(String),
    /// An entity.
    Entity(EntityRef),
    /// A set, its elements in the order of this type.
    Set(Vec<OwnedValue>),
    /// A record.
    Record(BTreeMap<String, OwnedValue>),
    /// A decimal, a point in time, a length of time or an address, as the call that makes it.
    Call(String),
}

impl OwnedValue {
    /// The value behind an id, if its texts and parts take no more than `bytes_left`, of which it takes them.
    #[must_use]
    pub fn within(values: &impl Values, value: Value, bytes_left: &mut usize) -> Option<Self> {
        take(values, value, bytes_left)?;
        Some(Self::of(values, value))
    }

    /// The value behind an id.
    // Recurses once per level of a value, whose number is limited.
    #[must_use]
    pub fn of(values: &impl Values, value: Value) -> Self {
        match values.view(value) {
            View::Bool(truth) => Self::Bool(truth),
            View::Long(number) => Self::Long(number),
            View::Text(text) => Self::Text(text.to_owned()),
            View::Entity(kind, id) => Self::Entity(EntityRef::new(values.name(kind), values.name(id))),
            View::Set(elements) => {
                let mut elements: Vec<_> = elements.iter().map(|element| Self::of(values, *element)).collect();
                elements.sort();
                Self::Set(elements)
            }
            View::Record(members) => {
                let member = |(name, value): &(_, _)| (values.name(*name).to_owned(), Self::of(values, *value));
                Self::Record(members.iter().map(member).collect())
            }
            View::Decimal(_) | View::Datetime(_) | View::Duration(_) | View::Ip(_) => Self::Call(values.show(value)),
        }
    }
}

/// Takes what a value takes: the bytes of its texts, and as many for each of its parts as an integer has.
// Recurses once per level of a value, whose number is limited.
fn take(values: &impl Values, value: Value, bytes_left: &mut usize) -> Option<()> {
    let own = match values.view(value) {
        View::Text(text) => text.len(),
        View::Entity(kind, id) => values.name(kind).len() + values.name(id).len(),
        _ => 0,
    };
    *bytes_left = bytes_left.checked_sub(own + size_of::<i64>())?;
    match values.view(value) {
        View::Set(elements) => elements.iter().try_for_each(|element| take(values, *element, bytes_left)),
        View::Record(members) => members.iter().try_for_each(|(_, member)| take(values, *member, bytes_left)),
        _ => Some(()),
    }
}

/// Cedar's notation.
impl fmt::Display for OwnedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(truth) => truth.fmt(f),
            Self::Long(number) => number.fmt(f),
            Self::Text(text) => f.write_str(&quote(text)),
            Self::Entity(entity) => entity.fmt(f),
            Self::Call(call) => f.write_str(call),
            Self::Set(elements) => {
                f.write_str("[")?;
                for (at, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Record(members) => {
                f.write_str("{")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}{}: {value}", if at == 0 { "" } else { ", " }, quote(name))?;
                }
                f.write_str("}")
            }
        }
    }
}

impl Serialize for OwnedValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Long(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Entity(entity) => entity.serialize(serializer),
            Self::Set(elements) => serializer.collect_seq(elements),
            Self::Record(members) => serializer.collect_map(members),
            Self::Call(call) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("call", call)?;
                map.end()
            }
        }
    }
}
