//! The order of a rule's conditions: by branch and bound, at costs that were measured by trial.
//!
//! A probe at a place where memory was not read before counts as much as four rows that lie side by side.

use std::collections::BTreeSet;

use crate::{
    base::{Value, Values},
    check::rules::{Names, PredicateId, Slot, Term},
    expr::Check,
    facts::Store,
    syntax::rules::Fold,
};

use super::{
    code::{Bind, Code, Operand, Step},
    compile::{Compiler, Entry, TABLE, bind},
    prefix::Part,
    shape::{Literal, Pattern, slot_of},
};

/// Orders that are looked into, of one rule.
const NODES_MAX: usize = 4_000;
/// What a probe costs, in rows.
const PROBE: f64 = 4.0;
/// The part of what a test takes that it takes where it may succeed: it ends with the first row, and trials, whose values are drawn
/// one by one, seldom ask for one that is there. Of tests of many values most are in vain.
const UNTIL_FOUND: f64 = 0.7;
/// What a group of demand is estimated to hold.
const DEMANDED: f64 = 8.0;
/// Columns of which every choice is tried as a pattern; of more, all together and each alone.
const CHOICES_MAX: usize = 4;

/// A condition that is to be placed.
#[derive(Debug, Clone)]
pub(super) enum Planned {
    Literal(Literal),
    /// A group of what is demanded.
    Demand(usize, Vec<Term>),
}

impl Planned {
    fn terms(&self) -> Vec<Term> {
        match self {
            Self::Literal(literal) => literal.terms(),
            Self::Demand(_, terms) => terms.clone(),
        }
    }
}

/// A way to put a condition next.
struct Next {
    step: Step,
    /// What is known then.
    bound: BTreeSet<Slot>,
    rows: f64,
    cost: f64,
    /// Another condition that is put with it.
    also: Option<usize>,
}

impl Next {
    fn new(step: Step, bound: BTreeSet<Slot>, rows: f64, cost: f64) -> Self {
        Self { step, bound, rows, cost, also: None }
    }
}

struct Search<'s> {
    literals: &'s [Planned],
    /// The variables that are needed at the end.
    result: BTreeSet<Slot>,
    fixed: &'s BTreeSet<Slot>,
    best: Option<(f64, Vec<Step>)>,
    nodes_left: usize,
}

