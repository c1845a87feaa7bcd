//! Error responses: the type [`Problem`], its status codes and slugs.
//!
//! Inner errors are mapped to a [`Problem`] here and nowhere else. A 5xx tells the client one constant
//! sentence; its cause travels in the response's extensions to the access log, where it is
//! written once. The body is written last, by [`tell`](super::tell::tell).

use std::{any::Any, error::Error, sync::Arc};

use axum::{
    body::Body,
    http::{Extensions, HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use tower_http::request_id::RequestId;

use crate::{
    app::charts::ChartError,
    app::intake::IntakeError,
    domain::photo::PhotoError,
    domain::registration::{Fault, FieldError, Reference},
    photos::PhotosError,
    store::StoreError,
};

/// `Retry-After` in seconds, for a client that was turned away because of load or an unavailable tier.
pub(super) const RETRY_AFTER: u16 = 5;

/// The status of what did not arrive in time. Never 408, on which browsers send again by themselves, with the whole
/// photo.
pub(super) const TIMEOUT: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// What went wrong; the slug is the `type` in the answer, and stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Malformed,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Timeout,
    /// With the reference of what the key registered.
    KeyReused(Reference),
    AlreadyRegistered,
    TooLarge,
    UnsupportedMedia,
    Invalid,
    Busy,
    /// Over the rate limit of one address, which may retry after so many seconds.
    TooMany(u64),
    Internal,
    Unavailable,
    Other(StatusCode),
}

impl Kind {
    pub(super) fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "malformed",
                "The request cannot be read",
            ),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Only for staff"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not from another site"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing here"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Not with this method",
            ),
            Self::Timeout => (TIMEOUT, "timeout", "The upload paused for too long"),
            Self::KeyReused(_) => (
                StatusCode::CONFLICT,
                "idempotency-key-reused",
                "The idempotency key was used for other content",
            ),
            Self::AlreadyRegistered => (
                StatusCode::CONFLICT,
                "already-registered",
                "The document number is registered already",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large"),
            Self::UnsupportedMedia => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media",
                "Not multipart/form-data",
            ),
            Self::Invalid => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "Some fields are not right",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Too much at once; try again",
            ),
            Self::TooMany(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many",
                "Too many from this address; try again later",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong here",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "A part of the service is away; it is safe to try again",
            ),
            Self::Other(status) => (
                status,
                "error",
                status.canonical_reason().unwrap_or("Error"),
            ),
        }
    }

    /// The kind of a slug that a draft remembers; `first` is what a reused key registered.
    pub(super) fn named(slug: &str, first: Option<Reference>) -> Self {
        let known = [
            Self::Malformed,
            Self::Timeout,
            Self::AlreadyRegistered,
            Self::TooLarge,
            Self::UnsupportedMedia,
            Self::Invalid,
            Self::Busy,
            Self::TooMany(RETRY_AFTER.into()),
            Self::Unavailable,
        ];
        let reused = first.map(Self::KeyReused);
        let mut kinds = known.into_iter().chain(reused);
        kinds
            .find(|kind| kind.parts().1 == slug)
            .unwrap_or(Self::Internal)
    }

    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::Malformed,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMedia,
            StatusCode::UNPROCESSABLE_ENTITY => Self::Invalid,
            StatusCode::TOO_MANY_REQUESTS => Self::TooMany(RETRY_AFTER.into()),
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            StatusCode::INTERNAL_SERVER_ERROR => Self::Internal,
            other => Self::Other(other),
        }
    }
}

/// An error response.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    pub(super) detail: Option<String>,
    pub(super) errors: Vec<FieldError>,
    pub(super) cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            detail: None,
            errors: Vec::new(),
            cause: None,
        }
    }

    /// The problem that a bare status stands for.
    pub(super) fn of(status: StatusCode) -> Self {
        Self::new(Kind::of(status))
    }

    /// With a sentence for whoever wrote the client; never with what a person typed.
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// Every fault of the form; 413 when the photo's size is among them, as a proxy would say.
    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        let too_large = |error: &FieldError| error.fault == Fault::Photo(PhotoError::TooLarge);
        let kind = if errors.iter().any(too_large) {
            Kind::TooLarge
        } else {
            Kind::Invalid
        };
        Self {
            errors,
            ..Self::new(kind)
        }
    }

    /// The reference of what a reused key registered.
    pub(super) fn kept(&self) -> Option<String> {
        match self.kind {
            Kind::KeyReused(reference) => Some(reference.to_string()),
            _ => None,
        }
    }

    /// The `type` in the answer.
    pub(super) fn slug(&self) -> &'static str {
        self.kind.parts().1
    }

    pub(super) fn status(&self) -> StatusCode {
        self.kind.parts().0
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<StoreError>> for Problem {
    fn from(error: Arc<StoreError>) -> Self {
        let kind = match *error {
            // A retry would not help.
            StoreError::Corrupt(_) | StoreError::Unusable(_) => Kind::Internal,
            StoreError::Unavailable(_) | StoreError::Uncertain(_) | StoreError::ForeignKeys => {
                Kind::Unavailable
            }
        };
        Self::new(kind).caused_by(error)
    }
}

impl From<PhotosError> for Problem {
    fn from(error: PhotosError) -> Self {
        let kind = match error {
            PhotosError::Missing(_) | PhotosError::Sealed(..) => Kind::Internal,
            PhotosError::Unavailable(_)
            | PhotosError::Folder(_)
            | PhotosError::Late
            | PhotosError::Foreign => Kind::Unavailable,
        };
        Self::new(kind).caused_by(error)
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::KeyReused(reference) => Self::new(Kind::KeyReused(reference)),
            IntakeError::AlreadyRegistered => Self::new(Kind::AlreadyRegistered),
            IntakeError::Store(error) => error.into(),
            IntakeError::Photos(error) => error.into(),
            IntakeError::Interrupted(_) => Self::new(Kind::Unavailable).caused_by(error),
        }
    }
}

impl From<ChartError> for Problem {
    fn from(error: ChartError) -> Self {
        match error {
            ChartError::Store(error) => error.into(),
            ChartError::Busy => Self::new(Kind::Busy).caused_by(error),
            ChartError::Render(_) | ChartError::Interrupted => {
                Self::new(Kind::Internal).caused_by(error)
            }
        }
    }
}

impl IntoResponse for Problem {
    /// Only the status and the problem itself.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Sets `Retry-After`, where a retry may help.
pub(super) fn retry_after(problem: &Problem, headers: &mut HeaderMap) {
    match problem.kind {
        Kind::TooMany(seconds) => {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        _ if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER.into());
        }
        _ => {}
    }
}

/// The request id, which is in the log and in `X-Request-Id`.
pub(super) fn request_id(extensions: &Extensions) -> String {
    let id = extensions.get::<RequestId>();
    id.and_then(|id| id.header_value().to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// A handler that panicked; its message may hold personal data, so it is not logged.
pub(super) fn from_panic(_: Box<dyn Any + Send>) -> Response<Body> {
    Problem::new(Kind::Internal)
        .caused_by(Panicked)
        .into_response()
}

#[derive(Debug, thiserror::Error)]
#[error("a handler panicked; its message is on standard error")]
struct Panicked;

/// `X-Request-Id`.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
