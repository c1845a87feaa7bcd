//! The record tier: the contract of a store, and how one is opened from a URL.
//!
//! Called by the modules of `app` through `Arc<dyn Store>`, opened by `server`. A store holds each
//! person as ciphertext (`Sealed`, a box) and compares by keyed hashes (`Tag`, a *blind index*) under its unique
//! indexes. It never decrypts, never sees a key and knows nothing of HTTP. The cases in `tests/backends` check every
//! backend against the sentences of this contract.

mod guard;
mod mongo;
mod sqlite;

pub use self::guard::{Admission, Expected, Guard, Recall};

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    domain::city::{CityCode, CityOrder},
    domain::registration::{Envelope, Period, PhotoKey, Reference, Registration},
    domain::totals::{Counted, Totals},
    foundation::{
        path::local_path,
        seal::{KeyId, Sealed, Tag},
    },
};

/// Most rows of one block of a snapshot.
pub const BLOCK_ROWS: usize = 512;

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or refuses work; nothing was changed, so a retry is safe.
    #[error("the record store is away: {0}")]
    Unavailable(#[source] Cause),
    /// A write was sent and its outcome is unknown, as after a timeout: it may be stored.
    #[error("the record store did not say whether it wrote: {0}")]
    Uncertain(#[source] Cause),
    /// A stored value does not parse: it is not what was written.
    #[error("the record store holds something unreadable: {0}")]
    Corrupt(#[source] Cause),
    /// Its records were encrypted with the keys of another key file.
    #[error("the record store was sealed with another key file")]
    ForeignKeys,
    /// A lasting failure: no retry helps until somebody mends the setting or the store.
    #[error("the record store cannot be used: {0}")]
    Unusable(#[source] Cause),
}

/// A backend's own error; never shown to a client.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What became of an insert. Uniqueness is decided by the store's unique indexes, so of any number of concurrent
/// inserts exactly one is [`Inserted::New`].
#[derive(Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is stored, durably.
    New,
    /// Nothing was stored: this record has the same idempotency tag (keyed hash of the idempotency key).
    SameKey(Box<Registration>),
    /// Nothing was stored: this record has the same once tag (keyed hash of everything that was sent).
    SameContent(Box<Registration>),
    /// Nothing was stored: some record has the same document tag (keyed hash of the document's type and number).
    SameDocument,
    /// Nothing was stored: some record has the same reference; retry with another.
    SameReference,
}

/// What a report needs of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The plaintext fields.
    pub envelope: Envelope,
    /// The person, encrypted with `envelope` as associated data.
    pub sealed: Sealed,
}

/// Which register a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Drawn at random when the register is created; its copies keep it.
    pub id: Uuid,
    /// Fingerprint (keyed hash) of the key file that its records are encrypted with.
    pub keyring: Tag,
    /// Ids of every key that ever encrypted records of it, in no order.
    pub keys: Vec<KeyId>,
    /// Registrations erased since it was created.
    pub erased: u64,
}

/// Which register a store is to hold, under which keys.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The register's id, if it is created now.
    pub id: Uuid,
    /// Fingerprint of the key file.
    pub keyring: Tag,
    /// The key that encrypts from now on.
    pub key: KeyId,
}

/// Which rows of the store, and the order of their cities; by default all, by code.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Only this city; all when `None`.
    pub city: Option<CityCode>,
    /// Only those who registered then.
    pub period: Period,
    /// Which city's rows come first.
    pub order: CityOrder,
}

/// A consistent read snapshot of the store.
pub struct Snapshot {
    /// Which of two snapshots is later: the one with the greater number.
    pub sequence: u64,
    /// When it was taken, by the clock of the store's server, or of this machine where the store is a file; never later than the snapshot itself.
    pub as_of: Timestamp,
    /// Registrations per city; cities without any are absent.
    pub counts: BTreeMap<CityCode, u64>,
    /// The rows that `counts` counts, city after city in the order of the scope, each city's in order of id, in blocks
    /// of 1 to [`BLOCK_ROWS`] rows. The channel is bounded: a slow reader slows the store down (backpressure), and dropping the receiver stops the reading. It
    /// closes after the last row or after the first error.
    pub blocks: mpsc::Receiver<Result<Vec<Row>, StoreError>>,
}

