//! The revisions of one ruleset's live facts: those that are retained, and who waits for one that is to come.
//!
//! ```text
//!        at(4): gone        at(6)           at(8): not yet, or wait_for a token of it
//!          |                  |                |
//!      4   |   5       6      7 ◀── newest     8
//!      ────┘   └─ retained ───┘
//!        too many, or too long ago
//! ```
//!
//! Revisions are counted without gaps, and the newest is always there. The writer publishes a revision in its cell first, where
//! decisions read it, and here next: who waited for a revision decides by that one or a later one.
//!
//! No decision comes here. The lock is held for a few steps at a time, and by nobody who waits: a waiter sleeps beside it, and
//! the writer, which wakes all that wait for a revision at once, goes on.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::base::limits;

use super::token::{Origin, Revision, Token};

/// Why there is nothing at a revision. What is retained still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionError {
    /// It is retained no longer.
    RevisionGone {
        /// The oldest that is.
        oldest: Revision,
        /// The newest.
        newest: Revision,
    },
    /// It was not published yet.
    NotYet {
        /// The newest.
        newest: Revision,
    },
}

/// Why a wait ended without its revision, or did not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitError {
    /// The token is of another ruleset.
    OtherRuleset,
    /// The token is of a store that is no more: its revisions say nothing of those here.
    OtherIncarnation,
    /// It was not published in time.
    NotYet {
        /// The newest.
        newest: Revision,
    },
    /// Others wait already, as many as may.
    TooManyWaiters {
        /// How many may.
        n_max: usize,
    },
}

/// How much is retained and how many may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Revisions that are retained, at least one.
    pub n_revisions_max: usize,
    /// Changes that lead from the oldest of them to the newest: each takes memory as long as both are there.
    pub n_changes_max: usize,
    /// How long one is retained after the next one was published.
    pub age_max: Duration,
    /// Threads that wait at once.
    pub n_waiters_max: usize,
}

/// The retained revisions of one store, each with what was published at it.
#[derive(Debug)]
pub struct Revisions<T> {
    origin: Origin,
    bounds: Bounds,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    newest: (Revision, Arc<T>),
    /// Those before the newest without a gap, oldest first, each with when the next one was published.
    older: VecDeque<Older<T>>,
    /// How many changes lead from the oldest to the newest.
    n_changes: usize,
    awaited: BTreeMap<Revision, Awaited>,
    n_waiters: usize,
}

/// What was published before.
#[derive(Debug)]
struct Older<T> {
    value: Arc<T>,
    /// When the next one was published, and how many changes led to that.
    since: Duration,
    n_changes: usize,
}

/// A revision for which threads wait.
#[derive(Debug, Default)]
struct Awaited {
    n_waiters: usize,
    arrival: Arc<Arrival>,
}

#[derive(Debug, Default)]
struct Arrival {
    is_here: Mutex<bool>,
    changed: Condvar,
}

impl fmt::Display for RevisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RevisionGone { oldest, newest } => {
                write!(f, "revision gone: {oldest} to {newest} are retained")
            }
            Self::NotYet { newest } => not_yet(f, *newest),
        }
    }
}

impl std::error::Error for RevisionError {}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherRuleset => f.write_str("the token is of another ruleset"),
            Self::OtherIncarnation => f.write_str("the token is of a store that is no more"),
            Self::NotYet { newest } => not_yet(f, *newest),
            Self::TooManyWaiters { n_max } => write!(f, "{n_max} wait already, as many as may"),
        }
    }
}

impl std::error::Error for WaitError {}

fn not_yet(f: &mut fmt::Formatter<'_>, newest: Revision) -> fmt::Result {
    write!(f, "revision not there yet: the newest is {newest}")
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            n_revisions_max: limits::REVISIONS_MAX,
            n_changes_max: limits::RETAINED_CHANGES_MAX,
            age_max: limits::REVISION_AGE_MAX,
            n_waiters_max: limits::WAITERS_MAX,
        }
    }
}

impl<T> Revisions<T> {
    /// A store as it is found: at a revision, with its facts.
    #[must_use]
    pub fn new(origin: Origin, bounds: Bounds, first: Revision, value: Arc<T>) -> Self {
        let (older, awaited) = (VecDeque::new(), BTreeMap::new());
        Self {
            origin,
            bounds,
            state: Mutex::new(State { newest: (first, value), older, n_changes: 0, awaited, n_waiters: 0 }),
        }
    }

