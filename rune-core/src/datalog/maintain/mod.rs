//! Maintenance: relations that are kept derived while rows come and go.
//!
//! ```text
//!   rows that came and went ─▶ strata, from the lowest ─▶ derived rows that came and went
//!                               ├ not recursive: derivations are counted
//!                               └ recursive: each row keeps the height of one proof
//! ```
//!
//! What is kept is the writer's own, and nobody else reads it. A change is read in two views, as it was and as it is, so that
//! each rule is gone through from what changed alone, once for each of its conditions. Rules are those of which nothing can fail;
//! where so much changes that deriving all of a stratum anew is cheaper, that is done.

mod changes;
mod check;
mod clauses;
mod counted;
mod delta;
mod folds;
mod graph;
mod guided;
mod lists;
mod reload;
mod run;
mod stratum;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    base::{Span, Value, Values},
    check::rules::PredicateId,
    facts::Store,
};

use super::{Bound, Bounds, DatalogEngine, DeriveError};
use clauses::{Part, Rules};
use folds::Folds;
use reload::Label;
use run::{Stop, Work};
use stratum::{Fault, Stratum};
use table::{Table, View};

pub use changes::{Change, Changes, RowList};

/// Of what a stratum reads, the part that changes from which on counting all is cheaper.
const CHANGED_PART: usize = 2;

/// Why what is maintained is not up to date. It has to be made anew, from rows that are derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaintainError {
    /// The change took more steps or rows than it may.
    Bound(DeriveError),
    /// A sum is no integer any more, or a row has more derivations than are counted.
    TooMuch {
        /// The rule, in words.
        rule: String,
        /// Where it stands.
        span: Span,
        /// The relations that have no rows therefore.
        relations: Vec<PredicateId>,
    },
    /// An earlier change failed.
    Broken,
}

impl fmt::Display for MaintainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound(error) => error.fmt(f),
            Self::TooMuch { rule, .. } => write!(f, "{rule} comes to more than can be counted"),
            Self::Broken => f.write_str("an earlier change was not carried out to its end"),
        }
    }
}

impl std::error::Error for MaintainError {}

/// Relations that are kept derived while rows come and go.
#[derive(Debug)]
pub struct Maintained {
    rules: Rules,
    tables: Vec<Table>,
    folds: Folds,
    strata: Vec<Stratum>,
    is_broken: bool,
}

impl Maintained {
    /// Of these relations those that can be maintained, with all that they read, derived from the rows that are given in `store`;
    /// without those that are left out, and what reads them.
    ///
    /// # Errors
    ///
    /// If deriving them takes more than it may.
    pub fn of(
        (engine, store): (&DatalogEngine, &impl Store),
        values: &mut impl Values,
        (relations, left_out): (&BTreeSet<PredicateId>, &BTreeSet<PredicateId>),
        bounds: Bounds,
    ) -> Result<Self, MaintainError> {
        let mut made = Self::make((engine, store), (relations, left_out), &mut BTreeMap::new());
        made.load(store, |_| true);
        let mut work = Work::new(values, bounds.steps_max, bounds.rows_max);
        made.derive(&mut work, bounds, |_| true)?;
        made.tables.iter_mut().for_each(Table::commit);
        Ok(made)
    }

    /// The rules with the ways through their bodies, over tables that there are or new ones.
    fn make(
        (engine, store): (&DatalogEngine, &impl Store),
        (relations, left_out): (&BTreeSet<PredicateId>, &BTreeSet<PredicateId>),
        pool: &mut BTreeMap<Label, Table>,
    ) -> Self {
        let mut wanted = relations.clone();
        loop {
            let rules = Rules::of((engine, store), &wanted, left_out);
            let labels: Vec<Label> = (0..rules.tables.len()).map(|at| rules.label(at)).collect();
            let mut tables: Vec<Table> =
                labels.iter().map(|label| pool.remove(label).unwrap_or_else(|| Table::new(label.2))).collect();
            match Self::compile(&rules, &mut tables) {
                Ok((folds, strata)) => return Self { rules, tables, folds, strata, is_broken: false },
                Err(id) => {
                    // Its conditions can be asked in no order that is looked for here.
                    wanted.remove(&id);
                    pool.extend(labels.into_iter().zip(tables));
                }
            }
        }
    }

    /// The ways through the bodies of rules; an error names a relation for which there is none.
    fn compile(rules: &Rules, tables: &mut [Table]) -> Result<(Folds, Vec<Stratum>), PredicateId> {
        let mut folds = Folds::default();
        let first = || rules.tables.iter().find_map(|(part, _)| part.derived()).unwrap_or(PredicateId(usize::MAX));
        for at in 0..rules.aggregates.len() {
            folds.add(&rules.aggregates, at, tables).ok_or_else(first)?;
        }
        let mut strata = Vec::new();
        for heads in &rules.strata {
            let clauses = rules.clauses.iter().filter(|clause| heads.contains(&clause.head)).cloned();
            let stratum = Stratum::of(heads.clone(), clauses, (&folds, &rules.aggregates), tables);
            let derived = || heads.iter().find_map(|at| rules.tables.get(*at)?.0.derived()).unwrap_or_else(first);
            strata.push(stratum.ok_or_else(derived)?);
        }
        Ok((folds, strata))
    }

    /// Puts what is given of some tables in place.
    fn load(&mut self, store: &impl Store, is_wanted: impl Fn(&Label) -> bool) {
        for (at, table) in self.tables.iter_mut().enumerate() {
            let Some((Part::Given(id), _)) = self.rules.tables.get(at).copied() else { continue };
            let Some(relation) = store.relation(id).filter(|_| is_wanted(&self.rules.label(at))) else { continue };
            let is_derived = self.rules.table(Part::Derived(id)).is_some();
            let n_given = if is_derived { relation.places.len() } else { relation.rows.len() };
            for row in relation.rows.rows().take(n_given as usize) {
                let at = table.place(row);
                table.set_new(at, true);
            }
        }
    }

