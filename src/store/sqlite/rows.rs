//! A read snapshot: counts, then rows, read in one read transaction.

use std::{collections::BTreeMap, path::Path};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::schema::{self, read_row};
use crate::{
    domain::city::CityCode,
    store::{BLOCK_ROWS, Row, StoreError},
};

pub(super) fn counts(
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

/// The sequence number of the snapshot that a transaction reads.
pub(super) fn sequence(connection: &Connection) -> rusqlite::Result<u64> {
    let ask = "SELECT registered + erased FROM counters";
    connection
        .prepare_cached(ask)?
        .query_row([], |row| row.get(0).map(i64::cast_unsigned))
}

/// Sends the sequence number and the counts, then the rows, of one read transaction, at the receiver's pace
/// (backpressure); ends early when a receiver was dropped.
pub(super) fn send_rows(
    path: &Path,
    city: Option<CityCode>,
    counted: oneshot::Sender<(u64, BTreeMap<CityCode, u64>)>,
    blocks: &mpsc::Sender<Result<Vec<Row>, StoreError>>,
) -> rusqlite::Result<()> {
    let mut connection = schema::open(path)?;
    let transaction = connection.transaction()?;
    let moment = (sequence(&transaction)?, counts(&transaction, city)?);
    if counted.send(moment).is_err() {
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
        // Fails only when the report has dropped its receiver.
        let _ = blocks.blocking_send(Ok(block));
    }
    Ok(())
}
