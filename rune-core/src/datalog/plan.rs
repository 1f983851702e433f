//! The order in which the asks of a body are put, and what is known when each is.
//!
//! Greedy: what only asks comes as soon as it can be asked; of what enumerates, the one with most columns known, and among
//! those without any the smallest. Answers do not depend on it.

use std::collections::BTreeSet;

use crate::{
    check::rules::{Names, PredicateId, Slot, Term},
    facts::RowId,
};

use super::{Ask, AskKind, Body, CompiledRule, Plan, Step};

impl CompiledRule {
    /// Makes the plans: over all rows, and one for each ask that reads what the same stratum derives.
    pub(super) fn plan(&mut self, heads: &[PredicateId], size: &dyn Fn(PredicateId) -> RowId) {
        self.plans.clear();
        // What a decision is about is given.
        let given: Vec<Slot> = match self.head {
            Names::PERMIT | Names::FORBID => slots(&self.args).collect(),
            _ => Vec::new(),
        };
        self.plans.push(order(&self.body, &given, None, size));
        for (at, ask) in self.body.asks.iter().enumerate() {
            let delta = match &ask.kind {
                AskKind::Atom(id, _) if heads.contains(id) => Some(at),
                AskKind::In(_, _, is_entity) if heads.contains(&Names::PARENT) => Some(at).filter(|_| *is_entity),
                _ => continue,
            };
            // Who is in one of a set shows in no new row alone.
            self.plans.push(order(&self.body, &given, delta, size));
        }
    }
}

impl Plan {
    /// The columns by which relations are looked up.
    pub(super) fn indexes(&self, body: &Body, needed: &mut Vec<(PredicateId, Box<[usize]>)>) {
        self.each_lookup(body, &mut |id, columns, arity| {
            if !columns.is_empty() && columns.len() < arity {
                needed.push((id, columns));
            }
        });
    }

    /// Visits each way in which a relation is looked up: by which of how many columns.
    // Recurses once per aggregate within another, whose nesting was limited.
    pub(super) fn each_lookup(&self, body: &Body, visit: &mut dyn FnMut(PredicateId, Box<[usize]>, usize)) {
        for step in &self.steps {
            let Some(ask) = body.asks.get(step.ask) else { continue };
            match &ask.kind {
                AskKind::Atom(id, args) => visit(*id, step.columns.clone(), args.len()),
                AskKind::In(..) => [[0], [1]].into_iter().for_each(|column| visit(Names::IN, Box::from(column), 2)),
                AskKind::Not(inner) => {
                    if let AskKind::Atom(id, args) = &inner.kind {
                        let is_known = |(at, arg): (usize, &Term)| (*arg != Term::Any).then_some(at);
                        visit(*id, args.iter().enumerate().filter_map(is_known).collect(), args.len());
                    }
                }
                AskKind::Aggregate { body, plan, .. } => plan.each_lookup(body, visit),
                AskKind::Guard(_) | AskKind::Bind(..) | AskKind::Is(..) => {}
            }
        }
    }
}

pub(super) fn slots(args: &[Term]) -> impl Iterator<Item = Slot> {
    args.iter().filter_map(|arg| match arg {
        Term::Slot(slot) => Some(*slot),
        _ => None,
    })
}

/// An order for a body whose variables `given` are bound already; `delta` comes first, over new rows alone.
pub(super) fn order(body: &Body, given: &[Slot], delta: Option<usize>, size: &dyn Fn(PredicateId) -> RowId) -> Plan {
    let mut bound: BTreeSet<Slot> = given.iter().copied().collect();
    let mut left: Vec<usize> = (0..body.asks.len()).collect();
    let mut plan = Plan::default();
    let mut next = delta;
    while !left.is_empty() {
        let chosen = next.take().unwrap_or_else(|| choose(body, &left, &bound, size));
        left.retain(|at| *at != chosen);
        let Some(ask) = body.asks.get(chosen) else { continue };
        debug_assert!(delta == Some(chosen) || is_ready(ask, &bound), "a condition is put when what it needs is known");
        let columns = match &ask.kind {
            AskKind::Atom(_, args) => known(args, &bound),
            _ => Box::default(),
        };
        plan.steps.push(Step { ask: chosen, columns, is_delta: delta == Some(chosen) });
        bind(ask, &mut bound);
    }
    plan
}

fn known(args: &[Term], bound: &BTreeSet<Slot>) -> Box<[usize]> {
    let is_known = |arg: &Term| match arg {
        Term::Slot(slot) => bound.contains(slot),
        Term::Constant(_) => true,
        Term::Any => false,
    };
    args.iter().enumerate().filter(|(_, arg)| is_known(arg)).map(|(at, _)| at).collect()
}

fn bind(ask: &Ask, bound: &mut BTreeSet<Slot>) {
    match &ask.kind {
        AskKind::Atom(_, args) => bound.extend(slots(args)),
        AskKind::In(left, right, _) => bound.extend(slots(&[*left, *right])),
        AskKind::Bind(slot, ..) | AskKind::Aggregate { result: slot, .. } => drop(bound.insert(*slot)),
        AskKind::Guard(_) | AskKind::Is(..) | AskKind::Not(_) => {}
    }
}

/// The ask that comes next: the one with the smallest cost.
fn choose(body: &Body, left: &[usize], bound: &BTreeSet<Slot>, size: &dyn Fn(PredicateId) -> RowId) -> usize {
    let cost = |at: &usize| body.asks.get(*at).map_or((u8::MAX, 0), |ask| cost(ask, bound, size));
    left.iter().copied().min_by_key(cost).unwrap_or_default()
}

fn is_ready(ask: &Ask, bound: &BTreeSet<Slot>) -> bool {
    let has_side = match &ask.kind {
        AskKind::In(left, right, _) => {
            [left, right].contains(&&Term::Any) || !known(&[*left, *right], bound).is_empty()
        }
        _ => true,
    };
    has_side && ask.needs.iter().all(|slot| bound.contains(slot))
}

/// How soon an ask is put: a class, and within it how much it may enumerate.
fn cost(ask: &Ask, bound: &BTreeSet<Slot>, size: &dyn Fn(PredicateId) -> RowId) -> (u8, u64) {
    match &ask.kind {
        _ if !is_ready(ask, bound) => (9, 0),
        AskKind::Is(..) => (0, 0),
        AskKind::Guard(_) | AskKind::Bind(..) => (1, 0),
        AskKind::Atom(id, args) => {
            let (n_known, rows) = (known(args, bound).len(), u64::from(size(*id)));
            match n_known {
                n if n == args.len() => (2, 0),
                // The more is known, the fewer rows are left.
                n if 0 < n => (4, (args.len() - n) as u64 * (1 + rows.checked_ilog2().map_or(0, u64::from))),
                _ => (6, rows),
            }
        }
        AskKind::In(left, right, _) => match known(&[*left, *right], bound).len() {
            2 => (2, 1),
            1 => (4, 8),
            _ => (8, 0),
        },
        AskKind::Not(_) => (3, 0),
        AskKind::Aggregate { .. } => (5, 0),
    }
}
