//! Tells that something may have changed, within a few milliseconds, and says when it cannot.
//!
//! ```text
//!   /srv                 watched, itself only: the root appears, goes, is replaced
//!   /srv/policies        watched, with everything below
//!   /srv/policies/.git   not reported
//!   /srv/policies/x.log  not reported
//!   /srv/neighbour       not reported
//! ```
//!
//! A hint may be false, and now and then one is missing: a file that is written without a pause, a link further up in the
//! path of the root that is retargeted, a mapped or a network file. The settler's tick finds those.

use std::{
    collections::BTreeSet,
    io,
    path::{self, Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use notify::{
    Config, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind},
};
use notify_debouncer_full::{DebounceEventResult, DebouncedEvent, Debouncer, NoCache, new_debouncer_opt};

use super::{
    scan::{self, Place, Scanner, is_relevant},
    trail::Trail,
};

/// How old an event is when it is passed on, and how often the debouncer looks for such: a hint comes after four to eight
/// milliseconds. The second may not exceed the first. Longer costs latency for nothing, as the settler waits for quiet
/// itself, and a path that is written faster than the first is not reported at all; shorter keeps a processor busy, since
/// the debouncer polls.
const DEBOUNCE: Duration = Duration::from_millis(4);

/// Hints of one batch of events. A burst is a burst from a dozen on, and a thousand would only fill the driver's queue.
const BATCH_HINTS_MAX: usize = 64;

/// A watcher that could not watch tries again after so many looks: about twice a minute.
const RETRY_EVERY: u32 = 30;

/// The one message: something may have changed, or events were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint;

/// Watches a folder for as long as it lives. A last hint may come while it is dropped.
#[derive(Debug)]
pub struct Watcher {
    root: PathBuf,
    place: Option<Place>,
    /// None if the system gave no means to watch.
    debouncer: Option<Debouncer<RecommendedWatcher, NoCache>>,
    scope: Arc<Mutex<Scope>>,
    degraded: Option<String>,
    n_refreshes: u32,
}

impl Watcher {
    /// Watches the folder of `scanner`, which need not exist, and calls `notify` from a thread of its own, once for each
    /// path that an event names. The second value is that of [`degraded`](Self::degraded).
    pub fn start(scanner: &Scanner, notify: impl Fn(Hint) + Send + 'static) -> (Self, Option<String>) {
        let root = scanner.root().to_owned();
        let scope = Arc::new(Mutex::new(Scope::default()));
        let (debouncer, degraded) = match debouncer(Arc::clone(&scope), scanner.trail(), notify) {
            Ok(debouncer) => (Some(debouncer), None),
            Err(error) => (None, Some(polling_only(&error))),
        };
        let mut watcher = Self { root, place: None, debouncer, scope, degraded, n_refreshes: 0 };
        watcher.watch();
        let degraded = watcher.degraded.clone();
        (watcher, degraded)
    }

    /// Watches anew if the root is another folder than before, or if events were lost.
    ///
    /// Called before each look: what changes in between is seen by the look, and what changes later is hinted at.
    pub fn refresh(&mut self) {
        self.n_refreshes = self.n_refreshes.wrapping_add(1);
        let is_retry = self.degraded.is_some() && self.n_refreshes.is_multiple_of(RETRY_EVERY);
        if is_retry || lock(&self.scope).is_stale || self.place != Place::of(&self.root).ok() {
            self.watch();
        }
    }

    /// Why changes are found by the tick alone, if they are.
    #[must_use]
    pub fn degraded(&self) -> Option<&str> {
        self.degraded.as_deref()
    }

    fn watch(&mut self) {
        let Some(debouncer) = &mut self.debouncer else { return };
        self.place = Place::of(&self.root).ok();
        let scope = Scope::of(&self.root, self.place.as_ref());
        let before = std::mem::replace(&mut *lock(&self.scope), scope.clone());
        for path in before.root.iter().chain(&before.parent) {
            // What is gone is not watched any more, and that is all that is wanted.
            let _ = debouncer.unwatch(path);
        }
        // Without this watch a replaced root is found by the tick, which is no reason to call the rest degraded: a parent
        // that may be passed through and not listed is common.
        let _ = scope.parent.as_ref().map(|parent| debouncer.watch(parent, RecursiveMode::NonRecursive));
        // Without a root there is nothing to watch, and the scanner says so.
        let watched = scope.root.as_ref().map_or(Ok(()), |root| debouncer.watch(root, RecursiveMode::Recursive));
        let error = watched.err();
        if error.as_ref().is_some_and(is_gone) {
            // A directory went away while all were gone through. The next refresh tries again.
            lock(&self.scope).is_stale = true;
        }
        self.degraded = error.filter(|error| !is_gone(error)).map(|error| polling_only(&error));
    }
}

/// What is watched: all paths without links, as events name them.
#[derive(Debug, Clone, Default)]
struct Scope {
    root: Option<PathBuf>,
    /// The directory that holds the name of the root: of a link to the root, not the one that the root is in.
    parent: Option<PathBuf>,
    /// The name of the root in there.
    entry: Option<PathBuf>,
    /// Whether directories may be there that are not watched.
    is_stale: bool,
}

impl Scope {
    fn of(root: &Path, place: Option<&Place>) -> Self {
        let absolute = path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let parent = absolute.parent().and_then(|parent| parent.canonicalize().ok());
        let entry = parent.as_ref().zip(absolute.file_name()).map(|(parent, name)| parent.join(name));
        Self { root: place.map(|place| place.path.clone()), parent, entry, is_stale: false }
    }

    fn is_relevant(&self, event: &DebouncedEvent, trail: &Trail) -> bool {
        // Our own reading opens files. To react to that would never end.
        let is_read = matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
        let is_ours = |path: &PathBuf| self.is_ours(event.kind, path, trail);
        !is_read && (event.paths.is_empty() || event.paths.iter().any(is_ours))
    }

    /// Whether a change at `path` can be one of the ruleset. Hidden names can: a link may lead through them. What version
    /// control and other programs keep for themselves, and what else stands beside the root, cannot.
    fn is_ours(&self, kind: EventKind, path: &Path, trail: &Trail) -> bool {
        let Some(below) = self.root.as_ref().and_then(|root| path.strip_prefix(root).ok()) else {
            return self.entry.as_deref() == Some(path)
                || self.parent.is_none()
                || self.parent.as_deref() != path.parent();
        };
        if below.iter().any(|name| name == ".git") {
            return false;
        }
        below.as_os_str().is_empty() || is_relevant(below) || is_passed(kind, path, trail)
    }

    /// Whether after this event there may be directories that are not watched.
    fn is_unsettling(&self, event: &DebouncedEvent) -> bool {
        match event.kind {
            // Directories made in it before it was watched were not reported.
            EventKind::Create(CreateKind::Folder) => true,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                event.paths.iter().any(|path| [&self.root, &self.entry].into_iter().flatten().any(|ours| ours == path))
            }
            _ => event.need_rescan(),
        }
    }

    /// How many hints a batch of events is worth, one for each path, so that a burst is told from a save; and whether
    /// directories may be there now that are not watched.
    fn weigh(&self, batch: &DebounceEventResult, trail: &Trail) -> (usize, bool) {
        let Ok(events) = batch else { return (1, true) };
        let relevant: Vec<_> = events.iter().filter(|event| self.is_relevant(event, trail)).collect();
        let n_paths = relevant.iter().map(|event| event.paths.last()).collect::<BTreeSet<_>>().len();
        (n_paths.min(BATCH_HINTS_MAX), relevant.iter().any(|event| self.is_unsettling(event)))
    }
}

