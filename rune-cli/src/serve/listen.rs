//! Where to listen: an address or a name, and the listeners that it stands for.

use std::{
    fmt,
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    task::Poll,
};

use anyhow::{Context as _, Result, bail};
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
        if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return wrong(format!("there is no port: write `{}`", SocketAddr::new(ip, 7400)));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            let is_port = text.parse::<u16>().is_ok();
            let (host, port) = if is_port { ("127.0.0.1", text) } else { (text, "7400") };
            let missing = if is_port { "address" } else { "port" };
            return wrong(format!("there is no {missing}: write `{host}:{port}`"));
        };
        let Ok(port) = port.parse::<u16>() else {
            return wrong(format!("`{port}` is no port, which is a number up to 65535; 0 takes a free one"));
        };
        if host.is_empty() {
            let all = "at all addresses of this machine";
            return wrong(format!(
                "there is no address: write `127.0.0.1:{port}`, or `0.0.0.0:{port}` to listen {all}"
            ));
        }
        if host.parse::<IpAddr>().is_ok() {
            return wrong(format!("around an IPv6 address stand brackets: write `[{host}]:{port}`"));
        }
        if !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
            return wrong(format!("`{host}` is neither an address nor a name: write `127.0.0.1:{port}`"));
        }
        Ok(Self { host: Host::Name(host.to_owned()), port })
    }
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
        let mut listeners = Self { all: Vec::new(), missing: Vec::new() };
        let mut port = listen.port;
        let mut first = None;
        for mut address in listen.addresses().await? {
            // Of a free port, the one that the first address got.
            address.set_port(port);
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    port = listener.local_addr().context("cannot tell the address")?.port();
                    listeners.all.push(listener);
                }
                Err(error) => {
                    let message = format!("cannot listen at {address}: {}", told(&error));
                    listeners.missing.push(message.clone());
                    first.get_or_insert((error, message));
                }
            }
        }
        match first {
            // Where a port is taken, another server would get some of the requests.
            Some((error, message)) if listeners.all.is_empty() || error.kind() == io::ErrorKind::AddrInUse => {
                bail!(message)
            }
            _ => Ok(listeners),
        }
    }

    /// Where they listen.
    pub(super) fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let addresses = self.all.iter().map(TcpListener::local_addr);
        addresses.collect::<io::Result<_>>().context("cannot tell the address")
    }

    /// The next connection, of any of them.
    pub(super) async fn accept(&self) -> io::Result<TcpStream> {
        poll_fn(|context| {
            for listener in &self.all {
                if let Poll::Ready(accepted) = listener.poll_accept(context) {
                    return Poll::Ready(accepted.map(|(stream, _)| stream));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// An error and what to do about it.
fn told(error: &io::Error) -> String {
    let help = match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there; `--listen 127.0.0.1:0` takes a free port",
        io::ErrorKind::AddrNotAvailable => "it is no address of this machine; `0.0.0.0` stands for all of them",
        io::ErrorKind::PermissionDenied => "ports below 1024 are for the administrator",
        _ => return error.to_string(),
    };
    format!("{error}: {help}")
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("localhost", "there is no port: write `localhost:7400`"),
            ("127.0.0.1", "there is no port: write `127.0.0.1:7400`"),
            ("::1", "there is no port: write `[::1]:7400`"),
            ("[::1]", "there is no port: write `[::1]:7400`"),
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
