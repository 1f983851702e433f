//! Binding: every variable of a rule gets its values from a condition that can enumerate them.
//!
//! What binds is a positive atom, `X = expression`, and `X in Y` once one side is bound; what may be a set is not found among those
//! that somebody is in. What only asks (a guard, `not`) binds nothing. The order of the text does not matter.

use std::collections::BTreeSet;

use crate::{
    base::{Pool, Values},
    diag::{Code, Finding, Findings},
    schema::Types,
    syntax::ast::{Binary, Expr, ExprKind},
};

use super::{CheckedRules, Goal, GoalKind, Names, Rule, Slot, Term};

type Bound = BTreeSet<Slot>;

pub(super) fn check(rule: &Rule, checked: &CheckedRules, values: &Pool, findings: &mut Findings) {
    let mut bound = Bound::new();
    let in_head = rule.args.iter().filter_map(|term| match term {
        Term::Slot(slot) => Some(*slot),
        _ => None,
    });
    // A decision is asked about a principal, an action and a resource: they are given.
    let is_decision = [Names::PERMIT, Names::FORBID].contains(&rule.head);
    let in_head: Vec<_> = in_head.collect();
    if is_decision {
        bound.extend(in_head.iter().copied());
    }
    let mut unbound = Vec::new();
    let sets = (0..rule.variables.len()).map(Slot).filter(|slot| rule.may_be_set(*slot)).collect();
    body((&sets, &rule.body), &mut bound, &mut unbound);
    unbound.extend(in_head.into_iter().filter(|slot| !bound.contains(slot)));
    let mut told = BTreeSet::new();
    for slot in unbound {
        let Some(variable) = rule.variables.get(slot.0) else { continue };
        // The value of an expression is unbound because of the variables in it, which are told themselves.
        if !told.insert(slot) || is_made_up(&variable.name) {
            continue;
        }
        let name = &variable.name;
        let finding = Finding::new(Code::UnboundVariable, variable.span, format!("nothing binds `{name}`"));
        findings.push(finding.help(binder(rule, slot, checked, values)));
    }
    check_uses(rule, &told, findings);
}

/// A variable that stands in one place only is a slip: it asks nothing, where two would ask for the same.
fn check_uses(rule: &Rule, told: &BTreeSet<Slot>, findings: &mut Findings) {
    for (at, variable) in rule.variables.iter().enumerate() {
        if variable.n_uses != 1 || variable.name.starts_with('_') || told.contains(&Slot(at)) {
            continue;
        }
        let message = format!("`{}` stands in one place only", variable.name);
        let known = rule.variables.iter().map(|other| other.name.as_str());
        let known = known.filter(|other| *other != variable.name && !other.starts_with('_'));
        let help = match findings.nearest(&variable.name, known.filter(|other| 1 < other.len())) {
            Some(near) => format!("did you mean `{near}`? Write `_` if anything will do"),
            None => "write `_` if anything will do".to_owned(),
        };
        findings.push(Finding::new(Code::SingleUse, variable.span, message).help(help));
    }
}

fn is_made_up(name: &str) -> bool {
    name.strip_prefix('_').is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
}

/// Extends `bound` by what a body binds, in which these variables may be sets, and lists what it needs and does not bind.
fn body((sets, goals): (&BTreeSet<Slot>, &[Goal]), bound: &mut Bound, unbound: &mut Vec<Slot>) {
    loop {
        let n = bound.len();
        for goal in goals {
            bind((sets, goal), bound);
        }
        if bound.len() == n {
            break;
        }
    }
    for goal in goals {
        if let GoalKind::Aggregate(aggregate) = &goal.kind {
            let mut inner: Bound = aggregate.outer.iter().copied().filter(|slot| bound.contains(slot)).collect();
            unbound.extend(aggregate.outer.iter().copied().filter(|slot| !bound.contains(slot)));
            let mut missing = Vec::new();
            body((sets, &aggregate.body), &mut inner, &mut missing);
            unbound.extend(missing);
            unbound.extend(aggregate.tuple.iter().copied().filter(|slot| !inner.contains(slot)));
        } else {
            goal.each_slot(&mut |slot| {
                if !bound.contains(&slot) {
                    unbound.push(slot);
                }
            });
        }
    }
}

