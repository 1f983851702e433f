//! Counted work: a question about one user and one document looks at the rows that answer it, however many there are.

use std::fmt::Write as _;

use rune_core::{Engine, EntityRef, Options, Program, Request, Sources};

/// A ruleset with `n` users that each read a document of their own.
fn engine(n: usize, rules: &str) -> Engine {
    let mut text =
        "version = \"rune/1.0\"\n[rules]\nrelation viewer(User, Doc).\nrelation spent(User -> Long).\n".to_owned();
    for at in 0..n {
        let _ = writeln!(text, "viewer(u{at}, d{at}). spent(u{at}, {at}).");
    }
    let program = Program::build(Sources::single("a.rune", &format!("{text}{rules}")), Options::default());
    Engine::new(program.unwrap_or_else(|error| panic!("{error}")))
}

/// How many rows are looked at to allow user 7 to read document 7, who may not read document 8.
fn touched(n: usize, rules: &str) -> u64 {
    let engine = engine(n, rules);
    let request = |doc: &str| {
        let entity = EntityRef::new;
        Request::new(entity("User", "u7"), entity("Action", "read"), entity("Doc", doc)).with("cost", 1_i64)
    };
    assert!(engine.decide(&request("d7")).is_allowed());
    assert!(!engine.decide(&request("d8")).is_allowed());
    engine.explain(&request("d7")).n_rows_touched
}

#[test]
fn a_point_query_looks_at_as_many_rows_among_ten_thousand_as_among_a_hundred() {
    let rules = [
        "@id(\"a\") permit(U, _, D) :- viewer(U, D).",
        "can(U, D) :- viewer(U, D).\n@id(\"b\") permit(U, _, D) :- can(U, D), not spent(U, 3).",
        "@id(\"c\") permit(U, _, D) :- viewer(U, X), X == D, spent(U, N), N + context.cost < 100000.",
        "cheap(U) :- U = principal, spent(U, N), N + context.cost < 100000.\n\
         @id(\"d\") permit(U, _, D) :- cheap(U), viewer(U, D).",
        "near(U, D) :- viewer(U, D).\nnear(U, D) :- near(U, X), viewer(V, X), viewer(V, D).\n\
         @id(\"e\") permit(U, _, D) :- near(U, D).",
    ];
    for rule in rules {
        let (few, many) = (touched(100, rule), touched(10_000, rule));
        assert_eq!(few, many, "{rule}");
        assert!(many <= 6, "{rule}: {many} rows");
    }
}
