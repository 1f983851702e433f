//! The facts of an explanation: each once, and in the end each after all that it follows from.

use std::collections::BTreeMap;

use crate::{
    base::{Symbol, Value, limits},
    check::rules::PredicateId,
    facts::{RowId, Tick},
};

use super::{Because, Candidate, Clause, Explanation, Fact, Failed, WhyNot};

/// Which fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A row of a relation.
    Row(PredicateId, RowId),
    /// The parent of an entity, as its entry has it.
    Parent(Value, Value),
    /// An entity below another.
    Below(Value, Value),
    /// The attribute of an entity, and its value.
    Attribute(Value, Symbol, Value),
    /// The tag of an entity, and its value.
    Tag(Value, Symbol, Value),
}

/// The facts that have been named, in the order in which they were.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    keys: Vec<Key>,
    places: BTreeMap<Key, usize>,
    /// Those that are explained, with what orders them: when they came, and of equals what rests on what.
    done: Vec<((Tick, u8), Fact)>,
}

impl Ledger {
    /// The place of a fact, for now; none if there is no room for another.
    pub(super) fn cite(&mut self, key: Key) -> Option<usize> {
        if let Some(place) = self.places.get(&key) {
            return Some(*place);
        }
        let place = self.keys.len();
        (place < 2 * limits::EXPLAINED_FACTS_MAX).then(|| {
            self.keys.push(key);
            self.places.insert(key, place);
            place
        })
    }

    /// The facts that have been named.
    pub(super) fn into_keys(self) -> Vec<Key> {
        self.keys
    }

    /// The next fact that is to be explained.
    pub(super) fn next(&self) -> Option<Key> {
        self.keys.get(self.done.len()).copied()
    }

    /// How many facts are explained.
    pub(super) fn len(&self) -> usize {
        self.done.len()
    }

    /// Explains the next fact.
    pub(super) fn add(&mut self, order: (Tick, u8), fact: Fact) {
        self.done.push((order, fact));
    }

    /// Puts the facts in their order, and says which place each has now.
    pub(super) fn finish(self, facts: &mut Vec<Fact>) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.done.len()).collect();
        order.sort_by_key(|at| self.done.get(*at).map(|(order, _)| *order));
        let mut places = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            if let Some(place) = places.get_mut(*old) {
                *place = new;
            }
        }
        let mut sorted: Vec<(usize, Fact)> =
            places.iter().copied().zip(self.done.into_iter().map(|(_, fact)| fact)).collect();
        sorted.sort_by_key(|(place, _)| *place);
        *facts = sorted.into_iter().map(|(_, fact)| fact).collect();
        for fact in facts {
            match &mut fact.because {
                Because::Parents { facts } => renumber_list(facts, &places),
                Because::Rule(instance) => renumber(&mut instance.clauses, &places),
                Because::Given(_) | Because::Schema | Because::Live | Because::Request | Because::Unshown => {}
            }
        }
        places
    }
}

impl Explanation {
    pub(super) fn renumber(&mut self, places: &[usize]) {
        let of_failed = self.failed.iter_mut().map(|Failed { instance, .. }| instance);
        let of_candidates = self.candidates.iter_mut().map(|Candidate { instance, .. }| instance);
        let instances = self.determining.iter_mut().chain(of_failed).chain(of_candidates).chain(&mut self.forbids);
        for instance in instances {
            renumber(&mut instance.clauses, places);
        }
        self.candidates.iter_mut().filter_map(|of| of.why_not.as_mut()).for_each(|of| of.renumber(places));
    }
}

impl WhyNot {
    pub(super) fn renumber(&mut self, places: &[usize]) {
        self.blocked.iter_mut().for_each(|of| renumber_list(&mut of.blockers, places));
    }
}

// Recurses once per attempt or operand within another, whose number is limited.
pub(super) fn renumber(clauses: &mut [Clause], places: &[usize]) {
    for Clause { facts, attempts, operands, .. } in clauses {
        renumber_list(facts, places);
        renumber(operands, places);
        for attempt in attempts {
            renumber(&mut attempt.clauses, places);
        }
    }
}

fn renumber_list(facts: &mut [usize], places: &[usize]) {
    for fact in facts {
        *fact = places.get(*fact).copied().unwrap_or(*fact);
    }
}
