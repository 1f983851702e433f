//! Calls with too few or too many arguments.
//!
//! Cedar's parser takes them, and such a call fails when it is reached, whatever its arguments are. Its public syntax tree
//! has no place for them. So each is put out for a call that is well-formed and fails too, in Cedar's JSON form.

use cedar_policy::{
    Policy, Template,
    pst::{PstConstructionError, Template as Pst},
};
use serde_json::{Value as Json, json};

use crate::syntax::ast::Method;

/// What a stand-in's argument begins with, so that its failure can be told as what it stands for.
pub(crate) const STAND_IN: &str = "\u{1}";

/// The tree of a policy whose calls are all well-formed, and what was said of the calls that were not.
pub(super) type WellFormed = (Pst, Vec<String>);

/// The tree of a policy.
///
/// # Errors
///
/// If it has a construct that Cedar's public tree has no place for.
pub(super) fn policy(policy: &Policy) -> Result<WellFormed, PstConstructionError> {
    let strict = policy.to_pst().map(|pst| pst.body().clone());
    tree(strict, || {
        let (json, calls) = well_formed(policy.to_json().ok()?);
        let policy = Policy::from_json(Some(policy.id().clone()), json).ok()?;
        Some((policy.to_pst().ok()?.body().clone(), calls))
    })
}

/// The tree of a template, likewise.
///
/// # Errors
///
/// If it has a construct that Cedar's public tree has no place for.
pub(super) fn template(template: &Template) -> Result<WellFormed, PstConstructionError> {
    tree(template.to_pst(), || {
        let (json, calls) = well_formed(template.to_json().ok()?);
        let template = Template::from_json(Some(template.id().clone()), json).ok()?;
        Some((template.to_pst().ok()?, calls))
    })
}

fn tree(
    strict: Result<Pst, PstConstructionError>,
    mended: impl FnOnce() -> Option<WellFormed>,
) -> Result<WellFormed, PstConstructionError> {
    match strict {
        Ok(pst) => Ok((pst, Vec::new())),
        Err(error @ PstConstructionError::WrongArity(_)) => mended().ok_or(error),
        Err(error) => Err(error),
    }
}

fn well_formed(mut json: Json) -> (Json, Vec<String>) {
    let mut calls = Vec::new();
    mend(&mut json, &mut calls);
    (json, calls)
}

// Recurses once per level of the policy, whose height was limited before it was parsed.
fn mend(json: &mut Json, calls: &mut Vec<String>) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(|item| mend(item, calls)),
        // A literal.
        Json::Object(members) if members.len() == 1 && members.contains_key("Value") => {}
        Json::Object(members) => {
            for (name, part) in members.iter_mut() {
                match part {
                    // The members of a record have names of their own, and are expressions.
                    Json::Object(inner) if name == "Record" => inner.values_mut().for_each(|part| mend(part, calls)),
                    part => mend(part, calls),
                }
            }
            let call = match members.iter().next() {
                Some((name, Json::Array(arguments))) if members.len() == 1 => {
                    let arity =
                        Method::ALL.iter().find(|(function, _, arity)| function == name && *arity != arguments.len());
                    arity.map(|(function, _, arity)| {
                        format!("`{function}` with {} arguments, not {arity}", arguments.len())
                    })
                }
                _ => None,
            };
            if let Some(call) = call {
                *json = json!({ "decimal": [{ "Value": format!("{STAND_IN}{call}") }] });
                calls.push(call);
            }
        }
        _ => {}
    }
}
