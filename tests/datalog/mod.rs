//! The engine and its twin over one world: what each derives and decides, and where they differ.

mod cases;
mod draft;
pub mod expressions;
pub mod given;
pub mod mix;
pub mod plain;
pub mod twin;
pub mod worlds;

use std::collections::BTreeSet;

use cases::Case;
use given::Text;
use mix::Mix;
use plain::Kind as Condition;
use rune_core::{
    BuildError, Engine, EntityRef, Options, Program, Request, Severity, Sources, Threads, Why,
    base::{Value, Values},
    syntax::json,
};
use twin::{Relation, Row, Twin};
use worlds::{Ask, Maker, World, table};

/// The rows of a relation in Cedar's notation: those that are certain, and those that are undetermined.
type Shown = [BTreeSet<Vec<String>>; 2];

/// What is said to a request.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Answer {
    pub kind: Kind,
    /// The ids of the policies and rules that determine it.
    pub determining: BTreeSet<String>,
    /// The ids of those without a value.
    pub failed: BTreeSet<String>,
}

/// What settles a decision.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Allowed,
    Forbidden,
    #[default]
    NotPermitted,
    Error,
}

/// Builds the world and compares all that is derived and decided. An error says how the twins differ.
pub fn compare(world: &World, asks: &[Ask], shuffles: &mut Maker, mix: &mut Mix) -> Result<(), String> {
    let program = match build(&world.to_string()) {
        Ok(program) => program,
        Err(BuildError::Refused(report)) => {
            let codes: BTreeSet<String> = report.findings.iter().map(|finding| finding.code.to_string()).collect();
            codes.into_iter().for_each(|code| *mix.refused_for.entry(code).or_default() += 1);
            mix.refused += 1;
            return Ok(());
        }
        Err(error) => return Err(error.to_string()),
    };
    mix.worlds += 1;
    mix.with_schema += usize::from(world.has_schema);
    let text = Text::of(world);
    let mut easy = Text::of(world);
    easy.rules.iter_mut().for_each(|rule| rule.body.goals.retain(|goal| !matches!(goal.kind, Condition::Not(..))));
    let engine = Engine::new(program);
    let program = engine.lineup().stable().clone();
    let mut lasting = Twin::of(world, &text, &program);
    if !lasting.derive(&text.rules) {
        return Err("the twin finds no strata".to_owned());
    }
    agree_on_rows(&lasting, &text, &program, mix)?;
    let (mut expected, mut tests) = (Vec::new(), Vec::new());
    for ask in asks {
        let mut twin = Twin::of(world, &text, &program);
        let mut without = Twin::of(world, &easy, &program);
        twin.asked(ask, world.has_schema);
        without.asked(ask, world.has_schema);
        twin.model = lasting.model.clone();
        if !twin.derive(&text.rules) {
            return Err("the twin finds no strata for a request".to_owned());
        }
        let answer = twin.answer(&text);
        agree(&answer, &engine, ask)?;
        let is_flipped = without.derive(&easy.rules) && without.answer(&easy).kind != answer.kind;
        mix.count(&answer, is_flipped);
        expected.push(answer);
        let mut tested = Twin::of(world, &text, &program);
        tested.tested(&ask.facts);
        tested.asked(&Ask { supplied: Vec::new(), ..ask.clone() }, world.has_schema);
        tested.model = twin.model.clone();
        if !tested.derive(&text.rules) {
            return Err("the twin finds no strata in a test".to_owned());
        }
        tests.extend(Case::of(&mut tested, &text, &program, ask));
    }
    let mut shuffled = world.clone();
    shuffles.shuffle(&mut shuffled.clauses);
    shuffles.shuffle(&mut shuffled.policies);
    let written: Vec<String> =
        tests.iter().enumerate().map(|(at, test)| format!("[test.{at}]\n{}", test.text)).collect();
    let shuffled = format!("{shuffled}\n{}", written.join("\n"));
    let other = build_shuffled(&shuffled)?;
    mix.queries += tests.iter().filter(|test| test.is_query).count();
    mix.open_queries += tests.iter().filter(|test| test.is_open).count();
    for (test, result) in tests.iter().zip(other.tests()) {
        let is_open = result.failure.as_ref().is_some_and(|failure| failure.starts_with("the query is undetermined"));
        if is_open != test.is_open || result.failure.is_some() != test.is_open {
            return Err(format!("a test says {:?}: {}", result.failure, test.text));
        }
    }
    agree_on_rows(&lasting, &text, &other, &mut Mix::default())
        .map_err(|error| format!("{error}\nshuffled: {shuffled}"))?;
    let other = Engine::new(other);
    asks.iter()
        .zip(&expected)
        .try_for_each(|(ask, answer)| agree(answer, &other, ask))
        .map_err(|error| format!("{error}\nshuffled: {shuffled}"))
}

