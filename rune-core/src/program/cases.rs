//! `[test."…"]` sections: read, and run on what is to be served.
//!
//! A test sees the policies and the schema, and its own entities; those of the files only with `with = "data"`, and then its
//! failure is a warning.

use std::{collections::BTreeSet, fmt, ops::Range, sync::Arc};

use crate::{
    base::{FileId, Pool, Span},
    check::{self, CheckedEntity},
    decide::{EntityRef, Request, Terms, Why},
    diag::{Code, Finding, Findings, Severity, nearest},
    facts::{FactView, Hierarchy},
    schema::{Schema, conform::parse_entity},
    syntax::{Node, Shape},
};

/// A test as it is written.
#[derive(Debug)]
pub(super) struct Written {
    /// Its name, from the header.
    pub(super) name: String,
    /// The file.
    pub(super) file: FileId,
    /// The header.
    pub(super) header: Range<usize>,
    /// The body, a table.
    pub(super) body: Node,
}

/// A test that can be run.
#[derive(Debug)]
pub(super) struct Case {
    name: String,
    header: Span,
    entities: Vec<CheckedEntity>,
    hierarchy: Hierarchy,
    request: Request,
    expect: Expected,
    expect_span: Span,
    because: Option<BTreeSet<String>>,
    errors: BTreeSet<String>,
    with_data: bool,
}

/// What a test expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Allow,
    Deny,
    /// A request that cannot be decided, and is therefore denied.
    Error,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Error => "error",
        })
    }
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// Its name.
    pub name: Arc<str>,
    /// Its header.
    pub span: Span,
    /// Why it fails, if it does.
    pub failure: Option<String>,
}

const KEYS: [&str; 6] = ["request", "expect", "because", "errors", "entities", "with"];
const FORM: &str = r#"write `request = { principal = 'User::"ada"', action = 'Action::"read"', resource = 'Doc::"d"' }` and `expect = "allow"`"#;

/// Reads a test. What is wrong with it is a finding.
pub(super) fn read(
    written: &Written,
    data: &[CheckedEntity],
    schema: Option<&Schema>,
    values: &mut Pool,
    findings: &mut Findings,
) -> Option<Case> {
    let n_errors = findings.n_errors();
    let mut reader = Reader { written, findings };
    reader.check_keys();
    let request = reader.request();
    let expect = reader.expect();
    let because = reader.ids("because");
    let errors = reader.ids("errors");
    let with_data = reader.with_data();
    let tables: Vec<_> = written.body.member("entities").map(|node| (written.file, node.clone())).into_iter().collect();
    let mut entities = check::entities::check(&tables, &[], schema, values, findings);
    if with_data {
        // A test's own word on an entity counts before that of the files.
        let own: BTreeSet<_> = entities.iter().map(|entity| entity.uid).collect();
        entities.extend(data.iter().filter(|entity| !own.contains(&entity.uid)).cloned());
    }
    let header = Span::new(written.file, written.header.clone());
    let Ok(hierarchy) = Hierarchy::of(values, &entities) else {
        findings.push(Finding::new(Code::EntityCycle, header, "an entity of this test is in itself"));
        return None;
    };
    if n_errors < findings.n_errors() {
        return None;
    }
    let (expect, expect_span) = expect?;
    Some(Case {
        name: written.name.clone(),
        header,
        entities,
        hierarchy,
        request: request?,
        expect,
        expect_span,
        because,
        errors: errors.unwrap_or_default(),
        with_data,
    })
}