    /// The relations that are kept derived.
    pub fn relations(&self) -> impl Iterator<Item = PredicateId> {
        self.rules.tables.iter().filter_map(|(part, _)| part.derived())
    }

    /// The relations whose given rows [`Self::apply`] has to be told of.
    pub fn reads(&self) -> impl Iterator<Item = PredicateId> {
        self.rules.tables.iter().filter_map(|(part, _)| match part {
            Part::Given(id) => Some(*id),
            Part::Derived(_) => None,
        })
    }

    /// The rows of a relation that is kept derived; of another, those that are given, as far as they matter.
    pub fn rows(&self, id: PredicateId) -> impl Iterator<Item = &[Value]> {
        let at = self.rules.table(Part::Derived(id)).or_else(|| self.rules.table(Part::Given(id)));
        let table = at.and_then(|at| self.tables.get(at)).into_iter();
        table.flat_map(|table| table.places().filter(|row| table.is_in(*row, View::Old)).map(|row| table.row(row)))
    }

    /// From now on every change is followed, and nothing derived anew, however much that is: for tests.
    #[doc(hidden)]
    pub fn be_patient(&mut self) {
        self.strata.iter_mut().for_each(|stratum| stratum.is_patient = true);
    }

    /// Follows changes of rows that are given: what comes of them for derived rows. Rows that are there already do not come, and
    /// rows that are not do not go.
    ///
    /// # Errors
    ///
    /// If it takes more than it may, or a change before did. Nothing can be said of any row then.
    pub fn apply(
        &mut self,
        changes: &Changes,
        values: &mut impl Values,
        bounds: Bounds,
    ) -> Result<Changes, MaintainError> {
        if self.is_broken {
            return Err(MaintainError::Broken);
        }
        self.take(changes);
        let mut work = Work::new(values, bounds.steps_max, bounds.rows_max);
        self.is_broken = true;
        self.derive(&mut work, bounds, |_| false)?;
        self.is_broken = false;
        Ok(self.commit())
    }

    /// Notes which rows are given and are not any more.
    fn take(&mut self, changes: &Changes) {
        for (id, change) in changes.iter() {
            let Some(table) = self.rules.table(Part::Given(id)).and_then(|at| self.tables.get_mut(at)) else {
                continue;
            };
            for row in change.deleted.iter() {
                if let Some(at) = table.find(row) {
                    table.set_new(at, false);
                }
            }
            for row in change.inserted.iter() {
                let at = table.place(row);
                table.set_new(at, true);
            }
        }
    }

    /// Brings all strata up to date, some of them by deriving them anew.
    fn derive<V: Values>(
        &mut self,
        work: &mut Work<'_, V>,
        bounds: Bounds,
        is_anew: impl Fn(usize) -> bool,
    ) -> Result<(), MaintainError> {
        let Self { rules, tables, folds, strata, .. } = self;
        folds.forget();
        for (at, stratum) in strata.iter_mut().enumerate() {
            let done = stratum.derive(tables, folds, work, is_anew(at));
            done.map_err(|Fault { stop, rule }| {
                let clause = stratum.rules.get(rule).map(|rule| (rule.clause.name.clone(), rule.clause.span));
                let (rule, span) = clause.unwrap_or_else(|| (String::new(), Span::NOWHERE));
                let bound = match stop {
                    Stop::TooManySteps | Stop::Enough => Bound::Steps(bounds.steps_max),
                    Stop::TooManyRows => Bound::Rows(bounds.rows_max),
                    Stop::TooMuch => {
                        let parts = stratum.tables.iter().filter_map(|at| rules.tables.get(*at));
                        let relations = parts.filter_map(|(part, _)| part.derived()).collect();
                        return MaintainError::TooMuch { rule, span, relations };
                    }
                };
                MaintainError::Bound(DeriveError { bound, rule, span })
            })?;
        }
        Ok(())
    }

    /// Ends a change, and says what came of it.
    fn commit(&mut self) -> Changes {
        let mut changes = Changes::default();
        for ((part, _), table) in self.rules.tables.iter().zip(&mut self.tables) {
            if let Part::Derived(id) = part {
                for (row, sign) in delta::changes_of(table) {
                    if 0 < sign { changes.insert(*id, row) } else { changes.delete(*id, row) }
                }
            }
            table.commit();
        }
        changes
    }
}

impl Part {
    fn derived(self) -> Option<PredicateId> {
        match self {
            Self::Derived(id) => Some(id),
            Self::Given(_) => None,
        }
    }
}

impl Stratum {
    fn derive<V: Values>(
        &mut self,
        tables: &mut [Table],
        folds: &mut Folds,
        work: &mut Work<'_, V>,
        is_all: bool,
    ) -> Result<(), Fault> {
        if is_all {
            return if self.is_recursive {
                self.follow_all(tables, folds, work)
            } else {
                self.count_all(tables, folds, work)
            };
        }
        for of in &self.folds {
            if let std::ops::ControlFlow::Break(stop) = folds.update(*of, tables, work) {
                return Err(Fault { stop, rule: 0 });
            }
        }
        if self.is_recursive {
            return self.follow_changes(tables, folds, work);
        }
        let inputs = || self.inputs.iter().filter_map(|at| tables.get(*at));
        let n_changed: usize = inputs().map(|table| table.changed().len()).sum();
        let n_rows: usize = inputs().map(Table::len).sum();
        if n_rows < n_changed * CHANGED_PART && !self.is_patient {
            return self.count_all(tables, folds, work);
        }
        self.count_changes(tables, folds, work)
    }
}
