//! Rules in the simplest way there is: every rule over all rows, again and again, until nothing changes.
//!
//! Nothing is planned, compiled or looked up by an index, and there are no strata. What needs all of a relation (`not`,
//! an aggregate, an expression, a choice) reads the model of the round before; a round derives everything anew, row by
//! row to its least fixpoint, and the last round is the one that changes nothing. If the rules have strata, that round
//! comes and is the stratified model, wherever the first one began: after n rounds the n lowest strata are right.
//!
//! A model has the rows that may be, each with whether it is certain; [`Value::UNKNOWN`] in a row stands for any value.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    slice,
};

use rune_core::{
    base::{Scratch, Value, Values},
    syntax::rules::{Choice, Fold},
};

use super::{
    expressions::Lack,
    plain::{Body, Declared, Goal, Kind, Rule},
};

pub type Row = Vec<Value>;
/// The values of variables.
pub type Env = BTreeMap<String, Value>;
/// Rows, and whether each is certain.
pub type Relation = BTreeMap<Row, bool>;
pub type Model = BTreeMap<String, Relation>;

pub struct Twin<'t> {
    pub values: Scratch<'t>,
    pub declared: &'t Declared,
    /// Stored attributes and tags, and what the request supplies, by entity and name.
    pub attributes: BTreeMap<(Value, String), Value>,
    pub tags: BTreeMap<(Value, String), Value>,
    pub supplied: BTreeMap<(Value, String), Value>,
    /// Whether it is policies that are evaluated.
    pub is_policy: bool,
    /// Principal, action, resource and context.
    pub request: [Value; 4],
    /// The rows that are given.
    pub given: Model,
    pub model: Rc<Model>,
}

