//! A cell whose value is read without a lock, a wait or a reference count, and whose values only the writer frees.
//!
//! ```text
//!   Cell ──▶ value 3 ◀── pin: Pinned        one pointer; a reader marks its thread as reading and follows it
//!            value 2 ◀── pin                left the cell, and somebody may be reading it
//!            value 1 ◀── load: Arc          nobody can come to it any more, and somebody holds it
//!            value 0                        nobody has it: the writer frees it
//!              ▲
//!   Writer ────┘ keeps every value from the day it was published until nobody else has it
//! ```
//!
//! A value leaves the cell when the next one is published. When every thread that was reading then has ended its reading (an
//! *epoch* has passed), nobody can come to it through the cell; when besides its writer nobody holds it, it is freed, by the
//! writer. A reader is delayed by nobody, and one that reads for ever costs memory and nothing else.
//!
//! # Why the writer keeps a list
//!
//! crossbeam's own way is to defer the destruction of what was swapped out. Deferred functions are run by whoever comes by, and
//! each thread tries at every 128th pin: of a writer's values two busy readers freed 85 to 89 % when it published without pause, and
//! 99 to 100 % when it published every 0.1 or 1 ms, whether or not it flushed after deferring, since a flush only takes the epoch
//! on by one and what was deferred is ripe after two. A collector of one's own changes nothing of that, since its handles count
//! pins as well; ours is for other reasons, told in `sync`. So what is deferred here is no destruction but a note, a store of one
//! number, that what left before has been left by its readers; and the writer, which has the list, frees. No more than one note
//! is under way, however much is published.
//!
//! What a reader may still do, at a 128th pin and in a bounded number of steps: look at the epochs of the threads, make the note,
//! free the bag that it was in, and put aside the handle of a thread that ended.
//!
//! # Soundness
//!
//! `loom/tests/model.rs` has loom try the interleavings of a writer and its readers over this very file. The argument stands at
//! each block; what all of them rest on is said once, at [`Cell`].

#![expect(unsafe_code, reason = "a pointer that is followed while it is swapped; each block says why it may be")]

use std::{collections::VecDeque, marker::PhantomData, ops::Deref, sync::atomic::Ordering};

use super::sync::{Arc, Atomic, AtomicU64, Guard, Shared, pin};

/// Of the values that a writer keeps, how many it looks at for each that it publishes. It adds one, so that what nobody has any
/// more is found before an eighth as many as it keeps have been published.
const LOOKED_AT: usize = 8;

/// What is published, for any number of readers.
///
/// The pointer is always one from [`Arc::into_raw`], and the cell owns one strong count of it. What leaves the cell takes that
/// count along to the writer's list, where it stays until every guard is gone that was there when it left.
#[derive(Debug)]
pub struct Cell<T> {
    current: Atomic<T>,
    owned: PhantomData<Arc<T>>,
}

/// The value of a cell when it was pinned. For one decision: what is longer takes [`Cell::load`].
#[derive(Debug)]
pub struct Pinned<'cell, T> {
    /// No reference, because the value may be gone as soon as the guard is, a moment before this is.
    value: *const T,
    cell: PhantomData<&'cell Cell<T>>,
    _guard: Guard,
}

/// Who publishes, and alone frees what was published. It keeps a value until nobody else has it.
///
/// A writer that is dropped before its readers are done leaves what they read to the last of them.
#[derive(Debug)]
pub struct Writer<T: Send + Sync + 'static> {
    /// The values that were published and that somebody may have.
    kept: VecDeque<Arc<T>>,
    /// What cells owned of values that left them, with the number of the departure: somebody may be reading those.
    leaving: VecDeque<(u64, Arc<T>)>,
    n_departures: u64,
    /// The departure that the note will tell which is under way, or told.
    noting: u64,
    /// The note: up to this departure all have been left by their readers.
    noted: Arc<AtomicU64>,
}

impl<T> Cell<T> {
    /// The value that was published last.
    #[inline]
    #[must_use]
    pub fn pin(&self) -> Pinned<'_, T> {
        let guard = pin();
        let value = self.current.load(Ordering::Acquire, &guard).as_raw();
        Pinned { value, cell: PhantomData, _guard: guard }
    }

    /// The value that was published last, to be held as long as one likes. It is still the writer that frees it.
    #[must_use]
    pub fn load(&self) -> Arc<T> {
        let pinned = self.pin();
        // SAFETY: the pointer is from `Arc::into_raw`, and the count that the cell owned of it is not given back while the guard
        // in `pinned` lives; so it is at least one before it is raised, and what was raised belongs to the new `Arc`.
        unsafe {
            Arc::increment_strong_count(pinned.value);
            Arc::from_raw(pinned.value)
        }
    }
}

