//! Bulk evaluation: everything that follows, from text to the last row.
//!
//! Each run of an engine is a process of its own over the same files. Runs of one program are interleaved: all engines once, then all
//! again. Whoever counts something else than RUNE fails the whole.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use crate::{
    data::Size,
    engines, files,
    measure::{self, Run, geometric_mean, median},
    outside,
};

/// A program and the family of its data.
const CASES: [(&str, &str); 12] = [
    ("tc", "chain"),
    ("tc", "rand"),
    ("tc", "grid"),
    ("tc", "sf"),
    ("tcr", "rand"),
    ("sg", "sg"),
    ("andersen", "andersen"),
    ("cspa", "cspa"),
    ("tri", "tri"),
    ("neg", "neg"),
    ("agg", "agg"),
    ("authz", "authz"),
];

/// The relations of a program that are counted.
pub fn outputs(program: &str) -> &'static [&'static str] {
    match program {
        "tc" | "tcr" => &["path"],
        "sg" => &["sg"],
        "andersen" => &["pt"],
        "cspa" => &["vf", "ma", "va"],
        "tri" => &["tri"],
        "neg" => &["lost"],
        "agg" => &["cnt", "mx"],
        _ => &["may"],
    }
}

/// How to measure.
pub struct Options {
    pub sizes: Vec<Size>,
    pub runs: usize,
    pub seconds_max: u32,
    /// Only the programs, families and engines with one of these names; all if there is none.
    pub only: Vec<String>,
}

/// One engine on one program.
#[derive(Default)]
struct Series {
    runs: Vec<Run>,
    /// Why there are no more.
    failure: Option<String>,
}

impl Series {
    fn median(&self, of: fn(&Run) -> f64) -> Option<f64> {
        let done = self.failure.is_none() && !self.runs.is_empty();
        done.then(|| median(&self.runs.iter().map(of).collect::<Vec<_>>()))
    }

    fn cpu_s(&self) -> Option<f64> {
        self.median(|run| run.cpu_s)
    }
}

/// RUNE's time over an engine's, and whether that engine was not run but quoted.
#[derive(Clone, Copy)]
struct Ratio {
    value: f64,
    is_quoted: bool,
}

/// Prints the table. An error names every count that differs.
///
/// # Errors
///
/// If an engine counts something else than RUNE does, or RUNE has no result.
pub fn table(options: &Options) -> Result<(), String> {
    let is_wanted =
        |names: &[&str]| options.only.is_empty() || names.iter().any(|n| options.only.iter().any(|o| o == n));
    let chosen = |engine: &str| {
        let is_named = |name: &str| options.only.iter().any(|only| only == name);
        let all = engines::ENGINES.iter().chain(&outside::ENGINES);
        !all.into_iter().any(|name| is_named(name))
            || is_named(engine)
            || engine == "ascent"
            || engines::OURS.contains(&engine)
    };
    let mut engines: Vec<&str> = engines::ENGINES.into_iter().filter(|engine| chosen(engine)).collect();
    engines.retain(|engine| cfg!(feature = "differential") || *engine != "differential");
    let outside: Vec<&str> = outside::ENGINES.into_iter().filter(|engine| chosen(engine)).collect();
    engines.extend(outside.iter().filter(|engine| outside::is_installed(engine)));
    let peers = engines::ENGINES.into_iter().filter(|engine| !engines::OURS.contains(engine) && chosen(engine));
    let peers: Vec<&str> = peers.chain(outside).collect();
    let has_case = CASES.iter().any(|(program, family)| options.only.iter().any(|o| o == program || o == family));

    println!(
        "Bulk evaluation: text to all rows, processor time in seconds, and RUNE's over it; medians of {} runs.\n",
        options.runs
    );
    println!("| program | size | rows | RUNE | wall | MiB | {} |", peers.join(" | "));
    println!("|---|---|---|---|---|---|{}", "---|".repeat(peers.len()));
    let (mut differences, mut ratios): (Vec<String>, BTreeMap<&str, Vec<Ratio>>) = Default::default();
    let (mut alone, mut of_alone): (Vec<String>, BTreeMap<&str, Vec<f64>>) = Default::default();
    let (mut memory, mut threads) = (Vec::new(), Vec::new());
    for size in &options.sizes {
        for (program, family) in CASES {
            if has_case && !is_wanted(&[program, family]) {
                continue;
            }
            let case = Case { program, family, size: *size };
            let series = case.measure(&engines, options, &mut differences)?;
            case.print(&series, &peers, &mut ratios);
            alone.extend(case.evaluation(&series, &peers, &mut of_alone));
            memory.push(case.memory(&series, &peers));
            threads.extend(case.threads(&series));
        }
    }
    let means: Vec<_> = peers.iter().map(|peer| mean(ratios.get(peer).map_or(&[], Vec::as_slice))).collect();
    println!("| **geometric mean** |  |  |  |  |  | {} |", means.join(" | "));
    println!("\nMarked `*`: not installed here; the published ratio to Ascent, by way of Ascent's time in this run.\n");
    println!(
        "Evaluation alone, in seconds, and RUNE's over it: RUNE's is the processor time of a build less that of a build"
    );
    println!("without the rules; the others' is what they say.\n");
    println!("| program | size | RUNE | {} |", peers.join(" | "));
    println!("|---|---|---|{}", "---|".repeat(peers.len()));
    alone.iter().for_each(|row| println!("{row}"));
    let quoted =
        |ratios: &Vec<f64>| ratios.iter().map(|value| Ratio { value: *value, is_quoted: false }).collect::<Vec<_>>();
    let means: Vec<_> = peers.iter().map(|peer| mean(&of_alone.get(peer).map(quoted).unwrap_or_default())).collect();
    println!("| **geometric mean** |  |  | {} |\n", means.join(" | "));
    println!("Most memory resident at once, in MiB.\n");
    println!("| program | size | RUNE | {} |", peers.join(" | "));
    println!("|---|---|---|{}", "---|".repeat(peers.len()));
    memory.iter().for_each(|row| println!("{row}"));
    println!(
        "\nRUNE on one thread and on as many as there are: evaluation alone, in seconds of wall time, and processor time.\n"
    );
    println!("| program | size | one, wall | all, wall | ratio | one, processor | all, processor | ratio | MiB |");
    println!("|---|---|---|---|---|---|---|---|---|");
    threads.iter().for_each(|row| println!("{row}"));
    println!();
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
}