/// Adds what a goal binds, given what is bound.
fn bind((sets, goal): (&BTreeSet<Slot>, &Goal), bound: &mut Bound) {
    match &goal.kind {
        GoalKind::Atom(_, args) => bound.extend(args.iter().filter_map(|term| match term {
            Term::Slot(slot) => Some(*slot),
            _ => None,
        })),
        GoalKind::In(left, right) => {
            let is_bound = |term: &Term| match term {
                Term::Slot(slot) => bound.contains(slot),
                Term::Constant(_) => true,
                Term::Any => false,
            };
            let may_bind = |term: &Term| !matches!(term, Term::Slot(slot) if sets.contains(slot));
            if is_bound(right) || is_bound(left) && may_bind(right) {
                bound.extend([left, right].into_iter().filter_map(|term| match term {
                    Term::Slot(slot) => Some(*slot),
                    _ => None,
                }));
            }
        }
        GoalKind::Bind(slot, guard) => {
            if guard.slots.iter().all(|(_, slot)| bound.contains(slot)) {
                bound.insert(*slot);
            }
        }
        GoalKind::Aggregate(aggregate) => {
            if aggregate.outer.iter().all(|slot| bound.contains(slot)) {
                bound.insert(aggregate.result);
            }
        }
        GoalKind::Guard(_) | GoalKind::Not(_) => {}
    }
}

/// Whether a condition compares a variable with something by `==`.
fn is_compared(goal: &Goal, slot: Slot) -> bool {
    let GoalKind::Guard(guard) = &goal.kind else { return false };
    let ExprKind::Binary(Binary::Equal, parts) = &guard.expr.kind else { return false };
    let is_it = |part: &Expr| match &part.kind {
        ExprKind::Name(name) => guard.slots.iter().any(|(known, of)| known == name && *of == slot),
        _ => false,
    };
    parts.iter().any(is_it)
}

/// Advice: an atom that would bind a variable.
fn binder(rule: &Rule, slot: Slot, checked: &CheckedRules, values: &Pool) -> String {
    let name = rule.variables.get(slot.0).map_or("X", |variable| &variable.name);
    if rule.body.iter().any(|goal| is_compared(goal, slot)) {
        return format!("`==` compares, and `=` binds: write `{name} = …`");
    }
    let mut types = rule.variables.get(slot.0).map_or(Types::Any, |variable| variable.types.clone());
    let mut is_negated = false;
    for goal in &rule.body {
        if let GoalKind::Not(inner) = &goal.kind
            && let GoalKind::Atom(id, args) = &inner.kind
            && let Some(predicate) = checked.predicate(*id)
        {
            for (column, _) in predicate.columns.iter().zip(args).filter(|(_, arg)| **arg == Term::Slot(slot)) {
                is_negated = true;
                types = types.and(&column.types);
            }
        }
    }
    let why = if is_negated { "`not` asks and does not bind: " } else { "" };
    match types.entity() {
        Some(kind) => format!("{why}`{}({name})` would bind it", values.name(kind)),
        None => {
            let of = |id: super::PredicateId| checked.predicate(id).filter(|predicate| !predicate.columns.is_empty());
            let atom = rule.body.iter().find_map(|goal| match &goal.kind {
                GoalKind::Not(inner) => match &inner.kind {
                    GoalKind::Atom(id, args) if args.contains(&Term::Slot(slot)) => of(*id).map(|of| (of, args.len())),
                    _ => None,
                },
                _ => None,
            });
            match atom {
                Some((of, n)) => {
                    let args = vec!["…"; n.saturating_sub(1)].join(", ");
                    let comma = if args.is_empty() { "" } else { ", " };
                    format!("{why}the same atom without `not`, `{}({name}{comma}{args})`, would bind it", of.name)
                }
                None => format!("{why}a condition such as `p({name})` or `{name} = …` would bind it"),
            }
        }
    }
}
