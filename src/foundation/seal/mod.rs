//! The keyring: authenticated encryption of what names a person, and keyed hashes to compare without decrypting.
//!
//! Called by intake, photos, the report and the stores. To *seal* is to encrypt into a *box*, to *open* is to decrypt;
//! a *tag* is a keyed hash (HMAC-SHA-256; a *blind index*). Boxes are encrypted with XChaCha20-Poly1305 under a random
//! nonce, name the key that encrypted them, and are bound to their owner by associated data (AAD). Tags have a key of
//! their own that is never rotated, because uniqueness is decided by them. Keys never leave this module but into the
//! key file.
//!
//! A box: format version (1 byte), key id (4), nonce (24), ciphertext, authentication tag (16). A photo is the same
//! without the key id, because its record holds its data key. The bytes of every format that was ever written can be
//! decrypted for ever: `tests/register` holds that.

mod data_key;
mod file;

use std::{collections::BTreeMap, fmt};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead as _, AeadInOut as _, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

pub use self::{
    data_key::DataKey,
    file::{KeyFileError, replace_private, write_private},
};

/// The format version, first byte of every box: how the rest is to be read.
const FORMAT: u8 = 1;
const ID_LENGTH: usize = 4;
const NONCE_LENGTH: usize = 24;
const AUTHENTICATION_LENGTH: usize = 16;

/// A secret of 32 random bytes, zeroised when dropped.
type Secret = Zeroizing<[u8; 32]>;

/// Random bytes from the operating system.
///
/// # Panics
/// When the operating system has no randomness to give: nothing safe can be done then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

/// Names one encryption key: the first four bytes of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID_LENGTH]);

impl KeyId {
    /// Parses a stored id; `None` unless it is 4 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// What to store: 4 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn of(secret: &Secret) -> Self {
        let digest = Sha256::digest(secret.as_slice());
        let mut id = [0; ID_LENGTH];
        id.copy_from_slice(&digest[..ID_LENGTH]);
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A box, or sealed content: format version, key id, nonce, ciphertext and authentication tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Wraps stored bytes unparsed; [`Keyring::open`] finds out whether they are a box.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// What to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key that encrypted it; `None` for what is no box of a known format.
    #[must_use]
    pub fn key(&self) -> Option<KeyId> {
        self.parts().ok().map(|(id, _)| id)
    }

    fn parts(&self) -> Result<(KeyId, &[u8]), OpenError> {
        let (id, rest) = known_format(&self.0)?
            .split_first_chunk()
            .ok_or(OpenError::Damaged)?;
        Ok((KeyId(*id), rest))
    }
}

/// What follows the format byte.
fn known_format(bytes: &[u8]) -> Result<&[u8], OpenError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => Ok(rest),
        Some((&other, _)) => Err(OpenError::Format(other)),
        None => Err(OpenError::Damaged),
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// A keyed hash (a blind index): equal for equal content, and no help in guessing it without the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag([u8; 32]);

impl Tag {
    /// Parses a stored tag; `None` unless it is 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// What to store: 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(..)")
    }
}

/// What a tag is a hash of. The number separates domains: equal texts of two kinds have different tags. It is part of
/// every stored tag, so none is ever changed or used again.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum TagOf {
    /// A document's type and number, normalised.
    Document = 0,
    /// An idempotency key.
    IdempotencyKey = 1,
    /// Everything that a person sent.
    Content = 2,
    /// A photo as it is stored, before it is encrypted.
    Photo = 3,
    /// A session's or a sign-in code's token.
    Session = 4,
    /// The keyring itself.
    Keyring = 5,
    /// The marker of a register.
    Marker = 6,
    /// The cookie and the number of a draft.
    Draft = 24,
}

/// Why a box cannot be decrypted.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The box names a key that the key file does not hold.
    #[error("sealed with key {0}, which the key file does not hold")]
    MissingKey(KeyId),
    /// Its first byte is none that this version writes or reads.
    #[error(
        "sealed in format {0}, which this padron does not know; is it older than the register?"
    )]
    Format(u8),
    /// The box was changed or cut, or belongs to another record (its associated data differ).
    #[error("the sealed box is damaged or is not this record's")]
    Damaged,
}

