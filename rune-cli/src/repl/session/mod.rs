//! What lines mean, one after another: what is on trial, which request is set, and what answers.
//!
//! ```text
//!   the folder ──────────────────────▶ Lineup ──▶ answers
//!        └── with what is on trial ──▶ Lineup ──┘
//! ```
//!
//! Whatever is refused, an edit or a statement, changes nothing: answers are by what was good last.

use std::{collections::BTreeSet, sync::Arc};

use rune_core::{
    BuildError, Finding, Lineup, QueryError, Report, Version, Why, check::rules::PredicateKind, diag::Code,
};
use serde_json::{Value as Json, json};

use crate::{eval, list, query, relations, report, shown::Shown, watch};

use super::{
    answer::Answer,
    command::{self, Asked, Command, Line},
    folder::News,
    trial::{self, Numbers},
};

/// Statements on trial. All are built anew for each, and what is longer is a file.
const TRIAL_MAX: usize = 1_000;

const NO_REQUEST: &str = "there is no request: write one, or set one by `:request P A R`";

/// What is to be done with a line.
#[derive(Debug)]
pub(super) enum Step {
    Nothing,
    Tell(Answer),
    /// Reads the folder, and then [`Session::reload`].
    Reload,
    End,
}

/// Takes lines and says what to print.
#[derive(Debug)]
pub(super) struct Session {
    /// The folder as it was good last.
    folder: Arc<Lineup>,
    /// What answers: that, with what is on trial.
    answers: Arc<Lineup>,
    /// How people are told of places in what is on trial there.
    numbers: Numbers,
    /// Whether the folder is newer than what answers, because what is on trial does not go with it.
    is_behind: bool,
    trial: Vec<String>,
    request: Option<Box<Asked>>,
    /// The last version of the folder whose refusal was told.
    refused: Option<Version>,
    shown: Shown,
    /// How deep rules below rules are shown.
    depth: usize,
}

impl Session {
    pub(super) fn new(folder: Arc<Lineup>, shown: Shown, depth: usize) -> Self {
        Self {
            answers: folder.clone(),
            numbers: Numbers::beside(&folder),
            folder,
            is_behind: false,
            trial: Vec::new(),
            request: None,
            refused: None,
            shown,
            depth,
        }
    }

    /// What answers now.
    pub(super) fn answers(&self) -> &Arc<Lineup> {
        &self.answers
    }

    /// How many statements are on trial.
    pub(super) fn n_trial(&self) -> usize {
        self.trial.len()
    }

    pub(super) fn line(&mut self, line: &str) -> Step {
        Step::Tell(match command::read(line) {
            Ok(Line::Blank) => return Step::Nothing,
            Ok(Line::Reload) => return Step::Reload,
            Ok(Line::Quit) => return Step::End,
            Ok(Line::Query(text)) => self.query(text),
            Ok(Line::Statement(text)) => self.add(text),
            Ok(Line::Command(command)) => self.command(command),
            Err(message) => Answer::error(message),
        })
    }

    fn command(&mut self, command: Command) -> Answer {
        match command {
            Command::Why(asked) => {
                match self.asked(asked.as_deref()).map(|asked| self.answers.snapshot().explain(&asked.request)) {
                    Some(explanation) => {
                        let text = explanation.tree_citing(self.depth, &self.numbers);
                        Answer::new(text.trim_end(), json!(explanation))
                    }
                    None => Answer::error(NO_REQUEST),
                }
            }
            Command::WhyRows(query) => self.prove(&query),
            Command::Decide(asked) => {
                match self.asked(asked.as_deref()).map(|asked| self.answers.snapshot().outline(&asked.request)) {
                    Some(explanation) => Answer::new(eval::text(&explanation, &self.numbers), eval::json(&explanation)),
                    None => Answer::error(NO_REQUEST),
                }
            }
            Command::List(list, of) => {
                let listed = match self.answers.snapshot().list(&list) {
                    Ok(listed) => listed,
                    Err(error) => return Answer::error(error.to_string()),
                };
                Answer::new(list::text(&listed, self.shown), list::json(&listed, self.shown))
                    .note(list::note(of, &listed))
                    .warn(list::open(&listed))
            }
            Command::SetRequest(asked) => {
                let decision = self.answers.decide(&asked.request);
                self.request = Some(asked);
                let error = match decision.why {
                    Why::Error(error) => Some(format!("the request cannot be decided: {error}")),
                    _ => None,
                };
                self.show_request().warn(error)
            }
            Command::NoRequest => {
                self.request = None;
                self.show_request()
            }
            Command::ShowRequest => self.show_request(),
            Command::Relations => {
                let (text, json) = list_relations(&self.answers, &self.folder);
                Answer::new(text, json)
            }
            Command::ShowTrial => self.show_trial(),
            Command::Forget(which) => self.forget(which),
            Command::Help => Answer::new(command::help(), json!({ "text": command::help() })),
        }
    }

