//! Questions: the rows that satisfy a conjunction of conditions, and what a request with one side open is allowed for.
//!
//! Both are whole, or say that they are not; both have an order of their own, which does not depend on how they were found.

mod entities;
mod list;
mod names;
mod proposals;

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::{
    base::{OwnedValue, Pool, Scratch, Sources, Span, Threads, Value, Values, limits, value::each_entity},
    check::rules::{CheckedRules, Goal, Names, PredicateId, PredicateKind, Question, Term},
    datalog::{self, Bounds, Missing, Solver, Stop, give},
    decide::{Bound, Request, RequestWorld, Terms, bind},
    diag::{Findings, Report},
    explain::{self, ExplainOptions, Proof, Tried},
    expr::Failure,
    facts::{Relation, Store as _},
    syntax::{cedar::Piece, rules},
};

pub use crate::base::Stats;
pub use entities::{Entities, EntityName};
pub use list::{List, Listed};

/// What questions are put to.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What requests are decided by.
    pub terms: Terms<'a>,
    /// The values of all that.
    pub pool: &'a Arc<Pool>,
    /// Its text.
    pub sources: &'a Sources,
    /// The relations, as they were checked.
    pub relations: &'a CheckedRules,
}

/// The rows that answer a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rows {
    /// The variables of the query, in the order in which they are written. None if it only asks whether.
    pub columns: Vec<String>,
    /// Their values, each row once, in the order of [`OwnedValue`]. Of a query without variables that holds, one row.
    pub rows: Vec<Vec<OwnedValue>>,
    /// Why there may be more rows, if something that decides one has no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undetermined: Option<String>,
    /// What finding them took.
    pub stats: Stats,
}

/// Why a question has no answer.
#[derive(Debug)]
pub enum QueryError {
    /// The text is not a query that can be asked here; the report holds at least one error.
    Refused(Report),
    /// What it asks depends on a request, and none was given.
    NoRequest,
    /// The request does not fit the schema, or what follows from it takes too much; why.
    Request(String),
    /// It takes more than this many steps.
    TooManySteps(u64),
    /// It has more than this many rows.
    TooManyRows(usize),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(report) => report.fmt(f),
            Self::NoRequest => {
                f.write_str("the query depends on a request: give a principal, an action and a resource")
            }
            Self::Request(message) => f.write_str(message),
            Self::TooManySteps(n) => write!(f, "the query takes more than {n} steps: ask for less at once"),
            Self::TooManyRows(n) => write!(f, "the query has more than {n} rows: ask for less at once"),
        }
    }
}

impl std::error::Error for QueryError {}

/// Steps that a query may take.
const STEPS_MAX: u64 = limits::EXPLANATION_STEPS_MAX;

/// A query over all that it asks for.
struct Put<'a, 'p> {
    terms: Terms<'p>,
    sources: &'a Sources,
    question: &'p Question,
    query: &'p datalog::Query,
    bound: &'a mut Bound<'p>,
    work: datalog::Work,
}