impl Snapshot {
    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// Somebody who signed in, or a sign-in code that was not used yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Keyed hash of the token; the token itself is only with the browser.
    pub tag: Tag,
    /// Who it is, for the audit line.
    pub actor: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The registrations.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// Stores a registration durably, or returns which unique index refused it. When several are taken, the answer is
    /// the first of [`Inserted::SameKey`], [`Inserted::SameContent`] and [`Inserted::SameDocument`]. Idempotent: a record with the same id as
    /// `registration` is itself, so a retried insert succeeds.
    async fn insert(&self, registration: &Registration) -> Result<Inserted, StoreError>;

    /// The registration with this reference.
    async fn find(&self, reference: Reference) -> Result<Option<Registration>, StoreError>;

    /// Removes the registration with this reference, durably, and returns it. Its tags are free again; of any number
    /// of concurrent calls exactly one gets it.
    async fn erase(&self, reference: Reference) -> Result<Option<Registration>, StoreError>;

    /// Those of `keys` that no record names: orphaned photos.
    async fn unnamed(&self, keys: &[PhotoKey]) -> Result<Vec<PhotoKey>, StoreError>;
}

/// Read snapshots. Which of two is later is decided by a sequence number, which grows with every insert and every
/// erasure and depends on no wall clock that anybody may set.
#[async_trait]
pub trait Snapshots: Send + Sync + 'static {
    /// The rows of `scope` in one snapshot, taken after the call; later writes are in neither the counts nor the rows.
    async fn rows(&self, scope: &Scope) -> Result<Snapshot, StoreError>;

    /// Registrations per city in one snapshot, taken after the call, as [`Snapshots::rows`] counts them.
    async fn totals(&self) -> Result<Counted, StoreError>;
}

/// The saved board, under optimistic concurrency control by its version.
#[async_trait]
pub trait Boards: Send + Sync + 'static {
    /// The saved board, if its version is above `version`.
    async fn board(&self, version: u64) -> Result<Option<Totals>, StoreError>;

    /// Saves the board if its version is the one after the saved one (1 when none is). A compare-and-swap: of any
    /// number of concurrent saves of one version exactly one is `true`.
    async fn save_board(&self, totals: &Totals) -> Result<bool, StoreError>;
}

/// Registrations as they are now, by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Registrations in all.
    pub total: u64,
    /// Registrations by the quarter of an hour that they were made in, which is named by its beginning; those without
    /// any are absent. A store knows no time zone, and every zone's midnight is the beginning of a quarter.
    pub quarters: BTreeMap<Timestamp, u64>,
}

/// Counts of what is there now, for whoever cannot wait for a report.
#[async_trait]
pub trait Daily: Send + Sync + 'static {
    /// Registrations in all, and those made at `since` or later, by quarters of an hour; what was erased is in neither.
    /// `since` is the beginning of a quarter.
    async fn recent(&self, since: Timestamp) -> Result<Recent, StoreError>;
}

/// Who is signed in.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Adds a session. Sessions that have expired at `now` may be removed.
    async fn add_session(&self, session: &Session, now: Timestamp) -> Result<(), StoreError>;

    /// The session with this tag, unless it has expired at `now`.
    async fn session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError>;

    /// Removes a session that has not expired at `now`; of any number of concurrent calls exactly one gets it.
    async fn end_session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError>;
}

/// A whole record store. A consumer that needs only a part of it takes that trait.
#[async_trait]
pub trait Store: Records + Snapshots + Boards + Daily + Sessions {
    /// Which register this is; `None` before the first claim.
    async fn register(&self) -> Result<Option<Register>, StoreError>;

    /// Makes this the register that `claim` names, unless the store holds one already, and returns which it is;
    /// idempotent. The key of the claim is remembered when it is that very register's.
    async fn claim(&self, claim: &Claim) -> Result<Register, StoreError>;

    /// Health check: whether the store answers and takes writes; it makes one.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Graceful shutdown: finishes the calls under way, then releases connections and threads; called once, last.
    async fn close(&self);
}

