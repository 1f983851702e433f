//! The `rune` command line: check, evaluate and serve policies that are edited in place.
//!
//! Exit codes: 0 for allowed or in order, 1 for denied, with errors or not laid out, 2 for wrong usage, a ruleset that
//! cannot be served, or a failure.

mod check;
mod eval;
mod explain;
mod fmt;
mod junit;
mod output;
pub mod report;
mod request;
mod schema;
pub mod serve;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What came of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// In order, or allowed.
    Yes,
    /// With errors, or denied.
    No,
    /// There was nothing to say yes or no about: a ruleset that cannot be served.
    Unusable,
}

#[derive(Debug, Parser)]
#[command(name = "rune", version, about = "Policies that are edited in place: check them, try them, serve them")]
struct Arguments {
    /// Print JSON for machines instead of text for people.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say everything that is wrong with a folder of policies.
    Check(check::Arguments),
    /// Run the tests of a folder of policies: exit code 0 if all pass.
    Test(test::Arguments),
    /// Print the schema with the attributes that rules derive, for Cedar's own tools.
    Schema(schema::Arguments),
    /// Decide one request by a folder of policies: exit code 0 allows, 1 denies.
    Eval(eval::Arguments),
    /// Say why a request is allowed or not: exit code 0 allows, 1 denies.
    Explain(explain::Arguments),
    /// Lay out `.rune` and `.cedar` files, each in the one way there is.
    Fmt(fmt::Arguments),
    /// Serve a folder of policies over HTTP, and follow every edit.
    Serve(serve::Arguments),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = output::Output::new(arguments.json);
    let outcome = match &arguments.command {
        Command::Check(arguments) => check::run(arguments, output),
        Command::Test(arguments) => test::run(arguments, output),
        Command::Schema(arguments) => schema::run(arguments, output),
        Command::Eval(arguments) => eval::run(arguments, output),
        Command::Explain(arguments) => explain::run(arguments, output),
        Command::Fmt(arguments) => fmt::run(arguments, output),
        Command::Serve(arguments) => serve::run(arguments, output),
    };
    match outcome {
        Ok(Outcome::Yes) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        Ok(Outcome::Unusable) => ExitCode::from(2),
        Err(error) => {
            output.error(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}
