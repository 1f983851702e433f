//! From sources to a program: the whole pipeline on one page.
//!
//! ```text
//!   files ─▶ sections ─▶ schema ─▶ policies, entities ─▶ compiled ─▶ Program
//!                 └────────┴──────────────┴─────────────────┴──▶ findings
//! ```
//!
//! Pure: the same sources give the same program or the same findings. One error, and there is no program.

mod cases;
mod difference;

use std::{collections::BTreeMap, fmt, sync::Arc, thread};

use crate::{
    base::{File, FileId, Kind, Pool, Sources, Span, Values, Version, View, limits},
    check::{self, CheckedEntity, policies::Origin},
    decide::Terms,
    diag::{Code, Finding, Findings, Report, Severity},
    facts::{FactView, Hierarchy, HierarchyFault},
    policy::{self, PolicySet},
    schema::{self, Schema},
    syntax::{
        self, Node, Section, SectionKind, Shape,
        cedar::{Piece, too_high},
        container,
        height::{self, Notation},
    },
};

pub use cases::TestResult;
pub use difference::{Change, FileChange, not_in_force};

/// How a program is built.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What an error of Cedar's validator is. A refusal, unless somebody wants to run policies that do not validate, as
    /// Cedar's own authorizer would.
    pub invalid_policy: Severity,
    /// What a failing test is. A refusal, unless somebody wants the results of all tests.
    pub failing_test: Severity,
}

impl Default for Options {
    fn default() -> Self {
        Self { invalid_policy: Severity::Error, failing_test: Severity::Error }
    }
}

/// Why there is no program.
#[derive(Debug)]
pub enum BuildError {
    /// The text is refused; the report holds at least one error. The same text will be refused again.
    Refused(Report),
    /// The system gave no thread to build on. That says nothing about the text.
    NoThread(std::io::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(report) => report.fmt(f),
            Self::NoThread(_) => f.write_str("there is no thread to build on"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(_) => None,
            Self::NoThread(error) => Some(error),
        }
    }
}

/// A compiled version of a ruleset.
#[derive(Debug)]
pub struct Program {
    sources: Arc<Sources>,
    schema: Option<Schema>,
    policies: PolicySet,
    facts: Arc<FactView>,
    action_type: String,
    tests: Vec<TestResult>,
    warnings: Report,
}

impl Program {
    /// Builds a program from the whole of its sources.
    ///
    /// # Errors
    ///
    /// Every reason why there is none, or that the build could not be carried out.
    pub fn build(sources: impl Into<Arc<Sources>>, options: Options) -> Result<Self, BuildError> {
        let sources = sources.into();
        // Cedar's parser and validator recurse; what they may need depends on limits of ours, not on the caller's stack.
        let built = thread::scope(|scope| {
            let builder = thread::Builder::new().name("rune-build".to_owned()).stack_size(limits::BUILD_STACK_BYTES);
            let built = builder.spawn_scoped(scope, || Build::new(&sources, options).run());
            built.map(thread::ScopedJoinHandle::join).map_err(BuildError::NoThread)
        })?;
        built
            .unwrap_or_else(|_| {
                let mut findings = Findings::default();
                let finding = Finding::new(Code::BuildFailed, Span::NOWHERE, "the build panicked");
                findings.push(finding.help("this is a fault of RUNE: please report it"));
                Err(findings.into_report(sources))
            })
            .map_err(BuildError::Refused)
    }

    /// The text that the program was built from.
    #[must_use]
    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// The digest of the sources.
    #[must_use]
    pub fn version(&self) -> Version {
        self.sources.version()
    }

    /// The types, if the ruleset has a schema.
    #[must_use]
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// The policies.
    #[must_use]
    pub fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// The facts that stand in the sources.
    #[must_use]
    pub fn facts(&self) -> &Arc<FactView> {
        &self.facts
    }

    /// The type of actions: the one that all actions of the schema have, else `Action`.
    #[must_use]
    pub fn action_type(&self) -> &str {
        &self.action_type
    }

