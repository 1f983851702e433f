//! What the scanner went through, told to the watcher.
//!
//! Most names in a folder are nobody's business: logs, temporary files. A name of another kind matters if a look goes
//! through it: a directory, a link, a file that a link calls by a ruleset name. While it is there the disk tells; once it
//! is gone only the trail does.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The trail of the last looks, shared by the scanner, which lays it, and the watcher, which asks from another thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail(Arc<Mutex<Passed>>);

#[derive(Debug, Default)]
struct Passed {
    /// Paths without links, as events name them.
    paths: BTreeSet<PathBuf>,
    is_complete: bool,
}

impl Trail {
    /// Whether the last look went through `path`, or none if there was no look to the end.
    pub(super) fn leads_through(&self, path: &Path) -> Option<bool> {
        let passed = self.lock();
        passed.is_complete.then(|| passed.paths.contains(path))
    }

    pub(super) fn lay(&self, paths: BTreeSet<PathBuf>) {
        self.lock().paths = paths;
    }

    /// Says whether the paths laid are those of the last look.
    pub(super) fn set_complete(&self, is_complete: bool) {
        self.lock().is_complete = is_complete;
    }

    /// Both fields are set in one step, so a panic elsewhere left nothing half done.
    fn lock(&self) -> MutexGuard<'_, Passed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
