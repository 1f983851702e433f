//! Types: inferred for the columns that no declaration types and for every variable, and checked wherever one is known.

use std::collections::VecDeque;

use crate::{
    base::{Pool, Span, Symbol, Value, Values},
    diag::{Code, Finding, Findings, nearest},
    schema::{Required, Schema, Type, Types},
    syntax::{
        ast::{Binary, Expr, ExprKind, Method, Unary, Var},
        rules::Fold,
    },
};

use super::{
    Aggregate, CheckedRules, Goal, GoalKind, Guard, Names, PredicateId, PredicateKind, Rule, Slot, Term, reads::Readers,
};

/// Gives every variable its types, and the columns of relations that rules derive without a declaration theirs.
pub(super) fn infer(checked: &mut CheckedRules, schema: Option<&Schema>, values: &mut Pool) {
    let is_open = |predicate: &super::Predicate| {
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

fn widen(predicates: &mut [super::Predicate], id: PredicateId, row: &[Types]) -> bool {
    let Some(predicate) = predicates.get_mut(id.0) else { return false };
    let mut has_grown = false;
    for (column, types) in predicate.columns.iter_mut().zip(row) {
        let all = column.types.or(types);
        has_grown |= all != column.types;
        column.types = all;
    }
    has_grown
}

/// The type of a value; of a set or record, any.
fn type_of(values: &Pool, value: Value) -> Types {
    use crate::base::View;
    Types::one(match values.view(value) {
        View::Bool(_) => Type::Bool,
        View::Long(_) => Type::Long,
        View::Text(_) => Type::Text,
        View::Entity(kind, _) => Type::Entity(kind),
        View::Decimal(_) => Type::Decimal,
        View::Datetime(_) => Type::Datetime,
        View::Duration(_) => Type::Duration,
        View::Ip(_) => Type::Ip,
        View::Set(_) | View::Record(_) => return Types::Any,
    })
}

fn term(term: Term, types: &[Types], values: &Pool) -> Types {
    match term {
        Term::Slot(slot) => types.get(slot.0).cloned().unwrap_or(Types::Any),
        Term::Constant(value) => type_of(values, value),
        Term::Any => Types::Any,
    }
}

/// The types of a rule's variables, from the conditions that they stand in. A head gives none, but for that of a decision, whose
/// variables the request gives, and for what is bound by `in` alone, which enumerates all that there is.
fn variables(rule: &Rule, checked: &CheckedRules, schema: Option<&Schema>, values: &mut Pool) -> Vec<Types> {
    let mut types = vec![Types::Any; rule.variables.len()];
    if [Names::PERMIT, Names::FORBID].contains(&rule.head) {
        narrow_row(checked, rule.head, &rule.args, &mut types);
    }
    narrow_all(rule, checked, schema, values, &mut types);
    let columns = checked.predicate(rule.head).map(|of| of.columns.as_slice()).unwrap_or_default();
    let is_in = |slot: Slot| {
        let has = |goal: &Goal| matches!(&goal.kind, GoalKind::In(a, b) if [*a, *b].contains(&Term::Slot(slot)));
        rule.body.iter().any(has)
    };
    for (column, arg) in columns.iter().zip(&rule.args) {
        if let Term::Slot(slot) = arg
            && types.get(slot.0) == Some(&Types::Any)
            && !column.types.is_none()
            && is_in(*slot)
        {
            narrow_slot(*slot, &column.types, &mut types);
            narrow_all(rule, checked, schema, values, &mut types);
        }
    }
    types
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
    for rule in &checked.rules {
        if rule.variables.iter().any(|variable| variable.types.is_none()) {
            let types: Vec<Types> = rule.variables.iter().map(|variable| variable.types.clone()).collect();
            conflicts_in(rule, &types, checked, schema, values, findings);
        }
    }
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
        if [Names::PERMIT, Names::FORBID].contains(&rule.head)
            && let Some(predicate) = checked.predicate(rule.head)
        {
            let is_it = |arg: &Term| *arg == Term::Slot(Slot(at));
            let columns = predicate.columns.iter().zip(&rule.args).filter(|(_, arg)| is_it(arg));
            places.extend(columns.map(|(column, _)| (rule.span, column.types.clone())));
        }
        places.retain(|(_, types)| *types != Types::Any);
        places.sort_by_key(|(span, _)| *span);
        // A column without a type belongs to a relation that can have no row; that is told there.
        if places.iter().any(|(_, types)| types.is_none()) || places.len() < 2 {
            continue;
        }
        let shown: Vec<_> = places.iter().map(|(_, types)| types.show(values)).collect();
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
                if let Term::Constant(value) = arg
                    && !column.types.has(values, *value)
                    && !column.types.is_none()
                {
                    let (found, wanted) = (values.show_briefly(*value), column.types.show(values));
                    let message = format!("expected {wanted}, found {found}");
                    findings.push(Finding::new(Code::WrongType, goal.span, message).help("this can never be true"));
                }
            }
        }
        GoalKind::In(left, right) => {
            for side in [left, right] {
                let of = term(*side, types, values);
                if of.entities().is_some_and(|kinds| kinds.is_empty()) && !of.is_none() {
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
            if let Some(first) = first.filter(|_| matches!(aggregate.fold, Fold::Sum | Fold::Min | Fold::Max))
                && !first.is_none()
                && first.and(&Types::one(Type::Long)).is_none()
            {
                let message = format!("`{}` takes integers, and this is {}", aggregate.fold.name(), first.show(values));
                let finding = Finding::new(Code::WrongType, goal.span, message);
                findings.push(finding.help("the first variable is the one that is summed or compared"));
            }
        }
    }
}

/// The types of expressions, given those of a rule's variables.
pub struct ExprTypes<'a> {
    pub(super) checked: &'a CheckedRules,
    pub(super) schema: Option<&'a Schema>,
    pub(super) types: &'a [Types],
    pub(super) guard: &'a Guard,
}

