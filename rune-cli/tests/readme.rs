//! What the README and the page on HTTP show of a terminal is what the terminal shows.
//!
//! `BLESS=1 cargo test --release -p rune-cli --test readme` writes the answers of the page anew.

#![expect(clippy::disallowed_methods, reason = "the test reads and writes documents")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{ffi::OsString, fs, net::TcpListener, path::Path, process::Command};

const README: &str = include_str!("../../README.md");
const HTTP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/HTTP.md");

const START: &str = "```console\n";
const END: &str = "```";

fn path() -> OsString {
    let folder = Path::new(env!("CARGO_BIN_EXE_rune")).parent().unwrap();
    std::env::join_paths([folder, Path::new("/usr/bin"), Path::new("/bin")]).unwrap()
}

#[test]
fn the_terminal_shows_what_the_readme_shows() {
    let blocks = README.split(START).skip(1).map(|rest| rest.split(END).next().unwrap());
    let mut n = 0;
    for step in blocks.flat_map(|block| block.split("$ ").skip(1)) {
        let (command, shown) = step.split_once('\n').unwrap();
        let mut shell = Command::new("sh");
        shell.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).env("PATH", path()).args(["-c", command]);
        let run = shell.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&run.stdout), shown, "{command}");
        n += 1;
    }
    assert!(2 < n, "the README shows {n} commands");
}

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

/// A text without the digests of files: an edit of an example is none of the page.
fn without_digests(text: &str) -> String {
    let is_digest = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(is_digest).fold(text.to_owned(), |text, digest| text.replace(digest, "digest"))
}

#[cfg(unix)]
#[test]
fn the_terminal_shows_what_the_page_on_http_shows() {
    let page = fs::read_to_string(HTTP).unwrap();
    let blocks: Vec<&str> = page.split(START).skip(1).map(|rest| rest.split(END).next().unwrap()).collect();
    let commands: Vec<Vec<String>> = blocks.iter().map(|block| commands(block)).collect();
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples"), dir.path().join("examples"))
        .unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = format!(":{port}");
    // One shell for all of it, with a mark before what each command prints. Whatever happens, the server ends.
    let mut script = "trap 'kill $! 2> /dev/null' EXIT\n".to_owned();
    for command in commands.iter().flatten() {
        let typed: Vec<&str> = command.lines().map(|line| &line[2..]).collect();
        script.extend(["printf '\\036'\n", &typed.join("\n").replace(":7400", &port), "\n"]);
    }
    let run = Command::new("sh").current_dir(dir.path()).env("PATH", path()).args(["-c", &script]).output().unwrap();
    let printed = String::from_utf8(run.stdout).unwrap().replace('\r', "").replace(&port, ":7400");
    let mut answers = printed.split('\x1e').skip(1);
    let mut replayed = page.clone();
    for (block, commands) in blocks.iter().zip(&commands) {
        let shown: Vec<String> =
            commands.iter().map(|command| format!("{command}\n{}", answers.next().unwrap())).collect();
        replayed = replayed.replace(&format!("{START}{block}"), &format!("{START}{}", shown.concat()));
    }
    assert!(2 < blocks.len() && answers.next().is_none(), "{printed}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(HTTP, &replayed).unwrap();
    } else {
        assert_eq!(without_digests(&replayed), without_digests(&page));
    }
}
