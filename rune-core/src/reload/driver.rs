//! The thread that watches a folder: the only place with a clock, and with files through the scanner.
//!
//! ```text
//!   hints ──▶ wait ──▶ look ──▶ settle ──▶ coordinator ──▶ engine, status
//!               ▲                  │
//!               └──── look_at ─────┘
//! ```

#![expect(clippy::disallowed_methods, reason = "the driver reads the clock, so that nothing else has to")]

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use crate::{
    base::Sources,
    program::Options,
    watch::{self, Locks, Observation, Scanner, Settler, Timing, Trouble, Watcher},
};

use super::{ReloadCoordinator, Served, Tried};

/// How a folder is watched.
#[derive(Debug, Clone, Copy, Default)]
pub struct WatchOptions {
    /// How versions are built.
    pub options: Options,
    /// When the folder is looked at.
    pub timing: Timing,
}

/// What is told while a folder is watched.
#[derive(Debug, Clone)]
pub enum Event {
    /// A set of sources was tried.
    Tried(Tried),
    /// The folder cannot be read as it is; what is served stays.
    Trouble(Trouble),
    /// Changes are found by looking every second only, or by events again.
    Degraded(Option<String>),
}

/// A folder that is watched, as long as this lives.
#[derive(Debug)]
pub struct Watch {
    served: Arc<Served>,
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// The watching thread has ended, which it does only when it is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the folder is no longer watched; what is served stays")
    }
}

impl std::error::Error for Stopped {}

enum Message {
    Hint,
    Stop,
}

impl Watch {
    /// Watches the folder `root` from a thread of its own, and calls `tell` there with what comes of it.
    ///
    /// # Errors
    ///
    /// If no thread can be had.
    pub fn start(
        root: impl Into<PathBuf>,
        options: WatchOptions,
        tell: impl FnMut(Event) + Send + 'static,
    ) -> std::io::Result<Self> {
        let coordinator = ReloadCoordinator::new(options.options);
        let served = coordinator.served().clone();
        let (messages, inbox) = mpsc::channel();
        let scanner = Scanner::new(root);
        let hints = messages.clone();
        // Why it may be degraded is asked at each look.
        let (watcher, _) = Watcher::start(&scanner, move |_| {
            // The receiver is gone only when the thread has been told to stop.
            drop(hints.send(Message::Hint));
        });
        let driver = Driver {
            coordinator,
            scanner,
            settler: Settler::new(options.timing),
            watcher,
            inbox,
            start: Instant::now(),
            untried: None,
            tell: Box::new(tell),
        };
        let thread = thread::Builder::new().name("rune-watch".to_owned()).spawn(|| driver.run())?;
        Ok(Self { served, messages, thread: Some(thread) })
    }

    /// What the folder serves.
    #[must_use]
    pub fn served(&self) -> &Arc<Served> {
        &self.served
    }

    /// Looks at the folder soon, as if something had changed.
    ///
    /// # Errors
    ///
    /// If the folder is no longer watched.
    pub fn look(&self) -> Result<(), Stopped> {
        self.messages.send(Message::Hint).map_err(|_| Stopped)
    }
}

impl Drop for Watch {
    /// Stops watching. A build that is under way gets a moment to end, and is left to itself after that.
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        const PAUSE: Duration = Duration::from_millis(1);
        drop(self.messages.send(Message::Stop));
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                // A panic of the thread has been reported by the panic hook; there is nothing left to do about it.
                drop(self.thread.take().map(JoinHandle::join));
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

struct Driver {
    coordinator: ReloadCoordinator,
    scanner: Scanner,
    settler: Settler,
    watcher: Watcher,
    inbox: Receiver<Message>,
    start: Instant,
    /// Sources that could not be built for a reason that is not in them.
    untried: Option<Arc<Sources>>,
    tell: Box<dyn FnMut(Event) + Send>,
}

impl Driver {
    fn run(mut self) {
        loop {
            let wait = self.settler.look_at().saturating_sub(self.start.elapsed());
            match self.inbox.recv_timeout(wait) {
                Ok(Message::Hint) => {
                    self.settler.on_hint(self.start.elapsed());
                    // All hints that wait are told before the settler is asked again when to look.
                    continue;
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.look();
            self.coordinator.collect();
        }
    }

    fn look(&mut self) {
        // First the watches: what happens after the look must give a hint.
        self.watcher.refresh();
        let degraded = self.watcher.degraded();
        if self.coordinator.on_degraded(degraded) {
            (self.tell)(Event::Degraded(degraded.map(str::to_owned)));
        }
        let seen = self.scanner.look(self.settler.locks(self.start.elapsed()));
        match self.settler.on_observation(self.start.elapsed(), seen) {
            Some(watch::Outcome::Publish(sources)) => self.try_sources(sources),
            Some(watch::Outcome::Trouble(trouble)) => {
                self.coordinator.on_trouble(SystemTime::now(), trouble.clone());
                (self.tell)(Event::Trouble(trouble));
            }
            // What could not be built for want of a thread is tried again until it can be, or there is something newer.
            None => {
                if let Some(sources) = self.untried.take() {
                    self.try_sources(sources);
                }
            }
        }
    }

    fn try_sources(&mut self, sources: Arc<Sources>) {
        let start = self.start;
        let tried = self.coordinator.on_sources(&sources, || (SystemTime::now(), start.elapsed()));
        self.untried = matches!(tried, Tried::NotBuilt(_)).then_some(sources);
        (self.tell)(Event::Tried(tried));
    }
}

/// Reads a folder once: the whole of its sources, as they stand still.
///
/// # Errors
///
/// If the folder cannot be read, or does not stand still for two seconds.
pub fn read(root: impl Into<PathBuf>) -> Result<Arc<Sources>, Trouble> {
    const PATIENCE: Duration = Duration::from_secs(2);
    const PAUSE: Duration = Duration::from_millis(5);
    let mut scanner = Scanner::new(root);
    let start = Instant::now();
    loop {
        match scanner.look(Locks::Ignored) {
            Observation::Whole(sources) if sources.is_empty() => {
                return Err(Trouble::Empty { path: scanner.root().to_owned() });
            }
            Observation::Whole(sources) => return Ok(sources),
            Observation::Trouble(trouble) => return Err(trouble),
            Observation::Moving | Observation::Locked if PATIENCE < start.elapsed() => return Err(Trouble::Unstable),
            Observation::Moving | Observation::Locked => thread::sleep(PAUSE),
        }
    }
}
