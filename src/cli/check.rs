//! `padron check`: whether everything that is registered can be opened, as after a restored backup.

use anyhow::{Context as _, bail};

use super::visit::{named, references, visit};
use crate::{
    domain::registration::{Person, Registration},
    photos::PhotosError,
    server::config::Config,
    server::tiers::Tiers,
};

pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let tiers = Tiers::open(config).await?;
    let checked = check(&tiers).await;
    tiers.store.close().await;
    checked
}

async fn check(tiers: &Tiers) -> anyhow::Result<()> {
    let registered = references(&*tiers.store).await?;
    let damaged = visit(&*tiers.store, &registered, async |registration| {
        is_damaged(&registration, tiers).await
    })
    .await
    .context("the check ended early")?;
    if !damaged.is_empty() {
        bail!("cannot be opened: {}", named(&damaged));
    }
    println!(
        "{} registrations can be opened, with their photos",
        registered.len()
    );
    Ok(())
}

async fn is_damaged(registration: &Registration, tiers: &Tiers) -> anyhow::Result<bool> {
    let (id, reference) = (registration.id, registration.reference);
    if let Err(error) = Person::open(&tiers.keyring, id, &registration.sealed) {
        tracing::warn!(%reference, %error, "a record cannot be opened");
        return Ok(true);
    }
    let Some(photo) = &registration.photo else {
        return Ok(false);
    };
    match tiers.photos.open(id, photo).await {
        Ok(_) => Ok(false),
        Err(error @ (PhotosError::Missing(_) | PhotosError::Sealed(..))) => {
            tracing::warn!(%reference, %error, "a photo cannot be opened");
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}
