//! `padron copy`: migrates a register to other tiers, or back.
//!
//! Records and photos are copied as ciphertext, so that both ends have the same key file. Idempotent: what is
//! here already is left as it is, so an interrupted copy resumes when run again, and a complete one only verifies.

use anyhow::{Context as _, bail};
use clap::Args;

use super::{
    ACTOR,
    visit::{Register, named, visit},
};
use crate::{
    domain::registration::Registration,
    foundation::telemetry::AUDIT,
    photos::{PhotosError, PhotosUrl},
    server::config::Config,
    server::tiers::Tiers,
    store::{Inserted, StoreUrl},
};

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
        let there = Tiers::open(&there).await.context("the register to copy")?;
        let register = there.register.as_ref();
        let register = register.context("the records to copy are away")?.id;
        let here = Tiers::open_to_copy(config, register)
            .await
            .context("the register to copy to")?;
        tracing::info!(target: AUDIT, actor = ACTOR, "copy begun");
        let copied = copy(&there, &here).await;
        if let Ok(rows) = &copied {
            tracing::info!(target: AUDIT, actor = ACTOR, rows, "copy finished");
        } else {
            tracing::warn!(target: AUDIT, actor = ACTOR, "copy ended early");
        }
        there.store.close().await;
        here.store.close().await;
        println!(
            "{} registrations are here, with their photos, and no others",
            copied?
        );
        Ok(())
    }

    /// Fails when the source is absent: opening it would create an empty register under a mistyped name.
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

/// Copies what is missing, and returns how many registrations both sides now have.
async fn copy(there: &Tiers, here: &Tiers) -> anyhow::Result<usize> {
    let source = Register::read(&*there.store).await?;
    source.is_counted_right().context("try again")?;
    let source = source.references;
    let damaged = visit(&*there.store, &source, async |registration| {
        copy_one(&registration, there, here).await
    })
    .await
    .context("the copy ended early; run it again, and it goes on where it stopped")?;
    if !damaged.is_empty() {
        bail!(
            "photos that are missing or damaged there: {}",
            named(&damaged)
        );
    }
    let target = Register::read(&*here.store).await?.references;
    let more: Vec<_> = target.difference(&source).copied().collect();
    if !more.is_empty() {
        bail!(
            "registered here and not there: {}; `padron erase` what was erased there",
            named(&more)
        );
    }
    here.markers.set(&*here.store).await?;
    Ok(target.len())
}

/// The photo first, the record second, as intake does it. Returns whether the photo there is damaged; its
/// record is copied all the same.
async fn copy_one(
    registration: &Registration,
    there: &Tiers,
    here: &Tiers,
) -> anyhow::Result<bool> {
    let reference = registration.reference;
    let damaged = match copy_photo(registration, there, here).await {
        Ok(()) => false,
        Err(error @ (PhotosError::Missing(_) | PhotosError::Sealed(..))) => {
            tracing::warn!(%reference, %error, "a photo cannot be copied");
            true
        }
        Err(error) => return Err(error.into()),
    };
    let taken = match here.store.insert(registration).await? {
        Inserted::New => return Ok(damaged),
        Inserted::SameKey(_) => "idempotency key",
        Inserted::SameContent(_) => "content",
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
