//! The tables, and how a registration becomes a row and back.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row as SqlRow, RowIndex, ToSql, types::Type};
use uuid::Uuid;

use crate::{
    domain::city::CityCode,
    domain::registration::{Envelope, PhotoKey, Reference, Registration, StoredPhoto},
    foundation::seal::{Sealed, Tag},
    store::{Cause, Row, Session},
};

/// Grows when the tables change; a file of another version is refused.
const VERSION: i64 = 1;

/// How long a connection waits for another process's commit.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows lie in the order in which reports read them. `city_counts` is kept by triggers inside the
/// same commit, so that neither a report nor the board counts the whole table.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS registrations (
    city TEXT NOT NULL,
    id BLOB NOT NULL,
    reference TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    document_tag BLOB,
    idempotency_tag BLOB,
    content_tag BLOB NOT NULL,
    photo_key BLOB,
    photo_media_type TEXT,
    photo_bytes INTEGER,
    photo_width INTEGER,
    photo_height INTEGER,
    photo_digest BLOB,
    photo_wrapped_key BLOB,
    PRIMARY KEY (city, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS registrations_reference ON registrations (reference);
CREATE UNIQUE INDEX IF NOT EXISTS registrations_document_tag ON registrations (document_tag)
    WHERE document_tag IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS registrations_idempotency_tag ON registrations (idempotency_tag)
    WHERE idempotency_tag IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS registrations_photo_key ON registrations (photo_key)
    WHERE photo_key IS NOT NULL;
CREATE TABLE IF NOT EXISTS city_counts (
    city TEXT PRIMARY KEY NOT NULL,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS registrations_insert AFTER INSERT ON registrations BEGIN
    INSERT INTO city_counts (city, count) VALUES (new.city, 1)
        ON CONFLICT (city) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER IF NOT EXISTS registrations_delete AFTER DELETE ON registrations BEGIN
    UPDATE city_counts SET count = count - 1 WHERE city = old.city;
END;
CREATE TABLE IF NOT EXISTS board (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    totals TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
    tag BLOB PRIMARY KEY NOT NULL,
    actor TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keyring (id INTEGER PRIMARY KEY CHECK (id = 1), tag BLOB NOT NULL) STRICT;
";

/// The columns of a registration, in the order of [`Columns`].
macro_rules! registration_columns {
    () => {
        "city, id, reference, registered_at, sealed, document_tag, idempotency_tag, content_tag, \
         photo_key, photo_media_type, photo_bytes, photo_width, photo_height, photo_digest, \
         photo_wrapped_key"
    };
}
/// Their places in an insert.
macro_rules! registration_values {
    () => {
        ":city, :id, :reference, :registered_at, :sealed, :document_tag, :idempotency_tag, :content_tag, \
         :photo_key, :photo_media_type, :photo_bytes, :photo_width, :photo_height, :photo_digest, \
         :photo_wrapped_key"
    };
}
pub(super) use {registration_columns, registration_values};

/// Opens a connection to a file that [`create`] has made.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is erased is overwritten, not only unlinked.
    connection.pragma_update(None, "secure_delete", "ON")?;
    Ok(connection)
}

/// Unlike everything else, this does not wait by itself for another process that is opening the file.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let begun = Instant::now();
    loop {
        let switched = connection.pragma_update(None, "journal_mode", "WAL");
        let busy = matches!(&switched, Err(error)
            if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy));
        if !busy || begun.elapsed() > BUSY_TIMEOUT {
            return switched;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Opens the file, making it and its tables when absent.
pub(super) fn create(path: &Path) -> rusqlite::Result<Connection> {
    drop(Connection::open(path)?);
    let mut connection = open(path)?;
    // Only the writer's: pages that inserts touch again, statement journals that would go to disk, and
    // a log that is copied into the file less often.
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
    use_write_ahead_log(&connection)?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.execute(
        "INSERT INTO schema_version SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM schema_version)",
        [VERSION],
    )?;
    let found: i64 =
        transaction.query_row("SELECT version FROM schema_version", [], |row| row.get(0))?;
    if found != VERSION {
        return Err(rusqlite::Error::ToSqlConversionFailure(
            format!("the file has tables of version {found}, this padron reads version {VERSION}")
                .into(),
        ));
    }
    transaction.commit()?;
    Ok(connection)
}

/// A registration's columns.
pub(super) struct Columns<'a>(Vec<(&'static str, Box<dyn ToSql + 'a>)>);

impl<'a> Columns<'a> {
    pub(super) fn of(new: &'a Registration) -> Self {
        let photo = new.photo.as_ref();
        let tag = |tag: &'a Option<Tag>| tag.as_ref().map(Tag::as_bytes);
        Self(vec![
            (":city", Box::new(new.city.as_str())),
            (":id", Box::new(new.id.as_bytes())),
            (":reference", Box::new(new.reference.symbols())),
            (
                ":registered_at",
                Box::new(new.registered_at.as_millisecond()),
            ),
            (":sealed", Box::new(new.sealed.as_bytes())),
            (":document_tag", Box::new(tag(&new.document_tag))),
            (":idempotency_tag", Box::new(tag(&new.idempotency_tag))),
            (":content_tag", Box::new(new.content_tag.as_bytes())),
            (
                ":photo_key",
                Box::new(photo.map(|photo| photo.key.0.as_bytes())),
            ),
            (
                ":photo_media_type",
                Box::new(photo.map(|photo| photo.media_type.as_str())),
            ),
            (
                ":photo_bytes",
                Box::new(photo.map(|photo| photo.bytes.cast_signed())),
            ),
            (":photo_width", Box::new(photo.map(|photo| photo.width))),
            (":photo_height", Box::new(photo.map(|photo| photo.height))),
            (
                ":photo_digest",
                Box::new(photo.map(|photo| photo.digest.as_bytes())),
            ),
            (
                ":photo_wrapped_key",
                Box::new(photo.map(|photo| photo.wrapped_key.as_bytes())),
            ),
        ])
    }

    pub(super) fn params(&self) -> Vec<(&'static str, &dyn ToSql)> {
        self.0
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect()
    }
}

fn damaged(column: &str, cause: impl Into<Cause>) -> rusqlite::Error {
    let cause = format!("{column}: {}", cause.into());
    rusqlite::Error::FromSqlConversionFailure(0, Type::Null, cause.into())
}

fn read_id(row: &SqlRow<'_>, column: &str) -> rusqlite::Result<Uuid> {
    row.get::<_, [u8; 16]>(column).map(Uuid::from_bytes)
}

fn read_time(row: &SqlRow<'_>, column: impl RowIndex) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(row.get(column)?)
        .map_err(|error| damaged("registered_at or expires_at", error))
}

fn read_reference(row: &SqlRow<'_>, column: impl RowIndex) -> rusqlite::Result<Reference> {
    Reference::parse(row.get_ref(column)?.as_str()?)
        .ok_or_else(|| damaged("reference", "not eight symbols"))
}

pub(super) fn read_city(row: &SqlRow<'_>, column: impl RowIndex) -> rusqlite::Result<CityCode> {
    let code = row.get_ref(column)?.as_str()?.parse();
    code.map_err(|error: crate::domain::city::NotACityCode| damaged("city", error))
}

fn read_optional_tag(row: &SqlRow<'_>, column: &str) -> rusqlite::Result<Option<Tag>> {
    let bytes = row.get_ref(column)?.as_blob_or_null()?;
    bytes
        .map(|bytes| Tag::from_bytes(bytes).ok_or_else(|| damaged(column, "not 32 bytes")))
        .transpose()
}

pub(super) fn read_tag(row: &SqlRow<'_>, column: &str) -> rusqlite::Result<Tag> {
    read_optional_tag(row, column)?.ok_or_else(|| damaged(column, "absent"))
}

pub(super) fn read_photo_key(row: &SqlRow<'_>) -> rusqlite::Result<PhotoKey> {
    read_id(row, "photo_key").map(PhotoKey)
}

/// The columns of a [`Row`], in the order of [`read_row`].
macro_rules! row_columns {
    () => {
        "id, reference, city, registered_at, photo_key, sealed"
    };
}
pub(super) use row_columns;

/// By position: looking names up would take a tenth of a report.
pub(super) fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        envelope: Envelope {
            id: Uuid::from_bytes(row.get(0)?),
            reference: read_reference(row, 1)?,
            city: read_city(row, 2)?,
            registered_at: read_time(row, 3)?,
            photo_key: row
                .get::<_, Option<_>>(4)?
                .map(|key| PhotoKey(Uuid::from_bytes(key))),
        },
        sealed: Sealed::from_bytes(row.get(5)?),
    })
}

