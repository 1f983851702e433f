//! What is right in itself and cannot be meant: relations that can have no row, choices that are not made, rules that nothing
//! reads.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{Pool, Span},
    diag::{Code, Finding, Findings, Severity},
    schema::{Type, Types},
};

use super::{
    CheckedRules, Goal, GoalKind, Predicate, PredicateId, PredicateKind, Rule, Term,
    reads::{Attributes, Readers},
};

/// `rows` are the relations that files give rows, or say to have none.
pub(super) fn check(checked: &CheckedRules, rows: &BTreeSet<PredicateId>, values: &Pool, findings: &mut Findings) {
    let rules_of = checked.by_head();
    for (at, predicate) in checked.predicates.iter().enumerate() {
        functional(PredicateId(at), predicate, &rules_of, values, findings);
    }
    never_derived(checked, rows, findings);
    // A rule that is wrong reads nothing, and derives nothing.
    if !findings.has_error() {
        let in_rules = read_by_rules(checked);
        let read = in_rules.union(&for_policies(checked)).copied().collect();
        let without_rows = without_rows(checked, rows, &read);
        let unused = unused(checked, &read);
        tell_without_rows(&without_rows, &in_rules, &unused, findings);
        tell_unused(&unused, &without_rows, findings);
    }
}

/// A derived functional relation says which of several values counts, or is one aggregate grouped by its key.
fn functional(
    id: PredicateId,
    predicate: &Predicate,
    rules_of: &BTreeMap<PredicateId, Vec<&Rule>>,
    values: &Pool,
    findings: &mut Findings,
) {
    let (Some(key), PredicateKind::Derived) = (predicate.key, predicate.kind) else { return };
    let span = predicate.span.unwrap_or(Span::NOWHERE);
    if key.choice.is_some() {
        let of = predicate.columns.get(key.n_columns).map_or(Types::Any, |column| column.types.clone());
        if !matches!(of.single(), Some(Type::Long | Type::Datetime | Type::Duration)) {
            let message = format!("`{}` chooses among values of type {}", predicate.name, of.show(values));
            findings.push(
                Finding::new(Code::RelationForm, span, message)
                    .help("`min` and `max` compare integers or times, of one type"),
            );
        }
        return;
    }
    let rules = rules_of.get(&id).map_or(&[][..], Vec::as_slice);
    let is_grouped = matches!(rules, [rule] if is_one_aggregate(rule, key.n_columns));
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

/// Relations that no rule can give a first row, because each needs one that is there already. Of one that is declared, rows of
/// files may be the first; whether there are any is of no consequence to what is refused.
fn never_derived(checked: &CheckedRules, rows: &BTreeSet<PredicateId>, findings: &mut Findings) {
    let is_given =
        |at: usize, predicate: &Predicate| predicate.kind != PredicateKind::Derived || rows.contains(&PredicateId(at));
    let given = checked.predicates.iter().enumerate().filter(|(at, predicate)| is_given(*at, predicate));
    let mut possible: BTreeSet<PredicateId> = given.map(|(at, _)| PredicateId(at)).collect();
    let readers = Readers::of(checked);
    let mut pending: Vec<usize> = (0..checked.rules.len()).collect();
    while let Some(rule) = pending.pop().and_then(|at| checked.rules.get(at)) {
        let may_hold = |goal: &Goal| match &goal.kind {
            GoalKind::Atom(id, _) => possible.contains(id),
            _ => true,
        };
        if rule.body.iter().all(may_hold) && possible.insert(rule.head) {
            pending.extend(readers.of_relation(rule.head));
        }
    }
    let mut told = BTreeSet::new();
    for rule in checked.rules.iter().filter(|rule| !possible.contains(&rule.head)) {
        let Some(predicate) = checked.predicate(rule.head).filter(|_| told.insert(rule.head)) else { continue };
        let message = format!("`{}` can never have a row: each of its rules needs one that is there", predicate.name);
        let finding = Finding::new(Code::NeverDerived, rule.span, message);
        let finding = finding.help("add a rule that does not read the relation itself");
        let severity = if predicate.is_declared { Severity::Warning } else { finding.severity };
        findings.push(Finding { severity, ..finding });
    }
}

/// The relations that policies may read: as attributes, or by the links of a template. Whether one does is not known here.
fn for_policies(checked: &CheckedRules) -> BTreeSet<PredicateId> {
    let is_for_policies = |predicate: &Predicate| predicate.is_attribute || predicate.template.is_some();
    let all = checked.predicates.iter().enumerate();
    all.filter(|(_, predicate)| is_for_policies(predicate)).map(|(at, _)| PredicateId(at)).collect()
}

/// The relations that a rule or a question reads.
fn read_by_rules(checked: &CheckedRules) -> BTreeSet<PredicateId> {
    let mut read = BTreeSet::new();
    let attributes = Attributes::of(checked);
    let queries = checked.tests.iter().filter_map(|test| test.query.as_ref());
    for rule in checked.rules.iter().chain(queries) {
        for goal in &rule.body {
            goal.each_read(&attributes, &mut |id, _| {
                // A rule that reads its own relation is no reader.
                if id != rule.head {
                    read.insert(id);
                }
            });
        }
    }
    read
}

/// Relations that nothing reads.
fn unused<'c>(checked: &'c CheckedRules, read: &BTreeSet<PredicateId>) -> Vec<&'c Predicate> {
    let all = checked.predicates.iter().enumerate();
    all.filter(|(at, predicate)| predicate.is_own() && !read.contains(&PredicateId(*at))).map(|(_, of)| of).collect()
}

