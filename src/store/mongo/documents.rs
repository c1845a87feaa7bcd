//! The mapping of registrations, rows and sessions to BSON documents and back.
//!
//! What a registration lacks is left out, never null: the sparse unique indexes go by that.

use jiff::Timestamp;
use mongodb::bson::{
    Binary, DateTime, Document, RawBsonRef, RawDocument, doc, spec::BinarySubtype,
};
use uuid::Uuid;

use crate::{
    domain::city::CityCode,
    domain::registration::{Envelope, PhotoKey, Reference, Registration, StoredPhoto},
    foundation::seal::{KeyId, Sealed, Tag},
    store::{Row, Session, StoreError},
};

pub(super) fn uuid(id: Uuid) -> Binary {
    Binary {
        subtype: BinarySubtype::Uuid,
        bytes: id.into_bytes().to_vec(),
    }
}

pub(super) fn binary(bytes: &[u8]) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    }
}

pub(super) fn tag(tag: &Tag) -> Binary {
    binary(tag.as_bytes())
}

pub(super) fn time(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millisecond())
}

pub(super) fn of_registration(new: &Registration) -> Document {
    let mut document = doc! {
        "_id": uuid(new.id),
        "reference": new.reference.symbols(),
        "city": new.city.as_str(),
        "registered_at": time(new.registered_at),
        "sealed": binary(new.sealed.as_bytes()),
        "content_tag": tag(&new.content_tag),
    };
    if let Some(found) = &new.document_tag {
        document.insert("document_tag", tag(found));
    }
    if let Some(found) = &new.idempotency_tag {
        document.insert("idempotency_tag", tag(found));
    }
    if let Some(found) = &new.once_tag {
        document.insert("once_tag", tag(found));
    }
    if let Some(photo) = &new.photo {
        document.insert(
            "photo",
            doc! {
                "key": uuid(photo.key.0),
                "media_type": photo.media_type.as_str(),
                "bytes": photo.bytes.cast_signed(),
                "width": i64::from(photo.width),
                "height": i64::from(photo.height),
                "digest": tag(&photo.digest),
                "wrapped_key": binary(photo.wrapped_key.as_bytes()),
            },
        );
    }
    document
}

pub(super) fn registration(document: &RawDocument) -> Result<Registration, StoreError> {
    let fields = Fields(document);
    let photo = fields.document("photo")?.map(|document| {
        let fields = Fields(document);
        Ok::<_, StoreError>(StoredPhoto {
            key: PhotoKey(fields.uuid("key")?),
            media_type: fields.parsed("media_type", |name| name.parse().ok())?,
            bytes: fields.number("bytes")?.cast_unsigned(),
            width: fields.side("width")?,
            height: fields.side("height")?,
            digest: fields.tag("digest")?,
            wrapped_key: fields.sealed("wrapped_key")?,
        })
    });
    Ok(Registration {
        id: fields.uuid("_id")?,
        reference: fields.parsed("reference", Reference::parse)?,
        city: fields.city("city")?,
        registered_at: fields.time("registered_at")?,
        sealed: fields.sealed("sealed")?,
        document_tag: fields.optional_tag("document_tag")?,
        idempotency_tag: fields.optional_tag("idempotency_tag")?,
        content_tag: fields.tag("content_tag")?,
        once_tag: fields.optional_tag("once_tag")?,
        photo: photo.transpose()?,
    })
}

/// The projection of a report's query; [`row`] reads it.
pub(super) fn row_fields() -> Document {
    doc! {
        "_id": 1, "reference": 1, "city": 1, "registered_at": 1, "sealed": 1, "photo.key": 1,
    }
}

pub(super) fn row(document: &RawDocument) -> Result<Row, StoreError> {
    let fields = Fields(document);
    Ok(Row {
        envelope: Envelope {
            id: fields.uuid("_id")?,
            reference: fields.parsed("reference", Reference::parse)?,
            city: fields.city("city")?,
            registered_at: fields.time("registered_at")?,
            photo_key: fields
                .document("photo")?
                .map(|photo| Fields(photo).uuid("key").map(PhotoKey))
                .transpose()?,
        },
        sealed: fields.sealed("sealed")?,
    })
}

pub(super) fn session(document: &RawDocument) -> Result<Session, StoreError> {
    let fields = Fields(document);
    Ok(Session {
        tag: fields.tag("_id")?,
        actor: fields.text("actor")?.to_owned(),
        expires_at: fields.time("expires_at")?,
    })
}

/// Typed access to a document's fields, or [`StoreError::Corrupt`]. The error names the field and never its value.
pub(super) struct Fields<'a>(pub(super) &'a RawDocument);