    /// The store.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The newest revision, with what was published at it.
    #[must_use]
    pub fn newest(&self) -> (Revision, Arc<T>) {
        self.state().newest.clone()
    }

    /// Publishes the next revision, to which so many changes led, and wakes who waits for it. Only for the writer: it may free what is retained no longer.
    pub fn publish(&self, value: Arc<T>, n_changes: usize, now: Duration) -> Revision {
        let mut state = self.state();
        let revision = state.newest.0.next();
        let (_, before) = std::mem::replace(&mut state.newest, (revision, value));
        state.older.push_back(Older { value: before, since: now, n_changes });
        state.n_changes += n_changes;
        let expired = state.expired(&self.bounds, now);
        let awaited = state.awaited.remove(&revision);
        state.n_waiters -= awaited.as_ref().map_or(0, |awaited| awaited.n_waiters);
        drop(state);
        if let Some(Awaited { arrival, .. }) = awaited {
            *arrival.is_here.lock().unwrap_or_else(PoisonError::into_inner) = true;
            arrival.changed.notify_all();
        }
        drop(expired);
        revision
    }

    /// Puts something else in the place of what was published at the newest revision, which says the same.
    pub fn replace(&self, value: Arc<T>) {
        let before = std::mem::replace(&mut self.state().newest.1, value);
        drop(before);
    }

    /// Begins anew with the newest revision: those before it are gone.
    pub fn restart(&self, value: Arc<T>) {
        let mut state = self.state();
        state.n_changes = 0;
        let before = (std::mem::replace(&mut state.newest.1, value), std::mem::take(&mut state.older));
        drop(state);
        drop(before);
    }

    /// Lets go of what is too old by now, where nothing has been published since.
    pub fn expire(&self, now: Duration) {
        let expired = self.state().expired(&self.bounds, now);
        drop(expired);
    }

    /// What was published at a revision.
    ///
    /// # Errors
    ///
    /// If it is not retained any more, or not published yet.
    pub fn at(&self, revision: Revision) -> Result<Arc<T>, RevisionError> {
        let state = self.state();
        let newest = state.newest.0;
        let Some(n_back) = newest.get().checked_sub(revision.get()) else {
            return Err(RevisionError::NotYet { newest });
        };
        if n_back == 0 {
            return Ok(state.newest.1.clone());
        }
        let n_older = state.older.len();
        let at = usize::try_from(n_back).ok().and_then(|n_back| n_older.checked_sub(n_back));
        match at.and_then(|at| state.older.get(at)) {
            Some(older) => Ok(older.value.clone()),
            None => Err(RevisionError::RevisionGone { oldest: Revision::new(newest.get() - n_older as u64), newest }),
        }
    }

