//! What documents show of a terminal is what the terminal shows: the README, those of the examples, and the page on HTTP.
//!
//! `BLESS=1 cargo test --release -p rune-cli --test readme` writes the answers anew.

#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "the test reads and writes documents")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]
#![expect(clippy::print_stderr, reason = "what is skipped is said")]

use std::{fs, net::TcpListener, path::Path, process::Command};

/// The root of the repository, where commands are typed.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const START: &str = "```console\n";
const END: &str = "```";

/// What is typed in one block, command by command as it is shown: a line after `$ `, and those after `> `.
fn commands(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in block.lines() {
        match commands.last_mut() {
            _ if line.starts_with("$ ") => commands.push(line.to_owned()),
            Some(last) if line.starts_with("> ") => last.extend(["\n", line]),
            _ => {}
        }
    }
    commands
}

/// A page with what its commands print now, in one shell for all of them, and how many these are. Servers listen at another port
/// than the page says.
fn replayed(page: &str, dir: &Path) -> (String, usize) {
    let blocks: Vec<&str> = page.split(START).skip(1).map(|rest| rest.split(END).next().unwrap()).collect();
    let commands: Vec<Vec<String>> = blocks.iter().map(|block| commands(block)).collect();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = format!(":{port}");
    // A mark stands before what each command prints. Whatever happens, a server ends.
    let mut script = "exec 2>&1\ntrap '[ -z \"$!\" ] || kill $! 2> /dev/null' EXIT\n".to_owned();
    for command in commands.iter().flatten() {
        let typed: Vec<&str> = command.lines().map(|line| line.get(2..).unwrap()).collect();
        script.extend(["printf '\\036'\n", &typed.join("\n").replace(":7400", &port), "\n"]);
    }
    let folder = Path::new(env!("CARGO_BIN_EXE_rune")).parent().unwrap();
    let path = std::env::join_paths([folder, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let run = Command::new("sh").current_dir(dir).env("PATH", path).args(["-c", &script]).output().unwrap();
    let printed = String::from_utf8(run.stdout).unwrap().replace('\r', "").replace(&port, ":7400");
    let mut answers = printed.split('\x1e').skip(1);
    let mut replayed = page.to_owned();
    for (block, commands) in blocks.iter().zip(&commands) {
        let mut shown = String::new();
        for command in commands {
            shown.extend([command, "\n", answers.next().unwrap_or_default()]);
        }
        replayed = replayed.replace(&format!("{START}{block}"), &format!("{START}{shown}"));
    }
    assert!(answers.next().is_none(), "{printed}");
    (replayed, commands.iter().flatten().count())
}

/// Replays a document, and says how many commands it shows.
fn check(document: &str, dir: &Path) -> usize {
    let path = Path::new(ROOT).join(document);
    let page = fs::read_to_string(&path).unwrap();
    let (replayed, n) = replayed(&page, dir);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &replayed).unwrap();
    } else {
        assert_eq!(without_digests(&replayed), without_digests(&page), "{document}");
    }
    n
}

/// A text without the digests of files: an edit of an example is none of the page.
fn without_digests(text: &str) -> String {
    let is_digest = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(is_digest).fold(text.to_owned(), |text, digest| text.replace(digest, "digest"))
}

#[test]
fn the_terminal_shows_what_the_readme_shows() {
    assert!(2 < check("README.md", Path::new(ROOT)));
}

#[test]
fn the_terminal_shows_what_the_examples_show() {
    for name in ["agents", "cedar", "documents", "github", "todo"] {
        assert!(2 < check(&format!("examples/policies/{name}/README.md"), Path::new(ROOT)), "{name}");
    }
}

/// What the page on HTTP takes besides a shell.
const TOOLS: [&str; 2] = ["curl", "openssl"];

#[test]
fn the_terminal_shows_what_the_page_on_http_shows() {
    let is_there = |tool: &str| ["/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(tool).exists());
    let missing: Vec<&str> = TOOLS.into_iter().filter(|tool| !is_there(tool)).collect();
    if !missing.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "there is no {}", missing.join(", no "));
        eprintln!("skipped: there is no {}", missing.join(", no "));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(Path::new(ROOT).join("examples"), dir.path().join("examples")).unwrap();
    assert!(9 < check("docs/HTTP.md", dir.path()));
}