/// Whether the engine has the rows that its twin has, of what depends on no request.
fn agree_on_rows(twin: &Twin<'_>, text: &Text, program: &Program, mix: &mut Mix) -> Result<(), String> {
    for name in text.derived() {
        let Some(found) = relation(program, name) else { continue };
        let expected = show(&twin.values, &twin.model.get(name).cloned().unwrap_or_default());
        if found != expected {
            return Err(format!("{name}: the twin has {expected:?}\n the engine has {found:?}"));
        }
        mix.doubts += usize::from(!found[1].is_empty());
        mix.relations += 1;
    }
    Ok(())
}

/// Whether the engine says to a request what its twin says.
pub fn agree(expected: &Answer, engine: &Engine, ask: &Ask) -> Result<(), String> {
    let found = answer(engine, ask)?;
    if found == *expected {
        return Ok(());
    }
    Err(format!("the twin says {expected:?}\n the engine says {found:?}\nwhen asked {ask}"))
}

/// Takes parts out of the world for as long as the twins differ over what is left.
pub fn shrink(world: World, asks: &[Ask], mut what: String) -> (World, String) {
    let mut world = world;
    // A world that lost what another part needs is no smaller example.
    let is_refused = what.starts_with("shuffled, it is refused");
    let differs = |difference: &String| is_refused || !difference.starts_with("shuffled, it is refused");
    let fails = |world: &World| compare(world, asks, &mut Maker::new(0), &mut Mix::default()).err().filter(differs);
    let mut n_before = usize::MAX;
    while world.clauses.len() + world.policies.len() < n_before {
        n_before = world.clauses.len() + world.policies.len();
        for at in (0..world.clauses.len()).rev() {
            let mut less = world.clone();
            less.clauses.remove(at);
            if let Some(difference) = fails(&less) {
                (world, what) = (less, difference);
                continue;
            }
            for shorter in with_fewer_conditions(&world.clauses[at]) {
                let mut less = world.clone();
                less.clauses[at] = shorter;
                if let Some(difference) = fails(&less) {
                    (world, what) = (less, difference);
                    break;
                }
            }
        }
        for at in (0..world.policies.len()).rev() {
            let mut less = world.clone();
            less.policies.remove(at);
            if let Some(difference) = fails(&less) {
                (world, what) = (less, difference);
            }
        }
        for at in (0..world.entities.len()).rev() {
            let mut less = world.clone();
            less.entities.remove(at);
            if let Some(difference) = fails(&less) {
                (world, what) = (less, difference);
            }
        }
    }
    (world, what)
}

/// A rule without one of its conditions, for each.
fn with_fewer_conditions(clause: &str) -> Vec<String> {
    let Some((head, body)) = clause.trim_end_matches('.').split_once(" :- ") else { return Vec::new() };
    let (mut conditions, mut depth) = (vec![String::new()], 0);
    for part in body.split(", ") {
        match conditions.last_mut() {
            Some(last) if 0 < depth => *last += &format!(", {part}"),
            _ => conditions.push(part.to_owned()),
        }
        depth += part.matches(['(', '[', '{']).count();
        depth -= part.matches([')', ']', '}']).count();
    }
    conditions.remove(0);
    let without = |at: usize| [&conditions[..at], &conditions[at + 1..]].concat().join(", ");
    (0..conditions.len()).filter(|_| 1 < conditions.len()).map(|at| format!("{head} :- {}.", without(at))).collect()
}

pub fn build(text: &str) -> Result<Program, BuildError> {
    build_on(Threads::ONE, text)
}

