//! Codes at work: from the rows that there are to those that follow, many at once.

use std::ops::{ControlFlow, Range};

use crate::{
    base::{Value, Values},
    check::rules::{PredicateId, Term},
    expr::Check,
    facts::{IndexId, RowId, Store, Table},
    schema::Types,
    syntax::rules::Fold,
};

use super::{
    super::{
        fold::folded,
        n_rows,
        solve::{Flow, Stop},
    },
    Age, Bind, COLUMNS_MAX, Cell, Code, Filter, Step,
};

/// Cells that are found before filters take out what does not pass.
const CELLS_FILTERED: usize = 1 << 14;
/// Cells that one row may lead to before those that say nothing new are taken out.
const CELLS_MAX: usize = 1 << 22;

/// A step with the table that it reads.
#[derive(Debug)]
pub(super) enum Op<'c> {
    Scan {
        table: &'c Table,
        rows: Range<RowId>,
        binds: &'c [Bind],
    },
    Probe {
        table: &'c Table,
        index: IndexId,
        rows: Range<RowId>,
        key: &'c [Term],
        binds: &'c [Bind],
    },
    /// If a whole row is there.
    Find {
        table: &'c Table,
        rows: Range<RowId>,
        key: &'c [Term],
        wanted: bool,
    },
    /// If any row is there with these values in these columns.
    Any {
        table: &'c Table,
        index: Option<IndexId>,
        rows: Range<RowId>,
        columns: &'c [usize],
        key: &'c [Term],
        wanted: bool,
    },
    Test(&'c Check<Term>),
    Is {
        of: Term,
        types: &'c Types,
    },
    Let {
        to: usize,
        value: Term,
    },
    Fold {
        of: Ops<'c>,
        fold: Fold,
        is_distinct: bool,
        to: usize,
        is_bound: bool,
    },
}

/// A code with the tables that it reads.
#[derive(Debug)]
pub(super) struct Ops<'c> {
    code: &'c Code,
    pub(super) steps: Vec<Op<'c>>,
    filters: Vec<(&'c Table, Range<RowId>)>,
}

/// What evaluation along a code needs besides: it is begun, goes on until much is found, and is gone on with.
#[derive(Debug, Default)]
pub(in crate::datalog) struct Machine {
    registers: Vec<Value>,
    /// The cells of what was found, row by row.
    pub(in crate::datalog) found: Vec<Value>,
    /// The rows that a filter asks for, and whether each result is kept.
    asked: Vec<Value>,
    kept: Vec<bool>,
    /// Cells of what was found that have passed the filters.
    n_filtered: usize,
    /// Rows of the first step that are done.
    pub(super) n_done: RowId,
    /// When it is time to put what was found where it belongs.
    pub(super) pause: Pause,
    /// Cells that are too many, and whether it ends then.
    cells_max: usize,
    pub(super) is_brief: bool,
    /// Whether an aggregate had no value, so that others must say what follows.
    pub(in crate::datalog) has_failed: bool,
    /// That of the aggregate that is being made.
    inner: Option<Box<Machine>>,
    pub(in crate::datalog) steps_left: u64,
    pub(in crate::datalog) n_touched: u64,
}

/// How much is found, or how many steps are taken, before what was found is put where it belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    pub(super) n_cells: usize,
    pub(super) n_steps: u64,
}

impl Default for Pause {
    fn default() -> Self {
        Self { n_cells: 1 << 14, n_steps: 1 << 17 }
    }
}

impl Machine {
    pub(in crate::datalog) fn begin(&mut self, code: &Code) {
        self.registers.clear();
        self.registers.resize(code.n_registers, Value::UNKNOWN);
        self.found.clear();
        (self.n_done, self.n_filtered, self.cells_max, self.has_failed) = (0, 0, CELLS_MAX, false);
    }

    /// Finds what follows from rows of the first step until it is time to pause. Says whether that is all.
    ///
    /// A break is for steps, or for more than `rows_max` rows that are new, or for an aggregate without a value. What was found
    /// before it is there.
    pub(in crate::datalog) fn run<S: Store, V: Values>(
        &mut self,
        code: &Code,
        (store, values): (&S, &mut V),
        news: &[Range<RowId>],
        head: PredicateId,
        rows_max: u64,
    ) -> ControlFlow<Stop, bool> {
        let nothing = Table::new(0);
        let ops = ops_of(code, store, news, &nothing);
        let head = table_of(head, store, &nothing);
        let first = match ops.steps.first() {
            Some(Op::Scan { rows, .. }) => rows.start + self.n_done..rows.end,
            _ => 0..0,
        };
        self.run_rows(&ops, values, head, first, rows_max)
    }

