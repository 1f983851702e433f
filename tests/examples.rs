//! The examples: in order, laid out, and every clause of their rules and policies shown to matter by a test. The ruleset of the
//! README is laid out, too.

use rune_core::{
    Options, Program, Sources,
    reload::driver,
    syntax::format::{self, Form},
};

fn check_layout(sources: &Sources) {
    for (id, file) in sources.files() {
        if let Some(form) = Form::of(&file.path) {
            let layout = format::format(form, id, file.text()).unwrap_or_else(|error| panic!("{}: {error}", file.path));
            assert_eq!(layout, file.text(), "`rune fmt` would lay out {} like this", file.path);
        }
    }
}

#[test]
fn every_example_is_laid_out() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies");
    let sources = driver::read(&dir).unwrap_or_else(|error| panic!("{error}"));
    assert!(sources.find("cedar/policies.cedar").is_some() && sources.find("todo/todo.rune").is_some());
    check_layout(&sources);
}

#[test]
fn the_readme_s_ruleset_is_laid_out() {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("\n```\nversion = ").expect("the README shows a ruleset");
    let (ruleset, _) = rest.split_once("```").expect("an end");
    check_layout(&Sources::single("readme.rune", &format!("version = {ruleset}")));
}

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
