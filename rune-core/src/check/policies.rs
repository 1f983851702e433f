//! Policies: parsed and validated by Cedar, with an identity and a place each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cedar_policy::{
    EntityUid, PolicyId, PolicySet as CedarSet, SlotId, ValidationMode, Validator,
    pst::{self, Template as Pst},
};
use cedar_policy_core::{ast, parser::Loc};

use super::{
    arity,
    links::{self, read_links},
};
use crate::{
    base::{FileId, Sources, Span},
    diag::{Code, Finding, Findings, Severity},
    schema::CedarSchema,
    syntax::{Node, cedar::Piece, height::Notation},
};

/// Whether a policy stands in a `.rune` file or in a plain Cedar file, where Cedar's habits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In a `[policies]` section.
    Rune,
    /// In a `*.cedar` file.
    Cedar,
}

/// A policy or template as it is written.
#[derive(Debug)]
pub struct Statement {
    /// Its `@id`, or its file and position: `a.cedar:policy0`.
    pub id: Arc<str>,
    /// Where it stands.
    pub span: Span,
    /// Where each clause of its conditions stands: operands of `&&`, and of `||` in what is denied.
    pub clauses: Vec<Span>,
    /// Cedar's public syntax tree.
    pub body: Pst,
    pub(super) cedar: CedarStatement,
    origin: Origin,
    fallback: Arc<str>,
    piece: usize,
}

#[derive(Debug)]
pub(super) enum CedarStatement {
    Policy(cedar_policy::Policy),
    Template(cedar_policy::Template),
}

/// A template with entities for its slots.
#[derive(Debug)]
pub struct Link {
    /// The identity of the policy that this makes.
    pub id: Arc<str>,
    /// The template, by its position among the statements.
    pub template: usize,
    /// The type and id for each slot.
    pub slots: Vec<(pst::SlotId, String, String)>,
    /// Where the link stands.
    pub span: Span,
}

/// A link that a row of a relation is.
#[derive(Debug, Clone)]
pub struct RowLink {
    /// The template.
    pub template: String,
    /// The identity of the policy that this makes.
    pub id: String,
    /// The type and id for each slot.
    pub slots: Vec<(pst::SlotId, String, String)>,
    /// Where the row stands.
    pub span: Span,
}

/// All policies and templates of a ruleset, and the links of the templates.
#[derive(Debug, Default)]
pub struct CheckedPolicies {
    /// Policies and templates, by file and position.
    pub statements: Vec<Statement>,
    /// Links, in the order they are written.
    pub links: Vec<Link>,
    /// Whether every piece was read.
    pub has_all_policies: bool,
}

/// Parses the pieces, gives each policy its identity, reads the links, and validates all under the schema.
pub fn check(
    sources: &Sources,
    pieces: &[(Piece, Origin)],
    links: &[(FileId, Node)],
    rows: &[RowLink],
    schema: Option<&CedarSchema>,
    validation: Severity,
    findings: &mut Findings,
) -> CheckedPolicies {
    let n_errors = findings.n_errors();
    let mut statements = Vec::new();
    let mut n_before: BTreeMap<FileId, usize> = BTreeMap::new();
    for (at, (piece, origin)) in pieces.iter().enumerate() {
        let n_before = n_before.entry(piece.file).or_default();
        let path = sources.file(piece.file).map_or("", |file| &*file.path);
        *n_before += parse(piece, at, *origin, path, *n_before, &mut statements, findings);
    }
    identify(&mut statements, findings);
    // A template in a piece that does not parse is not missing.
    let has_all_policies = findings.n_errors() == n_errors;
    let mut checked = CheckedPolicies { statements, links: Vec::new(), has_all_policies };
    if has_all_policies {
        checked.links = read_links(sources, links, &checked.statements, findings);
        links::of_rows(rows, &checked.statements, &mut checked.links, findings);
    }
    let linked: BTreeSet<usize> = checked.links.iter().map(|link| link.template).collect();
    for (at, template) in checked.statements.iter().enumerate() {
        // A row that is wrong links nothing.
        let is_unused = matches!(template.cedar, CedarStatement::Template(_)) && !linked.contains(&at);
        if is_unused && !findings.has_error() {
            let finding =
                Finding::new(Code::UnusedTemplate, template.span, "this template has no link, so it decides nothing");
            findings.push(finding.help("link it by rows, `@template(\"…\") relation link(id: String -> principal: User).`, or in a `*.links.json` file"));
        }
    }
    // What Cedar says of the whole set assumes that its parts are right.
    if let Some(schema) = schema
        && findings.n_errors() == n_errors
        && let Some(set) = cedar_set(&checked, findings)
    {
        validate(&checked, &set, pieces, schema, validation, findings);
    }
    checked
}

impl CheckedPolicies {
    /// The links that rows beside those of the files are: the rows of a test.
    #[must_use]
    pub fn links_of(&self, rows: &[RowLink], findings: &mut Findings) -> Vec<Link> {
        let mut links = Vec::new();
        if self.has_all_policies {
            links::of_rows(rows, &self.statements, &mut links, findings);
        }
        links
    }
}

