//! The records: what a store promises, and how one is opened from a URL.
//!
//! Intake, the board, the report and the sweep call it through `Arc<dyn Store>`. It sees only sealed
//! people and keyed tags, and knows nothing of HTTP. The words of each promise below are what the
//! cases in `tests/backends` check of every backend.

mod guard;
mod mongo;
mod sqlite;

pub use self::guard::{Admission, Expected, Guard};

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    domain::city::CityCode,
    domain::registration::{Envelope, PhotoKey, Reference, Registration},
    domain::totals::{Counted, Totals},
    foundation::{
        path::local_path,
        seal::{KeyId, Sealed, Tag},
    },
};

/// How many rows a block of a report holds at most.
pub const BLOCK_ROWS: usize = 512;

/// Why a store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or refuses work; nothing was changed.
    #[error("the record store is away: {0}")]
    Unavailable(#[source] Cause),
    /// A write was sent and its outcome is not known.
    #[error("the record store did not say whether it wrote: {0}")]
    Uncertain(#[source] Cause),
    /// What it holds is not what was written.
    #[error("the record store holds something unreadable: {0}")]
    Corrupt(#[source] Cause),
    /// Its records were sealed with the keys of another file.
    #[error("the record store was sealed with another key file")]
    ForeignKeys,
    /// It stays so until somebody mends the setting or the store.
    #[error("the record store cannot be used: {0}")]
    Unusable(#[source] Cause),
}

/// What a backend said; never shown to a client.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What became of an insert. Uniqueness is decided by the store's indexes, so of any number of
/// racing inserts exactly one is [`Inserted::New`].
#[derive(Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is stored, and on disk.
    New,
    /// Nothing was stored: this record bears the same idempotency tag.
    SameKey(Box<Registration>),
    /// Nothing was stored: some record bears the same document tag.
    SameDocument,
    /// Nothing was stored: some record bears the same reference; try another.
    SameReference,
}

/// What a report needs of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What stands in clear.
    pub envelope: Envelope,
    /// The person, closed beside `envelope`.
    pub sealed: Sealed,
}

/// Which register a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Drawn when it was begun; its copies keep it.
    pub id: Uuid,
    /// Fingerprint of the key file that its records are sealed with.
    pub keyring: Tag,
    /// Every key that ever sealed records of it, in no order.
    pub keys: Vec<KeyId>,
    /// Registrations erased since it was begun.
    pub erased: u64,
}

/// Whose a store shall be.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The register's id, if it is begun now.
    pub id: Uuid,
    /// Fingerprint of the key file.
    pub keyring: Tag,
    /// The key that seals from now on.
    pub key: KeyId,
}

/// One moment of the store.
pub struct Snapshot {
    /// Which of two moments is later.
    pub sequence: u64,
    /// When, by the store's own clock, which all replicas share; never later than the moment itself.
    pub as_of: Timestamp,
    /// Registrations per city; cities without any are absent.
    pub counts: BTreeMap<CityCode, u64>,
    /// The rows that `counts` counts, in order of (city, id), in blocks of 1 to [`BLOCK_ROWS`] rows.
    /// The channel holds few blocks, so that a slow reader slows the store; dropping it stops the
    /// reading. It closes after the last row or after the first error.
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
    /// Keyed fingerprint of the token; the token itself is only with the browser.
    pub tag: Tag,
    /// Who it is, for the audit line.
    pub actor: String,
    /// When it stops being good.
    pub expires_at: Timestamp,
}

/// The registrations.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// Stores a registration, durably, or tells which unique tag is taken. When both the idempotency
    /// tag and another are taken, the answer is [`Inserted::SameKey`]. A record with the same id as
    /// `registration` is itself: an insert that is sent again succeeds.
    async fn insert(&self, registration: &Registration) -> Result<Inserted, StoreError>;

    /// The registration with this reference.
    async fn find(&self, reference: Reference) -> Result<Option<Registration>, StoreError>;

    /// Removes the registration with this reference, durably, and returns it. Its tags are free again;
    /// of any number of racing calls exactly one gets it.
    async fn erase(&self, reference: Reference) -> Result<Option<Registration>, StoreError>;

    /// Those of `keys` that no record names.
    async fn unnamed(&self, keys: &[PhotoKey]) -> Result<Vec<PhotoKey>, StoreError>;
}

/// Moments of the store. Which of two is later says their sequence number, which grows with every
/// insert and every erasure and depends on no clock that anybody may set.
#[async_trait]
pub trait Snapshots: Send + Sync + 'static {
    /// The rows of one city or of all, as they stand at one moment after the call; what is written
    /// later is in neither the counts nor the rows.
    async fn rows(&self, city: Option<CityCode>) -> Result<Snapshot, StoreError>;

    /// Registrations per city at one moment after the call, as [`Snapshots::rows`] counts them.
    async fn totals(&self) -> Result<Counted, StoreError>;
}

/// The saved board.
#[async_trait]
pub trait Boards: Send + Sync + 'static {
    /// The saved board, if its version is above `version`.
    async fn board(&self, version: u64) -> Result<Option<Totals>, StoreError>;

    /// Saves the board if its version is the one after the saved one (1 when none is); of any number
    /// of racing saves of one version exactly one is `true`.
    async fn save_board(&self, totals: &Totals) -> Result<bool, StoreError>;
}

/// Who is signed in.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Adds a session. Sessions that have expired at `now` may be removed.
    async fn add_session(&self, session: &Session, now: Timestamp) -> Result<(), StoreError>;

    /// The session with this tag, unless it has expired at `now`.
    async fn session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError>;

    /// Removes a session that has not expired at `now`; of any number of racing calls exactly one
    /// gets it.
    async fn end_session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError>;
}

/// A whole record store. What needs only a part of it names that part.
#[async_trait]
pub trait Store: Records + Snapshots + Boards + Sessions {
    /// Which register this is; `None` before the first claim.
    async fn register(&self) -> Result<Option<Register>, StoreError>;

    /// Makes this the register that `claim` names, unless it is one already, and returns which it is.
    /// The sealing key of the claim is remembered when it is that very register's.
    async fn claim(&self, claim: &Claim) -> Result<Register, StoreError>;

    /// Whether the store answers and takes writes; it makes one.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Finishes what was begun and lets go; called once, last.
    async fn close(&self);
}

/// Where a store is, parsed from `PADRON_STORE`.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// `sqlite:PATH`: an embedded database file, made when absent.
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
            // Looked at when it is opened: what refuses a setting here would show the password.
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

/// Opens a store and makes its tables. A server that is away is no error: it is looked for again by
/// every call, and its tables are made when it comes.
///
/// # Errors
/// When it cannot be opened or made.
pub async fn connect(url: &StoreUrl) -> Result<Arc<dyn Store>, StoreError> {
    match url {
        StoreUrl::Sqlite(path) => Ok(Arc::new(sqlite::Sqlite::open(path.clone()).await?)),
        StoreUrl::Mongo(url) => Ok(Arc::new(mongo::Mongo::open(url).await?)),
    }
}

/// Opens a SQLite store that commits every write alone: what group commit is measured against.
///
/// # Errors
/// When it cannot be opened or made.
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
