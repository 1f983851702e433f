//! What is certain: the instances of a body all of whose asks are answered with yes.
//!
//! Depth first along a plan, one variable assignment at a time. An ask whose guard has no value ends its instance like a no,
//! and is remembered: then [`doubt`](super::doubt) says what may be.

use std::ops::{ControlFlow, Range};

use crate::{
    base::{Value, Values, View, limits},
    check::rules::{Names, PredicateId, Slot, Term},
    expr::{Evaluator, Expr, Failure, eval::kind},
    facts::{Relation, RowId, Store, Table, Tick},
    syntax::rules::Fold,
};

use super::{Ask, AskKind, Body, CompiledRule, Plan, Step, instance::Furthest, is_known};

/// Why evaluation ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Whoever asked has seen enough.
    Enough,
    /// There are no steps left.
    TooManySteps,
}

/// Goes on, or ends.
pub(super) type Flow = ControlFlow<Stop>;

/// What is done with an instance.
pub(super) type Found<'f, V, S> = &'f mut dyn FnMut(&mut Solver<'_, V, S>) -> Flow;

/// Evaluates bodies over the relations of a store.
#[derive(Debug)]
pub struct Solver<'a, V, S> {
    pub(super) values: &'a mut V,
    pub(super) store: &'a S,
    request: [Value; 4],
    /// The values of the rule's variables; [`Value::UNKNOWN`] where there is none.
    pub(super) slots: Vec<Value>,
    /// What had no value first, if anything had.
    pub(super) erred: Option<Value>,
    /// Where new rows begin and end, by relation, while only those count.
    pub(super) news: &'a [Range<RowId>],
    name: &'a str,
    steps_left: u64,
    n_touched: u64,
    /// Whether each ask was answered with yes, and with no, if somebody wants to know.
    pub(super) coverage: Option<Vec<[bool; 2]>>,
    /// Only rows that came before this are there.
    pub(super) before: Tick,
    /// How far evaluation has come, if somebody wants to know.
    pub(super) furthest: Option<Furthest>,
}

impl<'a, V: Values, S: Store> Solver<'a, V, S> {
    /// A solver for a request, or for none: then `request` is of no meaning.
    pub fn new(values: &'a mut V, store: &'a S, request: [Value; 4], steps_max: u64) -> Self {
        Self {
            values,
            store,
            request,
            slots: Vec::new(),
            erred: None,
            news: &[],
            name: "",
            steps_left: steps_max,
            n_touched: 0,
            coverage: None,
            before: Tick::END,
            furthest: None,
        }
    }

    /// How many steps may still be taken.
    #[must_use]
    pub fn steps_left(&self) -> u64 {
        self.steps_left
    }

    /// Lets it take so many steps from now on.
    pub fn allow(&mut self, steps_max: u64) {
        self.steps_left = steps_max;
    }

    /// How many rows have been looked at.
    #[must_use]
    pub fn n_touched(&self) -> u64 {
        self.n_touched
    }

    /// How many rows have been looked at since the last time.
    pub fn take_touched(&mut self) -> u64 {
        std::mem::take(&mut self.n_touched)
    }

    /// Where values are read.
    #[must_use]
    pub fn values(&self) -> &V {
        self.values
    }

    /// Prepares for a rule: no variable has a value, and nothing has failed.
    pub(super) fn begin(&mut self, rule: &'a CompiledRule) {
        self.slots.clear();
        self.slots.resize(rule.variables.len(), Value::UNKNOWN);
        self.erred = None;
        self.name = &rule.name;
    }

    /// Counts a step.
    pub(super) fn spend(&mut self, n: u64) -> Flow {
        match self.steps_left.checked_sub(n) {
            Some(left) => {
                self.steps_left = left;
                Flow::Continue(())
            }
            None => Flow::Break(Stop::TooManySteps),
        }
    }

    pub(super) fn touch(&mut self) -> Flow {
        self.n_touched += 1;
        self.spend(1)
    }

