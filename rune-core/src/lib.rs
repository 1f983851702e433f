//! RUNE decides who may do what, from policies, rules and facts that people edit in place.
//!
//! # Decide
//!
//! A [`Program`] is built from the whole of its [`Sources`] or not at all; an [`Engine`] serves one, and decides.
//!
//! ```
//! use rune_core::{Engine, EntityRef, Options, Program, Request, Sources};
//!
//! let sources = Sources::single("documents.rune", r#"
//! version = "rune/1.0"
//! [data]
//! viewer = [["ada", "plan"]]
//! [rules]
//! relation viewer(User, Document).
//! @id("viewers") permit(U, Action::"read", D) :- viewer(U, D).
//! "#);
//! let engine = Engine::new(Program::build(sources, Options::default())?);
//! let request = |who| {
//!     Request::new(EntityRef::new("User", who), EntityRef::new("Action", "read"), EntityRef::new("Document", "plan"))
//! };
//! assert!(engine.decide(&request("ada")).is_allowed());
//! assert!(!engine.decide(&request("eve")).is_allowed());
//!
//! let explanation = engine.explain(&request("eve"));
//! assert_eq!(explanation.candidates[0].missing[0].to_string(), r#"viewer(User::"eve", Document::"plan")"#);
//! let rows = engine.query("viewer(U, D)", None)?;
//! assert_eq!(rows.rows.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Engine::swap`] puts another program in the place of the one that is served while decisions go on: each is made by one
//! program, and none waits.
//!
//! # A folder
//!
//! [`Engine::open`] reads a folder once; [`Watch`] follows its edits, and serves each as soon as it stands still, whole or not at
//! all. What is wrong with a folder is a [`Report`]: findings, each with a place and, where there is one, a hint.
//!
//! # Why, who and what
//!
//! [`Engine::explain`] says why: an [`Explanation`] goes from what decides through clauses and facts down to the lines where those
//! stand, and for what is not permitted to the facts that are missing. [`Engine::query`] gives the [`Rows`] that satisfy
//! conditions, [`Engine::list`] those for whom a request with one side open, a [`List`], is allowed.
//!
//! # What is promised
//!
//! The names at the root of the crate and what they lead to. The other modules are the parts of the engine, open to tools and
//! tests; they change without notice.

// In the order of their layers: each module uses only those above it.
pub mod base;
pub mod diag;
#[doc(hidden)]
pub mod syntax;
#[doc(hidden)]
pub mod expr;
#[doc(hidden)]
pub mod schema;
#[doc(hidden)]
pub mod check;
#[doc(hidden)]
pub mod facts;
#[doc(hidden)]
pub mod datalog;
#[doc(hidden)]
pub mod policy;
pub mod decide;
pub mod explain;
pub mod query;
pub mod program;
pub mod engine;
#[cfg(feature = "watch")]
#[doc(hidden)]
pub mod watch;
#[cfg(feature = "watch")]
pub mod reload;

// The dozen to begin with.
pub use base::{EntityRef, Sources};
pub use decide::{Request, decision::Decision};
pub use diag::Report;
pub use engine::Engine;
pub use explain::Explanation;
pub use program::{Options, Program};
pub use query::{List, Rows};
#[cfg(feature = "watch")]
pub use reload::Watch;

// What they are made of, and what goes wrong.
pub use base::{File, OwnedValue, Span, Version};
pub use decide::{
    Why,
    decision::{Effect, Generation},
};
pub use diag::{Finding, Severity};
pub use engine::Lineup;
pub use explain::Proof;
pub use program::BuildError;
pub use query::{Listed, QueryError};
#[cfg(feature = "watch")]
pub use reload::{OpenError, Status};
pub use syntax::json::JsonError;
