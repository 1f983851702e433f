//! AuthZEN's certification scenario: its fixture, its requests, and what its harnesses demand of each endpoint that there is.

#![expect(clippy::disallowed_methods, reason = "the test writes files")]
#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is how a test reports")]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::{fs, process::Command};

use serde_json::{Value as Json, json};
use support::{Answer, Client, Server};

const RUNE: &str = env!("CARGO_BIN_EXE_rune");

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";
const METADATA: &str = "/.well-known/authzen-configuration";

const SCHEMA: &str = r#"
[schema]
entity user { @request role?: String };
entity record { @request status?: String };
action read, write, "delete" appliesTo {
    principal: [user],
    resource: [record],
    context: { action?: { soft?: Bool } },
};
"#;

const FIXTURE: &str = r#"
[entities]
user.alice = {}
user.bob = { role = "admin" }
record.record-1 = { status = "active" }
record.record-2 = { status = "archived" }

[policies]
permit (principal, action == Action::"read", resource);
permit (principal == user::"alice", action == Action::"write", resource)
when { resource has status && resource.status == "active" };
permit (principal, action == Action::"write", resource)
when { principal has role && principal.role == "admin" && resource has status && resource.status == "archived" };
permit (principal == user::"alice", action == Action::"delete", resource)
when { context has action.soft && context.action.soft };
"#;

/// Serves the fixture, and without a schema too: then a request may supply any attribute.
fn each_fixture(test: impl Fn(&mut Client)) {
    for schema in [SCHEMA, ""] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("p.rune"), format!("version = \"rune/1.0\"\n{schema}{FIXTURE}")).unwrap();
        test(&mut Server::start(RUNE, dir.path(), &[]).client());
    }
}

fn fixture(options: &[&str]) -> Server {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("p.rune"), format!("version = \"rune/1.0\"\n{SCHEMA}{FIXTURE}")).unwrap();
    Server::start(RUNE, dir.path(), options)
}

fn entity(kind: &str, id: &str) -> Json {
    json!({ "type": kind, "id": id })
}

fn with(mut part: Json, properties: Json) -> Json {
    part["properties"] = properties;
    part
}

fn alice() -> Json {
    entity("user", "alice")
}

fn bob() -> Json {
    entity("user", "bob")
}

fn record(n: usize) -> Json {
    entity("record", &format!("record-{n}"))
}

fn ask(subject: Json, action: Json, resource: Json) -> Json {
    [("subject", subject), ("action", action), ("resource", resource)].into_iter().collect()
}

fn named(action: &str) -> Json {
    json!({ "name": action })
}

/// The answer to a request that is in order.
fn answer(client: &mut Client, path: &str, body: &Json) -> Json {
    let answer = client.post(path, &body.to_string());
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{body}: {answer:?}");
    answer.json()
}

/// The decisions of a batch.
fn decisions(client: &mut Client, body: &Json) -> Vec<bool> {
    let answer = answer(client, EVALUATIONS, body);
    assert_eq!(answer.get("decision"), None, "no decision beside the evaluations: {answer}");
    let items = answer["evaluations"].as_array().expect("evaluations");
    items.iter().map(|item| item["decision"].as_bool().expect("a decision")).collect()
}

#[test]
fn the_eight_rules_of_the_fixture_are_decided_as_the_scenario_says() {
    let archived = || with(record(2), json!({ "status": "archived" }));
    let delete = |soft: bool| with(named("delete"), json!({ "soft": soft }));
    each_fixture(|client| {
        for (rule, subject, action, resource, expected) in [
            (1, alice(), named("read"), record(1), true),
            (2, alice(), named("write"), record(1), true),
            (3, bob(), named("read"), record(1), true),
            (4, bob(), named("write"), record(1), false),
            (5, alice(), named("write"), archived(), false),
            (5, alice(), named("write"), with(record(1), json!({ "status": "archived" })), false),
            (6, with(bob(), json!({ "role": "admin" })), named("write"), archived(), true),
            (6, with(entity("user", "eve"), json!({ "role": "admin" })), named("write"), archived(), true),
            (7, alice(), delete(true), record(1), true),
            (8, alice(), delete(false), record(1), false),
        ] {
            let body = ask(subject, action, resource);
            for _ in 0..2 {
                assert_eq!(answer(client, EVALUATION, &body), json!({ "decision": expected }), "rule {rule}: {body}");
            }
        }
    });
}

