//! The language, specified in `tests/spec/**/*.md`: a heading is a test.
//!
//! ````text
//!   ## A sentence that is the claim
//!   prose
//!   ```rune           a.rune (or `cedar`, `cedarschema`, `json NAME`; a name after the language is the file's name)
//!   ```request        principal action resource {context} with {what it supplies for the principal}, one a line
//!   ```explain        requests like those, each to be explained
//!   ```text           what RUNE says: findings, or `ok`; a decision for each request, and the tree of each explanation
//! ````
//!
//! `BLESS=1 cargo test --release --test spec` rewrites the `text` fences.

#![expect(clippy::disallowed_methods, reason = "the specification is in files")]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use libtest_mimic::{Arguments, Failed, Trial};
use rune_core::{
    BuildError, Engine, EntityRef, File, Options, Program, Report, Request, Sources, Why, diag::Code, syntax::json,
};

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec");
    let bless = std::env::var_os("BLESS").is_some();
    let mut trials = Vec::new();
    let mut told = BTreeSet::new();
    for path in pages(&root) {
        let text: Arc<str> = fs::read_to_string(&path).expect("a page").into();
        told.extend(Code::ALL.iter().filter(|code| text.contains(&format!("[{code}]"))).copied());
        let cases = cases(&text);
        if bless {
            fs::write(&path, blessed(&text, &cases)).expect("the page is written");
            continue;
        }
        let page = path.strip_prefix(&root).expect("below the root").display().to_string();
        for case in cases {
            trials.push(Trial::test(format!("{page}: {}", case.heading), move || run(&case)));
        }
    }
    trials.push(Trial::test("every finding code has a heading", move || {
        // A build that fails is a fault of RUNE, which no text brings about; what is too large fits on no page, and is tested
        // in tests/limits.rs; no text alone is in the way of live facts, which tests/live.rs has.
        let is_elsewhere = |code: &Code| {
            matches!(
                code,
                Code::BuildFailed
                    | Code::HierarchyTooLarge
                    | Code::LiveFactsInTheWay
                    | Code::TooManyRows
                    | Code::TooManySteps
            )
        };
        let silent: Vec<_> = Code::ALL.iter().filter(|code| !told.contains(code) && !is_elsewhere(code)).collect();
        if silent.is_empty() { Ok(()) } else { Err(format!("no page shows {silent:?}").into()) }
    }));
    if bless {
        return ExitCode::SUCCESS;
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// What stands below one heading.
#[derive(Debug, Clone, Default)]
struct Case {
    heading: String,
    files: Vec<(String, String)>,
    requests: Vec<String>,
    explained: Vec<String>,
    /// The body of the `text` fence, and where it stands on the page.
    expected: Option<(String, Range<usize>)>,
}

fn cases(page: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut fence: Option<(String, usize)> = None;
    let mut at = 0;
    for line in page.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let line = line.trim_end();
        match &fence {
            Some((info, from)) if line == "```" => {
                let body = page[*from..start].to_owned();
                if let Some(case) = cases.last_mut() {
                    add(case, info, body, *from..start);
                }
                fence = None;
            }
            Some(_) => {}
            None if line.starts_with("```") => fence = Some((line[3..].to_owned(), at)),
            None => {
                if let Some(heading) = line.strip_prefix("## ") {
                    cases.push(Case { heading: heading.to_owned(), ..Case::default() });
                }
            }
        }
    }
    cases
}

fn add(case: &mut Case, info: &str, body: String, place: Range<usize>) {
    let (language, name) = info.split_once(' ').unwrap_or((info, ""));
    match language {
        "text" => case.expected = Some((body, place)),
        "request" => case.requests.extend(body.lines().map(str::to_owned)),
        "explain" => case.explained.extend(body.lines().map(str::to_owned)),
        _ if name.is_empty() => case.files.push((format!("a.{language}"), body)),
        _ => case.files.push((name.to_owned(), body)),
    }
}

