//! Text that Cedar's parsers read, and what they say of it as findings with places.

use std::ops::Range;

use miette::Diagnostic;

use crate::{
    base::{FileId, Span, limits},
    diag::{Code, Finding, Findings},
};

use super::height::{self, Excess, ExcessKind, Notation};

/// A piece of Cedar text and where it stands: a whole file, or the body of a section.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The file.
    pub file: FileId,
    /// Where in the file the piece begins.
    pub start: usize,
    /// The text, byte for byte as long as in the file.
    pub text: String,
}

impl Piece {
    /// A range of the piece as a place in its file.
    #[must_use]
    pub fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, self.start + range.start..self.start + range.end)
    }

    /// Whether the piece is low enough for Cedar's recursive parsers; if not, that is a finding.
    pub fn is_low(&self, notation: Notation, findings: &mut Findings) -> bool {
        let Err(excess) = height::measure(&self.text, notation) else { return true };
        findings.push(too_high(excess, self.span(excess.place(&self.text))));
        false
    }

    /// What Cedar says as a finding, at the first place that it points to.
    #[must_use]
    pub fn finding(&self, code: Code, diagnostic: &dyn Diagnostic) -> Finding {
        let mut labels = diagnostic.labels().into_iter().flatten();
        let first = labels.next();
        let range = first.as_ref().map_or(0..0, |label| label.offset()..label.offset() + label.len());
        let mut finding = Finding::new(code, self.span(self.inside(range)), plain(&diagnostic.to_string()));
        for label in labels {
            if let Some(text) = label.label() {
                let range = label.offset()..label.offset() + label.len();
                finding = finding.related(self.span(self.inside(range)), plain(text));
            }
        }
        let help = diagnostic.help().map(|help| plain(&help.to_string()));
        let habit = self.habit(&finding);
        match habit.or(help).or_else(|| first.and_then(|label| label.label().map(plain))) {
            Some(help) => finding.help(help),
            None => finding,
        }
    }

    /// What people write in Cedar text out of habit from rules and other languages, and how Cedar has it.
    fn habit(&self, finding: &Finding) -> Option<String> {
        let range = finding.span.range();
        let rest = self.text.get(range.start.checked_sub(self.start)?..)?;
        let before = self.text.get(..range.start - self.start)?.trim_end();
        let named = finding.message.split('`').nth(1).unwrap_or_default();
        if finding.code == Code::PolicySyntax && finding.message.ends_with("is not a valid function") {
            return Some(as_attribute(named, rest.get(..range.len())?));
        }
        if finding.code == Code::PolicySyntax && finding.message.ends_with("is not a valid method") {
            let call = rest.get(..range.len())?;
            let (owner, arguments) = call.split_once(&format!(".{named}("))?;
            let arguments = arguments.strip_suffix(')')?.trim();
            let all = if arguments.is_empty() { owner.to_owned() } else { format!("{owner}, {arguments}") };
            return Some(as_attribute(named, &format!("{named}({all})")));
        }
        if let Some(help) = entity_meant(finding, before, rest.get(..range.len())?) {
            return Some(help);
        }
        if !matches!(finding.code, Code::PolicySyntax | Code::SchemaSyntax) {
            return None;
        }
        let word = |text: &str| before.strip_suffix(text).is_some_and(|rest| !rest.ends_with(char::is_alphanumeric));
        let help = match rest {
            _ if ["--", "#", "/*", "%"].iter().any(|mark| rest.starts_with(mark)) => "comments begin with `//`",
            _ if word("not") => "negation is written `!`",
            _ if rest.starts_with("and ") || rest.starts_with("AND ") => "conditions are joined by `&&`",
            _ if rest.starts_with("or ") || rest.starts_with("OR ") => "conditions are joined by `||`",
            _ if rest.starts_with(":-") => "rules stand in `[rules]`; this is Cedar's policy language",
            _ => return None,
        };
        Some(help.to_owned())
    }

    /// What Cedar says, one finding for each thing.
    #[must_use]
    pub fn findings(&self, code: Code, diagnostic: &dyn Diagnostic) -> Vec<Finding> {
        let related: Vec<_> = diagnostic.related().into_iter().flatten().collect();
        let first = self.finding(code, diagnostic);
        std::iter::once(first).chain(related.into_iter().map(|other| self.finding(code, other))).collect()
    }

    /// A range that a parser gave, cut to the piece.
    fn inside(&self, range: Range<usize>) -> Range<usize> {
        let end = range.end.min(self.text.len());
        range.start.min(end)..end
    }
}

