//! Numbers that a seed has, and the seeds that the environment asks for.

#![allow(
    clippy::allow_attributes,
    clippy::disallowed_methods,
    clippy::expect_used,
    dead_code,
    unreachable_pub,
    reason = "each test takes what it needs and reads the environment, and a panic is how it reports"
)]

use std::ops::Range;

/// The seeds that `RUNE_SEED` and `RUNE_WORLDS` ask for, or so many.
pub fn of(n_worlds: u64) -> Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (first, n_asked) = (number("RUNE_SEED"), number("RUNE_WORLDS"));
    let n_worlds = n_asked.unwrap_or(if first.is_some() { 1 } else { n_worlds });
    let first = first.unwrap_or(0);
    first..first + n_worlds
}

/// The next number (`SplitMix64`; Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}
