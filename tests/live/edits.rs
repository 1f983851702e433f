//! Other versions of a ruleset, as its authors make them while facts are live.

use super::rulesets::Ruleset;

/// What is asked of a version beside what is asked of its ruleset; some versions do not have all of it.
pub const QUERIES: [&str; 5] = ["noted(U, S)", "linked(U, V)", "someone(U)", "hop(X, Z)", "picked(X)"];

/// The text of a ruleset without some of its rules and facts, and with others.
pub fn edited(ruleset: &Ruleset, mut below: impl FnMut(usize) -> usize) -> String {
    let mut text = String::new();
    for line in ruleset.text.lines() {
        let is_declared = ["relation", "@live", "@materialize", "@attribute"].iter().any(|word| line.starts_with(word));
        let percent = if line.starts_with("Document.") { 10 } else { 20 };
        let may_go = line.starts_with("Document.") || line.ends_with('.') && !is_declared;
        if may_go && below(100) < percent {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if line == "[rules]" {
            text.push_str(&added(ruleset, &mut below));
        }
    }
    text
}

fn added(ruleset: &Ruleset, below: &mut impl FnMut(usize) -> usize) -> String {
    let mut text = "relation noted(User, String).\n".to_owned();
    for _ in 0..below(3) {
        text.push_str(&format!("noted(\"u{}\", \"s{}\").\n", below(6), below(6)));
    }
    if below(2) == 0 {
        let kind = ["", "@materialize "][below(2)];
        text.push_str(&format!("{kind}relation linked(User, User).\nlinked(U, V) :- noted(U, S), noted(V, S).\n"));
    }
    if below(2) == 0 {
        let negated = ["", ", not noted(U, _)"][below(2)];
        text.push_str(&format!("@materialize relation someone(User).\nsomeone(U) :- User(U){negated}.\n"));
    }
    for (relation, columns, _) in ruleset.relations {
        let mut columns = columns.chars();
        let (Some(first), Some(second), None) = (columns.next(), columns.next(), columns.next()) else { continue };
        let name = |kind: char| [('u', "User"), ('g', "Group"), ('d', "Document")].into_iter().find(|of| of.0 == kind);
        let (Some((_, kind)), Some((_, other))) = (name(first), name(second)) else { continue };
        match below(3) {
            0 if first == second => {
                let (kind, rule) = (format!("{kind}, {kind}"), format!("{relation}(X, Y), {relation}(Y, Z)"));
                text.push_str(&format!("@materialize relation hop({kind}).\nhop(X, Z) :- {rule}.\n"));
                break;
            }
            1 => {
                let id = format!("{other}::\"{second}{}\"", below(6));
                text.push_str(&format!("@materialize relation picked({kind}).\npicked(X) :- {relation}(X, {id}).\n"));
                break;
            }
            _ => {}
        }
    }
    text
}