/// The finding for a text that is higher than a limit.
#[must_use]
pub fn too_high(excess: Excess, span: Span) -> Finding {
    let code = match excess.kind {
        ExcessKind::Nesting => Code::NestingTooDeep,
        ExcessKind::Height(_) | ExcessKind::Accesses => Code::ExpressionTooHigh,
    };
    let finding = Finding::new(code, span, excess.to_string());
    match excess.kind {
        ExcessKind::Nesting | ExcessKind::Accesses => finding,
        ExcessKind::Height(_) => finding.help(format!(
            "split it into several policies, or compare with a set: `principal in [a, b, …]` (limit {})",
            limits::TEXT_HEIGHT_MAX
        )),
    }
}

/// The first line of what Cedar says, in our manner: lower case, no full stop.
fn plain(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    line.strip_prefix("error parsing schema: ").unwrap_or(line).to_owned()
}

/// How a policy reads what a rule derives, where it calls the relation `name` as a function.
fn as_attribute(name: &str, call: &str) -> String {
    let inner = call.split_once('(').and_then(|(_, rest)| rest.trim_end().strip_suffix(')')).unwrap_or_default();
    let arguments: Vec<&str> = inner.split(',').map(str::trim).take(3).collect();
    let (types, read) = match arguments.as_slice() {
        [owner] if is_path(owner) => ("User", format!("{owner}.{name}")),
        [owner, element] if is_path(owner) && is_path(element) => {
            ("User, Document", format!("{owner}.{name}.contains({element})"))
        }
        _ => {
            return format!("a relation is read as an attribute of its first column: `@attribute relation {name}(…).`");
        }
    };
    format!("declare `@attribute relation {name}({types}).` in `[rules]`, and read it as `{read}`")
}

fn is_path(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= limits::SHOWN_CHARS_MAX
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

/// How an entity is written where a policy has a string or a word for it, or what may give an attribute that nothing has.
fn entity_meant(finding: &Finding, before: &str, text: &str) -> Option<String> {
    let message = finding.message.as_str();
    let id = text.trim_matches('"');
    let typed = |kind: &str, id: &str| format!("an entity is written with its type: `{kind}::\"{id}\"`");
    if message.starts_with("expected an entity uid, found ") {
        let scope = before.rsplit(['(', ',']).next().unwrap_or_default();
        let kind = match scope.trim_start_matches(['[', ' ']).split_whitespace().next() {
            Some("principal") => "User",
            Some("resource") => "Document",
            _ => "Action",
        };
        return Some(typed(kind, id));
    }
    if message.contains("AnyEntity but saw String") {
        return Some(typed("Type", if text.starts_with('"') { id } else { "…" }));
    }
    if let Some(types) = message.strip_prefix("the types ").and_then(|rest| rest.strip_suffix(" are not compatible")) {
        let (("String", kind) | (kind, "String")) = types.split_once(" and ")? else { return None };
        let id = text.split('"').nth(1).unwrap_or("…");
        let is_entity = kind.starts_with(|c: char| c.is_ascii_uppercase()) && !["Long", "Bool", "Set"].contains(&kind);
        return (is_entity && !kind.contains('<')).then(|| typed(kind, id));
    }
    None
}
