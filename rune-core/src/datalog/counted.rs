//! What an aggregate was made of: the tuples, and what each rests on.

use crate::{
    base::{Value, Values, limits},
    check::rules::{PredicateId, Slot, Term},
    facts::{RowId, Store, Table},
};

use super::{
    Ask, AskKind, Body, Plan,
    solve::{Flow, Solver, Stop},
};

/// The tuples that an aggregate was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The variables of which each has a value.
    pub columns: Vec<String>,
    /// As many as may be shown.
    pub tuples: Vec<Vec<Value>>,
    /// How many there are.
    pub n_tuples: usize,
}

/// What the tuples of an aggregate rest on.
#[derive(Debug, Default)]
pub(super) struct Folded<'b> {
    pub(super) rows: Vec<(PredicateId, RowId)>,
    /// Conditions, and the values of the variables with which they hold.
    pub(super) conditions: Vec<(&'b Ask, Vec<Value>)>,
    pub(super) tuples: Vec<Vec<Value>>,
    pub(super) n_tuples: usize,
    /// If there is no tuple: what one of the atoms asks for in vain.
    pub(super) absent: Option<(PredicateId, Vec<Option<Value>>)>,
    pub(super) is_cut: bool,
}

impl Folded<'_> {
    fn is_full(&self) -> bool {
        let n_max = limits::FOLDED_ROWS_MAX;
        n_max < self.rows.len() || n_max < self.conditions.len() || n_max <= self.tuples.len()
    }

    fn add(&mut self, other: Self) {
        for row in other.rows {
            if !self.rows.contains(&row) {
                self.rows.push(row);
            }
        }
        self.conditions.extend(other.conditions);
        self.is_cut |= other.is_cut;
    }
}

impl<V: Values, S: Store> Solver<'_, V, S> {
    /// The tuples of an aggregate, and what as many of them rest on as may be shown: rows, and conditions to be asked again. One
    /// that begins with `best` is among those.
    // Recurses once per aggregate within another, whose number is limited.
    pub(super) fn folded<'b>(
        &mut self,
        (tuple, best): (&[Slot], Option<Value>),
        body: &'b Body,
        plan: &'b Plan,
    ) -> Result<Folded<'b>, Stop> {
        let mut folded = Folded::default();
        let mut seen = Table::new(tuple.len());
        let flow = self.solve(body, plan, &mut |solver| {
            let row: Vec<Value> = tuple.iter().map(|slot| solver.term(Term::Slot(*slot))).collect();
            let is_new = seen.insert(&row);
            let is_best = |row: &Vec<Value>| best.is_some() && row.first().copied() == best;
            if folded.is_full() && (!is_best(&row) || folded.tuples.iter().any(is_best)) {
                folded.is_cut = true;
                return Flow::Continue(());
            }
            if is_new {
                folded.tuples.push(row);
            }
            for ask in &body.asks {
                let inner = match &ask.kind {
                    AskKind::Atom(id, args) => solver
                        .row_of(*id, args, &[])
                        .map(|row| Folded { rows: Vec::from_iter(row), ..Folded::default() }),
                    AskKind::Aggregate { tuple, body, plan, .. } => solver.folded((tuple, None), body, plan),
                    _ => Ok(Folded { conditions: vec![(ask, solver.slots.clone())], ..Folded::default() }),
                };
                match inner {
                    Ok(inner) => folded.add(inner),
                    Err(stop) => return Flow::Break(stop),
                }
            }
            Flow::Continue(())
        });
        if let Flow::Break(stop) = flow {
            return Err(stop);
        }
        folded.rows.sort_unstable();
        folded.n_tuples = seen.len() as usize;
        if seen.is_empty() {
            for ask in &body.asks {
                if let AskKind::Atom(id, args) = &ask.kind
                    && self.row_of(*id, args, &[])?.is_none()
                {
                    folded.absent = Some((*id, self.key(args)));
                    break;
                }
            }
        }
        Ok(folded)
    }
}
