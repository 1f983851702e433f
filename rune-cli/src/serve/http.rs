//! Routes, headers, and bodies that are JSON.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use rune_core::{
    base::limits::REQUEST_BYTES_MAX,
    reload::Served,
    syntax::{self, Node},
};
use serde_json::{Value as Json, json};
use tokio::sync::Semaphore;

use super::{Ended, PublicUrl, Tokens, authzen, limits, listen::Listeners, status};

/// What every handler can ask.
pub(super) type App = Arc<Served>;

pub(super) fn router(served: Arc<Served>, public: Option<PublicUrl>, tokens: Tokens) -> Router {
    authzen::routes(public.as_ref())
        .route("/api/v1/status", get(status::status))
        .route("/health/live", get(|| async { "live" }))
        .route("/health/ready", get(ready))
        .fallback(async || Fault::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Fault::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method: see the header `Allow`")
        })
        .layer(Extension(Arc::new(authzen::Explainer::new(tokens))))
        .layer(Extension(Arc::new(status::Counted::default())))
        .layer(middleware::from_fn_with_state(public.map(Arc::new), check_host))
        .layer(middleware::from_fn(echo_request_id))
        .with_state(served)
}

/// Refuses what a page in somebody's browser sends: a request with an `Origin` that is not the host it is sent to, and, to a
/// name that is no address, one whose `Host` is not this server's own name. Names can be made to lead anywhere (DNS
/// rebinding); a proxy in front of the server sends an address, `localhost` or the public name.
async fn check_host(State(public): State<Option<Arc<PublicUrl>>>, request: Request, next: Next) -> Response {
    // Of two, a proxy may believe the one and this server the other.
    for name in ["host", "origin", "authorization", "rune-explain"] {
        if 1 < request.headers().get_all(name).iter().count() {
            return Fault::bad_request(format!("the header `{name}` is given twice")).into_response();
        }
    }
    match stranger(request.headers(), public.as_deref()) {
        Some(message) => Fault::new(StatusCode::FORBIDDEN, message).into_response(),
        None => next.run(request).await,
    }
}

/// What is strange about where a request comes from, or is sent to.
fn stranger(headers: &HeaderMap, public: Option<&PublicUrl>) -> Option<String> {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = header(header::HOST).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_public = public.is_some_and(|public| name.eq_ignore_ascii_case(public.host()));
    if !is_address && !is_public && !name.eq_ignore_ascii_case("localhost") {
        let known = public.map_or_else(String::new, |public| format!("{}, ", public.host()));
        return Some(format!("`{host}` is not the name of this server: use {known}its address, or localhost"));
    }
    let is_own = |origin: &str| {
        public.is_some_and(|public| origin.eq_ignore_ascii_case(public.origin()))
            || !is_public && origin.split_once("://").map(|(_, of)| of) == Some(host)
    };
    header(header::ORIGIN).is_some_and(|origin| !is_own(origin)).then(|| "a request from another origin".to_owned())
}

/// Accepts connections until `stop` is ready, and then lets those that there are end.
pub(super) async fn serve(
    mut listeners: Listeners,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<Ended> {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits::HEAD_MAX);
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    tokio::pin!(stop);
    loop {
        // At the limit nothing is accepted; who comes then waits in the system's queue.
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place?,
            () = &mut stop => break,
        };
        let stream = tokio::select! {
            accepted = listeners.accept() => accepted,
            () = &mut stop => break,
        };
        let Ok(stream) = stream else {
            // A client that went away, or no descriptor: neither ends the server, nor may it spin.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // An answer is one small write; waiting to fill a packet would only delay it.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(app.clone());
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // An error ends this connection, and its client knows.
            drop(connection.await);
            drop(place);
        });
    }
    drop(listeners);
    let ended = tokio::time::timeout(limits::SHUTDOWN_MAX, connections.shutdown()).await;
    Ok(if ended.is_ok() { Ended::Answered } else { Ended::Cut })
}

/// Ready as soon as there is a version to decide by, and from then on: a refused edit leaves the last good one in force.
/// Not ready if nobody watches the folder any more.
async fn ready(State(served): State<App>) -> Response {
    let status = served.status();
    if status.lineup.is_none() {
        return Fault::not_ready().into_response();
    }
    if status.is_unwatched {
        return Fault::unavailable("the folder is no longer watched").into_response();
    }
    if status.is_refused || status.trouble.is_some() {
        return "ready; the last edit is not in force: see /api/v1/status".into_response();
    }
    "ready".into_response()
}

/// What is wrong with a request, as a status and a sentence.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    status: StatusCode,
    message: String,
}

impl Fault {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    pub(super) fn not_ready() -> Self {
        Self::unavailable("no version could be served yet")
    }

    /// As a part of an answer: `{ status, message }`, of a long message only the beginning.
    pub(super) fn json(&self) -> Json {
        let end = self.message.char_indices().nth(limits::MESSAGE_CHARS_MAX);
        let message = match end.and_then(|(end, _)| self.message.get(..end)) {
            Some(beginning) => format!("{beginning}…"),
            None => self.message.clone(),
        };
        json!({ "status": self.status.as_u16(), "message": message })
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.message).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"rune\""));
        }
        response
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
        let body = read_body(request.into_body()).await?;
        let text = std::str::from_utf8(&body).map_err(|_| Fault::bad_request("the body is not UTF-8 text"))?;
        let node =
            syntax::json::parse(text).map_err(|error| Fault::bad_request(format!("the body is not JSON: {error}")))?;
        Ok(Self(node))
    }
}

/// The whole body, of a client that keeps to the limits.
async fn read_body(body: Body) -> Result<Bytes, Fault> {
    let body = Limited::new(body, REQUEST_BYTES_MAX);
    match tokio::time::timeout(limits::BODY_MAX, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("the body is larger than {REQUEST_BYTES_MAX} bytes");
            Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, message))
        }
        Ok(Err(_)) => Err(Fault::bad_request("the body did not arrive")),
        Err(_) => Err(Fault::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
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
