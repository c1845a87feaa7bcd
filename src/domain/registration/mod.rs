//! What a registration is: the words of the domain, each with a `parse` that is its only way in.
//!
//! Called by `http` with forms, and by `intake`, the stores, the report and `cli` with what is stored. Pure: it never
//! reads a request or a store. [`NewRegistration::parse`] validates what a person typed: it returns something that may
//! be stored, or every error of every field at once. Types that hold personal data are redacted in `Debug`.

mod document;
mod document_type;
mod field;
mod period;
mod person;
mod reference;
mod text;

use jiff::Timestamp;
use uuid::Uuid;

pub use self::{
    document::DocumentNumber,
    document_type::DocumentType,
    field::{Fault, Field, FieldError},
    period::Period,
    person::{Envelope, Person},
    reference::Reference,
    text::{Email, IdempotencyKey, KEY_CHARS, MAX_EMAIL_BYTES, MAX_NAME_CHARS, Notice, PersonName},
};
use crate::{
    domain::city::{Cities, City, CityCode, NoCity},
    domain::photo::{MediaType, Photo, PhotoError},
    foundation::{
        paste::shed,
        seal::{Sealed, Tag},
    },
};

/// A raw form field: absent, or bytes that may not even be text.
pub type RawText = Option<Result<String, Fault>>;

/// The raw form, not validated; it cannot reach storage.
#[derive(Default)]
pub struct RegistrationForm {
    /// The person's full name.
    pub name: RawText,
    /// DANE code, name, or `name, department`.
    pub city: RawText,
    /// The name of a [`DocumentType`]; a CC when it is absent.
    pub document_type: RawText,
    /// Digits, separated or not; letters too where the type has them.
    pub document_number: RawText,
    /// An e-mail address.
    pub email: RawText,
    /// The hidden field or the header.
    pub idempotency_key: RawText,
    /// The version of the privacy notice that was shown. Where one was, the person must agree to it; whoever sends
    /// without a form has asked them before.
    pub notice: RawText,
    /// Anything when the person agrees.
    pub consent: RawText,
    /// The photo, cleaned; `None` when there was none.
    pub photo: Option<Result<Photo, PhotoError>>,
}

/// A valid registration that may be stored: every field parsed.
#[derive(Debug)]
pub struct NewRegistration {
    /// Who.
    pub person: Person,
    /// Where they live.
    pub city: City,
    /// Their ID card. Only `padron seed --no-photos` leaves it out.
    pub photo: Option<Photo>,
    /// The client's idempotency key, if it sent one.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl NewRegistration {
    /// Validates the form.
    ///
    /// # Errors
    /// Every validation error of every field, in the order of the form.
    pub fn parse(form: RegistrationForm, cities: &Cities) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut keep = |field, fault| errors.push(FieldError::new(field, fault));

        let name = required(form.name)
            .and_then(|text| PersonName::parse(&text))
            .map_err(|fault| keep(Field::Name, fault))
            .ok();
        let document_type = optional(form.document_type, |text| {
            DocumentType::parse(text).ok_or(Fault::Format)
        })
        .map_err(|fault| keep(Field::DocumentType, fault))
        .ok();
        // Without a type that is known, nobody can say what is wrong with the number.
        let document_number = document_type.and_then(|kind| {
            let kind = kind.unwrap_or_default();
            optional(form.document_number, |text| DocumentNumber::of(kind, text))
                .map_err(|fault| keep(Field::DocumentNumber, fault))
                .ok()
        });
        let email = optional(form.email, Email::parse)
            .map_err(|fault| keep(Field::Email, fault))
            .ok();
        let notice = consent(form.notice, form.consent)
            .map_err(|fault| keep(Field::Consent, fault))
            .ok();
        let idempotency_key = optional(form.idempotency_key, IdempotencyKey::parse)
            .map_err(|fault| keep(Field::IdempotencyKey, fault))
            .ok();
        let photo = form
            .photo
            .ok_or(Fault::Required)
            .and_then(|photo| photo.map_err(Fault::Photo))
            .map_err(|fault| keep(Field::Photo, fault))
            .ok();
        let city = find_city(form.city, cities)
            .map_err(|error| errors.push(error))
            .ok();

