//! What is on trial: statements that stand beside the files of the folder, each in a file of its own and only in memory.
//!
//! A statement is known by its number, counted from 1: its file is `trial/2.rune`, and people read `trial 2` for a place in it.
//! Facts on trial may be rows of relations that are `@live`, which have none in files.

use std::{collections::BTreeSet, sync::Arc};

use rune_core::{
    BuildError, Engine, File, Lineup, Options, Program, Severity, Sources,
    check::rules::PredicateKind,
    diag::Findings,
    syntax::{
        cedar::Piece,
        container::{self, SectionKind},
        rules::{self, Clause, ClauseKind},
    },
};

/// A mark before relations.
const LIVE: &str = "@live";

/// The folder with these statements beside it.
pub(super) fn build(folder: &Arc<Lineup>, trial: &[String]) -> Result<Arc<Lineup>, BuildError> {
    if trial.is_empty() {
        return Ok(folder.clone());
    }
    let sources = folder.stable().sources();
    let files = trial.iter().enumerate().map(|(at, statement)| file(sources, at + 1, statement));
    let files: Vec<File> = files.collect();
    let given = given(&files);
    let is_given = |name: &str| given.contains(name);
    let of_folder = sources.files().map(|(_, file)| file.clone());
    let of_folder: Vec<File> = if has_live(folder.stable(), is_given) {
        of_folder.map(|file| without_live(&file, is_given)).collect()
    } else {
        of_folder.collect()
    };
    // What a rule would do to tests is something to learn from.
    let options = Options { failing_test: Severity::Warning, ..Options::default() };
    let sources = Sources::new(of_folder.into_iter().chain(files).collect());
    Ok(Engine::new(Program::build(sources, options)?).lineup())
}

/// The file of a statement.
fn file(sources: &Sources, n: usize, statement: &str) -> File {
    // Where a line begins with a blank it is no header.
    let text = format!("version = \"rune/1.0\"\n[rules]\n{}\n", statement.replace('\n', "\n "));
    File::new(format!("{}/{n}.rune", folder_name(sources)), text.into_bytes())
}

/// A name that no path of the folder begins with.
fn folder_name(sources: &Sources) -> String {
    let others = (2_usize..).map(|n| format!("trial-{n}"));
    let mut names = std::iter::once("trial".to_owned()).chain(others);
    let is_free = |name: &String| sources.files().all(|(_, file)| file.path.split('/').next() != Some(name));
    names.find(is_free).unwrap_or_default()
}

/// A text for people: of places in statements only the numbers of those.
pub(super) fn cited(text: &str, sources: &Sources) -> String {
    let folder = format!("{}/", folder_name(sources));
    let mut parts = text.split(&folder);
    let mut cited = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((n, rest)) = place(part) else {
            cited.extend([&folder, part]);
            continue;
        };
        // A rule is told with its place, which says no more.
        match (cited.ends_with(&format!("trial {n} (")), rest.strip_prefix(')')) {
            (true, Some(rest)) => {
                cited.truncate(cited.len() - " (".len());
                cited.push_str(rest);
            }
            _ => cited.extend(["trial ", n, rest]),
        }
    }
    cited
}

/// The number in `2.rune:3:1` or `2.rune:rule0`, and what follows.
fn place(text: &str) -> Option<(&str, &str)> {
    let (n, rest) = digits(text)?;
    let rest = rest.strip_prefix(".rune:")?;
    let rest = match rest.strip_prefix("rule") {
        Some(rest) => digits(rest)?.1,
        None => digits(digits(rest)?.1.strip_prefix(':')?)?.1,
    };
    Some((n, rest))
}

fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())
}

/// The relations that facts on trial are rows of, and that no rule on trial derives.
fn given(files: &[File]) -> BTreeSet<String> {
    let (mut given, mut derived) = (BTreeSet::new(), BTreeSet::new());
    for clause in files.iter().flat_map(clauses) {
        if let ClauseKind::Rule(rule) = clause.kind {
            let names = if rule.body.is_empty() { &mut given } else { &mut derived };
            names.insert(rule.head.name.text);
        }
    }
    given.retain(|name| !derived.contains(name));
    given
}