impl<T> Drop for Cell<T> {
    fn drop(&mut self) {
        let value = self.current.load(Ordering::Acquire, &pin()).as_raw();
        // SAFETY: the pointer is from `Arc::into_raw`, and the count that goes with it is the cell's own. It is given back once,
        // here. A `Pinned` borrows the cell: there is none any more.
        drop(unsafe { Arc::from_raw(value) });
    }
}

impl<T> Deref for Pinned<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard was there before the pointer was read and lives as long as `self`; the cell's count of the value, if
        // it has left the cell since, is not given back before that, and `Acquire` has seen the value whole. Nobody changes it:
        // an `Arc` is shared.
        unsafe { &*self.value }
    }
}

impl<T: Send + Sync + 'static> Default for Writer<T> {
    fn default() -> Self {
        let (kept, leaving, noted) = (VecDeque::new(), VecDeque::new(), Arc::new(AtomicU64::new(0)));
        Self { kept, leaving, n_departures: 0, noting: 0, noted }
    }
}

impl<T: Send + Sync + 'static> Writer<T> {
    /// A cell with its first value.
    #[must_use]
    pub fn cell(&mut self, first: T) -> Cell<T> {
        Cell { current: Atomic::from(Arc::into_raw(self.kept(first))), owned: PhantomData }
    }

    /// Puts a value into a cell, and returns it for those who hold it: whoever pins the cell from now on reads this one. Then
    /// frees what can be freed, a few values at most.
    pub fn publish(&mut self, cell: &Cell<T>, next: T) -> Arc<T> {
        let next = self.kept(next);
        let guard = pin();
        let left = cell.current.swap(Shared::from(Arc::into_raw(next.clone())), Ordering::AcqRel, &guard).as_raw();
        // SAFETY: what stands in a cell is from `Arc::into_raw`, with a count that the cell owns, and nobody else has taken it out.
        let left = unsafe { Arc::from_raw(left) };
        self.n_departures += 1;
        self.leaving.push_back((self.n_departures, left));
        self.note(&guard);
        drop(guard);
        self.sweep(LOOKED_AT);
        next
    }

    /// Frees all that can be freed, and says how many values are kept, those in cells among them. For a writer that has nothing
    /// to publish; what somebody reads or holds is freed by a later call.
    pub fn free(&mut self) -> usize {
        // A note is ripe when two epochs have passed, and each of these takes the epoch on by one, if no reader is in the way.
        // The first may be about an older note.
        for _ in 0..4 {
            self.note(&pin());
        }
        self.sweep(self.kept.len());
        self.kept.len()
    }

    /// How many values are kept, those in cells among them.
    #[must_use]
    pub fn n_kept(&self) -> usize {
        self.kept.len()
    }

    /// A new value, kept. Each is kept once: kept twice, one would wait for the other.
    fn kept(&mut self, value: T) -> Arc<T> {
        let value = Arc::new(value);
        self.kept.push_back(value.clone());
        value
    }

    /// Takes the epoch on, and has the departures up to now noted, unless another note is under way.
    fn note(&mut self, guard: &Guard) {
        guard.flush();
        if self.noted.load(Ordering::Acquire) == self.noting && self.noting < self.n_departures {
            self.noting = self.n_departures;
            let (noted, departure) = (self.noted.clone(), self.noting);
            // Run when every guard is gone that is there now; by anybody.
            guard.defer(move || noted.store(departure, Ordering::Release));
            guard.flush();
        }
    }

    /// Gives back what cells owned of values that nobody reads any more, and of `n` of those kept frees the ones that nobody has.
    fn sweep(&mut self, n: usize) {
        let noted = self.noted.load(Ordering::Acquire);
        // None of these is the last: each is also kept.
        while self.leaving.front().is_some_and(|(departure, _)| *departure <= noted) {
            self.leaving.pop_front();
        }
        for _ in 0..n.min(self.kept.len()) {
            let Some(value) = self.kept.pop_front() else { return };
            // If this is the only one there will be no other: one is made from another only, or from what a cell owns.
            if 1 < Arc::strong_count(&value) {
                self.kept.push_back(value);
            }
        }
    }
}

