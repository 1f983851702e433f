//! Conformance: every case of Cedar's corpus, read by our own loaders, and the AuthZEN Todo scenario over HTTP.
//!
//! The corpora are not part of this repository. `RUNE_CORPORA` names the folder that holds them; without it this says that
//! it skipped, unless `CI=true`, where that is a failure. Fewer cases than there should be are a failure too.

#![expect(clippy::disallowed_methods, reason = "tests read files and the environment")]

mod support;
mod todo;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use rune_core::{Effect, Engine, EntityRef, File, Options, Program, Request, Severity, Sources, syntax::Node};
use serde_json::Value as Json;

/// Cases of Cedar that are given: 2,653 generated ones, and 17 written by hand.
const CEDAR_CASES: usize = 2_670;
const CEDAR_REQUESTS: usize = 21_283;
/// The drafts of the Todo scenario, each with its requests and its batches.
const TODO: [(&str, [usize; 2]); 3] = [("00", [40, 0]), ("01", [40, 0]), ("02", [40, 3])];

/// One operator or keyword, and what a mutant has in its place. A harness that does not see the difference sees nothing.
const MUTANTS: [(&str, &str); 5] = [("permit", "forbid"), ("==", "!="), ("&&", "||"), ("<", "<="), (" in ", " == ")];

fn main() -> ExitCode {
    let Some(corpora) = std::env::var_os("RUNE_CORPORA").map(PathBuf::from) else {
        let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        println!("conform: skipped, RUNE_CORPORA is not set{}", if is_ci { ", and CI must not skip" } else { "" });
        return if is_ci { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    };
    let mut failures = Vec::new();
    let files = cedar_files(&corpora.join("cedar"));
    let (n_cases, n_requests) = cedar(&files, None, &mut failures);
    println!("conform: cedar: {n_cases} cases, {n_requests} requests");
    if n_cases < CEDAR_CASES || n_requests < CEDAR_REQUESTS {
        failures.push(format!("expected at least {CEDAR_CASES} cases and {CEDAR_REQUESTS} requests of Cedar"));
    }
    for mutant in MUTANTS {
        let mut found = Vec::new();
        cedar(&files, Some(mutant), &mut found);
        // A mutant that is refused shows nothing about the engine; it must be decided, and differently.
        found.retain(|failure: &String| failure.contains(DIFFERS));
        println!("conform: mutant `{}` for `{}`: {} cases fail", mutant.1, mutant.0, found.len());
        if found.is_empty() {
            failures.push(format!("no case tells `{}` from `{}`", mutant.0, mutant.1));
        }
    }
    for (draft, expected) in TODO {
        let found = todo::run(&corpora.join(format!("authzen/todo-1.0-{draft}.json")), &mut failures);
        let [n_requests, n_batches] = found;
        println!("conform: AuthZEN Todo, draft {draft}: {n_requests} requests, {n_batches} batches");
        if found != expected {
            failures.push(format!("expected {expected:?} requests and batches of draft {draft} of the Todo scenario"));
        }
    }
    for failure in failures.iter().take(20) {
        println!("conform: FAILED {failure}");
    }
    println!("conform: {} failures", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

type Files = BTreeMap<String, Vec<u8>>;

/// Runs every Cedar case, perhaps with mutated policies, and returns how many cases and requests there were.
fn cedar(files: &Files, mutant: Option<(&str, &str)>, failures: &mut Vec<String>) -> (usize, usize) {
    let (mut n_cases, mut n_requests) = (0, 0);
    for (path, bytes) in files.iter().filter(|(path, _)| is_case(path)) {
        let case: Json = serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        n_cases += 1;
        n_requests += case["requests"].as_array().map_or(0, Vec::len);
        if let Err(failure) = run_case(&case, files, mutant) {
            failures.push(format!("{path}: {failure}"));
        }
    }
    (n_cases, n_requests)
}

fn is_case(path: &str) -> bool {
    path.ends_with(".json")
        && !path.ends_with("entities.json")
        && (path.starts_with("tests/") || path.starts_with("corpus-tests/"))
}

/// Every file of the corpus, by its path inside it.
fn cedar_files(root: &Path) -> Files {
    let mut files = BTreeMap::new();
    let archive = fs::File::open(root.join("corpus-tests.tar.gz")).expect("the corpus has its archive");
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(archive)).entries().expect("a tar archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("its bytes");
        files.insert(path, bytes);
    }
    let mut folders = vec![root.join("tests"), root.join("sample-data")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
                files.insert(name, fs::read(path).expect("its bytes"));
            }
        }
    }
    files
}

fn run_case(case: &Json, files: &Files, mutant: Option<(&str, &str)>) -> Result<(), String> {
    let file = |key: &str, name: &str| {
        let path = case[key].as_str().unwrap_or_default();
        File::new(name, files.get(path).unwrap_or_else(|| panic!("{path} is missing")).as_slice())
    };
    let mut policies = file("policies", "p.cedar");
    if let Some((from, to)) = mutant {
        policies = File::new("p.cedar", policies.text().replacen(from, to, 1).as_bytes());
    }
    let sources = Sources::new(vec![policies, file("schema", "s.cedarschema"), file("entities", "e.entities.json")]);
    // A case that is expected to validate must; the others are run as Cedar's own authorizer runs them.
    let options = if case["shouldValidate"] == true {
        Options::default()
    } else {
        Options { invalid_policy: Severity::Warning, ..Options::default() }
    };
    let program = Program::build(sources, options).map_err(|report| report.to_string())?;
    let engine = Engine::new(program);
    for request in case["requests"].as_array().into_iter().flatten() {
        run_request(&engine, request)
            .map_err(|failure| format!("{}: {failure}", request["description"].as_str().unwrap_or_default()))?;
    }
    Ok(())
}

/// What the failure of a request says that was decided in another way than expected.
const DIFFERS: &str = "expected";

fn run_request(engine: &Engine, case: &Json) -> Result<(), String> {
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let entity = |key: &str| EntityRef::new(text(&case[key]["type"]), text(&case[key]["id"]));
    let context: Node =
        rune_core::syntax::json::parse(&case["context"].to_string()).map_err(|error| error.to_string())?;
    let request = Request::new(entity("principal"), entity("action"), entity("resource")).with_context(context);
    let explanation = engine.explain(&request);
    let decision = engine.decide(&request);
    let effect = if case["decision"] == "allow" { Effect::Allow } else { Effect::Deny };
    if decision.effect() != effect || explanation.decision.effect() != effect {
        return Err(format!("{DIFFERS} {effect}, got {decision:?}"));
    }
    if decision != explanation.decision {
        return Err(format!("decided as {decision:?}, explained as {:?}", explanation.decision));
    }
    if let rune_core::Why::Error(fault) = &decision.why {
        return Err(format!("the request was not decided: {fault}"));
    }
    let ids = |key: &str| -> BTreeSet<String> { case[key].as_array().into_iter().flatten().map(&text).collect() };
    let plain = |id: &str| id.strip_prefix("p.cedar:").unwrap_or(id).to_owned();
    let determining: BTreeSet<String> = explanation.determining.iter().map(|policy| plain(&policy.rule.id)).collect();
    if determining != ids("reason") {
        return Err(format!("{DIFFERS} the reasons {:?}, got {determining:?}", ids("reason")));
    }
    let failed: BTreeSet<String> = explanation.failed.iter().map(|failed| plain(&failed.instance.rule.id)).collect();
    if failed != ids("errors") {
        return Err(format!("{DIFFERS} the errors {:?}, got {failed:?}", ids("errors")));
    }
    Ok(())
}
