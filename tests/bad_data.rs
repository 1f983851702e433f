//! Rules and rows that are wrong, too many or without end: a finding that says where, and what is served stays as it was.

#![expect(clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use rune_core::{Batch, Engine, EntityRef, Options, Request, Sources, base::File};

const SERVED: &str = r#"
version = "rune/1.0"
[rules]
@live relation member(User, Group).
@id("staff") permit(U, Action::"read", _) :- member(U, Group::"staff").
"#;

fn sources(rules: &str, rows: String) -> Sources {
    let rules = format!("version = \"rune/1.0\"\n{rules}");
    Sources::new(vec![File::new("a.rune", rules.into_bytes()), File::new("rows.tsv", rows.into_bytes())])
}

fn served() -> Engine {
    let program = rune_core::Program::build(Sources::single("a.rune", SERVED), Options::default());
    let engine = Engine::new(program.unwrap_or_else(|error| panic!("{error}")));
    let row = [EntityRef::new("User", "ada"), EntityRef::new("Group", "staff")];
    engine.facts().apply(&Batch::default().insert("member", row.map(Into::into))).expect("it fits");
    engine
}

/// What is said of a version that cannot take the place of the one that is served, which goes on.
fn refused(sources: Sources) -> String {
    let engine = served();
    let next = engine.lineup().stable().build_next(sources, Options::default());
    let said = next.map(drop).expect_err("it is refused").to_string();
    let request = |user: &str| {
        Request::new(EntityRef::new("User", user), EntityRef::new("Action", "read"), EntityRef::new("Document", "plan"))
    };
    assert_eq!(["ada", "eve"].map(|user| engine.decide(&request(user)).is_allowed()), [true, false]);
    assert_eq!(engine.facts().counts().rows, 1);
    said
}

#[test]
fn a_row_of_the_wrong_type_among_a_million_is_told_with_its_line() {
    let row = |n: u32| if n == 999_999 { "u\tmany\n".to_owned() } else { format!("u{n}\t{n}\n") };
    let rules = "[data]\nlevel = { rows_from = \"rows.tsv\" }\n[rules]\nrelation level(User, Long).\n\
        @id(\"high\") permit(U, _, _) :- level(U, N), N > 7.";
    let said = refused(sources(rules, (1..=1_000_000).map(row).collect()));
    assert!(said.contains("rows.tsv:999999:3") && said.contains("expected Long, found \"many\""), "{said}");
    assert_eq!(said.matches("error").count(), 1, "{said}");
}

#[test]
fn ten_million_rows_are_taken_and_what_is_served_stays() {
    let rules = "[data]\nedge = { rows_from = \"rows.tsv\" }\n[rules]\nrelation edge(Long, Long).\n\
        @id(\"edge\") permit(_, _, _) :- edge(7, 7).";
    let row = |n: u32| format!("{}\t{}\n", n % 5_000, n / 5_000);
    let engine = served();
    let next = engine
        .lineup()
        .stable()
        .build_next(sources(rules, (0..10_000_000).map(row).collect()), Options::default())
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(next.facts().facts().relations.n_given(), 10_000_000);
    // It has no place for what is live.
    let said = engine.swap(next).map(drop).expect_err("live rows are in the way").to_string();
    assert!(said.contains("`member` has 1 live rows"), "{said}");
    assert_eq!(engine.facts().counts().rows, 1);
}

#[test]
fn rules_without_end_or_with_all_pairs_come_to_a_limit() {
    let rules = "[rules]\n@materialize relation n(Long).\nn(0).\nn(N + 1) :- n(N).";
    let said = refused(sources(rules, String::new()));
    assert!(said.contains("a.rune:5:1") && said.contains("too-many-steps"), "{said}");
    let rows = (0..400).map(|n| format!("{n}\n")).collect();
    let rules = "[data]\nn = { rows_from = \"rows.tsv\" }\n[rules]\nrelation n(Long).\n\
        @materialize relation p(Long, Long, Long).\np(X, Y, Z) :- n(X), n(Y), n(Z).";
    let said = refused(sources(rules, rows));
    assert!(said.contains("a.rune:7:1") && said.contains("too-many-rows"), "{said}");
}