    fn query(&self, text: &str) -> Answer {
        match self.answers.snapshot().query(text, self.request.as_ref().map(|asked| &asked.request)) {
            Ok(rows) => {
                Answer::new(query::text(&rows, self.shown), query::json(&rows, self.shown)).warn(query::open(&rows))
            }
            Err(error) => no_rows(error),
        }
    }

    fn prove(&self, text: &str) -> Answer {
        match self.answers.snapshot().prove(text, self.request.as_ref().map(|asked| &asked.request)) {
            Ok(proof) => Answer::new(proof.tree_citing(self.depth, &self.numbers).trim_end(), json!(proof)),
            Err(error) => no_rows(error),
        }
    }

    /// The request that a command is about: its own, or the one that is set.
    fn asked<'a>(&'a self, own: Option<&'a Asked>) -> Option<&'a Asked> {
        own.or(self.request.as_deref())
    }

    fn show_request(&self) -> Answer {
        let text = self.request.as_deref().map_or("no request is set", Asked::text);
        Answer::new(text, json!({ "request": self.request.as_deref().map(Asked::json) }))
    }

    fn show_trial(&self) -> Answer {
        // A statement of several lines is listed on one.
        let line = |(at, statement): (usize, &String)| {
            let words: Vec<_> = statement.lines().map(str::trim).collect();
            format!("{}  {}", at + 1, words.join(" "))
        };
        let lines: Vec<_> = self.trial.iter().enumerate().map(line).collect();
        let text = if lines.is_empty() { "nothing is on trial".to_owned() } else { lines.join("\n") };
        Answer::new(text, self.trial_json(&[]))
    }

    fn trial_json(&self, findings: &[Json]) -> Json {
        json!({ "trial": self.trial, "findings": findings })
    }

    /// Takes a statement on trial, if all can be built with it.
    fn add(&mut self, statement: &str) -> Answer {
        if TRIAL_MAX <= self.trial.len() {
            let n = self.trial.len();
            return Answer::error(format!("{n} statements are on trial, and there may be {TRIAL_MAX}: `:forget` some"));
        }
        let mut trial = self.trial.clone();
        trial.push(statement.to_owned());
        let told = format!("on trial: {statement}");
        match self.try_out(trial) {
            Ok(warnings) => {
                let findings = report::json(&warnings);
                let json = self.trial_json(findings.as_array().map_or(&[], Vec::as_slice));
                let answer = Answer::new(told, json);
                if warnings.findings.is_empty() { answer } else { answer.after(warnings) }
            }
            Err(BuildError::Refused(refusal)) => {
                let is_question = refusal.findings.iter().any(|finding| finding.code == Code::NotConstant);
                let answer = Answer::refused("the statement", refusal);
                let text = statement.trim_end_matches('.');
                let hint = format!("what ends with a period is for trial; to ask, write `{text}?`");
                answer.warn(is_question.then_some(hint))
            }
            Err(error @ BuildError::NoThread(_)) => Answer::error(error.to_string()),
        }
    }

    /// Takes a statement off trial, or all of them.
    fn forget(&mut self, which: Option<usize>) -> Answer {
        let mut trial = self.trial.clone();
        match which {
            None => trial.clear(),
            Some(n) if (1..=trial.len()).contains(&n) => drop(trial.remove(n - 1)),
            Some(n) => return Answer::error(format!("there is no statement {n} on trial: `:trial` lists them")),
        }
        match self.try_out(trial) {
            Ok(_) => self.show_trial(),
            Err(BuildError::Refused(refusal)) => Answer::refused("what would be left on trial", refusal),
            Err(error @ BuildError::NoThread(_)) => Answer::error(error.to_string()),
        }
    }

    /// Answers by the folder with these statements from now on, and says what is odd about them that was not before. If there is
    /// no such program, nothing changes.
    fn try_out(&mut self, trial: Vec<String>) -> Result<Report, BuildError> {
        let answers = trial::build(&self.folder, &trial)?;
        let warnings = warnings_beyond(answers.stable().warnings(), self.answers.stable().warnings());
        self.answer_by(answers);
        self.trial = trial;
        Ok(warnings)
    }

    /// Answers by the folder as it is now, with what is on trial.
    fn answer_by(&mut self, answers: Arc<Lineup>) {
        self.answers = answers;
        self.numbers = Numbers::beside(&self.folder);
        self.is_behind = false;
    }

    /// The folder was read again because somebody asked for it.
    pub(super) fn reload(&mut self, read: Result<Arc<Lineup>, Report>) -> Answer {
        let folder = match read {
            Ok(folder) => folder,
            Err(refusal) => {
                self.refused = Some(refusal.sources.version());
                return Answer::refused("the ruleset", refusal);
            }
        };
        self.refused = None;
        if self.is_known(&folder) && !self.is_behind {
            return Answer::new("nothing has changed", self.reload_json(&[]));
        }
        let (changes, taken) = self.take(folder);
        match taken {
            Ok(()) => Answer::new(in_force(&changes), self.reload_json(&changes)),
            Err(BuildError::Refused(refusal)) => Answer::refused("the ruleset with what is on trial", refusal),
            Err(error @ BuildError::NoThread(_)) => Answer::error(error.to_string()),
        }
    }

