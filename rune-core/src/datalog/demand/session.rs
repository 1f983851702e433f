//! The questions of one request, one after the other: what one has found the next need not look for.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use crate::{
    base::{Value, Values},
    check::rules::PredicateId,
    datalog::{CompiledRule, DatalogEngine, Stop},
    facts::{Births, RowId, Store, Table, Tick, matches},
};

use super::{
    Demand, Later, Procedures,
    compile::{Built, Mode, Way},
    lookup::Lookup,
    run::Run,
    scratch::Scratch,
    shape::Pattern,
    tuples::Tuples,
};

/// When the first row that demand finds comes: after all that is derived ahead, before all that a request derives.
const FIRST: Tick = Tick(1 << 30);

thread_local! {
    /// Room that an earlier request on this thread has left.
    static SPARE: Cell<Option<Scratch>> = const { Cell::new(None) };
}

/// The questions of one request.
#[derive(Debug)]
pub struct Session<'p> {
    demand: &'p Demand,
    guests: Vec<(PredicateId, Value)>,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    scratch: Scratch,
    /// Procedures with those that were not there when the session began.
    more: Option<Arc<Later>>,
    steps_max: u64,
    steps_left: u64,
    mode: Mode,
    found: Option<Found>,
}

/// Rows that answers rest on, each younger than those that it follows from.
#[derive(Debug, Default)]
pub(super) struct Found {
    relations: BTreeMap<PredicateId, (Table, Births)>,
    /// What was asked already: all that there is of it is found.
    asked: BTreeSet<(PredicateId, Vec<Option<Value>>)>,
    n_rows: u32,
}

impl Found {
    pub(super) fn add(&mut self, id: PredicateId, row: &[Value]) {
        let (rows, births) = self.relations.entry(id).or_insert_with(|| (Table::new(row.len()), Births::default()));
        if rows.insert(row) {
            births.note(Tick(FIRST.0.saturating_add(self.n_rows)), rows.len() - 1..rows.len());
            self.n_rows += 1;
        }
    }
}

impl<'p> Session<'p> {
    /// A session of questions that may take so many steps together.
    #[must_use]
    pub fn new(demand: &'p Demand, steps_max: u64) -> Self {
        let scratch = if demand.is_empty() { None } else { SPARE.take() }.unwrap_or_default();
        let state = State { scratch, more: None, steps_max, steps_left: steps_max, mode: Mode::Answer, found: None };
        Self { demand, guests: Vec::new(), state: RefCell::new(state) }
    }

    /// Makes entities known, each in the relation of those of its type.
    pub fn welcome(&mut self, guests: impl IntoIterator<Item = (PredicateId, Value)>) {
        self.guests.extend(guests);
    }

    /// From now on each row that an answer rests on is kept.
    pub fn keep_rows(&mut self) {
        let state = self.state.get_mut();
        state.scratch.reset();
        state.mode = Mode::Prove;
        state.found.get_or_insert_default();
    }

    /// From now on questions are asked in the way that is meant for those which take long.
    pub fn expect_long_questions(&mut self) {
        let state = self.state.get_mut();
        state.scratch.reset();
        state.mode = Mode::AnswerRare;
    }

    /// Lets the questions from now on take so many steps together.
    pub fn allow(&self, steps_max: u64) {
        let mut state = self.state.borrow_mut();
        (state.steps_max, state.steps_left) = (steps_max, steps_max);
    }

    /// Takes steps for what is found without asking.
    ///
    /// # Errors
    ///
    /// If there are not so many.
    pub fn take(&self, n: u64) -> Result<(), Stop> {
        let mut state = self.state.borrow_mut();
        let left = state.steps_left.checked_sub(n);
        state.steps_left = left.unwrap_or_default();
        left.map(drop).ok_or(Stop::TooManySteps)
    }

    /// How many steps there are.
    #[must_use]
    pub fn n_left(&self) -> u64 {
        self.state.borrow().steps_left
    }

    /// How many steps questions have taken since it was said how many they may take.
    #[must_use]
    pub fn n_taken(&self) -> u64 {
        let state = self.state.borrow();
        state.steps_max - state.steps_left
    }

    /// Whether the rows of a relation are found when they are asked for.
    #[must_use]
    pub fn answers_for(&self, id: PredicateId) -> bool {
        self.demand.relations().contains(&id)
    }

    /// How many columns a relation has.
    #[must_use]
    pub fn arity(&self, id: PredicateId) -> usize {
        self.demand.procedures.shapes.arity(id)
    }

