//! Rules whose conditions cannot fail, as steps over registers: what bulk evaluation is made of.
//!
//! ```text
//!   path(X, Z) :- path(X, Y), edge(Y, Z).
//!
//!   each new row of path: X, Y ─▶ each row of edge of Y: Z ─▶ X Z, X Z, … ─▶ many at once into path
//! ```
//!
//! Where nothing can fail nothing is undetermined, and no closure, key or row is made for a row that is looked at. Of rules that
//! read several relations of their own stratum each instance is found once: those before the new rows are read as they were
//! before, those after them as they are now (Balbin and Ramamohanarao 1987).

mod rounds;
mod run;
mod wave;

use crate::{
    base::Value,
    check::rules::{Names, PredicateId, Slot, Term},
    expr::{Check, Operand},
    facts::Store,
    schema::Types,
    syntax::rules::Fold,
};

use super::{Ask, AskKind, Body, CompiledRule, Plan};

pub(super) use run::Machine;
pub(super) use wave::Worker;

/// Columns of what is taken; rows with more of them are rare, and their rules are evaluated as others are.
const COLUMNS_MAX: usize = 8;

/// A rule along one of its plans.
#[derive(Debug)]
pub(super) struct Code {
    steps: Vec<Step>,
    /// What comes of it.
    result: Vec<Term>,
    /// What is asked last, of many results at once.
    filters: Vec<Filter>,
    /// Where the last step goes through rows, which columns of its rows the values of the result are.
    last: Option<Vec<Option<usize>>>,
    n_registers: usize,
}

/// If a relation has a row that is made of a result, or has it not.
#[derive(Debug)]
struct Filter {
    of: PredicateId,
    age: Age,
    cells: Vec<Cell>,
    wanted: bool,
}

#[derive(Debug, Clone, Copy)]
enum Cell {
    Of(usize),
    Constant(Value),
}

#[derive(Debug)]
enum Step {
    /// For each row of a relation with these values in these columns.
    Rows { of: PredicateId, age: Age, columns: Vec<usize>, key: Vec<Term>, binds: Vec<Bind> },
    /// If a relation has such a row, or has none.
    Has { of: PredicateId, age: Age, columns: Vec<usize>, key: Vec<Term>, wanted: bool, is_whole: bool },
    /// If values pass a test.
    Test(Check<Term>),
    /// If a value is of these types.
    Is { of: Term, types: Types },
    /// With a value for a register.
    Let { to: usize, value: Term },
    /// With what is made of the results of another code, which begins with the same registers.
    Fold { code: Code, fold: Fold, is_distinct: bool, to: usize, is_bound: bool },
}

/// What is done with a column of a row.
#[derive(Debug, Clone, Copy)]
enum Bind {
    Set { column: usize, to: usize },
    Same { column: usize, with: Term },
}

/// Which rows of a relation count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    /// All that there are.
    Any,
    /// Those of the last round.
    New,
    /// Those of earlier rounds.
    Old,
    /// Those of the last round and of earlier ones.
    OldOrNew,
}

impl CompiledRule {
    /// Each plan as steps; none if a condition can fail, or something that is read is undetermined.
    pub(super) fn codes(&self, heads: &[PredicateId], store: &impl Store) -> Option<Vec<Code>> {
        let mut is_there = true;
        self.body.each_read(&mut |id| is_there &= !store.is_demanded(id));
        if !is_there || self.body.reads_doubts(store) {
            return None;
        }
        self.plans.iter().map(|plan| self.code(plan, heads)).collect()
    }

    /// The indexes on what its own stratum derives that no plan needs but the one over all rows, which a rule that is taken in bulk
    /// does without: with nothing old, what is there is new.
    pub(super) fn late_indexes(&self, heads: &[PredicateId]) -> Vec<(PredicateId, Box<[usize]>)> {
        let Some((all, others)) = self.plans.split_first().filter(|(_, others)| !others.is_empty()) else {
            return Vec::new();
        };
        if self.code(all, heads).is_none() {
            return Vec::new();
        }
        let (mut late, mut needed) = (Vec::new(), Vec::new());
        all.indexes(&self.body, &mut late);
        for plan in others {
            plan.indexes(&self.body, &mut needed);
        }
        late.retain(|index| heads.contains(&index.0) && !needed.contains(index));
        late
    }

    fn code(&self, plan: &Plan, heads: &[PredicateId]) -> Option<Code> {
        if self.args.is_empty() || !self.fits.is_empty() || heads.contains(&Names::PARENT) {
            return None;
        }
        self.body.code(plan, heads, &mut vec![false; self.variables.len()], &self.args)
    }
}

