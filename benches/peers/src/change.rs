//! Changes: one edge of a recursive relation, deleted and put back.

use std::{collections::BTreeSet, time::Instant};

use rune_core::{
    Engine, Program, Threads,
    base::{Scratch, Value},
    datalog::{Bounds, Changes, Maintained},
    facts::RowId,
};

use crate::{
    data::{Size, Tables},
    engines::rune,
    files::Files,
    measure::quantile,
};

/// Edges that are deleted and put back.
const N_CHANGES: usize = 100;
const BOUNDS: Bounds = Bounds { steps_max: u64::MAX, rows_max: u64::MAX, threads: Threads::ONE };

/// What changing single edges took, in milliseconds, and how many pairs there were meanwhile.
#[derive(Debug, Default)]
pub struct Changed {
    pub delete_ms: Vec<f64>,
    pub insert_ms: Vec<f64>,
    pub counts: Vec<u64>,
}

/// Prints the table.
///
/// # Errors
///
/// If the files cannot be written, or the two count something else.
pub fn table() -> Result<(), String> {
    println!("Changes: one edge of a closure, milliseconds.\n");
    println!("| closure | rows | who | delete p50 / p90 / max | insert p50 / p90 / max |\n|---|---|---|---|---|");
    for (family, size) in [("rand", Size::S), ("sf", Size::M), ("grid", Size::S)] {
        let Files { dir, data } = Files::write("bulk", "tc", family, size)?;
        let again = || {
            let begun = Instant::now();
            let built = rune::build(rune::sources(&dir, true).map_err(|error| error.to_string())?)?;
            Ok::<_, String>((built, begun.elapsed().as_secs_f64() * 1e3))
        };
        let (built, _) = again()?;
        let count = rune::count("tc", &built)?;
        let (made_ms, own) = maintained(&built)?;
        let [delete, insert] = [show(&own.delete_ms), show(&own.insert_ms)];
        println!("| tc {family} {size} | {count} | RUNE (made in {made_ms:.0} ms) | {delete} | {insert} |");
        let engine = Engine::new(built);
        let mut took = Vec::new();
        for _ in 0..5 {
            let (built, build_ms) = again()?;
            let begun = Instant::now();
            let retired = engine.swap(built).map_err(|error| error.to_string())?;
            took.push(build_ms + begun.elapsed().as_secs_f64() * 1e3);
            drop(retired);
        }
        println!("| tc {family} {size} | {count} | RUNE: builds again | {} | the same |", show(&took));
        if let Some((other, peer)) = differential(&data.tables) {
            let [delete, insert] = [show(&peer.delete_ms), show(&peer.insert_ms)];
            println!("| tc {family} {size} | {other} | differential | {delete} | {insert} |");
            if other != count || peer.counts != own.counts {
                return Err(format!("tc {family} {size}: RUNE and differential do not count the same"));
            }
        }
    }
    println!(
        "\nAfter each change the pairs are counted, and the counts of both compared; at the end RUNE's pairs are those that it"
    );
    println!(
        "derived at first. What a change takes until decisions see it: cargo bench --bench live. Proofs on against off: they are found again when asked for, and nothing turns off what that needs.\n"
    );
    Ok(())
}

/// What making it took, and what each change.
fn maintained(built: &Program) -> Result<(f64, Changed), String> {
    let (engine, facts) = (built.rules(), built.facts().facts());
    let mut values = Scratch::new(built.facts().values());
    let relation = |name: &str| engine.relation(name).ok_or_else(|| format!("there is no relation {name}"));
    let (edge, tc) = (relation("edge")?, relation("path")?);
    let rows = |id| facts.relations.get(id).map(|of| &of.rows).ok_or("there are no rows");
    let (edges, pairs) = (rows(edge)?, rows(tc)?);
    let begun = Instant::now();
    let wanted = BTreeSet::from([tc]);
    let made = Maintained::of((engine, facts), &mut values, (&wanted, &BTreeSet::new()), BOUNDS);
    let mut made = made.map_err(|error| error.to_string())?;
    let made_ms = begun.elapsed().as_secs_f64() * 1e3;
    let mut changed = Changed::default();
    let mut count = u64::from(pairs.len());
    for n in 0..N_CHANGES {
        let at = n * edges.len() as usize / N_CHANGES;
        let row = edges.row(RowId::try_from(at).map_err(|error| error.to_string())?);
        for is_deleted in [true, false] {
            let mut changes = Changes::default();
            if is_deleted {
                changes.delete(edge, row)
            } else {
                changes.insert(edge, row)
            }
            let begun = Instant::now();
            let told = made.apply(&changes, &mut values, BOUNDS).map_err(|error| error.to_string())?;
            let took = begun.elapsed().as_secs_f64() * 1e3;
            if is_deleted { &mut changed.delete_ms } else { &mut changed.insert_ms }.push(took);
            if let Some(change) = told.of(tc) {
                count = count + change.inserted.len() as u64 - change.deleted.len() as u64;
            }
            changed.counts.push(count);
        }
    }
    let sorted = |rows: &mut dyn Iterator<Item = &[Value]>| {
        let mut rows: Vec<Vec<Value>> = rows.map(<[Value]>::to_vec).collect();
        rows.sort_unstable();
        rows
    };
    if sorted(&mut made.rows(tc)) != sorted(&mut pairs.rows()) {
        return Err("what was deleted and put back is not what there was".to_owned());
    }
    Ok((made_ms, changed))
}

/// How many pairs there are, and what deleting and inserting took.
#[cfg(feature = "differential")]
fn differential(given: &Tables) -> Option<(u64, Changed)> {
    let edges = given.rows("edge").map(|[a, b]| (a, b)).collect();
    Some(crate::engines::differential::closure(edges, N_CHANGES, || ()))
}

#[cfg(not(feature = "differential"))]
fn differential(_: &Tables) -> Option<(u64, Changed)> {
    None
}

fn show(milliseconds: &[f64]) -> String {
    let [p50, p90, max] = [0.5, 0.9, 1.0].map(|part| quantile(milliseconds, part));
    format!("{p50:.3} / {p90:.3} / {max:.2}")
}
