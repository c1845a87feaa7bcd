//! The operator's side: health, one log line and the metrics of every request.

use std::sync::Arc;

use std::{error::Error, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    http::problem::{Kind, Problem, X_REQUEST_ID, request_id},
    tiers::Answering,
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
        (status = 503, description = "`unavailable`", body = super::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    if app.shutdown.token.is_cancelled() {
        return Err(Problem::new(Kind::Unavailable).detail("draining"));
    }
    let ask = async { Answering::ask(&*app.store, &app.photos).await.all() };
    if app.readiness.get_with((), ask).await {
        Ok("ok\n")
    } else {
        Err(Problem::new(Kind::Unavailable).detail("the record store or the photo store is away"))
    }
}

/// A request id that a client sent could hold anything, and it goes into the log: it is replaced.
pub(super) async fn own_request_id(mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
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

/// One line for each request; the cause of a 5xx stands in it and nowhere else.
pub(super) async fn log(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let (method, route) = (known_method(request.method()), route(&request));
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let cause = response
        .extensions()
        .get::<Problem>()
        .and_then(|problem| problem.cause.clone());
    let instance = &*app.instance;
    if response.status().is_server_error() {
        let cause = cause.map_or_else(|| "none given".to_owned(), |cause| chain(&*cause));
        tracing::error!(request_id = %id, instance, method, route, status, duration_ms, cause, "request failed");
    } else if matches!(route.as_str(), "/livez" | "/readyz") {
        tracing::debug!(request_id = %id, instance, method, route, status, duration_ms, "request");
    } else {
        tracing::info!(request_id = %id, instance, method, route, status, duration_ms, "request");
    }
    response
}

fn chain(cause: &(dyn Error + 'static)) -> String {
    let mut told = vec![cause.to_string()];
    let mut next = cause.source();
    while let Some(cause) = next {
        told.push(cause.to_string());
        next = cause.source();
    }
    // An error that prints its source would be told twice.
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

/// A method is the client's word: only those that the routes know are repeated.
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
