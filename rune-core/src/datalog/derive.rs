//! Derivation: stratum by stratum, from new rows to newer ones, until there are none (semi-naive evaluation; Bancilhon 1986,
//! Balbin and Ramamohanarao 1987).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
};

use crate::{
    base::{Span, Threads, Value, Values, limits},
    check::rules::{Names, PredicateId},
    facts::{IndexId, Relation, RowId, Store, Tick, matches},
    syntax::rules::Choice,
};

use super::{
    CompiledRule, DatalogEngine, Plan,
    bulk::{Code, Machine, Worker},
    demand::Demand,
    fold, n_rows,
    solve::{Flow, Solver, Stop},
};

/// Why a derivation did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeriveError {
    /// Which bound was passed.
    pub bound: Bound,
    /// The rule that passed it, in words.
    pub rule: String,
    /// Where that stands.
    pub span: Span,
}

/// A bound of a derivation, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Steps in all.
    Steps(u64),
    /// Rows in all.
    Rows(u64),
    /// Rounds of rules that derive from what they derived.
    Rounds(u64),
}

impl fmt::Display for DeriveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bound {
            Bound::Steps(n) => write!(f, "{} takes more steps than the {n} that there may be", self.rule),
            Bound::Rows(n) => write!(f, "{} derives more rows than the {n} that there may be", self.rule),
            Bound::Rounds(n) => {
                write!(f, "{} derives from what it derived more often than the {n} times that it may", self.rule)
            }
        }
    }
}

/// The bounds of a derivation.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Steps in all.
    pub steps_max: u64,
    /// Rows in all.
    pub rows_max: u64,
    /// How many threads may derive at once.
    pub threads: Threads,
}

/// What is derived.
#[derive(Debug, Clone, Copy)]
pub enum Strata<'a> {
    /// These relations, which depend on no request. What a later derivation adds is younger than what an earlier one has.
    Lasting {
        /// The relations.
        these: &'a BTreeSet<PredicateId>,
        /// How many derivations there were before.
        n_before: u32,
    },
    /// Those that depend on one, after those among the others that follow from an entity which only the request names.
    OfRequest {
        /// Principal, action, resource and context.
        request: [Value; 4],
        /// The relations that do not depend on the request and are derived anew.
        anew: &'a BTreeSet<PredicateId>,
    },
}

impl Strata<'_> {
    /// What a request derives is younger than all that lasts. A tick passes only with a new row or a stratum, and of those there are
    /// far fewer than ticks ([`ROWS_MAX`](crate::base::limits::ROWS_MAX)).
    fn first_tick(self) -> Tick {
        match self {
            Self::Lasting { n_before, .. } => Tick(1 + (n_before << 28)),
            Self::OfRequest { .. } => Tick(1 << 31),
        }
    }

    fn of(self, engine: &DatalogEngine) -> impl Iterator<Item = Vec<&CompiledRule>> {
        let (lasting, of_request) = match self {
            Strata::Lasting { these, .. } => (these, None),
            Strata::OfRequest { anew, .. } => (anew, Some(&engine.request_strata)),
        };
        let rules = |stratum: &Vec<usize>| stratum.iter().filter_map(|at| engine.rules.get(*at)).collect::<Vec<_>>();
        let is_wanted = |rule: &&CompiledRule| lasting.contains(&rule.head);
        let strata = engine.strata.iter().filter(|_| !lasting.is_empty());
        let strata = strata.map(move |stratum| rules(stratum).into_iter().filter(is_wanted).collect());
        strata.filter(|rules: &Vec<_>| !rules.is_empty()).chain(of_request.into_iter().flatten().map(rules))
    }
}

/// What a derivation took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// How many more steps may be taken.
    pub steps_left: u64,
    /// How many rows were looked at.
    pub n_touched: u64,
    /// How many rows are new.
    pub n_rows: u64,
}

/// Derives what follows from the rows of `store`, stratum by stratum.
///
/// # Errors
///
/// If it takes more steps or rows than it may. What has been derived by then is not all that follows.
pub fn derive(
    engine: &DatalogEngine,
    store: &mut impl Store,
    values: &mut impl Values,
    strata: Strata<'_>,
    bounds: Bounds,
) -> Result<Work, DeriveError> {
    let request = match strata {
        Strata::Lasting { .. } => [Value::UNKNOWN; 4],
        Strata::OfRequest { request, .. } => request,
    };
    let mut run = Run {
        engine,
        request,
        bounds,
        steps_left: bounds.steps_max,
        n_rows: 0,
        n_touched: 0,
        now: strata.first_tick(),
        machine: Machine::default(),
        workers: Vec::new(),
    };
    let is_lasting = matches!(strata, Strata::Lasting { .. });
    for stratum in strata.of(engine) {
        run.stratum(&stratum, is_lasting, store, values)?;
    }
    Ok(Work { steps_left: run.steps_left, n_touched: run.n_touched, n_rows: run.n_rows })
}

