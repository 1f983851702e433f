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
    syntax::ast::{Binary, Expr, ExprKind, Unary},
};

use super::{
    CheckedRules, Goal, GoalKind, Guard, Names, PredicateId, Rule,
    expressions::ExprTypes,
    reads::{Attributes, Reading},
};

pub(super) fn check(checked: &CheckedRules, schema: Option<&Schema>, values: &mut Pool, findings: &mut Findings) {
    if schema.is_none() {
        return;
    }
    let absent = read_for_absence(checked);
    for rule in &checked.rules {
        let types: Vec<Types> = rule.variables.iter().map(|variable| variable.types.clone()).collect();
        let mut body = Body { rule, checked, schema, types: &types, values, findings };
        body.check(&rule.body, absent.contains(&rule.head), &Sure::default());
    }
}

struct Body<'a> {
    rule: &'a Rule,
    checked: &'a CheckedRules,
    schema: Option<&'a Schema>,
    types: &'a [Types],
    values: &'a mut Pool,
    findings: &'a mut Findings,
}

impl Body<'_> {
    // Recurses once per aggregate within another, whose nesting was limited.
    fn check(&mut self, goals: &[Goal], matters: bool, sure: &Sure) {
        // Conditions hold together: what one of them makes sure of, all may rely on.
        let mut sure = sure.clone();
        for goal in goals {
            if let GoalKind::Guard(guard) = &goal.kind {
                sure.learn(&guard.expr);
            }
        }
        for goal in goals {
            self.check_goal(goal, matters, &sure);
        }
    }

    fn check_goal(&mut self, goal: &Goal, matters: bool, sure: &Sure) {
        match &goal.kind {
            GoalKind::Guard(guard) | GoalKind::Bind(_, guard) if matters => self.check_guard(guard, goal.span, sure),
            GoalKind::Not(goal) => self.check_goal(goal, true, sure),
            GoalKind::Aggregate(aggregate) => self.check(&aggregate.body, true, sure),
            GoalKind::Atom(..) | GoalKind::In(..) | GoalKind::Guard(_) | GoalKind::Bind(..) => {}
        }
    }

    fn check_guard(&mut self, guard: &Guard, span: Span, sure: &Sure) {
        let typing = ExprTypes { checked: self.checked, schema: self.schema, types: self.types, guard };
        let mut missing = Vec::new();
        may_miss(&guard.expr, &typing, &mut sure.clone(), self.values, &mut missing);
        for Missing { at, what, by } in missing {
            let message = format!("{what} may be missing here, and a denial would rest on it");
            let finding = Finding::new(Code::MayBeUndetermined, Span::new(span.file, at), message);
            let why = reason(self.rule, self.checked);
            self.findings.push(finding.help(format!("add `… {by}` to the rule{why}")));
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
    // A policy may read parents and derived attributes in any way, and forbid by them.
    let mut pending = vec![Names::FORBID, Names::PARENT];
    pending.extend(checked.attributes.iter().map(|attribute| attribute.predicate));
    let attributes = Attributes::of(checked);
    let rules_of = checked.by_head();
    for rule in &checked.rules {
        for goal in &rule.body {
            goal.each_read(&attributes, &mut |id, reading| {
                pending.extend((reading == Reading::Complete).then_some(id));
            });
        }
    }
    let mut absent = BTreeSet::new();
    while let Some(id) = pending.pop() {
        if !absent.insert(id) {
            continue;
        }
        for goal in rules_of.get(&id).into_iter().flatten().flat_map(|rule| &rule.body) {
            goal.each_read(&attributes, &mut |id, _| pending.push(id));
        }
    }
    absent
}

/// Something that an expression asks for and that may be missing.
struct Missing {
    at: std::ops::Range<usize>,
    what: String,
    /// The condition that would make sure of it.
    by: String,
}

/// The attributes and tags that are there for sure: of which expression, and which.
#[derive(Debug, Clone, Default)]
struct Sure {
    attributes: Vec<(ExprKind, String)>,
    tags: Vec<[ExprKind; 2]>,
}

impl Sure {
    /// Adds what follows from an expression that is true.
    fn learn(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::All(parts) => parts.iter().for_each(|part| self.learn(part)),
            ExprKind::Has(owner, path) => {
                let mut owner = bare(owner);
                for name in path {
                    self.attributes.push((owner.clone(), name.clone()));
                    owner = ExprKind::Attribute(Box::new(Expr::placeless(owner)), name.clone());
                }
            }
            ExprKind::Binary(Binary::HasTag, parts) => self.tags.push(parts.each_ref().map(bare)),
            _ => {}
        }
    }

    fn has(&self, owner: &Expr, name: &str) -> bool {
        let owner = bare(owner);
        self.attributes.iter().any(|(known, attribute)| *known == owner && attribute == name)
    }

    fn has_tag(&self, parts: &[Expr; 2]) -> bool {
        self.tags.contains(&parts.each_ref().map(bare))
    }
}

/// An expression without its places, so that two can be compared.
fn bare(expr: &Expr) -> ExprKind {
    let mut expr = expr.clone();
    expr.forget_places();
    expr.kind
}

/// Lists the attributes and tags that an expression asks for and that may be missing. Recurses once per level of the expression.
fn may_miss(expr: &Expr, typing: &ExprTypes<'_>, sure: &mut Sure, values: &mut Pool, missing: &mut Vec<Missing>) {
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
                let (what, by) = (format!("`{name}`"), format!("has {name}"));
                missing.push(Missing { at: expr.span.clone(), what, by });
            }
        }
        ExprKind::Binary(Binary::GetTag, parts) => {
            parts.iter().for_each(|part| may_miss(part, typing, sure, values, missing));
            if !sure.has_tag(parts) {
                let (what, by) = ("the tag".to_owned(), ".hasTag(…)".to_owned());
                missing.push(Missing { at: expr.span.clone(), what, by });
            }
        }
        _ => expr.for_each_part(&mut |part| may_miss(part, typing, sure, values, missing)),
    }
}
