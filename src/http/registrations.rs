//! `POST /registrations` (idempotent under its key), the proof that a registration exists, and its photo.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::cookie::CookieJar;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    app::intake::Registered,
    domain::city::City,
    domain::registration::{Reference, Registration, StoredPhoto},
    foundation::telemetry::AUDIT,
    http::state::AppState,
    http::{
        drafts,
        negotiate::{Language, lang_of, wants_page},
        pages,
        problem::{Kind, Problem},
        staff::Staff,
        tell::ProblemBody,
        upload::{self, InFlight, Received},
    },
};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What a client gets for a registration.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Registered)]
pub(super) struct RegisteredBody {
    /// What the citizen keeps.
    #[schema(example = "K7QM-3XPD")]
    reference: String,
    city: City,
    #[schema(value_type = String, format = DateTime)]
    registered_at: Timestamp,
    photo: Option<PhotoBody>,
}

/// The clean image as stored.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct PhotoBody {
    #[schema(example = "image/jpeg")]
    media_type: &'static str,
    bytes: u64,
    width: u32,
    height: u32,
}

impl PhotoBody {
    fn of(photo: &StoredPhoto) -> Self {
        Self {
            media_type: photo.media_type.as_str(),
            bytes: photo.bytes,
            width: photo.width,
            height: photo.height,
        }
    }
}

/// Proof that a registration exists: nothing personal.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Proof)]
pub(super) struct ProofBody {
    #[schema(example = "K7QM-3XPD")]
    reference: String,
    city: City,
    #[schema(value_type = String, format = DateTime)]
    registered_at: Timestamp,
}

/// The form, for the interface's description.
#[derive(utoipa::ToSchema)]
#[schema(as = RegistrationForm)]
#[expect(dead_code, reason = "only describes what `form` reads")]
pub(super) struct FormBody {
    /// 1 to 200 characters of any script, a visible one among them, no control characters, and no signs that turn the
    /// order of reading around. Unseen signs that a paste brings along are dropped, here and in every text below.
    name: String,
    /// DANE code, name, or `name, department`; without regard to accents and case. A word of the name, an
    /// abbreviation or one typing error is taken where it can only be one city; otherwise cities are suggested.
    city: String,
    /// JPEG, PNG or WebP, at most 10 MiB and 8000 pixels a side, at least 320 on the longer one.
    #[schema(value_type = String, format = Binary)]
    photo: Vec<u8>,
    /// `CC` (3 to 11 digits), `TI` (6 to 11), `CE` (3 to 10), `PPT` (3 to 15), `passport` (4 to 16 letters and
    /// digits) or `other` (3 to 20); in any case.
    #[schema(example = "CC", default = "CC")]
    document_type: Option<String>,
    /// As the type has it. Thousands separators are ignored, and so are leading zeros where there are no letters:
    /// a type and number is registered once.
    document_number: Option<String>,
    email: Option<String>,
    /// 8 to 128 visible ASCII characters, quoted or not; instead of the header.
    idempotency_key: Option<String>,
    /// The version of the privacy notice that the person was shown, 1 to 32 letters, digits, dots and dashes; where it
    /// is sent, so must `consent` be.
    notice: Option<String>,
    /// Anything, when the person agrees to the notice.
    #[schema(example = "yes")]
    consent: Option<String>,
}

/// Registers a person.
///
/// 201 is sent only when photo and record are on disk. Any other answer is safe to retry with the
/// same idempotency key.
#[utoipa::path(
    post, path = "/registrations", tag = "public",
    request_body(content = FormBody, content_type = "multipart/form-data"),
    params(("Idempotency-Key" = Option<String>, Header, description = "8 to 128 visible ASCII characters, bare or as a quoted string; makes a repeated request harmless")),
    responses(
        (status = 201, description = "Registered", body = RegisteredBody, headers(("Location" = String))),
        (status = 200, description = "Registered before with the same content, under the same key or another", body = RegisteredBody, headers(("Idempotent-Replayed" = String))),
        (status = 303, description = "For a browser: to the confirmation page, or to the form with what is wrong with it"),
        (status = 400, description = "`malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: from another site", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`idempotency-key-reused` or `already-registered`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`too-large`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`invalid`, with every fault of every field; or `timeout`: the upload came too slowly or took too long", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "`too-many`: there were too many from this address", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = String))),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable` or `busy`; safe to retry with the same key", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = String))),
    ),
)]
pub(super) async fn create(State(app): State<Arc<AppState>>, request: Request) -> Response {
    let lang = lang_of(request.uri(), request.headers());
    let wants_page = wants_page(request.headers());
    let jar = CookieJar::from_headers(request.headers());
    let _in_flight = InFlight::begin();
    let mut received = Received::default();
    let read = upload::receive(&app, request, &mut received).await;
    if wants_page {
        return drafts::answer(&app, jar, lang, received, read).await;
    }
    let registering = async {
        read?;
        let draft = drafts::complete(&app, &jar, &mut received).await?;
        let registered = upload::register(&app, received.form, received.held).await?;
        if let Some((key, draft)) = draft {
            drafts::forget(&app, &key, &draft, registered.registration.reference).await;
        }
        Ok(registered)
    };
    match registering.await {
        Ok(registered) => created(&app, &registered),
        Err(problem) => {
            let problem: Problem = problem;
            upload::refused(&problem);
            problem.into_response()
        }
    }
}

