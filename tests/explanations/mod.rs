//! Explanations and what they are checked by.

pub mod cedars;
pub mod checker;
pub mod cited;
pub mod denial;
pub mod ground;
pub mod mutants;
pub mod questions;
pub mod random;
pub mod rulesets;
pub mod written;

use std::{collections::BTreeMap, fmt};

use rune_core::{
    Why,
    explain::{Atom, Because, Clause, Explanation},
};

/// What was explained, and how.
#[derive(Default)]
pub struct Tally {
    pub worlds: usize,
    pub refused: usize,
    pub explanations: usize,
    pub allowed: usize,
    pub forbidden: usize,
    pub not_permitted: usize,
    pub errors: usize,
    pub incomplete: usize,
    pub facts: usize,
    pub given: usize,
    pub schema: usize,
    pub requested: usize,
    pub parents: usize,
    pub derived: usize,
    pub unshown: usize,
    pub candidates: usize,
    pub asked: usize,
    /// Of chains in clauses of policies.
    pub operands: usize,
    /// Of requests that are allowed: those that do not hold.
    pub forbids: usize,
    pub missing: usize,
    pub live: usize,
    pub several: usize,
    pub parent: usize,
    pub queries: usize,
    pub rows: usize,
    pub listed: usize,
    /// Aggregates.
    pub counted: usize,
    /// Smallest proofs, those of them that are proven to be, and those that are smaller than what is shown otherwise.
    pub smallest: usize,
    pub proven: usize,
    pub smaller: usize,
    /// Explanations with a flaw, by what it is.
    pub mutants: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub fn count(&mut self, of: &Explanation) {
        self.explanations += 1;
        self.forbids += of.forbids.len();
        let candidates = of.candidates.iter().map(|of| &of.instance);
        let clauses = of.determining.iter().chain(candidates).chain(&of.forbids).flat_map(|of| &of.clauses);
        self.operands += clauses.map(n_operands).sum::<usize>();
        self.incomplete += usize::from(of.is_incomplete);
        *match of.decision.why {
            Why::AllowedBy(_) => &mut self.allowed,
            Why::ForbiddenBy(_) => &mut self.forbidden,
            Why::NotPermitted => &mut self.not_permitted,
            Why::Error(_) => &mut self.errors,
        } += 1;
        for fact in &of.facts {
            self.facts += 1;
            *match fact.because {
                Because::Given(_) => &mut self.given,
                Because::Schema | Because::Live => &mut self.schema,
                Because::Request => &mut self.requested,
                Because::Parents { .. } => &mut self.parents,
                Because::Rule(_) => &mut self.derived,
                Because::Unshown => &mut self.unshown,
            } += 1;
        }
    }
}

// Recurses once per level of a condition.
fn n_operands(of: &Clause) -> usize {
    of.operands.iter().map(|operand| 1 + n_operands(operand)).sum()
}

impl Tally {
    pub fn count_missing(&mut self, missing: &[Atom]) {
        let has = |name: &str| usize::from(missing.iter().any(|atom| &*atom.relation == name));
        self.missing += 1;
        self.several += usize::from(1 < missing.len());
        self.parent += has("parent");
        self.live += has("suspended");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worlds, refused, explanations, incomplete, allowed, forbidden, not_permitted, errors, .. } = self;
        write!(
            f,
            "{worlds} worlds ({refused} more are refused), {explanations} explanations ({incomplete} incomplete): "
        )?;
        write!(f, "{allowed} allowed, {forbidden} forbidden, {not_permitted} not permitted, {errors} errors; ")?;
        let Self { facts, given, schema, requested, parents, derived, unshown, .. } = self;
        write!(f, "{facts} facts: {given} given, {schema} of the schema, {requested} of the request, ")?;
        write!(
            f,
            "{parents} by parents, {derived} by rules, {unshown} unshown; {} clauses asked of another; ",
            self.asked
        )?;
        write!(f, "{} operands, {} forbids that do not hold; ", self.operands, self.forbids)?;
        let Self { candidates, missing, several, parent, live, .. } = self;
        write!(f, "{missing} of {candidates} candidates have missing facts, with which the request is allowed: ")?;
        let Self { queries, rows, listed, .. } = self;
        write!(
            f,
            "{several} several, {parent} parents, {live} live; {} mutants; ",
            self.mutants.values().sum::<usize>()
        )?;
        write!(f, "{queries} queries with {rows} rows; {listed} listed; ")?;
        let Self { smallest, proven, smaller, .. } = self;
        write!(
            f,
            "{proven} of {smallest} smallest proofs are proven, {smaller} are smaller; {} aggregates",
            self.counted
        )
    }
}

/// The worlds of a test are worth as much as they make happen: `n` of something must be at least `n_min`.
pub fn enough(tally: &Tally, floors: &[(&str, usize, usize)]) {
    for (what, n, n_min) in floors {
        assert!(n_min <= n, "fewer than {n_min} {what}: {tally}");
    }
}
