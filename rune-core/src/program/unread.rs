//! What of a ruleset could not be read, so that what is missed elsewhere is not told as a mistake of its own.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    base::{Sources, Span},
    diag::{Code, Finding},
    syntax::{Section, cedar::Piece, rules::Clause},
};

/// What may follow from text that was not read: a name that it would have declared, derived or read.
const CONSEQUENCES: [Code; 10] = [
    Code::UnknownRelation,
    Code::UndeclaredRelation,
    Code::UnusedRelation,
    Code::RelationWithoutRows,
    Code::NeverDerived,
    Code::UnknownEntityType,
    Code::UnknownAttribute,
    Code::PolicyInvalid,
    Code::InvalidLink,
    Code::UnusedFile,
];

/// The names in text that was not read.
#[derive(Debug, Default)]
pub(super) struct Unread {
    names: BTreeSet<String>,
}

impl Unread {
    /// Notes a text.
    pub(super) fn note(&mut self, text: &str) {
        self.names.extend(words(text).map(str::to_owned));
    }

    /// Notes what stands between sections: those with a header or a bracket that is wrong.
    pub(super) fn note_sections(&mut self, text: &str, sections: &[Section]) {
        let mut note = |range: Range<usize>| {
            let lost = text.get(range).unwrap_or_default();
            // Before the first header there is the version.
            self.note(lost.find('[').and_then(|at| lost.get(at..)).unwrap_or_default());
        };
        let mut at = 0;
        for section in sections {
            note(at..section.header.start);
            at = section.body.end;
        }
        note(at..text.len());
    }

    /// Notes what stands between clauses. Comments are blank in the text of a section.
    pub(super) fn note_clauses(&mut self, piece: &Piece, clauses: &[Clause]) {
        let mut at = 0;
        for clause in clauses {
            self.note(piece.text.get(at..clause.span.start - piece.start).unwrap_or_default());
            at = clause.span.end - piece.start;
        }
        self.note(piece.text.get(at..).unwrap_or_default());
    }

    /// Whether a finding is about a name that stands in what was not read, and would perhaps not be there without that.
    pub(super) fn explains(&self, finding: &Finding, sources: &Sources) -> bool {
        if self.names.is_empty() || !CONSEQUENCES.contains(&finding.code) {
            return false;
        }
        let is_unread = |name: &str| self.names.contains(name);
        let mut quoted = finding.message.split('`').skip(1).step_by(2);
        let of_place = words(text_of(sources, finding.span)).last();
        finding.code == Code::UnusedFile || quoted.any(is_unread) || of_place.is_some_and(is_unread)
    }
}

fn text_of(sources: &Sources, span: Span) -> &str {
    sources.file(span.file).and_then(|file| file.text().get(span.range())).unwrap_or_default()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}