/// Where a store is, parsed from `PADRON_STORE`.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// `sqlite:PATH`: an embedded database file, created when absent.
    Sqlite(PathBuf),
    /// `mongodb://…`: a replica set that any number of replicas share. It holds a password.
    Mongo(SecretString),
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let url = url.trim();
        match url.split_once(':') {
            Some(("sqlite", ":memory:")) => Err(
                "sqlite::memory: would forget everybody; use sqlite:PATH, for example sqlite:data/padron.db".into(),
            ),
            Some(("sqlite", path)) if path.ends_with('/') => {
                Err("sqlite:PATH is a file, for example sqlite:data/padron.db".into())
            }
            Some(("sqlite", path)) => match local_path(path) {
                Ok(path) if path.as_os_str().as_encoded_bytes().contains(&b'?') => {
                    Err("sqlite:PATH has no ?OPTIONS, for example sqlite:data/padron.db".into())
                }
                Ok(path) => Ok(Self::Sqlite(path)),
                Err(fault) => Err(format!("sqlite:PATH, for example sqlite:data/padron.db: {fault}")),
            },
            // Parsed when it is opened: the parser of the settings shows a value that it refuses, here with its
            // password.
            Some(("mongodb", _)) => Ok(Self::Mongo(url.into())),
            Some(("mongodb+srv", _)) => Err(
                "mongodb+srv:// is not looked up; name the servers: mongodb://USER:PASSWORD@HOST,HOST/DATABASE?replicaSet=NAME".into(),
            ),
            _ => Err("use sqlite:PATH, for example sqlite:data/padron.db, or mongodb://USER:PASSWORD@HOST/DATABASE".into()),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{} (SQLite, embedded)", path.display()),
            Self::Mongo(_) => f.write_str("MongoDB"),
        }
    }
}

/// Opens a store and creates its schema. An unreachable server is no error: every call tries it anew, and the schema
/// is created once it answers.
///
/// # Errors
/// When it cannot be opened or created.
pub async fn connect(url: &StoreUrl) -> Result<Arc<dyn Store>, StoreError> {
    match url {
        StoreUrl::Sqlite(path) => Ok(Arc::new(sqlite::Sqlite::open(path.clone()).await?)),
        StoreUrl::Mongo(url) => Ok(Arc::new(mongo::Mongo::open(url).await?)),
    }
}

/// Opens a SQLite store that commits every write alone: the baseline that group commit is measured against.
///
/// # Errors
/// When it cannot be opened or created.
#[doc(hidden)]
pub async fn connect_without_group_commit(path: PathBuf) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(sqlite::Sqlite::open_with_group(path, 1).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str) -> String {
        match url.parse::<StoreUrl>() {
            Ok(url) => url.to_string(),
            Err(fault) => fault,
        }
    }

    #[test]
    fn a_url_names_a_file_or_a_server() {
        for (url, place) in [
            ("sqlite:data/padron.db", "data/padron.db (SQLite, embedded)"),
            (
                " sqlite:/srv/padron.db\n",
                "/srv/padron.db (SQLite, embedded)",
            ),
            (
                "sqlite:///srv/padron.db",
                "/srv/padron.db (SQLite, embedded)",
            ),
            ("mongodb://u:p@h/d", "MongoDB"),
        ] {
            assert_eq!(told(url), place, "{url}");
        }
    }

    #[test]
    fn a_url_that_only_looks_right_says_what_to_write() {
        for (url, word) in [
            ("sqlite::memory:", "forget everybody"),
            ("sqlite://:memory:", "no //"),
            ("sqlite://x/y.db", "no //"),
            ("sqlite:", "empty"),
            ("sqlite:~/padron.db", "~"),
            ("sqlite:$HOME/padron.db", "variable"),
            ("sqlite:data/", "file"),
            ("sqlite:padron.db?mode=rwc", "?OPTIONS"),
            ("SQLite:padron.db", "sqlite:PATH"),
            ("padron.db", "sqlite:PATH"),
            ("mongodb+srv://u:secret@h/d", "name the servers"),
            ("postgres://h/d", "sqlite:PATH"),
            ("", "sqlite:PATH"),
        ] {
            let fault = told(url);
            assert!(
                fault.contains(word) && !fault.contains("(SQLite"),
                "{url}: {fault}"
            );
            assert!(!fault.contains("secret"), "{fault}");
        }
    }
}
