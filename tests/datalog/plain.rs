//! Clauses as the twin reads them: arguments are names, and the reads that bind are atoms.

use std::collections::{BTreeMap, BTreeSet};

use rune_core::syntax::{
    ast::{Binary, Expr, ExprKind},
    rules::{Aggregate, Atom, Column, Literal, LiteralKind, Name, Rulelike, TypeName},
};

use super::twin::Twin;

/// Whether a rule permits or forbids.
pub fn is_decision(rule: &Rulelike) -> bool {
    ["permit", "forbid"].contains(&rule.head.name.text.as_str())
}

/// The one type of a column.
pub fn type_of(column: &Column) -> Option<&str> {
    match column.types.as_slice() {
        [TypeName::Named(name)] => Some(&name.text),
        _ => None,
    }
}

/// The names in an expression.
pub fn names(expr: &Expr, found: &mut BTreeSet<String>) {
    if let ExprKind::Name(name) = &expr.kind {
        found.insert(name.clone());
    }
    expr.for_each_part(&mut |part| names(part, found));
}

/// The names in a body, those within its aggregates not among them.
pub fn level_names(body: &[Literal]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for literal in body {
        match &literal.kind {
            LiteralKind::Atom(atom) => atom.args.iter().for_each(|arg| names(arg, &mut found)),
            LiteralKind::Guard(expr) => names(expr, &mut found),
            LiteralKind::Binding(name, expr) => {
                found.insert(name.text.clone());
                names(expr, &mut found);
            }
            LiteralKind::Aggregate(aggregate) => drop(found.insert(aggregate.result.text.clone())),
        }
    }
    found
}

/// A rule in the plain form.
pub fn rule(twin: &Twin<'_>, rule: &Rulelike) -> Rulelike {
    let mut plain = Plain { twin, kinds: BTreeMap::new(), n_fresh: 0 };
    if !is_decision(rule) {
        plain.note(&rule.head);
    }
    plain.note_all(&rule.body);
    let (mut head, mut body) = (rule.head.clone(), Vec::new());
    if is_decision(rule) {
        plain.guard_kinds(&head, &mut body);
    }
    plain.name_args(&mut head, &mut body);
    plain.body(&rule.body, &mut body);
    Rulelike { head, body }
}

struct Plain<'p, 't> {
    twin: &'p Twin<'t>,
    /// The entity types of variables that stand in columns of one type.
    kinds: BTreeMap<String, String>,
    n_fresh: usize,
}

impl Plain<'_, '_> {
    fn note(&mut self, atom: &Atom) {
        let name = atom.name.text.as_str();
        for (at, arg) in atom.args.iter().enumerate() {
            let declared = self.twin.declared.get(name).map(|of| type_of(&of.columns[at]));
            // `User(U)` and `User.level(U, N)`: only the first argument has the type.
            let of_entity =
                || (at == 0 && name.starts_with(char::is_uppercase)).then(|| name.split('.').next()).flatten();
            let kind = declared.unwrap_or_else(of_entity).filter(|kind| *kind != "Long");
            if let (ExprKind::Name(variable), Some(kind)) = (&arg.kind, kind) {
                self.kinds.insert(variable.clone(), kind.to_owned());
            }
        }
    }

    fn note_all(&mut self, body: &[Literal]) {
        for literal in body.iter().filter(|literal| !literal.is_negated) {
            match &literal.kind {
                LiteralKind::Atom(atom) => self.note(atom),
                LiteralKind::Guard(expr) => self.atom(expr).iter().for_each(|atom| self.note(atom)),
                LiteralKind::Aggregate(aggregate) => self.note_all(&aggregate.body),
                LiteralKind::Binding(..) => {}
            }
        }
    }

