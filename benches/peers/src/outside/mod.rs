//! Engines that are programs of their own, where they are installed: the same rules in their language, one worker each.

mod dialects;
mod programs;

use std::{fs, path::Path, process::Command};

/// By name, and what has to be there.
pub const ENGINES: [&str; 5] = ["souffle", "datatoad", "nemo", "duckdb", "swipl"];

/// Whether an engine is installed: on the `PATH`, or as a module of `python3`.
pub fn is_installed(engine: &str) -> bool {
    let command = match engine {
        "nemo" => ["python3", "-c", "import nmo_python"],
        "duckdb" => ["python3", "-c", "import duckdb"],
        _ => ["sh", "-c", &format!("command -v {engine}")],
    };
    Command::new(command[0]).args(&command[1..]).output().is_ok_and(|ran| ran.status.success())
}

/// The command that runs a program over the rows of a folder, if the engine can say that program. What it reads besides is put
/// into the folder `work`.
pub fn command(engine: &str, program: &str, dir: &Path, work: &Path) -> Option<Vec<String>> {
    let rules = dialects::Rules::read(program, dir);
    let (text, name) = match engine {
        "souffle" => (programs::souffle(&rules, dir), "p.dl"),
        "datatoad" => (programs::datatoad(&rules, dir)?, "p.toad"),
        "nemo" => (programs::nemo(&rules, dir), "p.py"),
        "duckdb" => (programs::duckdb(&rules, dir)?, "p.py"),
        "swipl" => (programs::swipl(&rules, dir, &work.join("facts.pl"))?, "p.pl"),
        _ => return None,
    };
    let path = work.join(format!("{engine}-{name}"));
    fs::write(&path, text).expect("the folder is ours");
    let path = path.display().to_string();
    let work = work.display().to_string();
    let command: &[&str] = match engine {
        "souffle" => &["souffle", "-D", &work, "-j", "1", &path],
        "datatoad" => &["datatoad", &path],
        "swipl" => &["swipl", "--table-space=12g", "--stack-limit=8g", "-q", "-f", &path],
        _ => &["python3", &path],
    };
    Some(command.iter().map(|part| (*part).to_owned()).collect())
}

/// What the outputs come to, as an engine prints it.
pub fn count(engine: &str, program: &str, output: &str) -> Option<u64> {
    let outputs = crate::bulk::outputs(program);
    let sizes = output.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (first, second) = (words.next()?, words.next()?);
        // Souffle prints the name first, datatoad the number.
        let (name, number) = if engine == "datatoad" { (second, first) } else { (first, second) };
        outputs.contains(&name).then(|| number.parse::<u64>().ok()).flatten()
    });
    match (engine, program) {
        ("souffle", "agg") => output.lines().rev().find_map(|line| line.trim().parse().ok()),
        ("souffle" | "datatoad", _) => sizes.reduce(|a, b| a + b),
        _ => output.split_once("count=")?.1.split_whitespace().next()?.parse().ok(),
    }
}

/// Seconds of evaluation alone, where an engine tells them.
pub fn evaluation_s(output: &str) -> Option<f64> {
    output.split_once("eval=")?.1.split_whitespace().next()?.parse().ok()
}

/// Processor time relative to Ascent's, at size `m`, published for these rules over data of the same families. In the order of
/// [`ENGINES`]; a ratio that is 0 was not published.
const PUBLISHED: [(&str, &str, [f64; 5]); 12] = [
    ("tc", "chain", [3.36, 1.74, 0.0, 1.72, 9.23]),
    ("tc", "rand", [3.23, 1.07, 9.44, 1.52, 6.51]),
    ("tc", "grid", [3.17, 0.71, 9.27, 1.75, 6.21]),
    ("tc", "sf", [2.36, 1.04, 10.8, 1.96, 9.12]),
    ("tcr", "rand", [1.50, 0.65, 4.51, 0.0, 0.0]),
    ("sg", "sg", [2.64, 0.54, 11.75, 2.00, 9.00]),
    ("andersen", "andersen", [4.40, 2.20, 12.0, 0.0, 0.0]),
    ("cspa", "cspa", [4.91, 1.18, 12.9, 0.0, 0.0]),
    ("tri", "tri", [3.27, 5.27, 3.13, 3.93, 38.1]),
    ("neg", "neg", [2.47, 0.0, 7.36, 0.0, 0.0]),
    ("agg", "agg", [3.64, 0.0, 7.82, 6.00, 0.0]),
    ("authz", "authz", [2.67, 1.08, 4.42, 0.0, 16.8]),
];

/// The published ratio of an engine's processor time to Ascent's.
pub fn published(engine: &str, program: &str, family: &str) -> Option<f64> {
    let at = ENGINES.iter().position(|name| *name == engine)?;
    let row = PUBLISHED.iter().find(|row| (row.0, row.1) == (program, family))?;
    Some(row.2[at]).filter(|ratio| 0.0 < *ratio)
}
