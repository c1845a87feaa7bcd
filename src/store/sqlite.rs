//! Records in one SQLite file: the embedded tier.
//!
//! One writer thread commits whatever has queued up in one transaction (`writer`); readers take a
//! connection of their own, and a report keeps one for the length of its snapshot. Several processes
//! may share the file.

mod schema;
mod writer;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, named_params, params};
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::{
    schema::{Columns, read_registration, read_row},
    writer::Writer,
};
use crate::{
    city::CityCode,
    clock::now,
    registration::{PhotoKey, Reference, Registration},
    seal::Tag,
    store::{BLOCK_ROWS, Cause, Inserted, Row, Session, Snapshot, Store, StoreError},
    totals::{Counted, Totals},
};

/// Connections for short reads; a report opens one of its own.
const READERS: usize = 4;

/// Blocks that a report's reader may be ahead of its writer.
const BLOCKS_AHEAD: usize = 4;

/// Most writes that share a commit.
const GROUP: usize = 256;

/// The embedded store.
pub(super) struct Sqlite {
    path: PathBuf,
    writer: Writer,
    idle: Arc<Mutex<Vec<Connection>>>,
    readers: Arc<Semaphore>,
}

impl Sqlite {
    pub(super) async fn open(path: PathBuf) -> Result<Self, StoreError> {
        Self::open_with_group(path, GROUP).await
    }

    pub(super) async fn open_with_group(path: PathBuf, group: usize) -> Result<Self, StoreError> {
        let file = path.clone();
        let connection = blocking(move || schema::create(&file).map_err(unavailable)).await?;
        Ok(Self {
            path,
            writer: Writer::start(connection, group),
            idle: Arc::default(),
            readers: Arc::new(Semaphore::new(READERS)),
        })
    }

    /// Runs a short read on one of [`READERS`] connections.
    async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = self.readers.clone().acquire_owned().await.map_err(closed)?;
        let (path, idle) = (self.path.clone(), self.idle.clone());
        blocking(move || {
            let _permit = permit;
            let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = pooled
                .map_or_else(|| schema::open(&path), Ok)
                .map_err(unavailable)?;
            let result = read(&connection).map_err(unavailable_or_corrupt)?;
            // A connection whose read failed is dropped, so that the next one starts afresh.
            idle.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            Ok(result)
        })
        .await
    }
}

