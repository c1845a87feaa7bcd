//! The collections, their validators and their indexes.
//!
//! Created by whichever replica comes first; idempotent.

use mongodb::{
    Collection, Database, IndexModel,
    bson::{Document, RawDocumentBuf, doc},
    error::{Error, ErrorKind},
    options::IndexOptions,
};

use super::failure::{cause, is_transient};
use crate::store::StoreError;

pub(super) const REGISTRATIONS: &str = "registrations";
pub(super) const BOARD: &str = "board";
pub(super) const SESSIONS: &str = "sessions";
pub(super) const REGISTER: &str = "register";

/// Schema version: grows when documents change so that this version must migrate them; a database of a newer one is
/// refused.
const VERSION: i64 = 1;
const SCHEMA: &str = "schema";

/// The index that serves reports and counts.
pub(super) const BY_CITY: &str = "registrations_city_id";

/// The index that serves counts by time.
pub(super) const BY_TIME: &str = "registrations_registered_at";

const NAMESPACE_NOT_FOUND: i32 = 26;
const NAMESPACE_EXISTS: i32 = 48;
const INDEX_CONFLICTS: [i32; 2] = [85, 86];

/// Why the schema is not ready.
pub(super) enum Unprepared {
    /// A command failed.
    Refused {
        /// What it was to create or to read.
        what: String,
        /// The driver's error.
        error: Error,
    },
    /// A newer padron has migrated the documents.
    Newer(i64),
}

impl Unprepared {
    /// Whether a retry may help; otherwise somebody must mend the database.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { error, .. } => is_transient(error),
            Self::Newer(_) => false,
        }
    }
}

impl From<Unprepared> for StoreError {
    fn from(unprepared: Unprepared) -> Self {
        let (what, error) = match unprepared {
            Unprepared::Refused { what, error } => (what, error),
            Unprepared::Newer(found) => {
                return Self::Unusable(
                    format!(
                        "the database is of version {found}, this padron knows up to {VERSION}; run the padron that made it, or a newer one"
                    )
                    .into(),
                );
            }
        };
        let lasting = !is_transient(&error);
        let cause = cause(&error);
        let conflict = matches!(&*error.kind,
            ErrorKind::Command(refused) if INDEX_CONFLICTS.contains(&refused.code));
        let advice = if conflict {
            "; one of that name or of those keys has other options: drop it and start again"
        } else {
            ""
        };
        let told = format!("{what} cannot be made: {cause}{advice}").into();
        if lasting {
            Self::Unusable(told)
        } else {
            Self::Unavailable(told)
        }
    }
}

/// Creates what is missing; idempotent.
pub(super) async fn prepare(database: Database) -> Result<(), Unprepared> {
    let version = database.collection::<Document>(REGISTER);
    let asking = |error| Unprepared::Refused {
        what: format!("the version in {REGISTER}"),
        error,
    };
    let found = version.find_one(doc! { "_id": SCHEMA }).await;
    let found = found.map_err(asking)?;
    let found = found.map_or(0, |found| found.get_i64("version").unwrap_or(i64::MAX));
    if found > VERSION {
        return Err(Unprepared::Newer(found));
    }
    for (name, validator) in validators() {
        make_collection(&database, name, validator)
            .await
            .map_err(|error| Unprepared::Refused {
                what: format!("collection {name}"),
                error,
            })?;
    }
    let registrations = database.collection::<Document>(REGISTRATIONS);
    for (name, keys, mut options) in indexes() {
        options.name = Some(name.to_owned());
        let index = IndexModel::builder().keys(keys).options(options).build();
        registrations
            .create_index(index)
            .await
            .map_err(|error| Unprepared::Refused {
                what: format!("index {name}"),
                error,
            })?;
    }
    // The migration of an older version's documents goes here, before its number.
    version
        .update_one(
            doc! { "_id": SCHEMA },
            doc! { "$max": { "version": VERSION } },
        )
        .upsert(true)
        .await
        .map(drop)
        .map_err(asking)
}

