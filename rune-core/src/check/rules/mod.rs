//! Rules: clauses to a checked set, or every reason why not.
//!
//! ```text
//!   clauses ─▶ predicates (names, columns) ─▶ rules with slots (resolve) ─▶ types ─▶ modes ─▶ strata
//!                    └─────────────┴──────────────────┴─────────────────────┴─────────┴──▶ findings
//! ```
//!
//! What is checked here depends on text alone, never on how many rows there are.

mod absence;
pub mod attributes;
mod body;
mod expressions;
mod given;
mod lints;
mod modes;
mod names;
mod points;
mod question;
mod reads;
mod resolve;
mod scope;
mod strata;
mod types;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    base::{FileId, Pool, Span, Symbol, Value},
    diag::Findings,
    schema::{Schema, Types},
    syntax::{
        ast::{Expr, ExprKind},
        rules::{Choice, Clause, Fold, Literal},
    },
};

pub use expressions::ExprTypes;
pub use given::{Fact, FactList};
pub use names::Names;
pub use question::Question;

/// A clause and its file.
pub type Written = (FileId, Clause);

/// A relation, by its place among the predicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PredicateId(pub usize);

/// A variable of a rule, by its place among the rule's variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub usize);

/// A relation.
#[expect(clippy::struct_excessive_bools, reason = "each is said of a relation by itself")]
#[derive(Debug, Clone)]
pub struct Predicate {
    /// As it is written: `can_read`, `Document.owner`, `User`, `in`.
    pub name: String,
    /// Where its rows come from.
    pub kind: PredicateKind,
    /// Its columns.
    pub columns: Vec<Column>,
    /// If it is functional: how many columns are the key, and which value of several counts.
    pub key: Option<Key>,
    /// Where it is declared; for one that is not, the first rule that derives it.
    pub span: Option<Span>,
    /// Whether it is declared: only then may it have rows besides what rules derive.
    pub is_declared: bool,
    /// Whether policies may read it as an attribute.
    pub is_attribute: bool,
    /// The template whose links its rows are.
    pub template: Option<Arc<str>>,
    /// Whether its rows depend on the request.
    pub is_per_request: bool,
    /// Whether it is to be derived ahead: `@materialize`.
    pub is_materialized: bool,
}

impl Predicate {
    /// Whether it is the ruleset's own. Those that questions of tests made have no name that could be written.
    #[must_use]
    pub fn is_own(&self) -> bool {
        let is_own = matches!(self.kind, PredicateKind::Base | PredicateKind::Live | PredicateKind::Derived);
        is_own && !self.name.starts_with('?')
    }
}

/// The key of a functional relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// How many columns.
    pub n_columns: usize,
    /// Which value of several counts.
    pub choice: Option<Choice>,
}

/// A column of a relation.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// Its types.
    pub types: Types,
}

/// Where the rows of a relation come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PredicateKind {
    /// Files.
    Base,
    /// The API.
    Live,
    /// Rules.
    Derived,
    /// The known entities of a type.
    Known(Symbol),
    /// A stored attribute of the entities of a type.
    Stored(Symbol, Symbol),
    /// The parents of entities, given and derived.
    Parent,
    /// Who is below whom.
    In,
    /// What is permitted by rules: heads only.
    Permit,
    /// What is forbidden by rules: heads only.
    Forbid,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its `@id`, or its file and position: `a.rune:rule0`.
    pub id: Arc<str>,
    /// Where it stands.
    pub span: Span,
    /// What is said about it.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// The relation that it derives.
    pub head: PredicateId,
    /// The row.
    pub args: Vec<Term>,
    /// From what.
    pub body: Vec<Goal>,
    /// Its variables.
    pub variables: Vec<Variable>,
}

impl Rule {
    /// Whether a variable may be a set for all that is known of it. Then `in` asks by what gives it its value, and does not.
    #[must_use]
    pub fn may_be_set(&self, slot: Slot) -> bool {
        let is_entity = self.variables.get(slot.0).is_some_and(|variable| variable.types.are_entities());
        !is_entity && self.body.iter().any(|goal| goal.gives(slot))
    }
}

