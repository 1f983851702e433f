//! The engine and its twin over one world: what each derives and decides, and where they differ.

mod draft;
mod plain;
pub mod twin;
pub mod worlds;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use rune_core::{
    BuildError, Engine, EntityRef, Options, Program, Request, Sources, Span, Why,
    base::{Scratch, Value, Values},
    diag::Findings,
    syntax::{
        ast::{Expr, ExprKind},
        cedar::Piece,
        rules::{Clause, ClauseKind, parse, parse_expression},
    },
};
use twin::{Lack, Relation, Row, Twin};
use worlds::{Ask, Maker, World};

/// The rows of a relation in Cedar's notation: those that are certain, and those that are undetermined.
type Shown = [BTreeSet<Vec<String>>; 2];

/// What is said to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub kind: Kind,
    /// The ids of the policies and rules that determine it.
    pub determining: BTreeSet<String>,
    /// The ids of those without a value.
    pub failed: BTreeSet<String>,
}

/// What settles a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Allowed,
    Forbidden,
    NotPermitted,
    Error,
}

/// Builds the world and compares all that is derived and decided. An error says how the twins differ.
pub fn compare(world: &World, asks: &[Ask], shuffles: &mut Maker, mix: &mut Mix) -> Result<(), String> {
    let program = match build(world) {
        Ok(program) => program,
        Err(BuildError::Refused(report)) => {
            let codes: BTreeSet<String> = report.findings.iter().map(|finding| finding.code.to_string()).collect();
            codes.into_iter().for_each(|code| *mix.refused_for.entry(code).or_default() += 1);
            mix.refused += 1;
            return Ok(());
        }
        Err(error) => return Err(error.to_string()),
    };
    mix.worlds += 1;
    let mut shuffled = world.clone();
    shuffles.shuffle(&mut shuffled.clauses);
    shuffles.shuffle(&mut shuffled.policies);
    let other = build(&shuffled).map_err(|error| format!("shuffled, it is refused: {error}\n{shuffled}"))?;
    let clauses = clauses(world);
    let names = derived(&clauses);
    let (engine, other) = (Engine::new(program), Engine::new(other));
    let (program, other_program) = (engine.lineup().stable().clone(), other.lineup().stable().clone());
    let mut lasting = Twin::of(world, &clauses, None, &program);
    if lasting.derive(&clauses).is_none() {
        return Err("the twin finds no strata".to_owned());
    }
    for name in &names {
        let Some(found) = relation(&program, name) else { continue };
        let expected = lasting.shown(name);
        if found != expected {
            return Err(format!("{name}: the twin has {expected:?}\n the engine has {found:?}"));
        }
        let again = relation(&other_program, name);
        if again.as_ref() != Some(&found) {
            return Err(format!("{name}: {found:?} becomes {again:?} when shuffled\n{shuffled}"));
        }
        mix.doubts += usize::from(!found[1].is_empty());
        mix.relations += 1;
    }
    for ask in asks {
        let mut twin = Twin::of(world, &clauses, Some(ask), &program);
        twin.derive(&clauses);
        let expected = twin.answer(world, &clauses);
        let found = answer(&engine, ask)?;
        if found != expected {
            return Err(format!("the twin says {expected:?}\n the engine says {found:?}\nwhen asked {ask}"));
        }
        let again = answer(&other, ask)?;
        if again != found {
            return Err(format!("{found:?} becomes {again:?} when shuffled, asked {ask}\n{shuffled}"));
        }
        let mut without = Twin::of(world, &clauses, Some(ask), &program);
        without.without_negation = true;
        let is_flipped = without.derive(&clauses).is_some() && without.answer(world, &clauses).kind != expected.kind;
        mix.count(&expected, is_flipped);
    }
    Ok(())
}

