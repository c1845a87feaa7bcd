//! The schema: tables, migrations and pragmas, and the mapping of a registration to a row and back.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row as SqlRow, RowIndex, ToSql,
    TransactionBehavior, types::Type,
};
use uuid::Uuid;

use crate::{
    domain::city::CityCode,
    domain::registration::{Envelope, PhotoKey, Reference, Registration, StoredPhoto},
    foundation::seal::{KeyId, Sealed, Tag},
    store::{Cause, Register, Row, Session, StoreError},
};

/// Migrations: each makes the tables of its version out of those of the one before; the first creates them. The
/// schema version of a file is its `user_version`. A published migration is never changed: later ones follow it. By
/// hand and not by a library, because several processes may open a file at once: the version is read in the
/// transaction that changes it.
const MIGRATIONS: &[&str] = &[TABLES, ONCE, DAILY];

/// Busy timeout: how long a connection waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Size to which the write-ahead log is truncated when it is reset after a checkpoint.
const WAL_BYTES: u32 = 64 * 1024 * 1024;

/// Rows are clustered in the order in which reports read them. `city_counts` is kept by triggers in the same
/// transaction, so that neither a report nor the board scans the whole table.
///
/// `counters` grows in the transactions that change something: registered less erased tells how many rows there must
/// be, and the two together are the sequence number of a snapshot.
const TABLES: &str = "
CREATE TABLE registrations (
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
CREATE UNIQUE INDEX registrations_reference ON registrations (reference);
CREATE UNIQUE INDEX registrations_document_tag ON registrations (document_tag)
    WHERE document_tag IS NOT NULL;
CREATE UNIQUE INDEX registrations_idempotency_tag ON registrations (idempotency_tag)
    WHERE idempotency_tag IS NOT NULL;
CREATE UNIQUE INDEX registrations_photo_key ON registrations (photo_key)
    WHERE photo_key IS NOT NULL;
CREATE TABLE city_counts (
    city TEXT PRIMARY KEY NOT NULL,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER registrations_insert AFTER INSERT ON registrations BEGIN
    INSERT INTO city_counts (city, count) VALUES (new.city, 1)
        ON CONFLICT (city) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER registrations_delete AFTER DELETE ON registrations BEGIN
    UPDATE city_counts SET count = count - 1 WHERE city = old.city;
END;
CREATE TABLE board (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    totals TEXT NOT NULL
) STRICT;
CREATE TABLE sessions (
    tag BLOB PRIMARY KEY NOT NULL,
    actor TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE register (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id BLOB NOT NULL,
    keyring BLOB NOT NULL
) STRICT;
CREATE TABLE sealing_keys (id BLOB PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE counters (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    registered INTEGER NOT NULL,
    erased INTEGER NOT NULL,
    pings INTEGER NOT NULL
) STRICT;
INSERT INTO counters VALUES (1, 0, 0, 0);
";

/// The same form is registered once. Nullable: what was sent twice before stays.
const ONCE: &str = "
ALTER TABLE registrations ADD COLUMN once_tag BLOB;
CREATE UNIQUE INDEX registrations_once_tag ON registrations (once_tag)
    WHERE once_tag IS NOT NULL;
";

/// A count for each quarter of an hour (900,000 ms), begun from what is there, so that nobody scans the table.
const DAILY: &str = "
CREATE TABLE quarter_counts (
    quarter INTEGER PRIMARY KEY NOT NULL,
    count INTEGER NOT NULL
) STRICT;
INSERT INTO quarter_counts (quarter, count)
    SELECT registered_at / 900000, count(*) FROM registrations GROUP BY 1;
CREATE TRIGGER registrations_insert_quarter AFTER INSERT ON registrations BEGIN
    INSERT INTO quarter_counts (quarter, count) VALUES (new.registered_at / 900000, 1)
        ON CONFLICT (quarter) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER registrations_delete_quarter AFTER DELETE ON registrations BEGIN
    UPDATE quarter_counts SET count = count - 1 WHERE quarter = old.registered_at / 900000;
END;
";

/// The columns of a registration, in the order of [`Columns`].
macro_rules! registration_columns {
    () => {
        "city, id, reference, registered_at, sealed, document_tag, idempotency_tag, content_tag, \
         photo_key, photo_media_type, photo_bytes, photo_width, photo_height, photo_digest, \
         photo_wrapped_key, once_tag"
    };
}
/// Their named parameters in an insert.
macro_rules! registration_values {
    () => {
        ":city, :id, :reference, :registered_at, :sealed, :document_tag, :idempotency_tag, :content_tag, \
         :photo_key, :photo_media_type, :photo_bytes, :photo_width, :photo_height, :photo_digest, \
         :photo_wrapped_key, :once_tag"
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
    // Erased content is overwritten, not only unlinked.
    connection.pragma_update(None, "secure_delete", "ON")?;
    Ok(connection)
}

/// Switches the file to a write-ahead log. Unlike everything else, this ignores the busy timeout while another
/// process opens the file: hence the retry loop.
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

/// Opens the file, creating it and its tables when absent, and migrates an older one.
///
/// # Errors
/// [`StoreError::Unusable`] for a file that is no register of padron's, or that is a newer padron's.
pub(super) fn create(path: &Path) -> Result<Connection, StoreError> {
    make_private(path).map_err(|error| StoreError::Unavailable(error.into()))?;
    let mut connection = open(path).map_err(of_opening)?;
    prepare(&connection).map_err(of_opening)?;
    migrate(&mut connection, path, MIGRATIONS)?;
    Ok(connection)
}

/// Creates the file with mode 0600, readable by its owner only; SQLite gives the write-ahead log the same mode.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // For the writer's connection only: a page cache for the pages that inserts touch again, statement journals in
    // memory instead of on disk, and rarer checkpoints of the write-ahead log.
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
    // A long read snapshot holds checkpoints up and leaves a long write-ahead log: after its checkpoint it is
    // truncated to this.
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    use_write_ahead_log(connection)
}

fn of_opening(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::Unusable(error.into()),
        _ => StoreError::Unavailable(error.into()),
    }
}

fn version_of(connection: &Connection) -> rusqlite::Result<usize> {
    connection.query_row("PRAGMA user_version", [], |row| {
        row.get::<_, u32>(0).map(|version| version as usize)
    })
}

/// Applies the missing ones of `migrations` in one transaction, after a backup copy of the older file beside it.
fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), StoreError> {
    let found = version_of(connection).map_err(of_opening)?;
    if (1..migrations.len()).contains(&found) {
        copy_beside(connection, path, found)?;
    }
    let behavior = TransactionBehavior::Immediate;
    let transaction = connection
        .transaction_with_behavior(behavior)
        .map_err(of_opening)?;
    let found = version_of(&transaction).map_err(of_opening)?;
    let Some(missing) = migrations.get(found..) else {
        return Err(StoreError::Unusable(
            format!(
                "the file has tables of version {found}, this padron knows up to {}; run the padron that made it, or a newer one",
                migrations.len()
            )
            .into(),
        ));
    };
    let tables = "SELECT EXISTS (SELECT 1 FROM sqlite_master)";
    let is_others = transaction
        .query_row(tables, [], |row| row.get(0))
        .map_err(of_opening)?;
    if found == 0 && is_others {
        return Err(StoreError::Unusable(
            "the file is no register of this padron; name another".into(),
        ));
    }
    let apply = || {
        for migration in missing {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", migrations.len().to_string())?;
        transaction.commit()
    };
    apply().map_err(of_opening)
}

/// Keeps a backup of the file as it was before its migration: `padron.db.version-1`.
fn copy_beside(connection: &Connection, path: &Path, version: usize) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".version-{version}"));
    let copy = Path::new(&name);
    if copy.exists() {
        return Ok(());
    }
    let unfinished = copy.with_extension(format!("{version}.unfinished"));
    let copying = || {
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => make_private(&unfinished)?,
        }
        let name = unfinished.to_string_lossy();
        connection
            .execute("VACUUM INTO ?1", [name])
            .map_err(io::Error::other)?;
        fs::File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, copy)
    };
    copying().map_err(|error: io::Error| {
        StoreError::Unavailable(
            format!("the copy before the migration cannot be made: {error}").into(),
        )
    })
}