struct Reader<'a> {
    written: &'a Written,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn refuse(&mut self, span: Range<usize>, message: impl Into<String>) {
        let span = Span::new(self.written.file, span);
        self.findings.push(Finding::new(Code::TestForm, span, message).help(FORM));
    }

    fn check_keys(&mut self) {
        let Shape::Table(members) = &self.written.body.shape else { return };
        for (key, _) in members {
            let span = Span::new(self.written.file, key.span.clone());
            if ["facts", "query", "rows"].contains(&key.name.as_str()) {
                let message = format!("`{}` in a test is not supported yet", key.name);
                self.findings.push(Finding::new(Code::NotSupportedYet, span, message));
            } else if !KEYS.contains(&key.name.as_str()) {
                let finding = Finding::new(Code::UnknownKey, span, format!("a test has no `{}`", key.name));
                self.findings.push(match nearest(&key.name, KEYS) {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding.help(format!("a test has {}", KEYS.join(", "))),
                });
            }
        }
    }

    fn request(&mut self) -> Option<Request> {
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
            self.refuse(key.span.clone(), format!("a request has no `{}`", key.name));
        }
        let [principal, action, resource] = ["principal", "action", "resource"].map(|part| self.entity(request, part));
        let context = match request.member("context") {
            None => Node { span: request.span.clone(), shape: Shape::Table(Vec::new()) },
            Some(context) => context.clone(),
        };
        Some(Request::new(principal?, action?, resource?).with_context(context))
    }

    fn entity(&mut self, request: &Node, part: &str) -> Option<EntityRef> {
        let Some(node) = request.member(part) else {
            self.refuse(request.span.clone(), format!("the request has no `{part}`"));
            return None;
        };
        let Some((kind, id)) = node.as_text().and_then(parse_entity) else {
            self.refuse(node.span.clone(), format!("`{part}` does not name an entity"));
            return None;
        };
        Some(EntityRef::new(kind, id))
    }

    fn expect(&mut self) -> Option<(Expected, Span)> {
        let Some(node) = self.written.body.member("expect") else {
            self.refuse(self.written.header.clone(), "the test expects nothing");
            return None;
        };
        let expected = match node.as_text() {
            Some("allow") => Expected::Allow,
            Some("deny") => Expected::Deny,
            Some("error") => Expected::Error,
            _ => {
                self.refuse(node.span.clone(), "`expect` is \"allow\", \"deny\" or \"error\"");
                return None;
            }
        };
        Some((expected, Span::new(self.written.file, node.span.clone())))
    }

    fn ids(&mut self, key: &str) -> Option<BTreeSet<String>> {
        let node = self.written.body.member(key)?;
        let Shape::List(nodes) = &node.shape else {
            self.refuse(node.span.clone(), format!("`{key}` is a list of ids of policies"));
            return None;
        };
        let ids: Option<_> = nodes.iter().map(|node| node.as_text().map(str::to_owned)).collect();
        if ids.is_none() {
            self.refuse(node.span.clone(), format!("`{key}` is a list of ids of policies"));
        }
        ids
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

/// Runs a test. One that fails is a finding too.
pub(super) fn run(
    case: Case,
    terms: Terms<'_>,
    values: &Arc<Pool>,
    severity: Severity,
    findings: &mut Findings,
) -> TestResult {
    let facts = FactView::new(values.clone(), &case.entities, case.hierarchy);
    let terms = Terms { facts: &facts, ..terms };
    let why = terms.decide(&case.request);
    let reasons = terms.reasons(&case.request);
    let determining: BTreeSet<String> = reasons.determining.iter().map(|policy| policy.id.to_string()).collect();
    let failed: BTreeSet<String> = reasons.failed.iter().map(|(policy, _)| policy.id.to_string()).collect();
    let got = match &why {
        Why::AllowedBy(_) => Expected::Allow,
        Why::ForbiddenBy(_) | Why::NotPermitted => Expected::Deny,
        Why::Error(_) => Expected::Error,
    };
    let failure = if got != case.expect {
        Some(format!("expected {}, got {got}: {}", case.expect, told(&why, &determining)))
    } else if case.because.as_ref().is_some_and(|because| *because != determining) {
        Some(format!("not for the reasons expected: {}", told(&why, &determining)))
    } else if failed != case.errors {
        let told = reasons.failed.iter().map(|(policy, message)| format!("{} ({message})", policy.id));
        let told: Vec<_> = told.collect();
        let told = if told.is_empty() { "none".to_owned() } else { told.join(", ") };
        Some(format!("not the errors expected: {told}"))
    } else {
        None
    };
    if let Some(failure) = &failure {
        let message = format!("the test \"{}\" fails: {failure}", case.name);
        // What depends on rows only warns: a revocation is not refused because a test counted on what it revokes.
        let severity = if case.with_data { Severity::Warning } else { severity };
        findings.push(Finding { severity, ..Finding::new(Code::TestFailed, case.expect_span, message) });
    }
    TestResult { name: case.name.into(), span: case.header, failure }
}

fn told(why: &Why, determining: &BTreeSet<String>) -> String {
    let ids = determining.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match why {
        Why::AllowedBy(_) => format!("allowed by {ids}"),
        Why::ForbiddenBy(_) => format!("forbidden by {ids}"),
        Why::NotPermitted => "no policy permits it".to_owned(),
        Why::Error(fault) => fault.clone(),
    }
}
