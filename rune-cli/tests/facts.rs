//! `rune facts`: what is live, what batches do to it, and what is answered over it.

#![expect(clippy::disallowed_methods, reason = "the test writes files")]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value as Json;

const RULES: &str = r#"version = "rune/1.0"
[schema]
@live entity User in [Group] { level: Long };
@live entity Group in [Group];
entity Document;
action read appliesTo { principal: [User], resource: [Document], context: { hour?: Long } };
[rules]
@live relation suspended(User, why: String).
@live relation limit(User -> Long).
relation viewer(User, Document).
reads(U, D) :- viewer(U, D), not suspended(U, _).
late(U) :- limit(U, N), context has hour, context.hour > N.
@id("readers") permit(U, Action::"read", D) :- reads(U, D).
@id("late") forbid(U, Action::"read", _) :- late(U).
[data]
viewer = [["ada", "plan"]]
"#;

/// Runs a command in a folder that holds the rules in `set` and a file of batches, which standard input has, too.
fn rune(arguments: &[&str], batches: &str) -> Output {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("set")).expect("a folder");
    fs::write(dir.path().join("set/a.rune"), RULES).expect("a file");
    fs::write(dir.path().join("b.json"), batches).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune"));
    command.current_dir(dir.path()).args(["facts", "set"]).args(arguments).env("NO_COLOR", "1");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    // It may not read, and end before all is written.
    drop(child.stdin.take().unwrap().write_all(batches.as_bytes()));
    child.wait_with_output().expect("it ends")
}

fn check(arguments: &[&str], batches: &str, code: i32, printed: &str, told: &[&str]) {
    let run = rune(arguments, batches);
    assert_eq!((run.status.code(), &*String::from_utf8_lossy(&run.stdout)), (Some(code), printed), "{run:?}");
    let lines = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(lines.lines().count(), told.len(), "{lines}");
    for (line, part) in lines.lines().zip(told) {
        assert!(line.contains(part), "{part} in {lines}");
    }
}

fn json(arguments: &[&str], batches: &str) -> Json {
    let run = rune(&[arguments, &["--json"]].concat(), batches);
    assert!(run.stderr.is_empty(), "{run:?}");
    serde_json::from_slice(&run.stdout).expect("JSON")
}

const ASK: [&str; 6] =
    ["--principal", "User::\"ada\"", "--action", "Action::\"read\"", "--resource", "Document::\"plan\""];

#[test]
fn without_changes_it_lists_what_is_live() {
    let printed = "limit(User -> Long)  live, 0 rows\nsuspended(User, why: String)  live, 0 rows\n\
        entity Group  live, 0 entities\nentity User  live, 0 entities\n\
        not live: 1 relation from files, 2 relations by rules, 1 entity type\n";
    check(&[], "", 0, printed, &[]);
}

#[test]
fn batches_are_applied_in_their_order_and_what_there_is_then_is_listed() {
    let batches = r#"{ "insert": { "limit": [["ada", 9], ["ada", 10]] } }
{ "put": [{ "uid": { "type": "User", "id": "ada" }, "attrs": { "level": 1 }, "parents": [] }] }
{ "insert": { "limit": [["ada", 10]] } } { "delete": { "suspended": [["eve", "left"]] } }
"#;
    let listed = "limit(User -> Long)  live, 1 row\nsuspended(User, why: String)  live, 0 rows\n\
        entity Group  live, 0 entities\nentity User  live, 1 entity\n\
        not live: 1 relation from files, 2 relations by rules, 1 entity type\n";
    for (file, name) in [("b.json", "b.json"), ("-", "standard input")] {
        let made = ["1: 2 changes, revision 2", "2: 1 change, revision 3", "3: nothing changes, revision 3"];
        let made = [made.as_slice(), &made[2..]].concat();
        let made: Vec<String> = made.iter().map(|made| format!("{name}:{made}\n")).collect();
        check(&["--apply", file], batches, 0, &format!("{}{listed}", made.concat()), &[]);
    }
}

