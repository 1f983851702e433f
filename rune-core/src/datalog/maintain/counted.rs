//! Strata that are not recursive: each row has as many derivations as are counted, and is there while it has any (Gupta, Mumick and
//! Subrahmanian, 1993).

use crate::base::{Value, Values};

use super::{
    delta::Wanted,
    folds::Folds,
    run::{Flow, Head, Sight, Sink, Stop, Work},
    stratum::{Fault, Stratum},
    table::Table,
};

/// Adds derivations to rows.
struct Tally {
    table: Table,
    n_changed_max: u64,
}

impl Sink for Tally {
    fn take(&mut self, row: &[Value], _: u32, sign: i32) -> Flow {
        let id = self.table.place(row);
        self.table.note(id);
        if self.n_changed_max < self.table.changed().len() as u64 {
            return Flow::Break(Stop::TooManyRows);
        }
        match self.table.add_weight(id, sign) {
            Some(()) => Flow::Continue(()),
            None => Flow::Break(Stop::TooMuch),
        }
    }
}

impl Head for Tally {
    // Rows that come and go again within one change are few, or too many.
    fn of(table: Table, rows_left: u64) -> Self {
        let n_changed_max = rows_left.saturating_mul(2).saturating_add(table.len() as u64);
        Self { table, n_changed_max }
    }

    fn table(self) -> Table {
        self.table
    }
}

impl Stratum {
    /// Counts what came and what went.
    pub(super) fn count_changes<V: Values>(
        &mut self,
        tables: &mut [Table],
        folds: &Folds,
        work: &mut Work<'_, V>,
    ) -> Result<(), Fault> {
        for (at, rule) in self.rules.iter().enumerate() {
            rule.run_to_head::<V, Tally>(tables, (folds, Sight::BOTH), work, |run, tally| {
                rule.lower.iter().try_for_each(|delta| delta.go_on(run, Wanted::All, tally))
            })
            .map_err(|stop| Fault { stop, rule: at })?;
        }
        self.settle(tables, work)
    }

    /// Counts all that there is.
    pub(super) fn count_all<V: Values>(
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
        self.exits::<_, Tally>(tables, folds, work)?;
        self.n_steps = n_before - work.steps_left;
        self.settle(tables, work)
    }

    /// Rows with derivations are there, and others are not.
    fn settle<V>(&self, tables: &mut [Table], work: &mut Work<'_, V>) -> Result<(), Fault> {
        for at in &self.tables {
            let Some(table) = tables.get_mut(*at) else { continue };
            for id in table.changed().to_vec() {
                table.set_new(id, table.has_weight(id));
                if table.change(id) == Some(true) {
                    let left = work.rows_left.checked_sub(1);
                    work.rows_left = left.ok_or(Fault { stop: Stop::TooManyRows, rule: 0 })?;
                }
            }
        }
        Ok(())
    }
}
