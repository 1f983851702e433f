//! The layout of sections that are TOML, and of the preamble.
//!
//! ```text
//!   key = [1, 2] # a comment
//!   key = [
//!       1, # an array that was written over several lines, holds a comment or does not fit
//!       2,
//!   ]
//!   key = { a = 1, b = 2 }
//! ```
//!
//! Keys, strings and numbers are what stands in the text. The tokens are those of the parser that has read it.

use toml_parser::{
    Source,
    lexer::{Token, TokenKind},
};

use super::{WIDTH, chars};
use crate::syntax::container::LANGUAGE;

/// Blanks before what stands inside a bracket.
const INDENT: usize = 4;

/// Lays out a document.
pub(super) fn lay_out(text: &str) -> String {
    laid_out(&read(text))
}

/// Lays out what stands before the first section: the version, whatever its quotes are.
pub(super) fn lay_out_preamble(text: &str) -> String {
    let mut items = read(text);
    for item in &mut items {
        if let ItemKind::Pair(key, value) = &mut item.kind {
            "version".clone_into(key);
            *value = Value::Scalar(format!("\"{LANGUAGE}\""));
        }
    }
    laid_out(&items)
}

/// The comments of a document.
pub(super) fn comments(text: &str) -> Vec<&str> {
    let comments = Source::new(text).lex().filter(|token| token.kind() == TokenKind::Comment);
    comments.filter_map(|token| text.get(token.span().start()..token.span().end())).map(str::trim_end).collect()
}

/// A line, or what stands between two commas, and the comment at its end.
struct Item<'t> {
    is_set_off: bool,
    kind: ItemKind<'t>,
    behind: Option<&'t str>,
}

