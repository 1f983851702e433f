//! Instances of a rule, one at a time: the one that derives a row, or the one that comes nearest to it, and what each of its
//! conditions rests on.
//!
//! Rows know when they came ([`Tick`]), so that an instance can be looked for among older rows only. What follows from older
//! rows, and those from older ones still, is a proof without a circle.

use std::{collections::BTreeSet, ops::ControlFlow};

use crate::{
    base::{Value, Values},
    check::rules::{Names, PredicateId, Slot, Term},
    expr::Failure,
    facts::{RowId, Store, Tick, matches},
    schema::Types,
    syntax::rules::Fold,
};

use super::{
    Ask, AskKind, CompiledRule, Plan,
    counted::{Counted, Folded},
    is_known, n_rows, plan,
    solve::{Flow, Solver, Stop},
};

/// An instance of a rule, or the beginning of one.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The values of the rule's variables; [`Value::UNKNOWN`] where there is none.
    pub slots: Vec<Value>,
    /// The conditions that hold, in the order in which they were asked.
    pub done: Vec<usize>,
    /// The first condition without an answer, if there is no whole instance: none of those that begin like this comes further.
    pub failing: Option<usize>,
}

/// A condition of an instance.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Whether it holds, or why there is no telling.
    pub holds: Result<bool, Failure>,
    /// What it binds its variable to, if that is what it does.
    pub value: Option<Value>,
    /// The rows that it rests on: what makes it true, and of a condition that denies, false. Those that expressions rest on are
    /// known to the world alone, which they ask themselves.
    pub rows: Vec<(PredicateId, RowId)>,
    /// Whether there are more such rows than may be shown.
    pub is_cut: bool,
    /// What an aggregate was made of, if it is one.
    pub counted: Option<Counted>,
    /// The row that an atom asks for, denied or not, or in vain one of an aggregate of nothing: none for a value that is not known.
    pub asked: Option<(PredicateId, Vec<Option<Value>>)>,
    /// Whether there are such rows, with values of types that the atom's variables do not have.
    pub is_of_other_types: bool,
}

/// How far evaluation has come along a plan.
#[derive(Debug)]
pub(super) struct Furthest {
    n_left: usize,
    slots: Vec<Value>,
}

impl Furthest {
    /// Notes that all but so many steps are taken.
    pub(super) fn note(&mut self, n_left: usize, slots: &[Value]) {
        if n_left < self.n_left {
            self.n_left = n_left;
            self.slots = slots.to_vec();
        }
    }
}

impl Default for Condition {
    /// One that is false, and rests on nothing.
    fn default() -> Self {
        let rows = Vec::new();
        Self {
            holds: Ok(false),
            value: None,
            rows,
            is_cut: false,
            counted: None,
            asked: None,
            is_of_other_types: false,
        }
    }
}

impl<'a, V: Values, S: Store> Solver<'a, V, S> {
    /// The first instance of a rule that derives a row from rows older than `before`, or the beginning of the one that comes
    /// furthest. None if the row is not of the form of the rule's head.
    ///
    /// # Errors
    ///
    /// If that takes more steps than there are.
    pub fn instance(
        &mut self,
        rule: &'a CompiledRule,
        row: &[Option<Value>],
        before: Tick,
    ) -> Result<Option<Instance>, Stop> {
        self.furthest = Some(Furthest { n_left: usize::MAX, slots: Vec::new() });
        let mut whole = None;
        let (plan, flow) = self.each_instance(rule, row, before, &mut |slots| {
            whole = Some(slots.to_vec());
            Flow::Break(Stop::Enough)
        });
        let furthest = self.furthest.take();
        if flow == Flow::Break(Stop::TooManySteps) {
            return Err(Stop::TooManySteps);
        }
        let asks = |n_left: usize| {
            let n_done = plan.steps.len().saturating_sub(n_left);
            plan.steps.iter().take(n_done).map(|step| step.ask).collect::<Vec<_>>()
        };
        Ok(match (whole, furthest) {
            (Some(slots), _) => Some(Instance { slots, done: asks(0), failing: None }),
            (None, Some(Furthest { n_left, slots })) if n_left <= plan.steps.len() => {
                let done = asks(n_left);
                let failing = plan.steps.get(done.len()).map(|step| step.ask);
                Some(rule.without_misfit(Instance { slots, done, failing }))
            }
            _ => None,
        })
    }