impl Twin<'_> {
    /// Derives all that follows from rules. False if no round is the last: then they have no strata.
    pub fn derive(&mut self, rules: &[Rule]) -> bool {
        for _ in 0..rules.len() + 3 {
            let mut now = self.given.clone();
            let mut before = Model::new();
            while before != now {
                before = now.clone();
                for rule in rules {
                    for (env, is_certain) in self.instances(&rule.body, &rule.body.open(), Env::new(), &now) {
                        let (row, fits) = self.fitted(row_of(&rule.args, &env), &rule.fits);
                        *now.entry(rule.head.clone()).or_default().entry(row).or_default() |= is_certain && fits;
                    }
                }
            }
            now.iter_mut().for_each(|(name, relation)| self.choose(name, relation));
            if *self.model == now {
                return true;
            }
            self.model = Rc::new(now);
        }
        false
    }

    fn choice(&self, name: &str) -> Option<Choice> {
        self.declared.get(name)?.0.columns.iter().find_map(|column| column.choice)
    }

    /// Keeps the value that counts of each key. Of a key that may have another value, none is certain.
    fn choose(&self, name: &str, relation: &mut Relation) {
        let Some(choice) = self.choice(name) else { return };
        let all = relation.clone();
        let last = |row: &Row| self.number(row[row.len() - 1]).ok();
        let is_better = |by: &Row, row: &Row| match choice {
            Choice::Min => last(by) < last(row),
            Choice::Max => last(row) < last(by),
        };
        relation.retain(|row, is_certain| {
            let rivals = || all.iter().filter(|(by, _)| agrees(&row[..row.len() - 1], by));
            let is_beaten = *is_certain && rivals().any(|(by, is_sure)| *is_sure && is_better(by, row));
            *is_certain &= rivals().all(|(_, is_sure)| *is_sure);
            !is_beaten
        });
    }

    /// The assignments that make no condition false, and whether each makes all of them true.
    fn instances(&mut self, body: &Body, open: &[&Goal], env: Env, now: &Model) -> Vec<(Env, bool)> {
        let has_values = |names: &BTreeSet<String>| names.iter().all(|name| is_known(&value_of(name, &env)));
        let Some(at) = open.iter().position(|goal| goal.needs.iter().any(has_values)) else {
            // What is left waits for what has no value.
            return vec![(env, open.is_empty())];
        };
        let (rest, mut found) = ([&open[..at], &open[at + 1..]].concat(), Vec::new());
        for (env, is_true) in self.answers(body, open[at], &env, now) {
            let of_rest = self.instances(body, &rest, env, now).into_iter();
            found.extend(of_rest.map(|(env, is_certain)| (env, is_certain && is_true)));
        }
        found
    }

    /// The assignments with which a condition is true, or has no value; which of that.
    fn answers(&mut self, body: &Body, goal: &Goal, env: &Env, now: &Model) -> Vec<(Env, bool)> {
        let answer = match &goal.kind {
            Kind::Atom(name, args) => {
                let model = if self.choice(name).is_some() { &self.model } else { now };
                let rows = rows(model, name, &row_of(args, env)).into_iter();
                return rows.filter_map(|(row, is_sure)| Some((self.unify(body, args, &row, env)?, is_sure))).collect();
            }
            Kind::Not(name, args) => self.holds(name, &row_of(args, env)).map(|holds| (!holds).then(|| env.clone())),
            Kind::Guard(expr) => self.condition(expr, env).map(|holds| holds.then(|| env.clone())),
            Kind::Bind(name, expr) => match self.value(expr, env) {
                Ok(value) => Ok(self.unify(body, slice::from_ref(name), &[value], env)),
                Err(lack) => Err(lack),
            },
            Kind::Aggregate { result, fold, tuple, body: inner } => {
                let value = self.aggregate(*fold, tuple, inner, env);
                value.map(|value| self.unify(body, slice::from_ref(result), &[value?], env))
            }
        };
        answer.map_or_else(|_| vec![(env.clone(), false)], |env| env.into_iter().map(|env| (env, true)).collect())
    }

    /// The value of an aggregate; none of nothing.
    pub fn aggregate(&mut self, fold: Fold, tuple: &[String], body: &Body, env: &Env) -> Result<Option<Value>, Lack> {
        let (model, mut tuples) = (Rc::clone(&self.model), Relation::new());
        for (env, is_certain) in self.instances(body, &body.open(), env.clone(), &model) {
            *tuples.entry(row_of(tuple, &env)).or_default() |= is_certain;
        }
        if tuples.values().any(|is_certain| !is_certain) {
            return Err(Lack::Undetermined);
        }
        let firsts: Vec<Value> = tuples.into_keys().map(|tuple| tuple[0]).collect();
        let numbers = || firsts.iter().map(|value| self.number(*value)).collect::<Result<Vec<i128>, Lack>>();
        let number = match fold {
            Fold::Collect => return Ok(Some(self.values.set(firsts))),
            Fold::Count => i128::try_from(firsts.len()).ok(),
            Fold::Sum => Some(numbers()?.into_iter().sum()),
            Fold::Min => numbers()?.into_iter().min(),
            Fold::Max => numbers()?.into_iter().max(),
        };
        number.map(|number| self.long(number)).transpose()
    }

    /// Whether there is a row with these values, of which an unknown one stands for any.
    pub fn holds(&self, name: &str, key: &[Value]) -> Result<bool, Lack> {
        match rows(&self.model, name, key).into_iter().map(|(_, is_certain)| is_certain).max() {
            Some(false) => Err(Lack::Undetermined),
            found => Ok(found.is_some()),
        }
    }

    /// The assignment that makes variables a row, in which an unknown value agrees with any.
    fn unify(&self, body: &Body, args: &[String], row: &[Value], env: &Env) -> Option<Env> {
        let mut env = env.clone();
        for (arg, value) in args.iter().zip(row).filter(|(_, value)| is_known(value)) {
            if *env.entry(arg.clone()).or_insert(*value) != *value || !self.fits(body, arg, *value) {
                return None;
            }
        }
        Some(env)
    }

    /// Whether a variable can have a value: it is of the types of all columns that the variable stands in.
    pub fn fits(&self, body: &Body, name: &str, value: Value) -> bool {
        body.columns.get(name).into_iter().flatten().all(|types| types.iter().any(|of| self.is_of(value, of)))
    }
}

pub fn is_known(value: &Value) -> bool {
    *value != Value::UNKNOWN
}

pub fn agrees(row: &[Value], key: &[Value]) -> bool {
    row.iter().zip(key).all(|(a, b)| a == b || !is_known(a) || !is_known(b))
}

fn value_of(name: &str, env: &Env) -> Value {
    env.get(name).copied().unwrap_or(Value::UNKNOWN)
}

pub fn row_of(names: &[String], env: &Env) -> Row {
    names.iter().map(|name| value_of(name, env)).collect()
}

/// The rows of a relation that have these values, or may have. Everything is in itself.
pub fn rows(model: &Model, name: &str, key: &[Value]) -> Vec<(Row, bool)> {
    let itself = key.iter().filter(|value| name == "in" && is_known(value)).map(|value| (vec![*value; 2], true));
    let stored = model.get(if name == "in" { "below" } else { name });
    let all = stored.into_iter().flatten().map(|(row, is_certain)| (row.clone(), *is_certain));
    all.filter(|(row, _)| agrees(row, key)).chain(itself.filter(|(row, _)| agrees(row, key))).collect()
}
