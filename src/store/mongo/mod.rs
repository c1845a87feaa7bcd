//! The shared backend: records in a MongoDB replica set, for any number of padron's replicas.
//!
//! Owns the client with its connection pool, the collections and their indexes; called only through the traits of
//! `store`. A write is acknowledged once a majority has it in its journal (write concern), and a read sees only what
//! a majority has (read concern). The driver is not cancel-safe and has no timeout of its own for a whole operation,
//! so each call runs in a task, and the caller waits for it up to a deadline and no longer. An unreachable server is
//! tried anew by each call; the collections are created by the first that finds it. The database may be dropped or
//! replaced under a running server: each call is answered only if the claimed register is there after it. It never
//! decrypts.

mod daily;
mod documents;
mod erase;
mod failure;
mod insert;
mod measure;
mod options;
mod rows;
mod schema;

use std::{
    collections::HashSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::{
    Client, Collection, Database,
    bson::{Document, RawDocumentBuf, doc},
};
use secrecy::SecretString;
use tokio::{
    sync::{Mutex, Semaphore, mpsc},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use self::{
    documents::Fields,
    failure::{is_duplicate, is_transient, of_read, of_write},
    options::options,
    rows::{BLOCKS_AHEAD, Moment},
};
use crate::{
    domain::registration::{PhotoKey, Reference, Registration},
    domain::totals::{Counted, Totals},
    foundation::seal::Tag,
    store::{
        Boards, Cause, Claim, Inserted, Records, Register, Scope, Session, Sessions, Snapshot,
        Snapshots, Store, StoreError,
    },
};

/// Deadline of a call.
const DEADLINE: Duration = Duration::from_secs(8);

/// Deadline of a count, which visits every registration.
const COUNTING: Duration = Duration::from_mins(1);

/// Server-selection timeout; the last retry of an insert begins so long before the deadline.
const SELECTION: Duration = Duration::from_secs(3);

/// Concurrency limit of calls, because the wait queue of the driver's connection pool is unbounded.
const CALLS: usize = 256;

/// Polling interval while a claim is not visible to a majority yet.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Mongo {
    client: Client,
    collections: Collections,
    /// Held while the collections are created.
    preparing: Mutex<()>,
    calls: Arc<Semaphore>,
    tasks: TaskTracker,
}

#[derive(Clone)]
struct Collections {
    database: Database,
    registrations: Collection<RawDocumentBuf>,
    board: Collection<RawDocumentBuf>,
    sessions: Collection<RawDocumentBuf>,
    register: Collection<RawDocumentBuf>,
    known: Arc<Known>,
}

/// What was found in the database.
#[derive(Default)]
struct Known {
    /// Id of the register that it held when it was claimed.
    register: OnceLock<Uuid>,
    /// Whether collections and indexes are there; no longer once the register was missed.
    prepared: AtomicBool,
}

impl Collections {
    /// Fails once the database holds the claimed register no more, because it was dropped or replaced. Of whatever is
    /// acknowledged after this, a backup or another member has nothing.
    async fn is_still_there(&self) -> Result<(), StoreError> {
        let Some(claimed) = self.known.register.get() else {
            return Ok(());
        };
        let last_attempt = Instant::now() + DEADLINE.saturating_sub(SELECTION);
        let found = loop {
            let found = self.register.find_one(doc! { "_id": REGISTER });
            match found.max_time(DEADLINE).await {
                Err(error) if is_transient(&error) && Instant::now() < last_attempt => {
                    sleep(PAUSE).await;
                }
                found => break found.map_err(|error| of_read(&error))?,
            }
        };
        let found = found.map(|found| Fields(&found).uuid("register"));
        let found = found.transpose()?;
        if found == Some(*claimed) {
            return Ok(());
        }
        self.known.prepared.store(false, SeqCst);
        let told = match found {
            None => "the database holds no register any more; restore it from its backup",
            Some(_) => "the database holds another register now; restart padron",
        };
        Err(StoreError::Unavailable(told.into()))
    }

    /// Fails when an index of the registrations is missing; the next call makes it again.
    async fn is_indexed(&self) -> Result<(), StoreError> {
        if schema::is_indexed(&self.registrations)
            .await
            .map_err(|error| of_read(&error))?
        {
            return Ok(());
        }
        self.known.prepared.store(false, SeqCst);
        Err(StoreError::Unavailable(
            "the registrations lack an index".into(),
        ))
    }
}

impl Mongo {
    /// Creates the collections, unless the server is unreachable.
    pub(super) async fn open(url: &SecretString) -> Result<Self, StoreError> {
        let options = options(url).await?;
        let name = options.default_database.as_deref().unwrap_or("padron");
        let name = name.to_owned();
        let client = Client::with_options(options).map_err(|error| of_read(&error))?;
        let database = client.database(&name);
        let store = Self {
            client,
            collections: Collections {
                registrations: database.collection(schema::REGISTRATIONS),
                board: database.collection(schema::BOARD),
                sessions: database.collection(schema::SESSIONS),
                register: database.collection(schema::REGISTER),
                database,
                known: Arc::default(),
            },
            preparing: Mutex::default(),
            calls: Arc::new(Semaphore::new(CALLS)),
            tasks: TaskTracker::new(),
        };
        match timeout(DEADLINE, store.prepare()).await {
            Ok(Err(Unready::Refused(error))) => Err(error),
            Ok(Ok(()) | Err(Unready::Away(_))) | Err(_) => Ok(store),
        }
    }

    async fn prepare(&self) -> Result<(), Unready> {
        let prepared = || self.collections.known.prepared.load(SeqCst);
        if prepared() {
            return Ok(());
        }
        let _alone = self.preparing.lock().await;
        if prepared() {
            return Ok(());
        }
        let at = self.collections.clone();
        let preparing = async move {
            // In the place of a lost register nothing is created: a restore is to find it empty.
            at.is_still_there().await.map_err(Unready::Away)?;
            match schema::prepare(at.database).await {
                Ok(()) => Ok(()),
                Err(error) if error.is_transient() => Err(Unready::Away(error.into())),
                Err(error) => Err(Unready::Refused(error.into())),
            }
        };
        let stopped =
            |error: tokio::task::JoinError| Unready::Away(StoreError::Unavailable(error.into()));
        self.tasks.spawn(preparing).await.map_err(stopped)??;
        self.collections.known.prepared.store(true, SeqCst);
        Ok(())
    }

    /// Runs `work` in a task and waits for it up to `limit`; on a timeout the caller gets `late`, while the task runs
    /// on to its end.
    async fn run<T, F>(
        &self,
        limit: Duration,
        late: fn(Cause) -> StoreError,
        work: impl FnOnce(Collections) -> F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let deadline = Instant::now() + limit;
        let told = || -> Cause { format!("no answer within {} s", limit.as_secs()).into() };
        let begin = async {
            let call = self.calls.clone().acquire_owned().await;
            let call = call.map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
            match self.prepare().await {
                Ok(()) => Ok(call),
                Err(Unready::Away(error) | Unready::Refused(error)) => Err(error),
            }
        };
        let admitted = timeout_at(deadline, begin).await;
        // No operation was sent so far, so a timeout here leaves nothing uncertain.
        let call = admitted.unwrap_or_else(|_| Err(StoreError::Unavailable(told())))?;
        let at = self.collections.clone();
        let work = work(at.clone());
        let working = async move {
            let _call = call;
            let answer = work.await?;
            let kept = at.is_still_there().await;
            kept.map_err(|error| late(error.to_string().into()))?;
            Ok(answer)
        };
        let task = self.tasks.spawn(working.in_current_span());
        match timeout_at(deadline, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(stopped)) => Err(late(stopped.into())),
            Err(_) => Err(late(told())),
        }
    }

    async fn read<T, F>(&self, work: impl FnOnce(Collections) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.run(DEADLINE, StoreError::Unavailable, work).await
    }

    async fn write<T, F>(&self, work: impl FnOnce(Collections) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.run(DEADLINE, StoreError::Uncertain, work).await
    }
}

