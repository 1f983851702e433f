//! What an expression can ask about entities.

use crate::base::{Symbol, Value, Values};

use super::{Failure, Member};

/// What an expression can ask about entities.
pub trait World {
    /// The attribute of an entity, as the facts or the request have it.
    fn attribute(&self, values: &impl Values, entity: Value, name: Symbol) -> Member;

    /// The attribute of an entity as the facts alone have it.
    fn stored(&self, values: &impl Values, entity: Value, name: Symbol) -> Member;

    /// The tag of an entity.
    fn tag(&self, values: &impl Values, entity: Value, name: Symbol) -> Member;

    /// Whether `entity` is `ancestor`, or below it.
    ///
    /// # Errors
    ///
    /// If that is undetermined.
    fn is_in(&self, values: &impl Values, entity: Value, ancestor: Value) -> Result<bool, Failure>;

    /// An entity and all that it is below for sure, and why there may be more.
    fn ancestors(&self, values: &impl Values, entity: Value) -> (Vec<Value>, Option<Failure>);

    /// The derived attribute that entities of a type have under a name.
    fn derived(&self, kind: Symbol, name: Symbol) -> Option<&Derived>;

    /// Whether a relation has a row.
    ///
    /// # Errors
    ///
    /// If that is undetermined, or takes too many steps to find out.
    fn holds(&self, values: &impl Values, derived: &Derived, row: &[Value]) -> Result<bool, Failure>;

    /// What a derived set has, or may have, for an entity; [`Value::UNKNOWN`] where that may be anything.
    fn elements(&self, values: &impl Values, derived: &Derived, entity: Value) -> Vec<Value>;

    /// The rows of a relation that begin with an entity, without it.
    ///
    /// # Errors
    ///
    /// If one of them is undetermined, or it takes too many steps to find them.
    fn rows_of(&self, values: &impl Values, derived: &Derived, entity: Value) -> Result<Vec<Vec<Value>>, Failure>;
}

/// An attribute that rules derive: the relation it is read from, and what it looks like to expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The relation, by its place.
    pub relation: usize,
    /// What it looks like.
    pub form: Form,
}

/// What a derived attribute looks like to expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `p(E)`: a boolean.
    Flag,
    /// `p(E, T)`: the set of the `T`.
    Set,
    /// `p(E -> T)`: the `T`, if there is one.
    Value,
    /// `p(E, A, B)`: a set of records with these names.
    Records(Box<[Symbol]>),
    /// `p(E -> A, B)`: a record with these names, if there is one.
    Record(Box<[Symbol]>),
}