    /// The instances of a rule that derive a row, each once, `n_max` of them at most; and whether there are more.
    ///
    /// # Errors
    ///
    /// If that takes more steps than there are.
    pub fn instances(
        &mut self,
        rule: &'a CompiledRule,
        row: &[Option<Value>],
        n_max: usize,
    ) -> Result<(Vec<Instance>, bool), Stop> {
        let mut found: BTreeSet<Vec<Value>> = BTreeSet::new();
        let mut is_cut = false;
        let (plan, flow) = self.each_instance(rule, row, Tick::END, &mut |slots| {
            is_cut = found.len() == n_max && !found.contains(slots);
            if is_cut {
                return Flow::Break(Stop::Enough);
            }
            found.insert(slots.to_vec());
            Flow::Continue(())
        });
        if flow == Flow::Break(Stop::TooManySteps) {
            return Err(Stop::TooManySteps);
        }
        let done: Vec<usize> = plan.steps.iter().map(|step| step.ask).collect();
        let instance = |slots| Instance { slots, done: done.clone(), failing: None };
        Ok((found.into_iter().map(instance).collect(), is_cut))
    }

    /// Visits the values of the variables of each instance of a rule that derives a row from rows older than `before`, in the
    /// order of the plan.
    fn each_instance(
        &mut self,
        rule: &'a CompiledRule,
        row: &[Option<Value>],
        before: Tick,
        visit: &mut dyn FnMut(&[Value]) -> Flow,
    ) -> (Plan, Flow) {
        let row: Vec<Value> = row.iter().map(|value| value.unwrap_or(Value::UNKNOWN)).collect();
        let known: Vec<Slot> = rule.args.iter().zip(&row).filter_map(|(arg, value)| known_slot(*arg, *value)).collect();
        let plan = plan::order(&rule.body, &known, None, &|id| n_rows(self.store, id));
        self.begin(rule);
        self.before = before;
        let flow = self.unify(&rule.args, &row, &mut |solver| {
            solver.solve(&rule.body, &plan, &mut |solver| {
                let mut derived = Vec::new();
                solver.row(&rule.args, &mut derived);
                // What does not fit its column is not derived.
                if solver.fit(rule, &mut derived).is_some() {
                    return Flow::Continue(());
                }
                visit(&solver.slots)
            })
        });
        self.before = Tick::END;
        (plan, flow)
    }

    /// The places of all rows of a relation that have these values.
    ///
    /// # Errors
    ///
    /// If that takes more steps than there are.
    pub fn rows_with(&mut self, id: PredicateId, key: &[Option<Value>]) -> Result<Vec<RowId>, Stop> {
        let store = self.store;
        if store.is_demanded(id) {
            let rows = store.demanded(self.values, id, key, Tick::END).map_err(|_| Stop::TooManySteps)?;
            return Ok(rows.into_iter().map(|(at, _)| at).collect());
        }
        let Some(relation) = store.relation(id) else { return Ok(Vec::new()) };
        let columns: Vec<usize> = (0..key.len()).filter(|at| key.get(*at).is_some_and(Option::is_some)).collect();
        let mut candidates: Vec<RowId> = match relation.rows.find_index(&columns) {
            Some(index) => relation.rows.probe(index, &key.iter().copied().flatten().collect::<Vec<_>>()).collect(),
            None => (0..relation.rows.len()).collect(),
        };
        if self.spend(candidates.len() as u64).is_break() {
            return Err(Stop::TooManySteps);
        }
        candidates.sort_unstable();
        candidates.retain(|at| matches(relation.rows.row(*at), key));
        Ok(candidates)
    }

