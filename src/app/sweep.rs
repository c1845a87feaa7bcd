//! The sweep: garbage collection of orphaned photos, which no record names.
//!
//! Such a photo is left when the process dies between photo and record. The sweep is conservative: it looks only at
//! photos older than a day that are this register's, asks the store about each, twice, and does nothing when the
//! store does not answer, lacks records that were seen before, or would have many photos go. `serve` runs it every
//! few hours; `padron sweep` runs it once. It never touches a record.

use std::time::Duration;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    app::markers::Census,
    foundation::clock::now,
    photos::{Photos, PhotosError},
    store::{Store, StoreError},
};

/// Grace period: photos younger than this may belong to a registration in flight.
pub const MIN_AGE: Duration = Duration::from_hours(24);

/// Delay between the two questions about a photo: longer than a registration is in flight.
pub const SECOND_LOOK: Duration = Duration::from_mins(2);

/// Delay of the first sweep after the start: a server that is restarted every night sweeps all the same.
const FIRST: Duration = Duration::from_secs(30);

/// Interval between two sweeps of a running server.
const EVERY: Duration = Duration::from_hours(6);

/// Batch size: photos that the store is asked about at once.
const BATCH: usize = 500;

/// Safety limit: photos that a sweep may always remove; beyond, only up to one in so many of those it saw.
const FEW: u64 = 20;
const SHARE: u64 = 100;

/// What a sweep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Photos old enough to be asked about.
    pub seen: u64,
    /// Photos removed because no record named them, and temporary files of unfinished puts.
    pub removed: u64,
}

/// Why a sweep ended early; what it had not asked about is untouched.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The record store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record store names no photo at all, so every photo would go.
    #[error("the record store is empty; is it the right one?")]
    Empty,
    /// The marker of the photos is another register's, or does not verify.
    #[error("the photo store is another register's; is it the right one?")]
    Foreign,
    /// The record store lacks registrations that were seen before: their photos would go.
    #[error("{0} registrations are missing of those that were here; restore the newest backup")]
    Fewer(u64),
    /// More would go than what crashes leave.
    #[error(
        "{unnamed} of {seen} photos have no record, which is more than crashes leave; nothing was removed: if the records are whole, run `padron sweep --at-most {unnamed}`"
    )]
    TooMany {
        /// Photos without a record.
        unnamed: u64,
        /// Photos old enough to be asked about.
        seen: u64,
    },
    /// The photo store failed.
    #[error(transparent)]
    Photos(PhotosError),
}

impl From<PhotosError> for SweepError {
    fn from(error: PhotosError) -> Self {
        match error {
            PhotosError::Foreign => Self::Foreign,
            error => Self::Photos(error),
        }
    }
}

/// Removes the photos put before `before` that no record names, now and `second_look` later, if there
/// are `at_most` so many of them; without that, 1 % of those it saw, or 20. Does nothing for a store
/// without records, with fewer than were seen, or with another register's photos: a wrong one would
/// condemn every photo.
///
/// # Errors
/// When either tier is unavailable, or is not this register's.
pub async fn sweep_once(
    store: &dyn Store,
    photos: &Photos,
    before: Timestamp,
    second_look: Duration,
    at_most: Option<u64>,
) -> Result<Swept, SweepError> {
    if store.totals().await?.counts.is_empty() {
        return Err(SweepError::Empty);
    }
    let known = photos.marker().await?;
    if let Some(census) = Census::of(store).await? {
        if known.is_some_and(|known| known.register != census.marker.register) {
            return Err(SweepError::Foreign);
        }
        let missing = census.missing(known);
        if missing > 0 {
            return Err(SweepError::Fewer(missing));
        }
    }
    let mut swept = Swept {
        seen: 0,
        removed: photos.remove_unfinished(before).await?,
    };
    metrics::counter!("padron_sweep_removed_total").increment(swept.removed);
    let mut unnamed = Vec::new();
    let mut batches = photos.put_before(before).try_chunks(BATCH);
    while let Some(keys) = batches.try_next().await.map_err(|error| error.1)? {
        swept.seen += keys.len() as u64;
        unnamed.extend(store.unnamed(&keys).await?);
    }
    let (found, seen) = (unnamed.len() as u64, swept.seen);
    if found > at_most.unwrap_or(FEW.max(seen / SHARE)) {
        return Err(SweepError::TooMany {
            unnamed: found,
            seen,
        });
    }
    if !unnamed.is_empty() && !second_look.is_zero() {
        // Clock skew: the clocks of two servers may be a day apart, and what seems old be in flight.
        let seconds = second_look.as_secs();
        tracing::info!(
            unnamed = unnamed.len(),
            seconds,
            "photos without a record; asked again then"
        );
        tokio::time::sleep(second_look).await;
    }
    for keys in unnamed.chunks(BATCH) {
        for key in store.unnamed(keys).await? {
            photos.remove(key).await?;
            swept.removed += 1;
            metrics::counter!("padron_sweep_removed_total").increment(1);
        }
    }
    Ok(swept)
}

/// Sweeps soon after the start and then every six hours, until `stop`.
pub async fn run(store: &dyn Store, photos: &Photos, stop: CancellationToken) {
    let mut pause = FIRST;
    while stop
        .run_until_cancelled(tokio::time::sleep(pause))
        .await
        .is_some()
    {
        pause = EVERY;
        let sweeping = sweep_once(store, photos, now() - MIN_AGE, SECOND_LOOK, None);
        let Some(swept) = stop.run_until_cancelled(sweeping).await else {
            return;
        };
        let outcome = match swept {
            // Before the first registration there is nothing to sweep.
            Err(SweepError::Empty) => "finished",
            Ok(swept) => {
                tracing::info!(seen = swept.seen, removed = swept.removed, "swept");
                "finished"
            }
            Err(error) => {
                tracing::warn!(%error, "the sweep ended early");
                "failed"
            }
        };
        metrics::counter!("padron_sweeps_total", "outcome" => outcome).increment(1);
        if outcome == "finished" {
            metrics::gauge!("padron_sweep_finished_timestamp_seconds")
                .set(now().as_duration().as_secs_f64());
        }
    }
}