    /// What is told of an edit, if there is anything to tell.
    pub(super) fn news(&mut self, news: News) -> Option<Answer> {
        Some(match news {
            News::Live(folder) if self.is_known(&folder) => return None,
            News::Live(folder) => {
                self.refused = None;
                match self.take(folder) {
                    (changes, Ok(())) => {
                        let version = self.folder.stable().version().to_string();
                        let json = json!({ "event": "reload", "version": version, "changes": changes });
                        Answer::event(in_force(&changes), json)
                    }
                    (changes, Err(BuildError::Refused(refusal))) => {
                        let hint = "refused with what is on trial, answers are as before until `:forget`";
                        let text = format!("{}: {hint}", changes.join(", "));
                        Answer::event(text, refusal_json(&changes, &refusal)).after(refusal)
                    }
                    (_, Err(error @ BuildError::NoThread(_))) => Answer::error(error.to_string()),
                }
            }
            News::Refused(refusal) if self.refused == Some(refusal.sources.version()) => return None,
            News::Refused(refusal) => {
                self.refused = Some(refusal.sources.version());
                let changes = watch::changes(self.folder.stable().sources(), &refusal.sources);
                let text = format!("{}: refused, answers are as before", changes.join(", "));
                Answer::event(text, refusal_json(&changes, &refusal)).after(refusal)
            }
            News::Recovered => {
                self.refused = None;
                let text = "the files are again those of before";
                Answer::event(text, json!({ "event": "recovered" }))
            }
            News::Trouble(trouble) => {
                let json = json!({ "event": "trouble", "message": trouble });
                Answer::event(format!("{trouble}; answers are as before"), json)
            }
        })
    }

    fn is_known(&self, folder: &Lineup) -> bool {
        folder.stable().version() == self.folder.stable().version()
    }

    /// Answers by another version of the folder, if what is on trial goes with it; also says what is changed in it.
    fn take(&mut self, folder: Arc<Lineup>) -> (Vec<String>, Result<(), BuildError>) {
        let changes = watch::changes(self.folder.stable().sources(), folder.stable().sources());
        self.folder = folder;
        let built = trial::build(&self.folder, &self.trial);
        self.is_behind = true;
        (changes, built.map(|answers| self.answer_by(answers)))
    }

    fn reload_json(&self, changes: &[String]) -> Json {
        let version = self.folder.stable().version().to_string();
        json!({ "version": version, "changes": changes })
    }
}

fn in_force(changes: &[String]) -> String {
    format!("{}: in force", changes.join(", "))
}

fn refusal_json(changes: &[String], refusal: &Report) -> Json {
    json!({
        "event": "refusal",
        "version": refusal.sources.version().to_string(),
        "changes": changes,
        "findings": report::json(refusal),
        "findings_beyond": refusal.n_beyond,
    })
}

/// The relations for people, and for machines. Which are live, the folder says: on trial they have rows that files give.
fn list_relations(answers: &Lineup, folder: &Lineup) -> (String, Json) {
    let of_folder = folder.stable().relations().predicates.iter();
    let live: Vec<&str> = of_folder.filter(|of| of.kind == PredicateKind::Live).map(|of| of.name.as_str()).collect();
    let program = answers.stable();
    let listed = relations::all(program, program.facts(), |of| live.contains(&of.name.as_str()));
    let lines: Vec<_> = listed.iter().map(relations::text).collect();
    let text = if lines.is_empty() { "no relations".to_owned() } else { lines.join("\n") };
    (text, json!({ "relations": listed.iter().map(relations::json).collect::<Json>() }))
}

/// What is odd in files and not in a session: what nothing reads is read by queries, and what has no rows may get some.
const IDLE: [Code; 2] = [Code::UnusedRelation, Code::RelationWithoutRows];

/// The findings that are not among others, whose files are the same but for one.
fn warnings_beyond(warnings: &Report, others: &Report) -> Report {
    let key = |report: &Report, at: &Finding| {
        let path = report.sources.file(at.span.file).map(|file| file.path.clone());
        (path, at.span.range().start, at.code.as_str(), at.message.clone())
    };
    let known: BTreeSet<_> = others.findings.iter().map(|finding| key(others, finding)).collect();
    let is_new = |finding: &&Finding| !IDLE.contains(&finding.code) && !known.contains(&key(warnings, finding));
    let new = warnings.findings.iter().filter(is_new).cloned();
    Report { sources: warnings.sources.clone(), findings: new.collect(), n_beyond: 0 }
}

/// The answer to a query that has none.
fn no_rows(error: QueryError) -> Answer {
    match error {
        QueryError::Refused(refusal) => Answer::refused("the query", refusal),
        QueryError::NoRequest => Answer::error("the query depends on a request: `:request P A R` sets one"),
        QueryError::Request(message) => {
            Answer::error(format!("the request that is set does not fit, and `:request none` lets go of it: {message}"))
        }
        error @ (QueryError::TooManySteps(_) | QueryError::TooManyRows(_)) => Answer::error(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
