//! Why: what a decision rests on, down to the lines where facts stand, and what one that is no allow would have needed.
//!
//! ```text
//!   decision ─▶ policies and rules ─▶ clauses ─▶ facts ─▶ rules ─▶ clauses ─▶ facts … ─▶ file:line
//! ```
//!
//! The facts of an explanation are one list, in which each stands after all that it follows from: a proof that is read from
//! its beginning and cannot go in a circle. What is shown is found again, not remembered: a derived row knows when it came, and
//! some instance of a rule derives it from older ones (heights of well-founded proofs: Zhao, Subotić and Scholz, "Debugging
//! Large-scale Datalog", 2020).

mod builder;
mod candidates;
mod facts;
mod ledger;
mod minimal;
mod missing;
mod options;
mod recorder;
mod smallest;
mod tree;

use std::{collections::BTreeMap, fmt, sync::Arc, thread};

use serde::Serialize;

use crate::{
    base::{EntityRef, OwnedValue, Pool, Sources, Stats, limits},
    check::rules::CheckedRules,
    datalog::CompiledRule,
    decide::{Bound, Request, Terms, decision::Decision},
    policy,
};

pub use minimal::Minimal;
pub use missing::{InTheWay, Searched, WhyNot};
pub(crate) use missing::{Tried, Try};
pub use options::ExplainOptions;
pub use tree::{ByFile, Cite};

/// A decision and all that led to it.
///
/// As JSON: the members of the decision and those here, `is_incomplete` as `incomplete` and `n_rows_touched` as `rows_touched`;
/// and `format`, the name and number of this shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "format", rename = "rune/explanation/1")]
#[non_exhaustive]
pub struct Explanation {
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// The satisfied forbids if there are any, else the satisfied permits, each with its clauses.
    pub determining: Vec<Instance>,
    /// The policies and rules that have no value.
    pub failed: Vec<Failed>,
    /// If it is forbidden and what is missing was asked for: the permits that hold all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<RuleRef>,
    /// If no policy permits: the permits, those that come nearest first. Of what is forbidden, if what is missing was asked for.
    pub candidates: Vec<Candidate>,
    /// How many permits there are besides [`Self::candidates`].
    pub candidates_beyond: usize,
    /// If it is allowed: the forbids about the action that do not hold, those that come nearest first, each with its clauses.
    pub forbids: Vec<Instance>,
    /// How many such forbids there are besides [`Self::forbids`].
    pub forbids_beyond: usize,
    /// The facts that clauses rest on, each after those that it follows from; clauses name them by their places here, from 0.
    pub facts: Vec<Fact>,
    /// The principal and the resource, as far as no file names them.
    pub unknown: Vec<EntityRef>,
    /// Attributes that the request supplied and that the schema does not take from requests: `principal.role`.
    pub ignored: Vec<String>,
    /// Whether a limit was passed: then there may be more reasons, failures and facts.
    #[serde(rename = "incomplete")]
    pub is_incomplete: bool,
    /// How many rows of relations rules looked at for the decision.
    #[serde(rename = "rows_touched")]
    pub n_rows_touched: u64,
    /// If the smallest proof was asked for and there is one: how small it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimal: Option<Minimal>,
    /// What it took.
    #[serde(skip)]
    pub stats: ExplanationStats,
}

/// What an explanation took, and the decision by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct ExplanationStats {
    /// The decision.
    pub decision: Stats,
    /// All that says why.
    pub explanation: Stats,
}

/// A policy or a rule: what it is called and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RuleRef {
    /// Its identity.
    pub id: Arc<str>,
    /// Whether it permits or forbids; none for a rule that derives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<policy::Effect>,
    /// Where it begins.
    #[serde(flatten)]
    pub place: Place,
    /// Its annotations, by name.
    pub annotations: Arc<BTreeMap<String, String>>,
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file.
    pub path: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