    /// Finds what follows from these rows of the first step, if that goes through rows.
    pub(super) fn run_rows<V: Values>(
        &mut self,
        ops: &Ops<'_>,
        values: &mut V,
        head: &Table,
        rows: Range<RowId>,
        rows_max: u64,
    ) -> ControlFlow<Stop, bool> {
        self.found.clear();
        self.n_filtered = 0;
        let mut run = Run { ops, values, head, rows_max, machine: self };
        let flow = match ops.steps.first() {
            Some(Op::Scan { table, binds, .. }) => run.first(table, rows, binds),
            _ => run.go(0).map_continue(|()| true),
        };
        run.filter();
        flow
    }
}

pub(super) fn table_of<'c>(id: PredicateId, store: &'c impl Store, nothing: &'c Table) -> &'c Table {
    store.relation(id).map_or(nothing, |relation| &relation.rows)
}

fn rows_of_age((id, age): (PredicateId, Age), store: &impl Store, news: &[Range<RowId>]) -> Range<RowId> {
    let news = news.get(id.0).cloned().unwrap_or(0..0);
    match age {
        Age::Any => 0..n_rows(store, id),
        Age::New => news,
        Age::Old => 0..news.start,
        Age::OldOrNew => 0..news.end,
    }
}

// Recurses once per aggregate within another, whose nesting was limited.
pub(super) fn ops_of<'c, S: Store>(code: &'c Code, store: &'c S, news: &[Range<RowId>], nothing: &'c Table) -> Ops<'c> {
    let filter = |of: &Filter| (table_of(of.of, store, nothing), rows_of_age((of.of, of.age), store, news));
    let steps = code.steps.iter().map(|step| op(step, store, news, nothing)).collect();
    Ops { code, steps, filters: code.filters.iter().map(filter).collect() }
}

fn op<'c, S: Store>(step: &'c Step, store: &'c S, news: &[Range<RowId>], nothing: &'c Table) -> Op<'c> {
    match step {
        Step::Rows { of, age, columns, key, binds } => {
            let (table, rows) = (table_of(*of, store, nothing), rows_of_age((*of, *age), store, news));
            match table.find_index(columns) {
                Some(index) if !columns.is_empty() => Op::Probe { table, index, rows, key, binds },
                _ => Op::Scan { table, rows, binds },
            }
        }
        Step::Has { of, age, columns, key, wanted, is_whole } => {
            let (table, rows) = (table_of(*of, store, nothing), rows_of_age((*of, *age), store, news));
            let wanted = *wanted;
            if *is_whole {
                return Op::Find { table, rows, key, wanted };
            }
            Op::Any { table, index: table.find_index(columns), rows, columns, key, wanted }
        }
        Step::Test(check) => Op::Test(check),
        Step::Is { of, types } => Op::Is { of: *of, types },
        Step::Let { to, value } => Op::Let { to: *to, value: *value },
        Step::Fold { code, fold, is_distinct, to, is_bound } => {
            let (fold, is_distinct, to, is_bound) = (*fold, *is_distinct, *to, *is_bound);
            Op::Fold { of: ops_of(code, store, news, nothing), fold, is_distinct, to, is_bound }
        }
    }
}

struct Run<'r, 'c, V> {
    ops: &'r Ops<'c>,
    values: &'r mut V,
    head: &'r Table,
    rows_max: u64,
    machine: &'r mut Machine,
}

impl<V: Values> Run<'_, '_, V> {
    fn spend(&mut self, n: u64) -> Flow {
        match self.machine.steps_left.checked_sub(n) {
            Some(left) => {
                self.machine.steps_left = left;
                Flow::Continue(())
            }
            None => Flow::Break(Stop::TooManySteps),
        }
    }

    fn touch(&mut self) -> Flow {
        self.machine.n_touched += 1;
        self.spend(1)
    }

    fn term(&self, term: Term) -> Value {
        match term {
            Term::Slot(slot) => self.machine.registers.get(slot.0).copied().unwrap_or(Value::UNKNOWN),
            Term::Constant(value) => value,
            Term::Any => Value::UNKNOWN,
        }
    }

    fn set(&mut self, to: usize, value: Value) {
        if let Some(register) = self.machine.registers.get_mut(to) {
            *register = value;
        }
    }

