//! `rune completions`: what lets a shell complete the words of a command line.

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;

use crate::{Outcome, output::Output};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::Arguments::command(), "rune", &mut script);
    let script = String::from_utf8(script).context("the script is no text")?;
    output.result(script.trim_end(), || json!({ "shell": arguments.shell.to_string(), "script": script }));
    Ok(Outcome::Yes)
}
