//! The embedded backend: records in one SQLite file with a write-ahead log.
//!
//! Owns the file, its connections and its writer thread; called only through the traits of `store`. One writer thread
//! commits whatever has queued up in one transaction (group commit, `writer`); short reads share a small connection
//! pool on the blocking pool, and a report opens a connection of its own for its read snapshot. Several processes may
//! share the file. It never decrypts, and never runs a query on the async runtime's threads.

mod daily;
mod insert;
mod rows;
mod schema;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, params};
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use self::{
    insert::insert,
    rows::{counts, send_rows, sequence},
    schema::{OpenFile, read_register, read_registration},
    writer::Writer,
};
use crate::{
    domain::registration::{PhotoKey, Reference, Registration},
    domain::totals::{Counted, Totals},
    foundation::clock::now,
    foundation::seal::Tag,
    store::{
        Boards, Cause, Claim, Inserted, Records, Register, Scope, Session, Sessions, Snapshot,
        Snapshots, Store, StoreError,
    },
};

/// Size of the connection pool for short reads; a report opens a connection of its own.
const READERS: usize = 4;

/// Capacity of a report's bounded channel: blocks that may be read ahead of it.
const BLOCKS_AHEAD: usize = 4;

/// Most writes of one group commit.
const GROUP: usize = 256;

pub(super) struct Sqlite {
    file: OpenFile,
    /// Id of the register that the file held when it was claimed.
    register: OnceLock<Uuid>,
    writer: Writer,
    idle: Arc<Mutex<Vec<Connection>>>,
    readers: Arc<Semaphore>,
}

impl Sqlite {
    pub(super) async fn open(path: PathBuf) -> Result<Self, StoreError> {
        Self::open_with_group(path, GROUP).await
    }

    pub(super) async fn open_with_group(path: PathBuf, group: usize) -> Result<Self, StoreError> {
        let opening = move || {
            let connection = schema::create(&path)?;
            let file = OpenFile::of(path);
            let file = file.map_err(|error| StoreError::Unavailable(error.into()))?;
            Ok((connection, file))
        };
        let (connection, file) = blocking(opening).await?;
        Ok(Self {
            register: OnceLock::new(),
            writer: Writer::start(connection, file.clone(), group),
            file,
            idle: Arc::default(),
            readers: Arc::new(Semaphore::new(READERS)),
        })
    }

    /// Runs a short read on the blocking pool, with one of [`READERS`] pooled connections.
    async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = self.readers.clone().acquire_owned().await;
        let permit = permit.map_err(|_| closed())?;
        let (file, idle) = (self.file.clone(), self.idle.clone());
        blocking(move || {
            let _permit = permit;
            file.is_still_there()?;
            let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = pooled
                .map_or_else(|| schema::open(file.path()), Ok)
                .map_err(unavailable)?;
            let result = read(&mut connection).map_err(unavailable_or_corrupt)?;
            // After an error the connection is dropped instead of pooled, so that the next read opens a fresh one.
            idle.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            Ok(result)
        })
        .await
    }
}

#[async_trait]
impl Records for Sqlite {
    async fn insert(&self, registration: &Registration) -> Result<Inserted, StoreError> {
        let registration = registration.clone();
        self.writer
            .write(move |transaction| insert(transaction, &registration))
            .await
    }

    async fn find(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(concat!(
                    "SELECT ",
                    schema::registration_columns!(),
                    " FROM registrations WHERE reference = ?1"
                ))?
                .query_row([reference.symbols()], read_registration)
                .optional()
        })
        .await
    }

    async fn erase(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.writer
            .write(move |transaction| {
                let erased = transaction
                    .query_row(
                        concat!(
                            "DELETE FROM registrations WHERE reference = ?1 RETURNING ",
                            schema::registration_columns!()
                        ),
                        [reference.symbols()],
                        read_registration,
                    )
                    .optional()?;
                if erased.is_some() {
                    transaction.execute("UPDATE counters SET erased = erased + 1", [])?;
                }
                Ok(erased)
            })
            .await
    }

    async fn unnamed(&self, keys: &[PhotoKey]) -> Result<Vec<PhotoKey>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |connection| {
            let mut named = connection.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM registrations WHERE photo_key = ?1)",
            )?;
            let mut unnamed = Vec::new();
            for key in keys {
                if !named.query_row([key.0.as_bytes()], |row| row.get::<_, bool>(0))? {
                    unnamed.push(key);
                }
            }
            Ok(unnamed)
        })
        .await
    }
}

#[async_trait]
impl Snapshots for Sqlite {
    async fn rows(&self, scope: &Scope) -> Result<Snapshot, StoreError> {
        let (file, scope) = (self.file.clone(), scope.clone());
        let as_of = now();
        if self.readers.is_closed() {
            return Err(closed());
        }
        let (blocks, mut receiver) = mpsc::channel(BLOCKS_AHEAD);
        let (counted, counts) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let sent = blocks.clone();
            let sending = file.is_still_there().and_then(|()| {
                send_rows(file.path(), &scope, counted, &blocks).map_err(unavailable_or_corrupt)
            });
            if let Err(error) = sending {
                // Fails only when the report has dropped its receiver.
                let _ = sent.blocking_send(Err(error));
            }
        });
        match counts.await {
            Ok((sequence, counts)) => Ok(Snapshot {
                sequence,
                as_of,
                counts,
                blocks: receiver,
            }),
            Err(_) => match receiver.recv().await {
                Some(Err(error)) => Err(error),
                _ => Err(StoreError::Unavailable("the reader ended early".into())),
            },
        }
    }

    async fn totals(&self) -> Result<Counted, StoreError> {
        let as_of = now();
        let counting = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            Ok((
                sequence(&transaction)?,
                counts(&transaction, &Scope::default())?,
            ))
        };
        let (sequence, counts) = self.read(counting).await?;
        Ok(Counted {
            sequence,
            as_of,
            city: None,
            counts,
        })
    }
}