/// A variable of a rule.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name; made up for an argument that is an expression.
    pub name: String,
    /// Where it first stands.
    pub span: Span,
    /// In how many places it stands.
    pub n_uses: usize,
    /// What it may be.
    pub types: Types,
}

/// An argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// A variable.
    Slot(Slot),
    /// A value.
    Constant(Value),
    /// Anything: `_`.
    Any,
}

/// An expression with the slots that its names stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The expression.
    pub expr: Expr,
    /// The variables in it, each once.
    pub slots: Vec<(String, Slot)>,
}

impl Guard {
    /// The variable and the type, if this is `X is T`: true of an entity of that type, and false of anything else.
    #[must_use]
    pub fn type_test(&self) -> Option<(Slot, &str)> {
        let ExprKind::Is(part, kind) = &self.expr.kind else { return None };
        let ExprKind::Name(name) = &part.kind else { return None };
        self.slots.iter().find(|(known, _)| known == name).map(|(_, slot)| (*slot, kind.as_str()))
    }
}

/// A condition of a body.
#[derive(Debug, Clone)]
pub struct Goal {
    /// Where it stands.
    pub span: Span,
    /// What it asks.
    pub kind: GoalKind,
}

impl Goal {
    /// Whether a variable is at one side of `in`.
    #[must_use]
    pub fn is_in(&self, slot: Slot) -> bool {
        matches!(&self.kind, GoalKind::In(a, b) if [*a, *b].contains(&Term::Slot(slot)))
    }

    /// Whether it asks for parents, or who is in what.
    // Recurses once per aggregate within another, whose nesting was limited.
    #[must_use]
    pub fn reads_hierarchy(&self) -> bool {
        match &self.kind {
            GoalKind::Atom(id, _) => *id == Names::PARENT,
            GoalKind::In(..) => true,
            GoalKind::Not(goal) => goal.reads_hierarchy(),
            GoalKind::Aggregate(aggregate) => aggregate.body.iter().any(Self::reads_hierarchy),
            GoalKind::Guard(_) | GoalKind::Bind(..) => false,
        }
    }

    /// Whether a variable has its value from here, other than by `in`.
    // Recurses once per aggregate within another, whose nesting was limited.
    #[must_use]
    pub fn gives(&self, slot: Slot) -> bool {
        match &self.kind {
            GoalKind::Atom(_, args) => args.contains(&Term::Slot(slot)),
            GoalKind::Bind(to, _) => *to == slot,
            // What is bound around an aggregate has its value from there.
            GoalKind::Aggregate(of) => {
                of.result == slot || !of.outer.contains(&slot) && of.body.iter().any(|goal| goal.gives(slot))
            }
            GoalKind::In(..) | GoalKind::Guard(_) | GoalKind::Not(_) => false,
        }
    }

    /// Visits each slot that the goal mentions, those within aggregates included.
    pub fn each_slot(&self, visit: &mut dyn FnMut(Slot)) {
        let mut term = |term: &Term| {
            if let Term::Slot(slot) = term {
                visit(*slot);
            }
        };
        match &self.kind {
            GoalKind::Atom(_, args) => args.iter().for_each(term),
            GoalKind::In(left, right) => [left, right].into_iter().for_each(&mut term),
            GoalKind::Guard(guard) => guard.slots.iter().for_each(|(_, slot)| visit(*slot)),
            GoalKind::Bind(slot, guard) => {
                visit(*slot);
                guard.slots.iter().for_each(|(_, slot)| visit(*slot));
            }
            GoalKind::Not(goal) => goal.each_slot(visit),
            GoalKind::Aggregate(aggregate) => {
                visit(aggregate.result);
                aggregate.tuple.iter().for_each(|slot| visit(*slot));
                aggregate.body.iter().for_each(|goal| goal.each_slot(visit));
            }
        }
    }
}

