//! Whatever a text is: no panic, no overflow of a stack, no second, and findings with places that are there.
//!
//! ```text
//!   seed ─▶ a text of the project, or two ─▶ mutations ─▶ target, in a process of its own ─▶ properties, or the seed
//! ```
//!
//! Texts of the specification, of the examples and, if `RUNE_CORPORA` names their folder, of the corpora are taken apart and
//! put together by what knows tokens but no grammar. An input is a function of its target and its number.
//!
//! `RUNE_INPUTS` says how many inputs each target gets, `RUNE_SEED` which number is the first; `RUNE_SEED` alone replays that
//! one and prints it. `RUNE_SEEDS_TO` names a folder to which the unmutated texts are written, for `fuzz/`.

#![expect(clippy::disallowed_methods, reason = "tests read files, the environment and clocks, and wait")]

mod fuzzer;
mod seeds;
mod support;

use fuzzer::{
    drive::{cpu_time, fuzz},
    seeds::Seeds,
    targets::{self, Target},
};

#[test]
fn containers_are_cut() {
    fuzz(Target::Container, "containers_are_cut", 100_000);
}

#[test]
fn clauses_are_read() {
    fuzz(Target::Rules, "clauses_are_read", 50_000);
}

#[test]
fn goals_and_expressions_are_read() {
    fuzz(Target::Expressions, "goals_and_expressions_are_read", 100_000);
}

#[test]
fn toml_is_read() {
    fuzz(Target::Toml, "toml_is_read", 200_000);
}

#[test]
fn rows_are_read() {
    fuzz(Target::Rows, "rows_are_read", 1_000_000);
}

#[test]
fn json_is_read() {
    fuzz(Target::Json, "json_is_read", 300_000);
}

#[test]
fn policies_and_schemas_are_built() {
    fuzz(Target::Cedar, "policies_and_schemas_are_built", 50_000);
}

#[test]
fn texts_are_laid_out() {
    fuzz(Target::Layout, "texts_are_laid_out", 30_000);
}

#[test]
fn rulesets_are_built_and_asked() {
    fuzz(Target::Program, "rulesets_are_built_and_asked", 50_000);
}

#[test]
fn requests_are_answered() {
    fuzz(Target::Evaluation, "requests_are_answered", 200_000);
}

/// What takes time with the square of its length takes minutes for these, and not a second or two.
#[test]
fn a_megabyte_of_one_thing_is_read_in_seconds() {
    let many = |text: &str| text.repeat((1 << 20) / text.len());
    let numbered = |line: &str| (0..1 << 15).map(|n| line.replace('N', &n.to_string())).collect::<String>();
    let of_rows = "[rules]\nrelation p(String).\n[data]\np = { rows_from = \"a.csv\" }\n=== a.csv\n";
    let texts = [
        format!("[rules]\n{}", many(". ")),
        format!("[rules]\n{}", many("\"\n")),
        format!("[rules]\n{}", many("@a ")),
        format!("[rules]\nrelation p(Long).\n{}", many("p(1);\n")),
        format!("[rules]\nrelation p(Long).\n{}", many("p(1)\n")),
        format!("[rules]\n{}", numbered("relation pN(Long).\nqN(X) :- p(X).\n")),
        format!("[rules]\nq(X) :- X = {{ {} }}.", numbered("aN: 1, ")),
        format!("[rules]\nq(A) :- p({}).", numbered("VarN, ")),
        format!(
            "[schema]\nentity User;\naction {} b appliesTo {{ principal: User, resource: User }};\n[rules]\n{}",
            numbered("aN, "),
            numbered("@id(\"N\") permit(U, xN, R) :- U == R.\n")
        ),
        format!("[data]\n{}", many("= \n")),
        format!("[data]\n{}", numbered("aN = 1\n")),
        format!("[entities]\n{}", numbered("User.uN = { a = aN }\n")),
        format!("{of_rows}\"{}\"", many("\"\"")),
        many("[unknown]\n"),
    ];
    for text in texts {
        let start = cpu_time().unwrap_or_default();
        let text = format!("version = \"rune/1.0\"\n{text}");
        targets::check(Target::Program, &text).unwrap_or_else(|fault| panic!("{fault}"));
        let took = cpu_time().unwrap_or_default().saturating_sub(start);
        assert!(took.as_secs() < 5, "{took:?}: {}…", &text[..100]);
    }
}

/// Less would be a sign that the texts are no longer found.
#[test]
fn every_target_has_texts_to_begin_with() {
    let seeds = Seeds::load();
    for target in Target::ALL {
        let n = seeds.of(target).len();
        assert!(3 <= n, "{target:?} has {n} texts");
    }
    if let Some(folder) = std::env::var_os("RUNE_SEEDS_TO") {
        seeds.write(folder.as_ref());
    }
}
