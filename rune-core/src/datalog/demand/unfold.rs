//! Closures within closures: a rule that goes on along a closure goes on along its edges instead.
//!
//! ```text
//!   anc(c, x) :- below(c, x).     anc(c, x) :- anc(c, y), anc(y, x).
//!   role(u, c) :- role(u, x), anc(c, x).    becomes    role(u, c) :- role(u, x), below(c, x).
//! ```
//!
//! Whoever takes any number of paths takes any number of edges, since each edge is a path: (E⁺)* is E*. What else the rule says
//! holds at every step alike, as long as it says nothing of where the step begins and ends. Demand then goes each edge once,
//! and not all paths from each place that it comes to.

use std::collections::BTreeMap;

use crate::check::rules::{PredicateId, Slot, Term};

use super::shape::{Clause, Literal, slot_of};

/// Relations of more columns are not looked at in pairs.
const WIDTH_MAX: usize = 6;

/// A relation that holds of where one comes along edges, one or more, with its other columns the same all the way.
struct Path<'c> {
    /// The columns where a path begins and where it ends.
    ends: [usize; 2],
    edges: Vec<&'c Clause>,
}

/// The relations some of whose rules go along paths, with rules that go along edges.
pub(super) fn unfolded(
    clauses: &BTreeMap<PredicateId, Vec<Clause>>,
    are_mates: impl Fn(PredicateId, PredicateId) -> bool,
) -> BTreeMap<PredicateId, Vec<Clause>> {
    let paths: BTreeMap<PredicateId, Path<'_>> =
        clauses.iter().filter_map(|(id, clauses)| Some((*id, path(*id, clauses)?))).collect();
    let mut changed = BTreeMap::new();
    for (id, of) in clauses {
        let along = |clause: &Clause| {
            clause.literals.iter().enumerate().find_map(|(at, literal)| match literal {
                Literal::Call(to, args) if to != id && !are_mates(*id, *to) => {
                    paths.get(to).and_then(|path| clause.along(*id, at, path, args))
                }
                _ => None,
            })
        };
        if of.iter().any(|clause| along(clause).is_some()) {
            let edges = of.iter().flat_map(|clause| along(clause).unwrap_or_else(|| vec![clause.clone()]));
            changed.insert(*id, edges.collect());
        }
    }
    changed
}

/// Along which edges a relation goes, if its rules are those of paths.
fn path(id: PredicateId, clauses: &[Clause]) -> Option<Path<'_>> {
    let (steps, edges): (Vec<&Clause>, Vec<&Clause>) = clauses.iter().partition(|clause| clause.reads(id));
    let arity = edges.first()?.args.len();
    if steps.is_empty() || WIDTH_MAX < arity {
        return None;
    }
    let steps: Vec<Clause> = steps.into_iter().map(|clause| clause.normal(id)).collect();
    let columns = || (0..arity).flat_map(|begin| (0..arity).map(move |end| [begin, end]));
    let ends = columns().filter(|[begin, end]| begin != end).find(|[begin, end]| {
        let both_ways = [[*begin, *end], [*end, *begin]];
        let along = |ends: [usize; 2]| edges.iter().map(move |edge| edge.then_itself(id, ends).normal(id));
        let known: Vec<Clause> = both_ways.into_iter().flat_map(along).collect();
        steps.iter().all(|step| known.contains(step))
    })?;
    Some(Path { ends, edges })
}

impl Clause {
    fn reads(&self, id: PredicateId) -> bool {
        self.literals.iter().any(|literal| matches!(literal, Literal::Call(to, _) if *to == id))
    }

    /// The same with what it reads of its own relation last, and its variables by the order in which they occur.
    fn normal(&self, id: PredicateId) -> Self {
        let is_own = |literal: &&Literal| matches!(literal, Literal::Call(to, _) if *to == id);
        let (own, others): (Vec<&Literal>, Vec<&Literal>) = self.literals.iter().partition(is_own);
        let mut names: Vec<Slot> = Vec::new();
        let mut name = |slot: Slot| {
            let at = names.iter().position(|of| *of == slot).unwrap_or_else(|| {
                names.push(slot);
                names.len() - 1
            });
            Term::Slot(Slot(at))
        };
        let args = self.args.iter().map(|term| put(*term, &mut name)).collect();
        let literals: Option<Vec<Literal>> =
            others.into_iter().chain(own).map(|literal| literal.with(&mut name)).collect();
        Self { args, literals: literals.unwrap_or_default(), n_slots: names.len() }
    }

