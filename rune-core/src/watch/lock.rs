//! Knows the locks that other programs set while they change many files.
//!
//! ```text
//!   /srv/.git/index.lock       git, in the repository that holds the root
//!   /srv/policies/             the root
//!   /srv/policies/.rune.lock   whoever asks for it
//! ```
//!
//! A checkout writes its files one by one and holds `index.lock` from before the first until after the last. Only the
//! presence of a lock is asked for, never what is in it.

use std::{
    fs::Metadata,
    io::Read as _,
    path::{Path, PathBuf},
};

use super::scan::{Place, Stamp, open};

/// The lock for everybody else, in the root.
const OUR_LOCK: &str = ".rune.lock";

/// Bytes of a `.git` file, which holds one path.
const GIT_FILE_BYTES_MAX: u64 = 4 << 10;

/// The locks of one folder.
#[derive(Debug, Default)]
pub(super) struct Guard {
    place: Option<Place>,
    locks: Vec<PathBuf>,
    /// The locks that were passed over. One that is set anew, or written to, has another stamp: somebody is alive.
    stale: Vec<Stamp>,
}

impl Guard {
    /// Finds out where the locks of the folder would be. Walks up from another folder than before; from the same one only
    /// `again`, since a repository may have been made around it.
    pub(super) fn find(&mut self, place: &Place, again: bool) {
        if again || self.place.as_ref() != Some(place) {
            let git = git_directory(&place.path).map(|git| git.join("index.lock"));
            self.locks = git.into_iter().chain([place.path.join(OUR_LOCK)]).collect();
            self.place = Some(place.clone());
        }
    }

    /// Whether there is a lock that was not passed over. Costs a system call for each of at most two.
    pub(super) fn is_locked(&self) -> bool {
        self.present().any(|stamp| !self.stale.contains(&stamp))
    }

    /// Takes the locks that are there for left behind.
    pub(super) fn pass(&mut self) {
        self.stale = self.present().collect();
    }

    /// What cannot be asked for is not there.
    fn present(&self) -> impl Iterator<Item = Stamp> {
        self.locks.iter().filter_map(|lock| lock.symlink_metadata().ok()).map(|metadata| Stamp::of(&metadata))
    }
}

/// The directory that git keeps its index in for the folder `root`, a path without links.
///
/// Like git, this stops at the border of the file system: what is above may be a mount that answers late or never.
fn git_directory(root: &Path) -> Option<PathBuf> {
    let device = |path: &Path| path.symlink_metadata().ok().map(|metadata| Stamp::of(&metadata).device);
    let home = device(root)?;
    let within = root.ancestors().take_while(|directory| device(directory) == Some(home));
    within.filter_map(|directory| Some((directory, directory.join(".git").metadata().ok()?))).find_map(dot_git)
}

fn dot_git((directory, metadata): (&Path, Metadata)) -> Option<PathBuf> {
    let dot_git = directory.join(".git");
    if metadata.is_dir() {
        return Some(dot_git);
    }
    // Worktrees and submodules have a file that names the directory.
    if !metadata.is_file() {
        return None;
    }
    let mut text = String::new();
    open(&dot_git).ok()?.take(GIT_FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    let path = text.strip_prefix("gitdir:")?.trim();
    Some(directory.join(path))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "locks are files")]

    use std::fs;

    use super::*;

    /// Whether a folder with a lock at `lock` is locked for the root `policies` in it, and only while it is there.
    fn check(lock: &str, make: impl FnOnce(&Path)) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("policies");
        fs::create_dir_all(&root).unwrap();
        make(folder.path());
        let lock = folder.path().join(lock);
        let mut guard = Guard::default();
        guard.find(&Place::of(&root).unwrap(), false);
        assert!(!guard.is_locked());
        fs::write(&lock, "").unwrap();
        assert!(guard.is_locked());
        fs::remove_file(&lock).unwrap();
        assert!(!guard.is_locked());
    }

    #[test]
    fn the_lock_of_the_repository_around_the_root_is_found() {
        check("policies/.git/index.lock", |top| fs::create_dir(top.join("policies/.git")).unwrap());
        check(".git/index.lock", |top| fs::create_dir(top.join(".git")).unwrap());
    }

    #[test]
    fn the_lock_of_a_worktree_or_a_submodule_is_found_where_its_git_file_says() {
        let module = |gitdir: &str| {
            let gitdir = gitdir.to_owned();
            move |top: &Path| {
                fs::create_dir_all(top.join(".git/modules/p")).unwrap();
                let gitdir = gitdir.replace("TOP", top.to_str().unwrap());
                fs::write(top.join("policies/.git"), format!("gitdir: {gitdir}\n")).unwrap();
            }
        };
        check(".git/modules/p/index.lock", module("../.git/modules/p"));
        check(".git/modules/p/index.lock", module("TOP/.git/modules/p"));
    }

    #[test]
    fn a_git_file_that_names_nothing_is_passed_over() {
        check(".git/index.lock", |top| {
            fs::create_dir(top.join(".git")).unwrap();
            fs::write(top.join("policies/.git"), "nonsense").unwrap();
        });
    }

    #[test]
    fn our_own_lock_needs_no_repository() {
        check("policies/.rune.lock", |_| ());
    }

    #[test]
    fn a_repository_made_later_is_found_when_looked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path()).unwrap();
        let mut guard = Guard::default();
        guard.find(&place, false);
        fs::create_dir(folder.path().join(".git")).unwrap();
        fs::write(folder.path().join(".git/index.lock"), "").unwrap();
        guard.find(&place, false);
        assert!(!guard.is_locked(), "walking up at every look would cost");
        guard.find(&place, true);
        assert!(guard.is_locked());
    }

    #[test]
    fn a_lock_that_was_passed_over_is_heeded_again_when_it_is_set_anew() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join(OUR_LOCK);
        let mut guard = Guard::default();
        guard.find(&Place::of(folder.path()).unwrap(), false);
        fs::write(&lock, "").unwrap();
        guard.pass();
        assert!(!guard.is_locked());
        fs::remove_file(&lock).unwrap();
        fs::write(&lock, "again").unwrap();
        assert!(guard.is_locked());
    }
}
