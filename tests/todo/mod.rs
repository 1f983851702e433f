//! The Todo scenario of AuthZEN, asked of the example of that name over HTTP.

use std::{fs, net::SocketAddr, path::Path};

use rune_cli::serve::Server;
use rune_core::{Watch, reload::WatchOptions};
use serde_json::{Map, Value as Json, json};

use crate::support::Client;

/// Asks every request and every batch of a file of cases, and returns how many of each there were.
pub(crate) fn run(cases: &Path, failures: &mut Vec<String>) -> [usize; 2] {
    let cases: Json = serde_json::from_slice(&fs::read(cases).expect("the cases")).expect("JSON");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies/todo");
    let (first, served) = std::sync::mpsc::channel();
    let watch = Watch::start(example, WatchOptions::default(), move |_| {
        let _ = first.send(());
    })
    .expect("a thread");
    served.recv().expect("the first look");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let server = runtime
        .block_on(Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), watch.served().clone()))
        .expect("an address");
    let mut client = Client::connect({
        let address = server.addresses()[0];
        runtime.spawn(server.run(std::future::pending()));
        address
    });
    let of = |name: &str| cases[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let (single, batches) = (of("evaluation"), of("evaluations"));
    for (path, member, cases) in [("evaluation", "decision", single), ("evaluations", "evaluations", batches)] {
        for case in cases {
            let request = with_properties(&case["request"]);
            let answer = client.post(&format!("/access/v1/{path}"), &request.to_string());
            // Of a batch all is compared, as the scenario's own runner does: nothing may stand beside a decision.
            if answer.status != 200 || answer.json()[member] != case["expected"] {
                let got = format!("{} {}", answer.status, answer.body);
                failures.push(format!("{request}: expected {}, got {got}", case["expected"]));
            }
        }
    }
    runtime.shutdown_background();
    [single.len(), batches.len()]
}

/// The first drafts put the properties of a subject or resource beside its type and id; now they have a place of their own.
fn with_properties(request: &Json) -> Json {
    let mut request = request.clone();
    for part in ["subject", "resource"] {
        let Some(members) = request[part].as_object() else { continue };
        let (own, other): (Map<_, _>, Map<_, _>) =
            members.clone().into_iter().partition(|(name, _)| ["type", "id", "properties"].contains(&name.as_str()));
        let mut entity = Json::Object(own);
        for (name, value) in other {
            let properties =
                entity.as_object_mut().expect("an object").entry("properties").or_insert_with(|| json!({}));
            properties.as_object_mut().expect("an object").insert(name, value);
        }
        request[part] = entity;
    }
    request
}