#[async_trait]
impl Boards for Sqlite {
    async fn board(&self, version: u64) -> Result<Option<Totals>, StoreError> {
        let text = self
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT totals FROM board WHERE version > ?1")?
                    .query_row([version.cast_signed()], |row| row.get::<_, String>(0))
                    .optional()
            })
            .await?;
        text.map(|text| {
            serde_json::from_str(&text).map_err(|error| StoreError::Corrupt(error.into()))
        })
        .transpose()
    }

    async fn save_board(&self, totals: &Totals) -> Result<bool, StoreError> {
        let version = totals.version.cast_signed();
        let text =
            serde_json::to_string(totals).map_err(|error| StoreError::Corrupt(error.into()))?;
        self.writer
            .write(move |transaction| {
                let saved = transaction
                    .query_row("SELECT version FROM board", [], |row| row.get(0))
                    .optional()?
                    .unwrap_or(0);
                if version != saved + 1 {
                    return Ok(false);
                }
                transaction.execute(
                    "INSERT OR REPLACE INTO board (id, version, totals) VALUES (1, ?1, ?2)",
                    params![version, text],
                )?;
                Ok(true)
            })
            .await
    }
}

#[async_trait]
impl Sessions for Sqlite {
    async fn add_session(&self, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        let session = session.clone();
        self.writer
            .write(move |transaction| {
                transaction.execute(
                    "DELETE FROM sessions WHERE expires_at <= ?1",
                    [now.as_millisecond()],
                )?;
                transaction.execute(
                    "INSERT INTO sessions (tag, actor, expires_at) VALUES (?1, ?2, ?3)",
                    params![
                        session.tag.as_bytes(),
                        session.actor,
                        session.expires_at.as_millisecond()
                    ],
                )?;
                Ok(())
            })
            .await
    }

    async fn session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let tag = *tag;
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT tag, actor, expires_at FROM sessions WHERE tag = ?1 AND expires_at > ?2",
                )?
                .query_row(params![tag.as_bytes(), now.as_millisecond()], schema::read_session)
                .optional()
        })
        .await
    }

    async fn end_session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let tag = *tag;
        self.writer
            .write(move |transaction| {
                transaction
                    .query_row(
                        "DELETE FROM sessions WHERE tag = ?1 AND expires_at > ?2
                         RETURNING tag, actor, expires_at",
                        params![tag.as_bytes(), now.as_millisecond()],
                        schema::read_session,
                    )
                    .optional()
            })
            .await
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn register(&self) -> Result<Option<Register>, StoreError> {
        self.read(|connection| read_register(connection)).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Register, StoreError> {
        let claim = *claim;
        let claiming = move |transaction: &Transaction<'_>| {
            transaction.execute(
                "INSERT OR IGNORE INTO register (one, id, keyring) VALUES (1, ?1, ?2)",
                params![claim.id.as_bytes(), claim.keyring.as_bytes()],
            )?;
            transaction.execute(
                "INSERT OR IGNORE INTO sealing_keys (id)
                 SELECT ?1 WHERE EXISTS (SELECT 1 FROM register WHERE id = ?2 AND keyring = ?3)",
                params![
                    claim.key.as_bytes(),
                    claim.id.as_bytes(),
                    claim.keyring.as_bytes()
                ],
            )?;
            read_register(transaction)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
        };
        let register = self.writer.write(claiming).await?;
        self.register.get_or_init(|| register.id);
        Ok(register)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.file.is_still_there()?;
        let pinging = |transaction: &Transaction<'_>| {
            transaction.execute("UPDATE counters SET pings = pings + 1", [])?;
            transaction
                .query_row("SELECT id FROM register", [], |row| row.get(0))
                .optional()
        };
        let found = self.writer.write(pinging).await?;
        match self.register.get() {
            Some(claimed) if found != Some(claimed.into_bytes()) => Err(StoreError::Unavailable(
                "the database file holds another register now; restart padron".into(),
            )),
            _ => Ok(()),
        }
    }

    async fn close(&self) {
        self.readers.close();
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.writer.close().await;
    }
}

async fn blocking<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Unavailable(error.into()))?
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

fn unavailable(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.into())
}

fn unavailable_or_corrupt(error: rusqlite::Error) -> StoreError {
    let cause: Cause = error.into();
    match cause.downcast_ref::<rusqlite::Error>() {
        Some(
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..),
        ) => StoreError::Corrupt(cause),
        Some(error)
            if matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ) =>
        {
            StoreError::Corrupt(cause)
        }
        _ => StoreError::Unavailable(cause),
    }
}
