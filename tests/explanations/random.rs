//! Explanations of random rulesets: the checker accepts each and none of its mutants, and what is missing is what is needed.

use rune_core::{
    Engine, ExplainOptions, Explanation, OwnedValue, Why,
    explain::{Atom, Because, Fact},
};

use super::{Tally, checker::Checker, cited, denial, ground, mutants::mutants, questions};
use crate::datalog::{
    agree, build,
    given::Text,
    request,
    twin::Twin,
    worlds::{Ask, World, literal},
};

/// Explains the answers to all requests. An error says what is not as it is said to be.
pub fn explain_all(world: &World, asks: &[Ask], tally: &mut Tally) -> Result<(), String> {
    let Ok(program) = build(&world.to_string()) else {
        tally.refused += 1;
        return Ok(());
    };
    tally.worlds += 1;
    let text = Text::of(world);
    let engine = Engine::new(program);
    let program = engine.lineup().stable().clone();
    let mut lasting = Twin::of(world, &text, &program);
    lasting.derive(&text.rules);
    let (rules, leaves) = (ground::rules(world, &text), ground::leaves(world, &program));
    for ask in asks {
        let mut twin = Twin::of(world, &text, &program);
        twin.asked(ask, world.has_schema);
        twin.model = lasting.model.clone();
        twin.derive(&text.rules);
        agree(&twin.answer(&text), &engine, ask)?;
        let wrong = questions::fault(&twin, &text, &engine, &request(ask), tally);
        if let Some(fault) = wrong.or_else(|| questions::listed(&engine, &ask.user, ask.n, tally)) {
            return Err(format!("when asked {ask}: {fault}"));
        }
        let explanation = engine.explain(&request(ask));
        let leaves = ground::asked(&leaves, world, ask, &program);
        let mut checker = Checker { twin, leaves: &leaves, rules: &rules };
        if let Some(fault) = checker.fault(&explanation) {
            return Err(format!("the checker refuses {fault}\nwhen asked {ask}\nin {explanation}"));
        }
        if let Some(fault) = denial::fault(&mut checker, &explanation) {
            return Err(format!("the clauses come to something else, {fault}\nwhen asked {ask}\nin {explanation}"));
        }
        if let Some(fault) = cited::fault(&mut checker, &explanation, &mut tally.asked) {
            return Err(format!("what is cited is not enough, {fault}\nwhen asked {ask}\nin {explanation}"));
        }
        for (flaw, mutant) in mutants(&explanation) {
            if checker.fault(&mutant).is_none() {
                return Err(format!("the checker accepts {flaw}\nwhen asked {ask}\nin {mutant}\nfor {explanation}"));
            }
            *tally.mutants.entry(flaw).or_default() += 1;
        }
        if let Some(fault) = counted(&explanation, tally) {
            return Err(format!("what is counted is something else, {fault}\nwhen asked {ask}\nin {explanation}"));
        }
        smallest(&mut checker, &engine, ask, &explanation, tally)?;
        tally.count(&explanation);
        for candidate in &explanation.candidates {
            tally.candidates += 1;
            if !candidate.missing.is_empty() {
                with_missing(world, ask, &candidate.missing, tally)
                    .map_err(|fault| format!("{fault}\nwhen asked {ask}\nin {explanation}"))?;
            }
        }
    }
    Ok(())
}

/// The aggregate whose value is not that of the tuples that it is said to be made of.
fn counted(of: &Explanation, tally: &mut Tally) -> Option<String> {
    let derived = of.facts.iter().filter_map(|fact| match &fact.because {
        Because::Rule(instance) => Some(instance),
        _ => None,
    });
    let candidates = of.candidates.iter().map(|candidate| &candidate.instance);
    let clauses = of.determining.iter().chain(derived).chain(candidates).flat_map(|of| &of.clauses);
    for clause in clauses {
        let (Some(counted), Some(value)) = (&clause.counted, &clause.value) else { continue };
        let firsts = || counted.tuples.iter().filter_map(|tuple| tuple.first());
        let longs = || firsts().map(|value| if let OwnedValue::Long(n) = value { *n } else { 0 });
        let (_, fold) = clause.text.split_once('=').expect("an aggregate gives a variable its value");
        let is_it = match (fold.split_whitespace().next().expect("a word"), value) {
            ("count", OwnedValue::Long(n)) => usize::try_from(*n) == Ok(counted.tuples.len() + counted.beyond),
            ("sum", OwnedValue::Long(n)) => longs().sum::<i64>() == *n,
            ("min" | "max", value) => firsts().any(|first| first == value),
            ("collect", OwnedValue::Set(set)) => firsts().all(|first| set.contains(first)),
            (other, _) => panic!("{other} is no aggregate: {}", clause.text),
        };
        tally.counted += 1;
        if !is_it {
            return Some(format!("{} is {value} of {counted:?}", clause.text));
        }
    }
    None
}

