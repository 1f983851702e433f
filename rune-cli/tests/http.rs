//! The HTTP surface: what is answered to whom, and what is refused as what.

#![expect(clippy::disallowed_methods, reason = "the test writes files and waits")]
#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is how a test reports")]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::{fs, path::Path, thread, time::Duration};

use rune_cli::serve::limits;
use support::{Client, Server};

const RUNE: &str = env!("CARGO_BIN_EXE_rune");

const EVALUATION: &str = "/access/v1/evaluation";

const POLICIES: &str = r#"version = "rune/1.0"

[schema]
entity User { role?: String, @request badge?: String };
entity Record { status: String };
action read, write, "delete" appliesTo {
    principal: [User],
    resource: [Record],
    context: { action?: { soft?: Bool }, hour?: Long },
};

[entities]
User.ada = {}
User.bob = { role = "admin" }
Record.r1 = { status = "active" }

[policies]
permit (principal == User::"ada", action == Action::"read", resource);
permit (principal, action == Action::"write", resource) when { principal has role && principal.role == "admin" };
permit (principal, action == Action::"delete", resource)
when { context has action.soft && context.action.soft };
permit (principal, action == Action::"read", resource) when { principal has badge && principal.badge == "gold" };
forbid (principal, action, resource) when { context has hour && context.hour < 6 };
"#;

fn folder(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("p.rune"), text).unwrap();
    dir
}

fn body(subject: &str, action: &str, more: &str) -> String {
    format!(
        r#"{{"subject":{{"type":"User","id":"{subject}"}},"action":{{"name":"{action}"}},"resource":{{"type":"Record","id":"r1"}}{more}}}"#
    )
}

