//! What follows for a body from a change of one of its conditions.

use std::collections::BTreeSet;

use crate::{
    base::{Value, Values},
    check::rules::{Slot, Term},
    facts::RowId,
};

use super::{
    clauses::{Aggregate, Literal},
    folds::Folds,
    graph::{Bind, Graph, Purpose, binds_of, index_for},
    run::{Flow, Run, Sink, has_any},
    table::{IndexId, Table, View},
};

/// A body, from one of its conditions on.
#[derive(Debug)]
pub(super) struct Delta {
    source: Source,
    binds: Vec<Bind>,
    graph: Graph,
}

/// What changes.
#[derive(Debug)]
enum Source {
    Rows(usize),
    /// The absence of rows. With an index: of any with the same values in these columns.
    No(usize, Option<(IndexId, Vec<usize>)>),
    /// An aggregate, for keys of which some columns are known.
    Fold(usize),
}

/// Which changes are gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// Those that take away.
    Losses,
    /// Those that add.
    Gains,
}

impl Delta {
    /// A body from one of its conditions on, which can change; `purpose` says all but where it begins. None if a condition can
    /// never be asked.
    pub(super) fn of(
        (literals, at): (&[Literal], usize),
        result: &[Term],
        purpose: Purpose<'_>,
        (folds, aggregates): (&Folds, &[Aggregate]),
        tables: &mut [Table],
    ) -> Option<Self> {
        let mut known = BTreeSet::new();
        let (source, binds) = match literals.get(at) {
            Some(Literal::Rows(of, args)) => (Source::Rows(*of), binds_of(args, &mut known)),
            Some(Literal::No(of, args)) => {
                let index = index_for(tables.get_mut(*of)?, args);
                let columns =
                    || args.iter().enumerate().filter(|(_, arg)| **arg != Term::Any).map(|(at, _)| at).collect();
                (Source::No(*of, index.map(|index| (index, columns()))), binds_of(args, &mut known))
            }
            Some(Literal::Fold(_, of)) => {
                let slots = folds.known_keys(*of);
                known.extend(slots);
                let bind = |(column, slot): (usize, &Slot)| Bind::Set { column, to: *slot };
                (Source::Fold(*of), slots.iter().enumerate().map(bind).collect())
            }
            _ => return None,
        };
        let known: Vec<Slot> = known.into_iter().collect();
        let purpose = Purpose { changed: Some(at), known: &known, ..purpose };
        let graph = Graph::of(literals, result, purpose, aggregates, tables)?;
        Some(Self { source, binds, graph })
    }

    /// The table whose rows it begins with, where it begins with rows that are there.
    pub(super) fn table(&self) -> Option<usize> {
        match self.source {
            Source::Rows(of) => Some(of),
            _ => None,
        }
    }

    /// The aggregate that it begins with.
    pub(super) fn aggregate(&self) -> Option<usize> {
        match self.source {
            Source::Fold(of) => Some(of),
            _ => None,
        }
    }

    /// Goes on from one row.
    pub(super) fn go_on_from<V: Values>(
        &self,
        run: &mut Run<'_, '_, V>,
        row: &[Value],
        (height, sign): (u32, i32),
        sink: &mut impl Sink,
    ) -> Flow {
        run.spend()?;
        if run.bind(row, &self.binds) { run.through(&self.graph, height, sign, sink) } else { Flow::Continue(()) }
    }

    /// Goes on from all that changed.
    pub(super) fn go_on<V: Values>(&self, run: &mut Run<'_, '_, V>, wanted: Wanted, sink: &mut impl Sink) -> Flow {
        let is_wanted = |sign: i32| match wanted {
            Wanted::All => true,
            Wanted::Losses => sign < 0,
            Wanted::Gains => 0 < sign,
        };
        let tables = run.tables;
        match &self.source {
            Source::Rows(of) => {
                for (row, sign) in tables.get(*of).into_iter().flat_map(changes_of).filter(|of| is_wanted(of.1)) {
                    self.go_on_from(run, row, (0, sign), sink)?;
                }
            }
            Source::No(of, None) => {
                for (row, sign) in tables.get(*of).into_iter().flat_map(changes_of).filter(|of| is_wanted(-of.1)) {
                    self.go_on_from(run, row, (0, -sign), sink)?;
                }
            }
            Source::No(of, Some((index, columns))) => {
                let Some(table) = tables.get(*of) else { return Flow::Continue(()) };
                let mut seen: BTreeSet<Vec<Value>> = BTreeSet::new();
                for (row, _) in changes_of(table) {
                    let key: Vec<Value> = columns.iter().filter_map(|column| row.get(*column).copied()).collect();
                    let [was, is] = [View::Old, View::New].map(|view| has_any(table, *index, &key, view));
                    let sign = if was { 1 } else { -1 };
                    if was != is && is_wanted(sign) && seen.insert(key) {
                        self.go_on_from(run, row, (0, sign), sink)?;
                    }
                }
            }
            Source::Fold(of) => {
                for key in run.folds.affected(*of) {
                    self.go_on_from(run, key, (0, 1), sink)?;
                }
            }
        }
        Flow::Continue(())
    }
}

/// The rows of a table that came or went.
pub(super) fn changes_of(table: &Table) -> impl Iterator<Item = (&[Value], i32)> {
    let sign = |id: RowId| table.change(id).map(|is_gain| if is_gain { 1 } else { -1 });
    table.changed().iter().filter_map(move |id| Some((table.row(*id), sign(*id)?)))
}
