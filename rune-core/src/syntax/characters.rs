//! Characters that editors do not show, or that some readers take for the end of a line and some do not.

use crate::{
    base::{FileId, Span},
    diag::{Code, Finding},
};

/// A character that a source file may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OddCharacter {
    at: usize,
    character: char,
}

/// The first character of a text that says something else to a parser than to a reader. Data may have more of them than code.
#[must_use]
pub fn odd_character(text: &str, is_code: bool) -> Option<OddCharacter> {
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let is_odd = match character {
            // Some of the parsers end a comment there and some do not.
            '\r' => characters.peek().is_none_or(|(_, next)| *next != '\n'),
            // Some readers end a line at these. Those after them turn around what follows, so that it is shown in another order
            // than it is read (CVE-2021-42574).
            '\u{b}'
            | '\u{c}'
            | '\u{85}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => is_code,
            _ => false,
        };
        if is_odd {
            return Some(OddCharacter { at, character });
        }
    }
    None
}

/// Whether a character is not seen where it is shown, or turns around what follows it: the end of a line that some readers know,
/// the controls of directions, and characters without a width.
#[must_use]
pub fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{85}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

impl OddCharacter {
    /// What is wrong, and what to do about it.
    #[must_use]
    pub fn finding(self, file: FileId) -> Finding {
        let span = Span::new(file, self.at..self.at + self.character.len_utf8());
        if self.character == '\r' {
            let finding = Finding::new(Code::LoneCarriageReturn, span, "a carriage return without a line feed");
            return finding.help("end lines with a line feed, or with both");
        }
        let name = format!("U+{:04X}", u32::from(self.character));
        let message = format!("{name} stands here, which does not show and changes how the text reads");
        let in_string = format!("take it away, or write `\\u{{{:x}}}` in a string", u32::from(self.character));
        Finding::new(Code::HiddenCharacter, span, message).help(in_string)
    }
}
