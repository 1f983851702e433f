//! Cedar text and rules as words, signs, strings and comments with the line breaks between them.
//!
//! The text has been read by its parser: what comes here is a clause or a policy, and nothing needs to be refused.

/// What a [`Token`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
    /// A string with its quotes.
    Text,
    /// An operator or a bracket.
    Sign,
    /// The period that ends a clause: white space, a comment or nothing comes after it.
    End,
    /// From its marker, `#` or `//`, to the last character of the line that is not blank.
    Comment,
}

/// A piece of the text that no blank divides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    /// Where it begins.
    pub(super) start: usize,
    /// Line breaks between it and the token before it.
    pub(super) n_breaks: usize,
}

impl Token<'_> {
    /// Whether this is the sign `sign`.
    pub(super) fn is(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    /// Whether it stands on a line of its own, if it is a comment.
    pub(super) fn begins_line(&self) -> bool {
        0 < self.n_breaks
    }

    /// Whether blank lines stand before it.
    pub(super) fn is_set_off(&self) -> bool {
        1 < self.n_breaks
    }
}

/// Signs of more than one character. `:-` is one outside of brackets only: `{ a:-1 }` is a record.
const LONG_SIGNS: [&str; 8] = ["::", "->", "<=", ">=", "==", "!=", "&&", "||"];

/// Cuts a text into tokens.
pub(super) fn lex(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut at, mut n_breaks, mut depth) = (0, 0, 0_usize);
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        if first.is_whitespace() {
            n_breaks += usize::from(first == '\n');
            at += first.len_utf8();
            continue;
        }
        let (kind, length) = token(rest, first, depth);
        let piece = rest.get(..length).unwrap_or(rest);
        if kind == Kind::Sign {
            match piece {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        // The blanks at the end of a comment are none of its text.
        let shown = if kind == Kind::Comment { piece.trim_end() } else { piece };
        tokens.push(Token { kind, text: shown, start: at, n_breaks });
        n_breaks = 0;
        at += piece.len();
    }
    tokens
}

fn token(rest: &str, first: char, depth: usize) -> (Kind, usize) {
    let while_it = |is_part: fn(char) -> bool| rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    if first == '#' || rest.starts_with("//") {
        return (Kind::Comment, while_it(|c| c != '\n'));
    }
    match first {
        '"' => (Kind::Text, string_len(rest)),
        c if c.is_ascii_digit() => (Kind::Number, while_it(|c| c.is_ascii_digit())),
        c if c.is_ascii_alphabetic() || c == '_' => (Kind::Word, while_it(|c| c.is_ascii_alphanumeric() || c == '_')),
        '.' if is_end(rest) => (Kind::End, 1),
        _ if depth == 0 && rest.starts_with(":-") => (Kind::Sign, 2),
        _ => {
            (Kind::Sign, LONG_SIGNS.iter().find(|sign| rest.starts_with(**sign)).map_or(first.len_utf8(), |s| s.len()))
        }
    }
}

fn is_end(rest: &str) -> bool {
    let after = rest.strip_prefix('.').unwrap_or(rest);
    after.is_empty() || after.starts_with(char::is_whitespace) || after.starts_with("//") || after.starts_with('#')
}

fn string_len(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// What a comment says, without its marker.
pub(super) fn said(comment: &str) -> &str {
    comment.strip_prefix('#').or_else(|| comment.strip_prefix("//")).unwrap_or(comment).trim_end()
}