/// What an attribute is, as far as is known.
pub(super) struct Looked {
    /// Its types.
    pub(super) types: Types,
    /// Whether the schema shows that an entity or record may be without it.
    pub(super) may_be_missing: bool,
    /// Why there is none, and what there is instead.
    pub(super) unknown: Option<(String, Vec<Symbol>)>,
}

impl ExprTypes<'_> {
    /// The types of an expression; nothing is reported.
    pub(super) fn of(&self, expr: &Expr, values: &mut Pool) -> Types {
        self.checked(expr, Span::NOWHERE, values, &mut Findings::default())
    }

    // Recurses once per level of the expression, whose height was limited.
    fn checked(&self, expr: &Expr, goal: Span, values: &mut Pool, findings: &mut Findings) -> Types {
        let bool_type = Types::one(Type::Bool);
        match &expr.kind {
            ExprKind::Bool(_) => bool_type,
            ExprKind::Long(_) => Types::one(Type::Long),
            ExprKind::Text(_) => Types::one(Type::Text),
            ExprKind::Entity(kind, _) => Types::one(Type::Entity(values.symbol(kind))),
            ExprKind::Var(var) => self.var(*var),
            ExprKind::Name(name) => {
                let slot = self.guard.slots.iter().find(|(known, _)| known == name).map(|(_, slot)| slot.0);
                slot.and_then(|slot| self.types.get(slot)).cloned().unwrap_or(Types::Any)
            }
            ExprKind::All(parts) | ExprKind::Any(parts) => {
                for part in parts {
                    let of = self.checked(part, goal, values, findings);
                    expect(&of, part, &[Type::Bool], "`&&` and `||` take true and false", goal, values, findings);
                }
                bool_type
            }
            ExprKind::If(parts) => {
                let [test, yes, no] = parts.each_ref().map(|part| self.checked(part, goal, values, findings));
                let [test_part, ..] = &**parts;
                expect(&test, test_part, &[Type::Bool], "`if` takes true and false", goal, values, findings);
                yes.or(&no)
            }
            ExprKind::Unary(operation, part) => self.unary(*operation, part, goal, values, findings),
            ExprKind::Binary(operation, parts) => self.binary(*operation, parts, goal, values, findings),
            ExprKind::Is(part, _) | ExprKind::Has(part, _) => {
                self.checked(part, goal, values, findings);
                bool_type
            }
            ExprKind::Like(part, _) => {
                let of = self.checked(part, goal, values, findings);
                expect(&of, part, &[Type::Text], "`like` takes a string", goal, values, findings);
                bool_type
            }
            ExprKind::Attribute(owner, name) => {
                let of = self.checked(owner, goal, values, findings);
                let looked = self.attribute(owner, &of, name, values);
                if let Some((message, known)) = looked.unknown {
                    let span = Span::new(goal.file, expr.span.clone());
                    let help = match nearest(name, known.iter().map(|known| values.name(*known))) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "see the schema for the attributes that there are".to_owned(),
                    };
                    findings.push(Finding::new(Code::UnknownAttribute, span, message).help(help));
                }
                looked.types
            }
            ExprKind::Set(parts) => {
                let mut element = Types::NONE;
                for part in parts {
                    element = element.or(&self.checked(part, goal, values, findings));
                }
                element.single().map_or(Types::Any, |kind| Types::one(Type::Set(Box::new(kind.clone()))))
            }
            ExprKind::Record(members) => {
                for (_, part) in members {
                    self.checked(part, goal, values, findings);
                }
                Types::Any
            }
            ExprKind::Fail(_) => Types::Any,
        }
    }

    fn var(&self, var: Var) -> Types {
        let Some(schema) = self.schema else { return Types::Any };
        let mut kinds: Vec<Type> = Vec::new();
        for (_, action) in schema.actions() {
            let of = match var {
                Var::Principal => &action.principals,
                Var::Resource => &action.resources,
                Var::Action | Var::Context => return Types::Any,
            };
            kinds.extend(of.iter().map(|kind| Type::Entity(*kind)));
        }
        kinds.iter().fold(Types::NONE, |all, kind| all.or(&Types::one(kind.clone())))
    }

    /// What the attribute `name` of `owner` is.
    pub(super) fn attribute(&self, owner: &Expr, of: &Types, name: &str, values: &mut Pool) -> Looked {
        let symbol = values.symbol(name);
        let anything = Looked { types: Types::Any, may_be_missing: false, unknown: None };
        let Some(schema) = self.schema else { return anything };
        if matches!(owner.kind, ExprKind::Var(Var::Context)) {
            let fields = schema.actions().map(|(_, action)| action.context.field(symbol));
            let known = schema.actions().flat_map(|(_, action)| action.context.fields().map(|(name, _)| name));
            return looked(fields, known.collect(), || format!("no action has `{name}` in its context"));
        }
        let Types::OneOf(kinds) = of else { return anything };
        if let [Type::Record(record)] = kinds.as_slice() {
            let known = record.fields().map(|(name, _)| name).collect();
            return looked(std::iter::once(record.field(symbol)), known, || format!("the record has no `{name}`"));
        }
        let Some(entities) = of.entities().filter(|entities| !entities.is_empty() && entities.len() == kinds.len())
        else {
            let shown = of.show(values);
            let unknown = (!of.is_none()).then(|| (format!("`.{name}` is asked of {shown}"), Vec::new()));
            return Looked { types: Types::Any, may_be_missing: true, unknown };
        };
        let derived = |kind: Symbol| {
            self.checked.attributes.iter().find(|of| of.kind == kind && of.name == symbol).map(|of| of.predicate)
        };
        let mut types = Types::NONE;
        let (mut may_be_missing, mut n_known, mut known) = (false, 0, Vec::new());
        for kind in &entities {
            if let Some(predicate) = derived(*kind).and_then(|id| self.checked.predicate(id)) {
                n_known += 1;
                may_be_missing |= predicate.key.is_some();
                types = types.or(&attribute_types(predicate));
                continue;
            }
            let Some(entity) = schema.entity_type(*kind) else { continue };
            known.extend(entity.attributes.fields().map(|(name, _)| name));
            known.extend(self.checked.attributes.iter().filter(|of| of.kind == *kind).map(|of| of.name));
            match entity.attributes.field(symbol) {
                Some(field) => {
                    n_known += 1;
                    may_be_missing |= field.required == Required::No;
                    types = types.or(&Types::one(field.kind.clone()));
                }
                None => may_be_missing = true,
            }
        }
        if n_known == 0 {
            let message = format!("{} has no attribute `{name}`", of.show(values));
            return Looked { types: Types::Any, may_be_missing: true, unknown: Some((message, known)) };
        }
        Looked { types, may_be_missing, unknown: None }
    }

    fn unary(&self, operation: Unary, part: &Expr, goal: Span, values: &mut Pool, findings: &mut Findings) -> Types {
        let of = self.checked(part, goal, values, findings);
        let (wanted, why, result): (&[Type], _, _) = match operation {
            Unary::Not => (&[Type::Bool], "`!` takes true and false", Type::Bool),
            Unary::Negate => (&[Type::Long], "`-` takes an integer", Type::Long),
            Unary::IsEmpty => return Types::one(Type::Bool),
            Unary::Call(method) => return Types::one(result_of(method)),
        };
        expect(&of, part, wanted, why, goal, values, findings);
        Types::one(result)
    }

    fn binary(
        &self,
        operation: Binary,
        parts: &[Expr; 2],
        goal: Span,
        values: &mut Pool,
        findings: &mut Findings,
    ) -> Types {
        let [left, right] = parts.each_ref().map(|part| self.checked(part, goal, values, findings));
        let longs = [Type::Long];
        let ordered = [Type::Long, Type::Datetime, Type::Duration];
        match operation {
            Binary::Equal => {
                if left.and(&right).is_none() && !left.is_none() && !right.is_none() {
                    let (left, right) = (left.show(values), right.show(values));
                    let span = Span::new(goal.file, parts[0].span.start..parts[1].span.end);
                    let message = format!("{left} and {right} are never equal");
                    findings.push(Finding::new(Code::WrongType, span, message).help("compare values of one type"));
                }
                Types::one(Type::Bool)
            }
            Binary::Less | Binary::LessEqual => {
                for (of, part) in [&left, &right].into_iter().zip(parts) {
                    expect(of, part, &ordered, "`<` compares integers and times", goal, values, findings);
                }
                Types::one(Type::Bool)
            }
            Binary::Add | Binary::Subtract | Binary::Multiply => {
                for (of, part) in [&left, &right].into_iter().zip(parts) {
                    expect(of, part, &longs, "arithmetic takes integers", goal, values, findings);
                }
                Types::one(Type::Long)
            }
            Binary::GetTag => match left.entity().and_then(|kind| self.schema?.entity_type(kind)?.tags.clone()) {
                Some(tags) => Types::one(tags),
                None => Types::Any,
            },
            Binary::Call(method) => Types::one(result_of(method)),
            Binary::In | Binary::Contains | Binary::ContainsAll | Binary::ContainsAny | Binary::HasTag => {
                let [part, _] = parts;
                let is_entity = |kind: &Type| matches!(kind, Type::Entity(_));
                let is_set = |kind: &Type| matches!(kind, Type::Set(_));
                let (is_right, why): (fn(&Type) -> bool, _) = match operation {
                    Binary::In | Binary::HasTag => (is_entity, "`in` and tags are asked of an entity"),
                    _ => (is_set, "`contains` is asked of a set"),
                };
                if let Types::OneOf(kinds) = &left
                    && !kinds.is_empty()
                    && !kinds.iter().any(is_right)
                {
                    let span = Span::new(goal.file, part.span.clone());
                    let message = format!("{why}, and this is {}", left.show(values));
                    findings.push(Finding::new(Code::WrongType, span, message));
                }
                Types::one(Type::Bool)
            }
        }
    }
}

