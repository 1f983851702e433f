//! Reads the folder: all its ruleset files, or a reason why not.
//!
//! ```text
//!   scan ──▶ read what changed ──▶ scan again ──▶ equal: a whole set
//!   device, inode, size, mtime, ctime             else:  the files are moving
//!   of every ruleset file and link;
//!   which directory each directory is
//! ```
//!
//! A set is whole: at one moment between the two scans the folder held exactly these files with this content, and no lock
//! lay on it before and after. What other programs keep in the folder may change all the time.
//! Nothing outside the folder is read, whatever links say, but the `.git` file of a worktree, and nothing but regular files
//! is opened.

#![expect(clippy::disallowed_methods, reason = "the scanner is where the watcher touches files")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::OsStr,
    fs::{self, DirEntry, Metadata, OpenOptions},
    io::{self, ErrorKind, Read as _},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::{
    lock::Guard,
    settle::{Locks, Observation},
    trail::Trail,
    trouble::Trouble,
};
use crate::base::{
    File, Kind, Sources,
    limits::{DIRECTORY_DEPTH_MAX, FILES_MAX, SOURCE_BYTES_MAX},
};

/// Every so many looks all files are read again, whatever their stamps say. At a look a second this is twice a minute.
const REREAD_EVERY: u64 = 30;

/// The directory that `fsck` keeps at the top of a volume. Only the superuser can read it.
const LOST_AND_FOUND: &str = "lost+found";

/// Links that one link may lead through. Linux follows as many.
const LINKS_MAX: usize = 40;

/// `O_NONBLOCK`: to open a pipe returns at once. Regular files ignore it.
#[cfg(target_os = "linux")]
const O_NONBLOCK: i32 = 0o4000;

/// Reads a folder again and again, and of its files only those that changed.
#[derive(Debug)]
pub struct Scanner {
    root: PathBuf,
    /// What was read, by path.
    cache: BTreeMap<String, Cached>,
    /// The last whole set and the scans around it. One that did not change is neither hashed nor held twice.
    last: Option<(Scan, Arc<Sources>)>,
    guard: Guard,
    trail: Trail,
    n_looks: u64,
    n_reads: u64,
}

impl Scanner {
    /// A scanner of the folder `root`, which need not exist. Where it leads is found out anew at each look.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            cache: BTreeMap::new(),
            last: None,
            guard: Guard::default(),
            trail: Trail::default(),
            n_looks: 0,
            n_reads: 0,
        }
    }

    /// The folder, as it was given.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the folder holds now. Costs a walk over it; if something changed, two, and the reading of what did. Under a lock
    /// that is heeded it costs next to nothing.
    pub fn look(&mut self, locks: Locks) -> Observation {
        self.observe(locks, || ())
    }

    pub(super) fn trail(&self) -> Trail {
        self.trail.clone()
    }

    /// What the folder holds, if it is the same before and after `meanwhile`.
    fn observe(&mut self, locks: Locks, meanwhile: impl FnOnce()) -> Observation {
        self.n_looks += 1;
        let whole = place(&self.root).and_then(|place| {
            self.guard.find(&place, self.is_rereading());
            match locks {
                Locks::Ignored => {
                    self.guard.pass();
                    self.whole(place, meanwhile)
                }
                Locks::Heeded if self.guard.is_locked() => Err(Stop::Locked),
                Locks::Heeded => {
                    let whole = self.whole(place, meanwhile);
                    // Trouble under a lock is no more than a part of the change either.
                    if self.guard.is_locked() { Err(Stop::Locked) } else { whole }
                }
            }
        });
        self.trail.set_complete(whole.is_ok());
        match whole {
            Ok(sources) => Observation::Whole(sources),
            Err(Stop::Moving) => Observation::Moving,
            Err(Stop::Locked) => Observation::Locked,
            Err(Stop::Trouble(trouble)) => Observation::Trouble(trouble),
        }
    }

    fn is_rereading(&self) -> bool {
        self.n_looks.is_multiple_of(REREAD_EVERY)
    }

    fn whole(&mut self, place: Place, meanwhile: impl FnOnce()) -> Result<Arc<Sources>, Stop> {
        let n_reads = self.n_reads;
        let before = scan(&self.root, place)?;
        if before.files.is_empty() {
            return Err(Trouble::Empty { path: self.root.clone() }.into());
        }
        let files = before.files.iter().map(|(path, found)| self.read(path, found)).collect::<Result<Vec<_>, _>>()?;
        // Nothing was read and no stamp changed since the last look: its second scan was the first of this one.
        if let Some((scan, sources)) = &self.last
            && *scan == before
            && n_reads == self.n_reads
        {
            return Ok(Arc::clone(sources));
        }
        meanwhile();
        // Trouble that came up since the first scan is a change too. The next look reports it if it lasts.
        let after = place_and_scan(&self.root);
        if after.ok().as_ref() != Some(&before) {
            return Err(Stop::Moving);
        }
        self.trail.lay(before.trail());
        self.cache.retain(|path, _| before.files.contains_key(path));

        // Both are ordered by path.
        let is_same = |last: &Sources| {
            last.len() == files.len() && last.files().zip(&files).all(|((_, old), new)| is_same_file(old, new))
        };
        let sources = match self.last.take() {
            Some((_, last)) if is_same(&last) => last,
            _ => Arc::new(Sources::new(files)),
        };
        self.last = Some((before, Arc::clone(&sources)));
        Ok(sources)
    }

    fn read(&mut self, path: &str, found: &Found) -> Result<File, Stop> {
        let cached = self.cache.get(path);
        let is_known = cached.is_some_and(|cached| cached.stamp == found.stamp);
        if let Some(cached) = cached
            && is_known
            && cached.is_trusted
            && !self.is_rereading()
        {
            return Ok(cached.file.clone());
        }
        self.n_reads += 1;
        let bytes = read(&self.root.join(path), found)?;
        let (file, is_trusted) = match cached {
            Some(cached) if *cached.file.bytes == *bytes => (cached.file.clone(), is_known),
            _ => (File::new(path, bytes), false),
        };
        self.cache.insert(path.to_owned(), Cached { stamp: found.stamp, file: file.clone(), is_trusted });
        Ok(file)
    }
}

