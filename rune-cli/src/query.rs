//! `rune query`: the rows that satisfy conditions, as in the body of a rule.

use std::path::PathBuf;

use anyhow::{Result, bail};
use rune_core::{Engine, ExplainOptions, Options, OwnedValue, Proof, QueryError, Rows};
use serde_json::{Value as Json, json};

use crate::{
    Outcome,
    output::Output,
    report, request,
    shown::{Meter, Shown},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of policies.
    dir: PathBuf,
    /// Conditions: `can_read(User::"ada", D), D in Folder::"specs"`.
    query: String,
    #[command(flatten)]
    request: request::Optional,
    #[command(flatten)]
    shown: Shown,
    /// Say why there is a row: what makes the first of them true; or why there is none.
    #[arg(long, conflicts_with_all = ["count", "limit"])]
    why: bool,
    /// With `--why`, the smallest proof of all rows: the fewest given facts, and of those proofs the fewest derived ones.
    #[arg(long, requires = "why")]
    minimal: bool,
    /// With `--why`, if there is no row: what would have there be one, of so many facts at most.
    #[arg(long, value_name = "K", requires = "why", value_parser = clap::value_parser!(u8).range(1..=8))]
    missing: Option<u8>,
    /// With `--why`, show rules below rules so deep; 0 shows none.
    #[arg(long, value_name = "N", default_value_t = 3, requires = "why")]
    depth: usize,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let request = arguments.request.request()?;
    let Some(program) = report::program(&arguments.dir, Options::default(), output)? else {
        return Ok(Outcome::Unusable);
    };
    let (engine, meter) = (Engine::new(program), Meter::start(arguments.shown.stats, output));
    let answered = if arguments.why {
        let options = ExplainOptions::default();
        let options = if arguments.minimal { options.minimal() } else { options };
        let options = arguments.missing.map_or(options, |n| options.missing(n.into()));
        engine.prove_with(&arguments.query, request.as_ref(), options).map(|proof| {
            meter.tell(&[("proof", proof.stats)]);
            tell_why(&proof, arguments, &meter, output)
        })
    } else {
        engine.query(&arguments.query, request.as_ref()).map(|rows| {
            meter.tell(&[("query", rows.stats)]);
            tell(&rows, arguments, output)
        })
    };
    answered.or_else(|error| unanswered(error, output))
}

/// Tells why a query has no answer.
pub(crate) fn unanswered(error: QueryError, output: Output) -> Result<Outcome> {
    match error {
        QueryError::Refused(refusal) => {
            report::refused("the query", &refusal, output);
            Ok(Outcome::Unusable)
        }
        QueryError::NoRequest => {
            bail!(
                "the query depends on a request: give --principal, --action and --resource, and --context if it has one"
            )
        }
        error => Err(error.into()),
    }
}

fn tell_why(proof: &Proof, arguments: &Arguments, meter: &Meter, output: Output) -> Outcome {
    output.result(proof.tree(arguments.depth).trim_end(), || meter.with_stats(json!(proof), || json!(proof.stats)));
    if proof.holds { Outcome::Yes } else { Outcome::No }
}

fn tell(rows: &Rows, arguments: &Arguments, output: Output) -> Outcome {
    output.result(&text(rows, arguments.shown), || json(rows, arguments.shown));
    if let Some(message) = open(rows) {
        output.warn(&message);
    }
    if rows.rows.is_empty() { Outcome::No } else { Outcome::Yes }
}

/// What the rows leave open.
pub(crate) fn open(rows: &Rows) -> Option<String> {
    rows.undetermined.as_ref().map(|cause| format!("there may be more rows: {cause}"))
}

pub(crate) fn text(rows: &Rows, shown: Shown) -> String {
    let n_rows = rows.rows.len();
    let row = |row: &Vec<OwnedValue>| {
        let values: Vec<_> = rows.columns.iter().zip(row).map(|(name, value)| format!("{name} = {value}")).collect();
        values.join(", ")
    };
    let lines: Vec<String> = match (rows.columns.is_empty(), shown.count) {
        (_, true) => vec![n_rows.to_string()],
        (true, false) => vec![if rows.rows.is_empty() { "no" } else { "yes" }.to_owned()],
        (false, false) if rows.rows.is_empty() => vec!["no rows".to_owned()],
        (false, false) => {
            let lines = rows.rows.iter().take(shown.n_of(n_rows)).map(row);
            lines.chain(shown.rest_of(n_rows)).collect()
        }
    };
    lines.join("\n")
}

pub(crate) fn json(rows: &Rows, shown: Shown) -> Json {
    json!({
        "columns": rows.columns,
        "rows": rows.rows.get(..shown.n_of(rows.rows.len())),
        "count": rows.rows.len(),
        "undetermined": rows.undetermined,
        "stats": rows.stats,
    })
}
