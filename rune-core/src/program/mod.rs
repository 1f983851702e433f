//! From sources to a program: the whole pipeline on one page.
//!
//! ```text
//!   files ─▶ sections ─▶ schema ─▶ policies, entities ─▶ compiled ─▶ Program
//!                 └────────┴──────────────┴─────────────────┴──▶ findings
//! ```
//!
//! Pure: the same sources give the same program or the same findings. One error, and there is no program.

mod cases;
mod counts;
mod difference;
mod load;
mod read;
mod unread;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    thread,
};

use crate::{
    base::{FileId, Pool, Sources, Span, Threads, Values, Version, View, limits},
    check::{
        self, CheckedEntity,
        rules::{CheckedRules, FactList, Names, RuleTexts, attributes},
    },
    datalog::{Bounds, DatalogEngine, Demand, QueryPlan},
    decide::Terms,
    diag::{Code, Finding, Findings, Report, Severity},
    facts::{FactView, Facts},
    policy::{self, PolicySet},
    schema::{self, CedarSchema, Schema},
};

use load::Given;
use read::Texts;

pub use cases::{ClauseCoverage, TestResult};
pub use counts::Counts;
pub use difference::{Change, FileChange, not_in_force};

/// How a program is built.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What an error of Cedar's validator is. A refusal, unless somebody wants to run policies that do not validate, as
    /// Cedar's own authorizer would.
    pub invalid_policy: Severity,
    /// What a failing test is. A refusal, unless somebody wants the results of all tests.
    pub failing_test: Severity,
    /// Whether tests note which clauses they show to matter.
    pub coverage: bool,
    /// How many rows there may be, given and derived.
    pub rows_max: u64,
    /// How many steps deriving may take.
    pub steps_max: u64,
    /// Whether all that follows is derived when the program is built, and nothing when it is asked for: as if every relation were
    /// declared `@materialize`.
    pub derive_all: bool,
    /// How many threads may derive at once what follows from large relations, half as many if another version is served meanwhile.
    /// What is derived, its order and its limits do not depend on it.
    pub threads: Threads,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            invalid_policy: Severity::Error,
            failing_test: Severity::Error,
            coverage: false,
            rows_max: limits::ROWS_MAX,
            steps_max: limits::DERIVATION_STEPS_MAX,
            derive_all: false,
            threads: Threads::available(),
        }
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
    rules: DatalogEngine,
    demand: Demand,
    /// The relations as they were checked, for questions.
    relations: CheckedRules,
    facts: Arc<FactView>,
    action_type: String,
    tests: Vec<TestResult>,
    coverage: Vec<ClauseCoverage>,
    warnings: Report,
    /// The schema with derived attributes, in Cedar's JSON form.
    fragments: Vec<serde_json::Value>,
}

impl Program {
    /// Builds a program from the whole of its sources.
    ///
    /// # Errors
    ///
    /// Every reason why there is none, or that the build could not be carried out.
    pub fn build(sources: impl Into<Arc<Sources>>, options: Options) -> Result<Self, BuildError> {
        Self::build_over(None, sources.into(), options)
    }

    /// Builds the program that is to take the place of this one. It is the same as [`Self::build`] makes of these sources; but where
    /// there are live facts, `Engine::swap` has less to do, since what both programs name has one id in both.
    ///
    /// # Errors
    ///
    /// Those of [`Self::build`].
    pub fn build_next(&self, sources: impl Into<Arc<Sources>>, options: Options) -> Result<Self, BuildError> {
        Self::build_over(Some(self), sources.into(), options)
    }

