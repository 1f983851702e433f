//! What is on trial: statements that stand beside the files of the folder, each in a file of its own and only in memory.
//!
//! A statement is known by its number, counted from 1: its file is `trial/2.rune`, and people read `trial 2` for a place in it.
//! Facts on trial may be rows of relations that are `@live`, which have none in files.

use std::{collections::BTreeSet, sync::Arc};

use rune_core::{
    BuildError, Engine, File, Lineup, Options, Program, Severity, Sources,
    check::rules::PredicateKind,
    diag::Findings,
    explain::{Cite, Place, RuleRef},
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

/// How people are told of places in statements that stand beside a folder: `trial 2`, and for all others as usual.
#[derive(Debug)]
pub(super) struct Numbers {
    /// What the paths of statements begin with, and no other path does.
    start: String,
}

impl Numbers {
    pub(super) fn beside(folder: &Lineup) -> Self {
        Self { start: format!("{}/", folder_name(folder.stable().sources())) }
    }

    /// The statement that a place is in, if it is in one.
    fn statement(&self, place: &Place) -> Option<String> {
        let n = place.path.strip_prefix(&self.start)?.strip_suffix(".rune")?;
        Some(format!("trial {n}"))
    }
}

impl Cite for Numbers {
    fn place(&self, place: &Place) -> String {
        self.statement(place).unwrap_or_else(|| place.to_string())
    }

    fn rule(&self, rule: &RuleRef) -> String {
        match self.statement(&rule.place) {
            // Without a name of its own it is called by its place, which says no more.
            Some(statement) if rule.id.starts_with(&format!("{}:", rule.place.path)) => statement,
            _ => format!("{} ({})", rule.id, self.place(&rule.place)),
        }
    }
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
        let check = |files: &[&str], path: &str, expected: &str| {
            let header = "version = \"rune/1.0\"\n";
            let files = files.iter().map(|path| File::new(*path, header.as_bytes())).collect();
            let program = Program::build(Sources::new(files), Options::default());
            let folder = Engine::new(program.unwrap_or_else(|error| panic!("{error}"))).lineup();
            let place = Place { path: path.into(), line: 3, column: 1 };
            assert_eq!(Numbers::beside(&folder).place(&place), expected);
        };
        check(&["a.rune"], "trial/12.rune", "trial 12");
        check(&["a.rune"], "a.rune", "a.rune:3:1");
        check(&["a.rune"], "a/trial/1.rune", "a/trial/1.rune:3:1");
        check(&["trial/1.rune"], "trial/1.rune", "trial/1.rune:3:1");
        check(&["trial/1.rune"], "trial-2/1.rune", "trial 1");
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