/// The open file and its write-ahead log, each by its device and inode.
#[derive(Clone, Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    log: PathBuf,
    identities: [(u64, u64); 2],
}

impl OpenFile {
    /// The file at `path` that a connection has open.
    pub(super) fn of(path: PathBuf) -> io::Result<Self> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        Ok(Self {
            identities: [identity(&path)?, identity(&log)?],
            path,
            log,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails once one of them was removed or replaced by another: what is written to the unlinked file is lost when
    /// the last connection closes.
    pub(super) fn is_still_there(&self) -> Result<(), StoreError> {
        let found = || io::Result::Ok([identity(&self.path)?, identity(&self.log)?]);
        if found().is_ok_and(|found| found == self.identities) {
            return Ok(());
        }
        Err(StoreError::Unavailable(
            "the database file was removed or replaced; put it back, or restart padron".into(),
        ))
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

/// A registration as the named parameters of an insert.
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
            (":once_tag", Box::new(tag(&new.once_tag))),
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

pub(super) fn read_time(row: &SqlRow<'_>, column: impl RowIndex) -> rusqlite::Result<Timestamp> {
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

/// By position: looking columns up by name would take a tenth of a report's time.
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
        once_tag: read_optional_tag(row, "once_tag")?,
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

/// Which register the file holds, if it was claimed.
pub(super) fn read_register(connection: &Connection) -> rusqlite::Result<Option<Register>> {
    let ask = "SELECT register.id, keyring, erased FROM register, counters";
    let found = connection
        .prepare_cached(ask)?
        .query_row([], |row| {
            Ok(Register {
                id: read_id(row, "id")?,
                keyring: read_tag(row, "keyring")?,
                keys: Vec::new(),
                erased: row.get::<_, i64>("erased")?.cast_unsigned(),
            })
        })
        .optional()?;
    let Some(mut register) = found else {
        return Ok(None);
    };
    let mut keys = connection.prepare_cached("SELECT id FROM sealing_keys")?;
    let keys = keys.query_map([], |row| {
        KeyId::from_bytes(row.get_ref("id")?.as_blob()?)
            .ok_or_else(|| damaged("sealing_keys.id", "not 4 bytes"))
    })?;
    register.keys = keys.collect::<rusqlite::Result<_>>()?;
    Ok(Some(register))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: &str = "CREATE TABLE later (id INTEGER) STRICT; INSERT INTO later VALUES (7)";

    #[test]
    fn an_older_file_is_migrated_after_a_copy_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("padron.db");
        let mut connection = create(&path).unwrap();
        connection
            .execute("UPDATE counters SET registered = 42", [])
            .unwrap();
        let migrations = [MIGRATIONS, &[NEXT]].concat();
        let before = MIGRATIONS.len();
        // Idempotent: the second time there is nothing to do.
        for _ in 0..2 {
            migrate(&mut connection, &path, &migrations).unwrap();
            assert_eq!(version_of(&connection).unwrap(), before + 1);
        }
        let later: i64 = connection
            .query_row("SELECT id FROM later", [], |row| row.get(0))
            .unwrap();
        assert_eq!(later, 7);

        let copy = folder.path().join(format!("padron.db.version-{before}"));
        let mode = fs::metadata(&copy).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let copy = open(&copy).unwrap();
        assert_eq!(version_of(&copy).unwrap(), before);
        let registered: i64 = copy
            .query_row("SELECT registered FROM counters", [], |row| row.get(0))
            .unwrap();
        assert_eq!(registered, 42);
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("padron.db");
        let mut connection = create(&path).unwrap();
        let broken = [MIGRATIONS, &[NEXT, "SELECT no_such_function()"]].concat();
        migrate(&mut connection, &path, &broken).unwrap_err();
        assert_eq!(version_of(&connection).unwrap(), MIGRATIONS.len());
        let made = connection.prepare("SELECT id FROM later");
        assert!(made.is_err(), "half of it stays");
    }
}
