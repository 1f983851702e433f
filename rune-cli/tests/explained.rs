//! Explanations over HTTP: on request, and only for who may see them.

#![expect(clippy::disallowed_methods, reason = "the test writes files")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::{fs, path::Path, process::Command};

use support::Server;

const RUNE: &str = env!("CARGO_BIN_EXE_rune");
const EVALUATION: &str = "/access/v1/evaluation";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const JSON: (&str, &str) = ("content-type", "application/json");
const EXPLAIN: (&str, &str) = ("rune-explain", "true");

const RULES: &str = r#"version = "rune/1.0"
[data]
viewer = [["ada", "plan"]]
[rules]
relation viewer(User, Document).
@id("viewers") permit(U, Action::"read", D) :- viewer(U, D).
"#;

fn asked(subject: &str) -> String {
    format!(
        r#"{{"subject":{{"type":"User","id":"{subject}"}},"action":{{"name":"read"}},"resource":{{"type":"Document","id":"plan"}}}}"#
    )
}

fn write_tokens(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// A server with one token, and its folder.
fn server() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("policies")).unwrap();
    fs::write(dir.path().join("policies/a.rune"), RULES).unwrap();
    let tokens = dir.path().join("tokens");
    write_tokens(&tokens, &format!("# who may ask why\n\ninspect {TOKEN}\n"));
    let server = Server::start(RUNE, &dir.path().join("policies"), &["--token-file", tokens.to_str().unwrap()]);
    (dir, server)
}

#[test]
fn who_has_the_scope_is_told_why_and_others_are_told_the_decision_alone() {
    let (_dir, server) = server();
    let client = &mut server.client();
    let bearer = format!("Bearer {TOKEN}");
    let authorized = ("authorization", bearer.as_str());
    let answer = client.post_with(EVALUATION, &[JSON, EXPLAIN, authorized], &asked("ada"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let explanation = &answer.json()["context"]["explanation"];
    assert_eq!(answer.json()["decision"], true);
    assert_eq!(explanation["format"], "rune/explanation/1");
    assert_eq!(explanation["determining"][0]["id"], "viewers");
    assert_eq!(explanation["facts"][0]["relation"], "viewer");
    let answer = client.post_with(EVALUATION, &[JSON, EXPLAIN, authorized], &asked("eve"));
    assert_eq!(answer.json()["decision"], false);
    assert_eq!(answer.json()["context"]["explanation"]["candidates"][0]["missing"][0]["relation"], "viewer");
    // A token alone asks for nothing.
    for headers in [&[JSON, authorized][..], &[JSON, authorized, ("rune-explain", "false")]] {
        assert_eq!(client.post_with(EVALUATION, headers, &asked("ada")).body, r#"{"decision":true}"#);
    }
}

#[test]
fn who_has_no_token_gets_no_explanation() {
    let (_dir, server) = server();
    let client = &mut server.client();
    for credentials in ["", "Bearer", "Bearer 0123", "Basic 0123456789abcdef0123456789abcdef", "bearer  "] {
        let answer = client.post_with(EVALUATION, &[JSON, EXPLAIN, ("authorization", credentials)], &asked("ada"));
        assert_eq!(answer.status, 401, "{credentials}: {answer:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"rune\""));
        assert!(!answer.body.contains("viewer"), "{answer:?}");
    }
    let answer = client.post_with(EVALUATION, &[JSON, ("rune-explain", "yes")], &asked("ada"));
    assert_eq!((answer.status, &*answer.body), (400, "`rune-explain` is `true` or `false`"));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.rune"), RULES).unwrap();
    let closed = Server::start(RUNE, dir.path(), &[]);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [JSON, EXPLAIN, ("authorization", bearer.as_str())];
    assert_eq!(closed.client().post_with(EVALUATION, &headers, &asked("ada")).status, 403, "nobody has a token");
}

#[test]
fn a_header_that_is_given_twice_is_a_bad_request() {
    let (_dir, server) = server();
    let bearer = format!("Bearer {TOKEN}");
    for (first, second) in [(("authorization", &*bearer), ("authorization", "Bearer 0")), (EXPLAIN, EXPLAIN)] {
        let answer = server.client().post_with(EVALUATION, &[JSON, first, second], &asked("ada"));
        assert_eq!((answer.status, answer.body.contains("given twice")), (400, true), "{answer:?}");
    }
    let mut client = server.client();
    client.send(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.example\r\n\r\n");
    assert_eq!(client.receive().status, 400);
}

#[test]
fn a_batch_is_not_explained() {
    let (_dir, server) = server();
    let bearer = format!("Bearer {TOKEN}");
    let batch = asked("ada").replacen('{', r#"{"evaluations":[{}],"#, 1);
    let headers = [JSON, EXPLAIN, ("authorization", bearer.as_str())];
    let answer = server.client().post_with("/access/v1/evaluations", &headers, &batch);
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("one at a time"), "{answer:?}");
}

#[test]
fn a_token_file_that_is_not_one_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    let serve = || {
        let mut command = Command::new(RUNE);
        command.args(["serve", "--listen", "127.0.0.1:0", "--watch"]).arg(dir.path()).arg("--token-file").arg(&path);
        let run = command.output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        String::from_utf8_lossy(&run.stderr).into_owned()
    };
    assert!(serve().contains("tokens"), "there is none");
    for (text, message) in [
        ("", "there is no token in it"),
        ("inspect", ":1: a line is a scope and a token"),
        ("\nadmin 0123456789abcdef0123456789abcdef", ":2: there is no scope `admin`"),
        ("inspect 0123", "at least 32 characters"),
    ] {
        write_tokens(&path, text);
        assert!(serve().contains(message), "{text}");
    }
    #[cfg(unix)]
    {
        write_tokens(&path, &format!("inspect {TOKEN}"));
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert!(serve().contains("chmod 600"));
    }
}
