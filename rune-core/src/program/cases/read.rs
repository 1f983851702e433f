//! Tests as they are written, to tests that can be run.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    base::{
        EntityRef, Pool, Span,
        value::{brief, cut},
    },
    check::{
        self, CheckedEntity,
        rules::{CheckedTest, Term, TestText},
    },
    decide::Request,
    diag::{Code, Finding, Findings, nearest},
    schema::{
        Schema, Types,
        conform::{is_type_name, parse_entity},
    },
    syntax::{Node, Shape, ast::Var, cedar::Piece, rules, slips, toml},
};

use super::{Case, Expectation, Expected, Written};

const KEYS: [&str; 9] = ["request", "expect", "because", "errors", "entities", "facts", "query", "rows", "with"];
const FORM: &str = r#"write `request = { principal = 'User::"ada"', action = 'Action::"read"', resource = 'Doc::"d"' }` and `expect = "allow"`"#;

/// What a test says in the language of rules.
pub(in super::super) fn text(written: &Written, source: &str, findings: &mut Findings) -> TestText {
    let piece = |name: &str| {
        let node = written.body.member(name)?;
        let text = node.as_text()?;
        // Places are exact where the string is written without escapes.
        let raw = source.get(node.span.clone()).unwrap_or_default();
        let quotes = raw.find(text).unwrap_or_default();
        Some(Piece { file: written.file, start: node.span.start + quotes, text: text.to_owned() })
    };
    let facts = piece("facts").map(|piece| rules::parse(&piece, findings)).unwrap_or_default();
    let query = piece("query").and_then(|piece| rules::parse_goal(&piece, findings));
    TestText {
        facts: facts.into_iter().map(|clause| (written.file, clause)).collect(),
        query: query.map(|goal| (written.file, goal)),
    }
}

/// Reads a test. What is wrong with it is a finding.
pub(in super::super) fn read(
    written: &Written,
    checked: &CheckedTest,
    data: &[CheckedEntity],
    schema: Option<&Schema>,
    values: &mut Pool,
    findings: &mut Findings,
) -> Option<Case> {
    let n_errors = findings.n_errors();
    let mut reader = Reader { written, findings };
    reader.check_keys();
    let has_query = reader.check_query();
    // A query may stand alone, or be about a request whose decision is of no interest.
    let has_any = |keys: &[&str]| keys.iter().any(|key| written.body.member(key).is_some());
    let is_decided = !has_query || has_any(&["expect", "because", "errors"]);
    let request = if is_decided || has_any(&["request"]) { reader.request() } else { None };
    let expect = if is_decided { reader.expect() } else { None };
    if request.is_none() && checked.is_about_request && !has_any(&["request"]) {
        reader.refuse(written.header.clone(), "the query depends on a request, and the test makes none");
    }
    let because = reader.ids("because");
    let errors = reader.ids("errors");
    let with_data = reader.with_data();
    let query = checked.query.clone().and_then(|rule| {
        let rows = written.body.member("rows")?;
        let span = Span::new(written.file, rows.span.clone());
        let types: Vec<Types> = rule
            .args
            .iter()
            .map(|arg| match arg {
                Term::Slot(slot) => rule.variables.get(slot.0).map_or(Types::Any, |variable| variable.types.clone()),
                _ => Types::Any,
            })
            .collect();
        let rows = check::data::expected_rows(written.file, rows, &types, schema, values, reader.findings)?;
        Some((rule, Expectation { rows: rows.into_iter().collect(), span }))
    });
    let tables: Vec<_> = written.body.member("entities").map(|node| (written.file, node.clone())).into_iter().collect();
    let mut entities = check::entities::check(&tables, &[], true, schema, values, findings);
    if with_data {
        // A test's own word on an entity counts before that of the files.
        let own: BTreeSet<_> = entities.iter().map(|entity| entity.uid).collect();
        entities.extend(data.iter().filter(|entity| !own.contains(&entity.uid)).cloned());
    }
    let header = Span::new(written.file, written.header.clone());
    check::data::check_parents(&checked.facts, true, schema, values, findings);
    if n_errors < findings.n_errors() {
        return None;
    }
    let (request, named) = request.map_or((None, Vec::new()), |(request, named)| (Some(request), named));
    Some(Case {
        name: written.name.clone(),
        header,
        entities,
        links: Vec::new(),
        facts: checked.facts.clone(),
        request,
        named,
        expect,
        because,
        errors: errors.unwrap_or((BTreeSet::new(), expect.map_or(header, |(_, span)| span))),
        query,
        with_data,
    })
}

