//! The log: what came of each edit, told from a thread of its own, so that a reader who does not read holds up nothing.

use std::{
    fmt::Write as _,
    io,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, SyncSender},
    },
    thread,
};

use rune_core::reload::{Tried, driver::Event};
use serde_json::{Value as Json, json};

use crate::{
    output::{Output, printable},
    report,
};

use super::{limits, status::milliseconds};

/// Where events are told.
pub(super) struct Log {
    queue: SyncSender<(usize, Event)>,
    n_missed: AtomicUsize,
    thread: Option<thread::JoinHandle<()>>,
}

impl Log {
    pub(super) fn start(output: Output) -> io::Result<Self> {
        let (queue, events) = mpsc::sync_channel::<(usize, Event)>(limits::LOG_QUEUE_MAX);
        let thread = thread::Builder::new().name("rune-log".to_owned()).spawn(move || {
            for (n_missed, event) in events {
                if 0 < n_missed {
                    output.note(&format!("the log was read too slowly: {n_missed} events are missing here"));
                }
                let (text, json) = told(output, &event);
                output.note(&text);
                output.json(|| json);
            }
        })?;
        Ok(Self { queue, n_missed: AtomicUsize::new(0), thread: Some(thread) })
    }

    /// Tells an event, unless too many wait already.
    pub(super) fn tell(&self, event: Event) {
        let n_missed = self.n_missed.swap(0, Ordering::Relaxed);
        if self.queue.try_send((n_missed, event)).is_err() {
            self.n_missed.fetch_add(n_missed + 1, Ordering::Relaxed);
        }
    }
}

impl Drop for Log {
    /// What waits is still told, as far as somebody reads it within a moment.
    fn drop(&mut self) {
        const PATIENCE: u32 = 200;
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(1);
        let (closed, _) = mpsc::sync_channel(0);
        drop(std::mem::replace(&mut self.queue, closed));
        for _ in 0..PATIENCE {
            if self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished) {
                return;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "the process is about to end, and its last words are on their way"
            )]
            thread::sleep(PAUSE);
        }
    }
}

fn told(output: Output, event: &Event) -> (String, Json) {
    match event {
        Event::Tried(Tried::Live(reload)) => (
            format!(
                "serving generation {}, version {:.12}, after {:.3} ms",
                reload.generation,
                reload.version,
                milliseconds(reload.took)
            ),
            json!({
                "event": "reload",
                "generation": reload.generation.get(),
                "version": reload.version.to_string(),
                "took_ms": milliseconds(reload.took),
            }),
        ),
        Event::Tried(Tried::Unchanged) => ("back to what is served".to_owned(), json!({ "event": "recovered" })),
        Event::Tried(Tried::Refused(refusal)) => {
            let mut text = report::text(&refusal.report, output.has_colour());
            let version = refusal.version;
            let _ = write!(text, "\n\nversion {version:.12} is refused; what was served before, if anything, still is");
            for change in &refusal.not_in_force {
                let _ = write!(text, "\nnot in force: {}", printable(&change.to_string()));
            }
            let json = json!({
                "event": "refusal",
                "version": version.to_string(),
                "findings": report::json(&refusal.report),
                "not_in_force": refusal.not_in_force.iter().map(ToString::to_string).collect::<Json>(),
            });
            (text, json)
        }
        Event::Tried(Tried::NotBuilt(why)) => {
            (printable(&format!("cannot build: {why}; trying again")), json!({ "event": "not_built", "message": why }))
        }
        Event::Trouble(trouble) => {
            let text = format!("trouble: {trouble}; what was served before, if anything, still is");
            (printable(&text), json!({ "event": "trouble", "message": trouble.to_string() }))
        }
        Event::Degraded(Some(why)) => {
            (printable(&format!("degraded: {why}")), json!({ "event": "degraded", "message": why }))
        }
        Event::Degraded(None) => ("no longer degraded".to_owned(), json!({ "event": "degraded", "message": null })),
    }
}
