//! Explanations and queries that come to their limits: they stop there, and say so.

use std::fmt::Write as _;

use rune_core::{
    Engine, EntityRef, Explanation, Options, OwnedValue, Program, QueryError, Request, Sources, base::limits,
    explain::Instance,
};

fn engine(rules: &str) -> Engine {
    let text = format!("version = \"rune/1.0\"\n[rules]\n{rules}");
    let program = Program::build(Sources::single("a.rune", &text), Options::default());
    Engine::new(program.unwrap_or_else(|error| panic!("{error}")))
}

fn explain(rules: &str) -> Explanation {
    let user = EntityRef::new("User", "ada");
    engine(rules).explain(&Request::new(user.clone(), EntityRef::new("Action", "read"), user))
}

/// So many rows `name(0).`, `name(1).` and so on.
fn rows(name: &str, n: usize) -> String {
    (0..n).fold(String::new(), |mut text, at| {
        let _ = writeln!(text, "{name}({at}).");
        text
    })
}

// Recurses once per attempt within another.
fn n_attempts(instance: &Instance) -> usize {
    let attempts = instance.clauses.iter().flat_map(|clause| &clause.attempts);
    attempts.map(|attempt| 1 + n_attempts(attempt)).sum()
}

#[test]
fn a_proof_of_too_many_facts_ends_and_says_so() {
    let edges: String = (0..limits::EXPLAINED_FACTS_MAX).map(|n| format!("edge({n}, {}).\n", n + 1)).collect();
    let end = limits::EXPLAINED_FACTS_MAX;
    let explanation = explain(&format!(
        "relation edge(Long, Long).\n{edges}reach(0) :- edge(0, _).\nreach(Y) :- reach(X), edge(X, Y).\n\
         @id(\"way\") permit(_, _, _) :- reach({end}).\n"
    ));
    assert!(explanation.decision.is_allowed() && explanation.is_incomplete);
    assert!(explanation.facts.len() <= 2 * limits::EXPLAINED_FACTS_MAX, "{}", explanation.facts.len());
}

#[test]
fn the_rows_of_a_large_aggregate_are_cut_and_it_is_said() {
    let n = limits::FOLDED_ROWS_MAX;
    for (n, is_cut) in [(n, false), (n + 1, true)] {
        let explanation = explain(&format!(
            "relation row(Long).\n{}@id(\"all\") permit(_, _, _) :- N = count {{ X : row(X) }}, N >= {n}.\n",
            rows("row", n)
        ));
        assert!(explanation.decision.is_allowed());
        assert_eq!((explanation.is_incomplete, explanation.facts.len() <= n), (is_cut, true), "{n}");
        let counted = explanation.determining[0].clauses[0].counted.as_ref().expect("an aggregate");
        assert_eq!((counted.tuples.len(), counted.beyond), (limits::FOLDED_ROWS_MAX, usize::from(is_cut)));
    }
}

#[test]
fn the_largest_of_many_is_among_those_that_are_shown() {
    let n = 3 * limits::FOLDED_ROWS_MAX;
    for (fold, best) in [("min", 0), ("max", n - 1)] {
        let explanation = explain(&format!(
            "relation row(Long).\n{}@id(\"best\") permit(_, _, _) :- N = {fold} {{ X : row(X) }}, N == {best}.\n",
            rows("row", n)
        ));
        let counted = explanation.determining[0].clauses[0].counted.as_ref().expect("an aggregate");
        let best = vec![OwnedValue::Long(i64::try_from(best).expect("a small number"))];
        assert!(counted.tuples.contains(&best), "{counted:?}");
        assert_eq!(counted.tuples.len() + counted.beyond, n);
    }
}

#[test]
fn of_many_permits_the_nearest_are_explained_and_the_others_counted() {
    let permits: String = (0..limits::CANDIDATES_MAX + 5)
        .map(|n| format!("relation r{n}(User).\n@id(\"p{n}\") permit(U, _, _) :- r{n}(U).\n"))
        .collect();
    let explanation = explain(&permits);
    assert_eq!((explanation.candidates.len(), explanation.candidates_beyond), (limits::CANDIDATES_MAX, 5));
}

#[test]
fn rules_that_are_tried_for_what_does_not_hold_do_not_multiply() {
    let mut rules = String::from("relation base(User, Long).\n@id(\"p\") permit(U, _, _) :- p0(U).\n");
    for layer in 0..4 {
        for rule in 0..30 {
            let _ = writeln!(rules, "p{layer}(U) :- p{}(U), base(U, {rule}).", layer + 1);
        }
    }
    rules.push_str("p4(U) :- base(U, 99).\n");
    let explanation = explain(&rules);
    let n: usize = explanation.candidates.iter().map(|candidate| n_attempts(&candidate.instance)).sum();
    assert!(n <= limits::ATTEMPTS_MAX && explanation.is_incomplete, "{n}");
}

#[test]
fn what_a_large_set_holds_is_shown_by_its_beginning() {
    let n = limits::READS_MAX + 500;
    let explanation = explain(&format!(
        "relation row(Long).\n{}@attribute relation marks(User, Long).\nmarks(U, N) :- User(U), row(N).\n\
         relation known(User).\nknown(\"ada\").\n[policies]\n@id(\"marked\") permit (principal, action, resource)\n\
         when {{ principal.marks.containsAny([7]) }};\n",
        rows("row", n)
    ));
    assert!(explanation.decision.is_allowed() && explanation.is_incomplete);
    let facts = explanation.determining.iter().flat_map(|of| &of.clauses).map(|clause| clause.facts.len()).max();
    assert_eq!(facts, Some(limits::READS_MAX));
}

#[test]
fn a_query_with_too_many_rows_is_refused() {
    let engine = engine(&format!("relation row(Long).\n{}", rows("row", 1_001)));
    assert!(matches!(engine.query("row(X), row(Y)", None), Err(QueryError::TooManyRows(limits::ANSWER_ROWS_MAX))));
    assert!(matches!(engine.query("row(X), row(Y), row(Z), X > Z, Z > X", None), Err(QueryError::TooManySteps(_))));
    assert_eq!(engine.query("row(X)", None).map(|rows| rows.rows.len()).ok(), Some(1_001));
}