    /// What a request is decided by, as far as it stands in the sources.
    #[must_use]
    pub fn terms(&self) -> Terms<'_> {
        let Self { schema, action_type, policies, facts, .. } = self;
        Terms { schema: schema.as_ref(), action_type, policies, facts }
    }

    /// What came of the tests, in the order of their places.
    #[must_use]
    pub fn tests(&self) -> &[TestResult] {
        &self.tests
    }

    /// What is odd about the sources, without being wrong.
    #[must_use]
    pub fn warnings(&self) -> &Report {
        &self.warnings
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n_files, n_policies) = (self.sources.len(), self.policies.len());
        let files = if n_files == 1 { "file" } else { "files" };
        let policies = if n_policies == 1 { "policy" } else { "policies" };
        let n_entities = self.facts.n_entities();
        let entities = if n_entities == 1 { "entity" } else { "entities" };
        write!(f, "{n_files} {files}, {n_policies} {policies}, {n_entities} {entities}")
    }
}

/// One build: what has been read so far, and what was wrong with it.
struct Build<'s> {
    sources: &'s Arc<Sources>,
    options: Options,
    findings: Findings,
    schemas: Vec<Piece>,
    policies: Vec<(Piece, Origin)>,
    entity_tables: Vec<(FileId, Node)>,
    entity_lists: Vec<(FileId, Node)>,
    links: Vec<(FileId, Node)>,
    tests: Vec<cases::Written>,
    test_names: BTreeMap<String, Span>,
}

impl<'s> Build<'s> {
    fn new(sources: &'s Arc<Sources>, options: Options) -> Self {
        Self {
            sources,
            options,
            findings: Findings::default(),
            schemas: Vec::new(),
            policies: Vec::new(),
            entity_tables: Vec::new(),
            entity_lists: Vec::new(),
            links: Vec::new(),
            tests: Vec::new(),
            test_names: BTreeMap::new(),
        }
    }

    fn run(mut self) -> Result<Program, Report> {
        self.read();
        let mut values = Pool::default();
        let cedar = schema::read(&self.schemas, &mut values, &mut self.findings);
        let has_schema = !self.schemas.is_empty();
        if has_schema && cedar.is_none() {
            // Everything else would be a consequence.
            return Err(self.findings.into_report(self.sources.clone()));
        }
        let Self { sources, options, mut findings, policies, entity_tables, entity_lists, links, tests, .. } = self;
        let found = &mut findings;
        let checked = check::policies::check(sources, &policies, &links, cedar.as_ref(), options.invalid_policy, found);
        let schema = cedar.map(|cedar| cedar.schema);
        let entities = check::entities::check(&entity_tables, &entity_lists, schema.as_ref(), &mut values, found);
        let policies = policy::lower(&checked, &mut values, found);
        let action_type = action_type(schema.as_ref(), &values);
        let hierarchy = match Hierarchy::of(&mut values, &entities) {
            Ok(hierarchy) => hierarchy,
            Err(fault) => {
                findings.push(hierarchy_finding(&fault, &entities, &values));
                return Err(findings.into_report(sources.clone()));
            }
        };
        let cases: Vec<_> = tests
            .iter()
            .filter_map(|test| cases::read(test, &entities, schema.as_ref(), &mut values, &mut findings))
            .collect();
        let values = Arc::new(values);
        let facts = FactView::new(values.clone(), &entities, hierarchy);
        let terms = Terms { schema: schema.as_ref(), action_type: &action_type, policies: &policies, facts: &facts };
        // What is wrong already would fail the tests too.
        let has_error = findings.has_error();
        let cases = cases.into_iter().filter(|_| !has_error);
        let tests = cases.map(|case| cases::run(case, terms, &values, options.failing_test, &mut findings)).collect();
        if !findings.has_error() {
            note_what_is_missing(has_schema, &policies, sources, &mut findings);
        }
        let has_error = findings.has_error();
        let warnings = findings.into_report(sources.clone());
        if has_error {
            return Err(warnings);
        }
        let (sources, facts) = (sources.clone(), Arc::new(facts));
        Ok(Program { sources, schema, policies, facts, action_type, tests, warnings })
    }

    /// Reads each file as what it is.
    fn read(&mut self) {
        if self.sources.is_empty() {
            let finding = Finding::new(Code::NoSources, Span::NOWHERE, "there is no source file");
            self.findings
                .push(finding.help("sources are *.rune, *.cedar, *.cedarschema, *.entities.json and *.links.json"));
        }
        let sources = self.sources.clone();
        for (id, file) in sources.files() {
            if let Some(text) = self.text(id, file) {
                self.file(id, file, text);
            }
        }
    }