#[test]
fn what_is_stored_counts_where_the_request_says_nothing() {
    each_fixture(|client| {
        for (subject, resource, expected) in [(alice(), record(2), false), (bob(), record(2), true)] {
            let body = ask(subject, named("write"), resource);
            assert_eq!(answer(client, EVALUATION, &body), json!({ "decision": expected }), "{body}");
        }
    });
}

#[test]
fn context_more_properties_and_unknown_members_change_no_decision() {
    each_fixture(|client| {
        let mut context = ask(alice(), named("read"), record(1));
        context["context"] = json!({ "time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1" });
        let mut unknown = ask(alice(), named("read"), record(1));
        unknown["foo"] = json!("bar");
        unknown["subject"]["more"] = json!(1.5);
        unknown["action"]["more"] = json!([null]);
        unknown["resource"]["more"] = json!({ "nested": true });
        let properties = ask(
            with(alice(), json!({ "department": "Sales", "role": "manager" })),
            with(named("read"), json!({ "method": "GET" })),
            with(record(1), json!({ "status": "active", "owner": "bob" })),
        );
        for body in [context, unknown, properties] {
            assert_eq!(answer(client, EVALUATION, &body), json!({ "decision": true }), "{body}");
            assert_eq!(answer(client, EVALUATIONS, &body), json!({ "decision": true }), "{body}");
        }
    });
}

#[test]
fn a_batch_takes_from_the_defaults_what_its_items_do_not_give() {
    each_fixture(|client| {
        for (name, body, expected) in [
            (
                "resources that differ",
                json!({ "subject": alice(), "action": named("read"),
                        "evaluations": [{ "resource": record(1) }, { "resource": record(2) }] }),
                vec![true, true],
            ),
            (
                "actions that differ",
                json!({ "subject": bob(), "resource": record(1),
                        "evaluations": [{ "action": named("read") }, { "action": named("write") }] }),
                vec![true, false],
            ),
            (
                "no defaults",
                json!({ "evaluations": [ask(alice(), named("read"), record(1)), ask(bob(), named("write"), record(1))] }),
                vec![true, false],
            ),
            (
                "context",
                json!({ "subject": alice(), "action": named("read"), "context": { "time": "2025-06-27T18:03-07:00" },
                        "evaluations": [{ "resource": record(1) },
                                        { "resource": record(2), "context": { "time": "", "source": "override" } }] }),
                vec![true, true],
            ),
            (
                "an item over a default",
                json!({ "subject": bob(), "action": named("write"), "resource": record(1),
                        "evaluations": [{ "action": named("read") }, {}] }),
                vec![true, false],
            ),
            (
                "unknown members",
                json!({ "subject": alice(), "action": named("read"), "futureField": { "nested": true },
                        "options": { "evaluations_semantic": "execute_all", "another_option": "value" },
                        "evaluations": [{ "resource": record(1), "foo": "bar" }] }),
                vec![true],
            ),
        ] {
            for _ in 0..2 {
                assert_eq!(decisions(client, &body), expected, "{name}");
            }
        }
    });
}

