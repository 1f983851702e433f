//! Decides when to look at the folder, and what to make of what was seen.
//!
//! ```text
//!   hints      x  x x               x x x x x x x x x x x x x x x
//!              |    |<- quiet ->|   |<----------- hold --------->|
//!   looks                       ^                                ^
//!
//!   a file     ______|‾‾‾‾‾‾|______________|‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾
//!                     gone, back           gone |<-- grace -->|
//!   published  x                                              x
//!
//!   a lock         |‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾|
//!   looks           x  x  x  x  x  x  x
//!   published                         x
//! ```
//!
//! The settler reads no clock and opens no file: the driver tells it the time, as the time since its own start, and what
//! the disk said. So a test can live through a day in a microsecond.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use super::trouble::Trouble;
use crate::base::{Sources, Version};

/// How long the settler waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Without a hint for so long, an edit is over. Editors write, rename and touch within a millisecond or two.
    pub quiet: Duration,
    /// The same in a burst: tools that write many files pause longer between two of them.
    pub burst_quiet: Duration,
    /// More signs of change than these are a burst. One save of one file gives a handful.
    pub burst_hints: u32,
    /// Signs that do not end are cut after so long.
    pub hold_max: Duration,
    /// The same in a burst. Checking out a thousand files takes less.
    pub burst_hold_max: Duration,
    /// A file that is gone or emptied counts as such after so long: many tools remove a file and write it again.
    pub grace: Duration,
    /// Files that go one after the other hold everything no longer than this altogether: a `forbid` that is saved meanwhile
    /// must come into force.
    pub grace_max: Duration,
    /// A lock holds everything for so long: most are held for less than a second, and one that a crash left behind must not
    /// keep a revocation from being in force.
    pub lock_max: Duration,
    /// The same while nothing was published. To begin with half of a checkout is worse than to begin two seconds later,
    /// and ten seconds at each start are too much for a lock that may be a left-over.
    pub first_lock_max: Duration,
    /// Without any hint, look so often: events get lost, and some file systems send none.
    pub tick: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(5),
            burst_quiet: Duration::from_millis(25),
            burst_hints: 12,
            hold_max: Duration::from_millis(250),
            burst_hold_max: Duration::from_secs(2),
            grace: Duration::from_millis(500),
            grace_max: Duration::from_secs(2),
            lock_max: Duration::from_secs(10),
            first_lock_max: Duration::from_secs(2),
            tick: Duration::from_secs(1),
        }
    }
}

/// What the disk said when the driver looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The set that was read between two equal scans.
    Whole(Arc<Sources>),
    /// The two scans differed, or a file changed or went away while it was read.
    Moving,
    /// There is no set to read.
    Trouble(Trouble),
    /// Another program says that it is changing the files. Whatever they hold is a part of the change.
    Locked,
}

/// What a look makes of locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// A lock stops it. One that was ignored before, and is unchanged since, does not.
    Heeded,
    /// The locks that are there were left behind.
    Ignored,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A new whole set: build it. Or, after trouble, the set of before: all is well again.
    Publish(Arc<Sources>),
    /// Say so; what is served stays.
    Trouble(Trouble),
}

/// The state between hints and published sets.
#[derive(Debug)]
pub struct Settler {
    timing: Timing,
    /// When to look if nothing is heard before; none until the first look is done.
    next: Option<Duration>,
    /// Signs of change that no look has answered.
    signs: Option<Signs>,
    /// The set seen last, published or not.
    seen: Option<Version>,
    published: Option<Arc<Sources>>,
    /// The trouble reported last, if nothing was published since.
    reported: Option<Trouble>,
    /// Files of the published set that are gone or emptied, and new ones that are empty, and since when.
    held: BTreeMap<Arc<str>, Duration>,
    /// Since when there was always one of them.
    held_since: Option<Duration>,
    lock: Option<Lock>,
}