/// Whether looks go through `path`, which does not have the name of a ruleset file: as far as the last one tells, or
/// because a directory or a link is there now. A file may be written as often as its owner likes.
///
/// What is gone was a directory or a link if the last look went through it. If that look was cut short it may have been
/// either, and a false hint is better than a missing one.
fn is_passed(kind: EventKind, path: &Path, trail: &Trail) -> bool {
    if matches!(kind, EventKind::Create(CreateKind::Folder) | EventKind::Remove(RemoveKind::Folder)) {
        return true;
    }
    let is_passed = trail.leads_through(path);
    is_passed == Some(true)
        || match path.symlink_metadata() {
            Ok(metadata) => metadata.is_dir() || metadata.is_symlink(),
            Err(error) => is_passed.is_none() || !scan::is_gone(&error),
        }
}

fn debouncer(
    scope: Arc<Mutex<Scope>>,
    trail: Trail,
    notify: impl Fn(Hint) + Send + 'static,
) -> notify::Result<Debouncer<RecommendedWatcher, NoCache>> {
    // A link may lead to all of the disk. Where it may be followed it leads into the root, which is watched anyway.
    let config = Config::default().with_follow_symlinks(false);
    // The debouncer's thread outlives its own failure to get a watcher. So whether there is one is tried before.
    drop(RecommendedWatcher::new(|_| (), config)?);
    let on_batch = move |batch: DebounceEventResult| {
        // A copy, since the disk is asked and the driver is not to wait for that.
        let current = lock(&scope).clone();
        let (n_hints, is_stale) = current.weigh(&batch, &trail);
        lock(&scope).is_stale |= is_stale;
        (0..n_hints).for_each(|_| notify(Hint));
    };
    new_debouncer_opt(DEBOUNCE, Some(DEBOUNCE), on_batch, NoCache::new(), config)
}

