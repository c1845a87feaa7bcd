//! Test doubles: fault injection only.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use padron::{
    domain::registration::{PhotoKey, Reference, Registration},
    domain::totals::{Counted, Totals},
    foundation::seal::Tag,
    store::{
        Boards, Claim, Daily, Inserted, Recent, Records, Register, Scope, Session, Sessions,
        Snapshot, Snapshots, Store, StoreError,
    },
};

/// The cause of every injected fault, which must not leak to anybody outside.
pub const SECRET: &str = "mongodb://user:secret@10.0.0.7 Ana María";

/// The fault that a call is given.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Unavailable: nothing is done, and the call fails after this delay, as with a timeout.
    Away(Duration),
    /// It is done, but the answer is lost: whoever retries must be idempotent.
    AnswerLost,
    /// Of an insert: the reference belongs to another, so that nothing is written.
    ReferenceTaken,
}

/// A call, as far as injected faults tell calls apart.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// [`Records::insert`].
    Insert,
    /// [`Records::unnamed`], asked about these.
    Unnamed(&'a [PhotoKey]),
    /// [`Store::register`] or [`Store::claim`].
    Claim,
    /// Any other but [`Store::close`], which cannot fail.
    Other,
}

type Faults = Box<dyn FnMut(Call<'_>) -> Option<Fault> + Send>;

/// A real store with fault injection.
pub struct FailingStore {
    inner: Arc<dyn Store>,
    faults: Mutex<Faults>,
}

impl FailingStore {
    /// `faults` intercepts every call before `inner` does, and chooses its fault.
    pub fn over(
        inner: Arc<dyn Store>,
        faults: impl FnMut(Call<'_>) -> Option<Fault> + Send + 'static,
    ) -> Arc<Self> {
        let faults = Mutex::new(Box::new(faults) as Faults);
        Arc::new(Self { inner, faults })
    }

    /// From now on every call meets `fault`; none is lifted.
    pub fn set(&self, fault: Option<Fault>) {
        *self.faults.lock().unwrap() = Box::new(move |_| fault);
    }

    fn fault(&self, call: Call<'_>) -> Option<Fault> {
        (self.faults.lock().unwrap())(call)
    }

    async fn call<T>(
        &self,
        call: Call<'_>,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        meet(self.fault(call), work).await
    }
}

async fn meet<T>(
    fault: Option<Fault>,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match fault {
        Some(Fault::Away(after)) => {
            tokio::time::sleep(after).await;
            Err(StoreError::Unavailable(SECRET.into()))
        }
        Some(Fault::AnswerLost) => {
            work.await?;
            Err(StoreError::Uncertain(SECRET.into()))
        }
        Some(Fault::ReferenceTaken) | None => work.await,
    }
}

#[async_trait]
impl Records for FailingStore {
    async fn insert(&self, registration: &Registration) -> Result<Inserted, StoreError> {
        match self.fault(Call::Insert) {
            Some(Fault::ReferenceTaken) => Ok(Inserted::SameReference),
            fault => meet(fault, self.inner.insert(registration)).await,
        }
    }

    async fn find(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.call(Call::Other, self.inner.find(reference)).await
    }

    async fn erase(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.call(Call::Other, self.inner.erase(reference)).await
    }

    async fn unnamed(&self, keys: &[PhotoKey]) -> Result<Vec<PhotoKey>, StoreError> {
        self.call(Call::Unnamed(keys), self.inner.unnamed(keys))
            .await
    }
}

#[async_trait]
impl Snapshots for FailingStore {
    async fn rows(&self, scope: &Scope) -> Result<Snapshot, StoreError> {
        self.call(Call::Other, self.inner.rows(scope)).await
    }

    async fn totals(&self) -> Result<Counted, StoreError> {
        self.call(Call::Other, self.inner.totals()).await
    }
}

#[async_trait]
impl Boards for FailingStore {
    async fn board(&self, version: u64) -> Result<Option<Totals>, StoreError> {
        self.call(Call::Other, self.inner.board(version)).await
    }

    async fn save_board(&self, totals: &Totals) -> Result<bool, StoreError> {
        self.call(Call::Other, self.inner.save_board(totals)).await
    }
}

#[async_trait]
impl Daily for FailingStore {
    async fn recent(&self, since: Timestamp) -> Result<Recent, StoreError> {
        self.call(Call::Other, self.inner.recent(since)).await
    }
}

#[async_trait]
impl Sessions for FailingStore {
    async fn add_session(&self, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        self.call(Call::Other, self.inner.add_session(session, now))
            .await
    }

    async fn session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.call(Call::Other, self.inner.session(tag, now)).await
    }

    async fn end_session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.call(Call::Other, self.inner.end_session(tag, now))
            .await
    }
}

#[async_trait]
impl Store for FailingStore {
    async fn register(&self) -> Result<Option<Register>, StoreError> {
        self.call(Call::Claim, self.inner.register()).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Register, StoreError> {
        self.call(Call::Claim, self.inner.claim(claim)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.call(Call::Other, self.inner.ping()).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
