//! Lines that come from no terminal: a script, or another program.

use std::io::{self, BufRead, Read as _};

use anyhow::{Context as _, Result};

use super::{Lines, Prompt, command};

/// Bytes of one line, with those in which it goes on.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Lines as they are read.
pub(super) struct Script<R> {
    from: R,
}

impl<R: BufRead> Script<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from }
    }

    /// The bytes up to the end of the line, as many as a line may have and one more; none at the end.
    fn bytes(&mut self, n_before: usize) -> io::Result<Vec<u8>> {
        let n = LINE_BYTES_MAX.saturating_sub(n_before) + 1;
        let mut bytes = Vec::new();
        self.from.by_ref().take(n as u64).read_until(b'\n', &mut bytes)?;
        if bytes.len() == n && !bytes.ends_with(b"\n") {
            self.from.skip_until(b'\n')?;
        }
        Ok(bytes)
    }

    fn line(&mut self) -> io::Result<Option<Result<String, String>>> {
        let mut text = String::new();
        loop {
            let bytes = self.bytes(text.len())?;
            if bytes.is_empty() {
                return Ok(Some(Ok(text)).filter(|line| line != &Ok(String::new())));
            }
            if LINE_BYTES_MAX < text.len() + bytes.len() {
                return Ok(Some(Err(format!("the line has more than {LINE_BYTES_MAX} bytes"))));
            }
            match String::from_utf8(bytes) {
                Ok(more) => text.push_str(&more),
                Err(_) => return Ok(Some(Err("the line is not UTF-8".to_owned()))),
            }
            let line = text.strip_suffix('\n').unwrap_or(&text);
            let line = line.strip_suffix('\r').unwrap_or(line);
            if !command::is_open(line) {
                return Ok(Some(Ok(line.to_owned())));
            }
        }
    }
}

impl<R: BufRead> Lines for Script<R> {
    fn next(&mut self, _: Prompt<'_>) -> Result<Option<Result<String, String>>> {
        self.line().context("standard input cannot be read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &[Result<&str, &str>]) {
        let mut script = Script::new(text);
        let lines: Vec<_> = std::iter::from_fn(|| script.line().unwrap()).collect();
        let lines: Vec<_> = lines.iter().map(|line| line.as_deref().map_err(String::as_str)).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn lines_end_with_or_without_a_line_feed_and_some_go_on() {
        check(b"a\r\n\np(X) :-\n  q(X).\nb", &[Ok("a"), Ok(""), Ok("p(X) :-\n  q(X)."), Ok("b")]);
        check(b"p(X),\n\nb", &[Ok("p(X),\n"), Ok("b")]);
        check(b"p(X),", &[Ok("p(X),")]);
        check(b"", &[]);
    }

    #[test]
    fn a_line_that_cannot_be_one_is_told_and_the_next_is_read() {
        check(b"\xff\na", &[Err("the line is not UTF-8"), Ok("a")]);
        let long = [&b"x".repeat(LINE_BYTES_MAX + 10), &b"\na"[..]].concat();
        check(&long, &[Err("the line has more than 1048576 bytes"), Ok("a")]);
    }
}
