//! One language of expressions, read in two ways: Cedar's parser and ours give the same tree for every condition of the corpus.

#![expect(clippy::disallowed_methods, reason = "tests read files and the environment")]

use std::{fs, io::Read, path::PathBuf, sync::Arc};

use cedar_policy::{PolicySet, pst::Clause};
use rune_core::{
    Sources,
    diag::Findings,
    policy,
    syntax::{ast::Expr, cedar::Piece, rules},
};

/// Conditions of the corpus, at least.
const CONDITIONS: usize = 2_000;

/// What our grammar makes of an expression, without places.
fn ours(text: &str) -> Result<Expr, String> {
    let sources = Sources::single("a.rune", text);
    let Some((file, _)) = sources.files().next() else { return Err("no file".to_owned()) };
    let mut findings = Findings::default();
    let read = rules::parse_expression(&Piece { file, start: 0, text: text.to_owned() }, &mut findings);
    read.map(|mut expr| {
        expr.forget_places();
        expr
    })
    .ok_or_else(|| findings.into_report(Arc::new(sources)).to_string())
}

/// Compares the two readings of each condition of some policies, and returns how many there are.
fn compare(text: &str, failures: &mut Vec<String>) -> usize {
    let Ok(set) = text.parse::<PolicySet>() else { return 0 };
    let mut n = 0;
    for policy in set.policies() {
        let Ok(tree) = policy.to_pst() else { continue };
        let body = tree.body();
        let Ok(Some(mut theirs)) = policy::condition(body) else { continue };
        theirs.forget_places();
        let clauses: Vec<String> = body
            .clauses()
            .iter()
            .map(|clause| match clause {
                Clause::When(expr) => format!("({expr})"),
                Clause::Unless(expr) => format!("!({expr})"),
            })
            .collect();
        let text = clauses.join(" && ");
        n += 1;
        match ours(&text) {
            // One condition is a list of one, which brackets do not make.
            Ok(expr) if expr.kind == theirs.kind || Expr::all(vec![expr.clone()]) == theirs.kind => {}
            Ok(expr) => failures.push(format!("{text}\n ours   {:?}\n theirs {:?}", expr.kind, theirs.kind)),
            Err(fault) => failures.push(format!("{text}\n {fault}")),
        }
    }
    n
}

#[test]
fn every_condition_of_the_corpus_gives_one_tree() {
    let Some(corpora) = std::env::var_os("RUNE_CORPORA").map(PathBuf::from) else {
        assert!(std::env::var("CI").is_err(), "RUNE_CORPORA is not set, and CI must not skip");
        println!("skipped, RUNE_CORPORA is not set");
        return;
    };
    let archive = fs::File::open(corpora.join("cedar/corpus-tests.tar.gz")).expect("the corpus has its archive");
    let (mut n, mut failures) = (0, Vec::new());
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(archive)).entries().expect("a tar archive") {
        let mut entry = entry.expect("an entry");
        let is_policy = entry.path().expect("a path").extension().is_some_and(|extension| extension == "cedar");
        let mut text = String::new();
        if is_policy && entry.read_to_string(&mut text).is_ok() {
            n += compare(&text, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{} of {n} differ, the first:\n{}", failures.len(), failures[0]);
    assert!(CONDITIONS <= n, "only {n} conditions");
    println!("{n} conditions, each one tree");
}

#[test]
fn every_form_of_an_expression_gives_one_tree() {
    let forms = [
        "principal.a.b[\"c d\"] == 1 && !context.x",
        "-9223372036854775808 < --1 + 2 * 3 - 4",
        "!!true || !(1 > 2) && 3 >= 2 || 1 != 2",
        "principal is App::User in App::Group::\"a\\\"b\\u{41}\"",
        "resource in [A::\"x\", B::\"y\"] || principal in resource.groups",
        "if context has a.b.c then context.a.b.c else principal has \"odd name\"",
        "context.s like \"a*\\*b\" && [1, 2, [3]].contains(1) && [].isEmpty()",
        "{ \"a\": 1, b: { c: [true] } }.b.c.containsAny([false])",
        "ip(\"10.0.0.1\").isInRange(ip(\"10.0.0.0/8\")) && decimal(\"1.5\").lessThan(decimal(\"2.0\"))",
        "datetime(\"2024-01-01\").offset(duration(\"1h\")).toDate() < datetime(\"2025-01-01\")",
        "principal.hasTag(\"t\") && principal.getTag(\"t\") == \"v\" // a comment",
        "(1 + 2) * 3 == 9 && ((true && false) || true)",
    ];
    let mut failures = Vec::new();
    for form in forms {
        let policy = format!("permit (principal, action, resource) when {{ {form}\n }};");
        assert_eq!(compare(&policy, &mut failures), 1, "{form}");
        // As it is written here, too, and not only as Cedar prints it.
        assert!(ours(form).is_ok(), "{form}: {:?}", ours(form));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