enum ItemKind<'t> {
    Comment(&'t str),
    /// `[name]`: in a section such a line is indented, else it would be the header of one.
    Header(String),
    /// `key = value`.
    Pair(String, Value<'t>),
    /// An element of an array.
    Element(Value<'t>),
}

enum Value<'t> {
    Scalar(String),
    List(List<'t>),
}

struct List<'t> {
    brackets: Brackets,
    items: Vec<Item<'t>>,
    /// The comment behind the bracket that opens it.
    behind: Option<&'t str>,
    /// Whether it was written over several lines or holds a comment.
    is_spread: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brackets {
    Array,
    Table,
}

fn read(text: &str) -> Vec<Item<'_>> {
    let tokens = Source::new(text).lex().into_vec();
    Reader { text, tokens: &tokens }.document()
}

struct Reader<'t, 'k> {
    text: &'t str,
    tokens: &'k [Token],
}

impl<'t> Reader<'t, '_> {
    fn kind(&self) -> TokenKind {
        self.tokens.first().map_or(TokenKind::Eof, Token::kind)
    }

    fn take(&mut self) -> &'t str {
        let Some((first, rest)) = self.tokens.split_first() else { return "" };
        self.tokens = rest;
        self.text.get(first.span().start()..first.span().end()).unwrap_or_default()
    }

    fn document(&mut self) -> Vec<Item<'t>> {
        let mut items: Vec<Item<'t>> = Vec::new();
        let mut n_breaks = 0;
        loop {
            let is_set_off = 1 < n_breaks && !items.is_empty();
            let kind = match self.kind() {
                TokenKind::Eof => return items,
                TokenKind::Newline | TokenKind::Whitespace => {
                    n_breaks += usize::from(self.kind() == TokenKind::Newline);
                    self.take();
                    continue;
                }
                TokenKind::Comment => {
                    let comment = self.take().trim_end();
                    match items.last_mut() {
                        Some(last) if n_breaks == 0 => {
                            last.behind = Some(comment);
                            continue;
                        }
                        _ => ItemKind::Comment(comment),
                    }
                }
                TokenKind::LeftSquareBracket => ItemKind::Header(self.dense(TokenKind::Newline)),
                _ => {
                    let key = self.dense(TokenKind::Equals);
                    self.take();
                    ItemKind::Pair(key, self.value())
                }
            };
            items.push(Item { is_set_off, kind, behind: None });
            n_breaks = 0;
        }
    }

    /// The tokens up to `end` or the end of the line, without the blanks between them.
    fn dense(&mut self, end: TokenKind) -> String {
        let mut text = String::new();
        while ![end, TokenKind::Newline, TokenKind::Comment, TokenKind::Eof].contains(&self.kind()) {
            let is_blank = self.kind() == TokenKind::Whitespace;
            let token = self.take();
            if !is_blank {
                text.push_str(token);
            }
        }
        text
    }

    /// Takes the equals sign with all blanks around it, and returns the comments between them.
    fn equals(&mut self) -> Vec<&'t str> {
        let mut comments = Vec::new();
        loop {
            match self.kind() {
                TokenKind::Equals | TokenKind::Whitespace | TokenKind::Newline => {
                    self.take();
                }
                TokenKind::Comment => comments.push(self.take().trim_end()),
                _ => return comments,
            }
        }
    }

    // Recurses once per bracket, whose nesting was limited.
    fn value(&mut self) -> Value<'t> {
        while self.kind() == TokenKind::Whitespace {
            self.take();
        }
        match self.kind() {
            TokenKind::LeftSquareBracket => Value::List(self.list(Brackets::Array)),
            TokenKind::LeftCurlyBracket => Value::List(self.list(Brackets::Table)),
            _ => {
                // A date and its time may be two tokens.
                let mut scalar = String::new();
                while !matches!(
                    self.kind(),
                    TokenKind::Comma
                        | TokenKind::RightSquareBracket
                        | TokenKind::RightCurlyBracket
                        | TokenKind::Newline
                        | TokenKind::Comment
                        | TokenKind::Eof
                ) {
                    scalar.push_str(self.take());
                }
                scalar.truncate(scalar.trim_end_matches([' ', '\t']).len());
                Value::Scalar(scalar)
            }
        }
    }

    fn list(&mut self, brackets: Brackets) -> List<'t> {
        self.take();
        let mut list = List { brackets, items: Vec::new(), behind: None, is_spread: false };
        let mut n_breaks = 0;
        loop {
            let mut is_set_off = 1 < n_breaks && !list.items.is_empty();
            let kind = match self.kind() {
                TokenKind::Eof => return list,
                TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                    self.take();
                    return list;
                }
                TokenKind::Newline => {
                    self.take();
                    n_breaks += 1;
                    list.is_spread = true;
                    continue;
                }
                TokenKind::Whitespace => {
                    self.take();
                    continue;
                }
                TokenKind::Comma => {
                    self.take();
                    n_breaks = 0;
                    continue;
                }
                TokenKind::Comment => {
                    list.is_spread = true;
                    let comment = self.take().trim_end();
                    let place = match list.items.last_mut() {
                        None => Some(&mut list.behind),
                        Some(Item { kind: ItemKind::Comment(_), .. }) => None,
                        Some(item) => Some(&mut item.behind),
                    };
                    match place {
                        Some(place) if n_breaks == 0 && place.is_none() => {
                            *place = Some(comment);
                            continue;
                        }
                        _ => ItemKind::Comment(comment),
                    }
                }
                _ if brackets == Brackets::Table => {
                    let key = self.dense(TokenKind::Equals);
                    // The parser takes line breaks and comments on both sides of the sign: they go above the key.
                    for comment in self.equals() {
                        list.is_spread = true;
                        list.items.push(Item { is_set_off, kind: ItemKind::Comment(comment), behind: None });
                        is_set_off = false;
                    }
                    ItemKind::Pair(key, self.value())
                }
                _ => {
                    let value = self.value();
                    // An array is written over several lines if one in it is; a table may end with one.
                    list.is_spread |= value.is_spread();
                    ItemKind::Element(value)
                }
            };
            list.items.push(Item { is_set_off, kind, behind: None });
            n_breaks = 0;
        }
    }
}

impl Value<'_> {
    /// Whether some of it stands on another line than the rest.
    fn is_spread(&self) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::List(list) => {
                list.is_spread
                    || list.items.iter().any(|item| match &item.kind {
                        ItemKind::Pair(_, value) | ItemKind::Element(value) => value.is_spread(),
                        ItemKind::Comment(_) | ItemKind::Header(_) => false,
                    })
            }
        }
    }
}

fn laid_out(items: &[Item<'_>]) -> String {
    let mut writer = Writer { out: String::new() };
    for item in items {
        writer.item(item, 0);
    }
    writer.out
}

/// What a value may count on in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// The line is its own: an array breaks where the line would be too long.
    Line,
    /// It stands among others: an array breaks only if it alone is too long for a line.
    Part,
}

