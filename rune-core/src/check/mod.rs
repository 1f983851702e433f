//! Trees to a checked set, or every reason why not: identities, types, and what belongs to what.

pub(crate) mod arity;
pub mod data;
pub mod entities;
pub mod links;
pub(crate) mod meant;
pub mod policies;
pub mod rules;

pub use entities::CheckedEntity;
pub use policies::{CheckedPolicies, Link, Statement};
