//! Explanations of Cedar's policies: Cedar itself says of every clause and every fact what it comes to.

use cedar_policy::{AuthorizationError, Authorizer, PolicyId, PolicySet};
use rune_core::{
    EntityRef, File, OwnedValue,
    explain::{Atom, Because, Clause, Explanation, Fact, Outcome},
};
use serde_json::{Value as Json, json};

use super::{Tally, written::is_way};
use crate::twin::{
    Cedar, build_rune, build_with, request,
    worlds::{Ask, World},
};

/// Explains the answers to all requests. An error says what is not as it is said to be.
pub fn explain_all(world: &World, asks: &[Ask], tally: &mut Tally) -> Result<(), String> {
    let Ok(cedar) = Cedar::build(world) else {
        tally.refused += 1;
        return Ok(());
    };
    tally.worlds += 1;
    let engine = build_rune(world)?;
    for ask in asks {
        let explanation = engine.explain(&request(ask)?);
        fault(world, &cedar, ask, &explanation, tally)
            .and_then(|()| with_missing(world, ask, &explanation, tally))
            .map_err(|fault| format!("{fault}\nwhen asked {ask}\nin {explanation}\nof {world}"))?;
        tally.count(&explanation);
    }
    Ok(())
}

fn fault(world: &World, cedar: &Cedar, ask: &Ask, of: &Explanation, tally: &mut Tally) -> Result<(), String> {
    let mut claims: Vec<(String, Option<bool>)> = Vec::new();
    let failed = of.failed.iter().map(|failed| &failed.instance);
    let candidates = of.candidates.iter().map(|candidate| &candidate.instance);
    for instance in of.determining.iter().chain(failed).chain(candidates).chain(&of.forbids) {
        let mut pending: Vec<&Clause> = instance.clauses.iter().collect();
        while let Some(clause) = pending.pop() {
            pending.extend(&clause.operands);
            claims.extend(claim(clause));
        }
    }
    if of.determining.iter().flat_map(|instance| &instance.clauses).any(|clause| clause.outcome != Outcome::True) {
        return Err("a clause of what determines it does not hold".to_owned());
    }
    for (at, fact) in of.facts.iter().enumerate() {
        if !is_grounded(world, fact, &of.facts[..at]) {
            return Err(format!("{} does not follow", fact.atom));
        }
        claims.push((statement(&fact.atom), Some(true)));
    }
    // What is too long to be shown whole cannot be read again.
    claims.retain(|(text, _)| !text.contains('…'));
    tally.asked += claims.len();
    let found = come_to(cedar, ask, claims.iter().map(|(text, _)| text.as_str()))?;
    match claims.iter().zip(found).find(|((_, claimed), found)| claimed != found) {
        Some(((text, claimed), found)) => Err(format!("{text} comes to {claimed:?}, and in Cedar to {found:?}")),
        None => Ok(()),
    }
}

/// What each of these conditions comes to for a request; none where it fails.
fn come_to<'c>(
    cedar: &Cedar,
    ask: &Ask,
    conditions: impl Iterator<Item = &'c str>,
) -> Result<Vec<Option<bool>>, String> {
    let policy = |condition| format!("permit (principal, action, resource) when {{ {condition} }};\n");
    let text: String = conditions.map(policy).collect();
    let policies: PolicySet = text.parse().map_err(|error| format!("{error}: {text}"))?;
    let request = cedar.request(ask).map_err(|error| error.to_string())?;
    let response = Authorizer::new().is_authorized(&request, &policies, &cedar.entities);
    let mut found = vec![Some(false); policies.policies().count()];
    let at = |id: &PolicyId| AsRef::<str>::as_ref(id).trim_start_matches("policy").parse::<usize>();
    for id in response.diagnostics().reason() {
        found[at(id).expect("a number")] = Some(true);
    }
    for AuthorizationError::PolicyEvaluationError(error) in response.diagnostics().errors() {
        found[at(error.policy_id()).expect("a number")] = None;
    }
    Ok(found)
}

/// What a clause is said to come to; none is an error.
fn claim(of: &Clause) -> Option<(String, Option<bool>)> {
    let text = of.text.strip_prefix("not ").map_or_else(|| of.text.clone(), |denied| format!("!({denied})"));
    match of.outcome {
        Outcome::True => Some((text, Some(true))),
        Outcome::False => Some((text, Some(false))),
        Outcome::Error { .. } => Some((text, None)),
        Outcome::Unreached => None,
    }
}