/// Parses one piece and returns how many policies it has.
fn parse(
    piece: &Piece,
    piece_idx: usize,
    origin: Origin,
    path: &str,
    n_before: usize,
    statements: &mut Vec<Statement>,
    findings: &mut Findings,
) -> usize {
    if !piece.is_low(Notation::Cedar, findings) {
        return 0;
    }
    let set: CedarSet = match piece.text.parse() {
        Ok(set) => set,
        Err(errors) => {
            let errors: cedar_policy::ParseErrors = errors;
            for error in errors.iter() {
                findings.push(piece.finding(Code::PolicySyntax, error));
            }
            return 0;
        }
    };
    let policies = set.policies().map(|policy| {
        let ast: &ast::Policy = policy.as_ref();
        let places = Places { whole: ast.loc(), conditions: ast.non_scope_constraints() };
        let (body, cedar) = (arity::policy(policy), CedarStatement::Policy(policy.clone()));
        (policy.id().to_string(), policy.annotation("id"), places, body, cedar)
    });
    let templates = set.templates().map(|template| {
        let ast: &ast::Template = template.as_ref();
        let places = Places { whole: ast.loc(), conditions: ast.non_scope_constraints() };
        let (body, cedar) = (arity::template(template), CedarStatement::Template(template.clone()));
        (template.id().to_string(), template.annotation("id"), places, body, cedar)
    });
    let mut found = Vec::new();
    for (parser_id, id, places, body, cedar) in policies.chain(templates) {
        let position: usize = parser_id.strip_prefix("policy").and_then(|n| n.parse().ok()).unwrap_or_default();
        let span = places.whole(piece);
        let body = match body {
            Ok((body, calls)) => {
                for call in calls {
                    let message = format!("this policy calls {call}; it fails whenever it comes to that");
                    findings.push(Finding::new(Code::WrongArity, span, message));
                }
                body
            }
            Err(error) => {
                let message = format!("RUNE does not know a construct of this policy: {error}");
                findings.push(Finding::new(Code::UnknownConstruct, span, message));
                continue;
            }
        };
        let fallback: Arc<str> = format!("{path}:policy{}", n_before + position).into();
        let id = id.filter(|id| !id.is_empty()).map_or_else(|| fallback.clone(), Into::into);
        let clauses = places.clauses(piece);
        found.push((position, Statement { id, span, clauses, body, cedar, origin, fallback, piece: piece_idx }));
    }
    found.sort_by_key(|(position, _)| *position);
    let n = set.policies().count() + set.templates().count();
    statements.extend(found.into_iter().map(|(_, statement)| statement));
    n
}

/// Where a policy and its conditions stand, as Cedar's parser has it.
struct Places<'p> {
    whole: Option<&'p Loc>,
    conditions: Option<&'p ast::Expr>,
}

impl Places<'_> {
    fn whole(&self, piece: &Piece) -> Span {
        piece.span(self.whole.map_or(0..piece.text.len(), |loc| loc.start()..loc.end()))
    }

    /// The places of the clauses, in the order in which they are written.
    fn clauses(&self, piece: &Piece) -> Vec<Span> {
        let mut clauses = Vec::new();
        let mut pending: Vec<(&ast::Expr, bool)> = self.conditions.into_iter().map(|expr| (expr, false)).collect();
        while let Some((expr, is_denied)) = pending.pop() {
            match expr.expr_kind() {
                ast::ExprKind::And { left, right } if !is_denied => {
                    pending.extend([(&**right, false), (&**left, false)]);
                }
                ast::ExprKind::Or { left, right } if is_denied => {
                    pending.extend([(&**right, true), (&**left, true)]);
                }
                ast::ExprKind::UnaryApp { op: ast::UnaryOp::Not, arg } if !is_denied => pending.push((&**arg, true)),
                _ => clauses.push(match expr.source_loc() {
                    Some(loc) => piece.span(loc.start()..loc.end()),
                    None => self.whole(piece),
                }),
            }
        }
        clauses
    }
}

