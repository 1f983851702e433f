//! Types: inferred for the columns that no declaration types and for every variable, and checked wherever one is known.

use std::collections::VecDeque;

use crate::{
    base::{Pool, Span, Values, View},
    diag::{Code, Finding, Findings},
    schema::{Schema, Type, Types, type_of},
    syntax::rules::Fold,
};

use super::{
    Aggregate, CheckedRules, Column, Goal, GoalKind, Names, Predicate, PredicateId, PredicateKind, Rule, Slot, Term,
    expressions::{ExprTypes, expect},
    is_found_by_in_alone,
    reads::Readers,
};

/// Gives every variable its types, and the columns of relations that rules derive without a declaration theirs.
pub(super) fn infer(checked: &mut CheckedRules, schema: Option<&Schema>, values: &mut Pool) {
    let is_open = |predicate: &Predicate| {
        predicate.kind == PredicateKind::Derived && predicate.columns.iter().all(|column| column.types.is_none())
    };
    let open: Vec<bool> = checked.predicates.iter().map(is_open).collect();
    let is_open = |id: PredicateId| open.get(id.0).copied().unwrap_or_default();
    let readers = Readers::of(checked);
    // Types only grow, and there are finitely many in a text.
    let mut pending: VecDeque<usize> = (0..checked.rules.len()).collect();
    let mut is_pending = vec![true; checked.rules.len()];
    while let Some(at) = pending.pop_front() {
        let (Some(rule), Some(waits)) = (checked.rules.get(at), is_pending.get_mut(at)) else { continue };
        *waits = false;
        let (head, types) = (rule.head, variables(rule, checked, schema, values));
        let row: Vec<Types> = rule.args.iter().map(|arg| term(*arg, &types, values)).collect();
        if let Some(rule) = checked.rules.get_mut(at) {
            for (variable, types) in rule.variables.iter_mut().zip(types) {
                variable.types = types;
            }
        }
        // A variable that has no value yet derives nothing yet.
        if is_open(head) && !row.iter().any(Types::is_none) && widen(&mut checked.predicates, head, &row) {
            for reader in readers.of_relation(head) {
                if let Some(waits) = is_pending.get_mut(*reader).filter(|waits| !**waits) {
                    *waits = true;
                    pending.push_back(*reader);
                }
            }
        }
    }
}

fn widen(predicates: &mut [Predicate], id: PredicateId, row: &[Types]) -> bool {
    let Some(predicate) = predicates.get_mut(id.0) else { return false };
    let mut has_grown = false;
    for (column, types) in predicate.columns.iter_mut().zip(row) {
        let all = column.types.or(types);
        has_grown |= all != column.types;
        column.types = all;
    }
    has_grown
}

fn term(term: Term, types: &[Types], values: &Pool) -> Types {
    match term {
        Term::Slot(slot) => types.get(slot.0).cloned().unwrap_or(Types::Any),
        Term::Constant(value) => type_of(values, value).map_or(Types::Any, Types::one),
        Term::Any => Types::Any,
    }
}

/// The types of a rule's variables, from the conditions that they stand in. A head gives none, but for that of a decision, whose
/// variables the request gives, and for what is bound by `in` alone, which enumerates all that there is.
fn variables(rule: &Rule, checked: &CheckedRules, schema: Option<&Schema>, values: &mut Pool) -> Vec<Types> {
    let mut types = vec![Types::Any; rule.variables.len()];
    if is_decision(rule) {
        narrow_row(checked, rule.head, &rule.args, &mut types);
    }
    narrow_all(rule, checked, schema, values, &mut types);
    if is_decision(rule) {
        // Of whatever type where no schema says it, what a request names is an entity.
        let before = types.clone();
        for of in rule.args.iter().filter_map(|arg| if let Term::Slot(slot) = arg { Some(slot.0) } else { None }) {
            if let Some(Types::OneOf(kinds)) = types.get_mut(of) {
                kinds.retain(|kind| matches!(kind, Type::Entity(_)));
            }
        }
        if types != before {
            narrow_all(rule, checked, schema, values, &mut types);
        }
    }
    // What no declaration limits holds whatever its rules find.
    let declared = checked.predicate(rule.head).filter(|of| of.is_declared);
    let columns = declared.map(|of| of.columns.as_slice()).unwrap_or_default();
    for (column, arg) in columns.iter().zip(&rule.args) {
        if let Term::Slot(slot) = arg
            && types.get(slot.0) == Some(&Types::Any)
            && !column.types.is_none()
            && is_found_by_in_alone(&rule.body, *slot)
        {
            narrow_slot(*slot, &column.types, &mut types);
            narrow_all(rule, checked, schema, values, &mut types);
        }
    }
    types
}

