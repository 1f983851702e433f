//! Tokens: what a client is given with an answer, to be answered no older from then on.
//!
//! ```text
//!   r1_ | ruleset | incarnation | generation | revision | check |
//!         8 bytes   8             8            8          4         as 48 characters of six bits each
//! ```

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

/// Counts what was published of a ruleset's live facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

/// A store of live facts: whose it is, and which of those that there have been. A store that is made anew counts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Of the ruleset's name.
    ruleset: u64,
    incarnation: u64,
}

/// What a client is given with an answer and gives back to be answered no older: opaque to it.
///
/// Its text is made of letters, digits, `-` and `_`. It is checked against slips and cuts, and not against forgery: a token
/// grants nothing.
///
/// ```
/// # use rune_core::facts::token::{Origin, Revision, Token};
/// let token = Token::new(Origin::new("policies", 1), 3, Revision::new(70));
/// assert_eq!(token.to_string().parse(), Ok(token));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    origin: Origin,
    /// Of lineups: their type stands below facts.
    generation: u64,
    revision: Revision,
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It does not look like one.
    NotAToken,
    /// It may be one of another version of RUNE.
    OtherFormat,
    /// It was one, before it was cut or changed.
    Damaged,
}

impl Revision {
    /// The revision with this number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        // At a million a second there are enough for half a million years.
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Origin {
    /// The store of a ruleset, by name, and which of its stores.
    #[must_use]
    pub fn new(ruleset: &str, incarnation: u64) -> Self {
        let digest: [u8; 32] = Sha256::digest(ruleset).into();
        let ruleset = digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        Self { ruleset, incarnation }
    }

    /// Whether both are stores of one ruleset.
    #[must_use]
    pub fn is_of_ruleset_of(self, other: Self) -> bool {
        self.ruleset == other.ruleset
    }
}

impl Token {
    /// The first characters of a token's text, of which the last but one is the version of the format.
    const PREFIX: &str = "r1_";

    /// Four numbers, and what they are checked by.
    const BYTES: usize = 4 * 8 + Self::CHECK_BYTES;
    const CHECK_BYTES: usize = 4;

    /// A token.
    #[must_use]
    pub fn new(origin: Origin, generation: u64, revision: Revision) -> Self {
        Self { origin, generation, revision }
    }

    /// The store that it is of.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The generation that answered.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The revision that was answered by.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    fn to_bytes(self) -> Vec<u8> {
        let Self { origin: Origin { ruleset, incarnation }, generation, revision } = self;
        let mut bytes: Vec<u8> =
            [ruleset, incarnation, generation, revision.0].into_iter().flat_map(u64::to_be_bytes).collect();
        let check = Sha256::new().chain_update(Self::PREFIX).chain_update(&bytes).finalize();
        bytes.extend(check.into_iter().take(Self::CHECK_BYTES));
        bytes
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        f.write_str(&base64::text_of(&self.to_bytes()))
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let Some(rest) = text.strip_prefix(Self::PREFIX) else {
            let version = text.strip_prefix('r').and_then(|rest| rest.split_once('_')).map(|(version, _)| version);
            let is_number = |version: &str| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
            return Err(if version.is_some_and(is_number) { TokenError::OtherFormat } else { TokenError::NotAToken });
        };
        if rest.len() != Self::BYTES / 3 * 4 {
            return Err(TokenError::Damaged);
        }
        let bytes = base64::bytes_of(rest).ok_or(TokenError::Damaged)?;
        let mut numbers = bytes.as_chunks().0.iter().map(|number| u64::from_be_bytes(*number));
        let mut number = || numbers.next().ok_or(TokenError::Damaged);
        let origin = Origin { ruleset: number()?, incarnation: number()? };
        let token = Self { origin, generation: number()?, revision: Revision(number()?) };
        if token.to_bytes() == bytes { Ok(token) } else { Err(TokenError::Damaged) }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAToken => "this is no token",
            Self::OtherFormat => "this token is of another version",
            Self::Damaged => "this token was cut or changed",
        })
    }
}

impl std::error::Error for TokenError {}

/// Bytes in threes, as four characters that stand in a URL as they are (RFC 4648, section 5).
mod base64 {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    pub(super) fn text_of(bytes: &[u8]) -> String {
        let digit =
            |number: u32, at: u32| DIGITS.get((number >> (6 * at) & 63) as usize).map_or('-', |d| char::from(*d));
        let of_three = |[a, b, c]: &[u8; 3]| {
            let number = u32::from_be_bytes([0, *a, *b, *c]);
            [3, 2, 1, 0].map(|at| digit(number, at))
        };
        bytes.as_chunks().0.iter().flat_map(of_three).collect()
    }

    pub(super) fn bytes_of(text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
        for four in text.as_bytes().as_chunks::<4>().0 {
            let number = four.iter().try_fold(0, |number, character| {
                let digit = DIGITS.iter().position(|digit| digit == character)?;
                Some(number << 6 | u32::try_from(digit).ok()?)
            })?;
            let [_, rest @ ..] = number.to_be_bytes();
            bytes.extend(rest);
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(generation: u64, revision: u64) -> Token {
        Token::new(Origin::new("policies", 7), generation, Revision::new(revision))
    }

    #[test]
    fn a_token_is_read_back_from_its_text() {
        for number in (0..64).flat_map(|bit| [1 << bit, (1 << bit) - 1, u64::MAX << bit]) {
            let token = token(!number, number);
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn its_text_stands_in_a_url_as_it_is_and_is_the_same_for_ever() {
        let text = token(3, 70).to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
        assert_eq!(text, "r1_WzoC5Xr5tVoAAAAAAAAABwAAAAAAAAADAAAAAAAAAEZA1LfV");
    }

    #[test]
    fn tokens_of_two_rulesets_or_two_stores_differ() {
        let [one, other, later] = [("one", 1), ("other", 1), ("one", 2)].map(|(name, n)| Origin::new(name, n));
        assert!(one != other && one != later && !one.is_of_ruleset_of(other) && one.is_of_ruleset_of(later));
    }

    #[test]
    fn a_token_that_was_cut_or_changed_is_refused() {
        let text = token(3, 70).to_string();
        for at in 0..text.len() {
            let (before, after) = text.split_at(at);
            assert!(before.parse::<Token>().is_err(), "cut at {at}");
            for character in ['A', 'b', '0', '-', '_', '=', '+', '/', ' ', '\0', 'é'] {
                let changed = format!("{before}{character}{}", after.chars().skip(1).collect::<String>());
                assert!(changed == text || changed.parse::<Token>().is_err(), "{changed}");
            }
        }
        assert_eq!(format!("{text}A").parse::<Token>(), Err(TokenError::Damaged));
        assert_eq!(text.replacen("r1_", "r2_", 1).parse::<Token>(), Err(TokenError::OtherFormat));
        for garbage in ["", "r", "r_", "rx_", "1", "Bearer r1_", "\u{1F980}", "r1"] {
            assert_eq!(garbage.parse::<Token>(), Err(TokenError::NotAToken), "{garbage}");
        }
    }
}
