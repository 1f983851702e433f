//! From a text, or two, to another: by its tokens, its brackets and its lines, without any grammar.

use rune_core::base::character_at;

use super::targets::{FILE_MARK, NO_TEXT};

/// Bytes of an input. Every hundredth may have more, so that what takes time with the square of a length is noticed.
const BYTES_MAX: usize = 8 << 10;
const BYTES_MAX_OF_LONG: usize = 128 << 10;

/// Random numbers, and what is made with them.
#[derive(Debug, Clone)]
pub struct Mutator {
    state: u64,
    bytes_max: usize,
}

impl Mutator {
    pub fn new(seed: u64) -> Self {
        let mut mutator = Self { state: seed.wrapping_mul(0x9E37_79B9).wrapping_add(1), bytes_max: BYTES_MAX };
        if mutator.percent(1) {
            mutator.bytes_max = BYTES_MAX_OF_LONG;
        }
        mutator
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(crate::seeds::next(&mut self.state) % n.max(1) as u64).expect("less than n")
    }

    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of.get(self.below(of.len())).copied().unwrap_or_default()
    }

    /// A text made from those.
    pub fn input(&mut self, seeds: &[&str]) -> String {
        let mut text = self.pick(seeds).to_owned();
        // What is still a text of its language gets furthest.
        if self.percent(40) {
            for _ in 0..1 + self.below(3) {
                text = self.alike(&text, seeds);
            }
            return text;
        }
        let n = match self.below(10) {
            0..5 => 1,
            5..8 => 2 + self.below(3),
            _ => 4 + self.below(12),
        };
        for _ in 0..n {
            text = match self.below(16) {
                0..6 => self.shuffled(&text, seeds),
                6..9 => self.set(&text),
                9 => self.cut(&text),
                10 | 11 => self.nested(&text),
                12 => self.chained(&text),
                13 => self.repeated(&text),
                _ => self.lines(&text),
            };
            // No more is done to what is too long, than to cut it.
            if self.bytes_max < text.len() {
                text.truncate(character_at(&text, self.bytes_max).start);
                break;
            }
        }
        text
    }

    /// A place in the text: mostly between tokens.
    fn place(&mut self, text: &str) -> usize {
        let at = character_at(text, self.below(text.len() + 1)).start;
        if self.percent(20) {
            return at;
        }
        let rest = &text[at..];
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        at + rest.find(|c| !is_of_word(c)).unwrap_or(rest.len())
    }

    /// A range of the text: mostly a few tokens, now and then any.
    fn range(&mut self, text: &str) -> std::ops::Range<usize> {
        let start = self.place(text);
        let end = if self.percent(80) {
            let n = 1 + self.below(4);
            tokens(&text[start..]).take(n).map(str::len).sum::<usize>() + start
        } else {
            self.place(text)
        };
        start.min(end)..start.max(end)
    }

    /// Tokens are taken out, doubled, exchanged, or put in place of others; of this text, or of another.
    fn shuffled(&mut self, text: &str, seeds: &[&str]) -> String {
        let (one, two) = (self.range(text), self.range(text));
        let (one, two) = if one.start <= two.start { (one, two) } else { (two, one) };
        match self.below(7) {
            0 => format!("{}{}", &text[..one.start], &text[one.end..]),
            1 => format!("{}{}{}", &text[..one.end], &text[one.clone()], &text[one.end..]),
            2 if one.end <= two.start => {
                let between = &text[one.end..two.start];
                format!("{}{}{between}{}{}", &text[..one.start], &text[two.clone()], &text[one], &text[two.end..])
            }
            3 => {
                let other = self.pick(seeds);
                let (from, to) = (self.place(text), self.place(other));
                format!("{}{}", &text[..from], &other[to..])
            }
            4 => {
                let other = self.pick(seeds);
                let part = self.range(other);
                format!("{}{}{}", &text[..one.start], &other[part], &text[one.end..])
            }
            5 => format!("{}{}{}", &text[..one.start], &text[two], &text[one.end..]),
            _ => {
                let at = self.place(text);
                format!("{}{}{}", &text[..at], &text[one], &text[at..])
            }
        }
    }

    /// A token in place of one of its kind.
    fn alike(&mut self, text: &str, seeds: &[&str]) -> String {
        let kind = |token: &str| {
            let first = token.chars().next().unwrap_or(' ');
            (first.is_ascii_digit(), first.is_ascii_alphabetic(), "[](){}<>".contains(first), first.is_whitespace())
        };
        let start = self.place(text);
        let Some(token) = tokens(&text[start..]).find(|token| *token != " ") else { return text.to_owned() };
        let start = start + text[start..].find(token).unwrap_or_default();
        let other = if self.percent(50) { text } else { self.pick(seeds) };
        let from = self.place(other);
        let others: Vec<&str> = tokens(&other[from..]).filter(|other| kind(other) == kind(token)).take(8).collect();
        let new = if kind(token).0 && self.percent(30) { self.pick(&NUMBERS) } else { self.pick(&others) };
        format!("{}{new}{}", &text[..start], &text[start + token.len()..])
    }

    /// A word, number, sign or odd character in place of some tokens, or between them.
    fn set(&mut self, text: &str) -> String {
        let mut range = self.range(text);
        if self.percent(50) {
            range.end = range.start;
        }
        let what = match self.below(5) {
            0 => self.pick(&NUMBERS).to_owned(),
            1 => self.pick(&ODD).to_owned(),
            2 => self.pick(&SIGNS).to_owned(),
            3 => self.pick(&WORDS).to_owned(),
            _ => {
                char::from_u32(u32::try_from(self.below(0x100)).expect("small")).map_or_else(String::new, String::from)
            }
        };
        format!("{}{what}{}", &text[..range.start], &text[range.end..])
    }

    fn cut(&mut self, text: &str) -> String {
        let at = self.place(text);
        if self.percent(75) { text[..at].to_owned() } else { text[at..].to_owned() }
    }

    /// How often something is repeated: seldom more often than limits allow.
    fn times(&mut self) -> usize {
        match self.below(10) {
            0..5 => 1 + self.below(5),
            5..8 => 60 + self.below(10),
            8 => 190 + self.below(20),
            _ => self.below(5_000),
        }
    }

    /// Some tokens within brackets within brackets, or within brackets that have no end.
    fn nested(&mut self, text: &str) -> String {
        let range = self.range(text);
        let (open, close) = BRACKETS[self.below(BRACKETS.len())];
        let n = self.times();
        let n_closed = match self.below(4) {
            0 => 0,
            1 => self.below(n + 2),
            _ => n,
        };
        let inner = &text[range.clone()];
        format!("{}{}{inner}{}{}", &text[..range.start], open.repeat(n), close.repeat(n_closed), &text[range.end..])
    }

    /// Operators that chain without brackets.
    fn chained(&mut self, text: &str) -> String {
        let at = self.place(text);
        let (link, n) = (self.pick(&LINKS), self.times());
        format!("{}{}{}", &text[..at], link.repeat(n), &text[at..])
    }

    /// Some tokens or lines many times.
    fn repeated(&mut self, text: &str) -> String {
        let mut range = self.range(text);
        if self.percent(50) {
            range.start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
            range.end = text[range.end..].find('\n').map_or(text.len(), |at| range.end + at + 1);
        }
        let n = self.times().min(self.bytes_max / range.len().max(1));
        format!("{}{}{}", &text[..range.start], text[range.clone()].repeat(n), &text[range.end..])
    }

    /// Lines are taken out, exchanged or moved, and end in other ways.
    fn lines(&mut self, text: &str) -> String {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        if lines.is_empty() {
            return FILE_MARK.to_owned();
        }
        let (one, other) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(8) {
            0 => drop(lines.remove(one)),
            1 => lines.swap(one, other),
            2 => lines.insert(one, lines[other]),
            3 => lines.insert(one, self.pick(&HEADERS)),
            4 => return text.replace('\n', "\r\n"),
            5 => return text.replace('\n', self.pick(&["", " ", "\r", "\n\n", "\u{2028}", " # x\n", " // x\n"])),
            6 => lines[one] = lines[one].trim_end(),
            _ => lines.insert(one, self.pick(&[" ", "\t", "\u{a0}", "#", "//", "\u{c}"])),
        }
        lines.concat()
    }
}

