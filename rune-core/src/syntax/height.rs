//! How high the tree of a text can get, by a plain scan.
//!
//! ```text
//!   a && (b || [c.d.e, f]) && g
//!        ^ opens    ^ two steps of a path: this level is two high
//!                       ^ closes: 1 + 2, and one || at this level
//!     ^^                    ^^ two at the outermost: 1 + 3 + 2 in all
//! ```
//!
//! A parser's tree is at most as high as the brackets around a place plus all operators at each level around it, because
//! a chain of operators without brackets nests as often as it has operators. The scan allocates one small stack.

use std::{fmt, ops::Range};

use crate::base::{character_at, limits};

/// Which comments, strings and brackets a text has, and whether its operators chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// Cedar policies: `//` comments, operators chain.
    Cedar,
    /// Rules: the same, and a period ends a clause.
    Rules,
    /// Cedar schemas: `//` comments, `<` and `>` are brackets.
    CedarSchema,
    /// TOML: `#` comments, four kinds of strings.
    Toml,
    /// JSON: no comments.
    Json,
}

/// A text that is higher than the limits allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// Byte at which the limit was passed.
    pub at: usize,
    /// Which one.
    pub kind: ExcessKind,
}

/// Which limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExcessKind {
    /// [`limits::NESTING_MAX`].
    Nesting,
    /// [`limits::TEXT_HEIGHT_MAX`], with the height found.
    Height(usize),
    /// [`limits::ACCESSES_MAX`].
    Accesses,
}

impl Excess {
    /// The character of `text` at which the limit was passed.
    #[must_use]
    pub fn place(&self, text: &str) -> Range<usize> {
        character_at(text, self.at)
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ExcessKind::Nesting => write!(f, "brackets are nested deeper than {}", limits::NESTING_MAX),
            ExcessKind::Accesses => write!(f, "a path has more than {} steps", limits::ACCESSES_MAX),
            ExcessKind::Height(height) => {
                write!(f, "this expression is {height} levels high, more than {}", limits::TEXT_HEIGHT_MAX)
            }
        }
    }
}

