//! The names in text that could not be read, so that what is missed elsewhere is not told as a mistake of its own.

use std::collections::BTreeSet;

use super::{Code, Finding};

/// The names in text that was not read.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    names: BTreeSet<String>,
    /// Those in tests and policies, which may read a relation, and declare nothing.
    in_readers: BTreeSet<String>,
}

impl Unread {
    /// Notes a text that may declare, derive or read what it names.
    pub(crate) fn note(&mut self, text: &str) {
        self.names.extend(text.lines().flat_map(|line| words(without_comment(line))).map(str::to_owned));
    }

    /// Notes a text that may read a relation or, as a test, give it rows, and declares nothing.
    pub(crate) fn note_reader(&mut self, text: &str) {
        self.in_readers.extend(text.lines().flat_map(|line| words(without_comment(line))).map(str::to_owned));
    }

    /// Whether a name stands there: each of its words, if it is a path.
    pub(crate) fn has(&self, name: &str) -> bool {
        are_all_in(&self.names, name)
    }

    /// Whether a finding is about a name that is missed, and would perhaps not be there if all were read.
    pub(super) fn explains(&self, finding: &Finding) -> bool {
        if self.names.is_empty() && self.in_readers.is_empty() {
            return false;
        }
        let may_have_reader = matches!(finding.code, Code::UnusedRelation | Code::RelationWithoutRows);
        let is_unread = |name: &str| self.has(name) || (may_have_reader && are_all_in(&self.in_readers, name));
        missed(finding).is_some_and(is_unread)
    }
}

/// The name that a finding says is missed.
fn missed(finding: &Finding) -> Option<&str> {
    let message = finding.message.as_str();
    let is_any = |beginnings: &[&str]| beginnings.iter().any(|beginning| message.starts_with(beginning));
    let mut quoted = message.split('`').skip(1).step_by(2);
    match finding.code {
        Code::UndeclaredRelation | Code::UnusedRelation | Code::RelationWithoutRows | Code::NeverDerived => {
            quoted.next()
        }
        Code::UnknownRelation => quoted.next().filter(|_| is_any(&["there is no relation `"])),
        Code::UnknownEntityType => message.split(' ').next_back(),
        Code::UnknownAttribute => quoted.last(),
        Code::PolicyInvalid => quoted.next().filter(|_| is_any(&["attribute `", "unrecognized "])),
        Code::InvalidLink => quoted.next().filter(|_| is_any(&["there is no template `"])),
        _ => None,
    }
}

fn are_all_in(names: &BTreeSet<String>, name: &str) -> bool {
    let mut words = words(name).peekable();
    words.peek().is_some() && words.all(|word| names.contains(word))
}

/// A line up to its comment; a `#` or `//` in a string begins none.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut is_escaped) = (None, false);
    for (at, c) in line.char_indices() {
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (Some('"'), '\\') => is_escaped = true,
            (Some(open), _) => quote = Some(open).filter(|_| open != c),
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => return line.get(..at).unwrap_or_default(),
            (None, '/') if line.get(at..).is_some_and(|rest| rest.starts_with("//")) => {
                return line.get(..at).unwrap_or_default();
            }
            (None, _) => {}
        }
    }
    line
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_ends_a_line_and_a_string_does_not() {
        assert_eq!(without_comment("a # b"), "a ");
        assert_eq!(without_comment("a // b"), "a ");
        assert_eq!(without_comment(r#"a = "x # \" y" # z"#), r#"a = "x # \" y" "#);
        assert_eq!(without_comment(r"a = 'C:\' # z"), r"a = 'C:\' ");
    }
}
