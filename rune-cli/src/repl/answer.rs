//! What is said to a line, and to an edit.

use rune_core::Report;
use serde_json::{Value as Json, json};

use crate::{
    output::{Output, printable},
    report,
};

/// Whether a line was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// Whatever the answer.
    Yes,
    /// It asked for what cannot be.
    No,
}

/// What is said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) answered: Answered,
    /// The result for people, if there is one.
    pub(super) text: Option<String>,
    /// All of it, for machines.
    pub(super) json: Json,
    /// What people are told besides.
    pub(super) notes: Vec<Note>,
}

/// What people are told besides a result.
#[derive(Debug)]
pub(super) enum Note {
    Findings(Report),
    Error(String),
    Warning(String),
    /// What there is to know about a result.
    Remark(String),
    /// What happened meanwhile.
    Event(String),
}

impl Answer {
    pub(super) fn new(text: impl Into<String>, json: Json) -> Self {
        Self { answered: Answered::Yes, text: Some(text.into()), json, notes: Vec::new() }
    }

    /// With what there is to know about it.
    pub(super) fn note(mut self, remark: String) -> Self {
        self.notes.push(Note::Remark(remark));
        self
    }

    /// With warnings about it.
    pub(super) fn warn(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(warnings.into_iter().map(Note::Warning));
        self
    }

    /// There is none, and why.
    pub(super) fn error(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            answered: Answered::No,
            text: None,
            json: json!({ "error": message }),
            notes: vec![Note::Error(message)],
        }
    }

    /// There is none, and every reason why.
    pub(super) fn refused(what: &str, refusal: Report) -> Self {
        let json = report::refusal_json(what, &refusal);
        Self { answered: Answered::No, text: None, json, notes: vec![Note::Findings(refusal)] }
    }

    /// What happened meanwhile.
    pub(super) fn event(text: impl Into<String>, json: Json) -> Self {
        Self { answered: Answered::Yes, text: None, json, notes: vec![Note::Event(text.into())] }
    }

    /// After these findings.
    pub(super) fn after(mut self, findings: Report) -> Self {
        self.notes.insert(0, Note::Findings(findings));
        self
    }

    /// Prints it.
    pub(super) fn tell(self, output: Output) {
        match self.text {
            Some(text) => output.result(&text, || self.json),
            None => output.json(|| self.json),
        }
        for note in self.notes {
            match note {
                Note::Findings(findings) => output.note(&report::text(&findings, output.has_colour())),
                Note::Error(message) => output.complain(&message),
                Note::Warning(message) => output.warn(&message),
                Note::Remark(text) => output.note(&printable(&text)),
                Note::Event(text) => output.note(&format!("--- {}", printable(&text))),
            }
        }
    }
}
