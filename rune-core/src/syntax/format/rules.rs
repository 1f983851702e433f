//! The layout of `[rules]` and `[migrate.N]`.
//!
//! ```text
//!   @id("r") head(X) :- body(X), not X in Y.        fits, and no comment stands inside: one line
//!
//!   @id("r")                                        does not: a unit on each line
//!   head(X) :-                                      the head
//!       // a comment on its own line
//!       body(X), // a comment at the end
//!       not X in Y.                                 literals, or the columns of a declaration
//! ```
//!
//! A unit is never broken: a comment inside one goes to its end if nothing stands there, else to a line above it.

use super::{
    WIDTH, chars,
    spacing::{self, Angles},
    tokens::{Kind, Token, lex},
};

/// Blanks before what stands below the first line of a clause.
const INDENT: &str = "    ";

/// Lays out the clauses of a section.
pub(super) fn lay_out(text: &str) -> String {
    let tokens = lex(text);
    let mut out = String::new();
    let mut rest = tokens.iter().copied().peekable();
    while let Some(first) = rest.next() {
        if first.is_set_off() && !out.is_empty() {
            out.push('\n');
        }
        if first.kind == Kind::Comment {
            line(&mut out, "", first.text, None);
            continue;
        }
        let mut statement = vec![first];
        while statement.last().is_some_and(|last| last.kind != Kind::End)
            && let Some(token) = rest.next()
        {
            statement.push(token);
        }
        // A comment behind the period belongs to the clause.
        statement.extend(rest.next_if(|token| token.kind == Kind::Comment && !token.begins_line()));
        clause(&mut out, &units(&statement));
    }
    out
}

/// What a [`Unit`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Annotation,
    /// `head(X)`, or `relation name(`.
    Head,
    /// A literal of a body, or a column.
    Part,
    /// The bracket that closes a declaration.
    Close,
}

/// A part of a clause that stands on one line.
#[derive(Debug)]
struct Unit<'t> {
    role: Role,
    /// Comments above it.
    above: Vec<&'t str>,
    tokens: Vec<Token<'t>>,
    angles: Angles,
    /// What comes after it: `,`, ` :-`, ` ->`, `.` or nothing.
    sign: &'static str,
    /// The comment at the end of its line.
    behind: Option<&'t str>,
}

impl Unit<'_> {
    fn text(&self) -> String {
        spacing::line(&self.tokens, self.angles) + self.sign
    }
}

fn clause(out: &mut String, units: &[Unit<'_>]) {
    let n_annotations = units.iter().take_while(|unit| unit.role == Role::Annotation).count();
    let (annotations, rest) = units.split_at(n_annotations);
    let whole = one_line(rest);
    if let ([annotation], Some(whole), Some(head)) = (annotations, &whole, rest.first())
        && annotation.behind.is_none()
        && head.above.is_empty()
    {
        let text = format!("{} {whole}", annotation.text());
        if chars(&text) <= WIDTH {
            above(out, "", annotation);
            return line(out, "", &text, rest.last().and_then(|unit| unit.behind));
        }
    }
    for annotation in annotations {
        above(out, "", annotation);
        line(out, "", &annotation.text(), annotation.behind);
    }
    match (whole.filter(|whole| chars(whole) <= WIDTH), rest) {
        (Some(whole), [first, ..]) => {
            above(out, "", first);
            line(out, "", &whole, rest.last().and_then(|unit| unit.behind));
        }
        _ => rest.iter().for_each(|unit| on_its_own(out, unit)),
    }
}

/// The units on one line, unless comments stand between them.
fn one_line(units: &[Unit<'_>]) -> Option<String> {
    let mut whole = String::new();
    for (at, unit) in units.iter().enumerate() {
        let is_last = at + 1 == units.len();
        if (0 < at && !unit.above.is_empty()) || (!is_last && unit.behind.is_some()) {
            return None;
        }
        if 0 < at && unit.role == Role::Part && !whole.ends_with('(') {
            whole.push(' ');
        }
        whole.push_str(&unit.text());
    }
    Some(whole)
}

fn on_its_own(out: &mut String, unit: &Unit<'_>) {
    let indent = if unit.role == Role::Part { INDENT } else { "" };
    above(out, if unit.role == Role::Close { INDENT } else { indent }, unit);
    line(out, indent, &unit.text(), unit.behind);
}

fn above(out: &mut String, indent: &str, unit: &Unit<'_>) {
    for comment in &unit.above {
        line(out, indent, comment, None);
    }
}

fn line(out: &mut String, indent: &str, text: &str, behind: Option<&str>) {
    out.push_str(indent);
    out.push_str(text);
    if let Some(comment) = behind {
        out.push(' ');
        out.push_str(comment);
    }
    out.push('\n');
}

/// Cuts a clause into its units: at the commas of its body, or of its columns.
fn units<'t>(statement: &[Token<'t>]) -> Vec<Unit<'t>> {
    let words: Vec<Token<'t>> = statement.iter().copied().filter(|token| token.kind != Kind::Comment).collect();
    let n_annotation_tokens = annotation_tokens(&words);
    let is_relation = |token: &Token<'_>| token.kind == Kind::Word && token.text == "relation";
    let is_declaration = words.get(n_annotation_tokens).is_some_and(is_relation)
        && words.get(n_annotation_tokens + 1).is_some_and(|token| token.kind == Kind::Word);
    let angles = if is_declaration { Angles::Enclose } else { Angles::Compare };
    let mut cutter = Cutter { units: Vec::new(), open: Open::default(), angles, depth: 0 };
    let mut at = 0;
    for token in statement {
        if token.kind == Kind::Comment {
            cutter.comment(token);
            continue;
        }
        let (before, next) = (at, words.get(at + 1));
        at += 1;
        if before < n_annotation_tokens {
            let is_over = next.is_none_or(|next| next.is("@")) || at == n_annotation_tokens;
            cutter.push(*token);
            if is_over {
                cutter.close(Role::Annotation, "");
            }
        } else if is_declaration {
            cutter.declared(*token, next);
        } else {
            cutter.ruled(*token);
        }
    }
    cutter.units
}

