//! Facts with a few rows more: what would follow if they were given.

use std::collections::BTreeSet;

use crate::{
    base::{
        Pool, Span, Values,
        value::{Carrier, each_entity},
    },
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
    let mut carrier = Carrier::new(from);
    let rows: Vec<Missing> =
        rows.iter().map(|(id, row)| (*id, row.iter().map(|value| carrier.carry(*value, values)).collect())).collect();
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

impl DatalogEngine {
    /// Keeps the relations that requests may have to derive anew as they are before anything is derived.
    pub fn keep_given(&self, facts: &mut Facts) {
        let of_known = self.known.iter().flat_map(|of| &of.followers);
        let followers: BTreeSet<&PredicateId> = of_known.chain(self.changing.values().flatten()).collect();
        for id in followers.into_iter().copied() {
            facts.relations.keep_given(id);
        }
    }
}
