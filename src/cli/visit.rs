//! Every registration of a store, one after the other: what `copy` and `check` do something with.

use std::collections::{BTreeMap, HashSet};

use anyhow::bail;
use futures::{StreamExt as _, TryStreamExt as _};

use super::progress_bar;
use crate::{
    domain::city::CityCode,
    domain::registration::{Reference, Registration},
    store::{Row, Snapshot, Store},
};

/// Registrations under way at once; each may hold the largest photo twice, sealed and open.
const AT_ONCE: usize = 16;

/// References that an error names.
const NAMED: usize = 5;

/// All that is registered at one moment, and whether that is what is counted.
pub(super) struct Register {
    pub(super) references: HashSet<Reference>,
    counted: BTreeMap<CityCode, u64>,
    found: BTreeMap<CityCode, u64>,
}

impl Register {
    pub(super) async fn read(store: &dyn Store) -> anyhow::Result<Self> {
        let Snapshot {
            counts, mut blocks, ..
        } = store.rows(None).await?;
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

    /// Fails unless each city has as many as are counted.
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

/// Calls `visit` with each of the registrations, but for those erased meanwhile, and gives the references
/// of which it says that they are damaged. A snapshot is not kept for as long as photos take: each is
/// found anew.
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
