//! Facts of an explanation, and why each is one: where it stands, the rule that derives it, the way from one entity up to another.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    base::{Span, Symbol, Value, Values as _, View, limits},
    check::rules::{Names, PredicateId},
    datalog::CompiledRule,
    expr::{Member, World as _},
    facts::{RowId, Store as _, Tick},
};

use super::{Atom, Because, Fact, builder::Builder, ledger::Key, recorder::Read};

impl<'p> Builder<'_, 'p> {
    /// The places of the facts that were found.
    pub(super) fn cite(&mut self, reads: &[Read]) -> Vec<usize> {
        let keys: Vec<Key> = reads.iter().filter_map(|read| self.key_of_read(read)).collect();
        keys.into_iter().filter_map(|key| self.note(key)).collect()
    }

    pub(super) fn cite_row(&mut self, id: PredicateId, at: RowId) -> Option<usize> {
        self.note(self.key_of(id, at))
    }

    pub(super) fn key_of_read(&self, read: &Read) -> Option<Key> {
        match read {
            Read::Row(id, row) => Some(self.key_of(*id, self.world.place_of_row(*id, row)?)),
            Read::Below(low, high) => Some(Key::Below(*low, *high)),
            Read::Attribute(entity, name, value) => Some(Key::Attribute(*entity, *name, *value)),
            Read::Tag(entity, name, value) => Some(Key::Tag(*entity, *name, *value)),
        }
    }

    /// Which fact a row is: one that says who is in whom has no place of its own.
    pub(super) fn key_of(&self, id: PredicateId, at: RowId) -> Key {
        let row = if id == Names::IN { self.world.row_at(id, at).map(|(row, _)| row) } else { None };
        match row.as_deref() {
            Some([low, high]) => Key::Below(*low, *high),
            _ => Key::Row(id, at),
        }
    }

    /// Explains every fact that was cited, and those that they follow from, until none is left.
    pub(super) fn settle(&mut self) {
        while let Some(key) = self.ledger.next() {
            let (order, fact) = self.fact(key, self.ledger.len() < limits::EXPLAINED_FACTS_MAX);
            self.is_incomplete |= fact.because == Because::Unshown;
            self.ledger.add(order, fact);
        }
    }

    fn fact(&mut self, key: Key, is_within: bool) -> ((Tick, u8), Fact) {
        if let Some(chosen) = self.chosen_fact(key) {
            return chosen;
        }
        match key {
            Key::Row(id, at) => self.row(id, at, is_within),
            Key::Parent(child, parent) => {
                let because = self.given(self.terms.facts.place_of(child));
                ((Tick::GIVEN, 0), Fact { atom: self.atom("parent", &[child, parent]), because })
            }
            Key::Below(low, high) => self.below(low, high, is_within),
            Key::Attribute(entity, name, value) => {
                let is_stored = self.world.world.stored(self.values, entity, name) == Member::Is(value);
                let because = if is_stored { self.given(self.terms.facts.place_of(entity)) } else { Because::Request };
                let relation = format!("{}.{}", self.kind(entity), self.values.name(name));
                ((Tick::GIVEN, 0), Fact { atom: self.atom(&relation, &[entity, value]), because })
            }
            Key::Tag(entity, name, value) => {
                let because = self.given(self.terms.facts.place_of(entity));
                let atom = self.atom("getTag", &[entity, name.value(), value]);
                ((Tick::GIVEN, 0), Fact { atom, because })
            }
        }
    }

    fn kind(&self, entity: Value) -> &str {
        let name = |kind: Symbol| self.values.name(kind);
        match self.values.view(entity) {
            View::Entity(kind, _) => name(kind),
            _ => "",
        }
    }

    pub(super) fn atom(&mut self, relation: &str, row: &[Value]) -> Atom {
        let row = row.iter().map(|value| self.own(*value)).collect();
        Atom { relation: relation.into(), row }
    }

    fn given(&self, span: Option<Span>) -> Because {
        match span {
            Some(Span::NOWHERE) => Because::Schema,
            Some(Span::LIVE) => Because::Live,
            Some(span) => Because::Given(self.place(span)),
            None => Because::Request,
        }
    }

    /// A row of a relation: it is given, or some instance of a rule derives it from older ones.
    fn row(&mut self, id: PredicateId, at: RowId, is_within: bool) -> ((Tick, u8), Fact) {
        let Some((row, tick)) = self.world.world.row_at(id, at) else {
            let atom = self.atom(&self.name(id), &[]);
            return ((Tick::GIVEN, 0), Fact { atom, because: Because::Unshown });
        };
        let atom = self.atom(&self.name(id), &row);
        if tick == Tick::GIVEN {
            let place = self.world.world.relation(id).and_then(|relation| relation.place_of(at));
            // What lasts and stands nowhere is known by live facts, or follows in an order that is not known.
            let lasting = || self.terms.facts.relation(id).filter(|relation| relation.rows.find(&row).is_some());
            let because = match (place, lasting()) {
                (None, Some(relation)) if !relation.is_base => Because::Unshown,
                (None, Some(_)) => Because::Live,
                (place, _) => self.given(place),
            };
            return ((tick, 0), Fact { atom, because });
        }
        let row: Vec<Option<Value>> = row.into_iter().map(Some).collect();
        let rules: Vec<&'p CompiledRule> = self.terms.rules.rules_for(id).filter(|_| is_within).collect();
        for rule in rules {
            let found = self.find_instance(rule, &row, tick).filter(|found| found.failing.is_none());
            if let Some(found) = found {
                let because = Because::Rule(self.instance(rule, &found, tick, 0));
                return ((tick, 1), Fact { atom, because });
            }
        }
        ((tick, 1), Fact { atom, because: Because::Unshown })
    }

    /// An entity below another, by the shortest way.
    fn below(&mut self, low: Value, high: Value, is_within: bool) -> ((Tick, u8), Fact) {
        let atom = self.atom("in", &[low, high]);
        let relation = self.world.world.relation(Names::IN);
        let found = relation.and_then(|relation| Some(relation.births.of(relation.rows.find(&[low, high])?)));
        let tick = found.unwrap_or(Tick::GIVEN);
        let way = if is_within { self.way(low, high, tick) } else { None };
        let way = way.and_then(|keys| keys.into_iter().map(|key| self.note(key)).collect::<Option<Vec<_>>>());
        let because = match way {
            Some(facts) => Because::Parents { facts },
            None => Because::Unshown,
        };
        ((tick, 2), Fact { atom, because })
    }

    /// The shortest way up from one entity to another, by parents that are no younger than `tick`.
    fn way(&mut self, low: Value, high: Value, tick: Tick) -> Option<Vec<Key>> {
        let mut from: BTreeMap<Value, (Value, Key)> = BTreeMap::new();
        let mut pending = VecDeque::from([low]);
        while let Some(at) = pending.pop_front() {
            for (parent, key) in self.parents_of(at, tick) {
                self.steps = self.steps.checked_sub(1)?;
                if parent != low && !from.contains_key(&parent) {
                    from.insert(parent, (at, key));
                    pending.push_back(parent);
                }
            }
            if from.contains_key(&high) {
                break;
            }
        }
        let mut way = Vec::new();
        let mut at = high;
        while at != low {
            let (child, key) = *from.get(&at)?;
            way.push(key);
            at = child;
        }
        way.reverse();
        Some(way)
    }

    pub(super) fn parents_of(&mut self, child: Value, tick: Tick) -> Vec<(Value, Key)> {
        let relation = self.world.world.relation(Names::PARENT).filter(|relation| !relation.rows.is_empty());
        let Some(relation) = relation else {
            let stored = self.terms.facts.stored_parents(self.values, child);
            return stored.iter().map(|parent| (*parent, Key::Parent(child, *parent))).collect();
        };
        if self.parents.is_none() {
            self.steps = self.steps.saturating_sub(u64::from(relation.rows.len()));
        }
        let all = self.parents.get_or_insert_with(|| {
            let mut all: BTreeMap<Value, Vec<(Value, RowId)>> = BTreeMap::new();
            for at in 0..relation.rows.len() {
                if let [child, parent] = relation.rows.row(at) {
                    all.entry(*child).or_default().push((*parent, at));
                }
            }
            all
        });
        let n = relation.births.n_before(tick.next(), relation.rows.len());
        let of_child = all.get(&child).into_iter().flatten().filter(|(_, at)| *at < n);
        of_child.map(|(parent, at)| (*parent, Key::Row(Names::PARENT, *at))).collect()
    }

    /// The place of a fact, as long as there is room for more.
    pub(super) fn note(&mut self, key: Key) -> Option<usize> {
        let place = self.ledger.cite(key);
        self.is_incomplete |= place.is_none();
        place
    }
}
