//! What procedures are made of.

use crate::{base::Value, check::rules::PredicateId, expr::Check, schema::Types, syntax::rules::Fold};

use super::shape::Pattern;

/// Answers questions of one form about one relation: which rows have these values in the given columns.
///
/// ```text
///   key ─▶ demand: for each group of columns that recursion changes, all that it comes to
///       ─▶ exits: rules without recursion, over the demand ─▶ answers ─▶ forwards: rules that go from answer to answer
/// ```
///
/// Columns that recursion leaves alone are read from the key. Those that it changes independently of each other are groups of
/// their own, so that their product is never built (Naughton, "Compiling separable recursions", 1988).
///
/// Where recursion is of no such form the procedure is tabled: its exits are all its rules, and those that read what is still
/// growing are suspended and go on with what is new (SLG resolution; Chen and Warren 1996).
#[derive(Debug, Clone)]
pub(super) struct Procedure {
    pub(super) predicate: PredicateId,
    pub(super) pattern: Pattern,
    pub(super) groups: Vec<Group>,
    pub(super) exits: Vec<Code>,
    pub(super) forwards: Vec<Code>,
    pub(super) is_tabled: bool,
    /// How many columns are given, and how many are open: those that an answer has.
    pub(super) n_given: usize,
    pub(super) n_open: usize,
    pub(super) n_registers: usize,
    /// What a call takes and gives, as found by trial.
    pub(super) trial: Trial,
}

/// Columns of the key that recursion changes together.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Their places in the key.
    pub(super) columns: Box<[usize]>,
    /// How one goes from what is demanded to what that demands, by its place among the closures.
    pub(super) closure: usize,
}

/// How demand grows. Procedures whose recursion goes the same way share it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Closure {
    pub(super) edges: Vec<Code>,
    pub(super) width: usize,
    /// Whether it depends on nothing but where it starts.
    pub(super) is_shared: bool,
}

/// A rule as steps. What it begins with is bound first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Code {
    /// What is done with each value of the key.
    pub(super) of_key: Box<[Bind]>,
    /// What is done with each value of the tuple that it is run for: a demand, or an answer.
    pub(super) of_tuple: Box<[Bind]>,
    pub(super) steps: Box<[Step]>,
    /// What comes of it.
    pub(super) result: Box<[Operand]>,
    /// What it is estimated to take.
    pub(super) cost: f64,
    /// Whether it gives nothing twice.
    pub(super) is_distinct: bool,
    /// Which value of a row it gives, if its last step goes through rows and it gives nothing but that.
    pub(super) of_row: Option<usize>,
}

impl Code {
    /// The same without registers for what is never read, and the others by the order in which they occur, so that what rules do
    /// alike is seen to be alike.
    pub(super) fn normal(mut self) -> Self {
        let mut seen: Vec<usize> = Vec::new();
        drop(self.clone().renamed(&mut |register| {
            seen.push(register);
            register
        }));
        for bind in &mut self.of_key {
            if let Bind::Set(register) = bind
                && seen.iter().filter(|of| *of == register).count() == 1
            {
                *bind = Bind::Skip;
            }
        }
        let mut names: Vec<usize> = Vec::new();
        self.renamed(&mut |register| {
            names.iter().position(|of| *of == register).unwrap_or_else(|| {
                names.push(register);
                names.len() - 1
            })
        })
    }

    fn renamed(self, name: Name<'_>) -> Self {
        let Self { of_key, of_tuple, steps, result, cost, is_distinct, of_row } = self;
        let of_key = binds(of_key, name);
        let of_tuple = binds(of_tuple, name);
        let steps = steps.into_iter().map(|step| step.renamed(name)).collect();
        Self { of_key, of_tuple, steps, result: operands(result, name), cost, is_distinct, of_row }
    }
}

/// Which value of a row steps give, if the last one goes through rows and they give nothing but that.
pub(super) fn of_row(steps: &[Step], result: &[Operand]) -> Option<usize> {
    let (Some(Step::Rows { binds, .. }), [Operand::Register(given)]) = (steps.last(), result) else { return None };
    let is_taken = |bind: &Bind| *bind == Bind::Set(*given);
    let is_idle = binds.iter().all(|bind| is_taken(bind) || *bind == Bind::Skip);
    binds.iter().position(is_taken).filter(|_| is_idle)
}

/// Whether steps give nothing twice: they go through one set, and all that they take from it is part of what they give.
pub(super) fn are_distinct(steps: &[Step], result: &[Operand]) -> bool {
    let mut through = steps.iter().filter(|step| step.goes_on_often());
    let (Some(step), None) = (through.next(), through.next()) else { return false };
    match step {
        Step::Demand { binds, .. } | Step::Call { binds, .. } | Step::Seeded { binds, .. } => {
            binds.iter().all(|bind| match bind {
                Bind::Skip => false,
                Bind::Set(register) => result.contains(&Operand::Register(*register)),
                Bind::Same(_) => true,
            })
        }
        // Rows may differ in what they do not show, and a table is still growing.
        _ => false,
    }
}

type Name<'n> = &'n mut dyn FnMut(usize) -> usize;

fn operand(of: Operand, name: Name<'_>) -> Operand {
    match of {
        Operand::Register(register) => Operand::Register(name(register)),
        Operand::Constant(_) => of,
    }
}

fn operands(of: Box<[Operand]>, name: Name<'_>) -> Box<[Operand]> {
    of.into_iter().map(|of| operand(of, name)).collect()
}

fn bind(of: Bind, name: Name<'_>) -> Bind {
    match of {
        Bind::Skip => Bind::Skip,
        Bind::Set(register) => Bind::Set(name(register)),
        Bind::Same(of) => Bind::Same(operand(of, name)),
    }
}

