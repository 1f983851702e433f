//! Where words go: results to standard output, what is wrong and what happens meanwhile to standard error.

use std::io::{self, IsTerminal, Write};

use serde_json::{Value as Json, json};

/// Text for people or JSON for machines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    is_json: bool,
    has_colour: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
        let wants_none = std::env::var("NO_COLOR").is_ok_and(|set| !set.is_empty());
        Self { is_json, has_colour: io::stderr().is_terminal() && !wants_none }
    }

    /// Whether standard error takes colours.
    pub(crate) fn has_colour(self) -> bool {
        self.has_colour
    }

    /// Whether machines are listening.
    pub(crate) fn is_json(self) -> bool {
        self.is_json
    }

    /// A result: `json` for machines, else `text`.
    pub(crate) fn result(self, text: &str, json: impl FnOnce() -> Json) {
        if self.is_json {
            line(&json().to_string());
        } else {
            line(&printable(text));
        }
    }

    /// A document for machines, where they are listening.
    pub(crate) fn json(self, json: impl FnOnce() -> Json) {
        if self.is_json {
            line(&json().to_string());
        }
    }

    /// Text for people that is not a result: findings, and what happens meanwhile. Colours pass; what comes from a file or its
    /// name has gone through [`printable`].
    pub(crate) fn note(self, text: &str) {
        if !self.is_json {
            // A reader that has gone away is no reason to stop serving.
            drop(writeln!(io::stderr().lock(), "{text}"));
        }
    }

    /// Why there is no result.
    pub(crate) fn error(self, message: &str) {
        if self.is_json {
            line(&json!({ "error": message }).to_string());
        } else {
            drop(writeln!(io::stderr().lock(), "error: {}", printable(message)));
        }
    }
}

/// The text without what a terminal would obey: control characters as the pictures that Unicode has of them, except where
/// lines end.
pub(crate) fn printable(text: &str) -> String {
    let shown = |character| match character {
        '\n' | '\t' => character,
        '\u{7f}' => '\u{2421}',
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ if character.is_control() => char::REPLACEMENT_CHARACTER,
        _ => character,
    };
    text.chars().map(shown).collect()
}

fn line(text: &str) {
    let mut out = io::stdout().lock();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}
