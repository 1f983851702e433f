//! What a rule adds to its relation in one round.

use std::ops::{ControlFlow, Range};

use crate::{
    base::Values,
    check::rules::PredicateId,
    facts::{RowId, Store},
};

use super::{
    super::{
        CompiledRule,
        derive::{DeriveError, Run},
        n_rows,
        solve::Stop,
    },
    Code,
    wave::{Cut, Wave},
};

impl Run<'_> {
    /// Adds what a rule derives in a round, and says whether that is all: it is not if an aggregate has no value. In the first
    /// round, which has `first`, all rows are new.
    pub(in crate::datalog) fn round(
        &mut self,
        rule: &CompiledRule,
        codes: &[Code],
        first: Option<&Vec<PredicateId>>,
        news: &[Range<RowId>],
        store: &mut impl Store,
        values: &mut impl Values,
    ) -> Result<bool, DeriveError> {
        match (first, codes) {
            (Some(heads), [_, code, ..]) => {
                let mut all = news.to_vec();
                for head in heads {
                    if let Some(range) = all.get_mut(head.0) {
                        range.start = 0;
                    }
                }
                self.apply_code(rule, code, &all, store, values)
            }
            (Some(_), codes) => self.apply_codes(rule, codes, news, store, values),
            (None, codes) => self.apply_codes(rule, codes.get(1..).unwrap_or_default(), news, store, values),
        }
    }

    fn apply_codes(
        &mut self,
        rule: &CompiledRule,
        codes: &[Code],
        news: &[Range<RowId>],
        store: &mut impl Store,
        values: &mut impl Values,
    ) -> Result<bool, DeriveError> {
        let mut is_done = true;
        for code in codes {
            is_done &= self.apply_code(rule, code, news, store, values)?;
        }
        Ok(is_done)
    }

    fn apply_code(
        &mut self,
        rule: &CompiledRule,
        code: &Code,
        news: &[Range<RowId>],
        store: &mut impl Store,
        values: &mut impl Values,
    ) -> Result<bool, DeriveError> {
        let n_before = n_rows(store, rule.head);
        let (threads, cut) = (self.bounds.threads, Cut::of(self.bounds.threads));
        self.machine.begin(code);
        self.machine.steps_left = self.steps_left;
        self.machine.pause = cut.pause;
        let mut is_shared = true;
        loop {
            let left = self.bounds.rows_max.saturating_sub(self.n_rows);
            let flow = self.machine.run(code, (&*store, &mut *values), news, rule.head, left);
            if let Some(relation) = store.relation_mut(rule.head) {
                self.n_rows += u64::from(relation.rows.insert_all(&self.machine.found));
            }
            self.check_rows(rule)?;
            match flow {
                ControlFlow::Break(Stop::TooManySteps) => return Err(self.too_many_steps(rule)),
                ControlFlow::Break(Stop::Enough) if self.machine.has_failed => break,
                ControlFlow::Break(Stop::Enough) => return Err(self.too_many_rows(rule)),
                ControlFlow::Continue(true) => break,
                ControlFlow::Continue(false) if !is_shared => continue,
                ControlFlow::Continue(false) => {}
            }
            let n_steps = self.steps_left - self.machine.steps_left;
            let of = (news, rule.head);
            let wave =
                Wave::of(code, (&*store, &*values), of, (&self.machine, n_steps), (&mut self.workers, cut), threads);
            let (Some(wave), Some(relation)) = (wave, store.relation_mut(rule.head)) else { continue };
            self.machine.n_done += wave.n_rows;
            self.machine.steps_left -= wave.n_steps;
            self.machine.n_touched += wave.n_touched;
            is_shared = !wave.is_cut;
            self.n_rows += u64::from(wave.insert_into(&mut relation.rows, &mut self.workers, cut, threads));
            self.check_rows(rule)?;
        }
        self.steps_left = self.machine.steps_left;
        self.n_touched += std::mem::take(&mut self.machine.n_touched);
        let n = n_rows(store, rule.head);
        if n_before < n
            && let Some(relation) = store.relation_mut(rule.head)
        {
            relation.births.note(self.now, n_before..n);
            self.now = self.now.next();
        }
        Ok(!self.machine.has_failed)
    }

    fn check_rows(&self, rule: &CompiledRule) -> Result<(), DeriveError> {
        if self.bounds.rows_max < self.n_rows { Err(self.too_many_rows(rule)) } else { Ok(()) }
    }
}
