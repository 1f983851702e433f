//! The layout of every text that the project has, and of ten spellings of one.

#![expect(clippy::disallowed_methods, reason = "the texts are in files")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use rune_core::{
    BuildError, Options, Program, Sources,
    syntax::format::{Form, FormatError, format},
};

/// The layout; none for a text that does not parse.
fn laid_out(path: &str, text: &str) -> Option<String> {
    let sources = Sources::single(path, text);
    let (file, _) = sources.files().next().unwrap();
    match format(Form::of(path).unwrap(), file, text) {
        Ok(layout) => Some(layout),
        Err(FormatError::Refused(findings)) => {
            assert!(findings.has_error(), "nothing is wrong with\n{text}");
            None
        }
        Err(error) => panic!("{error}:\n{text}"),
    }
}

/// What becomes of a text, without places: the program, or what is wrong with it.
fn built(path: &str, text: &str) -> (String, Vec<String>) {
    let (told, report) = match Program::build(Sources::single(path, text), Options::default()) {
        Ok(program) => {
            let tests: Vec<_> = program.tests().iter().map(|test| (&test.name, &test.failure)).collect();
            (format!("{program}, {tests:?}"), program.warnings().clone())
        }
        Err(BuildError::Refused(report)) => ("refused".to_owned(), report),
        Err(error @ BuildError::NoThread(_)) => panic!("{error}"),
    };
    let mut findings: Vec<_> = report.findings.iter().map(|f| format!("{}: {}", f.code, f.message)).collect();
    findings.sort();
    (told, findings)
}

/// All characters but those that the layout may add or take away: blanks, commas, quotes of a header, markers of comments.
fn characters(text: &str) -> Vec<char> {
    let mut characters: Vec<char> =
        text.chars().filter(|c| !c.is_whitespace() && !",\"'#/\u{feff}".contains(*c)).collect();
    characters.sort_unstable();
    characters
}

