//! What [`super::cell`] is made of. The model in `loom/` has files in the place of this one, with loom's parts.

use std::sync::LazyLock;

use crossbeam_epoch::{Collector, LocalHandle};

pub(super) use std::sync::{Arc, atomic::AtomicU64};

pub(super) use crossbeam_epoch::{Atomic, Guard, Shared};

// One for all cells, so that a thread registers once; and none but theirs, so that no reader runs what another library
// deferred, and no guard of another library keeps values of ours.
static COLLECTOR: LazyLock<Collector> = LazyLock::new(Collector::new);

thread_local! {
    static HANDLE: LocalHandle = COLLECTOR.register();
}

/// Pins the calling thread: what leaves a cell from now on is not freed while the guard lives.
///
/// All guards that this gives are of one collector.
#[inline]
pub(super) fn pin() -> Guard {
    // A thread that ends has no handle any more.
    HANDLE.try_with(LocalHandle::pin).unwrap_or_else(|_| COLLECTOR.register().pin())
}
