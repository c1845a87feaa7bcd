//! The form reader: the only place that reads multipart.
//!
//! Turns the body of `POST /registrations` into a [`RegistrationForm`] without trusting any of it:
//! fields in any order, each at most once, none unknown, each with its size limit, and all of it within
//! the memory budget that the uploads in flight share. Called by the handler of registrations.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};
use futures::{Stream, StreamExt as _};
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio::time::Instant;

use crate::{
    domain::photo::{self, PhotoError},
    domain::registration::{Fault, RawText, RegistrationForm},
    http::{
        memory::{Held, OverBudget},
        parts::{self, CHARSET, Parts, PartsError},
        peer::Evicted,
    },
};

/// Size limit of a text field; no field's limit of characters is above it.
pub const MAX_TEXT_BYTES: u64 = 4 * 1024;

/// Size limit of a whole body. Above the photo's limit, so that a photo somewhat too large is
/// answered with the form and what was typed, not with a closed connection.
pub const MAX_BODY_BYTES: u64 = 32 * 1024 * 1024;

/// Timeout of a whole upload: 10 MiB at 280 kbit/s.
const DEADLINE: Duration = Duration::from_mins(5);

/// Worst-case memory amplification of an upload: each byte as received, as field, and clean or encrypted.
pub(super) const COPIES: usize = 3;

/// Why a form cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// It is not `multipart/form-data`.
    #[error("send multipart/form-data with a boundary")]
    NotMultipart,
    /// It is not well-formed, or ended early.
    #[error("the multipart body is malformed or ended early")]
    Malformed,
    /// The headers of a part exceed their size limit.
    #[error("the head of a part is longer than 8192 bytes")]
    LongHead,
    /// The whole body is too long.
    #[error("the body is longer than {MAX_BODY_BYTES} bytes")]
    LongBody,
    /// A field stands twice.
    #[error("field {0} stands twice")]
    Duplicate(&'static str),
    /// A field is not one of the form's.
    #[error("there is a field that the form does not have; it has {}", FIELDS.join(", "))]
    Unknown,
    /// A field is too long.
    #[error("{0}")]
    TooLarge(String),
    /// The memory budget of uploads is exhausted, or this one was evicted from it: load shedding.
    #[error("too many uploads at once")]
    Busy,
    /// The upload timeout, or the read timeout of its connection.
    #[error("the upload took too long")]
    Timeout,
}

const FIELDS: [&str; 9] = [
    "name",
    "city",
    "photo",
    "document_type",
    "document_number",
    "email",
    "idempotency_key",
    "notice",
    "consent",
];

/// What the pages of the form send beside it.
const ASKED: [&str; 3] = ["draft", "step", "lang"];

/// The field that names the default charset of the other fields (RFC 7578, 4.6).
const DEFAULT_CHARSET: &str = "_charset_";

/// A form as read: its texts, and the photo as it came, which is not cleaned yet.
#[derive(Default)]
pub struct ReadForm {
    /// All but the photo.
    pub form: RegistrationForm,
    /// The photo's bytes, unless it was absent or is faulty already.
    pub photo: Option<Result<Vec<u8>, PhotoError>>,
    /// What a page asks for beside it.
    pub asked: Asked,
}

/// What a page asks for beside the form.
#[derive(Default)]
pub struct Asked {
    /// The number of the draft that it is.
    pub draft: RawText,
    /// `check` where the answers are to be shown once more before they are sent.
    pub step: RawText,
    /// The language to change to, instead of sending.
    pub lang: RawText,
}

/// Reads a body whose `Content-Type` is `content_type` into `read`, taking from the memory budget of `held` as it
/// grows. `announced` is its `Content-Length`, where that is known.
///
/// # Errors
/// [`FormError`]; `read` then has the fields before the trouble. Faults of single fields are in the
/// form, not here.
pub async fn read<S, E>(
    content_type: &[u8],
    announced: Option<u64>,
    body: S,
    held: Arc<Held>,
    read: &mut ReadForm,
) -> Result<(), FormError>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let boundary = parts::boundary(content_type).ok_or(FormError::NotMultipart)?;
    let budgeted = Budgeted {
        body,
        held: held.clone(),
    };
    let body = Parts::new(budgeted, &boundary, MAX_BODY_BYTES);
    let boundary = String::from_utf8(boundary).map_err(|_| FormError::NotMultipart)?;
    let mut texts = Texts::default();
    let reading = read_parts(body, boundary, announced, &held, read, &mut texts).await;
    texts.decode(read);
    reading
}

async fn read_parts<S>(
    body: Parts<S>,
    boundary: String,
    announced: Option<u64>,
    held: &Held,
    read: &mut ReadForm,
    texts: &mut Texts,
) -> Result<(), FormError>
where
    Parts<S>:
        Stream<Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let limits = SizeLimit::new()
        .per_field(MAX_TEXT_BYTES)
        .for_field("photo", MAX_BODY_BYTES);
    let constraints = Constraints::new()
        .allowed_fields(
            FIELDS
                .iter()
                .copied()
                .chain(ASKED)
                .chain([DEFAULT_CHARSET])
                .collect::<Vec<_>>(),
        )
        .size_limit(limits);
    let mut multipart = Multipart::with_constraints(body, boundary, constraints);
    let reading = async {
        while let Some(field) = multipart.next_field().await? {
            if field.name() == Some("photo") {
                if read.photo.is_some() {
                    return Err(FormError::Duplicate("photo"));
                }
                read.photo = read_photo(field, announced, held).await?;
            } else {
                texts.add(field).await?;
            }
        }
        Ok(())
    };
    // The connection's read timeout bounds the rate; this timeout bounds the whole.
    let reading = tokio::time::timeout(DEADLINE, reading).await;
    reading.unwrap_or(Err(FormError::Timeout))
}

