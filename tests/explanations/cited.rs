//! Whether what a clause cites is enough: over those facts alone, and nothing else, it comes to the same.

use std::{collections::BTreeMap, mem, rc::Rc};

use rune_core::{
    OwnedValue,
    explain::{Because, Clause, Explanation, Fact, Instance, Outcome},
};

use super::{
    checker::Checker,
    written::{clause, env},
};
use crate::datalog::{
    plain::Kind,
    twin::{Model, Twin},
};

/// The clause that holds and that what it cites does not make true, if there is one, of policies and of guards.
pub fn fault(checker: &mut Checker<'_, '_>, of: &Explanation, n_checked: &mut usize) -> Option<String> {
    let derived = of.facts.iter().filter_map(|fact| match &fact.because {
        Because::Rule(instance) => Some(instance),
        _ => None,
    });
    let candidates = of.candidates.iter().map(|candidate| &candidate.instance);
    let mut all = of.determining.iter().chain(derived).chain(candidates);
    all.find_map(|instance| of_instance(checker, instance, &of.facts, n_checked))
}

fn of_instance(
    checker: &mut Checker<'_, '_>,
    instance: &Instance,
    facts: &[Fact],
    n_checked: &mut usize,
) -> Option<String> {
    let Some(written) = checker.rules.get(&*instance.rule.id) else {
        let mut clauses = instance.clauses.iter().filter(|clause| clause.outcome == Outcome::True);
        let mut is_enough = |of: &&Clause| {
            *n_checked += 1;
            over_cited(&mut checker.twin, of, facts, |twin| twin.policy_condition(&clause(&of.text)) == Ok(true))
        };
        return clauses
            .find(|clause| !is_enough(clause))
            .map(|clause| format!("{}: {}", instance.rule.id, clause.text));
    };
    let env = env(&mut checker.twin, instance);
    for of_goal in &written.goals {
        let is_it = |of: &&Clause| of.place == of_goal.place && of.text == of_goal.text && of.outcome == Outcome::True;
        let (Kind::Guard(expr), Some(of)) = (&of_goal.goal.kind, instance.clauses.iter().find(is_it)) else { continue };
        *n_checked += 1;
        if !over_cited(&mut checker.twin, of, facts, |twin| twin.condition(expr, &env) == Ok(true)) {
            return Some(format!("{}: {}", instance.rule.id, of.text));
        }
    }
    None
}

/// What is said of a world that has the facts that a clause cites, and no other.
fn over_cited(twin: &mut Twin<'_>, of: &Clause, facts: &[Fact], says: impl FnOnce(&mut Twin<'_>) -> bool) -> bool {
    let (mut model, mut attributes, mut tags) = (Model::new(), BTreeMap::new(), BTreeMap::new());
    for atom in of.facts.iter().filter_map(|at| facts.get(*at)).map(|fact| &fact.atom) {
        let row: Vec<_> = atom.row.iter().map(|value| twin.constant(&value.to_string())).collect();
        match (&*atom.relation, atom.row.as_slice()) {
            ("getTag", [_, OwnedValue::Text(name), _]) => drop(tags.insert((row[0], name.clone()), row[2])),
            ("in", _) => drop(model.entry("below".to_owned()).or_default().insert(row, true)),
            (name, _) => match name.split_once('.') {
                Some((_, name)) => drop(attributes.insert((row[0], name.to_owned()), row[1])),
                None => drop(model.entry(name.to_owned()).or_default().insert(row, true)),
            },
        }
    }
    let model = mem::replace(&mut twin.model, Rc::new(model));
    let attributes = mem::replace(&mut twin.attributes, attributes);
    let (tags, supplied) = (mem::replace(&mut twin.tags, tags), mem::take(&mut twin.supplied));
    let says = says(twin);
    (twin.model, twin.attributes, twin.tags, twin.supplied) = (model, attributes, tags, supplied);
    says
}