/// Derives what is derived ahead of all questions, and says what demand answers for instead. With `all`, nothing is left to it.
///
/// # Errors
///
/// Those of [`derive`].
pub fn derive_ahead(
    engine: &DatalogEngine,
    store: &mut impl Store,
    values: &mut impl Values,
    all: bool,
    bounds: Bounds,
) -> Result<(Work, Demand), DeriveError> {
    let heads = engine.strata.iter().flatten().filter_map(|at| engine.rules.get(*at)).map(|rule| rule.head);
    let heads: BTreeSet<PredicateId> = heads.collect();
    let left = if all { BTreeSet::new() } else { engine.demandable(store) };
    let these = heads.difference(&left).copied().collect();
    let first = derive(engine, store, values, Strata::Lasting { these: &these, n_before: 0 }, bounds)?;
    // What is undetermined shows now: what reads it is not left either.
    let demanded = if all { BTreeSet::new() } else { engine.demandable(store) };
    let these: BTreeSet<PredicateId> = left.difference(&demanded).copied().collect();
    let rest = Bounds { steps_max: first.steps_left, rows_max: bounds.rows_max.saturating_sub(first.n_rows), ..bounds };
    let second = derive(engine, store, values, Strata::Lasting { these: &these, n_before: 1 }, rest)?;
    let work = Work { n_touched: first.n_touched + second.n_touched, n_rows: first.n_rows + second.n_rows, ..second };
    let demand = if all { Demand::default() } else { Demand::of(engine, store, demanded) };
    Ok((work, demand))
}

pub(super) struct Run<'e> {
    engine: &'e DatalogEngine,
    request: [Value; 4],
    pub(super) bounds: Bounds,
    pub(super) steps_left: u64,
    pub(super) n_rows: u64,
    pub(super) n_touched: u64,
    /// When the next rows come.
    pub(super) now: Tick,
    pub(super) machine: Machine,
    /// What several threads do, where there is much to do.
    pub(super) workers: Vec<Worker>,
}

