//! The rows of a code's first step, shared among threads.
//!
//! ```text
//!   rows of the first step   [ range 0 )[ range 1 )[ range 2 )[ …        claimed one by one, in order
//!   each thread              a range, by the tables as they are ─▶ what it found, in order
//!   when much is found       all ranges that were claimed, in order ─▶ the table of the head
//! ```
//!
//! No instance reads what its own application adds, so that what a range leads to does not depend on the others. What is found is
//! added in the order of the ranges: rows, their order and when they came are those of one thread. So are the errors: ranges count
//! up to the first that did not come to its end, and there one thread goes on, which finds the same end or another way.

use std::{
    ops::{ControlFlow, Range},
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use crate::{
    base::{
        Datum, Threads, Value, Values, View, limits,
        threads::{Claims, together},
    },
    check::rules::PredicateId,
    facts::{FoundRows, RowId, Store, Table},
};

use super::{
    Code,
    run::{Machine, Op, Ops, Pause, ops_of, table_of},
};

/// Ranges of one wave: enough for as many threads as there may be, and few enough that one sees soon how much the next lead to.
const RANGES: usize = 32 * limits::DERIVING_THREADS_MAX;
/// Cells that a range seldom has more of, for which room is kept.
const SPARE_CELLS_MAX: usize = 1 << 17;

/// How the work of a code is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// When one thread stops to see how much is left.
    pub(super) pause: Pause,
    /// Steps that must be left for threads to be started: some milliseconds, where starting and joining them takes a tenth of one.
    steps_min: u64,
    /// Steps of a range, at least, and at most 16 times as many: many ranges for each thread, so that none waits long for the others.
    range_steps: u64,
    /// Cells that are found before they are put where they belong: what this many take is at hand in a cache still.
    cells_full: usize,
    /// Rows that are put where they belong by more than one thread.
    rows_min: usize,
}

impl Cut {
    pub(super) fn of(threads: Threads) -> Self {
        if threads.is_eager() {
            let pause = Pause { n_cells: 1, n_steps: 1 };
            return Self { pause, steps_min: 0, range_steps: 1, cells_full: 64, rows_min: 0 };
        }
        let pause = Pause::default();
        Self { pause, steps_min: 1 << 18, range_steps: 1 << 14, cells_full: 1 << 20, rows_min: 1 << 14 }
    }
}

/// A thread's part in what is shared.
#[derive(Debug, Default)]
pub(in crate::datalog) struct Worker {
    machine: Machine,
    done: Vec<Done>,
    /// Room that earlier waves have left.
    spare: Vec<FoundRows>,
}

/// A range that came to its end.
#[derive(Debug)]
struct Done {
    at: usize,
    n_rows: RowId,
    found: FoundRows,
    n_steps: u64,
    n_touched: u64,
}

/// What came of sharing, to be added.
#[derive(Debug, Default)]
pub(in crate::datalog) struct Wave {
    found: Vec<FoundRows>,
    /// Rows of the first step that are done.
    pub(super) n_rows: RowId,
    pub(super) n_steps: u64,
    pub(super) n_touched: u64,
    /// Whether a range did not come to its end: one thread alone finds out why.
    pub(super) is_cut: bool,
}

impl Wave {
    /// Finds what follows from the rows of the first step that `machine` has left, if that is worth to be shared: as much as may be
    /// found at once.
    pub(super) fn of<S: Store, V: Values>(
        code: &Code,
        (store, values): (&S, &V),
        (news, head): (&[Range<RowId>], PredicateId),
        (machine, n_steps): (&Machine, u64),
        (workers, cut): (&mut Vec<Worker>, Cut),
        threads: Threads,
    ) -> Option<Self> {
        if threads.count() < 2 {
            return None;
        }
        let nothing = Table::new(0);
        let ops = ops_of(code, store, news, &nothing);
        let Some(Op::Scan { rows, .. }) = ops.steps.first() else { return None };
        let rows = rows.start + machine.n_done..rows.end;
        let n_rows = u64::from(rows.end.saturating_sub(rows.start));
        let of_row = (n_steps / u64::from(machine.n_done).max(1)).max(1);
        if n_rows < 2 || n_rows.saturating_mul(of_row) < cut.steps_min {
            return None;
        }
        // Of rows that lead to little, more: each range has its price when what was found is put together.
        let least = (cut.range_steps / of_row).max(1);
        let of_range = RowId::try_from((n_rows / RANGES as u64).clamp(least, 16 * least)).unwrap_or(RowId::MAX);
        let ranges = rows.clone().step_by(of_range as usize).map(|first| {
            let end = first.saturating_add(of_range).min(rows.end);
            first..end
        });
        let shared = Shared {
            code,
            ops: &ops,
            values,
            head: table_of(head, store, &nothing),
            ranges: Claims::new(ranges.take(RANGES).enumerate()),
            steps_left: AtomicU64::new(machine.steps_left),
            n_cells: AtomicUsize::new(0),
            cells_full: cut.cells_full,
            is_over: AtomicBool::new(false),
        };
        workers.resize_with(threads.count(), Worker::default);
        let n_ranges = usize::try_from(n_rows.div_ceil(u64::from(of_range))).unwrap_or(usize::MAX);
        let needed = workers.iter_mut().take(n_ranges);
        together(&mut needed.collect::<Vec<_>>(), |worker| shared.work(worker));
        let is_cut = shared.is_over.into_inner();
        Some(Self { is_cut, ..Self::gather(workers, machine.steps_left) })
    }

