//! The live counts: how many registered today, on each of the last thirty days, and in all. They say what is so now,
//! where the board says what the latest report counted.
//!
//! Read by the dashboard and by the chart of days. Cached for all who ask, by age: nothing says when the next person
//! registers. It is the one place that knows which day a registration belongs to in the office's time zone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use crate::{
    foundation::{clock::now, single_flight::SingleFlight},
    store::{Daily, Recent, StoreError},
};

/// How many days, today included.
pub const DAYS: i64 = 30;

/// How old a tally may be that is given to whoever asks.
const FRESH: Duration = Duration::from_secs(5);

/// After a count the store rests so many times as long as the count took.
const REST: u32 = 20;

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Registrations in all.
    pub total: u64,
    /// The last [`DAYS`] days with their registrations, oldest first; the last is today.
    pub days: Vec<(Date, u64)>,
    /// When it was counted.
    pub at: Timestamp,
}

impl Tally {
    fn of(recent: &Recent, at: Timestamp, zone: &TimeZone) -> Self {
        let today = at.to_zoned(zone.clone()).date();
        let days = (0..DAYS)
            .rev()
            .filter_map(|ago| today.checked_sub(ago.days()).ok());
        let mut days: BTreeMap<_, u64> = days.map(|day| (day, 0)).collect();
        for (start, count) in &recent.quarters {
            // What a clock that was ahead has registered is of no day yet.
            if let Some(day) = days.get_mut(&start.to_zoned(zone.clone()).date()) {
                *day += count;
            }
        }
        Self {
            total: recent.total,
            days: days.into_iter().collect(),
            at,
        }
    }

    /// Registrations of today.
    #[must_use]
    pub fn today(&self) -> u64 {
        self.days.last().map_or(0, |&(_, count)| count)
    }
}

/// The live counts of one register.
pub struct Live {
    store: Arc<dyn Daily>,
    zone: TimeZone,
    kept: Mutex<Option<Kept>>,
    /// One count for all who ask while it is made, and its error is everybody's.
    asked: SingleFlight<(), Result<Arc<Tally>, Arc<StoreError>>>,
}

#[derive(Clone)]
struct Kept {
    tally: Arc<Tally>,
    until: Instant,
}

impl Live {
    /// The counts of `store`, whose days begin at midnight in `zone`.
    #[must_use]
    pub fn new(store: Arc<dyn Daily>, zone: TimeZone) -> Arc<Self> {
        Arc::new(Self {
            store,
            zone,
            kept: Mutex::default(),
            asked: SingleFlight::default(),
        })
    }

    /// The counts, at most five seconds old, or older by twenty times what a count takes.
    ///
    /// # Errors
    /// When the store does not answer and nothing as new is known.
    pub async fn tally(self: &Arc<Self>) -> Result<Arc<Tally>, Arc<StoreError>> {
        if let Some(tally) = self.kept() {
            return Ok(tally);
        }
        let live = self.clone();
        let count = || async move { live.count().await.map_err(Arc::new) };
        self.asked.join((), count).await
    }

    fn kept(&self) -> Option<Arc<Tally>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref().filter(|kept| Instant::now() < kept.until);
        kept.map(|kept| kept.tally.clone())
    }

    async fn count(&self) -> Result<Arc<Tally>, StoreError> {
        // Another may have counted since this one looked.
        if let Some(tally) = self.kept() {
            return Ok(tally);
        }
        let (begun, at) = (Instant::now(), now());
        let since = first_moment(at, &self.zone);
        let recent = self.store.recent(since).await?;
        let tally = Arc::new(Tally::of(&recent, at, &self.zone));
        let until = Instant::now() + FRESH.max(begun.elapsed() * REST);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(Kept {
            tally: tally.clone(),
            until,
        });
        Ok(tally)
    }
}

/// The beginning of the first of the days that end with the one of `at`.
fn first_moment(at: Timestamp, zone: &TimeZone) -> Timestamp {
    let first = at
        .to_zoned(zone.clone())
        .date()
        .checked_sub((DAYS - 1).days());
    let first = first.and_then(|day| day.to_zoned(zone.clone()));
    first.map_or(Timestamp::UNIX_EPOCH, |first| first.timestamp())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use futures::future::join_all;

    use super::*;

    fn recent(quarters: &[(&str, u64)]) -> Recent {
        let quarters = quarters
            .iter()
            .map(|(at, count)| (at.parse().unwrap(), *count));
        Recent {
            total: 99,
            quarters: quarters.collect(),
        }
    }

    #[test]
    fn a_day_is_one_of_the_offices_time_zone() {
        let at = "2026-11-28T04:59:00Z".parse().unwrap();
        let counted = recent(&[
            ("2026-10-29T04:45:00Z", 1),
            ("2026-10-29T05:00:00Z", 2),
            ("2026-11-26T18:00:00Z", 64),
            ("2026-11-26T18:15:00Z", 128),
            ("2026-11-27T04:45:00Z", 4),
            ("2026-11-27T05:00:00Z", 8),
            ("2026-11-28T04:45:00Z", 16),
            ("2026-11-28T05:00:00Z", 32),
        ]);
        let of = |zone: &TimeZone| {
            let tally = Tally::of(&counted, at, zone);
            assert_eq!((tally.days.len(), tally.total), (30, 99));
            assert!(tally.days.is_sorted());
            let some: Vec<_> = tally.days.iter().filter(|(_, count)| *count > 0).collect();
            let some: Vec<_> = some.iter().map(|(day, n)| (day.to_string(), *n)).collect();
            (some, tally.today())
        };
        let day = |day: &str, count| (day.to_owned(), count);
        let bogota = TimeZone::get("America/Bogota").unwrap();
        let expected = vec![
            day("2026-10-29", 2),
            day("2026-11-26", 196),
            day("2026-11-27", 24),
        ];
        assert_eq!(of(&bogota), (expected, 24));
        let kathmandu = TimeZone::get("Asia/Kathmandu").unwrap();
        let expected = vec![
            day("2026-11-26", 64),
            day("2026-11-27", 140),
            day("2026-11-28", 48),
        ];
        assert_eq!(of(&kathmandu), (expected, 48));
        assert_eq!(
            first_moment(at, &bogota).to_string(),
            "2026-10-29T05:00:00Z"
        );
    }

    struct Counted(AtomicU32);

    #[async_trait]
    impl Daily for Counted {
        async fn recent(&self, _: Timestamp) -> Result<Recent, StoreError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(recent(&[]))
        }
    }

    #[tokio::test]
    async fn however_many_ask_it_is_counted_once_in_five_seconds() {
        let store = Arc::new(Counted(AtomicU32::new(0)));
        let live = Live::new(store.clone(), TimeZone::UTC);
        let asked = join_all((0..100).map(|_| live.tally())).await;
        assert!(asked.iter().all(Result::is_ok));
        assert_eq!(store.0.load(Ordering::SeqCst), 1);
        live.tally().await.unwrap();
        assert_eq!(store.0.load(Ordering::SeqCst), 1);
        live.kept.lock().unwrap().as_mut().unwrap().until = Instant::now();
        live.tally().await.unwrap();
        assert_eq!(
            store.0.load(Ordering::SeqCst),
            2,
            "what is old is counted anew"
        );
    }
}
