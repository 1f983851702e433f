//! Links of templates: rows of relations, and files in the notation of Cedar's command line.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cedar_policy::pst;

use super::policies::{CedarStatement, Link, RowLink, Statement};
use crate::{
    base::{FileId, Pool, Sources, Span, Value, Values, View},
    check::rules::{CheckedRules, FactList, Predicate},
    diag::{Code, Finding, Findings, nearest},
    syntax::{Node, Shape},
};

/// Whether the relations that name a template have the columns of its links.
pub fn check_relations(rules: &CheckedRules, findings: &mut Findings) {
    for predicate in rules.predicates.iter().filter(|predicate| predicate.template.is_some()) {
        check_columns(predicate, findings);
    }
}

/// The rows of relations that name a template, as links.
#[must_use]
pub fn rows(rules: &CheckedRules, facts: &FactList, values: &Pool) -> Vec<RowLink> {
    let mut links = Vec::new();
    let mut n_rows: BTreeMap<usize, usize> = BTreeMap::new();
    // Equal rows are one.
    let mut seen: BTreeSet<(usize, &[Value])> = BTreeSet::new();
    let is_linking = |id| rules.predicate(id).is_some_and(|predicate| predicate.template.is_some());
    for fact in facts.of(is_linking) {
        let Some(predicate) = rules.predicate(fact.predicate) else { continue };
        let Some(template) = &predicate.template else { continue };
        if !seen.insert((fact.predicate.0, fact.row)) {
            continue;
        }
        let n = n_rows.entry(fact.predicate.0).or_default();
        let mut link = RowLink {
            template: template.to_string(),
            id: format!("{}:row{n}", predicate.name),
            slots: Vec::new(),
            span: fact.span,
        };
        *n += 1;
        for (column, value) in predicate.columns.iter().zip(fact.row) {
            match (column.name.as_deref(), values.view(*value)) {
                (Some("id"), View::Text(id)) => id.clone_into(&mut link.id),
                (Some(name), View::Entity(kind, id)) => {
                    let slot = if name == "principal" { pst::SlotId::Principal } else { pst::SlotId::Resource };
                    link.slots.push((slot, values.name(kind).to_owned(), values.name(id).to_owned()));
                }
                _ => {}
            }
        }
        links.push(link);
    }
    links
}

/// The columns of a relation of links are an id and what fills the slots.
fn check_columns(predicate: &Predicate, findings: &mut Findings) {
    let is_right = predicate.columns.iter().all(|column| match column.name.as_deref() {
        Some("id") => column.types.single() == Some(&crate::schema::Type::Text),
        Some("principal" | "resource") => column.types.entities().is_some_and(|kinds| !kinds.is_empty()),
        _ => false,
    });
    if !is_right {
        let message = format!("the columns of `{}` are not those of a link", predicate.name);
        let span = predicate.span.unwrap_or(Span::NOWHERE);
        let help =
            "write `@template(\"share\") relation share_link(id: String -> principal: User, resource: Document).`";
        findings.push(Finding::new(Code::RelationForm, span, message).help(help));
    }
}

/// Adds the links that rows are.
pub(super) fn of_rows(rows: &[RowLink], statements: &[Statement], links: &mut Vec<Link>, findings: &mut Findings) {
    let by_id: BTreeMap<&str, usize> =
        statements.iter().enumerate().map(|(at, statement)| (&*statement.id, at)).collect();
    let mut taken: BTreeSet<Arc<str>> = statements.iter().map(|statement| statement.id.clone()).collect();
    taken.extend(links.iter().map(|link| link.id.clone()));
    for row in rows {
        let (template, wanted) = match template(&row.template, row.span, statements, &by_id) {
            Ok((at, statement)) => (at, statement.body.slots()),
            Err(finding) => {
                findings.push(*finding);
                continue;
            }
        };
        let refuse = |message: String| Finding::new(Code::InvalidLink, row.span, message);
        if wanted.len() != row.slots.len() || !row.slots.iter().all(|(slot, ..)| wanted.contains(slot)) {
            let mut slots: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            slots.sort();
            findings.push(refuse(format!("the template `{}` has the slots {}", row.template, slots.join(" and "))));
            continue;
        }
        if row.id.is_empty() || row.id.contains(char::is_control) {
            let message = "the id of a link is empty, or has a character that does not show".to_owned();
            findings.push(refuse(message).help("give each link an id of its own"));
            continue;
        }
        let id: Arc<str> = row.id.as_str().into();
        if !taken.insert(id.clone()) {
            findings.push(
                refuse(format!("`{id}` is already the id of another policy")).help("give each link an id of its own"),
            );
        }
        links.push(Link { id, template, slots: row.slots.clone(), span: row.span });
    }
}

