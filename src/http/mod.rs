//! HTTP: the route table and the order of the middleware.
//!
//! Built and served by [`server`](crate::server). One file for each noun below. Handlers extract, make one call, and
//! reply; every answer that is not a success is a `Problem`, rendered as JSON or as a page. It never decides what may
//! be stored. axum and multer are used nowhere else.

use std::sync::Arc;

mod charts;
mod cities;
mod dashboard;
mod drafts;
pub mod form;
pub mod limits;
pub mod memory;
mod negotiate;
mod ops;
mod pages;
mod parts;
pub mod peer;
mod problem;
mod registrations;
mod reports;
mod staff;
pub mod state;
mod tell;
mod upload;

use std::time::Duration;

pub use axum::Router;
use axum::{
    Json,
    extract::DefaultBodyLimit,
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header},
    middleware::{from_fn, from_fn_with_state},
    response::IntoResponse as _,
    routing::{get, post},
};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{Predicate as _, SizeAbove},
    },
    csrf::CsrfLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::staff::BearerToken;
use crate::{foundation::telemetry::Metrics, http::state::AppState};

/// Request timeout of every route that neither streams nor takes an upload.
const ANSWER: Duration = Duration::from_secs(30);

/// Body limit of every route but registrations: a token, a code, an address.
const MAX_SMALL_BODY: usize = 4 * 1024;

/// Size below which nothing is compressed.
const SMALL: u64 = 256;

/// Only this origin's own files; no inline script or style.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'self'; \
     script-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The description of the interface; the paths come from the handlers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "padron",
        description = "Registers people for vaccination. Every answer carries `X-Request-Id` and `X-Served-By`; \
                       every answer that is not a success is `application/problem+json`.",
    ),
    modifiers(&BearerToken),
    tags(
        (name = "public", description = "For everybody"),
        (name = "staff", description = "`Authorization: Bearer` or a signed-in browser"),
    )
)]
struct ApiDoc;

/// The documented routes: those with a request timeout, those that stream, and the one that takes uploads.
fn api() -> [OpenApiRouter<Arc<AppState>>; 3] {
    let quick = OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(routes!(registrations::show))
        .routes(routes!(registrations::photo))
        .routes(routes!(charts::png))
        .routes(routes!(charts::svg))
        .routes(routes!(charts::totals))
        .routes(routes!(cities::search))
        .routes(routes!(ops::livez))
        .routes(routes!(ops::readyz));
    let streams = OpenApiRouter::new()
        .routes(routes!(reports::xlsx))
        .routes(routes!(reports::csv));
    let uploads = OpenApiRouter::new().routes(routes!(registrations::create));
    [quick, streams, uploads]
}

/// The interface as `OpenAPI` 3.1, made from the handlers.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let [quick, streams, uploads] = api();
    let mut document = quick.into_openapi();
    document.merge(uploads.into_openapi());
    document.merge(streams.into_openapi());
    document
}

/// The public router.
pub fn router(app: Arc<AppState>) -> Router {
    let [quick, streams, uploads] = api().map(|routes| routes.split_for_parts().0);
    let pages = Router::new()
        .route("/", get(drafts::first))
        .route("/drafts/{id}", get(drafts::form).post(drafts::post))
        .route("/drafts/{id}/check", get(drafts::check))
        .route("/drafts/{id}/preview", get(drafts::preview))
        .route("/registrations", get(registrations::reopened))
        .route("/staff", get(dashboard::dashboard))
        .route(
            "/staff/sign-in",
            get(staff::sign_in_page).post(staff::sign_in),
        )
        .route("/staff/sign-out", post(staff::sign_out))
        .route("/assets/{name}", get(pages::asset))
        .route("/docs", get(pages::docs))
        .route("/docs/", get(pages::docs))
        .route("/openapi.json", get(async || Json(pages::document())))
        .layer(CompressionLayer::new());
    // Pictures are compressed already, and a chart's ETag is of its bytes.
    let texts = CompressionLayer::new().compress_when(SizeAbove::new(SMALL).and(is_text));
    let quick = quick.layer(texts);
    let quick = quick.merge(pages).layer(TimeoutLayer::with_status_code(
        StatusCode::SERVICE_UNAVAILABLE,
        ANSWER,
    ));
    let small = quick
        .merge(streams)
        .layer(from_fn(peer::whole))
        .layer(RequestBodyLimitLayer::new(MAX_SMALL_BODY));
    // The form's reader has body limits and a timeout of its own.
    let uploads = uploads.layer(DefaultBodyLimit::disable());
    let served_by =
        HeaderValue::from_str(&app.instance).unwrap_or_else(|_| HeaderValue::from_static("?"));
    let secure = |name: HeaderName, value| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };

    // Behind a reverse proxy that rewrites Host, the public URL is still the same origin.
    let csrf = CsrfLayer::new();
    let csrf = csrf
        .clone()
        .add_trusted_origin(app.origin.to_string())
        .unwrap_or(csrf);

    // Outermost first. One stack, because each call of `Router::layer` wraps every route anew.
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(from_fn(ops::own_request_id))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetResponseHeaderLayer::overriding(
            HeaderName::from_static("x-served-by"),
            served_by,
        ))
        .layer(secure(header::CACHE_CONTROL, "no-store"))
        .layer(secure(header::X_FRAME_OPTIONS, "DENY"))
        .layer(secure(header::REFERRER_POLICY, "same-origin"))
        .layer(secure(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(secure(
            header::CONTENT_SECURITY_POLICY,
            CONTENT_SECURITY_POLICY,
        ))
        .layer(from_fn(ops::log))
        .layer(from_fn(ops::measure))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(SMALL).and(is_problem)))
        .layer(from_fn(tell::tell))
        .layer(CatchPanicLayer::custom(problem::from_panic))
        .layer(from_fn(peer::check))
        .layer(from_fn_with_state(app.limits.clone(), limits::limit))
        .layer(csrf);
    small
        .merge(uploads)
        .fallback(async || problem::Problem::of(StatusCode::NOT_FOUND).into_response())
        .layer(layers)
        .with_state(app)
}

fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE);
    let media_type = media_type.map_or(&b""[..], HeaderValue::as_bytes);
    let texts = ["text/html", "application/json", "application/problem+json"];
    texts
        .iter()
        .any(|text| media_type.starts_with(text.as_bytes()))
}

/// An answer that is not a success repeats nothing that was asked beside a secret.
fn is_problem(
    status: StatusCode,
    version: Version,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> bool {
    extensions.get::<problem::Problem>().is_some() && is_text(status, version, headers, extensions)
}

/// The router of the ops listener: `/metrics`.
pub fn ops_router(app: Arc<AppState>, metrics: &'static Metrics) -> Router {
    let routes = Router::new().route(
        "/metrics",
        get(async move || {
            ops::upload_memory(&app);
            let text = metrics.render();
            (
                [(
                    header::CONTENT_TYPE,
                    "text/plain; version=0.0.4; charset=utf-8",
                )],
                text,
            )
        }),
    );
    routes.layer(from_fn(peer::check))
}