struct Reader<'a> {
    written: &'a Written,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn refuse(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.refuse_with(span, message, FORM);
    }

    fn refuse_with(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let span = Span::new(self.written.file, span);
        self.findings.push(Finding::new(Code::TestForm, span, message).help(help));
    }

    fn check_keys(&mut self) {
        let Shape::Table(members) = &self.written.body.shape else { return };
        for (key, _) in members {
            let span = Span::new(self.written.file, key.span.clone());
            if !KEYS.contains(&key.name.as_str()) {
                let finding = Finding::new(Code::UnknownKey, span, format!("a test has no `{}`", cut(&key.name)));
                self.findings.push(match nearest(&key.name, KEYS) {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding.help(format!("a test has {}", KEYS.join(", "))),
                });
            }
        }
    }

    /// Whether the test asks a query; it says which rows that has.
    fn check_query(&mut self) -> bool {
        let body = &self.written.body;
        for key in ["facts", "query"] {
            if let Some(node) = body.member(key).filter(|node| node.as_text().is_none()) {
                let help = match key {
                    "facts" => "write `facts = 'viewer(\"ada\", \"plan\"). banned(\"eve\").'`",
                    _ => "write `query = 'viewer(U, \"plan\")'`",
                };
                self.refuse_with(node.span.clone(), format!("`{key}` is a string in the language of rules"), help);
            }
        }
        match (body.member("query"), body.member("rows")) {
            (Some(query), None) => self.refuse(query.span.clone(), "the query expects no `rows`"),
            (None, Some(rows)) => self.refuse(rows.span.clone(), "there is no `query` that these are the rows of"),
            _ => {}
        }
        body.member("query").is_some()
    }

    /// The request, and where it names which entities.
    fn request(&mut self) -> Option<(Request, Vec<(EntityRef, Span)>)> {
        let Some(request) = self.written.body.member("request") else {
            self.refuse(self.written.header.clone(), "the test makes no request");
            return None;
        };
        let Shape::Table(members) = &request.shape else {
            self.refuse(request.span.clone(), "`request` is not a table");
            return None;
        };
        let parts = ["principal", "action", "resource", "context"];
        for (key, _) in members.iter().filter(|(key, _)| !parts.contains(&key.name.as_str())) {
            self.refuse(key.span.clone(), format!("a request has no `{}`", cut(&key.name)));
        }
        let [principal, action, resource] = ["principal", "action", "resource"].map(|part| self.entity(request, part));
        let context = match request.member("context") {
            None => Node { span: request.span.clone(), shape: Shape::Table(Vec::new()) },
            Some(context) => context.clone(),
        };
        let named = [principal?, action?, resource?];
        let [principal, action, resource] = named.each_ref().map(|(entity, _)| entity.clone());
        Some((Request::new(principal, action, resource).with_context(context), named.into()))
    }

    fn entity(&mut self, request: &Node, part: &str) -> Option<(EntityRef, Span)> {
        let Some(node) = request.member(part) else {
            self.refuse(request.span.clone(), format!("the request has no `{part}`"));
            return None;
        };
        let Some((kind, id)) = node.as_text().and_then(parse_entity) else {
            let help = format!("write `{part} = {}`", as_entity(part, node));
            self.refuse_with(node.span.clone(), format!("`{part}` does not name an entity"), help);
            return None;
        };
        Some((EntityRef::new(kind, id), Span::new(self.written.file, node.span.clone())))
    }

    fn expect(&mut self) -> Option<(Expected, Span)> {
        let Some(node) = self.written.body.member("expect") else {
            // A key that is misspelt is told instead.
            let Shape::Table(members) = &self.written.body.shape else { return None };
            if !members.iter().any(|(key, _)| nearest(&key.name, KEYS) == Some("expect")) {
                self.refuse(self.written.header.clone(), "the test expects nothing");
            }
            return None;
        };
        let expected = match node.as_text() {
            Some("allow") => Expected::Allow,
            Some("deny") => Expected::Deny,
            Some("error") => Expected::Error,
            other => {
                let near = other.and_then(|text| nearest(text, ["allow", "deny", "error", "allowed", "denied"]));
                let help = match near {
                    Some("allow" | "allowed") => "write `expect = \"allow\"`",
                    Some("deny" | "denied") => "write `expect = \"deny\"`",
                    _ => FORM,
                };
                self.refuse_with(node.span.clone(), "`expect` is \"allow\", \"deny\" or \"error\"", help);
                return None;
            }
        };
        Some((expected, Span::new(self.written.file, node.span.clone())))
    }

    fn ids(&mut self, key: &str) -> Option<(BTreeSet<String>, Span)> {
        let node = self.written.body.member(key)?;
        let ids = match &node.shape {
            Shape::List(nodes) => nodes.iter().map(|node| node.as_text().map(str::to_owned)).collect(),
            _ => None,
        };
        if ids.is_none() {
            let help = format!("write `{key} = [{}]`", brief(node.as_text().unwrap_or("read")));
            self.refuse_with(node.span.clone(), format!("`{key}` is a list of ids of policies"), help);
        }
        Some((ids?, Span::new(self.written.file, node.span.clone())))
    }

    fn with_data(&mut self) -> bool {
        match self.written.body.member("with").map(|node| (node.as_text(), node)) {
            None => false,
            Some((Some("data"), _)) => true,
            Some((_, node)) => {
                self.refuse(node.span.clone(), "`with` is \"data\", or is left out");
                false
            }
        }
    }
}

/// How the entity that was probably meant is written, for `ada`, `User.ada` and `User::ada`.
fn as_entity(part: &str, node: &Node) -> String {
    let kind = slips::example_type(match part {
        "principal" => Var::Principal,
        "action" => Var::Action,
        _ => Var::Resource,
    });
    let text = node.as_text().filter(|text| !text.is_empty() && !text.contains('"')).unwrap_or("…");
    let typed = text.rsplit_once("::").filter(|(kind, _)| is_type_name(kind)).or_else(|| {
        // A name with a point in it may be no more than that; types begin with a capital.
        text.split_once('.')
            .filter(|(kind, _)| is_type_name(kind) && kind.starts_with(|c: char| c.is_ascii_uppercase()))
    });
    let (kind, id) = typed.unwrap_or((kind, text));
    toml::entity(kind, id)
}
