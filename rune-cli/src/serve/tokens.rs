//! Who may ask for more than decisions: tokens with scopes, from a file that nobody else can read.
//!
//! ```text
//!   # scope   token
//!   inspect   c4a0d1…
//! ```

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest as _, Sha256};

use super::{http::Fault, limits};

/// What a token lets its bearer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Ask why: explanations show facts and policies.
    Inspect,
}

/// The tokens that are known, by their digests: comparing those tells nothing of how much of a token was right.
#[derive(Debug, Default)]
pub struct Tokens(BTreeMap<[u8; 32], Vec<Scope>>);

impl Tokens {
    /// Reads a file of lines, each a scope and a token; a token with several scopes has several lines.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, others may read it, or a line is no scope and token.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        check_mode(path)?;
        #[expect(clippy::disallowed_methods, reason = "the file that was asked for")]
        let text = fs::read_to_string(path).with_context(|| format!("{shown}"))?;
        let mut tokens: BTreeMap<_, Vec<Scope>> = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = format!("{shown}:{}", at + 1);
            let words: Vec<&str> = line.split_whitespace().collect();
            let [scope, token] = words.as_slice() else { bail!("{place}: a line is a scope and a token") };
            let scope = match *scope {
                "inspect" => Scope::Inspect,
                other => bail!("{place}: there is no scope `{other}`: there is `inspect`"),
            };
            ensure!(
                limits::TOKEN_CHARS_MIN <= token.len(),
                "{place}: a token has at least {} characters: `openssl rand -hex 32` makes one",
                limits::TOKEN_CHARS_MIN
            );
            tokens.entry(digest(token)).or_default().push(scope);
        }
        ensure!(!tokens.is_empty(), "{shown}: there is no token in it");
        Ok(Self(tokens))
    }

    /// Lets a request pass whose bearer token has a scope.
    pub(super) fn check(&self, headers: &HeaderMap, scope: Scope) -> Result<(), Fault> {
        if self.0.is_empty() {
            let message = "this server answers with decisions only: `--token-file` names tokens that may ask for more";
            return Err(Fault::new(StatusCode::FORBIDDEN, message));
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = given.and_then(|value| value.split_once(' '));
        let token = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        match token.and_then(|token| self.0.get(&digest(token))) {
            Some(scopes) if scopes.contains(&scope) => Ok(()),
            Some(_) => Err(Fault::new(StatusCode::FORBIDDEN, "the token does not have the scope that this wants")),
            None => Err(Fault::unauthorized("this wants a bearer token with the scope `inspect`")),
        }
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Refuses a file that others may read.
#[cfg(unix)]
fn check_mode(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    #[expect(clippy::disallowed_methods, reason = "the file that was asked for")]
    let mode = fs::metadata(path).with_context(|| format!("{}", path.display()))?.permissions().mode();
    let of_others = mode & 0o077;
    ensure!(of_others == 0, "others may read {}: `chmod 600` it", path.display());
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "where there are no modes, nothing is refused")]
fn check_mode(_: &Path) -> Result<()> {
    Ok(())
}