impl Body {
    /// The body along a plan, as steps from what is bound to a result.
    // Recurses once per aggregate within another, whose nesting was limited.
    fn code(&self, plan: &Plan, heads: &[PredicateId], bound: &mut [bool], result: &[Term]) -> Option<Code> {
        let new = plan.steps.iter().find(|step| step.is_delta).map(|step| step.ask);
        let mut steps = Vec::new();
        for (at, step) in plan.steps.iter().enumerate() {
            let ask = self.asks.get(step.ask)?;
            let age = match (&ask.kind, new) {
                (AskKind::Atom(id, _), _) if !heads.contains(id) => Age::Any,
                (_, Some(new)) if step.ask < new => Age::Old,
                (_, Some(new)) if step.ask == new => Age::New,
                _ => Age::OldOrNew,
            };
            let later = plan.steps.get(at + 1..)?;
            let is_needed = |slot: usize| {
                let of_later = |step: &super::Step| self.asks.get(step.ask).is_some_and(|ask| ask.names(slot));
                result.contains(&Term::Slot(Slot(slot))) || later.iter().any(of_later)
            };
            steps.push(code_of(ask, age, heads, bound, &is_needed)?);
        }
        if !result.iter().all(|arg| is_known(*arg, bound)) {
            return None;
        }
        let mut filters = Vec::new();
        while let Some(filter) = filter(steps.last(), result).filter(|_| 1 < steps.len()) {
            filters.push(filter);
            steps.pop();
        }
        filters.reverse();
        let last = steps.last().and_then(|step| last(step, result));
        Some(Code { steps, result: result.to_vec(), filters, last, n_registers: bound.len() })
    }

    /// Whether each instance of a body has a result of its own: it goes through the rows of one atom, and tells all of each.
    fn is_distinct(&self, code: &Code) -> bool {
        match (self.asks.as_slice(), code.steps.as_slice()) {
            ([Ask { kind: AskKind::Atom(_, args), .. }], [Step::Rows { columns, binds, .. }]) => {
                let is_told = |bind: &Bind| match bind {
                    Bind::Set { to, .. } => code.result.contains(&Term::Slot(Slot(*to))),
                    Bind::Same { .. } => true,
                };
                columns.len() + binds.len() == args.len() && binds.iter().all(is_told)
            }
            _ => false,
        }
    }
}

/// What a step that asks for a whole row asks of the result, if nothing else.
fn filter(step: Option<&Step>, result: &[Term]) -> Option<Filter> {
    let Some(Step::Has { of, age, key, wanted, is_whole: true, .. }) = step else { return None };
    let cell = |term: &Term| match term {
        Term::Constant(value) => Some(Cell::Constant(*value)),
        _ => result.iter().position(|arg| arg == term).map(Cell::Of),
    };
    Some(Filter { of: *of, age: *age, cells: key.iter().map(cell).collect::<Option<_>>()?, wanted: *wanted })
}

/// Which values of the result are columns of a step's rows, if that does nothing but bind them.
fn last(step: &Step, result: &[Term]) -> Option<Vec<Option<usize>>> {
    let Step::Rows { binds, .. } = step else { return None };
    let set = |bind: &Bind| match bind {
        Bind::Set { column, to } => Some((*to, *column)),
        Bind::Same { .. } => None,
    };
    let binds: Vec<(usize, usize)> = binds.iter().map(set).collect::<Option<_>>()?;
    let column = |arg: &Term| match arg {
        Term::Slot(slot) => binds.iter().find(|(to, _)| *to == slot.0).map(|(_, column)| *column),
        _ => None,
    };
    Some(result.iter().map(column).collect()).filter(|_| result.len() <= COLUMNS_MAX)
}

fn is_known(term: Term, bound: &[bool]) -> bool {
    match term {
        Term::Slot(slot) => bound.get(slot.0).copied().unwrap_or(false),
        Term::Constant(_) => true,
        Term::Any => false,
    }
}

