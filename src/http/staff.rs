//! Staff: authentication of requests, and sign-in and sign-out of a browser.
//!
//! A request is authenticated by the admin token (`Authorization: Bearer`) or a session cookie, which
//! `app::access` verifies.

use std::sync::Arc;

use axum::{
    Form,
    extract::{FromRequestParts, Query, State},
    http::{HeaderMap, HeaderValue, Uri, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::{
    foundation::clock::now,
    foundation::lang::Lang,
    http::state::AppState,
    http::{
        negotiate::{Language, lang_of, wants_page},
        pages,
        problem::{Kind, Problem},
    },
    store::StoreError,
};

const DASHBOARD: &str = "/staff";
const SIGN_IN: &str = "/staff/sign-in";

/// The extractor that lets only authenticated staff through.
pub(super) struct Staff {
    /// Who, for the audit line.
    pub(super) actor: String,
}

/// The rejection of an unauthenticated request: 401, or for a browser a redirect to the sign-in page.
pub(super) enum NotStaff {
    SignIn(Redirect),
    Problem(Problem),
}

impl IntoResponse for NotStaff {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn(redirect) => redirect.into_response(),
            Self::Problem(problem) => {
                let mut response = problem.into_response();
                let challenge = HeaderValue::from_static("Bearer realm=\"padron staff\"");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, challenge);
                response
            }
        }
    }
}

impl FromRequestParts<Arc<AppState>> for Staff {
    type Rejection = NotStaff;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, NotStaff> {
        match actor(app, &parts.headers, now()).await {
            Ok(Some(actor)) => Ok(Self { actor }),
            Ok(None) if wants_page(&parts.headers) => {
                let lang = lang_of(&parts.uri, &parts.headers);
                Err(NotStaff::SignIn(Redirect::to(&sign_in_for(
                    &parts.uri, lang,
                ))))
            }
            Ok(None) => Err(NotStaff::Problem(
                Problem::new(Kind::Unauthorized)
                    .detail("send Authorization: Bearer TOKEN, or sign in at /staff"),
            )),
            Err(error) => Err(NotStaff::Problem(error.into())),
        }
    }
}

async fn actor(
    app: &AppState,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if let Some((_, token)) = bearer {
        return Ok(app.access.by_token(token));
    }
    match CookieJar::from_headers(headers).get(cookie_name(app)) {
        Some(cookie) => app.access.by_session(cookie.value(), now).await,
        None => Ok(None),
    }
}

fn cookie_name(app: &AppState) -> &'static str {
    if app.origin.is_https() {
        "__Host-padron"
    } else {
        "padron"
    }
}

fn cookie(app: &AppState, value: String) -> Cookie<'static> {
    Cookie::build((cookie_name(app), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        // A `Secure` cookie would not come back over plain HTTP.
        .secure(app.origin.is_https())
        .build()
}

/// The sign-in page that redirects to what was asked for; without `next` it redirects to the dashboard.
fn sign_in_for(asked: &Uri, lang: Lang) -> String {
    let page = page_in(SIGN_IN, lang);
    match asked.path_and_query() {
        Some(next) if next.path() != DASHBOARD => {
            let next = utf8_percent_encode(next.as_str(), NON_ALPHANUMERIC);
            format!("{page}&next={next}")
        }
        _ => page,
    }
}

/// Whether it is an address of this origin, and nothing that a browser could read as another's: no open
/// redirect from a link to the sign-in page.
fn is_local(address: &str) -> bool {
    address.starts_with('/')
        && !address.starts_with("//")
        && !address.contains(|c: char| c == '\\' || c.is_control())
}

/// `?code=` of the link that the first start prints, and `?next=` of an address that asked for a
/// session.
#[derive(Deserialize)]
pub(super) struct SignInQuery {
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

/// The sign-in page.
pub(super) async fn sign_in_page(
    State(app): State<Arc<AppState>>,
    jar: CookieJar,
    Query(query): Query<SignInQuery>,
    Language(lang): Language,
) -> Result<Response, Problem> {
    // A browser that still sends a session which is none was signed in: it is told why it must sign in again.
    let session = jar.get(cookie_name(&app)).map(Cookie::value);
    let expired = match session {
        Some(session) => app.access.by_session(session, now()).await?.is_none(),
        None => false,
    };
    Ok(if expired && query.code.is_empty() {
        pages::sign_in_again(&query.next, lang)
    } else {
        pages::sign_in(&query.code, &query.next, false, lang)
    })
}

/// What was typed on it, the admin token or the code of the link, and where to redirect.
#[derive(Deserialize)]
pub(super) struct SignIn {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// Signs a browser in.
pub(super) async fn sign_in(
    State(app): State<Arc<AppState>>,
    jar: CookieJar,
    Language(lang): Language,
    Form(typed): Form<SignIn>,
) -> Result<Response, Problem> {
    let Some(session) = app.access.sign_in(&typed.token, now()).await? else {
        return Ok(pages::sign_in("", &typed.next, true, lang));
    };
    let jar = jar.add(cookie(&app, session));
    let to = if pages::is_report(&typed.next) {
        // A download opens no page: the dashboard starts it.
        let report = utf8_percent_encode(&typed.next, NON_ALPHANUMERIC);
        format!("{}&download={report}", page_in(DASHBOARD, lang))
    } else if is_local(&typed.next) {
        typed.next
    } else {
        page_in(DASHBOARD, lang)
    };
    Ok((jar, Redirect::to(&to)).into_response())
}

/// Signs a browser out: its session ends on every replica.
pub(super) async fn sign_out(
    State(app): State<Arc<AppState>>,
    jar: CookieJar,
    Language(lang): Language,
) -> Result<Response, Problem> {
    if let Some(session) = jar.get(cookie_name(&app)) {
        app.access.sign_out(session.value(), now()).await?;
    }
    let jar = jar.remove(cookie(&app, String::new()));
    Ok((jar, Redirect::to(&page_in(SIGN_IN, lang))).into_response())
}

fn page_in(path: &str, lang: Lang) -> String {
    format!("{path}?lang={}", lang.code())
}

/// Adds the bearer token to the interface's description.
pub(super) struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}