/// Takes parts out of the world for as long as the twins differ over what is left.
pub fn shrink(world: World, asks: &[Ask], mut what: String) -> (World, String) {
    let mut world = world;
    let fails = |world: &World| compare(world, asks, &mut Maker::new(0), &mut Mix::default()).err();
    let mut n_before = usize::MAX;
    while world.clauses.len() + world.policies.len() < n_before {
        n_before = world.clauses.len() + world.policies.len();
        for at in (0..world.clauses.len()).rev() {
            let mut less = world.clone();
            less.clauses.remove(at);
            if let Some(difference) = fails(&less) {
                (world, what) = (less, difference);
                continue;
            }
            // A rule with fewer conditions.
            for part in conditions(&world.clauses[at]) {
                let mut less = world.clone();
                less.clauses[at] = less.clauses[at].replacen(&part, "", 1);
                if let Some(difference) = fails(&less) {
                    (world, what) = (less, difference);
                }
            }
        }
        for at in (0..world.policies.len()).rev() {
            let mut less = world.clone();
            less.policies.remove(at);
            if let Some(difference) = fails(&less) {
                (world, what) = (less, difference);
            }
        }
        for at in (0..world.entities.len()).rev() {
            let mut less = world.clone();
            less.entities.remove(at);
            if let Some(difference) = fails(&less) {
                (world, what) = (less, difference);
            }
        }
    }
    (world, what)
}

/// The conditions of a rule that could be left out, each with the comma before it.
fn conditions(clause: &str) -> Vec<String> {
    clause.trim_end_matches('.').split(", ").skip(1).map(|part| format!(", {part}")).collect()
}

fn build(world: &World) -> Result<Program, BuildError> {
    Program::build(Sources::single("a.rune", &world.to_string()), Options::default())
}

fn piece(text: &str) -> Piece {
    Piece { file: Span::NOWHERE.file, start: 0, text: text.to_owned() }
}

fn clauses(world: &World) -> Vec<Clause> {
    let mut findings = Findings::default();
    let clauses = parse(&piece(&world.clauses.join("\n")), &mut findings);
    assert!(!findings.has_error(), "the engine read the same text");
    clauses
}

fn derived(clauses: &[Clause]) -> BTreeSet<String> {
    let head = |clause: &Clause| match &clause.kind {
        ClauseKind::Rule(rule) if !rule.body.is_empty() && !plain::is_decision(rule) => {
            Some(rule.head.name.text.clone())
        }
        _ => None,
    };
    clauses.iter().filter_map(head).collect()
}

/// What the engine derived for a relation; none if its rows depend on the request.
fn relation(program: &Program, name: &str) -> Option<Shown> {
    let id = program.rules().relation(name)?;
    if program.rules().request_relations().any(|of| of == id) {
        return None;
    }
    let relation = program.facts().facts().relations.get(id)?;
    let certain: BTreeSet<Row> = relation.rows.rows().map(<[Value]>::to_vec).collect();
    let possible = relation.doubts.iter().map(|(row, _)| row.to_vec()).chain(certain.iter().cloned()).collect();
    Some(show(&**program.facts().values(), &Relation { certain, possible }))
}

/// The rows as text. An undetermined row that another one covers says nothing.
fn show(values: &impl Values, relation: &Relation) -> Shown {
    let text = |row: &Row| {
        let cell = |value: &Value| if *value == Value::UNKNOWN { "?".to_owned() } else { values.show(*value) };
        row.iter().map(cell).collect::<Vec<_>>()
    };
    let doubts: BTreeSet<Row> = relation.possible.difference(&relation.certain).cloned().collect();
    let covers =
        |by: &Row, row: &Row| by != row && by.iter().zip(row).all(|(by, of)| by == of || *by == Value::UNKNOWN);
    let bare = doubts.iter().filter(|row| !doubts.iter().any(|by| covers(by, row)));
    [relation.certain.iter().map(text).collect(), bare.map(text).collect()]
}

/// The rows that the engine has of a relation, certain and undetermined, as text.
pub fn rows(world: &World, name: &str) -> [String; 2] {
    let program = build(world).expect("a program");
    let shown = relation(&program, name).expect("a relation that depends on no request");
    shown.map(|rows| rows.iter().map(|row| row.join(", ")).collect::<Vec<_>>().join("; "))
}

/// What the engine says to a request.
pub fn ask_engine(world: &World, ask: &Ask) -> Kind {
    answer(&Engine::new(build(world).expect("a program")), ask).expect("an answer").kind
}

