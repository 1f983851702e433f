//! RUNE decides who may do what, from policies, rules and facts that people edit in place.
//!
//! ```toml
//! [dependencies]
//! rune-core = { path = "rune/rune-core" }
//! ```
//!
//! The path is that of a clone: the crate is on no registry yet. With `default-features = false` it is the bare engine, which
//! reads no folder.
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
//! # Threads
//!
//! An [`Engine`] is [`Sync`], and its methods take `&self`: put it into an [`Arc`](std::sync::Arc) and give each thread a clone of
//! that. A decision takes no lock and waits for nobody. Several decisions by one version, at one revision of its live facts, are
//! made by the [`Snapshot`] that [`Engine::snapshot`] returns.
//!
//! ```
//! # use std::{sync::Arc, thread};
//! # use rune_core::{Engine, EntityRef, Options, Program, Request, Sources};
//! # let sources = Sources::single("a.cedar", "permit (principal, action, resource);");
//! let engine = Arc::new(Engine::new(Program::build(sources, Options::default())?));
//! let thread = thread::spawn({
//!     let engine = engine.clone();
//!     move || {
//!         let [who, what] = ["User", "Document"].map(|kind| EntityRef::new(kind, "a"));
//!         engine.decide(&Request::new(who, EntityRef::new("Action", "read"), what)).is_allowed()
//!     }
//! });
//! assert!(thread.join().unwrap());
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
pub mod store;
pub mod engine;
#[cfg(feature = "watch")]
#[doc(hidden)]
pub mod watch;
#[cfg(feature = "watch")]
pub mod reload;

// The dozen to begin with.
#[doc(inline)]
pub use base::{EntityRef, Sources};
#[doc(inline)]
pub use decide::{Request, decision::Decision};
#[doc(inline)]
pub use diag::Report;
#[doc(inline)]
pub use engine::Engine;
#[doc(inline)]
pub use explain::Explanation;
#[doc(inline)]
pub use program::{Options, Program};
#[doc(inline)]
pub use query::{List, Rows};
#[cfg(feature = "watch")]
#[doc(inline)]
pub use reload::Watch;

// What they are made of, and what goes wrong.
#[doc(inline)]
pub use base::{File, OwnedValue, Span, Stats, Threads, Version};
#[doc(inline)]
pub use decide::{
    EntityRefError, Why,
    decision::{Effect, Generation},
};
#[doc(inline)]
pub use diag::{Finding, Severity};
#[doc(inline)]
pub use engine::{Lineup, Snapshot};
#[doc(inline)]
pub use explain::{ExplainOptions, ExplanationStats, Minimal, Proof, WhyNot};
#[doc(inline)]
pub use facts::token::Token;
#[doc(inline)]
pub use program::BuildError;
#[doc(inline)]
pub use query::{Entities, EntityName, Listed, QueryError};
#[cfg(feature = "watch")]
#[doc(inline)]
pub use reload::{OpenError, Status, WatchOptions};
#[doc(inline)]
pub use store::{ApplyError, Batch, BatchError, CarryError, FactStore};
/// What a request says besides its three sides: its context, and attributes that it supplies.
///
/// It is made of booleans, numbers, strings, entities, lists and tables, by `into` or from JSON:
///
/// ```
/// use rune_core::{EntityRef, Node, Request};
///
/// # let [who, read, plan] = ["User", "Action", "Document"].map(|kind| EntityRef::new(kind, "a"));
/// let request = Request::new(who, read, plan)
///     .with("hour", 9)
///     .with("tags", vec!["draft", "secret"])
///     .with("for", EntityRef::new("User", "eve"))
///     .with("device", Node::from_iter([("managed", true)]))
///     .with_principal_attributes(Node::from_iter([("email", "ada@example.com")]))
///     .with_resource_attributes(r#"{ "size": 3, "owner": { "type": "User", "id": "ada" } }"#.parse()?);
/// # Ok::<(), rune_core::JsonError>(())
/// ```
#[doc(inline)]
pub use syntax::Node;
#[doc(inline)]
pub use syntax::json::JsonError;
