//! The command line: what it prints where, and what it exits with.

#![expect(clippy::disallowed_methods, reason = "the test writes files")]
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value as Json;

fn rune(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rune")).args(arguments).env("NO_COLOR", "1").output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/policies").join(name)
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        fs::write(dir.path().join(path), text).unwrap();
    }
    dir
}

fn ask<'a>(dir: &'a str, principal: &'a str, context: &'a str) -> Vec<&'a str> {
    let request = ["--action", "Action::\"read\"", "--resource", "Document::\"plan\""];
    [&["eval", dir, "--principal", principal][..], &request, &["--context", context]].concat()
}

#[test]
fn every_example_is_in_order() {
    for name in ["agents", "cedar", "documents", "github", "todo"] {
        let run = rune(&["check", example(name).to_str().unwrap()]);
        assert_eq!(run.status.code(), Some(0), "{run:?}");
        assert!(text(&run.stdout).starts_with("ok: "), "{run:?}");
        assert!(run.stderr.is_empty(), "no warning either: {run:?}");
    }
}

#[test]
fn a_file_in_the_place_of_a_folder_is_told_which_folder_it_is_in() {
    let dir = folder(&[("a.rune", "version = \"rune/1.0\"\n")]);
    let (root, file) = (dir.path().display().to_string(), dir.path().join("a.rune").display().to_string());
    let request = ["--principal", "User::\"a\"", "--action", "Action::\"a\"", "--resource", "User::\"a\""];
    let commands: [&[&str]; 9] = [
        &["check", &file],
        &["check", &file, "--watch"],
        &["test", &file],
        &["schema", &file],
        &["query", &file, "p(X)"],
        &["repl", &file],
        &["serve", "--watch", &file],
        &["serve", "--wait", "--watch", &file],
        &[&["eval", &file][..], &request].concat(),
    ];
    for command in commands {
        let run = rune(command);
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        let told = format!("error: {file} is a file, and a ruleset is a folder: give `{root}`\n");
        assert_eq!((text(&run.stdout), text(&run.stderr)), (String::new(), told), "{command:?}");
    }
    let beside = Command::new(env!("CARGO_BIN_EXE_rune")).current_dir(&root).args(["check", "a.rune"]).output();
    assert!(text(&beside.unwrap().stderr).ends_with(": give `.`\n"));
}

