//! `rune repl`: scripts on standard input, what is answered where, and edits meanwhile.

#![expect(clippy::disallowed_methods, reason = "the test writes files")]
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use serde_json::Value as Json;

const RUNE: &str = env!("CARGO_BIN_EXE_rune");

/// How long anything may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn start(dir: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(RUNE);
    command.arg("repl").arg(dir).args(arguments).env("NO_COLOR", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
}

/// What comes of a script.
fn run(dir: &Path, arguments: &[&str], script: &[u8]) -> Output {
    let mut child = start(dir, arguments);
    // It may end before all is written.
    drop(child.stdin.take().unwrap().write_all(script));
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Asserts what a script prints on standard output, and what it exits with.
fn check(dir: &Path, script: &str, code: i32, expected: &str) {
    let run = run(dir, &[], script.as_bytes());
    assert_eq!(text(&run.stdout), expected, "{run:?}");
    assert_eq!(run.status.code(), Some(code), "{run:?}");
    assert_eq!(run.stderr.is_empty(), code == 0, "{run:?}");
}

/// A folder with the first ruleset, and that ruleset.
fn first() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    assert!(Command::new(RUNE).arg("init").arg(dir.path()).output().unwrap().status.success());
    let text = fs::read_to_string(dir.path().join("main.rune")).unwrap();
    (dir, text)
}

#[test]
fn a_script_is_answered_without_a_prompt() {
    let (dir, _) = first();
    let script = "can_read(User::\"ada\", D)?\n\ncan_read(User::\"bob\", D)?\nviewer(User::\"bob\", \"plan\").\n\
                  can_read(User::\"bob\",\n  D)?\n:decide User::\"bob\" Action::\"read\" Document::\"plan\"";
    let expected = "D = Document::\"plan\"\nno rows\non trial: viewer(User::\"bob\", \"plan\").\nD = Document::\"plan\"\n\
                    allow\nallowed by viewers-read (main.rune:35:1)\n";
    check(dir.path(), script, 0, expected);
}

#[test]
fn a_denial_and_no_rows_are_answers() {
    let (dir, _) = first();
    let script = "can_read(User::\"eve\", D)?\n:decide User::\"eve\" Action::\"read\" Document::\"plan\"\n";
    check(dir.path(), script, 0, "no rows\ndeny\nnot permitted: no policy permits it\n");
}

#[test]
fn a_line_that_is_not_answered_is_told_and_those_after_it_are_answered() {
    let (dir, _) = first();
    for line in ["can_reed(U, D)?", "viewer(a).", ":nonsense", ":why User::\"ada\"", "viewer(U, D).", "p(X)."] {
        check(dir.path(), &format!("{line}\nviewer(S, D), S is User?\n"), 1, "no rows\n");
    }
    let run = run(dir.path(), &[], b"\xff\xfe\n:trial\n");
    assert_eq!((text(&run.stdout), run.status.code()), ("nothing is on trial\n", Some(1)), "{run:?}");
}

#[test]
fn quit_ends_a_script_and_the_rest_is_not_read() {
    let (dir, _) = first();
    check(dir.path(), ":trial\n:quit\n:nonsense\n", 0, "nothing is on trial\n");
}

