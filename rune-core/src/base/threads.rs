//! Work that several threads share: scoped, claimed piece by piece, and over when the call is.
//!
//! ```text
//!   tasks  1 2 3 4 5 6 …          the calling thread claims   1 · · 4 5 · …
//!                                  one more thread claims      · 2 3 · · 6 …
//! ```
//!
//! Nothing waits for a thread that the system did not give: what it would have claimed, the others do.

use std::{
    panic,
    sync::{Mutex, PoisonError},
    thread,
};

use super::limits;

/// How many threads may derive, the calling one among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    n: usize,
    is_eager: bool,
}

impl Threads {
    /// The calling thread alone.
    pub const ONE: Self = Self { n: 1, is_eager: false };

    /// This many: at least one, and no more than [`DERIVING_THREADS_MAX`](limits::DERIVING_THREADS_MAX).
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { n: n.clamp(1, limits::DERIVING_THREADS_MAX), is_eager: false }
    }

    /// As many as the process may use at once, within the same bounds.
    #[must_use]
    pub fn available() -> Self {
        Self::new(thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }

    /// Half of them, but one at least: the others have something else to do.
    #[must_use]
    pub fn half(self) -> Self {
        Self { n: self.n.div_ceil(2), ..self }
    }

    /// The same for the least work, so that tests need not be large.
    #[doc(hidden)]
    #[must_use]
    pub fn eager(self) -> Self {
        Self { is_eager: true, ..self }
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> usize {
        self.n
    }

    pub(crate) fn is_eager(self) -> bool {
        self.is_eager
    }
}

/// Tasks of which each is claimed once.
pub(crate) struct Claims<I>(Mutex<I>);

impl<I: Iterator> Claims<I> {
    pub(crate) fn new(tasks: impl IntoIterator<IntoIter = I>) -> Self {
        Self(Mutex::new(tasks.into_iter()))
    }

    /// A task that nobody has claimed.
    pub(crate) fn next(&self) -> Option<I::Item> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

/// Does the same with each worker at once, with the first on the calling thread. A panic of any is one of the caller's.
pub(crate) fn together<W: Send>(workers: &mut [W], work: impl Fn(&mut W) + Sync) {
    let Some((own, others)) = workers.split_first_mut() else { return };
    let work = &work;
    thread::scope(|scope| {
        let start = |worker| {
            let builder = thread::Builder::new().name("rune-derive".to_owned());
            builder.spawn_scoped(scope, move || work(worker)).ok()
        };
        let threads: Vec<_> = others.iter_mut().filter_map(start).collect();
        work(own);
        for thread in threads {
            if let Err(panicked) = thread.join() {
                panic::resume_unwind(panicked);
            }
        }
    });
}

/// Does all tasks on so many threads.
pub(crate) fn each<T>(n_threads: usize, tasks: impl IntoIterator<Item = T, IntoIter: Send>, work: impl Fn(T) + Sync) {
    let claims = Claims::new(tasks);
    together(&mut vec![(); n_threads], |()| {
        while let Some(task) = claims.next() {
            work(task);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn each_task_is_done_once_by_however_many_threads() {
        for n_threads in [1, 2, 5] {
            let done: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
            each(n_threads, 0..100, |task: usize| {
                done[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(done.iter().all(|n| n.load(Ordering::Relaxed) == 1), "{n_threads}");
        }
    }

    #[test]
    fn a_panic_of_a_worker_is_the_callers_and_nothing_waits_for_it() {
        for bad in [0, 1] {
            let run = || together(&mut [0, 1], |worker| assert_ne!(*worker, bad, "worker {bad}"));
            let said = panic::catch_unwind(run).expect_err("it panics");
            let said = said.downcast_ref::<String>().expect("a text");
            assert!(said.contains(&format!("worker {bad}")), "{said}");
        }
    }

    #[test]
    fn there_is_always_a_thread_and_never_too_many() {
        assert_eq!(Threads::new(0), Threads::ONE);
        assert_eq!([1, 2, 7].map(|n| Threads::new(n).half().count()), [1, 1, 4]);
        assert_eq!(Threads::new(usize::MAX).count(), limits::DERIVING_THREADS_MAX);
        assert!((1..=limits::DERIVING_THREADS_MAX).contains(&Threads::available().count()));
    }
}
