//! What several tests need: a small HTTP client that can also send what a proper one would not, and a running server.

#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "each test takes what it needs, and a panic is how it reports"
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value as Json;

/// A connection that is kept alive.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        Self { stream: BufReader::new(stream) }
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes());
        self.receive()
    }

    /// Posts JSON.
    pub fn post(&mut self, path: &str, body: &str) -> Answer {
        self.post_with(path, &[("content-type", "application/json")], body)
    }

    pub fn post_with(&mut self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {}\r\n\r\n", body.len());
        self.send(format!("{head}{body}").as_bytes());
        self.receive()
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    pub fn receive(&mut self) -> Answer {
        let mut line = || {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("the server answers");
            line.trim_end().to_owned()
        };
        let status_line = line();
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {status_line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = line();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the whole body");
        answer.body = String::from_utf8(body).expect("text");
        answer
    }
}

/// A `rune serve` that ends with this value.
pub struct Server {
    pub child: Child,
    pub address: SocketAddr,
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Serves `dir` with the binary `rune` at a free port.
    pub fn start(rune: &str, dir: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(rune)
            .args(["serve", "--listen", "127.0.0.1:0", "--watch"])
            .arg(dir)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it prints its address");
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { child, address, _stdout: stdout }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// The status, as soon as it is as wanted.
    pub fn status_when(&self, what: &str, wanted: impl Fn(&Json) -> bool) -> Json {
        let mut client = self.client();
        let start = Instant::now();
        loop {
            let status = client.get("/api/v1/status").json();
            if wanted(&status) {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(15), "{what}: {status:#}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
