//! What procedures are made of.

use crate::{base::Value, check::rules::PredicateId, schema::Types};

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
#[derive(Debug, Clone)]
pub(super) struct Procedure {
    pub(super) predicate: PredicateId,
    pub(super) pattern: Pattern,
    pub(super) groups: Vec<Group>,
    pub(super) exits: Vec<Code>,
    pub(super) forwards: Vec<Code>,
    /// How many columns are open: those that an answer has.
    pub(super) n_open: usize,
    pub(super) n_registers: usize,
    /// What a call takes and gives, as found by trial.
    pub(super) trial: Trial,
}

/// Columns of the key that recursion changes together.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Their places in the key.
    pub(super) columns: Vec<usize>,
    /// From what is demanded to what that demands.
    pub(super) edges: Vec<Code>,
}

/// A rule as steps. What it begins with is bound first.
#[derive(Debug, Clone, Default)]
pub(super) struct Code {
    /// What is done with each value of the key.
    pub(super) of_key: Vec<Bind>,
    /// What is done with each value of the tuple that it is run for: a demand, or an answer.
    pub(super) of_tuple: Vec<Bind>,
    pub(super) steps: Vec<Step>,
    /// What comes of it.
    pub(super) result: Vec<Operand>,
    /// What it is estimated to take.
    pub(super) cost: f64,
}

/// A condition, at a place where what it needs is known.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// For each row of a key.
    Rows {
        directory: usize,
        key: Vec<Operand>,
        binds: Vec<Bind>,
    },
    /// If a key has rows, or has none.
    HasRows {
        directory: usize,
        key: Vec<Operand>,
        wanted: bool,
    },
    /// For each tuple that is demanded of a group.
    Demand {
        group: usize,
        binds: Vec<Bind>,
    },
    /// If a tuple is demanded of a group.
    Demanded {
        group: usize,
        key: Vec<Operand>,
    },
    /// For each answer of a procedure.
    Call {
        procedure: usize,
        key: Vec<Operand>,
        binds: Vec<Bind>,
    },
    /// If a procedure has an answer, or has none.
    Holds {
        procedure: usize,
        key: Vec<Operand>,
        wanted: bool,
    },
    /// If two values are equal, or are not.
    Test {
        is_equal: bool,
        left: Operand,
        right: Operand,
    },
    Is {
        of: Operand,
        types: Types,
    },
    Let {
        bind: Bind,
        value: Operand,
    },
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
    /// Answers, on average.
    pub(super) n_answers: f64,
}
