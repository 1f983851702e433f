//! Findings: everything that is wrong with a text, as values with an address and advice.

pub mod codes;
mod unread;

use std::{fmt, sync::Arc};

use crate::base::{Sources, Span, limits};

pub use codes::Code;
pub(crate) use unread::Unread;

/// Whether a finding keeps a version from being served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Served, and said.
    Warning,
    /// Not served.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One error or warning about the text of a ruleset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable: tests, documents and tools refer to it.
    pub code: Code,
    /// Whether it refuses the version.
    pub severity: Severity,
    /// What is wrong; stands alone on a narrow terminal.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Other places that belong to it, each with what it has to do with it.
    pub related: Vec<(Span, String)>,
    /// What to type; none is better than bad.
    pub help: Option<String>,
}

impl Finding {
    /// A finding with the severity that its code has.
    #[must_use]
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { code, severity: code.severity(), message: message.into(), span, related: Vec::new(), help: None }
    }

    /// With advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With every text short enough to be read. Advice that is too long is none: a part of it would be other advice.
    fn within_bounds(mut self) -> Self {
        let cut = |text: &mut String| {
            if let Some((end, _)) = text.char_indices().nth(limits::FINDING_CHARS_MAX) {
                text.truncate(end);
                text.push('…');
            }
        };
        cut(&mut self.message);
        self.related.iter_mut().for_each(|(_, label)| cut(label));
        self.help = self.help.filter(|help| help.chars().nth(limits::FINDING_CHARS_MAX).is_none());
        self
    }

    /// With a second place.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }
}

/// The findings of one build, collected in any order, bounded in number.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    n_beyond: usize,
    n_errors: usize,
    unread: Unread,
}

impl Findings {
    /// Adds one, unless it follows from text that was not read, which is told already.
    pub fn push(&mut self, finding: Finding) {
        let is_consequence = self.has_error() && self.unread.explains(&finding);
        self.n_errors += usize::from(finding.severity == Severity::Error);
        if is_consequence {
            return;
        }
        let finding = finding.within_bounds();
        if self.has_room() {
            self.list.push(finding);
            return;
        }
        self.n_beyond += 1;
        // A build full of warnings must still say why it is refused.
        let last = self.list.iter().rposition(|known| known.severity == Severity::Warning);
        if let Some(place) = last.filter(|_| finding.severity == Severity::Error).and_then(|at| self.list.get_mut(at)) {
            *place = finding;
        }
    }

    /// Leaves out, from here on, what follows from text that was not read.
    pub(crate) fn leave_out(&mut self, unread: Unread) {
        self.unread = unread;
    }

    /// Leaves out what follows from text that was not read and that declares nothing.
    pub(crate) fn leave_out_read_by(&mut self, text: &str) {
        self.unread.note_reader(text);
        let unread = &self.unread;
        self.list.retain(|finding| !unread.explains(finding));
    }

    /// What was not read.
    pub(crate) fn unread(&self) -> &Unread {
        &self.unread
    }

    /// The errors that are kept, in the order in which they were found.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter().filter(|finding| finding.severity == Severity::Error)
    }

    /// Whether one of them refuses the version.
    #[must_use]
    pub fn has_error(&self) -> bool {
        0 < self.n_errors
    }

    /// How many of them refuse the version, those that are not kept and those that are left out included.
    #[must_use]
    pub fn n_errors(&self) -> usize {
        self.n_errors
    }

    /// Whether one more would be kept. Advice that costs something is worth it only then.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.list.len() < limits::FINDINGS_MAX
    }

    /// The name that is meant ([`nearest`]), for a finding that will be kept: a text may have as many wrong names as right
    /// ones, and must not take the product of both.
    #[must_use]
    pub fn nearest<'k>(&self, given: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
        // What follows from text that was not read is not kept, and takes no room.
        (self.has_room() && !self.unread.has(given)).then(|| nearest(given, known)).flatten()
    }

    /// The findings in the order of their places, errors and warnings together, each once.
    #[must_use]
    pub fn into_report(mut self, sources: Arc<Sources>) -> Report {
        self.list
            .sort_by(|a, b| (a.span, b.severity, a.code, &a.message).cmp(&(b.span, a.severity, b.code, &b.message)));
        self.list.dedup();
        Report { sources, findings: self.list, n_beyond: self.n_beyond }
    }
}

/// Findings with the sources that they are about, so that a place can be shown long after the files have changed.
#[derive(Debug, Clone)]
pub struct Report {
    /// The text the findings are about.
    pub sources: Arc<Sources>,
    /// In the order of their places.
    pub findings: Vec<Finding>,
    /// How many more there were than are kept.
    pub n_beyond: usize,
}

impl fmt::Display for Report {
    /// The findings without the text that they are about: what, where, and advice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.findings.iter().enumerate() {
            if 0 < at {
                writeln!(f)?;
            }
            let Finding { code, severity, message, .. } = finding;
            write!(f, "{severity}[{code}]: {message}")?;
            if let Some(place) = self.place(finding.span) {
                write!(f, "\n --> {place}")?;
            }
            for (span, label) in &finding.related {
                write!(f, "\n ::: {}: {label}", self.place(*span).unwrap_or_default())?;
            }
            if let Some(help) = &finding.help {
                write!(f, "\n help: {help}")?;
            }
        }
        if 0 < self.n_beyond {
            write!(f, "\nand {} more", self.n_beyond)?;
        }
        Ok(())
    }
}

impl Report {
    /// `a.rune:3:7`, or none for what stands in no file.
    fn place(&self, span: Span) -> Option<String> {
        let file = self.sources.file(span.file)?;
        let place = self.sources.place(span);
        Some(format!("{}:{}:{}", file.path, place.line, place.column))
    }
}

/// The name in `known` that is nearest to `given`, if it is near enough to be meant, or begins alike and is shortened to it: `Grp`
/// is `Group`. A change of case counts only between names that are equally near without it.
#[must_use]
pub fn nearest<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let limit = (given.chars().count() / 2).max(1);
    let lower = given.to_lowercase();
    known
        .into_iter()
        .map(|name| (name.to_lowercase(), name))
        .map(|(of, name)| (distance(&lower, &of), is_short_for(&lower, &of), distance(given, name), name))
        .filter(|(distance, is_short, ..)| *distance <= limit || *is_short)
        .min()
        .map(|(.., name)| name)
}

/// Whether a name of three characters or more is another without some of them, the first not among those.
fn is_short_for(given: &str, name: &str) -> bool {
    let mut rest = name.chars();
    let is_alike = given.chars().next().is_some_and(|first| name.starts_with(first));
    is_alike && 3 <= given.chars().count() && given.chars().all(|c| rest.any(|other| other == c))
}

/// Edit distance in characters (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let change = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = change.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let known = ["policies", "schema", "data"];
        assert_eq!(nearest("polices", known), Some("policies"));
        assert_eq!(nearest("Schema", known), Some("schema"));
        assert_eq!(nearest("banana", known), None);
        assert_eq!(nearest("rol", ["Role", "role"]), Some("role"));
        assert_eq!(nearest("Grp", ["User", "Group", "Gram"]), Some("Group"));
        assert_eq!(nearest("Doc", ["Document", "Dog"]), Some("Dog"));
        assert_eq!(nearest("up", ["Group", "upper_bound"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