    /// The rules that go along the edges of a path where this one goes along the path, the condition at this place; none if it does
    /// more than that.
    fn along(&self, id: PredicateId, at: usize, path: &Path<'_>, args: &[Term]) -> Option<Vec<Self>> {
        let mut own = self.literals.iter().filter_map(|literal| match literal {
            Literal::Call(to, args) if *to == id => Some(args),
            _ => None,
        });
        let (Some(before), None) = (own.next(), own.next()) else { return None };
        let mut differ = self.args.iter().zip(before).filter(|(after, before)| after != before);
        let (Some((after, before)), None) = (differ.next(), differ.next()) else { return None };
        let [begin, end] = path.ends.map(|column| args.get(column).copied());
        let (here, there) = (slot_of(*before)?, slot_of(*after)?);
        // Where it begins and where it ends: once where its own relation is, and once in the path.
        let all = || self.literals.iter().flat_map(Literal::slots).chain(self.args.iter().copied().filter_map(slot_of));
        let is_apart = |slot: Slot| all().filter(|of| *of == slot).count() == 2;
        let goes_along = [[Some(*before), Some(*after)], [Some(*after), Some(*before)]].contains(&[begin, end]);
        if !goes_along || !is_apart(here) || !is_apart(there) || self.args.contains(&Term::Any) {
            return None;
        }
        path.edges.iter().filter(|edge| !edge.stays(path.ends)).map(|edge| self.with(at, args, edge)).collect()
    }

    /// Whether an edge leads nowhere else.
    fn stays(&self, [begin, end]: [usize; 2]) -> bool {
        self.args.get(begin) == self.args.get(end)
    }

    /// The rule with the conditions of another, whose head stands at this place with these arguments, in its stead.
    fn with(&self, at: usize, args: &[Term], other: &Self) -> Option<Self> {
        let mut known: BTreeMap<Slot, Term> = BTreeMap::new();
        for (column, arg) in other.args.iter().zip(args) {
            let slot = slot_of(*column)?;
            // Of what nobody asks for there is a variable all the same.
            let term = if *arg == Term::Any { Term::Slot(Slot(self.n_slots + slot.0)) } else { *arg };
            if known.insert(slot, term).is_some_and(|before| before != term) {
                return None;
            }
        }
        let mut name = |slot: Slot| known.get(&slot).copied().unwrap_or(Term::Slot(Slot(self.n_slots + slot.0)));
        let mut literals = Vec::new();
        for (place, literal) in self.literals.iter().enumerate() {
            if place == at {
                for literal in &other.literals {
                    literals.push(literal.with(&mut name)?);
                }
            } else {
                literals.push(literal.clone());
            }
        }
        Some(Self { args: self.args.clone(), literals, n_slots: self.n_slots + other.n_slots })
    }
}

impl Literal {
    /// The same with other terms for its variables; none if it needs a variable where there is none.
    fn with(&self, name: &mut dyn FnMut(Slot) -> Term) -> Option<Self> {
        let mut all = |terms: &[Term]| terms.iter().map(|term| put(*term, name)).collect::<Vec<_>>();
        Some(match self {
            Self::Call(id, args) => Self::Call(*id, all(args)),
            Self::Rows(id, args) => Self::Rows(*id, all(args)),
            Self::NoCall(id, args) => Self::NoCall(*id, all(args)),
            Self::NoRows(id, args) => Self::NoRows(*id, all(args)),
            Self::In(wanted, low, high) => Self::In(*wanted, put(*low, name), put(*high, name)),
            Self::Test(check) => Self::Test(check.map(&mut |term| put(term, name))),
            Self::Fold(slot, fold, id, key) => {
                let key = all(key);
                Self::Fold(slot_of(name(*slot))?, *fold, *id, key)
            }
            Self::Is(slot, types) => Self::Is(slot_of(name(*slot))?, types.clone()),
            Self::Let(slot, term) => Self::Let(slot_of(name(*slot))?, put(*term, name)),
        })
    }
}

fn put(term: Term, name: &mut dyn FnMut(Slot) -> Term) -> Term {
    slot_of(term).map_or(term, name)
}