#[async_trait]
impl Store for Sqlite {
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
                transaction
                    .query_row(
                        concat!(
                            "DELETE FROM registrations WHERE reference = ?1 RETURNING ",
                            schema::registration_columns!()
                        ),
                        [reference.symbols()],
                        read_registration,
                    )
                    .optional()
            })
            .await
    }

    async fn rows(&self, city: Option<CityCode>) -> Result<Snapshot, StoreError> {
        let path = self.path.clone();
        let as_of = now();
        drop(self.readers.acquire().await.map_err(closed)?);
        let (blocks, mut receiver) = mpsc::channel(BLOCKS_AHEAD);
        let (counted, counts) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let sent = blocks.clone();
            if let Err(error) = send_rows(&path, city, counted, &blocks) {
                // Nobody is left to tell when the report is gone.
                let _ = sent.blocking_send(Err(unavailable_or_corrupt(error)));
            }
        });
        match counts.await {
            Ok(counts) => Ok(Snapshot {
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
        let counts = self.read(|connection| counts(connection, None)).await?;
        Ok(Counted {
            as_of,
            city: None,
            counts,
        })
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

    async fn claim(&self, keyring: &Tag) -> Result<Tag, StoreError> {
        let keyring = *keyring;
        self.writer
            .write(move |transaction| {
                transaction.execute(
                    "INSERT OR IGNORE INTO keyring (id, tag) VALUES (1, ?1)",
                    [keyring.as_bytes()],
                )?;
                transaction.query_row("SELECT tag FROM keyring", [], |row| {
                    schema::read_tag(row, "tag")
                })
            })
            .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            connection.query_row("SELECT version FROM schema_version", [], |_| Ok(()))
        })
        .await
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

/// Inserts, and on a conflict finds out which of the unique tags is taken.
fn insert(transaction: &Transaction<'_>, new: &Registration) -> rusqlite::Result<Inserted> {
    let inserted = transaction
        .prepare_cached(concat!(
            "INSERT OR IGNORE INTO registrations (",
            schema::registration_columns!(),
            ") VALUES (",
            schema::registration_values!(),
            ")"
        ))?
        .execute(&*Columns::of(new).params())?;
    if inserted == 1 {
        return Ok(Inserted::New);
    }
    if let Some(tag) = new.idempotency_tag {
        let known = transaction
            .prepare_cached(concat!(
                "SELECT ",
                schema::registration_columns!(),
                " FROM registrations WHERE idempotency_tag = ?1"
            ))?
            .query_row([tag.as_bytes()], read_registration)
            .optional()?;
        if let Some(known) = known {
            return Ok(if known.id == new.id {
                Inserted::New
            } else {
                Inserted::SameKey(Box::new(known))
            });
        }
    }
    let (itself, document) = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM registrations WHERE city = :city AND id = :id),
                EXISTS (SELECT 1 FROM registrations WHERE document_tag = :tag)",
        named_params! {
            ":city": new.city.as_str(),
            ":id": new.id.as_bytes(),
            ":tag": new.document_tag.as_ref().map(Tag::as_bytes),
        },
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(match (itself, document) {
        (true, _) => Inserted::New,
        (false, true) => Inserted::SameDocument,
        (false, false) => Inserted::SameReference,
    })
}

fn counts(
    connection: &Connection,
    city: Option<CityCode>,
) -> rusqlite::Result<BTreeMap<CityCode, u64>> {
    connection
        .prepare_cached(
            "SELECT city, count FROM city_counts WHERE count > 0 AND (?1 IS NULL OR city = ?1)",
        )?
        .query_map([city.as_ref().map(CityCode::as_str)], |row| {
            Ok((
                schema::read_city(row, "city")?,
                row.get::<_, i64>("count")?.cast_unsigned(),
            ))
        })?
        .collect()
}

/// Sends the counts, then the rows, of one read transaction; ends early when nobody listens.
fn send_rows(
    path: &Path,
    city: Option<CityCode>,
    counted: oneshot::Sender<BTreeMap<CityCode, u64>>,
    blocks: &mpsc::Sender<Result<Vec<Row>, StoreError>>,
) -> rusqlite::Result<()> {
    let mut connection = schema::open(path)?;
    let transaction = connection.transaction()?;
    if counted.send(counts(&transaction, city)?).is_err() {
        return Ok(());
    }
    let mut statement = transaction.prepare(match city {
        Some(_) => {
            concat!(
                "SELECT ",
                schema::row_columns!(),
                " FROM registrations WHERE city = ?1 ORDER BY id"
            )
        }
        None => {
            concat!(
                "SELECT ",
                schema::row_columns!(),
                " FROM registrations WHERE ?1 IS NULL ORDER BY city, id"
            )
        }
    })?;
    let mut rows = statement.query([city.as_ref().map(CityCode::as_str)])?;
    let mut block = Vec::with_capacity(BLOCK_ROWS);
    while let Some(row) = rows.next()? {
        block.push(read_row(row)?);
        if block.len() == BLOCK_ROWS {
            let full = std::mem::replace(&mut block, Vec::with_capacity(BLOCK_ROWS));
            if blocks.blocking_send(Ok(full)).is_err() {
                return Ok(());
            }
        }
    }
    if !block.is_empty() {
        // The report is gone when this fails, and so is the work.
        let _ = blocks.blocking_send(Ok(block));
    }
    Ok(())
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

fn closed(_: tokio::sync::AcquireError) -> StoreError {
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
        _ => StoreError::Unavailable(cause),
    }
}
