//! Rules in the simplest way there is: every clause over all rows, again and again, until nothing changes.
//!
//! Nothing is planned, compiled or looked up by an index. A relation has the rows that are certain, and all that are possible;
//! [`Value::UNKNOWN`] in a possible row stands for any value.

use std::collections::{BTreeMap, BTreeSet};

use rune_core::{
    base::{Scratch, Value, Values, View},
    syntax::{
        ast::{Binary, Expr, ExprKind, Unary, Var},
        rules::{Aggregate, Atom, Choice, Clause, ClauseKind, Declaration, Fold, Literal, LiteralKind, Rulelike},
    },
};

use super::plain::{self, level_names, names};

pub type Row = Vec<Value>;
/// The values of variables.
pub type Env = BTreeMap<String, Value>;
type Scope = BTreeSet<String>;

/// Why an expression has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// It reads what rules derive, and that is undetermined.
    Undetermined,
    /// It fails, as in Cedar.
    Error,
}

/// The rows of a relation: what is certain is possible too.
#[derive(Debug, Default, Clone)]
pub struct Relation {
    pub certain: BTreeSet<Row>,
    pub possible: BTreeSet<Row>,
}

pub struct Twin<'t> {
    pub values: Scratch<'t>,
    pub declared: BTreeMap<&'t str, &'t Declaration>,
    /// The derived attributes.
    pub attributes: BTreeMap<&'t str, &'t Declaration>,
    pub entities: BTreeMap<Value, BTreeMap<String, Value>>,
    /// Principal, action, resource and context.
    pub request: [Value; 4],
    pub relations: BTreeMap<String, Relation>,
    /// Whether negated conditions are left out.
    pub without_negation: bool,
}

impl<'t> Twin<'t> {
    /// Derives all that follows from clauses; none if they have no strata.
    pub fn derive(&mut self, clauses: &'t [Clause]) -> Option<()> {
        let rules: Vec<Rulelike> = clauses.iter().filter_map(rule_of).map(|rule| plain::rule(self, rule)).collect();
        let is_chosen = |head: &str| self.choice(head).is_some();
        let levels = plain::levels(&rules, |name| self.attributes.contains_key(name), is_chosen)?;
        self.close();
        for level in 0..=rules.len() {
            let rules: Vec<_> = rules.iter().filter(|rule| levels.get(&rule.head.name.text) == Some(&level)).collect();
            let mut n_before = usize::MAX;
            while n_before != self.n_rows() {
                n_before = self.n_rows();
                for rule in &rules {
                    for (env, is_certain) in self.instances_of(rule, Env::new()) {
                        let row = rule.head.args.iter().map(|arg| value_of(arg, &env)).collect();
                        self.add(&rule.head.name.text, row, is_certain);
                    }
                }
                self.close();
            }
            rules.iter().for_each(|rule| self.choose(&rule.head.name.text));
        }
        Some(())
    }

    /// Whether a rule permits or forbids the request: surely (true), perhaps (false), or not at all.
    pub fn decides(&mut self, rule: &Rulelike) -> Option<bool> {
        let rule = plain::rule(self, rule);
        let row: Row = [0, 1, 2].map(|at| self.request[at]).into();
        let env = unify(&rule.head.args, &row, &Env::new())?;
        self.instances_of(&rule, env).into_iter().map(|(_, is_certain)| is_certain).max()
    }

    pub fn add(&mut self, name: &str, row: Row, is_certain: bool) {
        let relation = self.relations.entry(name.to_owned()).or_default();
        if is_certain {
            relation.certain.insert(row.clone());
        }
        relation.possible.insert(row);
    }

    fn n_rows(&self) -> usize {
        self.relations.values().map(|relation| relation.certain.len() + relation.possible.len()).sum()
    }