        if let (
            Some(name),
            Some(city),
            Some(photo),
            Some(document_number),
            Some(email),
            Some(notice),
            Some(key),
        ) = (
            name,
            city,
            photo,
            document_number,
            email,
            notice,
            idempotency_key,
        ) {
            return Ok(Self {
                person: Person {
                    name,
                    document_number,
                    email,
                    notice,
                },
                city,
                photo: Some(photo),
                idempotency_key: key,
            });
        }
        errors.sort_by_key(|error| error.field);
        Err(errors)
    }
}

fn required(text: RawText) -> Result<String, Fault> {
    text.unwrap_or(Err(Fault::Required))
}

/// An optional field that was left blank is absent.
fn optional<T>(
    text: RawText,
    parse: impl FnOnce(&str) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    match text.transpose()? {
        Some(text) if shed(&text).as_deref() != Ok("") => parse(&text).map(Some),
        _ => Ok(None),
    }
}

/// The notice that was agreed to, if one was shown.
fn consent(notice: RawText, consent: RawText) -> Result<Option<Notice>, Fault> {
    let Some(notice) = optional(notice, Notice::parse)? else {
        return Ok(None);
    };
    let agreed = optional(consent, |_| Ok(()))?;
    agreed.map(|()| Some(notice)).ok_or(Fault::Required)
}

/// The city that a text names; a blank one names none.
///
/// # Errors
/// The field's fault, with suggestions.
pub fn find_city(text: RawText, cities: &Cities) -> Result<City, FieldError> {
    let text = required(text)
        .and_then(|text| Ok(shed(&text)?))
        .and_then(|text| {
            Some(text)
                .filter(|text| !text.is_empty())
                .ok_or(Fault::Required)
        })
        .map_err(|fault| FieldError::new(Field::City, fault))?;
    let (fault, suggestions) = match cities.find(&text) {
        Ok(city) => return Ok(city.clone()),
        Err(NoCity::Ambiguous(choices)) => (Fault::Ambiguous, choices),
        Err(NoCity::Unknown(choices)) => (Fault::Unknown, choices),
    };
    Err(FieldError {
        field: Field::City,
        fault,
        suggestions,
    })
}

/// Object key of one photo in the object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PhotoKey(pub Uuid);

/// What a record remembers of its photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPhoto {
    /// Where it lies.
    pub key: PhotoKey,
    /// What it is.
    pub media_type: MediaType,
    /// Size of the clean image, in bytes.
    pub bytes: u64,
    /// Width, in pixels.
    pub width: u32,
    /// Height, in pixels.
    pub height: u32,
    /// Keyed hash of the clean image.
    pub digest: Tag,
    /// The photo's own data key, encrypted (wrapped) by the keyring.
    pub wrapped_key: Sealed,
}

/// A stored registration: personal data are encrypted, and nothing else in it names the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// UUID version 7, so that the order of ids is the order of registration.
    pub id: Uuid,
    /// What the citizen keeps.
    pub reference: Reference,
    /// City of residence.
    pub city: CityCode,
    /// When, to the millisecond.
    pub registered_at: Timestamp,
    /// The [`Person`], encrypted with this record's [`Envelope`] as associated data.
    pub sealed: Sealed,
    /// Keyed hash (blind index) whose uniqueness decides that a document number is registered once.
    pub document_tag: Option<Tag>,
    /// Keyed hash whose uniqueness decides that an idempotency key is used once.
    pub idempotency_tag: Option<Tag>,
    /// Keyed hash of all that was sent: tells a retry from another request under the same idempotency key.
    pub content_tag: Tag,
    /// The content tag of what was first sent, whose uniqueness decides that the same form is registered once,
    /// whatever its idempotency key. Absent in records that were made before there was such an index, or without a
    /// photo; a correction leaves it as it is.
    pub once_tag: Option<Tag>,
    /// The photo; absent only in records made by `padron seed --no-photos`.
    pub photo: Option<StoredPhoto>,
}

impl Registration {
    /// What the box of the person is bound to: its associated data.
    #[must_use]
    pub fn envelope(&self) -> Envelope {
        Envelope {
            id: self.id,
            reference: self.reference,
            city: self.city,
            registered_at: self.registered_at,
            photo_key: self.photo.as_ref().map(|photo| photo.key),
        }
    }
}

#[cfg(test)]
mod tests;
