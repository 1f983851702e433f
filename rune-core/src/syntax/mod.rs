//! Text to trees with places: the container of `.rune` files, rules, TOML and JSON.
//!
//! What Cedar's parsers read (schemas, policies) passes through here only for its [`height`](height::measure): nesting is
//! counted by a plain scan before any recursive parser sees the text.

pub mod ast;
pub mod cedar;
pub mod characters;
pub mod container;
pub mod csv;
pub mod format;
pub mod height;
pub mod json;
pub mod rules;
pub(crate) mod slips;
pub mod toml;
pub mod tree;

pub use container::{Section, SectionKind};
pub use tree::{Key, Node, Shape};