impl<S: Store, V: Values> Compiler<'_, S, V> {
    /// A rule as steps; none if there is no order in which all its conditions can be put, and its result be known.
    pub(super) fn plan(&mut self, entry: Entry, literals: &[Planned], result: &[Term]) -> Option<Code> {
        let slots: BTreeSet<Slot> = result.iter().copied().filter_map(slot_of).collect();
        let mut search = Search { literals, result: slots, fixed: &entry.fixed, best: None, nodes_left: NODES_MAX };
        let all: Vec<usize> = (0..literals.len()).collect();
        self.search(&mut search, &all, &entry.bound, (1.0, 0.0), &mut Vec::new());
        let (cost, steps) = search.best?;
        Some(entry.into_code(steps, operands(result), cost))
    }

    // Recurses once per condition.
    fn search(
        &mut self,
        search: &mut Search<'_>,
        left: &[usize],
        bound: &BTreeSet<Slot>,
        (rows, cost): (f64, f64),
        steps: &mut Vec<Step>,
    ) {
        if search.best.as_ref().is_some_and(|(best, _)| *best <= cost + 0.5 * rows) {
            return;
        }
        if left.is_empty() {
            if search.result.iter().all(|slot| bound.contains(slot)) {
                search.best = Some((cost + 0.5 * rows, steps.clone()));
            }
            return;
        }
        let mut nexts: Vec<(usize, Next)> = Vec::new();
        for at in left {
            let Some(planned) = search.literals.get(*at) else { continue };
            let is_needed = |slot: Slot| {
                let elsewhere =
                    left.iter().filter(|other| *other != at).filter_map(|other| search.literals.get(*other));
                search.result.contains(&slot) || elsewhere.flat_map(Planned::terms).any(|term| term == Term::Slot(slot))
            };
            let ways = self.ways(planned, bound, search.fixed, rows, &is_needed);
            nexts.extend(ways.into_iter().map(|next| (*at, next)));
            nexts.extend(self.seeded(search, left, *at, bound, rows).map(|next| (*at, next)));
        }
        nexts.sort_by(|(_, a), (_, b)| (a.cost + 0.5 * a.rows).total_cmp(&(b.cost + 0.5 * b.rows)));
        for (at, next) in nexts {
            let Some(nodes_left) = search.nodes_left.checked_sub(1) else {
                // What is there already is as good as it gets; the first order there is, the cheapest next each time.
                if search.best.is_some() {
                    return;
                }
                continue;
            };
            search.nodes_left = nodes_left;
            let is_left = |other: &usize| *other != at && Some(*other) != next.also;
            let rest: Vec<usize> = left.iter().copied().filter(is_left).collect();
            steps.push(next.step);
            self.search(search, &rest, &next.bound, (next.rows, cost + next.cost), steps);
            steps.pop();
        }
    }

    /// Demand of a group that only one call asks for: it is asked for all of it at once, in which it stops demanding what is demanded
    /// already.
    fn seeded(
        &mut self,
        search: &Search<'_>,
        left: &[usize],
        at: usize,
        bound: &BTreeSet<Slot>,
        rows: f64,
    ) -> Option<Next> {
        let Some(Planned::Demand(group, terms)) = search.literals.get(at) else { return None };
        let [seed @ Term::Slot(slot)] = terms.as_slice() else { return None };
        if bound.contains(slot) || search.result.contains(slot) {
            return None;
        }
        let others =
            || left.iter().filter(|other| **other != at).filter_map(|at| Some((*at, search.literals.get(*at)?)));
        let mut users = others().filter(|(_, of)| of.terms().contains(seed));
        let (Some((also, Planned::Literal(Literal::Call(id, args)))), None) = (users.next(), users.next()) else {
            return None;
        };
        let is_given = |at: &usize| args.get(*at).is_some_and(|arg| arg == seed || is_known(*arg, bound));
        let columns: Vec<usize> = (0..args.len()).filter(is_given).collect();
        let place = columns.iter().position(|at| args.get(*at) == Some(seed))?;
        if args.iter().filter(|arg| *arg == seed).count() != 1 {
            return None;
        }
        let procedure = self.procedure(*id, Pattern::of(columns.iter().copied()))?;
        let of = self.built.procedures.get(procedure)?;
        if of.is_tabled || !of.groups.iter().any(|group| *group.columns == [place]) {
            return None;
        }
        let (work, n_answers, is_test) = (of.trial.work, of.trial.n_answers, of.n_open == 0);
        let is_needed = |slot: Slot| {
            let elsewhere = others().filter(|(at, _)| *at != also);
            search.result.contains(&slot) || elsewhere.flat_map(|(_, of)| of.terms()).any(|of| of == Term::Slot(slot))
        };
        let key = columns.iter().filter_map(|at| args.get(*at).copied());
        let key = key.map(|arg| operand(if arg == *seed { Term::Any } else { arg })).collect();
        let (binds, bound) = bind_others(args, &columns, bound, &is_needed);
        let step = Step::Seeded { procedure, key, place, group: *group, binds };
        // From more places at once, of which most are on the way from one.
        let (rows_after, cost) = (if is_test { 0.5 } else { 2.0 * n_answers }, PROBE + 1.5 * work);
        Some(Next { also: Some(also), ..Next::new(step, bound, rows * rows_after, rows * cost) })
    }

    fn ways(
        &mut self,
        planned: &Planned,
        bound: &BTreeSet<Slot>,
        fixed: &BTreeSet<Slot>,
        rows: f64,
        is_needed: &dyn Fn(Slot) -> bool,
    ) -> Vec<Next> {
        let is_known = |term: &Term| is_known(*term, bound);
        let test = |step: Step, share: f64| vec![Next::new(step, bound.clone(), rows * share, rows)];
        match planned {
            Planned::Demand(group, terms) if terms.iter().all(is_known) => {
                test(Step::Demanded { group: *group, key: operands(terms) }, 0.5)
            }
            Planned::Demand(group, terms) => {
                let mut bound = bound.clone();
                let binds = terms.iter().map(|term| bind(*term, &mut bound)).collect();
                vec![Next::new(Step::Demand { group: *group, binds }, bound, rows * DEMANDED, rows * DEMANDED)]
            }
            Planned::Literal(Literal::Test(check)) if check.operands().iter().all(is_known) => {
                let share = if matches!(check, Check::Not(_)) { 0.9 } else { 0.5 };
                test(Step::Test(check.map(&mut operand)), share)
            }
            Planned::Literal(Literal::Fold(slot, fold, id, key)) if key.iter().all(is_known) => {
                self.fold((*slot, *fold), (*id, key), bound, fixed, rows).into_iter().collect()
            }
            Planned::Literal(Literal::In(wanted, low, high)) => {
                self.hierarchy(*wanted, [*low, *high], (bound, rows)).into_iter().collect()
            }
            Planned::Literal(Literal::Is(slot, types)) if bound.contains(slot) => {
                test(Step::Is { of: Operand::Register(slot.0), types: types.clone() }, 0.9)
            }
            Planned::Literal(Literal::Let(slot, term)) if is_known(term) => {
                let mut bound = bound.clone();
                let bind = bind(Term::Slot(*slot), &mut bound);
                vec![Next::new(Step::Let { bind, value: operand(*term) }, bound, rows, rows)]
            }
            Planned::Literal(Literal::Test(..) | Literal::Is(..) | Literal::Let(..) | Literal::Fold(..)) => Vec::new(),
            // What is denied is asked of values, or of any.
            Planned::Literal(Literal::NoRows(_, args) | Literal::NoCall(_, args))
                if !args.iter().all(|arg| *arg == Term::Any || is_known(arg)) =>
            {
                Vec::new()
            }
            Planned::Literal(Literal::NoRows(id, args)) => {
                let (columns, key) = known_part(args, &is_known);
                let lookup = self.lookup(*id, &columns);
                let step = Step::HasRows { of: *id, lookup, key, wanted: false };
                vec![Next::new(step, bound.clone(), rows * 0.9, rows * PROBE)]
            }
            Planned::Literal(Literal::NoCall(id, args)) => self
                .tests((*id, args), &known_part(args, &is_known).0, fixed, rows, false)
                .into_iter()
                .map(|(step, cost)| Next::new(step, bound.clone(), rows * 0.9, cost))
                .collect(),
            Planned::Literal(Literal::Rows(id, args)) => vec![self.rows(*id, args, bound, rows, is_needed)],
            Planned::Literal(Literal::Call(id, args)) => self.calls((*id, args), bound, fixed, rows, is_needed),
        }
    }

    fn rows(
        &mut self,
        id: PredicateId,
        args: &[Term],
        bound: &BTreeSet<Slot>,
        rows: f64,
        is_needed: &dyn Fn(Slot) -> bool,
    ) -> Next {
        let is_known = |term: &Term| is_known(*term, bound);
        let (columns, key) = known_part(args, &is_known);
        let lookup = self.lookup(id, &columns);
        let (fan, kept) = self.lookups.get(lookup).map_or((0.0, Vec::new()), |lookup| {
            (ratio(lookup.n_rows(), lookup.n_keys()), lookup.columns(args.len(), &columns))
        });
        if args.iter().all(|arg| is_known(arg) || is_idle(*arg, args, is_needed)) {
            let step = Step::HasRows { of: id, lookup, key, wanted: true };
            return Next::new(step, bound.clone(), rows * fan.min(0.9), rows * PROBE);
        }
        let mut bound = bound.clone();
        let binds = kept.iter().map(|at| self::bind_at(args, *at, &mut bound, is_needed)).collect();
        Next::new(Step::Rows { of: id, lookup, key, binds }, bound, rows * fan, rows * (PROBE + fan))
    }

    fn fold(
        &mut self,
        (slot, fold): (Slot, Fold),
        (id, key): (PredicateId, &[Term]),
        bound: &BTreeSet<Slot>,
        fixed: &BTreeSet<Slot>,
        rows: f64,
    ) -> Option<Next> {
        let procedure = self.procedure(id, Pattern::of(0..key.len()))?;
        let cost = self.cost_of(procedure, is_fixed(key, fixed), rows);
        let mut bound = bound.clone();
        let bind = bind(Term::Slot(slot), &mut bound);
        let step = Step::Fold { procedure, key: operands(key), fold, bind };
        Some(Next::new(step, bound, rows, cost))
    }

    /// Who is in what, from either side that is known.
    fn hierarchy(&mut self, wanted: bool, sides: [Term; 2], (bound, rows): (&BTreeSet<Slot>, f64)) -> Option<Next> {
        let known = sides.map(|term| is_known(term, bound));
        let [low, high] = sides.map(operand);
        let (columns, open): (&[usize], _) = match known {
            [true, true] => (&[0, 1], Term::Any),
            [true, false] if wanted => (&[0], sides[1]),
            [false, true] if wanted => (&[1], sides[0]),
            _ => return None,
        };
        let lookup = self.lookup(Names::IN, columns);
        if known == [true, true] {
            let step = Step::Below { lookup, low, high, wanted };
            let share = if wanted { 0.3 } else { 0.9 };
            return Some(Next::new(step, bound.clone(), rows * share, rows * PROBE));
        }
        let (fan, kept) = self
            .lookups
            .get(lookup)
            .map_or((0.0, Vec::new()), |lookup| (ratio(lookup.n_rows(), lookup.n_keys()), lookup.columns(2, columns)));
        let fan = 1.0 + fan;
        let place = kept.iter().position(|at| !columns.contains(at)).unwrap_or_default();
        let mut bound = bound.clone();
        let of = if columns == [0] { low } else { high };
        let step = Step::Beside { lookup, of, place, bind: bind(open, &mut bound) };
        Some(Next::new(step, bound, rows * fan, rows * (PROBE + fan)))
    }

    /// Any of the known columns may be the key of a call, and the others be compared with what it answers.
    fn calls(
        &mut self,
        (id, args): (PredicateId, &[Term]),
        bound: &BTreeSet<Slot>,
        fixed: &BTreeSet<Slot>,
        rows: f64,
        is_needed: &dyn Fn(Slot) -> bool,
    ) -> Vec<Next> {
        let is_known = |term: &Term| is_known(*term, bound);
        let (known, key) = known_part(args, &is_known);
        if self.is_mate(id)
            && let Some(procedure) = self.procedure(id, Pattern::of(known.iter().copied()))
            && self.is_tabled(procedure)
        {
            let (binds, bound) = bind_others(args, &known, bound, is_needed);
            let n_answers = TABLE.n_answers.powi(i32::try_from(binds.len()).unwrap_or(i32::MAX));
            let step = Step::Read { procedure, key, binds };
            return vec![Next::new(step, bound, rows * n_answers, rows * (TABLE.work + n_answers))];
        }
        if args.iter().all(|arg| is_known(arg) || is_idle(*arg, args, is_needed)) {
            let tests = self.tests((id, args), &known, fixed, rows, true).into_iter();
            return tests.map(|(step, cost)| Next::new(step, bound.clone(), rows * 0.5, cost)).collect();
        }
        let mut nexts = Vec::new();
        for columns in self.choices(id, &known) {
            for procedure in self.callees((id, args), &columns, fixed) {
                // A table that is growing is read as such or not at all.
                if self.is_mate(id) && self.is_tabled(procedure) {
                    continue;
                }
                let key: Vec<Term> = columns.iter().filter_map(|at| args.get(*at).copied()).collect();
                let cost = self.cost_of(procedure, is_fixed(&key, fixed), rows);
                let n_answers = self.built.procedures.get(procedure).map_or(0.0, |procedure| procedure.trial.n_answers);
                let (binds, bound) = bind_others(args, &columns, bound, is_needed);
                let share = if columns.len() == known.len() { 1.0 } else { 0.3 };
                let step = Step::Call { procedure, key: operands(&key), binds };
                nexts.push(Next::new(step, bound, rows * n_answers * share, cost + rows * n_answers));
            }
        }
        nexts
    }

    /// The ways to test whether a relation has a row of which these columns are known: to ask for just that, or to ask for more and
    /// look whether it is among the answers.
    fn tests(
        &mut self,
        (id, args): (PredicateId, &[Term]),
        known: &[usize],
        fixed: &BTreeSet<Slot>,
        rows: f64,
        wanted: bool,
    ) -> Vec<(Step, f64)> {
        let mut tests = Vec::new();
        let part = |columns: &[usize]| columns.iter().filter_map(|at| args.get(*at).copied()).collect::<Vec<_>>();
        for columns in self.choices(id, known) {
            let is_whole = columns.len() == known.len();
            // What nobody asks for would have to be left out of the answers.
            if !is_whole && known.len() < args.len() {
                continue;
            }
            for procedure in self.callees((id, args), &columns, fixed) {
                if self.is_mate(id) && self.is_tabled(procedure) {
                    continue;
                }
                let key = part(&columns);
                let cost = self.cost_of(procedure, is_fixed(&key, fixed), rows);
                let key = operands(&key);
                if is_whole {
                    let part = if wanted && rows <= 1.0 { UNTIL_FOUND } else { 1.0 };
                    tests.push((Step::Holds { procedure, key, wanted }, cost * part));
                } else {
                    let open: Vec<usize> = known.iter().copied().filter(|at| !columns.contains(at)).collect();
                    let open = operands(&part(&open));
                    tests.push((Step::Among { procedure, key, open, wanted }, cost + rows));
                }
            }
        }
        tests
    }

    fn is_tabled(&self, procedure: usize) -> bool {
        self.built.procedures.get(procedure).is_some_and(|procedure| procedure.is_tabled)
    }

    /// The choices of known columns that are tried as a key: of a prefix, all of them and what stays.
    fn choices(&self, id: PredicateId, known: &[usize]) -> Vec<Vec<usize>> {
        match self.shapes.part(id) {
            Some(Part::Prefix(_, key)) => {
                let stays: Vec<usize> = known.iter().copied().filter(|at| key.has(*at)).collect();
                if stays == known { vec![stays] } else { vec![known.to_vec(), stays] }
            }
            Some(Part::Split(..)) | None => choices(known),
        }
    }

    /// What answers a call: a procedure, and where a part of the key does not vary the one that keeps what that part comes to.
    fn callees(
        &mut self,
        (id, args): (PredicateId, &[Term]),
        columns: &[usize],
        fixed: &BTreeSet<Slot>,
    ) -> impl Iterator<Item = usize> + use<S, V> {
        let pattern = Pattern::of(columns.iter().copied());
        let stays = |at: &usize| args.get(*at).is_some_and(|arg| is_fixed(&[*arg], fixed));
        let stays = Pattern::of(columns.iter().copied().filter(stays));
        let split = self.split_on(id, stays).filter(|_| stays != pattern);
        [self.procedure(id, pattern), split.and_then(|id| self.procedure(id, pattern))].into_iter().flatten()
    }

    /// What calls cost: those whose key does not vary are made once.
    fn cost_of(&self, procedure: usize, is_fixed: bool, rows: f64) -> f64 {
        let trial = self.built.procedures.get(procedure).map(|procedure| procedure.trial).unwrap_or_default();
        if is_fixed {
            rows.min(1.0) * (trial.once + trial.work) + rows
        } else {
            rows.min(1.0) * trial.once + rows * (PROBE + trial.work)
        }
    }
}