    /// The value of a term, or unknown.
    pub(super) fn term(&self, term: Term) -> Value {
        match term {
            Term::Slot(slot) => self.slots.get(slot.0).copied().unwrap_or(Value::UNKNOWN),
            Term::Constant(value) => value,
            Term::Any => Value::UNKNOWN,
        }
    }

    pub(super) fn set(&mut self, slot: Slot, value: Value) {
        if let Some(place) = self.slots.get_mut(slot.0) {
            *place = value;
        }
    }

    /// The row of a head, with unknown where a variable has no value.
    pub(super) fn row(&self, args: &[Term], row: &mut Vec<Value>) {
        row.clear();
        row.extend(args.iter().map(|arg| self.term(*arg)));
    }

    /// Makes unknown what does not fit its column, and says why it does not.
    pub(super) fn fit(&mut self, rule: &CompiledRule, row: &mut [Value]) -> Option<Failure> {
        let mut misfit = None;
        for (at, types) in &rule.fits {
            let Some(cell) = row.get_mut(*at).filter(|cell| is_known(**cell) && !types.has(self.values, **cell)) else {
                continue;
            };
            let found = kind(self.values.view(*cell));
            misfit = Some(Failure::Type { expected: "a value of the type of its column", found });
            *cell = Value::UNKNOWN;
        }
        misfit
    }

    /// Remembers that something has no value.
    pub(super) fn err(&mut self, failure: Failure) -> Flow {
        if failure == Failure::TooManySteps {
            return Flow::Break(Stop::TooManySteps);
        }
        if self.erred.is_none() {
            self.erred = Some(self.cause(failure));
        }
        Flow::Continue(())
    }

    /// Why something is undetermined, in words.
    pub(super) fn cause(&mut self, failure: Failure) -> Value {
        match failure {
            Failure::Undetermined(cause) => cause,
            other => {
                let text = format!("{}: {}", self.name, other.describe(self.values));
                self.values.text(&text)
            }
        }
    }

    /// How many rows of a relation are old enough to be there.
    pub(super) fn n_older(&self, relation: &Relation) -> RowId {
        if self.before == Tick::END {
            return relation.rows.len();
        }
        relation.births.n_before(self.before, relation.rows.len())
    }

    /// Every instance of a body, in the order of a plan.
    pub(super) fn solve(&mut self, body: &Body, plan: &Plan, found: Found<'_, V, S>) -> Flow {
        self.step(body, &plan.steps, found)
    }

    // Recurses once per ask of the body.
    fn step(&mut self, body: &Body, steps: &[Step], found: Found<'_, V, S>) -> Flow {
        if let Some(furthest) = &mut self.furthest {
            furthest.note(steps.len(), &self.slots);
        }
        let Some((step, rest)) = steps.split_first() else { return found(self) };
        let Some(ask) = body.asks.get(step.ask) else { return found(self) };
        self.spend(1)?;
        if self.coverage.is_some() {
            self.count(body, ask, step, rest)?;
        }
        self.ask(body, ask, step, rest, found)
    }

    /// Notes whether an ask has an answer, whatever comes after it but the types of what it binds. What can only bind, and never
    /// be false, counts as if it had been.
    fn count(&mut self, body: &Body, ask: &Ask, step: &Step, rest: &[Step]) -> Flow {
        let counted = self.coverage.take();
        let mut is_answered = false;
        let is_type = |step: &&Step| body.asks.get(step.ask).is_some_and(|ask| matches!(ask.kind, AskKind::Is(..)));
        let types = rest.get(..rest.iter().take_while(is_type).count()).unwrap_or_default();
        let binds_only = match &ask.kind {
            AskKind::Bind(slot, ..) => !is_known(self.term(Term::Slot(*slot))),
            AskKind::Aggregate { result, fold: Fold::Count | Fold::Sum | Fold::Collect, .. } => {
                !is_known(self.term(Term::Slot(*result)))
            }
            _ => false,
        };
        let flow = self.ask(body, ask, step, types, &mut |_| {
            is_answered = true;
            Flow::Break(Stop::Enough)
        });
        self.coverage = counted;
        if let Some([yes, no]) = self.coverage.as_mut().and_then(|coverage| coverage.get_mut(step.ask)) {
            *yes |= is_answered;
            *no |= !is_answered || binds_only;
        }
        match flow {
            Flow::Break(Stop::Enough) => Flow::Continue(()),
            flow => flow,
        }
    }

