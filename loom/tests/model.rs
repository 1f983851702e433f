//! One writer, its readers and a few publishes, interleaved in every way that loom knows.

use std::sync::{Arc as StdArc, atomic::AtomicUsize, atomic::Ordering::Relaxed};

use loom::{cell::UnsafeCell, model::Builder, sync::Arc, thread};

/// A value that loom sees made, read and ended: that two of these are at once is what it reports.
struct Watched(UnsafeCell<usize>);

// SAFETY: loom's cell reports what is not in order.
unsafe impl Send for Watched {}
// SAFETY: as above.
unsafe impl Sync for Watched {}

impl Watched {
    fn new(number: usize) -> Self {
        Self(UnsafeCell::new(number))
    }

    fn read(&self) -> usize {
        // SAFETY: loom reports it if it is not safe.
        self.0.with(|number| unsafe { *number })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // SAFETY: as above.
        self.0.with_mut(|number| unsafe { *number = usize::MAX });
    }
}

/// All interleavings, with so many preemptions if there is a limit, of a writer that publishes 1, 2 and so on with readers, each
/// of which does `read` once.
macro_rules! check {
    ($over:ident, $preemptions_max:expr, $n_readers:expr, $n_publishes:expr, $read:expr) => {{
        use rune_loom::$over::cell::{Cell, Writer};

        let n_tried = StdArc::new(AtomicUsize::new(0));
        let n = n_tried.clone();
        let mut model = Builder::new();
        model.preemption_bound = $preemptions_max;
        model.max_branches = 100_000;
        model.check(move || {
            n.fetch_add(1, Relaxed);
            let mut writer = Writer::default();
            let cell = Arc::new(writer.cell(Watched::new(0)));
            let read: fn(&Cell<Watched>) -> usize = $read;
            let reader = |number| {
                let cell = cell.clone();
                thread::spawn(move || {
                    rune_loom::$over::enter(number);
                    read(&cell)
                })
            };
            let readers: Vec<_> = (1..=$n_readers).map(reader).collect();
            for number in 1..=$n_publishes {
                drop(writer.publish(&cell, Watched::new(number)));
            }
            for reader in readers {
                assert!(reader.join().unwrap() <= $n_publishes);
            }
            assert_eq!(cell.pin().read(), $n_publishes);
            // Nobody reads any more: all but the one in the cell is free. Over crossbeam a thread that has ended may still be
            // taking its leave.
            let n_kept = writer.free();
            assert!(n_kept == 1 || stringify!($over) == "crossbeam", "{n_kept} kept");
        });
        println!(
            "{}: {} readers, {} publishes: {} ways",
            stringify!($over),
            $n_readers,
            $n_publishes,
            n_tried.load(Relaxed)
        );
    }};
}

#[test]
fn over_the_contract_two_readers_read_what_is_whole() {
    check!(contract, None, 2, 1, |cell| cell.pin().read());
}

#[test]
fn over_the_contract_a_reader_reads_what_is_whole_through_publishes() {
    check!(contract, None, 1, 3, |cell| cell.pin().read());
}

#[test]
fn over_the_contract_a_reader_reads_in_order() {
    check!(contract, None, 1, 3, |cell| {
        let (first, second) = (cell.pin().read(), cell.pin().read());
        assert!(first <= second);
        second
    });
}

#[test]
fn over_the_contract_what_a_reader_holds_stays_whole() {
    check!(contract, None, 1, 3, |cell| cell.load().read());
}

// All of what follows has no end in sight: as many preemptions as take seconds.

#[test]
fn over_the_contract_two_readers_read_what_is_whole_through_publishes() {
    check!(contract, Some(4), 2, 3, |cell| cell.pin().read());
}

#[test]
fn over_the_contract_what_two_readers_hold_stays_whole() {
    check!(contract, Some(3), 2, 2, |cell| cell.load().read());
}

#[test]
fn over_crossbeam_a_reader_reads_what_is_whole() {
    check!(crossbeam, Some(2), 1, 1, |cell| cell.pin().read());
}
