//! Every explanation re-validates: a checker of fifty lines, which knows nothing of how it was found, accepts it.
//!
//! ```text
//!                             ┌─▶ decision, reasons ─▶ those of the twin
//!   seed ─▶ world ─▶ explain ─┼─▶ facts ─▶ checker ─▶ accepted; each of their mutants, refused
//!                             └─▶ missing facts ─▶ the world with them ─▶ allowed
//! ```
//!
//! `RUNE_WORLDS` says how many worlds there are, `RUNE_SEED` which seed is the first; `RUNE_SEED` alone replays that one.

#[expect(dead_code, reason = "the twin has tests of its own")]
mod datalog;
#[path = "explanations/mod.rs"]
mod parts;
mod seeds;
#[expect(dead_code, reason = "the twin has tests of its own")]
mod twin;

use datalog::worlds::Maker;
use parts::{
    Tally, cedars, enough, random,
    rulesets::{self, Ruleset},
};

/// About seven seconds of an optimized build each.
const WORLDS: u64 = 1_000;
const CEDAR_WORLDS: u64 = 400;
const ASKS_PER_WORLD: usize = 4;

/// Lines of the checker, those with code: it must be easy to believe.
const CHECKER_LINES_MAX: usize = 50;

const RULESETS: [Ruleset; 5] = [
    Ruleset {
        name: "documents",
        actions: &["read", "write", "share"],
        contexts: &[["{}", "{}"], [r#"{ "source": "10.1.2.3" }"#, r#"{ source = "10.1.2.3" }"#]],
    },
    Ruleset {
        name: "github",
        actions: &["label", "push", "configure", "delete", "merge", "clone", "unarchive"],
        contexts: &[["{}", "{}"]],
    },
    Ruleset {
        name: "agents",
        actions: &["call"],
        contexts: &[
            [
                r#"{ "user": { "__entity": { "type": "User", "id": "ada" } }, "id": "1", "cost": 1, "path": "/w/a" }"#,
                r#"{ user = "ada", id = "1", cost = 1, path = "/w/a" }"#,
            ],
            [
                r#"{ "user": { "__entity": { "type": "User", "id": "ada" } }, "id": "1", "cost": 1,
                     "host": { "__entity": { "type": "Host", "id": "docs.rs" } } }"#,
                r#"{ user = "ada", id = "1", cost = 1, host = "docs.rs" }"#,
            ],
        ],
    },
    Ruleset {
        name: "todo",
        actions: &["can_read_user", "can_read_todos", "can_create_todo", "can_update_todo", "can_delete_todo"],
        contexts: &[["{}", "{}"]],
    },
    Ruleset { name: "cedar", actions: &["read", "write"], contexts: &[[r#"{ "hour": 10 }"#, "{ hour = 10 }"]] },
];

#[test]
fn every_explanation_of_random_rules_is_accepted_by_the_checker() {
    let mut tally = Tally::default();
    for seed in seeds::of(WORLDS) {
        let mut maker = Maker::new(seed);
        let (world, asks) = (maker.world(), maker.asks(ASKS_PER_WORLD));
        if let Err(fault) = random::explain_all(&world, &asks, &mut tally) {
            panic!("seed {seed} (replay it with RUNE_SEED={seed}): {fault}\nin this world:\n{world}");
        }
    }
    println!("explanations of rules: {tally}");
    if WORLDS <= (tally.worlds + tally.refused) as u64 {
        enough(
            &tally,
            &[
                ("requests are allowed", tally.allowed, 530),
                ("are forbidden", tally.forbidden, 330),
                ("are not permitted", tally.not_permitted, 530),
                ("end in an error", tally.errors, 50),
                ("facts are given", tally.given, 2_000),
                ("come with the request", tally.requested, 60),
                ("follow from parents", tally.parents, 130),
                ("follow from rules", tally.derived, 200),
                ("clauses are asked of what they cite", tally.asked, 1_660),
                ("forbids do not hold", tally.forbids, 300),
                ("candidates have missing facts", tally.missing, 160),
                ("have none", tally.candidates - tally.missing, 660),
                ("have several", tally.several, 20),
                ("have parents", tally.parent, 60),
                ("have live rows", tally.live, 10),
                ("queries are asked", tally.queries, 2_000),
                ("rows answer them", tally.rows, 2_000),
                ("documents are listed", tally.listed, 500),
                ("aggregates are of what they count", tally.counted, 20),
                ("smallest proofs are found", tally.smallest, 980),
                ("are proven", tally.proven, 980),
                ("are smaller", tally.smaller, 360),
                ("kinds of mutants", tally.mutants.len(), 12),
                ("mutants of a kind", tally.mutants.values().copied().min().unwrap_or_default(), 160),
            ],
        );
    }
}

#[test]
fn every_explanation_of_random_policies_says_what_cedar_says() {
    let mut tally = Tally::default();
    for seed in seeds::of(CEDAR_WORLDS) {
        let (world, asks) = twin::worlds::Maker::new(seed).world(ASKS_PER_WORLD);
        if let Err(fault) = cedars::explain_all(&world, &asks, &mut tally) {
            panic!("seed {seed} (replay it with RUNE_SEED={seed}): {fault}");
        }
    }
    println!("explanations of policies: {tally}");
    if CEDAR_WORLDS <= (tally.worlds + tally.refused) as u64 {
        enough(
            &tally,
            &[
                ("requests are allowed", tally.allowed, 330),
                ("are forbidden", tally.forbidden, 260),
                ("are not permitted", tally.not_permitted, 460),
                ("facts are given", tally.given, 660),
                ("are of the schema", tally.schema, 160),
                ("follow from parents", tally.parents, 400),
                ("clauses are asked of Cedar", tally.asked, 8_000),
                ("are operands", tally.operands, 200),
                ("forbids do not hold", tally.forbids, 300),
                ("candidates have missing facts", tally.missing, 130),
                ("have several", tally.several, 20),
            ],
        );
    }
}

#[test]
fn every_explanation_of_the_examples_stands_on_their_files() {
    let mut tally = Tally::default();
    for ruleset in &RULESETS {
        rulesets::explain_all(ruleset, &mut tally).unwrap_or_else(|fault| panic!("{fault}"));
    }
    println!("explanations of the examples: {tally}");
    enough(
        &tally,
        &[
            ("requests are allowed", tally.allowed, 200),
            ("are forbidden", tally.forbidden, 40),
            ("are not permitted", tally.not_permitted, 200),
            ("facts follow from parents", tally.parents, 200),
            ("follow from rules", tally.derived, 20),
            ("candidates have missing facts", tally.missing, 200),
        ],
    );
}

#[test]
fn the_checker_is_small_enough_to_be_believed() {
    let source = include_str!("explanations/checker.rs");
    let code = source.split("pub struct").skip(1).flat_map(str::lines);
    let n_lines = code.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//")).count();
    assert!(n_lines <= CHECKER_LINES_MAX, "{n_lines} lines");
}
