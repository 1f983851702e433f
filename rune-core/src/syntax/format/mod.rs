//! One layout for a text, whoever wrote it.
//!
//! ```text
//!   text ─▶ parts, read by their parsers ─▶ layout ─▶ read again ─▶ says the same ─▶ layout
//!              └─▶ findings                                            └─▶ else neither
//! ```
//!
//! A layout says what the text says, with every comment in its order, and its own layout is itself. The rules:
//!
//! - **Everywhere.** Lines end with a line feed and without blanks, and the file with one line feed. What stands between
//!   quotes stays byte for byte, line ends included. There is no byte order mark. Of several blank lines one remains, and
//!   none at the beginning and end of a section. A comment keeps its line or its place at the end of one, one blank after
//!   what it trails.
//! - **The container.** `version = "rune/1.0"`, then the sections with a blank line above each. Headers are `[schema]`,
//!   `[test."name"]`, `[flag.name]`. Comments in the first column at the end of a section belong to the section below and
//!   stand above its header, except a block that directly follows a line of this section and that a blank line parts from
//!   what comes.
//! - **`[schema]`** stays as it is written.
//! - **`[policies]`, `*.cedar`.** Cedar's formatter with lines of 120 columns, and a blank line between policies. `#` comments
//!   become `//` comments. A policy that this formatter cannot keep whole, or that has more than 20,000 tokens, stays as it
//!   is written.
//! - **`[rules]`, `[migrate.N]`.** A clause is one line if it fits in 120 columns and no comment stands inside; else the
//!   literals of its body, or the columns of its declaration, stand below one another. One annotation stands on the line of
//!   its clause, if that fits; several stand above it. There is a blank after commas and around operators, `:-`, `->` and
//!   `|`; none within round and square brackets. A comma that nothing follows goes.
//! - **`[data]`, `[entities]`, `[test]`, `[flag]`.** `key = value`, `[a, b]`, `{ a = 1, b = 2 }`. An array that was written over
//!   several lines, holds a comment or does not fit in 120 columns has an element on each line and a comma after each; so has
//!   a table that was written over several lines. Nothing else breaks a line, since older readers of TOML take no line break
//!   in a table. Keys, numbers and strings stay as they are spelled, and keep their order.

mod parts;
mod policies;
mod rules;
mod same;
mod spacing;
mod tokens;
mod toml;

use std::{fmt, io, thread};

use crate::{
    base::{FileId, Kind, Span, limits},
    diag::{Code, Finding, Findings},
};

use super::SectionKind;
use parts::{Part, Parts};

/// Columns of a line, where it can be helped.
const WIDTH: usize = 120;

/// What a text that can be laid out is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A `.rune` file.
    Rune,
    /// A plain file of Cedar policies.
    Cedar,
}

impl Form {
    /// The form of the file at `path`; none if it is of a kind that has no layout here.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match Kind::of(path)? {
            Kind::Rune => Some(Self::Rune),
            Kind::Cedar => Some(Self::Cedar),
            _ => None,
        }
    }
}

/// Why there is no layout. Whatever the reason, the text is as good as it was.
#[derive(Debug)]
pub enum FormatError {
    /// The text does not parse; at least one of the findings is an error.
    Refused(Findings),
    /// The layout would have said something else than the text, which is a fault of RUNE.
    Unfaithful(&'static str),
    /// The system gave no thread to work on. That says nothing about the text.
    NoThread(io::Error),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_) => f.write_str("the text does not parse"),
            Self::Unfaithful(what) => write!(f, "{what}; this is a fault of RUNE: please report it"),
            Self::NoThread(_) => f.write_str("there is no thread to work on"),
        }
    }
}

impl std::error::Error for FormatError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoThread(error) => Some(error),
            Self::Refused(_) | Self::Unfaithful(_) => None,
        }
    }
}

