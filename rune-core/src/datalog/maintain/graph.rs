//! The ways through a body: at each point what only asks, and then the rows of one of the conditions that are left, whichever has
//! fewest.
//!
//! ```text
//!   reach(X, Z) :- reach(X, Y), edge(Y, Z), not shut(Z).      X, Z known
//!
//!   not shut(Z) ─┬─ fewer rows in reach(X, _):  Y ─▶ edge(Y, Z)?  ─▶ found
//!                └─ fewer rows in edge(_, Z):   Y ─▶ reach(X, Y)? ─▶ found
//! ```
//!
//! A point is known by the conditions that are behind it, however they were come by.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    check::rules::{Slot, Term},
    datalog::demand::shape::slot_of,
    expr::Check,
    schema::Types,
};

use super::{
    clauses::{Aggregate, Literal},
    table::{IndexId, Table},
};

/// Conditions among which the one with fewest rows is looked for at one point.
const CHOICES_MAX: usize = 3;
/// Conditions of a body from which on there is one way through it: the points multiply.
const LITERALS_MAX: usize = 8;

/// The ways through a body.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// What comes of it.
    pub(super) result: Vec<Term>,
}

/// A point.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) filters: Vec<Filter>,
    /// None at the end.
    pub(super) choices: Vec<Choice>,
}

/// What only asks, or gives one value.
#[derive(Debug)]
pub(super) enum Filter {
    /// If a row is there.
    Has {
        of: usize,
        key: Vec<Term>,
        side: Side,
        is_own: bool,
    },
    /// If none is with these values in the columns of an index; without one, if the row is not there.
    Lacks {
        of: usize,
        index: Option<IndexId>,
        key: Vec<Term>,
        side: Side,
    },
    Test(Check<Term>),
    Is(Slot, Types),
    Set(Slot, Term),
    Equal(Term, Term),
    /// The value of an aggregate.
    Fold {
        of: usize,
        result: Slot,
        is_bound: bool,
        side: Side,
    },
}

/// The rows of a condition with these values in the columns of an index; without one, all.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) of: usize,
    pub(super) index: Option<IndexId>,
    pub(super) key: Vec<Term>,
    pub(super) binds: Vec<Bind>,
    pub(super) side: Side,
    /// Whether the stratum of the rule derives the rows.
    pub(super) is_own: bool,
    /// Whether one row is as good as another.
    pub(super) is_idle: bool,
    pub(super) next: usize,
}

/// Where a condition stands: before the one that changed, after it, or it is that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
    Changed,
}

/// What is done with a column of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bind {
    Set { column: usize, to: Slot },
    Same { column: usize, with: Term },
}

/// What a body is gone through for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose<'p> {
    /// The condition that changed, if one did. Where it is an aggregate, its key alone is known.
    pub(super) changed: Option<usize>,
    /// What is known at the beginning.
    pub(super) known: &'p [Slot],
    /// The tables that the stratum derives.
    pub(super) own: &'p [usize],
    /// Whether the same result may come twice and mean nothing.
    pub(super) is_set: bool,
    /// Whether what can never be asked is left out.
    pub(super) is_lenient: bool,
}

/// Binds what the row of a condition has; `known` slots have values already.
pub(super) fn binds_of(args: &[Term], known: &mut BTreeSet<Slot>) -> Vec<Bind> {
    let bind = |(column, arg): (usize, &Term)| match arg {
        Term::Slot(slot) if known.insert(*slot) => Some(Bind::Set { column, to: *slot }),
        Term::Slot(_) | Term::Constant(_) => Some(Bind::Same { column, with: *arg }),
        Term::Any => None,
    };
    args.iter().enumerate().filter_map(bind).collect()
}

/// The index that finds rows by all columns of a condition that say something; none where that is the whole row.
pub(super) fn index_for(table: &mut Table, args: &[Term]) -> Option<IndexId> {
    let columns: Vec<usize> = args.iter().enumerate().filter(|(_, arg)| **arg != Term::Any).map(|(at, _)| at).collect();
    (columns.len() < args.len()).then(|| table.index_on(&columns))
}

struct Compiler<'c> {
    literals: &'c [Literal],
    aggregates: &'c [Aggregate],
    tables: &'c mut [Table],
    purpose: Purpose<'c>,
    result: &'c [Term],
    nodes: Vec<Node>,
    known_nodes: BTreeMap<u128, usize>,
}

impl Graph {
    /// The ways through a body; none if a condition can never be asked, or something of the result is never known.
    pub(super) fn of(
        literals: &[Literal],
        result: &[Term],
        purpose: Purpose<'_>,
        aggregates: &[Aggregate],
        tables: &mut [Table],
    ) -> Option<Self> {
        if 128 <= literals.len() {
            return None;
        }
        let mut done = 0;
        if let Some(at) = purpose.changed
            && !matches!(literals.get(at), Some(Literal::Fold(..)))
        {
            done |= 1 << at;
        }
        let nodes = vec![Node::default()];
        let mut compiler =
            Compiler { literals, aggregates, tables, purpose, result, nodes, known_nodes: BTreeMap::new() };
        compiler.node(0, done, purpose.known.iter().copied().collect())?;
        Some(Self { nodes: compiler.nodes, result: result.to_vec() })
    }
}

