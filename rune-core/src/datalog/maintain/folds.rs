//! Aggregates: their values before and after a change, and the keys whose values may differ.

use std::collections::BTreeSet;

use crate::{
    base::{Value, Values},
    check::rules::{Slot, Term},
    datalog::demand::shape::slot_of,
};

use super::{
    clauses::{Aggregate, Literal},
    delta::{Delta, Wanted},
    graph::{Graph, Purpose},
    run::{Flow, Run, Sight, Sink, Work},
    table::Table,
};

/// All aggregates.
#[derive(Debug, Default)]
pub(super) struct Folds {
    all: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    aggregate: Aggregate,
    /// The tuples of a key, one graph for each case.
    graphs: Vec<Graph>,
    /// What a change of something that is read says of the key.
    deltas: Vec<Delta>,
    /// The columns of the key that every change says something of.
    known: Vec<Slot>,
    affected: BTreeSet<Vec<Value>>,
    is_up_to_date: bool,
}

impl Folds {
    /// Adds an aggregate to those before it, of which it may read some.
    pub(super) fn add(&mut self, aggregates: &[Aggregate], at: usize, tables: &mut [Table]) -> Option<()> {
        let aggregate = aggregates.get(at)?.clone();
        let purpose = Purpose { changed: None, known: &aggregate.key, own: &[], is_set: true, is_lenient: false };
        let graphs = aggregate.cases.iter();
        let graphs = graphs.map(|case| Graph::of(case, &aggregate.tuple, purpose, aggregates, tables));
        let graphs = graphs.collect::<Option<Vec<_>>>()?;
        let mut known: BTreeSet<Slot> = aggregate.key.iter().copied().collect();
        for case in &aggregate.cases {
            for literal in case {
                let of_literal = match literal {
                    Literal::Fold(_, of) => self.known_keys(*of).iter().copied().collect(),
                    Literal::Rows(..) | Literal::No(..) => literal.slots(aggregates).collect(),
                    _ => continue,
                };
                let told = told_by(case, of_literal, aggregates);
                known.retain(|slot| told.contains(slot));
            }
        }
        let known: Vec<Slot> = known.into_iter().collect();
        let result: Vec<Term> = known.iter().copied().map(Term::Slot).collect();
        let mut deltas = Vec::new();
        for case in &aggregate.cases {
            for at in (0..case.len()).filter(|at| case.get(*at).is_some_and(Literal::can_change)) {
                let purpose = Purpose { known: &[], is_lenient: true, ..purpose };
                deltas.push(Delta::of((case, at), &result, purpose, (self, aggregates), tables)?);
            }
        }
        self.all.push(Compiled { aggregate, graphs, deltas, known, affected: BTreeSet::new(), is_up_to_date: false });
        Some(())
    }

    pub(super) fn get(&self, of: usize) -> Option<(&Aggregate, &[Graph])> {
        self.all.get(of).map(|compiled| (&compiled.aggregate, compiled.graphs.as_slice()))
    }

    /// The columns of a key that are known wherever it is affected.
    pub(super) fn known_keys(&self, of: usize) -> &[Slot] {
        self.all.get(of).map(|compiled| compiled.known.as_slice()).unwrap_or_default()
    }

    /// The keys whose values may have changed, as far as they are known.
    pub(super) fn affected(&self, of: usize) -> impl Iterator<Item = &[Value]> {
        self.all.get(of).into_iter().flat_map(|compiled| compiled.affected.iter().map(Vec::as_slice))
    }

    /// Another change begins.
    pub(super) fn forget(&mut self) {
        for compiled in &mut self.all {
            compiled.affected.clear();
            compiled.is_up_to_date = false;
        }
    }

    /// Finds the keys of an aggregate that are affected, once all that it reads is up to date.
    // Recurses once per aggregate within another, whose nesting was limited.
    pub(super) fn update<V: Values>(&mut self, of: usize, tables: &[Table], work: &mut Work<'_, V>) -> Flow {
        let Some(compiled) = self.all.get(of).filter(|compiled| !compiled.is_up_to_date) else {
            return Flow::Continue(());
        };
        let inner: Vec<usize> = compiled.deltas.iter().filter_map(Delta::aggregate).collect();
        for of in inner {
            self.update(of, tables, work)?;
        }
        let Some(compiled) = self.all.get(of) else { return Flow::Continue(()) };
        let mut keys = Keys::default();
        for delta in &compiled.deltas {
            for sight in [Sight::OLD, Sight::NEW] {
                let mut run = Run { tables, folds: self, work: &mut *work, sight };
                run.begin(compiled.aggregate.n_slots);
                delta.go_on(&mut run, Wanted::All, &mut keys)?;
            }
        }
        if let Some(compiled) = self.all.get_mut(of) {
            compiled.affected = keys.0;
            compiled.is_up_to_date = true;
        }
        Flow::Continue(())
    }
}

/// The variables that have values once these have, as far as rows give them.
fn told_by(case: &[Literal], mut told: BTreeSet<Slot>, aggregates: &[Aggregate]) -> BTreeSet<Slot> {
    let rows = case.iter().filter(|literal| matches!(literal, Literal::Rows(..)));
    told.extend(rows.flat_map(|literal| literal.slots(aggregates)));
    loop {
        let n_before = told.len();
        for literal in case {
            match literal {
                Literal::Same(a, b) => {
                    let is_told = |term: &Term| slot_of(*term).is_none_or(|slot| told.contains(&slot));
                    if is_told(a) || is_told(b) {
                        told.extend(literal.slots(aggregates));
                    }
                }
                Literal::Fold(result, of) => {
                    let key = aggregates.get(*of).map(|of| of.key.as_slice()).unwrap_or_default();
                    if key.iter().all(|slot| told.contains(slot)) {
                        told.insert(*result);
                    }
                }
                _ => {}
            }
        }
        if told.len() == n_before {
            return told;
        }
    }
}

#[derive(Debug, Default)]
struct Keys(BTreeSet<Vec<Value>>);

impl Sink for Keys {
    fn take(&mut self, row: &[Value], _: u32, _: i32) -> Flow {
        if !self.0.contains(row) {
            self.0.insert(row.to_vec());
        }
        Flow::Continue(())
    }
}
