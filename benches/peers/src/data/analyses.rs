//! Programs to analyse, and rows to fold.

use crate::random::Random;

use super::{Size, Tables, distinct, graphs::by_size};

/// Statements of a program in functions of 100 variables, few of them across: sparse points-to sets.
pub fn andersen(size: Size, random: &mut Random) -> Tables {
    let n = by_size(size, [5_000, 20_000, 80_000]);
    let mut tables = Tables::default();
    for (name, n_rows) in [("address_of", n / 4), ("assign", n * 7 / 10), ("load", n / 16), ("store", n / 16)] {
        let row = |random: &mut Random| {
            let variable = random.below(n);
            let is_local = random.chance(0.97);
            [variable, if is_local { variable / 100 * 100 + random.below(100) } else { random.below(n) }]
        };
        tables.add(name, distinct((0..n_rows).map(|_| row(random))));
    }
    tables
}

/// Assignments and dereferences in blocks of 100, so that aliases stay local.
pub fn cspa(size: Size, random: &mut Random) -> Tables {
    const BLOCK: u32 = 100;
    let n = by_size(size, [1_000, 4_000, 12_000]);
    let (mut assign, mut dereference) = (Vec::new(), Vec::new());
    for variable in 1_u32..n {
        let back = 1 + random.below(60).min(random.below(60));
        assign.push([variable, variable.saturating_sub(back)]);
        if random.chance(0.4) {
            dereference.push([variable, random.within(variable.saturating_sub(80), variable + 1)]);
        }
    }
    let local = |rows: Vec<[u32; 2]>| distinct(rows.into_iter().filter(|[x, y]| x / BLOCK == y / BLOCK));
    let mut tables = Tables::default();
    tables.add("assign", local(assign));
    tables.add("dereference", local(dereference));
    tables
}

/// Members of groups, each with a level.
pub fn members(size: Size, random: &mut Random) -> Tables {
    let n = by_size(size, [20_000, 200_000, 1_000_000]);
    let mut tables = Tables::default();
    let rows = (0..n).map(|_| [random.below(n / 2), random.below(n / 50), random.below(100)]);
    tables.add("member", distinct(rows));
    tables
}