/// How many tokens the annotations have: `@name`, or `@name("text")`.
fn annotation_tokens(words: &[Token<'_>]) -> usize {
    let mut n = 0;
    while words.get(n).is_some_and(|token| token.is("@")) {
        n += if words.get(n + 2).is_some_and(|token| token.is("(")) { 5 } else { 2 };
    }
    n
}

/// The unit that is being read.
#[derive(Debug, Default)]
struct Open<'t> {
    above: Vec<&'t str>,
    tokens: Vec<Token<'t>>,
    /// Comments since its first token, each with the number of tokens before it.
    inside: Vec<(usize, Token<'t>)>,
}

struct Cutter<'t> {
    units: Vec<Unit<'t>>,
    open: Open<'t>,
    angles: Angles,
    depth: usize,
}

impl<'t> Cutter<'t> {
    fn push(&mut self, token: Token<'t>) {
        self.open.tokens.push(token);
    }

    fn comment(&mut self, comment: &Token<'t>) {
        if !self.open.tokens.is_empty() {
            self.open.inside.push((self.open.tokens.len(), *comment));
            return;
        }
        match self.units.last_mut() {
            // Of two comments on its lines, the later one stays there.
            Some(last) if !comment.begins_line() && self.open.above.is_empty() => {
                last.above.extend(last.behind.replace(comment.text));
            }
            _ => self.open.above.push(comment.text),
        }
    }

    /// Ends the unit. Of the comments inside, one may stand behind it, those after its last token may be the next one's,
    /// and the others go above it.
    fn close(&mut self, role: Role, sign: &'static str) {
        let Open { mut above, tokens, inside } = std::mem::take(&mut self.open);
        let (mut behind, mut next) = (None, Vec::new());
        let n_within = inside.iter().take_while(|(at, _)| *at < tokens.len()).count();
        let (within, after) = inside.split_at(n_within);
        above.extend(within.iter().map(|(_, comment)| comment.text));
        match after.split_first() {
            Some(((_, first), rest)) if !first.begins_line() => {
                behind = Some(first.text);
                next.extend(rest.iter().map(|(_, comment)| comment.text));
            }
            Some(_) => next.extend(after.iter().map(|(_, comment)| comment.text)),
            None if within.last().is_some_and(|(_, last)| !last.begins_line()) => behind = above.pop(),
            None => {}
        }
        if sign == "." && !next.is_empty() {
            above.extend(behind.take());
            above.append(&mut next);
        }
        self.open.above = next;
        self.units.push(Unit { role, above, tokens, angles: self.angles, sign, behind });
    }

    fn count(&mut self, token: &Token<'_>) {
        if ["(", "[", "{"].iter().any(|sign| token.is(sign)) {
            self.depth += 1;
        } else if [")", "]", "}"].iter().any(|sign| token.is(sign)) {
            self.depth = self.depth.saturating_sub(1);
        }
    }

    /// A token of a rule: `head :- literal, literal.`
    fn ruled(&mut self, token: Token<'t>) {
        self.count(&token);
        let has_head = self.units.iter().any(|unit| unit.role == Role::Head);
        let role = if has_head { Role::Part } else { Role::Head };
        match token.kind {
            Kind::End => self.close(role, "."),
            _ if self.depth == 0 && token.is(":-") => self.close(role, " :-"),
            _ if self.depth == 0 && token.is(",") => self.close(role, ","),
            _ => self.push(token),
        }
    }

    /// A token of a declaration: `relation name(column, column -> column).`
    fn declared(&mut self, token: Token<'t>, next: Option<&Token<'t>>) {
        let outer = self.depth;
        self.count(&token);
        let is_filled = !self.open.tokens.is_empty();
        match token.kind {
            Kind::End => self.close(Role::Close, "."),
            Kind::Sign if outer == 0 && token.is("(") => {
                self.push(token);
                self.close(Role::Head, "");
            }
            Kind::Sign if self.depth == 0 && token.is(")") => {
                if is_filled {
                    self.close(Role::Part, "");
                }
                self.push(token);
            }
            // A comma that nothing follows means nothing.
            Kind::Sign if outer == 1 && token.is(",") => {
                if !next.is_some_and(|next| next.is(")") || next.is("->")) {
                    self.close(Role::Part, ",");
                }
            }
            Kind::Sign if outer == 1 && token.is("->") && is_filled => self.close(Role::Part, " ->"),
            _ => self.push(token),
        }
    }
}