/// Words, blanks, and single characters.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let kind = |c: char| (c.is_ascii_alphanumeric() || c == '_', c == ' ');
        let end = if kind(first) == (false, false) {
            first.len_utf8()
        } else {
            rest.find(|c| kind(c) != kind(first)).unwrap_or(rest.len())
        };
        let (token, after) = rest.split_at(end);
        rest = after;
        Some(token)
    })
}

const NUMBERS: [&str; 18] = [
    "0",
    "-0",
    "1",
    "-1",
    "00",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "4294967296",
    "18446744073709551616",
    "1e999",
    "-1.5e-7",
    "0x7fffffffffffffff",
    "0o7",
    "1_0",
    "922337203685477.5807",
    "99999999999999999999999999999999999999999999999999",
];

const ODD: [&str; 34] = [
    "\u{feff}",
    "\u{202e}",
    "\u{200f}",
    "\0",
    "\r",
    "\r\n",
    "\u{301}",
    "\u{1f600}",
    "\u{10ffff}",
    "\u{e9}",
    "\u{2028}",
    "\u{85}",
    "\u{a0}",
    "\u{b}",
    "\u{c}",
    "\u{7f}",
    "\u{200d}",
    "\u{130}",
    "\u{df}",
    "\u{fffd}",
    "\u{3000}",
    "\t",
    "\\u{d800}",
    "\\ud800",
    "\\ud83d\\ude00",
    "\\u{1F600}",
    "\\u{110000}",
    "\\u{}",
    "\\u0000",
    "\\x80",
    "\\x7f",
    "\\*",
    "\\",
    // `NO_TEXT`, which becomes a byte that is not UTF-8.
    "\u{ffff}",
];
const _: () = assert!(NO_TEXT as u32 == 0xffff);

