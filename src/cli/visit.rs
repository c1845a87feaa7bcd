//! Every registration of a store, one after the other: what `copy` and `check` do something with.

use std::collections::HashSet;

use anyhow::bail;
use futures::{StreamExt as _, TryStreamExt as _};

use super::progress_bar;
use crate::{
    domain::registration::{Reference, Registration},
    store::{Snapshot, Store},
};

/// Registrations under way at once; each may hold the largest photo twice, sealed and open.
const AT_ONCE: usize = 16;

/// References that an error names.
const NAMED: usize = 5;

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
