//! `rune explain`: why a request is allowed or not, down to the lines where facts stand; and how such questions are answered.

use std::path::PathBuf;

use anyhow::Result;
use rune_core::{Engine, ExplainOptions, Options};
use serde_json::json;

use crate::{Outcome, output::Output, report, request, shown::Meter};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of policies.
    dir: PathBuf,
    #[command(flatten)]
    request: Option<request::Whole>,
    /// Show how questions about derived relations are answered, and what trials found that to take.
    #[arg(long, required_unless_present = "Whole", conflicts_with = "Whole")]
    plan: bool,
    /// Show the smallest proof alone: the fewest given facts, and of those proofs the fewest derived ones.
    #[arg(long, conflicts_with = "plan")]
    minimal: bool,
    /// Of what is not permitted, show what would have it allowed: sets of so many facts at most, and facts in the way.
    #[arg(long, value_name = "K", conflicts_with = "plan", value_parser = clap::value_parser!(u8).range(1..=8))]
    missing: Option<u8>,
    /// Say what the decision and its explanation took, on standard error.
    #[arg(long, conflicts_with = "plan")]
    stats: bool,
    /// Show rules below rules so deep; 0 shows none.
    #[arg(long, value_name = "N", default_value_t = 3)]
    depth: usize,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let request = arguments.request.as_ref().map(request::Whole::request).transpose()?;
    let Some(program) = report::program(&arguments.dir, Options::default(), output)? else {
        return Ok(Outcome::Unusable);
    };
    let Some(request) = request else {
        let plan = program.plan();
        let text = plan.to_string();
        let text = if text.is_empty() { "nothing is derived" } else { text.trim_end() };
        output.result(text, || json!(plan));
        return Ok(Outcome::Yes);
    };
    let options = ExplainOptions::default();
    let options = if arguments.minimal { options.minimal() } else { options };
    let options = arguments.missing.map_or(options, |n| options.missing(n.into()));
    let (engine, meter) = (Engine::new(program), Meter::start(arguments.stats, output));
    let explanation = engine.explain_with(&request, options);
    let stats = explanation.stats;
    meter.tell(&[("decision", stats.decision), ("explanation", stats.explanation)]);
    output
        .result(explanation.tree(arguments.depth).trim_end(), || meter.with_stats(json!(explanation), || json!(stats)));
    Ok(if explanation.decision.is_allowed() { Outcome::Yes } else { Outcome::No })
}
