//! What stands before every store: it lets nothing through until the key file is known to be the
//! store's own, and measures every call.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::{Inserted, Session, Snapshot, Store, StoreError};
use crate::{
    domain::city::CityCode,
    domain::registration::{PhotoKey, Reference, Registration},
    domain::totals::{Counted, Totals},
    foundation::seal::Tag,
};

/// How long a call waits for a store that was away since the start.
const ADMISSION: Duration = Duration::from_secs(8);

/// A store and the fingerprint of the keys that its records must be sealed with.
///
/// A store that is away at the start is asked at the first call that reaches it.
pub struct Guard {
    store: Arc<dyn Store>,
    keyring: Tag,
    admitted: OnceCell<()>,
}

impl Guard {
    /// Guards `store`, whose records are sealed with the keys of this fingerprint.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, keyring: Tag) -> Self {
        Self {
            store,
            keyring,
            admitted: OnceCell::new(),
        }
    }

    /// Asks the store, once, whether its records are sealed with these keys.
    ///
    /// # Errors
    /// [`StoreError::ForeignKeys`] when they are not, or whatever kept the store from answering.
    pub async fn admit(&self) -> Result<(), StoreError> {
        let ask = async || {
            let known = measured("claim", self.store.claim(&self.keyring)).await?;
            known
                .matches(&self.keyring)
                .then_some(())
                .ok_or(StoreError::ForeignKeys)
        };
        self.admitted.get_or_try_init(ask).await.copied()
    }

    async fn pass<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        // One asks after the other, so that those behind would wait for all before them.
        let admitted = tokio::time::timeout(ADMISSION, self.admit()).await;
        admitted.unwrap_or_else(|_| {
            Err(StoreError::Unavailable("it is away since the start".into()))
        })?;
        measured(operation, call).await
    }
}

async fn measured<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let begun = Instant::now();
    let result = call.await;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(StoreError::Unavailable(_)) => "unavailable",
        Err(StoreError::Uncertain(_)) => "uncertain",
        Err(StoreError::Corrupt(_) | StoreError::ForeignKeys) => "corrupt",
    };
    metrics::histogram!(
        "padron_store_operation_duration_seconds", "operation" => operation, "outcome" => outcome
    )
    .record(begun.elapsed());
    result
}

#[async_trait]
impl Store for Guard {
    async fn insert(&self, registration: &Registration) -> Result<Inserted, StoreError> {
        self.pass("insert", self.store.insert(registration)).await
    }

    async fn find(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.pass("find", self.store.find(reference)).await
    }

    async fn erase(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.pass("erase", self.store.erase(reference)).await
    }

    async fn rows(&self, city: Option<CityCode>) -> Result<Snapshot, StoreError> {
        self.pass("rows", self.store.rows(city)).await
    }

    async fn totals(&self) -> Result<Counted, StoreError> {
        self.pass("totals", self.store.totals()).await
    }

    async fn unnamed(&self, keys: &[PhotoKey]) -> Result<Vec<PhotoKey>, StoreError> {
        self.pass("unnamed", self.store.unnamed(keys)).await
    }

    async fn board(&self, version: u64) -> Result<Option<Totals>, StoreError> {
        self.pass("board", self.store.board(version)).await
    }

    async fn save_board(&self, totals: &Totals) -> Result<bool, StoreError> {
        self.pass("save_board", self.store.save_board(totals)).await
    }

    async fn add_session(&self, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        self.pass("add_session", self.store.add_session(session, now))
            .await
    }

    async fn session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.pass("session", self.store.session(tag, now)).await
    }

    async fn end_session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.pass("end_session", self.store.end_session(tag, now))
            .await
    }

    async fn claim(&self, keyring: &Tag) -> Result<Tag, StoreError> {
        self.pass("claim", self.store.claim(keyring)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.pass("ping", self.store.ping()).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