    fn ask(&mut self, body: &Body, ask: &Ask, step: &Step, rest: &[Step], found: Found<'_, V, S>) -> Flow {
        match &ask.kind {
            AskKind::Atom(id, args) => self.atom(*id, args, step, &mut |solver| solver.step(body, rest, found)),
            AskKind::In(left, right, _) => {
                self.below(*left, *right, step.is_delta, &mut |solver| solver.step(body, rest, found))
            }
            AskKind::Bind(slot, expr) => match self.evaluate(expr) {
                Ok(value) => self.bind(*slot, value, &mut |solver| solver.step(body, rest, found)),
                Err(failure) => self.err(failure),
            },
            AskKind::Aggregate { result, fold, tuple, body: inner, plan } => {
                let value = self.aggregate(*fold, tuple, inner, plan)?;
                match value {
                    Ok(Some(value)) => self.bind(*result, value, &mut |solver| solver.step(body, rest, found)),
                    Ok(None) => Flow::Continue(()),
                    Err(failure) => self.err(failure),
                }
            }
            AskKind::Guard(_) | AskKind::Is(..) | AskKind::Not(_) => match self.test(ask) {
                Ok(true) => self.step(body, rest, found),
                Ok(false) => Flow::Continue(()),
                Err(failure) => self.err(failure),
            },
        }
    }

    /// Whether an ask that binds nothing is answered with yes; its variables are known.
    pub(super) fn test(&mut self, ask: &Ask) -> Result<bool, Failure> {
        match &ask.kind {
            AskKind::Guard(expr) => match self.evaluate(expr)? {
                Value::TRUE => Ok(true),
                Value::FALSE => Ok(false),
                other => Err(Failure::Type { expected: "a boolean", found: kind(self.values.view(other)) }),
            },
            AskKind::Is(slot, types) => Ok(types.has(self.values, self.term(Term::Slot(*slot)))),
            AskKind::Not(inner) => match &inner.kind {
                AskKind::Atom(id, args) => self.is_there(*id, args).map(|is_there| !is_there),
                AskKind::In(left, right, _) => self.is_below(*left, *right).map(|is_below| !is_below),
                _ => self.test(inner).map(|holds| !holds),
            },
            _ => Ok(false),
        }
    }

    pub(super) fn evaluate(&mut self, expr: &Expr) -> Result<Value, Failure> {
        let mut evaluator =
            Evaluator::new(self.values, self.store, self.request, self.steps_left).with_locals(&self.slots);
        let result = evaluator.value(expr);
        self.steps_left = evaluator.steps_left();
        // A guard can make a new value with each instance.
        if limits::VALUES_MAX < self.values.n_values() {
            return Err(Failure::TooManySteps);
        }
        result
    }

    /// Whether a relation has a row with these values; `_` stands for any.
    fn is_there(&mut self, id: PredicateId, args: &[Term]) -> Result<bool, Failure> {
        let store = self.store;
        self.n_touched += 1;
        let key = self.key(args);
        if store.is_demanded(id) {
            return store.demanded(self.values, id, &key, self.before).map(|rows| !rows.is_empty());
        }
        let Some(relation) = store.relation(id) else { return Ok(false) };
        if let Some(row) = key.iter().copied().collect::<Option<Vec<Value>>>() {
            return relation.holds(&row);
        }
        let is_match =
            |row: &[Value]| row.iter().zip(&key).all(|(value, wanted)| wanted.is_none_or(|wanted| *value == wanted));
        let columns: Vec<usize> = (0..key.len()).filter(|at| key.get(*at).is_some_and(Option::is_some)).collect();
        let is_there = match relation.rows.find_index(&columns) {
            Some(index) => {
                let known: Vec<Value> = key.iter().copied().flatten().collect();
                relation.rows.probe(index, &known).next().is_some()
            }
            None => relation.rows.rows().any(is_match),
        };
        match relation.doubts.cause(&key) {
            Some(cause) if !is_there => Err(Failure::Undetermined(cause)),
            _ => Ok(is_there),
        }
    }