/// Sees to it that no two statements have one identity.
fn identify(statements: &mut [Statement], findings: &mut Findings) {
    let mut by_id: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
    for (at, statement) in statements.iter().enumerate() {
        by_id.entry(statement.id.clone()).or_default().push(at);
    }
    for (id, places) in by_id.into_iter().filter(|(_, places)| 1 < places.len()) {
        let spans: Vec<Span> = places.iter().filter_map(|at| statements.get(*at)).map(|s| s.span).collect();
        let (Some(first), Some(second)) = (spans.first(), spans.get(1)) else { continue };
        let is_plain = places.iter().filter_map(|at| statements.get(*at)).all(|s| s.origin == Origin::Cedar);
        let code = if is_plain { Code::AmbiguousPolicyId } else { Code::DuplicatePolicyId };
        let finding = Finding::new(code, *second, format!("`@id(\"{id}\")` is also the id of another policy"));
        let finding = finding.related(*first, "the other policy");
        findings.push(if is_plain {
            finding.help("both go by file and position until their ids differ")
        } else {
            finding.help("give each policy an id of its own")
        });
        for at in places {
            if let Some(statement) = statements.get_mut(at) {
                statement.id = statement.fallback.clone();
            }
        }
    }
    // An id may be another policy's file and position, if somebody means it to be.
    let mut taken: BTreeMap<Arc<str>, Span> = BTreeMap::new();
    for statement in statements.iter() {
        if let Some(other) = taken.insert(statement.id.clone(), statement.span) {
            let message = format!("`{}` is also where another policy stands", statement.id);
            let finding = Finding::new(Code::DuplicatePolicyId, statement.span, message);
            findings.push(finding.related(other, "the other policy").help("give the policy an id of its own"));
        }
    }
}

/// The set in Cedar's own form, for its validator.
fn cedar_set(checked: &CheckedPolicies, findings: &mut Findings) -> Option<CedarSet> {
    let mut set = CedarSet::new();
    let mut refuse = |span, error: &dyn std::fmt::Display| {
        findings.push(Finding::new(Code::PolicySyntax, span, error.to_string()));
    };
    for statement in &checked.statements {
        let id = PolicyId::new(&statement.id);
        let added = match &statement.cedar {
            CedarStatement::Policy(policy) => set.add(policy.new_id(id)),
            CedarStatement::Template(template) => set.add_template(template.new_id(id)),
        };
        if let Err(error) = added {
            refuse(statement.span, &error);
            return None;
        }
    }
    for link in &checked.links {
        let Some(template) = checked.statements.get(link.template) else { continue };
        let mut slots = std::collections::HashMap::new();
        for (slot, kind, id) in &link.slots {
            let slot = if *slot == pst::SlotId::Principal { SlotId::principal() } else { SlotId::resource() };
            let Ok(kind) = kind.parse() else { continue };
            slots.insert(slot, EntityUid::from_type_name_and_id(kind, cedar_policy::EntityId::new(id)));
        }
        if let Err(error) = set.link(PolicyId::new(&template.id), PolicyId::new(&link.id), slots) {
            refuse(link.span, &error);
            return None;
        }
    }
    Some(set)
}

fn validate(
    checked: &CheckedPolicies,
    set: &CedarSet,
    pieces: &[(Piece, Origin)],
    schema: &CedarSchema,
    severity: Severity,
    findings: &mut Findings,
) {
    let result = Validator::new(schema.validator.clone()).validate(set, ValidationMode::Strict);
    let statements: BTreeMap<&str, &Statement> = checked.statements.iter().map(|s| (&*s.id, s)).collect();
    let links: BTreeMap<&str, &Link> = checked.links.iter().map(|link| (&*link.id, link)).collect();
    let place = |id: &PolicyId| {
        let id: &str = id.as_ref();
        let link = links.get(id).copied();
        let statement = statements.get(id).copied();
        let statement = statement.or_else(|| link.and_then(|link| checked.statements.get(link.template)))?;
        Some((pieces.get(statement.piece).map(|(piece, _)| piece)?, statement, link))
    };
    let mut report = |id: &PolicyId, error: &dyn miette::Diagnostic, code, severity| {
        let Some((piece, statement, link)) = place(id) else { return };
        let mut finding = piece.finding(code, error);
        if error.labels().is_none() {
            finding.span = link.map_or(statement.span, |link| link.span);
        }
        // Cedar begins with the policy's id, which the place says better.
        if let Some((_, message)) =
            finding.message.split_once("`, ").filter(|(head, _)| head.starts_with("for policy `"))
        {
            finding.message = message.to_string();
        }
        finding.severity = severity;
        let missing = finding.message.strip_prefix("attribute `").and_then(|rest| rest.strip_suffix("` not found"));
        if let Some((name, kind)) = missing.and_then(|rest| rest.split_once("` on entity type `"))
            && finding.help.is_none()
        {
            let text = piece.text.get(finding.span.range().start.saturating_sub(piece.start)..).unwrap_or_default();
            let is_set = text.split(';').next().is_some_and(|text| text.contains(&format!(".{name}.contains(")));
            let columns = if is_set { format!("{kind}, …") } else { kind.to_owned() };
            let help = format!("what rules derive is one if it is declared: `@attribute relation {name}({columns}).`");
            finding.help = Some(help);
        }
        findings.push(finding);
    };
    let mut invalid = BTreeSet::new();
    for error in result.validation_errors() {
        invalid.insert(error.policy_id());
        report(error.policy_id(), error, Code::PolicyInvalid, severity);
    }
    // What is odd about a policy with an error follows from the error.
    for warning in result.validation_warnings().filter(|warning| !invalid.contains(warning.policy_id())) {
        report(warning.policy_id(), warning, Code::PolicySuspicious, Severity::Warning);
    }
}
