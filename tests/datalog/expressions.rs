//! What an expression means: a value, or why there is none.

use rune_core::{
    base::{Value, Values, View},
    syntax::{
        ast::{Binary, Expr, ExprKind, Glob, Unary, Var},
        rules::{Column, Declaration, TypeName},
    },
};

use super::twin::{Env, Twin, rows};

/// Why an expression has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// It reads what rules derive, and that is undetermined.
    Undetermined,
    /// It fails, as in Cedar.
    Error,
}

impl<'t> Twin<'t> {
    /// Whether a condition is true.
    pub fn condition(&mut self, expr: &Expr, env: &Env) -> Result<bool, Lack> {
        let value = self.value(expr, env)?;
        if let View::Bool(truth) = self.values.view(value) { Ok(truth) } else { Err(Lack::Error) }
    }

    /// A number, in a type in which nothing overflows.
    pub fn number(&self, value: Value) -> Result<i128, Lack> {
        if let View::Long(number) = self.values.view(value) { Ok(number.into()) } else { Err(Lack::Error) }
    }

    pub fn long(&mut self, number: i128) -> Result<Value, Lack> {
        i64::try_from(number).map(|number| self.values.long(number)).map_err(|_| Lack::Error)
    }

    fn elements(&self, value: Value) -> Result<&[Value], Lack> {
        if let View::Set(elements) = self.values.view(value) { Ok(elements) } else { Err(Lack::Error) }
    }

    fn text(&self, value: Value) -> Result<&str, Lack> {
        if let View::Text(text) = self.values.view(value) { Ok(text) } else { Err(Lack::Error) }
    }

    /// `&&` stops at what is false, `||` at what is true.
    fn chain(&mut self, parts: &[Expr], stop: bool, env: &Env) -> Result<bool, Lack> {
        for part in parts {
            if self.condition(part, env)? == stop {
                return Ok(stop);
            }
        }
        Ok(!stop)
    }

    pub fn value(&mut self, expr: &Expr, env: &Env) -> Result<Value, Lack> {
        Ok(match &expr.kind {
            ExprKind::Bool(truth) => (*truth).into(),
            ExprKind::Long(number) => self.values.long(*number),
            ExprKind::Text(text) => self.values.text(text),
            ExprKind::Entity(kind, id) => self.values.entity(kind, id),
            ExprKind::Var(var) => {
                self.request[[Var::Principal, Var::Action, Var::Resource, Var::Context]
                    .iter()
                    .position(|of| of == var)
                    .expect("one of four")]
            }
            ExprKind::Name(name) => env.get(name).copied().ok_or(Lack::Error)?,
            ExprKind::All(parts) => self.chain(parts, false, env)?.into(),
            ExprKind::Any(parts) => self.chain(parts, true, env)?.into(),
            ExprKind::If(parts) => {
                let at = if self.condition(&parts[0], env)? { 1 } else { 2 };
                self.value(&parts[at], env)?
            }
            ExprKind::Unary(Unary::Not, part) => (!self.condition(part, env)?).into(),
            ExprKind::Unary(Unary::IsEmpty, part) => {
                let set = self.value(part, env)?;
                self.elements(set)?.is_empty().into()
            }
            ExprKind::Attribute(owner, name) => {
                let (value, is_asked) = (self.value(owner, env)?, self.is_asked(owner));
                self.member(value, name, is_asked)?.ok_or(Lack::Error)?
            }
            ExprKind::Has(owner, path) => {
                let (mut value, mut is_asked) = (self.value(owner, env)?, self.is_asked(owner));
                for name in path {
                    match self.member(value, name, is_asked)? {
                        Some(member) => value = member,
                        None => return Ok(Value::FALSE),
                    }
                    is_asked = self.is_policy;
                }
                Value::TRUE
            }
            ExprKind::Like(part, pattern) => {
                let text = self.value(part, env)?;
                is_like(&self.text(text)?.chars().collect::<Vec<_>>(), pattern).into()
            }
            ExprKind::Set(parts) => {
                let elements = parts.iter().map(|part| self.value(part, env)).collect::<Result<_, _>>()?;
                self.values.set(elements)
            }
            ExprKind::Record(members) => {
                let member = |(name, part): &(String, Expr)| Ok((self.values.symbol(name), self.value(part, env)?));
                let members = members.iter().map(member).collect::<Result<_, _>>()?;
                self.values.record(members)
            }
            ExprKind::Is(part, kind) => {
                let value = self.value(part, env)?;
                let View::Entity(of, _) = self.values.view(value) else { return Err(Lack::Error) };
                (self.values.name(of) == kind).into()
            }
            ExprKind::Binary(operation, parts) => self.binary(*operation, &parts[0], &parts[1], env)?,
            other => panic!("the twin has no {other:?}"),
        })
    }

