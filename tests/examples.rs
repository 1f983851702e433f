//! The examples: in order, laid out, and every clause of their rules and policies shown to matter by a test.

use rune_core::{Options, Program, reload::driver};

fn check(name: &str) {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies").join(name);
    let sources = driver::read(&dir).unwrap_or_else(|error| panic!("{name}: {error}"));
    let options = Options { coverage: true, ..Options::default() };
    let program = Program::build(sources, options).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(program.warnings().findings.is_empty(), "{name}: {}", program.warnings());
    assert!(!program.coverage().is_empty(), "{name} has clauses");
    for clause in program.coverage() {
        assert!(clause.was_true, "{name}: {}: `{}` is never true", clause.id, clause.text);
        assert!(clause.was_false, "{name}: {}: `{}` is never false", clause.id, clause.text);
    }
}

#[test]
fn every_clause_of_documents_is_true_in_one_test_and_false_in_another() {
    check("documents");
}

#[test]
fn every_clause_of_github_is_true_in_one_test_and_false_in_another() {
    check("github");
}

#[test]
fn every_clause_of_agents_is_true_in_one_test_and_false_in_another() {
    check("agents");
}

#[test]
fn every_clause_of_todo_is_true_in_one_test_and_false_in_another() {
    check("todo");
}
