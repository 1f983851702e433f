//! What a statement that does not parse was probably meant to be.

use pest::error::{ErrorVariant, InputLocation};

use super::{Error, Reader, Rule};
use crate::{base::character_at, diag::Code};

/// What people write out of habit, and what it is called here. The first that fits counts.
const HABITS: [(&str, &str); 11] = [
    ("=<", "less than or equal is `<=`"),
    (";", "there is no `;` for \"or\": write a second rule with the same head"),
    ("<-", "the arrow of a rule is `:-`"),
    ("->", "the arrow of a rule is `:-`"),
    (":=", "a variable is bound with `=`"),
    ("\\+", "negation is `not`"),
    ("¬", "negation is `not`"),
    ("~", "negation is `not`"),
    ("/", "there is no division; compare products"),
    ("'", "strings are written with double quotes"),
    (".", "a period in a path is followed by a name; a rule ends with a period before white space"),
];

impl Reader<'_> {
    /// Reports where a statement is no clause, with advice if it looks like a habit from elsewhere.
    pub(super) fn slip(&mut self, base: usize, error: &Error) {
        let at = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => base + at,
        };
        // `=<` is one slip, whichever half of it was looked at last.
        let is_reversed = self.piece.text.get(..=at).is_some_and(|text| text.ends_with("=<"));
        let at = at - usize::from(is_reversed);
        let rest = self.piece.text.get(at..).unwrap_or_default();
        let found: String = match rest.chars().next() {
            None | Some('\n') => String::new(),
            Some('.') if rest.chars().nth(1).is_none_or(char::is_whitespace) => String::new(),
            Some(c) if c.is_alphanumeric() || c == '_' => {
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').take(40).collect()
            }
            Some(_) if rest.starts_with([':', '<', '=', '-', '&', '|']) => {
                rest.chars().take_while(char::is_ascii_punctuation).take(2).collect()
            }
            Some(c) => c.to_string(),
        };
        let message = match found.as_str() {
            "" => "the rule breaks off here".to_owned(),
            found => format!("`{found}` does not fit here"),
        };
        let is_it = |(text, _): &&(&str, &str)| !found.is_empty() && rest.starts_with(text);
        let habit = HABITS.iter().find(is_it).map(|(_, help)| (*help).to_owned());
        let help = habit.or_else(|| expected(error)).unwrap_or_else(|| {
            "a clause is `head(X) :- body(X), X.level > 3.`, `fact(\"a\").` or `relation name(Type, Type).`".to_owned()
        });
        let end = if found.is_empty() { character_at(&self.piece.text, at).end } else { at + found.len() };
        self.refuse(Code::RuleSyntax, self.piece.start + at..self.piece.start + end, message, help);
    }
}

/// What could stand there, if that can be said in a few words.
fn expected(error: &Error) -> Option<String> {
    let ErrorVariant::ParsingError { positives, .. } = &error.variant else { return None };
    let mut words: Vec<&str> = positives
        .iter()
        .filter_map(|expected| {
            Some(match expected {
                Rule::expr | Rule::literal | Rule::body | Rule::member | Rule::primary | Rule::unary => "a condition",
                Rule::arguments => "arguments in brackets",
                Rule::string => "a string",
                Rule::word | Rule::name | Rule::path => "a name",
                Rule::types | Rule::type_name | Rule::column | Rule::columns => "a type",
                Rule::variable => "a variable",
                Rule::head | Rule::clause | Rule::rule => "a clause",
                _ => return None,
            })
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    (!words.is_empty() && words.len() <= 2).then(|| format!("expected {}", words.join(" or ")))
}
