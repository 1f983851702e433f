//! Where words go: results to standard output, what is wrong and what happens meanwhile to standard error.

use std::{
    ffi::OsString,
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use anstream::AutoStream;
use clap::{ColorChoice, ValueEnum as _};
use rune_core::syntax::characters::is_unseen;
use serde_json::{Value as Json, json};

use crate::report;

/// Text for people or JSON for machines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    is_json: bool,
    has_colour: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool, color: ColorChoice) -> Self {
        let has_colour = match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            // What `NO_COLOR`, `CLICOLOR_FORCE` and the terminal say, as for help and wrong usage.
            ColorChoice::Auto => AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never,
        };
        Self { is_json, has_colour }
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
            self.complain(message);
        }
    }

    /// What a result leaves open, for people, where machines learn it from the result.
    pub(crate) fn warn(self, message: &str) {
        self.note(&report::warning(message, self.has_colour));
    }

    /// What is wrong, for people, where machines learn it from a result.
    pub(crate) fn complain(self, message: &str) {
        self.note(&report::error(message, self.has_colour));
    }
}

/// Whether standard output can still be written to: whoever read it may have gone away.
pub(crate) fn is_heard() -> bool {
    !IS_UNHEARD.load(Ordering::Relaxed)
}

/// A process has one standard output.
static IS_UNHEARD: AtomicBool = AtomicBool::new(false);

/// The choice of `--color` among arguments that are not parsed yet: help and wrong usage are told in colours as well.
pub(crate) fn color_before_parsing(arguments: impl IntoIterator<Item = OsString>) -> ColorChoice {
    let arguments = arguments.into_iter().take_while(|argument| argument != "--");
    let arguments: Vec<_> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let chosen = arguments.iter().enumerate().find_map(|(at, argument)| match argument.strip_prefix("--color")? {
        "" => arguments.get(at + 1).map(String::as_str),
        value => value.strip_prefix('='),
    });
    chosen.and_then(|choice| ColorChoice::from_str(choice, false).ok()).unwrap_or_default()
}

/// The text without what a terminal would obey or not show: control characters as the pictures that Unicode has of them, except
/// where lines end, and those that turn text around or have no width as their codes.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            '\u{7f}' => shown.push('\u{2421}'),
            '\0'..='\u{1f}' => {
                shown.push(char::from_u32(0x2400 + u32::from(character)).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ if is_unseen(character) => shown.extend(character.escape_unicode()),
            _ if character.is_control() => shown.push(char::REPLACEMENT_CHARACTER),
            _ => shown.push(character),
        }
    }
    shown
}

fn line(text: &str) {
    let mut out = io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        IS_UNHEARD.store(true, Ordering::Relaxed);
    }
}