fn is_decision(rule: &Rule) -> bool {
    [Names::PERMIT, Names::FORBID].contains(&rule.head)
}

/// Narrows by each condition. Expressions have types once their variables do, whatever the order of the text: there and back,
/// until nothing changes.
fn narrow_all(rule: &Rule, checked: &CheckedRules, schema: Option<&Schema>, values: &mut Pool, types: &mut Vec<Types>) {
    loop {
        let before = types.clone();
        for goal in rule.body.iter().chain(rule.body.iter().rev()) {
            narrow(goal, checked, schema, values, types);
        }
        if *types == before {
            return;
        }
    }
}

fn narrow_row(checked: &CheckedRules, id: PredicateId, args: &[Term], types: &mut [Types]) {
    let Some(predicate) = checked.predicate(id) else { return };
    for (column, arg) in predicate.columns.iter().zip(args) {
        if let Term::Slot(slot) = arg {
            narrow_slot(*slot, &column.types, types);
        }
    }
}

fn narrow_slot(slot: Slot, to: &Types, types: &mut [Types]) {
    if let Some(known) = types.get_mut(slot.0) {
        *known = known.and(to);
    }
}

fn narrow(goal: &Goal, checked: &CheckedRules, schema: Option<&Schema>, values: &mut Pool, types: &mut Vec<Types>) {
    match &goal.kind {
        GoalKind::Atom(id, args) => narrow_row(checked, *id, args, types),
        GoalKind::In(..) | GoalKind::Not(_) => {}
        GoalKind::Guard(guard) => {
            if let Some((slot, kind)) = guard.type_test() {
                narrow_slot(slot, &Types::one(Type::Entity(values.symbol(kind))), types);
            }
        }
        GoalKind::Bind(slot, guard) => {
            let typing = ExprTypes { checked, schema, types, guard };
            let of = typing.of(&guard.expr, values);
            narrow_slot(*slot, &of, types);
        }
        GoalKind::Aggregate(aggregate) => {
            // What stands outside is of whatever type it is there: an aggregate of nothing is a value too.
            let outside: Vec<_> = aggregate.outer.iter().map(|slot| (slot.0, types.get(slot.0).cloned())).collect();
            for goal in &aggregate.body {
                narrow(goal, checked, schema, values, types);
            }
            for (at, known) in outside {
                if let (Some(place), Some(known)) = (types.get_mut(at), known) {
                    *place = known;
                }
            }
            narrow_slot(aggregate.result, &result(aggregate, types), types);
        }
    }
}

/// The types of what an aggregate is.
fn result(aggregate: &Aggregate, types: &[Types]) -> Types {
    let first = aggregate.tuple.first().and_then(|slot| types.get(slot.0)).cloned().unwrap_or(Types::Any);
    match aggregate.fold {
        Fold::Count | Fold::Sum => Types::one(Type::Long),
        Fold::Min | Fold::Max => first,
        Fold::Collect => match first.single() {
            Some(kind) => Types::one(Type::Set(Box::new(kind.clone()))),
            None => Types::Any,
        },
    }
}

/// The variables that no value can have, because the places where they stand have no type in common.
pub(super) fn conflicts(checked: &CheckedRules, schema: Option<&Schema>, values: &mut Pool, findings: &mut Findings) {
    for predicate in checked.predicates.iter().filter(|of| of.kind == PredicateKind::Derived && !of.is_declared) {
        mixed(predicate, values, findings);
    }
    for rule in &checked.rules {
        if rule.variables.iter().any(|variable| variable.types.is_none()) {
            let types: Vec<Types> = rule.variables.iter().map(|variable| variable.types.clone()).collect();
            conflicts_in(rule, &types, checked, schema, values, findings);
        }
    }
}

/// A column that nothing declares and that rules give texts and entities alike is most likely meant to have ids.
fn mixed(predicate: &Predicate, values: &Pool, findings: &mut Findings) {
    let is_mixed = |column: &&Column| match &column.types {
        Types::OneOf(kinds) => kinds.contains(&Type::Text) && kinds.iter().any(|kind| matches!(kind, Type::Entity(_))),
        Types::Any => false,
    };
    let Some(column) = predicate.columns.iter().find(is_mixed) else { return };
    let message = format!("rules give a column of `{}` both: {}", predicate.name, column.types.show(values));
    let finding = Finding::new(Code::TypeConflict, predicate.span.unwrap_or(Span::NOWHERE), message);
    findings.push(finding.help("write an entity with its type, or declare the relation if both are meant"));
}

