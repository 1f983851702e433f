//! The text of `[rules]` to clauses with places.
//!
//! ```text
//!   text ─▶ statements, cut at periods ─▶ pairs (rules.pest) ─▶ Clause
//!                    └── one that does not parse is a finding, and the next is read all the same
//! ```
//!
//! Comments are blank in the text that comes here, and every other byte is where it was. A guard is an expression of Cedar's, read into the tree that policies are read into.

pub(super) mod expr;

use std::ops::Range;

use pest::{Parser, iterators::Pair};

use super::{
    ast::{Expr, ExprKind},
    cedar::Piece,
    height::Notation,
};
use crate::diag::{Code, Finding, Findings, nearest};

pub(super) mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "syntax/rules/rules.pest"]
    pub(in crate::syntax) struct Grammar;
}

use grammar::{Grammar, Rule};

/// A name or word and the bytes of the file that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Bytes of the file.
    pub span: Range<usize>,
    /// The name, without white space: `agent.tools`, `App::User`.
    pub text: String,
}

/// A clause and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Bytes of the file, annotations and period included.
    pub span: Range<usize>,
    /// What is said about it.
    pub annotations: Vec<Annotation>,
    /// What it is.
    pub kind: ClauseKind,
}

/// `@name("value")` before a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Its name.
    pub name: Name,
    /// Its value, empty if it has none.
    pub value: String,
}

/// What a [`Clause`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClauseKind {
    /// `relation viewer(who: User | Group, what: Document).`
    Declaration(Declaration),
    /// `head :- body.`, or a fact, which has no body.
    Rule(Rulelike),
}

/// The declaration of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The relation.
    pub name: Name,
    /// Its columns, the keys first.
    pub columns: Vec<Column>,
    /// How many of the columns are the key, if the others are a function of them.
    pub n_keys: Option<usize>,
}

/// A column of a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Bytes of the file.
    pub span: Range<usize>,
    /// Its name, if it has one.
    pub name: Option<Name>,
    /// Which value of several counts, in a functional relation that rules derive.
    pub choice: Option<Choice>,
    /// Its types: one, or a union.
    pub types: Vec<TypeName>,
}

/// Which of several values counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

/// A type as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeName {
    /// `Long`, `User`, `App::User`.
    Named(Name),
    /// `Set<…>`.
    Set(Range<usize>, Vec<TypeName>),
    /// `{ name: String, age?: Long }`: the names, whether they must be there, and their types.
    Record(Range<usize>, Vec<(Name, bool, Vec<TypeName>)>),
}

/// A rule, or a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rulelike {
    /// What follows.
    pub head: Atom,
    /// From what; a fact follows from nothing.
    pub body: Vec<Literal>,
}

/// A relation and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atom {
    /// Bytes of the file.
    pub span: Range<usize>,
    /// The relation: `can_read`, `agent.tools`, `Document.owner`.
    pub name: Name,
    /// Its arguments.
    pub args: Vec<Expr>,
}

/// One condition of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Bytes of the file.
    pub span: Range<usize>,
    /// Whether it is under `not`.
    pub is_negated: bool,
    /// What it asks.
    pub kind: LiteralKind,
}

/// What a [`Literal`] asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiteralKind {
    /// A row of a relation.
    Atom(Atom),
    /// An expression that must be true.
    Guard(Expr),
    /// `X = expression`.
    Binding(Name, Expr),
    /// `N = count { X : body }`.
    Aggregate(Aggregate),
}

/// What an aggregate makes of the distinct tuples that it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the aggregate that has its name")]
pub enum Fold {
    Count,
    Sum,
    Min,
    Max,
    Collect,
}

impl Fold {
    /// Every aggregate with its name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("count", Self::Count),
        ("sum", Self::Sum),
        ("min", Self::Min),
        ("max", Self::Max),
        ("collect", Self::Collect),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, fold)| *fold == self).map_or("", |(name, _)| name)
    }
}

/// `N = sum { X, Y : body }`: the first of the variables is what is summed, all of them make tuples distinct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// The variable that the result is bound to.
    pub result: Name,
    /// What is made of the tuples.
    pub fold: Fold,
    /// The tuples.
    pub tuple: Vec<Name>,
    /// What they must satisfy.
    pub body: Vec<Literal>,
}