impl Compiler<'_> {
    fn side(&self, at: usize) -> Side {
        match self.purpose.changed {
            Some(changed) if changed == at => Side::Changed,
            Some(changed) if at < changed => Side::Before,
            _ => Side::After,
        }
    }

    /// Fills a point in.
    // Recurses once per condition that has rows; the points are limited.
    fn node(&mut self, at: usize, mut done: u128, mut known: BTreeSet<Slot>) -> Option<()> {
        let mut filters = Vec::new();
        loop {
            let n_before = filters.len();
            for (of, literal) in self.literals.iter().enumerate() {
                if done >> of & 1 == 0
                    && let Some(filter) = self.filter(of, literal, &mut known)
                {
                    done |= 1 << of;
                    filters.push(filter);
                }
            }
            if filters.len() == n_before {
                break;
            }
        }
        let candidates = self.candidates(done, &known);
        let is_over = candidates.is_empty();
        let is_done = done == (1 << self.literals.len()) - 1 || self.purpose.is_lenient;
        let is_told = self.result.iter().all(|term| slot_of(*term).is_none_or(|slot| known.contains(&slot)));
        if is_over && !(is_done && (is_told || self.purpose.is_lenient)) {
            return None;
        }
        let mut choices = Vec::new();
        for of in candidates {
            let Some(Literal::Rows(table, args)) = self.literals.get(of) else { continue };
            choices.push(self.choice(of, *table, args, done, &known)?);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            *node = Node { filters, choices };
        }
        Some(())
    }

    fn choice(&mut self, at: usize, of: usize, args: &[Term], done: u128, known: &BTreeSet<Slot>) -> Option<Choice> {
        let is_known = |term: &Term| *term != Term::Any && slot_of(*term).is_none_or(|slot| known.contains(&slot));
        let (columns, key): (Vec<usize>, Vec<Term>) =
            args.iter().copied().enumerate().filter(|(_, arg)| is_known(arg)).unzip();
        let index = if columns.is_empty() { None } else { Some(self.tables.get_mut(of)?.index_on(&columns)) };
        let mut then = known.clone();
        let mut binds = binds_of(args, &mut then);
        binds.retain(|bind| match bind {
            Bind::Set { .. } => true,
            Bind::Same { column, .. } => !columns.contains(column),
        });
        let next_done = done | 1 << at;
        let next = match self.known_nodes.get(&next_done) {
            Some(next) => *next,
            None => {
                let next = self.nodes.len();
                self.nodes.push(Node::default());
                self.known_nodes.insert(next_done, next);
                self.node(next, next_done, then)?;
                next
            }
        };
        let is_own = self.purpose.own.contains(&of);
        let is_idle = self.purpose.is_set && !is_own && binds.is_empty();
        Some(Choice { of, index, key, binds, side: self.side(at), is_own, is_idle, next })
    }

    /// The conditions whose rows may come next.
    fn candidates(&self, done: u128, known: &BTreeSet<Slot>) -> Vec<usize> {
        let is_known = |term: &Term| *term != Term::Any && slot_of(*term).is_none_or(|slot| known.contains(&slot));
        let open = |(at, literal): (usize, &Literal)| match literal {
            Literal::Rows(of, args) if done >> at & 1 == 0 => {
                let n_known = args.iter().filter(|arg| is_known(arg)).count();
                // What the stratum derives has most rows, as a rule.
                Some((n_known == 0, args.len() - n_known, self.purpose.own.contains(of), at))
            }
            _ => None,
        };
        let mut open: Vec<(bool, usize, bool, usize)> = self.literals.iter().enumerate().filter_map(open).collect();
        open.sort_unstable();
        let is_cut = LITERALS_MAX < self.literals.len();
        match open.first() {
            Some((false, ..)) => {
                open.retain(|(is_unknown, ..)| !is_unknown);
                open.truncate(if is_cut { 1 } else { CHOICES_MAX });
            }
            _ => open.truncate(if is_cut { 1 } else { LITERALS_MAX }),
        }
        open.into_iter().map(|(.., at)| at).collect()
    }

    /// The condition as a filter, if it can be asked now.
    fn filter(&mut self, at: usize, literal: &Literal, known: &mut BTreeSet<Slot>) -> Option<Filter> {
        let is_known = |term: &Term| slot_of(*term).is_none_or(|slot| known.contains(&slot));
        let side = self.side(at);
        match literal {
            Literal::Rows(of, args) => {
                let is_whole = args.iter().all(|arg| *arg != Term::Any && is_known(arg));
                let is_own = self.purpose.own.contains(of);
                is_whole.then(|| Filter::Has { of: *of, key: args.clone(), side, is_own })
            }
            Literal::No(of, args) => {
                if !args.iter().all(is_known) {
                    return None;
                }
                let index = index_for(self.tables.get_mut(*of)?, args);
                let key = args.iter().copied().filter(|arg| *arg != Term::Any).collect();
                Some(Filter::Lacks { of: *of, index, key, side })
            }
            Literal::Test(check) => check.operands().iter().all(is_known).then(|| Filter::Test(check.clone())),
            Literal::Is(slot, types) => known.contains(slot).then(|| Filter::Is(*slot, types.clone())),
            Literal::Same(a, b) => match (is_known(a), is_known(b), a, b) {
                (true, true, ..) => Some(Filter::Equal(*a, *b)),
                (true, false, _, Term::Slot(slot)) => {
                    known.insert(*slot);
                    Some(Filter::Set(*slot, *a))
                }
                (false, true, Term::Slot(slot), _) => {
                    known.insert(*slot);
                    Some(Filter::Set(*slot, *b))
                }
                _ => None,
            },
            Literal::Fold(result, of) => {
                let key = self.aggregates.get(*of)?.key.as_slice();
                if !key.iter().all(|slot| known.contains(slot)) {
                    return None;
                }
                let is_bound = !known.insert(*result);
                Some(Filter::Fold { of: *of, result: *result, is_bound, side })
            }
        }
    }
}
