//! Who is in what, while entities of live types come and go.

use std::collections::BTreeSet;

use crate::{
    base::{Span, Value, Values},
    check::{CheckedEntity, rules::Names},
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

    /// Brings who is in what up to date with parents that have changed, of those entities and of all below them. Says whether there are any.
    pub(super) fn settle(&self, facts: &mut Facts) -> bool {
        if self.children.is_empty() {
            return false;
        }
        if let Some(relation) = facts.relation_mut(Names::PARENT) {
            relation.rows.index_on(&[0]);
        }
        let Some(relation) = facts.relation_mut(Names::IN) else { return false };
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
            let Some(relation) = facts.relation_mut(Names::IN) else { return false };
            for high in beside(relation, above, 1, low) {
                if !now.contains(&high) {
                    relation.rows.remove(&[low, high]);
                }
            }
            for high in now {
                relation.rows.insert(&[low, high]);
            }
        }
        true
    }

    /// Leaves of parents what is given, and who is in what by them: rules derive the others anew. What is not in `files` is live.
    pub(super) fn start_anew(facts: &mut Facts, files: &Facts) {
        let given =
            facts.relations.given(Names::PARENT).map(|given| given.rows.rows().map(<[Value]>::to_vec).collect());
        let given: Vec<Vec<Value>> = given.unwrap_or_default();
        for id in [Names::PARENT, Names::IN] {
            if let Some(relation) = facts.relation_mut(id) {
                let is_shared = relation.rows.is_shared();
                *relation = if is_shared { Relation::shared(2) } else { Relation::new(2) };
            }
        }
        for row in given {
            let place = files.relation(Names::PARENT).and_then(|files| files.place_of(files.rows.find(&row)?));
            datalog::give(facts, Names::PARENT, &row, place.unwrap_or(Span::LIVE));
        }
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

/// Whether an entity may have its parents: it would be in itself if it were above one of them.
pub(super) fn check(facts: &Facts, values: &impl Values, entity: &CheckedEntity) -> Result<(), String> {
    let uid = entity.uid;
    let (mut pending, mut seen) = (entity.parents.clone(), BTreeSet::new());
    while let Some(above) = pending.pop() {
        if above == uid {
            return Err(format!("{} would be in itself", values.show_briefly(uid)));
        }
        if seen.insert(above) {
            pending.extend(facts.stored_parents(values, above));
        }
    }
    Ok(())
}
