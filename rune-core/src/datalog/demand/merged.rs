//! Relations that derive one another, as one relation whose first column says of which of them a row is.
//!
//! ```text
//!   views(U, X) :- shared(X, G), member(U, G).      becomes    all(views, U, X) :- shared(X, G), all(member, U, G).
//!   member(U, G) :- opens(X, G), views(U, X).       becomes    all(member, U, G) :- opens(X, G), all(views, U, X).
//! ```
//!
//! What derives nothing but itself is a closure, and demand goes along it, where each of several relations would have to be tabled.
//! Columns that rules hand on from one relation to the other share a place, so that what stands there is the same all the way.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::Value,
    check::rules::{PredicateId, Slot, Term},
};

use super::shape::{Clause, Literal, WIDTH_MAX};

/// What stands where a relation has no column.
const NOTHING: Value = Value::FALSE;

/// One relation in the place of several.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    pub(super) members: Vec<Member>,
    pub(super) clauses: Vec<Clause>,
    /// How many columns it has.
    pub(super) width: usize,
}

/// One of the relations that are merged.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: PredicateId,
    /// What the first column says of its rows.
    tag: Value,
    /// Where its columns stand.
    places: Vec<usize>,
}

impl Member {
    /// Its row, as one of all: what it has no column for is the same in all its rows.
    pub(super) fn row<T: Clone>(&self, row: &[T], width: usize, constant: impl Fn(Value) -> T) -> Vec<T> {
        let column = |place: usize| self.places.iter().position(|of| *of == place).and_then(|at| row.get(at).cloned());
        let tag = || constant(self.tag);
        (0..width)
            .map(|place| if place == 0 { tag() } else { column(place).unwrap_or_else(|| constant(NOTHING)) })
            .collect()
    }

    /// Its rows, read from all.
    pub(super) fn clause(&self, all: PredicateId, width: usize) -> Clause {
        let args: Vec<Term> = (0..self.places.len()).map(|at| Term::Slot(Slot(at))).collect();
        let literals = vec![Literal::Call(all, self.row(&args, width, Term::Constant))];
        Clause { n_slots: args.len(), args, literals }
    }
}

/// Relations that derive one another as one, `all`, where each rule reads one of them at most.
pub(super) fn merged(of: &BTreeMap<PredicateId, &[Clause]>, all: PredicateId) -> Option<Merged> {
    let is_linear = |clause: &Clause| clause.mates(of).count() <= 1;
    if of.len() < 2 || !of.values().copied().flatten().all(is_linear) {
        return None;
    }
    let places = places(of);
    let width = 1 + places.values().flatten().copied().max().unwrap_or_default();
    let member = |(tag, (id, places))| Some(Member { id, tag: Value::small(tag)?, places });
    let members: Vec<Member> = places.into_iter().enumerate().map(member).collect::<Option<_>>()?;
    let row = |id: PredicateId, args: &[Term]| {
        members.iter().find(|member| member.id == id).map(|member| member.row(args, width, Term::Constant))
    };
    let mut clauses = Vec::new();
    for (id, clause) in of.iter().flat_map(|(id, clauses)| clauses.iter().map(move |clause| (*id, clause))) {
        let literals = clause.literals.iter().map(|literal| match literal {
            Literal::Call(id, args) if of.contains_key(id) => Some(Literal::Call(all, row(*id, args)?)),
            _ => Some(literal.clone()),
        });
        let literals = literals.collect::<Option<_>>()?;
        clauses.push(Clause { args: row(id, &clause.args)?, literals, n_slots: clause.n_slots });
    }
    (width <= WIDTH_MAX).then_some(Merged { members, clauses, width })
}

impl Clause {
    /// What it reads of these relations.
    fn mates(&self, of: &BTreeMap<PredicateId, &[Clause]>) -> impl Iterator<Item = (PredicateId, &[Term])> {
        self.literals.iter().filter_map(|literal| match literal {
            Literal::Call(id, args) if of.contains_key(id) => Some((*id, args.as_slice())),
            _ => None,
        })
    }
}

/// Where the columns of relations stand, from one on: in the same place if a rule hands on what stands there.
fn places(of: &BTreeMap<PredicateId, &[Clause]>) -> BTreeMap<PredicateId, Vec<usize>> {
    let mut known: BTreeMap<PredicateId, Vec<usize>> = BTreeMap::new();
    // Each round settles a relation that others read or that reads others, if there is any.
    while known.len() < of.len() {
        let rules = of.iter().flat_map(|(id, clauses)| clauses.iter().map(move |clause| (*id, clause)));
        let reads = rules.flat_map(|(id, clause)| clause.mates(of).map(move |mate| ((id, &*clause.args), mate)));
        let both = reads.flat_map(|(head, read)| [(head, read), (read, head)]);
        let next = both
            .filter(|((from, _), (to, _))| known.contains_key(from) && !known.contains_key(to))
            .max_by_key(|((_, from), (_, to))| to.iter().filter(|arg| from.contains(arg)).count());
        let (id, handed): (PredicateId, Vec<Option<usize>>) = match next {
            Some(((from, given), (to, taken))) => {
                let places = known.get(&from).map(Vec::as_slice).unwrap_or_default();
                let place = |arg: &Term| given.iter().position(|of| of == arg).and_then(|at| places.get(at).copied());
                let slot = |arg: &Term| matches!(arg, Term::Slot(_)).then(|| place(arg)).flatten();
                (to, taken.iter().map(slot).collect())
            }
            None => {
                let Some((id, clauses)) = of.iter().find(|(id, _)| !known.contains_key(id)) else { break };
                (*id, vec![None; clauses.first().map_or(0, |clause| clause.args.len())])
            }
        };
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        let handed: Vec<Option<usize>> =
            handed.into_iter().map(|place| place.filter(|place| taken.insert(*place))).collect();
        let free =
            |taken: &mut BTreeSet<usize>| (1..=taken.len() + 1).find(|place| taken.insert(*place)).unwrap_or_default();
        known.insert(id, handed.into_iter().map(|place| place.unwrap_or_else(|| free(&mut taken))).collect());
    }
    known
}