/// Why the collections are not ready.
enum Unready {
    /// A transient failure, such as an unreachable server: a retry may help.
    Away(StoreError),
    /// A lasting one: what is there conflicts, or the server denies access.
    Refused(StoreError),
}

#[async_trait]
impl Records for Mongo {
    async fn insert(&self, registration: &Registration) -> Result<Inserted, StoreError> {
        let last_attempt = Instant::now() + DEADLINE.saturating_sub(SELECTION);
        let new = registration.clone();
        self.write(|at| async move { insert::insert(&at.registrations, &new, last_attempt).await })
            .await
    }

    async fn find(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.read(move |at| async move {
            let filter = doc! { "reference": reference.symbols() };
            let found = at.registrations.find_one(filter).max_time(DEADLINE).await;
            let found = found.map_err(|error| of_read(&error))?;
            found
                .map(|found| documents::registration(&found))
                .transpose()
        })
        .await
    }

    async fn erase(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        let last_attempt = Instant::now() + DEADLINE.saturating_sub(SELECTION);
        self.write(move |at| async move { erase::erase(&at, reference, last_attempt).await })
            .await
    }

    async fn unnamed(&self, keys: &[PhotoKey]) -> Result<Vec<PhotoKey>, StoreError> {
        let keys = keys.to_vec();
        self.read(|at| async move {
            let asked: Vec<_> = keys.iter().map(|key| documents::uuid(key.0)).collect();
            let found = at
                .registrations
                .find(doc! { "photo.key": { "$in": asked } })
                .projection(doc! { "_id": 0, "photo.key": 1 })
                .max_time(DEADLINE)
                .await;
            let mut found = found.map_err(|error| of_read(&error))?;
            let mut named = HashSet::new();
            while let Some(document) = found.try_next().await.map_err(|error| of_read(&error))? {
                if let Some(photo) = Fields(&document).document("photo")? {
                    named.insert(PhotoKey(Fields(photo).uuid("key")?));
                }
            }
            Ok(keys
                .into_iter()
                .filter(|key| !named.contains(key))
                .collect())
        })
        .await
    }
}

