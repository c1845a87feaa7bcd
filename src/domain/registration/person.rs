//! The personal data of a registration, and their encryption.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    PhotoKey, Reference,
    document::DocumentNumber,
    text::{Email, Notice, PersonName},
};
use crate::{
    domain::city::CityCode,
    foundation::seal::{Keyring, OpenError, Sealed, Tag, TagOf},
};

/// Personal data; they are stored only encrypted (sealed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Full name.
    pub name: PersonName,
    /// Number on the ID card, if given.
    pub document_number: Option<DocumentNumber>,
    /// E-mail address, if given.
    pub email: Option<Email>,
    /// The version of the privacy notice that they agreed to on the form; absent where there was no form, and in what
    /// was registered before the form asked.
    pub notice: Option<Notice>,
}

/// What is stored in clear beside an encrypted person: the associated data (AAD) of the box, which can be decrypted
/// beside nothing else. Whoever can write the store but has no key cannot exchange any of it undetected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Record id.
    pub id: Uuid,
    /// What the citizen keeps.
    pub reference: Reference,
    /// City of residence.
    pub city: CityCode,
    /// When, to the millisecond.
    pub registered_at: Timestamp,
    /// The photo, if there is one.
    pub photo_key: Option<PhotoKey>,
}

impl Envelope {
    /// Fixed lengths but for the last, which may be absent, so the concatenation is unambiguous.
    fn associated(&self) -> Vec<u8> {
        let photo = self.photo_key.map(|key| key.0.into_bytes());
        [
            b"person".as_slice(),
            self.id.as_bytes(),
            self.reference.symbols().as_bytes(),
            self.city.as_str().as_bytes(),
            &self.registered_at.as_millisecond().to_le_bytes(),
            photo.as_ref().map_or(&[], |key| key),
        ]
        .concat()
    }
}

impl Person {
    /// Encrypts the person into the box that belongs beside `envelope`.
    #[must_use]
    pub fn seal(&self, keyring: &Keyring, envelope: &Envelope) -> Sealed {
        keyring.seal(&envelope.associated(), &fields::write(&self.fields()))
    }

    /// Decrypts the person beside `envelope`. What was valid when it was encrypted is not validated again.
    ///
    /// # Errors
    /// When the key is missing, the box is another record's, or `envelope` (its associated data) was changed.
    pub fn open(
        keyring: &Keyring,
        envelope: &Envelope,
        sealed: &Sealed,
    ) -> Result<Self, OpenError> {
        let content = keyring.open(&envelope.associated(), sealed)?;
        let mut fields = fields::read(&content);
        let mut field = || fields.next().unwrap_or(Ok("")).map(str::to_owned);
        let given = |text: String| (!text.is_empty()).then_some(text);
        // In the order of `fields` below.
        Ok(Self {
            name: PersonName(field()?),
            document_number: given(field()?).map(DocumentNumber),
            email: given(field()?).map(Email),
            notice: given(field()?).map(Notice),
        })
    }

    /// The plaintext's fields. Their order is part of the format: a new field is appended, and none is ever removed;
    /// one that is not used any more stays empty.
    fn fields(&self) -> [&str; 4] {
        [
            self.name.as_str(),
            self.document_text(),
            self.email_text(),
            self.notice.as_ref().map_or("", Notice::as_str),
        ]
    }

    /// The keyed hash (blind index) that decides that a document number is registered once.
    #[must_use]
    pub fn document_tag(&self, keyring: &Keyring) -> Option<Tag> {
        let number = self.document_number.as_ref()?;
        let number = number.normalised();
        Some(keyring.tag(TagOf::Document, &[number.as_bytes()]))
    }

    /// The keyed hash that tells a retry from another request under the same idempotency key: of all that this person
    /// sent, the photo by its own tag.
    #[must_use]
    pub fn content_tag(&self, keyring: &Keyring, city: CityCode, photo: Option<&Tag>) -> Tag {
        let number = self.document_number.as_ref();
        let number = number.map_or(String::new(), DocumentNumber::normalised);
        let parts = [
            self.name.as_str().as_bytes(),
            city.as_str().as_bytes(),
            number.as_bytes(),
            self.email_text().as_bytes(),
            photo.map_or(&[], Tag::as_bytes),
        ];
        keyring.tag(TagOf::Content, &parts)
    }

    fn document_text(&self) -> &str {
        let number = self.document_number.as_ref();
        number.map_or("", DocumentNumber::as_str)
    }

    fn email_text(&self) -> &str {
        self.email.as_ref().map_or("", Email::as_str)
    }
}

#[cfg(test)]
impl Person {
    /// Any text for a name, as a record could hold whatever was valid once.
    pub(crate) fn unchecked(name: &str, document_number: &str, email: &str) -> Self {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            name: PersonName(name.to_owned()),
            document_number: given(document_number).map(DocumentNumber),
            email: given(email).map(Email),
            notice: None,
        }
    }
}

