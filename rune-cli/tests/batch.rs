//! Batches of a client that means no good, and of one that asks while the policies change.

#![expect(clippy::disallowed_methods, reason = "the test writes files and waits")]
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is how a test reports")]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::{
    fmt::Write as _,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rune_cli::serve::limits;
use support::{Answer, Client, Server};

const RUNE: &str = env!("CARGO_BIN_EXE_rune");

const EVALUATIONS: &str = "/access/v1/evaluations";

const OPEN: &str = "version = \"rune/1.0\"\n[policies]\npermit (principal, action, resource);\n";

const DEFAULTS: &str =
    r#""subject":{"type":"User","id":"a"},"action":{"name":"read"},"resource":{"type":"Doc","id":"d"}"#;

fn serve(text: &str) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("p.rune"), text).unwrap();
    let server = Server::start(RUNE, dir.path(), &[]);
    (dir, server)
}

/// A batch of `n` empty items.
fn batch(n: usize, more: &str) -> String {
    format!(r#"{{{DEFAULTS}{more},"evaluations":[{}]}}"#, vec!["{}"; n].join(","))
}

fn decisions(answer: &Answer) -> Vec<bool> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    json["evaluations"].as_array().unwrap().iter().map(|item| item["decision"].as_bool().unwrap()).collect()
}