impl Run<'_> {
    pub(super) fn too_many_steps(&self, rule: &CompiledRule) -> DeriveError {
        DeriveError { bound: Bound::Steps(self.bounds.steps_max), rule: rule.name.clone(), span: rule.span }
    }

    pub(super) fn too_many_rows(&self, rule: &CompiledRule) -> DeriveError {
        DeriveError { bound: Bound::Rows(self.bounds.rows_max), rule: rule.name.clone(), span: rule.span }
    }

    /// The fault is that of a rule that has derived something in the round before.
    fn too_many_rounds(rules: &[&CompiledRule], news: &[Range<RowId>]) -> DeriveError {
        let has_news = |rule: &&&CompiledRule| news.get(rule.head.0).is_some_and(|range| !range.is_empty());
        let found = rules.iter().find(has_news);
        let (rule, span) = found.map_or_else(|| (String::new(), Span::NOWHERE), |rule| (rule.name.clone(), rule.span));
        DeriveError { bound: Bound::Rounds(limits::ROUNDS_MAX), rule, span }
    }

    fn stratum(
        &mut self,
        rules: &[&CompiledRule],
        is_lasting: bool,
        store: &mut impl Store,
        values: &mut impl Values,
    ) -> Result<(), DeriveError> {
        let mut heads: Vec<PredicateId> = rules.iter().map(|rule| rule.head).collect();
        if heads.contains(&Names::PARENT) {
            heads.push(Names::IN);
        }
        heads.sort_unstable();
        heads.dedup();
        let mut news: Vec<Range<RowId>> = vec![0..0; self.engine.relations.len()];
        for head in &heads {
            if let Some(range) = news.get_mut(head.0) {
                *range = n_rows(store, *head)..n_rows(store, *head);
            }
        }
        let mut erred = vec![false; rules.len()];
        let codes = |rule: &&CompiledRule| if is_lasting { rule.codes(&heads, store) } else { None };
        let codes: Vec<Option<Vec<Code>>> = rules.iter().map(codes).collect();
        let mut is_first = true;
        for n_rounds in 0u64.. {
            if limits::ROUNDS_MAX < n_rounds {
                return Err(Self::too_many_rounds(rules, &news));
            }
            for ((rule, erred), codes) in rules.iter().zip(&mut erred).zip(&codes) {
                if let Some(codes) = codes {
                    let is_done = self.round(rule, codes, is_first.then_some(&heads), &news, store, values)?;
                    // Why something has no value, and what follows all the same, is found from all rows.
                    if let (false, Some(plan)) = (is_done, rule.plans.first()) {
                        *erred |= self.apply(rule, plan, &news, store, values)?;
                    }
                    continue;
                }
                // The plan over all rows once, then those over new rows.
                let plans = if is_first { rule.plans.get(..1) } else { rule.plans.get(1..) };
                for plan in plans.unwrap_or_default() {
                    *erred |= self.apply(rule, plan, &news, store, values)?;
                }
            }
            is_first = false;
            let mut has_news = false;
            for head in &heads {
                if let Some(range) = news.get_mut(head.0) {
                    *range = range.end..n_rows(store, *head);
                    has_news |= range.start < range.end;
                }
            }
            if !has_news {
                break;
            }
        }
        self.doubts(rules, &erred, &heads, store, values)?;
        self.choose(&heads, store, values);
        Ok(())
    }

    /// Adds what a rule derives along a plan, and says whether something had no value.
    fn apply(
        &mut self,
        rule: &CompiledRule,
        plan: &Plan,
        news: &[Range<RowId>],
        store: &mut impl Store,
        values: &mut impl Values,
    ) -> Result<bool, DeriveError> {
        let mut rows: Vec<Value> = Vec::new();
        let mut row = Vec::new();
        index_late(rule, store);
        let left = self.bounds.rows_max.saturating_sub(self.n_rows);
        let mut solver = Solver::new(values, &*store, self.request, self.steps_left);
        solver.begin(rule);
        solver.news = news;
        let arity = rule.args.len().max(1) as u64;
        let (mut is_full, mut is_found) = (false, false);
        let flow = solver.solve(&rule.body, plan, &mut |solver| {
            solver.row(&rule.args, &mut row);
            if let Some(misfit) = solver.fit(rule, &mut row) {
                return solver.err(misfit);
            }
            is_found = true;
            let known = solver.store.relation(rule.head).is_some_and(|relation| relation.rows.find(&row).is_some());
            if !known {
                rows.extend_from_slice(&row);
                // Rows that one application finds twice count twice here, so that its memory is bounded too.
                if left.saturating_mul(2) < rows.len() as u64 / arity {
                    is_full = true;
                    return Flow::Break(Stop::Enough);
                }
            }
            Flow::Continue(())
        });
        let has_erred = solver.erred.is_some();
        self.steps_left = solver.steps_left();
        self.n_touched += solver.n_touched();
        if flow == Flow::Break(Stop::TooManySteps) {
            return Err(self.too_many_steps(rule));
        }
        let heads = [rule.head, Names::IN];
        let sizes = heads.map(|id| n_rows(store, id));
        // A relation without columns has one row, which takes no place in the list.
        if rule.args.is_empty() && is_found {
            self.n_rows += insert(store, rule.head, &[]);
        }
        for row in rows.chunks_exact(rule.args.len().max(1)) {
            self.n_rows += insert(store, rule.head, row);
            is_full |= self.bounds.rows_max < self.n_rows;
            if is_full {
                break;
            }
        }
        if is_full {
            return Err(self.too_many_rows(rule));
        }
        let mut is_news = false;
        for (id, n_before) in heads.into_iter().zip(sizes) {
            let n = n_rows(store, id);
            if let Some(relation) = store.relation_mut(id) {
                relation.births.note(self.now, n_before..n);
            }
            is_news |= n_before < n;
        }
        if is_news {
            self.now = self.now.next();
        }
        Ok(has_erred)
    }

    /// Adds what may be, to a fixpoint: all rules once, then from new doubts to newer ones.
    fn doubts(
        &mut self,
        rules: &[&CompiledRule],
        erred: &[bool],
        heads: &[PredicateId],
        store: &mut impl Store,
        values: &mut impl Values,
    ) -> Result<(), DeriveError> {
        let n_doubts = |store: &_, id: PredicateId| Store::relation(store, id).map_or(0, |of| of.doubts.len());
        let mut news: Vec<Range<RowId>> = vec![0..0; self.engine.relations.len()];
        let mark = |news: &mut Vec<Range<RowId>>, store: &_| {
            let mut has_news = false;
            for head in heads {
                if let Some(range) = news.get_mut(head.0) {
                    *range = range.end..n_doubts(store, *head);
                    has_news |= range.start < range.end;
                }
            }
            has_news
        };
        mark(&mut news, store);
        for (rule, erred) in rules.iter().zip(erred) {
            if *erred || rule.body.reads_doubts(store) {
                self.doubt(rule, None, store, values)?;
            }
        }
        while mark(&mut news, store) {
            for rule in rules {
                for delta in rule.body.recursive(heads) {
                    self.doubt(rule, Some((delta, &news)), store, values)?;
                }
            }
        }
        Ok(())
    }

    /// Adds what may be by one rule; with a delta, what may be by new doubts in one ask.
    fn doubt(
        &mut self,
        rule: &CompiledRule,
        delta: Option<(usize, &[Range<RowId>])>,
        store: &mut impl Store,
        values: &mut impl Values,
    ) -> Result<(), DeriveError> {
        let Some(plan) = rule.plans.first() else { return Ok(()) };
        index_late(rule, store);
        let left = self.bounds.rows_max.saturating_sub(self.n_rows);
        let mut found: BTreeMap<Vec<Value>, Value> = BTreeMap::new();
        let mut row = Vec::new();
        let mut solver = Solver::new(values, &*store, self.request, self.steps_left);
        solver.begin(rule);
        let flow = solver.doubts(&rule.body, plan, delta, &mut |solver, cause| {
            solver.row(&rule.args, &mut row);
            let misfit = solver.fit(rule, &mut row).map(|misfit| solver.cause(misfit));
            let Some(cause) = cause.or(misfit) else { return Flow::Continue(()) };
            if !found.contains_key(&row) {
                found.insert(row.clone(), cause);
            }
            if left < found.len() as u64 { Flow::Break(Stop::Enough) } else { Flow::Continue(()) }
        });
        self.steps_left = solver.steps_left();
        match flow {
            Flow::Break(Stop::TooManySteps) => return Err(self.too_many_steps(rule)),
            Flow::Break(Stop::Enough) => return Err(self.too_many_rows(rule)),
            Flow::Continue(()) => {}
        }
        for (row, cause) in found {
            self.n_rows += doubt(store, rule.head, &row, cause);
            if self.bounds.rows_max < self.n_rows {
                return Err(self.too_many_rows(rule));
            }
        }
        Ok(())
    }

    /// Keeps the value that counts of those that a key has.
    fn choose(&mut self, heads: &[PredicateId], store: &mut impl Store, values: &impl Values) {
        for head in heads {
            let Some(info) = self.engine.relations.get(head.0) else { continue };
            let Some((n_keys, choice)) = info.choice else { continue };
            let Some(relation) = store.relation_mut(*head) else { continue };
            keep_chosen(relation, n_keys, choice, info.arity, values);
            relation.births.note(self.now, 0..relation.rows.len());
            for columns in &info.indexes {
                relation.rows.index_on(columns);
            }
        }
        self.now = self.now.next();
    }
}

