//! `padron check`: whether everything that is registered can be opened, as after a restored backup.

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio_util::task::TaskTracker;

use super::{
    copy::{AT_ONCE, named, references},
    progress_bar,
};
use crate::{
    config::Config,
    photos::PhotosError,
    registration::{Person, Reference},
    tiers::Tiers,
};

pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let tiers = Tiers::open(config, &TaskTracker::new()).await?;
    let checked = check(&tiers).await;
    tiers.store.close().await;
    checked
}

async fn check(tiers: &Tiers) -> anyhow::Result<()> {
    let registered = references(&*tiers.store).await?;
    let progress = progress_bar(registered.len() as u64, "registrations")?;
    let damaged: Vec<_> = futures::stream::iter(&registered)
        .map(async |&reference| {
            let checked = check_one(reference, tiers).await;
            progress.inc(1);
            checked.context("the check ended early")
        })
        .buffer_unordered(AT_ONCE)
        .try_filter_map(async |damaged| Ok(damaged))
        .try_collect()
        .await?;
    progress.finish();
    if !damaged.is_empty() {
        bail!("cannot be opened: {}", named(&damaged));
    }
    println!(
        "{} registrations can be opened, with their photos",
        registered.len()
    );
    Ok(())
}

/// The reference, when its record or photo cannot be opened.
async fn check_one(reference: Reference, tiers: &Tiers) -> anyhow::Result<Option<Reference>> {
    let Some(registration) = tiers.store.find(reference).await? else {
        // Erased a moment ago.
        return Ok(None);
    };
    let id = registration.id;
    if let Err(error) = Person::open(&tiers.keyring, id, &registration.sealed) {
        tracing::warn!(%reference, %error, "a record cannot be opened");
        return Ok(Some(reference));
    }
    let Some(photo) = &registration.photo else {
        return Ok(None);
    };
    match tiers.photos.open(id, photo).await {
        Ok(_) => Ok(None),
        Err(error @ (PhotosError::Missing(_) | PhotosError::Sealed(..))) => {
            tracing::warn!(%reference, %error, "a photo cannot be opened");
            Ok(Some(reference))
        }
        Err(error) => Err(error.into()),
    }
}
