//! Static prefixes: what a rule says of columns that stay the same from call to call, put as a relation of its own.
//!
//! ```text
//!   denied(A, X) :- under(X, Y), bans(G, Y), covers(G, A).      asked of each X of a list, of one A
//!   denied(A, X) :- under(X, Y), banned(A, Y).                  asked so
//!   banned(A, Y) :- bans(G, Y), covers(G, A).                   once
//! ```
//!
//! What has been answered is known for the rest of a request, so that the join is made for the first call only. Whether that is
//! worth it is for trials to say: the join may come to more than what all calls look at.

use std::collections::BTreeSet;

use crate::check::rules::{PredicateId, Slot, Term};

use super::shape::{Clause, Literal, Pattern, WIDTH_MAX, slot_of};

/// Columns of relations that are split: each choice of them may be what stays.
pub(super) const COLUMNS_MAX: usize = 4;

/// A relation whose rules read prefixes, and these.
#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) clauses: Vec<Clause>,
    /// Each is of the relation that has this place after the first: the columns that stay, and its rules.
    pub(super) prefixes: Vec<(Pattern, Vec<Clause>)>,
}

/// What a relation is a part of, that is read in the place of another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// All of it, for calls of which these columns stay the same.
    Split(PredicateId, Pattern),
    /// A prefix, which is asked for by these columns.
    Prefix(PredicateId, Pattern),
}

/// The rules of a relation as `this`, with prefixes from `first` on, where these columns stay; none if they have none in common.
pub(super) fn split(
    (id, clauses): (PredicateId, &[Clause]),
    stays: Pattern,
    this: PredicateId,
    first: PredicateId,
) -> Option<Split> {
    let own =
        |clause: &Clause| clause.literals.iter().filter(|of| matches!(of, Literal::Call(to, _) if *to == id)).count();
    let (steps, exits): (Vec<&Clause>, Vec<&Clause>) = clauses.iter().partition(|clause| 0 < own(clause));
    let steps: Vec<Step<'_>> = steps.into_iter().map(|clause| Step::of(clause, id)).collect::<Option<_>>()?;
    let changes = |column: usize| steps.iter().any(|step| step.changes.contains(&column));
    let arity = clauses.first()?.args.len();
    let dynamic: Vec<usize> = (0..arity).filter(|column| changes(*column)).collect();
    // Recursion goes on either in the relation or in its prefixes.
    let is_within = !dynamic.is_empty() && dynamic.iter().all(|column| stays.has(*column));
    if !is_within && dynamic.iter().any(|column| stays.has(*column)) {
        return None;
    }
    if is_within && !steps.iter().all(|step| step.minds_none_but(stays)) {
        return None;
    }
    let mut split = Split::default();
    for exit in exits {
        let varies = exit.args.iter().enumerate().filter(|(at, _)| !stays.has(*at) && !dynamic.contains(at));
        let varies: BTreeSet<Slot> = varies.filter_map(|(_, arg)| slot_of(*arg)).collect();
        let kept: Vec<Term> = stays.split(&exit.args).0;
        let parts = exit.parts(&kept, &varies);
        let others = exit.literals.iter().enumerate().filter(|(at, _)| !parts.iter().any(|part| part.contains(at)));
        let mut literals: Vec<Literal> = others.map(|(_, literal)| literal.clone()).collect();
        // Where recursion goes on in the prefix it has to be in one, and nothing else may speak of where it ends.
        if is_within && !(parts.len() == 1 && exit.leaves_alone(&dynamic, &literals)) {
            return None;
        }
        for part in parts {
            let id = PredicateId(first.0 + split.prefixes.len());
            let (n_stay, prefix) = exit.prefix(&part, &kept, is_within);
            let n_open = prefix.args.len() - n_stay;
            literals.push(Literal::Call(id, prefix.args.clone()));
            let steps = steps.iter().filter(|_| is_within).map(|step| step.within(stays, n_open, id));
            split.prefixes.push((Pattern::of(0..n_stay), std::iter::once(prefix).chain(steps).collect()));
        }
        split.clauses.push(Clause { args: exit.args.clone(), literals, n_slots: exit.n_slots });
    }
    let on = steps.iter().filter(|_| !is_within).map(|step| step.clause.calling(id, this));
    split.clauses.extend(on);
    let is_narrow = |(_, prefix): &(Pattern, Vec<Clause>)| prefix.iter().all(|clause| clause.args.len() <= WIDTH_MAX);
    (!split.prefixes.is_empty() && split.prefixes.iter().all(is_narrow)).then_some(split)
}

/// A rule with one condition on its own relation.
struct Step<'c> {
    id: PredicateId,
    clause: &'c Clause,
    own: &'c [Term],
    /// The columns that it changes.
    changes: Vec<usize>,
}

impl<'c> Step<'c> {
    fn of(clause: &'c Clause, id: PredicateId) -> Option<Self> {
        let mut own = clause.literals.iter().filter_map(|literal| match literal {
            Literal::Call(to, args) if *to == id => Some(args.as_slice()),
            _ => None,
        });
        let (Some(own), None) = (own.next(), own.next()) else { return None };
        let changes = (0..own.len()).filter(|at| clause.args.get(*at) != own.get(*at)).collect();
        (!clause.args.contains(&Term::Any) && !own.contains(&Term::Any)).then_some(Self { id, clause, own, changes })
    }

