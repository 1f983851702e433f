//! What `--json` prints is what `docs/JSON.md` shows: the same keys, with values of the same types.

#![expect(clippy::disallowed_methods, reason = "the test writes files")]
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value as Json;

const RUNE: &str = env!("CARGO_BIN_EXE_rune");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/JSON.md");

/// How long anything may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is under a heading, and what makes the examples there, in their order.
type Case = (&'static str, fn(&Path) -> Vec<Json>);

const CASES: [Case; 16] = [
    ("Errors", |dir| vec![rune(dir, &["check", "nowhere"]), rune(dir, &["schema", "broken"])]),
    ("`rune check`", |dir| vec![rune(dir, &["check", "broken"])]),
    ("`rune test`", |dir| vec![rune(dir, &["test", "--coverage", "failing"])]),
    ("`rune schema`", |dir| vec![rune(dir, &["schema", "first"])]),
    ("`rune eval`", |dir| {
        let wrong = r#"{ "hour": "nine" }"#;
        vec![rune(dir, &ask("cedar", "{}")), rune(dir, &ask(&example("cedar"), wrong))]
    }),
    ("`rune explain`", |dir| {
        let ada = rune(dir, &explain("User::\"ada\""));
        let bob = rune(dir, &[explain("User::\"bob\"").as_slice(), &["--missing", "1", "--stats"]].concat());
        vec![ada, bob, rune(dir, &["explain", "--plan", "first"])]
    }),
    ("`rune query`", |dir| {
        let query = ["query", "first", "can_read(U, D)"];
        let smallest = ["query", "first", "viewer(S, D)", "--why", "--minimal", "--stats"];
        vec![rune(dir, &query), rune(dir, &[query.as_slice(), &["--why"]].concat()), rune(dir, &smallest)]
    }),
    ("`rune repl`", repl),
    ("`rune list`", |dir| {
        let asked = ["--action", "Action::\"read\"", "--resource", "Document::\"plan\""];
        vec![rune(dir, &[&["list", "principals", "first"], asked.as_slice()].concat())]
    }),
    ("`rune facts`", |dir| {
        let refused = ["facts", "live", "--apply", "live/refused.json"];
        let made = ["facts", "live", "--apply", "live/made.json", "--query", "suspended(U, _)"];
        vec![rune(dir, &refused), rune(dir, &[&made, &explain("User::\"ada\"")[2..]].concat())]
    }),
    ("`rune fmt`", |dir| vec![rune(dir, &["fmt", "--check", "loose"]), rune(dir, &["fmt", "--stdin-name", "a.cedar"])]),
    ("`rune init`", |dir| vec![rune(dir, &["init", "another"])]),
    ("`rune completions`", |dir| vec![rune(dir, &["completions", "bash"])]),
    ("`rune man`", |dir| vec![rune(dir, &["man", "check"]), rune(dir, &["man", "--out", "man1"])]),
    ("`rune serve`", serve),
    ("Places and findings", |_| Vec::new()),
];

const LOOSE: &str = "permit(principal,action,resource);";
const BROKEN: &str = "version = \"rune/1.0\"\n[rules]\nrelation edge(String).\nrelation edge(String, String).\n\
    [polices]\npermit (principal, action, resource);\n";
const LIVE: &str = "version = \"rune/1.0\"\n[schema]\n@live entity User;\nentity Document;\n\
    action read appliesTo { principal: [User], resource: [Document] };\n\
    [rules]\n@live relation suspended(User, why: String).\n\
    @id(\"all\") permit(U, Action::\"read\", _) :- U is User.\n\
    @id(\"suspended\") @reason(\"suspended\") forbid(U, _, _) :- suspended(U, _).\n";
const MADE: &str = "{ \"insert\": { \"suspended\": [[\"ada\", \"left\"]] } }";
const REFUSED: &str = "{ \"insert\": { \"suspended\": [[\"ada\", 3]], \"suspendd\": [[\"ada\", \"left\"]] } }";
const CEDAR: &str = "@id(\"readers\") @reason(\"open\") permit (principal, action, resource);\n\
    @id(\"strict\") forbid (principal, action, resource) when { principal.x };\n";

fn example(name: &str) -> String {
    format!("{}/../examples/policies/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn ask<'a>(dir: &'a str, context: &'a str) -> [&'a str; 10] {
    let [principal, action, resource] = ["User::\"ada\"", "Action::\"read\"", "Document::\"plan\""];
    ["eval", dir, "--principal", principal, "--action", action, "--resource", resource, "--context", context]
}

fn explain(principal: &str) -> [&str; 8] {
    let [action, resource] = ["Action::\"read\"", "Document::\"plan\""];
    ["explain", "first", "--principal", principal, "--action", action, "--resource", resource]
}

/// A folder with the rulesets that the examples are about.
fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    rune(dir.path(), &["init", "first"]);
    let first = fs::read_to_string(dir.path().join("first/main.rune")).unwrap();
    let files = [
        ("broken/a.rune", BROKEN),
        ("failing/main.rune", &first.replace("expect = \"deny\"", "expect = \"allow\"")),
        ("cedar/a.cedar", CEDAR),
        ("live/a.rune", LIVE),
        ("live/made.json", MADE),
        ("live/refused.json", &format!("{MADE}\n{REFUSED}")),
        ("loose/a.rune", BROKEN),
        ("loose/x.cedar", LOOSE),
        ("loose/z.cedar", "permit (principal, action, resource);\n"),
    ];
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn start(dir: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(RUNE);
    command.current_dir(dir).arg("--json").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
}

/// The one document that a command prints.
fn rune(dir: &Path, arguments: &[&str]) -> Json {
    let mut child = start(dir, arguments);
    // It may not read, and end before all is written.
    drop(child.stdin.take().unwrap().write_all(LOOSE.as_bytes()));
    let run = child.wait_with_output().expect("it ends");
    assert!(run.stderr.is_empty(), "{run:?}");
    assert_eq!(run.stdout.split_inclusive(|byte| *byte == b'\n').count(), 1, "one line: {run:?}");
    serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

/// A process that ends with the test, and the lines that it prints.
struct Running(Child, mpsc::Receiver<String>);

impl Running {
    fn start(dir: &Path, arguments: &[&str]) -> Self {
        let mut child = start(dir, arguments);
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self(child, lines)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Answers that no other command gives, and then one document for each event that can be had.
fn repl(dir: &Path) -> Vec<Json> {
    rune(dir, &["init", "asked"]);
    let mut running = Running::start(dir, &["repl", "asked"]);
    let mut stdin = running.0.stdin.take().unwrap();
    let mut seen = Vec::new();
    let request = ":request User::\"ada\" Action::\"read\" Document::\"plan\" { \"hour\": 9 }";
    for line in ["viewer(User::\"bob\", \"plan\").", request, ":relations", ":help", ":reload"] {
        writeln!(stdin, "{line}").unwrap();
        let line = running.1.recv_timeout(PATIENCE).expect("an answer");
        seen.push(serde_json::from_str(&line).unwrap());
    }
    let file = dir.join("asked/main.rune");
    let text = fs::read_to_string(&file).unwrap();
    let mut next = |text: Option<&str>| {
        match text {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::rename(dir.join("asked"), dir.join("asked away")).unwrap(),
        }
        // Events are told before a line is read: each empty one asks for those that there are.
        for _ in 0..PATIENCE.as_millis() / 10 {
            writeln!(stdin).unwrap();
            if let Ok(line) = running.1.recv_timeout(Duration::from_millis(10)) {
                return serde_json::from_str(&line).unwrap();
            }
        }
        panic!("no event");
    };
    seen.push(next(Some(&format!("{text}\n"))));
    seen.push(next(Some(BROKEN)));
    seen.push(next(Some(&format!("{text}\n"))));
    seen.push(next(None));
    seen
}

/// One document for each event that can be had, in the order of the examples.
fn serve(dir: &Path) -> Vec<Json> {
    let Running(_, events) = &Running::start(dir, &["serve", "--watch", "cedar", "--listen", "127.0.0.1:0"]);
    let next = || {
        let line = events.recv_timeout(PATIENCE).expect("an event");
        serde_json::from_str::<Json>(&line).unwrap()
    };
    // A server that listens says so on another thread than the one that tells of reloads.
    let mut seen = vec![next(), next()];
    seen.sort_by_key(|event| event["event"] != "reload");
    fs::write(dir.join("cedar/a.cedar"), "permit (").unwrap();
    seen.push(next());
    fs::write(dir.join("cedar/a.cedar"), CEDAR).unwrap();
    seen.push(next());
    fs::rename(dir.join("cedar"), dir.join("away")).unwrap();
    seen.push(next());
    seen
}

/// The keys and types of a document. What a list holds is of one shape, in which some keys may be missing.
#[derive(Debug, Clone, PartialEq, Default)]
struct Shape {
    types: BTreeSet<&'static str>,
    /// Each key with its shape, and in how many of the objects it was.
    keys: BTreeMap<String, (Shape, usize)>,
    n_objects: usize,
    elements: Option<Box<Shape>>,
}

impl Shape {
    fn of(json: &Json) -> Self {
        let mut shape = Self::default();
        shape.add(json);
        shape
    }

    fn add(&mut self, json: &Json) {
        self.types.insert(match json {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "list",
            Json::Object(_) => "object",
        });
        match json {
            Json::Array(elements) => elements.iter().for_each(|json| self.elements.get_or_insert_default().add(json)),
            Json::Object(members) => {
                self.n_objects += 1;
                for (key, value) in members {
                    let (shape, n) = self.keys.entry(key.clone()).or_default();
                    shape.add(value);
                    *n += 1;
                }
            }
            _ => {}
        }
    }

    /// A line for each path of keys, with its types, and a `?` where it may be missing.
    fn lines(&self, path: &str, lines: &mut BTreeSet<String>) {
        let types: Vec<_> = self.types.iter().copied().collect();
        lines.insert(format!("{path}: {}", types.join(" or ")));
        if let Some(elements) = &self.elements {
            elements.lines(&format!("{path}[]"), lines);
        }
        for (key, (shape, n)) in &self.keys {
            let mark = if *n < self.n_objects { "?" } else { "" };
            shape.lines(&format!("{path}.{key}{mark}"), lines);
        }
    }
}

/// Where two documents differ in keys or types.
fn differences(documented: &Json, printed: &Json) -> Vec<String> {
    let lines = |json| {
        let mut lines = BTreeSet::new();
        Shape::of(json).lines("", &mut lines);
        lines
    };
    let (documented, printed) = (lines(documented), lines(printed));
    let missing = documented.difference(&printed).map(|line| format!("only documented{line}"));
    missing.chain(printed.difference(&documented).map(|line| format!("only printed{line}"))).collect()
}

/// The examples of the document under their headings.
fn documented() -> Vec<(String, Vec<Json>)> {
    let text = fs::read_to_string(DOCUMENT).unwrap();
    let sections = text.split("\n## ").skip(1);
    let section = |section: &str| {
        let fences = section.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let examples =
            fences.map(|fence| serde_json::from_str(fence).unwrap_or_else(|error| panic!("{error}: {fence}")));
        (section.lines().next().unwrap().to_owned(), examples.collect())
    };
    sections.map(section).collect()
}

#[test]
fn each_command_prints_the_keys_that_are_documented_and_no_others() {
    let world = world();
    let documented: BTreeMap<_, _> = documented().into_iter().collect();
    let cases: BTreeSet<_> = CASES.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), cases, "each heading is tested");
    for (heading, run) in CASES {
        let (examples, printed) = (&documented[heading], run(world.path()));
        assert_eq!(examples.len(), printed.len(), "{heading}");
        for (example, printed) in examples.iter().zip(&printed) {
            let differences = differences(example, printed);
            assert!(differences.is_empty(), "{heading}: {differences:#?}\n{printed:#}");
        }
    }
}

#[test]
fn every_command_has_a_heading() {
    let help = Command::new(RUNE).arg("-h").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    let headings: Vec<_> = documented().into_iter().map(|(heading, _)| heading).collect();
    for command in commands.map(|line| line.split_whitespace().next().unwrap()).filter(|name| *name != "help") {
        assert!(headings.contains(&format!("`rune {command}`")), "docs/JSON.md says nothing about `rune {command}`");
    }
}

#[test]
fn every_key_of_an_example_is_explained() {
    fn keys(json: &Json, found: &mut BTreeSet<String>) {
        match json {
            Json::Array(elements) => elements.iter().for_each(|json| keys(json, found)),
            Json::Object(members) => {
                for (key, value) in members {
                    found.insert(key.clone());
                    // The names of annotations are the author's.
                    if key != "annotations" {
                        keys(value, found);
                    }
                }
            }
            _ => {}
        }
    }
    let text = fs::read_to_string(DOCUMENT).unwrap();
    for (heading, examples) in documented() {
        let mut found = BTreeSet::new();
        for example in &examples {
            keys(example, &mut found);
        }
        for key in found {
            assert!(text.contains(&format!("`{key}`")), "{heading}: `{key}` is not explained");
        }
    }
}

#[test]
fn a_missing_key_another_one_and_another_type_are_told_apart_from_what_may_be_missing() {
    let check = |documented: &str, printed: &str, expected: &[&str]| {
        let parse = |text| serde_json::from_str::<Json>(text).unwrap();
        assert_eq!(differences(&parse(documented), &parse(printed)), expected);
    };
    check(r#"{ "a": 1, "b": [{ "c": "x" }] }"#, r#"{ "b": [{ "c": "y" }, { "c": "z" }], "a": 2 }"#, &[]);
    check(r#"{ "a": 1, "b": 1 }"#, r#"{ "a": 1 }"#, &["only documented.b: number"]);
    check(r#"{ "a": 1 }"#, r#"{ "a": "1" }"#, &["only documented.a: number", "only printed.a: string"]);
    check(r#"[{ "a": 1 }, {}]"#, r#"[{ "a": 1 }]"#, &["only documented[].a?: number", "only printed[].a: number"]);
    check("[1]", "[1, null]", &["only documented[]: number", "only printed[]: null or number"]);
}
