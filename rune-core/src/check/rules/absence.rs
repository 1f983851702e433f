//! Guards that may have no value where a decision rests on absence.
//!
//! An instance whose guard fails is undetermined, and what is undetermined never grants. Under `not`, in aggregates, in complete
//! reads and in what a forbid reads, that means a denial, so that a guard that may fail there for want of an attribute is
//! refused where the schema shows it.

use std::collections::BTreeSet;

use crate::{
    base::{Pool, Span},
    diag::{Code, Finding, Findings},
    schema::{Schema, Types},
    syntax::ast::{Expr, ExprKind, Unary},
};

use super::{CheckedRules, Goal, GoalKind, Names, PredicateId, Rule, scope::each, types::ExprTypes};

pub(super) fn check(checked: &CheckedRules, schema: Option<&Schema>, values: &mut Pool, findings: &mut Findings) {
    if schema.is_none() {
        return;
    }
    let absent = read_for_absence(checked);
    for rule in &checked.rules {
        let types: Vec<Types> = rule.variables.iter().map(|variable| variable.types.clone()).collect();
        let mut guards = Vec::new();
        for goal in &rule.body {
            collect(goal, absent.contains(&rule.head), &mut guards);
        }
        // Conditions hold together: what one of them makes sure of, all may rely on.
        let mut sure = Sure::default();
        for goal in &rule.body {
            if let GoalKind::Guard(guard) = &goal.kind {
                sure.learn(&guard.expr);
            }
        }
        for (guard, span) in guards {
            let typing = ExprTypes { checked, schema, types: &types, guard };
            let mut missing = Vec::new();
            may_miss(&guard.expr, &typing, &mut sure.clone(), values, &mut missing);
            for (at, name) in missing {
                let message = format!("`{name}` may be missing here, and a denial would rest on it");
                let finding = Finding::new(Code::MayBeUndetermined, Span::new(span.file, at), message);
                let why = reason(rule, checked);
                findings.push(finding.help(format!("add `… has {name}` to the rule{why}")));
            }
        }
    }
}

fn reason(rule: &Rule, checked: &CheckedRules) -> String {
    match checked.predicate(rule.head) {
        Some(predicate) if ![Names::PERMIT, Names::FORBID].contains(&rule.head) => {
            format!(": `{}` is read under `not`, in an aggregate or an expression, or by a forbid", predicate.name)
        }
        _ => String::new(),
    }
}

/// The relations on whose absence something rests: read so, or feeding one that is.
fn read_for_absence(checked: &CheckedRules) -> BTreeSet<PredicateId> {
    let mut absent = BTreeSet::from([Names::FORBID]);
    // A policy may read a derived attribute in any way, and forbid by it.
    absent.extend(checked.attributes.iter().map(|attribute| attribute.predicate));
    for rule in &checked.rules {
        rule.body.iter().for_each(|goal| negative(goal, false, checked, &mut absent));
    }
    loop {
        let n = absent.len();
        for rule in checked.rules.iter().filter(|rule| absent.contains(&rule.head)).collect::<Vec<_>>() {
            rule.body.iter().for_each(|goal| negative(goal, true, checked, &mut absent));
        }
        if absent.len() == n {
            return absent;
        }
    }
}

fn negative(goal: &Goal, is_negative: bool, checked: &CheckedRules, absent: &mut BTreeSet<PredicateId>) {
    match &goal.kind {
        GoalKind::Atom(id, _) if is_negative => drop(absent.insert(*id)),
        GoalKind::In(..) if is_negative => drop(absent.insert(Names::PARENT)),
        GoalKind::Atom(..) | GoalKind::In(..) => {}
        GoalKind::Not(goal) => negative(goal, true, checked, absent),
        GoalKind::Aggregate(aggregate) => aggregate.body.iter().for_each(|goal| negative(goal, true, checked, absent)),
        GoalKind::Guard(guard) | GoalKind::Bind(_, guard) => {
            let mut names = Vec::new();
            each(&guard.expr, &mut |part| match &part.kind {
                ExprKind::Attribute(_, name) => names.push(name),
                ExprKind::Has(_, path) => names.extend(path),
                _ => {}
            });
            let read = checked.attributes.iter().map(|of| of.predicate);
            let is_named = |id: &PredicateId| checked.predicate(*id).is_some_and(|of| names.contains(&&of.name));
            absent.extend(read.filter(is_named));
        }
    }
}

type Place<'c> = (&'c super::Guard, Span);

/// The guards whose failure matters.
fn collect<'c>(goal: &'c Goal, matters: bool, guards: &mut Vec<Place<'c>>) {
    match &goal.kind {
        GoalKind::Guard(guard) | GoalKind::Bind(_, guard) if matters => guards.push((guard, goal.span)),
        GoalKind::Not(goal) => collect(goal, true, guards),
        GoalKind::Aggregate(aggregate) => aggregate.body.iter().for_each(|goal| collect(goal, true, guards)),
        _ => {}
    }
}

/// The attributes that are there for sure: of which expression, and which.
#[derive(Debug, Clone, Default)]
struct Sure(Vec<(ExprKind, String)>);

impl Sure {
    /// Adds what follows from an expression that is true.
    fn learn(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::All(parts) => parts.iter().for_each(|part| self.learn(part)),
            ExprKind::Has(owner, path) => {
                let mut owner = bare(owner);
                for name in path {
                    self.0.push((owner.clone(), name.clone()));
                    owner = ExprKind::Attribute(Box::new(Expr::placeless(owner)), name.clone());
                }
            }
            _ => {}
        }
    }

    fn has(&self, owner: &Expr, name: &str) -> bool {
        let owner = bare(owner);
        self.0.iter().any(|(known, attribute)| *known == owner && attribute == name)
    }
}

/// An expression without its places, so that two can be compared.
fn bare(expr: &Expr) -> ExprKind {
    let mut expr = expr.clone();
    expr.forget_places();
    expr.kind
}

/// Lists the attributes that an expression asks for and that may be missing. Recurses once per level of the expression.
fn may_miss(
    expr: &Expr,
    typing: &ExprTypes<'_>,
    sure: &mut Sure,
    values: &mut Pool,
    missing: &mut Vec<(std::ops::Range<usize>, String)>,
) {
    match &expr.kind {
        ExprKind::All(parts) => {
            let mut sure = sure.clone();
            for part in parts {
                may_miss(part, typing, &mut sure, values, missing);
                sure.learn(part);
            }
        }
        ExprKind::Any(parts) => {
            let mut sure = sure.clone();
            for part in parts {
                may_miss(part, typing, &mut sure, values, missing);
                // The next is asked only if this one is false.
                if let ExprKind::Unary(Unary::Not, inner) = &part.kind {
                    sure.learn(inner);
                }
            }
        }
        ExprKind::If(parts) => {
            let [test, yes, no] = &**parts;
            may_miss(test, typing, sure, values, missing);
            let mut then = sure.clone();
            then.learn(test);
            may_miss(yes, typing, &mut then, values, missing);
            may_miss(no, typing, sure, values, missing);
        }
        ExprKind::Attribute(owner, name) => {
            may_miss(owner, typing, sure, values, missing);
            let of = typing.of(owner, values);
            let looked = typing.attribute(owner, &of, name, values);
            // One that nothing has is told as such.
            if looked.may_be_missing && looked.unknown.is_none() && !sure.has(owner, name) {
                missing.push((expr.span.clone(), name.clone()));
            }
        }
        _ => expr.for_each_part(&mut |part| may_miss(part, typing, sure, values, missing)),
    }
}