/// The layout of a text; `file` is where findings say that it stands.
///
/// Takes time with the length of the text, and with the square of that of a single policy.
///
/// # Errors
///
/// See [`FormatError`].
pub fn format(form: Form, file: FileId, text: &str) -> Result<String, FormatError> {
    // Cedar's parser and formatter recurse, as do trees; what they may need depends on limits of ours.
    let done = thread::scope(|scope| {
        let worker = thread::Builder::new().name("rune-format".to_owned()).stack_size(limits::BUILD_STACK_BYTES);
        let worker = worker.spawn_scoped(scope, || faithful(form, file, text)).map_err(FormatError::NoThread)?;
        Ok(worker.join())
    })?;
    done.unwrap_or(Err(FormatError::Unfaithful("the layout panicked")))
}

fn faithful(form: Form, file: FileId, text: &str) -> Result<String, FormatError> {
    let mut findings = Findings::default();
    let Some(before) = Parts::read(form, file, text, &mut findings) else {
        return Err(FormatError::Refused(findings));
    };
    let layout = lay_out(form, &before);
    if limits::FILE_BYTES_MAX < layout.len() {
        let message = format!("laid out, the file has {} bytes, more than {}", layout.len(), limits::FILE_BYTES_MAX);
        let finding = Finding::new(Code::FileTooLarge, Span::new(file, 0..0), message);
        findings.push(finding.help("split it into several files"));
        return Err(FormatError::Refused(findings));
    }
    let Some(after) = Parts::read(form, file, &layout, &mut findings) else {
        return Err(FormatError::Unfaithful("the layout would not parse"));
    };
    same::compare(before, after).map_err(FormatError::Unfaithful)?;
    Ok(layout)
}

fn lay_out(form: Form, parts: &Parts<'_>) -> String {
    let mut out = String::new();
    for (at, part) in parts.list.iter().enumerate() {
        if let Some(kind) = part.section {
            out.push('\n');
            // Comments that belong to this section stand above its header.
            let above = at.checked_sub(1).and_then(|at| parts.list.get(at)).map_or("", |above| above.tail);
            tail(&mut out, above);
            header(&mut out, kind, part);
        }
        match part.section {
            None if form == Form::Rune => out.push_str(&toml::lay_out_preamble(part.own)),
            Some(SectionKind::Schema) => out.push_str(&schema(part.own)),
            Some(SectionKind::Data | SectionKind::Entities | SectionKind::Test | SectionKind::Flag) => {
                out.push_str(&toml::lay_out(part.own));
            }
            Some(SectionKind::Rules | SectionKind::Migrate) => out.push_str(&rules::lay_out(part.own)),
            None | Some(SectionKind::Policies) => out.push_str(&policies::lay_out(part.own)),
        }
    }
    out
}

/// Comments above a header, with the blank lines between them and below them.
fn tail(out: &mut String, comments: &str) {
    let mut is_set_off = false;
    for line in comments.lines().map(str::trim_end).skip_while(|line| line.is_empty()) {
        if !(line.is_empty() && is_set_off) {
            out.push_str(line);
            out.push('\n');
        }
        is_set_off = line.is_empty();
    }
}

fn header(out: &mut String, kind: SectionKind, part: &Part<'_>) {
    out.push('[');
    out.push_str(kind.name());
    if let Some(written) = part.header.argument {
        out.push('.');
        let is_bare = part.argument.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if is_bare && kind != SectionKind::Test {
            out.push_str(&part.argument);
        } else if 1 < written.len() && written.starts_with('"') && written.ends_with('"') {
            out.push_str(written);
        } else {
            quoted(out, &part.argument);
        }
    }
    out.push(']');
    if let Some(comment) = part.header.comment {
        out.push(' ');
        out.push_str(comment);
    }
    out.push('\n');
}

/// A string of TOML's.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.extend(format!("\\u{:04X}", u32::from(c)).chars()),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A schema as it is written, without blank lines at its ends.
fn schema(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let lines: Vec<&str> = text.lines().collect();
    let is_filled = |line: &str| !line.trim().is_empty();
    let first = lines.iter().position(|line| is_filled(line));
    let last = lines.iter().rposition(|line| is_filled(line));
    let (Some(first), Some(last)) = (first, last) else { return String::new() };
    lines.get(first..=last).unwrap_or_default().iter().flat_map(|line| [line, "\n"]).collect()
}

/// The width of a text in columns, as far as a character is one.
fn chars(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests;
