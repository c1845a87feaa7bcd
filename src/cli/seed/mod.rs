//! `padron seed`: believable test data, registered through the same intake as real people.
//!
//! Called by `cli`; it never writes to a tier itself.

mod card;
mod people;

use anyhow::Context as _;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use indicatif::ProgressBar;
use jiff::ToSpan as _;
use tokio_util::task::TaskTracker;

use self::people::People;
use super::progress_bar;
use crate::{
    app::intake::{Intake, IntakeError},
    domain::photo,
    domain::registration::NewRegistration,
    foundation::clock::now,
    foundation::seal::random,
    server::config::Config,
    server::tiers::Tiers,
};

/// Concurrency: enough registrations in flight to fill the store's group commits.
const AT_ONCE: usize = 512;

/// The registrations are spread over this many days before now.
const DAYS: i64 = 30;

#[derive(Args)]
pub(super) struct Seed {
    /// How many people
    #[arg(long)]
    count: u64,
    /// Without photos, for millions
    #[arg(long)]
    no_photos: bool,
}

impl Seed {
    pub(super) async fn run(&self, config: &Config) -> anyhow::Result<()> {
        let tracker = TaskTracker::new();
        let tiers = Tiers::open(config).await?;
        let people = People::new(&tiers.cities)?;
        let progress = progress_bar(self.count, "people")?;
        let seeded = self
            .register(&people, &tiers.intake(&tracker), &progress)
            .await;
        tiers.store.close().await;
        seeded?;
        progress.finish();
        println!("{} people registered", self.count);
        Ok(())
    }

    async fn register(
        &self,
        people: &People<'_>,
        intake: &Intake,
        progress: &ProgressBar,
    ) -> anyhow::Result<()> {
        let begin = now() - (24 * DAYS).hours();
        let step = DAYS * 86_400_000 / i64::try_from(self.count.max(1))?;
        futures::stream::iter(0..self.count)
            .map(async |number| {
                let at = begin + (step * i64::try_from(number)?).milliseconds();
                // Retried with another draw while the document number is taken.
                while let Err(error) = intake.register(self.draw(people)?, at, ()).await {
                    if !matches!(error, IntakeError::AlreadyRegistered) {
                        return Err(anyhow::Error::from(error));
                    }
                }
                progress.inc(1);
                Ok(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    fn draw(&self, people: &People<'_>) -> anyhow::Result<NewRegistration> {
        let photo = if self.no_photos {
            None
        } else {
            let card = card::draw(random())?;
            Some(photo::clean(&card).context("a made-up card is a clean photo")?)
        };
        people.draw(photo)
    }
}
