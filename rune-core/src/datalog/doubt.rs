//! What may be: the instances of a body none of whose asks is answered with no.
//!
//! An ask without an answer leaves its instance undetermined and binds nothing. Asks are put as soon as what they need is
//! known; those that need what an ask without an answer would have bound stay open, and the instance may be all the same.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    base::{Value, Values},
    check::rules::{Names, PredicateId, Term},
    expr::Failure,
    facts::{RowId, Store, matches},
};

use super::{
    Ask, AskKind, Body, Plan, is_known,
    solve::{Flow, Solver, Stop, entities},
};

/// What is done with an instance that may be: the cause comes along of one that is undetermined.
pub(super) type Maybe<'f, V, S> = &'f mut dyn FnMut(&mut Solver<'_, V, S>, Option<Value>) -> Flow;

impl Body {
    /// Whether something that the body reads has rows that are undetermined.
    pub(super) fn reads_doubts(&self, store: &impl Store) -> bool {
        let doubtful = |id: PredicateId| store.relation(id).is_some_and(|relation| !relation.doubts.is_empty());
        self.asks.iter().any(|ask| ask.reads(&mut |id| doubtful(id)))
    }

    /// Whether something that the body reads is one of these.
    pub(super) fn reads_any(&self, these: &BTreeSet<PredicateId>) -> bool {
        !these.is_empty() && self.asks.iter().any(|ask| ask.reads(&mut |id| these.contains(&id)))
    }

    /// Visits the relations that the body reads. What an expression reads is not among them.
    pub(super) fn each_read(&self, visit: &mut dyn FnMut(PredicateId)) {
        for ask in &self.asks {
            ask.reads(&mut |id| {
                visit(id);
                false
            });
        }
    }

    /// The asks that read row by row what the same stratum derives.
    pub(super) fn recursive(&self, heads: &[PredicateId]) -> impl Iterator<Item = usize> {
        let is_recursive = |ask: &Ask| match &ask.kind {
            AskKind::Atom(id, _) => heads.contains(id),
            AskKind::In(..) => heads.contains(&Names::IN),
            _ => false,
        };
        self.asks.iter().enumerate().filter(move |(_, ask)| is_recursive(ask)).map(|(at, _)| at)
    }
}

impl Ask {
    /// Whether one of the relations that the ask reads is as wanted. What an expression reads it tells by failing.
    fn reads(&self, is_wanted: &mut dyn FnMut(PredicateId) -> bool) -> bool {
        match &self.kind {
            AskKind::Atom(id, _) => is_wanted(*id),
            AskKind::In(..) => is_wanted(Names::IN),
            AskKind::Not(inner) => inner.reads(is_wanted),
            AskKind::Aggregate { body, .. } => body.asks.iter().any(|ask| ask.reads(is_wanted)),
            AskKind::Guard(_) | AskKind::Bind(..) | AskKind::Is(..) => false,
        }
    }
}

impl<V: Values, S: Store> Solver<'_, V, S> {
    /// Every instance of a body that may be; with a delta, those for which one ask reads a doubt of the given ranges.
    pub(super) fn doubts(
        &mut self,
        body: &Body,
        plan: &Plan,
        delta: Option<(usize, &[Range<RowId>])>,
        found: Maybe<'_, V, S>,
    ) -> Flow {
        let mut open: Vec<usize> = plan.steps.iter().map(|step| step.ask).collect();
        let (at, news) = match delta {
            // Who is in one of a set shows in no new doubt alone.
            Some((at, _)) if matches!(body.asks.get(at), Some(Ask { kind: AskKind::In(_, _, false), .. })) => {
                return self.open(body, &open, None, found);
            }
            Some(delta) => delta,
            None => return self.open(body, &open, None, found),
        };
        open.retain(|other| *other != at);
        let (id, args) = match body.asks.get(at).map(|ask| &ask.kind) {
            Some(AskKind::Atom(id, args)) => (*id, args.to_vec()),
            Some(AskKind::In(left, right, _)) => (Names::IN, vec![*left, *right]),
            _ => return Flow::Continue(()),
        };
        let store = self.store;
        let (Some(relation), Some(range)) = (store.relation(id), news.get(id.0)) else { return Flow::Continue(()) };
        for (row, cause) in relation.doubts.range(range.clone()) {
            self.touch()?;
            self.unify(&args, row, &mut |solver| solver.open(body, &open, Some(cause), &mut *found))?;
        }
        Flow::Continue(())
    }

    // Recurses once per ask of the body.
    fn open(&mut self, body: &Body, open: &[usize], cause: Option<Value>, found: Maybe<'_, V, S>) -> Flow {
        self.spend(1)?;
        let is_ready = |at: &&usize| body.asks.get(**at).is_some_and(|ask| self.is_ready(ask));
        let Some(next) = open.iter().find(is_ready).copied() else {
            // What is left waits for a value that there is not.
            return found(self, cause);
        };
        let Some(ask) = body.asks.get(next) else { return Flow::Continue(()) };
        let rest: Vec<usize> = open.iter().copied().filter(|at| *at != next).collect();
        self.maybe(ask, cause, &mut |solver, cause| solver.open(body, &rest, cause, found))
    }

    fn is_ready(&self, ask: &Ask) -> bool {
        let is_known_term = |term: Term| is_known(self.term(term));
        match &ask.kind {
            AskKind::In(left, right, true) => is_known_term(*left) || is_known_term(*right),
            _ => ask.needs.iter().all(|slot| is_known_term(Term::Slot(*slot))),
        }
    }

    /// Goes on wherever an ask is not answered with no.
    fn maybe(&mut self, ask: &Ask, cause: Option<Value>, then: Maybe<'_, V, S>) -> Flow {
        match &ask.kind {
            AskKind::Atom(id, args) => self.maybe_atom(*id, args, cause, then),
            AskKind::In(left, right, _) => self.maybe_below(*left, *right, cause, then),
            AskKind::Bind(slot, expr) => match self.evaluate(expr) {
                Ok(value) => self.bind(*slot, value, &mut |solver| then(solver, cause)),
                Err(failure) => self.failed(failure, cause, then),
            },
            AskKind::Aggregate { result, fold, tuple, body, plan } => match self.aggregate(*fold, tuple, body, plan)? {
                Ok(Some(value)) => self.bind(*result, value, &mut |solver| then(solver, cause)),
                Ok(None) => Flow::Continue(()),
                Err(failure) => self.failed(failure, cause, then),
            },
            AskKind::Guard(_) | AskKind::Is(..) | AskKind::Not(_) => match self.test(ask) {
                Ok(true) => then(self, cause),
                Ok(false) => Flow::Continue(()),
                Err(failure) => self.failed(failure, cause, then),
            },
        }
    }

    /// Goes on past an ask without an answer.
    fn failed(&mut self, failure: Failure, cause: Option<Value>, then: Maybe<'_, V, S>) -> Flow {
        if failure == Failure::TooManySteps {
            return Flow::Break(Stop::TooManySteps);
        }
        let of_failure = self.cause(failure);
        then(self, cause.or(Some(of_failure)))
    }

    fn maybe_atom(&mut self, id: PredicateId, args: &[Term], cause: Option<Value>, then: Maybe<'_, V, S>) -> Flow {
        let store = self.store;
        if store.is_demanded(id) {
            return self.demand(id, args, &mut |solver| then(solver, cause));
        }
        let Some(relation) = store.relation(id) else { return Flow::Continue(()) };
        let key = self.key(args);
        let columns: Vec<usize> = (0..key.len()).filter(|at| key.get(*at).is_some_and(Option::is_some)).collect();
        let whole = key.iter().copied().collect::<Option<Vec<Value>>>();
        match relation.rows.find_index(&columns) {
            _ if whole.is_some() => {
                self.touch()?;
                if whole.is_some_and(|row| relation.rows.find(&row).is_some()) {
                    then(self, cause)?;
                }
            }
            Some(index) => {
                let known: Vec<Value> = key.iter().copied().flatten().collect();
                for at in relation.rows.probe(index, &known) {
                    self.touch()?;
                    self.unify(args, relation.rows.row(at), &mut |solver| then(solver, cause))?;
                }
            }
            None => {
                for row in relation.rows.rows() {
                    self.touch()?;
                    self.unify(args, row, &mut |solver| then(solver, cause))?;
                }
            }
        }
        for (row, of_row) in relation.doubts.candidates(&key) {
            self.touch()?;
            if matches(row, &key) {
                self.unify(args, row, &mut |solver| then(solver, cause.or(Some(of_row))))?;
            }
        }
        Flow::Continue(())
    }

    fn maybe_below(&mut self, left: Term, right: Term, cause: Option<Value>, then: Maybe<'_, V, S>) -> Flow {
        let (low, high) = (self.term(left), self.term(right));
        if is_known(low) && is_known(high) {
            return match self.is_in(low, high) {
                Ok(true) => then(self, cause),
                Ok(false) => Flow::Continue(()),
                Err(failure) => self.failed(failure, cause, then),
            };
        }
        let (open, known) = if is_known(low) { (right, low) } else { (left, high) };
        let all = match entities(self.values, known, is_known(high)) {
            Ok(all) => all,
            Err(failure) => return self.failed(failure, cause, then),
        };
        for value in all {
            match open {
                Term::Slot(slot) => self.bind(slot, value, &mut |solver| then(solver, cause))?,
                Term::Any => return then(self, cause),
                Term::Constant(_) => {}
            }
            let value = Term::Constant(value);
            let args = if is_known(low) { [value, right] } else { [left, value] };
            self.maybe_atom(Names::IN, &args, cause, then)?;
        }
        Flow::Continue(())
    }
}
