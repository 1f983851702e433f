//! What must hold of any text, for each way in.
//!
//! Nothing here reads a file or a clock: `fuzz/` gives the same checks to libFuzzer.

use std::{ops::Range, sync::Arc};

use rune_core::{
    BuildError, Engine, EntityRef, File, Options, Program, Report, Request, Severity, Sources,
    base::{FileId, Threads},
    diag::{Code, Findings},
    syntax::{
        Node, Shape,
        cedar::Piece,
        container,
        csv::{Records, Separator},
        format::{Form, FormatError, format},
        height, json, rules, toml,
    },
};

/// A way in for text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The container of `.rune` files.
    Container,
    /// The clauses of `[rules]`.
    Rules,
    /// Goals and lone expressions.
    Expressions,
    /// TOML sections.
    Toml,
    /// CSV and TSV.
    Rows,
    /// JSON, with places and without.
    Json,
    /// Cedar policies, and Cedar schemas.
    Cedar,
    /// `rune fmt`.
    Layout,
    /// Whole rulesets, several files in one text, and decisions by them.
    Program,
    /// Bodies of AuthZEN requests.
    Evaluation,
}

impl Target {
    pub const ALL: [Self; 10] = [
        Self::Container,
        Self::Rules,
        Self::Expressions,
        Self::Toml,
        Self::Rows,
        Self::Json,
        Self::Cedar,
        Self::Layout,
        Self::Program,
        Self::Evaluation,
    ];

    /// Whether only builds do this, on the stack that they have; the others are done on the caller's.
    pub fn is_of_builds(self) -> bool {
        matches!(self, Self::Container | Self::Rules | Self::Expressions | Self::Toml)
    }
}

/// Begins a file in the one text that a ruleset is here: `=== a.rune`. What comes before the first is `a.rune`.
pub const FILE_MARK: &str = "=== ";

/// The file of a ruleset whose lines are requests: `User::"ada" Action::"read" Doc::"d" {}`.
pub const REQUESTS: &str = "requests";

/// Stands for a byte that is not UTF-8.
pub const NO_TEXT: char = '\u{ffff}';

/// Checks what must hold of a text, and returns whether it is taken, so that a fuzzer that only makes rubbish is noticed.
/// `Target::Evaluation` is checked over HTTP, elsewhere.
pub fn check(target: Target, text: &str) -> Result<bool, String> {
    match target {
        Target::Container => container(text),
        Target::Rules => clauses(text),
        Target::Expressions => expressions(text),
        Target::Toml => sections_of_toml(text),
        Target::Rows => Ok(rows(text, Separator::Comma)? | rows(text, Separator::Tab)?),
        Target::Json => both_ways_of_json(text),
        Target::Cedar => cedar(text),
        Target::Layout => layout(text),
        Target::Program => program(text),
        Target::Evaluation => Ok(json::parse(text).is_ok()),
    }
}

