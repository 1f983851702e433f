//! Rows of text: CSV as RFC 4180 has it, and TSV as IANA registers it.
//!
//! Strict, because what is misread grants: a quote within a field that is not quoted, text after a closing quote, and a quote
//! that is never closed are errors. Every record has as many fields as the first.

use std::{borrow::Cow, ops::Range};

use crate::base::{character_at, limits};

/// How the fields of a line are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// A comma; fields may be quoted.
    Comma,
    /// A tab; nothing is quoted.
    Tab,
}

/// A field and the bytes that it was read from, quotes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'t> {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// What it says.
    pub text: Cow<'t, str>,
}

/// A place where the text is not as its format wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvError {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: &'static str,
}

/// The records of a text, one after the other. After an error there is none.
#[derive(Debug, Clone)]
pub struct Records<'t> {
    text: &'t str,
    at: usize,
    separator: Separator,
}

impl<'t> Records<'t> {
    /// The records of `text`.
    #[must_use]
    pub fn new(text: &'t str, separator: Separator) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, at, separator }
    }

    /// The next record, if there is one, in the place of what `fields` held.
    pub fn read(&mut self, fields: &mut Vec<Field<'t>>) -> Option<Result<(), CsvError>> {
        if self.text.len() <= self.at {
            return None;
        }
        fields.clear();
        let record = self.record(fields);
        if record.is_err() {
            self.at = self.text.len();
        }
        Some(record)
    }

    fn record(&mut self, fields: &mut Vec<Field<'t>>) -> Result<(), CsvError> {
        loop {
            let field = self.field()?;
            self.at = field.span.end;
            fields.push(field);
            let rest = self.text.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            for end in ["\r\n", "\n"] {
                if rest.starts_with(end) {
                    self.at += end.len();
                    return Ok(());
                }
            }
            // What ended the field is the separator.
            self.at += 1;
        }
    }

    fn field(&self) -> Result<Field<'t>, CsvError> {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let (separator, is_quoted) = match self.separator {
            Separator::Comma => (',', rest.starts_with('"')),
            Separator::Tab => ('\t', false),
        };
        if is_quoted {
            return self.quoted(start, separator);
        }
        // Both are of one byte, and no part of another character.
        let is_end = |byte: u8| byte == b'\n' || char::from(byte) == separator;
        let end = rest.bytes().position(is_end).unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default();
        // The line ends with both characters, or with the line feed alone.
        let text = if rest.get(end..).is_some_and(|rest| rest.starts_with('\n')) {
            text.strip_suffix('\r').unwrap_or(text)
        } else {
            text
        };
        if let (Separator::Comma, Some(at)) = (self.separator, text.find('"')) {
            let message = "a quote within a field that is not quoted";
            return Err(CsvError { span: start + at..start + at + 1, message });
        }
        Ok(Field { span: start..start + text.len(), text: Cow::Borrowed(text) })
    }

    fn quoted(&self, start: usize, separator: char) -> Result<Field<'t>, CsvError> {
        // What stands before the last quote that is doubled, and that quote.
        let mut before = String::new();
        let mut from = start + 1;
        loop {
            let rest = self.text.get(from..).unwrap_or_default();
            let Some(quote) = rest.find('"') else {
                return Err(CsvError { span: start..start + 1, message: "this quote is never closed" });
            };
            let piece = rest.get(..quote).unwrap_or_default();
            let end = from + quote + 1;
            let after = self.text.get(end..).unwrap_or_default();
            if after.starts_with('"') {
                before.push_str(piece);
                before.push('"');
                from = end + 1;
                continue;
            }
            if !(after.is_empty() || after.starts_with([separator, '\n']) || after.starts_with("\r\n")) {
                return Err(CsvError {
                    span: character_at(self.text, end),
                    message: "text after the closing quote of a field",
                });
            }
            let text = if before.is_empty() { Cow::Borrowed(piece) } else { Cow::Owned(before + piece) };
            return Ok(Field { span: start..end, text });
        }
    }
}

impl<'t> Iterator for Records<'t> {
    type Item = Result<Vec<Field<'t>>, CsvError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut fields = Vec::new();
        Some(self.read(&mut fields)?.map(|()| fields))
    }
}

/// A text as a quoted field.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Advice on a line that is not quoted as it should be.
#[must_use]
pub fn quoting(text: &str, at: usize) -> String {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let entity = line.split(',').map(|field| field.trim().trim_start_matches('"')).find(|field| field.contains("::\""));
    let entity = entity
        .and_then(|field| field.split_once("::\""))
        .filter(|(kind, id)| kind.len() + id.len() <= limits::SHOWN_CHARS_MAX);
    let example = match entity {
        Some((kind, id)) => format!("{kind}::\"{}\"", id.trim_end_matches('"')),
        None => "say \"yes\"".to_owned(),
    };
    format!("a field with quotes is quoted, and its quotes are doubled: `{}`", quoted(&example))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, separator: Separator) -> Vec<Result<Vec<String>, (usize, &'static str)>> {
        let texts = |fields: Vec<Field<'_>>| fields.into_iter().map(|field| field.text.into_owned()).collect();
        Records::new(text, separator).map(|record| record.map(texts).map_err(|e| (e.span.start, e.message))).collect()
    }

    fn fields(fields: &[&str]) -> Vec<String> {
        fields.iter().map(|field| (*field).to_owned()).collect()
    }

    #[test]
    fn fields_are_quoted_as_the_rfc_says() {
        let text = "a,b\r\n\"a,\"\"b\"\"\nc\",\n,\"\"\nlast,\"x\"";
        let expected = [
            Ok(fields(&["a", "b"])),
            Ok(fields(&["a,\"b\"\nc", ""])),
            Ok(fields(&["", ""])),
            Ok(fields(&["last", "x"])),
        ];
        assert_eq!(read(text, Separator::Comma), expected);
    }

    #[test]
    fn nothing_is_quoted_between_tabs() {
        assert_eq!(
            read("a\t\"b\"\r\n c \t\n", Separator::Tab),
            [Ok(fields(&["a", "\"b\""])), Ok(fields(&[" c ", ""]))]
        );
    }

    #[test]
    fn what_the_format_does_not_have_is_told_where_it_stands() {
        let quote = "a quote within a field that is not quoted";
        assert_eq!(read("a,b\nc\"d,e\nf,g", Separator::Comma), [Ok(fields(&["a", "b"])), Err((5, quote))]);
        assert_eq!(read("\"a\"b", Separator::Comma), [Err((3, "text after the closing quote of a field"))]);
        assert_eq!(read("x,\"ab\n", Separator::Comma), [Err((2, "this quote is never closed"))]);
        let error = Records::new("\"a\"é", Separator::Comma).next().unwrap().unwrap_err();
        assert_eq!(error.span, 3..5, "the whole of the character");
    }
}