/// The keys of one register, shared by all its replicas.
pub struct Keyring {
    tag: Secret,
    keys: BTreeMap<KeyId, (Secret, XChaCha20Poly1305)>,
    /// Oldest first; the last one encrypts.
    order: Vec<KeyId>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.order).finish()
    }
}

impl Keyring {
    /// A keyring with fresh random keys.
    #[must_use]
    pub fn generate() -> Self {
        let mut keyring = Self {
            tag: Zeroizing::new(random()),
            keys: BTreeMap::new(),
            order: Vec::new(),
        };
        keyring.rotate();
        keyring
    }

    /// Adds a fresh key that encrypts from now on; what older keys encrypted can still be decrypted.
    pub fn rotate(&mut self) -> KeyId {
        self.push(Zeroizing::new(random()))
    }

    fn push(&mut self, secret: Secret) -> KeyId {
        let id = KeyId::of(&secret);
        let cipher = XChaCha20Poly1305::new((&*secret).into());
        self.keys.insert(id, (secret, cipher));
        self.order.push(id);
        id
    }

    /// The keys that decrypt, oldest first; the last one encrypts.
    #[must_use]
    pub fn keys(&self) -> &[KeyId] {
        &self.order
    }

    /// Encrypts `content`, bound to the owner that the associated data name: only with the same can it be decrypted.
    ///
    /// # Panics
    /// Beyond 256 GiB of content; the largest here is a photo of 10 MiB.
    #[must_use]
    pub fn seal(&self, associated: &[u8], content: &[u8]) -> Sealed {
        let id = self.order.last().expect("a keyring has at least one key");
        let (_, cipher) = &self.keys[id];
        Sealed(encrypt(cipher, &id.0, associated, content))
    }

    /// Decrypts a box that was sealed with the same associated data.
    ///
    /// # Errors
    /// When the key is not in the keyring, or the box or its associated data are not what was sealed.
    pub fn open(&self, associated: &[u8], sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
        let (id, rest) = sealed.parts()?;
        let (_, cipher) = self.keys.get(&id).ok_or(OpenError::MissingKey(id))?;
        decrypt(cipher, associated, rest)
    }

    /// The keyed hash of `parts`, each prefixed with its length.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length.
    #[must_use]
    pub fn tag(&self, of: TagOf, parts: &[&[u8]]) -> Tag {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.tag.as_slice())
            .expect("HMAC takes a key of any length");
        mac.update(&[of as u8]);
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        Tag(mac.finalize().into_bytes().into())
    }

    /// The keyed hash by which a store tells this register's key file from another's.
    #[must_use]
    pub fn fingerprint(&self) -> Tag {
        self.tag(TagOf::Keyring, &[])
    }
}

/// Returns format version, `key` (its id, or nothing), nonce, ciphertext and authentication tag.
fn encrypt(cipher: &XChaCha20Poly1305, key: &[u8], associated: &[u8], content: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_LENGTH] = random();
    let head = [&[FORMAT], key, &nonce].concat();
    // One buffer, in which the content is encrypted in place: a photo is megabytes.
    let mut sealed = Vec::with_capacity(head.len() + content.len() + AUTHENTICATION_LENGTH);
    sealed.extend(&head);
    sealed.extend(content);
    let tag = cipher
        .encrypt_inout_detached(
            (&nonce).into(),
            associated,
            (&mut sealed[head.len()..]).into(),
        )
        .expect("content is below 256 GiB");
    sealed.extend(tag);
    sealed
}

/// Takes nonce, ciphertext and authentication tag.
fn decrypt(
    cipher: &XChaCha20Poly1305,
    associated: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let (nonce, closed) = sealed
        .split_first_chunk::<NONCE_LENGTH>()
        .ok_or(OpenError::Damaged)?;
    let payload = Payload {
        msg: closed,
        aad: associated,
    };
    cipher
        .decrypt(nonce.into(), payload)
        .map_err(|_| OpenError::Damaged)
}

#[cfg(test)]
mod tests;