impl<'a> Fields<'a> {
    fn optional(&self, name: &str) -> Result<Option<RawBsonRef<'a>>, StoreError> {
        self.0.get(name).map_err(|_| corrupt(name))
    }

    fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(RawBsonRef<'a>) -> Option<T>,
    ) -> Result<T, StoreError> {
        let found = self.optional(name)?;
        found.and_then(read).ok_or_else(|| corrupt(name))
    }

    fn bytes(&self, name: &str) -> Result<&'a [u8], StoreError> {
        self.read(name, |value| Some(value.as_binary()?.bytes))
    }

    pub(super) fn uuid(&self, name: &str) -> Result<Uuid, StoreError> {
        Uuid::from_slice(self.bytes(name)?).map_err(|_| corrupt(name))
    }

    pub(super) fn tag(&self, name: &str) -> Result<Tag, StoreError> {
        Tag::from_bytes(self.bytes(name)?).ok_or_else(|| corrupt(name))
    }

    pub(super) fn keys(&self, name: &str) -> Result<Vec<KeyId>, StoreError> {
        let keys = self.read(name, RawBsonRef::as_array)?;
        keys.into_iter()
            .map(|key| {
                let bytes = key.ok().and_then(RawBsonRef::as_binary);
                bytes.and_then(|binary| KeyId::from_bytes(binary.bytes))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| corrupt(name))
    }

    fn optional_tag(&self, name: &str) -> Result<Option<Tag>, StoreError> {
        let found = self.optional(name)?;
        found.map(|_| self.tag(name)).transpose()
    }

    fn sealed(&self, name: &str) -> Result<Sealed, StoreError> {
        Ok(Sealed::from_bytes(self.bytes(name)?.to_vec()))
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, StoreError> {
        self.read(name, RawBsonRef::as_str)
    }

    fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        parse(self.text(name)?).ok_or_else(|| corrupt(name))
    }

    pub(super) fn city(&self, name: &str) -> Result<CityCode, StoreError> {
        self.parsed(name, |code| code.parse().ok())
    }

    pub(super) fn time(&self, name: &str) -> Result<Timestamp, StoreError> {
        self.read(name, |value| {
            Timestamp::from_millisecond(value.as_datetime()?.timestamp_millis()).ok()
        })
    }

    /// Of 32 or 64 bits: sums and counts come in the smaller width that holds them.
    pub(super) fn number(&self, name: &str) -> Result<i64, StoreError> {
        self.read(name, |value| {
            value.as_i64().or_else(|| value.as_i32().map(i64::from))
        })
    }

    fn side(&self, name: &str) -> Result<u32, StoreError> {
        u32::try_from(self.number(name)?).map_err(|_| corrupt(name))
    }

    pub(super) fn document(&self, name: &str) -> Result<Option<&'a RawDocument>, StoreError> {
        let found = self.optional(name)?;
        found
            .map(|value| value.as_document().ok_or_else(|| corrupt(name)))
            .transpose()
    }
}

fn corrupt(field: &str) -> StoreError {
    StoreError::Corrupt(format!("{field}: absent or not what was written").into())
}

#[cfg(test)]
mod tests {
    use mongodb::bson::RawDocumentBuf;

    use super::*;

    /// A registration as it was written once, for ever: `tests/register` holds the other stored forms.
    const WRITTEN: &[u8] = include_bytes!("../../../tests/backends/mongo/registration.bson");

    fn known() -> Registration {
        let tag = |byte| Tag::from_bytes(&[byte; 32]).unwrap();
        let sealed = |text: &[u8]| Sealed::from_bytes(text.to_vec());
        Registration {
            id: Uuid::from_u128(1),
            reference: Reference::parse("K7QM-3XPD").unwrap(),
            city: "11001".parse().unwrap(),
            registered_at: Timestamp::from_millisecond(1_760_000_000_123).unwrap(),
            sealed: sealed(b"a person's box"),
            document_tag: Some(tag(1)),
            idempotency_tag: Some(tag(2)),
            content_tag: tag(3),
            once_tag: None,
            photo: Some(StoredPhoto {
                key: PhotoKey(Uuid::from_u128(2)),
                media_type: "image/jpeg".parse().unwrap(),
                bytes: 200_000,
                width: 1000,
                height: 630,
                digest: tag(4),
                wrapped_key: sealed(b"a photo's key"),
            }),
        }
    }

    #[test]
    fn a_document_of_long_ago_is_what_is_written_today_and_reads_back() {
        let today = RawDocumentBuf::try_from(&of_registration(&known())).unwrap();
        assert_eq!(today.as_bytes(), WRITTEN);

        let raw = RawDocument::from_bytes(WRITTEN).unwrap();
        assert_eq!(registration(raw).unwrap(), known());
        assert_eq!(row(raw).unwrap().envelope, known().envelope());

        let once = Registration {
            once_tag: Some(known().content_tag),
            ..known()
        };
        let raw = RawDocumentBuf::try_from(&of_registration(&once)).unwrap();
        assert_eq!(registration(&raw).unwrap(), once);
    }
}