/// Checks the nesting and height of a text.
///
/// # Errors
///
/// The first place at which a limit is passed.
pub fn measure(text: &str, notation: Notation) -> Result<(), Excess> {
    let bytes = text.as_bytes();
    let mut levels = vec![Level::default()];
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if let Some(end) = skip(bytes, at, notation) {
            at = end;
            continue;
        }
        match byte {
            b'(' | b'[' | b'{' => open(&mut levels, at, notation)?,
            b'<' if notation == Notation::CedarSchema => open(&mut levels, at, notation)?,
            b')' | b']' | b'}' => {
                close_types(&mut levels, at)?;
                close(&mut levels, at)?;
            }
            b'>' if levels.last().is_some_and(|level| level.is_type) => close(&mut levels, at)?,
            b'>' if notation == Notation::CedarSchema => close(&mut levels, at)?,
            // A comma begins the next element and a semicolon the next policy: neither stands on the one before.
            b',' | b';' => rest(&mut levels, at)?,
            b'.' if notation == Notation::Rules && bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace) => {
                close_types(&mut levels, at)?;
                rest(&mut levels, at)?;
            }
            _ if matches!(notation, Notation::Cedar | Notation::Rules) => {
                if byte.is_ascii_alphabetic() || byte == b'_' {
                    let word = bytes.iter().skip(at).take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                    let is_operator =
                        matches!(bytes.get(at..at + word), Some(b"if" | b"has" | b"in" | b"is" | b"like"));
                    if is_operator {
                        grow(&mut levels);
                    }
                    let is_set = notation == Notation::Rules && bytes.get(at..at + word) == Some(b"Set");
                    at += word;
                    at += bytes.iter().skip(at).take_while(|byte| byte.is_ascii_whitespace()).count();
                    if is_set && bytes.get(at) == Some(&b'<') {
                        open(&mut levels, at, notation)?;
                        if let Some(level) = levels.last_mut() {
                            level.is_type = true;
                        }
                        at += 1;
                    }
                    continue;
                }
                let is_operator = matches!(byte, b'&' | b'|' | b'+' | b'-' | b'*' | b'!' | b'<' | b'>' | b'=');
                if is_operator {
                    grow(&mut levels);
                }
                if byte == b'.' {
                    access(&mut levels, at)?;
                }
                // `&&`, `==` and their like are one operator.
                if is_operator && bytes.get(at + 1) == Some(&byte) && matches!(byte, b'&' | b'|' | b'=') {
                    at += 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    while 1 < levels.len() {
        close(&mut levels, at)?;
    }
    rest(&mut levels, at)
}

/// One level of brackets: the operators since its last comma, and the highest operand among them.
#[derive(Default)]
struct Level {
    operators: usize,
    /// The accesses of the operand that is being read (`a.b.c`), and the most that an operand had. They bind more tightly than
    /// any operator, so that those of one operand do not stand on those of another.
    accesses: usize,
    accesses_max: usize,
    inner: usize,
    /// The highest element so far.
    highest: usize,
    /// Whether it is that of `Set<…>` in rules, where `<` compares elsewhere.
    is_type: bool,
}

fn open(levels: &mut Vec<Level>, at: usize, notation: Notation) -> Result<(), Excess> {
    if limits::NESTING_MAX < levels.len() {
        return Err(Excess { at, kind: ExcessKind::Nesting });
    }
    // What stands in brackets after an operand (a call, an index) is one more step in its chain.
    if matches!(notation, Notation::Cedar | Notation::Rules) {
        access(levels, at)?;
    }
    levels.push(Level::default());
    Ok(())
}

fn close(levels: &mut Vec<Level>, at: usize) -> Result<(), Excess> {
    rest(levels, at)?;
    if 1 < levels.len()
        && let Some(closed) = levels.pop()
        && let Some(outer) = levels.last_mut()
    {
        outer.inner = outer.inner.max(closed.highest + 1);
    }
    Ok(())
}

/// Closes what looked like the type of a set and was none: a variable of that name, compared.
fn close_types(levels: &mut Vec<Level>, at: usize) -> Result<(), Excess> {
    while levels.last().is_some_and(|level| level.is_type) {
        close(levels, at)?;
    }
    Ok(())
}

fn rest(levels: &mut [Level], at: usize) -> Result<(), Excess> {
    let Some(level) = levels.last_mut() else { return Ok(()) };
    let height = level.operators + level.accesses_max.max(level.accesses) + level.inner;
    if limits::TEXT_HEIGHT_MAX < height {
        return Err(Excess { at, kind: ExcessKind::Height(height) });
    }
    *level = Level { highest: level.highest.max(height), is_type: level.is_type, ..Level::default() };
    Ok(())
}

fn grow(levels: &mut [Level]) {
    if let Some(level) = levels.last_mut() {
        level.operators += 1;
        level.accesses_max = level.accesses_max.max(level.accesses);
        level.accesses = 0;
    }
}

fn access(levels: &mut [Level], at: usize) -> Result<(), Excess> {
    let Some(level) = levels.last_mut() else { return Ok(()) };
    level.accesses += 1;
    // A validator may look at each step of a path once for each that follows.
    if limits::ACCESSES_MAX < level.accesses {
        return Err(Excess { at, kind: ExcessKind::Accesses });
    }
    Ok(())
}

/// Where the string or comment that begins at `at` ends, if one does.
fn skip(bytes: &[u8], at: usize, notation: Notation) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let line = || at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    match notation {
        Notation::Cedar | Notation::Rules | Notation::CedarSchema if rest.starts_with(b"//") => return Some(line()),
        Notation::Toml | Notation::Rules if rest.starts_with(b"#") => return Some(line()),
        Notation::Toml => {
            for quotes in [&b"\"\"\""[..], b"'''"] {
                if rest.starts_with(quotes) {
                    return Some(string_end(bytes, at + 3, quotes));
                }
            }
            if rest.starts_with(b"'") {
                return Some(string_end(bytes, at + 1, b"'"));
            }
        }
        _ => {}
    }
    rest.starts_with(b"\"").then(|| string_end(bytes, at + 1, b"\""))
}

fn string_end(bytes: &[u8], from: usize, quotes: &[u8]) -> usize {
    let escapes = quotes.first() == Some(&b'"');
    let mut at = from;
    while let Some(rest) = bytes.get(at..)
        && !rest.is_empty()
    {
        if rest.starts_with(quotes) {
            return at + quotes.len();
        }
        at += if escapes && rest.starts_with(b"\\") { 2 } else { 1 };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(text: &str) -> Result<(), ExcessKind> {
        measure(text, Notation::Cedar).map_err(|excess| excess.kind)
    }

    #[test]
    fn brackets_count_everywhere_but_in_strings_and_comments() {
        let deep = "(".repeat(limits::NESTING_MAX + 1);
        assert_eq!(measured(&deep), Err(ExcessKind::Nesting));
        assert_eq!(measured(&format!("\"{deep}\" // {deep}")), Ok(()));
        assert_eq!(measure(&format!("a = '{deep}' # {deep}"), Notation::Toml), Ok(()));
        assert_eq!(measure(&format!("a = \"\"\"\"{deep}\"\"\""), Notation::Toml), Ok(()));
        assert!(measure(&"Set<".repeat(limits::NESTING_MAX + 1), Notation::CedarSchema).is_err());
        assert!(measure(&"Set<".repeat(limits::NESTING_MAX + 1), Notation::Rules).is_err());
        assert!(measure(&"p(X) :- Set < X, (Set < 1).\n".repeat(limits::NESTING_MAX + 1), Notation::Rules).is_ok());
        assert_eq!(measured(&"(".repeat(limits::NESTING_MAX)), Ok(()));
    }

    #[test]
    fn chains_without_brackets_count_as_high_as_they_nest() {
        for chain in ["true && ", "a.b.c || ", "1 + ", "if a then b else ", "-1 - "] {
            assert!(matches!(measured(&chain.repeat(5_000)), Err(ExcessKind::Height(_))), "{chain}");
        }
        for path in ["a.", "a.b(1).", "a[\"b\"]", "a(b)"] {
            assert_eq!(measured(&path.repeat(5_000)), Err(ExcessKind::Accesses), "{path}");
        }
        assert_eq!(measured(&"a.b.c.d(1).e || ".repeat(3_900)), Ok(()), "paths of operands do not add up");
        assert_eq!(measured(&"principal == User::\"a\" || ".repeat(1_500)), Ok(()));
    }

    #[test]
    fn elements_and_policies_stand_side_by_side() {
        assert_eq!(measured(&"[1 + 2, a.b],".repeat(10_000)), Ok(()));
        assert_eq!(measured(&"permit(principal, action, resource) when { a.b.c && d };".repeat(10_000)), Ok(()));
    }

    #[test]
    fn clauses_of_rules_stand_side_by_side() {
        let rules = "edge(a, b).\np(X) :- q(X), X.a.b > 1 + 2.\n".repeat(10_000);
        assert_eq!(measure(&rules, Notation::Rules), Ok(()));
        let path = format!("p(X) :- X{}.", ".a".repeat(limits::ACCESSES_MAX + 1));
        assert!(measure(&path, Notation::Rules).is_err());
    }

    #[test]
    fn lines_of_toml_stand_side_by_side_without_commas() {
        assert_eq!(measure(&"User.u = { a = [1, 2] }\n".repeat(100_000), Notation::Toml), Ok(()));
    }

    #[test]
    fn heights_of_nested_chains_add_up() {
        let inner = format!("({})", "a && ".repeat(2_500));
        assert_eq!(measured(&inner), Ok(()));
        assert!(matches!(measured(&format!("{inner} && {}", "b && ".repeat(2_500))), Err(ExcessKind::Height(_))));
    }
}