    /// Whether a rule that decides is about such a request: about its action, and about entities of its types if that matters.
    pub fn is_about(&mut self, rule: &'a CompiledRule, of: [Value; 3], with_types: bool) -> bool {
        self.begin(rule);
        let mut is_about_it = false;
        let [_, action, _] = of;
        let of = if with_types { of } else { [Value::UNKNOWN, action, Value::UNKNOWN] };
        let flow = self.unify(&rule.args, &of, &mut |solver| {
            let is_given =
                |ask: &&Ask| rule.is_about_given(ask) && (with_types || !matches!(ask.kind, AskKind::Is(..)));
            is_about_it = rule.body.asks.iter().filter(is_given).all(|ask| match &ask.kind {
                AskKind::In(left, right, _) => solver.is_below(*left, *right) != Ok(false),
                AskKind::Bind(slot, expr) => {
                    solver.evaluate(expr).map_or(true, |is| is == solver.term(Term::Slot(*slot)))
                }
                _ => solver.test(ask) != Ok(false),
            });
            Flow::Continue(())
        });
        flow == Flow::Continue(()) && is_about_it
    }

    /// What a condition of an instance comes to.
    ///
    /// # Errors
    ///
    /// If that takes more steps than there are.
    pub fn condition(
        &mut self,
        rule: &'a CompiledRule,
        at: usize,
        instance: &Instance,
        before: Tick,
    ) -> Result<Condition, Stop> {
        let Some(ask) = rule.body.asks.get(at) else { return Ok(Condition::default()) };
        self.begin(rule);
        self.slots.clone_from(&instance.slots);
        self.before = before;
        let condition = self.condition_of(rule, ask);
        self.before = Tick::END;
        condition
    }

    fn condition_of(&mut self, rule: &CompiledRule, ask: &Ask) -> Result<Condition, Stop> {
        let holds = match &ask.kind {
            AskKind::Atom(id, args) => {
                let types = rule.types_of(args);
                let found = self.row_of(*id, args, &types)?;
                let is_of_other_types = found.is_none() && !types.is_empty() && self.row_of(*id, args, &[])?.is_some();
                let asked = Some((*id, self.key(args)));
                let holds = if found.is_none() { self.may_be(*id, args) } else { Ok(true) };
                return Ok(Condition {
                    holds,
                    rows: Vec::from_iter(found),
                    asked,
                    is_of_other_types,
                    ..Condition::default()
                });
            }
            AskKind::Not(inner) => match &inner.kind {
                AskKind::Atom(id, args) => {
                    let found = self.row_of(*id, args, &[])?;
                    let asked = Some((*id, self.key(args)));
                    let holds = if found.is_none() { self.test(ask) } else { Ok(false) };
                    return Ok(Condition { holds, rows: Vec::from_iter(found), asked, ..Condition::default() });
                }
                AskKind::In(left, right, _) => {
                    let asked = Some((Names::IN, self.key(&[*left, *right])));
                    return Ok(Condition { holds: self.test(ask), asked, ..Condition::default() });
                }
                _ => self.test(ask),
            },
            AskKind::In(left, right, _) => {
                let asked = Some((Names::IN, self.key(&[*left, *right])));
                return Ok(Condition { holds: self.is_below(*left, *right), asked, ..Condition::default() });
            }
            AskKind::Bind(slot, expr) => match self.evaluate(expr) {
                Ok(value) => {
                    let known = self.term(Term::Slot(*slot));
                    let holds = Ok(!is_known(known) || known == value);
                    return Ok(Condition { holds, value: Some(value), ..Condition::default() });
                }
                Err(failure) => Err(failure),
            },
            AskKind::Aggregate { .. } => return self.condition_of_aggregate(rule, ask),
            AskKind::Guard(_) | AskKind::Is(..) => self.test(ask),
        };
        match holds {
            Err(Failure::TooManySteps) => Err(Stop::TooManySteps),
            holds => Ok(Condition { holds, ..Condition::default() }),
        }
    }

