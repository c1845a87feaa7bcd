//! A decorator around every store: it lets no call through until the store is known to hold the register that the key
//! file belongs to, and measures latency and outcome of every call.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{
    Boards, Claim, Daily, Inserted, Recent, Records, Register, Scope, Session, Sessions, Snapshot,
    Snapshots, Store, StoreError,
};
use crate::{
    domain::registration::{PhotoKey, Reference, Registration},
    domain::totals::{Counted, Totals},
    foundation::seal::{KeyId, Tag},
    foundation::telemetry,
};

/// Timeout for admission, where a call meets a store that has been unavailable since the start.
const ADMISSION: Duration = Duration::from_secs(8);

/// What the admission check demands of a store.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Fingerprint of the key file.
    pub keyring: Tag,
    /// The ids of the key file's keys; the last one encrypts.
    pub keys: Vec<KeyId>,
    /// Which register it must hold.
    pub register: Expected,
}

/// Which register a store must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any; in one that holds none yet, a new one is created.
    Any,
    /// Any that is there: photos of one are here, and in a store that holds none it is lost.
    Existing,
    /// This one, whose keys or photos are here; a store that holds none has lost it.
    This(Uuid),
    /// This one, or none yet: it is being copied here.
    CopyOf(Uuid),
    /// Not known yet, because whoever can tell does not answer: one that is there is admitted, and none is created
    /// before [`Recall`] has answered.
    Unknown,
}

/// Asks again which register a store must hold, where that was [`Expected::Unknown`]. It is dropped with the call
/// that waits for it.
pub type Recall = Box<dyn Fn() -> BoxFuture<'static, Result<Expected, StoreError>> + Send + Sync>;

/// A store behind an admission check, which is made once: at the start, or at the first call that reaches a store
/// that was unavailable then.
pub struct Guard {
    store: Arc<dyn Store>,
    admission: Admission,
    recall: Option<Recall>,
    admitted: OnceCell<Register>,
}

impl Guard {
    /// Guards `store`, which must be as `admission` says.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, admission: Admission) -> Self {
        Self {
            store,
            admission,
            recall: None,
            admitted: OnceCell::new(),
        }
    }

    /// With whom to ask while the register is [`Expected::Unknown`].
    #[must_use]
    pub fn recalling(self, recall: Recall) -> Self {
        Self {
            recall: Some(recall),
            ..self
        }
    }

    /// The admission check, made once: asks the store whether it holds the register that these keys belong to, and
    /// creates one where none is missed.
    ///
    /// # Errors
    /// [`StoreError::ForeignKeys`] or [`StoreError::Unusable`] when it does not, or whatever kept the
    /// store from answering.
    pub async fn admit(&self) -> Result<Register, StoreError> {
        self.admitted.get_or_try_init(|| self.ask()).await.cloned()
    }

    async fn ask(&self) -> Result<Register, StoreError> {
        let own = &self.admission;
        let known = measured("register", self.store.register()).await?;
        let expected = match (&known, own.register, &self.recall) {
            (None, Expected::Unknown, Some(recall)) => recall().await?,
            (_, expected, _) => expected,
        };
        let id = match (&known, expected) {
            (Some(known), _) => known.id,
            (None, Expected::Any) => Uuid::new_v4(),
            (None, Expected::Unknown) => {
                return Err(StoreError::Unavailable(
                    "it is empty, and nobody can tell yet whether a register was here".into(),
                ));
            }
            (None, Expected::Existing) => {
                return Err(unusable(
                    "it is empty, but photos of a register are here; restore the records from their backup",
                ));
            }
            (None, Expected::CopyOf(id)) => id,
            (None, Expected::This(_)) => {
                return Err(unusable(
                    "it is empty, but keys or photos of a register are here; restore the records from their backup",
                ));
            }
        };
        let check = |known: &Register| {
            if !known.keyring.matches(&own.keyring) {
                return Err(StoreError::ForeignKeys);
            }
            if let Expected::This(id) | Expected::CopyOf(id) = expected
                && id != known.id
            {
                return Err(unusable(
                    "it holds another register than the one whose keys or photos are here",
                ));
            }
            match known.keys.iter().find(|key| !own.keys.contains(key)) {
                Some(lacking) => Err(unusable(&format!(
                    "its records are sealed with key {lacking}, which the key file lacks; restore the key file from its backup"
                ))),
                None => Ok(()),
            }
        };
        // Checked before the claim, which would add a key to the register.
        known.as_ref().map(check).transpose()?;
        let key = own.keys.last().copied();
        let claim = Claim {
            id,
            keyring: own.keyring,
            key: key.ok_or_else(|| unusable("the key file holds no key"))?,
        };
        let known = measured("claim", self.store.claim(&claim)).await?;
        check(&known)?;
        Ok(known)
    }

    async fn pass<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let passing = async {
            // `OnceCell` runs one initialiser at a time: without this timeout callers would queue behind each failed
            // attempt.
            let admitted = tokio::time::timeout(ADMISSION, self.admit()).await;
            admitted.unwrap_or_else(|_| {
                Err(StoreError::Unavailable("it is away since the start".into()))
            })?;
            call.await
        };
        measured(operation, passing).await
    }
}

fn unusable(why: &str) -> StoreError {
    StoreError::Unusable(why.into())
}

async fn measured<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let failure = |error: &StoreError| match error {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Uncertain(_) => "uncertain",
        StoreError::Corrupt(_) => "corrupt",
        StoreError::ForeignKeys | StoreError::Unusable(_) => "refused",
    };
    let histogram = "padron_store_operation_duration_seconds";
    telemetry::measured(histogram, operation, failure, call).await
}

#[async_trait]
impl Records for Guard {
    async fn insert(&self, registration: &Registration) -> Result<Inserted, StoreError> {
        self.pass("insert", self.store.insert(registration)).await
    }

    async fn find(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.pass("find", self.store.find(reference)).await
    }

    async fn erase(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.pass("erase", self.store.erase(reference)).await
    }

    async fn unnamed(&self, keys: &[PhotoKey]) -> Result<Vec<PhotoKey>, StoreError> {
        self.pass("unnamed", self.store.unnamed(keys)).await
    }
}

#[async_trait]
impl Snapshots for Guard {
    async fn rows(&self, scope: &Scope) -> Result<Snapshot, StoreError> {
        self.pass("rows", self.store.rows(scope)).await
    }

    async fn totals(&self) -> Result<Counted, StoreError> {
        self.pass("totals", self.store.totals()).await
    }
}

#[async_trait]
impl Boards for Guard {
    async fn board(&self, version: u64) -> Result<Option<Totals>, StoreError> {
        self.pass("board", self.store.board(version)).await
    }

    async fn save_board(&self, totals: &Totals) -> Result<bool, StoreError> {
        self.pass("save_board", self.store.save_board(totals)).await
    }
}

#[async_trait]
impl Daily for Guard {
    async fn recent(&self, since: Timestamp) -> Result<Recent, StoreError> {
        self.pass("recent", self.store.recent(since)).await
    }
}

#[async_trait]
impl Sessions for Guard {
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
}

#[async_trait]
impl Store for Guard {
    async fn register(&self) -> Result<Option<Register>, StoreError> {
        self.pass("register", self.store.register()).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Register, StoreError> {
        self.pass("claim", self.store.claim(claim)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.pass("ping", self.store.ping()).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
