//! A period of registration, as a report is asked for it.

use std::ops::RangeInclusive;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use uuid::Uuid;

use super::field::{Fault, Field, FieldError};

/// When people registered: from `since` on and before `until`, to the millisecond; without bounds, at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// The first moment in it.
    pub since: Option<Timestamp>,
    /// The first moment after it.
    pub until: Option<Timestamp>,
}

impl Period {
    /// Reads its bounds: each a day of `zone` (`2026-11-24`), which is wholly in the period, or a time with its offset
    /// (`2026-11-24T08:00:00-05:00`), `until` being the first that is not in it; a blank one is none. From 1970 to the end of 9999.
    ///
    /// # Errors
    /// [`Fault::Format`] for each bound that is neither, [`Fault::Backwards`] when the period ends before it begins.
    pub fn parse(
        since: Option<&str>,
        until: Option<&str>,
        zone: &TimeZone,
    ) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut read = |field, text: Option<&str>, days| {
            let text = text.map(str::trim).filter(|text| !text.is_empty());
            let bound = text.map(|text| bound(text, zone, days).ok_or(Fault::Format));
            let bound = bound.transpose();
            bound
                .map_err(|fault| errors.push(FieldError::new(field, fault)))
                .unwrap_or_default()
        };
        let period = Self {
            since: read(Field::Since, since, 0),
            until: read(Field::Until, until, 1),
        };
        if let (Some(since), Some(until)) = (period.since, period.until)
            && since >= until
        {
            errors.push(FieldError::new(Field::Until, Fault::Backwards));
        }
        if errors.is_empty() {
            Ok(period)
        } else {
            Err(errors)
        }
    }

    /// Whether everybody is in it.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The ids in it: they are of UUID version 7 and begin with the millisecond of the registration.
    #[must_use]
    pub fn ids(&self) -> RangeInclusive<Uuid> {
        let first = |time: Timestamp| {
            // Whole milliseconds are compared, so that a bound within one is in the next.
            let millis = time.as_nanosecond().div_euclid(1_000_000)
                + i128::from(time.as_nanosecond().rem_euclid(1_000_000) > 0);
            u128::try_from(millis).unwrap_or(0) << 80
        };
        let since = self.since.map_or(0, first);
        let until = self
            .until
            .map_or(u128::MAX, |time| first(time).saturating_sub(1));
        Uuid::from_u128(since)..=Uuid::from_u128(until)
    }
}

/// A time, or the beginning of the day that is `days` after a day.
fn bound(text: &str, zone: &TimeZone, days: i8) -> Option<Timestamp> {
    let time = if text.len() == "2026-11-24".len() {
        let begins = text.parse::<Date>().ok()?.checked_add(days.days());
        let begins = begins.and_then(|day| day.to_zoned(zone.clone()));
        // The last of all days has no end that can be told.
        begins.map_or(Timestamp::MAX, |day| day.timestamp())
    } else {
        text.parse().ok()?
    };
    (time >= Timestamp::UNIX_EPOCH).then_some(time)
}
