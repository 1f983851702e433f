//! What must be true of all that is kept, looked at row by row.

use std::{collections::BTreeMap, ops::ControlFlow};

use crate::base::{Value, Values};

use super::{
    Maintained,
    run::{First, Flow, Run, Sight, Sink, Stop, Work},
    stratum::Stratum,
    table::View,
};

/// Derivations of rows.
#[derive(Default)]
struct Counts(BTreeMap<Vec<Value>, u32>);

impl Sink for Counts {
    fn take(&mut self, row: &[Value], _: u32, _: i32) -> Flow {
        *self.0.entry(row.to_vec()).or_default() += 1;
        Flow::Continue(())
    }
}

impl Maintained {
    /// A row that is there and has no proof from lower rows, or other derivations than are counted; with its relation, in words.
    /// Of a sound state there is none. It takes as long as deriving all.
    pub fn unsound(&self, values: &mut impl Values) -> Option<(String, Vec<Value>)> {
        let mut work = Work::new(values, u64::MAX, u64::MAX);
        let found = self.strata.iter().find_map(|stratum| {
            if stratum.is_recursive { self.unproved(stratum, &mut work) } else { self.miscounted(stratum, &mut work) }
        });
        found.map(|(of, row)| (format!("{:?}", self.rules.tables.get(of)), row))
    }

    fn unproved<V: Values>(&self, stratum: &Stratum, work: &mut Work<'_, V>) -> Option<(usize, Vec<Value>)> {
        for of in &stratum.tables {
            let table = self.tables.get(*of)?;
            for id in table.places().filter(|id| table.is_in(*id, View::New)) {
                let is_proved = stratum.rules.iter().filter(|rule| rule.clause.head == *of).any(|rule| {
                    let sight = Sight { below: table.weight(id), ..Sight::NEW };
                    let mut run = Run { tables: &self.tables, folds: &self.folds, work: &mut *work, sight };
                    run.begin(rule.clause.n_slots);
                    let mut first = First::default();
                    rule.back.as_ref().is_some_and(|(binds, graph)| {
                        run.bind(table.row(id), binds)
                            && run.through(graph, 0, 1, &mut first) == ControlFlow::Break(Stop::Enough)
                    })
                });
                if !is_proved {
                    return Some((*of, table.row(id).to_vec()));
                }
            }
        }
        None
    }

    fn miscounted<V: Values>(&self, stratum: &Stratum, work: &mut Work<'_, V>) -> Option<(usize, Vec<Value>)> {
        for of in &stratum.tables {
            let table = self.tables.get(*of)?;
            let mut counts = Counts::default();
            for rule in stratum.rules.iter().filter(|rule| rule.clause.head == *of) {
                let mut run = Run { tables: &self.tables, folds: &self.folds, work: &mut *work, sight: Sight::NEW };
                run.begin(rule.clause.n_slots);
                if let Some(graph) = &rule.whole
                    && run.through(graph, 0, 1, &mut counts).is_break()
                {
                    return Some((*of, Vec::new()));
                }
            }
            for id in table.places().filter(|id| table.is_in(*id, View::New)) {
                if counts.0.remove(table.row(id)) != Some(table.weight(id)) {
                    return Some((*of, table.row(id).to_vec()));
                }
            }
            if let Some((row, _)) = counts.0.pop_first() {
                return Some((*of, row));
            }
        }
        None
    }
}
