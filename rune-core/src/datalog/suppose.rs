//! Facts with a few rows more: what would follow if they were given.

use crate::{
    base::{Datum, Pool, Span, Value, Values, View, value::each_entity},
    check::rules::{Names, PredicateId},
    facts::{Facts, Relation},
};

use super::{Bound, Bounds, DatalogEngine, Demand, DeriveError, Missing, Work, derive_ahead, insert};

/// The facts that there would be with these rows besides those that are given, and what finding them took; `from` knows the
/// values of the rows. With `all`, nothing is left to demand.
///
/// # Errors
///
/// If what follows takes more than it may.
pub fn suppose(
    engine: &DatalogEngine,
    facts: &Facts,
    values: &mut Pool,
    (from, rows): (&impl Values, &[Missing]),
    all: bool,
    bounds: Bounds,
) -> Result<(Facts, Demand, Work), DeriveError> {
    // Each row that is copied is a step.
    let too_many = || {
        let (bound, rule) = (Bound::Steps(bounds.steps_max), "a copy of the facts".to_owned());
        DeriveError { bound, rule, span: Span::NOWHERE }
    };
    let steps_max = bounds.steps_max.checked_sub(facts.n_given()).ok_or_else(too_many)?;
    let rows: Vec<Missing> =
        rows.iter().map(|(id, row)| (*id, row.iter().map(|value| carry(from, *value, values)).collect())).collect();
    let mut supposed = facts.given_alone(|id| engine.arity(id));
    let has_parents = rows.iter().any(|(id, _)| *id == Names::PARENT);
    let parents = supposed.relations.get(Names::PARENT).map(|of| of.rows.rows().map(<[_]>::to_vec).collect::<Vec<_>>());
    // Who is in what was not kept as rows as long as nothing but entities had parents.
    let parents = match parents {
        Some(parents) if !parents.is_empty() => parents,
        _ if has_parents => facts.all_stored_parents(values),
        _ => Vec::new(),
    };
    if let Some(relation) = supposed.relations.get_mut(Names::PARENT) {
        *relation = Relation::new(2);
    }
    for parent in parents {
        insert(&mut supposed, Names::PARENT, &parent);
    }
    supposed.relations.has_parent_rows |= has_parents;
    for (id, row) in &rows {
        insert(&mut supposed, *id, row);
        for value in row {
            each_entity(&*values, *value, &mut |kind, entity| {
                if let Some(of) = engine.known.iter().find(|of| of.kind == kind) {
                    insert(&mut supposed, of.predicate, &[entity]);
                }
            });
        }
    }
    engine.prepare(&mut supposed);
    engine.keep_given(&mut supposed);
    let (work, demand) = derive_ahead(engine, &mut supposed, values, all, Bounds { steps_max, ..bounds })?;
    Ok((supposed, demand, work))
}

/// A value of one store in another.
// Recurses once per level of a value, whose number is limited.
fn carry(from: &impl Values, value: Value, to: &mut Pool) -> Value {
    match from.view(value) {
        View::Bool(truth) => truth.into(),
        View::Long(number) => to.long(number),
        View::Text(text) => to.text(text),
        View::Entity(kind, id) => to.entity(from.name(kind), from.name(id)),
        View::Set(elements) => {
            let elements = elements.iter().map(|element| carry(from, *element, to)).collect();
            to.set(elements)
        }
        View::Record(members) => {
            let members = members.iter().map(|(name, value)| {
                let name = to.symbol(from.name(*name));
                (name, carry(from, *value, to))
            });
            let members = members.collect();
            to.record(members)
        }
        View::Decimal(units) => to.intern(Datum::Decimal(units)),
        View::Datetime(ms) => to.intern(Datum::Datetime(ms)),
        View::Duration(ms) => to.intern(Datum::Duration(ms)),
        View::Ip(net) => to.intern(Datum::Ip(net)),
    }
}

impl DatalogEngine {
    /// Keeps the relations that requests may have to derive anew as they are before anything is derived.
    pub fn keep_given(&self, facts: &mut Facts) {
        let followers: std::collections::BTreeSet<PredicateId> =
            self.known.iter().flat_map(|of| of.followers.iter().copied()).collect();
        for id in followers {
            facts.relations.keep_given(id);
        }
    }
}