    /// Whoever is below somebody is below whatever that one is below.
    fn close(&mut self) {
        let parents = self.relations.get("parent").cloned().unwrap_or_default();
        let closed = |mut rows: BTreeSet<Row>| loop {
            let agrees = |a: Value, b: Value| a == b || a == Value::UNKNOWN || b == Value::UNKNOWN;
            let beyond = |low: &Row| {
                rows.iter().filter(|high| agrees(low[1], high[0])).map(|high| vec![low[0], high[1]]).collect::<Vec<_>>()
            };
            let more: BTreeSet<Row> = rows.iter().flat_map(beyond).filter(|row| !rows.contains(row)).collect();
            if more.is_empty() {
                return rows;
            }
            rows.extend(more);
        };
        let below = Relation { certain: closed(parents.certain), possible: closed(parents.possible) };
        self.relations.insert("in".to_owned(), below);
    }

    fn choice(&self, name: &str) -> Option<Choice> {
        self.declared.get(name)?.columns.iter().find_map(|column| column.choice)
    }

    /// Keeps the value that counts of each key. Of a key that may have another value, none is certain.
    fn choose(&mut self, name: &str) {
        let Some(choice) = self.choice(name) else { return };
        let relation = self.relations.remove(name).unwrap_or_default();
        let doubts: BTreeSet<Row> = relation.possible.difference(&relation.certain).cloned().collect();
        doubts.iter().for_each(|row| self.add(name, row.clone(), false));
        let number = |row: &Row| self.number(row[row.len() - 1]).unwrap_or_default();
        let is_beaten = |row: &Row, by: &Row| {
            let (a, b) = (number(row), number(by));
            row[..row.len() - 1] == by[..by.len() - 1] && if choice == Choice::Min { b < a } else { a < b }
        };
        let best = relation.certain.iter().filter(|row| !relation.certain.iter().any(|by| is_beaten(row, by)));
        for row in best.cloned().collect::<Vec<_>>() {
            let key: Vec<_> = row[..row.len() - 1].iter().copied().map(Some).chain([None]).collect();
            let is_certain = !doubts.iter().any(|doubt| matches(doubt, &key));
            self.add(name, row, is_certain);
        }
    }

    fn instances_of(&mut self, rule: &Rulelike, env: Env) -> Vec<(Env, bool)> {
        let mut scope = level_names(&rule.body);
        rule.head.args.iter().for_each(|arg| names(arg, &mut scope));
        self.instances(&rule.body.iter().collect::<Vec<_>>(), &scope, env, true)
    }

    /// The assignments that make no condition false, and whether each makes all of them true.
    fn instances(&mut self, open: &[&Literal], scope: &Scope, env: Env, is_certain: bool) -> Vec<(Env, bool)> {
        let Some(at) = open.iter().position(|literal| is_ready(literal, scope, &env)) else {
            return vec![(env, is_certain && open.is_empty())];
        };
        let rest = [&open[..at], &open[at + 1..]].concat();
        let mut found = Vec::new();
        for (env, is_true) in self.answers(open[at], scope, &env) {
            found.extend(self.instances(&rest, scope, env, is_certain && is_true));
        }
        found
    }

    /// The assignments with which a condition is true or undetermined.
    fn answers(&mut self, literal: &Literal, scope: &Scope, env: &Env) -> Vec<(Env, bool)> {
        let asked = |truth: Result<bool, Lack>| match truth {
            Ok(truth) if truth == literal.is_negated => Vec::new(),
            truth => vec![(env.clone(), truth.is_ok())],
        };
        let bound = |name: &str, value: Option<Result<Value, Lack>>| match value {
            None => Vec::new(),
            Some(Err(_)) => vec![(env.clone(), false)],
            Some(Ok(_)) if name == "_" => vec![(env.clone(), true)],
            Some(Ok(value)) if env.get(name).is_some_and(|known| *known != value) => Vec::new(),
            Some(Ok(value)) => vec![(env.clone().into_iter().chain([(name.to_owned(), value)]).collect(), true)],
        };
        match &literal.kind {
            LiteralKind::Atom(Atom { name, args, .. }) if literal.is_negated => {
                let key: Vec<_> = args.iter().map(|arg| Some(value_of(arg, env)).filter(is_known)).collect();
                asked(if name.text == "in" { self.is_in(&key) } else { self.holds(&name.text, &key) })
            }
            LiteralKind::Atom(Atom { name, args, .. }) => {
                let mut relation = self.relations.get(&name.text).cloned().unwrap_or_default();
                if name.text == "in" {
                    let itself: Vec<_> = args.iter().map(|arg| value_of(arg, env)).filter(is_known).collect();
                    relation.possible.extend(itself.iter().map(|entity| vec![*entity; 2]));
                    relation.certain.extend(itself.iter().map(|entity| vec![*entity; 2]));
                }
                let with = |row: &Row| Some((unify(args, row, env)?, relation.certain.contains(row)));
                relation.possible.iter().filter_map(with).collect()
            }
            LiteralKind::Guard(expr) => asked(self.condition(expr, env)),
            LiteralKind::Binding(name, expr) => bound(&name.text, Some(self.value(expr, env))),
            LiteralKind::Aggregate(aggregate) => bound(&aggregate.result.text, self.aggregate(aggregate, scope, env)),
        }
    }

