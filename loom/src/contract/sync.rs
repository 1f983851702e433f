//! In the place of `rune-core/src/facts/sync.rs`: what crossbeam-epoch promises, and as little else as can be.
//!
//! A deferred function is run, at a flush, when every guard is gone that was there when it was deferred.

use std::{
    array,
    cell::Cell,
    marker::PhantomData,
    sync::{Mutex, PoisonError, atomic::Ordering},
};

use loom::sync::atomic::{AtomicPtr, AtomicUsize, fence};

pub(super) use loom::sync::{Arc, atomic::AtomicU64};

const THREADS_MAX: usize = 4;

loom::lazy_static! {
    static ref THREADS: Threads = Threads::default();
}

loom::thread_local! {
    static SELF: Cell<usize> = Cell::new(0);
    static N_GUARDS: Cell<usize> = Cell::new(0);
}

#[derive(Default)]
struct Threads {
    /// How often each thread has begun and ended: odd while it has a guard. Its own, so that loom need not try readers against
    /// each other.
    turns: [AtomicUsize; THREADS_MAX],
    /// The writer's.
    deferred: Mutex<Vec<([usize; THREADS_MAX], Deferred)>>,
}

type Deferred = Box<dyn FnOnce() + Send>;

/// Tells which thread this is. It is 0 unless it says so.
pub fn enter(thread: usize) {
    SELF.with(|own| own.set(thread));
}

#[derive(Debug)]
pub struct Guard(PhantomData<*const ()>);

#[derive(Debug)]
pub struct Atomic<T>(AtomicPtr<T>);

pub struct Shared<'guard, T>(*const T, PhantomData<&'guard Guard>);

fn turn(order: Ordering) {
    SELF.with(|own| {
        if let Some(turns) = THREADS.turns.get(own.get()) {
            turns.fetch_add(1, order);
        }
    });
}

pub(super) fn pin() -> Guard {
    if N_GUARDS.with(|n| n.replace(n.get() + 1)) == 0 {
        turn(Ordering::Relaxed);
        // Either who defers sees this turn, or this thread sees what was done before.
        fence(Ordering::SeqCst);
    }
    Guard(PhantomData)
}

impl Drop for Guard {
    fn drop(&mut self) {
        if N_GUARDS.with(|n| n.replace(n.get() - 1)) == 1 {
            turn(Ordering::Release);
        }
    }
}

impl Guard {
    pub(super) fn defer(&self, run: impl FnOnce() + Send + 'static) {
        fence(Ordering::SeqCst);
        let turns = array::from_fn(|thread| THREADS.turns[thread].load(Ordering::Relaxed));
        THREADS.deferred.lock().unwrap_or_else(PoisonError::into_inner).push((turns, Box::new(run)));
    }

    /// Runs what no guard is in the way of.
    pub(super) fn flush(&self) {
        let mut deferred = THREADS.deferred.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over =
            |(thread, turn): (usize, &usize)| turn % 2 == 0 || *turn != THREADS.turns[thread].load(Ordering::Acquire);
        let is_ripe = |turns: &[usize; THREADS_MAX]| turns.iter().enumerate().all(is_over);
        let mut ripe = Vec::new();
        let mut at = 0;
        while at < deferred.len() {
            if is_ripe(&deferred[at].0) { ripe.push(deferred.remove(at).1) } else { at += 1 }
        }
        drop(deferred);
        for run in ripe {
            run();
        }
    }
}

impl<T> Atomic<T> {
    pub(super) fn load<'g>(&self, order: Ordering, _: &'g Guard) -> Shared<'g, T> {
        Shared(self.0.load(order), PhantomData)
    }

    pub(super) fn swap<'g>(&self, next: Shared<'_, T>, order: Ordering, _: &'g Guard) -> Shared<'g, T> {
        Shared(self.0.swap(next.0.cast_mut(), order), PhantomData)
    }
}

impl<T> From<*const T> for Atomic<T> {
    fn from(value: *const T) -> Self {
        Self(AtomicPtr::new(value.cast_mut()))
    }
}

impl<T> Shared<'_, T> {
    pub(super) fn as_raw(&self) -> *const T {
        self.0
    }
}

impl<T> From<*const T> for Shared<'_, T> {
    fn from(value: *const T) -> Self {
        Self(value, PhantomData)
    }
}
