//! Bodies gone through: from what is known at the beginning to what comes of it.

use std::{collections::BTreeSet, ops::ControlFlow};

use crate::{
    base::{Value, Values},
    check::rules::{Slot, Term},
    datalog::fold::folded,
    facts::{BATCH, RowId},
};

use super::{
    folds::Folds,
    graph::{Bind, Choice, Filter, Graph, Side},
    table::{Table, View},
};

/// Why going through a body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Enough is found.
    Enough,
    TooManySteps,
    /// More rows come than may.
    TooManyRows,
    /// A sum is larger than an integer, or a row has more derivations than are counted.
    TooMuch,
}

pub(super) type Flow = ControlFlow<Stop>;

/// What becomes of a result: of rows whose heights are at most so much, and whether it came or went with what changed.
pub(super) trait Sink {
    fn take(&mut self, row: &[Value], height: u32, sign: i32) -> Flow;
}

/// Where results go straight into the table of their relation, of which so many may be new.
pub(super) trait Head: Sink {
    fn of(table: Table, rows_left: u64) -> Self;
    fn table(self) -> Table;
}

/// Results side by side.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) cells: Vec<Value>,
    pub(super) heights: Vec<u32>,
}

impl Sink for Found {
    fn take(&mut self, row: &[Value], height: u32, _: i32) -> Flow {
        self.cells.extend_from_slice(row);
        self.heights.push(height);
        Flow::Continue(())
    }
}

impl Found {
    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.heights.clear();
    }

    /// Visits the results, some at a time: their cells and their heights.
    pub(super) fn each(&self, arity: usize, mut visit: impl FnMut(&[Value], &[u32])) {
        for (n, heights) in self.heights.chunks(BATCH).enumerate() {
            let start = n * BATCH * arity;
            visit(self.cells.get(start..start + heights.len() * arity).unwrap_or_default(), heights);
        }
    }
}

/// The height of the first result.
#[derive(Debug, Default)]
pub(super) struct First(pub(super) Option<u32>);

impl Sink for First {
    fn take(&mut self, _: &[Value], height: u32, _: i32) -> Flow {
        self.0 = Some(height);
        Flow::Break(Stop::Enough)
    }
}

/// Which rows count, and of a changed aggregate which value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    /// Of conditions before the one that changed.
    pub(super) before: View,
    /// Of those after it.
    pub(super) after: View,
    /// What a changed aggregate was, and is.
    pub(super) is_lost_seen: bool,
    pub(super) is_gain_seen: bool,
    /// Rows of the stratum itself count only if their heights are below this.
    pub(super) below: u32,
}

impl Sight {
    pub(super) const OLD: Self =
        Self { before: View::Old, after: View::Old, is_lost_seen: true, is_gain_seen: false, below: u32::MAX };
    pub(super) const NEW: Self =
        Self { before: View::New, after: View::New, is_lost_seen: false, is_gain_seen: true, below: u32::MAX };
    /// What is summed over all conditions of a body is what changes of the body.
    pub(super) const BOTH: Self =
        Self { before: View::New, after: View::Old, is_lost_seen: true, is_gain_seen: true, below: u32::MAX };

    fn view(self, side: Side) -> View {
        if side == Side::Before { self.before } else { self.after }
    }
}

/// What all that one change takes has in common.
#[derive(Debug)]
pub(super) struct Work<'w, V> {
    pub(super) values: &'w mut V,
    pub(super) steps_left: u64,
    pub(super) rows_left: u64,
    slots: Vec<Value>,
}

impl<'w, V> Work<'w, V> {
    pub(super) fn new(values: &'w mut V, steps_left: u64, rows_left: u64) -> Self {
        Self { values, steps_left, rows_left, slots: Vec::new() }
    }
}

/// Bodies and the rows that they are gone through with.
pub(super) struct Run<'r, 'w, V> {
    pub(super) tables: &'r [Table],
    pub(super) folds: &'r Folds,
    pub(super) work: &'r mut Work<'w, V>,
    pub(super) sight: Sight,
}

/// Where a way through a body has come.
#[derive(Debug, Clone, Copy)]
struct At {
    node: usize,
    filter: usize,
    height: u32,
    sign: i32,
}

