//! The idempotent insert of a registration.

use rusqlite::{OptionalExtension as _, Transaction, named_params};

use super::schema::{self, Columns, read_registration};
use crate::{domain::registration::Registration, foundation::seal::Tag, store::Inserted};

/// Inserts, and on a conflict finds out which unique index refused it.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    new: &Registration,
) -> rusqlite::Result<Inserted> {
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
        transaction
            .prepare_cached("UPDATE counters SET registered = registered + 1")?
            .execute([])?;
        return Ok(Inserted::New);
    }
    let known = [
        (
            concat!(
                "SELECT ",
                schema::registration_columns!(),
                " FROM registrations WHERE idempotency_tag = ?1"
            ),
            new.idempotency_tag,
            Inserted::SameKey as fn(_) -> _,
        ),
        (
            concat!(
                "SELECT ",
                schema::registration_columns!(),
                " FROM registrations WHERE once_tag = ?1"
            ),
            new.once_tag,
            Inserted::SameContent,
        ),
    ];
    for (select, tag, same) in known {
        let Some(tag) = tag else { continue };
        let known = transaction
            .prepare_cached(select)?
            .query_row([tag.as_bytes()], read_registration)
            .optional()?;
        if let Some(known) = known {
            return Ok(if known.id == new.id {
                Inserted::New
            } else {
                same(Box::new(known))
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
