//! What of a ruleset could not be read: what stands between its sections, and between its clauses.

use crate::{
    diag::Unread,
    syntax::{Section, cedar::Piece, rules::Clause},
};

/// Notes what stands between sections: those with a header or a bracket that is wrong.
pub(super) fn note_sections(unread: &mut Unread, text: &str, sections: &[Section]) {
    let mut at = 0;
    for section in sections {
        note_lost(unread, text.get(at..section.header.start).unwrap_or_default());
        at = section.body.end;
    }
    note_lost(unread, text.get(at..).unwrap_or_default());
}

/// Notes sections that were not read. Before the first header there is the version.
fn note_lost(unread: &mut Unread, text: &str) {
    let mut section = None;
    for line in text.lines() {
        section = header(line).or(section);
        match section {
            Some("test") => unread.note_reader(line),
            Some(_) => unread.note(line),
            None => {}
        }
    }
}

/// The name in a line that looks like a header.
fn header(line: &str) -> Option<&str> {
    let inner = line.trim_start().strip_prefix('[')?.trim_start_matches(['[', ' ', '\t']);
    let name = inner.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).next()?;
    let rest = inner.get(name.len()..)?.trim_start();
    (!name.is_empty() && rest.starts_with([']', '.'])).then_some(name)
}

/// Notes what stands between clauses. Comments are blank in the text of a section.
pub(super) fn note_clauses(unread: &mut Unread, piece: &Piece, clauses: &[Clause]) {
    let mut at = 0;
    for clause in clauses {
        unread.note(piece.text.get(at..clause.span.start - piece.start).unwrap_or_default());
        at = clause.span.end - piece.start;
    }
    unread.note(piece.text.get(at..).unwrap_or_default());
}
