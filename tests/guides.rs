//! The guides: every whole ruleset that they show is in order, is tested, and passes its tests.

#![expect(clippy::disallowed_methods, reason = "the test reads the documents")]

use std::{fs, path::Path};

use rune_core::{Options, Program, Sources};

/// The `rune` fences of a document that are whole files: the line on which each begins, and its text.
fn rulesets(document: &str) -> Vec<(usize, String)> {
    let mut rulesets = Vec::new();
    let mut lines = document.lines().zip(1..);
    while let Some((line, at)) = lines.next() {
        if line == "```rune" {
            let text: String =
                lines.by_ref().take_while(|(line, _)| *line != "```").flat_map(|(line, _)| [line, "\n"]).collect();
            if text.starts_with("version = ") {
                rulesets.push((at + 1, text));
            }
        }
    }
    rulesets
}

/// Builds each ruleset of a guide and says how many there are.
fn check(guide: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(guide);
    let document = fs::read_to_string(path).unwrap_or_else(|error| panic!("{guide}: {error}"));
    let rulesets = rulesets(&document);
    for (line, text) in &rulesets {
        let program = Program::build(Sources::single("a.rune", text), Options::default())
            .unwrap_or_else(|error| panic!("{guide}:{line}: {error}"));
        assert!(program.warnings().findings.is_empty(), "{guide}:{line}: {}", program.warnings());
        assert!(!program.tests().is_empty(), "{guide}:{line} has no test");
        for test in program.tests() {
            assert_eq!(test.failure, None, "{guide}:{line}: {}", test.name);
        }
    }
    rulesets.len()
}

#[test]
fn every_ruleset_of_the_guides_is_in_order_and_passes_its_tests() {
    let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut n_guides = 0;
    for entry in fs::read_dir(&documents).unwrap_or_else(|error| panic!("{}: {error}", documents.display())) {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            let n_rulesets = check(&name);
            let is_guide = name.starts_with("from-");
            assert!(!is_guide || 3 <= n_rulesets, "{name} shows {n_rulesets} rulesets, and a guide at least three");
            n_guides += usize::from(is_guide);
        }
    }
    assert!(3 <= n_guides, "there are guides for three languages, and here are {n_guides}");
}
