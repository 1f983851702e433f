//! What everything else is made of: sources and places in them, values, and limits.

pub mod limits;
mod owned;
pub mod source;
mod stats;
pub mod value;

pub use owned::{EntityRef, OwnedValue};
pub use source::{File, FileId, Kind, Sources, Span, Version, character_at};
pub use stats::Stats;
pub use value::{Datum, IpNet, Pool, Scratch, Symbol, Value, Values, View};