#[test]
fn properties_count_for_the_item_that_has_them() {
    let archived = || with(record(2), json!({ "status": "archived" }));
    let active = || with(record(1), json!({ "status": "active" }));
    each_fixture(|client| {
        for (name, body, expected) in [
            (
                "properties",
                json!({ "subject": alice(), "action": named("write"),
                        "evaluations": [{ "resource": active() }, { "resource": archived() }] }),
                vec![true, false],
            ),
            (
                "properties of subjects",
                json!({ "action": named("write"), "resource": archived(),
                        "evaluations": [{ "subject": alice() }, { "subject": with(bob(), json!({ "role": "admin" })) }] }),
                vec![false, true],
            ),
            (
                "an item that gives nothing",
                json!({ "subject": alice(), "action": named("write"), "resource": active(),
                        "evaluations": [{}, { "resource": archived() }] }),
                vec![true, false],
            ),
            (
                "a default that is not whole, and items that are",
                json!({ "subject": alice(), "action": named("write"), "resource": { "type": "record" },
                        "evaluations": [{ "resource": active() }, { "resource": archived() }] }),
                vec![true, false],
            ),
        ] {
            assert_eq!(decisions(client, &body), expected, "{name}");
        }
    });
}

#[test]
fn an_item_that_lacks_a_required_member_takes_just_that_from_the_default() {
    each_fixture(|client| {
        let merged = json!({ "subject": alice(), "action": named("write"), "resource": { "type": "record" },
            "evaluations": [
                { "resource": { "id": "record-1", "properties": { "status": "active" } } },
                { "resource": { "id": "record-2", "properties": { "status": "archived" } } },
                { "resource": { "properties": { "status": "active" } } },
            ] });
        assert_eq!(decisions(client, &merged), [true, false, false], "the last one has no id");
        // Properties are not taken along: an item's object stands for itself.
        let replaced = json!({ "subject": alice(), "action": named("write"),
            "resource": with(record(2), json!({ "status": "active" })),
            "evaluations": [{}, { "resource": record(2) }, { "resource": { "id": "record-2" } }] });
        assert_eq!(decisions(client, &replaced), [true, false, false]);
        let subject = json!({ "subject": with(alice(), json!({ "role": "admin" })), "action": named("write"),
            "resource": record(2), "evaluations": [{}, { "subject": alice() }, { "subject": { "id": "eve" } }] });
        assert_eq!(decisions(client, &subject), [true, false, false]);
        let action = json!({ "subject": alice(), "action": with(named("delete"), json!({ "soft": true })),
            "resource": record(1), "evaluations": [{}, { "action": {} }, { "action": { "properties": { "soft": true } } }] });
        assert_eq!(decisions(client, &action), [true, false, true]);
    });
}