/// Whether one of these relations is live.
fn has_live(program: &Program, is_given: impl Fn(&str) -> bool) -> bool {
    let predicates = &program.relations().predicates;
    predicates.iter().any(|predicate| predicate.kind == PredicateKind::Live && is_given(&predicate.name))
}

/// The file, in which these relations are not live; every byte else is where it was.
fn without_live(file: &File, is_given: impl Fn(&str) -> bool) -> File {
    let mut text = file.text().to_owned();
    for clause in clauses(file) {
        let ClauseKind::Declaration(declaration) = &clause.kind else { continue };
        let mark = clause.annotations.iter().find(|annotation| annotation.name.text == "live");
        let Some(mark) = mark.filter(|_| is_given(&declaration.name.text)) else { continue };
        let place = mark.name.span.start.saturating_sub(1)..mark.name.span.end;
        // With white space or a value in it, it stays.
        let rest = text.get(place.end..).unwrap_or_default().trim_start();
        if text.get(place.clone()) == Some(LIVE) && !rest.starts_with('(') {
            text.replace_range(place, &" ".repeat(LIVE.len()));
        }
    }
    if text == file.text() { file.clone() } else { File::new(file.path.clone(), text.into_bytes()) }
}

/// The clauses of a `.rune` file, as far as there are any.
fn clauses(file: &File) -> Vec<Clause> {
    let alone = Sources::new(vec![file.clone()]);
    let Some((id, _)) = alone.files().next().filter(|_| file.path.ends_with(".rune")) else { return Vec::new() };
    let mut findings = Findings::default();
    let mut sections = container::parse(id, file.text(), &mut findings);
    sections.retain(|section| section.kind == SectionKind::Rules);
    let piece = |section: &container::Section| Piece {
        file: id,
        start: section.body.start,
        text: section.text_without_comments(file.text()),
    };
    sections.iter().flat_map(|section| rules::parse(&piece(section), &mut findings)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_statements_are_cited_by_their_numbers() {
        let check = |paths: &[&str], text: &str, expected: &str| {
            let files = paths.iter().map(|path| File::new(*path, "".as_bytes())).collect();
            assert_eq!(cited(text, &Sources::new(files)), expected);
        };
        check(&["a.rune"], "p(a) (trial/12.rune:3:1)\nq(b) (a.rune:3:1)", "p(a) (trial 12)\nq(b) (a.rune:3:1)");
        check(&[], "r(a), by trial/2.rune:rule0 (trial/2.rune:3:10), as above", "r(a), by trial 2, as above");
        check(&[], "allowed by mine (trial/1.rune:3:1)", "allowed by mine (trial 1)");
        check(&[], "by trial/2.rune:rule1 (trial/1.rune:3:1)", "by trial 2 (trial 1)");
        for text in ["trial/", "trial/1.rune:", "trial/1.rune:3", "trial/x.rune:3:1", "trial/1.cedar:policy0"] {
            check(&[], text, text);
        }
        check(&["trial/1.rune"], "p(a) (trial/1.rune:3:1)", "p(a) (trial/1.rune:3:1)");
        check(&["trial/1.rune"], "p(a) (trial-2/1.rune:3:1)", "p(a) (trial 1)");
    }

    #[test]
    fn only_the_mark_of_a_relation_with_facts_is_blank() {
        let check = |before: &str, after: &str| {
            let file = |text: &str| File::new("a.rune", format!("version = \"rune/1.0\"\n{text}").into_bytes());
            let seen = without_live(&file(before), |name| name == "p");
            assert_eq!(seen.text(), file(after).text());
        };
        check(
            "[rules]\n// @live\n@live relation p(User). @live relation q(User).\n",
            "[rules]\n// @live\n      relation p(User). @live relation q(User).\n",
        );
        check(
            "[rules]\n@doc(\"@live relation p\") // one\n@live\nrelation p(User).\n[rules]\np(a).\n",
            "[rules]\n@doc(\"@live relation p\") // one\n     \nrelation p(User).\n[rules]\np(a).\n",
        );
        for text in ["[rules]\n@live(\"\") relation p(User).\n", "[data]\np = [[\"@live relation p(User).\"]]\n", ""] {
            check(text, text);
        }
    }
}
