//! Explanations of the rulesets in `examples/policies`: whoever they know asks to do everything to everything.

use std::{collections::BTreeSet, sync::Arc};

use rune_core::{
    Engine, EntityRef, File, Options, OwnedValue, Program, Request, Severity, Sources, Why,
    explain::{Atom, Because, Explanation, Fact, Instance, Outcome, Place},
    reload::driver,
};

use super::{Tally, written::is_way};

/// A ruleset, the actions of its schema, and circumstances in JSON and in TOML.
pub struct Ruleset {
    pub name: &'static str,
    pub actions: &'static [&'static str],
    pub contexts: &'static [[&'static str; 2]],
}

/// The relations whose rows come through the API alone.
const LIVE: [&str; 4] = ["suspended", "charged", "approved", "stopped"];

/// Explains every request. An error says what is not as it is said to be.
pub fn explain_all(ruleset: &Ruleset, tally: &mut Tally) -> Result<(), String> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies").join(ruleset.name);
    let sources: Arc<Sources> = driver::read(&dir).map_err(|error| error.to_string())?;
    let engine = Engine::new(build(sources.clone())?);
    let all = named(&sources);
    tally.worlds += 1;
    for (principal, action, resource, context) in ruleset.requests(&all) {
        let request = Request::new(principal.clone(), action.clone(), resource.clone());
        let request = request.with_context_json(context[0]).map_err(|error| error.to_string())?;
        let (decision, explanation) = (engine.decide(&request), engine.explain(&request));
        // What does not fit the schema has nothing to be explained.
        if matches!(decision.why, Why::Error(_)) && explanation.failed.is_empty() {
            continue;
        }
        let told = |fault: String| {
            format!(
                "{}: {fault}\nwhen asked {principal} {action} {resource} {}\nin {explanation}",
                ruleset.name, context[0]
            )
        };
        if decision != explanation.decision {
            return Err(told(format!("it is decided: {decision:?}")));
        }
        fault(&sources, &explanation).map_or(Ok(()), |fault| Err(told(fault)))?;
        tally.count(&explanation);
        tally.candidates += explanation.candidates.len();
        let parts = format!(
            "principal = '{principal}', action = '{action}', resource = '{resource}', context = {}",
            context[1]
        );
        for missing in explanation.candidates.iter().map(|of| &of.missing).filter(|missing| !missing.is_empty()) {
            tally.count_missing(missing);
            with_missing(&sources, &request, &parts, missing).map_err(told)?;
        }
    }
    Ok(())
}

impl Ruleset {
    fn requests<'e>(
        &self,
        all: &'e BTreeSet<EntityRef>,
    ) -> impl Iterator<Item = (&'e EntityRef, EntityRef, &'e EntityRef, &[&'static str; 2])> {
        let pairs = all.iter().flat_map(|principal| all.iter().map(move |resource| (principal, resource)));
        pairs.flat_map(move |(principal, resource)| {
            self.actions.iter().flat_map(move |action| {
                let asked = move |context| (principal, EntityRef::new("Action", *action), resource, context);
                self.contexts.iter().map(asked)
            })
        })
    }
}

fn build(sources: impl Into<Arc<Sources>>) -> Result<Program, String> {
    let options = Options { failing_test: Severity::Warning, ..Options::default() };
    Program::build(sources, options).map_err(|error| error.to_string())
}

/// The entities that files name: `User.ada = …`, `User::"ada"`, `{ "type": "User", "id": "ada" }`, and one that none does.
fn named(sources: &Sources) -> BTreeSet<EntityRef> {
    let mut all = BTreeSet::new();
    for (_, file) in sources.files().filter(|(_, file)| !file.path.contains("test")) {
        let pieces: Vec<&str> = file.text().split("::\"").collect();
        for pair in pieces.windows(2) {
            let kind = pair[0].rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
            all.extend(pair[1].split_once('"').map(|(id, _)| EntityRef::new(kind, id)));
        }
        for line in file.text().lines() {
            let entry = line.split_once(" = {").and_then(|(key, _)| key.split_once('.'));
            all.extend(entry.map(|(kind, id)| EntityRef::new(kind, id.trim_matches('"'))));
            let json =
                line.split_once("\"uid\": { \"type\": \"").and_then(|(_, rest)| rest.split_once("\", \"id\": \""));
            all.extend(json.map(|(kind, id)| EntityRef::new(kind, id.split('"').next().unwrap_or_default())));
        }
    }
    all.retain(|of| of.kind.starts_with(char::is_alphabetic) && &*of.kind != "Action");
    let kinds: BTreeSet<_> = all.iter().map(|of| of.kind.clone()).collect();
    all.extend(kinds.iter().map(|kind| EntityRef::new(&**kind, "new")));
    all
}