/// Serialises the plaintext: length-prefixed texts (two bytes, little-endian). A field that is not given is empty, and
/// trailing empty ones are left out. That is compatible both ways: an older box lacks what was added since, and of a
/// newer one this version reads what it knows and ignores the rest; whoever encrypts a person again must carry that
/// rest over.
mod fields {

    use crate::foundation::seal::OpenError;

    pub(super) fn write(fields: &[&str]) -> Vec<u8> {
        let length = fields.iter().map(|field| 2 + field.len()).sum();
        let mut content = Vec::with_capacity(length);
        let given = fields.iter().rposition(|field| !field.is_empty());
        for field in &fields[..given.map_or(0, |last| last + 1)] {
            // The longest is a name of 200 characters.
            let length = u16::try_from(field.len()).expect("texts are bounded far below 64 KiB");
            content.extend(length.to_le_bytes());
            content.extend(field.as_bytes());
        }
        content
    }

    pub(super) fn read(mut content: &[u8]) -> impl Iterator<Item = Result<&str, OpenError>> {
        std::iter::from_fn(move || {
            if content.is_empty() {
                return None;
            }
            let field = content.split_first_chunk().and_then(|(length, rest)| {
                let (field, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
                content = rest;
                str::from_utf8(field).ok()
            });
            Some(field.ok_or(OpenError::Damaged))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> Person {
        Person {
            name: PersonName::parse("Ana María Ñáñez").unwrap(),
            document_number: Some(DocumentNumber::parse("1020304050").unwrap()),
            email: Some(Email::parse("ana@example.com").unwrap()),
            notice: Some(Notice::parse("2026-11-28").unwrap()),
        }
    }

    fn envelope() -> Envelope {
        Envelope {
            id: Uuid::now_v7(),
            reference: Reference::from_random([1; 16]),
            city: "11001".parse().unwrap(),
            registered_at: Timestamp::from_millisecond(1_760_000_000_123).unwrap(),
            photo_key: Some(PhotoKey(Uuid::now_v7())),
        }
    }

    #[test]
    fn a_person_opens_only_beside_what_it_was_sealed_with() {
        let keyring = Keyring::generate();
        let (person, own) = (person(), envelope());
        let sealed = person.seal(&keyring, &own);
        assert_eq!(Person::open(&keyring, &own, &sealed).unwrap(), person);
        assert!(!String::from_utf8_lossy(sealed.as_bytes()).contains("Ana"));
        for (changed, other) in [
            (
                "id",
                Envelope {
                    id: Uuid::now_v7(),
                    ..own
                },
            ),
            (
                "reference",
                Envelope {
                    reference: Reference::from_random([2; 16]),
                    ..own
                },
            ),
            (
                "city",
                Envelope {
                    city: "05001".parse().unwrap(),
                    ..own
                },
            ),
            (
                "time",
                Envelope {
                    registered_at: own.registered_at + jiff::Span::new().milliseconds(1),
                    ..own
                },
            ),
            (
                "photo",
                Envelope {
                    photo_key: Some(PhotoKey(Uuid::now_v7())),
                    ..own
                },
            ),
            (
                "no photo",
                Envelope {
                    photo_key: None,
                    ..own
                },
            ),
        ] {
            let opened = Person::open(&keyring, &other, &sealed);
            assert!(matches!(opened, Err(OpenError::Damaged)), "{changed}");
        }
    }

    #[test]
    fn every_field_in_the_box_may_be_absent_but_the_name() {
        let keyring = Keyring::generate();
        for (number, email) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut person = person();
            person.notice = person.notice.filter(|_| number != email);
            person.document_number = person.document_number.filter(|_| number);
            person.email = person.email.filter(|_| email);
            let envelope = envelope();
            let sealed = person.seal(&keyring, &envelope);
            assert_eq!(Person::open(&keyring, &envelope, &sealed).unwrap(), person);
        }
    }

    /// Decrypts a plaintext as some other version may have written it.
    fn opened(content: &[u8]) -> Result<Person, OpenError> {
        let (keyring, envelope) = (Keyring::generate(), envelope());
        let sealed = keyring.seal(&envelope.associated(), content);
        Person::open(&keyring, &envelope, &sealed)
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over_and_what_an_older_one_lacked_is_absent() {
        let newer = opened(b"\x03\0Ana\x04\x001234\0\0\x02\0TI\x04\x001984").unwrap();
        let number = newer.document_number.as_ref().map(DocumentNumber::as_str);
        assert_eq!(
            (newer.name.as_str(), number, &newer.email),
            ("Ana", Some("1234"), &None)
        );
        let older = opened(b"\x03\0Ana").unwrap();
        assert_eq!(
            (older.document_number, older.email, older.notice),
            (None, None, None)
        );
    }

    #[test]
    fn a_box_that_holds_something_else_is_damaged() {
        for content in [
            b"\x04\0Ana".as_slice(),
            b"\x03",
            b"\x02\0\xff\xfe",
            b"\xff\xffAna",
        ] {
            assert!(
                matches!(opened(content), Err(OpenError::Damaged)),
                "{content:?}"
            );
        }
    }
}
