//! Recursive strata: each row keeps the height of one proof, whose rows are all lower, so that none rests on itself.
//!
//! ```text
//!   losses    by increasing height: a row that no instance of a rule proves from lower rows is dead, and what was above it in
//!             a proof is looked at
//!   gains     dead rows that have another proof, and rows that are new, by increasing height; then what follows from them
//! ```
//!
//! A row that has another proof from lower rows is kept where it is, which spares most of what is deleted in vain by deleting
//! first all that a loss may concern (`DRed`; Gupta, Mumick and Subrahmanian, 1993). Heights need not be least: a row may keep one
//! when a shorter proof comes.

use std::ops::ControlFlow;

use crate::{
    base::{Value, Values},
    facts::RowId,
};

use super::{
    delta::Wanted,
    folds::Folds,
    run::{Flow, Found, Head, Run, Sight, Sink, Stop, Work},
    stratum::{CompiledClause, Fault, Stratum},
    table::{Table, View, WEIGHT_MAX},
};

/// Steps that losses may always take.
const STEPS_FREE: u64 = 10_000;
/// Of what deriving all takes, the part that losses may: what comes after them takes about as much again.
const STEPS_PART: u64 = 8;
/// Of the rows, the part that may be dead.
const DEAD_PART: usize = 4;

/// Rows that results are looked for from before the results are looked up, many at once.
const ROWS_MAX: usize = 64;

/// Rows by height.
#[derive(Debug, Default)]
struct Queue {
    by_height: Vec<Vec<(usize, RowId)>>,
    /// No row is lower.
    lowest: usize,
}

impl Queue {
    fn push(&mut self, height: u32, of: usize, id: RowId) {
        let at = height as usize;
        if self.by_height.len() <= at {
            self.by_height.resize_with(at + 1, Vec::new);
        }
        if let Some(rows) = self.by_height.get_mut(at) {
            rows.push((of, id));
        }
        self.lowest = self.lowest.min(at);
    }

    /// The lowest rows, which have the same height.
    fn pop(&mut self) -> Option<(u32, Vec<(usize, RowId)>)> {
        while let Some(rows) = self.by_height.get_mut(self.lowest) {
            if !rows.is_empty() {
                return Some((u32::try_from(self.lowest).unwrap_or(u32::MAX), std::mem::take(rows)));
            }
            self.lowest += 1;
        }
        None
    }
}

/// A row that was taken away, and whether it may have another proof.
type Dead = (usize, RowId, bool);

/// The lowest of some proofs: of those that were looked at before one was low enough.
#[derive(Debug)]
struct Lowest {
    lowest: Option<u32>,
    /// A proof below this is enough.
    enough: u32,
}

impl Sink for Lowest {
    fn take(&mut self, _: &[Value], height: u32, _: i32) -> Flow {
        self.lowest = Some(self.lowest.map_or(height, |lowest| lowest.min(height)));
        if height < self.enough { Flow::Break(Stop::Enough) } else { Flow::Continue(()) }
    }
}

/// A stratum while it is brought up to date.
struct Guided<'g, 'w, V> {
    rules: &'g [CompiledClause],
    tables: &'g mut [Table],
    folds: &'g Folds,
    work: &'g mut Work<'w, V>,
    queue: Queue,
    found: Found,
}

impl Stratum {
    /// Follows what came and what went.
    pub(super) fn follow_changes<V: Values>(
        &mut self,
        tables: &mut [Table],
        folds: &Folds,
        work: &mut Work<'_, V>,
    ) -> Result<(), Fault> {
        let n_rows: usize = self.tables.iter().filter_map(|at| tables.get(*at)).map(Table::len).sum();
        let n_max = if self.is_patient { u64::MAX } else { (self.n_steps / STEPS_PART).max(STEPS_FREE) };
        let n_dead_max = if self.is_patient { usize::MAX } else { (n_rows / DEAD_PART).max(1) };
        let steps_min = work.steps_left.saturating_sub(n_max);
        let mut guided = Guided::new(&self.rules, tables, folds, work);
        guided.find_losses()?;
        match guided.lose(steps_min, n_dead_max)? {
            Some(dead) => {
                guided.revive(&dead)?;
                guided.find_gains()?;
                guided.rise()
            }
            None => {
                guided.stop_waiting();
                self.follow_all(tables, folds, work)
            }
        }
    }