    /// Binds what a row has, and says whether it agrees with what is known.
    fn binds(&mut self, row: &[Value], binds: &[Bind]) -> bool {
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

    /// Goes through rows of the first step until it is time to pause, and says whether those are all.
    fn first(&mut self, table: &Table, rows: Range<RowId>, binds: &[Bind]) -> ControlFlow<Stop, bool> {
        let Pause { n_cells, n_steps } = self.machine.pause;
        let steps_end = self.machine.steps_left.saturating_sub(n_steps);
        for id in rows {
            self.machine.n_done += 1;
            self.touch()?;
            if self.binds(table.row(id), binds) {
                self.go(1)?;
            }
            if CELLS_FILTERED <= self.machine.found.len() - self.machine.n_filtered {
                self.filter();
            }
            if n_cells <= self.machine.found.len() || self.machine.steps_left < steps_end {
                return ControlFlow::Continue(false);
            }
        }
        ControlFlow::Continue(true)
    }

    // Recurses once per condition that has rows.
    fn go(&mut self, first: usize) -> Flow {
        let ops = &self.ops.steps;
        let mut at = first;
        while let Some(op) = ops.get(at) {
            self.spend(1)?;
            at += 1;
            let holds = match op {
                Op::Scan { table, rows, binds } => return self.scan(table, rows.clone(), binds, at),
                Op::Probe { table, index, rows, key, binds } => {
                    let mut buffer = [Value::UNKNOWN; COLUMNS_MAX];
                    let found = table.probe(*index, self.key(key, &mut buffer)).filter(|id| rows.contains(id));
                    if at == ops.len()
                        && let Some(columns) = &self.ops.code.last
                    {
                        return self.emit_rows(table, found, columns);
                    }
                    for id in found {
                        self.touch()?;
                        if self.binds(table.row(id), binds) {
                            self.then(at)?;
                        }
                    }
                    return Flow::Continue(());
                }
                Op::Find { table, rows, key, wanted } => {
                    let mut buffer = [Value::UNKNOWN; COLUMNS_MAX];
                    self.machine.n_touched += 1;
                    table.find(self.key(key, &mut buffer)).is_some_and(|id| rows.contains(&id)) == *wanted
                }
                Op::Any { table, index, rows, columns, key, wanted } => {
                    let mut buffer = [Value::UNKNOWN; COLUMNS_MAX];
                    let key = self.key(key, &mut buffer);
                    self.machine.n_touched += 1;
                    let is_it = |id: RowId| {
                        let row = table.row(id);
                        columns.iter().zip(key).all(|(column, value)| row.get(*column) == Some(value))
                    };
                    let is_there = match index {
                        Some(index) => table.probe(*index, key).any(|id| rows.contains(&id)),
                        None => rows.clone().any(is_it),
                    };
                    is_there == *wanted
                }
                Op::Test(check) => check.holds(self.values, &|of| self.term(of)),
                Op::Is { of, types } => types.has(self.values, self.term(*of)),
                Op::Let { to, value } => {
                    self.set(*to, self.term(*value));
                    true
                }
                Op::Fold { of, fold, is_distinct, to, is_bound } => match self.fold(of, *fold, *is_distinct)? {
                    Some(value) if *is_bound => self.machine.registers.get(*to) == Some(&value),
                    Some(value) => {
                        self.set(*to, value);
                        true
                    }
                    None => false,
                },
            };
            if !holds {
                return Flow::Continue(());
            }
        }
        self.emit()
    }

    fn then(&mut self, at: usize) -> Flow {
        if at == self.ops.steps.len() { self.emit() } else { self.go(at) }
    }

    /// What is made of the results of another code; none if there is nothing of which it would be the smallest or largest.
    fn fold(&mut self, ops: &Ops<'_>, fold: Fold, is_distinct: bool) -> ControlFlow<Stop, Option<Value>> {
        let nothing = Table::new(0);
        let mut inner = self.machine.inner.take().unwrap_or_default();
        inner.begin(ops.code);
        inner.registers.clone_from(&self.machine.registers);
        (inner.steps_left, inner.n_touched) = (self.machine.steps_left, 0);
        let mut run = Run { ops, values: &mut *self.values, head: &nothing, rows_max: u64::MAX, machine: &mut inner };
        let flow = run.go(0);
        run.filter();
        self.machine.steps_left = inner.steps_left;
        self.machine.n_touched += inner.n_touched;
        self.machine.has_failed |= inner.has_failed;
        flow?;
        let width = ops.code.result.len();
        let mut firsts: Vec<Value> = if is_distinct {
            inner.found.chunks_exact(width).filter_map(|tuple| tuple.first().copied()).collect()
        } else {
            let mut tuples = Table::new(width);
            tuples.insert_all(&inner.found);
            tuples.rows().filter_map(|tuple| tuple.first().copied()).collect()
        };
        self.machine.inner = Some(inner);
        match folded(self.values, fold, &mut firsts) {
            Ok(value) => ControlFlow::Continue(value),
            Err(_) => {
                self.machine.has_failed = true;
                ControlFlow::Break(Stop::Enough)
            }
        }
    }

    /// What the last step finds: one value of the result or some change from row to row, and all else stays.
    fn emit_rows(&mut self, table: &Table, rows: impl Iterator<Item = RowId>, columns: &[Option<usize>]) -> Flow {
        let mut buffer = [Value::UNKNOWN; COLUMNS_MAX];
        self.key(&self.ops.code.result, &mut buffer);
        let Some(result) = buffer.get_mut(..columns.len()) else { return Flow::Continue(()) };
        let mut n = 0;
        for id in rows {
            let row = table.row(id);
            for (place, column) in result.iter_mut().zip(columns) {
                if let Some(value) = column.and_then(|column| row.get(column)) {
                    *place = *value;
                }
            }
            match *result {
                [a, b] => self.machine.found.extend([a, b]),
                [a, b, c] => self.machine.found.extend([a, b, c]),
                _ => self.machine.found.extend_from_slice(result),
            }
            n += 1;
        }
        self.machine.n_touched += n;
        self.spend(n + n * self.n_filters())?;
        if self.machine.cells_max <= self.machine.found.len() { self.thin() } else { Flow::Continue(()) }
    }

    fn scan(&mut self, table: &Table, rows: Range<RowId>, binds: &[Bind], at: usize) -> Flow {
        for id in rows {
            self.touch()?;
            if self.binds(table.row(id), binds) {
                self.then(at)?;
            }
        }
        Flow::Continue(())
    }

    fn key<'b>(&self, key: &[Term], buffer: &'b mut [Value; COLUMNS_MAX]) -> &'b [Value] {
        for (place, term) in buffer.iter_mut().zip(key) {
            *place = self.term(*term);
        }
        buffer.get(..key.len()).unwrap_or_default()
    }

    fn emit(&mut self) -> Flow {
        for term in &self.ops.code.result {
            let value = self.term(*term);
            self.machine.found.push(value);
        }
        self.spend(self.n_filters())?;
        if self.machine.cells_max <= self.machine.found.len() { self.thin() } else { Flow::Continue(()) }
    }

    /// How many filters a result has yet to pass. The steps for that are spent when it is found, so that when steps end does not
    /// depend on when filters are applied.
    fn n_filters(&self) -> u64 {
        self.ops.filters.len() as u64
    }

    /// Takes out what does not pass the filters.
    fn filter(&mut self) {
        let arity = self.ops.code.result.len();
        for (filter, (table, rows)) in self.ops.code.filters.iter().zip(&self.ops.filters) {
            let Machine { found, asked, kept, n_filtered, .. } = &mut *self.machine;
            asked.clear();
            kept.clear();
            for row in found.get(*n_filtered..).unwrap_or_default().chunks_exact(arity) {
                asked.extend(filter.cells.iter().map(|cell| match cell {
                    Cell::Of(column) => row.get(*column).copied().unwrap_or(Value::UNKNOWN),
                    Cell::Constant(value) => *value,
                }));
            }
            table.find_all(asked, |at| kept.push(at.is_some_and(|at| rows.contains(&at)) == filter.wanted));
            let (first, mut end) = (*n_filtered, *n_filtered);
            for at in kept.iter().enumerate().filter(|(_, is_kept)| **is_kept).map(|(at, _)| first + at * arity) {
                found.copy_within(at..at + arity, end);
                end += arity;
            }
            found.truncate(end);
            self.machine.n_touched += kept.len() as u64;
        }
        self.machine.n_filtered = self.machine.found.len();
    }

    /// Takes out what is found twice, or is there already.
    #[cold]
    fn thin(&mut self) -> Flow {
        if self.machine.is_brief {
            return Flow::Break(Stop::Enough);
        }
        self.filter();
        let arity = self.ops.code.result.len();
        let mut kept = Table::new(arity);
        kept.insert_all(&self.machine.found);
        let is_new = |row: &&[Value]| self.head.find(row).is_none();
        self.machine.found = kept.rows().filter(is_new).flatten().copied().collect();
        self.machine.n_filtered = self.machine.found.len();
        if self.rows_max < (self.machine.found.len() / arity.max(1)) as u64 {
            return Flow::Break(Stop::Enough);
        }
        self.machine.cells_max = CELLS_MAX.max(2 * self.machine.found.len());
        Flow::Continue(())
    }
}
