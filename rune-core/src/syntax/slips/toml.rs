//! Slips in TOML.

use std::ops::Range;

use crate::{
    base::{limits, value::cut},
    syntax::toml::{self, TomlError},
};

use super::is_null;

const QUOTES: &str = "a text stands in quotes";

/// The slip that TOML's error at `at` comes from, if its line looks like one, and that line.
pub(in crate::syntax) fn slip(text: &str, at: usize, message: &str) -> Option<(TomlError, Range<usize>)> {
    let at = at.min(text.len());
    let start = text.get(..at)?.rfind('\n').map_or(0, |at| at + 1);
    let end = text.get(at..)?.find('\n').map_or(text.len(), |end| at + end);
    let line = text.get(start..end)?;
    let (rest, column) = (text.get(at..end)?, at - start);
    let told = comment(line, rest, column)
        .or_else(|| quotes(line))
        .or_else(|| key(line, column).filter(|_| message.starts_with("invalid unquoted key")))
        .or_else(|| word(rest, column))
        .or_else(|| bare(rest, column).filter(|_| message.starts_with("string values must be quoted")))
        .or_else(|| inner(line, rest, column))
        .or_else(|| sign(rest, column));
    let (place, message, help) = told?;
    let span = start + place.start..start + place.end;
    Some((TomlError { span, message, help: Some(help) }, start..end))
}

/// A place in a line, what is wrong there and what to write.
type Told = (Range<usize>, String, String);

fn comment(line: &str, rest: &str, column: usize) -> Option<Told> {
    let before = line.len() - line.trim_start().len();
    let begins = |text: &str| ["//", "--", "/*", ";", "%"].into_iter().find(|mark| text.starts_with(mark));
    let (at, mark) = match begins(line.trim_start()) {
        Some(mark) => (before, mark),
        None => (column, begins(rest).filter(|mark| rest.len() != mark.len())?),
    };
    let message = format!("`{mark}` begins no comment");
    Some((at..at + mark.len(), message, "comments in TOML sections begin with `#`".to_owned()))
}

/// `"User::"ada""`: the quotes of the string end where those of the id begin.
fn quotes(line: &str) -> Option<Told> {
    let (at, _) = line.match_indices("::\"").find(|(at, _)| {
        let kind = kind_before(line, *at);
        !kind.is_empty() && line.get(..at - kind.len()).is_some_and(|before| before.ends_with('"'))
    })?;
    let kind = kind_before(line, at);
    let id = line.get(at + 3..)?.split('"').next().filter(|id| id.len() <= limits::SHOWN_CHARS_MAX)?;
    let start = at - kind.len() - 1;
    let message = "the string ends where the id begins".to_owned();
    Some((start..at + 3, message, format!("write the entity as a text: `{}`", toml::entity(kind, id))))
}

/// The name of a type that stands before a byte of a line.
fn kind_before(line: &str, at: usize) -> &str {
    let before = line.get(..at).unwrap_or_default();
    let kind = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    before.get(kind.len()..).unwrap_or_default()
}

/// `User::"ada" = …` and `User.ada@x.org = …`.
fn key(line: &str, column: usize) -> Option<Told> {
    let (written, _) = line.split_once(" = ").or_else(|| line.split_once('='))?;
    let written = written.trim_end();
    if written.len() <= column || limits::SHOWN_CHARS_MAX < written.len() {
        return None;
    }
    if let Some((kind, id)) = written.split_once("::\"") {
        // In Cedar a backslash has another before it.
        let id = id.trim_end_matches('"').replace("\\\\", "\\");
        let help = format!("write `{}.{} = {{ … }}`", kind.trim_start(), toml::quoted(&id));
        return Some((0..written.len(), "an entity is no key".to_owned(), help));
    }
    let (kind, id) = written.split_once('.').filter(|(_, id)| !id.contains('"'))?;
    let message = "an id with such characters stands in quotes".to_owned();
    Some((
        kind.len() + 1..written.len(),
        message,
        format!("write `{}.{} = {{ … }}`", kind.trim_start(), toml::quoted(id)),
    ))
}

fn word(rest: &str, column: usize) -> Option<Told> {
    let word: &str = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let help = match word {
        "True" | "TRUE" => "write `true`",
        "False" | "FALSE" => "write `false`",
        word if is_null(word) => "there is no null: leave the key out",
        _ => return None,
    };
    Some((column..column + word.len(), format!("`{word}` is no value"), help.to_owned()))
}

/// `expect = allow`. What begins with a digit is a number that goes wrong.
fn bare(rest: &str, column: usize) -> Option<Told> {
    let word: &str = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).next()?;
    let is_word = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let help = if word.len() <= limits::SHOWN_CHARS_MAX { format!("write `\"{word}\"`") } else { QUOTES.to_owned() };
    is_word.then(|| (column..column + word.len(), format!("`{}` is no value", cut(word)), help))
}

/// `"p("a")"`: the string ends at the quote before the error.
fn inner(line: &str, rest: &str, column: usize) -> Option<Told> {
    let is_inner = line.get(..column)?.ends_with('"') && rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    let help = "put a text with quotes in it between single quotes: `'p(\"a\").'`";
    is_inner.then(|| (column - 1..column, "the string ends here".to_owned(), help.to_owned()))
}

fn sign(rest: &str, column: usize) -> Option<Told> {
    let (message, help) = match rest.chars().next()? {
        ';' => ("a line does not end with `;`", "take it away"),
        ':' => ("a key and its value are joined by `=`", "write `name = value`"),
        _ => return None,
    };
    Some((column..column + 1, message.to_owned(), help.to_owned()))
}