fn is_known(term: Term, bound: &BTreeSet<Slot>) -> bool {
    slot_of(term).map_or(term != Term::Any, |slot| bound.contains(&slot))
}

fn is_fixed(args: &[Term], fixed: &BTreeSet<Slot>) -> bool {
    args.iter().all(|arg| slot_of(*arg).is_none_or(|slot| fixed.contains(&slot)))
}

/// Whether nobody asks for the value of an argument that is not known.
fn is_idle(arg: Term, args: &[Term], is_needed: &dyn Fn(Slot) -> bool) -> bool {
    match arg {
        Term::Any => true,
        Term::Constant(_) => false,
        Term::Slot(slot) => !is_needed(slot) && args.iter().filter(|other| **other == arg).count() == 1,
    }
}

/// What is done with the columns that are not given, and what is known then.
fn bind_others(
    args: &[Term],
    given: &[usize],
    bound: &BTreeSet<Slot>,
    is_needed: &dyn Fn(Slot) -> bool,
) -> (Box<[Bind]>, BTreeSet<Slot>) {
    let mut bound = bound.clone();
    let open = (0..args.len()).filter(|at| !given.contains(at));
    let binds = open.map(|at| bind_at(args, at, &mut bound, is_needed)).collect();
    (binds, bound)
}