    fn build_over(before: Option<&Self>, sources: Arc<Sources>, options: Options) -> Result<Self, BuildError> {
        // Cedar's parser and validator recurse; what they may need depends on limits of ours, not on the caller's stack.
        let built = thread::scope(|scope| {
            let builder = thread::Builder::new().name("rune-build".to_owned()).stack_size(limits::BUILD_STACK_BYTES);
            let built = builder.spawn_scoped(scope, || build(before, &sources, options));
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

    /// What is not derived ahead of all questions.
    #[must_use]
    pub fn demand(&self) -> &Demand {
        &self.demand
    }

    /// Plans what decisions ask anew, for facts that are not as many as they were.
    pub(crate) fn prepare(&self, demand: &Demand, facts: &Facts, values: &impl Values) -> Demand {
        prepare(demand, &self.rules, facts, values)
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

    /// The schema with the attributes that rules derive, in Cedar's notation. Without one, what the ruleset shows of it, if it
    /// shows anything.
    ///
    /// # Errors
    ///
    /// If Cedar cannot write what it has read, in its words.
    #[must_use]
    pub fn extended_schema(&self) -> Option<Result<String, String>> {
        (!self.fragments.is_empty()).then(|| schema::extend::show(&self.fragments))
    }

    /// The policies.
    #[must_use]
    pub fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &DatalogEngine {
        &self.rules
    }

    /// The relations that questions can be about.
    #[must_use]
    pub fn relations(&self) -> &CheckedRules {
        &self.relations
    }

    /// The facts that stand in the sources, and what follows from them.
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
        let Self { schema, action_type, policies, rules, demand, facts, .. } = self;
        let (facts, values) = (facts.facts(), &**facts.values());
        Terms { schema: schema.as_ref(), action_type, policies, rules, facts, demand, values }
    }

    /// How questions about derived relations are answered.
    #[must_use]
    pub fn plan(&self) -> QueryPlan {
        self.demand.plan(&self.rules, &**self.facts.values())
    }

    /// What came of the tests, in the order of their places.
    #[must_use]
    pub fn tests(&self) -> &[TestResult] {
        &self.tests
    }

    /// What the tests showed of each clause, by place, if [`Options::coverage`] asked for it.
    #[must_use]
    pub fn coverage(&self) -> &[ClauseCoverage] {
        &self.coverage
    }

    /// How much there is in it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::of(self)
    }

    /// What is odd about the sources, without being wrong.
    #[must_use]
    pub fn warnings(&self) -> &Report {
        &self.warnings
    }
}

/// How much there is in it.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

/// Builds a program: each line a step, each step with its findings.
fn build(before: Option<&Program>, sources: &Arc<Sources>, options: Options) -> Result<Program, Report> {
    let mut findings = Findings::default();
    let values = before.and_then(|before| Pool::grown_from(before.facts.values())).unwrap_or_default();
    let build = Build { sources, options, findings: &mut findings, values };
    match build.run() {
        Some(program) if !findings.has_error() => {
            Ok(Program { warnings: findings.into_report(sources.clone()), ..program })
        }
        _ => Err(findings.into_report(sources.clone())),
    }
}

struct Build<'b> {
    sources: &'b Arc<Sources>,
    options: Options,
    findings: &'b mut Findings,
    values: Pool,
}

impl Build<'_> {
    /// None if there is an error that makes everything after it a consequence; a program may still have errors.
    fn run(mut self) -> Option<Program> {
        let texts = Texts::read(self.sources, self.findings);
        let cedar = schema::read(&texts.schemas, &mut self.values, self.findings);
        if !texts.schemas.is_empty() && cedar.is_none() {
            return None;
        }
        let checked = self.check(&texts, cedar);
        if !checked.has_all_policies {
            texts.policies.iter().for_each(|(piece, _)| self.findings.leave_out_read_by(&piece.text));
        }
        // What is wrong already would be wrong of everything below.
        if self.findings.has_error() {
            return None;
        }
        self.compile(checked)
    }

