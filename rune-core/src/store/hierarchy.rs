//! Who is in what, while entities of live types come and go.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use crate::{
    base::{Span, Value, Values, limits},
    check::rules::Names,
    datalog,
    facts::{Facts, Relation, Store as _},
};

/// Entities whose parents have changed.
#[derive(Debug, Default)]
pub(super) struct Parents {
    children: BTreeSet<Value>,
}

impl Parents {
    pub(super) fn note(&mut self, child: Value) {
        self.children.insert(child);
    }

    /// Brings who is in what up to date with parents that have changed, of those entities and of all below them. Says whether there are
    /// any, or in words what is too much.
    pub(super) fn settle(&self, facts: &mut Facts) -> Result<bool, String> {
        if self.children.is_empty() {
            return Ok(false);
        }
        if let Some(relation) = facts.relation_mut(Names::PARENT) {
            relation.rows.index_on(&[0]);
        }
        let Some(relation) = facts.relation_mut(Names::IN) else { return Ok(false) };
        let (above, below) = (relation.rows.index_on(&[0]), relation.rows.index_on(&[1]));
        let beside = |relation: &Relation, index, column: usize, of: Value| -> Vec<Value> {
            let found = relation.rows.probe(index, &[of]);
            found.filter_map(|at| relation.rows.row(at).get(column).copied()).collect()
        };
        let lower: BTreeSet<Value> = self
            .children
            .iter()
            .flat_map(|child| beside(relation, below, 0, *child))
            .chain(self.children.iter().copied())
            .collect();
        for low in lower {
            let now: BTreeSet<Value> = ancestors(facts, low).collect();
            let Some(relation) = facts.relation_mut(Names::IN) else { return Ok(false) };
            for high in beside(relation, above, 1, low) {
                if !now.contains(&high) {
                    relation.rows.remove(&[low, high]);
                }
            }
            for high in now {
                relation.rows.insert(&[low, high]);
            }
            if limits::ROWS_MAX < u64::from(relation.rows.len()) {
                return Err(format!("who is in what takes more than {} rows", limits::ROWS_MAX));
            }
        }
        Ok(true)
    }
}

/// Leaves of parents what is given, and who is in what by them: rules derive the others anew. What is not in `files` is live.
pub(super) fn start_anew(facts: &mut Facts, files: &Facts) {
    let given = facts.relations.given(Names::PARENT).map(|given| given.rows.rows().map(<[Value]>::to_vec).collect());
    let given: Vec<Vec<Value>> = given.unwrap_or_default();
    for id in [Names::PARENT, Names::IN] {
        let is_shared = facts.relation(id).is_some_and(|relation| relation.rows.is_shared());
        facts.relations.put(id, if is_shared { Relation::shared(2) } else { Relation::new(2) });
    }
    for row in given {
        let place = files.relation(Names::PARENT).and_then(|files| files.place_of(files.rows.find(&row)?));
        datalog::give(facts, Names::PARENT, &row, place.unwrap_or(Span::LIVE));
    }
}

fn ancestors(facts: &Facts, low: Value) -> impl Iterator<Item = Value> {
    let mut all = vec![low];
    let mut seen = BTreeSet::new();
    let mut at = 0;
    if let Some(relation) = facts.relation(Names::PARENT)
        && let Some(index) = relation.rows.find_index(&[0])
    {
        while let Some(child) = all.get(at).copied() {
            let parents = relation.rows.probe(index, &[child]);
            let parents = parents.filter_map(|at| relation.rows.row(at).get(1).copied());
            all.extend(parents.filter(|parent| seen.insert(*parent)));
            at += 1;
        }
    }
    all.into_iter().skip(1)
}

/// Whether entities may have their parents, each with the change that last put it: none may be above itself. Otherwise the change by
/// which one would be, and why. Each entity above them is visited once.
pub(super) fn check(
    above: (&Facts, &BTreeMap<Value, Vec<Value>>),
    values: &impl Values,
    put: &BTreeMap<Value, usize>,
) -> Result<(), (usize, String)> {
    // Each entity that was visited, and whether all above it were.
    let mut is_done: HashMap<Value, bool> = HashMap::new();
    for first in put.keys() {
        // Entities that are above each other, each with those of its parents that are still to be visited.
        let mut path = vec![(*first, visit(above, values, *first, &mut is_done))];
        while let Some((low, parents)) = path.last_mut() {
            let Some(high) = parents.pop() else {
                is_done.insert(*low, true);
                path.pop();
                continue;
            };
            match is_done.get(&high) {
                Some(true) => {}
                None => path.push((high, visit(above, values, high, &mut is_done))),
                Some(false) => {
                    let circle = path.iter().rev().map(|(entity, _)| *entity);
                    let circle = circle.take_while(|entity| *entity != high).chain([high]);
                    let last = circle.filter_map(|entity| Some((*put.get(&entity)?, entity))).max();
                    let (at, entity) = last.unwrap_or((0, high));
                    return Err((at, format!("{} would be in itself", values.show_briefly(entity))));
                }
            }
        }
    }
    Ok(())
}

/// The parents that are to be visited of an entity that was not visited before: those of its entry, and those of rows of files.
fn visit(
    (facts, by_rows): (&Facts, &BTreeMap<Value, Vec<Value>>),
    values: &impl Values,
    entity: Value,
    is_done: &mut HashMap<Value, bool>,
) -> Vec<Value> {
    if is_done.contains_key(&entity) {
        return Vec::new();
    }
    is_done.insert(entity, false);
    let by_rows = by_rows.get(&entity).into_iter().flatten();
    facts.stored_parents(values, entity).iter().chain(by_rows).copied().collect()
}
