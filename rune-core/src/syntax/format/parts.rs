//! A text cut into its parts, each read by its own parser.

use std::ops::Range;

use cedar_policy::PolicySet;

use super::Form;
use crate::{
    base::{FileId, Span, limits},
    diag::{Code, Finding, Findings},
    syntax::{
        Node, Section, SectionKind,
        cedar::{Piece, too_high},
        characters::odd_character,
        container,
        height::{self, Notation},
        rules::{self, Clause},
        toml,
    },
};

/// The parts of a text, in its order.
pub(super) struct Parts<'t> {
    pub(super) list: Vec<Part<'t>>,
}

/// The preamble, a section, or the whole of a plain Cedar file.
pub(super) struct Part<'t> {
    /// None for the preamble and for a plain Cedar file.
    pub(super) section: Option<SectionKind>,
    /// What the header says the section is about.
    pub(super) argument: String,
    pub(super) header: Header<'t>,
    /// What stands below the header.
    pub(super) body: &'t str,
    /// The part of the body that belongs to this section.
    pub(super) own: &'t str,
    /// The end of the body, comments that belong to the section below.
    pub(super) tail: &'t str,
    pub(super) read: Read,
}

/// What a body was read as.
pub(super) enum Read {
    Schema,
    Toml(Node),
    Rules(Vec<Clause>),
    Policies(Box<PolicySet>),
}

/// What stands in a header beside the name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Header<'t> {
    /// The argument as it is written, with its quotes.
    pub(super) argument: Option<&'t str>,
    pub(super) comment: Option<&'t str>,
}

impl<'t> Parts<'t> {
    /// Reads a text. None if that gave errors.
    pub(super) fn read(form: Form, file: FileId, text: &'t str, findings: &mut Findings) -> Option<Self> {
        if let Some(finding) = unreadable(file, text) {
            findings.push(finding);
            return None;
        }
        // A byte order mark is not text.
        let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let reader = Reader { file, text };
        let mut list = Vec::new();
        match form {
            Form::Cedar => {
                let read = reader.policies(start..text.len(), None, findings);
                list.extend(read.map(|read| reader.part(None, start..text.len(), read)));
            }
            Form::Rune => {
                let sections = container::parse(file, text, findings);
                let end = sections.first().map_or(text.len(), |section| section.header.start);
                // If the container has errors, it has read the preamble, and there may be more of it than it seems.
                let preamble = if findings.has_error() { None } else { reader.toml(start..end, findings) };
                list.extend(preamble.map(|read| reader.part(None, start..end, read)));
                for section in sections {
                    let read = reader.section(&section, findings);
                    list.extend(read.map(|read| reader.part(Some(&section), section.body.clone(), read)));
                }
                // What stands above no header has no section below it.
                if let Some((_, others)) = list.split_last_mut() {
                    for part in others {
                        (part.own, part.tail) = split(part.body);
                    }
                }
            }
        }
        (!findings.has_error()).then_some(Self { list })
    }
}

/// Why a text cannot be read at all.
fn unreadable(file: FileId, text: &str) -> Option<Finding> {
    if limits::FILE_BYTES_MAX < text.len() {
        let message = format!("the file has {} bytes, more than {}", text.len(), limits::FILE_BYTES_MAX);
        let finding = Finding::new(Code::FileTooLarge, Span::new(file, 0..0), message);
        return Some(finding.help("split it into several files"));
    }
    if text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').is_empty() {
        return Some(Finding::new(Code::EmptyFile, Span::new(file, 0..0), "the file is empty"));
    }
    odd_character(text, true).map(|odd| odd.finding(file))
}

struct Reader<'t> {
    file: FileId,
    text: &'t str,
}

