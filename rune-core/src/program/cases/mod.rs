//! `[test."…"]` sections: read, and run on what is to be served.
//!
//! A test sees the rules, the policies and the schema, and its own facts and entities; those of the files only with
//! `with = "data"`, and then its failure is a warning. It makes a request, or asks a query, or both.

mod coverage;
mod read;

use std::{collections::BTreeSet, fmt, ops::Range, sync::Arc};

use crate::{
    base::{EntityRef, FileId, Pool, Scratch, Span, Value, Values, View, limits},
    check::{
        self, CheckedEntity,
        rules::{CheckedRules, Fact, FactList, Rule},
    },
    datalog::{Bounds, DatalogEngine, Query, Solver},
    decide::{Coverage, Request, Terms, Why},
    diag::{Code, Finding, Findings, Severity},
    policy::{Policy, PolicySet},
    schema::Schema,
    syntax::Node,
};

use super::load::{self, Given};

pub use coverage::ClauseCoverage;
pub(super) use coverage::{start, told as covered};
pub(super) use read::{read, text};

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
    /// The links that its facts are.
    pub(super) links: Vec<Policy>,
    facts: FactList,
    request: Option<Request>,
    /// Where the request names its principal, action and resource, each with the entity.
    named: Vec<(EntityRef, Span)>,
    expect: Option<(Expected, Span)>,
    /// The reasons that are expected, and where.
    because: Option<(BTreeSet<String>, Span)>,
    errors: (BTreeSet<String>, Span),
    query: Option<(Rule, Expectation)>,
    with_data: bool,
}

/// The rows that a query is to have.
#[derive(Debug)]
struct Expectation {
    rows: BTreeSet<Vec<Value>>,
    span: Span,
}

/// Why a test fails, and where it says otherwise.
struct Failure {
    message: String,
    span: Span,
    help: Option<String>,
}

/// What a test expects of its request.
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

/// What tests see of the program that they belong to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage<'a> {
    pub(super) schema: Option<&'a Schema>,
    pub(super) action_type: &'a str,
    pub(super) policies: &'a PolicySet,
    pub(super) rules: &'a CheckedRules,
    pub(super) engine: &'a DatalogEngine,
    /// The rows of the files.
    pub(super) rows: &'a FactList,
    pub(super) bounds: Bounds,
    /// How grave a failure is.
    pub(super) severity: Severity,
}

/// Runs a test, from its facts on. One that fails is a finding too; one that cannot be run is nothing else.
pub(super) fn run(
    mut case: Case,
    stage: Stage<'_>,
    values: &mut Pool,
    coverage: Option<&mut Coverage>,
    findings: &mut Findings,
) -> Option<TestResult> {
    let Stage { schema, action_type, rules, engine, bounds, .. } = stage;
    check::data::check_functional(&rules.predicates, &case.facts, values, findings);
    // A test's own word on a key counts before that of the files.
    let own: BTreeSet<_> = case.facts.iter().filter_map(|fact| rules.key_of(fact)).collect();
    let is_open = |fact: &Fact<'_>| rules.key_of(*fact).is_none_or(|key| !own.contains(&key));
    let mut rows = FactList::default();
    for fact in stage.rows.iter().filter(|_| case.with_data).filter(is_open) {
        rows.push(fact);
    }
    let given = Given { entities: &case.entities, rows: &[&rows, &case.facts] };
    let mut facts = given.load(rules, bounds, case.header, values, findings)?;
    // The facts of a test are few: all that follows is derived faster than questions are prepared.
    let demand = load::derive(engine, &mut facts, (true, bounds), values, findings)?;
    let query = match case.query.take() {
        Some((rule, expected)) => Some((Query::compile(rules, &rule, &facts, values, findings)?, expected)),
        None => None,
    };
    // Links are rows: a test sees its own, and those of the files if it sees their rows.
    let own = (!case.links.is_empty() || (!case.with_data && stage.policies.has_links()))
        .then(|| stage.policies.with_links(case.with_data, &case.links));
    let policies = own.as_ref().unwrap_or(stage.policies);
    let terms = Terms { schema, action_type, policies, rules: engine, facts: &facts, demand: &demand, values };
    if let Some(coverage) = coverage {
        terms.cover(case.request.as_ref(), coverage);
    }
    let mut failure = None;
    if let (Some(request), Some(expected)) = (&case.request, case.expect) {
        failure = decided(&case, terms, request, expected, findings);
    }
    if let Some((query, expected)) = &query {
        failure = failure.or_else(|| answered(terms, case.request.as_ref(), query, expected));
    }
    if let Some(Failure { message, span, help }) = &failure {
        let message = format!("the test \"{}\" fails: {message}", case.name);
        // What depends on rows only warns: a revocation is not refused because a test counted on what it revokes.
        let severity = if case.with_data { Severity::Warning } else { stage.severity };
        findings.push(Finding { severity, help: help.clone(), ..Finding::new(Code::TestFailed, *span, message) });
    }
    Some(TestResult { name: case.name.into(), span: case.header, failure: failure.map(|failure| failure.message) })
}

