//! RUNE's Datalog beside other engines and hand-written code. README.md says what is measured, and how.

mod bulk;
mod change;
mod data;
mod demand;
mod engines;
mod files;
mod hand;
#[path = "../../live.rs"]
#[expect(dead_code, reason = "it is a benchmark by itself too")]
mod live;
mod load;
mod measure;
mod outside;
mod random;

use std::{env, path::Path, process::ExitCode};

use data::Size;

const USAGE: &str = "peers COMMAND [NAME…] [--sizes s,m,l,1M,10M] [--runs N] [--seconds N]

  all      every table
  bulk     everything that follows, against other engines
  demand   questions and lists, against hand-written code
  load     text to indexed rows
  memory   what a row takes
  change   one edge of a closure
  live     facts that come and go while decisions are made
  write KIND RULESET FAMILY SIZE   writes a ruleset with its rows: KIND is bulk or demand

Names are programs, families of data and engines; without one, all. README.md has the list.";

/// What follows the command.
struct Arguments {
    names: Vec<String>,
    sizes: Option<Vec<Size>>,
    runs: usize,
    seconds_max: u32,
}

impl Arguments {
    fn read(mut rest: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self { names: Vec::new(), sizes: None, runs: 5, seconds_max: 120 };
        while let Some(argument) = rest.next() {
            if !argument.starts_with("--") {
                arguments.names.push(argument);
                continue;
            }
            let value = rest.next().ok_or_else(|| format!("{argument} needs a value"))?;
            let number = || value.parse::<u32>().map_err(|_| format!("`{value}` is no number"));
            match &*argument {
                "--sizes" => arguments.sizes = Some(value.split(',').map(str::parse).collect::<Result<_, _>>()?),
                "--runs" => arguments.runs = number()?.max(1) as usize,
                "--seconds" => arguments.seconds_max = number()?,
                _ => return Err(format!("{argument} is no option\n\n{USAGE}")),
            }
        }
        Ok(arguments)
    }

    fn bulk(&self) -> Result<(), String> {
        let sizes = self.sizes.clone().unwrap_or_else(|| vec![Size::M]);
        bulk::table(&bulk::Options { sizes, runs: self.runs, seconds_max: self.seconds_max, only: self.names.clone() })
    }

    fn demand(&self) -> Result<(), String> {
        let sizes = self.sizes.clone().unwrap_or_else(|| vec![Size::M, Size::Million, Size::TenMillion]);
        demand::table(&demand::Options { sizes, seconds_max: self.seconds_max, only: self.names.clone() })
    }

    /// Every table, whatever goes wrong in one of them.
    fn all(&self) -> Result<(), String> {
        let (runs, seconds_max) = (self.runs, self.seconds_max);
        let tables = [
            self.bulk(),
            self.demand(),
            load::rates(runs.min(3), seconds_max),
            load::memory(seconds_max),
            change::table(),
        ];
        live::run(&[], 1);
        let errors: Vec<String> = tables.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
    }
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    match run(&command, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, rest: impl Iterator<Item = String>) -> Result<(), String> {
    let arguments = Arguments::read(rest)?;
    let names: Vec<&str> = arguments.names.iter().map(String::as_str).collect();
    match (command, &*names) {
        ("all", []) => arguments.all(),
        ("bulk", _) => arguments.bulk(),
        ("demand", _) => arguments.demand(),
        ("load", []) => load::rates(arguments.runs.min(3), arguments.seconds_max),
        ("memory", []) => load::memory(arguments.seconds_max),
        ("change", []) => change::table(),
        ("live", _) => {
            live::run(&arguments.names, 1);
            Ok(())
        }
        ("write", [kind, ruleset, family, size]) => {
            let files = files::Files::write(kind, ruleset, family, size.parse()?)?;
            println!("{}: {} rows", files.dir.display(), files.data.tables.n_rows());
            Ok(())
        }
        // What the tables start.
        ("engine", [engine, program, dir]) => engines::run(engine, program, Path::new(dir)),
        ("questions", [ruleset, family, size]) => demand::one(ruleset, family, size.parse()?),
        ("memory-one", []) => load::memory_one(),
        _ => Err(USAGE.to_owned()),
    }
}
