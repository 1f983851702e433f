//! What types decide once they are known: which conditions read a derived attribute, and which texts are ids.
//!
//! `e.p` and `e.p.contains(X)` ask for a row where `e` is of the attribute's type for sure. Anywhere else they stay expressions,
//! which find out what `e` has when they are evaluated: a context, a record or an entity of another type may have something of
//! its own under that name. A text is the id of an entity in a column of one entity type, declared or found out.

use crate::{
    base::{Pool, Symbol, Values, View},
    expr,
    schema::{Schema, Types},
    syntax::ast::{Binary, Expr, ExprKind},
};

use super::{
    Attribute, CheckedRules, Goal, GoalKind, Guard, Names, PredicateId, Rule, Slot, Term, Variable, body::is_constant,
    expressions::ExprTypes, is_found_by_in_alone,
};

/// Makes atoms of what reads a derived attribute of something whose type is known, and ids of texts; says whether there was any.
pub(super) fn resolve(checked: &mut CheckedRules, schema: Option<&Schema>, values: &mut Pool) -> bool {
    let mut has_any = false;
    for at in 0..checked.rules.len() {
        let Some(mut rule) = checked.rules.get(at).cloned() else { continue };
        let mut body = rule.body.clone();
        let mut has_id = false;
        for goal in &mut body {
            has_id |= ids(goal, checked, values);
        }
        let goals = std::mem::take(&mut rule.body);
        let mut points = Points { checked, schema, values, rule: &mut rule, goals: &goals, has_any: false };
        let body = points.body(body);
        let is_changed = has_id || points.has_any;
        has_any |= is_changed;
        if let Some(place) = checked.rules.get_mut(at).filter(|_| is_changed) {
            *place = Rule { body, ..rule };
        }
    }
    has_any
}

/// Makes entities of the texts in columns whose one entity type was found out, as they are in columns that declare it.
// Recurses once per aggregate within another, whose nesting was limited.
fn ids(goal: &mut Goal, checked: &CheckedRules, values: &mut Pool) -> bool {
    let mut has_any = false;
    match &mut goal.kind {
        GoalKind::Atom(id, args) => {
            let columns = checked.predicate(*id).map(|predicate| predicate.columns.as_slice()).unwrap_or_default();
            for (column, arg) in columns.iter().zip(args) {
                let Term::Constant(value) = arg else { continue };
                if let (Some(kind), View::Text(text)) = (column.types.entity(), values.view(*value)) {
                    let (kind, text) = (values.name(kind).to_owned(), text.to_owned());
                    *arg = Term::Constant(values.entity(&kind, &text));
                    has_any = true;
                }
            }
        }
        GoalKind::Not(goal) => has_any |= ids(goal, checked, values),
        GoalKind::Aggregate(aggregate) => {
            aggregate.body.iter_mut().for_each(|goal| has_any |= ids(goal, checked, values));
        }
        GoalKind::In(..) | GoalKind::Guard(_) | GoalKind::Bind(..) => {}
    }
    has_any
}

struct Points<'a> {
    checked: &'a CheckedRules,
    schema: Option<&'a Schema>,
    values: &'a mut Pool,
    rule: &'a mut Rule,
    /// The body as it was.
    goals: &'a [Goal],
    has_any: bool,
}