/// Checks the layout of a text by what does not know how it comes about.
fn check(path: &str, text: &str) -> bool {
    let Some(layout) = laid_out(path, text) else { return false };
    assert_eq!(laid_out(path, &layout).as_ref(), Some(&layout), "the layout of a layout is itself");
    assert_eq!(characters(&layout), characters(text), "{text}\n{layout}");
    assert_eq!(built(path, &layout), built(path, text), "{text}\n{layout}");
    let lines = || layout.lines();
    assert!(layout.is_empty() || layout.ends_with('\n') && !layout.ends_with("\n\n"), "{layout}");
    assert!(lines().zip(lines().skip(1)).all(|pair| pair != ("", "")) || text.contains("[schema]"), "{layout}");
    true
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

#[test]
fn every_text_of_the_specification_keeps_what_it_says() {
    let mut n_laid_out = 0;
    for page in files("tests/spec") {
        let page = fs::read_to_string(page).unwrap();
        for fence in page.split("\n```").filter(|fence| fence.starts_with("rune") || fence.starts_with("cedar")) {
            let (info, text) = fence.split_once('\n').unwrap();
            let path = match info.split(' ').next() {
                Some("rune") => "a.rune",
                Some("cedar") => "a.cedar",
                _ => continue,
            };
            n_laid_out += usize::from(check(path, &format!("{text}\n")));
        }
    }
    assert!(40 <= n_laid_out, "{n_laid_out}");
}

#[test]
fn every_example_keeps_what_it_says() {
    let mut n_laid_out = 0;
    for path in files("examples/policies") {
        let name = path.file_name().unwrap().to_str().unwrap();
        if Form::of(name).is_some() {
            assert!(check(name, &fs::read_to_string(&path).unwrap()), "{name}");
            n_laid_out += 1;
        }
    }
    assert!(2 <= n_laid_out);
}

/// A text in its layout, with every kind of section.
const CANONICAL: &str = r#"# Who may read "what", and // why.

version = "rune/1.0" # the language

[schema] # types
entity  User,Group ;   // as it is written

entity Document { owner : User };

# What holds today.
[data]
environment = "production" # the only one
agent.tools = ["read", "write"]
viewer = [
    ['Group::"eng"', 'Folder::"specs"'], # everybody
    # nobody else
    ['Group::"it, [too]"', 'Folder::"specs"'],
]

strikes = { rows_from = "strikes.csv", key = [1] }

[entities]
User.ada = { level = 3, in = ['Group::"eng"'] }

[rules]
// Who sees what.
relation viewer(who: User | Group, what: Document).
@live relation strikes(User -> max Long). # by day
@id("a")
@doc("b, c")
can_read(U, D) :- viewer(S, F), U in S, D in F, not banned(U), U.level + 1 >= 2 * 3, "x , y" != U.name.

crowded(G) :-
    Group(G),
    // whoever is known
    N = count { U : User(U), U in G }, // once
    N > 100.
edge("a", "b").

[policies]
// Whoever can.
@id("read")
permit (
  principal,
  action in [Action::"read", Action::"list"],
  resource is Document
)
when { principal.can_read.contains(resource) && context.hour >= 8 }; // by day

forbid (principal, action, resource)
when { principal.banned == [true, false] };

# Tests of all this.
[test."a member reads, [through] the folder"]
facts = 'viewer(Group::"g", Folder::"f").'
expect = "allow" # always

[flag.new-ui]
percent = 5

[migrate.1]
strikes(U, N) :- old_strikes(U, N).
"#;

/// The text with `change` made where neither a string nor a comment is, of the sections whose names are in `sections`.
fn changed(sections: &[&str], change: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    let mut section = "preamble";
    for line in CANONICAL.split_inclusive('\n') {
        if let Some(header) = line.strip_prefix('[') {
            section = header.split([']', '.']).next().unwrap();
        }
        // A comment in the first column says by that what it belongs to.
        if line.starts_with(['[', '#', '/']) || !sections.contains(&section) {
            text.push_str(line);
            continue;
        }
        // Every other piece between quotes is a string; none has an escape, and no quote stands in another.
        let code = match (line.find("# "), line.find("// ")) {
            (Some(at), None) | (None, Some(at)) => at,
            (Some(one), Some(other)) => one.min(other),
            (None, None) => line.len(),
        };
        let (code, comment) = line.split_at(code);
        let quote = if code.contains('\'') { '\'' } else { '"' };
        for (at, piece) in code.split(quote).enumerate() {
            if 0 < at {
                text.push(quote);
            }
            text.push_str(&if at % 2 == 0 { change(piece) } else { piece.to_owned() });
        }
        text.push_str(comment);
    }
    text
}

const TOML: [&str; 5] = ["preamble", "data", "entities", "test", "flag"];
const CLAUSES: [&str; 3] = ["rules", "policies", "migrate"];

#[test]
fn ten_spellings_have_one_layout() {
    let all = [&TOML[..], &CLAUSES].concat();
    let signs = [
        ", ", " = ", " :- ", " | ", " -> ", " && ", " == ", " != ", " >= ", " > ", " + ", " * ", "{ ", " }", " :", ": ",
    ];
    let dense = |piece: &str| signs.iter().fold(piece.to_owned(), |piece, sign| piece.replace(sign, sign.trim()));
    let commas = |piece: &str| {
        let lists = piece.replace("\"]", "\",]").replace("true, false]", "true, false , ]").replace("1] }", "1,] , }");
        lists.replace("D)", "D, )").replace("U)", "U,)")
    };
    // The blank before a comment stays: behind a line break it would be another one.
    let broken = |piece: &str| match piece.strip_suffix(' ') {
        Some(piece) => piece.replace(' ', "\n") + " ",
        None => piece.replace(' ', "\n"),
    };
    let spellings = [
        ("CRLF", CANONICAL.replace('\n', "\r\n")),
        ("a byte order mark, and no end", format!("\u{feff}{}", CANONICAL.trim_end())),
        (
            "blank lines",
            format!("\n\n{}\n\n", CANONICAL.replace("\n\n[", "\n\n\n \n[").replace(".\n\n", ".\n \n\t\n\n")),
        ),
        (
            "blanks at the ends of lines",
            CANONICAL.replace('\n', " \t\n").replace("written \t\n \t\n", "written\n\n").replace("}; \t\n", "};\n"),
        ),
        ("two blanks", changed(&all, |piece| piece.replace(' ', "  "))),
        ("tabs", changed(&all, |piece| piece.replace(' ', "\t"))),
        ("no blanks around signs", changed(&all, dense)),
        ("trailing commas", changed(&all, commas)),
        ("line breaks", changed(&CLAUSES, broken)),
        (
            "headers and markers",
            CANONICAL
                .replace("[rules]\n", "[ rules\t]  \n\n")
                .replace("[test.\"", "[ test . \"")
                .replace("[schema] ", "[schema]\t")
                .replace("[flag.new-ui]", "[flag.\"new-ui\"]")
                .replace("version = \"rune/1.0\"", "'version'='''rune/1.0'''")
                .replace("// Whoever", "# Whoever"),
        ),
    ];
    assert_eq!(laid_out("a.rune", CANONICAL).as_deref(), Some(CANONICAL));
    for (what, text) in &spellings {
        assert_ne!(text, CANONICAL, "{what}");
        let layout = laid_out("a.rune", text).unwrap_or_else(|| panic!("{what}:\n{text}"));
        assert_eq!(layout, CANONICAL, "{what}:\n{text}");
    }
}