    /// Whether a relation has a row.
    ///
    /// # Errors
    ///
    /// If finding out takes more steps than there are.
    pub fn has(&self, store: &impl Store, values: &impl Values, id: PredicateId, row: &[Value]) -> Result<bool, Stop> {
        let pattern = Pattern::of(0..row.len());
        self.answer(store, values, (id, pattern), row, |answers| 0 < answers.len())
    }

    /// The rows of a relation that have these values and came before `before`, with their places.
    ///
    /// # Errors
    ///
    /// If finding them takes more steps than there are.
    pub fn rows(
        &self,
        store: &impl Store,
        values: &impl Values,
        id: PredicateId,
        key: &[Option<Value>],
        before: Tick,
    ) -> Result<Vec<(RowId, Vec<Value>)>, Stop> {
        let is_kept = self.state.borrow().found.is_some();
        if is_kept {
            self.find(store, values, id, key, before)?;
            return self.found(store, id, key, before);
        }
        let (pattern, known) = given(key);
        self.answer(store, values, (id, pattern), &known, |answers| {
            let row = |open: &[Value]| {
                let mut open = open.iter().copied();
                key.iter().filter_map(|of| of.or_else(|| open.next())).collect::<Vec<_>>()
            };
            answers.iter().map(|open| (RowId::MAX, row(open))).collect()
        })
    }

    /// Finds all rows that have these values, unless only older ones are of interest: then those are known that matter.
    fn find(
        &self,
        store: &impl Store,
        values: &impl Values,
        id: PredicateId,
        key: &[Option<Value>],
        before: Tick,
    ) -> Result<(), Stop> {
        let asked = (id, key.to_vec());
        let is_known = |state: &State| state.found.as_ref().is_some_and(|found| found.asked.contains(&asked));
        if before != Tick::END || is_known(&self.state.borrow()) {
            return Ok(());
        }
        let (pattern, known) = given(key);
        self.answer(store, values, (id, pattern), &known, |_| ())?;
        if let Some(found) = &mut self.state.borrow_mut().found {
            found.asked.insert(asked);
        }
        Ok(())
    }

    fn found(
        &self,
        store: &impl Store,
        id: PredicateId,
        key: &[Option<Value>],
        before: Tick,
    ) -> Result<Vec<(RowId, Vec<Value>)>, Stop> {
        let State { found, steps_left, .. } = &mut *self.state.borrow_mut();
        let Some((rows, births)) = found.as_mut().and_then(|found| found.relations.get_mut(&id)) else {
            return Ok(Vec::new());
        };
        let (pattern, known) = self::given(key);
        let columns: Vec<usize> = (0..key.len()).filter(|at| pattern.has(*at)).collect();
        let index = rows.index_on(&columns);
        let mut all: Vec<(RowId, Vec<Value>)> = Vec::new();
        let given = store.relation(id);
        let n_given = given.map_or(0, |given| given.places.len());
        for at in rows.probe(index, &known) {
            *steps_left = steps_left.checked_sub(1).ok_or(Stop::TooManySteps)?;
            let row = rows.row(at);
            let of_given = given.and_then(|given| given.rows.find(row));
            if matches(row, key) && (of_given.is_some() || births.of(at) < before) {
                all.push((of_given.unwrap_or(n_given + at), row.to_vec()));
            }
        }
        all.sort_unstable_by_key(|(at, _)| *at);
        Ok(all)
    }

    /// Where a row is, if it is among those that were found.
    pub fn place_of(&self, store: &impl Store, id: PredicateId, row: &[Value]) -> Option<RowId> {
        let given = store.relation(id);
        given.and_then(|given| given.rows.find(row)).or_else(|| {
            let state = self.state.borrow();
            let (rows, _) = state.found.as_ref()?.relations.get(&id)?;
            Some(given.map_or(0, |given| given.places.len()) + rows.find(row)?)
        })
    }

    /// A row that was found, and when it came.
    pub fn row_at(&self, store: &impl Store, id: PredicateId, at: RowId) -> Option<(Vec<Value>, Tick)> {
        let given = store.relation(id)?;
        let Some(at) = at.checked_sub(given.places.len()) else {
            return Some((given.rows.row(at).to_vec(), Tick::GIVEN));
        };
        let state = self.state.borrow();
        let (rows, births) = state.found.as_ref()?.relations.get(&id)?;
        (at < rows.len()).then(|| (rows.row(at).to_vec(), births.of(at)))
    }

