//! Values as they stand in the columns of relations: with them procedures are tried.

use std::collections::BTreeSet;

use crate::{
    base::{Value, Values},
    check::rules::{Names, PredicateId, Term},
    facts::Store,
};

use super::{
    compile::Compiler,
    merged::Member,
    shape::{Literal, Pattern},
    trial::TRIALS,
};

impl<S: Store, V: Values> Compiler<'_, S, V> {
    /// Some values of each given column; of a relation that stands for several, for each of those.
    pub(super) fn columns(&self, id: PredicateId, pattern: Pattern) -> Vec<Vec<Vec<Value>>> {
        let columns = |id: PredicateId, is_given: &dyn Fn(usize) -> bool| -> Vec<Vec<Value>> {
            (0..self.arity(id)).filter(|column| is_given(*column)).map(|column| self.values_in(id, column)).collect()
        };
        let Some(members) = self.shapes.members(id) else { return vec![columns(id, &|column| pattern.has(column))] };
        let of_member = |member: &Member| {
            let row = member.row(&columns(member.id, &|_| true), self.arity(id), |value| vec![value]);
            row.into_iter().enumerate().filter(|(at, _)| pattern.has(*at)).map(|(_, values)| values).collect()
        };
        members.iter().map(of_member).collect()
    }

    /// Some values of a column, as far as rows that are there have them.
    fn values_in(&self, id: PredicateId, column: usize) -> Vec<Value> {
        let (mut values, mut seen) = (Vec::new(), BTreeSet::new());
        let mut pending = vec![(id, column)];
        while let Some((id, column)) = pending.pop() {
            if !seen.insert((id, column)) {
                continue;
            }
            for clause in self.shapes.clauses.get(&id).into_iter().flatten() {
                match clause.args.get(column) {
                    Some(Term::Constant(value)) => values.push(*value),
                    Some(Term::Slot(slot)) => {
                        for literal in &clause.literals {
                            let at = |args: &[Term]| args.iter().position(|arg| *arg == Term::Slot(*slot));
                            match literal {
                                Literal::Call(other, args) => pending.extend(at(args).map(|at| (*other, at))),
                                Literal::Rows(other, args) => {
                                    let Some(at) = at(args) else { continue };
                                    values.extend(self.some_of(*other, at));
                                    break;
                                }
                                Literal::In(true, low, high) => {
                                    let Some(at) = at(&[*low, *high]) else { continue };
                                    values.extend(self.some_of(Names::IN, at));
                                }
                                _ => {}
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        values
    }

    pub(super) fn some_of(&self, id: PredicateId, column: usize) -> Vec<Value> {
        let Some(rows) = self.store.relation(id).map(|relation| &relation.rows) else { return Vec::new() };
        let n = rows.len() as usize;
        // Far apart, in an order that has nothing to do with theirs.
        let at = |n_th: usize| u32::try_from((n_th * 7_919 + 13) * (n / TRIALS + 1) % n.max(1)).unwrap_or_default();
        (0..TRIALS.min(n)).filter_map(|n_th| rows.row(at(n_th)).get(column).copied()).collect()
    }
}
