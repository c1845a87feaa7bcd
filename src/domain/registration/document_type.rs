//! The types of documents: their names, and what their numbers are made of.

use std::ops::RangeInclusive;

use crate::foundation::paste::plain;

/// The type of an identity document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DocumentType {
    /// Cédula de ciudadanía: adults of Colombia. The default.
    #[default]
    Cc,
    /// Tarjeta de identidad: minors of Colombia.
    Ti,
    /// Cédula de extranjería: foreigners who live in Colombia.
    Ce,
    /// Permiso por Protección Temporal, and the special permits before it.
    Ppt,
    /// A passport of any country.
    Passport,
    /// Any other document.
    Other,
}

impl DocumentType {
    /// Every type, in the order of the form.
    pub const ALL: [Self; 6] = [
        Self::Cc,
        Self::Ti,
        Self::Ce,
        Self::Ppt,
        Self::Passport,
        Self::Other,
    ];

    /// Its name in the form and in the interface.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cc => "CC",
            Self::Ti => "TI",
            Self::Ce => "CE",
            Self::Ppt => "PPT",
            Self::Passport => "passport",
            Self::Other => "other",
        }
    }

    /// The type of this name, in any case, with or without full stops (`C.C.`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = plain(text).ok()?.replace(['.', ' '], "");
        let named = |kind: &Self| kind.as_str().eq_ignore_ascii_case(&text);
        Self::ALL.into_iter().find(named)
    }

    /// Whether its numbers may hold letters, and leading zeros that count.
    #[must_use]
    pub fn has_letters(self) -> bool {
        matches!(self, Self::Passport | Self::Other)
    }

    /// Fewest and most symbols of a number, leading zeros not counted where they do not count.
    #[must_use]
    pub fn symbols(self) -> RangeInclusive<usize> {
        match self {
            // Who names no type may well mean the TI of before 2000, which has eleven.
            Self::Cc => 3..=11,
            Self::Ti => 6..=11,
            Self::Ce => 3..=10,
            Self::Ppt => 3..=15,
            Self::Passport => 4..=16,
            Self::Other => 3..=20,
        }
    }

    /// The prefix of a number of this type in a report; none for a CC, the usual one.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::Cc => "",
            Self::Ti => "TI ",
            Self::Ce => "CE ",
            Self::Ppt => "PPT ",
            Self::Passport => "PA ",
            Self::Other => "OT ",
        }
    }
}