async fn make_collection(
    database: &Database,
    name: &str,
    validator: Document,
) -> Result<(), Error> {
    let made = database
        .create_collection(name)
        .validator(validator.clone())
        .await;
    match made {
        Err(error) if matches!(&*error.kind, ErrorKind::Command(refused) if refused.code == NAMESPACE_EXISTS) =>
        {
            let modify = doc! { "collMod": name, "validator": validator };
            database.run_command(modify).await.map(drop)
        }
        made => made,
    }
}

/// Whether every index of the registrations is there.
pub(super) async fn is_indexed(registrations: &Collection<RawDocumentBuf>) -> Result<bool, Error> {
    match registrations.list_index_names().await {
        Ok(found) => Ok(indexes()
            .iter()
            .all(|(name, ..)| found.iter().any(|found| found == name))),
        Err(error) if matches!(&*error.kind, ErrorKind::Command(refused) if refused.code == NAMESPACE_NOT_FOUND) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The unique indexes decide what is registered twice. Those on optional fields are sparse, so that any number of
/// records may lack the field.
fn indexes() -> [(&'static str, Document, IndexOptions); 7] {
    let unique = || IndexOptions::builder().unique(true).build();
    let sparse = || IndexOptions::builder().unique(true).sparse(true).build();
    [
        ("registrations_reference", doc! { "reference": 1 }, unique()),
        (
            "registrations_document_tag",
            doc! { "document_tag": 1 },
            sparse(),
        ),
        (
            "registrations_idempotency_tag",
            doc! { "idempotency_tag": 1 },
            sparse(),
        ),
        ("registrations_once_tag", doc! { "once_tag": 1 }, sparse()),
        ("registrations_photo_key", doc! { "photo.key": 1 }, sparse()),
        (
            BY_CITY,
            doc! { "city": 1, "_id": 1 },
            IndexOptions::default(),
        ),
        (
            BY_TIME,
            doc! { "registered_at": 1 },
            IndexOptions::default(),
        ),
    ]
}

/// Unknown fields are let through, so that a newer padron may write them before an older one is gone (rolling
/// upgrade).
fn validators() -> [(&'static str, Document); 4] {
    let schema = |required: &[&str], properties: Document| {
        doc! { "$jsonSchema": {
            "bsonType": "object",
            "required": required.to_vec(),
            "properties": properties,
        } }
    };
    let binary = || doc! { "bsonType": "binData" };
    let text = || doc! { "bsonType": "string" };
    let date = || doc! { "bsonType": "date" };
    let number = || doc! { "bsonType": ["int", "long"], "minimum": 0 };
    let photo = doc! {
        "bsonType": "object",
        "required": ["key", "media_type", "bytes", "width", "height", "digest", "wrapped_key"],
        "properties": {
            "key": binary(),
            "media_type": text(),
            "bytes": number(),
            "width": number(),
            "height": number(),
            "digest": binary(),
            "wrapped_key": binary(),
        },
    };
    [
        (
            REGISTRATIONS,
            schema(
                &[
                    "_id",
                    "reference",
                    "city",
                    "registered_at",
                    "sealed",
                    "content_tag",
                ],
                doc! {
                    "_id": binary(),
                    "reference": { "bsonType": "string", "minLength": 8, "maxLength": 8 },
                    "city": { "bsonType": "string", "pattern": "^[0-9]{5}$" },
                    "registered_at": date(),
                    "sealed": binary(),
                    "content_tag": binary(),
                    "document_tag": binary(),
                    "idempotency_tag": binary(),
                    "once_tag": binary(),
                    "photo": photo,
                },
            ),
        ),
        (
            BOARD,
            schema(
                &["_id", "version", "totals"],
                doc! { "_id": text(), "version": number(), "totals": text() },
            ),
        ),
        (
            SESSIONS,
            schema(
                &["_id", "actor", "expires_at"],
                doc! { "_id": binary(), "actor": text(), "expires_at": date() },
            ),
        ),
        (
            REGISTER,
            schema(
                &["_id"],
                doc! {
                    "_id": text(),
                    "register": binary(),
                    "keyring": binary(),
                    "keys": { "bsonType": "array", "items": binary() },
                    "erased": number(),
                    "pings": number(),
                    "version": number(),
                },
            ),
        ),
    ]
}