fn conflicts_in(
    rule: &Rule,
    types: &[Types],
    checked: &CheckedRules,
    schema: Option<&Schema>,
    values: &mut Pool,
    findings: &mut Findings,
) {
    for at in 0..types.len() {
        let is_nothing = types.get(at).is_some_and(Types::is_none);
        let Some(variable) = rule.variables.get(at).filter(|_| is_nothing) else { continue };
        let mut places: Vec<(Span, Types)> = Vec::new();
        let mut pending: Vec<&Goal> = rule.body.iter().collect();
        while let Some(goal) = pending.pop() {
            match &goal.kind {
                GoalKind::Atom(id, args) => {
                    let columns =
                        checked.predicate(*id).map(|predicate| predicate.columns.as_slice()).unwrap_or_default();
                    for (column, _) in columns.iter().zip(args).filter(|(_, arg)| **arg == Term::Slot(Slot(at))) {
                        places.push((goal.span, column.types.clone()));
                    }
                }
                GoalKind::Bind(Slot(slot), guard) if *slot == at => {
                    let of = ExprTypes { checked, schema, types, guard }.of(&guard.expr, values);
                    places.push((goal.span, of));
                }
                GoalKind::Aggregate(aggregate) => {
                    if aggregate.result == Slot(at) {
                        places.push((goal.span, result(aggregate, types)));
                    }
                    pending.extend(&aggregate.body);
                }
                GoalKind::Guard(guard) => {
                    if let Some((_, kind)) = guard.type_test().filter(|(slot, _)| slot.0 == at) {
                        places.push((goal.span, Types::one(Type::Entity(values.symbol(kind)))));
                    }
                }
                _ => {}
            }
        }
        let mut is_requested = false;
        if is_decision(rule)
            && let Some(predicate) = checked.predicate(rule.head)
        {
            let is_it = |arg: &Term| *arg == Term::Slot(Slot(at));
            let columns = predicate.columns.iter().zip(&rule.args).filter(|(_, arg)| is_it(arg));
            let columns: Vec<_> = columns.map(|(column, _)| (rule.span, column.types.clone())).collect();
            is_requested = columns.iter().any(|(_, types)| *types == Types::Any);
            places.extend(columns);
        }
        places.retain(|(_, types)| *types != Types::Any);
        places.sort_by_key(|(span, _)| *span);
        // A column without a type belongs to a relation that can have no row; that is told there.
        if places.iter().any(|(_, types)| types.is_none()) || places.len() + usize::from(is_requested) < 2 {
            continue;
        }
        let requested = is_requested.then(|| "an entity".to_owned());
        let shown: Vec<_> = requested.into_iter().chain(places.iter().map(|(_, types)| types.show(values))).collect();
        let message = format!("`{}` can be nothing: it would be {}", variable.name, shown.join(" and "));
        let finding = Finding::new(Code::TypeConflict, variable.span, message);
        findings.push(finding.help("use a variable for each, or widen the type in a declaration"));
    }
}

/// Checks every expression and argument whose types are known.
pub(super) fn check(checked: &CheckedRules, schema: Option<&Schema>, values: &mut Pool, findings: &mut Findings) {
    for rule in &checked.rules {
        let types: Vec<Types> = rule.variables.iter().map(|variable| variable.types.clone()).collect();
        let file = rule.span.file;
        for goal in &rule.body {
            check_goal(goal, checked, schema, &types, values, findings);
        }
        if let Some(predicate) = checked.predicate(rule.head) {
            let row = predicate.columns.iter().zip(&rule.args);
            for (column, arg) in row.filter(|(column, _)| column.types != Types::Any) {
                if let Term::Slot(slot) = arg
                    && let Some(variable) = rule.variables.get(slot.0)
                    && variable.types != Types::Any
                    && !variable.types.is_within(&column.types)
                {
                    let (of, wanted) = (variable.types.show(values), column.types.show(values));
                    let message =
                        format!("`{}` is {of}, and its column of `{}` is {wanted}", variable.name, predicate.name);
                    let finding = Finding::new(Code::TypeConflict, variable.span, message);
                    findings.push(finding.help("say which are meant, as in `X is User`, or declare the column wider"));
                }
                if let Term::Constant(value) = arg
                    && !column.types.has(values, *value)
                {
                    let (found, wanted) = (values.show_briefly(*value), column.types.show(values));
                    findings.push(Finding::new(
                        Code::WrongType,
                        rule.span,
                        format!("expected {wanted}, found {found}"),
                    ));
                }
            }
            if predicate.kind == PredicateKind::Parent {
                check_parent(rule, schema, &types, values, findings);
            }
        }
        debug_assert!(rule.body.iter().all(|goal| goal.span.file == file), "a rule stands in one file");
    }
}

