//! The data key of one photo (envelope encryption): the photo's record holds it, encrypted by the keyring.

use zeroize::Zeroizing;

use super::{
    Keyring, OpenError, Sealed, Secret, XChaCha20Poly1305, decrypt, encrypt, known_format, random,
};
use chacha20poly1305::KeyInit as _;

/// The data key of one photo: it encrypts that photo and nothing else.
pub struct DataKey(Secret);

impl DataKey {
    /// A fresh random key.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(random()))
    }

    /// The data key, encrypted (wrapped) by the keyring for the owner that `associated`, the associated data, names.
    #[must_use]
    pub fn wrap(&self, keyring: &Keyring, associated: &[u8]) -> Sealed {
        keyring.seal(associated, self.0.as_slice())
    }

    /// Decrypts a wrapped data key.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn unwrap(
        keyring: &Keyring,
        associated: &[u8],
        wrapped: &Sealed,
    ) -> Result<Self, OpenError> {
        let opened = Zeroizing::new(keyring.open(associated, wrapped)?);
        let secret = opened
            .as_slice()
            .try_into()
            .map_err(|_| OpenError::Damaged)?;
        Ok(Self(Zeroizing::new(secret)))
    }

    /// Encrypts the photo.
    #[must_use]
    pub fn seal(&self, associated: &[u8], content: &[u8]) -> Vec<u8> {
        encrypt(&self.cipher(), &[], associated, content)
    }

    /// Decrypts the photo.
    ///
    /// # Errors
    /// When it was changed or cut, is another's, or is of a format that is not known.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        decrypt(&self.cipher(), associated, known_format(sealed)?)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}