impl<T: Send + Sync + 'static> Drop for Writer<T> {
    fn drop(&mut self) {
        self.free();
        if !self.leaving.is_empty() {
            let guard = pin();
            let left = std::mem::take(&mut self.leaving);
            guard.defer(move || drop(left));
            guard.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests wait for other threads, and one takes times")]
    #![expect(clippy::print_stdout, reason = "one test tells what it measured")]

    use std::{
        hint::black_box,
        sync::{
            Arc, Mutex,
            atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
            mpsc,
        },
        thread::{self, ThreadId},
        time::{Duration, Instant},
    };

    use arc_swap::ArcSwap;

    use super::*;

    /// A value that counts itself, and remembers who freed it.
    struct Counted {
        number: usize,
        /// The number once more, so that half a value would be seen.
        again: Box<usize>,
        ledger: Arc<Ledger>,
    }

    #[derive(Default)]
    struct Ledger {
        n_freed: AtomicUsize,
        freed_by: Mutex<Vec<ThreadId>>,
    }

    impl Ledger {
        fn value(self: &Arc<Self>, number: usize) -> Counted {
            Counted { number, again: Box::new(number), ledger: self.clone() }
        }

        fn n_freed(&self) -> usize {
            self.n_freed.load(Relaxed)
        }

        fn freed_by(&self) -> Vec<ThreadId> {
            self.freed_by.lock().unwrap().clone()
        }
    }

    impl Counted {
        fn read(&self) -> usize {
            assert_eq!(self.number, *self.again);
            self.number
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.ledger.n_freed.fetch_add(1, Relaxed);
            let mut freed_by = self.ledger.freed_by.lock().unwrap();
            if !freed_by.contains(&thread::current().id()) {
                freed_by.push(thread::current().id());
            }
        }
    }

    /// Frees until only so many are kept; other tests read as well, so that it may take a few calls.
    fn free_down_to(writer: &mut Writer<Counted>, n: usize) {
        while n < writer.free() {
            thread::yield_now();
        }
    }

    /// Readers that read in this way while a writer publishes so many values; then the writer's ledger.
    fn race(n_readers: usize, n_publishes: usize, read: fn(&Cell<Counted>) -> usize) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger::default());
        let mut writer = Writer::default();
        let cell = writer.cell(ledger.value(0));
        let (is_over, n_reading) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..n_readers {
                scope.spawn(|| {
                    let mut last = 0;
                    n_reading.fetch_add(1, Relaxed);
                    while !is_over.load(Relaxed) {
                        let number = read(&cell);
                        assert!(last <= number, "{number} after {last}");
                        last = number;
                    }
                });
            }
            while n_reading.load(Relaxed) < n_readers {
                thread::yield_now();
            }
            for number in 1..=n_publishes {
                writer.publish(&cell, ledger.value(number));
            }
            is_over.store(true, Relaxed);
        });
        assert_eq!(cell.pin().read(), n_publishes);
        free_down_to(&mut writer, 1);
        assert_eq!(ledger.n_freed(), n_publishes);
        drop((cell, writer));
        assert_eq!(ledger.n_freed(), n_publishes + 1);
        ledger
    }

    #[test]
    fn what_is_pinned_stays_while_others_are_published() {
        let ledger = Arc::new(Ledger::default());
        let mut writer = Writer::default();
        let cell = writer.cell(ledger.value(0));
        let pinned = cell.pin();
        for number in 1..100 {
            writer.publish(&cell, ledger.value(number));
            assert_eq!((pinned.read(), cell.pin().read()), (0, number));
        }
        assert_eq!((writer.free(), ledger.n_freed()), (100, 0));
        drop(pinned);
        free_down_to(&mut writer, 1);
        assert_eq!(ledger.n_freed(), 99);
    }

    #[test]
    fn what_is_held_stays_and_is_freed_by_the_writer() {
        let ledger = Arc::new(Ledger::default());
        let mut writer = Writer::default();
        let cell = writer.cell(ledger.value(0));
        let (give, take) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        let held = cell.load();
        let reader = thread::spawn(move || {
            let () = take.recv().unwrap();
            assert_eq!(held.read(), 0);
            drop(held);
            done.send(()).unwrap();
        });
        writer.publish(&cell, ledger.value(1));
        writer.publish(&cell, ledger.value(2));
        free_down_to(&mut writer, 2);
        assert_eq!(ledger.n_freed(), 1);
        give.send(()).unwrap();
        is_done.recv().unwrap();
        assert_eq!(ledger.n_freed(), 1, "the reader had the last but one");
        free_down_to(&mut writer, 1);
        assert_eq!((ledger.n_freed(), ledger.freed_by()), (2, vec![thread::current().id()]));
        reader.join().unwrap();
    }

    #[test]
    fn a_cell_that_goes_leaves_its_value_to_the_writer() {
        let ledger = Arc::new(Ledger::default());
        let mut writer = Writer::default();
        let (first, second) = (writer.cell(ledger.value(0)), writer.cell(ledger.value(1)));
        thread::spawn(move || drop(first)).join().unwrap();
        assert_eq!(ledger.n_freed(), 0);
        free_down_to(&mut writer, 1);
        assert_eq!((second.pin().read(), ledger.freed_by()), (1, vec![thread::current().id()]));
    }

    #[test]
    fn a_writer_that_goes_first_takes_nothing_from_its_readers() {
        let ledger = Arc::new(Ledger::default());
        let mut writer = Writer::default();
        let cell = writer.cell(ledger.value(0));
        let pinned = cell.pin();
        writer.publish(&cell, ledger.value(1));
        drop(writer);
        assert_eq!((pinned.read(), cell.pin().read(), ledger.n_freed()), (0, 1, 0));
        drop(pinned);
        drop(cell);
        // What was pinned is freed as others come by.
        let mut other = Writer::<Counted>::default();
        while ledger.n_freed() < 2 {
            other.free();
            thread::yield_now();
        }
    }

    /// readers-never-wait: no reader frees a retired generation, whether it pins or holds.
    #[test]
    fn of_a_hundred_thousand_values_each_is_freed_once_and_by_the_writer() {
        for read in [|cell: &Cell<Counted>| cell.pin().read(), |cell: &Cell<Counted>| cell.load().read()] {
            assert_eq!(race(3, 100_000, read).freed_by(), [thread::current().id()]);
        }
    }

    /// Nothing is kept that could be freed: with readers that go on, the writer's list does not grow.
    #[test]
    fn the_writer_keeps_few_values_while_readers_go_on() {
        let ledger = Arc::new(Ledger::default());
        let mut writer = Writer::default();
        let cell = writer.cell(ledger.value(0));
        let is_over = AtomicBool::new(false);
        let n_kept_max = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    cell.pin().read();
                }
            });
            let mut n_kept_max = 0;
            for number in 1..=1_000 {
                writer.publish(&cell, ledger.value(number));
                n_kept_max = n_kept_max.max(writer.n_kept());
                // A reader that the scheduler has put aside while it reads keeps them all: time for it to go on.
                thread::sleep(Duration::from_micros(100));
            }
            is_over.store(true, Relaxed);
            n_kept_max
        });
        assert!(n_kept_max < 500, "{n_kept_max}");
    }

    /// No promise, a measurement: `cargo test --release -p rune-core --lib facts::cell -- --nocapture nanoseconds`.
    #[test]
    fn a_pin_and_a_read_take_nanoseconds() {
        const N: u32 = 500_000;
        let ns = |read: &mut dyn FnMut()| {
            let start = Instant::now();
            read();
            start.elapsed().as_secs_f64() * 1e9 / f64::from(N)
        };
        let mut writer = Writer::default();
        let cell = writer.cell(0_usize);
        let swap = ArcSwap::from_pointee(0_usize);
        for is_busy in [false, true] {
            let (is_over, n_publishes) = (AtomicBool::new(false), AtomicUsize::new(0));
            thread::scope(|scope| {
                scope.spawn(|| {
                    while is_busy && !is_over.load(Relaxed) {
                        let number = n_publishes.fetch_add(1, Relaxed);
                        writer.publish(&cell, number);
                        swap.store(Arc::new(number));
                    }
                });
                let mut rounds = [[0.0; 3]; 7];
                for round in &mut rounds {
                    let cell_s = ns(&mut || (0..N).for_each(|_| _ = black_box(*cell.pin())));
                    let swap_s = ns(&mut || (0..N).for_each(|_| _ = black_box(**swap.load())));
                    let held = ns(&mut || (0..N).for_each(|_| _ = black_box(*cell.load())));
                    *round = [cell_s, swap_s, held];
                }
                is_over.store(true, Relaxed);
                let median = |at: usize| {
                    let mut all = rounds.map(|round| round[at]);
                    all.sort_by(f64::total_cmp);
                    all[all.len() / 2]
                };
                println!(
                    "{}: pin and read {:.1} ns, ArcSwap::load and read {:.1} ns, Cell::load and read {:.1} ns ({} publishes)",
                    if is_busy { "one busy writer" } else { "no writer" },
                    median(0),
                    median(1),
                    median(2),
                    n_publishes.load(Relaxed),
                );
            });
        }
    }
}