impl Settler {
    /// A settler that has seen nothing. Its first look is due at once, and what that finds is published without a wait,
    /// unless it is locked.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        let held = BTreeMap::new();
        Self {
            timing,
            next: None,
            signs: None,
            seen: None,
            published: None,
            reported: None,
            held,
            held_since: None,
            lock: None,
        }
    }

    /// Something may have changed. A hint that came while the driver looked is told after what it saw.
    pub fn on_hint(&mut self, now: Duration) {
        self.note(now).is_explained = true;
    }

    /// When the driver is to look next: at most a tick after the last look, or while signs are pending, when they have
    /// been quiet or are cut.
    ///
    /// The tick does not interrupt a burst. It would find half of a checkout as still as a whole one.
    #[must_use]
    pub fn look_at(&self) -> Duration {
        let Some(next) = self.next else { return Duration::ZERO };
        let Some(signs) = self.signs else { return next };
        self.quiet_at(signs).min(self.cut_at(signs))
    }

    /// What a look at `now` is to make of locks.
    #[must_use]
    pub fn locks(&self, now: Duration) -> Locks {
        if self.lock.is_some_and(|lock| lock.until <= now) { Locks::Ignored } else { Locks::Heeded }
    }

    /// The driver looked, and this is what it saw.
    pub fn on_observation(&mut self, now: Duration, seen: Observation) -> Option<Outcome> {
        let is_first = self.next.replace(now.saturating_add(self.timing.tick)).is_none();
        let signs = self.signs.take();
        if seen == Observation::Locked || self.lock.is_some_and(|lock| lock.is_there && now < lock.until) {
            self.on_lock(now, seen == Observation::Locked, signs);
            return None;
        }
        self.lock = None;
        match seen {
            Observation::Locked => None,
            Observation::Moving => self.on_moving(now, signs),
            Observation::Whole(set) if set.is_empty() => self.on_nothing(now, Trouble::Empty { path: PathBuf::new() }),
            Observation::Whole(set) if is_first => Some(self.publish(set)),
            Observation::Whole(set) => self.on_set(now, set, signs),
            Observation::Trouble(trouble @ (Trouble::RootMissing { .. } | Trouble::Empty { .. })) => {
                self.on_nothing(now, trouble)
            }
            Observation::Trouble(trouble) => self.report(trouble),
        }
    }

    /// There is a lock, or there was one at the last look: then whatever is seen must outlast a quiet time, as hints come
    /// late and the next lock may be a moment away.
    fn on_lock(&mut self, now: Duration, is_there: bool, signs: Option<Signs>) {
        let max = if self.published.is_some() { self.timing.lock_max } else { self.timing.first_lock_max };
        // Locks that follow one another without a rest hold for no longer than one.
        let lock = self.lock.filter(|lock| now < lock.until);
        self.lock = Some(Lock { until: lock.map_or(now.saturating_add(max), |lock| lock.until), is_there });
        // To look again is no sign of a burst, and the time under a lock does not count towards a cut.
        let n = signs.map_or(0, |signs| signs.n);
        self.signs = Some(Signs { first: now, last: now, n, is_explained: true });
        // What went on under the lock was not seen.
        self.held.clear();
    }

    fn on_moving(&mut self, now: Duration, signs: Option<Signs>) -> Option<Outcome> {
        let is_cut = signs.is_some_and(|signs| self.cut_at(signs) <= now);
        self.signs = signs.filter(|_| !is_cut);
        self.on_hint(now);
        if is_cut { self.report(Trouble::Unstable) } else { None }
    }

    fn on_set(&mut self, now: Duration, set: Arc<Sources>, signs: Option<Signs>) -> Option<Outcome> {
        let version = set.version();
        let is_surprise = self.seen.replace(version) != Some(version) && !signs.is_some_and(|signs| signs.is_explained);
        if self.published.as_ref().is_some_and(|published| published.version() == version) {
            self.held.clear();
            return self.reported.is_some().then(|| self.publish(set));
        }
        if self.is_held(now, Some(&set)) {
            return None;
        }
        // Looks that cut a stream of hints are seconds apart. A file that is written over and over is truncated at many
        // of them, and was not empty all the time between two.
        if !self.held.is_empty() && signs.is_some_and(|signs| now < self.quiet_at(signs)) {
            return self.report(Trouble::Unstable);
        }
        // A change that no hint announced may be the first of many, as stable as it looked: it must outlast a quiet
        // time too. Without this a tick that falls on the first milliseconds of a checkout publishes a part of it.
        if is_surprise && signs.is_none_or(|signs| now < self.cut_at(signs)) {
            self.signs = signs;
            self.note(now);
            return None;
        }
        Some(self.publish(set))
    }

    /// There is no file at all.
    fn on_nothing(&mut self, now: Duration, trouble: Trouble) -> Option<Outcome> {
        if self.is_held(now, None) { None } else { self.report(trouble) }
    }

    /// Whether a file that was published is missing or empty in `set`, or a new one still is empty, and not yet for as long
    /// as the grace. Then the next look is due when the grace of the youngest such file is over. A file that is back is
    /// forgotten.
    fn is_held(&mut self, now: Duration, set: Option<&Sources>) -> bool {
        let published = self.published.iter().flat_map(|published| published.files());
        let lost = published.filter(|(_, before)| {
            let found = set.and_then(|set| set.find(&before.path));
            found.is_none_or(|found| found.bytes.is_empty() && !before.bytes.is_empty())
        });
        // A new file is created before it is written.
        let is_new = |path: &str| self.published.as_ref().is_none_or(|published| published.find(path).is_none());
        let found = set.iter().flat_map(|set| set.files());
        let blank = found.filter(|(_, file)| file.bytes.is_empty() && is_new(&file.path));
        let since = |path| self.held.get(path).copied().unwrap_or(now);
        self.held = lost.chain(blank).map(|(_, file)| (Arc::clone(&file.path), since(&file.path))).collect();

        let Some(youngest) = self.held.values().max() else {
            self.held_since = None;
            return false;
        };
        let since = *self.held_since.get_or_insert(now);
        let until = youngest.saturating_add(self.timing.grace).min(since.saturating_add(self.timing.grace_max));
        if until <= now {
            return false;
        }
        self.next = self.next.map(|next| next.min(until));
        true
    }

    fn publish(&mut self, set: Arc<Sources>) -> Outcome {
        self.seen = Some(set.version());
        self.published = Some(Arc::clone(&set));
        self.reported = None;
        self.held.clear();
        self.held_since = None;
        Outcome::Publish(set)
    }

    fn report(&mut self, trouble: Trouble) -> Option<Outcome> {
        if self.reported.as_ref() == Some(&trouble) {
            return None;
        }
        self.reported = Some(trouble.clone());
        Some(Outcome::Trouble(trouble))
    }

    fn note(&mut self, now: Duration) -> &mut Signs {
        let signs = self.signs.get_or_insert(Signs { first: now, last: now, n: 0, is_explained: false });
        signs.last = now;
        signs.n = signs.n.saturating_add(1);
        signs
    }

    fn is_burst(&self, signs: Signs) -> bool {
        self.timing.burst_hints < signs.n
    }

    fn quiet_at(&self, signs: Signs) -> Duration {
        let quiet = if self.is_burst(signs) { self.timing.burst_quiet } else { self.timing.quiet };
        signs.last.saturating_add(quiet)
    }

    fn cut_at(&self, signs: Signs) -> Duration {
        let hold = if self.is_burst(signs) { self.timing.burst_hold_max } else { self.timing.hold_max };
        signs.first.saturating_add(hold)
    }
}

/// Signs of change since the last look that found the folder still.
#[derive(Debug, Clone, Copy)]
struct Signs {
    first: Duration,
    last: Duration,
    n: u32,
    /// Whether a hint, or a look at moving files, is among them: then the next look may well find another set.
    is_explained: bool,
}

/// A lock that a look met, until two looks in a row meet none.
#[derive(Debug, Clone, Copy)]
struct Lock {
    /// When it is taken for left behind.
    until: Duration,
    /// Whether the last look met it.
    is_there: bool,
}

#[cfg(test)]
mod tests;
