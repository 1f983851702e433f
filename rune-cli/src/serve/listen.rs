//! Where to listen: an address or a name, and the listeners that it stands for.

use std::{
    fmt,
    future::poll_fn,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
    task::Poll,
};

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::net::{TcpListener, TcpStream, lookup_host};

/// `127.0.0.1:7400`, `[::1]:7400`, `localhost:7400`. A name stands for all its addresses: `localhost` for those of both families,
/// as far as there are both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(String),
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Address(address.ip()), port: address.port() }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// A text that says not where to listen; what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenError(String);

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ListenError {}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        let wrong = |message: String| Err(ListenError(message));
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        if text.contains("://") || text.contains('/') {
            return wrong("an address and a port, and no URL: `127.0.0.1:7400`".to_owned());
        }
        // `::1:7400` is an address as well; that its end is a port is the likelier reading.
        if let Some((host, port)) = text.rsplit_once(':')
            && let (Ok(ip), Ok(port)) = (bare(host).parse::<Ipv6Addr>(), port.parse::<u16>())
        {
            return wrong(format!("around an IPv6 address stand brackets: write `[{ip}]:{port}`"));
        }
        if let Ok(ip) = bare(text).parse::<IpAddr>() {
            return wrong(format!("there is no port: write `{}`", SocketAddr::new(ip, 7400)));
        }
        if text.is_empty() {
            return wrong("there is no address: write `127.0.0.1:7400`".to_owned());
        }
        let number = |text: &str| text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
        let Some((host, port)) = text.rsplit_once(':') else {
            if text.chars().all(|c| c.is_ascii_digit() || c == '.') && number(text).is_none() {
                return wrong(format!("`{text}` is neither an address nor a port: write `127.0.0.1:7400`"));
            }
            let is_port = number(text).is_some();
            let (host, port) = if is_port { ("127.0.0.1", text) } else { (text, "7400") };
            let missing = if is_port { "address" } else { "port" };
            return wrong(format!("there is no {missing}: write `{host}:{port}`"));
        };
        let Some(port) = number(port) else {
            return wrong(format!("`{port}` is no port, which is a number up to 65535; 0 takes a free one"));
        };
        if host.is_empty() {
            let all = "at all addresses of this machine";
            return wrong(format!(
                "there is no address: write `127.0.0.1:{port}`, or `0.0.0.0:{port}` to listen {all}"
            ));
        }
        if !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
            return wrong(format!("`{host}` is neither an address nor a name: write `127.0.0.1:{port}`"));
        }
        Ok(Self { host: Host::Name(host.to_owned()), port })
    }
}

/// A text without the bracket that it begins with and the one that it ends with: where only one is there, the other was forgotten.
fn bare(text: &str) -> &str {
    let text = text.strip_prefix('[').unwrap_or(text);
    text.strip_suffix(']').unwrap_or(text)
}

impl Listen {
    /// The addresses that it stands for, those of IPv4 first.
    async fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let name = match &self.host {
            Host::Address(ip) => return Ok(vec![SocketAddr::new(*ip, self.port)]),
            Host::Name(name) => name,
        };
        let found = lookup_host((name.as_str(), self.port)).await;
        let found = found.with_context(|| format!("there is no address of the name `{name}`"))?;
        let mut addresses: Vec<SocketAddr> = found.collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            bail!("there is no address of the name `{name}`");
        }
        Ok(addresses)
    }
}

/// How often a port is looked for that is free: one that is at the first address may be taken at another.
const TRIES_MAX: usize = 16;

/// One listener or more, at one port.
#[derive(Debug)]
pub(super) struct Listeners {
    all: Vec<TcpListener>,
    /// The addresses of a name that could not be had; why.
    pub(super) missing: Vec<String>,
}

impl Listeners {
    /// Listens at each address that there is. Of a name some may be missing, and not all.
    pub(super) async fn bind(listen: &Listen) -> Result<Self> {
        Self::bind_by(&listen.addresses().await?, async |address| TcpListener::bind(address).await).await
    }