/// A condition with its table, and the rows of it that may be; without those, all.
type Chosen<'g, 'r> = (&'g Choice, &'r Table, Option<&'r [RowId]>);

impl<'r, V: Values> Run<'r, '_, V> {
    pub(super) fn term(&self, term: Term) -> Value {
        match term {
            Term::Slot(slot) => self.work.slots.get(slot.0).copied().unwrap_or(Value::UNKNOWN),
            Term::Constant(value) => value,
            Term::Any => Value::UNKNOWN,
        }
    }

    pub(super) fn set(&mut self, slot: Slot, value: Value) {
        if let Some(place) = self.work.slots.get_mut(slot.0) {
            *place = value;
        }
    }

    /// Prepares for a body with so many variables.
    pub(super) fn begin(&mut self, n_slots: usize) {
        if self.work.slots.len() < n_slots {
            self.work.slots.resize(n_slots, Value::UNKNOWN);
        }
    }

    /// Binds what a row has, and says whether it agrees with what is known.
    #[inline]
    pub(super) fn bind(&mut self, row: &[Value], binds: &[Bind]) -> bool {
        for bind in binds {
            match *bind {
                Bind::Set { column, to } => self.set(to, row.get(column).copied().unwrap_or(Value::UNKNOWN)),
                Bind::Same { column, with } => {
                    if row.get(column) != Some(&self.term(with)) {
                        return false;
                    }
                }
            }
        }
        true
    }

    #[inline]
    pub(super) fn spend(&mut self) -> Flow {
        match self.work.steps_left.checked_sub(1) {
            Some(left) => {
                self.work.steps_left = left;
                Flow::Continue(())
            }
            None => Flow::Break(Stop::TooManySteps),
        }
    }

    /// Goes through a body; what is known at its beginning is in the slots.
    pub(super) fn through(&mut self, graph: &Graph, height: u32, sign: i32, sink: &mut impl Sink) -> Flow {
        self.go(graph, At { node: 0, filter: 0, height, sign }, sink)
    }

    // Recurses once per condition that has rows, and per aggregate that changed.
    fn go(&mut self, graph: &Graph, mut at: At, sink: &mut impl Sink) -> Flow {
        let Some(node) = graph.nodes.get(at.node) else { return Flow::Continue(()) };
        for (n, filter) in node.filters.iter().enumerate().skip(at.filter) {
            if let Filter::Fold { of, result, is_bound, side: Side::Changed } = filter {
                return self.fold_changed(graph, (At { filter: n + 1, ..at }, *of), (*result, *is_bound), sink);
            }
            match self.pass(filter)? {
                Some(height) => at.height = at.height.max(height),
                None => return Flow::Continue(()),
            }
        }
        let Some((choice, table, rows)) = self.choose(&node.choices) else {
            return if node.choices.is_empty() { self.emit(graph, at, sink) } else { Flow::Continue(()) };
        };
        match rows {
            Some(rows) => self.each(graph, choice, table, rows.iter().copied(), at, sink),
            None => self.each(graph, choice, table, table.places(), at, sink),
        }
    }

    fn each(
        &mut self,
        graph: &Graph,
        choice: &Choice,
        table: &Table,
        rows: impl Iterator<Item = RowId>,
        at: At,
        sink: &mut impl Sink,
    ) -> Flow {
        let view = self.sight.view(choice.side);
        for id in rows {
            self.spend()?;
            if !table.is_in(id, view) {
                continue;
            }
            let height = if choice.is_own { table.weight(id) } else { 0 };
            if self.sight.below <= height || !self.bind(table.row(id), &choice.binds) {
                continue;
            }
            self.go(graph, At { node: choice.next, filter: 0, height: at.height.max(height), ..at }, sink)?;
            if choice.is_idle {
                break;
            }
        }
        Flow::Continue(())
    }

    /// The condition that has fewest rows, or the first that has few, with these; of one of which nothing is known, without.
    fn choose<'g>(&self, choices: &'g [Choice]) -> Option<Chosen<'g, 'r>> {
        let tables = self.tables;
        let mut best: Option<(usize, Chosen<'g, 'r>)> = None;
        for choice in choices {
            let Some(table) = tables.get(choice.of) else { continue };
            let rows = choice.index.map(|index| {
                let mut buffer = [Value::UNKNOWN; KEY_MAX];
                match self.key(&choice.key, &mut buffer) {
                    Some(key) => table.probe(index, key),
                    None => table.probe(index, &self.long_key(&choice.key)),
                }
            });
            let n = rows.map_or_else(|| table.len(), <[RowId]>::len);
            if best.is_none_or(|(n_best, _)| n < n_best) {
                best = Some((n, (choice, table, rows)));
            }
            if n <= FEW {
                break;
            }
        }
        best.map(|(_, found)| found)
    }

    fn key<'b>(&self, key: &[Term], buffer: &'b mut [Value; KEY_MAX]) -> Option<&'b [Value]> {
        for (place, term) in buffer.iter_mut().zip(key) {
            *place = self.term(*term);
        }
        buffer.get(..key.len())
    }

    fn long_key(&self, key: &[Term]) -> Vec<Value> {
        key.iter().map(|term| self.term(*term)).collect()
    }

    fn emit(&mut self, graph: &Graph, at: At, sink: &mut impl Sink) -> Flow {
        let mut buffer = [Value::UNKNOWN; KEY_MAX];
        match self.key(&graph.result, &mut buffer) {
            Some(row) => sink.take(row, at.height, at.sign),
            None => {
                let row = self.long_key(&graph.result);
                sink.take(&row, at.height, at.sign)
            }
        }
    }

    /// Whether a filter lets pass, and the height of what it found.
    fn pass(&mut self, filter: &Filter) -> ControlFlow<Stop, Option<u32>> {
        let passes = match filter {
            Filter::Has { of, key, side, is_own } => {
                self.spend()?;
                let view = self.sight.view(*side);
                let Some(table) = self.tables.get(*of) else { return ControlFlow::Continue(None) };
                let found = self.find(table, key).filter(|id| table.is_in(*id, view));
                let height = found.map(|id| if *is_own { table.weight(id) } else { 0 });
                return ControlFlow::Continue(height.filter(|height| *height < self.sight.below));
            }
            Filter::Lacks { of, index, key, side } => {
                self.spend()?;
                let view = self.sight.view(*side);
                let Some(table) = self.tables.get(*of) else { return ControlFlow::Continue(None) };
                match index {
                    None => self.find(table, key).is_none_or(|id| !table.is_in(id, view)),
                    Some(index) => !has_any(table, *index, &self.long_key(key), view),
                }
            }
            Filter::Test(check) => check.holds(self.work.values, &|term| self.term(term)),
            Filter::Is(slot, types) => types.has(self.work.values, self.term(Term::Slot(*slot))),
            Filter::Set(slot, term) => {
                self.set(*slot, self.term(*term));
                true
            }
            Filter::Equal(a, b) => self.term(*a) == self.term(*b),
            Filter::Fold { of, result, is_bound, side } => {
                let value = self.fold(*of, self.sight.view(*side))?;
                value.is_some_and(|value| self.give(*result, *is_bound, value))
            }
        };
        ControlFlow::Continue(passes.then_some(0))
    }

    fn find(&self, table: &Table, key: &[Term]) -> Option<RowId> {
        let mut buffer = [Value::UNKNOWN; KEY_MAX];
        match self.key(key, &mut buffer) {
            Some(row) => table.find(row),
            None => table.find(&self.long_key(key)),
        }
    }

    fn give(&mut self, slot: Slot, is_bound: bool, value: Value) -> bool {
        if is_bound {
            return self.term(Term::Slot(slot)) == value;
        }
        self.set(slot, value);
        true
    }

    /// Goes on with what an aggregate was and with what it is, where the two differ.
    fn fold_changed(
        &mut self,
        graph: &Graph,
        (at, of): (At, usize),
        (result, is_bound): (Slot, bool),
        sink: &mut impl Sink,
    ) -> Flow {
        let (was, is) = (self.fold(of, View::Old)?, self.fold(of, View::New)?);
        if was == is {
            return Flow::Continue(());
        }
        let sides = [(self.sight.is_lost_seen, was, -1), (self.sight.is_gain_seen, is, 1)];
        for (_, value, sign) in sides.into_iter().filter(|(is_seen, ..)| *is_seen) {
            if let Some(value) = value
                && self.give(result, is_bound, value)
            {
                self.go(graph, At { sign: at.sign * sign, ..at }, sink)?;
            }
        }
        Flow::Continue(())
    }

    /// The value of an aggregate whose key is known; none if there is nothing of which it would be the smallest or largest.
    // Recurses once per aggregate within another, whose nesting was limited.
    pub(super) fn fold(&mut self, of: usize, view: View) -> ControlFlow<Stop, Option<Value>> {
        let folds = self.folds;
        let Some((aggregate, graphs)) = folds.get(of) else { return ControlFlow::Continue(None) };
        let (slots, sight) = (self.work.slots.clone(), self.sight);
        self.begin(aggregate.n_slots);
        self.sight = if view == View::Old { Sight::OLD } else { Sight::NEW };
        let mut tuples = Tuples::default();
        let flow = graphs.iter().try_for_each(|graph| self.through(graph, 0, 1, &mut tuples));
        (self.work.slots, self.sight) = (slots, sight);
        flow?;
        let mut firsts: Vec<Value> = tuples.0.iter().filter_map(|tuple| tuple.first().copied()).collect();
        match folded(self.work.values, aggregate.fold, &mut firsts) {
            Ok(value) => ControlFlow::Continue(value),
            Err(_) => ControlFlow::Break(Stop::TooMuch),
        }
    }
}

/// Whether a view has a row with this key.
pub(super) fn has_any(table: &Table, index: super::table::IndexId, key: &[Value], view: View) -> bool {
    table.probe(index, key).iter().any(|id| table.is_in(*id, view))
}

/// Rows of a condition that are so few that no other is asked how many it has.
const FEW: usize = 6;
/// Columns of keys and rows for which no memory is asked.
const KEY_MAX: usize = 8;

/// Distinct tuples.
#[derive(Debug, Default)]
struct Tuples(BTreeSet<Box<[Value]>>);

impl Sink for Tuples {
    fn take(&mut self, row: &[Value], _: u32, _: i32) -> Flow {
        if !self.0.contains(row) {
            self.0.insert(row.into());
        }
        Flow::Continue(())
    }
}