/// Text fields before decoding: the last one may name the charset of the first.
#[derive(Default)]
struct Texts(Vec<(&'static str, Option<String>, Bytes)>);

impl Texts {
    async fn add(&mut self, field: Field<'_>) -> Result<(), FormError> {
        let known = FIELDS.into_iter().chain(ASKED).chain([DEFAULT_CHARSET]);
        let name = known.into_iter().find(|name| field.name() == Some(name));
        let name = name.ok_or(FormError::Unknown)?;
        if self.0.iter().any(|(known, ..)| *known == name) {
            return Err(FormError::Duplicate(name));
        }
        let charset = field.headers().get(CHARSET);
        let charset = charset
            .and_then(|label| label.to_str().ok())
            .map(str::to_owned);
        self.0.push((name, charset, field.bytes().await?));
        Ok(())
    }

    fn decode(self, read: &mut ReadForm) {
        let (form, asked) = (&mut read.form, &mut read.asked);
        let default = self.0.iter().find(|(name, ..)| *name == DEFAULT_CHARSET);
        let default = default.map(|(.., label)| String::from_utf8_lossy(label).into_owned());
        for (name, charset, bytes) in self.0 {
            let text = decoded(&bytes, charset.as_deref().or(default.as_deref()));
            let place = match name {
                "name" => &mut form.name,
                "city" => &mut form.city,
                "document_type" => &mut form.document_type,
                "document_number" => &mut form.document_number,
                "email" => &mut form.email,
                "idempotency_key" => &mut form.idempotency_key,
                "notice" => &mut form.notice,
                "consent" => &mut form.consent,
                "draft" => &mut asked.draft,
                "step" => &mut asked.step,
                "lang" => &mut asked.lang,
                _ => continue,
            };
            *place = Some(text);
        }
    }
}

/// Decodes a field whose charset is `label`, or else UTF-8 (RFC 7578, 4.5).
fn decoded(bytes: &[u8], label: Option<&str>) -> Result<String, Fault> {
    let encoding = label.map_or(Some(UTF_8), |label| Encoding::for_label(label.as_bytes()));
    match encoding {
        None => Err(Fault::NotUtf8),
        Some(encoding) if encoding == UTF_8 => {
            String::from_utf8(bytes.to_vec()).map_err(|_| Fault::NotUtf8)
        }
        Some(encoding) => match encoding.decode(bytes) {
            (text, _, false) => Ok(text.into_owned()),
            (.., true) => Err(Fault::NotUtf8),
        },
    }
}

/// A photo over its size limit is read to its end and dropped, so that the fields after it are known.
async fn read_photo(
    mut field: Field<'_>,
    announced: Option<u64>,
    held: &Held,
) -> Result<Option<Result<Vec<u8>, PhotoError>>, FormError> {
    let unnamed = field.file_name().is_none_or(str::is_empty);
    // Capacity never beyond the announced length, so that the last reallocation is exact; and at most double what came,
    // because recycled heap pages are resident whether they are written to or not, and would escape the budget.
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
    let most = announced.unwrap_or(photo::MAX_BYTES).min(photo::MAX_BYTES);
    let mut photo = Vec::new();
    let mut too_large = false;
    while let Some(chunk) = field.chunk().await? {
        too_large |= photo.len() + chunk.len() > photo::MAX_BYTES;
        if too_large {
            photo = Vec::new();
            held.give_back();
        } else {
            let needed = photo.len() + chunk.len();
            if needed > photo.capacity() {
                let room = (2 * photo.capacity()).min(most).max(needed);
                photo.reserve_exact(room - photo.len());
            }
            photo.extend_from_slice(&chunk);
        }
    }
    Ok(match (too_large, photo.is_empty()) {
        (true, _) => Some(Err(PhotoError::TooLarge)),
        // An empty part without a file name: what a browser sends when no file was chosen.
        (false, true) if unnamed => None,
        (false, _) => Some(Ok(photo)),
    })
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
            match cause.downcast_ref::<PartsError>() {
                Some(PartsError::LongHead) => return Self::LongHead,
                Some(PartsError::LongBody) => return Self::LongBody,
                Some(PartsError::Unknown) => return Self::Unknown,
                Some(PartsError::Malformed) | None => {}
            }
            if let Some(io) = cause.downcast_ref::<std::io::Error>() {
                if io
                    .get_ref()
                    .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Evicted>)
                {
                    return Self::Busy;
                }
                if io.kind() == std::io::ErrorKind::TimedOut {
                    return Self::Timeout;
                }
            }
            next = cause.source();
        }
        Self::Malformed
    }
}

/// A body that takes what it receives from the shared memory budget, and fails when that is exhausted
/// (load shedding): to wait (backpressure) would hold the memory that others wait for.
struct Budgeted<S> {
    body: S,
    held: Arc<Held>,
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
        match self.held.take(chunk.len() * COPIES, Instant::now()) {
            Ok(()) => Poll::Ready(Some(Ok(chunk))),
            Err(over) => Poll::Ready(Some(Err(Box::new(over)))),
        }
    }
}
