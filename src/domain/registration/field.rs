//! Validation errors of a form: fields, faults, and both together.

use serde::Serialize;

use super::document_type::DocumentType;
use crate::{domain::city::City, domain::photo::PhotoError, foundation::paste::Reordered};

/// A field of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The person's full name.
    Name,
    /// The city that they live in.
    City,
    /// The photo of the ID card.
    Photo,
    /// What kind of document the number is of.
    DocumentType,
    /// The number on the ID card.
    DocumentNumber,
    /// An e-mail address.
    Email,
    /// Whether the person agrees to the privacy notice.
    Consent,
    /// The key that makes a repeated request harmless.
    IdempotencyKey,
    /// The first day of a report.
    Since,
    /// The last day of a report.
    Until,
}

impl Field {
    /// Its name in the form and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::City => "city",
            Self::Photo => "photo",
            Self::DocumentType => "document_type",
            Self::DocumentNumber => "document_number",
            Self::Email => "email",
            Self::Consent => "consent",
            Self::IdempotencyKey => "idempotency_key",
            Self::Since => "since",
            Self::Until => "until",
        }
    }
}

/// What is wrong with a field: the kind of validation error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is absent or blank.
    Required,
    /// It is longer than its bound.
    TooLong,
    /// It holds control characters.
    Control,
    /// It holds bidirectional control characters.
    Reordered,
    /// It is not UTF-8 text.
    NotUtf8,
    /// It does not match the field's format.
    Format,
    /// It is no number of a document of this type.
    DocumentNumber(DocumentType),
    /// No city has this name.
    Unknown,
    /// Several cities have this name.
    Ambiguous,
    /// It is a period's end, which does not come after its beginning.
    Backwards,
    /// The photo cannot be taken.
    Photo(PhotoError),
}

impl Fault {
    /// The stable error code in answers.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::TooLong => "too-long",
            Self::Control => "control-characters",
            Self::Reordered => "bidi-controls",
            Self::NotUtf8 => "not-utf8",
            Self::Format | Self::DocumentNumber(_) => "format",
            Self::Unknown => "unknown",
            Self::Ambiguous => "ambiguous",
            Self::Backwards => "backwards",
            Self::Photo(PhotoError::Empty) => "empty",
            Self::Photo(PhotoError::TooLarge) => "too-large",
            Self::Photo(PhotoError::Unsupported) => "unsupported",
            Self::Photo(PhotoError::Heic) => "heic",
            Self::Photo(PhotoError::Animated) => "animated",
            Self::Photo(PhotoError::TooManyPixels) => "too-many-pixels",
            Self::Photo(PhotoError::TooFewPixels) => "too-few-pixels",
            Self::Photo(PhotoError::Truncated) => "truncated",
            Self::Photo(PhotoError::Malformed) => "malformed",
            Self::Photo(PhotoError::Bomb) => "bomb",
            Self::Photo(PhotoError::Cancelled) => "cancelled",
        }
    }
}

impl From<Reordered> for Fault {
    fn from(_: Reordered) -> Self {
        Self::Reordered
    }
}

/// One validation error: a fault of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where.
    pub field: Field,
    /// What.
    pub fault: Fault,
    /// Cities to choose from, when the city is the trouble.
    pub suggestions: Vec<City>,
}

impl FieldError {
    pub(super) fn new(field: Field, fault: Fault) -> Self {
        Self {
            field,
            fault,
            suggestions: Vec::new(),
        }
    }
}