/// Whether nothing but `in` gives a variable its value: it is all that is in something, or all that something is in.
#[must_use]
pub fn is_found_by_in_alone(body: &[Goal], slot: Slot) -> bool {
    body.iter().any(|goal| goal.is_in(slot)) && !body.iter().any(|goal| goal.gives(slot))
}

/// What a [`Goal`] asks.
#[derive(Debug, Clone)]
pub enum GoalKind {
    /// A row of a relation.
    Atom(PredicateId, Vec<Term>),
    /// That the first is the second or below it.
    In(Term, Term),
    /// That an expression is true.
    Guard(Guard),
    /// That a variable is the value of an expression.
    Bind(Slot, Guard),
    /// That another condition does not hold.
    Not(Box<Goal>),
    /// That a variable is what is made of the tuples that satisfy a body.
    Aggregate(Aggregate),
}

/// An aggregate.
#[derive(Debug, Clone)]
pub struct Aggregate {
    /// What the result is bound to.
    pub result: Slot,
    /// What is made of the tuples.
    pub fold: Fold,
    /// The tuples.
    pub tuple: Vec<Slot>,
    /// What they must satisfy.
    pub body: Vec<Goal>,
    /// The variables of the body that are bound outside.
    pub outer: Vec<Slot>,
}

/// A derived attribute: of which type, under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The entity type.
    pub kind: Symbol,
    /// The name.
    pub name: Symbol,
    /// The relation.
    pub predicate: PredicateId,
}

/// A type whose known entities rules ask for. A request may name one that nothing else does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownType {
    /// The entity type.
    pub kind: Symbol,
    /// The relation that holds them.
    pub predicate: PredicateId,
    /// What follows from who is known, apart from relations that depend on the request anyway.
    pub followers: BTreeSet<PredicateId>,
}

/// All rules of a ruleset, checked.
#[derive(Debug, Clone, Default)]
pub struct CheckedRules {
    /// The relations.
    pub predicates: Vec<Predicate>,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The rows among the clauses.
    pub facts: FactList,
    /// The rules by stratum, those that decide (`permit`, `forbid`) in none.
    pub strata: Vec<Vec<usize>>,
    /// The rules that depend on the request, by stratum.
    pub request_strata: Vec<Vec<usize>>,
    /// The types whose known entities rules ask for.
    pub known: Vec<KnownType>,
    /// The relations whose given rows may change while a program is served, each with what follows from it, apart from relations that
    /// depend on the request anyway.
    pub changing: BTreeMap<PredicateId, BTreeSet<PredicateId>>,
    /// The relations that expressions read in rules which depend on no request and decide nothing.
    pub read_ahead: BTreeSet<PredicateId>,
    /// The entity types that are in use.
    pub types_in_use: Vec<String>,
    /// The attributes that policies may read.
    pub attributes: Vec<Attribute>,
    /// What tests give and ask, in their order.
    pub tests: Vec<CheckedTest>,
}

/// What is to be checked.
#[derive(Debug, Clone, Copy)]
pub struct RuleTexts<'a> {
    /// The clauses of all files.
    pub clauses: &'a [Written],
    /// What tests say.
    pub tests: &'a [TestText],
    /// The rows that stand outside the clauses.
    pub rows: &'a FactList,
    /// The relations that `[data]` names, whether it gives them rows or not.
    pub named: &'a BTreeSet<PredicateId>,
}

/// What a test says in the language of rules.
#[derive(Debug, Clone, Default)]
pub struct TestText {
    /// The facts that it gives.
    pub facts: Vec<Written>,
    /// What it asks, and in which file.
    pub query: Option<(FileId, Vec<Literal>)>,
}

/// What a test gives and asks, checked.
#[derive(Debug, Clone, Default)]
pub struct CheckedTest {
    /// The facts that it gives.
    pub facts: FactList,
    /// What it asks, as a rule whose head has its variables.
    pub query: Option<Rule>,
    /// Whether what it asks depends on a request.
    pub is_about_request: bool,
}

