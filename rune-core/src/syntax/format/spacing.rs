//! Where blanks stand within a line of rules.

use super::tokens::{Kind, Token};

/// Words between which and a bracket a blank stands: what follows is no argument list.
const KEYWORDS: [&str; 8] = ["if", "then", "else", "in", "is", "has", "like", "not"];

/// Whether `<` and `>` compare, or enclose a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Angles {
    Compare,
    Enclose,
}

/// What an open brace encloses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brace {
    /// `{ X, Y : body }`: its first colon stands free.
    Aggregate,
    /// `{ name: value }`.
    Record,
}

/// The tokens on one line, with one blank wherever one stands.
pub(super) fn line(tokens: &[Token<'_>], angles: Angles) -> String {
    let mut spacer =
        Spacer { line: String::new(), last: None, angles, is_prefix: false, is_member: false, braces: Vec::new() };
    for (at, token) in tokens.iter().enumerate() {
        let is_last_comma =
            token.is(",") && tokens.get(at + 1).is_some_and(|next| next.is(")") || next.is("]") || next.is("}"));
        if !is_last_comma {
            spacer.push(*token);
        }
    }
    spacer.line
}

struct Spacer<'t> {
    line: String,
    last: Option<Token<'t>>,
    angles: Angles,
    /// Whether the last token is a sign of what follows: `-1`, `!a`.
    is_prefix: bool,
    /// Whether the last token is a word after a period, which may be spelled like a keyword.
    is_member: bool,
    braces: Vec<Brace>,
}

impl<'t> Spacer<'t> {
    fn push(&mut self, token: Token<'t>) {
        if self.last.is_some_and(|last| self.is_apart(&last, &token)) {
            self.line.push(' ');
        }
        self.line.push_str(token.text);
        let is_prefix = (token.is("-") || token.is("!")) && !self.is_after_operand();
        let is_member = token.kind == Kind::Word && self.last.is_some_and(|last| last.is("."));
        if token.is("{") {
            let is_aggregate = self.angles == Angles::Compare
                && self.is_after_operand()
                && self.last.is_some_and(|last| last.kind == Kind::Word);
            self.braces.push(if is_aggregate { Brace::Aggregate } else { Brace::Record });
        } else if token.is("}") {
            self.braces.pop();
        }
        (self.is_prefix, self.is_member, self.last) = (is_prefix, is_member, Some(token));
    }

    /// Whether an operand ends with the last token: what comes now is an operator, a call or an index.
    fn is_after_operand(&self) -> bool {
        self.last.is_some_and(|last| match last.kind {
            Kind::Word => self.is_member || !KEYWORDS.contains(&last.text),
            Kind::Number | Kind::Text => true,
            _ => last.is(")") || last.is("]") || last.is("}"),
        })
    }

    fn is_apart(&self, last: &Token<'_>, next: &Token<'_>) -> bool {
        if self.is_prefix || ["(", "[", ".", "::", "@"].iter().any(|sign| last.is(sign)) {
            return false;
        }
        let encloses = |token: &Token<'_>| self.angles == Angles::Enclose && (token.is("<") || token.is(">"));
        if encloses(next) || (encloses(last) && last.is("<")) {
            return false;
        }
        if next.kind != Kind::Sign {
            return next.kind != Kind::End;
        }
        match next.text {
            "," | ")" | "]" | "." | "::" | "?" => false,
            "(" | "[" => !self.is_after_operand(),
            "}" => !last.is("{"),
            ":" => self.braces.last() == Some(&Brace::Aggregate),
            _ => true,
        }
    }
}