/// Reads the clauses of a piece. A statement that is none is a finding, and the others still come out.
pub fn parse(piece: &Piece, findings: &mut Findings) -> Vec<Clause> {
    let mut clauses = Vec::new();
    if !piece.is_low(Notation::Rules, findings) {
        return clauses;
    }
    let mut reader = Reader { piece, findings };
    let mut at = 0;
    while let Some(rest) = piece.text.get(at..).filter(|rest| !rest.is_empty()) {
        at += skipped(rest);
        let Some(rest) = piece.text.get(at..).filter(|rest| !rest.is_empty()) else { break };
        if let Some(n_bytes) = reader.foreign_comment(at) {
            at += n_bytes;
            continue;
        }
        // The grammar takes any text as a statement.
        let statement = Grammar::parse(Rule::statement, rest).map_or(rest, |pairs| pairs.as_str());
        let end = at + statement.len().max(1);
        reader.statement(at..end, &mut clauses);
        at = end;
    }
    clauses
}

/// How many bytes of white space and comments a text begins with.
fn skipped(text: &str) -> usize {
    let mut rest = text.trim_start();
    while rest.starts_with("//") || rest.starts_with('#') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
    }
    text.len() - rest.len()
}

/// Reads a lone expression: a guard as it would stand in a rule.
pub fn parse_expression(piece: &Piece, findings: &mut Findings) -> Option<Expr> {
    if !piece.is_low(Notation::Rules, findings) {
        return None;
    }
    let mut reader = Reader { piece, findings };
    match Grammar::parse(Rule::lone_expr, &piece.text) {
        Ok(pairs) => pairs.flatten().find(|pair| pair.as_rule() == Rule::expr).and_then(|pair| reader.expr(pair, 0)),
        Err(error) => {
            reader.slip(0, &error);
            None
        }
    }
}

/// Reads a conjunction of literals, the goal of a query: `can_read(U, D), U in Group::"g"`.
pub fn parse_goal(piece: &Piece, findings: &mut Findings) -> Option<Vec<Literal>> {
    if !piece.is_low(Notation::Rules, findings) {
        return None;
    }
    let mut reader = Reader { piece, findings };
    match Grammar::parse(Rule::lone_body, &piece.text) {
        Ok(pairs) => pairs.flatten().find(|pair| pair.as_rule() == Rule::body).and_then(|pair| reader.body(pair, 0)),
        Err(error) => {
            reader.slip(0, &error);
            None
        }
    }
}

pub(super) type Error = pest::error::Error<Rule>;

