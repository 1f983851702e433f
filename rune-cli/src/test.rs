//! `rune test`: what came of each test of a folder.

use std::path::PathBuf;

use anyhow::{Context, Result};
use rune_core::{
    Options, Program, Severity,
    program::{ClauseCoverage, TestResult},
};
use serde_json::{Value as Json, json};

use crate::{Outcome, check::number, junit, output::Output, report, watch};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of policies.
    #[arg(value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
    /// Show and count only tests whose name holds this text; all of them run, and all count for `--coverage`.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Say which clauses of policies and rules no test shows to matter: exit code 1 if there are any.
    #[arg(long)]
    coverage: bool,
    /// Write the results to this file in the format of `JUnit`.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Run them again after every edit, until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    // A failing test is a result here, and no reason not to run the others.
    let options = Options { failing_test: Severity::Warning, coverage: arguments.coverage, ..Options::default() };
    if arguments.watch {
        let again = arguments.clone();
        return watch::run(&arguments.dir, options, output, move |built| match built {
            Ok(program) => tell(program, &again, output),
            Err(refusal) => {
                report::refused("the ruleset", refusal, output);
                Ok(Outcome::Unusable)
            }
        });
    }
    let Some(program) = report::program(&arguments.dir, options, output)? else { return Ok(Outcome::Unusable) };
    tell(&program, arguments, output)
}

fn tell(program: &Program, arguments: &Arguments, output: Output) -> Result<Outcome> {
    let is_meant = |result: &&TestResult| arguments.filter.as_ref().is_none_or(|text| result.name.contains(text));
    let results: Vec<_> = program.tests().iter().filter(is_meant).collect();
    let n_failed = results.iter().filter(|result| result.failure.is_some()).count();
    let mut lines: Vec<String> = results.iter().map(|result| text(program, result)).collect();
    let uncovered: Vec<_> = program.coverage().iter().filter(|clause| !(clause.was_true && clause.was_false)).collect();
    lines.extend(uncovered.iter().map(|clause| uncovered_text(program, clause)));
    if arguments.coverage {
        let n = program.coverage().len();
        lines.push(format!("{} of {} true in one test and false in another", n - uncovered.len(), number(n, "clause")));
    }
    if let Some(path) = &arguments.junit {
        #[expect(clippy::disallowed_methods, reason = "the file that was asked for")]
        std::fs::write(path, junit::xml(program, &results)).with_context(|| format!("{}", path.display()))?;
    }
    if let (Some(text), true) = (&arguments.filter, results.is_empty()) {
        lines.push(format!("no test has \"{text}\" in its name, of {}", program.tests().len()));
    }
    lines.push(format!("{} passed, {n_failed} failed", number(results.len() - n_failed, "test")));
    output.result(&lines.join("\n"), || {
        json!({
            "tests": results.iter().map(|result| result_json(program, result)).collect::<Json>(),
            "passed": results.len() - n_failed,
            "failed": n_failed,
            "coverage": program.coverage().iter().map(|clause| clause_json(program, clause)).collect::<Json>(),
            "version": program.version().to_string(),
        })
    });
    // No test is not a success: nothing was shown.
    Ok(if 0 < n_failed || results.is_empty() || !uncovered.is_empty() { Outcome::No } else { Outcome::Yes })
}

fn text(program: &Program, result: &TestResult) -> String {
    match &result.failure {
        None => format!("ok      {}", result.name),
        Some(failure) => {
            let path = program.sources().file(result.span.file).map_or("", |file| &*file.path);
            let place = program.sources().place(result.span);
            format!("FAILED  {} ({path}:{}:{})\n        {failure}", result.name, place.line, place.column)
        }
    }
}

fn result_json(program: &Program, result: &TestResult) -> Json {
    let place = program.sources().place(result.span);
    json!({
        "name": &*result.name,
        "path": program.sources().file(result.span.file).map_or("", |file| &*file.path),
        "line": place.line,
        "column": place.column,
        "passed": result.failure.is_none(),
        "failure": result.failure,
    })
}

/// What is missing of a clause, and where.
fn uncovered_text(program: &Program, clause: &ClauseCoverage) -> String {
    let missing = match (clause.was_true, clause.was_false) {
        (false, false) => "never true and never false",
        (false, true) => "never true",
        _ => "never false",
    };
    let path = program.sources().file(clause.span.file).map_or("", |file| &*file.path);
    let place = program.sources().place(clause.span);
    format!("{missing}: {} ({}, {path}:{}:{})", clause.text, clause.id, place.line, place.column)
}

fn clause_json(program: &Program, clause: &ClauseCoverage) -> Json {
    let place = program.sources().place(clause.span);
    json!({
        "id": &*clause.id,
        "clause": clause.text,
        "path": program.sources().file(clause.span.file).map_or("", |file| &*file.path),
        "line": place.line,
        "column": place.column,
        "true": clause.was_true,
        "false": clause.was_false,
    })
}