/// Reads links in the notation of Cedar's command line: `[{ template_id, link_id, args: { "?principal": "User::\"a\"" } }]`.
pub(super) fn read_links(
    sources: &Sources,
    files: &[(FileId, Node)],
    statements: &[Statement],
    findings: &mut Findings,
) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    let by_id: BTreeMap<&str, usize> =
        statements.iter().enumerate().map(|(at, statement)| (&*statement.id, at)).collect();
    let mut taken: BTreeSet<Arc<str>> = statements.iter().map(|statement| statement.id.clone()).collect();
    for (file, node) in files {
        let path = sources.file(*file).map_or("", |file| &*file.path);
        let Shape::List(nodes) = &node.shape else {
            let finding =
                Finding::new(Code::InvalidLink, Span::new(*file, node.span.clone()), "expected a list of links");
            findings.push(finding.help(LINK_FORM));
            continue;
        };
        for (at, node) in nodes.iter().enumerate() {
            let span = Span::new(*file, node.span.clone());
            match read_link(node, span, &format!("{path}:link{at}"), statements, &by_id) {
                Ok(link) => {
                    if !taken.insert(link.id.clone()) {
                        let message = format!("`{}` is already the id of another policy", link.id);
                        findings.push(
                            Finding::new(Code::InvalidLink, span, message)
                                .help("give each link a `link_id` of its own"),
                        );
                    }
                    links.push(link);
                }
                Err(finding) => findings.push(*finding),
            }
        }
    }
    links
}

const LINK_FORM: &str =
    r#"write `{ "template_id": "share", "link_id": "share-1", "args": { "?principal": "User::\"ada\"" } }`"#;

fn read_link(
    node: &Node,
    span: Span,
    fallback: &str,
    statements: &[Statement],
    by_id: &BTreeMap<&str, usize>,
) -> Result<Link, Box<Finding>> {
    let refuse = |message: String| Box::new(Finding::new(Code::InvalidLink, span, message).help(LINK_FORM));
    let text = |name: &str| node.member(name).and_then(Node::as_text);
    if let Shape::Table(members) = &node.shape
        && let Some((key, _)) =
            members.iter().find(|(key, _)| !["template_id", "link_id", "args"].contains(&&*key.name))
    {
        return Err(refuse(format!("a link has no member `{}`", key.name)));
    }
    let template_id = text("template_id").ok_or_else(|| refuse("a link names its template".to_owned()))?;
    let id = match node.member("link_id") {
        None => fallback.into(),
        Some(id) => {
            id.as_text().filter(|id| !id.is_empty()).ok_or_else(|| refuse("a `link_id` is a string".to_owned()))?.into()
        }
    };
    let (template, statement) = template(template_id, span, statements, by_id)?;
    let wanted = statement.body.slots();
    let mut slots = Vec::new();
    if let Some(Node { shape: Shape::Table(members), .. }) = node.member("args") {
        for (key, node) in members {
            let slot = match key.name.as_str() {
                "?principal" => pst::SlotId::Principal,
                "?resource" => pst::SlotId::Resource,
                other => return Err(refuse(format!("`{other}` is not a slot"))),
            };
            if !wanted.contains(&slot) {
                return Err(refuse(format!("the template has no slot `{}`", key.name)));
            }
            let entity = node.as_text().and_then(crate::schema::conform::parse_entity);
            let (kind, id) = entity.ok_or_else(|| refuse(format!("`{}` needs an entity", key.name)))?;
            slots.push((slot, kind, id));
        }
    }
    if slots.len() < wanted.len() {
        return Err(refuse("a slot of the template has no argument".to_owned()));
    }
    Ok(Link { id, template, slots, span })
}

/// The template of this id.
fn template<'s>(
    id: &str,
    span: Span,
    statements: &'s [Statement],
    by_id: &BTreeMap<&str, usize>,
) -> Result<(usize, &'s Statement), Box<Finding>> {
    let templates = || statements.iter().filter(|s| matches!(s.cedar, CedarStatement::Template(_)));
    let found = by_id.get(id).and_then(|at| Some((*at, statements.get(*at)?)));
    found.filter(|(_, s)| matches!(s.cedar, CedarStatement::Template(_))).ok_or_else(|| {
        let finding = Finding::new(Code::InvalidLink, span, format!("there is no template `{id}`"));
        Box::new(match nearest(id, templates().map(|s| &*s.id)) {
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding.help("a template is known by its `@id`, or by file and position: `a.cedar:policy0`"),
        })
    })
}
