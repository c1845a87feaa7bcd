//! The form reader: the only place that reads multipart.
//!
//! Turns the body of `POST /registrations` into a [`RegistrationForm`] without trusting any of it:
//! fields in any order, each at most once, none unknown, each with its bound, and all of it within a
//! byte budget that every upload under way shares.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    domain::photo::{self, PhotoError},
    domain::registration::{Fault, RawText, RegistrationForm},
};

/// Most bytes of a text field; no bound of a field's characters is above it.
pub const MAX_TEXT_BYTES: u64 = 4 * 1024;

/// Most bytes of a whole body. Above the photo's bound, so that a photo somewhat too large is
/// answered with the form and what was typed, not with a cut connection.
pub const MAX_BODY_BYTES: u64 = 32 * 1024 * 1024;

/// How long a whole upload may take: 10 MiB at 280 kbit/s.
const DEADLINE: Duration = Duration::from_mins(5);

/// Bytes of memory that a byte of upload may take at once: as received, as field, and clean or sealed.
const COPIES: usize = 3;

/// Why a form cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// It is not `multipart/form-data`.
    #[error("send multipart/form-data with a boundary")]
    NotMultipart,
    /// It is not well-formed, or ended early.
    #[error("the multipart body is malformed or ended early")]
    Malformed,
    /// A field stands twice.
    #[error("field {0} stands twice")]
    Duplicate(&'static str),
    /// A field is not one of the form's.
    #[error("there is a field that the form does not have; it has {}", FIELDS.join(", "))]
    Unknown,
    /// A text field or the whole body is too long.
    #[error("{0}")]
    TooLarge(String),
    /// The uploads under way take all the memory that they may.
    #[error("too many uploads at once")]
    Busy,
    /// The body, or the next piece of it, did not come in time.
    #[error("the upload took too long")]
    Timeout,
}

const FIELDS: [&str; 7] = [
    "name",
    "city",
    "photo",
    "document_type",
    "document_number",
    "email",
    "idempotency_key",
];

/// A form as read: its texts, and the photo as it came, which is not cleaned yet.
#[derive(Default)]
pub struct ReadForm {
    /// All but the photo.
    pub form: RegistrationForm,
    /// The photo's bytes, unless it was absent or is faulty already.
    pub photo: Option<Result<Vec<u8>, PhotoError>>,
    /// What the upload holds of the budget; to be dropped after everything that was made of it.
    pub held: Held,
}

/// A share of the byte budget, growing while its upload is read.
pub type Held = Arc<Mutex<Option<OwnedSemaphorePermit>>>;

/// Reads a body whose `Content-Type` is `content_type` into `read`, taking from `budget` as it grows.
///
/// # Errors
/// [`FormError`]; `read` then has the fields before the trouble. Faults of single fields are in the
/// form, not here.
pub async fn read<S, E>(
    content_type: &str,
    body: S,
    budget: Arc<Semaphore>,
    read: &mut ReadForm,
) -> Result<(), FormError>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let boundary = multer::parse_boundary(content_type).map_err(|_| FormError::NotMultipart)?;
    let body = Budgeted {
        body,
        budget,
        held: read.held.clone(),
    };
    let limits = SizeLimit::new()
        .whole_stream(MAX_BODY_BYTES)
        .per_field(MAX_TEXT_BYTES)
        .for_field("photo", MAX_BODY_BYTES);
    let constraints = Constraints::new()
        .allowed_fields(FIELDS.to_vec())
        .size_limit(limits);
    let mut multipart = Multipart::with_constraints(body, boundary, constraints);
    let reading = async {
        while let Some(field) = multipart.next_field().await? {
            place(read, field).await?;
        }
        Ok(())
    };
    // Pauses are bounded by the router; this bounds an upload that drips.
    let reading = tokio::time::timeout(DEADLINE, reading).await;
    reading.unwrap_or(Err(FormError::Timeout))
}

