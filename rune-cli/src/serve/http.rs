//! Routes, headers, and bodies that are JSON.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{FromRequest, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt as _,
};
use rune_core::{
    base::limits,
    reload::Served,
    syntax::{Node, json},
};
use serde_json::Value as Json;
use tokio::net::TcpListener;

use super::{authzen, status};

/// What every handler can ask.
pub(super) type App = Arc<Served>;

pub(super) fn router(served: Arc<Served>) -> Router {
    Router::new()
        .route("/access/v1/evaluation", post(authzen::evaluation))
        .route("/api/v1/status", get(status::status))
        .route("/health/live", get(|| async { "live" }))
        .route("/health/ready", get(ready))
        .layer(middleware::from_fn(echo_request_id))
        .with_state(served)
}

pub(super) async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    // An answer is one small write; waiting to fill a packet would only delay it.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).with_graceful_shutdown(stop).await
}

/// Ready as soon as there is a version to decide by, and from then on: a refused edit leaves the last good one in force.
async fn ready(State(served): State<App>) -> Response {
    if served.engine().is_some() { "ready".into_response() } else { Fault::not_ready().into_response() }
}

/// What is wrong with a request, as a status and a sentence.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    message: String,
}

impl Fault {
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(super) fn not_ready() -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: "no version could be served yet".to_owned() }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status, self.message).into_response()
    }
}

/// An answer that is JSON.
pub(super) fn answer(json: &Json) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json.to_string()).into_response()
}

/// A body that is JSON. Anything else is a bad request: another content type, another encoding, no body at all.
pub(super) struct JsonBody(pub(super) Node);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let content_type =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Fault::bad_request("the content type must be application/json"));
        }
        let body: Bytes =
            axum::body::to_bytes(request.into_body(), limits::REQUEST_BYTES_MAX).await.map_err(|_| Fault {
                status: StatusCode::PAYLOAD_TOO_LARGE,
                message: format!("the body did not arrive, or is larger than {} bytes", limits::REQUEST_BYTES_MAX),
            })?;
        let text = std::str::from_utf8(&body).map_err(|_| Fault::bad_request("the body is not UTF-8 text"))?;
        let node = json::parse(text).map_err(|error| Fault::bad_request(format!("the body is not JSON: {error}")))?;
        Ok(Self(node))
    }
}

/// Sends back the `X-Request-ID` of the request, whatever the answer.
async fn echo_request_id(request: Request, next: Next) -> Response {
    const NAME: &str = "x-request-id";
    let id = request.headers().get(NAME).cloned();
    let mut response = next.run(request).await;
    if let Some(id) = id {
        response.headers_mut().insert(NAME, id);
    }
    response
}