fn index_late(rule: &CompiledRule, store: &mut impl Store) {
    for (id, columns) in &rule.late {
        index(store, *id, columns);
    }
}

/// Makes an index that is not there yet: a relation that others share is copied to be changed.
pub(super) fn index(store: &mut impl Store, id: PredicateId, columns: &[usize]) {
    let is_missing = |relation: &Relation| relation.rows.find_index(columns).is_none();
    if store.relation(id).is_some_and(is_missing)
        && let Some(relation) = store.relation_mut(id)
    {
        relation.rows.index_on(columns);
    }
}

/// Reduces a relation to one row for each key; a key that a doubt concerns has none for sure.
fn keep_chosen(relation: &mut Relation, n_keys: usize, choice: Choice, arity: usize, values: &impl Values) {
    let mut best: std::collections::BTreeMap<Vec<Value>, Vec<Value>> = std::collections::BTreeMap::new();
    for row in relation.rows.rows() {
        let (Some(key), Some(value)) = (row.get(..n_keys), row.get(n_keys)) else { continue };
        let known = best.entry(key.to_vec()).or_insert_with(|| row.to_vec());
        let of = [known.get(n_keys).copied().unwrap_or(*value), *value];
        if let Ok(Some(chosen)) = fold::chosen(values, choice, of.into_iter()) {
            known.truncate(n_keys);
            known.push(chosen);
        }
    }
    let mut reduced = Relation::new(arity);
    for (row, cause) in relation.doubts.iter() {
        reduced.doubts.insert(row, cause);
    }
    for (key, row) in best {
        let of_key: Vec<Option<Value>> = key.into_iter().map(Some).chain([None]).collect();
        match relation.doubts.cause(&of_key) {
            Some(cause) => drop(reduced.doubts.insert(&row, cause)),
            None => drop(reduced.rows.insert(&row)),
        }
    }
    *relation = reduced;
}

