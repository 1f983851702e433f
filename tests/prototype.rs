//! Ways in which an earlier prototype failed, each a test that has its number in the list of its failures: decisions (1 to 10),
//! Datalog (11 to 23), parser and loader (24 to 33). What concerns caches, incremental evaluation and proofs has no counterpart
//! here.

use std::collections::BTreeSet;

use rune_core::{BuildError, Effect, Engine, EntityRef, Options, Program, Request, Sources, Why};

fn build(body: &str) -> Result<Program, String> {
    let text = if body.starts_with("version") { body.to_owned() } else { format!("version = \"rune/1.0\"\n{body}") };
    Program::build(Sources::single("a.rune", &text), Options::default()).map_err(|error| match error {
        BuildError::Refused(report) => report.to_string(),
        error @ BuildError::NoThread(_) => panic!("{error}"),
    })
}

fn program(body: &str) -> Program {
    build(body).unwrap_or_else(|report| panic!("{body}\n{report}"))
}

fn refused(body: &str, code: &str) {
    match build(body) {
        Ok(_) => panic!("{body} is not refused"),
        Err(report) => assert!(report.contains(&format!("error[{code}]")), "{body}\n{report}"),
    }
}

fn request(principal: (&str, &str), resource: (&str, &str)) -> Request {
    let entity = |(kind, id)| EntityRef::new(kind, id);
    Request::new(entity(principal), EntityRef::new("Action", "read"), entity(resource))
}

fn why(body: &str, request: &Request) -> Why {
    Engine::new(program(body)).decide(request).why
}

fn ada() -> Request {
    request(("User", "ada"), ("File", "f"))
}

/// The rows of a relation, each as its values are shown, sorted.
fn rows(program: &Program, relation: &str) -> BTreeSet<String> {
    use rune_core::base::Values;
    let facts = program.facts();
    let id = program.rules().relation(relation).unwrap_or_else(|| panic!("{relation}"));
    let rows = program.terms().rows(id).expect("not too many");
    let show = |row: &Vec<_>| row.iter().map(|value| facts.values().show(*value)).collect::<Vec<_>>().join(", ");
    rows.iter().map(show).collect()
}

fn set(rows: &[&str]) -> BTreeSet<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

const PERMIT_ALL: &str = "[policies]\npermit (principal, action, resource);\n";

#[test]
fn p01_a_permit_for_all_allows_with_and_without_facts() {
    assert!(why(PERMIT_ALL, &ada()).is_allowed());
    assert!(why(&format!("{PERMIT_ALL}[rules]\nrelation other(String).\nother(x).\n"), &ada()).is_allowed());
    assert_eq!(
        why("[rules]\nrelation other(String).\nother(x).\n", &ada()),
        Why::NotPermitted,
        "facts alone permit nothing"
    );
}

#[test]
fn p02_rules_see_the_request_and_forbid_heads_forbid() {
    let rules = "[rules]\nrelation denied(User).\ndenied(eve).\n@id(\"no\") forbid(U, _, _) :- denied(U).\n";
    let body = format!("{PERMIT_ALL}{rules}");
    assert!(why(&body, &ada()).is_allowed());
    assert_eq!(why(&body, &request(("User", "eve"), ("File", "f"))), Why::ForbiddenBy("no".into()));
}

#[test]
fn p03_a_forbid_is_told_as_a_forbid() {
    let body = format!("{PERMIT_ALL}@id(\"never\") forbid (principal, action, resource);\n");
    assert_eq!(why(&body, &ada()), Why::ForbiddenBy("never".into()));
}

