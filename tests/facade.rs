//! The façade of `rune-core`: what stands at the root of the crate and what that leads to, with attributes, public fields,
//! variants and methods, as
//! `tests/facade.txt` has it. A change of that file is a change of what is promised.
//!
//! `BLESS=1 cargo test --release --test facade` writes it anew.

#![expect(clippy::disallowed_methods, reason = "the test reads the sources")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What the names at the root lead to: types of their fields that programs match on.
const LED_TO: [&str; 15] = [
    "Atom",
    "Because",
    "Candidate",
    "Clause",
    "Counted",
    "Fact",
    "Failed",
    "InTheWay",
    "Instance",
    "Outcome",
    "Place",
    "Refusal",
    "Reload",
    "RuleRef",
    "Searched",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources of the crate, by path, without those of policies: their `Effect` is another than that of decisions.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut pending = vec![root().join("rune-core/src")];
    let mut sources = BTreeMap::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.ends_with("policy") {
                continue;
            }
            if path.is_dir() {
                pending.push(path);
            } else {
                let text = fs::read_to_string(&path).expect("a text");
                sources.insert(path, text);
            }
        }
    }
    sources
}

/// The names that the root of the crate gives: those of its `pub use`.
fn names() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("rune-core/src/lib.rs")).expect("the root of the crate");
    let uses = text.split("\npub use ").skip(1).map(|rest| rest.split(';').next().unwrap_or_default());
    let words = uses.flat_map(|list| list.split(|c: char| !(c.is_alphanumeric() || c == '_')));
    words.filter(|word| word.starts_with(char::is_uppercase)).map(str::to_owned).collect()
}

/// What is public of a type, line by line as rustfmt lays it out: its head, its fields or variants, and the heads of methods.
fn items(name: &str, sources: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let mut items = Vec::new();
    for text in sources.values() {
        let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let body = || lines[at + 1..].iter().take_while(|line| !line.starts_with('}')).copied();
            if is_head(line, &["pub struct ", "pub enum "], name) {
                let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with('#'));
                let attributes: Vec<_> = attributes.map(|line| (*line).to_owned()).collect();
                items.extend(attributes.into_iter().rev());
                items.push((*line).trim_end_matches(" {").to_owned());
                if line.ends_with('{') {
                    let is_enum = line.starts_with("pub enum ");
                    items.extend(body().filter(|line| is_member(line, is_enum)).map(str::to_owned));
                }
            } else if let Some(of) = implemented(line, name) {
                if !of.is_empty() {
                    items.push(line.trim_end_matches([' ', '{', '}']).to_owned());
                    continue;
                }
                let methods: Vec<&str> = body().collect();
                items.extend(heads(&methods));
            }
        }
    }
    items
}

fn is_head(line: &str, starts: &[&str], name: &str) -> bool {
    let rest = starts.iter().find_map(|start| line.strip_prefix(start));
    rest.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
}

/// The trait that a line implements for a type, with nothing for the type's own methods.
fn implemented<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let line = line.strip_prefix("impl")?;
    let line = if line.starts_with('<') { line.split_once("> ")?.1 } else { line.strip_prefix(' ')? };
    let (of, on) = line.split_once(" for ").unwrap_or(("", line));
    is_head(on, &[""], name).then_some(of)
}

/// A public field, or anything that is a variant.
fn is_member(line: &str, is_enum: bool) -> bool {
    let indent = line.len() - line.trim_start().len();
    let is_said = !line.trim_start().starts_with(['/', '#', '}', ')']);
    match is_enum {
        true => is_said && [4, 8].contains(&indent),
        false => indent == 4 && line.trim_start().starts_with("pub ") && !line.contains("pub("),
    }
}

/// The heads of public functions, each on one line.
fn heads(lines: &[&str]) -> Vec<String> {
    let mut heads = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if !["    pub fn ", "    pub const ", "    pub async fn "].iter().any(|start| line.starts_with(start)) {
            continue;
        }
        let mut head = String::new();
        for line in &lines[at..] {
            let line = line.trim();
            head.push_str(if head.is_empty() || head.ends_with('(') || line.starts_with(')') { "" } else { " " });
            head.push_str(line);
            if line.ends_with(['{', ';', '}']) {
                break;
            }
        }
        let head = head.split(" {").next().unwrap_or_default().trim_end_matches(';');
        heads.push(format!("    {}", head.replace(",)", ")")));
    }
    heads
}

#[test]
fn the_facade_is_what_is_promised() {
    let sources = sources();
    let mut said = String::new();
    let is_of_answers =
        |path: &Path| ["explain", "query", "reload"].iter().any(|part| path.iter().any(|of| of == *part));
    let answers: BTreeMap<_, _> = sources.clone().into_iter().filter(|(path, _)| is_of_answers(path)).collect();
    // Expressions have nodes, too, and functional relations keys.
    let is_of_requests = |path: &Path| ["decide", "tree.rs"].iter().any(|part| path.iter().any(|of| of == *part));
    let requests: BTreeMap<_, _> = sources.clone().into_iter().filter(|(path, _)| is_of_requests(path)).collect();
    let names = names().into_iter().map(|name| if name == "Node" { (name, &requests) } else { (name, &sources) });
    let led_to = LED_TO.map(|name| (name.to_owned(), &answers)).into_iter();
    let of_nodes = ["Key", "Shape"].map(|name| (name.to_owned(), &requests));
    for (name, sources) in names.chain(led_to).chain(of_nodes) {
        let items = items(&name, sources);
        assert!(!items.is_empty(), "{name} is nowhere");
        said.push_str(&items.join("\n"));
        said.push_str("\n\n");
    }
    let path = root().join("tests/facade.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &said).expect("the file is written");
    }
    let promised = fs::read_to_string(&path).unwrap_or_default();
    assert!(said == promised, "the façade has changed; `BLESS=1` writes it anew:\n{said}");
}

#[test]
fn a_dozen_names_come_first() {
    let text = fs::read_to_string(root().join("rune-core/src/lib.rs")).expect("the root of the crate");
    let (_, rest) = text.split_once("// The dozen to begin with.").expect("the dozen");
    let (dozen, _) = rest.split_once("\n// ").expect("what stands beside it");
    let words = dozen.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    assert_eq!(words.filter(|word| word.starts_with(char::is_uppercase)).count(), 12);
}
