//! What is answered.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    base::{Version, source::LineColumn},
    decide::{Reason, Why},
    policy,
    program::Program,
};

use super::Generation;

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The request may be carried out.
    Allow,
    /// It may not.
    Deny,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What settles it.
    pub why: Why,
    /// The lineup that answered.
    pub generation: Generation,
    /// The version that answered.
    pub version: Version,
}

impl Decision {
    /// Yes or no.
    #[must_use]
    pub fn effect(&self) -> Effect {
        if self.why.is_allowed() { Effect::Allow } else { Effect::Deny }
    }

    /// Whether the request may be carried out.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.why.is_allowed()
    }
}

/// A policy, for people: what it is called and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRef {
    /// Its identity.
    pub id: Arc<str>,
    /// Whether it permits or forbids.
    pub effect: policy::Effect,
    /// Its file.
    pub path: Arc<str>,
    /// Where in the file it begins.
    pub place: LineColumn,
    /// Its annotations, by name.
    pub annotations: Arc<BTreeMap<String, String>>,
}

impl PolicyRef {
    pub(super) fn of(reason: Reason<'_>, program: &Program) -> Self {
        let (sources, span) = (program.sources(), reason.span());
        Self {
            id: reason.id().clone(),
            effect: reason.effect(),
            path: sources.file(span.file).map_or_else(|| "".into(), |file| file.path.clone()),
            place: sources.place(span),
            annotations: reason.annotations().clone(),
        }
    }
}

/// A policy whose condition has no value: it is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The policy.
    pub policy: PolicyRef,
    /// Why its condition has no value.
    pub message: String,
}

/// A decision and all that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The satisfied forbids if there are any, else the satisfied permits.
    pub determining: Vec<PolicyRef>,
    /// The policies whose conditions have no value.
    pub failed: Vec<Failed>,
    /// Attributes that the request supplied and that the schema does not take from requests: `principal.role`.
    pub ignored: Vec<String>,
    /// Whether the explanation ran out of steps: then there may be more reasons and more failures.
    pub is_incomplete: bool,
    /// How many rows of relations rules looked at for this request.
    pub n_rows_touched: u64,
}
