//! The reference that a citizen keeps.

use std::fmt;

use crate::foundation::paste::plain;

/// The alphabet of a reference, without look-alikes: no `0 O`, `1 I L`, nor `U`.
pub(super) const SYMBOLS: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What the citizen keeps: eight symbols without look-alikes, written `K7QM-3XPD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reference(pub(super) [u8; 8]);

impl Reference {
    /// A reference from random bytes; each symbol is drawn from its own two bytes, so that modulo bias stays below one
    /// in two thousand.
    #[must_use]
    pub fn from_random(random: [u8; 16]) -> Self {
        let mut symbols = [0; 8];
        for (symbol, pair) in symbols.iter_mut().zip(random.as_chunks::<2>().0) {
            *symbol = SYMBOLS[usize::from(u16::from_le_bytes(*pair)) % SYMBOLS.len()];
        }
        Self(symbols)
    }

    /// Parses a reference as people write and paste it: any case, with or without the dash, blanks or other
    /// punctuation between or around the symbols.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = plain(text).ok()?;
        let mut symbols = text
            .bytes()
            .filter(|byte| !byte.is_ascii_punctuation() && !byte.is_ascii_whitespace())
            .map(|byte| byte.to_ascii_uppercase());
        let mut reference = [0; 8];
        for symbol in &mut reference {
            *symbol = symbols.next().filter(|byte| SYMBOLS.contains(byte))?;
        }
        symbols.next().is_none().then_some(Self(reference))
    }

    /// The eight symbols without the dash, as stored.
    #[must_use]
    pub fn symbols(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, right) = self.symbols().split_at(4);
        write!(f, "{left}-{right}")
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
