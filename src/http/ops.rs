//! For operators: health probes, the access log and the metrics of every request.

use std::sync::Arc;

use std::{error::Error, time::Instant};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tracing::Instrument as _;

use crate::{
    http::problem::{Kind, Problem, X_REQUEST_ID, request_id},
    http::state::AppState,
    http::tell::ProblemBody,
};

/// Whether the process lives.
#[utoipa::path(
    get, path = "/livez", tag = "public",
    responses((status = 200, description = "It lives", body = String, content_type = "text/plain")),
)]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether this replica should be sent requests: both tiers answered in the last two seconds, and it
/// is not draining.
#[utoipa::path(
    get, path = "/readyz", tag = "public",
    responses(
        (status = 200, description = "It is ready", body = String, content_type = "text/plain"),
        (status = 503, description = "`unavailable`", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn readyz(State(app): State<Arc<AppState>>) -> Result<&'static str, Problem> {
    if app.draining.is_cancelled() {
        return Err(Problem::new(Kind::Unavailable).detail("draining"));
    }
    match app.health.fault().await {
        None => Ok("ok\n"),
        Some(fault) => Err(Problem::new(Kind::Unavailable).detail(fault)),
    }
}

/// Replaces a request id that the client sent, unless it is a UUID: anything else would be log injection.
pub(super) async fn own_request_id(mut request: Request, next: Next) -> Response {
    let id = request_id(request.extensions());
    if uuid::Uuid::parse_str(&id).is_err() {
        let id = uuid::Uuid::new_v4().to_string();
        if let Ok(value) = id.parse::<axum::http::HeaderValue>() {
            request.headers_mut().insert(X_REQUEST_ID, value.clone());
            request
                .extensions_mut()
                .insert(tower_http::request_id::RequestId::new(value));
        }
    }
    next.run(request).await
}

fn route(request: &Request) -> String {
    let matched = request.extensions().get::<MatchedPath>();
    matched.map_or("none", MatchedPath::as_str).to_owned()
}

/// The access log: one line for each request, written when the last byte of its answer is handed over or the
/// client has disconnected; the cause of a 5xx stands in it and nowhere else.
pub(super) async fn log(request: Request, next: Next) -> Response {
    let mut line = Line {
        id: request_id(request.extensions()),
        method: known_method(request.method()),
        route: route(&request),
        started: Instant::now(),
        answer: None,
        bytes: 0,
    };
    // At the highest level, so that no log filter drops the span, and with it the id, of the lines that it keeps.
    let span = tracing::error_span!("request", request_id = line.id, route = line.route);
    let response = next.run(request).instrument(span).await;
    let problem = response.extensions().get::<Problem>();
    let cause = problem.and_then(|problem| problem.cause.as_deref().map(|cause| chain(cause)));
    line.answer = Some((response.status(), cause));
    response.map(|body| {
        let bytes = |data: Option<&Bytes>| data.map_or(0, Bytes::len);
        Body::new(body.inspect_frame(move |frame| line.sent(bytes(frame.data_ref()))))
    })
}

/// The access-log line of a request; written when it is dropped.
struct Line {
    id: String,
    method: &'static str,
    route: String,
    started: Instant,
    /// Its status, and the cause of a failure.
    answer: Option<(StatusCode, Option<String>)>,
    /// Of the body, as far as it was handed over.
    bytes: u64,
}

impl Line {
    fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Self {
            id: request_id,
            method,
            route,
            bytes,
            ..
        } = self;
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Some((status, cause)) = self.answer.take() else {
            tracing::info!(%request_id, method, route, duration_ms, "request left");
            return;
        };
        let code = status.as_u16();
        if status.is_server_error() {
            let cause = cause.as_deref().unwrap_or("none given");
            tracing::error!(%request_id, method, route, status = code, duration_ms, bytes, cause, "request failed");
        } else if matches!(route.as_str(), "/livez" | "/readyz") {
            tracing::debug!(%request_id, method, route, status = code, duration_ms, bytes, "request");
        } else {
            tracing::info!(%request_id, method, route, status = code, duration_ms, bytes, "request");
        }
    }
}

fn chain(cause: &(dyn Error + 'static)) -> String {
    let mut told = vec![cause.to_string()];
    let mut next = cause.source();
    while let Some(cause) = next {
        told.push(cause.to_string());
        next = cause.source();
    }
    // An error whose message includes its source's would be logged twice.
    told.dedup_by(|inner, outer| outer.contains(inner.as_str()));
    told.join(": ")
}

/// Requests by route template, method and status.
pub(super) async fn measure(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, route) = (known_method(request.method()), route(&request));
    let response = next.run(request).await;
    let labels = [
        ("route", route),
        ("method", method.to_owned()),
        ("status", class(response.status())),
    ];
    metrics::counter!("padron_http_requests_total", &labels).increment(1);
    metrics::histogram!("padron_http_request_duration_seconds", &labels).record(started.elapsed());
    response.into_response()
}

/// Gauges of the memory budget of uploads: its size, and what is left.
#[expect(
    clippy::cast_precision_loss,
    reason = "there are no petabytes of memory"
)]
pub(super) fn upload_memory(app: &AppState) {
    let available = app.uploads.available();
    metrics::gauge!("padron_upload_memory_bytes").set(app.uploads.bytes() as f64);
    metrics::gauge!("padron_upload_memory_available_bytes").set(available as f64);
}

/// The method as a label: a client may send any, so that only known ones count (bounded cardinality of metrics).
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    }
}

fn class(status: StatusCode) -> String {
    format!("{}xx", status.as_u16() / 100)
}
