//! In the place of `rune-core/src/facts/sync.rs`: the same names, of loom.

use crossbeam_epoch::{Collector, LocalHandle};

pub(super) use crossbeam_epoch::{Atomic, Guard, Shared};
pub(super) use loom::sync::{Arc, atomic::AtomicU64};

loom::lazy_static! {
    static ref COLLECTOR: Collector = Collector::new();
}

loom::thread_local! {
    static HANDLE: LocalHandle = COLLECTOR.register();
}

pub(super) fn pin() -> Guard {
    HANDLE.try_with(LocalHandle::pin).unwrap_or_else(|_| COLLECTOR.register().pin())
}
