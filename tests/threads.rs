//! What several threads derive is what one derives: rows and their order, when they came, proofs, findings and limits.
//!
//! Threads that are *eager* share what one would have done before others were there, so that small programs go all ways.

mod random_rules;
mod seeds;

use std::fmt::Write as _;

use random_rules::{Random, rules};
use rune_core::{Engine, Options, Program, Sources, Threads, check::rules::PredicateId};

/// About ten seconds of an optimized build.
const WORLDS: u64 = 600;

fn options(threads: Threads) -> Options {
    Options { derive_all: true, threads, ..Options::default() }
}

/// All that is derived: each row in its place with its tick, what is undetermined, and a proof from each relation.
fn derived(text: &str, options: Options) -> String {
    let program = match Program::build(Sources::single("a.rune", text), options) {
        Ok(program) => program,
        Err(error) => return error.to_string(),
    };
    let (mut said, mut queries) = (String::new(), Vec::new());
    for (at, predicate) in program.relations().predicates.iter().enumerate() {
        let Some(relation) = program.facts().facts().relations.get(PredicateId(at)) else { continue };
        writeln!(said, "{}: {} rows", predicate.name, relation.rows.len()).expect("text");
        for (id, row) in (0..).zip(relation.rows.rows()) {
            writeln!(said, "{row:?} {}", relation.births.of(id).0).expect("text");
        }
        relation.doubts.iter().for_each(|doubt| writeln!(said, "? {doubt:?}").expect("text"));
        if program.rules().rules_for(PredicateId(at)).next().is_some() {
            let columns: Vec<String> = (0..predicate.columns.len()).map(|column| format!("X{column}")).collect();
            queries.push(format!("{}({})", predicate.name, columns.join(", ")));
        }
    }
    let engine = Engine::new(program);
    for query in queries {
        let proof = engine.prove(&query, None).map(|proof| proof.tree(50));
        writeln!(said, "{}", proof.unwrap_or_else(|error| error.to_string())).expect("text");
    }
    said
}

#[track_caller]
fn check(text: &str, of: Options, others: impl IntoIterator<Item = Threads>) -> String {
    let one = derived(text, Options { threads: Threads::ONE, ..of });
    for threads in others {
        let several = derived(text, Options { threads, ..of });
        if one != several {
            let at = one.lines().zip(several.lines()).position(|(a, b)| a != b).unwrap_or_default();
            let line = |of: &str| of.lines().nth(at).map(str::to_owned);
            panic!("{threads:?}, line {at}: {:?} and not {:?}\n{text}", line(&several), line(&one));
        }
    }
    one
}

fn several() -> impl Iterator<Item = Threads> {
    [2, 3, 7].into_iter().map(Threads::new)
}

#[test]
fn random_rules_derive_the_same_on_any_number_of_threads() {
    for seed in seeds::of(WORLDS) {
        println!("seed {seed}");
        check(&rules(&mut Random(seed), true), options(Threads::ONE), several().map(Threads::eager));
    }
}

/// Pairs of a random graph.
fn graph(n_nodes: usize, n_edges: usize, seed: u64) -> String {
    let mut random = Random(seed);
    let edges = (0..n_edges).map(|_| format!("[{}, {}]", random.below(n_nodes), random.below(n_nodes)));
    let edges: Vec<String> = edges.collect();
    format!("version = \"rune/1.0\"\n[data]\nedge = [{}]\n[rules]\nrelation edge(Long, Long).\n", edges.join(", "))
}

const CLOSURE: &str = "path(X, Y) :- edge(X, Y).\npath(X, Z) :- path(X, Y), edge(Y, Z).\n";

#[test]
fn large_relations_are_derived_the_same_on_any_number_of_threads() {
    let rules = [
        CLOSURE,
        "path(X, Y) :- edge(X, Y).\npath(X, Z) :- edge(X, Y), path(Y, Z).\n\
         lost(X, Y) :- edge(X, _), edge(_, Y), not path(X, Y).\nfar(X, N) :- edge(X, _), N = count { Y : path(X, Y) }.\n",
        "path(X, Y) :- edge(X, Y).\npath(X, Z) :- path(X, Y), path(Y, Z).\n",
        "same(X, Y) :- edge(P, X), edge(P, Y), X != Y.\nsame(X, Y) :- same(A, B), edge(A, X), edge(B, Y).\n",
        "walk(X, Y, Y) :- edge(X, Y).\nwalk(X, Y, Z) :- walk(X, Y, M), edge(M, Z).\nback(Y, X) :- walk(X, Y, X).\n",
    ];
    // Relations that are recursive twice have as many instances as there are triples.
    let sizes = [(600, 1_200), (600, 1_200), (250, 500), (300, 600), (60, 240)];
    for (rules, (n_nodes, n_edges)) in rules.into_iter().zip(sizes) {
        let said = check(&format!("{}{rules}", graph(n_nodes, n_edges, 7)), options(Threads::ONE), several());
        assert!(10_000 < said.lines().count(), "{} lines: {rules}", said.lines().count());
    }
}

#[test]
fn a_limit_is_the_same_on_any_number_of_threads() {
    let texts = [
        format!("{}{CLOSURE}", graph(12, 24, 3)),
        format!("{}{CLOSURE}far(X, Y) :- path(X, _), path(_, Y), not edge(X, Y), not path(Y, X).\n", graph(8, 12, 5)),
        format!("{}{CLOSURE}n(X, N) :- edge(X, _), N = sum {{ Y : path(X, Y) }}.\n", graph(9, 15, 1)),
    ];
    let mut random = Random(1);
    for text in &texts {
        let mut said = [0; 3];
        for _ in 0..300 {
            let (rows_max, steps_max) = (random.below(400) as u64, random.below(3_000) as u64);
            let of = Options { rows_max, steps_max, ..options(Threads::ONE) };
            let text = check(text, of, several().map(Threads::eager));
            said[if text.contains("too-many-rows") { 0 } else { 1 + usize::from(text.contains("too-many-steps")) }] +=
                1;
        }
        assert!(said.iter().all(|n| 10 < *n), "{said:?}");
    }
}

/// What takes more than there is in the midst of what is shared.
#[test]
fn a_limit_of_large_relations_is_the_same_on_any_number_of_threads() {
    let text = format!("{}{CLOSURE}", graph(600, 1_200, 7));
    for (rows_max, steps_max) in [(150_000, u64::MAX), (u64::MAX, 700_000), (150_000, 700_000), (200_000, 400_000)] {
        let said = check(&text, Options { rows_max, steps_max, ..options(Threads::ONE) }, several());
        assert!(said.contains("error[too-many"), "{said}");
    }
}