    /// The value of an aggregate; none of nothing.
    fn aggregate(&mut self, aggregate: &Aggregate, scope: &Scope, env: &Env) -> Option<Result<Value, Lack>> {
        let scope: Scope = scope.union(&level_names(&aggregate.body)).cloned().collect();
        let (mut certain, mut possible) = (BTreeSet::new(), BTreeSet::new());
        for (env, is_certain) in self.instances(&aggregate.body.iter().collect::<Vec<_>>(), &scope, env.clone(), true) {
            let value = |name: &str| env.get(name).copied().unwrap_or(Value::UNKNOWN);
            let tuple: Row = aggregate.tuple.iter().map(|name| value(&name.text)).collect();
            if is_certain {
                certain.insert(tuple)
            } else {
                possible.insert(tuple)
            };
        }
        if !possible.is_subset(&certain) {
            return Some(Err(Lack::Undetermined));
        }
        let firsts: Vec<Value> = certain.iter().map(|tuple| tuple[0]).collect();
        let numbers = || firsts.iter().map(|value| self.number(*value)).collect::<Result<Vec<i64>, Lack>>();
        let number = match aggregate.fold {
            Fold::Collect => return Some(Ok(self.values.set(firsts))),
            Fold::Count => Ok(i64::try_from(firsts.len()).expect("few")),
            Fold::Sum => numbers()
                .and_then(|of| i64::try_from(of.into_iter().map(i128::from).sum::<i128>()).map_err(|_| Lack::Error)),
            Fold::Min => numbers().map(|of| of.into_iter().min()).transpose()?,
            Fold::Max => numbers().map(|of| of.into_iter().max()).transpose()?,
        };
        Some(number.map(|number| self.values.long(number)))
    }

    fn number(&self, value: Value) -> Result<i64, Lack> {
        if let View::Long(number) = self.values.view(value) { Ok(number) } else { Err(Lack::Error) }
    }

    /// Whether a relation has a row with these values, of which none stands for any.
    fn holds(&self, name: &str, key: &[Option<Value>]) -> Result<bool, Lack> {
        let Some(relation) = self.relations.get(name) else { return Ok(false) };
        let is_certain = relation.certain.iter().any(|row| matches(row, key));
        let is_possible = relation.possible.iter().any(|row| matches(row, key));
        if is_certain == is_possible { Ok(is_certain) } else { Err(Lack::Undetermined) }
    }

    fn is_in(&self, pair: &[Option<Value>]) -> Result<bool, Lack> {
        if pair[0] == pair[1] || pair.contains(&None) { Ok(true) } else { self.holds("in", pair) }
    }

    /// Whether a condition is true.
    pub fn condition(&mut self, expr: &Expr, env: &Env) -> Result<bool, Lack> {
        match self.value(expr, env)? {
            Value::TRUE => Ok(true),
            Value::FALSE => Ok(false),
            _ => Err(Lack::Error),
        }
    }

    fn chain(&mut self, parts: &[Expr], stop: bool, env: &Env) -> Result<Value, Lack> {
        for part in parts {
            if self.condition(part, env)? == stop {
                return Ok(stop.into());
            }
        }
        Ok((!stop).into())
    }