    fn text<'f>(&mut self, id: FileId, file: &'f File) -> Option<&'f str> {
        if limits::FILE_BYTES_MAX < file.bytes.len() {
            let message = format!("the file has {} bytes, more than {}", file.bytes.len(), limits::FILE_BYTES_MAX);
            let finding = Finding::new(Code::FileTooLarge, Span::new(id, 0..0), message);
            self.findings.push(finding.help("split it into several files"));
            return None;
        }
        let is_blank = |c: char| c.is_whitespace() || c == '\u{feff}';
        if file.text().len() == file.bytes.len() && file.text().trim_matches(is_blank).is_empty() {
            let finding = Finding::new(Code::EmptyFile, Span::new(id, 0..0), "the file is empty");
            self.findings.push(finding.help("delete it, or say in a comment that nothing is meant to be here"));
            return None;
        }
        match std::str::from_utf8(&file.bytes) {
            Ok(text) => match lone_carriage_return(text) {
                None => Some(text),
                Some(at) => {
                    let message = "a carriage return without a line feed";
                    let finding = Finding::new(Code::LoneCarriageReturn, Span::new(id, at..at + 1), message);
                    self.findings.push(finding.help("end lines with a line feed, or with both"));
                    None
                }
            },
            Err(error) => {
                let at = error.valid_up_to();
                let finding =
                    Finding::new(Code::NotUtf8, Span::new(id, at..at), "from here on the file is not UTF-8 text");
                self.findings.push(finding.help("save it as UTF-8"));
                None
            }
        }
    }

    fn file(&mut self, id: FileId, file: &File, text: &str) {
        // A byte order mark is not text; blanks in its place keep every other byte where it was.
        let plain = || match text.strip_prefix('\u{feff}') {
            Some(rest) => format!("   {rest}"),
            None => text.to_owned(),
        };
        match Kind::of(&file.path) {
            Some(Kind::Rune) => self.rune(id, text),
            Some(Kind::Cedar) => self.policies.push((Piece { file: id, start: 0, text: plain() }, Origin::Cedar)),
            Some(Kind::CedarSchema) => self.schemas.push(Piece { file: id, start: 0, text: plain() }),
            Some(Kind::EntitiesJson) => {
                let node = self.json(id, &plain());
                self.entity_lists.extend(node.map(|node| (id, node)));
            }
            Some(Kind::LinksJson) => {
                let node = self.json(id, &plain());
                self.links.extend(node.map(|node| (id, node)));
            }
            Some(Kind::Misnamed) => {
                let finding = Finding::new(Code::MisnamedFile, Span::new(id, 0..0), "this file is not read");
                self.findings.push(
                    finding.help("name it as in `people.entities.json`, `a.links.json`, `a.cedar`, in lower case"),
                );
            }
            Some(Kind::Unsupported) | None => {
                let message = "RUNE does not read this notation of Cedar's";
                let finding = Finding::new(Code::UnsupportedFormat, Span::new(id, 0..0), message);
                self.findings.push(
                    finding
                        .help("write it in Cedar's own notation: `cedar translate-schema`, `cedar translate-policy`"),
                );
            }
        }
    }

    fn json(&mut self, id: FileId, text: &str) -> Option<Node> {
        match syntax::json::parse_with_places(text) {
            Ok(node) => Some(node),
            Err(error) => {
                self.findings.push(Finding::new(Code::JsonSyntax, Span::new(id, error.span), error.message));
                None
            }
        }
    }

    fn rune(&mut self, id: FileId, text: &str) {
        for section in container::parse(id, text, &mut self.findings) {
            let piece = |text: String| Piece { file: id, start: section.body.start, text };
            match section.kind {
                SectionKind::Schema => self.schemas.push(piece(section.cedar_text(text))),
                SectionKind::Policies => self.policies.push((piece(section.cedar_text(text)), Origin::Rune)),
                SectionKind::Entities => {
                    let body = text.get(section.body.clone()).unwrap_or_default();
                    let node = self.toml(id, section.body.start, body);
                    self.entity_tables.extend(node.map(|node| (id, node)));
                }
                SectionKind::Test => {
                    let body = text.get(section.body.clone()).unwrap_or_default();
                    if let Some(body) = self.toml(id, section.body.start, body) {
                        self.test(id, section, body);
                    }
                }
                SectionKind::Data | SectionKind::Rules | SectionKind::Flag | SectionKind::Migrate => {
                    let message = format!("`{}` sections are not supported yet", section.kind.name());
                    let finding = Finding::new(Code::NotSupportedYet, Span::new(id, section.header), message);
                    self.findings
                        .push(finding.help("take the section out: a part that is not carried out must not seem to be"));
                }
            }
        }
    }

    fn test(&mut self, file: FileId, section: Section, body: Node) {
        let place = Span::new(file, section.header.clone());
        if let Some(other) = self.test_names.insert(section.argument.clone(), place) {
            let message = format!("there is another test of the name \"{}\"", section.argument);
            self.findings.push(Finding::new(Code::DuplicateTest, place, message).related(other, "the other test"));
        }
        self.tests.push(cases::Written { name: section.argument, file, header: section.header, body });
    }

    /// A TOML section, its places counted from the start of the file.
    fn toml(&mut self, id: FileId, start: usize, body: &str) -> Option<Node> {
        if let Err(excess) = height::measure(body, Notation::Toml) {
            self.findings.push(too_high(excess, Span::new(id, start + excess.at..start + excess.at + 1)));
            return None;
        }
        match syntax::toml::parse(body) {
            Ok(mut node) => {
                move_by(&mut node, start);
                Some(node)
            }
            Err(errors) => {
                for error in errors {
                    let span = Span::new(id, start + error.span.start..start + error.span.end);
                    self.findings.push(Finding::new(Code::TomlSyntax, span, error.message));
                }
                None
            }
        }
    }
}

