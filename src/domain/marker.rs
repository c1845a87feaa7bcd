//! The marker of a register: its id, and the high-water mark of how many people it has had.
//!
//! Pure. Copies are kept beside the keys and in the photo store, so that a record store that was lost, or is
//! another's, is not taken for a new one. It is one line of text, authenticated by a keyed hash (HMAC).

use uuid::Uuid;

use crate::foundation::seal::{Keyring, Tag, TagOf};

/// What the line begins with; the number is the version of its format.
const HEAD: &str = "padron register 1";

/// A register's high-water mark: the most that was ever seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Its id.
    pub register: Uuid,
    /// How many people were registered since it was begun, erased ones among them.
    pub registered: u64,
}

/// A line that is damaged, or was written with other keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the marker is damaged or another register's")]
pub struct NotOurs;

impl Marker {
    /// Serialises it, with its keyed hash.
    #[must_use]
    pub fn to_text(&self, keyring: &Keyring) -> String {
        let (register, registered) = (self.register, self.registered);
        let tag = hex::encode(self.tag(keyring).as_bytes());
        format!("{HEAD} {register} {registered} {tag}\n")
    }

    /// Parses what was stored and verifies its keyed hash.
    ///
    /// # Errors
    /// [`NotOurs`].
    pub fn parse(text: &[u8], keyring: &Keyring) -> Result<Self, NotOurs> {
        let read = || {
            let line = str::from_utf8(text).ok()?.strip_prefix(HEAD)?;
            let mut words = line.split_ascii_whitespace();
            let marker = Self {
                register: words.next()?.parse().ok()?,
                registered: words.next()?.parse().ok()?,
            };
            let tag = Tag::from_bytes(&hex::decode(words.next()?).ok()?)?;
            let whole = words.next().is_none() && tag.matches(&marker.tag(keyring));
            whole.then_some(marker)
        };
        read().ok_or(NotOurs)
    }

    fn tag(&self, keyring: &Keyring) -> Tag {
        let registered = self.registered.to_le_bytes();
        keyring.tag(TagOf::Marker, &[self.register.as_bytes(), &registered])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_back_with_its_own_keys_only() {
        let (own, other) = (Keyring::generate(), Keyring::generate());
        let marker = Marker {
            register: Uuid::new_v4(),
            registered: 1_234,
        };
        let text = marker.to_text(&own);
        assert_eq!(Marker::parse(text.as_bytes(), &own), Ok(marker));
        assert_eq!(Marker::parse(text.as_bytes(), &other), Err(NotOurs));
        let lowered = text.replace(" 1234 ", " 12 ");
        for changed in [&lowered, &text[..text.len() - 2], "", &format!("{text} x")] {
            assert_eq!(
                Marker::parse(changed.as_bytes(), &own),
                Err(NotOurs),
                "{changed}"
            );
        }
    }
}
