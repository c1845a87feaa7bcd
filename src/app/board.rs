//! The board: the current totals in memory, a cache that is the same on every replica.
//!
//! Handlers and charts read it; a finished report refreshes it. It is saved in the store under the next version
//! (compare-and-swap), and every replica polls for newer versions. It never counts by itself, except once for a store
//! that has no saved board, and never draws.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::city::Cities,
    domain::totals::{Counted, Totals},
    foundation::clock::now,
    foundation::single_flight::SingleFlight,
    store::{Boards, Snapshots, StoreError},
};

/// Polling interval: how often the saved board is read for what other replicas saved.
const FOLLOW: Duration = Duration::from_millis(500);

/// Every so many polls look for an older board too, which only a restore leaves.
const LOOKS: u32 = 4;

/// The totals that are shown, with their generation.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The totals.
    pub totals: Arc<Totals>,
    /// Generation: how many totals this process has shown, these included; part of cache keys. A version would not
    /// do, because after a restore it may come a second time with other counts.
    pub number: u64,
}

/// The current totals in memory.
pub struct Board {
    boards: Arc<dyn Boards>,
    snapshots: Arc<dyn Snapshots>,
    cities: Arc<Cities>,
    current: RwLock<Current>,
    /// The first load, single-flight: one for all who ask before it is over, and its error is everybody's.
    first: SingleFlight<(), Result<Shown, Arc<StoreError>>>,
}

#[derive(Default)]
struct Current {
    totals: Option<Arc<Totals>>,
    /// Generation of the latest that were shown.
    number: u64,
}

impl Board {
    /// A board that is kept in `boards` and begun from a count of `snapshots`, both of one store.
    #[must_use]
    pub fn new(
        boards: Arc<dyn Boards>,
        snapshots: Arc<dyn Snapshots>,
        cities: Arc<Cities>,
    ) -> Arc<Self> {
        Arc::new(Self {
            boards,
            snapshots,
            cities,
            current: RwLock::default(),
            first: SingleFlight::default(),
        })
    }

    /// What is shown now.
    ///
    /// # Errors
    /// When nothing is known yet and the store does not answer.
    pub async fn shown(self: &Arc<Self>) -> Result<Shown, Arc<StoreError>> {
        if let Some(shown) = self.known() {
            return Ok(shown);
        }
        let board = self.clone();
        let first = || async move { board.load().await.map_err(Arc::new) };
        self.first.join((), first).await
    }

    /// The totals that are shown now.
    ///
    /// # Errors
    /// As [`Board::shown`].
    pub async fn totals(self: &Arc<Self>) -> Result<Arc<Totals>, Arc<StoreError>> {
        self.shown().await.map(|shown| shown.totals)
    }

    /// Merges what a report counted, and saves it for the other replicas before returning: a compare-and-swap,
    /// retried.
    ///
    /// # Errors
    /// When the store does not answer; the board is then as before.
    pub async fn refresh(&self, counted: &Counted) -> Result<(), StoreError> {
        // No lock around the retries: behind a store that is unavailable, each caller would wait out the timeouts of
        // all before it.
        loop {
            let next = match self.newest().await? {
                Some(shown) => shown.totals.merge(counted),
                None if counted.city.is_none() => Totals::first(counted),
                None => {
                    self.load().await?;
                    continue;
                }
            };
            if self.boards.save_board(&next).await? {
                self.keep(next);
                return Ok(());
            }
            self.fall_back().await?;
        }
    }

    /// Takes over the saved board where it is older than the one in memory: a restored store would refuse every next
    /// version.
    async fn fall_back(&self) -> Result<(), StoreError> {
        let Some(known) = self.known() else {
            return Ok(());
        };
        let saved = self.boards.board(0).await?;
        let older = saved
            .as_ref()
            .is_none_or(|saved| saved.version < known.totals.version);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // A concurrent call may have refreshed it since the store was asked.
        if older && current.number == known.number {
            tracing::warn!(
                "the saved board is older than the one that was shown; it is taken over"
            );
            current.totals = None;
            if let Some(saved) = saved {
                self.show(&mut current, saved);
            }
        }
        Ok(())
    }

    /// Polls for what other replicas saved, until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut away = false;
        let mut looks = (1..=LOOKS).cycle();
        while stop
            .run_until_cancelled(tokio::time::sleep(FOLLOW))
            .await
            .is_some()
        {
            let look = match looks.next() {
                Some(LOOKS) => self.fall_back().await,
                _ => self.newest().await.map(drop),
            };
            match look {
                Ok(()) => away = false,
                Err(error) if !away => {
                    away = true;
                    tracing::warn!(%error, "the board cannot be followed; the chart shows what is known");
                }
                Err(_) => {}
            }
        }
    }

    fn known(&self) -> Option<Shown> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let number = current.number;
        current
            .totals
            .clone()
            .map(|totals| Shown { totals, number })
    }

    /// Shows `totals` unless the known version is as new.
    fn keep(&self, totals: Totals) -> Shown {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let number = current.number;
        match &current.totals {
            Some(known) if known.version >= totals.version => Shown {
                totals: known.clone(),
                number,
            },
            _ => self.show(&mut current, totals),
        }
    }

    fn show(&self, current: &mut Current, totals: Totals) -> Shown {
        measure(&totals, &self.cities);
        let totals = Arc::new(totals);
        current.totals = Some(totals.clone());
        current.number += 1;
        let number = current.number;
        Shown { totals, number }
    }

    async fn newest(&self) -> Result<Option<Shown>, StoreError> {
        let known = self.known();
        let version = known.as_ref().map_or(0, |known| known.totals.version);
        let newer = self.boards.board(version).await?;
        metrics::gauge!("padron_board_checked_timestamp_seconds").set(seconds(now()));
        Ok(newer.map(|newer| self.keep(newer)).or(known))
    }

    /// Starts from the saved board or, where none is saved, from a count of the store.
    async fn load(&self) -> Result<Shown, StoreError> {
        loop {
            if let Some(saved) = self.newest().await? {
                return Ok(saved);
            }
            let first = Totals::first(&self.snapshots.totals().await?);
            if self.boards.save_board(&first).await? {
                return Ok(self.keep(first));
            }
        }
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

/// The chart's counts as gauges, for whoever draws their own.
#[expect(clippy::cast_precision_loss, reason = "they stay far below 2^53")]
fn measure(totals: &Totals, cities: &Cities) {
    metrics::gauge!("padron_board_version").set(totals.version as f64);
    metrics::gauge!("padron_board_as_of_timestamp_seconds").set(seconds(totals.as_of));
    for (&code, city) in &totals.cities {
        let labels = [
            ("city", code.to_string()),
            ("name", cities.named(code).name),
        ];
        metrics::gauge!("padron_board_registrations", &labels).set(city.count as f64);
    }
}
