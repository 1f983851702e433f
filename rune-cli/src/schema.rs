//! `rune schema`: Cedar's schema with the attributes that rules derive, or what a ruleset without one shows of it.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use rune_core::{Options, Severity};
use serde_json::json;

use crate::{Outcome, output::Output, report};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of policies.
    #[arg(value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    // Policies that do not validate yet are what the schema is wanted for.
    let options = Options { invalid_policy: Severity::Warning, failing_test: Severity::Warning, ..Options::default() };
    let Some(program) = report::program(&arguments.dir, options, output)? else { return Ok(Outcome::Unusable) };
    let Some(schema) = program.extended_schema() else {
        let message = "the ruleset has no schema, and shows nothing of one";
        output.error(message);
        return Ok(Outcome::No);
    };
    let schema = schema.map_err(|fault| anyhow!("the schema cannot be written: {fault}"))?;
    let is_inferred = program.schema().is_none();
    let note = "// There is no schema. This one follows from what is in use; each action applies to all types.\n";
    let text = if is_inferred { format!("{note}{schema}") } else { schema };
    output.result(
        text.trim_end(),
        || json!({ "schema": text, "inferred": is_inferred, "version": program.version().to_string() }),
    );
    Ok(Outcome::Yes)
}
