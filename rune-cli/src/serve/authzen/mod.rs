//! OpenID AuthZEN, Authorization API 1.0: requests to ours, decisions to theirs.
//!
//! ```text
//!   subject, resource   { type, id, properties? }   type::"id", attributes that the request supplies
//!   action              { name, properties? }       Action::"name", context.action
//!   context             { … }                       context
//! ```
//!
//! What the specification does not name is ignored; what it names and is of another JSON type is a bad request.

mod batch;
mod explanation;
mod metadata;
mod request;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::Response,
    routing::post,
};
pub(super) use explanation::Explainer;
use rune_core::{Decision, Generation, Why, base::Version};
use serde_json::{Value as Json, json};
use tokio::{task::yield_now, time::Instant};

use self::{batch::Batch, request::Evaluation};

use super::{
    PublicUrl,
    http::{App, Fault, JsonBody, answer},
    limits,
};

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";

/// The endpoints, also below the path of the public URL: a proxy may leave it on.
pub(super) fn routes(public: Option<&PublicUrl>) -> Router<App> {
    let below = public.map(PublicUrl::path).filter(|path| !path.is_empty());
    let routes = metadata::routes(public);
    [Some(""), below].into_iter().flatten().fold(routes, |routes, path| {
        routes
            .route(&format!("{path}{EVALUATION}"), post(evaluation))
            .route(&format!("{path}{EVALUATIONS}"), post(evaluations))
    })
}

/// `POST /access/v1/evaluation`.
async fn evaluation(
    State(served): State<App>,
    Extension(explainer): Extension<Arc<Explainer>>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Fault> {
    let is_explained = explainer.is_asked(&headers)?;
    let engine = served.engine().ok_or_else(Fault::not_ready)?;
    let request = Evaluation::of(&body, "the body")?.request()?;
    if is_explained {
        let snapshot = engine.snapshot();
        let lineup = snapshot.lineup().clone();
        let answer = explainer.explain(snapshot, request).await?;
        return Ok(decided(&answer, lineup.generation(), lineup.stable().version()));
    }
    let decision = engine.decide(&request);
    Ok(decided(&decision_json(&decision), decision.generation, decision.version))
}

/// `POST /access/v1/evaluations`: all of a batch is decided by one lineup at one revision.
async fn evaluations(
    served: State<App>,
    explainer: Extension<Arc<Explainer>>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Fault> {
    let snapshot = served.engine().ok_or_else(Fault::not_ready)?.snapshot();
    let Some(batch) = Batch::of(&body)? else { return evaluation(served, explainer, headers, JsonBody(body)).await };
    if explainer.is_asked(&headers)? {
        return Err(Fault::bad_request(format!("explanations are made one at a time: ask {EVALUATION} for them")));
    }
    let start = Instant::now();
    let mut turn = start;
    let mut answers = Vec::new();
    for answer in batch.answers(&snapshot) {
        answers.push(answer);
        if limits::BATCH_TIME_MAX < start.elapsed() {
            let seconds = limits::BATCH_TIME_MAX.as_secs();
            let message = format!("the evaluations took longer than {seconds} seconds: ask fewer at a time");
            return Err(Fault::unavailable(message));
        }
        if limits::BATCH_TURN_MAX < turn.elapsed() {
            yield_now().await;
            turn = Instant::now();
        }
    }
    let lineup = snapshot.lineup();
    Ok(decided(&json!({ "evaluations": answers }), lineup.generation(), lineup.stable().version()))
}

/// An answer, with what it was decided by.
fn decided(json: &Json, generation: Generation, version: Version) -> Response {
    let mut response = answer(json);
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("rune-generation"), generation.get().into());
    if let Ok(version) = HeaderValue::from_str(&version.to_string()) {
        headers.insert(HeaderName::from_static("rune-version"), version);
    }
    response
}

/// Nothing but the decision, unless it could not be made.
fn decision_json(decision: &Decision) -> Json {
    match &decision.why {
        Why::Error(message) => undecided(&Fault::bad_request(message)),
        _ => json!({ "decision": decision.is_allowed() }),
    }
}

/// The answer to what cannot be decided: a denial, and why.
fn undecided(fault: &Fault) -> Json {
    json!({ "decision": false, "context": { "error": fault.json() } })
}