/// A policy or rule with the values of its variables and of its clauses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Instance {
    /// Which.
    #[serde(flatten)]
    pub rule: RuleRef,
    /// The values of the variables of a rule, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bindings: BTreeMap<String, OwnedValue>,
    /// Its clauses as they are written: of a rule that does not hold, those that do and the first that does not; of a policy all,
    /// with [`Outcome::Unreached`] for those that were not come to.
    pub clauses: Vec<Clause>,
}

/// A part of a scope, an operand of a condition, a condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Clause {
    /// As it is written.
    pub text: String,
    /// Where it begins; of a part of a policy's scope, where the policy does.
    #[serde(flatten)]
    pub place: Place,
    /// What it comes to.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What it gives its variable, if that is what it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<OwnedValue>,
    /// The facts that it was found to rest on, by their places in [`Explanation::facts`].
    pub facts: Vec<usize>,
    /// Of an aggregate: what it was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// If it is what it is for want of rows: those that were asked for and are not there, `_` for any value, and a variable for
    /// any that is the same in all its columns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<String>,
    /// If it is false: the rules that could have made it true, as far as they come.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Instance>,
    /// If it is, or denies, a chain of `&&` or `||` in a policy: its operands, each with what it comes to by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operands: Vec<Clause>,
}

/// What an aggregate was made of: tuples of the values of its variables, each once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counted {
    /// The variables: `X` in `count { X : p(X, Y) }`.
    pub columns: Vec<String>,
    /// Their values, tuple by tuple; of the smallest or largest of many, one that is it is among them.
    pub tuples: Vec<Vec<OwnedValue>>,
    /// How many tuples there are besides.
    pub beyond: usize,
}

/// What a clause comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It has no value.
    Error {
        /// Why.
        message: String,
    },
    /// It was not come to.
    Unreached,
}

/// A policy or rule that has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failed {
    /// Which, with its clauses.
    #[serde(flatten)]
    pub instance: Instance,
    /// Why it has none.
    pub message: String,
}

/// A permit that does not hold, for want of the first clause that is false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Candidate {
    /// Which, with its clauses.
    #[serde(flatten)]
    pub instance: Instance,
    /// A few facts with which the request would be allowed, if some were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Atom>,
    /// If it was asked for: all that would have it allowed, within so many facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<WhyNot>,
}

/// A row of a relation: `viewer(User::"ada", Folder::"specs")`, `in(User::"ada", Group::"eng")`, `User.level(User::"ada", 3)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Atom {
    /// The relation.
    pub relation: Arc<str>,
    /// The row.
    pub row: Vec<OwnedValue>,
}

/// A row that is there, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// The row.
    #[serde(flatten)]
    pub atom: Atom,
    /// Why it is there.
    #[serde(flatten)]
    pub because: Because,
}

/// Why a fact is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum Because {
    /// It stands in a file.
    Given(Place),
    /// The schema has it.
    Schema,
    /// It came through the API.
    Live,
    /// The request says so.
    Request,
    /// An entity is below another by way of these facts, each a parent of the one before.
    Parents {
        /// The facts, by their places in the list.
        facts: Vec<usize>,
    },
    /// This instance of a rule derives it.
    Rule(Instance),
    /// It is there, and a limit kept the reason from being found.
    Unshown,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path, self.line, self.column)
    }
}

/// As rules write it.
impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ("in", [low, high]) = (&*self.relation, self.row.as_slice()) {
            return write!(f, "{low} in {high}");
        }
        write!(f, "{}(", self.relation)?;
        for (at, value) in self.row.iter().enumerate() {
            write!(f, "{}{value}", if at == 0 { "" } else { ", " })?;
        }
        f.write_str(")")
    }
}

impl Because {
    /// The facts that a fact follows from directly, by their places in [`Explanation::facts`].
    #[must_use]
    pub fn facts(&self) -> Vec<usize> {
        match self {
            Self::Given(_) | Self::Schema | Self::Live | Self::Request | Self::Unshown => Vec::new(),
            Self::Parents { facts } => facts.clone(),
            Self::Rule(instance) => instance.clauses.iter().flat_map(|clause| clause.facts.iter().copied()).collect(),
        }
    }
}