fn decides(client: &mut Client, body: &str) -> bool {
    let answer = client.post(EVALUATION, body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["decision"].as_bool().expect("a decision")
}

#[test]
fn decisions_are_those_of_the_policies() {
    let dir = folder(POLICIES);
    let server = Server::start(RUNE, dir.path(), &[]);
    let client = &mut server.client();
    assert!(decides(client, &body("ada", "read", "")));
    assert!(!decides(client, &body("bob", "read", "")));
    assert!(decides(client, &body("bob", "write", "")));
    assert!(!decides(client, &body("ada", "read", r#","context":{"hour":3}"#)), "a forbid over a permit");
    // A plain answer holds the decision and nothing else; the version is in the headers.
    let answer = client.post(EVALUATION, &body("ada", "read", ""));
    assert_eq!(answer.body, r#"{"decision":true}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("rune-generation"), Some("1"));
    assert_eq!(answer.header("rune-version").map(str::len), Some(64));
}

#[test]
fn what_a_request_says_besides_counts_only_where_the_schema_lets_it() {
    let dir = folder(POLICIES);
    let server = Server::start(RUNE, dir.path(), &[]);
    let client = &mut server.client();
    let with_subject = |properties: &str| {
        body("eve", "read", "").replace(r#""id":"eve""#, &format!(r#""id":"eve","properties":{properties}"#))
    };
    assert!(decides(client, &with_subject(r#"{"badge":"gold"}"#)), "`@request` lets it");
    let claim = with_subject(r#"{"role":"admin"}"#).replace("read", "write");
    assert!(!decides(client, &claim), "nobody becomes an admin by saying so");
    assert!(!decides(client, &with_subject(r#"{"badge":7}"#)), "of the wrong type");
    let delete = |properties: &str| {
        body("ada", "delete", "").replace(r#""delete""#, &format!(r#""delete","properties":{properties}"#))
    };
    assert!(decides(client, &delete(r#"{"soft":true}"#)), "action.properties is context.action");
    assert!(!decides(client, &delete(r#"{"soft":false}"#)));
    assert!(
        decides(client, &body("ada", "read", r#","context":{"unheard":[1.5,null]},"more":{}"#)),
        "unknown members are ignored"
    );
    assert!(decides(client, &body("ada", "read", r#","context":null"#)));
    assert!(decides(client, &body("ada", "read", r#","context":{"hour":null}"#)));
}

#[test]
fn a_request_that_the_schema_does_not_provide_for_is_denied_and_told() {
    let dir = folder(POLICIES);
    let server = Server::start(RUNE, dir.path(), &[]);
    let client = &mut server.client();
    for (body, message) in [
        (body("ada", "fly", ""), "the schema has no action Action::\"fly\""),
        (body("ada", "read", "").replace("Record", "Rocket"), "the schema has no entity type Rocket"),
        (body("ada", "read", "").replace("Record", "User"), "Action::\"read\" does not take a resource of type User"),
        (body("ada", "read", r#","context":{"hour":"6"}"#), "context: `hour`: expected Long, found a string"),
        (body("ada", "read", r#","context":{"hour":6.5}"#), "context: `hour`: `6.5` is not a 64-bit integer"),
    ] {
        let answer = client.post(EVALUATION, &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["decision"], false);
        assert_eq!(answer.json()["context"]["error"]["message"], message);
    }
}

#[test]
fn what_is_not_a_request_is_a_bad_request() {
    let dir = folder(POLICIES);
    let server = Server::start(RUNE, dir.path(), &[]);
    let client = &mut server.client();
    let good = body("ada", "read", "");
    for (body, message) in [
        (String::new(), "the body is not JSON"),
        ("{".to_owned(), "the body is not JSON"),
        ("[]".to_owned(), "the body must be an object, not a list"),
        ("{}".to_owned(), "`subject` is missing"),
        (good.replace(r#"{"type":"User","id":"ada"}"#, r#""ada""#), "`subject` must be an object, not a string"),
        (good.replace(r#""read""#, "123"), "`action.name` must be a string, not an integer"),
        (good.replace(r#""id":"ada""#, r#""identifier":"ada""#), "`subject.id` is missing"),
        (good.replace(r#""id":"r1""#, r#""id":null"#), "`resource.id` must be a string, not null"),
        (good.replace('}', r#","properties":[]}"#), "`subject.properties` must be an object, not a list"),
        (body("ada", "read", r#","context":7"#), "`context` must be an object, not an integer"),
        (body("ada", "read", r#","action":{"name":"write"}"#), "member \"action\" is given twice"),
        (
            body("ada", "read", r#","context":{"action":{}}"#).replace(r#""read""#, r#""read","properties":{}"#),
            "`context.action` and `action.properties` are both given",
        ),
        (format!(r#"{{"subject":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000)), "brackets are nested deeper than 64"),
    ] {
        let answer =
            client.post_with(EVALUATION, &[("content-type", "application/json"), ("x-request-id", "r-7")], &body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.body.contains(message), "{body}: {answer:?}");
        assert_eq!(answer.header("x-request-id"), Some("r-7"));
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonish"] {
        assert_eq!(
            client.post_with(EVALUATION, &[("content-type", content_type)], &good).status,
            400,
            "{content_type}"
        );
    }
    assert_eq!(client.post_with(EVALUATION, &[], &good).status, 400, "no content type");
    let charset = [("content-type", "Application/JSON; charset=utf-8"), ("x-request-id", "a b")];
    let answer = client.post_with(EVALUATION, &charset, &good);
    assert_eq!((answer.status, answer.header("x-request-id")), (200, Some("a b")));
    let answer = client.get(EVALUATION);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_eq!(answer.body, "this path takes another method: see the header `Allow`");
    let answer = client.get("/nowhere");
    assert_eq!((answer.status, &*answer.body), (404, "there is nothing at this path"));
    let large = body("ada", "read", &format!(r#","context":{{"x":"{}"}}"#, "x".repeat(2 << 20)));
    assert_eq!(server.client().post(EVALUATION, &large).status, 413);
}

#[test]
fn pages_in_a_browser_get_no_answer() {
    let dir = folder(POLICIES);
    let server = Server::start(RUNE, dir.path(), &[]);
    let status = |headers: &str| {
        let mut client = server.client();
        client.send(format!("GET /api/v1/status HTTP/1.1\r\n{headers}\r\n").as_bytes());
        client.receive().status
    };
    assert_eq!(status("host: evil.example\r\n"), 403);
    assert_eq!(status("host: localhost:7400\r\norigin: http://evil.example\r\n"), 403);
    assert_eq!(status(""), 403, "no host at all");
    assert_eq!(status("host: localhost:7400\r\norigin: http://localhost:7400\r\n"), 200);
    assert_eq!(status("host: [::1]:7400\r\n"), 200);
    assert_eq!(status("host: 10.1.2.3\r\n"), 200);
}

#[test]
fn without_a_schema_what_the_request_supplies_is_merged() {
    let dir = folder(
        r#"version = "rune/1.0"
[entities]
User.ada = { role = "reader", "team" = "a" }
[policies]
permit (principal, action, resource) when { principal.role == "writer" && principal.team == "a" };
"#,
    );
    let server = Server::start(RUNE, dir.path(), &[]);
    let client = &mut server.client();
    assert!(!decides(client, &body("ada", "read", "")));
    let supplied = body("ada", "read", "").replace(r#""id":"ada""#, r#""id":"ada","properties":{"role":"writer"}"#);
    assert!(decides(client, &supplied));
    let itself = r#"{"subject":{"type":"User","id":"ada","properties":{"role":"writer"}},"action":{"name":"x"},"resource":{"type":"User","id":"ada"}}"#;
    assert!(decides(client, itself), "an entity may be both who asks and what is asked for");
}

#[test]
fn actions_are_looked_for_in_the_namespace_of_the_schema() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("s.cedarschema"),
        "namespace App { entity User; entity Doc; action read appliesTo { principal: User, resource: Doc }; }",
    )
    .unwrap();
    fs::write(dir.path().join("p.cedar"), "permit (principal, action == App::Action::\"read\", resource);").unwrap();
    let server = Server::start(RUNE, dir.path(), &[]);
    let request =
        r#"{"subject":{"type":"App::User","id":"a"},"action":{"name":"read"},"resource":{"type":"App::Doc","id":"d"}}"#;
    assert!(decides(&mut server.client(), request));
}

#[test]
fn an_unusable_folder_is_not_served_unless_told_to_wait_for_it() {
    let empty = tempfile::tempdir().unwrap();
    let broken = folder("version = \"rune/1.0\"\n[polices]\n");
    for dir in [empty.path(), broken.path(), &empty.path().join("nowhere")] {
        let run =
            std::process::Command::new(RUNE).args(["serve", "--listen", "127.0.0.1:0", "--watch"]).arg(dir).output();
        let run = run.unwrap();
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert!(run.stdout.is_empty(), "nothing listens: {run:?}");
    }
    let server = Server::start(RUNE, broken.path(), &["--wait"]);
    let client = &mut server.client();
    assert_eq!(client.get("/health/live").status, 200);
    assert_eq!(client.get("/health/ready").status, 503);
    assert_eq!(client.post(EVALUATION, &body("ada", "read", "")).status, 503);
    let status = client.get("/api/v1/status").json();
    assert_eq!(status["state"], "waiting");
    assert_eq!(status["last_refusal"]["findings"][0]["code"], "unknown-section");
    fs::write(broken.path().join("p.rune"), POLICIES).unwrap();
    server.status_when("the first good version is served", |status| status["state"] == "serving");
    assert_eq!(client.get("/health/ready").status, 200);
    assert!(decides(client, &body("ada", "read", "")));
    fs::write(broken.path().join("p.rune"), "version").unwrap();
    let status = server.status_when("the error is told", |status| status["state"] == "refused");
    assert_eq!(status["generation"], 1);
    assert_eq!(client.get("/health/ready").status, 200, "the last good version is in force");
    assert!(decides(client, &body("ada", "read", "")));
}

#[test]
fn an_emptied_or_vanished_folder_leaves_the_last_good_version_in_force() {
    let dir = folder(POLICIES);
    let root = dir.path().join("policies");
    fs::create_dir(&root).unwrap();
    fs::rename(dir.path().join("p.rune"), root.join("p.rune")).unwrap();
    let server = Server::start(RUNE, &root, &[]);
    fs::remove_file(root.join("p.rune")).unwrap();
    let status = server.status_when("the empty folder is told", |status| status["state"] == "trouble");
    assert!(status["trouble"]["message"].as_str().unwrap().contains("no ruleset file"), "{status}");
    assert!(decides(&mut server.client(), &body("ada", "read", "")));
    fs::remove_dir(&root).unwrap();
    let told = |status: &serde_json::Value| {
        status["trouble"]["message"].as_str().is_some_and(|told| told.contains("there is no folder"))
    };
    server.status_when("the missing folder is told", told);
    fs::create_dir(&root).unwrap();
    fs::write(root.join("p.rune"), POLICIES.replace("== User::\"ada\"", "is User")).unwrap();
    server.status_when("the new folder is served", |status| status["state"] == "serving" && status["generation"] == 2);
    assert!(decides(&mut server.client(), &body("bob", "read", "")));
}

#[test]
fn the_readme_s_request_is_answered_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let request = readme.split("-d '").nth(1).and_then(|rest| rest.split('\'').next()).expect("a request");
    let todo = fs::read_to_string(root.join("examples/policies/todo/todo.rune")).unwrap();
    let dir = folder(&todo);
    let server = Server::start(RUNE, dir.path(), &[]);
    let client = &mut server.client();
    assert_eq!(client.post(EVALUATION, request).body, r#"{"decision":true}"#);
    let morty = r#"user."morty@the-citadel.com" = { email = "morty@the-citadel.com", in = ["#;
    let edited = todo.replace(&format!("{morty}'role::\"editor\"'"), morty);
    assert_ne!(edited, todo);
    fs::write(dir.path().join("p.rune"), &edited).unwrap();
    server.status_when("the edit is in force", |status| status["generation"] == 2);
    assert_eq!(client.post(EVALUATION, request).body, r#"{"decision":false}"#);
    let own = "@id(\"roles-on-own\") ";
    let refused = edited.replace(&format!("{own}permit"), &format!("{own}forbid"));
    assert_ne!(refused, edited);
    fs::write(dir.path().join("p.rune"), refused).unwrap();
    let status = server.status_when("a test does not allow the edit", |status| status["state"] == "refused");
    assert_eq!(status["last_refusal"]["findings"][0]["code"], "test-failed");
    assert_eq!(status["generation"], 2);
}

#[test]
fn a_client_that_stalls_is_given_up_and_holds_up_nobody() {
    let dir = folder(POLICIES);
    let server = Server::start(RUNE, dir.path(), &[]);
    let stalled: Vec<Client> = (0..64)
        .map(|_| {
            let mut client = server.client();
            client.send(
                format!("POST {EVALUATION} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")
                    .as_bytes(),
            );
            client
        })
        .collect();
    assert!(decides(&mut server.client(), &body("ada", "read", "")));
    drop(stalled);
}

#[test]
fn sigterm_ends_a_server_that_has_only_just_begun() {
    let dir = folder(POLICIES);
    for pause_ms in [0, 1, 3, 10, 30] {
        let mut child = std::process::Command::new(RUNE)
            .args(["serve", "--listen", "127.0.0.1:0", "--watch"])
            .arg(dir.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // As soon as the first words are out, the signal is one that ends it in order.
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        thread::sleep(Duration::from_millis(pause_ms));
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "after {pause_ms} ms");
    }
}

#[test]
fn sigterm_ends_what_is_in_flight_before_the_process_ends() {
    let dir = folder(POLICIES);
    let mut server = Server::start(RUNE, dir.path(), &[]);
    let mut client = server.client();
    let body = body("ada", "read", "");
    let head = format!(
        "POST {EVALUATION} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (first, second) = body.split_at(body.len() / 2);
    client.send(format!("{head}{first}").as_bytes());
    thread::sleep(Duration::from_millis(200));
    server.terminate();
    thread::sleep(Duration::from_millis(200));
    assert!(server.child.try_wait().unwrap().is_none(), "it waits for the request in flight");
    client.send(second.as_bytes());
    assert_eq!(client.receive().body, r#"{"decision":true}"#);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_reference_says_each_limit_and_each_endpoint_as_it_is() {
    let page = include_str!("../../docs/HTTP.md");
    let seconds = |time: Duration| time.as_secs().to_string();
    let limits = [
        ("CONNECTIONS_MAX", limits::CONNECTIONS_MAX.to_string()),
        ("HEAD_MAX", format!("{} s", seconds(limits::HEAD_MAX))),
        ("BODY_MAX", format!("{} s", seconds(limits::BODY_MAX))),
        ("SHUTDOWN_MAX", format!("{} s", seconds(limits::SHUTDOWN_MAX))),
        ("LOG_QUEUE_MAX", limits::LOG_QUEUE_MAX.to_string()),
        ("BATCH_EVALUATIONS_MAX", limits::BATCH_EVALUATIONS_MAX.to_string()),
        ("BATCH_BYTES_MAX", format!("{} MiB", limits::BATCH_BYTES_MAX >> 20)),
        ("MESSAGE_CHARS_MAX", limits::MESSAGE_CHARS_MAX.to_string()),
        ("BATCH_TIME_MAX", format!("{} s", seconds(limits::BATCH_TIME_MAX))),
        ("BATCH_TURN_MAX", format!("{} ms", limits::BATCH_TURN_MAX.as_millis())),
        ("EXPLANATIONS_MAX", limits::EXPLANATIONS_MAX.to_string()),
        ("TOKEN_CHARS_MIN", limits::TOKEN_CHARS_MIN.to_string()),
        ("METADATA_AGE_MAX", format!("{} s", seconds(limits::METADATA_AGE_MAX))),
    ];
    let source = include_str!("../src/serve/limits.rs");
    let names = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'));
    for (name, _) in names {
        assert!(limits.iter().any(|(known, _)| *known == name), "{name} is not in this list");
    }
    let plain = page.replace(',', "");
    for (name, value) in limits {
        assert!(plain.contains(&format!("| {value} | `{name}` |")), "{name} is {value}");
    }
    let readme = include_str!("../../README.md");
    for (endpoint, _) in page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | [")) {
        assert!(readme.contains(&format!("| `{endpoint}` |")), "the README has no {endpoint}");
    }
}

#[test]
fn the_status_counts_as_check_does_and_tells_times_below_a_millisecond() {
    let dir = folder(POLICIES);
    let server = Server::start(RUNE, dir.path(), &[]);
    let status = server.client().get("/api/v1/status").json();
    let counts = r#"{"files":1,"policies":5,"rules":0,"relations":0,"entities":3}"#;
    assert_eq!(status["counts"].to_string(), counts);
    let run = std::process::Command::new(RUNE).arg("check").arg(dir.path()).output().expect("the binary runs");
    assert_eq!(String::from_utf8_lossy(&run.stdout), "ok: 1 file, 5 policies, 3 entities\n");
    fs::write(dir.path().join("p.rune"), POLICIES.replace("User.ada = {}", "User.ada = {}\nUser.eve = {}")).unwrap();
    let edited = server.status_when("the edit is in force", |status| status["generation"] == 2);
    assert_eq!(edited["counts"]["entities"], 4, "they are counted anew");
    let took = status["last_reload"]["took_ms"].as_f64().expect("a number");
    assert!(0.0 < took && (took * 1e3 - (took * 1e3).round()).abs() < 1e-6, "{took}");
}

#[test]
fn the_status_has_the_members_that_the_reference_names() {
    let page = include_str!("../../docs/HTTP.md");
    let dir = folder(POLICIES);
    let server = Server::start(RUNE, dir.path(), &[]);
    fs::write(dir.path().join("p.rune"), POLICIES.replace("permit (principal ==", "allow (principal ==")).unwrap();
    let status = server.status_when("the edit is refused", |status| status["state"] == "refused");
    let words: Vec<&str> = page.split(|c: char| !c.is_ascii_lowercase() && c != '_').collect();
    let refusal = &status["last_refusal"];
    let parts =
        [&status["counts"], &status["last_reload"], refusal, &refusal["findings"][0], &refusal["not_in_force"][0]];
    for part in [&status].into_iter().chain(parts) {
        for name in part.as_object().expect("an object").keys() {
            assert!(words.contains(&name.as_str()), "the reference has no `{name}`");
        }
    }
}
