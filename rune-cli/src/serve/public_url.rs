//! The URL by which clients know the server, where a proxy stands before it.

use std::{fmt, net::IpAddr, str::FromStr};

use axum::http::uri::Authority;

/// `https://pdp.example.com`, or below a path: `https://pdp.example.com/tenant1`. It is published as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
    host: String,
    path: String,
}

impl PublicUrl {
    /// What a browser calls the origin: `https://pdp.example.com`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The name without a port: `pdp.example.com`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Empty, or with a slash at the beginning and none at the end: `/tenant1`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

/// A text that cannot be the public URL of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicUrlError {
    /// Clients send nothing without TLS.
    NotHttps,
    /// A query or a fragment.
    QueryOrFragment,
    /// No host, or one with a user or a port that is none.
    Host,
    /// An empty segment, `.`, `..`, or a character that would have to be escaped.
    Path,
}

impl fmt::Display for PublicUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttps => "it begins with `https://`: a proxy with TLS stands before the server",
            Self::QueryOrFragment => "it has no query and no fragment",
            Self::Host => "after `https://` stands a host, perhaps with a port: `https://pdp.example.com`",
            Self::Path => "a path is `/` and letters, digits, `-`, `.`, `_` or `~`, with no `/` at the end",
        })
    }
}

impl std::error::Error for PublicUrlError {}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        let rest = text.strip_prefix("https://").ok_or(PublicUrlError::NotHttps)?;
        if rest.contains(['?', '#']) {
            return Err(PublicUrlError::QueryOrFragment);
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let parsed: Authority = authority.parse().map_err(|_| PublicUrlError::Host)?;
        let host = parsed.host();
        let is_whole = match parsed.port_u16() {
            Some(port) => authority == format!("{host}:{port}"),
            None => authority == host,
        };
        if !is_whole || !is_host(host) {
            return Err(PublicUrlError::Host);
        }
        if !path.is_empty() && !path.split('/').skip(1).all(is_segment) {
            return Err(PublicUrlError::Path);
        }
        Ok(Self { origin: format!("https://{authority}"), host: host.to_owned(), path: path.to_owned() })
    }
}

fn is_host(host: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    !host.is_empty() && (is_address || host.chars().all(is_name))
}

/// A segment that means itself, however proxies, clients and routers read paths.
fn is_segment(segment: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    !matches!(segment, "" | "." | "..") && segment.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_taken_apart_and_shown_as_it_was_given() {
        for (text, origin, host, path) in [
            ("https://pdp.example.com", "https://pdp.example.com", "pdp.example.com", ""),
            ("https://PDP.example.com:8443/a/b-1~", "https://PDP.example.com:8443", "PDP.example.com", "/a/b-1~"),
            ("https://[::1]:8443/t", "https://[::1]:8443", "[::1]", "/t"),
            ("https://10.0.0.1", "https://10.0.0.1", "10.0.0.1", ""),
        ] {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!((url.origin(), url.host(), url.path(), &*url.to_string()), (origin, host, path, text));
        }
    }

    #[test]
    fn what_no_client_could_use_is_refused_with_the_reason() {
        for (error, texts) in [
            (PublicUrlError::NotHttps, &["", "http://a", "pdp.example.com", "HTTPS://a", " https://a"][..]),
            (PublicUrlError::QueryOrFragment, &["https://a?b", "https://a/b?", "https://a#", "https://a/b#c"]),
            (
                PublicUrlError::Host,
                &[
                    "https://",
                    "https:///a",
                    "https://a@b",
                    "https://:1",
                    "https://a:",
                    "https://a:0x1",
                    "https://a:65536",
                    "https://a:01",
                    "https://a b",
                    "https://a%2fb",
                    "https://[::1",
                    "https://é",
                    "https://a,b",
                ],
            ),
            (
                PublicUrlError::Path,
                &[
                    "https://a/",
                    "https://a/b/",
                    "https://a//b",
                    "https://a/./b",
                    "https://a/..",
                    "https://a/{b}",
                    "https://a/*b",
                    "https://a/:b",
                    "https://a/%2e",
                    "https://a/b c",
                    "https://a/é",
                    "https://a/b;c",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(text.parse::<PublicUrl>(), Err(error), "{text}");
            }
        }
    }
}
