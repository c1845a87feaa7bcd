//! One upload: the form read and its photo cleaned, within the memory budget; and what becomes of it.
//!
//! A leaf: the handlers of registrations and of drafts call it.

use std::{
    net::IpAddr,
    num::NonZero,
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use axum::{
    body::HttpBody as _,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};
use tokio::sync::Semaphore;

use crate::{
    app::intake::Registered,
    domain::photo::{self, Photo, PhotoError},
    domain::registration::{Fault, IdempotencyKey, NewRegistration, RawText, RegistrationForm},
    foundation::clock::now,
    http::state::AppState,
    http::{
        form::{self, Asked, COPIES, FormError, ReadForm},
        limits::Source,
        memory::Held,
        peer::Peer,
        problem::{Kind, Problem, RETRY_AFTER},
    },
};

/// Timeout of storing photo and record once the form is read. The work goes on after it; a retry with the same
/// idempotency key gets its result.
const INTAKE: Duration = Duration::from_secs(30);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Counts an upload in the gauge of those in flight, until it is dropped.
pub(super) struct InFlight(metrics::Gauge);

impl InFlight {
    pub(super) fn begin() -> Self {
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

/// What has come of an upload.
#[derive(Default)]
pub(super) struct Received {
    /// The form, its photo cleaned.
    pub(super) form: RegistrationForm,
    /// What a page asks for beside it.
    pub(super) asked: Asked,
    /// Who sends it.
    pub(super) from: Option<IpAddr>,
    /// Its share of the memory budget.
    pub(super) held: Option<Arc<Held>>,
}

/// Reads an upload into `received`, which has the fields before the trouble when it fails.
pub(super) async fn receive(
    app: &AppState,
    request: Request,
    received: &mut Received,
) -> Result<(), Problem> {
    let (parts, body) = request.into_parts();
    received.from = parts.extensions.get::<Source>().map(|source| source.0);
    let peer = parts.extensions.get::<Arc<Peer>>().cloned();
    let held = begin(app, received.from, peer)?;
    received.held = Some(held.clone());
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.map_or(&b""[..], HeaderValue::as_bytes);
    let announced = body.size_hint().exact();
    let mut read = ReadForm::default();
    let body = body.into_data_stream();
    let reading = form::read(content_type, announced, body, held.clone(), &mut read).await;
    let ReadForm { form, photo, asked } = read;
    (received.form, received.asked) = (form, asked);
    reading?;
    let field = received.form.idempotency_key.clone();
    received.form.idempotency_key = one_key(&parts.headers, field)?;
    received.form.photo = clean(photo, held).await?;
    Ok(())
}

/// Begins an upload within the memory budget, or something that needs as much.
pub(super) fn begin(
    app: &AppState,
    from: Option<IpAddr>,
    peer: Option<Arc<Peer>>,
) -> Result<Arc<Held>, Problem> {
    let held = app.uploads.begin(from, peer).map(Arc::new);
    held.ok_or(Problem::new(Kind::TooMany(RETRY_AFTER.into())))
}

/// Takes room in the memory budget for `bytes` that are not received but fetched.
pub(super) fn take(held: &Held, bytes: u64) -> Result<(), Problem> {
    let bytes = usize::try_from(bytes).map_err(|_| Problem::new(Kind::Internal))?;
    let taken = held.take(bytes * COPIES, tokio::time::Instant::now());
    taken.map_err(|_| Problem::new(Kind::Busy))
}

/// Registers whom a form names.
pub(super) async fn register(
    app: &AppState,
    form: RegistrationForm,
    held: Option<Arc<Held>>,
) -> Result<Registered, Problem> {
    let new = NewRegistration::parse(form, &app.cities).map_err(Problem::invalid)?;
    // The memory budget is given back when the work is done, not when the client disconnects or the timeout is over.
    let registering = app.intake.register(new, now(), held);
    let registered = tokio::time::timeout(INTAKE, registering).await;
    let registered = registered.map_err(|_| Problem::new(Kind::Unavailable))??;
    count(&registered);
    Ok(registered)
}

/// Counts a form that registered nobody.
pub(super) fn refused(problem: &Problem) {
    metrics::counter!("padron_registrations_refused_total", "reason" => problem.slug())
        .increment(1);
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
pub(super) async fn clean(
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