fn bind_at(args: &[Term], at: usize, bound: &mut BTreeSet<Slot>, is_needed: &dyn Fn(Slot) -> bool) -> Bind {
    match args.get(at) {
        Some(arg @ Term::Slot(slot)) if !bound.contains(slot) && is_idle(*arg, args, is_needed) => Bind::Skip,
        Some(arg) => bind(*arg, bound),
        None => Bind::Skip,
    }
}

/// The columns whose values are known, and these.
fn known_part(args: &[Term], is_known: &dyn Fn(&Term) -> bool) -> (Vec<usize>, Box<[Operand]>) {
    let (columns, key): (_, Vec<_>) =
        args.iter().enumerate().filter(|(_, arg)| is_known(arg)).map(|(at, arg)| (at, operand(*arg))).unzip();
    (columns, key.into())
}

/// The choices of columns that are tried as a key: none only if none is known.
fn choices(known: &[usize]) -> Vec<Vec<usize>> {
    if known.is_empty() {
        return vec![Vec::new()];
    }
    if CHOICES_MAX < known.len() {
        return known.iter().map(|at| vec![*at]).chain([known.to_vec()]).collect();
    }
    let chosen =
        |bits: u32| known.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, column)| *column).collect();
    (1..1u32 << known.len()).rev().map(chosen).collect()
}

fn operands(terms: &[Term]) -> Box<[Operand]> {
    terms.iter().map(|term| operand(*term)).collect()
}

fn operand(term: Term) -> Operand {
    match term {
        Term::Slot(slot) => Operand::Register(slot.0),
        Term::Constant(value) => Operand::Constant(value),
        Term::Any => Operand::Constant(Value::UNKNOWN),
    }
}

fn ratio(a: usize, b: usize) -> f64 {
    let number = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    number(a) / number(b.max(1))
}