    pub fn value(&mut self, expr: &Expr, env: &Env) -> Result<Value, Lack> {
        Ok(match &expr.kind {
            ExprKind::Bool(truth) => (*truth).into(),
            ExprKind::Long(number) => self.values.long(*number),
            ExprKind::Entity(kind, id) => self.values.entity(kind, id),
            ExprKind::Var(var) => {
                self.request[[Var::Principal, Var::Action, Var::Resource, Var::Context]
                    .iter()
                    .position(|of| of == var)
                    .expect("a part")]
            }
            ExprKind::Name(name) => env[name],
            ExprKind::All(parts) => self.chain(parts, false, env)?,
            ExprKind::Any(parts) => self.chain(parts, true, env)?,
            ExprKind::If(parts) => {
                let at = if self.condition(&parts[0], env)? { 1 } else { 2 };
                self.value(&parts[at], env)?
            }
            ExprKind::Unary(Unary::Not, part) => (!self.condition(part, env)?).into(),
            ExprKind::Attribute(owner, name) => {
                let owner = self.value(owner, env)?;
                self.attribute(owner, name)?
            }
            ExprKind::Set(parts) => {
                let elements = parts.iter().map(|part| self.value(part, env)).collect::<Result<_, _>>()?;
                self.values.set(elements)
            }
            ExprKind::Is(part, kind) => {
                let value = self.value(part, env)?;
                matches!(self.values.view(value), View::Entity(of, _) if self.values.name(of) == kind).into()
            }
            ExprKind::Binary(Binary::Contains, parts) if self.is_set_of(&parts[0], env)?.is_some() => {
                let ((name, owner), element) =
                    (self.is_set_of(&parts[0], env)?.expect("above"), self.value(&parts[1], env)?);
                self.holds(&name, &[Some(owner), Some(element)])?.into()
            }
            ExprKind::Binary(Binary::In, parts) if self.is_set_of(&parts[1], env)?.is_some() => {
                let (name, owner) = self.is_set_of(&parts[1], env)?.expect("above");
                let below = self.value(&parts[0], env)?;
                self.is_in_set(below, &name, owner)?.into()
            }
            ExprKind::Binary(operation, parts) => {
                let [a, b] = [self.value(&parts[0], env)?, self.value(&parts[1], env)?];
                self.binary(*operation, a, b)?
            }
            other => panic!("the twin has no {other:?}"),
        })
    }

    fn binary(&mut self, operation: Binary, a: Value, b: Value) -> Result<Value, Lack> {
        if operation == Binary::Equal {
            return Ok((a == b).into());
        } else if operation == Binary::In {
            return self.is_in(&[Some(a), Some(b)]).map(Value::from);
        } else if operation == Binary::Contains {
            let View::Set(elements) = self.values.view(a) else { return Err(Lack::Error) };
            return Ok(elements.contains(&b).into());
        }
        let (a, b) = (self.number(a)?, self.number(b)?);
        let number = match operation {
            Binary::Less => return Ok((a < b).into()),
            Binary::LessEqual => return Ok((a <= b).into()),
            Binary::Add => a.checked_add(b),
            Binary::Subtract => a.checked_sub(b),
            Binary::Multiply => a.checked_mul(b),
            other => panic!("the twin has no {other:?}"),
        };
        number.map(|number| self.values.long(number)).ok_or(Lack::Error)
    }