/// Builds what is derived by several threads, however little it is.
fn build_shuffled(text: &str) -> Result<Program, String> {
    build_on(Threads::new(3).eager(), text).map_err(|error| format!("shuffled, it is refused: {error}\n{text}"))
}

fn build_on(threads: Threads, text: &str) -> Result<Program, BuildError> {
    let (invalid_policy, failing_test) = (Severity::Warning, Severity::Warning);
    let options = Options { invalid_policy, failing_test, threads, ..Options::default() };
    Program::build(Sources::single("a.rune", text), options)
}

/// What the engine derived for a relation; none if its rows depend on the request.
fn relation(program: &Program, name: &str) -> Option<Shown> {
    let id = program.rules().relation(name)?;
    if program.rules().request_relations().any(|of| of == id) {
        return None;
    }
    let relation = program.facts().facts().relations.get(id)?;
    let doubts = relation.doubts.iter().map(|(row, _)| (row.to_vec(), false));
    let rows = program.terms().rows(id).expect("not too many");
    let all: Relation = doubts.chain(rows.into_iter().map(|row| (row, true))).collect();
    Some(show(&**program.facts().values(), &all))
}

/// The rows as text. An undetermined row that another one covers says nothing.
fn show(values: &impl Values, relation: &Relation) -> Shown {
    let text = |row: &&Row| {
        let cell = |value: &Value| if *value == Value::UNKNOWN { "?".to_owned() } else { values.show(*value) };
        row.iter().map(cell).collect::<Vec<_>>()
    };
    let (certain, doubts): (Vec<&Row>, Vec<&Row>) = relation.keys().partition(|row| relation[*row]);
    let covers =
        |by: &Row, row: &Row| by != row && by.iter().zip(row).all(|(by, of)| by == of || *by == Value::UNKNOWN);
    let bare = doubts.iter().filter(|row| !doubts.iter().any(|by| covers(by, row)));
    [certain.iter().map(text).collect(), bare.map(text).collect()]
}

/// The rows that the engine has of a relation, certain and undetermined, as text.
pub fn rows(world: &World, name: &str) -> [String; 2] {
    let program = build(&world.to_string()).expect("a program");
    let shown = relation(&program, name).expect("a relation that depends on no request");
    shown.map(|rows| rows.iter().map(|row| row.join(", ")).collect::<Vec<_>>().join("; "))
}

/// What the engine says to a request.
pub fn ask_engine(world: &World, ask: &Ask) -> Kind {
    answer(&Engine::new(build(&world.to_string()).expect("a program")), ask).expect("an answer").kind
}

pub fn request(ask: &Ask) -> Request {
    let (user, doc) = (EntityRef::new("User", &ask.user), EntityRef::new("Doc", &ask.doc));
    let request = Request::new(user, EntityRef::new("Action", "read"), doc);
    let supplied = json::parse(&table(&ask.supplied, ": ")).expect("JSON");
    let request = if ask.supplied.is_empty() { request } else { request.with_principal_attributes(supplied) };
    request.with_context_json(&format!("{{\"n\": {}}}", ask.n)).expect("a context")
}

/// What the engine says, the same from `decide` and from `explain`.
fn answer(engine: &Engine, ask: &Ask) -> Result<Answer, String> {
    let (decision, explanation) = (engine.decide(&request(ask)), engine.explain(&request(ask)));
    let determining: BTreeSet<String> = explanation.determining.iter().map(|of| of.rule.id.to_string()).collect();
    let (kind, agrees) = match &decision.why {
        Why::AllowedBy(id) => (Kind::Allowed, determining.contains(&**id)),
        Why::ForbiddenBy(id) => (Kind::Forbidden, determining.contains(&**id)),
        Why::NotPermitted => (Kind::NotPermitted, determining.is_empty()),
        Why::Error(_) => (Kind::Error, true),
    };
    if !agrees || decision != explanation.decision {
        return Err(format!("the engine decides {decision:?} and explains {explanation:?}"));
    }
    let failed = explanation.failed.iter().map(|failed| failed.instance.rule.id.to_string()).collect();
    Ok(Answer { kind, determining, failed })
}