#[test]
fn a_batch_that_cannot_be_made_is_told_change_by_change_and_the_others_are_made() {
    let batches = r#"{ "insert": { "suspended": [["ada", "left"]] } }
{
  "insert": { "suspended": [["eve", "left"],
      ["eve", 3]] },
  "delete": { "viewr": [["ada", "plan"]] },
  "put": [{ "uid": { "type": "Document", "id": "plan" }, "attrs": {}, "parents": [] }]
}
{ "insert": { "suspended": [["bob", "left"]] } }"#;
    let told = [
        "error: b.json:5: delete.viewr[0]: there is no relation `viewr`",
        "error: b.json:6: put[0]: Document is not live: its entities come from files",
        "error: b.json:4: insert.suspended[1]: the column `why` of `suspended`: expected String, found an integer",
        "error: b.json:2: 3 changes cannot be made: nothing of this batch is in force",
    ];
    let printed =
        "b.json:1: 1 change, revision 2\nb.json:8: 1 change, revision 3\nU = User::\"ada\"\nU = User::\"bob\"\n";
    check(&["--apply", "b.json", "--query", "suspended(U, _)"], batches, 1, printed, &told);
}

#[test]
fn a_decision_is_shown_before_and_after() {
    let suspend = r#"{ "insert": { "suspended": [["ada", "left"]] } }"#;
    let printed = "b.json:1: 1 change, revision 2\nbefore: allow\nallowed by readers (a.rune:13:1)\n\
        after: deny\nnot permitted: no policy permits it\n";
    check(&[&["--apply", "b.json"], &ASK[..]].concat(), suspend, 0, printed, &[]);
    check(&ASK, "", 0, "allow\nallowed by readers (a.rune:13:1)\n", &[]);
    let late = r#"{ "insert": { "limit": [["ada", 8]] } }"#;
    let hour = ["--context", r#"{ "hour": 9 }"#, "--apply", "b.json", "--why"];
    let run = rune(&[&ASK[..], &hour, &["--query", "late(principal)"]].concat(), late);
    let shown = String::from_utf8_lossy(&run.stdout);
    assert!(shown.contains("after: deny: forbidden\n"), "{shown}");
    assert!(shown.contains("limit(User::\"ada\", 8) (live)\n"), "{shown}");
    let json = json(&[&ASK[..], &hour].concat(), late);
    assert_eq!((&json["before"]["decision"], &json["after"]["decision"]), (&"allow".into(), &"deny".into()), "{json}");
}

#[test]
fn what_is_no_batch_is_told_by_its_line_and_nothing_is_applied() {
    let good = r#"{ "insert": { "suspended": [["ada", "left"]] } }"#;
    for (text, told) in [
        ("", "error: b.json: there is no batch in it"),
        ("\n\n[]", "error: b.json:3: a batch is written `{ \"remove\""),
        ("{ \"put\": []", "error: b.json:1: EOF while parsing an object"),
        (&format!("{good}\n{{ \"insert\":\n\n{{}}, \"inset\": 1 }}"), "error: b.json:2: a batch has no member `inset`"),
        (&format!("{good}\n{{ \"put\": [],\n\"put\": [] }}"), "error: b.json:3: member \"put\" is given twice"),
    ] {
        check(&["--apply", "b.json"], text, 2, "", &[told]);
    }
    let deep = format!(r#"{{ "insert": {{ "limit": [[{}{}, 1]] }} }}"#, "[".repeat(100), "]".repeat(100));
    check(&["--apply", "b.json"], &deep, 2, "", &["error: b.json:1: "]);
    check(&["--apply", "b.json"], &"[".repeat(100_000), 2, "", &["error: b.json:1: EOF while parsing a list"]);
}

#[test]
fn wrong_usage_exits_with_two() {
    check(&["--apply", "none.json"], "", 2, "", &["error: none.json: No such file"]);
    check(&["--apply", "-", "--apply", "-"], "", 2, "", &["error: standard input is read once"]);
    check(&["--why"], "", 2, "", &["error: `--why` is about a request or a query: give one"]);
    check(&["--query", "late(U)"], "", 2, "", &["error: the query depends on a request"]);
    let run = rune(&["--query", "suspendd(U, _)"], "");
    assert_eq!((run.status.code(), run.stdout.is_empty()), (Some(2), true), "{run:?}");
}
