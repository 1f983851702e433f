//! Changes that are made to a copy: rows and entities that come and go, and who is known by them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hashbrown::HashMap;

use crate::{
    base::{LivePool, Value, Values, View as Datum, value::each_entity},
    check::{
        CheckedEntity,
        rules::{Names, PredicateId, PredicateKind},
    },
    facts::{Facts, Relation, Store as _},
    program::Program,
};

use super::{changes::Kept, hierarchy::Parents};

/// Changes that are made to a copy, which shares what they leave alone.
#[derive(Debug)]
pub(super) struct Draft<'p> {
    program: &'p Program,
    pub(super) facts: Facts,
    pub(super) changed: BTreeSet<PredicateId>,
    /// The relations whose changes are followed row by row.
    followed: Arc<BTreeSet<PredicateId>>,
    /// How often each row of theirs has come, less how often it has gone.
    pub(super) rows: BTreeMap<(PredicateId, Vec<Value>), i32>,
    /// Values that more names, and values that less names than before.
    pub(super) held: Vec<Value>,
    pub(super) released: Vec<Value>,
    /// How many more rows and entities name an entity of a type whose entities rules ask for, or how many less.
    pub(super) named: BTreeMap<Value, i64>,
    pub(super) parents: Parents,
    pub(super) n_changes: usize,
    /// Whether there is more than there was. What only goes may take what it takes: taking rights away is not refused.
    pub(super) is_more: bool,
    /// What is kept derived, once it has followed.
    pub(super) kept: Option<Kept>,
}

impl<'p> Draft<'p> {
    /// Without changes yet.
    pub(super) fn of(program: &'p Program, facts: Facts, followed: Arc<BTreeSet<PredicateId>>) -> Self {
        Self {
            program,
            facts,
            changed: BTreeSet::new(),
            followed,
            rows: BTreeMap::new(),
            held: Vec::new(),
            released: Vec::new(),
            named: BTreeMap::new(),
            parents: Parents::default(),
            n_changes: 0,
            is_more: false,
            kept: None,
        }
    }

    /// Puts a row in place, or takes it away. Of a relation that rules add to, what is given changes, and they follow.
    fn row(&mut self, id: PredicateId, row: &[Value], is_there: bool) -> bool {
        let change =
            |relation: &mut Relation| if is_there { relation.rows.insert(row) } else { relation.rows.remove(row) };
        let is_new = match self.facts.relations.given_mut(id) {
            Some(given) => change(given),
            None => self.facts.relation_mut(id).is_some_and(change),
        };
        if is_new {
            self.changed.insert(id);
            self.is_more |= is_there;
            if self.followed.contains(&id) {
                *self.rows.entry((id, row.to_vec())).or_default() += if is_there { 1 } else { -1 };
            }
        }
        is_new
    }

    /// Notes that values are named once more or once less.
    fn name(&mut self, values: &LivePool, named: &[Value], is_there: bool) {
        self.n_changes += 1;
        if is_there { &mut self.held } else { &mut self.released }.extend(named);
        let known = &self.program.rules().known;
        for value in named.iter().filter(|_| !known.is_empty()) {
            each_entity(values, *value, &mut |kind, entity| {
                if known.iter().any(|of| of.kind == kind) {
                    *self.named.entry(entity).or_default() += if is_there { 1 } else { -1 };
                }
            });
        }
    }

    /// Puts a row in place, and takes away the one with the same key where there is one value for each.
    pub(super) fn insert(&mut self, values: &LivePool, id: PredicateId, row: &[Value]) {
        if let Some(old) = self.other_of_key(id, row) {
            self.delete(values, id, &old);
        }
        if self.row(id, row, true) {
            self.name(values, row, true);
        }
    }

    /// Takes a row away.
    pub(super) fn delete(&mut self, values: &LivePool, id: PredicateId, row: &[Value]) {
        if self.row(id, row, false) {
            self.name(values, row, false);
        }
    }

    /// Puts an entity in the place of what it was.
    pub(super) fn put(&mut self, values: &mut LivePool, entity: CheckedEntity) {
        let CheckedEntity { uid, attributes, tags, parents, .. } = entity;
        let new = [uid, attributes, tags, values.set(parents)];
        if self.facts.live_entity(uid).is_some_and(|old| old == new) {
            return;
        }
        self.remove(values, uid);
        self.facts.put_live_entity(new);
        self.entity(values, &new, true);
    }

    /// Takes an entity away.
    pub(super) fn remove(&mut self, values: &LivePool, entity: Value) {
        if let Some(old) = self.facts.remove_live_entity(entity) {
            self.entity(values, &old, false);
        }
    }

    /// What is known by an entity that has come, or was known by one that goes: its stored attributes and its parents as rows.
    fn entity(&mut self, values: &LivePool, entity: &[Value], is_there: bool) {
        let [uid, attributes, _, parents] = *entity else { return };
        self.changed.insert(Names::STORED);
        self.name(values, entity, is_there);
        let Datum::Entity(kind, _) = values.view(uid) else { return };
        if let Datum::Record(members) = values.view(attributes) {
            for (at, predicate) in self.program.relations().predicates.iter().enumerate() {
                let member = |(name, value): &(_, Value)| {
                    (predicate.kind == PredicateKind::Stored(kind, *name)).then_some(*value)
                };
                if let Some(value) = members.iter().find_map(member) {
                    self.row(PredicateId(at), &[uid, value], is_there);
                }
            }
        }
        if let Datum::Set(parents) = values.view(parents)
            && self.facts.relations.keeps_parents
        {
            for parent in parents {
                self.row(Names::PARENT, &[uid, *parent], is_there);
            }
            self.parents.note(uid);
        }
    }

    /// Makes those known that live facts name and nobody did before, and forgets those that nothing names any more.
    /// `n_named` says how often each was named before.
    pub(super) fn know(&mut self, values: &LivePool, n_named: &HashMap<Value, u32>) {
        let program = self.program;
        let named: Vec<(Value, i64)> = self.named.iter().map(|(entity, n)| (*entity, *n)).collect();
        let files = &program.facts().facts().relations;
        for (entity, n_more) in named {
            let Datum::Entity(kind, _) = values.view(entity) else { continue };
            let Some(of) = program.rules().known.iter().find(|of| of.kind == kind) else { continue };
            let n_before = i64::from(n_named.get(&entity).copied().unwrap_or_default());
            let is_in_files = || files.get(of.predicate).is_some_and(|known| known.rows.find(&[entity]).is_some());
            if (0 < n_before) != (0 < n_before + n_more) && !is_in_files() {
                self.row(of.predicate, &[entity], n_before == 0);
            }
        }
    }

    /// The row that another replaces: the one with the same key, of a relation that has one value for each.
    pub(super) fn other_of_key(&self, id: PredicateId, row: &[Value]) -> Option<Vec<Value>> {
        let n = self.program.rules().n_keys(id)?;
        let rows = &self.facts.relation(id)?.rows;
        let index = rows.find_index(&(0..n).collect::<Vec<_>>())?;
        let old = rows.row(rows.probe(index, row.get(..n)?).next()?);
        (old != row).then(|| old.to_vec())
    }
}
