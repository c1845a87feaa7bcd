//! The texts that a person types, each with its bounds. They are redacted in `Debug`.

use std::fmt;

use super::Fault;
use crate::foundation::paste::{is_visible, plain, shed};

/// Longest name, in characters, after trimming.
pub const MAX_NAME_CHARS: usize = 200;
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
    /// A full name: 1 to [`MAX_NAME_CHARS`] characters of any script, at least one of them visible, none a control
    /// character; without what a paste brought along.
    PersonName
}
personal_text! {
    /// An e-mail address of at most [`MAX_EMAIL_BYTES`] bytes.
    Email
}
personal_text! {
    /// What a client sends to make its retries idempotent: [`KEY_CHARS`] visible ASCII characters.
    IdempotencyKey
}

personal_text! {
    /// The version of the privacy notice that a person agreed to: 1 to 32 letters, digits, dots and dashes.
    Notice
}

impl Notice {
    /// Parses a version.
    ///
    /// # Errors
    /// [`Fault::Format`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        let sign = |sign: u8| sign.is_ascii_alphanumeric() || matches!(sign, b'.' | b'-');
        let right = (1..=32).contains(&text.len()) && text.bytes().all(sign);
        right.then(|| Self(text.to_owned())).ok_or(Fault::Format)
    }
}

impl PersonName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`Fault::Required`], [`Fault::TooLong`], [`Fault::Control`] or [`Fault::Reordered`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let breaks = |sign: char| sign.is_control() || matches!(sign, '\u{2028}' | '\u{2029}');
        let text = shed(text)?;
        if text.contains(breaks) {
            Err(Fault::Control)
        } else if !is_visible(&text) {
            Err(Fault::Required)
        } else if text.chars().count() > MAX_NAME_CHARS {
            Err(Fault::TooLong)
        } else {
            Ok(Self(text))
        }
    }
}

impl Email {
    /// Parses an e-mail address.
    ///
    /// # Errors
    /// [`Fault::TooLong`], [`Fault::Format`] or [`Fault::Reordered`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = plain(text)?;
        if text.len() > MAX_EMAIL_BYTES {
            return Err(Fault::TooLong);
        }
        let options = email_address::Options::default()
            .without_display_text()
            .with_required_tld()
            .without_domain_literal();
        // Quoted local parts may hold control characters, which the report could not carry.
        email_address::EmailAddress::parse_with_options(&text, options)
            .ok()
            .filter(|_| !text.chars().any(char::is_control))
            .map(|_| Self(text.clone()))
            .ok_or(Fault::Format)
    }
}

impl IdempotencyKey {
    /// Parses an idempotency key, bare or as the IETF's draft quotes it: `"k"` and `k` are one key.
    ///
    /// # Errors
    /// [`Fault::Format`] or [`Fault::Reordered`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = plain(text)?;
        let key = match text.strip_prefix('"') {
            Some(quoted) => unquoted(quoted).ok_or(Fault::Format)?,
            None => text,
        };
        let right =
            key.bytes().all(|byte| byte.is_ascii_graphic()) && KEY_CHARS.contains(&key.len());
        right.then_some(Self(key)).ok_or(Fault::Format)
    }
}

/// What a quoted string (RFC 9651, 3.3.3) holds, given all but its first quotation mark.
fn unquoted(quoted: &str) -> Option<String> {
    let mut signs = quoted.chars();
    let mut text = String::with_capacity(quoted.len());
    loop {
        match signs.next()? {
            '"' => return signs.next().is_none().then_some(text),
            '\\' => text.push(signs.next().filter(|sign| matches!(sign, '"' | '\\'))?),
            sign => text.push(sign),
        }
    }
}
