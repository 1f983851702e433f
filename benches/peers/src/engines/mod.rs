//! Engines that run in a process of ours, each over the same files of rows.
//!
//! ```text
//!   peers engine NAME PROGRAM DIR  ─▶  count=… load=… eval=…
//! ```
//!
//! `count` is how many rows the outputs of the program have; of `agg`, what their values add up to. `load` is text to rows in the
//! form that the engine takes them, `eval` is all after that; both in seconds of wall time.

mod compiled;
mod datafrog;
#[cfg(feature = "differential")]
pub mod differential;
pub mod rune;

use std::{path::Path, time::Instant};

use crate::data::Tables;

/// Tells the two parts of a run.
pub struct Clock {
    begun: Instant,
    load_s: f64,
}

impl Clock {
    fn start() -> Self {
        Self { begun: Instant::now(), load_s: 0.0 }
    }

    /// Everything is loaded.
    pub fn loaded(&mut self) {
        self.load_s = self.begun.elapsed().as_secs_f64();
        self.begun = Instant::now();
    }

    /// The answer is there.
    pub fn report(&self, count: u64) {
        println!("count={count} load={:.4} eval={:.4}", self.load_s, self.begun.elapsed().as_secs_f64());
    }
}

/// The engines of this package. `rune-given` is RUNE without the rules: what reading and storing takes; `rune-threads` has as many
/// threads as there are, all others one.
pub const ENGINES: [&str; 6] = ["rune", "rune-given", "rune-threads", "ascent", "datafrog", "differential"];
/// Those that are RUNE.
pub const OURS: [&str; 3] = ["rune", "rune-given", "rune-threads"];

/// Runs an engine in this process.
///
/// # Errors
///
/// If the engine does not do this program, or it goes wrong.
pub fn run(engine: &str, program: &str, dir: &Path) -> Result<(), String> {
    let mut clock = Clock::start();
    if engine.starts_with("rune") {
        return rune::run(engine, program, dir, &mut clock);
    }
    let given = Tables::read(dir).map_err(|error| error.to_string())?;
    let count = match engine {
        // Not a program, but what the rows take in the form that hand-written code has them.
        "by-hand" => {
            clock.loaded();
            std::mem::forget(crate::hand::answers(program, &given));
            Some(0)
        }
        "ascent" => compiled::run(program, &given, &mut clock),
        "datafrog" => datafrog::run(program, &given, &mut clock),
        #[cfg(feature = "differential")]
        "differential" => differential::run(program, given, &mut clock),
        _ => None,
    };
    clock.report(count.ok_or_else(|| format!("{engine} has no {program} here"))?);
    Ok(())
}
