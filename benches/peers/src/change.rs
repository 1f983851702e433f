//! Changes: one edge of a recursive relation, deleted and put back.
//!
//! RUNE has no way yet to change a single fact: what it does is build again and swap, and that is what is measured.

use std::time::Instant;

use rune_core::Engine;

use crate::{
    data::{Size, Tables},
    engines::rune,
    files::Files,
    measure::quantile,
};

/// Edges that are deleted and put back.
#[cfg(feature = "differential")]
const N_CHANGES: usize = 30;

/// Prints the table.
///
/// # Errors
///
/// If the files cannot be written, or the two count something else.
pub fn table() -> Result<(), String> {
    println!("Changes: one edge of a closure, milliseconds.\n");
    println!("| closure | rows | who | delete p50 / p90 / max | insert p50 / p90 / max |\n|---|---|---|---|---|");
    for (family, size) in [("rand", Size::S), ("sf", Size::M)] {
        let Files { dir, data } = Files::write("bulk", "tc", family, size)?;
        let again = || {
            let begun = Instant::now();
            let built = rune::build(rune::sources(&dir, true).map_err(|error| error.to_string())?)?;
            Ok::<_, String>((built, begun.elapsed().as_secs_f64() * 1e3))
        };
        let (built, _) = again()?;
        let count = rune::count("tc", &built)?;
        let engine = Engine::new(built);
        let mut took = Vec::new();
        for _ in 0..5 {
            let (built, build_ms) = again()?;
            let begun = Instant::now();
            let retired = engine.swap(built);
            took.push(build_ms + begun.elapsed().as_secs_f64() * 1e3);
            drop(retired);
        }
        println!("| tc {family} {size} | {count} | RUNE: builds again | {} | the same |", show(&took));
        if let Some((other, [delete, insert])) = differential(&data.tables) {
            println!("| tc {family} {size} | {other} | differential | {delete} | {insert} |");
            if other != count {
                return Err(format!("tc {family} {size}: RUNE counts {count}, differential {other}"));
            }
        }
    }
    println!("\nA fact that changes among 16 M rows: RUNE takes no live facts yet, so it is a build (`load`).");
    println!("Proofs on against off: they are found again when asked for, and nothing turns off what that needs.\n");
    Ok(())
}

/// How many pairs there are, and what deleting and inserting took.
#[cfg(feature = "differential")]
fn differential(given: &Tables) -> Option<(u64, [String; 2])> {
    let edges = given.rows("edge").map(|[a, b]| (a, b)).collect();
    let (count, changes) = crate::engines::differential::closure(edges, N_CHANGES, || ());
    Some((count, [show(&changes.delete_ms), show(&changes.insert_ms)]))
}

#[cfg(not(feature = "differential"))]
fn differential(_: &Tables) -> Option<(u64, [String; 2])> {
    None
}

fn show(milliseconds: &[f64]) -> String {
    let [p50, p90, max] = [0.5, 0.9, 1.0].map(|part| quantile(milliseconds, part));
    format!("{p50:.2} / {p90:.2} / {max:.2}")
}