#[test]
fn p04_attributes_and_context_reach_the_policies() {
    let body = format!(
        "{PERMIT_ALL}@id(\"p\") forbid (principal, action, resource) when {{ principal has bad && principal.bad }};\n\
         @id(\"r\") forbid (principal, action, resource) when {{ resource has bad && resource.bad }};\n\
         @id(\"c\") forbid (principal, action, resource) when {{ context has blocked && context.blocked }};\n\
         [entities]\nUser.eve = {{ bad = true }}\nFile.g = {{ bad = true }}\n"
    );
    assert!(why(&body, &ada()).is_allowed());
    assert_eq!(why(&body, &request(("User", "eve"), ("File", "f"))), Why::ForbiddenBy("p".into()));
    assert_eq!(why(&body, &request(("User", "ada"), ("File", "g"))), Why::ForbiddenBy("r".into()));
    assert_eq!(why(&body, &ada().with("blocked", true)), Why::ForbiddenBy("c".into()));
}

#[test]
fn p05_grandparents_count() {
    let body = "[entities]\nUser.ada = { in = ['Group::\"mid\"'] }\nGroup.mid = { in = ['Group::\"top\"'] }\n\
                [policies]\npermit (principal in Group::\"top\", action, resource);\n\
                [rules]\n@id(\"r\") forbid(U, _, R) :- U in Group::\"top\", R == File::\"g\".\n";
    assert!(why(body, &ada()).is_allowed());
    assert_eq!(why(body, &request(("User", "ada"), ("File", "g"))), Why::ForbiddenBy("r".into()));
}

#[test]
fn p06_whoever_is_also_the_resource_is_decided() {
    let same = request(("User", "ada"), ("User", "ada"));
    assert!(why("[rules]\n@id(\"self\") permit(U, _, U).\n", &same).is_allowed());
    assert_eq!(why("[rules]\n@id(\"self\") permit(U, _, U).\n", &ada()), Why::NotPermitted);
    for odd in ["Us-er", "", "a b"] {
        let decision = Engine::new(program(PERMIT_ALL)).decide(&request((odd, "x"), ("File", "f")));
        assert_eq!(decision.effect(), Effect::Allow, "no type is an error without a schema: {odd:?}");
    }
}

#[test]
fn p07_two_callers_that_differ_in_their_groups_alone_are_told_apart() {
    let body = |group: &str| {
        format!(
            "[entities]\nUser.ada = {{ in = [{group}] }}\n[policies]\npermit (principal in Group::\"admins\", action, resource);\n"
        )
    };
    let engine = Engine::new(program(&body("'Group::\"admins\"'")));
    assert!(engine.decide(&ada()).is_allowed());
    drop(engine.swap(program(&body(""))).expect("there are no live facts"));
    assert!(!engine.decide(&ada()).is_allowed(), "p08: nothing of the former facts is kept");
}

#[test]
fn p11_the_order_of_the_text_says_nothing_about_strata() {
    let clauses = [
        "relation user(String).",
        "relation strikes(String, Long).",
        "user(ada). user(bob). user(eve).",
        "strikes(eve, 3). strikes(bob, 1).",
        "allowed(X) :- user(X), not blocked(X).",
        "blocked(X) :- bad(X), user(X).",
        "bad(X) :- strikes(X, N), N >= 3.",
        "also(X) :- allowed(X), not quiet(X).",
        "quiet(X) :- user(X), not strikes(X, _).",
    ];
    for shift in 0..clauses.len() {
        for is_reversed in [false, true] {
            let mut text: Vec<_> = clauses.iter().cycle().skip(shift).take(clauses.len()).copied().collect();
            if is_reversed {
                text.reverse();
            }
            let program = program(&format!("[rules]\n{}\n", text.join("\n")));
            assert_eq!(rows(&program, "allowed"), set(&["\"ada\"", "\"bob\""]));
            assert_eq!(rows(&program, "also"), set(&["\"bob\""]));
        }
    }
}

#[test]
fn p12_a_cycle_through_negation_is_refused() {
    refused(
        "[rules]\nrelation user(String).\na(X) :- user(X), not b(X).\nb(X) :- user(X), not a(X).",
        "negative-cycle",
    );
}