fn expect(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// The text as a file, and its id.
fn source(path: &str, text: &str) -> (Arc<Sources>, FileId) {
    let sources = Arc::new(Sources::single(path, text));
    let id = sources.files().next().map(|(id, _)| id);
    (sources, id.expect("there is one file"))
}

fn place_in(text: &str, range: &Range<usize>, what: &str) -> Result<(), String> {
    expect(text.get(range.clone()).is_some(), || format!("{what} at {range:?}, which is no part of the text"))
}

/// Findings of one input that are shown.
const SHOWN_MAX: usize = 5;

/// Every finding stands where text is, and can be shown.
fn report(report: &Report) -> Result<(), String> {
    for finding in &report.findings {
        expect(finding.code != Code::BuildFailed, || format!("{}: see the panic above", finding.message))?;
        let places = std::iter::once((finding.span, &finding.message));
        for (span, message) in places.chain(finding.related.iter().map(|(span, label)| (*span, label))) {
            if let Some(file) = report.sources.file(span.file) {
                place_in(file.text(), &span.range(), &format!("[{}] {message}", finding.code))?;
            }
        }
    }
    // What shows the first shows them all.
    let findings = report.findings.iter().take(SHOWN_MAX).cloned().collect();
    let first = Report { sources: report.sources.clone(), findings, n_beyond: report.n_beyond };
    let shown = [first.to_string(), rune_cli::report::text(&first, false), rune_cli::report::json(&first).to_string()];
    expect(shown.iter().all(|shown| first.findings.is_empty() || !shown.is_empty()), || "nothing is shown".to_owned())
}

/// What a parser says of a text, which must be the same when it is asked again.
fn read<T: PartialEq>(path: &str, text: &str, parse: impl Fn(FileId, &mut Findings) -> T) -> Result<(T, bool), String> {
    let (sources, id) = source(path, text);
    let mut findings = Findings::default();
    let tree = parse(id, &mut findings);
    let is_taken = !findings.has_error();
    let said = findings.into_report(sources.clone());
    report(&said)?;
    // Seldom, since it costs as much as everything else.
    if text.len().is_multiple_of(8) {
        let mut again = Findings::default();
        let is_same = parse(id, &mut again) == tree && again.into_report(sources).findings == said.findings;
        expect(is_same, || "the same text is read in two ways".to_owned())?;
    }
    Ok((tree, is_taken))
}

fn container(text: &str) -> Result<bool, String> {
    let (sections, is_taken) = read("a.rune", text, |id, findings| container::parse(id, text, findings))?;
    let mut at = 0;
    for section in &sections {
        place_in(text, &section.header, "a header")?;
        place_in(text, &section.body, "a body")?;
        expect(at <= section.header.start && section.header.end <= section.body.start, || {
            format!("the section at {:?} overlaps the one before", section.header)
        })?;
        at = section.body.end;
        let mut from = section.body.start;
        for comment in &section.comments {
            place_in(text, comment, "a comment")?;
            expect(from <= comment.start && comment.end <= at, || format!("a comment at {comment:?}"))?;
            from = comment.end;
        }
        for body in [section.cedar_text(text), section.text_without_comments(text)] {
            expect(body.len() == section.body.len(), || "blanked comments move the text".to_owned())?;
        }
    }
    Ok(is_taken)
}

fn clauses(text: &str) -> Result<bool, String> {
    let piece = |file| Piece { file, start: 0, text: text.to_owned() };
    let (clauses, is_taken) = read("a.rune", text, |id, findings| rules::parse(&piece(id), findings))?;
    let mut at = 0;
    for clause in &clauses {
        place_in(text, &clause.span, "a clause")?;
        expect(at <= clause.span.start, || format!("the clause at {:?} overlaps the one before", clause.span))?;
        at = clause.span.end;
    }
    Ok(is_taken && !clauses.is_empty())
}

fn expressions(text: &str) -> Result<bool, String> {
    let piece = |file| Piece { file, start: 0, text: text.to_owned() };
    let (goal, _) = read("a.rune", text, |id, findings| rules::parse_goal(&piece(id), findings))?;
    let (expr, _) = read("a.rune", text, |id, findings| rules::parse_expression(&piece(id), findings))?;
    goal.iter().flatten().try_for_each(|literal| place_in(text, &literal.span, "a literal"))?;
    expr.iter().try_for_each(|expr| place_in(text, &expr.span, "an expression"))?;
    Ok(goal.is_some() || expr.is_some())
}

fn sections_of_toml(text: &str) -> Result<bool, String> {
    if let Err(excess) = height::measure(text, height::Notation::Toml) {
        place_in(text, &(excess.at..excess.at), "an excess")?;
        return Ok(false);
    }
    match toml::parse(text) {
        Ok(node) => node_in(text, &node).map(|()| true),
        Err(errors) => {
            expect(!errors.is_empty(), || "refused without an error".to_owned())?;
            errors.iter().try_for_each(|error| place_in(text, &error.span, &error.message)).map(|()| false)
        }
    }
}

fn node_in(text: &str, node: &Node) -> Result<(), String> {
    place_in(text, &node.span, "a node")?;
    match &node.shape {
        Shape::List(nodes) => nodes.iter().try_for_each(|node| node_in(text, node)),
        Shape::Table(members) => members.iter().try_for_each(|(key, node)| {
            place_in(text, &key.span, "a key")?;
            node_in(text, node)
        }),
        _ => Ok(()),
    }
}

fn rows(text: &str, separator: Separator) -> Result<bool, String> {
    let mut at = 0;
    let mut n = 0;
    for record in Records::new(text, separator) {
        let fields = match record {
            Ok(fields) => fields,
            Err(error) => return place_in(text, &error.span, error.message).map(|()| false),
        };
        for field in &fields {
            place_in(text, &field.span, "a field")?;
            expect(at <= field.span.start, || format!("the field at {:?} overlaps the one before", field.span))?;
            at = field.span.end;
        }
        n += 1;
    }
    Ok(1 < n)
}

fn both_ways_of_json(text: &str) -> Result<bool, String> {
    let (plain, placed) = (json::parse(text), json::parse_with_places(text));
    match (plain, placed) {
        (Ok(plain), Ok(placed)) => {
            node_in(text, &placed)?;
            expect(is_alike(&plain, &placed), || format!("read in two ways: {plain:?} and {placed:?}"))?;
            Ok(true)
        }
        (Err(plain), Err(placed)) => {
            [plain, placed].iter().try_for_each(|error| place_in(text, &error.span, &error.message))?;
            Ok(false)
        }
        (plain, placed) => Err(format!("one way reads it and the other does not: {plain:?} and {placed:?}")),
    }
}

/// Whether two trees say the same, apart from places and from how a number is spelled that is no 64-bit integer.
fn is_alike(a: &Node, b: &Node) -> bool {
    match (&a.shape, &b.shape) {
        (Shape::Float(_), Shape::Float(_)) => true,
        (Shape::List(a), Shape::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_alike(a, b)),
        (Shape::Table(a), Shape::Table(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((of_a, a), (of_b, b))| of_a.name == of_b.name && is_alike(a, b))
        }
        (a, b) => a == b,
    }
}

/// Small enough that what counts for ever ends within the second.
const BOUNDS: Options = Options {
    // What does not validate runs all the same, and is then decided by.
    invalid_policy: Severity::Warning,
    failing_test: Severity::Warning,
    coverage: true,
    rows_max: 2_000,
    steps_max: 200_000,
    derive_all: false,
    threads: Threads::ONE,
};

fn built(sources: Sources) -> Result<Option<Program>, String> {
    match Program::build(sources, BOUNDS) {
        Ok(program) => {
            report(program.warnings())?;
            Ok(Some(program))
        }
        Err(BuildError::Refused(refusal)) => {
            report(&refusal)?;
            let has_error = refusal.findings.iter().any(|finding| finding.severity == Severity::Error);
            expect(has_error, || "refused without an error".to_owned())?;
            Ok(None)
        }
        Err(error @ BuildError::NoThread(_)) => panic!("{error}"),
    }
}

/// A text as policies, or as a schema if it begins as one may.
fn cedar(text: &str) -> Result<bool, String> {
    const WORDS: [&str; 5] = ["entity", "type", "action", "namespace", "@request"];
    let is_schema = WORDS.iter().any(|word| text.trim_start().starts_with(word));
    let path = if is_schema { "a.cedarschema" } else { "a.cedar" };
    Ok(built(Sources::single(path, text))?.is_some())
}

fn layout(text: &str) -> Result<bool, String> {
    let path = if text.contains("version") { "a.rune" } else { "a.cedar" };
    let (sources, id) = source(path, text);
    let form = Form::of(path).expect("it has a layout");
    let laid_out = match format(form, id, text) {
        Ok(layout) => layout,
        Err(FormatError::Refused(findings)) => {
            expect(findings.has_error(), || "refused without an error".to_owned())?;
            report(&findings.into_report(sources))?;
            return Ok(false);
        }
        Err(error) => return Err(error.to_string()),
    };
    match format(form, id, &laid_out) {
        Ok(again) if again == laid_out => {}
        Ok(again) => return Err(format!("the layout\n{laid_out}\nhas another layout\n{again}")),
        Err(error) => return Err(format!("the layout\n{laid_out}\nhas none: {error}")),
    }
    // Blanks, commas, quotes and escapes of a header, markers of comments and, for Cedar, zeros before a number come and go;
    // nothing else does.
    let characters = |text: &str| {
        let is_kept = |c: &char| !c.is_whitespace() && !",\"'#/\\\u{feff}0".contains(*c);
        let mut characters: Vec<char> = text.chars().filter(is_kept).collect();
        characters.sort_unstable();
        characters
    };
    // A control character in the name of a section is escaped, which adds digits; what it says is compared by the layout itself.
    let has_escapes = laid_out.lines().any(|line| line.starts_with('[') && line.contains("\\u"));
    expect(has_escapes || characters(&laid_out) == characters(text), || {
        format!("the layout has other characters:\n{laid_out}")
    })?;
    Ok(true)
}

/// The files that a text stands for.
pub fn files(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("a.rune".to_owned(), String::new())];
    for line in text.split_inclusive('\n') {
        match (line.strip_prefix(FILE_MARK), files.last_mut()) {
            (Some(path), _) => files.push((path.trim().to_owned(), String::new())),
            (None, Some((_, text))) => text.push_str(line),
            (None, None) => {}
        }
    }
    let is_there = |(path, text): &(String, String)| !(path == "a.rune" && text.is_empty());
    files.into_iter().filter(is_there).map(|(path, text)| (path, bytes(&text))).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for (at, part) in text.split(NO_TEXT).enumerate() {
        if 0 < at {
            bytes.push(0xFF);
        }
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

fn program(text: &str) -> Result<bool, String> {
    let (requests, files): (Vec<_>, Vec<_>) = files(text).into_iter().partition(|(path, _)| path == REQUESTS);
    let files = files.into_iter().map(|(path, bytes)| File::new(path, bytes)).collect();
    let Some(program) = built(Sources::new(files))? else { return Ok(false) };
    let engine = Engine::new(program);
    let ask = |line: &str| request(line).map_or(Ok(()), |request| asked(&engine, &request));
    requests.iter().flat_map(|(_, text)| std::str::from_utf8(text).unwrap_or_default().lines()).try_for_each(ask)?;
    ask("User::\"ada\" Action::\"read\" Document::\"plan\" {}")?;
    Ok(true)
}

/// A request as the specification writes it.
fn request(line: &str) -> Option<Request> {
    let at = line.find(" {").unwrap_or(line.len());
    let (entities, context) = line.split_at(at);
    let mut parts = entities.split(' ').map(|part| part.parse::<EntityRef>().ok());
    let mut part = || parts.next().flatten();
    let request = Request::new(part()?, part()?, part()?);
    request.with_context_json(if context.is_empty() { "{}" } else { context }).ok()
}

fn asked(engine: &Engine, request: &Request) -> Result<(), String> {
    let (decision, explanation) = (engine.decide(request), engine.explain(request));
    expect(decision == explanation.decision, || {
        format!("decided {decision:?}, and explained {:?}", explanation.decision)
    })
}