    fn condition_of_aggregate(&mut self, rule: &CompiledRule, ask: &Ask) -> Result<Condition, Stop> {
        let AskKind::Aggregate { result, fold, tuple, body, plan } = &ask.kind else { return Ok(Condition::default()) };
        let folded = match self.aggregate(*fold, tuple, body, plan) {
            ControlFlow::Continue(folded) => folded,
            ControlFlow::Break(stop) => return Err(stop),
        };
        let value = folded.ok().flatten();
        let best = value.filter(|_| matches!(fold, Fold::Min | Fold::Max));
        let Folded { rows, conditions, tuples, n_tuples, absent, is_cut } = self.folded((tuple, best), body, plan)?;
        // What was found on the way to tuples that do not count is none of it.
        self.store.forget();
        let slots = self.slots.clone();
        for (ask, of_tuple) in conditions {
            self.slots = of_tuple;
            let _: Condition = self.condition_of(rule, ask)?;
        }
        self.slots = slots;
        let known = self.term(Term::Slot(*result));
        let holds = folded.map(|value| value.is_some_and(|value| !is_known(known) || known == value));
        let name = |slot: &Slot| rule.variables.get(slot.0).cloned().unwrap_or_default();
        let counted = Some(Counted { columns: tuple.iter().map(name).collect(), tuples, n_tuples });
        Ok(Condition { holds, value, rows, is_cut, counted, asked: absent, ..Condition::default() })
    }

    /// The first row that is what an atom asks for, with values of these types in some columns.
    pub(super) fn row_of(
        &mut self,
        id: PredicateId,
        args: &[Term],
        types: &[(usize, &Types)],
    ) -> Result<Option<(PredicateId, RowId)>, Stop> {
        let (store, key) = (self.store, self.key(args));
        if store.is_demanded(id) {
            let rows = store.demanded(self.values, id, &key, self.before).map_err(|_| Stop::TooManySteps)?;
            let is_it = |row: &[Value]| repeats(args, row) && fits(self.values, types, row);
            return Ok(rows.into_iter().find(|(_, row)| is_it(row)).map(|(at, _)| (id, at)));
        }
        let Some(relation) = store.relation(id) else { return Ok(None) };
        let n = self.n_older(relation);
        if let Some(row) = key.iter().copied().collect::<Option<Vec<Value>>>() {
            return Ok(relation.rows.find(&row).filter(|at| *at < n).map(|at| (id, at)));
        }
        let columns: Vec<usize> = (0..key.len()).filter(|at| key.get(*at).is_some_and(Option::is_some)).collect();
        let index = relation.rows.find_index(&columns);
        let mut candidates: Vec<RowId> = match index {
            Some(index) => relation.rows.probe(index, &key.iter().copied().flatten().collect::<Vec<_>>()).collect(),
            None => Vec::new(),
        };
        candidates.sort_unstable();
        let all = if index.is_some() { 0..0 } else { 0..n };
        for at in candidates.into_iter().filter(|at| *at < n).chain(all) {
            if self.touch() != Flow::Continue(()) {
                return Err(Stop::TooManySteps);
            }
            let row = relation.rows.row(at);
            if matches(row, &key) && repeats(args, row) && fits(self.values, types, row) {
                return Ok(Some((id, at)));
            }
        }
        Ok(None)
    }

    /// False of an atom that has no row, unless it is undetermined.
    fn may_be(&self, id: PredicateId, args: &[Term]) -> Result<bool, Failure> {
        let key = self.key(args);
        let Some(relation) = self.store.relation(id) else { return Ok(false) };
        let mut doubts = relation.doubts.candidates(&key).filter(|(row, _)| matches(row, &key) && repeats(args, row));
        doubts.next().map_or(Ok(false), |(_, cause)| Err(Failure::Undetermined(cause)))
    }
}

/// Whether columns have values of these types.
fn fits(values: &impl Values, types: &[(usize, &Types)], row: &[Value]) -> bool {
    types.iter().all(|(column, types)| row.get(*column).is_some_and(|of| types.has(values, *of)))
}

impl CompiledRule {
    /// How many columns the head has.
    pub(crate) fn n_args(&self) -> usize {
        self.args.len()
    }