#[test]
fn the_context_of_an_item_replaces_the_default_whole() {
    let (_dir, server) = serve(
        "version = \"rune/1.0\"\n[policies]\npermit (principal, action, resource) when { context.x == 1 };\n\
         forbid (principal, action, resource) when { context has y };\n",
    );
    let items =
        r#"{},{"context":{"x":2}},{"context":{"y":1}},{"context":{"x":1,"y":1}},{"context":{}},{"context":null}"#;
    let body = format!(r#"{{{DEFAULTS},"context":{{"x":1}},"evaluations":[{items}]}}"#);
    let answer = server.client().post(EVALUATIONS, &body);
    // What is null is not given: the last item takes the default.
    assert_eq!(decisions(&answer), [true, false, false, false, false, true]);
    let properties = r#""action":{"name":"read","properties":{}},"context":{"action":{}}"#;
    let body = format!(r#"{{{DEFAULTS},"evaluations":[{{{properties}}},{{"context":{{"x":1}}}}]}}"#);
    let json = server.client().post(EVALUATIONS, &body).json();
    let message = &json["evaluations"][0]["context"]["error"]["message"];
    assert_eq!(message, "`context.action` and `action.properties` are both given");
    assert_eq!(json["evaluations"][1]["decision"], true);
}

#[test]
fn as_many_evaluations_as_the_limit_are_answered_and_one_more_is_not() {
    let (_dir, server) = serve(OPEN);
    let client = &mut server.client();
    assert_eq!(decisions(&client.post(EVALUATIONS, &batch(limits::BATCH_EVALUATIONS_MAX, ""))).len(), 1_000);
    let answer = client.post(EVALUATIONS, &batch(limits::BATCH_EVALUATIONS_MAX + 1, ""));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, "there are 1001 evaluations: at most 1000 are answered at a time");
    assert_eq!(client.post(EVALUATIONS, &batch(300_000, "")).status, 400);
}

#[test]
fn a_large_default_is_not_read_for_many_items() {
    let (_dir, server) = serve(OPEN);
    let client = &mut server.client();
    let large = "x".repeat(900_000);
    for (name, more) in [
        ("a string", format!(r#","context":{{"x":"{large}"}}"#)),
        ("a list", format!(r#","context":{{"x":[{}1]}}"#, "1,".repeat(450_000))),
        ("a name", format!(r#","context":{{"{large}":1}}"#)),
    ] {
        assert_eq!(decisions(&client.post(EVALUATIONS, &batch(4, &more))).len(), 4, "{name}");
        let start = Instant::now();
        let answer = client.post(EVALUATIONS, &batch(1_000, &more));
        assert_eq!(answer.status, 400, "{name}");
        assert!(answer.body.ends_with("are larger than 4194304 bytes together"), "{answer:?}");
        assert!(start.elapsed() < limits::BATCH_TIME_MAX, "{name}");
        // Who does not take the default does not pay for it.
        let own = vec![r#"{"context":{}}"#; 1_000].join(",");
        assert_eq!(
            decisions(&client.post(EVALUATIONS, &format!(r#"{{{DEFAULTS}{more},"evaluations":[{own}]}}"#))).len(),
            1_000
        );
    }
    // Nor is what nobody reads, nor a default that only says what an item leaves out.
    let unread = format!(r#","unread":"{large}""#);
    assert_eq!(decisions(&client.post(EVALUATIONS, &batch(1_000, &unread))).len(), 1_000);
    let members: String = (0..50_000).fold(String::new(), |mut members, n| {
        write!(members, r#""m{n}":1,"#).unwrap();
        members
    });
    let items = vec![r#"{"resource":{"type":"Doc"}}"#; 1_000].join(",");
    let defaults = DEFAULTS.replace(r#""type":"Doc","#, &members);
    let answer = client.post(EVALUATIONS, &format!(r#"{{{defaults},"evaluations":[{items}]}}"#));
    assert_eq!(answer.status, 400, "each item would look for its id among all members");
}

#[test]
fn an_answer_does_not_repeat_what_is_wrong_at_length() {
    let (_dir, server) = serve(OPEN);
    let more = format!(r#","context":{{"x":{{"__entity":{{"type":"{}","id":"b"}}}}}}"#, "é\\u0001".repeat(1_000));
    let answer = server.client().post(EVALUATIONS, &batch(1_000, &more));
    assert!(!decisions(&answer).contains(&true));
    let message = &answer.json()["evaluations"][0]["context"]["error"]["message"];
    assert!(message.as_str().unwrap().ends_with('…'), "{message}");
    assert!(answer.body.len() < 3 << 20, "{} bytes", answer.body.len());
}

/// Each decision looks at some ten million rows.
fn slow_ruleset() -> String {
    let facts: String = (0..54).fold(String::new(), |mut facts, n| {
        writeln!(facts, "p({n}).").unwrap();
        facts
    });
    format!(
        "version = \"rune/1.0\"\n[rules]\nrelation p(Long).\n{facts}\
         @id(\"slow\") permit(_, _, _) :- p(A), p(B), p(C), p(D), A + B + C + D < 0.\n\
         [policies]\npermit (principal, action == Action::\"quick\", resource);\n"
    )
}

#[test]
fn a_batch_that_takes_too_long_is_given_up_and_meanwhile_others_are_answered() {
    let (_dir, server) = serve(&slow_ruleset());
    let quick = format!("{{{}}}", DEFAULTS.replace("read", "quick"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let slow: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let start = Instant::now();
                    (server.client().post(EVALUATIONS, &batch(1_000, "")), start.elapsed())
                })
            })
            .collect();
        let others = scope.spawn(|| {
            let (mut client, mut longest, mut n) = (server.client(), Duration::ZERO, 0);
            while !is_over.load(Ordering::Relaxed) {
                let start = Instant::now();
                assert_eq!(client.post(EVALUATIONS, &quick).body, r#"{"decision":true}"#);
                longest = longest.max(start.elapsed());
                n += 1;
            }
            (n, longest)
        });
        for slow in slow {
            let (answer, took) = slow.join().unwrap();
            assert_eq!(answer.status, 503, "{answer:?}");
            assert_eq!(answer.body, "the evaluations took longer than 2 seconds: ask fewer at a time");
            assert!(took < 5 * limits::BATCH_TIME_MAX, "{took:?}");
        }
        is_over.store(true, Ordering::Relaxed);
        let (n, longest) = others.join().unwrap();
        assert!(0 < n && longest < 2 * limits::BATCH_TIME_MAX, "{n}, {longest:?}");
    });
}

#[test]
fn all_of_a_batch_is_decided_by_one_generation() {
    let text = |who: &str| {
        format!("version = \"rune/1.0\"\n[policies]\npermit (principal == User::\"{who}\", action, resource);\n")
    };
    let (dir, server) = serve(&text("a"));
    let items = vec![r#"{},{"subject":{"id":"b"}}"#; 400].join(",");
    let body = format!(r#"{{{DEFAULTS},"evaluations":[{items}]}}"#);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let ask = || {
            let (mut client, mut newest) = (server.client(), 0);
            while !is_over.load(Ordering::Relaxed) {
                let answer = client.post(EVALUATIONS, &body);
                let generation: u64 = answer.header("rune-generation").expect("a generation").parse().unwrap();
                assert!(newest <= generation, "{newest} before {generation}");
                newest = generation;
                let decisions = decisions(&answer);
                assert_eq!(decisions.len(), 800);
                // Generation 1 allows a, the next one b, and so on.
                let of_a = generation % 2 == 1;
                assert!(decisions.chunks(2).all(|pair| pair == [of_a, !of_a]), "generation {generation}");
            }
            newest
        };
        let readers = [scope.spawn(ask), scope.spawn(ask)];
        for generation in 2..30_u64 {
            fs::write(dir.path().join("p.rune"), text(if generation % 2 == 1 { "a" } else { "b" })).unwrap();
            server.status_when("the edit is in force", |status| status["generation"] == generation);
        }
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(1 < reader.join().unwrap(), "the readers saw the edits");
        }
    });
}

#[test]
fn a_batch_that_arrives_slowly_holds_up_nobody_and_one_that_breaks_off_is_forgotten() {
    let (_dir, server) = serve(OPEN);
    let body = batch(100, "");
    let (first, rest) = body.split_at(20);
    let head = "POST /access/v1/evaluations HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let mut slow: Vec<Client> = (0..64).map(|_| server.client()).collect();
    for client in &mut slow {
        client.send(format!("{head}content-length: {}\r\n\r\n{}", body.len(), first).as_bytes());
    }
    assert_eq!(decisions(&server.client().post(EVALUATIONS, &body)).len(), 100);
    let mut last = slow.pop().unwrap();
    drop(slow);
    for part in rest.as_bytes().chunks(100) {
        last.send(part);
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(decisions(&last.receive()).len(), 100);
}

#[test]
fn no_version_yet_is_unavailable_for_batches_too() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(RUNE, dir.path(), &["--wait", "--public-url", "https://pdp.example.com"]);
    let client = &mut server.client();
    assert_eq!(client.post(EVALUATIONS, &batch(1, "")).status, 503);
    assert_eq!(client.get("/.well-known/authzen-configuration").status, 200, "where it is, it knows already");
}