/// Where a folder really is. Another one under the same name, or behind the same link, differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The folder without links.
    pub(super) path: PathBuf,
    id: (u64, u64),
}

impl Place {
    /// The place that `root` leads to now.
    pub(super) fn of(root: &Path) -> io::Result<Self> {
        let path = root.canonicalize()?;
        let metadata = path.metadata()?;
        if !metadata.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        let stamp = Stamp::of(&metadata);
        Ok(Self { path, id: (stamp.device, stamp.inode) })
    }
}

#[derive(Debug)]
struct Cached {
    stamp: Stamp,
    file: File,
    /// Whether a second look under the same stamp found the same bytes. File systems count time in steps of up to some
    /// milliseconds: a file that is written, read, and written again within one step bears one stamp for two contents.
    is_trusted: bool,
}

/// A file as a scan found it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// The path without links.
    real: PathBuf,
    stamp: Stamp,
}

/// What tells a file's content from another without reading it.
///
/// Size and mtime alone do not: `touch -r`, `rsync -t` and archives restore the mtime. The ctime cannot be set, and a file
/// that was renamed into place has another inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    mtime: (i64, i64),
    /// Seconds and nanoseconds.
    ctime: (i64, i64),
}

impl Stamp {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Where there are no inodes, the time of creation tells a file from the one it replaced.
    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> Self {
        let time = |time: io::Result<std::time::SystemTime>| {
            let since = time.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
            (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()))
        };
        let (created, size) = (time(metadata.created()), metadata.len());
        Self { device: 0, inode: created.0.unsigned_abs(), size, mtime: time(metadata.modified()), ctime: created }
    }

    /// What tells a directory from another, whatever names come and go in it.
    ///
    /// A name that comes or goes sets both times to the same. Where they differ, the directory itself was changed since,
    /// and most likely renamed: one that is moved away and back has another stamp.
    fn of_directory(metadata: &Metadata) -> Self {
        let stamp = Self::of(metadata);
        let ctime = if stamp.ctime == stamp.mtime { (0, 0) } else { stamp.ctime };
        Self { size: 0, mtime: (0, 0), ctime, ..stamp }
    }
}

/// Why a look yields no set.
#[derive(Debug)]
enum Stop {
    Moving,
    Locked,
    Trouble(Trouble),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl Stop {
    /// What was there a moment ago and is not any more has moved.
    fn of(path: &Path, error: &io::Error) -> Self {
        if is_gone(error) {
            return Self::Moving;
        }
        Trouble::Unreadable { path: path.to_owned(), message: error.to_string() }.into()
    }
}

/// What one walk over the folder found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scan {
    /// The ruleset files by the path below the root that people see.
    files: BTreeMap<String, Found>,
    /// The directories by their path without links. Of what they list, that is all that matters beside the files: a listing
    /// that runs beside a rename may miss a name, and the other scan then has it.
    directories: BTreeMap<PathBuf, Stamp>,
    /// What the links on the way to files and directories lead through, by path without links: links, hidden ones too, and
    /// directories. A link that is changed and changed back is not the link that it was.
    passed: BTreeMap<PathBuf, Stamp>,
}