/// The step that an ask of a rule is, if it cannot fail.
fn code_of(
    ask: &Ask,
    age: Age,
    heads: &[PredicateId],
    bound: &mut [bool],
    is_needed: &dyn Fn(usize) -> bool,
) -> Option<Step> {
    let term = |operand: Operand| match operand {
        Operand::Constant(value) => Term::Constant(value),
        Operand::Local(slot) => Term::Slot(Slot(slot)),
    };
    match &ask.kind {
        AskKind::Atom(_, args) if COLUMNS_MAX < args.len() => None,
        AskKind::Atom(of, args) => rows_of(*of, args, age, bound, is_needed),
        AskKind::Not(inner) => match &inner.kind {
            AskKind::Atom(of, args) if !args.is_empty() && args.len() <= COLUMNS_MAX => {
                let (columns, key) = known(args, bound);
                let is_whole = columns.len() == args.len();
                Some(Step::Has { of: *of, age: Age::Any, columns, key, wanted: false, is_whole })
            }
            _ => None,
        },
        AskKind::Guard(expr) => {
            let check = expr.as_check()?;
            // What is put in order may be no integers, and fail.
            check.ordered().is_empty().then(|| Step::Test(check.map(&mut &term)))
        }
        AskKind::Is(slot, types) => Some(Step::Is { of: Term::Slot(*slot), types: types.clone() }),
        AskKind::Bind(slot, expr) => {
            let value = term(expr.as_operand()?);
            let place = bound.get_mut(slot.0)?;
            if std::mem::replace(place, true) {
                return Some(Step::Test(Check::Equal(Term::Slot(*slot), value)));
            }
            Some(Step::Let { to: slot.0, value })
        }
        AskKind::Aggregate { result, fold, tuple, body, plan } => {
            let of_tuple: Vec<Term> = tuple.iter().map(|slot| Term::Slot(*slot)).collect();
            let code = body.code(plan, heads, &mut bound.to_vec(), &of_tuple).filter(|_| !tuple.is_empty())?;
            let is_distinct = body.is_distinct(&code);
            let is_bound = std::mem::replace(bound.get_mut(result.0)?, true);
            Some(Step::Fold { code, fold: *fold, is_distinct, to: result.0, is_bound })
        }
        AskKind::In(..) => None,
    }
}

/// The columns whose values are known, and these.
fn known(args: &[Term], bound: &[bool]) -> (Vec<usize>, Vec<Term>) {
    args.iter().copied().enumerate().filter(|(_, arg)| is_known(*arg, bound)).unzip()
}

/// The step that goes through the rows of an atom, or asks whether there is one where nobody asks which.
fn rows_of(
    of: PredicateId,
    args: &[Term],
    age: Age,
    bound: &mut [bool],
    is_needed: &dyn Fn(usize) -> bool,
) -> Option<Step> {
    let is_idle = |(at, arg): (usize, &Term)| match arg {
        Term::Any => true,
        Term::Constant(_) => false,
        Term::Slot(slot) => {
            let is_once = !args.iter().enumerate().any(|(other, of)| other != at && of == arg);
            is_once && !is_known(*arg, bound) && !is_needed(slot.0)
        }
    };
    let idle: Vec<bool> = args.iter().enumerate().map(is_idle).collect();
    // What is new is looked through from the first to the last.
    let (columns, key) = if age == Age::New { Default::default() } else { known(args, bound) };
    let n_idle = idle.iter().filter(|is_idle| **is_idle).count();
    if !key.is_empty() && columns.len() + n_idle == args.len() {
        return Some(Step::Has { of, age, is_whole: n_idle == 0, columns, key, wanted: true });
    }
    let mut binds = Vec::new();
    for ((column, arg), is_idle) in args.iter().enumerate().zip(idle) {
        match arg {
            _ if is_idle || columns.contains(&column) => {}
            Term::Slot(slot) if !is_known(*arg, bound) => {
                *bound.get_mut(slot.0)? = true;
                binds.push(Bind::Set { column, to: slot.0 });
            }
            _ => binds.push(Bind::Same { column, with: *arg }),
        }
    }
    Some(Step::Rows { of, age, columns, key, binds })
}

impl Ask {
    /// Whether the ask says anything of a variable.
    fn names(&self, slot: usize) -> bool {
        let of = |terms: &[Term]| terms.iter().any(|term| matches!(term, Term::Slot(of) if of.0 == slot));
        let is_needed = self.needs.iter().any(|of| of.0 == slot);
        is_needed
            || match &self.kind {
                AskKind::Atom(_, args) => of(args),
                AskKind::Not(inner) => inner.names(slot),
                AskKind::Bind(to, _) | AskKind::Is(to, _) => to.0 == slot,
                AskKind::In(left, right, _) => of(&[*left, *right]),
                // What an expression says is among what it needs.
                AskKind::Aggregate { result, .. } => result.0 == slot,
                AskKind::Guard(_) => false,
            }
    }
}