    /// Adds the values of the column that is open, of what a rule decides, each once, and says whether it decides so of whatever there
    /// is; none if they cannot be found in this way.
    pub fn permitted(
        &self,
        engine: &DatalogEngine,
        rule: &CompiledRule,
        of: [Option<Value>; 3],
        (store, values): (&impl Store, &impl Values),
        found: &mut Vec<Value>,
    ) -> Option<bool> {
        let id = engine.question(rule);
        if !self.demand.procedures.shapes.clauses.contains_key(&id) {
            return None;
        }
        let (pattern, key) = given(&of);
        let take = |answers: &Tuples| {
            // What is said of whatever there is has no value.
            let is_any = answers.cells().contains(&Value::UNKNOWN);
            found.extend(answers.cells().iter().filter(|value| **value != Value::UNKNOWN));
            is_any
        };
        self.answer(store, values, (id, pattern), &key, take).ok()
    }

    /// Whether a rule decides about a principal, an action and a resource; none if it is not evaluated here.
    ///
    /// # Errors
    ///
    /// If finding out takes more steps than there are.
    pub fn decides(
        &self,
        engine: &DatalogEngine,
        rule: &CompiledRule,
        of: [Value; 3],
        (store, values): (&impl Store, &impl Values),
    ) -> Option<Result<bool, Stop>> {
        let Procedures { shapes, ready, deciding, .. } = &*self.demand.procedures;
        if let Some(way) = deciding.get(rule.at).copied().flatten() {
            let state = &mut *self.state.borrow_mut();
            if state.mode == Mode::Answer {
                let code = (ready, self.demand.lookups.as_slice());
                return Some(self.ask(state, code, way, (values, &of), |answers| 0 < answers.len()));
            }
        }
        let id = engine.question(rule);
        shapes.clauses.contains_key(&id).then(|| self.has(store, values, id, &of))
    }

    /// Answers a question about a relation, some of whose columns have the values of the key.
    fn answer<R>(
        &self,
        store: &impl Store,
        values: &impl Values,
        (id, pattern): (PredicateId, Pattern),
        key: &[Value],
        take: impl FnOnce(&Tuples) -> R,
    ) -> Result<R, Stop> {
        let state = &mut *self.state.borrow_mut();
        let mode = state.mode;
        let later = state.more.as_deref();
        if later.map_or(&self.demand.procedures.ready, |later| &later.built).known(id, pattern, mode).is_none() {
            state.more = Some(self.demand.extend(store, values, (id, pattern), mode));
        }
        let extended = state.more.clone();
        let (built, lookups) = match extended.as_deref() {
            Some(later) => (&*later.built, later.lookups.as_slice()),
            None => (&self.demand.procedures.ready, self.demand.lookups.as_slice()),
        };
        // What is not to be compiled took too long to be.
        let way = built.way(id, pattern, mode).ok_or(Stop::TooManySteps)?;
        self.ask(state, (built, lookups), way, (values, key), take)
    }

    /// Answers a question in a way that was found.
    fn ask<R>(
        &self,
        state: &mut State,
        code: (&Built, &[Lookup]),
        way: Way,
        (values, key): (&impl Values, &[Value]),
        take: impl FnOnce(&Tuples) -> R,
    ) -> Result<R, Stop> {
        let State { scratch, steps_left, found, .. } = state;
        let budget = way.budget.min(*steps_left);
        let mut run = Run::new(code, values, scratch, budget, &self.guests);
        run.found = found.as_mut();
        let mut answered = run.answers(way.procedure, key);
        *steps_left -= budget - run.steps_left();
        if let (Err(_), Some(rare)) = (&answered, way.rare) {
            scratch.reset();
            self.demand.procedures.n_long.fetch_add(1, Ordering::Relaxed);
            let mut run = Run::new(code, values, scratch, *steps_left, &self.guests);
            answered = run.answers(rare, key);
            *steps_left = run.steps_left();
        }
        match answered {
            Ok(set) => Ok(take(scratch.set(set))),
            Err(stop) => {
                scratch.reset();
                Err(stop)
            }
        }
    }
}

/// Which columns of a key have values, and these.
fn given(key: &[Option<Value>]) -> (Pattern, Vec<Value>) {
    let known = key.iter().enumerate().filter_map(|(at, value)| Some((at, (*value)?)));
    let (columns, values): (Vec<usize>, Vec<Value>) = known.unzip();
    (Pattern::of(columns), values)
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.demand.is_empty() {
            let mut scratch = std::mem::take(&mut self.state.get_mut().scratch);
            scratch.reset();
            SPARE.set(Some(scratch));
        }
    }
}
