//! What is SQLite's own: one file, group commit, other processes.

mod census;
mod commits;
mod file;
mod restored;
mod sharing;

use std::{path::Path, sync::Arc};

use futures::poll;
use padron::{
    domain::registration::Registration,
    store::{Inserted, Store, StoreError, StoreUrl, connect},
};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::coop::unconstrained;

async fn open(path: &Path) -> Result<Arc<dyn Store>, StoreError> {
    connect(&StoreUrl::Sqlite(path.into())).await
}

/// A new store, a connection behind its back, and the folder that both are in.
async fn new_file() -> (Arc<dyn Store>, Connection, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("padron.db");
    let store = open(&path).await.unwrap();
    let connection = Connection::open(&path).unwrap();
    (store, connection, folder)
}

/// Begins to insert `people` while `holder` holds the write lock of the file, so that all are queued and none is done,
/// then releases it.
async fn queued<'a>(
    holder: &Connection,
    store: &'a dyn Store,
    people: &'a [Registration],
) -> Vec<impl Future<Output = Result<Inserted, StoreError>> + 'a> {
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut inserts: Vec<_> = people
        .iter()
        // Without Tokio's cooperative budget for one task, which is less than all of these.
        .map(|person| unconstrained(store.insert(person)))
        .collect();
    for insert in &mut inserts {
        assert!(poll!(insert).is_pending(), "the file is held");
    }
    holder.execute_batch("ROLLBACK").unwrap();
    inserts
}
