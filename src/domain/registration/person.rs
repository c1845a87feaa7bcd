//! Who a registration is of, and the box that holds it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    document::DocumentNumber,
    text::{Email, PersonName},
};
use crate::foundation::seal::{Keyring, OpenError, Sealed};

/// What names a person; it leaves this process only sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Full name.
    pub name: PersonName,
    /// Number on the ID card, if given.
    pub document_number: Option<DocumentNumber>,
    /// E-mail address, if given.
    pub email: Option<Email>,
}

/// A person as it stands inside the box.
#[derive(Serialize, Deserialize)]
struct Boxed<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    document_number: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    email: Option<Cow<'a, str>>,
}

impl Person {
    /// Closes the person for the record `id`.
    ///
    /// # Panics
    /// Never: three texts are always valid JSON.
    #[must_use]
    pub fn seal(&self, keyring: &Keyring, id: Uuid) -> Sealed {
        let boxed = Boxed {
            name: self.name.as_str().into(),
            document_number: self
                .document_number
                .as_ref()
                .map(|number| number.as_str().into()),
            email: self.email.as_ref().map(|email| email.as_str().into()),
        };
        let content = serde_json::to_vec(&boxed).expect("three texts are always valid JSON");
        keyring.seal(&associated(id), &content)
    }

    /// Opens the person of the record `id`. What was valid when it was sealed is not judged again.
    ///
    /// # Errors
    /// When the key is missing, or the box is not this record's.
    pub fn open(keyring: &Keyring, id: Uuid, sealed: &Sealed) -> Result<Self, OpenError> {
        let content = keyring.open(&associated(id), sealed)?;
        let boxed: Boxed<'_> = serde_json::from_slice(&content).map_err(|_| OpenError::Damaged)?;
        Ok(Self {
            name: PersonName(boxed.name.into_owned()),
            document_number: boxed
                .document_number
                .map(|number| DocumentNumber(number.into_owned())),
            email: boxed.email.map(|email| Email(email.into_owned())),
        })
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
        }
    }
}

fn associated(id: Uuid) -> Vec<u8> {
    [b"person".as_slice(), id.as_bytes()].concat()
}
