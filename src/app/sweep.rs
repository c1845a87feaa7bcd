//! The sweep: removes photos that no record names.
//!
//! Such a photo is left when the process dies between photo and record. The sweep is conservative:
//! it looks only at photos older than a day that were sealed with this register's keys, asks the
//! store about each, twice, and does nothing when the store does not answer. `serve` runs it every
//! few hours; `padron sweep` runs it once.

use std::time::Duration;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    foundation::clock::now,
    photos::{Photos, PhotosError},
    store::{Store, StoreError},
};

/// Photos younger than this may belong to a registration under way.
pub const MIN_AGE: Duration = Duration::from_hours(24);

/// Between the two questions about a photo: longer than a registration is under way.
pub const SECOND_LOOK: Duration = Duration::from_mins(2);

/// From the start to the first sweep: a server that is restarted every night sweeps all the same.
const FIRST: Duration = Duration::from_secs(30);

/// Time between two sweeps of a running server.
const EVERY: Duration = Duration::from_hours(6);

/// Photos that the store is asked about at once.
const BATCH: usize = 500;

/// What a sweep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Photos old enough to be asked about.
    pub seen: u64,
    /// Photos removed because no record named them or because they were never finished.
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
    /// The photos are sealed with the keys of another register.
    #[error("the photo store is another register's; is it the right one?")]
    Foreign,
    /// The photo store failed.
    #[error(transparent)]
    Photos(#[from] PhotosError),
}

/// Removes the photos put before `before` that no record names, now and `second_look` later. Does
/// nothing for a store without records, or with another register's photos: a wrong one would condemn
/// every photo.
///
/// # Errors
/// When either tier does not answer, or is not this register's.
pub async fn sweep_once(
    store: &dyn Store,
    photos: &Photos,
    before: Timestamp,
    second_look: Duration,
) -> Result<Swept, SweepError> {
    if store.totals().await?.counts.is_empty() {
        return Err(SweepError::Empty);
    }
    if !photos.claim().await? {
        return Err(SweepError::Foreign);
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
    if !unnamed.is_empty() && !second_look.is_zero() {
        // The clocks of two servers may be a day apart, and what seems old be on its way.
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
        let sweeping = sweep_once(store, photos, now() - MIN_AGE, SECOND_LOOK);
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
