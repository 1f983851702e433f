//! Explanations with a flaw: none of them is a proof.

use rune_core::{
    EntityRef, OwnedValue,
    explain::{Because, Explanation, Instance, Outcome, Place},
};

/// What is wrong, and the explanation in which it is.
pub type Mutant = (&'static str, Explanation);

/// The explanation with one flaw, for each of its facts and each flaw that it may have.
pub fn mutants(of: &Explanation) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for at in 0..of.facts.len() {
        let mut add = |what, change: &dyn Fn(&mut Explanation) -> bool| {
            let mut mutant = of.clone();
            if change(&mut mutant) {
                mutants.push((what, mutant));
            }
        };
        add("another value", &|of| of.facts[at].atom.row.first_mut().is_some_and(nobody));
        add("another relation", &|of| {
            of.facts[at].atom.relation = "nothing".into();
            true
        });
        add("no reason", &|of| {
            of.facts[at].because = Because::Unshown;
            !of.is_incomplete
        });
        add("another place", &|of| match &mut of.facts[at].because {
            Because::Given(place) => further(place),
            Because::Rule(instance) => further(&mut instance.rule.place),
            _ => false,
        });
        add("given where nothing is", &|of| {
            let place = Place { path: "a.rune".into(), line: 1, column: 1 };
            of.facts[at].because = Because::Given(place);
            true
        });
        add("another rule", &|of| {
            rule(of, at).is_some_and(|instance| {
                instance.rule.id = "nobody".into();
                true
            })
        });
        add("another binding", &|of| rule(of, at).is_some_and(|instance| instance.bindings.values_mut().any(nobody)));
        add("a clause that is false", &|of| {
            rule(of, at).is_some_and(|instance| {
                instance.clauses.last_mut().is_some_and(|clause| {
                    clause.outcome = Outcome::False;
                    true
                })
            })
        });
        add("a circle", &|of| {
            cited(of, at).is_some_and(|cited| {
                *cited = at;
                true
            })
        });
        add("another order", &|of| {
            cited(of, at).copied().is_some_and(|first| {
                of.facts.swap(first, at);
                true
            })
        });
        add("a step less", &|of| match &mut of.facts[at].because {
            Because::Parents { facts } => facts.pop().is_some(),
            _ => false,
        });
        // What is dropped leaves those that follow it without what they follow from.
        add("a fact less", &|of| {
            let is_cited = of.facts.iter().skip(at + 1).any(|fact| fact.because.facts().contains(&at));
            of.facts.truncate(at + 1);
            of.facts.remove(at);
            let reasons = of.determining.iter().flat_map(|instance| &instance.clauses);
            is_cited && reasons.flat_map(|clause| &clause.facts).any(|cited| at <= *cited)
        });
    }
    mutants
}

fn nobody(value: &mut OwnedValue) -> bool {
    *value = OwnedValue::Entity(EntityRef::new("Nobody", "nobody"));
    true
}

fn further(place: &mut Place) -> bool {
    place.column += 1;
    true
}

/// The instance that derives a fact.
fn rule(of: &mut Explanation, at: usize) -> Option<&mut Instance> {
    match &mut of.facts[at].because {
        Because::Rule(instance) => Some(instance),
        _ => None,
    }
}

/// The first fact that a fact is said to follow from.
fn cited(of: &mut Explanation, at: usize) -> Option<&mut usize> {
    match &mut of.facts[at].because {
        Because::Rule(instance) => instance.clauses.iter_mut().find_map(|clause| clause.facts.first_mut()),
        Because::Parents { facts } => facts.first_mut(),
        _ => None,
    }
}
