//! What is right in itself and cannot be meant: relations that can have no row, choices that are not made, rules that nothing
//! reads.

use std::collections::BTreeSet;

use crate::{
    base::{Pool, Span},
    diag::{Code, Finding, Findings},
    schema::{Type, Types},
};

use super::{CheckedRules, Goal, GoalKind, Names, Predicate, PredicateId, PredicateKind, Rule, Term};

pub(super) fn check(checked: &CheckedRules, values: &Pool, findings: &mut Findings) {
    for (at, predicate) in checked.predicates.iter().enumerate() {
        functional(PredicateId(at), predicate, checked, values, findings);
    }
    never_derived(checked, findings);
    // A rule that is wrong reads nothing.
    if !findings.has_error() {
        unused(checked, findings);
    }
}

/// A derived functional relation says which of several values counts, or is one aggregate grouped by its key.
fn functional(id: PredicateId, predicate: &Predicate, checked: &CheckedRules, values: &Pool, findings: &mut Findings) {
    let (Some(key), PredicateKind::Derived) = (predicate.key, predicate.kind) else { return };
    let span = predicate.span.unwrap_or(Span::NOWHERE);
    if key.choice.is_some() {
        let of = predicate.columns.get(key.n_columns).map_or(Types::Any, |column| column.types.clone());
        let ordered = Types::OneOf(vec![Type::Long, Type::Datetime, Type::Duration]);
        if !of.is_within(&ordered) {
            let message = format!("`{}` chooses among values of type {}", predicate.name, of.show(values));
            findings.push(
                Finding::new(Code::RelationForm, span, message).help("`min` and `max` compare integers and times"),
            );
        }
        return;
    }
    let rules: Vec<&Rule> = checked.rules.iter().filter(|rule| rule.head == id).collect();
    let is_grouped = matches!(rules.as_slice(), [rule] if is_one_aggregate(rule, key.n_columns));
    if !is_grouped {
        let message = format!("`{}` is functional, and rules may derive several values for one key", predicate.name);
        let finding = Finding::new(Code::NoChoice, span, message);
        let help = "say which counts, `relation level(User -> max Long).`, or derive it by one rule with one aggregate";
        findings.push(match rules.first() {
            Some(rule) => finding.related(rule.span, "derived here").help(help),
            None => finding.help(help),
        });
    }
}

/// Whether a rule gives each key one value: an aggregate over what the key says.
fn is_one_aggregate(rule: &Rule, n_keys: usize) -> bool {
    let (Some(keys), Some([Term::Slot(value)])) = (rule.args.get(..n_keys), rule.args.get(n_keys..)) else {
        return false;
    };
    rule.body.iter().any(|goal| match &goal.kind {
        GoalKind::Aggregate(aggregate) => {
            aggregate.result == *value && aggregate.outer.iter().all(|slot| keys.contains(&Term::Slot(*slot)))
        }
        _ => false,
    })
}

/// Relations that no rule can give a first row, because each needs one that is there already.
fn never_derived(checked: &CheckedRules, findings: &mut Findings) {
    let mut possible: BTreeSet<PredicateId> = BTreeSet::new();
    let is_given = |predicate: &Predicate| predicate.kind != PredicateKind::Derived;
    possible
        .extend(checked.predicates.iter().enumerate().filter(|(_, of)| is_given(of)).map(|(at, _)| PredicateId(at)));
    possible.extend(checked.facts.iter().map(|fact| fact.predicate));
    loop {
        let n = possible.len();
        for rule in &checked.rules {
            let may_hold = |goal: &Goal| match &goal.kind {
                GoalKind::Atom(id, _) => possible.contains(id),
                _ => true,
            };
            if rule.body.iter().all(may_hold) {
                possible.insert(rule.head);
            }
        }
        if possible.len() == n {
            break;
        }
    }
    for (at, predicate) in checked.predicates.iter().enumerate() {
        let Some(rule) = checked.rules.iter().find(|rule| rule.head == PredicateId(at)) else { continue };
        if !possible.contains(&PredicateId(at)) {
            let message =
                format!("`{}` can never have a row: each of its rules needs one that is there", predicate.name);
            let finding = Finding::new(Code::NeverDerived, rule.span, message);
            findings.push(finding.help("add a rule that does not read the relation itself"));
        }
    }
}

/// Relations that nothing reads.
fn unused(checked: &CheckedRules, findings: &mut Findings) {
    let mut read: BTreeSet<PredicateId> = BTreeSet::from([Names::PARENT, Names::PERMIT, Names::FORBID]);
    let queries = checked.tests.iter().filter_map(|test| test.query.as_ref());
    for rule in checked.rules.iter().chain(queries) {
        // A rule that reads its own relation is no reader.
        rule.body.iter().for_each(|goal| reads(goal, rule.head, &mut read));
    }
    for (at, predicate) in checked.predicates.iter().enumerate() {
        let is_read = read.contains(&PredicateId(at)) || predicate.is_attribute || predicate.template.is_some();
        let is_own = matches!(predicate.kind, PredicateKind::Base | PredicateKind::Live | PredicateKind::Derived);
        if is_own && !is_read && !predicate.name.starts_with('?') {
            let message = format!("nothing reads `{}`", predicate.name);
            let finding = Finding::new(Code::UnusedRelation, predicate.span.unwrap_or(Span::NOWHERE), message);
            findings.push(finding.help("read it in a rule or a test, or mark it `@attribute` for policies"));
        }
    }
}

fn reads(goal: &Goal, head: PredicateId, read: &mut BTreeSet<PredicateId>) {
    match &goal.kind {
        GoalKind::Atom(id, _) if *id != head => drop(read.insert(*id)),
        GoalKind::Not(goal) => reads(goal, head, read),
        GoalKind::Aggregate(aggregate) => aggregate.body.iter().for_each(|goal| reads(goal, head, read)),
        _ => {}
    }
}
