//! The HTTP side: the route table and the order of the middleware.
//!
//! One file for each noun below. Handlers extract, make one call, and reply; every answer that is not
//! a success is a `Problem`, told as JSON or as a page. axum and multer are used
//! nowhere else.

use std::sync::Arc;

mod charts;
mod cities;
pub mod form;
mod negotiate;
mod ops;
mod pages;
mod problem;
mod registrations;
mod reports;
mod staff;
pub mod state;
mod tell;

use std::time::Duration;

pub use axum::Router;
use axum::{
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::from_fn,
    response::IntoResponse as _,
    routing::{get, post},
};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    csrf::CsrfLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    timeout::{RequestBodyTimeoutLayer, TimeoutLayer},
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

use self::staff::BearerToken;
use crate::{foundation::telemetry::Metrics, http::state::AppState};

/// How long an answer that is not streamed may take.
const ANSWER: Duration = Duration::from_secs(30);

/// How long the next piece of an upload may take: a phone that lost its network is let go.
const UPLOAD_PAUSE: Duration = Duration::from_mins(1);

/// Nothing but this origin's own files; no script or style inside a page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'self'; \
     script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The same for `/docs`, whose library styles its page from within.
const DOCS_SECURITY_POLICY: &str = "default-src 'none'; img-src 'self' data:; \
     style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

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

/// The documented routes: those under a deadline, and those that stream or take uploads.
fn api() -> (OpenApiRouter<Arc<AppState>>, OpenApiRouter<Arc<AppState>>) {
    let quick = OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(routes!(registrations::show))
        .routes(routes!(registrations::photo))
        .routes(routes!(charts::png))
        .routes(routes!(charts::svg))
        .routes(routes!(charts::totals))
        .routes(routes!(cities::search))
        .routes(routes!(ops::livez))
        .routes(routes!(ops::readyz));
    let slow = OpenApiRouter::new()
        .routes(routes!(registrations::create))
        .routes(routes!(reports::xlsx))
        .routes(routes!(reports::csv));
    (quick, slow)
}

/// The interface as `OpenAPI` 3.1, made from the handlers.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (quick, slow) = api();
    let mut document = quick.into_openapi();
    document.merge(slow.into_openapi());
    document
}

/// The public router.
pub fn router(app: Arc<AppState>) -> Router {
    let (quick, slow) = api();
    let pages = Router::new()
        .route("/", get(pages::form))
        .route("/registrations", get(registrations::reopened))
        .route("/staff", get(staff::dashboard))
        .route(
            "/staff/sign-in",
            get(staff::sign_in_page).post(staff::sign_in),
        )
        .route("/staff/sign-out", post(staff::sign_out))
        .route("/assets/{name}", get(pages::asset))
        .layer(CompressionLayer::new());
    let docs = Router::new()
        .merge(SwaggerUi::new("/docs").url("/openapi.json", openapi()))
        .layer(SetResponseHeaderLayer::overriding(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(DOCS_SECURITY_POLICY),
        ));
    let quick = quick
        .split_for_parts()
        .0
        .merge(pages)
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            ANSWER,
        ));
    // Not read to its end by any handler but the form's, which has bounds of its own.
    let slow = slow
        .split_for_parts()
        .0
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyTimeoutLayer::new(UPLOAD_PAUSE));
    let served_by =
        HeaderValue::from_str(&app.instance).unwrap_or_else(|_| HeaderValue::from_static("?"));
    let secure = |name: HeaderName, value| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };

    // Behind a proxy that rewrites Host, the address that people type is still this site.
    let csrf = CsrfLayer::new();
    let csrf = csrf
        .clone()
        .add_trusted_origin(app.origin.to_string())
        .unwrap_or(csrf);

    // From the outside in. One stack, because each call of `Router::layer` wraps every route anew.
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
        .layer(from_fn(tell::tell))
        .layer(CatchPanicLayer::custom(problem::from_panic))
        .layer(csrf);
    quick
        .merge(slow)
        .merge(docs)
        .fallback(async || problem::Problem::of(StatusCode::NOT_FOUND).into_response())
        .layer(layers)
        .with_state(app)
}

/// The router of the second listener.
pub fn ops_router(app: Arc<AppState>, metrics: &'static Metrics) -> Router {
    Router::new().route(
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
    )
}