/// The scope is replaced as a whole, so a panic elsewhere left nothing half done in it.
fn lock(scope: &Mutex<Scope>) -> MutexGuard<'_, Scope> {
    scope.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn polling_only(error: &notify::Error) -> String {
    format!("cannot watch: {error}; changes are found by polling")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the watcher is tested on a real folder")]

    use std::{
        fs,
        sync::mpsc::{self, Receiver},
    };

    use super::{
        super::{Locks, Observation},
        *,
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn start(root: &Path) -> (Watcher, Receiver<Hint>) {
        let (send, hints) = mpsc::channel();
        let (watcher, degraded) = Watcher::start(&Scanner::new(root), move |hint| {
            let _ = send.send(hint);
        });
        assert_eq!(degraded, None);
        (watcher, hints)
    }

    /// Asserts that hints come, and waits until no more do.
    fn check_hints(hints: &Receiver<Hint>, what: &str) {
        assert_eq!(hints.recv_timeout(ms(2_000)), Ok(Hint), "{what}");
        while hints.recv_timeout(ms(100)).is_ok() {}
    }

    fn check_silence(hints: &Receiver<Hint>, what: &str) {
        assert!(hints.recv_timeout(ms(200)).is_err(), "{what}");
    }

    #[test]
    fn a_save_is_hinted_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rune");
        fs::write(&file, "1").unwrap();
        let (_watcher, hints) = start(folder.path());
        fs::write(&file, "2").unwrap();
        check_hints(&hints, "written in place");
        fs::write(folder.path().join("a.rune.tmp"), "3").unwrap();
        fs::rename(folder.path().join("a.rune.tmp"), &file).unwrap();
        check_hints(&hints, "renamed into place");
        fs::remove_file(&file).unwrap();
        check_hints(&hints, "removed");
    }

    #[test]
    fn reading_is_not_hinted_at() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("team")).unwrap();
        fs::write(folder.path().join("team/a.rune"), "1").unwrap();
        let (mut watcher, hints) = start(folder.path());
        let mut scanner = Scanner::new(folder.path());
        for _ in 0..10 {
            watcher.refresh();
            scanner.look(Locks::Heeded);
            fs::read(folder.path().join("team/a.rune")).unwrap();
        }
        check_silence(&hints, "our own reading");
    }

    #[test]
    fn what_is_beside_the_folder_or_in_version_control_is_not_hinted_at() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("policies");
        fs::create_dir_all(root.join(".git")).unwrap();
        let (_watcher, hints) = start(&root);
        fs::write(parent.path().join("a.rune"), "1").unwrap();
        fs::write(root.join(".git/index.lock"), "1").unwrap();
        check_silence(&hints, "neighbours");
    }

    #[test]
    fn a_new_folder_is_watched_with_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut watcher, hints) = start(folder.path());
        fs::create_dir_all(folder.path().join("a/b/c")).unwrap();
        check_hints(&hints, "a folder");
        watcher.refresh();
        fs::write(folder.path().join("a/b/c/a.rune"), "1").unwrap();
        check_hints(&hints, "a file in it");
    }

    #[test]
    fn a_root_that_is_replaced_is_watched_again() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("policies");
        let (mut watcher, hints) = start(&root);
        fs::create_dir(&root).unwrap();
        check_hints(&hints, "the root appears");
        for round in 0..3 {
            watcher.refresh();
            fs::write(root.join("a.rune"), "1").unwrap();
            check_hints(&hints, "a save");
            fs::rename(&root, parent.path().join(format!("old-{round}"))).unwrap();
            fs::create_dir(&root).unwrap();
            check_hints(&hints, "the root is moved away and made anew");
        }
        for _ in 0..3 {
            watcher.refresh();
            fs::write(root.join("a.rune"), "1").unwrap();
            check_hints(&hints, "a save");
            fs::remove_dir_all(&root).unwrap();
            fs::create_dir(&root).unwrap();
            check_hints(&hints, "the root is removed and made anew, often with the same inode");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_root_that_is_a_link_is_watched_where_it_leads_and_where_it_is() {
        use std::os::unix::fs::symlink;
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("current");
        for release in ["1", "2"] {
            fs::create_dir(parent.path().join(release)).unwrap();
        }
        symlink("1", &root).unwrap();
        let (mut watcher, hints) = start(&root);
        fs::write(parent.path().join("1/a.rune"), "1").unwrap();
        check_hints(&hints, "a save where the link leads");
        symlink("2", parent.path().join("tmp")).unwrap();
        fs::rename(parent.path().join("tmp"), &root).unwrap();
        check_hints(&hints, "the link is retargeted");
        watcher.refresh();
        fs::write(parent.path().join("2/a.rune"), "1").unwrap();
        check_hints(&hints, "a save where it leads now");
        fs::write(parent.path().join("1/a.rune"), "2").unwrap();
        check_silence(&hints, "a save where it led");
    }

    #[test]
    fn what_other_programs_keep_in_the_folder_is_not_hinted_at() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.rune"), "1").unwrap();
        fs::write(folder.path().join("server.log"), "").unwrap();
        let mut scanner = Scanner::new(folder.path());
        let (send, hints) = mpsc::channel();
        let (_watcher, _) = Watcher::start(&scanner, move |hint| {
            let _ = send.send(hint);
        });
        scanner.look(Locks::Heeded);
        for round in 0..5 {
            fs::write(folder.path().join("server.log"), "line").unwrap();
            fs::write(folder.path().join("tmpAbC"), "x").unwrap();
            std::thread::sleep(ms(20));
            fs::remove_file(folder.path().join("tmpAbC")).unwrap();
            fs::rename(folder.path().join("server.log"), folder.path().join(format!("server.log.{round}"))).unwrap();
        }
        check_silence(&hints, "a log, its rotation, and temporary files");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_or_a_directory_that_goes_away_is_hinted_at_whatever_its_name() {
        use std::os::unix::fs::symlink;
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = folder.path();
        for directory in ["x.d", "..1"] {
            fs::create_dir(root.join(directory)).unwrap();
            fs::write(root.join(directory).join("a.rune"), "1").unwrap();
        }
        fs::write(root.join("text"), "1").unwrap();
        for (target, link) in [("..1", "..data"), ("..data", "y.d"), ("text", "b.rune")] {
            symlink(target, root.join(link)).unwrap();
        }
        let mut scanner = Scanner::new(root);
        let (send, hints) = mpsc::channel();
        let (_watcher, _) = Watcher::start(&scanner, move |hint| {
            let _ = send.send(hint);
        });
        let mut check = |what: &str, change: &dyn Fn()| {
            assert!(matches!(scanner.look(Locks::Heeded), Observation::Whole(_)), "{what}");
            change();
            check_hints(&hints, what);
        };
        check("a directory moved out", &|| fs::rename(root.join("x.d"), elsewhere.path().join("x.d")).unwrap());
        check("a directory moved in", &|| fs::rename(elsewhere.path().join("x.d"), root.join("x.d")).unwrap());
        check("a file under another name", &|| fs::write(root.join("text"), "2").unwrap());
        check("a link on the way removed", &|| fs::remove_file(root.join("..data")).unwrap());
        check("a link made", &|| symlink("..1", root.join("..data")).unwrap());
        check("a link removed", &|| fs::remove_file(root.join("y.d")).unwrap());
    }
}
