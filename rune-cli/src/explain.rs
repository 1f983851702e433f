//! `rune explain`: why a request is allowed or not, down to the lines where facts stand.

use std::path::PathBuf;

use anyhow::Result;
use rune_core::{Engine, Options};
use serde_json::json;

use crate::{Outcome, output::Output, report, request};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of policies.
    dir: PathBuf,
    #[command(flatten)]
    request: request::Whole,
    /// Show rules below rules so deep; 0 shows none.
    #[arg(long, value_name = "N", default_value_t = 3)]
    depth: usize,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let request = arguments.request.request()?;
    let Some(program) = report::program(&arguments.dir, Options::default(), output)? else {
        return Ok(Outcome::Unusable);
    };
    let explanation = Engine::new(program).explain(&request);
    output.result(explanation.tree(arguments.depth).trim_end(), || json!(explanation));
    Ok(if explanation.decision.is_allowed() { Outcome::Yes } else { Outcome::No })
}