#[test]
fn p13_a_negated_atom_may_stand_before_the_one_that_binds() {
    let program =
        program("[rules]\nrelation u(String).\nrelation b(String).\nu(x). u(y). b(y).\na(X) :- not b(X), u(X).\n");
    assert_eq!(rows(&program, "a"), set(&["\"x\""]));
}

#[test]
fn p14_heads_that_nothing_binds_are_refused() {
    refused("[rules]\nrelation q(String).\np(X, Y) :- q(X), q(_).", "unbound-variable");
    refused("[rules]\nrelation p(String).\np(X).", "not-constant");
}

#[test]
fn p15_and_p16_variables_are_compared_by_value_and_underscores_by_nothing() {
    let program = program(
        "[rules]\nrelation e(String, String).\ne(a, b). e(c, c). e(\"Y\", z).\n\
         any(X) :- e(X, _), e(_, \"z\").\nsame(X) :- e(X, Y), X == Y.\ntwice(X) :- e(X, X).\n",
    );
    assert_eq!(rows(&program, "any").len(), 3);
    assert_eq!(rows(&program, "same"), set(&["\"c\""]));
    assert_eq!(rows(&program, "twice"), set(&["\"c\""]));
}

#[test]
fn p17_the_number_of_arguments_is_checked() {
    refused("[rules]\nrelation e(String, String).\np(X) :- e(X).", "relation-arity");
}

#[test]
fn p18_a_chain_of_two_thousand_is_complete_however_it_is_written() {
    let n = 2_000;
    let edges: String = (0..n).map(|at| format!("e({at}, {}).\n", at + 1)).collect();
    let left = "t(X, Y) :- e(X, Y).\nt(X, Z) :- t(X, Y), e(Y, Z).\n";
    let right = "t(X, Y) :- e(X, Y).\nt(X, Z) :- e(X, Y), t(Y, Z).\n";
    for rules in [left, right] {
        let program = program(&format!("[rules]\nrelation e(Long, Long).\n{edges}{rules}"));
        let id = program.rules().relation("t").expect("a relation");
        let found = program.terms().rows(id).expect("not too many");
        assert_eq!(found.len(), n * (n + 1) / 2);
    }
}

#[test]
fn p19_not_is_not_its_contrary() {
    let program =
        program("[rules]\nrelation u(String).\nrelation b(String).\nu(a). u(c). b(c).\nok(X) :- u(X), not b(X).\n");
    assert_eq!(rows(&program, "ok"), set(&["\"a\""]));
}

#[test]
fn p24_and_p25_the_version_is_the_first_thing_and_one_that_is_known() {
    let program = program(
        "[data]\nversion_pin = [\"x\"]\nafter = [\"y\"]\n[rules]\nrelation version_pin(String).\nrelation after(String).\n",
    );
    assert_eq!(rows(&program, "after"), set(&["\"y\""]));
    refused("version = \"rune/99.0\"\n", "unknown-version");
}

#[test]
fn p26_sections_are_lost_neither_by_spelling_nor_by_repetition() {
    refused("[ruls]\np(a).\n", "unknown-section");
    refused("  [rules]\nrelation p(String).\n", "indented-section");
    let program = program("[rules]\nrelation p(String).\np(a).\n[policies]\n[rules]\np(b).\n");
    assert_eq!(rows(&program, "p"), set(&["\"a\"", "\"b\""]));
}

#[test]
fn p27_and_p29_comments_and_strings_are_told_apart() {
    let program = program(
        "[rules]\nrelation p(String, String). // one\n// two\np(\"a, b\", \"f(x) # no comment // none\"). # three\n# four\n\
         q(X) :- p(X, _), // five\n   not p(_, X). # six\n",
    );
    assert_eq!(rows(&program, "p"), set(&["\"a, b\", \"f(x) # no comment // none\""]));
    assert_eq!(rows(&program, "q"), set(&["\"a, b\""]));
}

