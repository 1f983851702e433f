//! What everything else is made of: sources and places in them, values, and limits.

mod hashed;
mod inherited;
pub mod limits;
mod owned;
mod paged;
mod pool;
pub mod source;
mod stats;
pub(crate) mod threads;
pub mod value;

pub use hashed::Hashed;
pub use owned::{EntityRef, OwnedValue};
pub use paged::Paged;
pub use pool::{LivePool, Pool, Scratch};
pub use source::{File, FileId, Kind, Sources, Span, Version, character_at};
pub use stats::Stats;
pub use threads::Threads;
pub use value::{Datum, IpNet, Symbol, Value, Values, View};