    /// The atom that an expression is at the top of a body: `X in Y`, `X.p`, `X.p.contains(Y)`.
    fn atom(&self, expr: &Expr) -> Option<Atom> {
        let arity =
            |name: &str| self.twin.attributes.get(name).filter(|of| of.n_keys.is_none()).map(|of| of.columns.len());
        let (name, args) = match &expr.kind {
            ExprKind::Binary(Binary::In, sides) if !matches!(sides[1].kind, ExprKind::Attribute(..)) => {
                ("in", sides.to_vec())
            }
            ExprKind::Attribute(owner, name) if arity(name) == Some(1) => (name.as_str(), vec![(**owner).clone()]),
            ExprKind::Binary(Binary::Contains, sides) => match &sides[0].kind {
                ExprKind::Attribute(owner, name) if arity(name) == Some(2) => {
                    (name.as_str(), vec![(**owner).clone(), sides[1].clone()])
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(Atom { span: 0..0, name: Name { span: 0..0, text: name.to_owned() }, args })
    }

    fn body(&mut self, body: &[Literal], plain: &mut Vec<Literal>) {
        for literal in body.iter().filter(|literal| !(literal.is_negated && self.twin.without_negation)) {
            let atom = match &literal.kind {
                LiteralKind::Guard(expr) => self.atom(expr),
                LiteralKind::Atom(atom) => Some(atom.clone()),
                _ => None,
            };
            let kind = match (atom, &literal.kind) {
                (Some(mut atom), _) => {
                    if !literal.is_negated {
                        self.guard_kinds(&atom, plain);
                    }
                    self.name_args(&mut atom, plain);
                    LiteralKind::Atom(atom)
                }
                (None, LiteralKind::Aggregate(aggregate)) => {
                    let mut inner = Vec::new();
                    self.body(&aggregate.body, &mut inner);
                    LiteralKind::Aggregate(Aggregate { body: inner, ..aggregate.clone() })
                }
                (None, other) => other.clone(),
            };
            plain.push(Literal { kind, ..literal.clone() });
        }
    }

    /// Variables are of their types, whatever a column or the hierarchy holds.
    fn guard_kinds(&self, atom: &Atom, plain: &mut Vec<Literal>) {
        for arg in &atom.args {
            if let ExprKind::Name(name) = &arg.kind
                && let Some(kind) = self.kinds.get(name).filter(|_| name != "_")
            {
                let is = Expr::placeless(ExprKind::Is(Box::new(arg.clone()), kind.clone()));
                plain.push(Literal { span: 0..0, is_negated: false, kind: LiteralKind::Guard(is) });
            }
        }
    }

    /// Gives each argument that is an expression a name.
    fn name_args(&mut self, atom: &mut Atom, plain: &mut Vec<Literal>) {
        for arg in atom.args.iter_mut().filter(|arg| !matches!(arg.kind, ExprKind::Name(_))) {
            self.n_fresh += 1;
            let text = format!("#{}", self.n_fresh);
            let expr = std::mem::replace(arg, Expr::placeless(ExprKind::Name(text.clone())));
            let kind = LiteralKind::Binding(Name { span: 0..0, text }, expr);
            plain.push(Literal { span: 0..0, is_negated: false, kind });
        }
    }
}

/// The stratum of each relation that rules derive: above all that they need complete. None if there is no end to it.
pub fn levels(
    rules: &[Rulelike],
    is_attribute: impl Fn(&str) -> bool,
    is_chosen: impl Fn(&str) -> bool,
) -> Option<BTreeMap<String, usize>> {
    let mut levels: BTreeMap<String, usize> = rules.iter().map(|rule| (rule.head.name.text.clone(), 0)).collect();
    loop {
        let before = levels.clone();
        for rule in rules {
            let mut reads = Vec::new();
            read(&rule.body, is_chosen(&rule.head.name.text), &is_attribute, &mut reads);
            for (name, is_complete) in reads {
                let least = before.get(&name).map_or(0, |level| level + usize::from(is_complete || is_chosen(&name)));
                let level = levels.get_mut(&rule.head.name.text)?;
                *level = least.max(*level);
            }
        }
        if levels == before {
            return Some(levels);
        }
        if levels.values().any(|level| rules.len() < *level) {
            return None;
        }
    }
}

/// What a body reads, and whether all of it.
fn read(body: &[Literal], is_complete: bool, is_attribute: &impl Fn(&str) -> bool, found: &mut Vec<(String, bool)>) {
    for literal in body {
        match &literal.kind {
            LiteralKind::Atom(atom) => {
                let name = if atom.name.text == "in" { "parent" } else { &atom.name.text };
                found.push((name.to_owned(), is_complete || literal.is_negated));
            }
            LiteralKind::Guard(expr) | LiteralKind::Binding(_, expr) => read_within(expr, is_attribute, found),
            LiteralKind::Aggregate(aggregate) => read(&aggregate.body, true, is_attribute, found),
        }
    }
}

fn read_within(expr: &Expr, is_attribute: &impl Fn(&str) -> bool, found: &mut Vec<(String, bool)>) {
    match &expr.kind {
        ExprKind::Attribute(_, name) if is_attribute(name) => found.push((name.clone(), true)),
        ExprKind::Binary(Binary::In, _) => found.push(("parent".to_owned(), true)),
        _ => {}
    }
    expr.for_each_part(&mut |part| read_within(part, is_attribute, found));
}
