//! Tests of the reading of rules.

use std::{fmt::Write as _, sync::Arc};

use super::*;
use crate::base::Sources;

/// The clauses, shortly, then the findings.
fn read(text: &str) -> String {
    let sources = Sources::single("a.rune", text);
    let (file, _) = sources.files().next().unwrap();
    let mut findings = Findings::default();
    let clauses = parse(&Piece { file, start: 0, text: text.to_owned() }, &mut findings);
    let mut out = String::new();
    for clause in &clauses {
        let at = text.get(clause.span.clone()).unwrap();
        let _ = match &clause.kind {
            ClauseKind::Declaration(declaration) => {
                writeln!(
                    out,
                    "declares {}/{} {:?}: {at}",
                    declaration.name.text,
                    declaration.columns.len(),
                    declaration.n_keys
                )
            }
            ClauseKind::Rule(rule) => writeln!(out, "{} if {}: {at}", rule.head.name.text, rule.body.len()),
        };
    }
    for finding in findings.into_report(Arc::new(sources)).findings {
        let _ = writeln!(out, "{}: {} ({})", finding.span.start, finding.message, finding.help.unwrap_or_default());
    }
    out
}

#[test]
fn clauses_come_out_with_their_places() {
    assert_eq!(
        read(
            "edge(a, b).\n@id(\"r\") reach(X, Z) :- reach(X, Y), edge(Y, Z), not X in Z . relation p(a: A | B -> max Long)."
        ),
        "edge if 0: edge(a, b).\nreach if 3: @id(\"r\") reach(X, Z) :- reach(X, Y), edge(Y, Z), not X in Z .\n\
         declares p/2 Some(1): relation p(a: A | B -> max Long).\n"
    );
}

#[test]
fn a_finding_covers_whole_characters_of_the_text() {
    for (text, place) in [("p(é", 2..4), ("p(", 2..2), ("", 0..0), ("\u{1f600} ", 0..4)] {
        let sources = Sources::single("a.rune", text);
        let (file, _) = sources.files().next().unwrap();
        let mut findings = Findings::default();
        assert_eq!(parse_goal(&Piece { file, start: 0, text: text.to_owned() }, &mut findings), None);
        let report = findings.into_report(Arc::new(sources));
        assert_eq!(report.findings[0].span.range(), place, "{report}");
    }
}

#[test]
fn a_sign_is_no_digit_of_an_escape() {
    for text in [r#"p("\x+4")."#, r#"p("\u{+41}")."#] {
        assert!(read(text).contains("this is not an escape of a string"), "{text}: {}", read(text));
    }
}

#[test]
fn a_missing_period_hides_no_other_rule() {
    assert_eq!(
        read("p(X) :- q(X)\nr(X) :- s(X)\n\nt(X) :- u(X), v(X).\nw(a)"),
        "p if 1: p(X) :- q(X)\nr if 1: r(X) :- s(X)\nt if 2: t(X) :- u(X), v(X).\nw if 0: w(a)\n\
         0: this rule has no end (a rule ends with a period)\n13: this rule has no end (a rule ends with a period)\n\
         47: this rule has no end (a rule ends with a period)\n"
    );
}

#[test]
fn a_broken_statement_is_told_where_it_breaks() {
    assert_eq!(
        read("p(X) :- q(X); r(X).\np(X) :- X =< 3.\nok(a).\np(X) <- q(X).\np(X) :- q(X, .\n"),
        "ok if 0: ok(a).\n\
         12: `;` does not fit here (for \"or\", write a second rule with the same head)\n\
         30: `=<` does not fit here (less than or equal is `<=`)\n\
         48: `<-` does not fit here (the arrow of a rule is `:-`)\n\
         70: the rule breaks off here (expected a condition)\n"
    );
}

#[test]
fn atoms_and_guards_are_told_apart() {
    let text = "p(X) :- agent.tools(X), App::User.level(X, N), S.contains(X), ip(\"1.1.1.1\").isIpv4(), N > 3.";
    let sources = Sources::single("a.rune", text);
    let (file, _) = sources.files().next().unwrap();
    let mut findings = Findings::default();
    let clauses = parse(&Piece { file, start: 0, text: text.to_owned() }, &mut findings);
    let ClauseKind::Rule(rule) = &clauses[0].kind else { panic!("a rule") };
    let kinds: Vec<_> = rule
        .body
        .iter()
        .map(|literal| match &literal.kind {
            LiteralKind::Atom(atom) => atom.name.text.as_str(),
            _ => "guard",
        })
        .collect();
    assert_eq!(kinds, ["agent.tools", "App::User.level", "guard", "guard", "guard"]);
}
