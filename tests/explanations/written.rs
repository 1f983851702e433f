//! Rules as they are written, and what their parts come to in the model of the twin.

use rune_core::{
    OwnedValue,
    base::Value,
    explain::{Atom, Fact, Instance, Outcome, Place},
    syntax::ast::Expr,
};

use crate::datalog::{
    expressions::Lack,
    given::expression,
    plain::{Body, Goal, Kind, Rule},
    twin::{Env, Row, Twin, is_known, row_of, rows},
};

/// A rule, and where each of its goals stands.
pub struct Written<'r> {
    pub rule: &'r Rule,
    pub place: Place,
    pub goals: Vec<WrittenGoal<'r>>,
}

/// A goal: its place and its text are those of its clause in an explanation.
pub struct WrittenGoal<'r> {
    pub goal: &'r Goal,
    /// The body that it is of.
    pub body: &'r Body,
    pub place: Place,
    pub text: String,
}

impl Written<'_> {
    /// What the rule derives with these values, if it does.
    pub fn head(&self, twin: &mut Twin<'_>, env: &Env) -> Option<Atom> {
        let has_types = env.iter().all(|(name, value)| twin.fits(&self.rule.body, name, *value));
        let (row, fits) = twin.fitted(row_of(&self.rule.args, env), &self.rule.fits);
        // Of a relation with a choice, the row that counts.
        let counts = twin.holds(&self.rule.head, &row) == Ok(true);
        let row = || row.iter().map(|value| twin.owned(*value)).collect();
        (has_types && fits && counts).then(|| Atom { relation: self.rule.head.as_str().into(), row: row() })
    }
}

/// The values of variables that an instance is said to have.
pub fn env(twin: &mut Twin<'_>, instance: &Instance) -> Env {
    instance.bindings.iter().map(|(name, of)| (name.clone(), twin.constant(&of.to_string()))).collect()
}

/// Whether all clauses are said to hold, and to rest on facts that are there.
pub fn is_whole(Instance { clauses, .. }: &Instance, facts: &[Fact]) -> bool {
    clauses.iter().all(|of| of.outcome == Outcome::True && of.facts.iter().all(|at| *at < facts.len()))
}

/// Whether a variable has the value of an expression, which it gets if it has none.
pub fn bind(twin: &mut Twin<'_>, name: &str, expr: &Expr, env: &mut Env) -> bool {
    let value = twin.value(expr, env);
    value.is_ok_and(|value| *env.entry(name.to_owned()).or_insert(value) == value)
}

/// The clause of a policy, which begins with `not` if the policy denies it.
pub fn clause(text: &str) -> Expr {
    text.strip_prefix("not ").map_or_else(|| expression(text), |denied| expression(&format!("!({denied})")))
}

/// Whether a fact is one of those that an atom with these values asks for.
pub fn is_asked(twin: &Twin<'_>, fact: &Fact, name: &str, key: &[Value]) -> bool {
    let agrees = |(of, value): (&OwnedValue, &_)| !is_known(value) || *of == twin.owned(*value);
    let Atom { relation, row } = &fact.atom;
    **relation == *name && row.len() == key.len() && row.iter().zip(key).all(agrees)
}

/// Whether an entity is below another by way of these facts.
pub fn is_way<'f>(Atom { relation, row }: &Atom, mut way: impl Iterator<Item = Option<&'f Fact>>) -> bool {
    let [low, high] = row.as_slice() else { return false };
    let top = way.try_fold(low.clone(), |at, step| match (&*step?.atom.relation, step?.atom.row.as_slice()) {
        ("parent", [child, parent]) if *child == at => Some(parent.clone()),
        _ => None,
    });
    &**relation == "in" && low != high && top.as_ref() == Some(high)
}

/// What a goal comes to.
pub fn came_to(twin: &mut Twin<'_>, of: &WrittenGoal<'_>, env: &Env) -> Result<bool, Lack> {
    match &of.goal.kind {
        Kind::Atom(name, args) => {
            let repeats = |row: &Row| {
                let known = || args.iter().zip(row).filter(|(_, value)| is_known(value));
                known().all(|(arg, value)| known().all(|(other, found)| other != arg || found == value))
            };
            let fits = |row: &Row| {
                args.iter().zip(row).all(|(arg, value)| !is_known(value) || twin.fits(of.body, arg, *value))
            };
            let found = rows(&twin.model, name, &row_of(args, env));
            let certain =
                found.iter().filter(|(row, _)| repeats(row) && fits(row)).map(|(_, is_certain)| *is_certain).max();
            if certain == Some(false) { Err(Lack::Undetermined) } else { Ok(certain.is_some()) }
        }
        Kind::Not(name, args) => twin.holds(name, &row_of(args, env)).map(|holds| !holds),
        Kind::Guard(expr) => twin.condition(expr, env),
        Kind::Bind(name, expr) => twin.value(expr, env).map(|value| env.get(name).is_none_or(|known| *known == value)),
        Kind::Aggregate { result, fold, tuple, body } => {
            let value = twin.aggregate(*fold, tuple, body, env)?;
            Ok(value.is_some_and(|value| env.get(result).is_none_or(|known| *known == value)))
        }
    }
}
