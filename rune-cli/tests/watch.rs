//! `--watch`: what is told after each edit, what ends it, and what it exits with then.

#![expect(clippy::disallowed_methods, reason = "the test writes files and waits")]
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

const RUNE: &str = env!("CARGO_BIN_EXE_rune");

/// How long anything may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const PERMIT: &str = "permit (principal, action, resource);\n";

/// A command that watches; it ends with this value.
struct Watching {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

fn lines(from: impl BufRead + Send + 'static) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || from.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    lines
}

fn start(arguments: &[&str], dir: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(RUNE);
    command.args(arguments).arg("--watch").arg(dir).env("NO_COLOR", "1");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdout)
}

/// Waits for the end of a command.
fn exit_code(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it does not end");
}

impl Watching {
    fn start(arguments: &[&str], dir: &Path) -> Self {
        let (mut child, stdout) = start(arguments, dir);
        let stderr = lines(BufReader::new(child.stderr.take().unwrap()));
        Self { child, stdout: lines(stdout), stderr }
    }

    /// The next line of results.
    fn result(&self) -> String {
        self.stdout.recv_timeout(PATIENCE).expect("a result")
    }

    fn json(&self) -> Json {
        let line = self.result();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The lines on standard error up to one that is `last`.
    fn notes(&self, last: &str) -> Vec<String> {
        let mut notes = Vec::new();
        while notes.last().is_none_or(|note| note != last) {
            let note = self.stderr.recv_timeout(PATIENCE);
            notes.push(note.unwrap_or_else(|_| panic!("no {last:?} after {notes:#?}")));
        }
        notes
    }

    fn end(mut self, signal: &str) -> Option<i32> {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
        exit_code(&mut self.child)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        fs::write(dir.path().join(path), text).unwrap();
    }
    dir
}

/// A folder with the first ruleset, and that ruleset.
fn first() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    assert!(Command::new(RUNE).arg("init").arg(dir.path()).output().unwrap().status.success());
    let text = fs::read_to_string(dir.path().join("main.rune")).unwrap();
    (dir, text)
}

#[test]
fn each_edit_gives_one_document_and_the_last_one_the_exit_code() {
    let parent = tempfile::tempdir().unwrap();
    let (root, away) = (parent.path().join("policies"), parent.path().join("away"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.cedar"), PERMIT).unwrap();
    let watching = Watching::start(&["--json", "check"], &root);
    let first = watching.json();
    assert_eq!(first["valid"], true);
    for (text, code) in [("permit (", "policy-syntax"), ("permit (,", "policy-syntax"), (PERMIT, "no-schema")] {
        fs::write(root.join("a.cedar"), text).unwrap();
        let run = watching.json();
        assert_eq!((&run["valid"], &run["findings"][0]["code"]), (&(text == PERMIT).into(), &code.into()), "{run}");
        assert_eq!(run["version"] == first["version"], text == PERMIT, "{run}");
    }
    fs::rename(&root, &away).unwrap();
    assert!(watching.json()["error"].as_str().unwrap().starts_with("there is no folder"));
    fs::rename(&away, &root).unwrap();
    assert_eq!(watching.json(), first, "and it is watched again");
    assert_eq!(watching.end("-INT"), Some(0));
}

#[test]
fn people_see_what_changed_above_each_run() {
    let (dir, text) = first();
    let watching = Watching::start(&["test"], dir.path());
    watching.notes(&format!("watching {}; Ctrl-C ends", dir.path().display()));
    let results = |n: usize| (0..n).map(|_| watching.result()).collect::<Vec<_>>();
    assert_eq!(results(3)[2], "2 tests passed, 0 failed");
    fs::write(dir.path().join("main.rune"), text.replace("expect = \"deny\"", "expect = \"allow\"")).unwrap();
    assert_eq!(watching.notes("--- run 2: main.rune changed"), ["", "--- run 2: main.rune changed"]);
    let run = results(4);
    assert!(run[1].starts_with("FAILED  nobody else does (main.rune:"), "{run:?}");
    assert_eq!(run[3], "1 test passed, 1 failed");
    fs::write(dir.path().join("b.cedar"), "permit (").unwrap();
    watching.notes("--- run 3: b.cedar added");
    watching.notes("error[policy-syntax]: unexpected end of input");
    fs::remove_file(dir.path().join("b.cedar")).unwrap();
    watching.notes("--- run 4: b.cedar removed");
    assert_eq!(results(4)[3], "1 test passed, 1 failed");
    assert_eq!(watching.end("-TERM"), Some(1));
}

#[test]
fn a_refused_ruleset_is_told_as_without_watching_and_watched_on() {
    let (dir, text) = first();
    fs::write(dir.path().join("main.rune"), "version = \"rune/1.0\"\n[polices]\n").unwrap();
    let watching = Watching::start(&["--json", "test"], dir.path());
    let refused = watching.json();
    let alone = Command::new(RUNE).args(["--json", "test"]).arg(dir.path()).output().unwrap();
    assert_eq!(refused, serde_json::from_slice::<Json>(&alone.stdout).unwrap());
    assert_eq!(refused["findings"][0]["code"], "unknown-section");
    fs::write(dir.path().join("main.rune"), text).unwrap();
    assert_eq!(watching.json()["passed"], 2);
    fs::write(dir.path().join("main.rune"), "version").unwrap();
    assert_eq!(watching.json()["error"], "the ruleset is refused");
    assert_eq!(watching.end("-INT"), Some(2));
}

#[test]
fn a_folder_that_is_not_there_is_not_waited_for_and_an_empty_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nowhere");
    let run = Command::new(RUNE).args(["check", "--watch"]).arg(&missing).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(String::from_utf8(run.stderr).unwrap(), format!("error: there is no folder {}\n", missing.display()));
    let watching = Watching::start(&["--json", "check"], dir.path());
    assert!(watching.json()["error"].as_str().unwrap().starts_with("no ruleset file"));
    fs::write(dir.path().join("a.cedar"), PERMIT).unwrap();
    assert_eq!(watching.json()["valid"], true);
}

#[test]
fn it_ends_when_nobody_reads_any_more() {
    let dir = folder(&[("a.cedar", PERMIT)]);
    let (mut child, mut stdout) = start(&["--json", "check"], dir.path());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    fs::write(dir.path().join("a.cedar"), "permit (").unwrap();
    assert_eq!(exit_code(&mut child), Some(1));
}
