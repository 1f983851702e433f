//! Rows that are missing: the few that, were they given, would make a row of a relation follow (abduction; Kakas, Kowalski and
//! Toni 1992, bounded).
//!
//! From the goal down, as in SLD resolution: a row is there, or it is given anew if files or the API may give it, or a rule
//! derives it from rows of which the same is true. Conditions that no row makes true (guards, denials, aggregates) must hold as
//! things are. What is found may be enough: whoever adds it decides again, since a new row may also stand in the way.

use std::ops::ControlFlow;

use crate::{
    base::{Value, Values, View, limits},
    check::rules::{Names, PredicateId, Term},
    expr::Want,
    facts::{RowId, Store, Tick, matches},
    schema::Schema,
};

use super::{
    Ask, AskKind, Body, CompiledRule, DatalogEngine, is_known,
    solve::{Flow, Solver, Stop, entities},
};

/// A row that is missing.
pub type Missing = (PredicateId, Vec<Value>);

/// What is to be made true.
#[derive(Debug, Clone)]
pub enum Wanted<'w> {
    /// All of these.
    All(&'w [Want]),
    /// That a rule derives a row with these values.
    Row(&'w CompiledRule, Vec<Option<Value>>),
}

/// Rows that may make something true.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'o> {
    /// Those that are missing.
    pub missing: &'o [Missing],
    /// Those that are there and would have to go.
    pub blockers: &'o [Missing],
}

/// Whether rows that are there may be in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// Nothing is.
    No,
    /// Some are, which a condition denies.
    Yes,
}

/// Entities that are tried in the place of one that cannot be a parent itself.
const STEPS_DOWN_MAX: usize = 16;