fn looked<'f>(
    fields: impl Iterator<Item = Option<&'f crate::schema::Field>>,
    known: Vec<Symbol>,
    message: impl Fn() -> String,
) -> Looked {
    let (mut types, mut may_be_missing, mut n_known) = (Types::NONE, false, 0);
    for field in fields {
        match field {
            Some(field) => {
                n_known += 1;
                may_be_missing |= field.required == Required::No;
                types = types.or(&Types::one(field.kind.clone()));
            }
            None => may_be_missing = true,
        }
    }
    let unknown = (n_known == 0).then(|| (message(), known));
    Looked { types: if n_known == 0 { Types::Any } else { types }, may_be_missing, unknown }
}

/// The type of a derived attribute, by the columns of its relation.
fn attribute_types(predicate: &super::Predicate) -> Types {
    let of = |at: usize| predicate.columns.get(at).and_then(|column| column.types.single()).cloned();
    match (predicate.columns.len(), predicate.key) {
        (1, _) => Types::one(Type::Bool),
        (2, Some(_)) => of(1).map_or(Types::Any, Types::one),
        (2, None) => of(1).map_or(Types::Any, |kind| Types::one(Type::Set(Box::new(kind)))),
        _ => Types::Any,
    }
}

fn result_of(method: Method) -> Type {
    match method {
        Method::Decimal => Type::Decimal,
        Method::Ip => Type::Ip,
        Method::Datetime | Method::Offset | Method::ToDate => Type::Datetime,
        Method::Duration | Method::DurationSince | Method::ToTime => Type::Duration,
        Method::ToMilliseconds | Method::ToSeconds | Method::ToMinutes | Method::ToHours | Method::ToDays => Type::Long,
        _ => Type::Bool,
    }
}

/// Reports an expression that can be of none of the types wanted.
fn expect(of: &Types, part: &Expr, wanted: &[Type], why: &str, goal: Span, values: &Pool, findings: &mut Findings) {
    if of.is_none() || !of.and(&Types::OneOf(wanted.to_vec())).is_none() {
        return;
    }
    let span = Span::new(goal.file, part.span.clone());
    findings.push(Finding::new(Code::WrongType, span, format!("{why}, and this is {}", of.show(values))));
}
