//! Error responses: problem details as JSON (RFC 9457), or a page for a browser.
//!
//! Handlers return a [`Problem`], and the middleware [`tell`] writes its body last, when the request id is known. The
//! sentences for people are those of `pages`.

use axum::{
    Json,
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

use crate::{
    domain::city::City,
    domain::registration::Field,
    foundation::lang::Lang,
    http::{
        negotiate::{is_for_staff, lang_of, wants_page},
        pages,
        problem::{Problem, request_id, retry_after},
    },
};

/// One fault of one field, as told to a program.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct FieldProblem {
    field: Field,
    /// Stable.
    #[schema(example = "ambiguous")]
    code: &'static str,
    /// What to do, in the language of `Accept-Language`.
    message: &'static str,
    /// Cities to choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suggestions: Vec<City>,
}

/// `application/problem+json` (RFC 9457).
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// Stable slug of the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "invalid")]
    slug: &'static str,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Every fault of every field at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
    /// What the key registered, only with `idempotency-key-reused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "K7QM-3XPD")]
    reference: Option<String>,
    /// Names this request in the log.
    request_id: String,
}

/// Middleware: writes the body of every error response that has none yet.
pub(super) async fn tell(request: Request, next: Next) -> Response {
    let request_id = request_id(request.extensions());
    let wants_page = wants_page(request.headers());
    let for_staff = is_for_staff(request.uri().path());
    let lang = lang_of(request.uri(), request.headers());
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let told = response.headers().contains_key(header::CONTENT_TYPE);
    let problem = response.extensions().get::<Problem>().cloned();
    if told && problem.is_some() {
        return response;
    }
    let problem = problem.unwrap_or_else(|| Problem::of(status));
    let headers = response.headers().clone();
    let mut answer = if wants_page {
        pages::problem(&problem, for_staff, lang, &request_id)
    } else {
        json(&problem, lang, request_id)
    };
    keep_headers(answer.headers_mut(), headers);
    *answer.status_mut() = status;
    answer.extensions_mut().insert(problem);
    answer
}

/// Keeps the headers that layers and extractors set, such as `Allow` or `WWW-Authenticate`.
fn keep_headers(answer: &mut HeaderMap, said: HeaderMap) {
    let mut name = None;
    for (next, value) in said {
        name = next.or(name);
        match &name {
            Some(name) if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH => {
                answer.append(name.clone(), value);
            }
            _ => {}
        }
    }
}

fn json(problem: &Problem, lang: Lang, request_id: String) -> Response {
    let (status, slug, title) = problem.kind.parts();
    let body = ProblemBody {
        slug,
        title,
        status: status.as_u16(),
        detail: problem.detail.clone(),
        errors: problem
            .errors
            .iter()
            .map(|error| FieldProblem {
                field: error.field,
                code: error.fault.code(),
                message: pages::message(lang, error),
                suggestions: error.suggestions.clone(),
            })
            .collect(),
        reference: problem.kept(),
        request_id,
    };
    let mut response = Json(body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    retry_after(problem, headers);
    response
}