/// A phone that restores the tab of a sent form asks for its address with GET: it is redirected to the form.
pub(super) async fn reopened(headers: HeaderMap, Language(lang): Language) -> Response {
    if wants_page(&headers) {
        Redirect::to(&format!("/?lang={}", lang.code())).into_response()
    } else {
        let allow = [(header::ALLOW, HeaderValue::from_static("POST"))];
        (allow, Problem::new(Kind::MethodNotAllowed)).into_response()
    }
}

fn created(app: &AppState, registered: &Registered) -> Response {
    let Registration {
        reference,
        city,
        registered_at,
        photo,
        ..
    } = &registered.registration;
    let location = format!("/registrations/{reference}");
    let body = Json(RegisteredBody {
        reference: reference.to_string(),
        city: app.cities.named(*city),
        registered_at: *registered_at,
        photo: photo.as_ref().map(PhotoBody::of),
    });
    if registered.replayed {
        let replayed = (IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        ([replayed], [(header::LOCATION, location)], body).into_response()
    } else {
        (StatusCode::CREATED, [(header::LOCATION, location)], body).into_response()
    }
}

/// Proves that a registration exists.
#[utoipa::path(
    get, path = "/registrations/{reference}", tag = "public",
    params(("reference" = String, Path, description = "Any case, with or without the dash")),
    responses(
        (status = 200, description = "It exists", body = ProofBody),
        (status = 404, description = "`not-found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "`too-many`: there were too many from this address", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = String))),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = String))),
    ),
)]
pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    Path(reference): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let registration = find(&app, &reference).await?;
    let city = app.cities.named(registration.city);
    Ok(if wants_page(request.headers()) {
        let lang = lang_of(request.uri(), request.headers());
        pages::registered(&app, &registration, &city, lang)
    } else {
        Json(ProofBody {
            reference: registration.reference.to_string(),
            city,
            registered_at: registration.registered_at,
        })
        .into_response()
    })
}

/// The photo of a registration; every look at one is in the audit log.
#[utoipa::path(
    get, path = "/registrations/{reference}/photo", tag = "staff",
    params(("reference" = String, Path)),
    security(("token" = [])),
    responses(
        (status = 200, description = "JPEG, PNG or WebP", content_type = "image/jpeg"),
        (status = 303, description = "To the sign-in page, for a browser"),
        (status = 401, description = "`unauthorized`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`not-found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = String))),
    ),
)]
pub(super) async fn photo(
    State(app): State<Arc<AppState>>,
    staff: Staff,
    Path(reference): Path<String>,
) -> Result<Response, Problem> {
    let registration = find(&app, &reference).await?;
    let stored = registration.photo.ok_or(Problem::new(Kind::NotFound))?;
    let bytes = app.photos.open(registration.id, &stored).await?;
    tracing::info!(
        target: AUDIT,
        actor = staff.actor,
        reference = %registration.reference,
        "photo opened"
    );
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(stored.media_type.as_str()),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("inline"),
        ),
        // Whatever the image may hold, it is displayed and never runs a script (CSP sandbox).
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox"),
        ),
    ];
    Ok((headers, bytes).into_response())
}

async fn find(app: &AppState, reference: &str) -> Result<Registration, Problem> {
    let reference = Reference::parse(reference).ok_or(Problem::new(Kind::NotFound))?;
    let found = app.store.find(reference).await?;
    found.ok_or(Problem::new(Kind::NotFound))
}
