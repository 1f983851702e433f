//! RUNE, as a program that embeds it has it.

use std::{fs, io, path::Path};

use rune_core::{
    Options, Program, Sources, Threads,
    base::{File, Values as _},
};

use super::Clock;

/// The file of a ruleset without which it is only what is given.
const RULES: &str = "rules.rune";

/// The files of a folder that are RUNE's, with the rules or without.
pub fn sources(dir: &Path, is_with_rules: bool) -> io::Result<Sources> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if (name.ends_with(".tsv") || name.ends_with(".rune")) && (is_with_rules || name != RULES) {
            files.push(File::new(name, fs::read(path)?));
        }
    }
    Ok(Sources::new(files))
}

/// Builds a program on one thread.
///
/// # Errors
///
/// The first finding.
pub fn build(sources: Sources) -> Result<Program, String> {
    build_on(Threads::ONE, sources)
}

fn build_on(threads: Threads, sources: Sources) -> Result<Program, String> {
    Program::build(sources, Options { threads, ..Options::default() }).map_err(|error| {
        let text = error.to_string();
        text.lines().find(|line| line.starts_with("error")).unwrap_or(&text).to_owned()
    })
}

/// What the rows of the outputs come to.
pub fn count(program: &str, built: &Program) -> Result<u64, String> {
    let facts = built.facts();
    let mut count = 0;
    for output in crate::bulk::outputs(program) {
        let id = built.rules().relation(output).ok_or_else(|| format!("there is no relation {output}"))?;
        let Some(relation) = facts.facts().relations.get(id) else { return Err(format!("{output} has no rows")) };
        if program == "agg" {
            let last = |row: &[_]| row.last().and_then(|value| facts.values().show(*value).parse::<u64>().ok());
            count += relation.rows.rows().filter_map(last).sum::<u64>();
        } else {
            count += u64::from(relation.rows.len());
        }
    }
    Ok(count)
}

pub fn run(engine: &str, program: &str, dir: &Path, clock: &mut Clock) -> Result<(), String> {
    let is_with_rules = engine != "rune-given";
    let sources = sources(dir, is_with_rules).map_err(|error| error.to_string())?;
    clock.loaded();
    let threads = if engine == "rune-threads" { Threads::available() } else { Threads::ONE };
    let built = build_on(threads, sources)?;
    clock.report(if is_with_rules { count(program, &built)? } else { 0 });
    // What a server never does either: taking it down.
    std::mem::forget(built);
    Ok(())
}