fn request(ask: &Ask) -> Request {
    let (user, doc) = (EntityRef::new("User", &ask.user), EntityRef::new("Doc", &ask.doc));
    let request = Request::new(user, EntityRef::new("Action", "read"), doc);
    request.with_context_json(&format!("{{\"n\": {}}}", ask.n)).expect("a context")
}

/// What the engine says, the same from `decide` and from `explain`.
fn answer(engine: &Engine, ask: &Ask) -> Result<Answer, String> {
    let (decision, explanation) = (engine.decide(&request(ask)), engine.explain(&request(ask)));
    let determining: BTreeSet<String> = explanation.determining.iter().map(|of| of.id.to_string()).collect();
    let (kind, agrees) = match &decision.why {
        Why::AllowedBy(id) => (Kind::Allowed, determining.contains(&**id)),
        Why::ForbiddenBy(id) => (Kind::Forbidden, determining.contains(&**id)),
        Why::NotPermitted => (Kind::NotPermitted, determining.is_empty()),
        Why::Error(_) => (Kind::Error, true),
    };
    if !agrees || decision != explanation.decision {
        return Err(format!("the engine decides {decision:?} and explains {explanation:?}"));
    }
    let failed = explanation.failed.iter().map(|failed| failed.policy.id.to_string()).collect();
    Ok(Answer { kind, determining, failed })
}

impl<'t> Twin<'t> {
    /// What is given in a world, for a request.
    pub fn of(world: &World, clauses: &'t [Clause], ask: Option<&Ask>, program: &'t Program) -> Self {
        let mut values = Scratch::new(program.facts().values());
        let request = ask.map_or([Value::UNKNOWN; 4], |ask| {
            let (user, action) = (values.entity("User", &ask.user), values.entity("Action", "read"));
            let (doc, n, name) = (values.entity("Doc", &ask.doc), values.long(ask.n), values.symbol("n"));
            [user, action, doc, values.record(vec![(name, n)])]
        });
        let mut twin = Self {
            values,
            declared: BTreeMap::new(),
            attributes: BTreeMap::new(),
            entities: BTreeMap::new(),
            request,
            relations: BTreeMap::new(),
            without_negation: false,
        };
        if ask.is_some() {
            request.iter().take(3).for_each(|part| twin.know(*part));
        }
        for clause in clauses {
            match &clause.kind {
                ClauseKind::Declaration(declaration) => {
                    twin.declared.insert(&declaration.name.text, declaration);
                    if clause.annotations.iter().any(|annotation| annotation.name.text == "attribute") {
                        twin.attributes.insert(&declaration.name.text, declaration);
                    }
                }
                ClauseKind::Rule(fact) if fact.body.is_empty() => {
                    let value = |arg: &Expr| twin.value(arg, &BTreeMap::new()).expect("a constant");
                    let row: Row = fact.head.args.iter().map(value).collect();
                    row.iter().for_each(|value| twin.know(*value));
                    twin.add(&fact.head.name.text, row, true);
                }
                ClauseKind::Rule(_) => {}
            }
        }
        for of in &world.entities {
            let entity = twin.values.entity(of.kind, &of.id);
            twin.know(entity);
            for (name, number) in &of.numbers {
                let number = twin.values.long(*number);
                twin.entities.entry(entity).or_default().insert((*name).to_owned(), number);
                twin.add(&format!("{}.{name}", of.kind), vec![entity, number], true);
            }
            for (name, kind, id) in &of.links {
                let other = twin.values.entity(kind, id);
                twin.know(other);
                twin.entities.entry(entity).or_default().insert((*name).to_owned(), other);
                twin.add(&format!("{}.{name}", of.kind), vec![entity, other], true);
            }
            for (kind, id) in &of.parents {
                let parent = twin.values.entity(kind, id);
                twin.know(parent);
                twin.add("parent", vec![entity, parent], true);
            }
        }
        twin
    }

    /// An entity that is named is known.
    fn know(&mut self, value: Value) {
        let shown = self.values.show(value);
        if let Some((kind, _)) = shown.split_once("::") {
            self.add(kind, vec![value], true);
        }
    }