impl<'a, V: Values, S: Store> Solver<'a, V, S> {
    /// Offers sets of `n` rows that may make true what is wanted, blockers among them counted, until one is taken: `take` says
    /// so. A variable has the values that conditions, the request and what is wanted give it.
    ///
    /// # Errors
    ///
    /// If the steps run out before.
    pub fn missing(
        &mut self,
        engine: &'a DatalogEngine,
        schema: Option<&Schema>,
        (wanted, blocked): (&Wanted<'a>, Blocked),
        n: usize,
        take: &mut dyn FnMut(&V, Offer<'_>) -> bool,
    ) -> Result<(), Stop> {
        let (given, blockers, path) = (Vec::new(), Vec::new(), Vec::new());
        let mut search = Search { solver: self, engine, schema, n_max: n, blocked, given, blockers, path };
        let mut offer = |search: &mut Search<'_, 'a, V, S>| {
            // Smaller sets were offered before.
            let is_new = search.n_left() == 0 && search.blockers.is_empty() == (blocked == Blocked::No);
            let offer = Offer { missing: &search.given, blockers: &search.blockers };
            if is_new && take(search.solver.values, offer) { Flow::Break(Stop::Enough) } else { Flow::Continue(()) }
        };
        let flow = match wanted {
            Wanted::All(wants) => search.all(wants, &mut offer),
            Wanted::Row(rule, row) => search.rule(rule, row, &mut |search, _| offer(search)),
        };
        match flow {
            Flow::Continue(()) | Flow::Break(Stop::Enough) => Ok(()),
            Flow::Break(stop) => Err(stop),
        }
    }
}

struct Search<'s, 'a, V, S> {
    solver: &'s mut Solver<'a, V, S>,
    engine: &'a DatalogEngine,
    schema: Option<&'s Schema>,
    n_max: usize,
    blocked: Blocked,
    given: Vec<Missing>,
    blockers: Vec<Missing>,
    /// The rows that are being derived, each for the sake of the one before.
    path: Vec<(PredicateId, Vec<Option<Value>>)>,
}

type Then<'t, 's, 'a, V, S> = &'t mut dyn FnMut(&mut Search<'s, 'a, V, S>) -> Flow;
type ThenRow<'t, 's, 'a, V, S> = &'t mut dyn FnMut(&mut Search<'s, 'a, V, S>, &[Value]) -> Flow;

impl<'s, 'a, V: Values, S: Store> Search<'s, 'a, V, S> {
    fn all(&mut self, wants: &[Want], then: Then<'_, 's, 'a, V, S>) -> Flow {
        match wants.split_first() {
            None => then(self),
            Some((Want::Row(relation, row), rest)) => {
                let key: Vec<Option<Value>> = row.iter().copied().map(Some).collect();
                self.row(PredicateId(*relation), &key, &mut |search, _| search.all(rest, then))
            }
            Some((Want::Below(low, high), rest)) => self.below(*low, *high, &mut |search| search.all(rest, then)),
            Some((Want::NoRow(relation, row), rest)) => {
                self.without(vec![(PredicateId(*relation), row.clone())], &mut |search| search.all(rest, then))
            }
            Some((Want::NotBelow(low, high), rest)) => {
                self.without(vec![(Names::IN, vec![*low, *high])], &mut |search| search.all(rest, then))
            }
        }
    }

    /// How many more rows may be missing or in the way.
    fn n_left(&self) -> usize {
        self.n_max.saturating_sub(self.given.len() + self.blockers.len())
    }

    /// Goes on as if these rows, which are in the way, were not there.
    fn without(&mut self, rows: Vec<Missing>, then: Then<'_, 's, 'a, V, S>) -> Flow {
        let new: Vec<Missing> = rows.into_iter().filter(|row| !self.blockers.contains(row)).collect();
        if self.blocked == Blocked::No || self.n_left() < new.len() || new.iter().any(|row| self.given.contains(row)) {
            return Flow::Continue(());
        }
        let n = self.blockers.len();
        self.blockers.extend(new);
        let flow = then(self);
        self.blockers.truncate(n);
        flow
    }

    /// What is there that a condition denies; none if that cannot be told.
    fn denied(&mut self, ask: &Ask) -> ControlFlow<Stop, Vec<Missing>> {
        let AskKind::Not(inner) = &ask.kind else { return ControlFlow::Continue(Vec::new()) };
        match &inner.kind {
            AskKind::Atom(id, args) => {
                let key = self.solver.key(args);
                let rows = self.matching(*id, &key)?;
                ControlFlow::Continue(rows.into_iter().map(|row| (*id, row)).collect())
            }
            AskKind::In(low, high, _) => {
                let row = vec![self.solver.term(*low), self.solver.term(*high)];
                let is_known = row.iter().all(|value| matches!(self.solver.values.view(*value), View::Entity(..)));
                ControlFlow::Continue(if is_known { vec![(Names::IN, row)] } else { Vec::new() })
            }
            _ => ControlFlow::Continue(Vec::new()),
        }
    }

    /// The rows of a relation that agree with what is known: those that are there, one that is given, those that rules derive.
    fn row(&mut self, id: PredicateId, key: &[Option<Value>], then: ThenRow<'_, 's, 'a, V, S>) -> Flow {
        self.solver.spend(1)?;
        if let Some(row) = key.iter().copied().collect::<Option<Vec<Value>>>() {
            let is_there = self.is_there(id, &row)?;
            if is_there || self.given.iter().any(|(of, given)| *of == id && *given == row) {
                return then(self, &row);
            }
            if 0 < self.n_left() && self.may_give(id, &row) {
                self.given.push((id, row.clone()));
                let flow = then(self, &row);
                self.given.pop();
                flow?;
            }
        } else {
            for row in self.matching(id, key)? {
                then(self, &row)?;
            }
        }
        let step = (id, key.to_vec());
        if self.path.contains(&step) {
            return Flow::Continue(());
        }
        // What is beyond is not looked at, and that is told.
        if limits::MISSING_DEPTH_MAX <= self.path.len() {
            return Flow::Break(Stop::TooManySteps);
        }
        let engine = self.engine;
        for rule in engine.rules_for(id) {
            self.path.push(step.clone());
            let flow = self.rule(rule, key, &mut |search, row| {
                // What comes after is not for the sake of this row.
                let step = search.path.pop();
                let flow = then(search, row);
                search.path.extend(step);
                flow
            });
            self.path.pop();
            flow?;
        }
        Flow::Continue(())
    }

    fn is_there(&self, id: PredicateId, row: &[Value]) -> ControlFlow<Stop, bool> {
        let store = self.solver.store;
        if store.is_demanded(id) {
            let key: Vec<Option<Value>> = row.iter().copied().map(Some).collect();
            return self.demanded(id, &key).map_continue(|rows| !rows.is_empty());
        }
        ControlFlow::Continue(store.relation(id).is_some_and(|relation| relation.rows.find(row).is_some()))
    }

    fn demanded(&self, id: PredicateId, key: &[Option<Value>]) -> ControlFlow<Stop, Vec<(RowId, Vec<Value>)>> {
        match self.solver.store.demanded(self.solver.values, id, key, Tick::END) {
            Ok(rows) => ControlFlow::Continue(rows),
            Err(_) => ControlFlow::Break(Stop::TooManySteps),
        }
    }

    /// The rows that are there, or given, and agree with what is known.
    fn matching(&mut self, id: PredicateId, key: &[Option<Value>]) -> ControlFlow<Stop, Vec<Vec<Value>>> {
        let store = self.solver.store;
        let mut found: Vec<Vec<Value>> =
            self.given.iter().filter(|(of, row)| *of == id && matches(row, key)).map(|(_, row)| row.clone()).collect();
        if store.is_demanded(id) {
            for (_, row) in self.demanded(id, key)? {
                self.solver.touch()?;
                found.push(row);
            }
            return ControlFlow::Continue(found);
        }
        let Some(relation) = store.relation(id) else { return ControlFlow::Continue(found) };
        let columns: Vec<usize> = (0..key.len()).filter(|at| key.get(*at).is_some_and(Option::is_some)).collect();
        match relation.rows.find_index(&columns) {
            Some(index) => {
                let known: Vec<Value> = key.iter().copied().flatten().collect();
                for at in relation.rows.probe(index, &known) {
                    self.solver.touch()?;
                    found.push(relation.rows.row(at).to_vec());
                }
            }
            None => {
                for row in relation.rows.rows() {
                    self.solver.touch()?;
                    if matches(row, key) {
                        found.push(row.to_vec());
                    }
                }
            }
        }
        ControlFlow::Continue(found)
    }

    /// That an entity is in another: it is, or a parent is given, itself or one that is in it.
    fn below(&mut self, low: Value, high: Value, then: Then<'_, 's, 'a, V, S>) -> Flow {
        if self.solver.is_in(low, high) == Ok(true) {
            return then(self);
        }
        let Ok(above) = entities(self.solver.values, high, true) else { return Flow::Continue(()) };
        for high in above {
            let key = [Some(low), Some(high)];
            self.row(Names::PARENT, &key, &mut |search, _| then(search))?;
            if self.may_be_parent(low, high) {
                continue;
            }
            let below = self.matching(Names::IN, &[None, Some(high)])?;
            for step in below.iter().filter_map(|row| row.first()).take(STEPS_DOWN_MAX) {
                self.row(Names::PARENT, &[Some(low), Some(*step)], &mut |search, _| then(search))?;
            }
        }
        Flow::Continue(())
    }

    /// The instances of a rule that derive a row which agrees with what is known.
    fn rule(&mut self, rule: &'a CompiledRule, key: &[Option<Value>], then: ThenRow<'_, 's, 'a, V, S>) -> Flow {
        let frame = std::mem::replace(&mut self.solver.slots, vec![Value::UNKNOWN; rule.variables.len()]);
        let mut agrees = true;
        for (arg, value) in rule.args.iter().zip(key) {
            let (known, Some(value)) = (self.solver.term(*arg), *value) else { continue };
            match arg {
                Term::Slot(slot) if !is_known(known) => self.solver.set(*slot, value),
                Term::Slot(_) | Term::Constant(_) => agrees &= known == value,
                Term::Any => {}
            }
        }
        let mut flow = Flow::Continue(());
        if agrees {
            let open: Vec<usize> = (0..rule.body.asks.len()).collect();
            flow = self.body(&rule.body, &open, &[], &mut |search| {
                let mut row = Vec::new();
                search.solver.row(&rule.args, &mut row);
                if search.solver.fit(rule, &mut row).is_some() {
                    return Flow::Continue(());
                }
                let inner = std::mem::replace(&mut search.solver.slots, frame.clone());
                let flow = then(search, &row);
                search.solver.slots = inner;
                flow
            });
        }
        self.solver.slots = frame;
        flow
    }

    /// The instances of a body. `put_off` are conditions that wait until all their values are known, to be given then.
    // Recurses once per condition that is asked, of all rules within one another: explanations have a stack for it.
    fn body(&mut self, body: &'a Body, open: &[usize], put_off: &[usize], then: Then<'_, 's, 'a, V, S>) -> Flow {
        self.solver.spend(1)?;
        let ask = |at: &usize| body.asks.get(*at);
        let all = || open.iter().chain(put_off).copied();
        let n_unknown = |at: &usize| ask(at).map_or(0, |ask| self.n_unknown(ask));
        // What only asks comes first, then rows that are known whole, then what binds most.
        let next = all().find(|at| ask(at).is_some_and(|ask| is_test(ask) && n_unknown(at) == 0));
        let next = next.or_else(|| all().find(|at| ask(at).is_some_and(|ask| !is_test(ask)) && n_unknown(at) == 0));
        let is_pair = |at: &usize| ask(at).is_some_and(|ask| matches!(ask.kind, AskKind::In(..)));
        let next = next.or_else(|| open.iter().copied().find(|at| is_pair(at) && n_unknown(at) == 1));
        let row_of = |at: &usize| ask(at).is_some_and(|ask| matches!(ask.kind, AskKind::Atom(..)));
        let next = next.or_else(|| open.iter().copied().filter(row_of).min_by_key(n_unknown));
        let Some(next) = next else {
            return if open.is_empty() && put_off.is_empty() { then(self) } else { Flow::Continue(()) };
        };
        let Some(asked) = ask(&next) else { return Flow::Continue(()) };
        let is_whole = n_unknown(&next) == 0;
        let without = |list: &[usize]| list.iter().copied().filter(|at| *at != next).collect::<Vec<_>>();
        let (open, put_off) = (without(open), without(put_off));
        self.ask(asked, &mut |search| search.body(body, &open, &put_off, then))?;
        if is_whole {
            return Flow::Continue(());
        }
        let put_off: Vec<usize> = put_off.iter().copied().chain([next]).collect();
        self.body(body, &open, &put_off, then)
    }

    /// How many values of a condition are not known yet.
    fn n_unknown(&self, ask: &Ask) -> usize {
        let is_open = |term: &&Term| !is_known(self.solver.term(**term));
        match &ask.kind {
            AskKind::Atom(_, args) => args.iter().filter(is_open).count(),
            AskKind::In(left, right, _) => [left, right].into_iter().filter(is_open).count(),
            _ => ask.needs.iter().filter(|slot| is_open(&&Term::Slot(**slot))).count(),
        }
    }

    fn ask(&mut self, ask: &'a Ask, then: Then<'_, 's, 'a, V, S>) -> Flow {
        match &ask.kind {
            AskKind::Atom(id, args) => {
                let key: Vec<Option<Value>> =
                    args.iter().map(|arg| Some(self.solver.term(*arg)).filter(|value| is_known(*value))).collect();
                self.row(*id, &key, &mut |search, row| search.bound(args, row, then))
            }
            AskKind::In(left, right, _) => {
                let (low, high) = (self.solver.term(*left), self.solver.term(*right));
                if is_known(low) && is_known(high) {
                    return self.below(low, high, then);
                }
                let (known, open) = if is_known(low) { (low, *right) } else { (high, *left) };
                let mut all = vec![known];
                if is_known(low) {
                    all.extend(self.solver.store.ancestors(self.solver.values, low).0);
                } else {
                    all.extend(self.matching(Names::IN, &[None, Some(high)])?.iter().filter_map(|row| row.first()));
                }
                all.dedup();
                for value in all {
                    self.bound(&[open], &[value], then)?;
                }
                Flow::Continue(())
            }
            AskKind::Bind(slot, expr) => match self.solver.evaluate(expr) {
                Ok(value) => self.bound(&[Term::Slot(*slot)], &[value], then),
                Err(_) => Flow::Continue(()),
            },
            AskKind::Aggregate { result, fold, tuple, body, plan } => {
                match self.solver.aggregate(*fold, tuple, body, plan)? {
                    Ok(Some(value)) => self.bound(&[Term::Slot(*result)], &[value], then),
                    Ok(None) | Err(_) => Flow::Continue(()),
                }
            }
            AskKind::Guard(_) | AskKind::Is(..) | AskKind::Not(_) => match self.solver.test(ask) {
                Ok(true) => then(self),
                Ok(false) if self.blocked == Blocked::Yes => {
                    let denied = self.denied(ask)?;
                    if denied.is_empty() { Flow::Continue(()) } else { self.without(denied, then) }
                }
                Ok(false) | Err(_) => Flow::Continue(()),
            },
        }
    }

    /// Goes on with terms bound to the values of a row, if they agree.
    fn bound(&mut self, args: &[Term], row: &[Value], then: Then<'_, 's, 'a, V, S>) -> Flow {
        let before = self.solver.slots.clone();
        let mut agrees = true;
        for (arg, value) in args.iter().zip(row) {
            let known = self.solver.term(*arg);
            match arg {
                Term::Slot(slot) if !is_known(known) => self.solver.set(*slot, *value),
                Term::Slot(_) | Term::Constant(_) => agrees &= known == *value,
                Term::Any => {}
            }
        }
        let flow = if agrees { then(self) } else { Flow::Continue(()) };
        self.solver.slots = before;
        flow
    }

    /// Whether a row that is not there may be given.
    fn may_give(&mut self, id: PredicateId, row: &[Value]) -> bool {
        if let (Names::PARENT, [child, parent]) = (id, row) {
            let is_circle = self.solver.is_in(*parent, *child) != Ok(false);
            return !is_circle && self.may_be_parent(*child, *parent);
        }
        let engine = self.engine;
        let Some(giving) = engine.giving(id) else { return false };
        let fits = giving
            .types
            .iter()
            .zip(row)
            .all(|(types, value)| types.has(self.solver.values, *value) && self.is_listed(*value));
        fits && !self.is_taken(id, row)
    }

    /// Whether the key of a row has a value.
    fn is_taken(&mut self, id: PredicateId, row: &[Value]) -> bool {
        let store = self.solver.store;
        let (Some(n), Some(relation)) = (self.engine.n_keys(id), store.relation(id)) else { return false };
        let key: Vec<Value> = row.iter().copied().take(n).collect();
        let is_given = self.given.iter().any(|(of, given)| *of == id && given.starts_with(&key));
        if !is_given && store.is_demanded(id) {
            let of_row = row.iter().enumerate().map(|(at, value)| Some(*value).filter(|_| at < n));
            // What cannot be found within the steps may be there.
            return !matches!(self.demanded(id, &of_row.collect::<Vec<_>>()), ControlFlow::Continue(rows) if rows.is_empty());
        }
        let columns: Vec<usize> = (0..n).collect();
        match relation.rows.find_index(&columns) {
            _ if is_given => true,
            Some(index) => relation.rows.probe(index, &key).next().is_some(),
            // What cannot be looked up within the steps may be there.
            None => {
                self.solver.spend(u64::from(relation.rows.len())).is_break()
                    || relation.rows.rows().any(|other| other.starts_with(&key))
            }
        }
    }

    /// Whether an entity may have another for its parent, as the schema says.
    fn may_be_parent(&self, child: Value, parent: Value) -> bool {
        let values = &*self.solver.values;
        let (View::Entity(child_type, _), View::Entity(parent_type, _)) = (values.view(child), values.view(parent))
        else {
            return false;
        };
        let is_action = crate::schema::is_action_type(values.name(child_type));
        let Some(schema) = self.schema else { return !is_action };
        let may = schema.entity_type(child_type).is_some_and(|of| of.parents.contains(&parent_type));
        may && !is_action && self.is_listed(child) && self.is_listed(parent)
    }

    /// Whether an entity is one of those that its type lists, if it lists them.
    fn is_listed(&self, value: Value) -> bool {
        let (View::Entity(kind, id), Some(schema)) = (self.solver.values.view(value), self.schema) else { return true };
        let choices = schema.entity_type(kind).and_then(|of| of.choices.as_ref());
        choices.is_none_or(|choices| choices.contains(&id))
    }
}

/// Whether a condition takes no row of its own.
fn is_test(ask: &Ask) -> bool {
    !matches!(ask.kind, AskKind::Atom(..) | AskKind::In(..))
}
