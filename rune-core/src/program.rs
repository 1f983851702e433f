//! From sources to a program: the whole pipeline on one page.
//!
//! ```text
//!   files ─▶ sections ─▶ schema ─▶ policies, entities ─▶ compiled ─▶ Program
//!                 └────────┴──────────────┴─────────────────┴──▶ findings
//! ```
//!
//! Pure: the same sources give the same program or the same findings. One error, and there is no program.

use std::{fmt, sync::Arc, thread};

use crate::{
    base::{File, FileId, Kind, Pool, Sources, Span, Values, Version, View, limits},
    check::{self, policies::Origin},
    diag::{Code, Finding, Findings, Report, Severity},
    facts::{Cycle, FactView},
    policy::{self, PolicySet},
    schema::{self, Schema},
    syntax::{
        self, Node, SectionKind, Shape,
        cedar::{Piece, too_high},
        container,
        height::{self, Notation},
    },
};

/// How a program is built.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What an error of Cedar's validator is. A refusal, unless somebody wants to run policies that do not validate, as
    /// Cedar's own authorizer would.
    pub invalid_policy: Severity,
}

impl Default for Options {
    fn default() -> Self {
        Self { invalid_policy: Severity::Error }
    }
}

/// A compiled version of a ruleset.
#[derive(Debug)]
pub struct Program {
    sources: Arc<Sources>,
    schema: Option<Schema>,
    policies: PolicySet,
    facts: FactView,
    action_type: String,
    warnings: Report,
}

impl Program {
    /// Builds a program from the whole of its sources.
    ///
    /// # Errors
    ///
    /// Every reason why there is none: the report holds at least one error.
    pub fn build(sources: impl Into<Arc<Sources>>, options: Options) -> Result<Self, Report> {
        let sources = sources.into();
        // Cedar's parser and validator recurse; what they may need depends on limits of ours, not on the caller's stack.
        let result = thread::scope(|scope| {
            let builder = thread::Builder::new().name("rune-build".to_owned()).stack_size(limits::BUILD_STACK_BYTES);
            let built = builder.spawn_scoped(scope, || Build::new(&sources, options).run());
            built.map_err(|error| error.to_string())?.join().map_err(|_| "the build panicked".to_owned())
        });
        match result {
            Ok(built) => built,
            Err(why) => {
                let mut findings = Findings::default();
                findings.push(
                    Finding::new(Code::BuildFailed, Span::NOWHERE, why)
                        .help("this is a fault of RUNE: please report it"),
                );
                Err(findings.into_report(sources))
            }
        }
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
    pub fn facts(&self) -> &FactView {
        &self.facts
    }

    /// The type of actions: the one that all actions of the schema have, else `Action`.
    #[must_use]
    pub fn action_type(&self) -> &str {
        &self.action_type
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
        let Self { sources, options, mut findings, policies, entity_tables, entity_lists, links, .. } = self;
        let found = &mut findings;
        let checked = check::policies::check(sources, &policies, &links, cedar.as_ref(), options.invalid_policy, found);
        let schema = cedar.map(|cedar| cedar.schema);
        let entities = check::entities::check(&entity_tables, &entity_lists, schema.as_ref(), &mut values, found);
        let policies = policy::lower(&checked, &mut values, found);
        let action_type = action_type(schema.as_ref(), &values);
        let facts = match FactView::build(values, &entities) {
            Ok(facts) => facts,
            Err((values, Cycle(members))) => {
                let first = members.first().copied();
                let span = entities.iter().find(|entity| Some(entity.uid) == first).and_then(|entity| entity.span);
                let chain: Vec<_> = members.iter().chain(first.as_ref()).map(|member| values.show(*member)).collect();
                let message = format!("an entity is in itself: {}", chain.join(" in "));
                findings.push(Finding::new(Code::EntityCycle, span.unwrap_or(Span::NOWHERE), message));
                return Err(findings.into_report(sources.clone()));
            }
        };
        if !findings.has_error() {
            note_what_is_missing(has_schema, &policies, sources, &mut findings);
        }
        let has_error = findings.has_error();
        let warnings = findings.into_report(sources.clone());
        if has_error {
            return Err(warnings);
        }
        Ok(Program { sources: sources.clone(), schema, policies, facts, action_type, warnings })
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
        if file.bytes.trim_ascii().is_empty() {
            let finding = Finding::new(Code::EmptyFile, Span::new(id, 0..0), "the file is empty");
            self.findings.push(finding.help("delete it, or say in a comment that nothing is meant to be here"));
            return None;
        }
        match std::str::from_utf8(&file.bytes) {
            Ok(text) => Some(text),
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
        match syntax::json::parse(text) {
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
                SectionKind::Data
                | SectionKind::Rules
                | SectionKind::Test
                | SectionKind::Flag
                | SectionKind::Migrate => {
                    let message = format!("`{}` sections are not supported yet", section.kind.name());
                    let finding = Finding::new(Code::NotSupportedYet, Span::new(id, section.header), message);
                    self.findings
                        .push(finding.help("take the section out: a part that is not carried out must not seem to be"));
                }
            }
        }
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

/// How a file of a refused version differs from the version that is served instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Only the refused version has it.
    Added,
    /// Both have it.
    Changed,
    /// Only the served version has it.
    Removed,
}

/// A file of a refused version that is not in force as it now stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The file.
    pub path: Arc<str>,
    /// What happened to it.
    pub change: Change,
    /// The served policies from this file that its text no longer has as they stand: removed or rewritten, and in force.
    pub still_in_force: Vec<Arc<str>>,
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match self.change {
            Change::Added => "added",
            Change::Changed => "changed",
            Change::Removed => "removed",
        };
        write!(f, "{} {change}", self.path)?;
        if !self.still_in_force.is_empty() {
            write!(f, " (policies still in force: {})", self.still_in_force.join(", "))?;
        }
        Ok(())
    }
}

/// What the sources `wanted` say and `served` does not do. Compares text, since what is wanted may not even parse.
#[must_use]
pub fn not_in_force(served: &Program, wanted: &Sources) -> Vec<FileChange> {
    let mut changes = Vec::new();
    for (id, file) in served.sources.files() {
        let now = wanted.find(&file.path);
        if now.is_some_and(|now| now.bytes == file.bytes) {
            continue;
        }
        let text = now.map_or("", File::text);
        let is_gone = |policy: &&policy::Policy| {
            let statement = file.text().get(policy.span.range()).unwrap_or_default();
            policy.span.file == id && !text.contains(statement)
        };
        changes.push(FileChange {
            path: file.path.clone(),
            change: if now.is_some() { Change::Changed } else { Change::Removed },
            still_in_force: served.policies.iter().filter(is_gone).map(|policy| policy.id.clone()).collect(),
        });
    }
    for (_, file) in wanted.files().filter(|(_, file)| served.sources.find(&file.path).is_none()) {
        changes.push(FileChange { path: file.path.clone(), change: Change::Added, still_in_force: Vec::new() });
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}
