//! `rune serve` as people start it: where it listens, what it tells first, and addresses that it cannot have.

#![expect(clippy::disallowed_methods, reason = "the test writes files")]
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _},
    path::Path,
    process::{Command, Stdio},
};

const RUNE: &str = env!("CARGO_BIN_EXE_rune");

const RULES: &str = r#"version = "rune/1.0"
[schema]
entity User;
entity Document;
action read appliesTo { principal: [User], resource: [Document] };
[data]
viewer = [["ada", "plan"], ["bob", "plan"]]
[rules]
relation viewer(User, Document).
reads(U, D) :- viewer(U, D).
@id("viewers") permit(U, Action::"read", D) :- reads(U, D).
"#;

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.rune"), RULES).unwrap();
    dir
}

/// Starts a server, does something with what it tells people first, stops it, and returns what it printed.
fn serve(dir: &Path, listen: &str, told: impl FnOnce(&[String])) -> String {
    let mut command = Command::new(RUNE);
    command.args(["serve", "--listen", listen, "--watch"]).arg(dir).env("NO_COLOR", "1");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut first: Vec<String> = Vec::new();
    while !first.last().is_some_and(|line| line.starts_with("to stop:")) {
        first.push(lines.next().unwrap_or_else(|| panic!("no more than {first:?}")).unwrap());
    }
    told(&first);
    let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(stopped.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

fn shell(command: &str) -> String {
    let run = Command::new("sh").args(["-c", command]).output().expect("a shell");
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn a_server_says_what_it_serves_and_what_to_type() {
    let dir = folder();
    let printed = serve(dir.path(), "127.0.0.1:0", |told| {
        let line = |start: &str| {
            let line = told.iter().find_map(|line| line.strip_prefix(start));
            line.unwrap_or_else(|| panic!("{start} in {told:?}")).to_owned()
        };
        let serving = format!("serving {}: ", dir.path().display());
        assert_eq!(line(&serving), "1 file, 1 policy, 1 rule, 2 relations, 3 entities");
        let ask = line("to ask:     ");
        assert_eq!(shell(&ask), r#"{"decision":true}"#, "{ask}");
        assert!(shell(&line("to look:    ")).contains(r#""state":"serving""#));
        assert_eq!(line("to stop:    "), "Ctrl-C");
    });
    assert!(printed.starts_with("listening on http://127.0.0.1:") && printed.lines().count() == 1, "{printed}");
}

#[test]
fn a_name_is_listened_at_by_each_of_its_addresses_or_that_one_is_told() {
    let dir = folder();
    // One of each family, or only one.
    let addresses = ("localhost", 0).to_socket_addrs().unwrap();
    let addresses: BTreeSet<IpAddr> = addresses.map(|address| address.ip()).collect();
    let mut missing = 0;
    let mut asked = 0;
    let printed = serve(dir.path(), "localhost:0", |told| {
        let url = told.iter().find_map(|line| line.strip_prefix("to look:    curl -s ")).unwrap();
        let port = url.split(':').next_back().unwrap().split('/').next().unwrap();
        missing = told.iter().filter(|line| line.contains("cannot listen at ")).count();
        for address in &addresses {
            let url = format!("http://{}/health/live", SocketAddr::new(*address, port.parse().unwrap()));
            asked += usize::from(shell(&format!("curl -s '{url}'")) == "live");
        }
    });
    let address = |line: &str| line.strip_prefix("listening on http://").unwrap().parse::<SocketAddr>().unwrap();
    let printed: Vec<_> = printed.lines().map(address).collect();
    assert!(printed.iter().all(|address| addresses.contains(&address.ip()) && address.port() == printed[0].port()));
    assert_eq!((printed.len(), printed.len() + missing), (asked, addresses.len()), "{printed:?} of {addresses:?}");
}

#[test]
fn an_address_that_cannot_be_had_ends_it_with_a_hint() {
    let dir = folder();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (listen, hint) in [
        (&*taken, "another process listens there; `--listen 127.0.0.1:0` takes a free port"),
        ("192.0.2.1:0", "it is no address of this machine"),
        ("nowhere.invalid:7400", "there is no address of the name `nowhere.invalid`"),
        ("localhost", "there is no port: write `localhost:7400`"),
    ] {
        let run = Command::new(RUNE).args(["serve", "--listen", listen, "--watch"]).arg(dir.path()).output().unwrap();
        assert_eq!((run.status.code(), run.stdout.len()), (Some(2), 0), "{run:?}");
        assert!(String::from_utf8_lossy(&run.stderr).contains(hint), "{run:?}");
    }
}
