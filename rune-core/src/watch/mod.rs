//! Watches a folder: from file-system events to whole, stable sets of files.
//!
//! ```text
//!   events ─▶ Watcher ─▶ Hint ─▶ Settler ─▶ when to look
//!                                   ▲            │
//!                                   │            ▼
//!                              Observation ◀─ Scanner ◀─ the folder
//!                                   │
//!                                   ▼
//!                                Outcome: a set to publish, or trouble to report
//! ```
//!
//! Events are hints and never truth: a lost one costs at most a tick, a false one costs a look. What is published was read
//! between two equal scans and settled for a quiet time; nothing is published by halves. What else is in the folder, and
//! how often it changes, matters to nobody.
//!
//! A driver owns the clock and the threads. It waits until [`Settler::look_at`] or a [`Hint`] and tells the settler all
//! hints that wait. If a look is due then, it calls [`Watcher::refresh`], [`Scanner::look`] with what [`Settler::locks`]
//! says, and [`Settler::on_observation`], in this order.

mod lock;
pub mod scan;
pub mod settle;
mod trail;
pub mod trouble;
pub mod watcher;

pub use scan::Scanner;
pub use settle::{Locks, Observation, Outcome, Settler, Timing};
pub use trouble::Trouble;
pub use watcher::{Hint, Watcher};

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "all parts together are tested on a real folder in real time")]

    use std::{
        fs::{self, OpenOptions},
        io::Write as _,
        path::Path,
        sync::{
            atomic::{AtomicBool, Ordering},
            mpsc::{self, Receiver},
        },
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A driver.
    struct Live {
        scanner: Scanner,
        watcher: Watcher,
        settler: Settler,
        hints: Receiver<Hint>,
        start: Instant,
    }

    impl Live {
        fn start(root: &Path) -> Self {
            let scanner = Scanner::new(root);
            let (send, hints) = mpsc::channel();
            let (watcher, _) = Watcher::start(&scanner, move |hint| {
                let _ = send.send(hint);
            });
            Self { scanner, watcher, settler: Settler::new(Timing::default()), hints, start: Instant::now() }
        }

        /// What comes of it within `time`.
        fn next(&mut self, time: Duration) -> Option<Outcome> {
            let begin = self.start.elapsed();
            loop {
                let now = self.start.elapsed();
                if begin + time < now {
                    return None;
                }
                let wait = self.settler.look_at().min(begin + time + ms(1)).saturating_sub(now);
                if let Ok(Hint) = self.hints.recv_timeout(wait) {
                    self.settler.on_hint(self.start.elapsed());
                }
                self.hints.try_iter().for_each(|Hint| self.settler.on_hint(self.start.elapsed()));
                if self.start.elapsed() < self.settler.look_at() {
                    continue;
                }
                self.watcher.refresh();
                let locks = self.settler.locks(self.start.elapsed());
                let seen = self.scanner.look(locks);
                let outcome = self.settler.on_observation(self.start.elapsed(), seen);
                if outcome.is_some() {
                    return outcome;
                }
            }
        }

        /// Asserts that within `time` a set is published, and that it is `files`.
        fn check(&mut self, files: &str, time: Duration) {
            match self.next(time) {
                Some(Outcome::Publish(set)) => {
                    let shown = set.files().map(|(_, file)| format!("{}={}", file.path, file.text()));
                    assert_eq!(shown.collect::<Vec<_>>().join(" "), files);
                }
                other => panic!("not published: {files}: {other:?}"),
            }
        }
    }

    /// Runs `test` while another program writes a log into `root` and makes temporary files there, without a rest.
    fn beside_noise(root: &Path, test: impl FnOnce()) {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            // Also if the test fails, or the failure would wait for the threads for ever.
            let _stop = Stop(&is_over);
            for pause in [ms(1), ms(10)] {
                let is_over = &is_over;
                scope.spawn(move || {
                    for round in 0.. {
                        let log = root.join(format!("server-{}.log", pause.as_millis()));
                        let mut log = OpenOptions::new().create(true).append(true).open(log).unwrap();
                        writeln!(log, "{round}").unwrap();
                        let temporary = root.join(format!("tmp{}-{round}", pause.as_millis()));
                        fs::write(&temporary, "x").unwrap();
                        thread::sleep(pause);
                        fs::remove_file(&temporary).unwrap();
                        if is_over.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                });
            }
            test();
        });
    }

    #[test]
    fn a_noisy_neighbour_holds_up_neither_a_save_nor_a_removal() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("a.rune"), "0").unwrap();
        fs::write(root.join("b.rune"), "0").unwrap();
        beside_noise(root, || {
            let mut live = Live::start(root);
            live.check("a.rune=0 b.rune=0", ms(1_000));
            for round in 1..=10 {
                fs::write(root.join("a.rune"), round.to_string()).unwrap();
                live.check(&format!("a.rune={round} b.rune=0"), ms(100));
            }
            fs::remove_file(root.join("b.rune")).unwrap();
            live.check("a.rune=10", ms(1_000));
            assert_eq!(live.next(ms(500)), None, "and no trouble");
        });
    }

    #[test]
    fn a_change_of_many_files_under_a_lock_is_published_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("policies");
        fs::create_dir(folder.path().join(".git")).unwrap();
        fs::create_dir(&root).unwrap();
        let lock = folder.path().join(".git/index.lock");
        let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
        for name in ["a.rune", "b.rune", "c.rune"] {
            write(name, "1");
        }
        let mut live = Live::start(&root);
        live.check("a.rune=1 b.rune=1 c.rune=1", ms(1_000));
        fs::write(&lock, "").unwrap();
        for name in ["a.rune", "b.rune", "c.rune"] {
            write(name, "2");
            assert_eq!(live.next(ms(80)), None, "under a lock");
        }
        fs::remove_file(&lock).unwrap();
        live.check("a.rune=2 b.rune=2 c.rune=2", ms(100));
    }
}