fn hierarchy_finding(fault: &HierarchyFault, entities: &[CheckedEntity], values: &Pool) -> Finding {
    let span = |uid| entities.iter().find(|entity| entity.uid == uid).and_then(|entity| entity.span);
    match fault {
        HierarchyFault::Cycle(members) => {
            let first = members.first().copied();
            let chain: Vec<_> = members.iter().chain(first.as_ref()).map(|member| values.show(*member)).collect();
            let message = format!("an entity is in itself: {}", chain.join(" in "));
            Finding::new(Code::EntityCycle, first.and_then(span).unwrap_or(Span::NOWHERE), message)
        }
        HierarchyFault::TooLarge(entity) => {
            let message = format!("the entities have more than {} ancestors in all", limits::ANCESTORS_MAX);
            let finding = Finding::new(Code::HierarchyTooLarge, span(*entity).unwrap_or(Span::NOWHERE), message);
            finding.help("make the hierarchy flatter: each entity is stored with all that it is below")
        }
    }
}

/// What a ruleset may do without, and probably should not.
fn note_what_is_missing(has_schema: bool, policies: &PolicySet, sources: &Sources, findings: &mut Findings) {
    let place = sources.files().next().map_or(Span::NOWHERE, |(file, _)| Span::new(file, 0..0));
    if !has_schema {
        let finding = Finding::new(Code::NoSchema, place, "there is no schema, so nothing is checked against one");
        findings.push(finding.help("add a `[schema]` section or a `*.cedarschema` file"));
    }
    if policies.is_empty() {
        findings.push(Finding::new(Code::NoPolicies, place, "there is no policy, so every request is denied"));
    }
}

/// Some of the parsers end a comment at a carriage return and some do not, so that it must not stand alone.
fn lone_carriage_return(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_lone = |(at, byte): &(usize, &u8)| **byte == b'\r' && bytes.get(at + 1) != Some(&b'\n');
    bytes.iter().enumerate().find(is_lone).map(|(at, _)| at)
}

fn move_by(node: &mut Node, offset: usize) {
    let moved = |span: &std::ops::Range<usize>| span.start + offset..span.end + offset;
    node.span = moved(&node.span);
    match &mut node.shape {
        Shape::List(nodes) => nodes.iter_mut().for_each(|node| move_by(node, offset)),
        Shape::Table(members) => {
            for (key, node) in members {
                key.span = moved(&key.span);
                move_by(node, offset);
            }
        }
        _ => {}
    }
}

fn action_type(schema: Option<&Schema>, values: &Pool) -> String {
    let mut types = schema.into_iter().flat_map(Schema::actions).filter_map(|(action, _)| match values.view(action) {
        View::Entity(kind, _) => Some(values.name(kind)),
        _ => None,
    });
    match types.next() {
        Some(first) if types.all(|other| other == first) => first.to_owned(),
        _ => "Action".to_owned(),
    }
}