impl Points<'_> {
    // Recurses once per aggregate within another, whose nesting was limited.
    fn body(&mut self, goals: Vec<Goal>) -> Vec<Goal> {
        let mut body = Vec::with_capacity(goals.len());
        for Goal { span, kind } in goals {
            let kind = match kind {
                GoalKind::Guard(guard) => self.read(&guard, &mut body).unwrap_or(GoalKind::Guard(guard)),
                GoalKind::Not(inner) => match inner.kind {
                    GoalKind::Guard(guard) => {
                        let kind = self.read(&guard, &mut body).unwrap_or(GoalKind::Guard(guard));
                        GoalKind::Not(Box::new(Goal { span: inner.span, kind }))
                    }
                    kind => GoalKind::Not(Box::new(Goal { span: inner.span, kind })),
                },
                GoalKind::Aggregate(mut aggregate) => {
                    aggregate.body = self.body(aggregate.body);
                    GoalKind::Aggregate(aggregate)
                }
                other => other,
            };
            body.push(Goal { span, kind });
        }
        body
    }

    /// The atom that a condition is, if it reads an attribute of something of its type.
    fn read(&mut self, guard: &Guard, body: &mut Vec<Goal>) -> Option<GoalKind> {
        let (owner, name, element) = match &guard.expr.kind {
            ExprKind::Attribute(owner, name) => (&**owner, name, None),
            ExprKind::Binary(Binary::Contains, parts) => {
                let [set, element] = &**parts;
                let ExprKind::Attribute(owner, name) = &set.kind else { return None };
                (&**owner, name, Some(element))
            }
            _ => return None,
        };
        let id = self.attribute(owner, name, 1 + usize::from(element.is_some()), guard)?;
        let mut args = Vec::new();
        for part in std::iter::once(owner).chain(element) {
            let term = self.term(part, guard, body)?;
            args.push(term);
        }
        self.has_any = true;
        Some(GoalKind::Atom(id, args))
    }

    /// The relation of an attribute of so many columns, if it is the one that this owner has.
    fn attribute(&mut self, owner: &Expr, name: &str, n_columns: usize, guard: &Guard) -> Option<PredicateId> {
        let types: Vec<Types> = self.rule.variables.iter().map(|variable| variable.types.clone()).collect();
        let typing = ExprTypes { checked: self.checked, schema: self.schema, types: &types, guard };
        let of = typing.of(owner, self.values);
        let name = self.values.symbol(name);
        let is_it = |attribute: &&Attribute| match of.entity() {
            Some(kind) => attribute.kind == kind,
            None => of == Types::Any && self.is_of_all(owner, name, guard),
        };
        let id = self.checked.attributes.iter().filter(|attribute| attribute.name == name).find(is_it)?.predicate;
        let predicate = self.checked.predicate(id)?;
        (predicate.columns.len() == n_columns && predicate.key.is_none()).then_some(id)
    }

    /// Whether an attribute is asked of all that `in` alone finds, where a schema shows that nothing else has one of the name.
    fn is_of_all(&self, owner: &Expr, name: Symbol, guard: &Guard) -> bool {
        let (ExprKind::Name(variable), Some(schema)) = (&owner.kind, self.schema) else { return false };
        let Some((_, slot)) = guard.slots.iter().find(|(known, _)| known == variable) else { return false };
        let is_stored = schema.entity_types().any(|(_, of)| of.attributes.field(name).is_some());
        // What a decision is about is given.
        let is_given =
            [Names::PERMIT, Names::FORBID].contains(&self.rule.head) && self.rule.args.contains(&Term::Slot(*slot));
        !is_given && !is_stored && is_found_by_in_alone(self.goals, *slot)
    }

    fn term(&mut self, part: &Expr, guard: &Guard, body: &mut Vec<Goal>) -> Option<Term> {
        if let ExprKind::Name(name) = &part.kind {
            return guard.slots.iter().find(|(known, _)| known == name).map(|(_, slot)| Term::Slot(*slot));
        }
        if is_constant(part)
            && let Some(Ok(value)) = expr::compile(part, self.values).ok()?.as_constant()
        {
            return Some(Term::Constant(value));
        }
        let mut slots = Vec::new();
        super::scope::each(part, &mut |part| {
            if let ExprKind::Name(name) = &part.kind {
                slots.extend(guard.slots.iter().filter(|(known, _)| known == name).cloned());
            }
        });
        slots.sort_unstable();
        slots.dedup();
        let span = crate::base::Span::new(self.rule.span.file, part.span.clone());
        let slot = Slot(self.rule.variables.len());
        let name = format!("_{}", slot.0);
        self.rule.variables.push(Variable { name, span, n_uses: 2, types: Types::Any });
        body.push(Goal { span, kind: GoalKind::Bind(slot, Guard { expr: part.clone(), slots }) });
        Some(Term::Slot(slot))
    }
}