#[test]
fn findings_are_shown_with_the_marked_source_line() {
    let dir = folder(&[("a.cedar", "// one\npermit (principal, actoin, resource);\n")]);
    let run = rune(&["check", dir.path().to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(1));
    let shown = text(&run.stderr);
    for part in ["error[policy-syntax]", "--> a.cedar:2:20", "2 | permit (principal, actoin, resource);", "^^^^^^"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(text(&run.stdout), "refused: 1 error\n");
}

#[test]
fn json_is_all_there_is_on_standard_output() {
    let dir = folder(&[("a.rune", "version = \"rune/1.0\"\n[rules]\np(a).\n")]);
    let run = rune(&["check", "--json", dir.path().to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stderr.is_empty());
    let json: Json = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(json["valid"], false);
    let finding = json["findings"].as_array().unwrap().iter().find(|finding| finding["severity"] == "error").unwrap();
    assert_eq!(finding["code"], "undeclared-relation");
    assert_eq!(
        (&finding["path"], finding["line"].as_u64(), finding["column"].as_u64()),
        (&"a.rune".into(), Some(3), Some(1))
    );
}

#[test]
fn eval_says_which_policies_decide_and_exits_with_the_decision() {
    let cedar = example("cedar");
    let cedar = cedar.to_str().unwrap();
    let inside = r#"{ "hour": 9, "source": "10.1.2.3" }"#;
    let run = rune(&ask(cedar, "User::\"ada\"", inside));
    assert_eq!(
        (run.status.code(), text(&run.stdout)),
        (Some(0), "allow\nallowed by readers (policies.cedar:8:1)\n".to_owned())
    );
    let run = rune(&ask(cedar, "User::\"bob\"", inside));
    assert_eq!(
        (run.status.code(), text(&run.stdout)),
        (Some(1), "deny\nforbidden by secrets (policies.cedar:18:1)\n".to_owned())
    );
    let run = rune(&ask(cedar, "User::\"eve\"", inside));
    let told = "deny\nforbidden by suspended (policies.cedar:23:1)\n  “Your account is suspended.”\n";
    assert_eq!((run.status.code(), text(&run.stdout)), (Some(1), told.to_owned()), "with the reason");
    let run = rune(&[&["--json"], &ask(cedar, "User::\"eve\"", inside)[..]].concat());
    let json: Json = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(json["kind"], "forbidden_by");
    assert_eq!(json["policies"][0]["annotations"]["reason"], "Your account is suspended.");
    let run = rune(&ask(cedar, "User::\"ada\"", r#"{ "hour": "nine" }"#));
    assert_eq!(
        (run.status.code(), text(&run.stdout)),
        (Some(1), "deny\nerror: context: `hour`: expected Long, found a string\n".to_owned())
    );
}

#[test]
fn policies_that_fail_are_listed() {
    let dir = folder(&[(
        "a.cedar",
        "permit (principal, action, resource);\nforbid (principal, action, resource) when { principal.x };",
    )]);
    let run = rune(&ask(dir.path().to_str().unwrap(), "User::\"ada\"", "{}"));
    let expected = "allow\nallowed by a.cedar:policy0 (a.cedar:1:1)\n\
                    passed over a.cedar:policy1 (a.cedar:2:1): the entity User::\"ada\" does not exist\n";
    assert_eq!((run.status.code(), text(&run.stdout)), (Some(0), expected.to_owned()));
}

#[test]
fn tests_are_told_one_by_one_and_a_failure_is_an_exit_code() {
    let run = rune(&["test", example("todo").to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    assert!(text(&run.stdout).ends_with("ok      an admin deletes any task\n14 tests passed, 0 failed\n"), "{run:?}");
    let broken = fs::read_to_string(example("todo").join("todo.rune"))
        .unwrap()
        .replace("@id(\"roles-on-own\") permit", "@id(\"roles-on-own\") forbid");
    let dir = folder(&[("todo.rune", &broken)]);
    let dir = dir.path().to_str().unwrap();
    let run = rune(&["test", dir, "--filter", "changes a task"]);
    let expected = "FAILED  an editor changes a task of theirs (todo.rune:77:1)\n        \
                    expected allow, got deny: forbidden by roles-on-own\n0 tests passed, 1 failed\n";
    assert_eq!((run.status.code(), text(&run.stdout)), (Some(1), expected.to_owned()));
    let run = rune(&["--json", "test", dir]);
    let json: Json = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((json["passed"].as_u64(), json["failed"].as_u64()), (Some(12), Some(2)));
    assert_eq!(rune(&["check", dir]).status.code(), Some(1), "what fails is not served");
    assert_eq!(rune(&["test", example("cedar").to_str().unwrap()]).status.code(), Some(1), "no test shows nothing");
}

#[test]
fn what_cannot_be_decided_by_exits_with_two() {
    let empty = tempfile::tempdir().unwrap();
    let broken = folder(&[("a.cedar", "permit (")]);
    for dir in [empty.path(), broken.path(), Path::new("/nowhere/at/all")] {
        let run = rune(&ask(dir.to_str().unwrap(), "User::\"ada\"", "{}"));
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{run:?}");
        let run = rune(&[&["--json"], &ask(dir.to_str().unwrap(), "User::\"ada\"", "{}")[..]].concat());
        assert!(serde_json::from_slice::<Json>(&run.stdout).unwrap()["error"].is_string(), "{run:?}");
    }
    for usage in [&["eval"][..], &["eval", "x", "--principal", "ada"], &["check"], &["nonsense"], &["serve"]] {
        assert_eq!(rune(usage).status.code(), Some(2), "{usage:?}");
    }
    let run = rune(&ask(example("todo").to_str().unwrap(), "user::\"x\"", "{"));
    assert_eq!(run.status.code(), Some(2), "{run:?}");
}

#[test]
fn nothing_in_a_folder_reaches_the_terminal_as_a_command() {
    let dir = folder(&[("a\u{1b}[31m.cedar", "permit (principal, action, \"\u{1b}[2J\");\n")]);
    for command in ["check", "test"] {
        let run = rune(&[command, dir.path().to_str().unwrap()]);
        assert_ne!(run.status.code(), Some(0));
        assert!(text(&run.stderr).contains("a␛[31m.cedar:1:28"), "{run:?}");
        assert!(!run.stderr.contains(&0x1b) && !run.stdout.contains(&0x1b), "{run:?}");
    }
}

const RULES: &str = "version = \"rune/1.0\"\n[schema]\nentity User, Doc;\n\
    action read appliesTo { principal: User, resource: Doc };\n[rules]\nrelation owner(Doc, User).\n\
    @attribute relation owns(User, Doc).\nowns(U, D) :- owner(D, U).\n[policies]\n@id(\"owners\") \
    permit (principal, action, resource) when { principal.owns.contains(resource) };\n[test.\"an owner <reads>\"]\n\
    facts = 'owner(d, ada).'\nexpect = \"allow\"\n\
    request = { principal = 'User::\"ada\"', action = 'Action::\"read\"', resource = 'Doc::\"d\"' }\n";

#[test]
fn coverage_tells_the_clauses_that_no_test_shows_to_matter() {
    let dir = folder(&[("a.rune", RULES)]);
    let run = rune(&["test", "--coverage", dir.path().to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(
        text(&run.stdout),
        "ok      an owner <reads>\nnever false: owner(D, U) (a.rune:rule0, a.rune:8:15)\n\
         never false: principal.owns.contains(resource) (owners, a.rune:10:59)\n\
         0 of 2 clauses true in one test and false in another\n1 test passed, 0 failed\n"
    );
    let other = "[test.\"nobody else does\"]\nexpect = \"deny\"\n\
        request = { principal = 'User::\"bob\"', action = 'Action::\"read\"', resource = 'Doc::\"d\"' }\n";
    let dir = folder(&[("a.rune", &format!("{RULES}{other}"))]);
    let run = rune(&["test", "--coverage", dir.path().to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stdout));
}

#[test]
fn results_of_tests_are_written_for_build_servers() {
    let dir = folder(&[("a.rune", &RULES.replace("expect = \"allow\"", "expect = \"deny\""))]);
    let junit = dir.path().join("results.xml");
    let run = rune(&["test", "--junit", junit.to_str().unwrap(), dir.path().to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(1));
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("tests=\"1\" failures=\"1\""), "{xml}");
    let case = "<testcase name=\"an owner &lt;reads&gt;\" classname=\"a.rune\" file=\"a.rune\" line=\"11\">\
        <failure message=\"expected deny, got allow: allowed by owners\"/></testcase>";
    assert!(xml.contains(case), "{xml}");
}

#[test]
fn a_ruleset_without_a_schema_shows_one_that_its_policies_are_valid_under() {
    let rules = "version = \"rune/1.0\"\n[entities]\nUser.ada = { level = 3, roles = [\"a\"], in = ['Group::\"eng\"'] }\n\
                 User.bob = { level = 1, roles = [], nick = \"b\" }\nDoc.d = { at = { x = 1 } }\n[rules]\n\
                 relation viewer(User, Doc).\n@attribute relation can_read(User, Doc).\ncan_read(U, D) :- viewer(U, D).\n";
    let policy = "@id(\"r\") permit (principal is User, action == Action::\"read\", resource is Doc)\n\
                  when { principal.can_read.contains(resource) && principal.roles.contains(\"a\") && 0 < resource.at.x };";
    let dir = folder(&[("a.rune", rules), ("a.cedar", policy)]);
    let run = rune(&["schema", dir.path().to_str().unwrap()]);
    let said = text(&run.stdout);
    assert_eq!(run.status.code(), Some(0), "{said}");
    assert!(said.starts_with("// There is no schema.") && said.contains("nick?: __cedar::String"), "{said}");
    let plain = folder(&[("a.cedarschema", &said), ("a.cedar", policy)]);
    assert_eq!(rune(&["check", plain.path().to_str().unwrap()]).status.code(), Some(0), "{said}");
}

#[test]
fn the_schema_is_printed_with_what_rules_derive() {
    let dir = folder(&[("a.rune", RULES)]);
    let run = rune(&["schema", dir.path().to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(0));
    assert!(text(&run.stdout).contains("entity User = {\n  owns: Set<Doc>\n};"), "{}", text(&run.stdout));
    // What is printed is a schema that Cedar reads, and under which the policies are valid as they stand.
    let policies = "@id(\"owners\") permit (principal, action, resource) when { principal.owns.contains(resource) };";
    let plain = folder(&[("a.cedarschema", &text(&run.stdout)), ("a.cedar", policies)]);
    assert_eq!(rune(&["check", plain.path().to_str().unwrap()]).status.code(), Some(0));
}
