//! `padron check`: verifies the integrity of a whole register, as after a restored backup: every record (box)
//! decrypts with the plaintext columns as its associated data, every keyed hash (tag) and every photo is its person's.

use anyhow::{Context as _, bail};

use super::visit::{Register, named, visit};
use crate::{
    app::markers::Census,
    domain::registration::{Person, Registration},
    foundation::seal::TagOf,
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
    let mut faults = Vec::new();
    let known = tiers.markers.read().await?;
    if let Some(census) = Census::of(&*tiers.store).await? {
        let missing = census.missing(known);
        if missing > 0 {
            faults.push(format!(
                "{missing} registrations are missing of those that were here; {} are there",
                census.there
            ));
        }
    }
    let register = Register::read(&*tiers.store).await?;
    let registered = &register.references;
    let damaged = visit(&*tiers.store, registered, async |registration| {
        is_damaged(&registration, tiers).await
    })
    .await
    .context("the check ended early")?;
    faults.extend(
        register
            .is_counted_right()
            .err()
            .map(|fault| fault.to_string()),
    );
    if !damaged.is_empty() {
        faults.push(format!("damaged or changed: {}", named(&damaged)));
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    println!(
        "{} registrations are as they were stored, with their photos",
        registered.len()
    );
    Ok(())
}

/// Whether anything of it is not as it was stored, its keyed hashes and its photo included.
async fn is_damaged(registration: &Registration, tiers: &Tiers) -> anyhow::Result<bool> {
    let reference = registration.reference;
    let keyring = &*tiers.keyring;
    let person = match Person::open(keyring, &registration.envelope(), &registration.sealed) {
        Ok(person) => person,
        Err(error) => {
            tracing::warn!(%reference, %error, "a record cannot be opened");
            return Ok(true);
        }
    };
    let photo = registration.photo.as_ref();
    let digest = photo.map(|photo| &photo.digest);
    if registration.document_tag != person.document_tag(keyring)
        || registration.content_tag != person.content_tag(keyring, registration.city, digest)
        || registration
            .once_tag
            .is_some_and(|tag| tag != registration.content_tag)
    {
        tracing::warn!(%reference, "a record's tags are not those of its person");
        return Ok(true);
    }
    let Some(photo) = photo else {
        return Ok(false);
    };
    match tiers.photos.open(registration.id, photo).await {
        Ok(image) if keyring.tag(TagOf::Photo, &[&image]) == photo.digest => Ok(false),
        Ok(_) => {
            tracing::warn!(%reference, "a photo is not the one that was registered");
            Ok(true)
        }
        Err(error @ (PhotosError::Missing(_) | PhotosError::Sealed(..))) => {
            tracing::warn!(%reference, %error, "a photo cannot be opened");
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}
