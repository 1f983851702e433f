//! Slips in Cedar text, by those who come from rules or from other languages.

use crate::{
    base::{limits, value::cut},
    diag::{Code, Finding},
    syntax::{ast::Var, cedar::Piece},
};

use super::{example_type, with_its_type};

/// How Cedar has what is probably meant, where `finding` tells it of a slip.
pub(in crate::syntax) fn slip(piece: &Piece, finding: &Finding) -> Option<String> {
    let range = finding.span.range();
    let rest = piece.text.get(range.start.checked_sub(piece.start)?..)?;
    let before = piece.text.get(..range.start - piece.start)?.trim_end();
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
    if let Some(help) = untyped_entity(finding, before, rest.get(..range.len())?) {
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

/// How a policy reads what a rule derives, where it calls the relation `name` as a function.
fn as_attribute(name: &str, call: &str) -> String {
    let inner = call.split_once('(').and_then(|(_, rest)| rest.trim_end().strip_suffix(')')).unwrap_or_default();
    let arguments: Vec<&str> = inner.split(',').map(str::trim).take(3).collect();
    let name = cut(name);
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

/// How an entity is written where a policy has a string or a word for it.
fn untyped_entity(finding: &Finding, before: &str, text: &str) -> Option<String> {
    let message = finding.message.as_str();
    let id = if text.len() <= limits::SHOWN_CHARS_MAX { text.trim_matches('"') } else { "…" };
    let typed = |kind: &str, id: &str| with_its_type(&format!("{kind}::\"{id}\""));
    // Of an action the one, of principals and resources, which may be slots, the other.
    let in_scope = ["expected an entity uid, found ", "expected an entity uid or matching template slot, found "];
    if in_scope.iter().any(|begin| message.starts_with(begin)) {
        if let Some((kind, id)) = id.rsplit_once("::").filter(|_| !text.starts_with('"')) {
            return Some(typed(kind, id));
        }
        let part = before.rsplit(['(', ',']).next().and_then(|part| part.split_whitespace().next());
        let kind = match (part, before.ends_with("in")) {
            (Some("principal"), true) => "Group",
            (Some("resource"), true) => "Folder",
            (Some("principal"), false) => example_type(Var::Principal),
            (Some("resource"), false) => example_type(Var::Resource),
            _ => example_type(Var::Action),
        };
        return Some(typed(kind, id));
    }
    if message.contains("AnyEntity but saw String") {
        return Some(typed("Type", if text.starts_with('"') { id } else { "…" }));
    }
    if let Some(types) = message.strip_prefix("the types ").and_then(|rest| rest.strip_suffix(" are not compatible")) {
        let (("String", kind) | (kind, "String")) = types.split_once(" and ")? else { return None };
        let id = text.split('"').nth(1).filter(|id| id.len() <= limits::SHOWN_CHARS_MAX).unwrap_or("…");
        let is_entity = kind.starts_with(|c: char| c.is_ascii_uppercase()) && !["Long", "Bool", "Set"].contains(&kind);
        return (is_entity && !kind.contains('<')).then(|| typed(kind, id));
    }
    None
}