const SIGNS: [&str; 40] = [
    "\"", "'", "\"\"\"", "'''", "(", ")", "[", "]", "{", "}", "<", ">", ",", ".", ";", ":", "::", ":-", "->", "=",
    "==", "!=", "<=", "&&", "||", "|", "!", "-", "+", "*", "?", "@", "#", "//", "/*", "_", "\n", " ", "_.", ". ",
];

const WORDS: [&str; 66] = [
    "principal",
    "action",
    "resource",
    "context",
    "permit",
    "forbid",
    "when",
    "unless",
    "in",
    "is",
    "has",
    "like",
    "if",
    "then",
    "else",
    "true",
    "false",
    "not",
    "relation",
    "count",
    "sum",
    "min",
    "max",
    "collect",
    "parent",
    "Set",
    "Long",
    "String",
    "Bool",
    "User",
    "Action",
    "entity",
    "type",
    "namespace",
    "appliesTo",
    "attributes",
    "tags",
    "enum",
    "ip(\"::1\")",
    "decimal(\"1.0\")",
    "datetime(\"2024-01-01\")",
    "duration(\"1d\")",
    "containsAny",
    "isEmpty()",
    "hasTag",
    "?principal",
    "?resource",
    "@id(\"a\")",
    "@template(\"a\")",
    "@attribute",
    "@live",
    "@request",
    "__entity",
    "__extn",
    "__cedar",
    "uid",
    "attrs",
    "parents",
    "rows_from",
    "key",
    "expect",
    "facts",
    "query",
    "version",
    "User::\"ada\"",
    "X",
];

const BRACKETS: [(&str, &str); 14] = [
    ("(", ")"),
    ("[", "]"),
    ("{", "}"),
    ("Set<", ">"),
    ("{a: ", "}"),
    ("{\"a\": ", "}"),
    ("[{", "}]"),
    ("{a = ", "}"),
    ("X.contains(", ")"),
    ("if true then (", ") else 1"),
    ("not ", ""),
    ("p(", ")"),
    ("N = count { X : ", " }"),
    ("\"", "\""),
];

const LINKS: [&str; 30] = [
    "!",
    "-",
    "1 + ",
    "1 - ",
    "2 * ",
    "true && ",
    "true || ",
    ".a",
    "[\"a\"]",
    ".contains(1)",
    "if true then 1 else ",
    "if ",
    "1 in ",
    "a.",
    "A::",
    "::A",
    " has a",
    " && X",
    " | User",
    "1, ",
    "p(X), ",
    "@a ",
    "@a(\"b\")\n",
    "x = 1\n",
    "a.b = ",
    "\\",
    "\n",
    " ",
    ";",
    ". ",
];

const HEADERS: [&str; 14] = [
    "[rules]\n",
    "[data]\n",
    "[entities]\n",
    "[schema]\n",
    "[policies]\n",
    "[test.\"a\"]\n",
    "[flag.a]\n",
    "[migrate.1]\n",
    "[[rules]]\n",
    " [rules]\n",
    "[rules\n",
    "version = \"rune/1.0\"\n",
    "=== b.rune\n",
    "=== a.cedar\n",
];
