//! Live facts that are carried over to another program.

use std::fmt;

use crate::{
    base::{
        LivePool, Value, Values, View as Datum, limits,
        value::{Carrier, each_entity},
    },
    check::{
        CheckedEntity,
        rules::{Column, Predicate, PredicateId, PredicateKind},
    },
    program::Program,
    schema::{Type, is_of},
};

use super::{
    ApplyError,
    changes::{Arrival, Live},
};

/// Why a program cannot take the live facts that there are: the one that is served stays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CarryError {
    /// Some have no place in it; at most [`limits::FINDINGS_MAX`] are told, and how many there are besides.
    Misfits {
        /// What is in the way, each with why.
        misfits: Vec<String>,
        /// How many more there are.
        n_more: usize,
    },
    /// What follows from them takes more than it may.
    Derivation(String),
}

impl fmt::Display for CarryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misfits { misfits, n_more } => {
                f.write_str("live facts are in the way: ")?;
                f.write_str(&misfits.join("; "))?;
                if 0 < *n_more {
                    write!(f, "; and {n_more} more")?;
                }
                Ok(())
            }
            Self::Derivation(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for CarryError {}

/// What is live, under another program.
pub(super) fn carry(before: &Live, old: &Program, new: &Program) -> Result<Option<Live>, CarryError> {
    let mut moving = Move { before, new, values: Carrier::new(&before.values), misfits: Vec::new(), n_more: 0 };
    let Some(mut after) = Arrival::at(new) else {
        moving.refuse_all(old);
        return moving.end().map(|()| None);
    };
    for (id, relation) in before.facts.relations.all_live().filter(|(_, relation)| !relation.rows.is_empty()) {
        let name = old.rules().name(id);
        let is_it = |of: &Predicate| of.kind == PredicateKind::Live && of.name == *name;
        let found = new.relations().predicates.iter().enumerate().find(|(_, of)| is_it(of));
        match found {
            Some((at, to)) => {
                for row in relation.rows.rows() {
                    let Some(row) = moving.row(row, to, &mut after.live.values) else { continue };
                    // One of two would be lost: a write replaces.
                    if !after.row(PredicateId(at), &row) {
                        moving.misfit(format!("`{name}` has one value for a key now, and live rows have two"));
                    }
                }
            }
            None => moving.misfit(format!("`{name}` has {} live rows, and is no longer live", relation.rows.len())),
        }
    }
    for row in before.facts.live_entities() {
        if let Some(entity) = moving.entity(row, &mut after.live.values) {
            after.entity(entity);
        }
    }
    moving.end()?;
    after.settle().map(Some).map_err(|error| match error {
        // By the parents that files of the other program give.
        ApplyError::Changes { faults, n_more } => {
            CarryError::Misfits { misfits: faults.into_iter().map(|fault| fault.message).collect(), n_more }
        }
        error => CarryError::Derivation(error.to_string()),
    })
}

/// A move from one program to another, as far as it fits.
struct Move<'c> {
    before: &'c Live,
    new: &'c Program,
    values: Carrier<'c, LivePool>,
    misfits: Vec<String>,
    n_more: usize,
}

impl Move<'_> {
    fn end(self) -> Result<(), CarryError> {
        let Self { misfits, n_more, .. } = self;
        if misfits.is_empty() { Ok(()) } else { Err(CarryError::Misfits { misfits, n_more }) }
    }

    fn misfit(&mut self, misfit: String) {
        if self.misfits.len() < limits::FINDINGS_MAX { self.misfits.push(misfit) } else { self.n_more += 1 }
    }

    fn refuse_all(&mut self, old: &Program) {
        let before = self.before;
        for (id, relation) in before.facts.relations.all_live().filter(|(_, relation)| !relation.rows.is_empty()) {
            let name = old.rules().name(id);
            self.misfit(format!("`{name}` has {} live rows, and is no longer live", relation.rows.len()));
        }
        match before.facts.n_live_entities() {
            0 => {}
            n => self.misfit(format!("there are {n} live entities, and no type is live any more")),
        }
    }

    fn row(&mut self, row: &[Value], to: &Predicate, values: &mut LivePool) -> Option<Vec<Value>> {
        let shown = |value: &Value| self.before.values.show_briefly(*value);
        let shown = || format!("{}({})", to.name, row.iter().map(shown).collect::<Vec<_>>().join(", "));
        if row.len() != to.columns.len() {
            let message = format!("{}: the relation has {} columns now", shown(), to.columns.len());
            self.misfit(message);
            return None;
        }
        let carried: Vec<Value> = row.iter().map(|value| self.values.carry(*value, values)).collect();
        let fits =
            |(column, value): (&Column, &Value)| column.types.has(&*values, *value) && self.may_name(values, *value);
        if let Some(at) = to.columns.iter().zip(&carried).position(|pair| !fits(pair)) {
            let wanted = to.columns.get(at).map_or_else(String::new, |column| column.types.show(&*values));
            let message = format!("{}: column {} is {wanted} now", shown(), at + 1);
            self.misfit(message);
            return None;
        }
        Some(carried)
    }

    /// Whether the schema has all entities in a value.
    fn may_name(&self, values: &LivePool, value: Value) -> bool {
        let mut has_all = true;
        if let Some(schema) = self.new.schema() {
            each_entity(values, value, &mut |_, entity| has_all &= schema.may_have(values, entity));
        }
        has_all
    }

    fn entity(&mut self, row: &[Value], values: &mut LivePool) -> Option<CheckedEntity> {
        let [uid, attributes, tags, parents] = *row else { return None };
        let from = &self.before.values;
        let shown = from.show_briefly(uid);
        let Datum::Set(parents) = from.view(parents) else { return None };
        let mut parents: Vec<Value> = parents.iter().map(|parent| self.values.carry(*parent, values)).collect();
        parents.sort_unstable();
        let [uid, attributes, tags] = [uid, attributes, tags].map(|value| self.values.carry(value, values));
        let Datum::Entity(kind, id) = values.view(uid) else { return None };
        let Some(of) = self.new.schema().and_then(|schema| schema.entity_type(kind)).filter(|of| of.is_live) else {
            self.misfit(format!("{shown}: its type is no longer live"));
            return None;
        };
        let kind_of = |value: &Value| match values.view(*value) {
            Datum::Entity(kind, _) => Some(kind),
            _ => None,
        };
        let tags_fit = match (&of.tags, values.view(tags)) {
            (Some(kind), Datum::Record(tags)) => tags.iter().all(|(_, tag)| is_of(&*values, *tag, kind)),
            (_, Datum::Record(tags)) => tags.is_empty(),
            _ => false,
        };
        let all = [attributes, tags].into_iter().chain(parents.iter().copied());
        let what = if !all.into_iter().all(|value| self.may_name(values, value)) {
            "it names an entity that the schema does not have now"
        } else if of.choices.as_ref().is_some_and(|choices| !choices.contains(&id)) {
            "the schema lists the ids of its type, and this is not one now"
        } else if !is_of(&*values, attributes, &Type::Record(of.attributes.clone())) {
            "its attributes are not those of its type now"
        } else if !tags_fit {
            "its tags are not those of its type now"
        } else if !parents.iter().filter_map(kind_of).all(|parent| of.parents.contains(&parent)) {
            "it may not be in one of its parents now"
        } else {
            return Some(CheckedEntity { uid, attributes, tags, parents, span: None });
        };
        self.misfit(format!("{shown}: {what}"));
        None
    }
}