pub(super) struct Reader<'a> {
    pub(super) piece: &'a Piece,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    /// Reads the clause that a statement is; one that lacks its period may be followed by others.
    fn statement(&mut self, mut range: Range<usize>, clauses: &mut Vec<Clause>) {
        let text = self.piece.text.get(range.clone()).unwrap_or_default();
        let has_end = text.ends_with('.');
        let mut text = text.strip_suffix('.').unwrap_or(text);
        // What begins a text is found without a look at the rest; an error takes one at all of it, and is the last thing done.
        while let Ok(pairs) = Grammar::parse(Rule::first, text) {
            let end = pairs.as_str().trim_end().len();
            let rest = text.get(end..).unwrap_or_default();
            if skipped(rest) == rest.len() {
                let end = range.start + text.trim_end().len();
                if !has_end {
                    self.missing_period(range.start..end);
                }
                let end = if has_end { range.end } else { end };
                clauses.extend(clause_of(pairs).and_then(|pair| self.clause(pair, range.start, end)));
                return;
            }
            let Some(next) = Next::after(text, end) else { break };
            let end = range.start + end;
            if let Some(at) = next.semicolon.map(|at| self.piece.start + range.start + at) {
                let place = at..at + 1;
                self.refuse(Code::MissingPeriod, place, "a clause does not end with `;`", "write `.` for it");
            } else {
                self.missing_period(range.start..end);
            }
            clauses.extend(clause_of(pairs).and_then(|pair| self.clause(pair, range.start, end)));
            range.start += next.start;
            text = text.get(next.start..).unwrap_or_default();
            if text.is_empty() {
                return;
            }
        }
        if let Err(error) = Grammar::parse(Rule::whole, text) {
            self.slip(range.start, &error);
        }
    }

    fn missing_period(&mut self, range: Range<usize>) {
        let finding = Finding::new(Code::MissingPeriod, self.piece.span(range), "this rule has no end");
        self.findings.push(finding.help("a rule ends with a period"));
    }

    fn place(&self, pair: &Pair<'_, Rule>, base: usize) -> Range<usize> {
        let start = self.piece.start + base;
        let span = pair.as_span();
        // A pair may hold the blanks that follow what it stands for.
        start + span.start()..start + span.start() + span.as_str().trim_end().len()
    }

    pub(super) fn refuse(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let span = crate::base::Span::new(self.piece.file, span);
        self.findings.push(Finding::new(code, span, message).help(help));
    }

    fn clause(&mut self, pair: Pair<'_, Rule>, base: usize, end: usize) -> Option<Clause> {
        let start = self.place(&pair, base).start;
        let mut annotations = Vec::new();
        let mut kind = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::annotation => annotations.extend(self.annotation(part, base)),
                Rule::declaration => kind = self.declaration(part, base).map(ClauseKind::Declaration),
                _ => kind = self.rule(part, base).map(ClauseKind::Rule),
            }
        }
        Some(Clause { span: start..self.piece.start + end, annotations, kind: kind? })
    }

    fn annotation(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Annotation> {
        let mut parts = pair.into_inner();
        let name = self.name(&parts.next()?, base);
        let value = match parts.next() {
            None => String::new(),
            Some(string) => self.string(&string, base)?,
        };
        Some(Annotation { name, value })
    }

    /// A name, without the white space that may stand in it.
    fn name(&self, pair: &Pair<'_, Rule>, base: usize) -> Name {
        let words = pair.clone().into_inner().flatten().filter(|part| part.as_rule() == Rule::word);
        let mut text = String::new();
        let mut last_end = None;
        for word in words {
            if let Some(end) = last_end {
                let between = self.piece.text.get(base + end..base + word.as_span().start()).unwrap_or_default();
                text.push_str(if between.contains("::") { "::" } else { "." });
            }
            last_end = Some(word.as_span().end());
            text.push_str(word.as_str());
        }
        if text.is_empty() {
            pair.as_str().clone_into(&mut text);
        }
        Name { span: self.place(pair, base), text }
    }

    fn declaration(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Declaration> {
        let (mut name, mut lists) = (None, Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.name(&part, base)),
                Rule::columns => {
                    let columns = part.into_inner().map(|column| self.column(column, base));
                    lists.push(columns.collect::<Option<Vec<_>>>()?);
                }
                _ => {}
            }
        }
        // A second list is what the first is mapped to.
        let n_keys = (1 < lists.len()).then(|| lists.first().map_or(0, Vec::len));
        Some(Declaration { name: name?, columns: lists.concat(), n_keys })
    }

    fn column(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Column> {
        let span = self.place(&pair, base);
        let (mut name, mut choice, mut types) = (None, None, Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::word => name = Some(self.name(&part, base)),
                Rule::choice => choice = Some(if part.as_str() == "min" { Choice::Min } else { Choice::Max }),
                _ => types = self.types(part, base)?,
            }
        }
        Some(Column { span, name, choice, types })
    }

    // Recurses once per bracket of a type, whose nesting was limited.
    fn types(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Vec<TypeName>> {
        pair.into_inner().map(|part| self.type_name(part, base)).collect()
    }

    fn type_name(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<TypeName> {
        let part = pair.into_inner().next()?;
        let span = self.place(&part, base);
        Some(match part.as_rule() {
            Rule::set_type => TypeName::Set(span, self.types(part.into_inner().next()?, base)?),
            Rule::record_type => {
                let mut fields = Vec::new();
                for field in part.into_inner() {
                    let (mut name, mut is_required, mut types) = (None, true, Vec::new());
                    for part in field.into_inner() {
                        match part.as_rule() {
                            Rule::optional => is_required = false,
                            Rule::types => types = self.types(part, base)?,
                            Rule::string => {
                                let text = self.string(&part, base)?;
                                name = Some(Name { span: self.place(&part, base), text });
                            }
                            _ => name = Some(self.name(&part, base)),
                        }
                    }
                    fields.push((name?, is_required, types));
                }
                TypeName::Record(span, fields)
            }
            _ => TypeName::Named(self.name(&part, base)),
        })
    }

    fn rule(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Rulelike> {
        let (mut head, mut body) = (None, Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::head => head = self.head(part, base),
                _ => body = self.body(part, base)?,
            }
        }
        Some(Rulelike { head: head?, body })
    }

    fn head(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Atom> {
        let span = self.place(&pair, base);
        let mut parts = pair.into_inner();
        let name = self.name(&parts.next()?, base);
        Some(Atom { span, name, args: self.arguments(parts.next()?, base)? })
    }

    fn body(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Vec<Literal>> {
        // Every literal is read, so that each has its findings.
        let literals: Vec<_> = pair.into_inner().filter(|part| part.as_rule() == Rule::literal).collect();
        let literals: Vec<_> = literals.into_iter().map(|part| self.literal(part, base)).collect();
        literals.into_iter().collect()
    }

    // Recurses once per aggregate within another, whose nesting was limited.
    fn literal(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Literal> {
        let span = self.place(&pair, base);
        let part = pair.into_inner().next()?;
        let (is_negated, kind) = match part.as_rule() {
            Rule::negation => {
                let inner = part.into_inner().find(|part| part.as_rule() == Rule::expr)?;
                (true, self.condition(inner, base)?)
            }
            Rule::aggregate => (false, LiteralKind::Aggregate(self.aggregate(part, base)?)),
            Rule::binding => {
                let mut parts = part.into_inner();
                let name = self.name(&parts.next()?, base);
                (false, LiteralKind::Binding(name, self.expr(parts.next()?, base)?))
            }
            _ => (false, self.condition(part, base)?),
        };
        Some(Literal { span, is_negated, kind })
    }

    /// An atom, or a guard: what looks like a call and is none of Cedar's is an atom.
    fn condition(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<LiteralKind> {
        if let Some((name, arguments)) = expr::lone_call(&pair) {
            let span = self.place(&pair, base);
            let name = self.name_of_call(&name, base);
            self.refuse_negation(&name)?;
            return Some(LiteralKind::Atom(Atom { span, name, args: self.arguments(arguments, base)? }));
        }
        self.refuse_misjoined(&pair, base)?;
        Some(LiteralKind::Guard(self.expr(pair, base)?))
    }

    fn aggregate(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Aggregate> {
        let (mut words, mut tuple, mut body) = (Vec::new(), Vec::new(), Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::word => words.push(self.name(&part, base)),
                Rule::variable => tuple.push(self.name(&part, base)),
                _ => body = self.body(part, base)?,
            }
        }
        let [result, fold] = <[Name; 2]>::try_from(words).ok()?;
        let known = Fold::ALL.into_iter().find(|(name, _)| *name == fold.text);
        let Some((_, fold)) = known else {
            let names = Fold::ALL.map(|(name, _)| name);
            let help = match nearest(&fold.text, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the aggregates are {}", names.join(", ")),
            };
            let message = format!("there is no aggregate `{}`", fold.text);
            self.refuse(Code::RuleSyntax, fold.span, message, help);
            return None;
        };
        Some(Aggregate { result, fold, tuple, body })
    }
}

/// What comes after a clause that begins a text and has no period.
struct Next {
    /// Where a semicolon ends the clause, if one does.
    semicolon: Option<usize>,
    /// Where the next clause begins, or the text ends.
    start: usize,
}

impl Next {
    /// Perhaps a period is missing at `end`: then a clause is followed by another on a later line. After a semicolon that line
    /// is not indented, or there is none.
    fn after(text: &str, end: usize) -> Option<Self> {
        let rest = text.get(end..)?.trim_start();
        let semicolon = rest.starts_with(';').then(|| text.len() - rest.len());
        let next = rest.strip_prefix(';').unwrap_or(rest).trim_start();
        let start = text.len() - next.len();
        let between = text.get(end..start)?;
        let is_new_line = if semicolon.is_some() { between.ends_with('\n') } else { between.contains('\n') };
        let is_end = semicolon.is_some() && next.is_empty();
        let is_next = is_end || (is_new_line && Grammar::parse(Rule::first, next).is_ok());
        is_next.then_some(Self { semicolon, start })
    }
}

pub(super) fn clause_of(pairs: pest::iterators::Pairs<'_, Rule>) -> Option<Pair<'_, Rule>> {
    pairs.flatten().find(|pair| pair.as_rule() == Rule::clause)
}

/// A name that means a variable: it begins with an upper-case letter or an underscore.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
}

/// An expression that is no more than a name.
#[must_use]
pub fn as_name(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