    /// Gives a variable a value, or compares with the one that it has.
    pub(super) fn bind(&mut self, slot: Slot, value: Value, then: Found<'_, V, S>) -> Flow {
        let known = self.term(Term::Slot(slot));
        if is_known(known) {
            return if known == value { then(self) } else { Flow::Continue(()) };
        }
        self.set(slot, value);
        let flow = then(self);
        self.set(slot, Value::UNKNOWN);
        flow
    }

    /// The rows of a relation that agree with what is known.
    fn atom(&mut self, id: PredicateId, args: &[Term], step: &Step, then: Found<'_, V, S>) -> Flow {
        let store = self.store;
        if store.is_demanded(id) {
            return self.demand(id, args, then);
        }
        let Some(relation) = store.relation(id) else { return Flow::Continue(()) };
        let rows = &relation.rows;
        let range =
            if step.is_delta { self.news.get(id.0).cloned().unwrap_or(0..0) } else { 0..self.n_older(relation) };
        if step.columns.len() == args.len() {
            let mut row = Vec::with_capacity(args.len());
            self.row(args, &mut row);
            self.touch()?;
            return match rows.find(&row) {
                Some(at) if range.contains(&at) => then(self),
                _ => Flow::Continue(()),
            };
        }
        let index = if step.columns.is_empty() || step.is_delta { None } else { rows.find_index(&step.columns) };
        match index {
            Some(index) => {
                let term = |at: &usize| args.get(*at).map_or(Value::UNKNOWN, |arg| self.term(*arg));
                let key: Vec<Value> = step.columns.iter().map(term).collect();
                for at in rows.probe(index, &key).filter(|at| range.contains(at)) {
                    self.row_at(rows, at, args, then)?;
                }
            }
            None => {
                for at in range {
                    self.row_at(rows, at, args, then)?;
                }
            }
        }
        Flow::Continue(())
    }

    /// The values that an atom asks for.
    pub(super) fn key(&self, args: &[Term]) -> Vec<Option<Value>> {
        args.iter().map(|arg| Some(self.term(*arg)).filter(|value| is_known(*value))).collect()
    }

    /// The rows of a relation that is evaluated by demand.
    pub(super) fn demand(&mut self, id: PredicateId, args: &[Term], then: Found<'_, V, S>) -> Flow {
        let key = self.key(args);
        match self.store.demanded(self.values, id, &key, self.before) {
            Ok(rows) => {
                for (_, row) in rows {
                    self.touch()?;
                    self.unify(args, &row, then)?;
                }
                Flow::Continue(())
            }
            Err(failure) => self.err(failure),
        }
    }

    fn row_at(&mut self, rows: &Table, at: RowId, args: &[Term], then: Found<'_, V, S>) -> Flow {
        self.touch()?;
        self.unify(args, rows.row(at), then)
    }

    /// Goes on if a row agrees with what is known; an unknown value in it agrees with any.
    pub(super) fn unify(&mut self, args: &[Term], row: &[Value], then: Found<'_, V, S>) -> Flow {
        let mut bound: [Slot; 8] = [Slot(usize::MAX); 8];
        let mut more: Vec<Slot> = Vec::new();
        let mut n_bound = 0;
        let mut agrees = true;
        for (arg, value) in args.iter().zip(row) {
            let known = self.term(*arg);
            if is_known(known) {
                if known != *value && is_known(*value) {
                    agrees = false;
                    break;
                }
            } else if let Term::Slot(slot) = arg
                && is_known(*value)
            {
                self.set(*slot, *value);
                match bound.get_mut(n_bound) {
                    Some(place) => *place = *slot,
                    None => more.push(*slot),
                }
                n_bound += 1;
            }
        }
        let flow = if agrees { then(self) } else { Flow::Continue(()) };
        for slot in bound.iter().take(n_bound).chain(&more) {
            self.set(*slot, Value::UNKNOWN);
        }
        flow
    }