pub(super) fn read_registration(row: &SqlRow<'_>) -> rusqlite::Result<Registration> {
    let photo = match row.get_ref("photo_key")? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(StoredPhoto {
            key: read_photo_key(row)?,
            media_type: row
                .get_ref("photo_media_type")?
                .as_str()?
                .parse()
                .map_err(|_| damaged("photo_media_type", "unknown"))?,
            bytes: row.get::<_, i64>("photo_bytes")?.cast_unsigned(),
            width: row.get("photo_width")?,
            height: row.get("photo_height")?,
            digest: read_tag(row, "photo_digest")?,
            wrapped_key: Sealed::from_bytes(row.get("photo_wrapped_key")?),
        }),
    };
    Ok(Registration {
        id: read_id(row, "id")?,
        reference: read_reference(row, "reference")?,
        city: read_city(row, "city")?,
        registered_at: read_time(row, "registered_at")?,
        sealed: Sealed::from_bytes(row.get("sealed")?),
        document_tag: read_optional_tag(row, "document_tag")?,
        idempotency_tag: read_optional_tag(row, "idempotency_tag")?,
        content_tag: read_tag(row, "content_tag")?,
        photo,
    })
}

pub(super) fn read_session(row: &SqlRow<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        tag: read_tag(row, "tag")?,
        actor: row.get("actor")?,
        expires_at: read_time(row, "expires_at")?,
    })
}
