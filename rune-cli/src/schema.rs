//! `rune schema`: Cedar's schema with the attributes that rules derive.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use rune_core::{Options, Severity};
use serde_json::json;

use crate::{Outcome, output::Output, report};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of policies.
    dir: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let sources = rune_core::reload::driver::read(&arguments.dir)?;
    // Policies that do not validate yet are what the schema is wanted for.
    let options = Options { invalid_policy: Severity::Warning, failing_test: Severity::Warning, ..Options::default() };
    let Some(program) = report::program(sources, options, output)? else { return Ok(Outcome::Unusable) };
    let Some(schema) = program.extended_schema() else {
        let message = "the ruleset has no schema";
        output.note(message);
        output.json(|| json!({ "error": message }));
        return Ok(Outcome::No);
    };
    let schema = schema.map_err(|fault| anyhow!("the schema cannot be written: {fault}"))?;
    output.result(schema.trim_end(), || json!({ "schema": schema, "version": program.version().to_string() }));
    Ok(Outcome::Yes)
}