    /// Waits until the revision of a token is published, and says which is the newest then. The calling thread sleeps.
    ///
    /// The token's generation is not waited for: it is the lineup's, and a lineup that is installed later is no revision.
    ///
    /// # Errors
    ///
    /// If the token is of another store, if too many wait, or if the revision does not come in time.
    pub fn wait_for(&self, token: Token, within: Duration) -> Result<Revision, WaitError> {
        if !token.origin().is_of_ruleset_of(self.origin) {
            return Err(WaitError::OtherRuleset);
        }
        if token.origin() != self.origin {
            return Err(WaitError::OtherIncarnation);
        }
        let wanted = token.revision();
        let mut state = self.state();
        if wanted <= state.newest.0 {
            return Ok(state.newest.0);
        }
        if self.bounds.n_waiters_max <= state.n_waiters {
            return Err(WaitError::TooManyWaiters { n_max: self.bounds.n_waiters_max });
        }
        state.n_waiters += 1;
        let awaited = state.awaited.entry(wanted).or_default();
        awaited.n_waiters += 1;
        let arrival = awaited.arrival.clone();
        drop(state);

        let is_here = arrival.is_here.lock().unwrap_or_else(PoisonError::into_inner);
        let slept = arrival.changed.wait_timeout_while(is_here, within, |is_here| !*is_here);
        drop(slept.unwrap_or_else(PoisonError::into_inner));

        let mut state = self.state();
        let newest = state.newest.0;
        // It may have come since the time was over; then the writer has counted this waiter out.
        if wanted <= newest {
            return Ok(newest);
        }
        state.leave(wanted);
        Err(WaitError::NotYet { newest })
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Takes out what is too old or too many, to be dropped when the lock is free.
    fn expired(&mut self, bounds: &Bounds, now: Duration) -> Vec<Arc<T>> {
        let n_beyond = (self.older.len() + 1).saturating_sub(bounds.n_revisions_max).min(self.older.len());
        let is_old = |older: &&Older<T>| bounds.age_max <= now.saturating_sub(older.since);
        let n_old = self.older.iter().take_while(is_old).count();
        let mut n_changes = self.n_changes;
        let is_far = |older: &&Older<T>| {
            let is_far = bounds.n_changes_max < n_changes;
            n_changes -= older.n_changes;
            is_far
        };
        let n_far = self.older.iter().take_while(is_far).count();
        let expired: Vec<Older<T>> = self.older.drain(..n_beyond.max(n_old).max(n_far)).collect();
        self.n_changes -= expired.iter().map(|older| older.n_changes).sum::<usize>();
        expired.into_iter().map(|older| older.value).collect()
    }

    /// One who waited for a revision does not any more.
    fn leave(&mut self, wanted: Revision) {
        self.n_waiters -= 1;
        if let Some(awaited) = self.awaited.get_mut(&wanted) {
            awaited.n_waiters -= 1;
            if awaited.n_waiters == 0 {
                self.awaited.remove(&wanted);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(600);

    fn revisions(n_revisions_max: usize, n_waiters_max: usize) -> Revisions<u64> {
        let bounds = Bounds { n_revisions_max, n_changes_max: 50, age_max: 10 * SECOND, n_waiters_max };
        Revisions::new(Origin::new("policies", 1), bounds, Revision::new(5), Arc::new(5))
    }

    fn token(of: &Revisions<u64>, revision: u64) -> Token {
        Token::new(of.origin(), 1, Revision::new(revision))
    }

    fn publish(revisions: &Revisions<u64>, now: Duration) -> u64 {
        let number = revisions.newest().0.next().get();
        assert_eq!(revisions.publish(Arc::new(number), 1, now).get(), number);
        number
    }

    fn retained(revisions: &Revisions<u64>) -> Vec<u64> {
        let at = |number| revisions.at(Revision::new(number)).ok().map(|value| *value);
        let found: Vec<_> = (0..100).filter_map(|number| Some((number, at(number)?))).collect();
        assert!(found.iter().all(|(number, value)| number == value), "{found:?}");
        found.into_iter().map(|(number, _)| number).collect()
    }

    /// Waits until so many threads do.
    fn until_waiting(revisions: &Revisions<u64>, n: usize) {
        while revisions.state().n_waiters < n {
            thread::yield_now();
        }
    }

    #[test]
    fn the_newest_are_retained_and_what_is_not_says_what_is() {
        let revisions = revisions(3, 1);
        let of = |number| revisions.at(Revision::new(number)).map(|value| *value);
        assert_eq!(retained(&revisions), [5]);
        for _ in 0..4 {
            publish(&revisions, SECOND);
        }
        assert_eq!(retained(&revisions), [7, 8, 9]);
        let [oldest, newest] = [7, 9].map(Revision::new);
        for gone in [0, 4, 5, 6] {
            assert_eq!(of(gone), Err(RevisionError::RevisionGone { oldest, newest }));
        }
        assert_eq!(of(10), Err(RevisionError::NotYet { newest }));
        assert_eq!(of(u64::MAX), Err(RevisionError::NotYet { newest }));
    }

    #[test]
    fn a_revision_ages_from_when_the_next_one_came_and_the_newest_does_not() {
        let revisions = revisions(10, 1);
        // Revision 5 was the newest until 100 s, 6 until 105 s.
        publish(&revisions, 100 * SECOND);
        publish(&revisions, 105 * SECOND);
        revisions.expire(109 * SECOND);
        assert_eq!(retained(&revisions), [5, 6, 7]);
        revisions.expire(110 * SECOND);
        assert_eq!(retained(&revisions), [6, 7]);
        // A clock that goes back takes nothing away, and brings nothing back.
        revisions.expire(SECOND);
        assert_eq!(retained(&revisions), [6, 7]);
        revisions.expire(1_000 * SECOND);
        assert_eq!(retained(&revisions), [7]);
    }

    #[test]
    fn a_revision_that_many_changes_lead_away_from_is_not_retained() {
        let revisions = revisions(10, 1);
        let changes = |n: usize| {
            let number = revisions.newest().0.next().get();
            revisions.publish(Arc::new(number), n, SECOND);
            retained(&revisions)
        };
        assert_eq!(changes(20), [5, 6]);
        assert_eq!(changes(30), [5, 6, 7]);
        assert_eq!(changes(1), [6, 7, 8]);
        assert_eq!(changes(60), [9]);
        assert_eq!(changes(50), [9, 10]);
    }

    #[test]
    fn bounds_of_nothing_leave_the_newest() {
        let revisions = revisions(0, 0);
        publish(&revisions, SECOND);
        assert_eq!(retained(&revisions), [6]);
    }

    #[test]
    fn what_is_published_is_not_waited_for() {
        let revisions = revisions(3, 0);
        assert_eq!(revisions.wait_for(token(&revisions, 2), LONG), Ok(Revision::new(5)));
        assert_eq!(revisions.wait_for(token(&revisions, 5), LONG), Ok(Revision::new(5)));
    }

    #[test]
    fn a_token_of_another_store_is_refused_at_once() {
        let revisions = revisions(3, 1);
        let wait = |origin| revisions.wait_for(Token::new(origin, 1, Revision::new(9)), LONG);
        assert_eq!(wait(Origin::new("others", 1)), Err(WaitError::OtherRuleset));
        assert_eq!(wait(Origin::new("policies", 2)), Err(WaitError::OtherIncarnation));
    }

    #[test]
    fn who_waits_wakes_at_the_revision_and_not_before() {
        let revisions = revisions(3, 10);
        let (woken, told) = mpsc::channel();
        thread::scope(|scope| {
            for wanted in [6, 8, 8, 8] {
                let (woken, revisions) = (woken.clone(), &revisions);
                scope.spawn(move || {
                    let newest = revisions.wait_for(token(revisions, wanted), LONG).expect("published in time");
                    assert!(wanted <= newest.get());
                    woken.send(wanted).expect("the test listens");
                });
            }
            until_waiting(&revisions, 4);
            publish(&revisions, SECOND);
            assert_eq!(told.recv(), Ok(6));
            publish(&revisions, SECOND);
            assert_eq!((revisions.state().n_waiters, told.try_recv().ok()), (3, None));
            publish(&revisions, SECOND);
            assert_eq!([told.recv(), told.recv(), told.recv()], [Ok(8); 3]);
        });
        let state = revisions.state();
        assert_eq!((state.n_waiters, state.awaited.len()), (0, 0));
    }

    #[test]
    fn a_wait_ends_with_its_time_and_leaves_nothing_behind() {
        let revisions = revisions(3, 2);
        let newest = Revision::new(5);
        for wanted in [6, 7, u64::MAX] {
            let waited = revisions.wait_for(token(&revisions, wanted), Duration::from_millis(1));
            assert_eq!(waited, Err(WaitError::NotYet { newest }));
        }
        let state = revisions.state();
        assert_eq!((state.n_waiters, state.awaited.len()), (0, 0));
    }

    /// limits-everywhere: each waiter is a thread.
    #[test]
    fn more_waiters_than_may_are_turned_away_and_hold_nobody_up() {
        let revisions = revisions(3, 2);
        thread::scope(|scope| {
            let wait = || revisions.wait_for(token(&revisions, 6), LONG);
            let waiting = [scope.spawn(wait), scope.spawn(wait)];
            until_waiting(&revisions, 2);
            assert_eq!(wait(), Err(WaitError::TooManyWaiters { n_max: 2 }));
            // The writer publishes although they wait, and there is room again.
            publish(&revisions, SECOND);
            assert_eq!(waiting.map(|thread| thread.join().expect("no panic")), [Ok(Revision::new(6)); 2]);
            let waited = revisions.wait_for(token(&revisions, 7), Duration::ZERO);
            assert_eq!(waited, Err(WaitError::NotYet { newest: Revision::new(6) }));
        });
    }

    #[test]
    fn no_waiter_is_forgotten_while_others_come_and_go() {
        let revisions = revisions(3, 100);
        thread::scope(|scope| {
            for thread in 0..4_u64 {
                let revisions = &revisions;
                scope.spawn(move || {
                    for number in 6..2_000 {
                        // They give up at once now and then.
                        let is_patient = !(number + thread).is_multiple_of(3);
                        let within = if is_patient { LONG } else { Duration::ZERO };
                        let waited = revisions.wait_for(token(revisions, number), within);
                        assert!(!is_patient || waited.is_ok(), "{waited:?}");
                    }
                });
            }
            while publish(&revisions, SECOND) < 2_000 {}
        });
        let state = revisions.state();
        assert_eq!((state.n_waiters, state.awaited.len()), (0, 0));
    }
}
