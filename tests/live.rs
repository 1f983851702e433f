//! Live facts against files: whatever batches have come and gone, every answer is the one of a ruleset whose files say the same.
//!
//! `RUNE_STEPS` says how many batches there are in all, `RUNE_SEED` with which seed they begin.

#![expect(clippy::disallowed_methods, reason = "tests read the environment, and wait for other threads")]
#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a panic is how a test reports")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rune_core::{
    ApplyError, Batch, Engine, EntityRef, List, Node, Options, Program, Request, Sources,
    explain::{Because, Fact},
};

mod seeds;
#[path = "live/edits.rs"]
mod edits;
#[path = "live/rulesets.rs"]
mod rulesets;

use rulesets::{RULESETS, Ruleset};

/// Some seconds of an optimized build.
const STEPS: u64 = 1_500;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        (seeds::next(&mut self.0) % n as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const N_IDS: usize = 5;

fn cell(kind: char, random: &mut Random) -> String {
    match kind {
        'n' => random.below(5).to_string(),
        's' => format!("\"s{}\"", random.below(N_IDS)),
        kind => format!("\"{kind}{}\"", random.below(N_IDS)),
    }
}

/// What is live, as a test knows it: rows by relation, entities by type and id, each as text.
#[derive(Clone, Default)]
struct World {
    rows: BTreeMap<String, BTreeSet<Vec<String>>>,
    users: BTreeMap<String, (usize, Option<usize>, Vec<usize>)>,
    groups: BTreeMap<usize, Vec<usize>>,
}

impl World {
    fn source(&self, ruleset: &Ruleset, text: &str, is_live: bool) -> String {
        let text = [ruleset.schema, text].concat();
        let text = if is_live { text } else { text.replace("@live ", "") };
        let mut source = format!("version = \"rune/1.0\"\n{text}\n");
        if is_live {
            return source;
        }
        source.push_str("[data]\n");
        for (relation, rows) in &self.rows {
            let rows: Vec<String> = rows.iter().map(|row| format!("[{}]", row.join(", "))).collect();
            writeln!(source, "{relation} = [{}]", rows.join(", ")).expect("text");
        }
        source.push_str("[entities]\n");
        let groups = |of: &[usize]| of.iter().map(|g| format!("'Group::\"g{g}\"'")).collect::<Vec<_>>().join(", ");
        for (group, parents) in &self.groups {
            writeln!(source, "Group.g{group} = {{ in = [{}] }}", groups(parents)).expect("text");
        }
        for (user, (level, boss, parents)) in &self.users {
            let boss = boss.map_or(String::new(), |boss| format!("boss = 'User::\"u{boss}\"', "));
            writeln!(source, "User.{user} = {{ level = {level}, {boss}in = [{}] }}", groups(parents)).expect("text");
        }
        source
    }

    /// A batch of random changes, which are made here too.
    fn batch(&mut self, ruleset: &Ruleset, random: &mut Random) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..1 + random.below(4) {
            if ruleset.has_entities && random.chance(60) {
                batch = self.entity(batch, random);
                continue;
            }
            if ruleset.relations.is_empty() {
                continue;
            }
            let (relation, columns, is_function) = ruleset.relations[random.below(ruleset.relations.len())];
            let rows = self.rows.entry(relation.to_owned()).or_default();
            let old = rows.iter().nth(random.below(rows.len().max(1))).cloned();
            let row = match old.filter(|_| random.chance(45)) {
                Some(row) => row,
                None => columns.chars().map(|kind| cell(kind, random)).collect(),
            };
            let nodes = row.iter().map(|cell| cell.parse::<Node>().expect("JSON"));
            if random.chance(40) {
                rows.remove(&row);
                batch = batch.delete(relation, nodes);
            } else {
                if is_function {
                    rows.retain(|other| other[0] != row[0]);
                }
                rows.insert(row.clone());
                batch = batch.insert(relation, nodes);
            }
        }
        batch
    }

    /// A batch that takes all away.
    fn end(&self) -> Batch {
        let users = self.users.keys().map(|id| EntityRef::new("User", id));
        let groups = self.groups.keys().map(|n| EntityRef::new("Group", format!("g{n}")));
        let batch = users.chain(groups).fold(Batch::default(), Batch::remove);
        let rows = self.rows.iter().flat_map(|(relation, rows)| rows.iter().map(move |row| (relation, row)));
        rows.fold(batch, |batch, (relation, row)| {
            batch.delete(relation, row.iter().map(|cell| cell.parse::<Node>().expect("JSON")))
        })
    }

    fn entity(&mut self, batch: Batch, random: &mut Random) -> Batch {
        let n = random.below(N_IDS);
        let is_user = random.chance(65);
        let (kind, id) = if is_user { ("User", format!("u{n}")) } else { ("Group", format!("g{n}")) };
        if random.chance(25) {
            self.users.remove(&id);
            if !is_user {
                self.groups.remove(&n);
            }
            return batch.remove(EntityRef::new(kind, id));
        }
        // Groups are below larger ones, so that none is in itself.
        let first = if is_user { 0 } else { n + 1 };
        let parents: Vec<usize> = (first..N_IDS).filter(|_| random.chance(30)).collect();
        let above: Vec<String> = parents.iter().map(|g| format!(r#"{{"type":"Group","id":"g{g}"}}"#)).collect();
        let mut attributes = String::new();
        if is_user {
            let (level, boss) = (random.below(6), random.chance(50).then(|| random.below(N_IDS)));
            write!(attributes, r#""level": {level}"#).expect("text");
            if let Some(boss) = boss {
                write!(attributes, r#", "boss": {{"__entity": {{"type":"User","id":"u{boss}"}}}}"#).expect("text");
            }
            self.users.insert(id.clone(), (level, boss, parents));
        } else {
            self.groups.insert(n, parents);
        }
        let text = format!(
            r#"{{ "uid": {{"type":"{kind}","id":"{id}"}}, "attrs": {{{attributes}}}, "parents": [{}] }}"#,
            above.join(", ")
        );
        batch.put(text.parse().expect("JSON"))
    }
}

fn program(source: &str) -> Program {
    Program::build(Sources::single("a.rune", source), Options::default())
        .unwrap_or_else(|error| panic!("{error}\n{source}"))
}

fn requests() -> Vec<Request> {
    let mut all = Vec::new();
    for user in 0..N_IDS + 1 {
        for document in 0..3 {
            for action in ["read", "write"] {
                let request = Request::new(
                    EntityRef::new("User", format!("u{user}")),
                    EntityRef::new("Action", action),
                    EntityRef::new("Document", format!("d{document}")),
                );
                all.push(if document == 0 { request } else { request.with("hour", 2) });
            }
        }
    }
    all
}

/// Every answer of one engine is the other's.
fn check(live: &Engine, files: &Engine, ruleset: &Ruleset, context: &str) {
    for request in requests() {
        let (one, other) = (live.decide(&request), files.decide(&request));
        assert_eq!(one.why, other.why, "{context}: {request:?}");
    }
    for query in ruleset.queries.iter().chain(&edits::QUERIES) {
        let [one, other] = [live, files].map(|engine| engine.query(query, None).map_err(|error| error.to_string()));
        let [one, other] = [one, other].map(|rows| rows.map(|rows| (rows.rows, rows.undetermined.is_some())));
        assert_eq!(one, other, "{context}: {query}");
    }
}

/// Why one engine answers so is why the other does: each fact that both name is there for the same kind of reason, and none for
/// want of one.
fn explain(live: &Engine, files: &Engine, ruleset: &Ruleset, context: &str) {
    for request in requests().iter().step_by(5) {
        let [one, other] = [live, files].map(|engine| engine.explain(request));
        assert_eq!(one.decision.why, other.decision.why, "{context}: {request:?}");
        same_reasons(&one.facts, &other.facts, &format!("{context}: {request:?}"));
    }
    for query in ruleset.queries {
        let [one, other] = [live, files].map(|engine| engine.prove(query, None));
        match (one, other) {
            (Ok(one), Ok(other)) => {
                assert_eq!((one.holds, one.is_incomplete), (other.holds, other.is_incomplete), "{context}: {query}");
                same_reasons(&one.facts, &other.facts, &format!("{context}: {query}"));
            }
            (one, other) => assert_eq!(one.is_err(), other.is_err(), "{context}: {query}"),
        }
    }
}

fn same_reasons(live: &[Fact], files: &[Fact], context: &str) {
    let reason = |fact: &Fact| match fact.because {
        Because::Given(_) | Because::Live => "given",
        Because::Parents { .. } => "parents",
        Because::Rule(_) => "a rule",
        Because::Request => "the request",
        Because::Schema => "the schema",
        _ => panic!("{context}: {} is there for no reason", fact.atom),
    };
    let files: BTreeMap<_, _> = files.iter().map(|fact| (&fact.atom, reason(fact))).collect();
    for fact in live {
        let (found, wanted) = (reason(fact), files.get(&fact.atom));
        assert!(wanted.is_none_or(|wanted| *wanted == found), "{context}: {} is {found}, not {wanted:?}", fact.atom);
    }
}

/// Serves another version, or the same one again, and says which; one that is refused changes nothing.
fn reload(live: &Engine, (known, ruleset, text): (&World, &Ruleset, String), random: &mut Random) -> String {
    let next = if random.chance(25) { text.clone() } else { edits::edited(ruleset, |n| random.below(n)) };
    let sources = Sources::single("a.rune", &known.source(ruleset, &next, true));
    let built = match random.below(4) {
        // With ids of its own: what is live is carried over.
        0 => Program::build(sources, Options::default()),
        _ => live.lineup().stable().build_next(sources, Options::default()),
    };
    match built {
        Ok(program) => {
            live.swap(program).map(drop).expect("it has a place for all");
            next
        }
        Err(_) => text,
    }
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn whatever_came_and_went_answers_are_those_of_files_that_say_the_same() {
    let (steps, seed) = (from_env("RUNE_STEPS", STEPS), from_env("RUNE_SEED", 1));
    let per_world = 40;
    for world in 0..steps.div_ceil(per_world) {
        let ruleset = &RULESETS[usize::try_from((seed + world) % RULESETS.len() as u64).expect("small")];
        let mut random = Random(seed + world);
        let mut known = World::default();
        let mut text = ruleset.text.to_owned();
        let live = Engine::new(program(&known.source(ruleset, &text, true)));
        let mut tokens = Vec::new();
        for step in 0..per_world {
            let context = format!("seed {}, {}, step {step}", seed + world, ruleset.name);
            let batch = known.batch(ruleset, &mut random);
            let token = live.facts().apply(&batch).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(live.facts().is_counted(), "{context}: values are not held as often as they are named");
            if step % 4 == 3 || step == per_world - 1 {
                let files = Engine::new(program(&known.source(ruleset, &text, false)));
                check(&live, &files, ruleset, &context);
                explain(&live, &files, ruleset, &context);
                let answers: Vec<_> = requests().iter().map(|request| live.decide(request).why).collect();
                tokens.push((token, answers));
            }
            if random.chance(8) {
                text = reload(&live, (&known, ruleset, text), &mut random);
                tokens.clear();
                assert!(live.facts().is_counted(), "{context}: values are not held as they are named by\n{text}");
                let files = Engine::new(program(&known.source(ruleset, &text, false)));
                check(&live, &files, ruleset, &format!("{context}, reloaded\n{text}"));
            }
        }
        // Same token, same effect.
        for (token, answers) in tokens {
            let then = live.at(&token).expect("it is retained");
            assert_eq!(requests().iter().map(|request| then.decide(request).why).collect::<Vec<_>>(), answers);
        }
        live.facts().apply(&known.end()).expect("it fits");
        let counts = live.facts().counts();
        assert_eq!(
            (counts.rows, counts.entities, counts.values),
            (0, 0, 0),
            "seed {}: what is gone is held",
            seed + world
        );
    }
}

const SUSPENDED: &str = r#"
version = "rune/1.0"
[schema]
@live entity User in [Group] { level: Long };
@live entity Group in [Group];
entity Document;
action read appliesTo { principal: [User], resource: [Document] };
[rules]
@live relation suspended(User, reason: String).
@live relation limit(User -> Long).
@live relation seen(User | Group, Long).
relation file(User).
file("ada").
@id("all") permit(U, _, _) :- U is User.
@id("suspended") forbid(U, _, _) :- suspended(U, _).
"#;

fn user(id: &str) -> Node {
    EntityRef::new("User", id).into()
}

fn faults(engine: &Engine, batch: &Batch) -> Vec<String> {
    let before = (engine.facts().token(), engine.facts().counts());
    let told = match engine.facts().apply(batch) {
        Err(ApplyError::Changes { faults, .. }) => faults.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!((engine.facts().token(), engine.facts().counts()), before, "nothing has changed");
    told
}

#[test]
fn what_does_not_fit_is_told_row_by_row_and_changes_nothing() {
    let engine = Engine::new(program(SUSPENDED));
    let batch =
        Batch::default()
            .insert("suspended", [user("ada"), "left".into()])
            .insert("suspendde", [user("ada"), "left".into()])
            .insert("suspended", [user("ada")])
            .insert("suspended", [user("ada"), 3.into()])
            .insert("suspended", ["User::\"ada\"".into(), "left".into()])
            .insert("suspended", [EntityRef::new("Group", "g").into(), "left".into()])
            .insert("seen", [user("ada"), "x".into()])
            .insert("seen", ["ada".into(), 1.into()])
            .delete("file", [user("ada")])
            .remove(EntityRef::new("Document", "d"))
            .put(
                r#"{ "uid": { "type": "User", "id": "u" }, "attrs": { "level": "high" }, "parents": [] }"#
                    .parse()
                    .expect("JSON"),
            )
            .put(r#"{ "uid": { "type": "User", "id": "u" }, "attrs": {}, "parents": [] }"#.parse().expect("JSON"))
            .put(r#"{ "uid": { "type": "Nobody", "id": "u" }, "attrs": {}, "parents": [] }"#.parse().expect("JSON"));
    let expected = [
        "change 1: there is no relation `suspendde` (did you mean `suspended`?)",
        "change 2: `suspended` has 2 columns, and this row 1",
        "change 3: the column `reason` of `suspended`: expected String, found an integer",
        "change 4: column 1 of `suspended`: this text is the id of a User, and looks like an entity (write the id alone, or \
         `{ \"type\", \"id\" }`)",
        "change 5: column 1 of `suspended`: expected User, found Group::\"g\"",
        "change 6: column 2 of `seen`: expected Long, found a string",
        "change 7: column 1 of `seen`: expected User | Group, found \"ada\"",
        "change 8: `file` is not live (its rows come from files and rules; one that is declared `@live` takes rows here)",
        "change 9: Document is not live: its entities come from files (declare the type so in the schema: `@live entity \
         Document …;`)",
        "change 10: `level`: expected Long, found a string",
        "change 11: the attribute `level` is missing (its type is Long)",
        "change 12: the schema has no entity type Nobody",
    ];
    assert_eq!(faults(&engine, &batch), expected);
    let cycle = |id: &str, above: &str| {
        let text = format!(
            r#"{{ "uid": {{ "type": "Group", "id": "{id}" }}, "attrs": {{}}, "parents": [{{ "type": "Group", "id": "{above}" }}] }}"#
        );
        text.parse::<Node>().expect("JSON")
    };
    let batch = Batch::default().put(cycle("a", "b")).put(cycle("b", "c")).put(cycle("c", "a"));
    assert_eq!(faults(&engine, &batch), ["change 2: Group::\"c\" would be in itself"]);
    for (text, told) in [
        ("{", "EOF"),
        ("[]", "a batch is written"),
        (r#"{ "inserts": {} }"#, "a batch has no member `inserts`"),
        (r#"{ "insert": [] }"#, "`insert` is no object"),
        (r#"{ "insert": { "seen": [1] } }"#, "what stands in `insert` is no list"),
    ] {
        let error = text.parse::<Batch>().expect_err("it is none").to_string();
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn a_key_has_one_value_and_a_batch_that_changes_nothing_makes_no_revision() {
    let engine = Engine::new(program(SUSPENDED));
    let limit = |n: i64| Batch::default().insert("limit", [user("ada"), n.into()]);
    let first = engine.facts().apply(&limit(3)).expect("it fits");
    assert_eq!(engine.facts().apply(&limit(3)), Ok(first));
    let second = engine.facts().apply(&limit(4).insert("limit", [user("eve"), 1.into()])).expect("it fits");
    assert!(first.revision() < second.revision());
    let rows = engine.query("limit(U, N)", None).expect("a query").rows;
    assert_eq!(rows.iter().map(|row| row[1].to_string()).collect::<Vec<_>>(), ["4", "1"]);
    let there_and_back = limit(5).insert("limit", [user("ada"), 4.into()]);
    engine.facts().apply(&there_and_back).expect("it fits");
    assert_eq!(engine.query("limit(U, N)", None).expect("a query").rows, rows);
}

/// A sum that has no value is derived anew, and the others are kept.
#[test]
fn a_sum_that_overflows_ends_nothing_else() {
    let text = "version = \"rune/1.0\"\n[rules]\n@live relation edge(User, User).\n@live relation strikes(User -> Long).\n\
                @materialize relation path(User, User).\npath(U, V) :- edge(U, V).\npath(U, W) :- path(U, V), edge(V, W).\n\
                @materialize relation total(Long).\ntotal(N) :- N = sum { M, U : strikes(U, M) }.\n\
                @id(\"p\") permit(U, _, V) :- path(U, V).\n@id(\"t\") forbid(_, _, _) :- total(N), N > 10.\n";
    let engine = Engine::new(program(text));
    // Deriving all of these paths anew takes more steps than a batch may.
    let n = 800;
    for low in 0..n {
        let batch = (0..n).fold(Batch::default(), |batch, high| {
            let near = (high + n - low) % n < 200;
            if near { batch.insert("edge", [user(&low.to_string()), user(&high.to_string())]) } else { batch }
        });
        engine.facts().apply(&batch).expect("it fits");
    }
    let asked = |high: &str| {
        let request =
            Request::new(EntityRef::new("User", "0"), EntityRef::new("Action", "a"), EntityRef::new("User", high));
        engine.decide(&request).is_allowed()
    };
    assert!(asked("5"));
    let strike = |of: &str, n: i64| Batch::default().insert("strikes", [user(of), n.into()]);
    engine.facts().apply(&strike("a", i64::MAX)).expect("it fits");
    engine.facts().apply(&strike("b", i64::MAX)).expect("it fits");
    // What decides the forbid has no value.
    assert!(!asked("5"));
    for of in ["a", "b"] {
        engine.facts().apply(&strike(of, 1)).expect("it fits");
    }
    assert!(asked("5"));
    let edge = || [user("0"), user("x")];
    engine.facts().apply(&Batch::default().insert("edge", edge())).expect("paths are kept");
    assert!(asked("x") && engine.facts().is_counted());
    engine.facts().apply(&Batch::default().delete("edge", edge())).expect("paths are kept");
    assert!(!asked("x") && engine.facts().is_counted());
}

/// What files give of a relation that is kept derived, and who is known by live entities, are given there as anywhere.
#[test]
fn what_is_given_is_given_whatever_is_live() {
    let text = r#"
version = "rune/1.0"
[schema]
@live entity User { level: Long };
entity Document;
action read appliesTo { principal: [User], resource: [Document, User] };
[entities]
Document.d1 = {}
[rules]
@live relation edge(Document, Document).
@live relation viewer(User, Document).
@materialize relation path(Document, Document).
path("d7", "d8").
path(U, W) :- path(U, V), edge(V, W).
strong(U) :- User.level(U, N), N >= 3.
@id("x") permit(U, _, D) :- viewer(U, D), strong(U).
@id("p") permit(_, _, D) :- path(D, _).
"#;
    let engine = Engine::new(program(text));
    let put = r#"{ "uid": { "type": "User", "id": "u1" }, "attrs": { "level": 5 }, "parents": [] }"#;
    engine.facts().apply(&Batch::default().put(put.parse().expect("JSON"))).expect("it fits");
    let [u1, read, d1] =
        [("User", "u1"), ("Action", "read"), ("Document", "d1")].map(|(kind, id)| EntityRef::new(kind, id));
    let listed = engine.list(&List::resources(u1.clone(), read.clone())).expect("a list");
    assert_eq!(listed.entities.to_vec(), [EntityRef::new("Document", "d7")]);
    let explanation = engine.explain(&Request::new(u1, read, d1)).to_string();
    assert!(explanation.contains("viewer(User::\"u1\", Document::\"d1\")"), "{explanation}");
    assert!(explanation.contains('+'), "{explanation}");
}

#[test]
fn explanations_say_what_is_live() {
    let engine = Engine::new(program(SUSPENDED));
    engine.facts().apply(&Batch::default().insert("suspended", [user("ada"), "left".into()])).expect("it fits");
    let [read, plan] = [("Action", "read"), ("Document", "plan")].map(|(kind, id)| EntityRef::new(kind, id));
    let explanation = engine.explain(&Request::new(EntityRef::new("User", "ada"), read, plan));
    assert!(explanation.to_string().contains("suspended(User::\"ada\", \"left\") (live)"), "{explanation}");
}

#[test]
fn live_facts_that_a_version_has_no_place_for_stay_where_they_are() {
    let engine = Engine::new(program(SUSPENDED));
    let entity = r#"{ "uid": { "type": "User", "id": "ada" }, "attrs": { "level": 1 }, "parents": [] }"#;
    let batch =
        Batch::default().insert("suspended", [user("ada"), "left".into()]).insert("seen", [user("eve"), 1.into()]);
    let token = engine.facts().apply(&batch.put(entity.parse().expect("JSON"))).expect("it fits");
    let cases = [
        ("@live relation suspended", "relation suspended", "`suspended` has 1 live rows, and is no longer live"),
        ("reason: String", "reason: Long", "suspended(User::\"ada\", \"left\"): column 2 is Long now"),
        ("User | Group, Long", "User, Long, Long", "seen(User::\"eve\", 1): the relation has 3 columns now"),
        ("level: Long", "level: String", "User::\"ada\": its attributes are not those of its type now"),
        ("@live entity User", "entity User", "User::\"ada\": its type is no longer live"),
    ];
    for (old, new, told) in cases {
        assert!(SUSPENDED.contains(old));
        let other =
            program(&SUSPENDED.replace(old, new).replace(
                "suspended(U, _)",
                if new.contains("Long, Long") { "seen(U, _, _)" } else { "suspended(U, _)" },
            ));
        let error = engine.swap(other).expect_err("it has no place").to_string();
        assert!(error.contains(told), "{error}");
        assert_eq!(engine.facts().token(), token, "what is served stays");
    }
    let other = SUSPENDED.replace("U is User.", "U is User, limit(U, 1).");
    engine.swap(program(&other)).map(drop).expect("it has a place for all");
    assert_eq!(engine.query("suspended(U, R), seen(V, 1)", None).expect("a query").rows.len(), 1);
    assert_eq!(engine.facts().counts().entities, 1);
    assert!(engine.at(&token).is_err(), "another version is served");
}

/// one-pointer: two rows are always written together, and no reader ever sees one of them.
#[test]
fn readers_on_other_threads_see_whole_revisions_only() {
    let text = r#"
version = "rune/1.0"
[rules]
@live relation left(User).
@live relation right(User).
torn(U) :- left(U), not right(U).
torn(U) :- right(U), not left(U).
@id("torn") permit(U, _, _) :- torn(U).
"#;
    let engine = Arc::new(Engine::new(program(text)));
    let is_over = Arc::new(AtomicBool::new(false));
    let request = |n: usize| {
        let [read, plan] = [("Action", "read"), ("Document", "plan")].map(|(kind, id)| EntityRef::new(kind, id));
        Request::new(EntityRef::new("User", format!("u{n}")), read, plan)
    };
    thread::scope(|scope| {
        for reader in 0..3 {
            let (engine, is_over) = (engine.clone(), is_over.clone());
            scope.spawn(move || {
                let mut n = reader;
                while !is_over.load(Ordering::Relaxed) {
                    n += 1;
                    assert!(!engine.decide(&request(n % 4)).is_allowed());
                    if n % 64 == 0 {
                        assert_eq!(engine.query("torn(U)", None).expect("a query").rows.len(), 0);
                    }
                }
            });
        }
        let mut random = Random(7);
        for step in 0..3_000 {
            let row = || [user(&format!("u{}", random_id(step)))];
            let batch = match random.below(2) {
                0 => Batch::default().insert("left", row()).insert("right", row()),
                _ => Batch::default().delete("left", row()).delete("right", row()),
            };
            engine.facts().apply(&batch).expect("it fits");
            if step % 500 == 250 {
                drop(engine.swap(program(text)).expect("it has a place for all"));
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

fn random_id(step: usize) -> usize {
    step * 7 % 4
}

#[test]
fn a_token_is_waited_for_and_read_at_until_it_is_gone() {
    let engine = Engine::new(program(SUSPENDED));
    let store = engine.facts();
    let row = |n: i64| Batch::default().insert("seen", [user("ada"), n.into()]);
    let first = store.apply(&row(0)).expect("it fits");
    assert_eq!(store.wait_for(&first, Duration::ZERO), Ok(first.revision()));
    // What a client has stands in a header, and comes back from there.
    let first: rune_core::Token = first.to_string().parse().expect("a token");
    thread::scope(|scope| {
        let later = rune_core::Token::new(first.origin(), first.generation(), first.revision().next());
        let waiting = scope.spawn(move || store.wait_for(&later, Duration::from_secs(60)));
        store.apply(&row(1)).expect("it fits");
        assert_eq!(waiting.join().expect("no panic"), Ok(first.revision().next()));
    });
    for n in 2..1_200 {
        store.apply(&row(n)).expect("it fits");
    }
    let error = engine.at(&first).map(drop).expect_err("it is gone").to_string();
    assert!(error.contains("revision gone"), "{error}");
    let other = Engine::new(program(SUSPENDED));
    assert!(other.at(&first).is_err() && other.facts().wait_for(&first, Duration::ZERO).is_err());
}