async fn place(read: &mut ReadForm, field: Field<'_>) -> Result<(), FormError> {
    let form = &mut read.form;
    let (name, text) = match field.name() {
        Some("photo") => {
            if read.photo.is_some() {
                return Err(FormError::Duplicate("photo"));
            }
            read.photo = read_photo(field, &read.held).await?;
            return Ok(());
        }
        Some("name") => ("name", &mut form.name),
        Some("city") => ("city", &mut form.city),
        Some("document_type") => ("document_type", &mut form.document_type),
        Some("document_number") => ("document_number", &mut form.document_number),
        Some("email") => ("email", &mut form.email),
        Some("idempotency_key") => ("idempotency_key", &mut form.idempotency_key),
        _ => return Err(FormError::Unknown),
    };
    if text.is_some() {
        return Err(FormError::Duplicate(name));
    }
    *text = read_text(field).await?;
    Ok(())
}

async fn read_text(field: Field<'_>) -> Result<RawText, FormError> {
    let bytes = field.bytes().await?;
    let text = String::from_utf8(bytes.into()).map_err(|_| Fault::NotUtf8);
    Ok(Some(text))
}

/// A photo beyond its bound is read to its end and dropped, so that the fields behind it are known.
async fn read_photo(
    mut field: Field<'_>,
    held: &Held,
) -> Result<Option<Result<Vec<u8>, PhotoError>>, FormError> {
    let unnamed = field.file_name().is_none_or(str::is_empty);
    let mut photo = Vec::new();
    let mut too_large = false;
    while let Some(chunk) = field.chunk().await? {
        too_large |= photo.len() + chunk.len() > photo::MAX_BYTES;
        if too_large {
            photo = Vec::new();
            lock(held).take();
        } else {
            photo.extend_from_slice(&chunk);
        }
    }
    Ok(match (too_large, photo.is_empty()) {
        (true, _) => Some(Err(PhotoError::TooLarge)),
        // What a browser sends when no file was chosen.
        (false, true) if unnamed => None,
        (false, _) => Some(Ok(photo)),
    })
}

fn lock(held: &Held) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<multer::Error> for FormError {
    fn from(error: multer::Error) -> Self {
        use multer::Error as E;
        match error {
            E::UnknownField { .. } => Self::Unknown,
            E::FieldSizeExceeded { limit, field_name } => {
                let known = FIELDS
                    .iter()
                    .find(|name| Some(**name) == field_name.as_deref());
                let name = known.copied().unwrap_or("a field");
                Self::TooLarge(format!("{name} is longer than {limit} bytes"))
            }
            E::StreamSizeExceeded { limit } => {
                Self::TooLarge(format!("the body is longer than {limit} bytes"))
            }
            E::StreamReadFailed(cause) => Self::from_read(&*cause),
            _ => Self::Malformed,
        }
    }
}

impl FormError {
    fn from_read(cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(cause);
        while let Some(cause) = next {
            if cause.is::<OverBudget>() {
                return Self::Busy;
            }
            if cause.is::<tower_http::timeout::TimeoutError>() {
                return Self::Timeout;
            }
            next = cause.source();
        }
        Self::Malformed
    }
}

#[derive(Debug, thiserror::Error)]
#[error("over the byte budget")]
struct OverBudget;

/// A body that takes what it receives from the shared budget, and fails when that is used up:
/// waiting would hold the memory that others wait for.
struct Budgeted<S> {
    body: S,
    budget: Arc<Semaphore>,
    held: Held,
}

impl<S, E> Stream for Budgeted<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(self.body.poll_next_unpin(cx));
        let chunk = match next {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        let wanted = u32::try_from(chunk.len() * COPIES).unwrap_or(u32::MAX);
        let Ok(permit) = self.budget.clone().try_acquire_many_owned(wanted) else {
            return Poll::Ready(Some(Err(Box::new(OverBudget))));
        };
        let mut held = lock(&self.held);
        match &mut *held {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        drop(held);
        Poll::Ready(Some(Ok(chunk)))
    }
}
