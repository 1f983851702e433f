//! What rustfmt and clippy cannot hold: which module may use which, and how large things are.

#![expect(clippy::disallowed_methods, reason = "the test reads the sources")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use rune_core::{Options, Program, Sources};

/// The modules of `rune-core`: each uses itself and those above it.
const LAYERS: [&str; 17] = [
    "base", "diag", "syntax", "expr", "schema", "check", "facts", "datalog", "policy", "decide", "explain", "query",
    "program", "store", "engine", "watch", "reload",
];

/// Longer files are split by role; tests may have a file of their own.
const LINES_MAX: usize = 600;

/// Functions that may be longer than [`FUNCTION_LINES_MAX`], and why.
const LONG_FUNCTIONS: [(&str, &str); 2] = [
    ("rune-core/src/expr/eval.rs: node", "one arm for each kind of node, and nothing else"),
    ("rune-cli/tests/edits.rs: every_answer_is_the_one_that_its_version_gives_while_the_folder_is_edited", "one story"),
];
const FUNCTION_LINES_MAX: usize = 70;

/// The one file with unsafe code.
const UNSAFE_FILE: &str = "rune-core/src/facts/cell.rs";

struct Source {
    /// Path from the root of the repository.
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut pending: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push(Source { path: path.strip_prefix(root()).unwrap().display().to_string(), text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn all() -> Vec<Source> {
    sources(&["rune-core/src", "rune-cli/src", "rune-cli/tests", "tests", "examples"])
}

#[test]
fn a_module_uses_only_those_above_it() {
    let position = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let mut seen = Vec::new();
    for source in sources(&["rune-core/src"]) {
        let inner = source.path.strip_prefix("rune-core/src/").unwrap();
        let module = inner.split(['/', '.']).next().unwrap();
        if module == "lib" {
            continue;
        }
        let own = position(module).unwrap_or_else(|| panic!("{module} is not in the list of layers"));
        seen.push(module.to_owned());
        for (_, used) in used_modules(&source.text) {
            let used = position(&used).unwrap_or_else(|| panic!("{}: crate::{used} is no module", source.path));
            assert!(used <= own, "{}: `{module}` uses `{}`, which is below it", source.path, LAYERS[used]);
        }
    }
    for layer in LAYERS {
        assert!(seen.iter().any(|module| module == layer), "the layer {layer} has no module");
    }
}

/// The modules that `crate::…` names, in paths and in lists in braces.
fn used_modules(text: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            used.push((at, name));
            continue;
        };
        // The names at the first level of the braces.
        let mut depth = 0;
        let mut name = String::new();
        let mut is_first = true;
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => is_first = true,
                c if depth == 0 && is_first && (c.is_alphanumeric() || c == '_') => name.push(c),
                _ => {}
            }
            if !(name.is_empty() || c.is_alphanumeric() || c == '_') {
                used.push((at, std::mem::take(&mut name)));
                is_first = c == ',';
            }
        }
        if !name.is_empty() {
            used.push((at, name));
        }
    }
    used
}

#[test]
fn the_layers_are_read_from_paths_and_from_lists() {
    let text = "use crate::{\n    base::{Pool, Value},\n    diag::Code,\n    facts,\n};\nfn f(x: crate::expr::Expr) {}";
    let names: Vec<_> = used_modules(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["base", "diag", "facts", "expr"]);
}

#[test]
fn every_file_says_what_it_is() {
    for source in all() {
        assert!(source.text.starts_with("//!"), "{} does not begin with `//!`", source.path);
    }
}

#[test]
fn no_file_is_dead() {
    for folder in ["rune-core/src", "rune-cli/src"] {
        for source in sources(&[folder]) {
            let path = Path::new(&source.path);
            let name = path.file_stem().unwrap().to_str().unwrap();
            let parent = path.parent().unwrap();
            let (declared, candidates) = match name {
                "lib" | "main" => continue,
                "mod" => {
                    let name = parent.file_name().unwrap().to_str().unwrap();
                    let above = parent.parent().unwrap();
                    (name, [above.join("mod.rs"), above.join("lib.rs")])
                }
                name => (name, [parent.join("mod.rs"), parent.join("lib.rs")]),
            };
            let is_declared = candidates.iter().any(|candidate| {
                let text = fs::read_to_string(root().join(candidate)).unwrap_or_default();
                text.lines().any(|line| line.trim_end().ends_with(&format!("mod {declared};")))
            });
            assert!(is_declared, "{} is part of no crate", source.path);
        }
    }
}

