//! Coverage: which clauses of policies and rules were true in one test and false in another.
//!
//! A clause is a part of a policy's scope, an operand of its conditions, or a condition of a rule's body. A clause that no
//! test shows to matter may as well be wrong.

use std::sync::Arc;

use crate::{
    base::{Sources, Span},
    datalog::DatalogEngine,
    decide::Coverage,
    policy::PolicySet,
};

/// What tests showed of one clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseCoverage {
    /// The policy or rule.
    pub id: Arc<str>,
    /// Where the clause stands; for one of a policy's scope, the policy.
    pub span: Span,
    /// The clause.
    pub text: String,
    /// Whether it was true in some test.
    pub was_true: bool,
    /// Whether it was false in some test.
    pub was_false: bool,
}

/// Nothing seen yet of what there is.
pub(in super::super) fn start(policies: &PolicySet, rules: &DatalogEngine) -> Coverage {
    let rules = rules.rules.iter().map(|rule| vec![[false; 2]; rule.goals.len()]).collect();
    let mut coverage = Coverage { rules, ..Coverage::default() };
    for policy in policies.iter() {
        coverage.of_policy(policy);
    }
    coverage
}

/// What was seen, clause by clause, by place.
pub(in super::super) fn told(coverage: &Coverage, rules: &DatalogEngine, sources: &Sources) -> Vec<ClauseCoverage> {
    let mut clauses = Vec::new();
    for policy in coverage.policies.values() {
        for ((text, span), [was_true, was_false]) in policy.clauses.iter().zip(policy.seen.iter().copied()) {
            let (id, text) = (policy.id.clone(), text.clone());
            clauses.push(ClauseCoverage { id, span: *span, text, was_true, was_false });
        }
    }
    for (rule, seen) in rules.rules.iter().zip(&coverage.rules) {
        for (span, [was_true, was_false]) in rule.goals.iter().copied().zip(seen.iter().copied()) {
            let text = sources.file(span.file).and_then(|file| file.text().get(span.range()).map(str::to_owned));
            let text = text.unwrap_or_default();
            clauses.push(ClauseCoverage { id: rule.id.clone(), span, text, was_true, was_false });
        }
    }
    clauses.sort_by_key(|clause| clause.span);
    clauses
}