#[test]
fn without_evaluations_a_batch_is_a_single_evaluation() {
    each_fixture(|client| {
        for (action, expected) in [("read", true), ("write", false)] {
            for evaluations in [None, Some(json!([])), Some(json!(null))] {
                let mut body = ask(bob(), named(action), record(1));
                if let Some(evaluations) = evaluations {
                    body["evaluations"] = evaluations;
                }
                assert_eq!(answer(client, EVALUATIONS, &body), json!({ "decision": expected }), "{body}");
            }
        }
        let answer = client.post(EVALUATIONS, r#"{"evaluations":[]}"#);
        assert_eq!((answer.status, &*answer.body), (400, "`subject` is missing"));
    });
}

#[test]
fn a_batch_ends_where_its_semantic_says() {
    let batch = |semantic: &str, subject: Json, actions: &[&str]| {
        let evaluations: Vec<_> = actions.iter().map(|action| json!({ "action": named(action) })).collect();
        json!({ "subject": subject, "resource": record(1), "evaluations": evaluations,
                "options": { "evaluations_semantic": semantic, "unheard": [1] } })
    };
    let (yes, no) = (json!({ "decision": true }), json!({ "decision": false }));
    let last = json!({ "decision": false, "context": { "code": "200", "reason": "deny_on_first_deny" } });
    each_fixture(|client| {
        for (semantic, actions, expected) in [
            ("execute_all", &["read", "write", "read"][..], json!([yes, no, yes])),
            ("deny_on_first_deny", &["read", "write", "read"], json!([yes, last])),
            ("deny_on_first_deny", &["write", "read"], json!([last])),
            ("deny_on_first_deny", &["read", "read"], json!([yes, yes])),
            ("permit_on_first_permit", &["write", "read", "write"], json!([no, yes])),
            ("permit_on_first_permit", &["read", "write"], json!([yes])),
            ("permit_on_first_permit", &["write", "write"], json!([no, no])),
        ] {
            let body = batch(semantic, bob(), actions);
            assert_eq!(answer(client, EVALUATIONS, &body), json!({ "evaluations": expected }), "{body}");
        }
        let mut none = batch("execute_all", bob(), &["read", "write"]);
        for options in [json!(null), json!({}), json!({ "evaluations_semantic": null })] {
            none["options"] = options;
            assert_eq!(answer(client, EVALUATIONS, &none), json!({ "evaluations": [yes, no] }), "{none}");
        }
    });
}

#[test]
fn what_is_wrong_with_an_item_is_its_answer_and_denies() {
    let server = fixture(&[]);
    let client = &mut server.client();
    let body = |item: Json, semantic: &str| {
        json!({ "subject": alice(), "action": named("read"), "options": { "evaluations_semantic": semantic },
                "evaluations": [{ "resource": record(1) }, item, { "resource": record(2) }] })
    };
    for (item, message) in [
        (json!({}), "`resource` is missing"),
        (json!({ "resource": null }), "`resource` is missing"),
        (json!({ "resource": "record-1" }), "`resource` must be an object, not a string"),
        (json!({ "resource": record(1), "subject": "alice" }), "`subject` must be an object, not a string"),
        (json!({ "resource": record(1), "action": { "name": 123 } }), "`action.name` must be a string, not an integer"),
        (json!({ "resource": { "type": "record" } }), "`resource.id` is missing"),
        (json!({ "resource": with(record(1), json!([])) }), "`resource.properties` must be an object, not a list"),
        (json!({ "resource": record(1), "context": 7 }), "`context` must be an object, not an integer"),
        (json!("record-1"), "an evaluation must be an object, not a string"),
        (json!(null), "an evaluation must be an object, not null"),
        (json!({ "resource": record(1), "action": named("fly") }), "the schema has no action Action::\"fly\""),
        (json!({ "resource": entity("rocket", "1") }), "the schema has no entity type rocket"),
        (
            json!({ "resource": record(1), "action": with(named("delete"), json!({ "soft": 1 })) }),
            "context: `action.soft`: expected Bool, found an integer",
        ),
    ] {
        let failed = json!({ "decision": false, "context": { "error": { "status": 400, "message": message } } });
        let yes = json!({ "decision": true });
        for (semantic, expected) in [
            ("execute_all", json!([yes, failed, yes])),
            ("deny_on_first_deny", json!([yes, failed])),
            ("permit_on_first_permit", json!([yes])),
        ] {
            let answer = answer(client, EVALUATIONS, &body(item.clone(), semantic));
            assert_eq!(answer, json!({ "evaluations": expected }), "{item}");
        }
    }
    let nobody = json!({ "action": named("read"), "resource": record(1), "evaluations": [{}] });
    assert_eq!(decisions(client, &nobody), [false]);
}

#[test]
fn what_is_wrong_with_the_body_is_a_bad_request_and_nothing_is_decided() {
    let server = fixture(&[]);
    let client = &mut server.client();
    let good = json!({ "subject": alice(), "action": named("read"), "resource": record(1), "evaluations": [{}] });
    let over = |name: &str, value: Json| {
        let mut body = good.clone();
        body[name] = value;
        body.to_string()
    };
    for (body, message) in [
        (String::new(), "the body is not JSON"),
        ("{".to_owned(), "the body is not JSON"),
        ("[]".to_owned(), "the body must be an object, not a list"),
        ("{}".to_owned(), "`subject` is missing"),
        (over("evaluations", json!({})), "`evaluations` must be a list, not a table"),
        (over("evaluations", json!("all")), "`evaluations` must be a list, not a string"),
        (over("options", json!([])), "`options` must be an object, not a list"),
        (over("options", json!({ "evaluations_semantic": "bogus" })), "`options.evaluations_semantic` is one of"),
        (over("options", json!({ "evaluations_semantic": 1 })), "`options.evaluations_semantic` is one of"),
        (over("subject", json!("alice")), "`subject` must be an object, not a string"),
        (over("action", json!({ "name": 123 })), "`action.name` must be a string, not an integer"),
        (over("resource", with(record(1), json!(1))), "`resource.properties` must be an object, not an integer"),
        (over("context", json!([])), "`context` must be an object, not a list"),
        (r#"{"evaluations":[{}],"evaluations":[]}"#.to_owned(), "member \"evaluations\" is given twice"),
        (r#"{"evaluations":[{"action":{},"action":{}}]}"#.to_owned(), "member \"action\" is given twice"),
        (format!(r#"{{"evaluations":[{}{}]}}"#, "[".repeat(80), "]".repeat(80)), "brackets are nested deeper than 64"),
    ] {
        let answer =
            client.post_with(EVALUATIONS, &[("content-type", "application/json"), ("x-request-id", "7")], &body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.body.contains(message), "{body}: {answer:?}");
        assert_eq!(answer.header("x-request-id"), Some("7"));
    }
}

#[test]
fn every_endpoint_keeps_to_methods_content_types_and_request_ids() {
    let server = fixture(&["--public-url", "https://pdp.example.com"]);
    let client = &mut server.client();
    let good = json!({ "subject": alice(), "action": named("read"), "resource": record(1), "evaluations": [{}] });
    let good = good.to_string();
    let send = |client: &mut Client, method: &str, path: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-request-id: r-1\r\n");
        client.send(format!("{head}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}").as_bytes());
        client.receive()
    };
    for path in [EVALUATION, EVALUATIONS] {
        for content_type in ["application/json", "application/json; charset=utf-8"] {
            let answer = client.post_with(path, &[("content-type", content_type), ("x-request-id", "a b")], &good);
            assert_eq!((answer.status, answer.header("x-request-id")), (200, Some("a b")), "{answer:?}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("rune-generation"), Some("1"));
            assert_eq!(answer.header("rune-version").map(str::len), Some(64));
        }
        assert_eq!(client.post(path, &good).header("x-request-id"), None);
        assert_eq!(client.post_with(path, &[("content-type", "text/plain")], &good).status, 400);
        assert_eq!(client.post_with(path, &[], &good).status, 400);
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            let answer = send(client, method, path);
            assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method} {path}");
            assert_eq!(answer.header("x-request-id"), Some("r-1"));
        }
        let large = format!(r#"{{"evaluations":["{}"]}}"#, "x".repeat(2 << 20));
        assert_eq!(server.client().post(path, &large).status, 413);
    }
    let answer = send(client, "POST", METADATA);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD")));
    let answer = send(client, "GET", METADATA);
    assert_eq!((answer.status, answer.header("x-request-id")), (200, Some("r-1")));
    assert_eq!(send(client, "POST", "/access/v2/evaluations").status, 404);
}

/// What is answered to a request that is sent to `host`.
fn at(server: &Server, host: &str, head: &str) -> Answer {
    let mut client = server.client();
    client.send(format!("{head}\r\nhost: {host}\r\n\r\n").replacen("\r\n", " HTTP/1.1\r\n", 1).as_bytes());
    client.receive()
}

#[test]
fn metadata_is_what_the_server_was_started_with_whatever_a_request_says() {
    let server = fixture(&["--public-url", "https://pdp.example.com"]);
    let expected = json!({
        "policy_decision_point": "https://pdp.example.com",
        "access_evaluation_endpoint": "https://pdp.example.com/access/v1/evaluation",
        "access_evaluations_endpoint": "https://pdp.example.com/access/v1/evaluations",
    });
    for host in ["localhost", "pdp.example.com", "10.1.2.3:80"] {
        let answer =
            at(&server, host, &format!("GET {METADATA}\r\nx-forwarded-host: evil.example\r\nforwarded: host=evil"));
        assert_eq!((answer.status, answer.json()), (200, expected.clone()), "{host}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("max-age=3600"));
    }
    assert_eq!(at(&server, "evil.example", &format!("GET {METADATA}")).status, 403);
    assert_eq!(server.client().get(&format!("{METADATA}/tenant1")).status, 404);
}

#[test]
fn without_a_public_url_there_is_no_metadata_and_the_answer_says_how_to_have_it() {
    let answer = fixture(&[]).client().get(METADATA);
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("--public-url https://"), "{answer:?}");
}

#[test]
fn below_a_path_metadata_and_endpoints_are_where_the_metadata_says() {
    let server = fixture(&["--public-url", "https://pdp.example.com:8443/tenant1"]);
    let client = &mut server.client();
    let metadata = client.get(&format!("{METADATA}/tenant1")).json();
    assert_eq!(metadata["policy_decision_point"], "https://pdp.example.com:8443/tenant1");
    let body = ask(alice(), named("read"), record(1));
    for (key, path) in [("access_evaluation_endpoint", EVALUATION), ("access_evaluations_endpoint", EVALUATIONS)] {
        let below = metadata[key].as_str().unwrap().strip_prefix("https://pdp.example.com:8443").unwrap();
        assert_eq!(below, format!("/tenant1{path}"));
        // A proxy may pass the path on or take it off.
        for path in [below, path] {
            assert_eq!(answer(client, path, &body), json!({ "decision": true }));
        }
    }
    assert_eq!(client.get(METADATA).status, 404, "that would be the metadata of another");
}

#[test]
fn a_proxy_may_send_the_public_host_and_pages_of_the_public_origin_are_no_strangers() {
    let server = fixture(&["--public-url", "https://pdp.example.com"]);
    let status = |host: &str, origin: &str| at(&server, host, &format!("GET /health/live{origin}")).status;
    for (host, origin, expected) in [
        ("pdp.example.com", "", 200),
        ("PDP.example.com:443", "", 200),
        ("pdp.example.com", "\r\norigin: https://pdp.example.com", 200),
        ("127.0.0.1:7400", "\r\norigin: https://pdp.example.com", 200),
        ("127.0.0.1:7400", "\r\norigin: http://127.0.0.1:7400", 200),
        ("pdp.example.com", "\r\norigin: http://pdp.example.com", 403),
        ("pdp.example.com", "\r\norigin: https://evil.example", 403),
        ("pdp.example.com", "\r\norigin: null", 403),
        ("evil.example", "\r\norigin: https://pdp.example.com", 403),
        ("pdp.example.com.evil.example", "", 403),
        ("xpdp.example.com", "", 403),
    ] {
        assert_eq!(status(host, origin), expected, "{host}{origin}");
    }
    let answer = at(&server, "evil.example", "GET /health/live");
    assert!(answer.body.contains("use pdp.example.com, its address, or localhost"), "{answer:?}");
    assert_eq!(at(&fixture(&[]), "pdp.example.com", "GET /health/live").status, 403, "only when it is given");
}

#[test]
fn a_public_url_that_clients_could_not_use_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    for (url, message) in [
        ("http://pdp.example.com", "begins with `https://`"),
        ("https://pdp.example.com?tenant=1", "no query and no fragment"),
        ("https://pdp.example.com/", "no `/` at the end"),
        ("https://user@pdp.example.com", "stands a host"),
    ] {
        let run = Command::new(RUNE).args(["serve", "--public-url", url, "--watch"]).arg(dir.path()).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{run:?}");
        assert!(String::from_utf8_lossy(&run.stderr).contains(message), "{run:?}");
    }
}