    /// Names, types, binding and strata: all that depends on text alone.
    fn check(&mut self, texts: &Texts, mut cedar: Option<CedarSchema>) -> Checked {
        let Self { sources, options, .. } = *self;
        let (values, findings) = (&mut self.values, &mut *self.findings);
        let own = cedar.as_ref().map(|cedar| cedar.schema.clone());
        let schema = own.as_ref();
        let entities =
            check::entities::check(&texts.entity_tables, &texts.entity_lists, false, schema, values, findings);
        let used = load::types_in_use(&entities, values);
        let names = Names::declare(&texts.clauses, schema, used, values, findings);
        let added = attributes::added(&names, schema, &entities, values, findings);
        let check::data::GivenRows { mut rows, files, named } =
            check::data::check(&texts.data, sources, &names, schema, values, findings);
        note_unused_files(&texts.row_files, &files, sources, findings);
        let source = |file: FileId| sources.file(file).map_or("", |file| file.text());
        let questions: Vec<_> = texts.tests.iter().map(|test| cases::text(test, source(test.file), findings)).collect();
        let path = |file| path_of(sources, file);
        let rules = check::rules::check(
            names,
            RuleTexts { clauses: &texts.clauses, tests: &questions, rows: &rows, named: &named },
            schema,
            &path,
            values,
            findings,
        );
        rows.extend(&rules.facts);
        check::data::check_functional(&rules.predicates, &rows, values, findings);
        check::data::check_parents(&rows, false, schema, values, findings);
        extend(cedar.as_mut(), &added, findings);
        let (pieces, links) = (&texts.policies, &texts.links);
        check::links::check_relations(&rules, findings);
        let row_links = check::links::rows(&rules, &rows, values);
        let statements = check::policies::check(
            sources,
            pieces,
            links,
            &row_links,
            cedar.as_ref(),
            options.invalid_policy,
            findings,
        );
        check_ids(&rules, &statements, findings);
        let derived: BTreeSet<String> = added.iter().map(|attribute| attribute.name.clone()).collect();
        let policies = policy::lower(&statements, &derived, values, findings);
        let mut cases = Vec::new();
        for (test, text) in texts.tests.iter().zip(&rules.tests) {
            let Some(mut case) = cases::read(test, text, &entities, schema, values, findings) else { continue };
            let links = statements.links_of(&check::links::rows(&rules, &text.facts, values), findings);
            case.links = policy::lower_links(&statements, &links, &derived, values, findings);
            cases.push(case);
        }
        let fragments = match cedar {
            Some(cedar) => cedar.fragments,
            None => {
                let inferred = infer(&rules, &policies, &entities, values);
                schema::extend::extended(&Vec::from_iter(inferred), &added)
            }
        };
        let has_all_policies = statements.has_all_policies;
        Checked { has_all_policies, schema: schema.cloned(), fragments, entities, rows, rules, policies, cases }
    }

    /// Facts, what follows from them, and the tests.
    fn compile(mut self, checked: Checked) -> Option<Program> {
        let Checked { schema, fragments, entities, rows, rules, policies, cases, .. } = checked;
        let sources = self.sources;
        let place = sources.files().next().map_or(Span::NOWHERE, |(file, _)| Span::new(file, 0..0));
        let given = Given { entities: &entities, rows: &[&rows] };
        let (values, findings) = (&mut self.values, &mut *self.findings);
        let Options { steps_max, rows_max, threads, .. } = self.options;
        let bounds = Bounds { steps_max, rows_max, threads };
        let mut facts = given.load(&rules, bounds, place, values, findings)?;
        if schema.as_ref().is_some_and(Schema::has_live_types) {
            facts.take_live_entities();
        }
        let show = |span: Span| {
            let place = sources.place(span);
            format!("{}:{}:{}", path_of(sources, span.file), place.line, place.column)
        };
        let mut engine = DatalogEngine::compile(&rules, &show, &facts, values, findings);
        let demand = load::derive(&engine, &mut facts, (self.options.derive_all, bounds), values, findings)?;
        engine.plan_for_requests(&facts);
        engine.prepare(&mut facts);
        let demand = prepare(&demand, &engine, &facts, values);
        let action_type = action_type(schema.as_ref(), values);
        let stage = cases::Stage {
            schema: schema.as_ref(),
            action_type: &action_type,
            policies: &policies,
            rules: &rules,
            engine: &engine,
            rows: &rows,
            bounds,
            severity: self.options.failing_test,
        };
        let mut seen = self.options.coverage.then(|| cases::start(&policies, &engine));
        let run = |case| cases::run(case, stage, values, seen.as_mut(), findings);
        let results: Vec<_> = cases.into_iter().filter_map(run).collect();
        let coverage = seen.map_or_else(Vec::new, |seen| cases::covered(&seen, &engine, sources));
        let facts = Arc::new(FactView::new(Arc::new(self.values), facts));
        if !findings.has_error() {
            note_what_is_missing(schema.is_some(), &policies, &rules, place, findings);
        }
        let warnings = Report { sources: sources.clone(), findings: Vec::new(), n_beyond: 0 };
        let sources = sources.clone();
        Some(Program {
            sources,
            schema,
            policies,
            rules: engine,
            demand,
            relations: rules.relations_alone(),
            facts,
            action_type,
            tests: results,
            coverage,
            warnings,
            fragments,
        })
    }
}