    /// Derives everything.
    pub(super) fn follow_all<V: Values>(
        &mut self,
        tables: &mut [Table],
        folds: &Folds,
        work: &mut Work<'_, V>,
    ) -> Result<(), Fault> {
        let n_before = work.steps_left;
        for at in &self.tables {
            if let Some(table) = tables.get_mut(*at) {
                table.begin_anew();
            }
        }
        self.exits::<_, Raise>(tables, folds, work)?;
        let mut queue = Queue::default();
        let mut n_new = 0;
        for of in &self.tables {
            let Some(table) = tables.get(*of) else { continue };
            for id in table.changed().iter().filter(|id| table.is_in(**id, View::New)) {
                queue.push(1, *of, *id);
                n_new += u64::from(table.change(*id) == Some(true));
            }
        }
        work.rows_left = work.rows_left.checked_sub(n_new).ok_or(Fault { stop: Stop::TooManyRows, rule: 0 })?;
        let mut guided = Guided::new(&self.rules, tables, folds, work);
        guided.queue = queue;
        guided.rise()?;
        self.n_steps = n_before - work.steps_left;
        Ok(())
    }
}

/// Puts rows in place that rest on nothing of their stratum.
struct Raise {
    table: Table,
    rows_left: u64,
}

impl Sink for Raise {
    fn take(&mut self, row: &[Value], _: u32, _: i32) -> Flow {
        let id = self.table.place(row);
        if !self.table.is_in(id, View::New) {
            self.table.set_new(id, true);
            self.table.set_weight(id, 1);
            if self.table.change(id) == Some(true) {
                let Some(left) = self.rows_left.checked_sub(1) else { return Flow::Break(Stop::TooManyRows) };
                self.rows_left = left;
            }
        }
        Flow::Continue(())
    }
}

impl Head for Raise {
    fn of(table: Table, rows_left: u64) -> Self {
        Self { table, rows_left }
    }

    fn table(self) -> Table {
        self.table
    }
}

impl<'g, 'w, V: Values> Guided<'g, 'w, V> {
    fn new(rules: &'g [CompiledClause], tables: &'g mut [Table], folds: &'g Folds, work: &'g mut Work<'w, V>) -> Self {
        Self { rules, tables, folds, work, queue: Queue::default(), found: Found::default() }
    }

    fn run(&mut self, sight: Sight) -> (Run<'_, 'w, V>, &mut Found) {
        let Self { tables, folds, work, found, .. } = self;
        (Run { tables, folds, work, sight }, found)
    }

    /// Looks at what was proved from what other strata lost.
    fn find_losses(&mut self) -> Result<(), Fault> {
        for (at, rule) in self.rules.iter().enumerate() {
            for delta in &rule.lower {
                let (mut run, found) = self.run(Sight::OLD);
                found.clear();
                run.begin(rule.clause.n_slots);
                go(delta.go_on(&mut run, Wanted::Losses, found), at)?;
                self.look_at(rule.clause.head);
            }
        }
        Ok(())
    }

    /// Queues what was found and may rest on rows of these heights.
    fn look_at(&mut self, head: usize) {
        let Self { found, tables, queue, .. } = self;
        let Some(table) = tables.get_mut(head) else { return };
        found.each(table.arity(), |rows, heights| {
            table.touch(rows);
            for (row, height) in rows_of(rows, table.arity(), heights) {
                if let Some(id) = table.find(row)
                    && table.is_in(id, View::New)
                    && height < table.weight(id)
                    && table.queue(id)
                {
                    queue.push(table.weight(id), head, id);
                }
            }
        });
    }

    /// Takes away what has no proof from lower rows. Nothing if that is so much that all is better derived anew.
    fn lose(&mut self, steps_min: u64, n_dead_max: usize) -> Result<Option<Vec<Dead>>, Fault> {
        let mut dead: Vec<Dead> = Vec::new();
        while let Some((height, rows)) = self.queue.pop() {
            let n_before = dead.len();
            for (of, id) in rows {
                if let Some(table) = self.tables.get_mut(of) {
                    table.unqueue(id);
                }
                let proof = self.proof(of, id, height)?;
                if proof.lowest.is_some_and(|of_rows| of_rows < height) {
                    continue;
                }
                if let Some(table) = self.tables.get_mut(of) {
                    table.set_new(id, false);
                }
                // What has no proof now has none of what is left later.
                dead.push((of, id, proof.lowest.is_some()));
                if self.work.steps_left < steps_min || n_dead_max < dead.len() {
                    return Ok(None);
                }
            }
            // What rests on them is higher: nothing of it was among them.
            let new: Vec<(usize, RowId)> = dead.iter().skip(n_before).map(|(of, id, _)| (*of, *id)).collect();
            for rows in new.chunks(ROWS_MAX) {
                self.follow(rows, Sight::OLD, |guided, head, _| {
                    guided.look_at(head);
                    Ok(())
                })?;
            }
        }
        Ok(Some(dead))
    }