    /// Whether an entity is in an element of a derived attribute: one that is counts, else all that may be above it matters.
    fn is_in_set(&self, below: Value, name: &str, owner: Value) -> Result<bool, Lack> {
        let all = self.relations.get("in").cloned().unwrap_or_default();
        let of_below = |rows: &BTreeSet<Row>| rows.iter().filter(|row| matches(row, &[Some(below), None])).count();
        let mut is_open = of_below(&all.certain) < of_below(&all.possible);
        let above = all.certain.iter().filter(|row| row[0] == below).map(|row| row[1]);
        for element in above.chain([below]) {
            match self.holds(name, &[Some(owner), Some(element)]) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(_) => is_open = true,
            }
        }
        if is_open { Err(Lack::Undetermined) } else { Ok(false) }
    }

    /// The relation and the entity, if an expression is a derived attribute that is a set.
    fn is_set_of(&mut self, expr: &Expr, env: &Env) -> Result<Option<(String, Value)>, Lack> {
        let ExprKind::Attribute(owner, name) = &expr.kind else { return Ok(None) };
        let owner = self.value(owner, env)?;
        let is_set = self.derived(owner, name).is_some_and(|of| of.columns.len() == 2 && of.n_keys.is_none());
        Ok(is_set.then(|| (name.clone(), owner)))
    }

    /// The declaration of an attribute that rules derive for an entity.
    fn derived(&self, owner: Value, name: &str) -> Option<&'t Declaration> {
        let View::Entity(kind, _) = self.values.view(owner) else { return None };
        let declaration = self.attributes.get(name)?;
        (plain::type_of(&declaration.columns[0]) == Some(self.values.name(kind))).then_some(declaration)
    }

    fn attribute(&mut self, owner: Value, name: &str) -> Result<Value, Lack> {
        if let View::Record(members) = self.values.view(owner) {
            let member = members.iter().find(|(key, _)| self.values.name(*key) == name);
            return member.map(|(_, value)| *value).ok_or(Lack::Error);
        }
        let Some(declaration) = self.derived(owner, name) else {
            return self.entities.get(&owner).and_then(|of| of.get(name)).copied().ok_or(Lack::Error);
        };
        if declaration.columns.len() == 1 {
            return self.holds(name, &[Some(owner)]).map(Value::from);
        }
        let relation = self.relations.get(name).cloned().unwrap_or_default();
        if relation.possible.difference(&relation.certain).any(|row| matches(row, &[Some(owner), None])) {
            return Err(Lack::Undetermined);
        }
        let mut of_owner = relation.certain.iter().filter(|row| row[0] == owner).map(|row| row[1]);
        if declaration.n_keys.is_some() {
            of_owner.next().ok_or(Lack::Error)
        } else {
            Ok(self.values.set(of_owner.collect()))
        }
    }
}

/// The rule that a clause is, if it derives rows.
fn rule_of(clause: &Clause) -> Option<&Rulelike> {
    match &clause.kind {
        ClauseKind::Rule(rule) if !rule.body.is_empty() && !plain::is_decision(rule) => Some(rule),
        _ => None,
    }
}

fn is_known(value: &Value) -> bool {
    *value != Value::UNKNOWN
}

fn value_of(arg: &Expr, env: &Env) -> Value {
    let ExprKind::Name(name) = &arg.kind else { unreachable!("arguments are names") };
    env.get(name).copied().unwrap_or(Value::UNKNOWN)
}

/// Whether a row has the values asked for, or may have.
pub fn matches(row: &[Value], key: &[Option<Value>]) -> bool {
    row.iter().zip(key).all(|(value, wanted)| wanted.is_none_or(|wanted| *value == wanted || !is_known(value)))
}

/// Whether what a condition needs has values.
fn is_ready(literal: &Literal, scope: &Scope, env: &Env) -> bool {
    let mut needs = Scope::new();
    match &literal.kind {
        LiteralKind::Atom(atom) if literal.is_negated => atom.args.iter().for_each(|arg| names(arg, &mut needs)),
        LiteralKind::Atom(atom) if atom.name.text == "in" => {
            return atom.args.iter().any(|arg| is_known(&value_of(arg, env)));
        }
        LiteralKind::Atom(_) => {}
        LiteralKind::Guard(expr) | LiteralKind::Binding(_, expr) => names(expr, &mut needs),
        LiteralKind::Aggregate(aggregate) => {
            needs = level_names(&aggregate.body);
            needs.retain(|name| scope.contains(name));
        }
    }
    needs.iter().all(|name| name == "_" || env.contains_key(name))
}

/// The assignment that makes arguments a row, in which an unknown value agrees with any.
fn unify(args: &[Expr], row: &[Value], env: &Env) -> Option<Env> {
    let mut env = env.clone();
    for (arg, value) in args.iter().zip(row).filter(|(_, value)| is_known(value)) {
        match &arg.kind {
            ExprKind::Name(name) if name == "_" => {}
            ExprKind::Name(name) if *env.entry(name.clone()).or_insert(*value) != *value => return None,
            _ => {}
        }
    }
    Some(env)
}