    /// Listens at addresses, which have the same port; at 0 it is one that is free at all of them.
    async fn bind_by(
        addresses: &[SocketAddr],
        bind: impl AsyncFn(SocketAddr) -> io::Result<TcpListener>,
    ) -> Result<Self> {
        let is_any = addresses.iter().any(|address| address.port() == 0);
        let mut n_tries = 1;
        loop {
            let mut listeners = Self { all: Vec::new(), missing: Vec::new() };
            let mut kinds = Vec::new();
            let mut port = None;
            for address in addresses {
                // Of a free port, the one that the first address got.
                let address = SocketAddr::new(address.ip(), port.unwrap_or(address.port()));
                match bind(address).await {
                    Ok(listener) => {
                        port = Some(listener.local_addr().context("cannot tell the address")?.port());
                        listeners.all.push(listener);
                    }
                    Err(error) => {
                        kinds.push(error.kind());
                        listeners.missing.push(format!("cannot listen at {address}: {}", told(&error, is_any)));
                    }
                }
            }
            // Where a port is taken, another server would get some of the requests.
            let taken = kinds.iter().position(|kind| *kind == io::ErrorKind::AddrInUse);
            if is_any && taken.is_some() && n_tries < TRIES_MAX {
                n_tries += 1;
                continue;
            }
            let fatal = taken.or(listeners.all.is_empty().then_some(0));
            return match fatal.and_then(|at| listeners.missing.get(at)) {
                Some(message) => Err(anyhow!("{message}")),
                None => Ok(listeners),
            };
        }
    }

    /// Where they listen.
    pub(super) fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let addresses = self.all.iter().map(TcpListener::local_addr);
        addresses.collect::<io::Result<_>>().context("cannot tell the address")
    }

    /// The next connection, of any of them. Whoever had the last is asked last, so that none has to wait for another to be idle.
    pub(super) async fn accept(&mut self) -> io::Result<TcpStream> {
        poll_fn(|context| {
            let mut listeners = self.all.iter().enumerate();
            let ready = listeners.find_map(|(at, listener)| match listener.poll_accept(context) {
                Poll::Ready(accepted) => Some((at, accepted)),
                Poll::Pending => None,
            });
            let Some((at, accepted)) = ready else { return Poll::Pending };
            self.all.rotate_left(at + 1);
            Poll::Ready(accepted.map(|(stream, _)| stream))
        })
        .await
    }
}