impl CheckedRules {
    /// The relation of this identity.
    #[must_use]
    pub fn predicate(&self, id: PredicateId) -> Option<&Predicate> {
        self.predicates.get(id.0)
    }

    /// The rules that derive each relation.
    fn by_head(&self) -> BTreeMap<PredicateId, Vec<&Rule>> {
        let mut by_head: BTreeMap<PredicateId, Vec<&Rule>> = BTreeMap::new();
        for rule in &self.rules {
            by_head.entry(rule.head).or_default().push(rule);
        }
        by_head
    }

    /// The key of a row of a functional relation.
    #[must_use]
    pub fn key_of<'f>(&self, fact: Fact<'f>) -> Option<(PredicateId, &'f [Value])> {
        let key = self.predicate(fact.predicate)?.key?;
        Some((fact.predicate, fact.row.get(..key.n_columns)?))
    }
}

/// Checks the clauses of a ruleset.
///
/// `names` holds the relations that the clauses declare; see [`Names::declare`].
pub fn check(
    names: Names,
    texts: RuleTexts<'_>,
    schema: Option<&Schema>,
    paths: &impl Fn(FileId) -> String,
    values: &mut Pool,
    findings: &mut Findings,
) -> CheckedRules {
    let n_errors = findings.n_errors();
    let mut resolver = resolve::Resolver::new(names, schema, values, findings);
    resolver.clauses(texts.clauses, paths);
    let cases = texts.tests.iter().map(|test| resolver.test(test)).collect();
    let mut checked = resolver.finish();
    checked.tests = cases;
    let mut given: BTreeSet<_> = texts.rows.runs().chain(checked.facts.runs()).map(|run| run.predicate).collect();
    given.extend(texts.named);
    infer_and_check(&mut checked, &given, schema, n_errors, values, findings);
    checked
}

/// Notes which tests ask what depends on a request.
fn note_questions_about_requests(checked: &mut CheckedRules) {
    let attributes = reads::Attributes::of(checked);
    let is_about_request = |rule: &Rule| {
        rule.body.iter().any(|goal| {
            let mut is_found = goal.mentions_request();
            goal.each_read(&attributes, &mut |id, _| {
                is_found |= checked.predicate(id).is_some_and(|predicate| predicate.is_per_request);
            });
            is_found
        })
    };
    let all: Vec<bool> = checked.tests.iter().map(|test| test.query.as_ref().is_some_and(is_about_request)).collect();
    for (test, is_about_request) in checked.tests.iter_mut().zip(all) {
        test.is_about_request = is_about_request;
    }
}

fn infer_and_check(
    checked: &mut CheckedRules,
    given: &BTreeSet<PredicateId>,
    schema: Option<&Schema>,
    n_errors: usize,
    values: &mut Pool,
    findings: &mut Findings,
) {
    // The question of a test is checked like any rule, and then put aside: nothing reads it.
    let n_rules = checked.rules.len();
    let queries: Vec<_> = checked.tests.iter_mut().map(|test| test.query.take()).collect();
    checked.rules.extend(queries.iter().flatten().cloned());
    types::infer(checked, schema, values);
    if points::resolve(checked, schema, values) {
        types::infer(checked, schema, values);
    }
    types::conflicts(checked, schema, values, findings);
    for rule in &checked.rules {
        modes::check(rule, checked, values, findings);
    }
    let is_sound = findings.n_errors() == n_errors;
    types::check(checked, schema, values, findings);
    // What comes next assumes that each rule is right by itself, whatever its expressions are.
    if !is_sound {
        return;
    }
    let mut checked_queries = checked.rules.split_off(n_rules).into_iter();
    for (test, query) in checked.tests.iter_mut().zip(queries) {
        test.query = query.and_then(|_| checked_queries.next());
    }
    strata::stratify(checked, schema, values, findings);
    note_questions_about_requests(checked);
    absence::check(checked, schema, values, findings);
    lints::check(checked, given, values, findings);
}