#[test]
fn p28_what_is_no_clause_is_refused_and_two_on_a_line_are_two() {
    for (text, code) in [
        ("p(X) :- q(X) r(X).", "rule-syntax"),
        ("p(a)", "missing-period"),
        ("p(X :- q(X).", "unclosed-bracket"),
        ("this is not a rule.", "rule-syntax"),
        ("p(a)).", "rule-syntax"),
        ("p(X) :- .", "rule-syntax"),
    ] {
        refused(&format!("[rules]\nrelation p(String).\nrelation q(String).\nrelation r(String).\n{text}\n"), code);
    }
    let program = program("[rules]\nrelation p(String). p(a). p(b). q(X) :- p(X).\n");
    assert_eq!(rows(&program, "q").len(), 2);
}

#[test]
fn p30_a_number_with_a_fraction_is_no_string() {
    refused("[data]\np = [3.5]\n[rules]\nrelation p(String).\n", "wrong-type");
    refused("[rules]\nrelation p(String).\np(3.5).\n", "rule-syntax");
    assert_eq!(rows(&program("[data]\np = [\"3.5\"]\n[rules]\nrelation p(decimal).\n"), "p").len(), 1);
}

#[test]
fn p31_and_p32_indented_policies_count_and_broken_ones_are_refused() {
    let body = "[policies]\n    @id(\"all\")\n    permit (principal, action, resource);\n  @id(\"no\")\n  forbid (principal == User::\"eve\", action, resource);\n";
    assert_eq!(why(body, &ada()), Why::AllowedBy("all".into()));
    assert_eq!(why(body, &request(("User", "eve"), ("File", "f"))), Why::ForbiddenBy("no".into()));
    refused("[policies]\npermit (principal, actoin, resource);\n", "policy-syntax");
}

#[test]
fn p33_what_was_documented_works_or_is_refused_and_never_quietly_false() {
    let data = "relation path(String).\nrelation call(String, Long).\npath(\"/tmp/a\"). call(ada, 11).\n";
    let works = program(&format!(
        "[rules]\n{data}tmp(P) :- path(P), P like \"/tmp/*\".\nmany(U) :- call(U, N), N > 10.\n\
         calls(N) :- N = count {{ U, C : call(U, C) }}.\nmost(N) :- N = max {{ C : call(_, C) }}.\n"
    ));
    for relation in ["tmp", "many", "calls", "most"] {
        assert_eq!(rows(&works, relation).len(), 1, "{relation}");
    }
    for (rule, code) in [
        ("p(P) :- path(P), P.starts_with(\"/tmp\").", "unknown-relation"),
        ("p(P) :- path(P), ¬call(P, _).", "rule-syntax"),
        ("p(U) :- call(U, N), N =< 3.", "rule-syntax"),
        ("p(U) :- call(U, N), N in [1, 2].", "wrong-type"),
        ("p(U) :- count(C, call(U, C)).", "rule-syntax"),
    ] {
        refused(&format!("[rules]\n{data}{rule}\n"), code);
    }
}

#[test]
fn p05_parents_that_are_given_as_rows_count_for_policies_too() {
    let policy = "[policies]\npermit (principal, action, resource);\n\
                  @id(\"no\") forbid (principal in Group::\"top\", action, resource);\n";
    for parent in [
        "[data]\nparent = [['User::\"ada\"', 'Group::\"top\"']]\n",
        "[rules]\nparent(User::\"ada\", Group::\"top\").\n",
    ] {
        assert_eq!(why(&format!("{parent}{policy}"), &ada()), Why::ForbiddenBy("no".into()), "{parent}");
    }
    let test = "[test.\"given by a test\"]\nfacts = 'parent(User::\"ada\", Group::\"top\").'\nexpect = \"deny\"\n\
                request = { principal = 'User::\"ada\"', action = 'Action::\"read\"', resource = 'File::\"f\"' }\n";
    program(&format!("{policy}{test}"));
    refused("[rules]\nparent(ada, top).\n", "wrong-type");
    refused("[data]\nparent = [[\"ada\", \"top\"]]\n", "wrong-type");
}