fn mean(ratios: &[Ratio]) -> String {
    let of = |is_quoted| {
        let chosen: Vec<_> = ratios.iter().filter(|r| r.is_quoted == is_quoted).map(|r| r.value).collect();
        let worst = chosen.iter().copied().fold(0.0, f64::max);
        let mark = if is_quoted { "\\*" } else { "" };
        (!chosen.is_empty())
            .then(|| format!("{:.2}×{mark}, worst {worst:.2}× (n={})", geometric_mean(&chosen), chosen.len()))
    };
    of(false).or_else(|| of(true)).unwrap_or_default()
}

struct Case {
    program: &'static str,
    family: &'static str,
    size: Size,
}

impl Case {
    fn name(&self) -> String {
        if self.program == self.family { self.program.to_owned() } else { format!("{} {}", self.program, self.family) }
    }

    /// All engines in turn, as often as asked.
    fn measure<'e>(
        &self,
        engines: &[&'e str],
        options: &Options,
        differences: &mut Vec<String>,
    ) -> Result<BTreeMap<&'e str, Series>, String> {
        let (dir, _) = files::write_apart("bulk", self.program, self.family, self.size)?;
        let work = dir.join("work");
        fs::create_dir_all(&work).map_err(|error| error.to_string())?;
        let commands: Vec<_> =
            engines.iter().filter_map(|engine| Some((*engine, self.command(engine, &dir, &work)?))).collect();
        let mut all: BTreeMap<&str, Series> = BTreeMap::new();
        for _ in 0..options.runs {
            for (engine, command) in &commands {
                let series = all.entry(engine).or_default();
                if series.failure.is_none() {
                    match measure::run(command, options.seconds_max, &work) {
                        Ok(run) if *engine != "rune-given" && self.count(engine, &run).is_none() => {
                            series.failure = Some("it ended without a count".to_owned());
                        }
                        Ok(run) => series.runs.push(run),
                        Err(failure) => series.failure = Some(failure.why),
                    }
                }
            }
        }
        let rune = all.get("rune").and_then(|series| self.count("rune", series.runs.first()?));
        if rune.is_none() {
            let why = all.get("rune").and_then(|series| series.failure.clone());
            differences.push(format!("{} {}: RUNE has no result: {}", self.name(), self.size, why.unwrap_or_default()));
        }
        for (engine, series) in &all {
            let mut counts = series.runs.iter().map(|run| self.count(engine, run));
            if let Some(other) =
                counts.find(|count| *count != rune).filter(|_| *engine != "rune-given" && rune.is_some())
            {
                differences.push(format!("{} {}: RUNE counts {rune:?}, {engine} {other:?}", self.name(), self.size));
            }
        }
        Ok(all)
    }

    fn command(&self, engine: &str, dir: &Path, work: &Path) -> Option<Vec<String>> {
        if outside::ENGINES.contains(&engine) {
            return outside::command(engine, self.program, dir, work);
        }
        let is_there = match engine {
            "datafrog" => self.program != "agg",
            "differential" => ["tc", "authz"].contains(&self.program),
            _ => true,
        };
        let this: PathBuf = env::current_exe().ok()?;
        let parts = [&this.display().to_string(), "engine", engine, self.program, &dir.display().to_string()];
        is_there.then(|| parts.iter().map(|part| (*part).to_owned()).collect())
    }

    fn count(&self, engine: &str, run: &Run) -> Option<u64> {
        if outside::ENGINES.contains(&engine) {
            return outside::count(engine, self.program, &run.output);
        }
        outside::count("", self.program, &run.output)
    }

    fn print(
        &self,
        all: &BTreeMap<&str, Series>,
        peers: &[&'static str],
        ratios: &mut BTreeMap<&'static str, Vec<Ratio>>,
    ) {
        let rune = &all["rune"];
        let figure = |of: fn(&Run) -> f64, digits: usize| {
            rune.median(of).map_or("–".to_owned(), |value| format!("{value:.digits$}"))
        };
        let rows = rune
            .runs
            .first()
            .and_then(|run| self.count("rune", run))
            .map_or("–".to_owned(), |count| count.to_string());
        let mut cells = Vec::new();
        for peer in peers {
            let (cell, ratio) = self.against(all, peer);
            cells.push(cell);
            ratios.entry(peer).or_default().extend(ratio);
        }
        let (cpu, wall, rss) = (figure(|run| run.cpu_s, 3), figure(|run| run.wall_s, 3), figure(|run| run.rss_mib, 0));
        println!("| {} | {} | {rows} | {cpu} | {wall} | {rss} | {} |", self.name(), self.size, cells.join(" | "));
    }

    /// An engine's cell, and RUNE's time over its.
    fn against(&self, all: &BTreeMap<&str, Series>, peer: &str) -> (String, Option<Ratio>) {
        let rune = all["rune"].cpu_s();
        let Some(series) = all.get(peer) else {
            let ascent = all.get("ascent").and_then(Series::cpu_s);
            let is_at_hand = outside::ENGINES.contains(&peer) && !outside::is_installed(peer) && self.size == Size::M;
            let published = is_at_hand.then(|| outside::published(peer, self.program, self.family)).flatten();
            return match (rune, ascent, published) {
                (Some(rune), Some(ascent), Some(published)) => {
                    let value = rune / (ascent * published);
                    (format!("{value:.2}×\\*"), Some(Ratio { value, is_quoted: true }))
                }
                _ => (String::new(), None),
            };
        };
        match (rune, series.cpu_s(), &series.failure) {
            (Some(rune), Some(cpu_s), _) => {
                let value = rune / cpu_s;
                (format!("{cpu_s:.3} ({value:.2}×)"), Some(Ratio { value, is_quoted: false }))
            }
            (None, Some(cpu_s), _) => (format!("{cpu_s:.3}"), None),
            (_, _, Some(failure)) => (failure.clone(), None),
            _ => (String::new(), None),
        }
    }

    /// The row of evaluation alone.
    fn evaluation(
        &self,
        all: &BTreeMap<&str, Series>,
        peers: &[&'static str],
        of_alone: &mut BTreeMap<&'static str, Vec<f64>>,
    ) -> Option<String> {
        let rune = (all["rune"].cpu_s()? - all.get("rune-given")?.cpu_s()?).max(0.001);
        let mut cells = Vec::new();
        for peer in peers {
            let runs = all.get(peer).filter(|series| series.failure.is_none()).map_or(&[][..], |series| &series.runs);
            let times: Vec<f64> = runs.iter().filter_map(|run| outside::evaluation_s(&run.output)).collect();
            if times.is_empty() {
                cells.push(String::new());
                continue;
            }
            let time = median(&times).max(0.001);
            of_alone.entry(peer).or_default().push(rune / time);
            cells.push(format!("{time:.3} ({:.2}×)", rune / time));
        }
        Some(format!("| {} | {} | {rune:.3} | {} |", self.name(), self.size, cells.join(" | ")))
    }

    /// The row of threads: what they take less what a build without the rules does.
    fn threads(&self, all: &BTreeMap<&str, Series>) -> Option<String> {
        let [one, given, several] = engines::OURS.map(|engine| all.get(engine));
        let (one, given, several) = (one?, given?, several?);
        let figures = |of: fn(&Run) -> f64| {
            let less = given.median(of)?;
            let [one, several] = [one.median(of)?, several.median(of)?].map(|figure| (figure - less).max(0.001));
            Some(format!("{one:.3} | {several:.3} | {:.2}×", several / one))
        };
        let (wall, cpu, rss) =
            (figures(|run| run.wall_s)?, figures(|run| run.cpu_s)?, several.median(|run| run.rss_mib)?);
        Some(format!("| {} | {} | {wall} | {cpu} | {rss:.0} |", self.name(), self.size))
    }

    /// The row of memory.
    fn memory(&self, all: &BTreeMap<&str, Series>, peers: &[&'static str]) -> String {
        let cell = |engine: &&str| {
            let peak = all.get(*engine).and_then(|series| series.median(|run| run.rss_mib));
            peak.map_or_else(String::new, |mib| format!("{mib:.0}"))
        };
        let cells: Vec<String> = ["rune"].iter().chain(peers).map(cell).collect();
        format!("| {} | {} | {} |", self.name(), self.size, cells.join(" | "))
    }
}
