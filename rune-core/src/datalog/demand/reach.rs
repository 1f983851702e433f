//! How far recursion may go: closures of relations, from where they are largest.
//!
//! ```text
//!   start   a row, by chance          start ─▶ back ─▶ back ─▶ …        what is before it reaches all that it reaches
//!   reach   what the last of them     last ─▶ on ─▶ on ─▶ on ─▶ …       counted, up to what a trial may take
//! ```
//!
//! Keys as they occur seldom begin where closures are large, and how many rows one value has says little of where all of them
//! lead: in a tree of which each node has two below it everything is below the root.

use std::collections::BTreeSet;

use crate::{
    base::{Value, Values},
    check::rules::PredicateId,
    facts::Store,
};

use super::{
    code::{Bind, Code, Operand, Step},
    compile::Compiler,
    lookup::{Lookup, Wanted},
    trial::{TRIAL_PASSED, TRIAL_STEPS_MAX},
    tuples::Tuples,
};

/// Rows that are gone back along from each start, at most, and of how many one is chosen.
const BACK_MAX: usize = 500;
const CHOICES_MAX: usize = 8;
/// What recursion costs for each row more than one that a key may lead to, where it is no closure of relations.
const FAN: f64 = 1_000.0;

/// A rule of a closure that goes from a value to those beside it in the rows of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    of: PredicateId,
    from: usize,
    to: usize,
}

/// What finds the values beside one, and their place in what it finds.
struct Way(Lookup, usize);

impl Way {
    fn beside(&self, value: Value) -> impl Iterator<Item = Value> + '_ {
        self.0.probe(std::iter::once(value)).filter_map(|row| row.get(self.1).copied())
    }
}

impl<S: Store, V: Values> Compiler<'_, S, V> {
    /// What recursion of a procedure takes where it goes farthest.
    pub(super) fn farthest(&mut self, at: usize) -> f64 {
        let Some(procedure) = self.built.procedures.get(at) else { return 0.0 };
        let closures = procedure.groups.iter().filter_map(|group| self.built.closures.get(group.closure));
        let tables = if procedure.is_tabled { procedure.exits.as_slice() } else { &[] };
        let recursions = closures.map(|closure| &*closure.edges).chain([&*procedure.forwards, tables]);
        let recursions: Vec<Result<Vec<Edge>, f64>> =
            recursions.map(|codes| self.edges(codes).ok_or_else(|| self.fans_out(codes))).collect();
        let works = recursions.into_iter().map(|edges| match edges {
            Ok(edges) => match self.reached.get(&edges) {
                Some(known) => *known,
                None => {
                    let reach = self.reach(&edges);
                    self.reached.insert(edges, reach);
                    reach
                }
            },
            Err(work) => work,
        });
        works.sum()
    }

    /// Rules as edges, if all of them are.
    fn edges(&self, codes: &[Code]) -> Option<Vec<Edge>> {
        codes.iter().map(|code| self.as_edge(code)).collect()
    }

    fn as_edge(&self, code: &Code) -> Option<Edge> {
        let ([Bind::Set(begin)], [Step::Rows { of, lookup, key, binds }], [Operand::Register(end)]) =
            (&*code.of_tuple, &*code.steps, &*code.result)
        else {
            return None;
        };
        let from = self.built.wanted.get(*lookup).and_then(|wanted| <[usize; 1]>::try_from(&*wanted.columns).ok());
        let [from] = from.filter(|_| **key == [Operand::Register(*begin)])?;
        let columns = self.lookups.get(*lookup)?.columns(self.arity(*of), &[from]);
        let to = binds.iter().position(|bind| *bind == Bind::Set(*end)).and_then(|place| columns.get(place))?;
        let is_idle = |(bind, column): (&Bind, &usize)| column == to || column == &from || *bind == Bind::Skip;
        binds.iter().zip(&columns).all(is_idle).then_some(Edge { of: *of, from, to: *to })
    }

    /// The steps that a closure along edges takes from where it is largest, as far as one finds by going back.
    fn reach(&self, edges: &[Edge]) -> f64 {
        let ahead: Vec<Way> = edges.iter().map(|edge| self.way(edge.of, edge.from, edge.to)).collect();
        let back: Vec<Way> = edges.iter().map(|edge| self.way(edge.of, edge.to, edge.from)).collect();
        let starts = edges.iter().flat_map(|edge| self.some_of(edge.of, edge.from)).enumerate();
        let firsts: BTreeSet<Value> = starts.map(|(n, start)| first(&back, start, n)).collect();
        let mut reached = Tuples::default();
        let mut most = 0;
        for first in firsts {
            match n_steps(&ahead, first, &mut reached) {
                Some(n) => most = most.max(n),
                None => return TRIAL_PASSED,
            }
        }
        f64::from(u32::try_from(most).unwrap_or(u32::MAX))
    }

    fn way(&self, of: PredicateId, from: usize, to: usize) -> Way {
        let is_whole = self.is_whole(of);
        let wanted = Wanted { id: of, columns: [from].into(), is_whole };
        let known = self.built.on_columns.get(&wanted).and_then(|at| self.lookups.get(*at)).cloned();
        // What is needed for this alone is not kept.
        let lookup = known.unwrap_or_else(|| Lookup::of(&wanted, self.store, self.arity(of)));
        let columns = lookup.columns(self.arity(of), &[from]);
        let place = columns.iter().position(|column| *column == to).unwrap_or(usize::MAX);
        Way(lookup, place)
    }

    /// What rules are taken to cost by the most rows that a key has in them.
    fn fans_out(&self, codes: &[Code]) -> f64 {
        let n_most = |step: &Step| match step {
            Step::Rows { lookup, .. } | Step::Beside { lookup, .. } => self.lookups.get(*lookup).map(Lookup::n_most),
            _ => None,
        };
        let widest = codes.iter().flat_map(|code| &code.steps).filter_map(n_most).max().unwrap_or_default();
        FAN * f64::from(u32::try_from(widest.saturating_sub(1)).unwrap_or(u32::MAX))
    }
}

/// Where one comes to by going back along edges; `n` says which of them are chosen.
fn first(back: &[Way], start: Value, n: usize) -> Value {
    let mut at = start;
    for step in 0..BACK_MAX {
        let before: Vec<Value> = back.iter().flat_map(|way| way.beside(at)).take(CHOICES_MAX).collect();
        match before.get((n * 7 + step) % before.len().max(1)) {
            Some(before) => at = *before,
            None => break,
        }
    }
    at
}

/// The steps of a closure from here; none if they are more than those of a trial.
fn n_steps(ahead: &[Way], first: Value, reached: &mut Tuples) -> Option<u64> {
    reached.reset(1);
    reached.insert_value(first);
    let (mut left, mut at) = (TRIAL_STEPS_MAX, 0);
    while let Some(value) = reached.cells().get(at).copied() {
        for way in ahead {
            left = left.checked_sub(1)?;
            for next in way.beside(value) {
                left = left.checked_sub(1)?;
                reached.insert_value(next);
            }
        }
        at += 1;
    }
    Some(TRIAL_STEPS_MAX - left)
}