/// Why a decision is not as expected, if it is not, and where that is expected.
fn decided(
    case: &Case,
    terms: Terms<'_>,
    request: &Request,
    (expected, span): (Expected, Span),
    findings: &Findings,
) -> Option<Failure> {
    let fail = |key: &str, ids: &BTreeSet<String>, message, span| {
        let ids: Vec<&String> = ids.iter().collect();
        Some(Failure { message, span, help: Some(format!("if that is right, write `{key} = {ids:?}`")) })
    };
    let why = terms.decide(request);
    let reasons = terms.reasons(request);
    let determining: BTreeSet<String> = reasons.determining.iter().map(|reason| reason.id().to_string()).collect();
    let failed: BTreeSet<String> = reasons.failed.iter().map(|(reason, _)| reason.id().to_string()).collect();
    let got = match &why {
        Why::AllowedBy(_) => Expected::Allow,
        Why::ForbiddenBy(_) | Why::NotPermitted => Expected::Deny,
        Why::Error(_) => Expected::Error,
    };
    if got != expected {
        let message = format!("expected {expected}, got {got}: {}", told(&why, &determining));
        let unknown = if got == Expected::Error { unknown(case, terms, findings) } else { None };
        let (span, help) = unknown.map_or((span, None), |(span, help)| (span, Some(help)));
        return Some(Failure { message, span, help });
    }
    if let Some((because, span)) = case.because.as_ref().filter(|(because, _)| *because != determining) {
        let message = format!("not for the reasons expected ({}): {}", list(because), told(&why, &determining));
        return fail("because", &determining, message, *span);
    }
    let (errors, span) = &case.errors;
    if failed != *errors {
        let told = reasons.failed.iter().map(|(reason, message)| format!("{} ({message})", reason.id()));
        let told: Vec<_> = told.collect();
        let told = if told.is_empty() { "none".to_owned() } else { told.join(", ") };
        return fail("errors", &failed, format!("not the errors expected ({}): {told}", list(errors)), *span);
    }
    None
}

/// Where a request names an entity that the schema does not have, and which one is meant.
fn unknown(case: &Case, terms: Terms<'_>, findings: &Findings) -> Option<(Span, String)> {
    let schema = terms.schema?;
    let mut values = Scratch::new(terms.values);
    case.named.iter().find_map(|(named, span)| {
        let entity = values.entity(&named.kind, &named.id);
        let View::Entity(kind, _) = values.view(entity) else { return None };
        let is_known = schema.entity_type(kind).is_some() || schema.action(entity).is_some();
        if is_known && schema.may_have(&values, entity) {
            return None;
        }
        Some((*span, check::meant::entity(entity, schema, &values, findings)?))
    })
}

fn list(ids: &BTreeSet<String>) -> String {
    if ids.is_empty() { "none".to_owned() } else { ids.iter().map(String::as_str).collect::<Vec<_>>().join(", ") }
}

/// Why a query does not have the rows expected, if it has not.
fn answered(terms: Terms<'_>, request: Option<&Request>, query: &Query, expected: &Expectation) -> Option<Failure> {
    let fail = |message: String| Some(Failure { message, span: expected.span, help: None });
    let (answers, values) = match request {
        Some(request) => match terms.query(request, query) {
            Ok(answers) => answers,
            Err(fault) => return fail(fault),
        },
        None => {
            let mut values = Scratch::new(terms.values);
            let nothing = [Value::UNKNOWN; 4];
            let mut solver = Solver::new(&mut values, terms.facts, nothing, limits::EXPLANATION_STEPS_MAX);
            match solver.query(query, limits::ANSWER_ROWS_MAX) {
                Ok(answers) => (answers, values),
                Err(_) => return fail("the query takes more steps, or has more rows, than it may".to_owned()),
            }
        }
    };
    if let Some(cause) = answers.undetermined {
        return fail(format!(
            "the query is undetermined: {}",
            crate::expr::Failure::Undetermined(cause).describe(&values)
        ));
    }
    let found: BTreeSet<Vec<Value>> = answers.rows.into_iter().collect();
    let show = |rows: &mut dyn Iterator<Item = &Vec<Value>>| {
        let row = |row: &Vec<Value>| row.iter().map(|value| values.show_briefly(*value)).collect::<Vec<_>>().join(", ");
        let mut rows: Vec<String> = rows.map(|cells| format!("({})", row(cells))).collect();
        rows.sort();
        rows.join(" ")
    };
    let (missing, extra) = (show(&mut expected.rows.difference(&found)), show(&mut found.difference(&expected.rows)));
    match (missing.is_empty(), extra.is_empty()) {
        (true, true) => None,
        (false, true) => fail(format!("missing rows: {missing}")),
        (true, false) => fail(format!("rows not expected: {extra}")),
        (false, false) => fail(format!("missing rows: {missing}; rows not expected: {extra}")),
    }
}

fn told(why: &Why, determining: &BTreeSet<String>) -> String {
    let ids = list(determining);
    match why {
        Why::AllowedBy(_) => format!("allowed by {ids}"),
        Why::ForbiddenBy(_) => format!("forbidden by {ids}"),
        Why::NotPermitted => "no policy permits it".to_owned(),
        Why::Error(fault) => fault.clone(),
    }
}