/// Whether the schema allows the parents that a rule derives.
fn check_parent(rule: &Rule, schema: Option<&Schema>, types: &[Types], values: &Pool, findings: &mut Findings) {
    let Some(schema) = schema else { return };
    let of = |at: usize| rule.args.get(at).map_or(Types::Any, |arg| term(*arg, types, values));
    let (Some(children), Some(parents)) = (of(0).entities(), of(1).entities()) else {
        let finding = Finding::new(Code::TypeConflict, rule.span, "the types of this child and parent are not known");
        findings.push(finding.help("add a condition that says them, such as `User(U)`"));
        return;
    };
    for child in &children {
        for parent in &parents {
            if !schema.entity_type(*child).is_some_and(|of| of.parents.contains(parent)) {
                let (child, parent) = (values.name(*child), values.name(*parent));
                let message = format!("an entity of type {child} cannot be in one of type {parent}");
                let finding = Finding::new(Code::ParentNotAllowed, rule.span, message);
                findings.push(finding.help(format!("declare it: `entity {child} in [{parent}];`")));
            }
        }
    }
}

fn check_goal(
    goal: &Goal,
    checked: &CheckedRules,
    schema: Option<&Schema>,
    types: &Vec<Types>,
    values: &mut Pool,
    findings: &mut Findings,
) {
    match &goal.kind {
        GoalKind::Atom(id, args) => {
            let columns = checked.predicate(*id).map(|predicate| predicate.columns.as_slice()).unwrap_or_default();
            for (column, arg) in columns.iter().zip(args) {
                let Term::Constant(value) = arg else { continue };
                if *id == Names::PARENT && !matches!(values.view(*value), View::Entity(..)) {
                    let message =
                        format!("a parent and its child are entities, and this is {}", values.show_briefly(*value));
                    let finding = Finding::new(Code::WrongType, goal.span, message);
                    findings.push(finding.help("write it with its type: `Group::\"eng\"`"));
                } else if !column.types.has(values, *value) && !column.types.is_none() {
                    let (found, wanted) = (values.show_briefly(*value), column.types.show(values));
                    let message = format!("expected {wanted}, found {found}");
                    findings.push(Finding::new(Code::WrongType, goal.span, message).help("this can never be true"));
                }
            }
        }
        GoalKind::In(left, right) => {
            for (side, or_set) in [(left, false), (right, true)] {
                let of = term(*side, types, values);
                let is_set = |kind: &Type| matches!(kind, Type::Set(of) if matches!(**of, Type::Entity(_)));
                let may_be_set = or_set && matches!(&of, Types::OneOf(kinds) if kinds.iter().any(is_set));
                if of.entities().is_some_and(|kinds| kinds.is_empty()) && !of.is_none() && !may_be_set {
                    let message = format!("`in` compares entities, and this is {}", of.show(values));
                    findings.push(
                        Finding::new(Code::WrongType, goal.span, message).help("for a set, write `S.contains(X)`"),
                    );
                }
            }
        }
        GoalKind::Guard(guard) => {
            let typing = ExprTypes { checked, schema, types, guard };
            let of = typing.checked(&guard.expr, goal.span, values, findings);
            expect(&of, &guard.expr, &[Type::Bool], "a condition is true or false", goal.span, values, findings);
        }
        GoalKind::Bind(_, guard) => {
            ExprTypes { checked, schema, types, guard }.checked(&guard.expr, goal.span, values, findings);
        }
        GoalKind::Not(goal) => check_goal(goal, checked, schema, types, values, findings),
        GoalKind::Aggregate(aggregate) => {
            for goal in &aggregate.body {
                check_goal(goal, checked, schema, types, values, findings);
            }
            let first = aggregate.tuple.first().and_then(|slot| types.get(slot.0));
            let (wanted, what) = match aggregate.fold {
                Fold::Sum => (vec![Type::Long], "integers"),
                Fold::Min | Fold::Max => (vec![Type::Long, Type::Datetime, Type::Duration], "integers or times"),
                Fold::Count | Fold::Collect => return,
            };
            if let Some(first) = first.filter(|first| !first.is_none())
                && first.and(&Types::OneOf(wanted)).is_none()
            {
                let message = format!("`{}` takes {what}, and this is {}", aggregate.fold.name(), first.show(values));
                let finding = Finding::new(Code::WrongType, goal.span, message);
                findings.push(finding.help("the first variable is the one that is summed or compared"));
            }
        }
    }
}