    /// What the workers have done, up to the first range that is missing or takes more steps than there are.
    fn gather(workers: &mut [Worker], steps_left: u64) -> Self {
        let mut done: Vec<Done> = workers.iter_mut().flat_map(|worker| worker.done.drain(..)).collect();
        done.sort_unstable_by_key(|done| done.at);
        let mut wave = Self::default();
        for (at, done) in done.into_iter().enumerate() {
            let n_steps = wave.n_steps + done.n_steps;
            if done.at != at || steps_left < n_steps {
                break;
            }
            wave.n_steps = n_steps;
            wave.n_rows += done.n_rows;
            wave.n_touched += done.n_touched;
            wave.found.push(done.found);
        }
        wave
    }

    /// Adds what was found, and says how many rows were new.
    pub(super) fn insert_into(self, table: &mut Table, workers: &mut [Worker], cut: Cut, threads: Threads) -> RowId {
        let n_found: usize = self.found.iter().map(|found| found.cells.len() / table.arity().max(1)).sum();
        let n_new = if n_found < cut.rows_min {
            self.found.iter().map(|found| table.insert_all(&found.cells)).sum()
        } else {
            table.insert_found(&self.found, threads.count())
        };
        let n_workers = workers.len().max(1);
        let spare = self.found.into_iter().filter(|found| found.cells.capacity() <= SPARE_CELLS_MAX);
        for (at, found) in spare.enumerate() {
            if let Some(worker) = workers.get_mut(at % n_workers) {
                worker.spare.push(found);
            }
        }
        n_new
    }
}

/// What all workers read, and what they tell each other.
struct Shared<'w, V, I> {
    code: &'w Code,
    ops: &'w Ops<'w>,
    values: &'w V,
    head: &'w Table,
    ranges: Claims<I>,
    /// Steps that are left but for those of ranges that are being worked on.
    steps_left: AtomicU64,
    n_cells: AtomicUsize,
    cells_full: usize,
    is_over: AtomicBool,
}

impl<V: Values, I: Iterator<Item = (usize, Range<RowId>)>> Shared<'_, V, I> {
    fn work(&self, worker: &mut Worker) {
        let Worker { machine, done, spare } = worker;
        (machine.is_brief, machine.pause) = (true, Pause { n_cells: usize::MAX, n_steps: u64::MAX });
        while !self.is_over.load(Ordering::Relaxed) && self.n_cells.load(Ordering::Relaxed) < self.cells_full {
            let Some((at, rows)) = self.ranges.next() else { return };
            let n_rows = rows.end - rows.start;
            let mut found = spare.pop().unwrap_or_default();
            std::mem::swap(&mut machine.found, &mut found.cells);
            machine.begin(self.code);
            let steps_left = self.steps_left.load(Ordering::Relaxed);
            (machine.steps_left, machine.n_touched) = (steps_left, 0);
            let mut values = Known { values: self.values, is_short: false };
            let flow = machine.run_rows(self.ops, &mut values, self.head, rows, u64::MAX);
            std::mem::swap(&mut machine.found, &mut found.cells);
            if flow != ControlFlow::Continue(true) || values.is_short {
                self.is_over.store(true, Ordering::Relaxed);
                return;
            }
            found.sort(self.head);
            self.n_cells.fetch_add(found.cells.len(), Ordering::Relaxed);
            let n_steps = steps_left - machine.steps_left;
            let less = |left: u64| Some(left.saturating_sub(n_steps));
            // It always says what to put in the place of what there is.
            let _ = self.steps_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            done.push(Done { at, n_rows, found, n_steps, n_touched: machine.n_touched });
        }
    }
}

/// Values that several threads read at once. None is added, but it is noted that one was wanted.
struct Known<'v, V> {
    values: &'v V,
    is_short: bool,
}

impl<V: Values> Values for Known<'_, V> {
    fn intern(&mut self, _: Datum) -> Value {
        self.is_short = true;
        Value::UNKNOWN
    }

    fn view(&self, value: Value) -> View<'_> {
        self.values.view(value)
    }

    fn n_values(&self) -> usize {
        self.values.n_values()
    }
}
