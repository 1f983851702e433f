//! Strata: relations that derive one another, or one by itself, and the rules that derive them.

use crate::{base::Values, check::rules::Slot};

use super::{
    clauses::{Aggregate, Clause, Literal},
    delta::Delta,
    folds::Folds,
    graph::{Bind, Graph, Purpose, binds_of},
    run::{Flow, Head, Run, Sight, Stop, Work},
    table::Table,
};

/// Rules that derive relations, with the ways through their bodies.
#[derive(Debug)]
pub(super) struct Stratum {
    pub(super) tables: Vec<usize>,
    pub(super) rules: Vec<CompiledClause>,
    pub(super) is_recursive: bool,
    /// The aggregates that the rules read.
    pub(super) folds: Vec<usize>,
    /// Tables that the rules read and others derive.
    pub(super) inputs: Vec<usize>,
    /// What deriving all of it took when that was last done.
    pub(super) n_steps: u64,
    /// Whether it follows changes however many they are.
    pub(super) is_patient: bool,
}

/// A rule, with the ways through its body.
#[derive(Debug)]
pub(super) struct CompiledClause {
    pub(super) clause: Clause,
    /// From what other strata derive.
    pub(super) lower: Vec<Delta>,
    /// From what its own does.
    pub(super) own: Vec<Delta>,
    /// From nothing: of a rule that reads nothing of its own stratum.
    pub(super) whole: Option<Graph>,
    /// From a row that it may derive: of a recursive stratum.
    pub(super) back: Option<(Vec<Bind>, Graph)>,
}

/// Why a stratum is not up to date: a rule, by its place in the stratum, went too far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) stop: Stop,
    pub(super) rule: usize,
}

impl Stratum {
    /// None if a rule has a condition that can never be asked.
    pub(super) fn of(
        tables_of: Vec<usize>,
        clauses: impl Iterator<Item = Clause>,
        (folds, aggregates): (&Folds, &[Aggregate]),
        tables: &mut [Table],
    ) -> Option<Self> {
        let clauses: Vec<Clause> = clauses.collect();
        let is_own = |literal: &Literal| matches!(literal, Literal::Rows(of, _) if tables_of.contains(of));
        let is_recursive = clauses.iter().any(|clause| clause.literals.iter().any(is_own));
        let purpose = Purpose { changed: None, known: &[], own: &tables_of, is_set: is_recursive, is_lenient: false };
        let (mut rules, mut of_folds, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
        for clause in clauses {
            let Clause { literals, args, .. } = &clause;
            let (mut lower, mut own) = (Vec::new(), Vec::new());
            for (at, literal) in literals.iter().enumerate() {
                match literal {
                    Literal::Fold(_, of) => of_folds.push(*of),
                    Literal::Rows(of, _) | Literal::No(of, _) if !is_own(literal) => inputs.push(*of),
                    _ => {}
                }
                if literal.can_change() {
                    let delta = Delta::of((literals, at), args, purpose, (folds, aggregates), tables)?;
                    if is_own(literal) { &mut own } else { &mut lower }.push(delta);
                }
            }
            let whole =
                if own.is_empty() { Some(Graph::of(literals, args, purpose, aggregates, tables)?) } else { None };
            let mut known = std::collections::BTreeSet::new();
            let binds = binds_of(args, &mut known);
            let known: Vec<Slot> = known.into_iter().collect();
            let of_head = Purpose { known: &known, ..purpose };
            let back =
                if is_recursive { Some((binds, Graph::of(literals, &[], of_head, aggregates, tables)?)) } else { None };
            rules.push(CompiledClause { clause, lower, own, whole, back });
        }
        of_folds.sort_unstable();
        of_folds.dedup();
        inputs.sort_unstable();
        inputs.dedup();
        Some(Self { tables: tables_of, rules, is_recursive, folds: of_folds, inputs, n_steps: 0, is_patient: false })
    }

    /// Derives all that the rules which read nothing of their own stratum derive.
    pub(super) fn exits<V: Values, H: Head>(
        &self,
        tables: &mut [Table],
        folds: &Folds,
        work: &mut Work<'_, V>,
    ) -> Result<(), Fault> {
        for (at, rule) in self.rules.iter().enumerate() {
            if let Some(graph) = &rule.whole {
                rule.run_to_head::<V, H>(tables, (folds, Sight::NEW), work, |run, head| run.through(graph, 0, 1, head))
                    .map_err(|stop| Fault { stop, rule: at })?;
            }
        }
        Ok(())
    }
}

impl CompiledClause {
    /// Goes through ways that do not read the head of the rule, straight into that.
    pub(super) fn run_to_head<V: Values, H: Head>(
        &self,
        tables: &mut [Table],
        (folds, sight): (&Folds, Sight),
        work: &mut Work<'_, V>,
        go: impl FnOnce(&mut Run<'_, '_, V>, &mut H) -> Flow,
    ) -> Result<(), Stop> {
        let Some(table) = tables.get_mut(self.clause.head).map(std::mem::take) else { return Ok(()) };
        let mut head = H::of(table, work.rows_left);
        let mut run = Run { tables: &*tables, folds, work, sight };
        run.begin(self.clause.n_slots);
        let flow = go(&mut run, &mut head);
        if let Some(table) = tables.get_mut(self.clause.head) {
            *table = head.table();
        }
        match flow {
            Flow::Break(stop) => Err(stop),
            Flow::Continue(()) => Ok(()),
        }
    }
}