/// Plans what decisions ask: what policies read, and the rules that decide.
fn prepare(demand: &Demand, engine: &DatalogEngine, facts: &Facts, values: &impl Values) -> Demand {
    let attributes = facts.relations.attributes();
    demand.prepare(engine, facts, values, attributes.iter().map(|(id, columns)| (*id, columns.as_slice())))
}

/// What the text of a ruleset says, checked.
struct Checked {
    has_all_policies: bool,
    schema: Option<Schema>,
    fragments: Vec<serde_json::Value>,
    entities: Vec<CheckedEntity>,
    rows: FactList,
    rules: CheckedRules,
    policies: PolicySet,
    cases: Vec<cases::Case>,
}

/// The schema that a ruleset without one shows.
fn infer(
    rules: &CheckedRules,
    policies: &PolicySet,
    entities: &[CheckedEntity],
    values: &Pool,
) -> Option<serde_json::Value> {
    let mut seen = schema::infer::Seen::default();
    for kind in &rules.types_in_use {
        seen.add_type(kind);
    }
    for entity in entities {
        seen.add_entity(entity.uid, [entity.attributes, entity.tags], &entity.parents, values);
    }
    policies.actions().for_each(|action| seen.add_action(action, values));
    for term in rules.rules.iter().flat_map(|rule| &rule.args) {
        if let check::rules::Term::Constant(value) = term {
            seen.add_action(*value, values);
        }
    }
    seen.fragment()
}

/// Whether a rule that decides and a policy have one id.
fn check_ids(rules: &CheckedRules, policies: &check::CheckedPolicies, findings: &mut Findings) {
    let ids = policies.statements.iter().map(|policy| (&*policy.id, policy.span));
    let ids: BTreeMap<&str, Span> = ids.chain(policies.links.iter().map(|link| (&*link.id, link.span))).collect();
    for rule in rules.rules.iter().filter(|rule| [Names::PERMIT, Names::FORBID].contains(&rule.head)) {
        if let Some(span) = ids.get(&*rule.id) {
            let message = format!("`@id(\"{}\")` is also the id of a policy", rule.id);
            let finding = Finding::new(Code::DuplicatePolicyId, rule.span, message);
            findings.push(finding.related(*span, "the policy").help("give each an id of its own"));
        }
    }
}

fn path_of(sources: &Sources, file: FileId) -> String {
    sources.file(file).map_or_else(String::new, |file| file.path.to_string())
}

/// Lets Cedar's validator know the attributes that rules derive.
fn extend(cedar: Option<&mut CedarSchema>, added: &[schema::extend::Added], findings: &mut Findings) {
    if let Some(Err(fault)) = cedar.map(|cedar| cedar.extend(added)) {
        let message = format!("the schema does not hold together with the derived attributes: {fault}");
        findings.push(Finding::new(Code::SchemaInvalid, Span::NOWHERE, message));
    }
}

fn note_unused_files(files: &[FileId], read: &[FileId], sources: &Sources, findings: &mut Findings) {
    for file in files.iter().filter(|file| !read.contains(file)) {
        // What names it may not have been read.
        let path = path_of(sources, *file);
        if findings.unread().has(path.rsplit('/').next().unwrap_or_default()) {
            continue;
        }
        let message = "no relation takes its rows from this file";
        let finding = Finding::new(Code::UnusedFile, Span::new(*file, 0..0), message);
        findings.push(finding.help("name it: `strikes = { rows_from = \"strikes.csv\" }` in `[data]`"));
    }
}

/// What a ruleset may do without, and probably should not.
fn note_what_is_missing(
    has_schema: bool,
    policies: &PolicySet,
    rules: &CheckedRules,
    place: Span,
    findings: &mut Findings,
) {
    if !has_schema {
        let finding = Finding::new(Code::NoSchema, place, "there is no schema, so nothing is checked against one");
        findings.push(finding.help("add a `[schema]` section or a `*.cedarschema` file"));
    }
    let decides = |rule: &check::rules::Rule| [Names::PERMIT, Names::FORBID].contains(&rule.head);
    if policies.is_empty() && !rules.rules.iter().any(decides) {
        findings.push(Finding::new(Code::NoPolicies, place, "there is no policy, so every request is denied"));
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
