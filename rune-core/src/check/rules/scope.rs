//! The variables of one rule, by name: those of each aggregate apart.

use std::collections::{HashMap, HashSet};

use crate::{
    base::Span,
    schema::Types,
    syntax::{
        ast::{Expr, ExprKind},
        rules::{Literal, LiteralKind, is_variable},
    },
};

use super::{Slot, Variable};

/// The names of one rule.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) levels: Vec<HashMap<String, Slot>>,
    pub(super) variables: Vec<Variable>,
    /// How many variables have no name of their own.
    n_made_up: usize,
}

impl Scope {
    pub(super) fn slot(&mut self, name: &str, span: Span) -> Slot {
        if let Some(slot) = self.levels.iter().rev().find_map(|level| level.get(name)).copied() {
            if let Some(variable) = self.variables.get_mut(slot.0) {
                if variable.n_uses == 0 {
                    variable.span = span;
                }
                variable.n_uses += 1;
            }
            return slot;
        }
        let slot = self.add(name.to_owned(), span);
        if let Some(level) = self.levels.last_mut() {
            level.insert(name.to_owned(), slot);
        }
        slot
    }

    fn add(&mut self, name: String, span: Span) -> Slot {
        self.variables.push(Variable { name, span, n_uses: 1, types: Types::Any });
        Slot(self.variables.len() - 1)
    }

    /// A variable for the value of an expression.
    pub(super) fn made_up(&mut self, span: Span) -> Slot {
        self.n_made_up += 1;
        let slot = self.add(format!("_{}", self.n_made_up), span);
        if let Some(variable) = self.variables.get_mut(slot.0) {
            variable.n_uses += 1;
        }
        slot
    }

    /// Names of a level come first, so that an aggregate knows which of its names are bound outside.
    pub(super) fn reserve(&mut self, names: HashSet<String>, span: Span) {
        let mut names: Vec<_> = names.into_iter().filter(|name| is_variable(name) && name != "_").collect();
        names.sort_unstable();
        for name in names.iter().filter(|name| self.known(name).is_none()).collect::<Vec<_>>() {
            let slot = self.slot(name, span);
            if let Some(variable) = self.variables.get_mut(slot.0) {
                variable.n_uses = 0;
            }
        }
    }

    /// The slot of a name that is known already.
    pub(super) fn known(&self, name: &str) -> Option<Slot> {
        self.levels.iter().rev().find_map(|level| level.get(name)).copied()
    }
}

/// The names at one level of a body, those within its aggregates not among them.
pub(super) fn level_names(body: &[Literal], names: &mut HashSet<String>) {
    for literal in body {
        match &literal.kind {
            LiteralKind::Atom(atom) => atom.args.iter().for_each(|arg| names_in(arg, names)),
            LiteralKind::Guard(expr) => names_in(expr, names),
            LiteralKind::Binding(name, expr) => {
                names.insert(name.text.clone());
                names_in(expr, names);
            }
            LiteralKind::Aggregate(aggregate) => {
                names.insert(aggregate.result.text.clone());
            }
        }
    }
}

/// The names at the outermost level of a body, each once, in the order of the text.
pub(super) fn ordered_names(body: &[Literal], names: &mut Vec<String>) {
    let mut found = Vec::new();
    for literal in body {
        let mut exprs: Vec<&Expr> = Vec::new();
        match &literal.kind {
            LiteralKind::Atom(atom) => exprs.extend(&atom.args),
            LiteralKind::Guard(expr) => exprs.push(expr),
            LiteralKind::Binding(name, expr) => {
                found.push((name.span.start, name.text.clone()));
                exprs.push(expr);
            }
            LiteralKind::Aggregate(aggregate) => {
                found.push((aggregate.result.span.start, aggregate.result.text.clone()));
            }
        }
        for expr in exprs {
            each(expr, &mut |part| {
                if let ExprKind::Name(name) = &part.kind {
                    found.push((part.span.start, name.clone()));
                }
            });
        }
    }
    found.sort();
    for (_, name) in found {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

pub(super) fn names_in(expr: &Expr, names: &mut HashSet<String>) {
    each(expr, &mut |part| {
        if let ExprKind::Name(name) = &part.kind {
            names.insert(name.clone());
        }
    });
}

/// Visits an expression and all its parts. Recurses once per level, whose number is limited.
pub(super) fn each<'e>(expr: &'e Expr, visit: &mut impl FnMut(&'e Expr)) {
    visit(expr);
    expr.for_each_part(&mut |part| each(part, visit));
}