    /// A value of a type that its variable does not have is none: then what gave it found nothing.
    fn without_misfit(&self, mut instance: Instance) -> Instance {
        let kind = |at: usize| self.body.asks.get(at).map(|ask| &ask.kind);
        let implicit = instance.failing.filter(|at| self.goals.len() <= *at);
        let Some(AskKind::Is(slot, _)) = implicit.and_then(kind) else { return instance };
        let gives = |at: &usize| match kind(*at) {
            Some(AskKind::Atom(_, args)) => args.contains(&Term::Slot(*slot)),
            Some(AskKind::In(left, right, _)) => [left, right].contains(&&Term::Slot(*slot)),
            _ => false,
        };
        if let Some(place) = instance.done.iter().position(gives)
            && !self.args.contains(&Term::Slot(*slot))
        {
            instance.failing = instance.done.get(place).copied();
            instance.done.truncate(place);
            if let Some(value) = instance.slots.get_mut(slot.0) {
                *value = Value::UNKNOWN;
            }
        }
        instance
    }

    /// Whether a condition of a rule that decides is about the action and nothing else, or about the types of what is given.
    fn is_about_given(&self, ask: &Ask) -> bool {
        let (slots, of): (Vec<Slot>, &[Term]) = match &ask.kind {
            AskKind::In(left, right, _) => {
                (plan::slots(&[*left, *right]).collect(), self.args.get(1..2).unwrap_or_default())
            }
            AskKind::Guard(_) => (ask.needs.clone(), self.args.get(1..2).unwrap_or_default()),
            AskKind::Bind(slot, _) if ask.needs.is_empty() => (vec![*slot], self.args.get(1..2).unwrap_or_default()),
            AskKind::Is(slot, _) => (vec![*slot], &self.args),
            _ => return false,
        };
        !slots.is_empty() && slots.iter().all(|slot| of.contains(&Term::Slot(*slot)))
    }

    /// Whether a condition denies an atom.
    pub(crate) fn denies(&self, at: usize) -> bool {
        self.body.asks.get(at).is_some_and(|ask| matches!(ask.kind, AskKind::Not(_)))
    }

    /// What stands for the variables of an atom where they have no value: the name of one that stands in it more than once, and
    /// its types if that is what matters.
    pub(crate) fn open_places(&self, at: usize, with_types: bool, values: &impl Values) -> Vec<String> {
        let Some(AskKind::Atom(_, args)) = self.body.asks.get(at).map(|ask| &ask.kind) else { return Vec::new() };
        let types = self.types_of(args);
        let place = |(column, arg): (usize, &Term)| {
            let name = match arg {
                Term::Slot(slot) if 1 < args.iter().filter(|other| *other == arg).count() => {
                    self.variables.get(slot.0).map_or("_", String::as_str)
                }
                _ => "_",
            };
            match types.iter().find(|(of, _)| with_types && *of == column) {
                Some((_, types)) => format!("{name} is {}", types.show(values)),
                None => name.to_owned(),
            }
        };
        args.iter().enumerate().map(place).collect()
    }

    /// The types that variables of an atom have though no goal says so, by column.
    fn types_of(&self, args: &[Term]) -> Vec<(usize, &Types)> {
        let implicit = self.body.asks.iter().skip(self.goals.len());
        let types = implicit.filter_map(|ask| match &ask.kind {
            AskKind::Is(slot, types) => Some((args.iter().position(|arg| *arg == Term::Slot(*slot))?, types)),
            _ => None,
        });
        types.collect()
    }

    /// The condition that a variable is of its types, where no goal says so.
    pub(crate) fn type_filter(&self, at: usize, values: &impl Values) -> String {
        match self.body.asks.get(at).map(|ask| &ask.kind) {
            Some(AskKind::Is(slot, types)) => {
                let name = self.variables.get(slot.0).map_or("_", String::as_str);
                format!("{name} is {}", types.show(values))
            }
            _ => String::new(),
        }
    }
}

/// Whether a row has one value wherever a variable stands.
fn repeats(args: &[Term], row: &[Value]) -> bool {
    // A value that is not known agrees with any.
    let known = || args.iter().zip(row).filter(|(arg, value)| **arg != Term::Any && is_known(**value));
    known().all(|(arg, value)| known().all(|(other, found)| other != arg || found == value))
}

fn known_slot(arg: Term, value: Value) -> Option<Slot> {
    match arg {
        Term::Slot(slot) if is_known(value) => Some(slot),
        _ => None,
    }
}