fn blessed(page: &str, cases: &[Case]) -> String {
    let mut blessed = String::new();
    let mut from = 0;
    for case in cases {
        let Some((_, place)) = &case.expected else { continue };
        blessed.push_str(&page[from..place.start]);
        blessed.push_str(&said(case));
        from = place.end;
    }
    blessed.push_str(&page[from..]);
    blessed
}

fn run(case: &Case) -> Result<(), Failed> {
    let Some((expected, _)) = &case.expected else { return Err("there is no `text` fence".into()) };
    let said = said(case);
    if said == *expected { Ok(()) } else { Err(format!("expected:\n{expected}\nsaid:\n{said}").into()) }
}

/// What RUNE says of the files of a case, and of its requests.
fn said(case: &Case) -> String {
    let files = case.files.iter().map(|(path, text)| File::new(path.as_str(), expanded(text))).collect();
    let program = match Program::build(Sources::new(files), Options::default()) {
        Ok(program) => program,
        Err(BuildError::Refused(report)) => return shown(&report),
        Err(error @ BuildError::NoThread(_)) => panic!("{error}"),
    };
    let mut said = shown(program.warnings());
    let engine = Engine::new(program);
    for request in &case.requests {
        let _ = writeln!(said, "{}", decided(&engine, request));
    }
    for request in &case.explained {
        let _ = write!(said, "{request}: {}", engine.explain(&asked(request)));
    }
    if said.is_empty() { "ok\n".to_owned() } else { said }
}

/// `«repeat 65 (»` stands for 65 brackets, and `«byte 255»` for a byte: some texts do not fit on a page.
fn expanded(text: &str) -> Vec<u8> {
    let mut expanded = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('«') {
        let (what, after) = after.split_once('»').expect("an end");
        expanded.extend_from_slice(before.as_bytes());
        let number = |number: &str| number.parse::<usize>().expect("a number");
        match what.split_once(' ').expect("a number") {
            ("byte", byte) => expanded.push(number(byte).try_into().expect("a byte")),
            (_, what) => {
                let (count, what) = what.split_once(' ').expect("a count");
                expanded.extend_from_slice(what.repeat(number(count)).as_bytes());
            }
        }
        rest = after;
    }
    expanded.extend_from_slice(rest.as_bytes());
    expanded
}

fn shown(report: &Report) -> String {
    if report.findings.is_empty() { String::new() } else { format!("{report}\n") }
}

/// A request, and the decision with its reasons: `User::"ada" Action::"read" Doc::"d" {}: allowed by a, b`.
fn decided(engine: &Engine, line: &str) -> String {
    let request = asked(line);
    let explanation = engine.explain(&request);
    assert_eq!(engine.decide(&request), explanation.decision);
    let ids = || explanation.determining.iter().map(|policy| &*policy.rule.id).collect::<Vec<_>>().join(", ");
    let mut told = match &explanation.decision.why {
        Why::AllowedBy(_) => format!("{line}: allowed by {}", ids()),
        Why::ForbiddenBy(_) => format!("{line}: forbidden by {}", ids()),
        Why::NotPermitted => format!("{line}: not permitted"),
        Why::Error(fault) => format!("{line}: denied, {fault}"),
    };
    for failed in &explanation.failed {
        let _ = write!(told, "\n  passed over {}: {}", failed.instance.rule.id, failed.message);
    }
    told
}

/// The request that a line is.
fn asked(line: &str) -> Request {
    let (asked, supplied) = line.split_once(" with ").map_or((line, None), |(asked, supplied)| (asked, Some(supplied)));
    let (entities, context) =
        asked.split_once(" {").map_or((asked, "{}".to_owned()), |(entities, rest)| (entities, format!("{{{rest}")));
    let mut parts =
        entities.split(' ').map(|part| part.parse::<EntityRef>().unwrap_or_else(|error| panic!("{line}: {error}")));
    let mut part = || parts.next().unwrap_or_else(|| panic!("{line}: a principal, an action and a resource"));
    let request = Request::new(part(), part(), part())
        .with_context_json(&context)
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    match supplied.map(json::parse) {
        Some(supplied) => {
            request.with_principal_attributes(supplied.unwrap_or_else(|error| panic!("{line}: {error:?}")))
        }
        None => request,
    }
}