/// Adds a row that stands somewhere, before any is derived, and with a parent all that follows for `in`. Says how many rows are
/// new.
pub fn give(store: &mut impl Store, id: PredicateId, row: &[Value], span: Span) -> u64 {
    let n_new = insert(store, id, row);
    if let Some(relation) = store.relation_mut(id).filter(|_| 0 < n_new) {
        relation.places.push(span);
    }
    n_new
}

/// Adds a row, and with a parent all that follows for `in`. Says how many rows are new.
pub fn insert(store: &mut impl Store, id: PredicateId, row: &[Value]) -> u64 {
    let is_new = store.relation_mut(id).is_some_and(|relation| relation.rows.insert(row));
    let mut n_new = u64::from(is_new);
    if let (true, Names::PARENT, [child, parent]) = (is_new, id, row) {
        let Some(relation) = store.relation_mut(Names::IN) else { return n_new };
        // Whoever is below the child is now below whatever the parent is below.
        let (below, above) = (relation.rows.index_on(&[1]), relation.rows.index_on(&[0]));
        let cell = |id: RowId, column: usize| relation.rows.row(id).get(column).copied();
        let lower: Vec<Value> =
            relation.rows.probe(below, &[*child]).filter_map(|id| cell(id, 0)).chain([*child]).collect();
        let upper: Vec<Value> =
            relation.rows.probe(above, &[*parent]).filter_map(|id| cell(id, 1)).chain([*parent]).collect();
        for low in &lower {
            for high in &upper {
                n_new += u64::from(relation.rows.insert(&[*low, *high]));
            }
        }
        // An earlier stratum may have left doubts about who is below whom, which reach further now.
        if !relation.doubts.is_empty() {
            n_new += doubt_below(relation, [*child, *parent], None);
        }
    }
    n_new
}

/// Adds a row that is undetermined, and with a parent all that may follow for `in`. Says how many rows are new.
fn doubt(store: &mut impl Store, id: PredicateId, row: &[Value], cause: Value) -> u64 {
    let Some(relation) = store.relation_mut(id) else { return 0 };
    if relation.rows.find(row).is_some() || !relation.doubts.insert(row, cause) {
        return 0;
    }
    if let (Names::PARENT, [child, parent]) = (id, row)
        && let Some(relation) = store.relation_mut(Names::IN)
    {
        return 1 + doubt_below(relation, [*child, *parent], Some(cause));
    }
    1
}

/// Adds to `in` all that may follow from a parent, which is itself certain or has a cause not to be: whoever is below the child,
/// or may be, may be below whatever the parent is below, or may be. Says how many rows are new.
fn doubt_below(relation: &mut Relation, [child, parent]: [Value; 2], cause: Option<Value>) -> u64 {
    relation.doubts.index(2);
    let (below, above) = (relation.rows.index_on(&[1]), relation.rows.index_on(&[0]));
    let lower = beside(relation, (below, 1), child, cause);
    let upper = beside(relation, (above, 0), parent, cause);
    let mut n_new = 0;
    for (low, of_low) in &lower {
        for (high, of_high) in &upper {
            if let Some(cause) = cause.or(*of_low).or(*of_high)
                && relation.rows.find(&[*low, *high]).is_none()
            {
                n_new += u64::from(relation.doubts.insert(&[*low, *high], cause));
            }
        }
    }
    n_new
}

/// A value itself, and what stands beside it in `in`, certain or not: each with why it may not be so.
fn beside(
    relation: &Relation,
    (index, column): (IndexId, usize),
    value: Value,
    cause: Option<Value>,
) -> Vec<(Value, Option<Value>)> {
    let other = |row: &[Value]| row.get(1 - column).copied();
    let mut found = vec![(value, cause)];
    if value == Value::UNKNOWN {
        found.extend(relation.rows.rows().filter_map(|row| Some((other(row)?, None))));
    } else {
        found.extend(relation.rows.probe(index, &[value]).filter_map(|at| Some((other(relation.rows.row(at))?, None))));
    }
    let key = if column == 0 { [Some(value), None] } else { [None, Some(value)] };
    found.extend(
        relation
            .doubts
            .candidates(&key)
            .filter(|(row, _)| matches(row, &key))
            .filter_map(|(row, cause)| Some((other(row)?, Some(cause)))),
    );
    found
}