/// Relations that are or may be read, and that neither files nor rules nor a test give a row. Those of links may wait for theirs.
fn without_rows<'c>(
    checked: &'c CheckedRules,
    rows: &BTreeSet<PredicateId>,
    read: &BTreeSet<PredicateId>,
) -> Vec<(PredicateId, &'c Predicate)> {
    let in_tests: BTreeSet<PredicateId> =
        checked.tests.iter().flat_map(|test| test.facts.runs()).map(|run| run.predicate).collect();
    let all = checked.predicates.iter().enumerate().map(|(at, predicate)| (PredicateId(at), predicate));
    let is_empty = |id: &PredicateId| read.contains(id) && !rows.contains(id) && !in_tests.contains(id);
    let is_base = |of: &Predicate| of.kind == PredicateKind::Base && of.template.is_none();
    all.filter(|(id, of)| is_base(of) && is_empty(id)).collect()
}

fn tell_without_rows(
    without_rows: &[(PredicateId, &Predicate)],
    in_rules: &BTreeSet<PredicateId>,
    unused: &[&Predicate],
    findings: &mut Findings,
) {
    let derived: Vec<_> = unused.iter().filter(|of| of.kind == PredicateKind::Derived && !of.is_declared).collect();
    for (id, Predicate { name, span, .. }) in without_rows {
        let message = if in_rules.contains(id) {
            format!("`{name}` is read, and no file and no rule gives it a row")
        } else {
            format!("no file and no rule gives `{name}` a row")
        };
        let finding = Finding::new(Code::RelationWithoutRows, span.unwrap_or(Span::NOWHERE), message);
        let near = findings.nearest(name, derived.iter().map(|of| of.name.as_str()));
        let other = near.and_then(|near| derived.iter().find(|of| of.name == near));
        findings.push(match other.and_then(|of| Some((&of.name, of.span?))) {
            Some((near, span)) => {
                let label = format!("rules derive `{near}`, which nothing reads");
                finding.related(span, label).help(format!("did you mean `{name}` by `{near}`?"))
            }
            None => {
                finding.help(format!("write a rule for it, or say in `[data]` that it has none yet: `{name} = []`"))
            }
        });
    }
}

fn tell_unused(unused: &[&Predicate], without_rows: &[(PredicateId, &Predicate)], findings: &mut Findings) {
    for Predicate { name, span, is_declared, .. } in unused {
        let finding =
            Finding::new(Code::UnusedRelation, span.unwrap_or(Span::NOWHERE), format!("nothing reads `{name}`"));
        let empty = without_rows.iter().map(|(_, of)| of.name.as_str()).filter(|_| !is_declared);
        let help = match findings.nearest(name, empty) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "read it in a rule or a test, or mark it `@attribute` for policies".to_owned(),
        };
        findings.push(finding.help(help));
    }
}