/// The fact that does not follow or the reason that does not hold, as far as the files say so.
fn fault(sources: &Sources, of: &Explanation) -> Option<String> {
    let unfounded = of.facts.iter().enumerate().find(|(at, fact)| !follows(sources, fact, &of.facts[..*at]));
    let wrong = unfounded.map(|(at, fact)| format!("{at}: {} does not follow", fact.atom));
    let mut reasons = of.determining.iter();
    wrong.or_else(|| Some(format!("{} does not hold", reasons.find(|of| !holds(sources, of))?.rule.id)))
}

fn follows(sources: &Sources, Fact { atom, because }: &Fact, before: &[Fact]) -> bool {
    let is_earlier = because.facts().iter().all(|at| *at < before.len());
    is_earlier
        && match because {
            Because::Given(place) => {
                // An entity in JSON ends where the next begins, anything else with its line.
                let end = if place.path.ends_with(".json") { "\"uid\"" } else { "\n" };
                let text = text_at(sources, place).and_then(|text| text.split(end).next()).unwrap_or_default();
                atom.row.iter().all(|value| shows(text, value))
            }
            Because::Parents { facts } => is_way(atom, facts.iter().map(|at| before.get(*at))),
            Because::Rule(instance) => {
                let head = text_at(sources, &instance.rule.place).and_then(|text| text.split_once(":-"));
                holds(sources, instance) && head.is_some_and(|(head, _)| head.contains(&*atom.relation))
            }
            Because::Request => true,
            Because::Live => false,
            Because::Schema => matches!(&*atom.row, [OwnedValue::Entity(of), ..] if &*of.kind == "Action"),
            Because::Unshown => false,
        }
}

fn holds(sources: &Sources, instance: &Instance) -> bool {
    let is_rule = instance.rule.effect.is_none();
    let stands = |place, text: &str| text_at(sources, place).is_some_and(|at| at.starts_with(text));
    instance.clauses.iter().all(|of| of.outcome == Outcome::True && (!is_rule || stands(&of.place, &of.text)))
}

fn text_at<'s>(sources: &'s Sources, place: &Place) -> Option<&'s str> {
    let text = sources.find(&place.path)?.text();
    let start: usize = text.split_inclusive('\n').take(place.line - 1).map(str::len).sum();
    text[start..].get(place.column - 1..)
}

/// Whether a text has what stands for a value.
fn shows(text: &str, value: &OwnedValue) -> bool {
    match value {
        OwnedValue::Entity(entity) => text.contains(&*entity.id),
        OwnedValue::Text(shown) | OwnedValue::Call(shown) => text.contains(shown.as_str()),
        OwnedValue::Set(elements) => elements.iter().all(|element| shows(text, element)),
        other => text.contains(&other.to_string()),
    }
}

/// Adds the facts that are missing to the files, or those that files cannot give to a test, and asks again.
fn with_missing(sources: &Sources, request: &Request, parts: &str, missing: &[Atom]) -> Result<(), String> {
    let facts = missing.iter().map(|atom| format!("{atom}.")).collect::<Vec<_>>().join("\n");
    let is_live = missing.iter().any(|atom| LIVE.contains(&&*atom.relation));
    let more = if is_live {
        format!("[test.missing]\nfacts = '{facts}'\nrequest = {{ {parts} }}\nexpect = \"allow\"\nwith = \"data\"\n")
    } else {
        format!("[rules]\n{facts}\n")
    };
    let more = File::new("missing.rune", format!("version = \"rune/1.0\"\n{more}").into_bytes());
    let files = sources.files().map(|(_, file)| file.clone()).chain([more]).collect();
    let program = build(Sources::new(files)).map_err(|error| format!("with {facts}: {error}"))?;
    let failure = program.tests().iter().find(|test| is_live && &*test.name == "missing").map(|test| &test.failure);
    match failure {
        Some(None) => Ok(()),
        Some(Some(failure)) => Err(format!("with {facts}: {failure}")),
        None => {
            let why = Engine::new(program).decide(request).why;
            if why.is_allowed() { Ok(()) } else { Err(format!("with {facts}: {why:?}")) }
        }
    }
}