    /// A proof of a row whose rows are all below some height, or else whether there is any.
    fn proof(&mut self, of: usize, id: RowId, below: u32) -> Result<Lowest, Fault> {
        let mut lowest = Lowest { lowest: None, enough: below };
        for (at, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.clause.head == of) {
            let Some((binds, graph)) = &rule.back else { continue };
            let (mut run, _) = self.run(Sight::NEW);
            run.begin(rule.clause.n_slots);
            let Some(table) = run.tables.get(of) else { continue };
            if run.bind(table.row(id), binds) {
                go(run.through(graph, 0, 1, &mut lowest), at)?;
            }
            if lowest.lowest.is_some_and(|of_rows| of_rows < below) {
                break;
            }
        }
        Ok(lowest)
    }

    /// Goes on from rows to those that a rule derives from one of them.
    fn follow(
        &mut self,
        rows: &[(usize, RowId)],
        sight: Sight,
        then: impl Fn(&mut Self, usize, usize) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for (at, rule) in self.rules.iter().enumerate() {
            for delta in &rule.own {
                let (mut run, found) = self.run(sight);
                found.clear();
                run.begin(rule.clause.n_slots);
                let Some((of, table)) = delta.table().and_then(|of| Some((of, run.tables.get(of)?))) else { continue };
                for (_, id) in rows.iter().filter(|(table, _)| *table == of) {
                    go(delta.go_on_from(&mut run, table.row(*id), (table.weight(*id), 1), found), at)?;
                }
                then(self, rule.clause.head, at)?;
            }
        }
        Ok(())
    }

    /// Puts those dead rows back that have another proof.
    fn revive(&mut self, dead: &[Dead]) -> Result<(), Fault> {
        for (of, id, _) in dead.iter().filter(|(.., may_have_proof)| *may_have_proof) {
            if let Some(height) = self.proof(*of, *id, u32::MAX)?.lowest {
                self.raise(*of, *id, height + 1)?;
            }
        }
        Ok(())
    }

    /// Derives what follows from what other strata gained.
    fn find_gains(&mut self) -> Result<(), Fault> {
        for (at, rule) in self.rules.iter().enumerate() {
            for delta in &rule.lower {
                let (mut run, found) = self.run(Sight::NEW);
                found.clear();
                run.begin(rule.clause.n_slots);
                go(delta.go_on(&mut run, Wanted::Gains, found), at)?;
                self.put_in_place(rule.clause.head, at)?;
            }
        }
        Ok(())
    }

    /// Puts what was found in place, above what it was found from.
    fn put_in_place(&mut self, head: usize, rule: usize) -> Result<(), Fault> {
        let found = std::mem::take(&mut self.found);
        let arity = self.tables.get(head).map_or(0, Table::arity);
        let mut done = Ok(());
        found.each(arity, |rows, heights| {
            if let Some(table) = self.tables.get(head) {
                table.touch(rows);
            }
            for (row, height) in rows_of(rows, arity, heights) {
                let Some(id) = self.tables.get_mut(head).map(|table| table.place(row)) else { continue };
                if let Err(fault) = self.raise(head, id, height + 1) {
                    done = Err(Fault { rule, ..fault });
                }
            }
        });
        self.found = found;
        done
    }

    fn raise(&mut self, of: usize, id: RowId, height: u32) -> Result<(), Fault> {
        let Some(table) = self.tables.get_mut(of) else { return Ok(()) };
        if table.is_in(id, View::New) {
            return Ok(());
        }
        table.set_new(id, true);
        table.set_weight(id, height);
        if table.change(id) == Some(true) {
            let left = self.work.rows_left.checked_sub(1);
            self.work.rows_left = left.ok_or(Fault { stop: Stop::TooManyRows, rule: 0 })?;
        }
        if WEIGHT_MAX <= height {
            return Err(Fault { stop: Stop::TooMuch, rule: 0 });
        }
        self.queue.push(height, of, id);
        Ok(())
    }

    /// Derives what follows, the lowest first.
    fn rise(&mut self) -> Result<(), Fault> {
        while let Some((_, rows)) = self.queue.pop() {
            for rows in rows.chunks(ROWS_MAX) {
                self.follow(rows, Sight::NEW, Self::put_in_place)?;
            }
        }
        Ok(())
    }

    /// Nobody waits any more.
    fn stop_waiting(&mut self) {
        for (of, id) in std::mem::take(&mut self.queue).by_height.into_iter().flatten() {
            if let Some(table) = self.tables.get_mut(of) {
                table.unqueue(id);
            }
        }
    }
}

/// Rows with their heights.
fn rows_of<'f>(rows: &'f [Value], arity: usize, heights: &'f [u32]) -> impl Iterator<Item = (&'f [Value], u32)> {
    let row = move |at: usize| rows.get(at * arity..(at + 1) * arity).unwrap_or_default();
    heights.iter().enumerate().map(move |(at, height)| (row(at), *height))
}

fn go(flow: Flow, rule: usize) -> Result<(), Fault> {
    match flow {
        ControlFlow::Break(stop) if stop != Stop::Enough => Err(Fault { stop, rule }),
        _ => Ok(()),
    }
}