/// An error and what to do about it.
fn told(error: &io::Error, is_any_port: bool) -> String {
    let help = match error.kind() {
        io::ErrorKind::AddrInUse if is_any_port => "no port was found that is free at each address",
        io::ErrorKind::AddrInUse => "another process listens there; `--listen 127.0.0.1:0` takes a free port",
        io::ErrorKind::AddrNotAvailable => "it is no address of this machine; `0.0.0.0` stands for all of them",
        io::ErrorKind::PermissionDenied => "ports below 1024 are for the administrator",
        _ => return error.to_string(),
    };
    format!("{error}: {help}")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// The addresses, with port 0.
    fn loopback() -> Vec<SocketAddr> {
        ["127.0.0.1:0", "127.0.0.2:0"].iter().map(|address| address.parse().unwrap()).collect()
    }

    /// Where it listens, or why it does not, at two addresses of which the second is taken so many times; and how often it tried.
    async fn taken(n_times: usize, kind: io::ErrorKind) -> (Result<(usize, Vec<String>), String>, usize) {
        let n_asked = Cell::new(0);
        let addresses = loopback();
        let bound = Listeners::bind_by(&addresses, async |address: SocketAddr| {
            if address.ip() == addresses[0].ip() {
                return TcpListener::bind("127.0.0.1:0").await;
            }
            assert_ne!(address.port(), 0, "it is the port of the first");
            n_asked.set(n_asked.get() + 1);
            if n_asked.get() <= n_times { Err(kind.into()) } else { TcpListener::bind("127.0.0.1:0").await }
        });
        let bound = bound.await.map(|bound| (bound.all.len(), bound.missing)).map_err(|error| error.to_string());
        (bound, n_asked.get())
    }

    #[tokio::test]
    async fn a_free_port_is_looked_for_until_it_is_free_at_each_address() {
        let in_use = io::ErrorKind::AddrInUse;
        assert_eq!(taken(0, in_use).await, (Ok((2, Vec::new())), 1));
        assert_eq!(taken(3, in_use).await, (Ok((2, Vec::new())), 4));
        let (bound, n_tries) = taken(usize::MAX, in_use).await;
        let message = bound.unwrap_err();
        assert!(message.ends_with("no port was found that is free at each address"), "{message}");
        assert_eq!(n_tries, TRIES_MAX);
        let (bound, n_tries) = taken(usize::MAX, io::ErrorKind::AddrNotAvailable).await;
        let (n, missing) = bound.unwrap();
        assert_eq!((n, missing.len(), n_tries), (1, 1, 1), "an address that is not there is left out");
    }

    // Elsewhere 127.0.0.2 is no address of the machine.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn no_listener_waits_for_another_to_be_idle() {
        let bind = async |address| TcpListener::bind(address).await;
        let mut listeners = Listeners::bind_by(&loopback(), bind).await.unwrap();
        let addresses = listeners.addresses().unwrap();
        assert_eq!(addresses[0].port(), addresses[1].port());
        let connect = |address| std::net::TcpStream::connect(address).unwrap();
        let _clients: Vec<_> = addresses.iter().flat_map(|address| [connect(address), connect(address)]).collect();
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(listeners.accept().await.unwrap().local_addr().unwrap());
        }
        assert_eq!(seen, [addresses[0], addresses[1], addresses[0], addresses[1]]);
    }

    #[test]
    fn an_address_or_a_name_with_a_port_says_where_to_listen() {
        for text in ["127.0.0.1:7400", "0.0.0.0:0", "[::1]:7400", "localhost:7400", "pdp-1.example.com:65535"] {
            assert_eq!(text.parse::<Listen>().map(|listen| listen.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_says_not_where_to_listen_is_told_what_to_write() {
        for (text, expected) in [
            ("7400", "there is no address: write `127.0.0.1:7400`"),
            ("", "there is no address: write `127.0.0.1:7400`"),
            ("70000", "`70000` is neither an address nor a port: write `127.0.0.1:7400`"),
            ("256.256.256.256", "`256.256.256.256` is neither an address nor a port: write `127.0.0.1:7400`"),
            ("127.0.0.1:+0", "`+0` is no port, which is a number up to 65535; 0 takes a free one"),
            ("localhost", "there is no port: write `localhost:7400`"),
            ("127.0.0.1", "there is no port: write `127.0.0.1:7400`"),
            ("::1", "there is no port: write `[::1]:7400`"),
            ("[::1]", "there is no port: write `[::1]:7400`"),
            ("[::1", "there is no port: write `[::1]:7400`"),
            ("1:2:3:4:5:6:7:8", "there is no port: write `[1:2:3:4:5:6:7:8]:7400`"),
            ("::1:7400", "around an IPv6 address stand brackets: write `[::1]:7400`"),
            ("[::1:7400", "around an IPv6 address stand brackets: write `[::1]:7400`"),
            ("::1]:7400", "around an IPv6 address stand brackets: write `[::1]:7400`"),
            ("fe80::1:80", "around an IPv6 address stand brackets: write `[fe80::1]:80`"),
            ("1:2:3:4:5:6:7:8:80", "around an IPv6 address stand brackets: write `[1:2:3:4:5:6:7:8]:80`"),
            ("fe80::1:zz", "`zz` is no port, which is a number up to 65535; 0 takes a free one"),
            ("localhost:http", "`http` is no port, which is a number up to 65535; 0 takes a free one"),
            ("localhost:70000", "`70000` is no port, which is a number up to 65535; 0 takes a free one"),
            (
                ":80",
                "there is no address: write `127.0.0.1:80`, or `0.0.0.0:80` to listen at all addresses of this machine",
            ),
            ("*:80", "`*` is neither an address nor a name: write `127.0.0.1:80`"),
            ("http://localhost:7400", "an address and a port, and no URL: `127.0.0.1:7400`"),
        ] {
            assert_eq!(text.parse::<Listen>().map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
        }
    }
}