#[async_trait]
impl Snapshots for Mongo {
    async fn rows(&self, scope: &Scope) -> Result<Snapshot, StoreError> {
        let scope = scope.clone();
        let begin = move |at: Collections| async move {
            rows::moment(at.registrations, &scope, COUNTING).await
        };
        let moment = self.run(COUNTING, StoreError::Unavailable, begin).await;
        let Moment {
            sequence,
            as_of,
            counts,
            rows,
        } = moment?;
        let (sender, blocks) = mpsc::channel(BLOCKS_AHEAD);
        self.tasks.spawn(rows.send(sender).in_current_span());
        Ok(Snapshot {
            sequence,
            as_of,
            counts,
            blocks,
        })
    }

    async fn totals(&self) -> Result<Counted, StoreError> {
        let count =
            |at: Collections| async move { rows::totals(&at.registrations, COUNTING).await };
        self.run(COUNTING, StoreError::Unavailable, count).await
    }
}

#[async_trait]
impl Boards for Mongo {
    async fn board(&self, version: u64) -> Result<Option<Totals>, StoreError> {
        self.read(move |at| async move {
            let filter = doc! { "_id": BOARD, "version": { "$gt": version.cast_signed() } };
            let found = at.board.find_one(filter).max_time(DEADLINE).await;
            let found = found.map_err(|error| of_read(&error))?;
            found
                .map(|found| {
                    serde_json::from_str(Fields(&found).text("totals")?)
                        .map_err(|error| StoreError::Corrupt(error.into()))
                })
                .transpose()
        })
        .await
    }

    async fn save_board(&self, totals: &Totals) -> Result<bool, StoreError> {
        let version = totals.version.cast_signed();
        let text =
            serde_json::to_string(totals).map_err(|error| StoreError::Corrupt(error.into()))?;
        self.write(move |at| async move {
            let board = at.board.clone_with_type::<Document>();
            if version == 1 {
                let first = doc! { "_id": BOARD, "version": version, "totals": text };
                return match board.insert_one(first).await {
                    Ok(_) => Ok(true),
                    Err(error) if is_duplicate(&error) => Ok(false),
                    Err(error) => Err(of_write(&error)),
                };
            }
            let saved = doc! { "_id": BOARD, "version": version - 1 };
            let next = doc! { "$set": { "version": version, "totals": text } };
            let updated = board.update_one(saved, next).await;
            Ok(updated.map_err(|error| of_write(&error))?.matched_count == 1)
        })
        .await
    }
}

