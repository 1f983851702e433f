//! `rune serve`: a folder over HTTP, followed as it is edited.

mod authzen;
mod hello;
mod http;
pub mod limits;
mod listen;
mod log;
mod public_url;
mod status;
mod tokens;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use rune_core::{
    Watch,
    reload::{Served, WatchOptions, driver::Event},
};
use serde_json::json;

use crate::{
    Outcome, dir,
    output::{Output, printable},
    stop::Stop,
};

pub use listen::{Listen, ListenError};
pub use public_url::{PublicUrl, PublicUrlError};
pub use tokens::Tokens;

use listen::Listeners;
use log::Log;

/// Where and what to serve.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The folder of policies.
    #[arg(long, value_name = "DIR")]
    pub watch: PathBuf,
    /// The address or name to listen at, as in `localhost:7400`; port 0 takes a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7400")]
    pub listen: Listen,
    /// Start although the folder cannot be served yet, and answer 503 until it can.
    #[arg(long)]
    pub wait: bool,
    /// The URL by which clients know the server: `https://pdp.example.com`, or `https://pdp.example.com/tenant1`.
    ///
    /// A proxy with TLS stands before the server. The URL's host is then one that requests may be sent to, and AuthZEN's
    /// metadata, which names the endpoints, is served.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<PublicUrl>,
    /// A file with tokens for those who may ask why, which nobody else may read: lines of `inspect TOKEN`.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<Outcome> {
    dir::check_is_no_file(&arguments.watch)?;
    let tokens = arguments.token_file.as_deref().map(Tokens::read).transpose()?.unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let outcome = runtime.block_on(async {
        // Before anything that takes time: a server that is told to stop while it loads stops as any other.
        let mut stop = Stop::new().context("cannot wait for signals")?;
        let log = Log::start(output).context("no thread for the log")?;
        let (events, mut first) = tokio::sync::mpsc::unbounded_channel();
        let watch = Watch::start(&arguments.watch, WatchOptions::default(), move |event| {
            let is_last_word = !matches!(event, Event::Degraded(_));
            log.tell(event);
            if is_last_word {
                // Only the first is waited for.
                let _ = events.send(());
            }
        })
        .context("cannot watch the folder")?;
        tokio::select! {
            _ = first.recv() => {}
            () = stop.told() => return Ok(Outcome::Yes),
        }
        let served = watch.served().clone();
        if served.engine().is_none() && !arguments.wait {
            // The log says why, from its own thread.
            drop(watch);
            return Ok(Outcome::Unusable);
        }
        let bound = Server::bind(arguments.listen.clone(), served.clone()).await?;
        let bound = bound.with_public_url(arguments.public_url.clone()).with_tokens(tokens);
        tell_where(&bound, &arguments.watch, &served, output);
        let ended = bound.run(async move { stop.told().await }).await?;
        if ended == Ended::Cut {
            output.note(&format!("requests in flight were cut after {} seconds", limits::SHUTDOWN_MAX.as_secs()));
        }
        Ok(Outcome::Yes)
    });
    // An explanation that is still being made has nobody left to be told.
    runtime.shutdown_background();
    outcome
}

/// Says where a server listens and, to people, what it serves and what to type.
fn tell_where(bound: &Server, dir: &Path, served: &Served, output: Output) {
    for address in &bound.addresses {
        output.result(
            &format!("listening on http://{address}"),
            || json!({ "event": "listening", "address": address.to_string() }),
        );
    }
    for missing in &bound.listeners.missing {
        output.warn(missing);
    }
    if let Some(address) = bound.addresses.first() {
        let lineup = served.engine().map(|engine| engine.lineup());
        let program = lineup.as_ref().map(|lineup| &**lineup.stable());
        let dir = dir.display().to_string();
        output.note(&printable(&hello::hello(&dir, *address, program)));
    }
}

/// A server that has its addresses.
#[derive(Debug)]
pub struct Server {
    listeners: Listeners,
    addresses: Vec<SocketAddr>,
    served: Arc<Served>,
    public: Option<PublicUrl>,
    tokens: Tokens,
}

impl Server {
    /// Listens at an address, or at those of a name that can be had.
    ///
    /// # Errors
    ///
    /// If there is none that can be had, or another process listens at one.
    pub async fn bind(listen: impl Into<Listen>, served: Arc<Served>) -> Result<Self> {
        let listeners = Listeners::bind(&listen.into()).await?;
        let addresses = listeners.addresses()?;
        Ok(Self { listeners, addresses, served, public: None, tokens: Tokens::default() })
    }

    /// Known to clients by this URL, or by its address.
    #[must_use]
    pub fn with_public_url(self, public: Option<PublicUrl>) -> Self {
        Self { public, ..self }
    }

    /// With those who may ask for more than decisions.
    #[must_use]
    pub fn with_tokens(self, tokens: Tokens) -> Self {
        Self { tokens, ..self }
    }

    /// Where it listens: at one address at least.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers requests until `stop` is ready, and then ends those in flight.
    ///
    /// # Errors
    ///
    /// If connections can no longer be accepted.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<Ended> {
        http::serve(self.listeners, http::router(self.served, self.public, self.tokens), stop).await
    }
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every request in flight was answered.
    Answered,
    /// Some were still in flight after [`limits::SHUTDOWN_MAX`].
    Cut,
}
