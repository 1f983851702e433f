//! Several evaluations in one body: what each asks, and what they are answered.
//!
//! ```text
//!   { subject?, action?, resource?, context?, evaluations: [{ resource }, { action, resource }, {}] }
//!     └────────────── defaults ─────────────┘                ▲
//!                          └── whatever an item does not give ┘
//! ```
//!
//! What is wrong with the body is a bad request. What is wrong with an item is that item's answer, a denial.

use rune_core::{
    Snapshot,
    syntax::{Node, Shape},
};
use serde_json::{Value as Json, json};

use crate::serve::{http::Fault, limits};

use super::{
    decision_json,
    request::{Evaluation, expect_object, given},
    undecided,
};

/// Evaluations in their order, and when to stop.
#[derive(Debug)]
pub(super) struct Batch<'b> {
    items: Vec<Result<Evaluation<'b>, Fault>>,
    semantic: Semantic,
}

impl<'b> Batch<'b> {
    /// The batch that a body is; a body without evaluations is none.
    pub(super) fn of(body: &'b Node) -> Result<Option<Self>, Fault> {
        let defaults = Evaluation::of(body, "the body")?;
        let semantic = Semantic::of(body)?;
        let items = match given(body, "evaluations") {
            None => return Ok(None),
            Some(Node { shape: Shape::List(items), .. }) if items.is_empty() => return Ok(None),
            Some(Node { shape: Shape::List(items), .. }) => items,
            Some(other) => {
                return Err(Fault::bad_request(format!("`evaluations` must be a list, not {}", other.kind())));
            }
        };
        let (n, n_max) = (items.len(), limits::BATCH_EVALUATIONS_MAX);
        if n_max < n {
            return Err(Fault::bad_request(format!(
                "there are {n} evaluations: at most {n_max} are answered at a time"
            )));
        }
        defaults.check_types()?;
        let of_item = |item| Evaluation::of(item, "an evaluation").map(|own| own.over(&defaults));
        let items: Vec<_> = items.iter().map(of_item).collect();
        check_size(items.iter().flatten())?;
        Ok(Some(Self { items, semantic }))
    }

    /// The answers of one lineup at one revision, each made when it is asked for; they end where the semantic says.
    pub(super) fn answers(&self, snapshot: &Snapshot) -> impl Iterator<Item = Json> {
        let mut is_over = false;
        self.items.iter().map_while(move |item| {
            if is_over {
                return None;
            }
            let mut answer = match item.as_ref().map_err(Clone::clone).and_then(Evaluation::request) {
                Ok(request) => decision_json(&snapshot.decide(&request)),
                Err(fault) => undecided(&fault),
            };
            is_over = self.semantic.ends_at(&answer);
            if let (true, Some(reason), Json::Object(members)) = (is_over, self.semantic.reason(), &mut answer) {
                members.entry("context").or_insert_with(|| json!({ "code": "200", "reason": reason }));
            }
            Some(answer)
        })
    }
}

/// Counting is part of the work that it limits: it ends where that would.
fn check_size<'i, 'b: 'i>(evaluations: impl Iterator<Item = &'i Evaluation<'b>>) -> Result<(), Fault> {
    let (mut size, size_max) = (0, limits::BATCH_BYTES_MAX);
    for evaluation in evaluations {
        size += evaluation.size();
        if size_max < size {
            let what = "the evaluations, each with the defaults that it takes";
            return Err(Fault::bad_request(format!("{what}, are larger than {size_max} bytes together")));
        }
    }
    Ok(())
}

/// Which evaluations are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Semantic {
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

impl Semantic {
    fn of(body: &Node) -> Result<Self, Fault> {
        let Some(options) = given(body, "options") else { return Ok(Self::ExecuteAll) };
        expect_object(options, "`options`")?;
        let Some(semantic) = given(options, "evaluations_semantic") else { return Ok(Self::ExecuteAll) };
        match semantic.as_text() {
            Some("execute_all") => Ok(Self::ExecuteAll),
            Some("deny_on_first_deny") => Ok(Self::DenyOnFirstDeny),
            Some("permit_on_first_permit") => Ok(Self::PermitOnFirstPermit),
            _ => Err(Fault::bad_request(
                "`options.evaluations_semantic` is one of \"execute_all\", \"deny_on_first_deny\", \
                 \"permit_on_first_permit\"",
            )),
        }
    }

    fn ends_at(self, answer: &Json) -> bool {
        let is_allowed = answer["decision"] == true;
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !is_allowed,
            Self::PermitOnFirstPermit => is_allowed,
        }
    }

    /// What the specification's example says with the answer that is the last because of the semantic.
    fn reason(self) -> Option<&'static str> {
        (self == Self::DenyOnFirstDeny).then_some("deny_on_first_deny")
    }
}
