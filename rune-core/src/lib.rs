//! RUNE decides who may do what, from policies that people edit in place.
//!
//! ```
//! use rune_core::{EntityRef, Options, Program, Engine, Request, Sources};
//!
//! let sources = Sources::single(
//!     "policies.cedar",
//!     r#"permit (principal == User::"ada", action == Action::"read", resource);"#,
//! );
//! let engine = Engine::new(Program::build(sources, Options::default()).map_err(|report| report.to_string())?);
//! let request = |who| {
//!     Request::new(EntityRef::new("User", who), EntityRef::new("Action", "read"), EntityRef::new("Document", "plan"))
//! };
//! assert!(engine.decide(&request("ada")).is_allowed());
//! assert!(!engine.decide(&request("eve")).is_allowed());
//! # Ok::<(), String>(())
//! ```
//!
//! A [`Program`] is built from the whole of its [`Sources`] or not at all; an [`Engine`] serves one and can
//! [`swap`](Engine::swap) it for another while decisions go on.

// In the order of their layers: each module uses only those above it.
pub mod base;
pub mod diag;
pub mod syntax;
pub mod expr;
pub mod schema;
pub mod check;
pub mod facts;
pub mod datalog;
pub mod policy;
pub mod decide;
pub mod explain;
pub mod query;
pub mod program;
pub mod engine;
#[cfg(feature = "watch")]
pub mod watch;
#[cfg(feature = "watch")]
pub mod reload;

pub use base::{EntityRef, File, OwnedValue, Sources, Span, Version};
pub use decide::{
    Request, Why,
    decision::{Decision, Effect, Generation},
};
pub use diag::{Finding, Report, Severity};
pub use engine::{Engine, Lineup};
pub use explain::Explanation;
pub use program::{BuildError, Options, Program};
pub use query::{List, Listed, QueryError, Rows};
#[cfg(feature = "watch")]
pub use reload::{Status, Watch};
pub use syntax::json::JsonError;