#[test]
fn nothing_is_written_to_the_folder_and_no_history_is_kept_of_a_script() {
    let (dir, before) = first();
    let state = tempfile::tempdir().unwrap();
    let mut command = Command::new(RUNE);
    command.arg("repl").arg(dir.path()).env("XDG_STATE_HOME", state.path()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"viewer(User::\"bob\", \"plan\").\nviewer(U, D)?\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(dir.path().join("main.rune")).unwrap(), before);
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_cannot_be_served_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |message: &str| {
        let run = run(dir.path(), &[], b":help\n");
        assert_eq!((run.status.code(), text(&run.stdout)), (Some(2), ""), "{run:?}");
        assert!(text(&run.stderr).contains(message), "{run:?}");
    };
    refused("no ruleset file");
    fs::write(dir.path().join("a.cedar"), "permit (").unwrap();
    refused("error[policy-syntax]");
    let missing = run(&dir.path().join("nowhere"), &["--json"], b":help\n");
    assert_eq!(missing.status.code(), Some(2));
    let json: Json = serde_json::from_slice(&missing.stdout).unwrap();
    assert!(json["error"].as_str().unwrap().starts_with("there is no folder"));
}

#[test]
fn each_line_gives_one_document() {
    let (dir, _) = first();
    let script =
        "can_read(U, D)?\n# a comment\n:why User::\"ada\" Action::\"read\" Document::\"plan\"\n:nonsense\nviewer(a).\n";
    let run = run(dir.path(), &["--json"], script.as_bytes());
    let documents: Vec<Json> = text(&run.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents[0]["count"], 1);
    assert_eq!(documents[1]["format"], "rune/explanation/1");
    assert!(documents[2]["error"].as_str().unwrap().contains("`:nonsense`"));
    assert_eq!(documents[3]["error"], "the statement is refused");
    assert_eq!((documents.len(), run.status.code(), run.stderr.len()), (4, Some(1), 0), "{run:?}");
}

#[test]
fn rows_beyond_a_limit_are_counted() {
    let (dir, _) = first();
    let run = run(dir.path(), &["--limit", "1"], b"User(U)?\n");
    assert_eq!(text(&run.stdout), "U = User::\"ada\"\n… and 1 more\n");
}

#[test]
fn characters_that_a_terminal_obeys_are_not_printed() {
    let (dir, _) = first();
    let run = run(dir.path(), &[], b":\x1b[31m\n:why \x1b[2J\nviewer(S, \x1b)?\n");
    assert!(!run.stdout.contains(&0x1b) && !run.stderr.contains(&0x1b), "{run:?}");
}

/// A process that is asked one line after another.
struct Asked {
    child: Child,
    stdin: ChildStdin,
    stdout: Receiver<String>,
}

impl Asked {
    fn start(dir: &Path) -> Self {
        let mut child = start(dir, &["--json"]);
        let (send, stdout) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { stdin: child.stdin.take().unwrap(), child, stdout }
    }

    fn ask(&mut self, line: &str) -> Json {
        writeln!(self.stdin, "{line}").unwrap();
        serde_json::from_str(&self.stdout.recv_timeout(PATIENCE).expect("an answer")).unwrap()
    }

    /// The next event.
    fn event(&mut self) -> Json {
        for _ in 0..PATIENCE.as_millis() / 10 {
            writeln!(self.stdin).unwrap();
            if let Ok(line) = self.stdout.recv_timeout(Duration::from_millis(10)) {
                return serde_json::from_str(&line).unwrap();
            }
        }
        panic!("no event");
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn an_edit_is_told_and_in_force_for_the_next_line() {
    let (dir, first) = first();
    let file = dir.path().join("main.rune");
    let mut asked = Asked::start(dir.path());
    assert_eq!(asked.ask("viewer(User::\"bob\", \"plan\").")["trial"][0], "viewer(User::\"bob\", \"plan\").");
    assert_eq!(asked.ask("can_read(U, D)?")["count"], 2);
    fs::write(&file, first.replace("User.ada = { in = ['Group::\"engineering\"'] }", "User.ada = {}")).unwrap();
    let event = asked.event();
    assert_eq!((&event["event"], &event["changes"][0]), (&"reload".into(), &"main.rune changed".into()));
    assert_eq!(asked.ask("can_read(U, D)?")["rows"][0][0]["id"], "bob");
    fs::write(&file, "version = \"rune/1.0\"\n[polices]\n").unwrap();
    let event = asked.event();
    assert_eq!((&event["event"], &event["findings"][0]["code"]), (&"refusal".into(), &"unknown-section".into()));
    assert_eq!(asked.ask("can_read(U, D)?")["count"], 1, "answers are as before");
    assert_eq!(asked.ask(":reload")["error"], "the ruleset is refused");
    fs::write(&file, &first).unwrap();
    assert_eq!(asked.event()["event"], "reload");
    assert_eq!(asked.ask("can_read(U, D)?")["count"], 2);
}

#[test]
fn reload_reads_the_folder_at_once() {
    let (dir, first) = first();
    let mut asked = Asked::start(dir.path());
    assert_eq!(asked.ask(":reload")["changes"], Json::Array(Vec::new()));
    fs::write(dir.path().join("main.rune"), first.replace("User.bob = {}", "User.bob = {}\nUser.eve = {}")).unwrap();
    // Told by the answer, or before it by an event.
    let told = asked.ask(":reload");
    assert_eq!(told["changes"][0], "main.rune changed");
    if told["event"] == "reload" {
        assert_eq!(asked.stdout.recv_timeout(PATIENCE).map(|line| line.contains("\"changes\":[]")), Ok(true));
    }
    assert_eq!(asked.ask("User(U)?")["count"], 3);
}
