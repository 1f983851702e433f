//! Explanations, for those who may see facts and policies: one at a time, on threads that are made for what takes long.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use rune_core::{Request, Snapshot};
use serde_json::{Value as Json, json};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::serve::{
    http::Fault,
    limits,
    tokens::{Scope, Tokens},
};

use super::decision_json;

/// The header that asks for an explanation.
const HEADER: &str = "rune-explain";

/// Who may ask for explanations, and how many are made at one time.
#[derive(Debug)]
pub(in super::super) struct Explainer {
    tokens: Tokens,
    places: Arc<Semaphore>,
}

impl Explainer {
    pub(in super::super) fn new(tokens: Tokens) -> Self {
        Self { tokens, places: Arc::new(Semaphore::new(limits::EXPLANATIONS_MAX)) }
    }

    /// Whether a request asks for an explanation, which it must be allowed to.
    pub(super) fn is_asked(&self, headers: &HeaderMap) -> Result<bool, Fault> {
        match headers.get(HEADER).map(HeaderValue::as_bytes) {
            None | Some(b"false") => Ok(false),
            Some(b"true") => self.tokens.check(headers, Scope::Inspect).map(|()| true),
            Some(_) => Err(Fault::bad_request(format!("`{HEADER}` is `true` or `false`"))),
        }
    }

    /// The answer to a request, with the explanation in its context.
    pub(super) async fn explain(&self, snapshot: Snapshot, request: Request) -> Result<Json, Fault> {
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| Fault::unavailable("other explanations are being made: ask again"))?;
        let explained = spawn_blocking(move || {
            let explanation = snapshot.explain(&request);
            let mut answer = decision_json(&explanation.decision);
            if let Json::Object(members) = &mut answer {
                let context = members.entry("context").or_insert_with(|| json!({}));
                if let Json::Object(context) = context {
                    context.insert("explanation".to_owned(), json!(explanation));
                }
            }
            // As long as there is an explanation, it has its place.
            drop(place);
            answer
        });
        explained.await.map_err(|_| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "the explanation failed"))
    }
}
