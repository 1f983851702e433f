//! What the server says of itself: where it is, and which endpoints it has. All of it comes from how it was started; what a
//! request says of the server proves nothing.

use std::future::ready;

use axum::{Router, http::header, routing::get};
use serde_json::json;

use crate::serve::{
    PublicUrl,
    http::{App, Fault, answer},
    limits,
};

use super::{EVALUATION, EVALUATIONS};

const WELL_KNOWN: &str = "/.well-known/authzen-configuration";

const HOW_TO: &str =
    "there is no metadata: start the server with `--public-url https://…`, the URL by which clients know it";

/// `GET /.well-known/authzen-configuration`, with the path of the public URL behind it.
pub(super) fn routes(public: Option<&PublicUrl>) -> Router<App> {
    let Some(public) = public else {
        return Router::new().route(WELL_KNOWN, get(async || Fault::not_found(HOW_TO)));
    };
    let document = json!({
        "policy_decision_point": public.to_string(),
        "access_evaluation_endpoint": format!("{public}{EVALUATION}"),
        "access_evaluations_endpoint": format!("{public}{EVALUATIONS}"),
    });
    let max_age = format!("max-age={}", limits::METADATA_AGE_MAX.as_secs());
    let metadata = move || ready(([(header::CACHE_CONTROL, max_age.clone())], answer(&document)));
    Router::new().route(&format!("{WELL_KNOWN}{}", public.path()), get(metadata))
}
