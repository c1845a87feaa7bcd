//! Tiers that fail on purpose: all they are asked goes to a real one, but for one thing.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use jiff::Timestamp;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, path::Path,
};
use padron::{
    domain::city::CityCode,
    domain::registration::{PhotoKey, Reference, Registration},
    domain::totals::{Counted, Totals},
    foundation::seal::Tag,
    store::{
        Boards, Claim, Inserted, Records, Register, Session, Sessions, Snapshot, Snapshots, Store,
        StoreError,
    },
};

/// A store that says only so often which keys are unnamed, and remembers which it was asked about. The
/// first so many claims find it away, each after so long.
pub(crate) struct FailingStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) claims_refused: Mutex<usize>,
    pub(crate) claims_take: Duration,
    pub(crate) answers_left: Mutex<usize>,
    pub(crate) asked: Mutex<HashSet<PhotoKey>>,
}

#[async_trait]
impl Records for FailingStore {
    async fn unnamed(&self, keys: &[PhotoKey]) -> Result<Vec<PhotoKey>, StoreError> {
        {
            let mut left = self.answers_left.lock().unwrap();
            *left = left
                .checked_sub(1)
                .ok_or_else(|| StoreError::Unavailable("on purpose".into()))?;
        }
        self.asked.lock().unwrap().extend(keys);
        self.inner.unnamed(keys).await
    }

    async fn insert(&self, registration: &Registration) -> Result<Inserted, StoreError> {
        self.inner.insert(registration).await
    }

    async fn find(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.inner.find(reference).await
    }

    async fn erase(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.inner.erase(reference).await
    }
}

#[async_trait]
impl Snapshots for FailingStore {
    async fn rows(&self, city: Option<CityCode>) -> Result<Snapshot, StoreError> {
        self.inner.rows(city).await
    }

    async fn totals(&self) -> Result<Counted, StoreError> {
        self.inner.totals().await
    }
}

#[async_trait]
impl Boards for FailingStore {
    async fn board(&self, version: u64) -> Result<Option<Totals>, StoreError> {
        self.inner.board(version).await
    }

    async fn save_board(&self, totals: &Totals) -> Result<bool, StoreError> {
        self.inner.save_board(totals).await
    }
}

#[async_trait]
impl Sessions for FailingStore {
    async fn add_session(&self, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        self.inner.add_session(session, now).await
    }

    async fn session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.inner.session(tag, now).await
    }

    async fn end_session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.inner.end_session(tag, now).await
    }
}

#[async_trait]
impl Store for FailingStore {
    async fn register(&self) -> Result<Option<Register>, StoreError> {
        self.inner.register().await
    }

    async fn claim(&self, claim: &Claim) -> Result<Register, StoreError> {
        tokio::time::sleep(self.claims_take).await;
        {
            let mut refused = self.claims_refused.lock().unwrap();
            if let Some(left) = refused.checked_sub(1) {
                *refused = left;
                return Err(StoreError::Unavailable("on purpose".into()));
            }
        }
        self.inner.claim(claim).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// What [`FailingObjects`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// All but the first so many removals.
    RemovalsAfter(usize),
    /// A list, after so many objects of it.
    ListAfter(usize),
    /// Everything.
    All,
}

/// An object store that refuses some of what it is asked.
#[derive(Debug)]
pub(crate) struct FailingObjects {
    pub(crate) inner: Arc<dyn ObjectStore>,
    pub(crate) refused: Refused,
    /// Removals that were asked for, refused ones among them.
    pub(crate) removals: Arc<Mutex<usize>>,
}

impl FailingObjects {
    fn up(&self) -> object_store::Result<()> {
        match self.refused {
            Refused::All => Err(away()),
            _ => Ok(()),
        }
    }
}

fn away() -> object_store::Error {
    object_store::Error::Generic {
        store: "double",
        source: "on purpose".into(),
    }
}

impl fmt::Display for FailingObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailingObjects")
    }
}

#[async_trait]
impl ObjectStore for FailingObjects {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.up()?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.up()?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.up()?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let (refused, removals) = (self.refused, self.removals.clone());
        let allowed = locations.map(move |location| {
            let mut removals = removals.lock().unwrap();
            *removals += 1;
            match refused {
                Refused::All => Err(away()),
                Refused::RemovalsAfter(first) if *removals > first => Err(away()),
                _ => location,
            }
        });
        self.inner.delete_stream(allowed.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let first = match self.refused {
            Refused::RemovalsAfter(_) => return self.inner.list(prefix),
            Refused::ListAfter(first) => first,
            Refused::All => 0,
        };
        let failure = stream::once(async { Err(away()) });
        self.inner.list(prefix).take(first).chain(failure).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.up()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.up()?;
        self.inner.copy_opts(from, to, options).await
    }
}