impl Scan {
    /// All paths of this scan that do not have the name of a ruleset file.
    fn trail(&self) -> BTreeSet<PathBuf> {
        let renamed = self.files.values().map(|found| &found.real).filter(|real| !is_relevant(real));
        self.directories.keys().chain(self.passed.keys()).chain(renamed).cloned().collect()
    }
}

/// The walk. Paths that begin with `root` are real; those that people see begin with `given`.
struct Walk<'r> {
    given: &'r Path,
    root: PathBuf,
    scan: Scan,
    n_files: usize,
    n_bytes: u64,
    ahead: Vec<Directory>,
    /// Directories behind links come last, so that a directory that has a name of its own is found under it.
    linked: VecDeque<Directory>,
}

struct Directory {
    real: PathBuf,
    /// The path below the root that people see.
    path: PathBuf,
    depth: usize,
}

fn place(given: &Path) -> Result<Place, Stop> {
    Place::of(given).map_err(|error| {
        if is_gone(&error) { Trouble::RootMissing { path: given.to_owned() }.into() } else { Stop::of(given, &error) }
    })
}

fn place_and_scan(given: &Path) -> Result<Scan, Stop> {
    place(given).and_then(|place| scan(given, place))
}

fn scan(given: &Path, root: Place) -> Result<Scan, Stop> {
    let mut walk = Walk {
        given,
        root: root.path.clone(),
        scan: Scan::default(),
        n_files: 0,
        n_bytes: 0,
        ahead: vec![Directory { real: root.path, path: PathBuf::new(), depth: 0 }],
        linked: VecDeque::new(),
    };
    while let Some(directory) = walk.ahead.pop().or_else(|| walk.linked.pop_front()) {
        walk.directory(&directory)?;
    }
    if FILES_MAX < walk.n_files {
        return Err(Trouble::TooManyFiles { n: walk.n_files, limit: FILES_MAX }.into());
    }
    if (SOURCE_BYTES_MAX as u64) < walk.n_bytes {
        return Err(Trouble::TooManyBytes { bytes: walk.n_bytes, limit: SOURCE_BYTES_MAX }.into());
    }
    Ok(walk.scan)
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Directory) -> Result<(), Stop> {
        // Once, however many links lead here: the work is bounded by what there is, and no loop of links can hold it up.
        if self.scan.directories.contains_key(&directory.real) {
            return Ok(());
        }
        let shown = self.given.join(&directory.path);
        if DIRECTORY_DEPTH_MAX < directory.depth {
            return Err(Trouble::TooDeep { path: shown, limit: DIRECTORY_DEPTH_MAX }.into());
        }
        let list = || {
            let stamp = Stamp::of_directory(&directory.real.metadata()?);
            Ok((stamp, fs::read_dir(&directory.real)?.collect::<io::Result<Vec<_>>>()?))
        };
        let (stamp, mut entries) = list().map_err(|error| Stop::of(&shown, &error))?;
        self.scan.directories.insert(directory.real.clone(), stamp);
        // In order, so that of two troubles it is always the same that is reported.
        entries.sort_by_cached_key(DirEntry::file_name);
        entries.iter().try_for_each(|entry| self.entry(directory, entry))
    }

    fn entry(&mut self, directory: &Directory, entry: &DirEntry) -> Result<(), Stop> {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || name == LOST_AND_FOUND {
            return Ok(());
        }
        let is_relevant = is_relevant(Path::new(&name));
        let path = directory.path.join(&name);
        let depth = directory.depth + 1;
        let kind = entry.file_type().map_err(|error| self.stop(&path, &error))?;
        if kind.is_dir() {
            self.ahead.push(Directory { real: entry.path(), path, depth });
        } else if kind.is_symlink() {
            self.link(path, &entry.path(), depth, is_relevant)?;
        } else if is_relevant {
            let metadata = entry.metadata().map_err(|error| self.stop(&path, &error))?;
            if metadata.file_type() != kind {
                return Err(Stop::Moving);
            }
            self.file(&path, entry.path(), &metadata)?;
        }
        Ok(())
    }

    fn link(&mut self, path: PathBuf, link: &Path, depth: usize, is_relevant: bool) -> Result<(), Stop> {
        // First, so that whatever comes between this and the resolution is in the way of the next scan.
        let (passed, end) = follow(link);
        let real = match end.map_or_else(|| link.canonicalize(), Ok) {
            Ok(real) => real,
            // Rules that should be there are not, which is not the same as no rules.
            Err(error) if is_gone(&error) && is_relevant => {
                let message = "the link leads nowhere".to_owned();
                return Err(Trouble::Unreadable { path: self.given.join(path), message }.into());
            }
            Err(error) if is_gone(&error) => return Ok(()),
            // There may be a whole directory of rules behind it.
            Err(error) if is_relevant || error.kind() == ErrorKind::PermissionDenied => {
                return Err(self.stop(&path, &error));
            }
            Err(_) => return Ok(()),
        };
        let metadata = real.metadata().map_err(|error| self.stop(&path, &error))?;
        if !is_relevant && !metadata.is_dir() {
            return Ok(());
        }
        self.scan.passed.extend(passed);
        if !real.starts_with(&self.root) {
            return Err(Trouble::OutsideRoot { path: self.given.join(path), target: real }.into());
        }
        if metadata.is_dir() {
            self.linked.push_back(Directory { real, path, depth });
            return Ok(());
        }
        self.file(&path, real, &metadata)
    }

    fn file(&mut self, path: &Path, real: PathBuf, metadata: &Metadata) -> Result<(), Stop> {
        if !metadata.is_file() {
            return Err(Trouble::NotAFile { path: self.given.join(path) }.into());
        }
        let stamp = Stamp::of(metadata);
        let limit = Kind::bytes_max(&path.to_string_lossy());
        if (limit as u64) < stamp.size {
            let path = self.given.join(path);
            return Err(Trouble::TooLarge { path, bytes: stamp.size, limit }.into());
        }
        self.n_files += 1;
        self.n_bytes += stamp.size;
        if FILES_MAX < self.n_files {
            // The rest is counted only.
            return Ok(());
        }
        let Some(names) = path.iter().map(OsStr::to_str).collect::<Option<Vec<_>>>() else {
            return Err(Trouble::NameNotUtf8 { path: self.given.join(path) }.into());
        };
        self.scan.files.insert(names.join("/"), Found { real, stamp });
        Ok(())
    }

    fn stop(&self, path: &Path, error: &io::Error) -> Stop {
        Stop::of(&self.given.join(path), error)
    }
}

