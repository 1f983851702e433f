//! The types of relations' columns and of the variables that range over them.

use crate::{
    base::{Symbol, Value, Values, View},
    syntax::rules::TypeName,
};

use super::{Field, RecordType, Required, Supplied, Type};

/// The types that the values of a column or variable may have: one, several, or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Types {
    /// Nothing is known.
    Any,
    /// One of these, each once. Of none: there is no such value.
    OneOf(Vec<Type>),
}

impl Types {
    /// No type at all.
    pub const NONE: Self = Self::OneOf(Vec::new());

    /// Just this one.
    #[must_use]
    pub fn one(kind: Type) -> Self {
        Self::OneOf(vec![kind])
    }

    /// Those of either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let (Self::OneOf(a), Self::OneOf(b)) = (self, other) else { return Self::Any };
        let mut all = a.clone();
        all.extend(b.iter().filter(|kind| !a.contains(kind)).cloned());
        Self::OneOf(all)
    }

    /// Those of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Any, other) => other.clone(),
            (one, Self::Any) => one.clone(),
            (Self::OneOf(a), Self::OneOf(b)) => {
                Self::OneOf(a.iter().filter(|kind| b.contains(kind)).cloned().collect())
            }
        }
    }

    /// Whether there is no such value.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether each of these is one of `others`.
    #[must_use]
    pub fn is_within(&self, others: &Self) -> bool {
        match (self, others) {
            (_, Self::Any) => true,
            (Self::Any, _) => false,
            (Self::OneOf(a), Self::OneOf(b)) => a.iter().all(|kind| b.contains(kind)),
        }
    }

    /// Whether these are the same as `others`, in whatever order.
    #[must_use]
    pub fn is_same(&self, others: &Self) -> bool {
        self.is_within(others) && others.is_within(self)
    }

    /// The type, if there is only one.
    #[must_use]
    pub fn single(&self) -> Option<&Type> {
        match self {
            Self::OneOf(kinds) => match kinds.as_slice() {
                [kind] => Some(kind),
                _ => None,
            },
            Self::Any => None,
        }
    }

    /// The entity type, if there is only that one.
    #[must_use]
    pub fn entity(&self) -> Option<Symbol> {
        match self.single() {
            Some(Type::Entity(name)) => Some(*name),
            _ => None,
        }
    }

    /// The entity types among them; none if anything goes.
    #[must_use]
    pub fn entities(&self) -> Option<Vec<Symbol>> {
        let Self::OneOf(kinds) = self else { return None };
        let entity = |kind: &Type| match kind {
            Type::Entity(name) => Some(*name),
            _ => None,
        };
        Some(kinds.iter().filter_map(entity).collect())
    }

    /// Whether there is nothing but entity types among them.
    #[must_use]
    pub fn are_entities(&self) -> bool {
        matches!(self, Self::OneOf(kinds) if kinds.iter().all(|kind| matches!(kind, Type::Entity(_))))
    }

    /// Whether a value is of one of them.
    #[must_use]
    pub fn has(&self, values: &impl Values, value: Value) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(kinds) => match (kinds.as_slice(), values.view(value)) {
                ([Type::Entity(kind)], View::Entity(of, _)) => *kind == of,
                (kinds, _) => kinds.iter().any(|kind| is_of(values, value, kind)),
            },
        }
    }

    /// The types in Cedar's notation, for people.
    #[must_use]
    pub fn show(&self, values: &impl Values) -> String {
        match self {
            Self::Any => "anything".to_owned(),
            Self::OneOf(kinds) => kinds.iter().map(|kind| kind.show(values)).collect::<Vec<_>>().join(" | "),
        }
    }
}

/// Whether a value is of a type, parts of sets and records included.
#[must_use]
pub fn is_of(values: &impl Values, value: Value, kind: &Type) -> bool {
    match (values.view(value), kind) {
        (View::Entity(of, _), Type::Entity(name)) => of == *name,
        (View::Set(elements), Type::Set(element)) => elements.iter().all(|value| is_of(values, *value, element)),
        (View::Record(members), Type::Record(fields)) => {
            members
                .iter()
                .all(|(name, value)| fields.field(*name).is_some_and(|field| is_of(values, *value, &field.kind)))
                && fields.fields().all(|(name, field)| {
                    field.required == Required::No || members.iter().any(|(given, _)| *given == name)
                })
        }
        (View::Bool(_), Type::Bool)
        | (View::Long(_), Type::Long)
        | (View::Text(_), Type::Text)
        | (View::Decimal(_), Type::Decimal)
        | (View::Ip(_), Type::Ip)
        | (View::Datetime(_), Type::Datetime)
        | (View::Duration(_), Type::Duration) => true,
        _ => false,
    }
}

/// The type of a value; none of a set or record, whose parts have theirs.
#[must_use]
pub fn type_of(values: &impl Values, value: Value) -> Option<Type> {
    Some(match values.view(value) {
        View::Bool(_) => Type::Bool,
        View::Long(_) => Type::Long,
        View::Text(_) => Type::Text,
        View::Entity(kind, _) => Type::Entity(kind),
        View::Decimal(_) => Type::Decimal,
        View::Datetime(_) => Type::Datetime,
        View::Duration(_) => Type::Duration,
        View::Ip(_) => Type::Ip,
        View::Set(_) | View::Record(_) => return None,
    })
}

/// A name that is no type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownType<'n>(pub &'n TypeName);

/// The types that a declaration writes. `entity` says which entity type a name is, if it is one.
///
/// # Errors
///
/// The first name that is no type, or a union within a set or record.
pub fn resolve<'n>(
    types: &'n [TypeName],
    values: &mut impl Values,
    entity: &impl Fn(&str) -> bool,
) -> Result<Types, UnknownType<'n>> {
    let mut all = Types::NONE;
    for name in types {
        all = all.or(&Types::one(resolve_one(name, values, entity)?));
    }
    Ok(all)
}

// Recurses once per bracket of a type, whose nesting was limited when it was read.
fn resolve_one<'n>(
    name: &'n TypeName,
    values: &mut impl Values,
    entity: &impl Fn(&str) -> bool,
) -> Result<Type, UnknownType<'n>> {
    let inner = |types: &'n [TypeName], values: &mut _| match types {
        [single] => resolve_one(single, values, entity),
        _ => Err(UnknownType(name)),
    };
    Ok(match name {
        TypeName::Set(_, element) => Type::Set(Box::new(inner(element, values)?)),
        TypeName::Record(_, members) => {
            let mut fields = RecordType::default();
            for (name, is_required, types) in members {
                let required = if *is_required { Required::Yes } else { Required::No };
                let field = Field { kind: inner(types, values)?, required, supplied: Supplied::No };
                fields.fields.insert(values.symbol(&name.text), field);
            }
            Type::Record(fields)
        }
        TypeName::Named(written) => match written.text.as_str() {
            // A type of the schema that has the name of one of these counts as Cedar counts it: first.
            text if entity(text) => Type::Entity(values.symbol(text)),
            "Bool" => Type::Bool,
            "Long" => Type::Long,
            "String" => Type::Text,
            "decimal" => Type::Decimal,
            "ipaddr" => Type::Ip,
            "datetime" => Type::Datetime,
            "duration" => Type::Duration,
            _ => return Err(UnknownType(name)),
        },
    })
}