    fn shown(&self, name: &str) -> Shown {
        show(&self.values, &self.relations.get(name).cloned().unwrap_or_default())
    }

    /// Forbid wins, and so does a forbid that is undetermined; then a permit.
    fn answer(&mut self, world: &World, clauses: &[Clause]) -> Answer {
        let mut satisfied: [BTreeSet<String>; 2] = Default::default();
        let (mut failed, mut is_blocked) = (BTreeSet::new(), false);
        for policy in &world.policies {
            let condition =
                parse_expression(&piece(&policy.condition), &mut Findings::default()).expect("an expression");
            match self.condition(&condition, &BTreeMap::new()) {
                Ok(true) => drop(satisfied[usize::from(policy.permits)].insert(policy.id.clone())),
                Ok(false) => {}
                Err(lack) => {
                    failed.insert(policy.id.clone());
                    is_blocked |= !policy.permits && (lack == Lack::Undetermined || self.reads_rules(&condition));
                }
            }
        }
        for clause in clauses {
            let ClauseKind::Rule(rule) = &clause.kind else { continue };
            if !plain::is_decision(rule) {
                continue;
            }
            let (permits, id) = (rule.head.name.text == "permit", clause.annotations[0].value.clone());
            match self.decides(rule) {
                Some(true) => drop(satisfied[usize::from(permits)].insert(id)),
                Some(false) => {
                    failed.insert(id);
                    is_blocked |= !permits;
                }
                None => {}
            }
        }
        let [forbids, permits] = satisfied;
        let (kind, determining) = match (forbids.is_empty(), permits.is_empty()) {
            (false, _) => (Kind::Forbidden, forbids),
            (true, _) if is_blocked => (Kind::Error, permits),
            (true, false) => (Kind::Allowed, permits),
            (true, true) => (Kind::NotPermitted, permits),
        };
        Answer { kind, determining, failed }
    }

    fn reads_rules(&self, expr: &Expr) -> bool {
        let mut reads = matches!(&expr.kind, ExprKind::Attribute(_, name) if self.attributes.contains_key(&**name));
        expr.for_each_part(&mut |part| reads |= self.reads_rules(part));
        reads
    }
}

/// What was asked of how many worlds, and what the answers were like.
#[derive(Default)]
pub struct Mix {
    pub worlds: usize,
    pub refused: usize,
    refused_for: BTreeMap<String, usize>,
    relations: usize,
    doubts: usize,
    requests: usize,
    allowed: usize,
    undetermined: usize,
    several: usize,
    flipped: usize,
}

impl Mix {
    fn count(&mut self, answer: &Answer, is_flipped: bool) {
        self.requests += 1;
        self.allowed += usize::from(answer.kind == Kind::Allowed);
        self.undetermined += usize::from(!answer.failed.is_empty());
        self.several += usize::from(1 < answer.determining.len());
        self.flipped += usize::from(is_flipped);
    }

    /// Worlds whose answers are all alike would prove nothing.
    pub fn check(&self) {
        assert!(self.refused < self.worlds, "more than half of the worlds are refused: {self}");
        for (what, n, percent_min) in [
            ("are allowed", self.allowed, 20),
            ("have something undetermined", self.undetermined, 10),
            ("have several reasons", self.several, 10),
            ("are flipped by a negation", self.flipped, 10),
        ] {
            assert!(
                self.requests * percent_min <= n * 100,
                "fewer than {percent_min} % of the requests {what}: {self}"
            );
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |n: usize, of: usize| format!("{}.{} %", n * 100 / of.max(1), n * 1_000 / of.max(1) % 10);
        let Self { worlds, refused, refused_for, relations, requests, .. } = self;
        write!(f, "{worlds} worlds ({refused} more are refused, for {refused_for:?}), ")?;
        write!(f, "{relations} relations, {} with undetermined rows, ", percent(self.doubts, *relations))?;
        write!(f, "{requests} requests: {} allowed, ", percent(self.allowed, *requests))?;
        write!(f, "{} with something undetermined, ", percent(self.undetermined, *requests))?;
        write!(f, "{} with several reasons, ", percent(self.several, *requests))?;
        write!(f, "{} flipped by a negation", percent(self.flipped, *requests))
    }
}
