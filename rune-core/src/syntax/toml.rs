//! TOML to [`Node`]s.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::base::{limits, value::brief};

use super::{
    slips,
    tree::{Key, Node, Shape},
};

/// A place where TOML is not TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TomlError {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write, if it is a slip.
    pub help: Option<String>,
}

/// Reads a document as the table it is, with every error that the parser can name.
///
/// # Errors
///
/// The list is never empty.
pub fn parse(text: &str) -> Result<Node, Vec<TomlError>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(told(text, &errors));
    }
    let span = document.span();
    Ok(Node { span, shape: table(document.into_inner()) })
}

/// The errors, those of a line with a slip as one.
fn told(text: &str, errors: &[toml::de::Error]) -> Vec<TomlError> {
    let mut told: Vec<TomlError> = Vec::new();
    let mut lines: Vec<Range<usize>> = Vec::new();
    let mut errors: Vec<_> = errors.iter().map(|error| (error.span().unwrap_or(0..0), error)).collect();
    errors.sort_by_key(|(span, _)| span.start);
    for (span, error) in errors {
        if lines.iter().any(|line| (line.start..=line.end).contains(&span.start)) {
            continue;
        }
        // What is not shown needs no advice, which costs the length of a line.
        let slip =
            (told.len() < limits::FINDINGS_MAX).then(|| slips::toml::slip(text, span.start, error.message())).flatten();
        if let Some((error, line)) = slip {
            lines.push(line);
            told.push(error);
            continue;
        }
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        told.push(TomlError { span, message, help: None });
    }
    told
}

/// An entity as TOML writes it: `'User::"ada"'`, and between double quotes what has a single one in it.
#[must_use]
pub fn entity(kind: &str, id: &str) -> String {
    // An apostrophe needs no escape here, and only of one does a string of Cedar's have a backslash before it.
    let text = format!("{kind}::{}", brief(id)).replace("\\'", "'");
    if text.contains('\'') {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("'{text}'")
    }
}

/// A text as TOML writes it: between double quotes, and between single ones where a backslash would be an escape.
#[must_use]
pub fn quoted(text: &str) -> String {
    if text.contains('\\') && !text.contains('\'') {
        format!("'{text}'")
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn table(table: DeTable<'_>) -> Shape {
    let mut members: Vec<_> = table
        .into_iter()
        .map(|(key, value)| (Key { span: key.span(), name: key.into_inner().into_owned() }, node(value)))
        .collect();
    // In the order of the text, so that findings and entities come in the order people wrote them.
    members.sort_by_key(|(key, _)| key.span.start);
    Shape::Table(members)
}

fn node(value: Spanned<DeValue<'_>>) -> Node {
    let span = value.span();
    let shape = match value.into_inner() {
        DeValue::String(text) => Shape::Text(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Shape::Long(number),
            Err(_) => Shape::Float(number.as_str().to_owned()),
        },
        DeValue::Float(number) => Shape::Float(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Shape::Bool(truth),
        DeValue::Datetime(datetime) => Shape::Datetime(datetime.to_string()),
        DeValue::Array(elements) => Shape::List(elements.into_iter().map(node).collect()),
        DeValue::Table(members) => table(members),
    };
    Node { span, shape }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_places_and_their_order() {
        let node = parse("b.c = 1\na = [true, 'x']\n").unwrap();
        let Shape::Table(members) = &node.shape else { panic!("a table") };
        assert_eq!(members.iter().map(|(key, _)| &*key.name).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(members[1].1.span, 12..23);
        assert_eq!(node.member("b").and_then(|b| b.member("c")).map(|c| c.shape.clone()), Some(Shape::Long(1)));
    }

    #[test]
    fn every_error_has_its_place() {
        let errors = parse("a = 1\nb = = 2\nc = 3\nd = \"x\n").unwrap_err();
        assert!(2 <= errors.len(), "{errors:?}");
        assert_eq!(errors[0].span.start, 10);
    }
}
