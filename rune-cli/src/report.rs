//! Findings for people, with the marked source line, and for machines.

use std::path::Path;

use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet};
use anyhow::Result;
use rune_core::{BuildError, Finding, Options, Program, Report, Severity, Sources, Span};
use serde_json::{Value as Json, json};

use crate::{
    dir,
    output::{Output, printable},
};

/// The program that a folder is; of one that is refused, the findings are told and there is none.
pub(crate) fn program(dir: &Path, options: Options, output: Output) -> Result<Option<Program>> {
    match Program::build(dir::read(dir)?, options) {
        Ok(program) => Ok(Some(program)),
        Err(BuildError::Refused(refusal)) => {
            refused("the ruleset", &refusal, output);
            Ok(None)
        }
        Err(error @ BuildError::NoThread(_)) => Err(error.into()),
    }
}

/// Tells why there is nothing to say more about.
pub(crate) fn refused(what: &str, refusal: &Report, output: Output) {
    output.note(&text(refusal, output.has_colour()));
    output.json(|| refusal_json(what, refusal));
}

/// Why there is nothing to say more about, for machines.
pub(crate) fn refusal_json(what: &str, refusal: &Report) -> Json {
    json!({
        "error": format!("{what} is refused"),
        "findings": json(refusal),
        "findings_beyond": refusal.n_beyond,
    })
}

/// Why there is no result, in the look of a finding.
#[must_use]
pub(crate) fn error(message: &str, has_colour: bool) -> String {
    alone(Level::ERROR, message, has_colour)
}

/// What a result leaves open, in the look of a finding.
#[must_use]
pub(crate) fn warning(message: &str, has_colour: bool) -> String {
    alone(Level::WARNING, message, has_colour)
}

fn alone(level: Level<'static>, message: &str, has_colour: bool) -> String {
    let title = level.primary_title(printable(message));
    renderer(has_colour).render(&[title.elements(Vec::<Snippet<'_, Annotation<'_>>>::new())])
}

fn renderer(has_colour: bool) -> Renderer {
    if has_colour { Renderer::styled() } else { Renderer::plain() }
}

/// The findings as the Rust compiler shows them.
#[must_use]
pub fn text(report: &Report, has_colour: bool) -> String {
    let renderer = renderer(has_colour);
    let mut shown: Vec<String> = report.findings.iter().map(|finding| show(&renderer, report, finding)).collect();
    if 0 < report.n_beyond {
        shown.push(format!("and {} more", report.n_beyond));
    }
    shown.join("\n\n")
}

fn show(renderer: &Renderer, report: &Report, finding: &Finding) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level
        .primary_title(printable(&finding.message))
        .id(finding.code.as_str())
        .elements(Vec::<Snippet<'_, Annotation<'_>>>::new());
    if let Some(snippet) = snippet(&report.sources, finding.span, AnnotationKind::Primary, None) {
        group = group.element(snippet);
    }
    for (span, label) in &finding.related {
        if let Some(snippet) = snippet(&report.sources, *span, AnnotationKind::Context, Some(label)) {
            group = group.element(snippet);
        }
    }
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(printable(help)));
    }
    renderer.render(&[group])
}

fn snippet<'s>(
    sources: &'s Sources,
    span: Span,
    kind: AnnotationKind,
    label: Option<&'s str>,
) -> Option<Snippet<'s, Annotation<'s>>> {
    let file = sources.file(span.file)?;
    let text = file.text();
    let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let (start, end) = (boundary(span.range().start), boundary(span.range().end));
    // Of the text only the lines that are shown: the renderer looks at all that it gets, once for each finding.
    let (before, after) = (text.get(..start)?, text.get(end..)?);
    let first = before.rfind('\n').map_or(0, |at| at + 1);
    let last = end + after.find('\n').unwrap_or(after.len());
    let annotation = kind.span(start - first..end - first).label(label.map(printable));
    let snippet = Snippet::source(text.get(first..last)?).line_start(sources.place(span).line);
    Some(snippet.path(printable(&file.path)).annotation(annotation))
}

/// The findings as a list: `[{ code, severity, message, help, path, line, column, end_line, end_column, related }]`.
#[must_use]
pub fn json(report: &Report) -> Json {
    report.findings.iter().map(|finding| finding_json(report, finding)).collect()
}

fn finding_json(report: &Report, finding: &Finding) -> Json {
    let mut json = place(&report.sources, finding.span);
    let related = finding.related.iter().map(|(span, label)| {
        let mut related = place(&report.sources, *span);
        insert(&mut related, "message", json!(label));
        related
    });
    let related: Vec<_> = related.collect();
    insert(&mut json, "code", json!(finding.code.as_str()));
    insert(&mut json, "severity", json!(finding.severity.to_string()));
    insert(&mut json, "message", json!(finding.message));
    if let Some(help) = &finding.help {
        insert(&mut json, "help", json!(help));
    }
    if !related.is_empty() {
        insert(&mut json, "related", Json::Array(related));
    }
    json
}

fn place(sources: &Sources, span: Span) -> Json {
    let Some(file) = sources.file(span.file) else { return json!({}) };
    let (start, end) = (sources.place(span), sources.place(span.part(span.range().len()..span.range().len())));
    json!({
        "path": &*file.path,
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
    })
}

fn insert(json: &mut Json, key: &str, value: Json) {
    if let Json::Object(members) = json {
        members.insert(key.to_owned(), value);
    }
}
