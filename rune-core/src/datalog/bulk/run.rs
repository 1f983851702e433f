//! Codes at work: from the rows that there are to those that follow, many at once.

use std::ops::{ControlFlow, Range};

use crate::{
    base::{Value, Values},
    check::rules::{PredicateId, Term},
    facts::{IndexId, RowId, Store, Table},
    schema::Types,
};

use super::{
    super::{
        n_rows,
        solve::{Flow, Stop},
    },
    Age, Bind, COLUMNS_MAX, Cell, Code, Filter, Step,
};

/// Cells that are found before they are put where they belong.
const CELLS_FULL: usize = 1 << 14;
/// Cells that one row may lead to before those that say nothing new are taken out.
const CELLS_MAX: usize = 1 << 22;

/// A step with the table that it reads.
#[derive(Debug)]
enum Op<'c> {
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
    Test {
        is_equal: bool,
        left: Term,
        right: Term,
    },
    Is {
        of: Term,
        types: &'c Types,
    },
    Let {
        to: usize,
        value: Term,
    },
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
    /// Rows of the first step that are done.
    n_done: RowId,
    /// Cells that are too many.
    cells_max: usize,
    pub(in crate::datalog) steps_left: u64,
    pub(in crate::datalog) n_touched: u64,
}

impl Machine {
    pub(in crate::datalog) fn begin(&mut self, code: &Code) {
        self.registers.clear();
        self.registers.resize(code.n_registers, Value::UNKNOWN);
        (self.n_done, self.cells_max) = (0, CELLS_MAX);
    }

    /// Finds what follows from rows of the first step until much is found. Says whether that is all.
    ///
    /// A break is for steps, or for more than `rows_max` rows that are new.
    pub(in crate::datalog) fn run<S: Store, V: Values>(
        &mut self,
        code: &Code,
        (store, values): (&S, &V),
        news: &[Range<RowId>],
        head: PredicateId,
        rows_max: u64,
    ) -> ControlFlow<Stop, bool> {
        let nothing = Table::new(0);
        let ops: Vec<Op<'_>> = code.steps.iter().map(|step| op(step, store, news, &nothing)).collect();
        let filter = |filter: &'_ Filter| {
            (table_of(filter.of, store, &nothing), rows_of_age((filter.of, filter.age), store, news))
        };
        let filters: Vec<(&Table, Range<RowId>)> = code.filters.iter().map(filter).collect();
        self.found.clear();
        let head = store.relation(head).map_or(&nothing, |relation| &relation.rows);
        let mut run = Run { ops: &ops, code, filters: &filters, values, head, rows_max, machine: self };
        let Some(Op::Scan { table, rows, binds }) = ops.first() else {
            run.go(0)?;
            run.filter()?;
            return ControlFlow::Continue(true);
        };
        run.spend(1)?;
        let first = rows.start + run.machine.n_done;
        for id in first..rows.end {
            run.machine.n_done += 1;
            run.touch()?;
            if run.binds(table.row(id), binds) {
                run.go(1)?;
            }
            if CELLS_FULL <= run.machine.found.len() {
                run.filter()?;
                return ControlFlow::Continue(false);
            }
        }
        run.filter()?;
        ControlFlow::Continue(true)
    }
}

fn table_of<'c>(id: PredicateId, store: &'c impl Store, nothing: &'c Table) -> &'c Table {
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
        Step::Test { is_equal, left, right } => Op::Test { is_equal: *is_equal, left: *left, right: *right },
        Step::Is { of, types } => Op::Is { of: *of, types },
        Step::Let { to, value } => Op::Let { to: *to, value: *value },
    }
}

struct Run<'r, 'c, V> {
    ops: &'r [Op<'c>],
    code: &'c Code,
    filters: &'r [(&'c Table, Range<RowId>)],
    values: &'c V,
    head: &'c Table,
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

    // Recurses once per condition that has rows.
    fn go(&mut self, first: usize) -> Flow {
        let ops = self.ops;
        let mut at = first;
        while let Some(op) = ops.get(at) {
            self.spend(1)?;
            at += 1;
            let holds = match op {
                Op::Scan { table, rows, binds } => return self.scan(table, rows.clone(), binds, at),
                Op::Probe { table, index, rows, key, binds } => {
                    let mut buffer = [Value::UNKNOWN; COLUMNS_MAX];
                    let found = table.probe(*index, self.key(key, &mut buffer));
                    for id in found.filter(|id| rows.contains(id)) {
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
                Op::Test { is_equal, left, right } => (self.term(*left) == self.term(*right)) == *is_equal,
                Op::Is { of, types } => types.has(self.values, self.term(*of)),
                Op::Let { to, value } => {
                    self.set(*to, self.term(*value));
                    true
                }
            };
            if !holds {
                return Flow::Continue(());
            }
        }
        self.emit()
    }

    fn then(&mut self, at: usize) -> Flow {
        if at == self.ops.len() { self.emit() } else { self.go(at) }
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
        for term in &self.code.result {
            let value = self.term(*term);
            self.machine.found.push(value);
        }
        if self.machine.cells_max <= self.machine.found.len() { self.thin() } else { Flow::Continue(()) }
    }

    /// Takes out what does not pass the filters.
    fn filter(&mut self) -> Flow {
        let arity = self.code.result.len();
        for (filter, (table, rows)) in self.code.filters.iter().zip(self.filters) {
            let Machine { found, asked, kept, .. } = &mut *self.machine;
            asked.clear();
            kept.clear();
            for row in found.chunks_exact(arity) {
                asked.extend(filter.cells.iter().map(|cell| match cell {
                    Cell::Of(column) => row.get(*column).copied().unwrap_or(Value::UNKNOWN),
                    Cell::Constant(value) => *value,
                }));
            }
            table.find_all(asked, |at| kept.push(at.is_some_and(|at| rows.contains(&at)) == filter.wanted));
            let mut end = 0;
            for at in kept.iter().enumerate().filter(|(_, is_kept)| **is_kept).map(|(at, _)| at * arity) {
                found.copy_within(at..at + arity, end);
                end += arity;
            }
            found.truncate(end);
            let n = kept.len() as u64;
            self.machine.n_touched += n;
            self.spend(n)?;
        }
        Flow::Continue(())
    }

    /// Takes out what is found twice, or is there already.
    #[cold]
    fn thin(&mut self) -> Flow {
        self.filter()?;
        let arity = self.code.result.len();
        let mut kept = Table::new(arity);
        kept.insert_all(&self.machine.found);
        let is_new = |row: &&[Value]| self.head.find(row).is_none();
        self.machine.found = kept.rows().filter(is_new).flatten().copied().collect();
        if self.rows_max < (self.machine.found.len() / arity.max(1)) as u64 {
            return Flow::Break(Stop::Enough);
        }
        self.machine.cells_max = CELLS_MAX.max(2 * self.machine.found.len());
        Flow::Continue(())
    }
}
