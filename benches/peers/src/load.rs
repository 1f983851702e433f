//! What is given, from text to indexed rows, and what a row takes.

use std::{env, fs, io::Write as _, path::Path};

use crate::{
    data::{Size, Tables},
    engines::rune,
    files,
    measure::{self, median},
    random::Random,
};

/// Rows of the relation that is measured for memory, between this many nodes: short enough for one file of rows.
const PAIRS: usize = 10_000_000;
const NODES: u32 = 100_000;

/// Prints how fast rows are loaded.
///
/// # Errors
///
/// If the files cannot be written.
pub fn rates(runs: usize, seconds_max: u32) -> Result<(), String> {
    println!("Load: text of the given rows to what is served, without rules; medians of {runs} runs.\n");
    println!("| data | rows | who | rows/s and core | CPU s | wall s | MiB |\n|---|---|---|---|---|---|---|");
    let cases =
        [("authz", Size::Million), ("github", Size::Million), ("users", Size::Million), ("authz", Size::TenMillion)];
    for (ruleset, size) in cases {
        let (dir, n_rows) = files::write_apart("demand", ruleset, ruleset, size)?;
        for who in ["rune-given", "by-hand"] {
            let name = if who == "by-hand" { "by hand: hash adjacency" } else { "RUNE" };
            let command = child(&["engine", who, ruleset, &dir.display().to_string()])?;
            let taken: Result<Vec<_>, _> = (0..runs).map(|_| measure::run(&command, seconds_max, &dir)).collect();
            match taken {
                Ok(taken) => {
                    let middle = |of: fn(&measure::Run) -> f64| median(&taken.iter().map(of).collect::<Vec<_>>());
                    let cpu_s = middle(|run| run.cpu_s);
                    println!(
                        "| {ruleset} {size} | {n_rows} | {name} | {:.2} M | {cpu_s:.2} | {:.2} | {:.0} |",
                        n_rows as f64 / cpu_s / 1e6,
                        middle(|run| run.wall_s),
                        middle(|run| run.rss_mib)
                    );
                }
                Err(failure) => println!("| {ruleset} {size} | {n_rows} | {name} | {} |  |  |  |", failure.why),
            }
        }
    }
    println!();
    Ok(())
}

/// Prints what a row of a binary relation takes.
///
/// # Errors
///
/// If the files cannot be written.
pub fn memory(seconds_max: u32) -> Result<(), String> {
    let command = child(&["memory-one"])?;
    println!("Memory: a binary relation of {PAIRS} given rows, read by a rule; resident bytes of the process.\n");
    match measure::run(&command, seconds_max, &std::env::temp_dir()) {
        Ok(run) => println!("{}", run.output),
        Err(failure) => println!("RUNE: {}\n", failure.why),
    }
    Ok(())
}

/// Builds the relation in this process.
///
/// # Errors
///
/// If it is refused.
pub fn memory_one() -> Result<(), String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/data/memory");
    write_pairs(&dir).map_err(|error| error.to_string())?;
    let sources = rune::sources(&dir, true).map_err(|error| error.to_string())?;
    let text = sources.files().map(|(_, file)| file.bytes.len()).sum::<usize>();
    let before = measure::memory_bytes("VmRSS") as f64;
    let built = rune::build(sources)?;
    let after = measure::memory_bytes("VmRSS") as f64;
    let peak = measure::memory_bytes("VmHWM") as f64;
    let of_row = |bytes: f64| bytes / PAIRS as f64;
    println!("| what | bytes a row |\n|---|---|");
    println!("| what building adds and keeps | {:.1} |", of_row(after - before));
    println!("| the text, which is kept | {:.1} |", of_row(text as f64));
    println!("| the highest while building, with the text | {:.1} |", of_row(peak));
    std::mem::forget(built);
    Ok(())
}

fn write_pairs(dir: &Path) -> std::io::Result<()> {
    let (mut random, mut tables) = (Random::of("memory"), Tables::default());
    tables.add("edge", (0..PAIRS).map(|_| [random.below(NODES), random.below(NODES)]));
    tables.write(dir)?;
    let mut ruleset = fs::File::create(dir.join("given.rune"))?;
    write!(
        ruleset,
        "version = \"rune/1.0\"\n[data]\nedge = {{ rows_from = \"edge.tsv\" }}\n[rules]\nrelation edge(Node, Node).\n\
         @id(\"edge\") permit(X, _, Y) :- edge(X, Y).\n"
    )
}

fn child(arguments: &[&str]) -> Result<Vec<String>, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    Ok([this.display().to_string()].into_iter().chain(arguments.iter().map(|part| (*part).to_owned())).collect())
}
