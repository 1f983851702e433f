//! What an explanation may rest on: the facts that a world and a request give, and where each of them stands.

use std::collections::BTreeMap;

use rune_core::{
    OwnedValue, Program,
    explain::{Atom, Because, Place},
};

use super::written::{Written, WrittenGoal};
use crate::datalog::{
    given::Text,
    plain::{Body, Goal, Rule},
    twin::Twin,
    worlds::{Ask, World},
};

/// What follows from nothing, and why each of that may be.
pub type Leaves = BTreeMap<Atom, Vec<Because>>;
/// Rules by their ids.
pub type Rules<'r> = BTreeMap<String, Written<'r>>;

fn place(line: usize, column: usize) -> Place {
    Place { path: "a.rune".into(), line, column }
}

/// The line that begins like this, from 0.
fn line_of(text: &str, start: &str) -> usize {
    text.lines().position(|line| line.starts_with(start)).expect("the world has such a line")
}

/// The rules of a world.
pub fn rules<'t>(world: &World, text: &'t Text) -> Rules<'t> {
    let (whole, clauses) = (world.to_string(), world.clauses.join("\n"));
    let first = line_of(&whole, "[rules]") + 2;
    let place_of = |at: usize| {
        let before = &clauses[..at];
        place(first + before.matches('\n').count(), at - before.rfind('\n').map_or(0, |end| end + 1) + 1)
    };
    let goal = |body: &'t Body, goal: &'t Goal| WrittenGoal {
        goal,
        body,
        place: place_of(goal.at.start),
        text: clauses[goal.at.clone()].to_owned(),
    };
    let written = |(n, rule): (usize, &'t Rule)| {
        let decides = rule.head.strip_prefix("decision ").map(str::to_owned);
        let goals = rule.body.goals.iter().map(|of| goal(&rule.body, of)).collect();
        (decides.unwrap_or_else(|| format!("a.rune:rule{n}")), Written { rule, place: place_of(rule.at), goals })
    };
    text.rules.iter().filter(|rule| rule.head != "below").enumerate().map(written).collect()
}

/// The facts that the files give.
pub fn leaves(world: &World, program: &Program) -> Leaves {
    let mut leaves = Leaves::new();
    let whole = world.to_string();
    let nothing = World { entities: Vec::new(), clauses: Vec::new(), policies: Vec::new(), ..*world };
    let empty = Text::of(&nothing);
    let first = line_of(&whole, "[entities]") + 2;
    for (at, entity) in world.entities.iter().enumerate() {
        let one = World { entities: vec![entity.clone()], ..nothing.clone() };
        let because = Because::Given(place(first + at, entity.kind.len() + 2));
        add(&mut leaves, &Twin::of(&one, &empty, program), &because);
    }
    let first = line_of(&whole, "[rules]") + 2;
    for (at, clause) in world.clauses.iter().enumerate().filter(|(_, clause)| !clause.contains(":-")) {
        let text = Text::of(&World { clauses: vec![clause.clone()], ..nothing.clone() });
        add(&mut leaves, &Twin::of(&nothing, &text, program), &Because::Given(place(first + at, 1)));
    }
    if world.has_schema {
        let mut twin = Twin::of(&nothing, &empty, program);
        let action = twin.constant("Action::\"read\"");
        twin.know(action);
        add(&mut leaves, &twin, &Because::Schema);
    }
    leaves
}

/// The same with those that a request brings along: whom it names, and what it supplies.
pub fn asked(leaves: &Leaves, world: &World, ask: &Ask, program: &Program) -> Leaves {
    let mut leaves = leaves.clone();
    let nothing = World { entities: Vec::new(), clauses: Vec::new(), policies: Vec::new(), ..*world };
    let empty = Text::of(&nothing);
    let mut twin = Twin::of(&nothing, &empty, program);
    twin.asked(ask, world.has_schema);
    twin.given.remove("request");
    for ((entity, name), value) in twin.supplied.clone() {
        twin.given.entry(format!("User.{name}")).or_default().insert(vec![entity, value], true);
    }
    add(&mut leaves, &twin, &Because::Request);
    leaves
}

fn add(leaves: &mut Leaves, twin: &Twin<'_>, because: &Because) {
    let row = |row: &[_]| row.iter().map(|value| twin.owned(*value)).collect::<Vec<OwnedValue>>();
    for (relation, rows) in &twin.given {
        for of in rows.keys() {
            let atom = Atom { relation: relation.as_str().into(), row: row(of) };
            leaves.entry(atom).or_default().push(because.clone());
        }
    }
    for ((entity, name), value) in &twin.tags {
        let [entity, value] = [*entity, *value].map(|value| twin.owned(value));
        let atom = Atom { relation: "getTag".into(), row: vec![entity, OwnedValue::Text(name.clone()), value] };
        leaves.entry(atom).or_default().push(because.clone());
    }
}