    /// Whether it says nothing of columns but these, besides handing them on.
    fn minds_none_but(&self, stays: Pattern) -> bool {
        let of_body = self.clause.literals.iter().flat_map(Literal::slots);
        let slots: Vec<Slot> = self.clause.args.iter().copied().filter_map(slot_of).chain(of_body).collect();
        let others = self.clause.args.iter().enumerate().filter(|(at, _)| !stays.has(*at));
        let mut others = others.map(|(_, arg)| slot_of(*arg));
        others.all(|slot| slot.is_some_and(|slot| slots.iter().filter(|of| **of == slot).count() == 2))
    }

    /// The same of a prefix, which has the columns that stay and then so many that are handed on.
    fn within(&self, stays: Pattern, n_open: usize, id: PredicateId) -> Clause {
        let n_slots = self.clause.n_slots;
        let open = || (0..n_open).map(|at| Term::Slot(Slot(n_slots + at)));
        let row = |args: &[Term]| stays.split(args).0.into_iter().chain(open()).collect::<Vec<_>>();
        let is_own = |literal: &Literal| matches!(literal, Literal::Call(to, _) if *to == self.id);
        let others = self.clause.literals.iter().filter(|literal| !is_own(literal)).cloned();
        let literals = others.chain([Literal::Call(id, row(self.own))]).collect();
        Clause { args: row(&self.clause.args), literals, n_slots: n_slots + n_open }
    }
}

impl Clause {
    /// The conditions that hang together with these terms and with none of the slots that vary, by their places: each part a join of
    /// two conditions or more.
    fn parts(&self, kept: &[Term], varies: &BTreeSet<Slot>) -> Vec<BTreeSet<usize>> {
        let kept: BTreeSet<Slot> = kept.iter().copied().filter_map(slot_of).collect();
        let is_joined = |literal: &Literal| matches!(literal, Literal::Call(..) | Literal::Rows(..));
        let is_apart = |literal: &Literal| !literal.slots().any(|slot| varies.contains(&slot));
        let all: Vec<(usize, &Literal)> =
            self.literals.iter().enumerate().filter(|(_, of)| is_joined(of) && is_apart(of)).collect();
        let mut parts: Vec<(BTreeSet<usize>, BTreeSet<Slot>)> = Vec::new();
        for (at, literal) in all {
            let slots: BTreeSet<Slot> = literal.slots().collect();
            let meets = |(_, known): &(BTreeSet<usize>, BTreeSet<Slot>)| {
                known.intersection(&slots).any(|slot| !kept.contains(slot))
            };
            let (together, apart): (Vec<_>, Vec<_>) = parts.into_iter().partition(meets);
            let mut part = (BTreeSet::from([at]), slots);
            for (places, slots) in together {
                part.0.extend(places);
                part.1.extend(slots);
            }
            parts = apart;
            parts.push(part);
        }
        parts.retain(|(places, slots)| 1 < places.len() && !slots.is_disjoint(&kept));
        let holds = |slots: &BTreeSet<Slot>, at: usize| {
            self.literals.get(at).is_some_and(|of| {
                !is_joined(of) && of.slots().count() != 0 && of.slots().all(|slot| slots.contains(&slot))
            })
        };
        for (places, slots) in &mut parts {
            places.extend((0..self.literals.len()).filter(|at| holds(slots, *at)));
        }
        parts.into_iter().map(|(places, _)| places).collect()
    }

    /// These conditions as a relation: of the columns that stay, all or those that they speak of, as many as is said, and what the
    /// rest of the rule needs.
    fn prefix(&self, part: &BTreeSet<usize>, kept: &[Term], is_whole: bool) -> (usize, Self) {
        let is_in = |(at, _): &(usize, &Literal)| part.contains(at);
        let (inside, outside): (Vec<_>, Vec<_>) = self.literals.iter().enumerate().partition(is_in);
        let slots: BTreeSet<Slot> = inside.iter().flat_map(|(_, literal)| literal.slots()).collect();
        let needed = outside.iter().flat_map(|(_, literal)| literal.slots());
        let needed: BTreeSet<Slot> = needed.chain(self.args.iter().copied().filter_map(slot_of)).collect();
        let speaks_of = |term: &Term| is_whole || slot_of(*term).is_some_and(|slot| slots.contains(&slot));
        let stay: Vec<Term> = kept.iter().copied().filter(speaks_of).collect();
        let open = slots.intersection(&needed).map(|slot| Term::Slot(*slot)).filter(|term| !kept.contains(term));
        let (n_stay, args) = (stay.len(), stay.into_iter().chain(open).collect());
        let literals = inside.into_iter().map(|(_, literal)| literal.clone()).collect();
        (n_stay, Self { args, literals, n_slots: self.n_slots })
    }

    /// Whether what stands in these columns is a variable each, and these conditions do not speak of it.
    fn leaves_alone(&self, columns: &[usize], literals: &[Literal]) -> bool {
        columns.iter().all(|at| {
            let arg = self.args.get(*at).copied();
            let is_alone = self.args.iter().filter(|of| Some(**of) == arg).count() == 1;
            let slot = arg.and_then(slot_of).filter(|_| is_alone);
            slot.is_some_and(|slot| !literals.iter().flat_map(Literal::slots).any(|of| of == slot))
        })
    }

    /// The same, calling one relation where it calls another.
    fn calling(&self, id: PredicateId, this: PredicateId) -> Self {
        let literals = self.literals.iter().map(|literal| match literal {
            Literal::Call(to, args) if *to == id => Literal::Call(this, args.clone()),
            _ => literal.clone(),
        });
        Self { literals: literals.collect(), ..self.clone() }
    }
}
