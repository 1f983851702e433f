//! `rune serve`: a folder over HTTP, followed as it is edited.

mod authzen;
mod http;
mod status;

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use rune_core::{
    Watch,
    reload::{Served, WatchOptions, driver::Event},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{Outcome, output::Output, report};

/// What may be in flight when the server is told to stop gets so long to end.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// Where and what to serve.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The folder of policies.
    #[arg(long, value_name = "DIR")]
    pub watch: PathBuf,
    /// The address to listen at; port 0 takes a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7400")]
    pub listen: SocketAddr,
    /// Start although the folder cannot be served yet, and answer 503 until it can.
    #[arg(long)]
    pub wait: bool,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let (events, mut first) = tokio::sync::mpsc::unbounded_channel();
        let watch = Watch::start(&arguments.watch, WatchOptions::default(), move |event| {
            tell(output, &event);
            // Only the first event is waited for.
            let _ = events.send(());
        })
        .context("cannot watch the folder")?;
        first.recv().await;
        let served = watch.served().clone();
        if served.engine().is_none() && !arguments.wait {
            return Ok(Outcome::Unusable);
        }
        let bound = Server::bind(arguments.listen, served).await?;
        let address = bound.address();
        output.result(
            &format!("listening on http://{address}"),
            || json!({ "event": "listening", "address": address.to_string() }),
        );
        let stopped = bound.run(terminated()).await;
        drop(watch);
        stopped.map(|()| Outcome::Yes)
    })
}

/// A server that has its address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    served: Arc<Served>,
}

impl Server {
    /// Listens at `address`.
    ///
    /// # Errors
    ///
    /// If the address cannot be had.
    pub async fn bind(address: SocketAddr, served: Arc<Served>) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
        let address = listener.local_addr().context("cannot tell the address")?;
        Ok(Self { listener, address, served })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` is ready, and then ends those in flight.
    ///
    /// # Errors
    ///
    /// If connections can no longer be accepted.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let (stopping, stopped) = oneshot::channel();
        let app = http::router(self.served);
        let serve = http::serve(self.listener, app, async move {
            stop.await;
            // The receiver is gone only when serving has ended by itself.
            let _ = stopping.send(());
        });
        let overdue = async {
            match stopped.await {
                Ok(()) => tokio::time::sleep(SHUTDOWN_MAX).await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            served = serve => served.context("cannot serve"),
            () = overdue => Ok(()),
        }
    }
}

/// Until the process is told to end: `SIGTERM`, or `SIGINT` from a terminal.
async fn terminated() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt => {}
            }
            return;
        }
    }
    drop(interrupt.await);
}

/// Says what came of an edit.
fn tell(output: Output, event: &Event) {
    use rune_core::reload::Outcome as Tried;
    let (text, json) = match event {
        Event::Tried(Tried::Live(reload)) => (
            format!(
                "serving generation {}, version {:.12}, after {} ms",
                reload.generation,
                reload.version,
                reload.took.as_millis()
            ),
            json!({ "event": "reload", "generation": reload.generation.get(), "version": reload.version.to_string(), "took_ms": reload.took.as_millis() }),
        ),
        Event::Tried(Tried::Unchanged) => ("back to what is served".to_owned(), json!({ "event": "recovered" })),
        Event::Tried(Tried::Refused(refusal)) => {
            let mut text = report::text(&refusal.report, output.has_colour());
            text.push_str("\n\nrefused: what was served still is");
            for change in &refusal.not_in_force {
                let _ = write!(text, "\nnot in force: {change}");
            }
            let json = json!({ "event": "refusal", "version": refusal.version.to_string(), "findings": report::json(&refusal.report) });
            (text, json)
        }
        Event::Trouble(trouble) => (
            format!("trouble: {trouble}; what is served stays"),
            json!({ "event": "trouble", "message": trouble.to_string() }),
        ),
    };
    if output.is_json() {
        output.result("", || json);
    } else {
        output.note(&text);
    }
}
