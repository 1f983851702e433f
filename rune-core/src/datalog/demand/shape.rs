//! Rules as demand takes them: literals over slots and constants, none of which can fail.
//!
//! Where nothing can fail nothing is undetermined, so that what demand finds is all that may be. Rules with other conditions are
//! evaluated in bulk, and their relations are read here like those that are given.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    check::rules::{Names, PredicateId, Slot, Term},
    datalog::{AskKind, CompiledRule, DatalogEngine},
    expr::Operand,
    facts::Store,
    schema::Types,
};

/// A rule, or the rows that are given of a relation that has rules.
#[derive(Debug, Clone)]
pub(super) struct Clause {
    pub(super) args: Vec<Term>,
    pub(super) literals: Vec<Literal>,
    pub(super) n_slots: usize,
}

/// A condition.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    /// Rows of a relation that demand evaluates.
    Call(PredicateId, Vec<Term>),
    /// Rows that are there.
    Rows(PredicateId, Vec<Term>),
    /// No row of a relation that demand evaluates.
    NoCall(PredicateId, Vec<Term>),
    /// No row that is there.
    NoRows(PredicateId, Vec<Term>),
    /// Whether two are equal, or are not.
    Test(bool, Term, Term),
    Is(Slot, Types),
    Let(Slot, Term),
}

/// The relations that demand can evaluate, with their clauses.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    pub(super) clauses: BTreeMap<PredicateId, Vec<Clause>>,
}

impl Literal {
    pub(super) fn terms(&self) -> Vec<Term> {
        match self {
            Self::Call(_, args) | Self::Rows(_, args) | Self::NoCall(_, args) | Self::NoRows(_, args) => args.clone(),
            Self::Test(_, left, right) => vec![*left, *right],
            Self::Is(slot, _) => vec![Term::Slot(*slot)],
            Self::Let(slot, term) => vec![Term::Slot(*slot), *term],
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.terms().into_iter().filter_map(slot_of)
    }
}

pub(super) fn slot_of(term: Term) -> Option<Slot> {
    match term {
        Term::Slot(slot) => Some(slot),
        Term::Constant(_) | Term::Any => None,
    }
}

impl Shapes {
    /// The shapes of rules over these facts.
    pub(super) fn of(engine: &DatalogEngine, store: &impl Store) -> Self {
        let mut rules: BTreeMap<PredicateId, Vec<&CompiledRule>> = BTreeMap::new();
        for rule in &engine.rules {
            rules.entry(rule.head).or_default().push(rule);
        }
        let mut taken: BTreeSet<PredicateId> = rules
            .iter()
            .filter(|(id, rules)| {
                let info = engine.relations.get(id.0);
                let is_plain_relation = info.is_some_and(|info| info.choice.is_none() && !info.is_per_request);
                is_plain_relation
                    && ![Names::PERMIT, Names::FORBID, Names::PARENT, Names::IN].contains(id)
                    && rules.iter().all(|rule| rule.is_plain(store))
            })
            .map(|(id, _)| *id)
            .collect();
        // Relations that derive one another are left to bulk evaluation.
        for stratum in engine.strata.iter().chain(&engine.request_strata) {
            let heads: BTreeSet<PredicateId> =
                stratum.iter().filter_map(|at| engine.rules.get(*at)).map(|rule| rule.head).collect();
            if 1 < heads.len() {
                taken.retain(|id| !heads.contains(id));
            }
        }
        let clauses = taken.iter().map(|id| {
            let of_rules = rules.get(id).into_iter().flatten().filter_map(|rule| rule.clause(&taken));
            (*id, of_rules.chain([given(*id, engine.arity(*id))]).collect())
        });
        Self { clauses: clauses.collect() }
    }
}

/// The rows of a relation that are given beside what its rules derive.
fn given(id: PredicateId, arity: usize) -> Clause {
    let args: Vec<Term> = (0..arity).map(|at| Term::Slot(Slot(at))).collect();
    Clause { args: args.clone(), literals: vec![Literal::Rows(id, args)], n_slots: arity }
}

impl CompiledRule {
    /// Whether no condition of the rule can fail, and none reads what is undetermined.
    fn is_plain(&self, store: &impl Store) -> bool {
        self.fits.is_empty() && !self.body.reads_doubts(store) && self.clause(&BTreeSet::new()).is_some()
    }

    fn clause(&self, taken: &BTreeSet<PredicateId>) -> Option<Clause> {
        let mut literals = Vec::new();
        for ask in &self.body.asks {
            literals.push(match &ask.kind {
                AskKind::Atom(id, args) if taken.contains(id) => Literal::Call(*id, args.to_vec()),
                AskKind::Atom(id, args) => Literal::Rows(*id, args.to_vec()),
                AskKind::Not(inner) => match &inner.kind {
                    AskKind::Atom(id, args) if taken.contains(id) => Literal::NoCall(*id, args.to_vec()),
                    AskKind::Atom(id, args) => Literal::NoRows(*id, args.to_vec()),
                    _ => return None,
                },
                AskKind::Guard(expr) => {
                    let (is_equal, left, right) = expr.as_equality()?;
                    Literal::Test(is_equal, term(left), term(right))
                }
                AskKind::Is(slot, types) => Literal::Is(*slot, types.clone()),
                AskKind::Bind(slot, expr) => Literal::Let(*slot, term(expr.as_operand()?)),
                AskKind::In(..) | AskKind::Aggregate { .. } => return None,
            });
        }
        Some(Clause { args: self.args.clone(), literals, n_slots: self.variables.len() })
    }
}

fn term(operand: Operand) -> Term {
    match operand {
        Operand::Constant(value) => Term::Constant(value),
        Operand::Local(slot) => Term::Slot(Slot(slot)),
    }
}

/// Which columns of a relation are given: a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pattern(pub(super) u32);

impl Pattern {
    pub(super) fn of(columns: impl IntoIterator<Item = usize>) -> Self {
        Self(columns.into_iter().fold(0, |bits, at| bits | 1 << at))
    }

    pub(super) fn has(self, column: usize) -> bool {
        self.0 >> column & 1 == 1
    }

    /// What stands in the given columns, and in the others.
    pub(super) fn split<T: Copy>(self, row: &[T]) -> (Vec<T>, Vec<T>) {
        let (given, open): (Vec<_>, Vec<_>) = row.iter().copied().enumerate().partition(|(at, _)| self.has(*at));
        (given.into_iter().map(|(_, of)| of).collect(), open.into_iter().map(|(_, of)| of).collect())
    }
}