#[test]
fn files_and_functions_are_of_a_size_to_read() {
    for source in all() {
        let n_lines = source.text.lines().count();
        assert!(n_lines <= LINES_MAX, "{} has {n_lines} lines", source.path);
    }
    let mut listed: Vec<_> = LONG_FUNCTIONS.iter().map(|(name, _)| *name).collect();
    for source in all() {
        for (name, n_lines) in functions(&source.text) {
            let full = format!("{}: {name}", source.path);
            let at = listed.iter().position(|listed| *listed == full);
            if FUNCTION_LINES_MAX < n_lines {
                assert!(at.is_some(), "{full} has {n_lines} lines");
                listed.remove(at.unwrap());
            }
        }
    }
    assert!(listed.is_empty(), "short enough or gone, take them off the list: {listed:?}");
}

/// Each function with its number of lines, as rustfmt lays it out: it ends where a `}` stands as deep as its `fn`.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let depth = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(keyword) = words.iter().position(|word| *word == "fn").filter(|at| *at < 4) else { continue };
        let signature =
            lines[at..].iter().find(|line| line.ends_with('{') || line.ends_with(';') || line.ends_with('}'));
        if line.trim_start().starts_with("//") || !signature.is_some_and(|line| line.ends_with('{')) {
            continue;
        }
        let name: String = words[keyword + 1].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = format!("{}}}", " ".repeat(depth));
        if let Some(n) = lines[at..].iter().position(|line| *line == end) {
            functions.push((name, n + 1));
        }
    }
    functions
}

#[test]
fn what_is_banned_stands_nowhere() {
    let banned = [
        ("Authorizer", &["rune-core/src", "rune-cli/src"][..], "Cedar's authorizer is an oracle for tests, not a part"),
        ("#[ignore", &["rune-core", "rune-cli", "tests"], "a test that is not run is none"),
        ("#[allow(", &["rune-core/src", "rune-cli/src"], "`#[expect]` says when it is no longer needed"),
        ("unsafe ", &["rune-core/src", "rune-cli/src"], "it stands in one file, which argues"),
        ("todo!(", &["rune-core/src", "rune-cli/src"], "a stub"),
        ("unimplemented!(", &["rune-core/src", "rune-cli/src"], "a stub"),
    ];
    for source in all().into_iter().filter(|source| source.path != "tests/tidy.rs") {
        let code = || source.text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for (text, folders, why) in &banned {
            let is_where_it_may = *text == "unsafe " && source.path == UNSAFE_FILE;
            let applies = !is_where_it_may && folders.iter().any(|folder| source.path.starts_with(folder));
            assert!(!applies || !code().any(|line| line.contains(text)), "{}: `{text}`: {why}", source.path);
        }
    }
}

#[test]
fn documents_name_only_files_that_exist() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "COMPARE.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
        for (_, rest) in text.match_indices("](").map(|(at, _)| text.split_at(at + 2)) {
            let target = rest.split([')', '#']).next().unwrap();
            let is_here = target.is_empty() || target.contains("://") || root().join(target).exists();
            assert!(is_here, "{document} links to {target}, which does not exist");
        }
        // Paths in backticks, as far as they are paths of this repository.
        for path in text.split('`').skip(1).step_by(2) {
            let folders = ["rune-core/", "rune-cli/", "tests/", "examples/", ".ci/"];
            let is_path = folders.iter().any(|folder| path.starts_with(folder)) && !path.contains(['*', ' ']);
            assert!(!is_path || root().join(path).exists(), "{document} names {path}, which does not exist");
        }
    }
}

#[test]
fn the_readme_s_ruleset_is_in_order() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let start = readme.find("version = \"rune/1.0\"").expect("the README shows a ruleset");
    let ruleset = readme[start..].split("```").next().unwrap();
    let program = Program::build(Sources::single("readme.rune", ruleset), Options::default());
    let program = program.unwrap_or_else(|error| panic!("{error}"));
    assert!(program.warnings().findings.is_empty(), "{}", program.warnings());
}
