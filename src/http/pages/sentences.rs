//! What a person is told of a problem or a fault, and can do about it.

use crate::{
    domain::photo::PhotoError,
    domain::registration::{DocumentType, Fault, Field, FieldError},
    foundation::lang::{Lang, Texts},
    http::problem::{Kind, Problem},
};

/// Title and sentence of a problem.
pub(super) fn for_citizens(kind: Kind, t: &'static Texts) -> (&'static str, &'static str) {
    match kind {
        Kind::AlreadyRegistered => (
            t.problem_already_registered_title,
            t.problem_already_registered,
        ),
        Kind::KeyReused(_) => (t.problem_key_reused_title, t.problem_key_reused),
        Kind::Unavailable => (t.problem_unavailable_title, t.problem_unavailable),
        Kind::Busy => (t.problem_too_many_title, t.problem_too_many),
        Kind::TooMany(_) => (t.problem_one_address_title, t.problem_one_address),
        Kind::TooLarge => (t.problem_too_large_title, t.problem_too_large),
        Kind::Malformed | Kind::Invalid | Kind::Other(_) => {
            (t.problem_malformed_title, t.problem_malformed)
        }
        Kind::MethodNotAllowed => (t.problem_method_title, t.problem_method),
        Kind::Timeout => (t.problem_timeout_title, t.problem_timeout),
        Kind::UnsupportedMedia => (t.problem_unsupported_title, t.problem_unsupported),
        Kind::NotFound => (t.problem_not_found_title, t.problem_not_found),
        Kind::Unauthorized => (t.problem_unauthorized_title, t.problem_unauthorized),
        Kind::Forbidden => (t.problem_forbidden_title, t.problem_forbidden),
        Kind::Internal => (t.problem_internal_title, t.problem_internal),
    }
}

/// The same on the pages of staff, who send no registration.
pub(super) fn for_staff(problem: &Problem, lang: Lang) -> (&'static str, &'static str) {
    let t = lang.texts();
    match problem.kind {
        Kind::Unavailable => (t.problem_unavailable_title, t.problem_staff_unavailable),
        Kind::Busy => (t.problem_staff_busy_title, t.problem_staff_busy),
        Kind::Invalid => match problem.errors.first() {
            Some(error) if matches!(error.field, Field::Since | Field::Until) => {
                (t.problem_staff_period_title, message(lang, error))
            }
            _ => (t.problem_staff_city_title, t.problem_staff_city),
        },
        Kind::Internal => (t.problem_internal_title, t.problem_staff_internal),
        Kind::Malformed | Kind::Other(_) => (t.problem_method_title, t.problem_method),
        other => for_citizens(other, t),
    }
}

/// What a type of document is called.
pub(super) fn document_type(kind: DocumentType, t: &Texts) -> &'static str {
    match kind {
        DocumentType::Cc => t.document_cc,
        DocumentType::Ti => t.document_ti,
        DocumentType::Ce => t.document_ce,
        DocumentType::Ppt => t.document_ppt,
        DocumentType::Passport => t.document_passport,
        DocumentType::Other => t.document_other,
    }
}

/// What a person can do about a fault: the same words in the summary, at the field, and in JSON.
pub(in crate::http) fn message(lang: Lang, error: &FieldError) -> &'static str {
    let t = lang.texts();
    match (error.field, error.fault) {
        (Field::Name, Fault::Required) => t.error_name_required,
        (Field::Name, Fault::TooLong) => t.error_name_too_long,
        (Field::Name, Fault::Control) => t.error_name_control,
        (Field::City, Fault::Required) => t.error_city_required,
        (Field::City, Fault::Ambiguous) => t.error_city_ambiguous,
        (Field::City, Fault::Unknown) => t.error_city_unknown,
        (Field::Photo, Fault::Photo(fault)) => match fault {
            PhotoError::Empty => t.error_photo_empty,
            PhotoError::TooLarge => t.error_photo_too_large,
            PhotoError::Unsupported => t.error_photo_unsupported,
            PhotoError::Heic => t.error_photo_heic,
            PhotoError::Animated => t.error_photo_animated,
            PhotoError::TooManyPixels => t.error_photo_too_many_pixels,
            PhotoError::TooFewPixels => t.error_photo_too_few_pixels,
            // After a cancellation the client has disconnected, so that nobody reads this.
            PhotoError::Truncated | PhotoError::Cancelled => t.error_photo_truncated,
            PhotoError::Malformed => t.error_photo_malformed,
            PhotoError::Bomb => t.error_photo_bomb,
        },
        (Field::Photo, _) => t.error_photo_required,
        (Field::Consent, _) => t.error_consent_required,
        (Field::IdempotencyKey, _) => t.error_idempotency_key_format,
        (Field::DocumentType, _) => t.error_document_type_format,
        (Field::Name, Fault::Reordered) => t.error_name_reordered,
        (Field::Name, _) => t.error_name_not_utf8,
        (Field::City, Fault::Reordered) => t.error_city_reordered,
        (Field::City, _) => t.error_city_not_utf8,
        (Field::DocumentNumber, Fault::Reordered) => t.error_document_number_reordered,
        (Field::DocumentNumber, Fault::DocumentNumber(kind)) => match kind {
            DocumentType::Cc => t.error_document_number_cc,
            DocumentType::Ti => t.error_document_number_ti,
            DocumentType::Ce => t.error_document_number_ce,
            DocumentType::Ppt => t.error_document_number_ppt,
            DocumentType::Passport => t.error_document_number_passport,
            DocumentType::Other => t.error_document_number_other,
        },
        (Field::DocumentNumber, _) => t.error_document_number_not_utf8,
        (Field::Email, Fault::Reordered) => t.error_email_reordered,
        (Field::Email, Fault::TooLong) => t.error_email_too_long,
        (Field::Email, Fault::NotUtf8) => t.error_email_not_utf8,
        (Field::Email, _) => t.error_email_format,
        (Field::Since, _) => t.error_since_format,
        (Field::Until, Fault::Backwards) => t.error_until_backwards,
        (Field::Until, _) => t.error_until_format,
    }
}
