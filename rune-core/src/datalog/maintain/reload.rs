//! Other rules over the same rows: what both have in common is kept.
//!
//! ```text
//!   rules before ─┐  the same rules for the same relations ─▶ kept, and followed where what they read changes
//!   rules after ──┴▶ others                                ─▶ derived anew; what differs are changes like any others
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::{base::Values, check::rules::PredicateId, facts::Store};

use super::{
    Bounds, Changes, DatalogEngine, MaintainError, Maintained,
    clauses::{Clause, Literal, Part, Rules},
    run::Work,
    table::Table,
};

/// A table, whatever the program: whether it is given, and the name of its relation.
pub(super) type Label = (bool, String, usize);

/// What is kept of a stratum: whether it is recursive, its rules, and what deriving it took.
type Kept = (bool, Vec<String>, u64);

impl Maintained {
    /// These relations under other rules, without those that are left out, and with what changes of their rows; of a relation that
    /// was not maintained before all rows are new. Values have the ids that they had. `given` says which rows have come and gone that
    /// are given of relations read before, as [`Self::apply`] is told it.
    ///
    /// # Errors
    ///
    /// If it takes more than it may, or a change before did.
    pub fn under(
        mut self,
        (engine, store): (&DatalogEngine, &impl Store),
        values: &mut impl Values,
        relations: (&BTreeSet<PredicateId>, &BTreeSet<PredicateId>),
        given: &Changes,
        bounds: Bounds,
    ) -> Result<(Self, Changes), MaintainError> {
        if self.is_broken {
            return Err(MaintainError::Broken);
        }
        let before: BTreeMap<Vec<Label>, Kept> = self.strata.iter().map(|of| self.rules.kept(of)).collect();
        let labels: Vec<Label> = (0..self.tables.len()).map(|at| self.rules.label(at)).collect();
        let mut pool: BTreeMap<Label, Table> = labels.into_iter().zip(std::mem::take(&mut self.tables)).collect();
        let is_known: BTreeSet<Label> = pool.keys().cloned().collect();
        let mut made = Self::make((engine, store), relations, &mut pool);
        made.load(store, |label| !is_known.contains(label));
        made.take(given);
        let mut work = Work::new(values, bounds.steps_max, bounds.rows_max);
        let mut anew = Vec::new();
        for at in 0..made.strata.len() {
            let Some(stratum) = made.strata.get(at) else { break };
            let (tables, (is_recursive, rules, _)) = made.rules.kept(stratum);
            let kept =
                before.get(&tables).filter(|(was_recursive, were, _)| (is_recursive, &rules) == (*was_recursive, were));
            anew.push(kept.is_none());
            if let (Some((.., n_steps)), Some(stratum)) = (kept, made.strata.get_mut(at)) {
                stratum.n_steps = *n_steps;
            }
        }
        made.derive(&mut work, bounds, |at| anew.get(at).copied().unwrap_or(true))?;
        let changes = made.commit();
        Ok((made, changes))
    }
}

impl Rules {
    /// What a table is, in all programs.
    pub(super) fn label(&self, at: usize) -> Label {
        let name = self.names.get(at).cloned().unwrap_or_default();
        let (part, arity) = self.tables.get(at).copied().unwrap_or((Part::Given(PredicateId(at)), 0));
        (matches!(part, Part::Given(_)), name, arity)
    }

    /// A stratum, by its tables.
    fn kept(&self, stratum: &super::Stratum) -> (Vec<Label>, Kept) {
        let mut tables: Vec<Label> = stratum.tables.iter().map(|at| self.label(*at)).collect();
        tables.sort_unstable();
        let mut rules: Vec<String> = stratum.rules.iter().map(|rule| self.canonical(&rule.clause)).collect();
        rules.sort_unstable();
        (tables, (stratum.is_recursive, rules, stratum.n_steps))
    }

    /// A rule in a form that says nothing of its program. Variables are known by the order in which they come.
    fn canonical(&self, clause: &Clause) -> String {
        format!("{:?}{:?}:-{}", self.label(clause.head), clause.args, self.canonical_body(&clause.literals))
    }

    // Recurses once per aggregate within another, whose nesting was limited.
    fn canonical_body(&self, literals: &[Literal]) -> String {
        let literal = |literal: &Literal| match literal {
            Literal::Rows(of, args) => format!("{:?}{args:?}", self.label(*of)),
            Literal::No(of, args) => format!("not {:?}{args:?}", self.label(*of)),
            Literal::Fold(result, of) => self.aggregates.get(*of).map_or_else(String::new, |of| {
                let cases: Vec<String> = of.cases.iter().map(|case| self.canonical_body(case)).collect();
                format!("{result:?}={:?}{:?}{:?}{cases:?}", of.fold, of.key, of.tuple)
            }),
            other => format!("{other:?}"),
        };
        literals.iter().map(literal).collect::<Vec<_>>().join(",")
    }
}