/// Why a query has rows, or has none.
///
/// As JSON: the members here, `is_incomplete` as `incomplete`, and `format`, the name and number of this shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "format", rename = "rune/proof/1")]
#[non_exhaustive]
pub struct Proof {
    /// Whether there is a row.
    pub holds: bool,
    /// The variables of the query, in the order in which they are written.
    pub columns: Vec<String>,
    /// The values of the variables in the first row, or as far as they have one.
    pub bindings: BTreeMap<String, OwnedValue>,
    /// The conditions of the query, up to and with the first that does not hold.
    pub clauses: Vec<Clause>,
    /// The facts that they rest on, as in [`Explanation::facts`].
    pub facts: Vec<Fact>,
    /// Whether a limit was passed: then there may be a row all the same, and more facts.
    #[serde(rename = "incomplete")]
    pub is_incomplete: bool,
    /// If the smallest proof was asked for and there is one: how small it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimal: Option<Minimal>,
    /// If it was asked for and there is no row: what would have there be one, within so many facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<WhyNot>,
    /// What it took.
    #[serde(skip)]
    pub stats: Stats,
}

/// Explains the answer to a query that was compiled into a rule; `relations` are all that it is about, `columns` its variables.
pub(crate) fn prove<'p>(
    (terms, relations): (Terms<'p>, &CheckedRules),
    (pool, sources): (&Arc<Pool>, &Sources),
    bound: &mut Bound<'p>,
    (rule, columns): (&'p CompiledRule, Vec<String>),
    (options, attempt): (ExplainOptions, Try<'_>),
) -> Proof {
    Proof { columns, ..builder::prove((terms, relations), (pool, sources), bound, (rule, options, attempt)) }
}

/// Does something on a stack that is large enough for explanations: what they take depends on rules, not on the caller's stack.
/// None if there is none to be had.
pub(crate) fn with_stack<R: Send>(work: impl FnOnce() -> R + Send) -> Option<R> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("rune-explain".to_owned());
        let thread = builder.stack_size(limits::EXPLANATION_STACK_BYTES).spawn_scoped(scope, work);
        thread.ok().and_then(|thread| thread.join().ok())
    })
}

/// Explains a decision that was made of a request by these terms; `pool` has their values, `sources` their text. The result may
/// stop at a limit, and says so.
#[must_use]
pub fn explain(
    terms: Terms<'_>,
    (pool, sources): (&Arc<Pool>, &Sources),
    (request, options): (&Request, ExplainOptions),
    decision: Decision,
) -> Explanation {
    let explained =
        with_stack(|| builder::explain(terms, (pool, sources), (request, options), Explanation::of(decision.clone())));
    explained.unwrap_or_else(|| Explanation { is_incomplete: true, ..Explanation::of(decision) })
}

/// The decision with the policies and rules that determine it, and those that failed, without their clauses: what
/// [`explain`] begins with, at the cost of a decision that looks at all of them.
#[must_use]
pub fn outline(terms: Terms<'_>, sources: &Sources, request: &Request, decision: Decision) -> Explanation {
    builder::outline(terms, sources, request, Explanation::of(decision))
}

impl Explanation {
    /// Nothing but the decision.
    fn of(decision: Decision) -> Self {
        Self {
            decision,
            determining: Vec::new(),
            failed: Vec::new(),
            forbidden: Vec::new(),
            candidates: Vec::new(),
            candidates_beyond: 0,
            forbids: Vec::new(),
            forbids_beyond: 0,
            facts: Vec::new(),
            unknown: Vec::new(),
            ignored: Vec::new(),
            is_incomplete: false,
            n_rows_touched: 0,
            minimal: None,
            stats: ExplanationStats::default(),
        }
    }
}
