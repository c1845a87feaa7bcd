//! `padron copy`: a register moves to other tiers, or back.
//!
//! Records and photos stay sealed as they are, so that both ends have the same key file. What is here
//! already is left as it is: a copy that was cut short goes on, and a second one only looks.

use std::collections::HashSet;

use anyhow::{Context as _, bail};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio_util::task::TaskTracker;

use super::progress_bar;
use crate::{
    config::Config,
    photos::{PhotosError, PhotosUrl},
    registration::{Reference, Registration},
    store::{Inserted, Snapshot, Store, StoreUrl},
    tiers::Tiers,
};

/// Registrations under way at once; each may hold the largest photo twice, sealed and open.
pub(super) const AT_ONCE: usize = 16;

/// References that an error names.
const NAMED: usize = 5;

#[derive(Args)]
pub(super) struct Copy {
    /// The records to copy, written like `PADRON_STORE`
    #[arg(long, env = "PADRON_FROM_STORE", hide_env_values = true)]
    from_store: StoreUrl,
    /// The photos to copy, written like `PADRON_PHOTOS`
    #[arg(long, env = "PADRON_FROM_PHOTOS")]
    from_photos: PhotosUrl,
}

impl Copy {
    pub(super) async fn run(&self, config: &Config) -> anyhow::Result<()> {
        self.is_there()?;
        let there = Config {
            store: self.from_store.clone(),
            photos: self.from_photos.clone(),
            ..config.clone()
        };
        let tracker = TaskTracker::new();
        let there = Tiers::open(&there, &tracker)
            .await
            .context("the register to copy")?;
        let here = Tiers::open(config, &tracker)
            .await
            .context("the register to copy to")?;
        let copied = copy(&there, &here).await;
        there.store.close().await;
        here.store.close().await;
        copied
    }

    /// A server makes what is absent; here it would be an empty register under a mistyped name.
    fn is_there(&self) -> anyhow::Result<()> {
        if let StoreUrl::Sqlite(file) = &self.from_store
            && !file.is_file()
        {
            bail!("--from-store: there is no file {}", file.display());
        }
        if let PhotosUrl::File(folder) = &self.from_photos
            && !folder.is_dir()
        {
            bail!("--from-photos: there is no folder {}", folder.display());
        }
        Ok(())
    }
}

async fn copy(there: &Tiers, here: &Tiers) -> anyhow::Result<()> {
    // All references first: a snapshot is not kept for as long as photos take.
    let source = references(&*there.store).await?;
    let progress = progress_bar(source.len() as u64, "registrations")?;
    let damaged: Vec<Reference> = futures::stream::iter(&source)
        .map(async |&reference| {
            let copied = copy_one(reference, there, here).await;
            progress.inc(1);
            copied.context("the copy ended early; run it again, and it goes on where it stopped")
        })
        .buffer_unordered(AT_ONCE)
        .try_filter_map(async |damaged| Ok(damaged))
        .try_collect()
        .await?;
    progress.finish();
    if !damaged.is_empty() {
        bail!(
            "photos that are missing or damaged there: {}",
            named(&damaged)
        );
    }
    let target = references(&*here.store).await?;
    let more: Vec<_> = target.difference(&source).copied().collect();
    if !more.is_empty() {
        bail!(
            "registered here and not there: {}; `padron erase` what was erased there",
            named(&more)
        );
    }
    println!(
        "{} registrations are here, with their photos, and no others",
        target.len()
    );
    Ok(())
}

/// The photo first, the record second, as intake does it. Returns the reference when the photo there
/// cannot be opened; its record is copied all the same.
async fn copy_one(
    reference: Reference,
    there: &Tiers,
    here: &Tiers,
) -> anyhow::Result<Option<Reference>> {
    let Some(registration) = there.store.find(reference).await? else {
        // Erased a moment ago.
        return Ok(None);
    };
    let damaged = match copy_photo(&registration, there, here).await {
        Ok(()) => None,
        Err(error @ (PhotosError::Missing(_) | PhotosError::Sealed(..))) => {
            tracing::warn!(%reference, %error, "a photo cannot be copied");
            Some(reference)
        }
        Err(error) => return Err(error.into()),
    };
    let taken = match here.store.insert(&registration).await? {
        Inserted::New => return Ok(damaged),
        Inserted::SameKey(_) => "idempotency key",
        Inserted::SameDocument => "document number",
        Inserted::SameReference => "reference",
    };
    bail!("{reference}: another registration here has its {taken}; copy into a register of its own")
}

async fn copy_photo(
    registration: &Registration,
    there: &Tiers,
    here: &Tiers,
) -> Result<(), PhotosError> {
    let Some(photo) = &registration.photo else {
        return Ok(());
    };
    match here.photos.open(registration.id, photo).await {
        Err(PhotosError::Missing(_) | PhotosError::Sealed(..)) => {
            there
                .photos
                .copy(registration.id, photo, &here.photos)
                .await
        }
        opened => opened.map(drop),
    }
}

/// All that is registered at one moment, as often as it is counted.
pub(super) async fn references(store: &dyn Store) -> anyhow::Result<HashSet<Reference>> {
    let Snapshot {
        counts, mut blocks, ..
    } = store.rows(None).await?;
    let mut references = HashSet::new();
    while let Some(block) = blocks.recv().await {
        references.extend(block?.into_iter().map(|row| row.reference));
    }
    let counted: u64 = counts.values().sum();
    if counted != references.len() as u64 {
        bail!(
            "{counted} registrations are counted and {} are there; try again",
            references.len()
        );
    }
    Ok(references)
}

/// How many there are, and the first of them.
pub(super) fn named(references: &[Reference]) -> String {
    let first: Vec<_> = references
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    let rest = if references.len() > NAMED {
        ", …"
    } else {
        ""
    };
    format!("{} ({}{rest})", references.len(), first.join(", "))
}