    /// `X in Y`, with at least one side known. As in Cedar, the right one may be a set.
    fn below(&mut self, left: Term, right: Term, is_delta: bool, then: Found<'_, V, S>) -> Flow {
        let (low, high) = (self.term(left), self.term(right));
        match (is_known(low), is_known(high)) {
            (true, true) if !is_delta => match self.is_in(low, high) {
                Ok(true) => then(self),
                Ok(false) => Flow::Continue(()),
                Err(failure) => self.err(failure),
            },
            (false, true) => {
                let above = match entities(self.values, high, true) {
                    Ok(above) => above,
                    Err(failure) => return self.err(failure),
                };
                for high in above {
                    self.below_one(left, Term::Constant(high), is_delta, then)?;
                }
                Flow::Continue(())
            }
            (true, false) => match entities(self.values, low, false) {
                Ok(_) => self.below_one(left, right, is_delta, then),
                Err(failure) => self.err(failure),
            },
            _ => self.below_one(left, right, is_delta, then),
        }
    }

    /// `X in Y` of entities of which not both are known, or of new rows.
    fn below_one(&mut self, left: Term, right: Term, is_delta: bool, then: Found<'_, V, S>) -> Flow {
        let (low, high) = (self.term(left), self.term(right));
        // Everything is in itself, which is never news.
        if !is_delta {
            let (open, value) = if is_known(low) { (right, low) } else { (left, high) };
            match open {
                Term::Slot(slot) => self.bind(slot, value, then)?,
                Term::Any => return then(self),
                Term::Constant(_) => {}
            }
        }
        let columns: Box<[usize]> = match (is_known(low), is_known(high)) {
            (true, false) => Box::from([0]),
            (false, true) => Box::from([1]),
            (true, true) => Box::from([0, 1]),
            (false, false) => Box::default(),
        };
        self.atom(Names::IN, &[left, right], &Step { ask: 0, columns, is_delta }, then)
    }

    /// Whether `X in Y` holds, of which one may be `_`.
    pub(super) fn is_below(&self, left: Term, right: Term) -> Result<bool, Failure> {
        let (low, high) = (self.term(left), self.term(right));
        match (is_known(low), is_known(high)) {
            (true, true) => self.is_in(low, high),
            // Everything is in something: in itself.
            (true, false) => entities(self.values, low, false).map(|_| true),
            (false, _) => entities(self.values, high, true).map(|above| !above.is_empty()),
        }
    }

    /// Whether an entity is in another, or in one of a set.
    pub(super) fn is_in(&self, low: Value, high: Value) -> Result<bool, Failure> {
        entities(self.values, low, false)?;
        let mut undetermined = None;
        for high in entities(self.values, high, true)? {
            match self.is_in_one(low, high) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(failure) => undetermined = undetermined.or(Some(failure)),
            }
        }
        undetermined.map_or(Ok(false), Err)
    }

    fn is_in_one(&self, low: Value, high: Value) -> Result<bool, Failure> {
        // What is too young is not there, and is not asked for.
        let is_too_young = self.before != Tick::END
            && low != high
            && self.store.relation(Names::IN).is_some_and(|relation| {
                relation.rows.find(&[low, high]).is_some_and(|at| self.n_older(relation) <= at)
            });
        if is_too_young { Ok(false) } else { self.store.is_in(self.values, low, high) }
    }
}

/// The entity that a value is, or those that it has if a set will do.
pub(super) fn entities(values: &impl Values, value: Value, or_set: bool) -> Result<Vec<Value>, Failure> {
    let expected = if or_set { "an entity or a set of entities" } else { "an entity" };
    let misfit = |value: Value| Failure::Type { expected, found: kind(values.view(value)) };
    match values.view(value) {
        View::Entity(..) => Ok(vec![value]),
        View::Set(members) if or_set => {
            let is_entity = |value: &&Value| matches!(values.view(**value), View::Entity(..));
            match members.iter().find(|value| !is_entity(value)) {
                Some(other) => Err(misfit(*other)),
                None => Ok(members.to_vec()),
            }
        }
        _ => Err(misfit(value)),
    }
}