/// The smallest proof is one, and is no larger than the others.
fn smallest(
    checker: &mut Checker<'_, '_>,
    engine: &Engine,
    ask: &Ask,
    of: &Explanation,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut smallest = engine.explain_with(&request(ask), ExplainOptions::default().minimal());
    if smallest.decision != of.decision {
        return Err(format!("when asked for the smallest proof it decides {:?}", smallest.decision));
    }
    let Some(minimal) = smallest.minimal else {
        let has_none = matches!(of.decision.why, Why::NotPermitted | Why::Error(_));
        return if has_none { Ok(()) } else { Err(format!("there is no smallest proof\nwhen asked {ask}\nin {of}")) };
    };
    // The others are named alone.
    smallest.determining.truncate(1);
    if let Some(fault) = checker.fault(&smallest) {
        return Err(format!("the checker refuses {fault}\nwhen asked {ask}\nin the smallest {smallest}"));
    }
    let is_leaf =
        |fact: &&Fact| matches!(fact.because, Because::Given(_) | Because::Schema | Because::Live | Because::Request);
    let n_given = |of: &Explanation| of.facts.iter().filter(is_leaf).count();
    let is_counted = minimal.given == n_given(&smallest) && minimal.given + minimal.derived == smallest.facts.len();
    if !is_counted || of.determining.len() == 1 && of.forbids.is_empty() && n_given(of) < minimal.given {
        return Err(format!("the smallest proof is no such\nwhen asked {ask}\nin {smallest}\nfor {of}"));
    }
    tally.smallest += 1;
    tally.proven += usize::from(minimal.is_proven);
    tally.smaller += usize::from(smallest.facts.len() < of.facts.len());
    Ok(())
}

/// Adds the facts that are missing to a world, where the same request must be allowed.
fn with_missing(world: &World, ask: &Ask, missing: &[Atom], tally: &mut Tally) -> Result<(), String> {
    let facts: Vec<String> = missing.iter().map(|atom| format!("{atom}.")).collect();
    let is_live = missing.iter().any(|atom| &*atom.relation == "suspended");
    tally.count_missing(missing);
    let added = if is_live { Vec::new() } else { facts.clone() };
    let clauses = world.clauses.iter().cloned().chain(added).collect();
    let more = World { clauses, ..world.clone() };
    let text = if is_live { format!("{more}\n{}", test(ask, &facts)) } else { more.to_string() };
    let program = build(&text).map_err(|error| format!("with {facts:?} it is refused: {error}"))?;
    if is_live {
        // A test supplies no attributes.
        if !ask.supplied.is_empty() {
            return Ok(());
        }
        return match &program.tests()[0].failure {
            // What has no value may be some policy besides.
            Some(failure) if !failure.starts_with("not the errors expected") => {
                Err(format!("with {facts:?} a test fails: {failure}"))
            }
            _ => Ok(()),
        };
    }
    let decision = Engine::new(program).decide(&request(ask));
    if decision.is_allowed() { Ok(()) } else { Err(format!("with {facts:?} it is {:?}", decision.why)) }
}

/// A test of a request that is allowed with these facts.
fn test(ask: &Ask, facts: &[String]) -> String {
    let parts = format!(
        "principal = '{}', action = 'Action::\"read\"', resource = '{}', context = {{ n = {} }}",
        literal("User", &ask.user),
        literal("Doc", &ask.doc),
        ask.n
    );
    format!("[test.a]\nfacts = '{}'\nrequest = {{ {parts} }}\nexpect = \"allow\"\nwith = \"data\"\n", facts.join(" "))
}
