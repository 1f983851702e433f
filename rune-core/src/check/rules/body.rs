//! The conditions of a body: what each asks, and of which variables.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use crate::{
    base::{
        Span, Values,
        value::{brief, cut},
    },
    check::meant,
    diag::Code,
    schema::Types,
    syntax::{
        ast::{Binary, Expr, ExprKind, Unary, Var},
        rules::{self, Atom, Literal, LiteralKind, Name, Rulelike, is_variable},
        slips,
    },
};

use super::{
    Aggregate, Goal, GoalKind, Guard, Names, PredicateId, Slot, Term,
    resolve::Resolver,
    scope::{Scope, each, level_names},
};

impl Resolver<'_> {
    pub(super) fn args(
        &mut self,
        id: PredicateId,
        atom: &Atom,
        scope: &mut Scope,
        body: &mut Vec<Goal>,
        is_any_allowed: bool,
    ) -> Option<Vec<Term>> {
        let types: Vec<_> = self.names.predicate(id)?.columns.iter().map(|column| column.types.clone()).collect();
        let mut terms = Vec::with_capacity(atom.args.len());
        for (arg, types) in atom.args.iter().zip(types) {
            let term = self.term(arg, &types, scope, body);
            if term == Some(Term::Any) && !is_any_allowed {
                let help = match atom.name.text.as_str() {
                    "allow" | "grant" => "the head that allows is `permit(U, A, R)`",
                    "deny" | "block" => "the head that denies is `forbid(U, A, R)`",
                    _ => "name a variable that the body binds",
                };
                self.refuse(Code::UnboundVariable, &arg.span, "`_` in a head stands for no value", help);
                return None;
            }
            terms.push(term);
        }
        terms.into_iter().collect()
    }

    fn term(&mut self, arg: &Expr, types: &Types, scope: &mut Scope, body: &mut Vec<Goal>) -> Option<Term> {
        match &arg.kind {
            ExprKind::Name(name) if name == "_" => Some(Term::Any),
            ExprKind::Name(name) => {
                self.check_word(name, &arg.span)?;
                Some(Term::Slot(scope.slot(name, self.span(&arg.span))))
            }
            _ if is_constant(arg) && !is_arithmetic(arg) => self.constant(arg, types, false).map(Term::Constant),
            _ => {
                let span = self.span(&arg.span);
                let guard = self.guard(arg, scope)?;
                let slot = scope.made_up(span);
                body.push(Goal { span, kind: GoalKind::Bind(slot, guard) });
                Some(Term::Slot(slot))
            }
        }
    }

    /// A bare word in a rule is a variable misspelt or a string without its quotes.
    fn check_word(&mut self, name: &str, span: &Range<usize>) -> Option<()> {
        if is_variable(name) && !name.contains("::") {
            return Some(());
        }
        let shown = cut(name);
        if let Some((kind, id)) = name.rsplit_once("::") {
            let message = format!("`{shown}` is no entity without quotes around its id");
            self.refuse(Code::BareWord, span, message, format!("write `{kind}::{}`", brief(id)));
            return None;
        }
        if slips::is_null(name) {
            let help = "what may be missing is asked for with `has`: `X has name`, or `not X has name`";
            self.refuse(Code::BareWord, span, format!("there is no `{name}`"), help);
            return None;
        }
        let message = format!("`{shown}` is neither a variable nor a string");
        let mut letters = shown.chars();
        let upper: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        let text = brief(name);
        let schema = self.schema.filter(|_| self.is_decision);
        let help = match schema.and_then(|schema| meant::action(name, schema, self.values, self.findings)) {
            Some(action) => format!("write `{action}` for the action"),
            None if self.is_decision && self.schema.is_none() && 1 < name.len() => {
                format!("write `{text}` or `{upper}`, or `Action::{text}` for an action")
            }
            None => format!("write `{text}` or `{upper}`"),
        };
        self.refuse(Code::BareWord, span, message, help);
        None
    }

    fn guard(&mut self, expr: &Expr, scope: &mut Scope) -> Option<Guard> {
        self.entities(expr)?;
        let mut names = Vec::new();
        each(expr, &mut |part| {
            if let ExprKind::Name(name) = &part.kind {
                names.push((name.clone(), part.span.clone()));
            }
        });
        let mut slots: Vec<(String, Slot)> = Vec::new();
        for (name, span) in names {
            if name == "_" {
                self.refuse(Code::UnboundVariable, &span, "`_` has no value", "name a variable that the rule binds");
                return None;
            }
            self.check_word(&name, &span)?;
            let slot = scope.slot(&name, self.span(&span));
            if !slots.iter().any(|(known, _)| *known == name) {
                slots.push((name, slot));
            }
        }
        Some(Guard { expr: expr.clone(), slots })
    }

    /// Whether the entities and types that an expression names are known.
    pub(super) fn entities(&mut self, expr: &Expr) -> Option<()> {
        let mut found = Vec::new();
        each(expr, &mut |part| match &part.kind {
            ExprKind::Entity(kind, id) => found.push((kind.clone(), Some(id.clone()), part.span.clone())),
            ExprKind::Is(_, kind) => found.push((kind.clone(), None, part.span.clone())),
            _ => {}
        });
        let mut is_right = true;
        for (kind, id, span) in found {
            let Some(schema) = self.schema else {
                self.names.note_type(&kind);
                continue;
            };
            if !Names::is_entity_type(&kind, self.schema, self.values) {
                let help = match (meant::entity_type(&kind, schema, self.values, self.findings), id) {
                    (Some(near), Some(id)) => format!("did you mean `{near}::{}`?", brief(&id)),
                    (Some(near), None) => format!("did you mean `{near}`?"),
                    (None, _) => "declare it in `[schema]`".to_owned(),
                };
                self.refuse(Code::UnknownEntityType, &span, format!("the schema has no entity type {kind}"), help);
                is_right = false;
                continue;
            }
            let Some(id) = id else { continue };
            let entity = self.values.entity(&kind, &id);
            if !schema.may_have(&*self.values, entity) {
                let message = format!("the schema does not have {}", self.values.show_briefly(entity));
                let near = meant::entity(entity, schema, self.values, self.findings);
                let help = near.unwrap_or_else(|| "see the schema for those that there are".to_owned());
                self.refuse(Code::UnknownEntity, &span, message, help);
                is_right = false;
            }
        }
        is_right.then_some(())
    }

    // Recurses once per aggregate within another, whose nesting was limited.
    pub(super) fn literal(&mut self, literal: &Literal, scope: &mut Scope, body: &mut Vec<Goal>) -> Option<()> {
        let span = self.span(&literal.span);
        let kind = match &literal.kind {
            LiteralKind::Atom(atom) => {
                let id = self.read(&atom.name)?;
                self.check_arity(id, atom)?;
                GoalKind::Atom(id, self.args(id, atom, scope, body, true)?)
            }
            LiteralKind::Guard(expr) => self.condition(expr, scope, body)?,
            LiteralKind::Binding(name, expr) => {
                self.check_word(&name.text, &name.span)?;
                let guard = self.guard(expr, scope)?;
                GoalKind::Bind(self.bound(name, scope), guard)
            }
            LiteralKind::Aggregate(aggregate) => {
                self.check_word(&aggregate.result.text, &aggregate.result.span)?;
                GoalKind::Aggregate(self.aggregate(aggregate, span, scope)?)
            }
        };
        let kind = if literal.is_negated { GoalKind::Not(Box::new(Goal { span, kind })) } else { kind };
        body.push(Goal { span, kind });
        Some(())
    }

    /// The variable that a condition binds; each `_` is its own.
    fn bound(&self, name: &Name, scope: &mut Scope) -> Slot {
        let span = self.span(&name.span);
        if name.text == "_" { scope.made_up(span) } else { scope.slot(&name.text, span) }
    }

    fn aggregate(&mut self, written: &rules::Aggregate, span: Span, scope: &mut Scope) -> Option<Aggregate> {
        let result = self.bound(&written.result, scope);
        if written.tuple.is_empty() {
            let help = "write `count { X : p(X) }`";
            self.refuse(Code::RuleSyntax, &span.range(), "the aggregate names no variable", help);
            return None;
        }
        let n_outer = scope.variables.len();
        scope.levels.push(HashMap::new());
        let mut names = HashSet::new();
        level_names(&written.body, &mut names);
        scope.reserve(names, span);
        let mut tuple = Vec::new();
        for name in &written.tuple {
            if name.text == "_" {
                let help = "name a variable that the body of the aggregate binds";
                self.refuse(Code::UnboundVariable, &name.span, "`_` has no value", help);
                return None;
            }
            self.check_word(&name.text, &name.span)?;
            tuple.push(scope.slot(&name.text, self.span(&name.span)));
        }
        let mut body = Vec::new();
        let read: Vec<_> = written.body.iter().map(|literal| self.literal(literal, scope, &mut body)).collect();
        scope.levels.pop();
        read.into_iter().collect::<Option<Vec<()>>>()?;
        let mut outer = Vec::new();
        for goal in &body {
            goal.each_slot(&mut |slot| outer.push(slot));
        }
        outer.retain(|slot| slot.0 < n_outer);
        outer.sort_unstable();
        outer.dedup();
        Some(Aggregate { result, fold: written.fold, tuple, body, outer })
    }

    /// The relation that a name means in a body.
    fn read(&mut self, name: &Name) -> Option<PredicateId> {
        match self.names.read(name, self.schema, self.values, self.findings) {
            Ok(id) => {
                let place = self.span(&name.span);
                self.types_asked.entry(id).or_insert(place);
                Some(id)
            }
            Err((code, message, help)) => {
                self.refuse(code, &name.span, message, help);
                None
            }
        }
    }

    /// A guard at the top of a body, or `X in Y`, which binds.
    fn condition(&mut self, expr: &Expr, scope: &mut Scope, body: &mut Vec<Goal>) -> Option<GoalKind> {
        match &expr.kind {
            ExprKind::Binary(Binary::In, operands) if !may_be_set(right_of(operands)) => {
                let [left, right] = operands.each_ref().map(|operand| self.term(operand, &Types::Any, scope, body));
                Some(GoalKind::In(left?, right?))
            }
            _ => Some(GoalKind::Guard(self.guard(expr, scope)?)),
        }
    }

    /// Reports strings where a decision has entities. With a schema the types say so.
    pub(super) fn check_decision(&mut self, rule: &Rulelike) {
        if self.schema.is_some() {
            return;
        }
        let place = |part: &Expr| match &part.kind {
            ExprKind::Var(Var::Principal) => Some(0),
            ExprKind::Var(Var::Action) => Some(1),
            ExprKind::Var(Var::Resource) => Some(2),
            ExprKind::Name(name) if name != "_" => {
                rule.head.args.iter().position(|arg| rules::as_name(arg) == Some(name.as_str()))
            }
            _ => None,
        };
        let mut texts: Vec<(usize, &Expr)> = rule.head.args.iter().enumerate().collect();
        for literal in &rule.body {
            let LiteralKind::Guard(guard) = &literal.kind else { continue };
            each(guard, &mut |part| {
                if let ExprKind::Binary(Binary::Equal, operands) = &part.kind {
                    let [left, right] = &**operands;
                    texts.extend(place(left).map(|at| (at, right)).or_else(|| place(right).map(|at| (at, left))));
                }
            });
        }
        for (at, part) in texts {
            let ExprKind::Text(text) = &part.kind else { continue };
            let (what, of) = match at {
                0 => ("a principal", Var::Principal),
                1 => ("an action", Var::Action),
                _ => ("a resource", Var::Resource),
            };
            let message = format!("{what} is an entity, and never a string");
            let help = format!("write `{}::{}`", slips::example_type(of), brief(text));
            self.refuse(Code::WrongType, &part.span, message, help);
        }
    }
}

/// Whether an expression mentions neither variables nor the request.
pub(super) fn is_constant(expr: &Expr) -> bool {
    let mut is_constant = true;
    each(expr, &mut |part| is_constant &= !matches!(part.kind, ExprKind::Name(_) | ExprKind::Var(_)));
    is_constant
}

/// Whether an expression computes, so that it is evaluated where it stands.
fn is_arithmetic(expr: &Expr) -> bool {
    !matches!(
        expr.kind,
        ExprKind::Bool(_)
            | ExprKind::Long(_)
            | ExprKind::Text(_)
            | ExprKind::Entity(..)
            | ExprKind::Set(_)
            | ExprKind::Record(_)
            | ExprKind::Unary(Unary::Call(_), _)
    )
}

/// The right operand of two.
fn right_of([_, right]: &[Expr; 2]) -> &Expr {
    right
}

/// Whether what stands at the right of `in` could be a set: anything but a name, an entity, or a part of the request.
fn may_be_set(right: &Expr) -> bool {
    !matches!(right.kind, ExprKind::Name(_) | ExprKind::Entity(..) | ExprKind::Var(_))
}
