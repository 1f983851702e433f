//! A million values published, read and held by three threads: each is freed once. For the sanitizers, without loom:
//!
//! ```text
//! cd loom && RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=leak cargo run --release --bin leaks --target x86_64-unknown-linux-gnu
//! ```
//!
//! `-Zsanitizer=address` also sees what is read after it was freed.

#[path = "../../../rune-core/src/facts/cell.rs"]
mod cell;
#[path = "../../../rune-core/src/facts/sync.rs"]
mod sync;

use std::{
    env,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};

use cell::{Cell, Writer};

const N_PUBLISHES: usize = 1_000_000;

static N_FREED: AtomicUsize = AtomicUsize::new(0);

struct Value(Box<usize>);

impl Drop for Value {
    fn drop(&mut self) {
        N_FREED.fetch_add(1, Relaxed);
    }
}

fn read(cell: &Cell<Value>, is_over: &AtomicBool) -> usize {
    let (mut n_reads, mut last) = (0, 0);
    while !is_over.load(Relaxed) {
        let number = if n_reads % 4 == 0 { *cell.load().0 } else { *cell.pin().0 };
        assert!(last <= number);
        (last, n_reads) = (number, n_reads + 1);
    }
    n_reads
}

fn main() {
    let mut writer = Writer::default();
    let cell = writer.cell(Value(Box::new(0)));
    let is_over = AtomicBool::new(false);
    let n_kept_max = thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(|| read(&cell, &is_over))).collect();
        let mut n_kept_max = 0;
        for number in 1..=N_PUBLISHES {
            writer.publish(&cell, Value(Box::new(number)));
            n_kept_max = n_kept_max.max(writer.n_kept());
        }
        is_over.store(true, Relaxed);
        let n_reads: usize = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        println!("{N_PUBLISHES} publishes, {n_reads} reads, at most {n_kept_max} values at once");
        n_kept_max
    });
    assert!(n_kept_max <= N_PUBLISHES);
    assert_eq!(writer.free(), 1);
    assert_eq!(N_FREED.load(Relaxed), N_PUBLISHES);
    drop(cell);
    drop(writer);
    assert_eq!(N_FREED.load(Relaxed), N_PUBLISHES + 1);
    // To see that the sanitizer sees: this is not freed.
    if env::args().nth(1).as_deref() == Some("leak") {
        leak();
    }
}

#[inline(never)]
fn leak() {
    for number in 0..10 {
        std::mem::forget(std::hint::black_box(Value(Box::new(number))));
    }
}