#[async_trait]
impl Sessions for Mongo {
    async fn add_session(&self, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        let expired = doc! { "expires_at": { "$lte": documents::time(now) } };
        let added = doc! {
            "_id": documents::tag(&session.tag),
            "actor": &session.actor,
            "expires_at": documents::time(session.expires_at),
        };
        self.write(|at| async move {
            let sessions = at.sessions.clone_with_type::<Document>();
            let removed = sessions.delete_many(expired).await;
            removed.map_err(|error| of_write(&error))?;
            match sessions.insert_one(added).await {
                // Tags of sessions are unique: a duplicate is this one, sent twice by a retry.
                Err(error) if !is_duplicate(&error) => Err(of_write(&error)),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let filter = good_session(tag, now);
        self.read(|at| async move {
            let found = at.sessions.find_one(filter).max_time(DEADLINE).await;
            let found = found.map_err(|error| of_read(&error))?;
            found.map(|found| documents::session(&found)).transpose()
        })
        .await
    }

    async fn end_session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let filter = good_session(tag, now);
        self.write(|at| async move {
            let ended = at.sessions.find_one_and_delete(filter).await;
            let ended = ended.map_err(|error| of_write(&error))?;
            ended.map(|ended| documents::session(&ended)).transpose()
        })
        .await
    }
}

#[async_trait]
impl Store for Mongo {
    async fn register(&self) -> Result<Option<Register>, StoreError> {
        self.read(|at| async move { read_register(&at.register).await })
            .await
    }

    async fn claim(&self, claim: &Claim) -> Result<Register, StoreError> {
        let claim = *claim;
        let last_look = Instant::now() + DEADLINE;
        let claiming = self.write(move |at| async move {
            let claims = at.register.clone_with_type::<Document>();
            let keyring = documents::tag(&claim.keyring);
            let (id, key) = (
                documents::uuid(claim.id),
                documents::binary(claim.key.as_bytes()),
            );
            while Instant::now() < last_look {
                // The `_id` is fixed: beside a claim of another register, this upsert is a duplicate key.
                let own = doc! { "_id": REGISTER, "register": &id, "keyring": &keyring };
                let claimed = claims
                    .update_one(own, doc! { "$addToSet": { "keys": &key } })
                    .upsert(true)
                    .await;
                match claimed {
                    Err(error) if !is_duplicate(&error) => return Err(of_write(&error)),
                    _ => {}
                }
                if let Some(register) = read_register(&at.register).await? {
                    return Ok(register);
                }
                // The claim that won is not visible to a majority yet: retry.
                sleep(PAUSE).await;
            }
            Err(StoreError::Unavailable(
                "no majority knows which register this is yet".into(),
            ))
        });
        let register = claiming.await?;
        self.collections.known.register.get_or_init(|| register.id);
        Ok(register)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.write(|at| async move {
            // First, so that nothing is written in the place of a lost register.
            at.is_still_there().await?;
            at.is_indexed().await?;
            let register = at.register.clone_with_type::<Document>();
            let pinged = register
                .update_one(doc! { "_id": PING }, doc! { "$inc": { "pings": 1_i64 } })
                .upsert(true)
                .await;
            pinged.map(drop).map_err(|error| of_write(&error))
        })
        .await
    }

    async fn close(&self) {
        self.calls.close();
        self.tasks.close();
        // A task that has not ended by the deadline hangs, and ends with its connection.
        let _ = timeout(DEADLINE, self.tasks.wait()).await;
        self.client.clone().shutdown().immediate(true).await;
    }
}

/// The `_id` of the one document of `board`.
const BOARD: &str = "board";

/// The `_id`s of the documents of `register`: which it is, what it counts, and what a ping writes.
const REGISTER: &str = "register";
const COUNTERS: &str = "counters";
const PING: &str = "ping";

async fn read_register(
    register: &Collection<RawDocumentBuf>,
) -> Result<Option<Register>, StoreError> {
    let find = async |id| {
        let found = register.find_one(doc! { "_id": id }).max_time(DEADLINE);
        found.await.map_err(|error| of_read(&error))
    };
    let Some(found) = find(REGISTER).await? else {
        return Ok(None);
    };
    let counters = find(COUNTERS).await?;
    let erased = counters.map(|counters| Fields(&counters).number("erased"));
    let fields = Fields(&found);
    Ok(Some(Register {
        id: fields.uuid("register")?,
        keyring: fields.tag("keyring")?,
        keys: fields.keys("keys")?,
        erased: erased.transpose()?.unwrap_or_default().cast_unsigned(),
    }))
}

fn good_session(tag: &Tag, now: Timestamp) -> Document {
    doc! { "_id": documents::tag(tag), "expires_at": { "$gt": documents::time(now) } }
}