impl<'t> Reader<'t> {
    fn slice(&self, range: Range<usize>) -> &'t str {
        self.text.get(range).unwrap_or_default()
    }

    fn part(&self, section: Option<&Section>, body: Range<usize>, read: Read) -> Part<'t> {
        let body = self.slice(body);
        // The line of the header ends where the body begins.
        let body = if section.is_some() { body.trim_start_matches('\r') } else { body };
        let body = if section.is_some() { body.strip_prefix('\n').unwrap_or(body) } else { body };
        Part {
            section: section.map(|section| section.kind),
            argument: section.map(|section| section.argument.clone()).unwrap_or_default(),
            header: section.map(|section| header(self.slice(section.header.clone()))).unwrap_or_default(),
            body,
            own: body,
            tail: "",
            read,
        }
    }

    fn section(&self, section: &Section, findings: &mut Findings) -> Option<Read> {
        match section.kind {
            SectionKind::Schema => Some(Read::Schema),
            SectionKind::Data | SectionKind::Entities | SectionKind::Test | SectionKind::Flag => {
                self.toml(section.body.clone(), findings)
            }
            SectionKind::Rules | SectionKind::Migrate => {
                let text = section.text_without_comments(self.text);
                Some(Read::Rules(rules::parse(&self.piece(section.body.start, text), findings)))
            }
            SectionKind::Policies => self.policies(section.body.clone(), Some(section), findings),
        }
    }

    fn piece(&self, start: usize, text: String) -> Piece {
        Piece { file: self.file, start, text }
    }

    fn policies(&self, body: Range<usize>, section: Option<&Section>, findings: &mut Findings) -> Option<Read> {
        let text = section.map_or_else(|| self.slice(body.clone()).to_owned(), |section| section.cedar_text(self.text));
        let piece = self.piece(body.start, text);
        if !piece.is_low(Notation::Cedar, findings) {
            return None;
        }
        match piece.text.parse::<PolicySet>() {
            Ok(set) => Some(Read::Policies(Box::new(set))),
            Err(errors) => {
                errors.iter().for_each(|error| findings.push(piece.finding(Code::PolicySyntax, error)));
                None
            }
        }
    }

    fn toml(&self, body: Range<usize>, findings: &mut Findings) -> Option<Read> {
        let (start, text) = (body.start, self.slice(body));
        if let Err(excess) = height::measure(text, Notation::Toml) {
            let place = excess.place(text);
            findings.push(too_high(excess, Span::new(self.file, start + place.start..start + place.end)));
            return None;
        }
        match toml::parse(text) {
            Ok(node) => Some(Read::Toml(node)),
            Err(errors) => {
                for error in errors {
                    let span = Span::new(self.file, start + error.span.start..start + error.span.end);
                    findings.push(Finding::new(Code::TomlSyntax, span, error.message));
                }
                None
            }
        }
    }
}

/// The argument and the comment of a header that the container has taken for one.
fn header(line: &str) -> Header<'_> {
    let end = line.find(']').unwrap_or(line.len());
    let dot = line.find('.').filter(|dot| *dot < end);
    let written = dot.and_then(|dot| line.get(dot + 1..)).map(str::trim_start);
    let n_argument = written.map(|written| quoted_len(written).or_else(|| written.find(']')).unwrap_or(written.len()));
    let argument = written.zip(n_argument).and_then(|(written, n)| written.get(..n)).map(str::trim_end);
    let rest = match written.zip(n_argument) {
        Some((written, n)) => written.get(n..).unwrap_or_default(),
        None => line,
    };
    let comment = rest.split_once(']').map(|(_, comment)| comment.trim()).filter(|comment| !comment.is_empty());
    Header { argument, comment }
}

/// How long the quoted string is that a text begins with.
fn quoted_len(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if quote == '"' => is_escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Parts a body from the comments at its end that belong to the section below it: those in the first column, but for a
/// block that stands right below a line of this section and apart from what comes.
fn split(body: &str) -> (&str, &str) {
    let mut end = body.len();
    let mut lines = Vec::new();
    for line in body.split_inclusive('\n').rev() {
        if !(line.trim().is_empty() || line.starts_with('#') || line.starts_with("//")) {
            break;
        }
        lines.push(line);
        end -= line.len();
    }
    let block = lines.iter().rev().take_while(|line| !line.trim().is_empty());
    let (n_lines, n_bytes) = block.fold((0, 0), |(n_lines, n_bytes), line| (n_lines + 1, n_bytes + line.len()));
    if n_lines < lines.len() {
        end += n_bytes;
    }
    body.split_at_checked(end).unwrap_or((body, ""))
}
