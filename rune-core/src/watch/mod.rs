//! Watches a folder: from file-system events to whole, stable sets of files.
//!
//! ```text
//!   events ─▶ Watcher ─▶ Hint ─▶ Settler ─▶ when to look
//!                                   ▲            │
//!                                   │            ▼
//!                              Observation ◀─ Scanner ◀─ the folder
//!                                   │
//!                                   ▼
//!                                Outcome: a set to publish, or trouble to report
//! ```
//!
//! Events are hints and never truth: a lost one costs at most a tick, a false one costs a look. What is published was read
//! between two equal scans and settled for a quiet time; nothing is published by halves.
//!
//! A driver owns the clock and the threads. It waits until [`Settler::look_at`] or a [`Hint`] and tells the settler all
//! hints that wait. If a look is due then, it calls [`Watcher::refresh`], [`Scanner::look`] and
//! [`Settler::on_observation`], in this order.

pub mod scan;
pub mod settle;
pub mod trouble;
pub mod watcher;

pub use scan::Scanner;
pub use settle::{Observation, Outcome, Settler, Timing};
pub use trouble::Trouble;
pub use watcher::{Hint, Watcher};
