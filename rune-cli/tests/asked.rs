//! `rune query` and `rune list`: what they exit with, and what they say of names that nothing knows.

#![expect(clippy::disallowed_methods, reason = "the test writes files")]
#![expect(clippy::expect_used, reason = "a panic is how a test reports")]

use std::{
    fs,
    process::{Command, Output},
};

const RULES: &str = r#"version = "rune/1.0"
[schema]
entity User;
entity Document;
action read appliesTo { principal: [User], resource: [Document], context: { hour?: Long } };
action edit appliesTo { principal: [User], resource: [Document], context: { hour: Long } };
[data]
viewer = [["ada", "plan"], ["ada", "notes"], ["bob", "plan"]]
[rules]
relation viewer(User, Document).
@id("viewers") permit(U, Action::"read", D) :- viewer(U, D).
@id("editors") permit(U, Action::"edit", D) :- viewer(U, D), context.hour > 8.
"#;

fn rune(arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("a.rune"), RULES).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune"));
    command.current_dir(dir.path()).args(arguments).output().expect("the binary runs")
}

fn check(arguments: &[&str], code: i32, printed: &str, told: &str) {
    let run = rune(arguments);
    let told_too = String::from_utf8_lossy(&run.stderr);
    assert_eq!((run.status.code(), &*String::from_utf8_lossy(&run.stdout)), (Some(code), printed), "{run:?}");
    assert!(told_too.contains(told) && (told.is_empty() == told_too.is_empty()), "{run:?}");
}

#[test]
fn a_query_prints_its_rows_and_exits_with_whether_there_are_any() {
    let viewers = "U = User::\"ada\"\nU = User::\"bob\"\n";
    check(&["query", ".", "viewer(U, Document::\"plan\")?"], 0, viewers, "");
    check(&["query", ".", "viewer(\"ada\", \"plan\")"], 0, "yes\n", "");
    check(&["query", ".", "viewer(\"bob\", \"notes\")."], 1, "no\n", "");
    check(&["query", ".", "viewer(U, D)", "--count"], 0, "3\n", "");
    let first = "U = User::\"ada\", D = Document::\"notes\"\n… and 2 more\n";
    check(&["query", ".", "viewer(U, D)", "--limit", "1"], 0, first, "");
    check(&["query", ".", "viwer(U, D)"], 2, "", "did you mean `viewer`?");
    let whole = "the query depends on a request: give --principal, --action and --resource";
    check(&["query", ".", "User(U), context.hour > 8"], 2, "", whole);
}