impl Asked<'_> {
    /// The rows that satisfy a query: conditions as in the body of a rule, with a `?` or `.` after them or not.
    ///
    /// # Errors
    ///
    /// If the text is no query, if it depends on a request that was not given or does not fit, or if it takes too many steps.
    pub fn query(&self, text: &str, request: Option<&Request>) -> Result<Rows, QueryError> {
        self.put(text, request, |put| {
            let Put { question, query, bound, work, .. } = put;
            let (values, world, parts) = bound.parts();
            let n_asked = world.session.n_taken();
            let mut solver = Solver::new(&mut *values, world, parts, work.steps_left);
            let answers = solver.query(query, limits::ANSWER_ROWS_MAX).map_err(|stop| match stop {
                Stop::Enough => QueryError::TooManyRows(limits::ANSWER_ROWS_MAX),
                Stop::TooManySteps => QueryError::TooManySteps(STEPS_MAX),
            })?;
            // What is found on demand is paid for apart.
            let n_asked = world.session.n_taken() - n_asked;
            let steps = STEPS_MAX - solver.steps_left() + n_asked;
            let stats = Stats::new(steps, work.n_touched + solver.n_touched() + n_asked);
            let shown = |row: &Vec<Value>| row.iter().map(|value| OwnedValue::of(values, *value)).collect();
            let mut rows: Vec<Vec<OwnedValue>> = answers.rows.iter().map(shown).collect();
            rows.sort();
            Ok(Rows {
                columns: columns(question),
                rows,
                undetermined: answers.undetermined.map(|cause| Failure::Undetermined(cause).describe(values)),
                stats,
            })
        })
    }

    /// Why a query has rows: the conditions with what makes the first of its rows true; or why it has none: up to the first
    /// condition that no row comes past.
    ///
    /// # Errors
    ///
    /// Those of [`Self::query`].
    pub fn prove(&self, text: &str, request: Option<&Request>, options: ExplainOptions) -> Result<Proof, QueryError> {
        if !options.is_deep() {
            return self.prove_here(text, request, options);
        }
        // Without a stack for it, it goes into no more than usual.
        let proof = explain::with_stack(|| self.prove_here(text, request, options));
        proof.unwrap_or_else(|| self.prove_here(text, request, ExplainOptions::default()))
    }

    fn prove_here(&self, text: &str, request: Option<&Request>, options: ExplainOptions) -> Result<Proof, QueryError> {
        self.put(text, request, |put| {
            let Put { terms, sources, question, query, bound, .. } = put;
            bound.keep_rows();
            let attempt = |values: &Scratch<'_>, rows: &[Missing], steps: &mut u64| {
                self.holds_with((text, request), (values, rows), steps)
            };
            Ok(explain::prove(
                (terms, &question.rules),
                (self.pool, sources),
                bound,
                (query.rule(), columns(question)),
                (options, &attempt),
            ))
        })
    }

    /// Whether a query would have a row if these were given.
    fn holds_with(
        &self,
        (text, request): (&str, Option<&Request>),
        (values, rows): (&Scratch<'_>, &[Missing]),
        steps: &mut u64,
    ) -> Tried {
        let mut pool = Pool::over(self.pool.clone());
        let bounds = Bounds { steps_max: *steps, rows_max: limits::ROWS_MAX, threads: Threads::ONE };
        let Terms { rules, facts, demand, .. } = self.terms;
        let supposed = datalog::suppose(rules, facts, &mut pool, (values, rows), demand.is_empty(), bounds);
        let Ok((facts, demand, work)) = supposed else {
            *steps = 0;
            return Tried::GivenUp;
        };
        let pool = Arc::new(pool);
        let terms = Terms { facts: &facts, demand: &demand, values: &pool, ..self.terms };
        match (Asked { terms, pool: &pool, ..*self }).query(text, request) {
            Ok(found) => {
                *steps = work.steps_left.saturating_sub(found.stats.steps);
                if found.rows.is_empty() { Tried::Fails } else { Tried::Holds }
            }
            Err(_) => {
                *steps = work.steps_left;
                Tried::GivenUp
            }
        }
    }

    /// Checks a query, and answers it over all that it asks for.
    fn put<R>(
        &self,
        text: &str,
        request: Option<&Request>,
        answer: impl FnOnce(Put<'_, '_>) -> Result<R, QueryError>,
    ) -> Result<R, QueryError> {
        let mut pool = Pool::over(self.pool.clone());
        let mut findings = Findings::default();
        let (sources, compiled) = self.compile(text, &mut pool, &mut findings);
        let Some((question, query)) = compiled.filter(|_| !findings.has_error()) else {
            return Err(QueryError::Refused(findings.into_report(Arc::new(sources))));
        };
        if question.is_about_request && request.is_none() {
            return Err(QueryError::NoRequest);
        }
        let terms = Terms { values: &pool, ..self.terms };
        let mut bound = match request {
            Some(request) => bind(terms, request).map_err(QueryError::Request)?,
            None => Bound::without_request(terms),
        };
        let mut work = datalog::Work { steps_left: STEPS_MAX, n_touched: 0, n_rows: 0 };
        if request.is_some() {
            work = bound.derive(terms.rules, STEPS_MAX).map_err(|error| QueryError::Request(error.to_string()))?;
        }
        let n_loaded = bound.with_world(|world, values, parts| {
            self.complete(&question, world, values, &parts) + prepare(&query, world)
        });
        work.steps_left = work.steps_left.checked_sub(n_loaded).ok_or(QueryError::TooManySteps(STEPS_MAX))?;
        answer(Put { terms, sources: &sources, question: &question, query: &query, bound: &mut bound, work })
    }

    fn compile(
        &self,
        text: &str,
        pool: &mut Pool,
        findings: &mut Findings,
    ) -> (Sources, Option<(Question, datalog::Query)>) {
        let body = text.trim_end();
        let body = body.strip_suffix(['?', '.']).unwrap_or(body);
        let (sources, file) = self.sources.with_text("query", body);
        let piece = Piece { file, start: 0, text: body.to_owned() };
        let goal = rules::parse_goal(&piece, findings);
        let question = goal.and_then(|goal| self.relations.question((file, goal), self.terms.schema, pool, findings));
        let compiled = question.and_then(|question| {
            let Question { rules, rule, .. } = &question;
            let query = datalog::Query::compile(rules, rule, self.terms.facts, pool, findings)?;
            Some((question, query))
        });
        (sources, compiled)
    }

    /// Gives a world the rows of relations that no rule asked for: who is known of a type, stored attributes, parents. Says how
    /// many rows that took.
    fn complete(
        &self,
        question: &Question,
        world: &mut RequestWorld<'_>,
        values: &impl Values,
        parts: &[Value; 4],
    ) -> u64 {
        let facts = self.terms.facts;
        let mut n_loaded = 0;
        for (at, predicate) in question.rules.predicates.iter().enumerate().skip(self.relations.predicates.len()) {
            let mut relation = Relation::new(predicate.columns.len());
            match predicate.kind {
                PredicateKind::Known(kind) => {
                    facts.each_known(values, &mut |of, entity, span| {
                        if of == kind {
                            relation.give(&[entity], span);
                        }
                    });
                    let supplied = world.supplied();
                    for part in parts.iter().chain(&supplied).filter(|part| **part != Value::UNKNOWN) {
                        each_entity(values, *part, &mut |of, entity| {
                            if of == kind {
                                relation.rows.insert(&[entity]);
                            }
                        });
                    }
                }
                PredicateKind::Stored(kind, name) => {
                    facts.each_stored(values, kind, name, &mut |entity, value, span| {
                        relation.give(&[entity, value], span);
                    });
                }
                _ => continue,
            }
            n_loaded += u64::from(relation.rows.len());
            world.add(PredicateId(at), relation);
        }
        let is_loaded = |id| world.relation(id).is_some_and(|relation| !relation.rows.is_empty());
        let is_read = question.rule.body.iter().any(Goal::reads_hierarchy);
        if is_read && !is_loaded(Names::PARENT) && !is_loaded(Names::IN) {
            world.add(Names::PARENT, Relation::new(2));
            world.add(Names::IN, Relation::new(2));
            for parent in facts.all_stored_parents(values) {
                let place = parent.first().and_then(|child| facts.place_of(*child));
                n_loaded += give(world, Names::PARENT, &parent, place.unwrap_or(Span::NOWHERE));
                if STEPS_MAX < n_loaded {
                    break;
                }
            }
        }
        n_loaded
    }
}

/// The variables of a question, in the order in which they are written.
fn columns(question: &Question) -> Vec<String> {
    let name = |arg: &Term| match arg {
        Term::Slot(slot) => question.rule.variables.get(slot.0).map(|variable| variable.name.clone()),
        Term::Constant(_) | Term::Any => None,
    };
    question.rule.args.iter().filter_map(name).collect()
}

/// Gives a world the indexes that a query needs: on copies, where the facts have none. Says how many rows that took.
fn prepare(query: &datalog::Query, world: &mut RequestWorld<'_>) -> u64 {
    let mut n_copied = 0;
    for (id, columns) in query.indexes() {
        let Some(relation) = world.relation(id).filter(|relation| relation.rows.find_index(&columns).is_none()) else {
            continue;
        };
        let mut relation = relation.clone();
        n_copied += u64::from(relation.rows.len());
        relation.rows.index_on(&columns);
        world.add(id, relation);
    }
    n_copied
}
