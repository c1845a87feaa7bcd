//! Iterates over every registration of a store, with bounded concurrency, for `copy` and `check`.

use std::collections::{BTreeMap, HashSet};

use anyhow::bail;
use futures::{StreamExt as _, TryStreamExt as _};

use super::progress_bar;
use crate::{
    domain::city::CityCode,
    domain::registration::{Reference, Registration},
    store::{Row, Scope, Snapshot, Store},
};

/// Concurrency limit; each registration may hold the largest photo twice, encrypted and decrypted.
const AT_ONCE: usize = 16;

/// How many references an error names.
const NAMED: usize = 5;

/// All references of one snapshot, and whether the rows match the store's own counts.
pub(super) struct Register {
    pub(super) references: HashSet<Reference>,
    counted: BTreeMap<CityCode, u64>,
    found: BTreeMap<CityCode, u64>,
}

impl Register {
    pub(super) async fn read(store: &dyn Store) -> anyhow::Result<Self> {
        let Snapshot {
            counts, mut blocks, ..
        } = store.rows(&Scope::default()).await?;
        let (mut references, mut found) = (HashSet::new(), BTreeMap::new());
        while let Some(block) = blocks.recv().await {
            for Row { envelope, .. } in block? {
                references.insert(envelope.reference);
                *found.entry(envelope.city).or_default() += 1;
            }
        }
        Ok(Self {
            references,
            counted: counts,
            found,
        })
    }

    /// Fails unless each city has as many rows as the store's count says, and no reference occurs twice.
    pub(super) fn is_counted_right(&self) -> anyhow::Result<()> {
        let sum = |counts: &BTreeMap<_, u64>| counts.values().sum::<u64>();
        if self.counted != self.found || sum(&self.found) != self.references.len() as u64 {
            bail!(
                "{} registrations are counted and {} are there, or not in the cities where they are counted",
                sum(&self.counted),
                self.references.len()
            );
        }
        Ok(())
    }
}

/// Calls `visit` with each of the registrations, except those erased meanwhile, and returns the references
/// of which it says that they are damaged. No snapshot stays pinned for as long as photos take: each
/// registration is looked up by its reference.
pub(super) async fn visit(
    store: &dyn Store,
    references: &HashSet<Reference>,
    visit: impl AsyncFn(Registration) -> anyhow::Result<bool>,
) -> anyhow::Result<Vec<Reference>> {
    let progress = progress_bar(references.len() as u64, "registrations")?;
    let damaged = futures::stream::iter(references)
        .map(async |&reference| {
            let damaged = match store.find(reference).await? {
                Some(registration) => visit(registration).await?,
                None => false,
            };
            progress.inc(1);
            Ok(damaged.then_some(reference))
        })
        .buffer_unordered(AT_ONCE)
        .try_filter_map(async |damaged| Ok(damaged))
        .try_collect()
        .await;
    progress.finish();
    damaged
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