    fn binary(&mut self, operation: Binary, a: &Expr, b: &Expr, env: &Env) -> Result<Value, Lack> {
        // Of a set that rules derive, what matters is the element that is asked for.
        if let (Binary::Contains, Some((name, owner))) = (operation, self.derived_set(a, env)?) {
            let element = self.value(b, env)?;
            return self.holds(&name, &[owner, element]).map(Value::from);
        } else if let (Binary::In, Some((name, owner))) = (operation, self.derived_set(b, env)?) {
            let below = self.value(a, env)?;
            return self.any(rows(&self.model, &name, &[owner, Value::UNKNOWN]).iter().map(|(row, is_sure)| {
                let is_in = self.holds("in", &[below, row[1]]);
                if *is_sure || is_in == Ok(false) { is_in } else { Err(Lack::Undetermined) }
            }));
        }
        let (a, b) = (self.value(a, env)?, self.value(b, env)?);
        let number = match operation {
            Binary::Equal => return Ok((a == b).into()),
            Binary::In => match self.values.view(b) {
                View::Set(all) => return self.any(all.iter().map(|above| self.holds("in", &[a, *above]))),
                _ => return self.holds("in", &[a, b]).map(Value::from),
            },
            Binary::Contains => return Ok(self.elements(a)?.contains(&b).into()),
            Binary::ContainsAll => {
                let all = self.elements(a)?;
                return Ok(self.elements(b)?.iter().all(|element| all.contains(element)).into());
            }
            Binary::ContainsAny => {
                let all = self.elements(a)?;
                return Ok(self.elements(b)?.iter().any(|element| all.contains(element)).into());
            }
            Binary::HasTag => return Ok(self.tags.contains_key(&(a, self.text(b)?.to_owned())).into()),
            Binary::GetTag => return self.tags.get(&(a, self.text(b)?.to_owned())).copied().ok_or(Lack::Error),
            Binary::Less => return Ok((self.number(a)? < self.number(b)?).into()),
            Binary::LessEqual => return Ok((self.number(a)? <= self.number(b)?).into()),
            Binary::Add => self.number(a)? + self.number(b)?,
            Binary::Subtract => self.number(a)? - self.number(b)?,
            Binary::Multiply => self.number(a)? * self.number(b)?,
            Binary::Call(_) => panic!("the twin has no {operation:?}"),
        };
        self.long(number)
    }

    /// True if one is, else without a value if one is, else false.
    fn any(&self, all: impl Iterator<Item = Result<bool, Lack>>) -> Result<Value, Lack> {
        let mut lack = None;
        for one in all {
            match one {
                Ok(true) => return Ok(Value::TRUE),
                Ok(false) => {}
                Err(of) => lack = Some(of),
            }
        }
        lack.map_or(Ok(Value::FALSE), Err)
    }

    /// The relation and the entity, if an expression is a derived attribute that is a set.
    fn derived_set(&mut self, expr: &Expr, env: &Env) -> Result<Option<(String, Value)>, Lack> {
        let ExprKind::Attribute(owner, name) = &expr.kind else { return Ok(None) };
        let owner = self.value(owner, env)?;
        let is_set = |of: &&Declaration| of.columns.len() == 2 && of.n_keys.is_none();
        Ok(self.derived(owner, name).filter(is_set).map(|_| (name.clone(), owner)))
    }

    /// The declaration of an attribute that rules derive for an entity.
    fn derived(&self, owner: Value, name: &str) -> Option<&'t Declaration> {
        let (declaration, is_attribute) = self.declared.get(name)?;
        (*is_attribute && self.is_of(owner, &declaration.columns[0].types[0])).then_some(declaration)
    }

    /// Whether a value is of a type, as far as the worlds have types.
    pub fn is_of(&self, value: Value, of: &TypeName) -> bool {
        match (of, self.values.view(value)) {
            (TypeName::Named(name), View::Entity(kind, _)) => name.text == self.values.name(kind),
            (TypeName::Named(name), View::Long(_)) => name.text == "Long",
            (TypeName::Named(name), View::Text(_)) => name.text == "String",
            (of, view) => matches!((of, view), (TypeName::Set(..), View::Set(_))),
        }
    }

    /// Whether what the request supplies counts for the members of an expression: in policies, and for its own words.
    fn is_asked(&self, owner: &Expr) -> bool {
        self.is_policy || matches!(owner.kind, ExprKind::Var(_))
    }

    /// The member of an entity or a record, if it has one of that name.
    fn member(&mut self, owner: Value, name: &str, is_asked: bool) -> Result<Option<Value>, Lack> {
        match self.values.view(owner) {
            View::Record(members) => {
                let member = members.iter().find(|(key, _)| self.values.name(*key) == name);
                return Ok(member.map(|(_, value)| *value));
            }
            View::Entity(..) => {}
            _ => return Err(Lack::Error),
        }
        let Some(declaration) = self.derived(owner, name) else {
            let key = (owner, name.to_owned());
            let supplied = self.supplied.get(&key).filter(|_| is_asked);
            return Ok(supplied.or_else(|| self.attributes.get(&key)).copied());
        };
        let columns = &declaration.columns;
        let key: Vec<_> = [owner].into_iter().chain(columns[1..].iter().map(|_| Value::UNKNOWN)).collect();
        if columns.len() == 1 {
            return self.holds(name, &key).map(|holds| Some(holds.into()));
        }
        let mut elements = Vec::new();
        for (row, is_certain) in rows(&self.model, name, &key) {
            let member = |(column, value): (&Column, &Value)| {
                (self.values.symbol(&column.name.as_ref().expect("columns of a record have names").text), *value)
            };
            match row.as_slice() {
                _ if !is_certain => return Err(Lack::Undetermined),
                [_, value] => elements.push(*value),
                row => {
                    let members = columns.iter().zip(row).skip(1).map(member).collect();
                    elements.push(self.values.record(members));
                }
            }
        }
        Ok(if declaration.n_keys.is_some() { elements.first().copied() } else { Some(self.values.set(elements)) })
    }
}

/// Whether a text matches a pattern.
fn is_like(text: &[char], pattern: &[Glob]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((Glob::Char(c), rest)) => text.first() == Some(c) && is_like(&text[1..], rest),
        Some((Glob::Wild, rest)) => (0..=text.len()).any(|at| is_like(&text[at..], rest)),
    }
}
