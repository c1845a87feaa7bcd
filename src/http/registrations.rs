//! `POST /registrations` (idempotent under its key), the proof that a registration exists, and its photo.

use std::{
    num::NonZero,
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use axum::{
    Json,
    body::HttpBody as _,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::{
    app::intake::Registered,
    domain::city::City,
    domain::photo::{self, Photo, PhotoError},
    domain::registration::{
        Fault, IdempotencyKey, NewRegistration, RawText, Reference, Registration, StoredPhoto,
    },
    foundation::clock::now,
    foundation::telemetry::AUDIT,
    http::state::AppState,
    http::{
        form::{self, FormError, ReadForm},
        limits::Source,
        memory::Held,
        negotiate::{Language, lang_of, wants_page},
        pages,
        peer::Peer,
        problem::{Kind, Problem, RETRY_AFTER},
        staff::Staff,
        tell::ProblemBody,
    },
};

/// Timeout of storing photo and record once the form is read. The work goes on after it; a retry with the same
/// idempotency key gets its result.
const INTAKE: Duration = Duration::from_secs(30);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
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
        (status = 200, description = "Registered before, under the same key and with the same content", body = RegisteredBody, headers(("Idempotent-Replayed" = String))),
        (status = 303, description = "To the confirmation page, for a browser"),
        (status = 400, description = "`malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: from another site", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "`timeout`: the upload came too slowly or took too long", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`idempotency-key-reused` or `already-registered`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`too-large`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`invalid`, with every fault of every field", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "`too-many`: there were too many from this address", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = String))),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable` or `busy`; safe to retry with the same key", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = String))),
    ),
)]
pub(super) async fn create(State(app): State<Arc<AppState>>, request: Request) -> Response {
    let lang = lang_of(request.uri(), request.headers());
    let wants_page = wants_page(request.headers());
    let mut typed = pages::Typed::default();
    let _in_flight = InFlight::begin();
    match register(&app, request, &mut typed).await {
        Ok(registered) => {
            count(&registered);
            if wants_page {
                Redirect::to(&pages::confirmation(
                    registered.registration.reference,
                    lang,
                ))
                .into_response()
            } else {
                created(&app, &registered)
            }
        }
        Err(problem) => {
            metrics::counter!("padron_registrations_refused_total", "reason" => problem.slug())
                .increment(1);
            if wants_page {
                pages::form_again(&app, &typed, problem, lang)
            } else {
                problem.into_response()
            }
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

/// Counts an upload in the gauge of those in flight, until it is dropped.
struct InFlight(metrics::Gauge);

impl InFlight {
    fn begin() -> Self {
        let uploads = metrics::gauge!("padron_uploads_in_flight");
        uploads.increment(1);
        Self(uploads)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

fn count(registered: &Registered) {
    let outcome = if registered.replayed {
        "replayed"
    } else {
        let photo = registered.registration.photo.as_ref();
        let bytes = photo.map_or(0, |photo| photo.bytes);
        metrics::counter!("padron_photo_bytes_total").increment(bytes);
        "accepted"
    };
    metrics::counter!("padron_registrations_total", "outcome" => outcome).increment(1);
}

async fn register(
    app: &AppState,
    request: Request,
    typed: &mut pages::Typed,
) -> Result<Registered, Problem> {
    let (parts, body) = request.into_parts();
    let from = parts.extensions.get::<Source>().map(|source| source.0);
    let peer = parts.extensions.get::<Arc<Peer>>().cloned();
    let held = app.uploads.begin(from, peer);
    let held = Arc::new(held.ok_or(Problem::new(Kind::TooMany(RETRY_AFTER.into())))?);
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.map_or(&b""[..], HeaderValue::as_bytes);
    let announced = body.size_hint().exact();
    let mut read = ReadForm::default();
    let body = body.into_data_stream();
    let reading = form::read(content_type, announced, body, held.clone(), &mut read).await;
    typed.keep(&read.form);
    reading?;
    let ReadForm { mut form, photo } = read;
    let field = form.idempotency_key.take();
    form.idempotency_key = one_key(&parts.headers, field)?;
    form.photo = clean(photo, held.clone()).await?;
    let new = NewRegistration::parse(form, &app.cities).map_err(Problem::invalid)?;
    // The memory budget is given back when the work is done, not when the client disconnects or the timeout is over.
    let registering = app.intake.register(new, now(), held);
    let registered = tokio::time::timeout(INTAKE, registering).await;
    Ok(registered.map_err(|_| Problem::new(Kind::Unavailable))??)
}

/// The one idempotency key of a request, from headers or form; two that differ are the client's error.
fn one_key(headers: &HeaderMap, field: RawText) -> Result<RawText, Problem> {
    let in_headers = headers.get_all(IDEMPOTENCY_KEY).iter().map(|value| {
        let text = value.to_str().map_err(|_| Fault::Format);
        ("another header Idempotency-Key", text.map(str::to_owned))
    });
    let in_form = field.map(|text| ("the field idempotency_key", text));
    let blank =
        |text: &Result<String, Fault>| text.as_deref().is_ok_and(|text| text.trim().is_empty());
    let parsed = |text: &Result<String, Fault>| IdempotencyKey::parse(text.as_deref().ok()?).ok();
    let mut keys = in_headers.chain(in_form).filter(|(_, text)| !blank(text));
    let Some((_, key)) = keys.next() else {
        return Ok(None);
    };
    for (place, other) in keys {
        let same = other == key || parsed(&key).is_some_and(|key| parsed(&other) == Some(key));
        if !same {
            return Err(Problem::new(Kind::Malformed).detail(format!(
                "the header Idempotency-Key and {place} differ; send one key"
            )));
        }
    }
    Ok(Some(key))
}

/// Cleans a photo on the blocking pool. The memory `held` for the upload is given back when that work ends, even if the
/// client has disconnected.
async fn clean(
    photo: Option<Result<Vec<u8>, PhotoError>>,
    held: Arc<Held>,
) -> Result<Option<Result<Photo, PhotoError>>, Problem> {
    match photo {
        Some(Ok(bytes)) => {
            let cleaning = in_turn(&TURNS, move |is_wanted: &dyn Fn() -> bool| {
                let photo = photo::clean_while(&bytes, is_wanted);
                // In this order: the bytes are freed before their part of the budget is given back.
                drop(bytes);
                drop(held);
                photo
            });
            Ok(Some(cleaning.await?))
        }
        Some(Err(error)) => Ok(Some(Err(error))),
        None => Ok(None),
    }
}

/// Concurrency limit of CPU-bound work: one permit less than there are cores, so that one stays free for all else.
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    Arc::new(Semaphore::new(processors.saturating_sub(1).max(1)))
});

/// Runs CPU-bound `work` on the blocking pool, once it has a permit. It is handed a check whether somebody still
/// waits for it, because work on that pool cannot be cancelled from outside.
async fn in_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
) -> Result<T, Problem> {
    let turn = turns.clone().acquire_owned().await;
    let turn = turn.map_err(|_| Problem::new(Kind::Internal))?;
    let waiting = Arc::new(());
    let heard = Arc::downgrade(&waiting);
    let working = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work(&|| heard.strong_count() > 0)
    });
    let done = working.await.map_err(|_| Problem::new(Kind::Internal));
    drop(waiting);
    done
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

impl From<FormError> for Problem {
    fn from(error: FormError) -> Self {
        let kind = match error {
            FormError::NotMultipart => Kind::UnsupportedMedia,
            FormError::Malformed
            | FormError::LongHead
            | FormError::Duplicate(_)
            | FormError::Unknown => Kind::Malformed,
            FormError::TooLarge(_) | FormError::LongBody => Kind::TooLarge,
            FormError::Busy => Kind::Busy,
            FormError::Timeout => Kind::Timeout,
        };
        Self::new(kind).detail(error.to_string())
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_ends_when_nobody_waits_for_it() {
        let (begin, start) = mpsc::channel();
        let (finish, end) = mpsc::channel();
        let working = tokio::spawn(async move {
            let turns = Arc::new(Semaphore::new(1));
            in_turn(&turns, move |is_wanted| {
                begin.send(is_wanted()).ok();
                while is_wanted() {
                    thread::yield_now();
                }
                finish.send(()).ok();
            })
            .await
        });
        let wait = tokio::task::spawn_blocking(move || start.recv());
        assert_eq!(wait.await.expect("waits"), Ok(true));
        working.abort();
        let wait = tokio::task::spawn_blocking(move || end.recv());
        assert_eq!(wait.await.expect("waits"), Ok(()));
    }

    #[tokio::test]
    async fn work_waits_for_its_turn_and_gives_it_back() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = turns.clone().try_acquire_owned().expect("free");
        let mut working = Box::pin(in_turn(&turns, |_| 7));
        assert!(futures::poll!(&mut working).is_pending());
        drop(turn);
        assert_eq!(working.await.ok(), Some(7));
        assert_eq!(turns.available_permits(), 1);
    }
}
