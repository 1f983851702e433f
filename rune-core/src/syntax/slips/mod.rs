//! Slips: what is written elsewhere, and how it is written here. One room for each language.

pub(super) mod cedar;
pub(super) mod rules;
pub(super) mod toml;

use super::ast::Var;

/// Whether other languages call a value so that is missing.
pub(crate) fn is_null(word: &str) -> bool {
    ["null", "nil", "none", "undefined"].iter().any(|null| word.eq_ignore_ascii_case(null))
}

/// Advice where an entity stands without its type. `entity` is how it is written there.
pub(crate) fn with_its_type(entity: &str) -> String {
    format!("an entity is written with its type: `{entity}`")
}

/// The type that advice gives a part of a request of which nothing is known.
pub(crate) fn example_type(part: Var) -> &'static str {
    match part {
        Var::Principal => "User",
        Var::Action => "Action",
        Var::Resource | Var::Context => "Document",
    }
}
