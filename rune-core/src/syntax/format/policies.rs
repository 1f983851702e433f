//! The layout of `[policies]` and of plain Cedar files: Cedar's own, one policy at a time.
//!
//! What Cedar's formatter does not know is done here: `#` comments become `//` comments, and between policies stands a blank
//! line and every comment where it was. A policy whose comments it would lose or whose layout it would change again is
//! left as it is written, but for the blanks at the ends of its lines.

use cedar_policy_formatter::{Config, policies_str_to_pretty};

use super::{
    WIDTH,
    tokens::{Kind, Token, lex, said},
};

/// Tokens of a policy that Cedar's formatter gets: for each it looks through all of them.
const POLICY_TOKENS_MAX: usize = 20_000;

/// How often the layout of a policy may change until it stays as it is.
const PASSES_MAX: usize = 4;

/// Lays out policies.
pub(super) fn lay_out(text: &str) -> String {
    let tokens = lex(text);
    let mut out = String::new();
    let mut rest = tokens.as_slice();
    let mut has_policy = false;
    while !rest.is_empty() {
        let n_comments = rest.iter().take_while(|token| token.kind == Kind::Comment).count();
        let (comments, after) = rest.split_at(n_comments);
        let n_tokens = after.iter().position(|token| token.is(";")).map_or(after.len(), |at| at + 1);
        let (policy, after) = after.split_at(n_tokens);
        let is_set_off = comments.iter().chain(policy.first()).any(Token::is_set_off);
        if has_policy && !policy.is_empty() && !is_set_off {
            out.push('\n');
        }
        for comment in comments {
            set_off(&mut out, comment);
            out.push_str(&slashed(comment.text));
            out.push('\n');
        }
        rest = after;
        let Some(first) = policy.first() else { continue };
        set_off(&mut out, first);
        out.push_str(&one(text, policy));
        has_policy = true;
        if let [comment, others @ ..] = after
            && comment.kind == Kind::Comment
            && !comment.begins_line()
        {
            out.push(' ');
            out.push_str(&slashed(comment.text));
            rest = others;
        }
        out.push('\n');
    }
    out
}

fn set_off(out: &mut String, token: &Token<'_>) {
    if token.is_set_off() && !out.is_empty() {
        out.push('\n');
    }
}

/// A comment as Cedar knows it.
fn slashed(comment: &str) -> String {
    format!("//{}", said(comment))
}

/// The layout of one policy, without a line break at its end.
fn one(text: &str, tokens: &[Token<'_>]) -> String {
    let written = as_written(text, tokens);
    if POLICY_TOKENS_MAX < tokens.len() {
        return written;
    }
    let config = Config { line_width: WIDTH, indent_width: 2 };
    let mut last = written.clone();
    for _ in 0..PASSES_MAX {
        let Ok(next) = policies_str_to_pretty(&last, &config) else { break };
        let next = next.trim_end().to_owned();
        if next == last {
            return if is_whole(&next, tokens) { next } else { written };
        }
        last = next;
    }
    written
}

/// Whether a layout has every comment in its order, and stands between its first word and its semicolon.
fn is_whole(layout: &str, tokens: &[Token<'_>]) -> bool {
    let laid_out = lex(layout);
    let is_comment = |token: &&Token<'_>| token.kind == Kind::Comment;
    let comments =
        |tokens: &[Token<'_>]| tokens.iter().filter(is_comment).map(|c| said(c.text).to_owned()).collect::<Vec<_>>();
    laid_out.first().is_some_and(|first| first.kind != Kind::Comment)
        && laid_out.last().is_some_and(|last| last.is(";"))
        && comments(&laid_out) == comments(tokens)
}

/// A policy as it stands in the text, with Cedar's comments and without blanks at the ends of lines.
fn as_written(text: &str, tokens: &[Token<'_>]) -> String {
    let mut written = String::new();
    let mut end = None;
    for (at, token) in tokens.iter().enumerate() {
        let between = end.and_then(|end| text.get(end..token.start)).unwrap_or_default();
        match between.rfind('\n') {
            None => written.push_str(between),
            Some(last) => {
                // No blank lines, as in Cedar's layout, and no blanks that stood before a comma.
                written.truncate(written.trim_end_matches([' ', '\t']).len());
                written.push('\n');
                written.push_str(between.get(last + 1..).unwrap_or_default());
            }
        }
        let mut next = tokens.iter().skip(at + 1).filter(|token| token.kind != Kind::Comment);
        let is_last_comma =
            token.is(",") && next.next().is_some_and(|next| next.is("]") || next.is("}") || next.is(")"));
        match token.kind {
            // Comments beside a comma that nothing follows would be lost.
            _ if is_last_comma => {}
            Kind::Comment => written.push_str(&slashed(token.text)),
            _ => written.push_str(token.text),
        }
        end = Some(token.start + token.text.len());
    }
    written
}