/// Whether the last name of a path is one of a ruleset file.
pub(super) fn is_relevant(path: &Path) -> bool {
    path.file_name().is_some_and(|name| Kind::of(&name.to_string_lossy()).is_some())
}

/// The links and directories that `link` leads through, itself the first, and its end without links. Without an end, the
/// system is to say why.
///
/// All but the last name of `link` is without links.
fn follow(link: &Path) -> (Vec<(PathBuf, Stamp)>, Option<PathBuf>) {
    let (mut at, mut passed, mut n_links) = (link.to_owned(), Vec::new(), 0);
    // The names that are still to be gone through, the next one last.
    let mut ahead = link.file_name().map(OsStr::to_owned).into_iter().collect::<Vec<_>>();
    at.pop();
    while let Some(name) = ahead.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        at.push(&name);
        let Ok(metadata) = at.symlink_metadata() else { return (passed, None) };
        if metadata.is_dir() {
            passed.push((at.clone(), Stamp::of_directory(&metadata)));
        } else if metadata.is_symlink() {
            passed.push((at.clone(), Stamp::of(&metadata)));
            n_links += 1;
            let target = at.read_link().ok().filter(|_| n_links <= LINKS_MAX);
            let Some(target) = target else { return (passed, None) };
            at.pop();
            let names = target.components().filter(|name| *name != Component::CurDir);
            ahead.extend(names.rev().map(|name| name.as_os_str().to_owned()));
        } else if !ahead.is_empty() {
            return (passed, None);
        }
    }
    // Elsewhere a path without links has more than one form.
    (passed, cfg!(unix).then_some(at))
}

/// The content of a file, if it still is the one that was found.
fn read(shown: &Path, found: &Found) -> Result<Vec<u8>, Stop> {
    let read = || {
        let file = open(&found.real)?;
        let mut bytes = Vec::new();
        (&file).take(Kind::bytes_max(&shown.to_string_lossy()) as u64 + 1).read_to_end(&mut bytes)?;
        // The stamp of the open file, after it was read: neither another file nor another content has this one.
        Ok((bytes, Stamp::of(&file.metadata()?)))
    };
    let (bytes, stamp) = read().map_err(|error| Stop::of(shown, &error))?;
    if stamp == found.stamp { Ok(bytes) } else { Err(Stop::Moving) }
}

/// Opens a file that was a regular one a moment ago. A pipe may have been put in its place.
pub(super) fn open(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(target_os = "linux")]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, O_NONBLOCK);
    options.open(path)
}

pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::StaleNetworkFileHandle)
}

fn is_same_file(a: &File, b: &File) -> bool {
    a.path == b.path && Arc::ptr_eq(&a.bytes, &b.bytes)
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
