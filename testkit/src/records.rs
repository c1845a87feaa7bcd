//! Registrations as intake hands them to the store, without their photos.

use jiff::Timestamp;
use padron::{
    domain::city::CityCode,
    domain::photo::MediaType,
    domain::registration::{
        DocumentNumber, Envelope, IdempotencyKey, PhotoKey, Reference, Registration, StoredPhoto,
    },
    foundation::seal::{DataKey, Keyring, Tag, TagOf},
};
use uuid::Uuid;

use crate::people::{document, person};

/// A moment: `millisecond` after the first registration.
pub fn time(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(1_760_000_000_123 + millisecond).unwrap()
}

/// The keyed hash (blind index) by which a document is found.
pub fn document_tag(keyring: &Keyring, number: &str) -> Tag {
    let number = DocumentNumber::parse(number).unwrap();
    keyring.tag(TagOf::Document, &[number.normalised().as_bytes()])
}

/// The keyed hash by which a retry of a request is found.
pub fn idempotency_tag(keyring: &Keyring, key: &str) -> Tag {
    let key = IdempotencyKey::parse(key).unwrap();
    keyring.tag(TagOf::IdempotencyKey, &[key.as_str().as_bytes()])
}

/// The object key of the `number`th person's photo.
pub fn photo_key(number: u32) -> PhotoKey {
    let mut random = fastrand::Rng::with_seed(number.into());
    PhotoKey(uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid())
}

/// The `number`th person, with everything that a registration may have. Any two differ in whatever is unique
/// but the reference.
pub fn registration(
    keyring: &Keyring,
    number: u32,
    reference: Reference,
    city: CityCode,
) -> Registration {
    let number_bytes = number.to_be_bytes();
    let registered_at = time(number.into());
    let envelope = Envelope {
        id: id(registered_at, number_bytes),
        reference,
        city,
        registered_at,
        photo_key: Some(photo_key(number)),
    };
    Registration {
        id: envelope.id,
        reference,
        city,
        registered_at,
        sealed: person(number).seal(keyring, &envelope),
        document_tag: Some(document_tag(keyring, &document(number))),
        idempotency_tag: Some(idempotency_tag(keyring, &format!("key-{number:08}"))),
        content_tag: keyring.tag(TagOf::Content, &[&number_bytes]),
        once_tag: Some(keyring.tag(TagOf::Content, &[&number_bytes])),
        photo: Some(StoredPhoto {
            key: photo_key(number),
            media_type: MediaType::Jpeg,
            bytes: 1 + u64::from(number),
            width: 640,
            height: 480,
            digest: keyring.tag(TagOf::Photo, &[&number_bytes]),
            wrapped_key: DataKey::generate().wrap(keyring, &number_bytes),
        }),
    }
}

fn id(at: Timestamp, number: [u8; 4]) -> Uuid {
    let mut tail = [0; 10];
    tail[..4].copy_from_slice(&number);
    let millisecond = at.as_millisecond().unsigned_abs();
    uuid::Builder::from_unix_timestamp_millis(millisecond, &tail).into_uuid()
}
