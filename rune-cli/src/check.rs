//! `rune check`: everything that is wrong with a folder.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rune_core::{BuildError, Options, Program, Report, Severity};
use serde_json::json;

use crate::{Outcome, dir, output::Output, report, watch};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of policies.
    #[arg(value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
    /// Check again after every edit, until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    if arguments.watch {
        return watch::run(&arguments.dir, Options::default(), output, move |built| Ok(tell(built, output)));
    }
    Ok(tell(build(&arguments.dir)?.as_ref(), output))
}

fn tell(built: Result<&Program, &Report>, output: Output) -> Outcome {
    let report = built.map_or_else(|report| report, Program::warnings);
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let (n_errors, n_warnings) = (count(Severity::Error), count(Severity::Warning));
    if !report.findings.is_empty() {
        output.note(&report::text(report, output.has_colour()));
    }
    let mut summary = match built {
        Ok(program) => format!("ok: {program}"),
        Err(_) => format!("refused: {}", number(n_errors, "error")),
    };
    if 0 < n_warnings {
        summary = format!("{summary}, {}", number(n_warnings, "warning"));
    }
    output.result(&summary, || {
        json!({
            "valid": built.is_ok(),
            "version": report.sources.version().to_string(),
            "findings": report::json(report),
            "findings_beyond": report.n_beyond,
        })
    });
    if built.is_ok() { Outcome::Yes } else { Outcome::No }
}

/// The program that a folder is, or every reason why it is none.
pub(crate) fn build(dir: &Path) -> Result<Result<Program, Report>> {
    let sources = dir::read(dir)?;
    match Program::build(sources, Options::default()) {
        Ok(program) => Ok(Ok(program)),
        Err(BuildError::Refused(report)) => Ok(Err(report)),
        Err(error @ BuildError::NoThread(_)) => Err(error.into()),
    }
}

/// `1 thing`, `n things`.
pub(crate) fn number(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}
