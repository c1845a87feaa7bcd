//! The number of an identity document under its type: validated, normalised, unique.

use std::fmt;

use super::{document_type::DocumentType, field::Fault};
use crate::foundation::paste::plain;

/// Most symbols of a number as written, with the zeros that pad it.
const MAX_SYMBOLS: usize = 20;

/// A document's type and number as one text: `1020304050` is a CC, `PA AB123456` a passport. Capital letters,
/// separators removed. Redacted in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct DocumentNumber(pub(super) String);

impl DocumentNumber {
    /// Parses the number of a CC.
    ///
    /// # Errors
    /// As [`DocumentNumber::of`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Self::of(DocumentType::Cc, text)
    }

    /// Parses the number of a document of this type. Separators are accepted where they are unambiguous: between
    /// groups of three digits from the right, or blanks and dashes in a number with letters.
    ///
    /// # Errors
    /// [`Fault::DocumentNumber`], [`Fault::Reordered`].
    pub fn of(kind: DocumentType, text: &str) -> Result<Self, Fault> {
        let text = plain(text)?;
        let lettered = kind.has_letters() && text.contains(|sign: char| sign.is_ascii_alphabetic());
        let symbols = if lettered {
            joined(&text)
        } else {
            ungrouped(&text)
        };
        let symbols = symbols.filter(|symbols| {
            symbols.len() <= MAX_SYMBOLS
                && kind.symbols().contains(&significant(kind, symbols).len())
                && !symbols.bytes().all(|symbol| symbol == b'0')
        });
        let symbols = symbols.ok_or(Fault::DocumentNumber(kind))?;
        Ok(Self(format!("{}{symbols}", kind.mark())))
    }

    /// Type and number as a report shows them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Type and number normalised for uniqueness: without leading zeros that only pad.
    #[must_use]
    pub fn normalised(&self) -> String {
        let (mark, symbols) = self
            .0
            .split_at(self.0.find(' ').map_or(0, |blank| blank + 1));
        let of_mark = |kind: &DocumentType| kind.mark() == mark;
        let kind = DocumentType::ALL
            .into_iter()
            .find(of_mark)
            .unwrap_or_default();
        format!("{mark}{}", significant(kind, symbols))
    }
}

impl fmt::Debug for DocumentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DocumentNumber(..)")
    }
}

fn significant(kind: DocumentType, symbols: &str) -> &str {
    if kind.has_letters() {
        symbols
    } else {
        symbols.trim_start_matches('0')
    }
}

/// The digits of a text whose thousands separators, if any, part all of it into groups of three from the right. One
/// that could be a decimal point (`79204456.0`, `1,020.304`) makes it no number at all, rather than another one.
fn ungrouped(text: &str) -> Option<String> {
    let mut groups = text.split(['.', ',', '\'', ' ', '-']);
    let first = groups.next()?;
    let mut digits = first.to_owned();
    for group in groups.clone() {
        if group.len() != 3 {
            return None;
        }
        digits.push_str(group);
    }
    let grouped = groups.next().is_some();
    let first_too_long = grouped && first.trim_start_matches('0').len() > 3;
    let decimal = text.contains('.') && text.contains(',');
    let right = !first.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    (right && !first_too_long && !decimal).then_some(digits)
}

/// The letters and digits of a text that single blanks and dashes part.
fn joined(text: &str) -> Option<String> {
    let parts = || text.split([' ', '-']);
    let right = parts()
        .all(|part| !part.is_empty() && part.bytes().all(|symbol| symbol.is_ascii_alphanumeric()));
    right.then(|| parts().collect::<String>().to_ascii_uppercase())
}
