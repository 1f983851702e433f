//! The cell of `rune-core`, the file itself, over loom's atomics; `tests/model.rs` tries it.
//!
//! ```text
//! cd loom && RUSTFLAGS="--cfg crossbeam_loom" cargo test --release
//! ```
//!
//! Twice: once over crossbeam-epoch, of which loom can try what takes a few preemptions only, and once over no more than what
//! crossbeam-epoch promises, of which it tries everything.

/// The cell over crossbeam-epoch, built with loom's atomics.
pub mod crossbeam {
    #[path = "../../../rune-core/src/facts/cell.rs"]
    pub mod cell;
    mod sync;

    /// Tells the model which thread this is: the writer's is 0.
    pub fn enter(_: usize) {}
}

/// The cell over what crossbeam-epoch promises.
pub mod contract {
    #[path = "../../../rune-core/src/facts/cell.rs"]
    pub mod cell;
    mod sync;

    pub use sync::enter;
}
