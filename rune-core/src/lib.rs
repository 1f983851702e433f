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

pub mod base;
pub mod check;
pub mod diag;
pub mod engine;
pub mod expr;
pub mod facts;
pub mod policy;
pub mod program;
pub mod schema;
pub mod syntax;

pub use base::{File, Sources, Span, Version};
pub use diag::{Finding, Report, Severity};
pub use engine::{Decision, Effect, Engine, EntityRef, Explanation, Generation, Lineup, Request, Why};
pub use program::{Options, Program};
pub use syntax::json::JsonError;
