//! The `rune` command line: check, evaluate and serve policies that are edited in place.
//!
//! Exit codes: 0 for allowed or in order, 1 for denied, with errors or not laid out, 2 for wrong usage, a ruleset that
//! cannot be served, or a failure.

mod check;
mod completions;
mod dir;
mod eval;
mod explain;
mod facts;
mod fmt;
mod help;
mod init;
mod junit;
mod list;
mod man;
mod output;
mod query;
mod relations;
mod repl;
pub mod report;
mod request;
mod schema;
pub mod serve;
mod shell;
mod shown;
mod stop;
mod test;
mod watch;

use std::process::ExitCode;

use clap::{ColorChoice, Parser, Subcommand};

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
#[command(
    name = "rune",
    version,
    about = "Policies that are edited in place: check them, try them, serve them",
    after_long_help = help::RUNE,
    color = output::color_before_parsing(std::env::args_os()),
)]
struct Arguments {
    /// Print JSON for machines instead of text for people.
    #[arg(long, global = true)]
    json: bool,
    /// When findings are coloured; results never are.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a first ruleset, to read and to change.
    ///
    /// It has facts, a rule, a policy and tests, and says what each is for. Nothing that is there is overwritten: a folder that
    /// holds files of a ruleset is left as it is.
    #[command(after_long_help = help::INIT)]
    Init(init::Arguments),
    /// Say everything that is wrong with a folder of policies.
    ///
    /// Names, types, rules, policies and tests are checked as they are before a version is served. Findings go to standard
    /// error, each with its place; a summary goes to standard output.
    #[command(after_long_help = help::CHECK)]
    Check(check::Arguments),
    /// Run the tests of a folder of policies.
    ///
    /// Tests stand in the files that they test, in sections `[test."…"]`. They run before anything is served, too.
    #[command(after_long_help = help::TEST)]
    Test(test::Arguments),
    /// Print the schema with the attributes that rules derive, for Cedar's own tools.
    ///
    /// For a ruleset without a schema it prints one that follows from what is in use, to begin with.
    #[command(after_long_help = help::SCHEMA)]
    Schema(schema::Arguments),
    /// Decide one request by a folder of policies.
    ///
    /// The decision is told with the policies that determine it, the reason that each gives in its `@reason`, and with those that
    /// were passed over because they failed.
    #[command(after_long_help = help::EVAL)]
    Eval(eval::Arguments),
    /// Say why a request is allowed or not.
    ///
    /// What decides is shown with its clauses and what they come to, the facts that they rest on, and what those follow from, down
    /// to the lines where facts stand. Of a request that is allowed: the forbids about its action that do not hold, and for want of
    /// what. Of a request that no policy permits: the permits that come nearest, the first clause of each that does not hold, and a
    /// few facts with which it would be allowed.
    #[command(after_long_help = help::EXPLAIN)]
    Explain(explain::Arguments),
    /// Print the rows that satisfy conditions, as in the body of a rule.
    ///
    /// A query may be about every relation that rules may read, known entities, stored attributes and who is in what included.
    /// It is whole, in an order of its own.
    #[command(after_long_help = help::QUERY)]
    Query(query::Arguments),
    /// Ask a folder of policies one thing after another, and try facts and rules on it.
    ///
    /// Each line is a query, a fact or a rule for trial, which ends with a period, or a command; `:help` has the commands. What is
    /// on trial is never written to the folder; facts on trial may be rows of relations that are `@live`, which no file gives any.
    /// Edits of the folder are told, and in force for the next line.
    #[command(after_long_help = help::REPL)]
    Repl(repl::Arguments),
    /// List who may, what one may do, or to what.
    ///
    /// Each known entity, one that is stored or that a fact names, is decided about as a request for it would be; what cannot be decided about is
    /// told. A permit that asks nothing of its principal or resource is for strangers, too, whom no list has.
    #[command(after_long_help = help::LIST)]
    List(list::Arguments),
    /// Try live facts on a folder of policies, in memory.
    ///
    /// It lists the relations and the entity types that are `@live`, applies batches of changes to them, each whole or not at all,
    /// and answers a query or a request over the facts as they are then. Nothing is written to the folder, and nothing is kept.
    #[command(after_long_help = help::FACTS)]
    Facts(facts::Arguments),
    /// Lay out `.rune` and `.cedar` files, each in the one way there is.
    ///
    /// Comments stay, meaning stays, and a file that does not parse stays as it is.
    #[command(after_long_help = help::FMT)]
    Fmt(fmt::Arguments),
    /// Serve a folder of policies over HTTP, and follow every edit.
    ///
    /// An edit is in force a few milliseconds after it was saved, whole or not at all; one with errors changes nothing, and is
    /// told.
    #[command(after_long_help = help::SERVE)]
    Serve(serve::Arguments),
    /// Print what lets a shell complete the words of `rune`.
    ///
    /// What is printed goes where the shell looks for it.
    #[command(after_long_help = help::COMPLETIONS)]
    Completions(completions::Arguments),
    /// Print the manual page of a command, or write those of all.
    ///
    /// Pages are in the language of `man`.
    #[command(after_long_help = help::MAN)]
    Man(man::Arguments),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = output::Output::new(arguments.json, arguments.color);
    let outcome = match &arguments.command {
        Command::Init(arguments) => init::run(arguments, output),
        Command::Check(arguments) => check::run(arguments, output),
        Command::Test(arguments) => test::run(arguments, output),
        Command::Schema(arguments) => schema::run(arguments, output),
        Command::Eval(arguments) => eval::run(arguments, output),
        Command::Explain(arguments) => explain::run(arguments, output),
        Command::Query(arguments) => query::run(arguments, output),
        Command::Repl(arguments) => repl::run(arguments, output),
        Command::List(arguments) => list::run(arguments, output),
        Command::Facts(arguments) => facts::run(arguments, output),
        Command::Fmt(arguments) => fmt::run(arguments, output),
        Command::Serve(arguments) => serve::run(arguments, output),
        Command::Completions(arguments) => completions::run(arguments, output),
        Command::Man(arguments) => man::run(arguments, output),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;

    /// Asserts what clap asserts in debug builds alone: names of arguments and of their groups are there once in a command.
    fn check_names(command: &clap::Command) {
        let groups = command.get_groups().map(clap::ArgGroup::get_id);
        let mut names = BTreeSet::new();
        for name in command.get_arguments().map(clap::Arg::get_id).chain(groups) {
            assert!(names.insert(name), "`{name}` is there twice in `{}`", command.get_name());
        }
        command.get_subcommands().for_each(check_names);
    }

    #[test]
    fn the_command_line_is_one_that_clap_takes() {
        let mut command = Arguments::command();
        command.build();
        check_names(&command);
        // In a release build this asserts nothing.
        command.debug_assert();
    }
}