struct Writer {
    out: String,
}

impl Writer {
    /// An item on lines of its own.
    fn item(&mut self, item: &Item<'_>, indent: usize) {
        if item.is_set_off {
            self.out.push('\n');
        }
        self.blanks(indent);
        match &item.kind {
            ItemKind::Comment(comment) => self.out.push_str(comment),
            ItemKind::Header(header) => {
                self.blanks(INDENT);
                self.out.push_str(header);
            }
            ItemKind::Pair(key, value) => {
                self.key(key);
                self.value(value, indent, Room::Line);
            }
            ItemKind::Element(value) => self.value(value, indent, Room::Line),
        }
        let is_value = matches!(item.kind, ItemKind::Pair(..) | ItemKind::Element(_));
        if 0 < indent && is_value {
            self.out.push(',');
        }
        if let Some(comment) = item.behind {
            self.out.push(' ');
            self.out.push_str(comment);
        }
        self.out.push('\n');
    }

    fn key(&mut self, key: &str) {
        self.out.push_str(key);
        self.out.push_str(" = ");
    }

    fn blanks(&mut self, n: usize) {
        self.out.extend(std::iter::repeat_n(' ', n));
    }

    // Recurses once per bracket, whose nesting was limited.
    fn value(&mut self, value: &Value<'_>, indent: usize, room: Room) {
        let list = match value {
            Value::Scalar(text) => return self.out.push_str(text),
            Value::List(list) => list,
        };
        let (open, close, inner) = match list.brackets {
            Brackets::Array => ("[", "]", ""),
            Brackets::Table => ("{", "}", " "),
        };
        self.out.push_str(open);
        if list.items.is_empty() && list.behind.is_none() {
            return self.out.push_str(close);
        }
        if list.is_spread || (list.brackets == Brackets::Array && !self.fits(list, indent, room)) {
            if let Some(comment) = list.behind {
                self.out.push(' ');
                self.out.push_str(comment);
            }
            self.out.push('\n');
            list.items.iter().for_each(|item| self.item(item, indent + INDENT));
            self.blanks(indent);
            return self.out.push_str(close);
        }
        self.out.push_str(inner);
        for (at, item) in list.items.iter().enumerate() {
            if 0 < at {
                self.out.push_str(", ");
            }
            match &item.kind {
                ItemKind::Pair(key, value) => {
                    self.key(key);
                    self.value(value, indent, Room::Part);
                }
                ItemKind::Element(value) => self.value(value, indent, Room::Part),
                ItemKind::Comment(_) | ItemKind::Header(_) => {}
            }
        }
        self.out.push_str(inner);
        self.out.push_str(close);
    }

    /// Whether an array that has just been opened fits on its line.
    fn fits(&self, list: &List<'_>, indent: usize, room: Room) -> bool {
        let before = match room {
            Room::Line => self.out.rsplit('\n').next().map_or(0, chars),
            Room::Part => 1,
        };
        // The comma of an element counts.
        let after = usize::from(room == Room::Line && 0 < indent);
        list.items.iter().try_fold(before, |width, item| widened(width, item)).is_some_and(|width| {
            let commas = 2 * list.items.len().saturating_sub(1);
            width + commas + 1 + after <= WIDTH
        })
    }
}

/// The width with an item added, or none if that is too wide for a line.
fn widened(width: usize, item: &Item<'_>) -> Option<usize> {
    let width = match &item.kind {
        ItemKind::Pair(key, value) => wider(width + chars(key) + 3, value),
        ItemKind::Element(value) => wider(width, value),
        ItemKind::Comment(_) | ItemKind::Header(_) => Some(width),
    };
    width.filter(|width| *width <= WIDTH)
}

fn wider(width: usize, value: &Value<'_>) -> Option<usize> {
    match value {
        Value::Scalar(text) => Some(width + chars(text)),
        Value::List(list) => {
            let inner = if list.brackets == Brackets::Table && !list.items.is_empty() { 4 } else { 2 };
            let commas = 2 * list.items.len().saturating_sub(1);
            list.items.iter().try_fold(width + inner + commas, widened)
        }
    }
}