#[test]
fn what_an_answer_took_is_told_beside_it() {
    let told = |arguments: &[&str]| {
        let (plain, run) = (rune(arguments), rune(&[arguments, &["--stats"]].concat()));
        assert_eq!(run.stdout, plain.stdout, "{run:?}");
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        let line = told.lines().find(|line| line.contains("looked at")).expect("a line").to_owned();
        let (counts, ms) = line.rsplit_once("; ").expect("counts and a time");
        assert!(ms.ends_with(" ms"), "{line}");
        counts.to_owned()
    };
    let [who, what] = [["--principal", "User::\"ada\""], ["--action", "Action::\"read\""]];
    let explain = [&["explain", "."], &who[..], &what[..], &["--resource", "Document::\"plan\""]].concat();
    let list = [&["list", "resources", "."], &who[..], &what[..]].concat();
    let query = ["query", ".", "viewer(U, D), viewer(U, E)"];
    for (arguments, start) in [
        (query.to_vec(), "note: query: "),
        ([&query[..], &["--why"]].concat(), "note: proof: "),
        (explain, "note: decision: "),
        (list, "note: list: "),
    ] {
        let first = told(&arguments);
        assert!(first.starts_with(start) && !first.contains(" 0 steps"), "{first}");
        assert_eq!(first, told(&arguments), "the same question takes the same");
    }
    let run = rune(&[&query[..], &["--why", "--stats", "--json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert!(json["stats"]["steps"].as_u64().is_some_and(|n| 0 < n), "{json}");
}

#[test]
fn a_request_for_a_query_is_whole_or_told_what_is_missing() {
    let mine = ["query", ".", "viewer(principal, D)"];
    let whole = ["--principal", "User::\"bob\"", "--action", "Action::\"read\"", "--resource", "Document::\"plan\""];
    check(&[&mine[..], &whole].concat(), 0, "D = Document::\"plan\"\n", "");
    let [who, what] = [&whole[..2], &whole[2..4]];
    check(&[&mine[..], who].concat(), 2, "", ": --action, --resource are missing");
    check(&[&mine[..], who, what].concat(), 2, "", ": --resource is missing");
    check(&[&mine[..], what].concat(), 2, "", ": --principal, --resource are missing");
    check(&[&mine[..], &["--context", "{}"]].concat(), 2, "", ": --principal, --action, --resource are missing");
}

#[test]
fn a_proof_has_the_variables_in_the_order_of_the_query() {
    let first = "U = User::\"ada\", D = Document::\"notes\"\n└─ ✓ viewer(U, D)\n   └─ viewer(User::\"ada\", ";
    let run = rune(&["query", ".", "viewer(U, D)", "--why"]);
    let shown = String::from_utf8_lossy(&run.stdout);
    assert!(shown.starts_with(first) || shown.starts_with(&first.replace("notes", "plan")), "{run:?}");
    let run = rune(&["query", ".", "D == Document::\"plan\", viewer(U, D), U == User::\"ada\"", "--why"]);
    let first = "D = Document::\"plan\", U = User::\"ada\"\n";
    assert!(String::from_utf8_lossy(&run.stdout).starts_with(first), "{run:?}");
}

#[test]
fn a_list_is_whole_or_exits_with_two() {
    let note = |n: usize| {
        format!(
            "note: allowed for {n} of 2 known entities; one that is not stored and that no fact names is in no list\n"
        )
    };
    let read = ["--principal", "User::\"ada\"", "--action", "Action::\"read\""];
    let documents = "Document::\"notes\"\nDocument::\"plan\"\n";
    check(&[&["list", "resources", "."], &read[..]].concat(), 0, documents, &note(2));
    let edit = ["list", "resources", ".", "--principal", "User::\"ada\"", "--action", "Action::\"edit\""];
    check(&edit, 2, "none of 2 candidates\n", "2 candidates could not be decided about");
    check(&edit, 2, "none of 2 candidates\n", &note(0));
    check(&[&edit[..], &["--context", "{ \"hour\": 9 }"]].concat(), 0, documents, &note(2));
    check(&[&edit[..], &["--context", "{ \"hour\": 7 }"]].concat(), 1, "none of 2 candidates\n", &note(0));
    let actions = ["list", "actions", ".", "--principal", "User::\"ada\"", "--resource", "Document::\"plan\""];
    let hour = ["--context", "{ \"hour\": 7 }"];
    let run = rune(&[&actions[..], &hour].concat());
    assert_eq!(String::from_utf8_lossy(&run.stderr), "note: allowed for 1 of 2 actions\n", "{run:?}");
    let run = rune(&[&["list", "resources", ".", "--json"], &read[..]].concat());
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!((&json["count"], &json["candidates"], &json["considered"]), (&2.into(), &2.into(), &2.into()));
    assert!(run.stderr.is_empty(), "{run:?}");
}

#[test]
fn a_list_is_had_page_by_page() {
    let list = ["list", "resources", ".", "--principal", "User::\"ada\"", "--action", "Action::\"read\""];
    let page = |after: Option<&str>| {
        let mut arguments = [&list[..], &["--limit", "1"]].concat();
        arguments.extend(after.into_iter().flat_map(|after| ["--after", after]));
        rune(&arguments)
    };
    let first = page(None);
    assert_eq!(String::from_utf8_lossy(&first.stdout), "Document::\"notes\"\n… and 1 more\n", "{first:?}");
    let told = String::from_utf8_lossy(&first.stderr);
    assert!(told.contains("note: the next page: --after 'Document::\"notes\"'\n"), "{first:?}");
    let second = page(Some("Document::\"notes\""));
    assert_eq!(String::from_utf8_lossy(&second.stdout), "Document::\"plan\"\n", "{second:?}");
    assert!(!String::from_utf8_lossy(&second.stderr).contains("next page"), "{second:?}");
    let none = page(Some("Document::\"plan\""));
    assert_eq!((none.status.code(), &*String::from_utf8_lossy(&none.stdout)), (Some(1), "none of 0 candidates\n"));
    let run = rune(&[&list[..], &["--limit", "1", "--json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!((&json["count"], &json["next"]["id"]), (&2.into(), &"notes".into()), "{json}");
    assert_eq!(json["version"].as_str().map(str::len), Some(64), "{json}");
}

#[test]
fn a_list_for_a_name_that_the_schema_does_not_have_is_no_empty_list() {
    let list = ["list", "principals", ".", "--resource", "Document::\"plan\"", "--action"];
    check(&[&list[..], &["Action::\"fly\""]].concat(), 2, "", "the schema has no action Action::\"fly\"");
    check(&[&list[..], &["Acton::\"read\""]].concat(), 2, "", "the schema has no action Acton::\"read\"");
    let of_type = [&list[..], &["Action::\"read\"", "--type", "Usr"]].concat();
    check(&of_type, 2, "", "the schema has no entity type Usr");
}

#[test]
fn characters_that_are_not_seen_are_shown_by_their_codes() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = "@id(\"px\u{200b}\") @reason(\"a\u{2060}b\n└─ ✓ forged\") permit (principal, action, resource);";
    fs::write(dir.path().join("a.cedar"), text).expect("a file");
    let request = ["--principal", "User::\"u\"", "--action", "Action::\"a\"", "--resource", "User::\"u\""];
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune"));
    let run = command.arg("explain").arg(dir.path()).args(request).output().expect("the binary runs");
    let shown = String::from_utf8_lossy(&run.stdout);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    assert!(shown.contains("permit px\\u{200b} ("), "{shown}");
    assert!(shown.contains("“a\\u{2060}b └─ ✓ forged”"), "{shown}");
}