fn binds(of: Box<[Bind]>, name: Name<'_>) -> Box<[Bind]> {
    of.into_iter().map(|of| bind(of, name)).collect()
}

impl Step {
    /// Whether what follows is done for each of many.
    pub(super) fn goes_on_often(&self) -> bool {
        match self {
            Self::Rows { .. }
            | Self::Beside { .. }
            | Self::Read { .. }
            | Self::Demand { .. }
            | Self::Call { .. }
            | Self::Seeded { .. } => true,
            Self::HasRows { .. }
            | Self::Demanded { .. }
            | Self::Holds { .. }
            | Self::Among { .. }
            | Self::Fold { .. }
            | Self::Test(_)
            | Self::Below { .. }
            | Self::Is { .. }
            | Self::Let { .. } => false,
        }
    }

    fn renamed(self, name: Name<'_>) -> Self {
        match self {
            Self::Rows { of, lookup, key, binds: to } => {
                Self::Rows { of, lookup, key: operands(key, name), binds: binds(to, name) }
            }
            Self::HasRows { of, lookup, key, wanted } => Self::HasRows { of, lookup, key: operands(key, name), wanted },
            Self::Demand { group, binds: to } => Self::Demand { group, binds: binds(to, name) },
            Self::Demanded { group, key } => Self::Demanded { group, key: operands(key, name) },
            Self::Call { procedure, key, binds: to } => {
                Self::Call { procedure, key: operands(key, name), binds: binds(to, name) }
            }
            Self::Seeded { procedure, key, place, group, binds: to } => {
                let key = operands(key, name);
                Self::Seeded { procedure, key, place, group, binds: binds(to, name) }
            }
            Self::Read { procedure, key, binds: to } => {
                Self::Read { procedure, key: operands(key, name), binds: binds(to, name) }
            }
            Self::Holds { procedure, key, wanted } => Self::Holds { procedure, key: operands(key, name), wanted },
            Self::Among { procedure, key, open, wanted } => {
                let key = operands(key, name);
                Self::Among { procedure, key, open: operands(open, name), wanted }
            }
            Self::Fold { procedure, key, fold, bind: to } => {
                let key = operands(key, name);
                Self::Fold { procedure, key, fold, bind: bind(to, name) }
            }
            Self::Test(check) => Self::Test(check.map(&mut |of| operand(of, name))),
            Self::Beside { lookup, of, place, bind: to } => {
                let of = operand(of, name);
                Self::Beside { lookup, of, place, bind: bind(to, name) }
            }
            Self::Below { lookup, low, high, wanted } => {
                Self::Below { lookup, low: operand(low, name), high: operand(high, name), wanted }
            }
            Self::Is { of, types } => Self::Is { of: operand(of, name), types },
            Self::Let { bind: to, value } => {
                let value = operand(value, name);
                Self::Let { bind: bind(to, name), value }
            }
        }
    }
}

/// A condition, at a place where what it needs is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// For each row of a key.
    Rows { of: PredicateId, lookup: usize, key: Box<[Operand]>, binds: Box<[Bind]> },
    /// If a key has rows, or has none.
    HasRows { of: PredicateId, lookup: usize, key: Box<[Operand]>, wanted: bool },
    /// For each tuple that is demanded of a group.
    Demand { group: usize, binds: Box<[Bind]> },
    /// If a tuple is demanded of a group.
    Demanded { group: usize, key: Box<[Operand]> },
    /// For each answer of a procedure.
    Call { procedure: usize, key: Box<[Operand]>, binds: Box<[Bind]> },
    /// For each answer that a procedure has for any of what is demanded of a group, in one of the places of its key: that is demanded
    /// of it together, and what goes on in the same way is demanded already.
    Seeded { procedure: usize, key: Box<[Operand]>, place: usize, group: usize, binds: Box<[Bind]> },
    /// For each answer of a procedure whose table is still growing: what is new later is gone on with later.
    Read { procedure: usize, key: Box<[Operand]>, binds: Box<[Bind]> },
    /// If a procedure has an answer, or has none.
    Holds { procedure: usize, key: Box<[Operand]>, wanted: bool },
    /// If a tuple is among the answers of a procedure, or is not.
    Among { procedure: usize, key: Box<[Operand]>, open: Box<[Operand]>, wanted: bool },
    /// With what the answers of a procedure come to.
    Fold { procedure: usize, key: Box<[Operand]>, fold: Fold, bind: Bind },
    /// If values pass a test.
    Test(Check<Operand>),
    /// For an entity and each that the lookup has beside it, at a place of what is found.
    Beside { lookup: usize, of: Operand, place: usize, bind: Bind },
    /// If an entity is another or below it, or is not.
    Below { lookup: usize, low: Operand, high: Operand, wanted: bool },
    /// If a value is of these types.
    Is { of: Operand, types: Types },
    /// With a value for a register.
    Let { bind: Bind, value: Operand },
}

/// A value: of a register or known from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    Register(usize),
    Constant(Value),
}

/// What is done with a value that is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bind {
    Skip,
    Set(usize),
    Same(Operand),
}

/// What calls of a procedure took and gave, on keys as they occur.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Trial {
    /// Steps: the mean of the average and the worst, because closures have heavy tails.
    pub(super) work: f64,
    /// Steps at worst.
    pub(super) n_worst: u64,
    /// Steps of the first of calls from one to the next of which some columns stay the same, besides what each takes.
    pub(super) once: f64,
    /// Answers, on average.
    pub(super) n_answers: f64,
}
