//! The texts that a person types, each with its bounds. They print nothing of what they hold.

use std::fmt;

use super::Fault;

/// Longest name, in characters, after trimming.
pub const MAX_NAME_CHARS: usize = 200;
/// Fewest and most digits of a document number.
pub const DOCUMENT_DIGITS: std::ops::RangeInclusive<usize> = 3..=11;
/// Longest e-mail address, in bytes (RFC 5321).
pub const MAX_EMAIL_BYTES: usize = 254;
/// Fewest and most characters of an idempotency key.
pub const KEY_CHARS: std::ops::RangeInclusive<usize> = 8..=128;

macro_rules! personal_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(pub(super) String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

personal_text! {
    /// A full name: 1 to [`MAX_NAME_CHARS`] characters of any script, trimmed, none a control character.
    PersonName
}
personal_text! {
    /// A document number: [`DOCUMENT_DIGITS`] digits, separators removed.
    DocumentNumber
}
personal_text! {
    /// An e-mail address of at most [`MAX_EMAIL_BYTES`] bytes.
    Email
}
personal_text! {
    /// What a client sends to make a repeated request harmless: [`KEY_CHARS`] visible ASCII characters.
    IdempotencyKey
}

impl PersonName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`Fault::Required`], [`Fault::TooLong`] or [`Fault::Control`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        if text.is_empty() {
            Err(Fault::Required)
        } else if text.chars().count() > MAX_NAME_CHARS {
            Err(Fault::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(Fault::Control)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl DocumentNumber {
    /// Parses a document number; blanks, dots, commas and dashes between the digits are ignored.
    ///
    /// # Errors
    /// [`Fault::Format`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let digits: String = text
            .chars()
            .filter(|symbol| !symbol.is_whitespace() && !matches!(symbol, '.' | ',' | '-'))
            .collect();
        let right = digits.bytes().all(|digit| digit.is_ascii_digit())
            && DOCUMENT_DIGITS.contains(&digits.len());
        right.then_some(Self(digits)).ok_or(Fault::Format)
    }
}

impl Email {
    /// Parses an e-mail address.
    ///
    /// # Errors
    /// [`Fault::TooLong`] or [`Fault::Format`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        if text.len() > MAX_EMAIL_BYTES {
            return Err(Fault::TooLong);
        }
        let options = email_address::Options::default()
            .without_display_text()
            .with_required_tld()
            .without_domain_literal();
        // Quoted local parts may hold control characters, which the report could not carry.
        email_address::EmailAddress::parse_with_options(text, options)
            .ok()
            .filter(|_| !text.chars().any(char::is_control))
            .map(|_| Self(text.to_owned()))
            .ok_or(Fault::Format)
    }
}

impl IdempotencyKey {
    /// Parses an idempotency key.
    ///
    /// # Errors
    /// [`Fault::Format`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let right =
            text.bytes().all(|byte| byte.is_ascii_graphic()) && KEY_CHARS.contains(&text.len());
        right.then(|| Self(text.to_owned())).ok_or(Fault::Format)
    }
}
