//! Localisation: the two languages of the service, and content negotiation between them.
//!
//! Owns [`Lang`], its negotiation and the sentences that carry a number or a time; the fixed strings are in [`Texts`].
//! Called by the pages, the chart and the report. It never reads a request, and it never knows which error or page a
//! string is for.

mod counts;
mod texts;

pub use counts::Noun;
use jiff::{Timestamp, tz::TimeZone};
pub use texts::{NOTICE, Texts};

use crate::foundation::accept::choices;

/// A language (locale) that every page, chart and report exists in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lang {
    /// Spanish, as written in Colombia; the answer to any other language too.
    #[default]
    Es,
    /// English.
    En,
}

impl Lang {
    /// The language subtag, for the `lang` attribute and parameter: `es` or `en`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::En => "en",
        }
    }

    /// The language that the switch on a page leads to.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Es => Self::En,
            Self::En => Self::Es,
        }
    }

    /// Reads a language tag by its first subtag, in any case: `es`, `en`, `es-CO`, `EN_us`.
    #[must_use]
    pub fn parse(tag: &str) -> Option<Self> {
        let language = tag.trim().split(['-', '_']).next()?;
        [Self::Es, Self::En]
            .into_iter()
            .find(|lang| lang.code().eq_ignore_ascii_case(language))
    }

    /// Negotiates by an `Accept-Language` header: the higher quality value wins, and Spanish wins a tie, a missing
    /// header and a header that names neither language.
    #[must_use]
    pub fn negotiate(accept_language: Option<&str>) -> Self {
        let header = accept_language.unwrap_or_default();
        let weight = |lang| {
            weight(header, |tag| Self::parse(tag) == Some(lang))
                .or_else(|| weight(header, |tag| tag == "*"))
                .unwrap_or(0.0)
        };
        if weight(Self::En) > weight(Self::Es) {
            Self::En
        } else {
            Self::Es
        }
    }

    /// Every fixed string in this language.
    #[must_use]
    pub fn texts(self) -> &'static Texts {
        match self {
            Self::Es => &Texts::ES,
            Self::En => &Texts::EN,
        }
    }

    /// The thousands separator.
    #[must_use]
    pub fn thousands(self) -> char {
        match self {
            Self::Es => '.',
            Self::En => ',',
        }
    }

    /// A count with thousands separators: `1.234.567` in Spanish, `1,234,567` in English.
    #[must_use]
    pub fn count(self, n: u64) -> String {
        let digits = n.to_string();
        let mut grouped = String::with_capacity(digits.len() * 4 / 3);
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(self.thousands());
            }
            grouped.push(digit);
        }
        grouped
    }

    /// How many people are registered, in words.
    #[must_use]
    pub fn people(self, n: u64) -> String {
        let noun = match (self, n) {
            (Self::Es, 1) => "persona registrada",
            (Self::Es, _) => "personas registradas",
            (Self::En, 1) => "person registered",
            (Self::En, _) => "people registered",
        };
        format!("{} {noun}", self.count(n))
    }

    /// A time as people in `zone` read it.
    #[must_use]
    pub fn time(self, time: Timestamp, zone: &TimeZone) -> String {
        let local = time.to_zoned(zone.clone());
        local.strftime(self.texts().time_format).to_string()
    }

    /// A period, which ends before `until`, as people in `zone` read it.
    #[must_use]
    pub fn period(
        self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        zone: &TimeZone,
    ) -> String {
        let t = self.texts();
        let bounds = [(t.report_since, since), (t.report_until, until)];
        let bounds = bounds.map(|(word, bound)| {
            let time = bound.map(|time| self.time(time, zone));
            time.map(|time| format!("{word} {time}"))
        });
        match bounds {
            [None, None] => t.report_always.to_owned(),
            bounds => bounds.into_iter().flatten().collect::<Vec<_>>().join(" "),
        }
    }
}

/// The highest quality value among the header's ranges that `matches` picks.
fn weight(header: &str, matches: impl Fn(&str) -> bool) -> Option<f32> {
    let matching = choices(header).filter(|(tag, _)| matches(tag));
    matching.map(|(_, weight)| weight).reduce(f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_by_its_first_subtag() {
        for (tag, lang) in [
            ("es", Some(Lang::Es)),
            ("es-CO", Some(Lang::Es)),
            ("EN", Some(Lang::En)),
            (" en_US ", Some(Lang::En)),
            ("est", None),
            ("e", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(Lang::parse(tag), lang, "{tag:?}");
        }
    }

    #[test]
    fn the_weights_of_the_header_decide() {
        for (header, lang) in [
            (None, Lang::Es),
            (Some(""), Lang::Es),
            (Some("en"), Lang::En),
            (Some("fr, en-GB;q=0.5"), Lang::En),
            (Some("es;q=0.5, en;q=0.9"), Lang::En),
            (Some("en;q=0.5,es-CO,es;q=0.9"), Lang::Es),
            (Some("en ; q=0.3 , es ; Q=0.2"), Lang::En),
            (Some("en,es"), Lang::Es),
            (Some("de, fr;q=0.1"), Lang::Es),
            (Some("*"), Lang::Es),
            (Some("es;q=0, *;q=0.4"), Lang::En),
            (Some("en;q=0"), Lang::Es),
            (Some("en;q=NaN, es;q=0.1"), Lang::Es),
            (Some("en;q=7, es;q=0.1"), Lang::Es),
            (Some("en;level=1, es;q=0.1"), Lang::En),
            (Some("es-419;q=0.5, en;q=0.4"), Lang::Es),
            (Some("es-419, en"), Lang::Es),
            (Some("*;q=0.5, es;q=0"), Lang::En),
            (Some("en;q=0, *"), Lang::Es),
        ] {
            assert_eq!(Lang::negotiate(header), lang, "{header:?}");
        }
    }

    #[test]
    fn counts_are_grouped_by_three() {
        for (n, es) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.000"),
            (12_345, "12.345"),
            (1_234_567, "1.234.567"),
            (u64::MAX, "18.446.744.073.709.551.615"),
        ] {
            assert_eq!(Lang::Es.count(n), es);
            assert_eq!(Lang::En.count(n), es.replace('.', ","));
        }
    }

    #[test]
    fn one_is_singular_and_every_other_number_plural() {
        assert_eq!(Lang::Es.people(0), "0 personas registradas");
        assert_eq!(Lang::Es.people(1), "1 persona registrada");
        assert_eq!(Lang::En.people(1), "1 person registered");
        assert_eq!(Lang::En.people(2), "2 people registered");
    }
}