/// A fact as a condition.
fn statement(Atom { relation, row }: &Atom) -> String {
    let name = || relation.split_once('.').map(|(_, name)| OwnedValue::Text(name.to_owned()));
    match (&**relation, row.as_slice()) {
        ("parent" | "in", [low, high]) => format!("{low} in {high}"),
        ("getTag", [entity, name, value]) => format!("{entity}.getTag({name}) == {value}"),
        (_, [entity, value]) => format!("{entity}[{}] == {value}", name().expect("an attribute")),
        _ => panic!("Cedar has no {relation}"),
    }
}

/// Whether a fact stands where it says, or follows from facts before it.
fn is_grounded(world: &World, Fact { atom, because }: &Fact, before: &[Fact]) -> bool {
    let [OwnedValue::Entity(owner), ..] = atom.row.as_slice() else { return false };
    match because {
        Because::Given(place) if &*place.path == "e.entities.json" => {
            let entity = world.entities.get(place.line - 2).filter(|entity| uid(&entity["uid"]) == *owner);
            entity.is_some_and(|entity| match (&*atom.relation, atom.row.as_slice()) {
                ("parent", [_, OwnedValue::Entity(parent)]) => {
                    entity["parents"].as_array().is_some_and(|all| all.iter().any(|of| uid(of) == *parent))
                }
                ("getTag", [_, OwnedValue::Text(name), _]) => entity["tags"].get(name).is_some(),
                (name, _) => name.split_once('.').is_some_and(|(_, name)| entity["attrs"].get(name).is_some()),
            })
        }
        Because::Live => false,
        Because::Schema => world.has_schema && owner.kind.ends_with("Action") && &*atom.relation == "parent",
        Because::Parents { facts } => is_way(atom, facts.iter().map(|at| before.get(*at))),
        _ => false,
    }
}

fn uid(json: &Json) -> EntityRef {
    let of = json.get("__entity").unwrap_or(json);
    EntityRef::new(of["type"].as_str().expect("a type"), of["id"].as_str().expect("an id"))
}

/// Adds the parents that are missing to a world, where the same request must be allowed by both.
fn with_missing(world: &World, ask: &Ask, of: &Explanation, tally: &mut Tally) -> Result<(), String> {
    tally.candidates += of.candidates.len();
    for missing in of.candidates.iter().map(|candidate| &candidate.missing).filter(|missing| !missing.is_empty()) {
        tally.count_missing(missing);
        let rows: String = missing.iter().map(|atom| format!("{atom}.\n")).collect();
        let file = File::new("m.rune", format!("version = \"rune/1.0\"\n[rules]\n{rows}").into_bytes());
        let why =
            build_with(world, vec![file]).map_err(|error| format!("with {rows}{error}"))?.decide(&request(ask)?).why;
        if !why.is_allowed() {
            return Err(format!("with {rows}it is {why:?}"));
        }
        // Under a schema Cedar does not take parents of an entity without its attributes.
        if let Some(more) = with_parents(world, missing) {
            let answer = Cedar::build(&more).and_then(|cedar| cedar.answer(ask)).map_err(|error| error.to_string())?;
            if !answer.allows {
                return Err(format!("with {rows}Cedar says {answer:?}"));
            }
        }
    }
    Ok(())
}

fn with_parents(world: &World, missing: &[Atom]) -> Option<World> {
    let mut more = world.clone();
    for Atom { row, .. } in missing {
        let [OwnedValue::Entity(child), OwnedValue::Entity(parent)] = row.as_slice() else { return None };
        let [child_uid, parent] = [child, parent].map(|of| json!({ "type": &*of.kind, "id": &*of.id }));
        let mut stored = more.entities.iter_mut().filter(|of| uid(&of["uid"]) == *child).peekable();
        if stored.peek().is_none() && !world.has_schema {
            more.entities.push(json!({ "uid": child_uid, "attrs": {}, "parents": [parent] }));
        } else {
            stored.peek()?;
            stored.for_each(|entity| entity["parents"].as_array_mut().expect("parents").push(parent.clone()));
        }
    }
    Some(more)
}
