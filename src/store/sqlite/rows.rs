//! A read snapshot: counts, then rows, read in one read transaction.

use std::{collections::BTreeMap, path::Path};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::schema::{self, read_row};
use crate::{
    domain::city::CityCode,
    store::{BLOCK_ROWS, Row, Scope, StoreError},
};

pub(super) fn counts(
    connection: &Connection,
    scope: &Scope,
) -> rusqlite::Result<BTreeMap<CityCode, u64>> {
    let ids = scope.period.ids();
    // Triggers count whole cities; a part of one is counted now.
    connection
        .prepare_cached(
            "SELECT city, CASE WHEN ?2 THEN count ELSE (
                 SELECT count(*) FROM registrations AS of_city
                 WHERE of_city.city = city_counts.city AND id BETWEEN ?3 AND ?4
             ) END AS counted FROM city_counts
             WHERE counted > 0 AND (?1 IS NULL OR city = ?1)",
        )?
        .query_map(
            (
                scope.city.as_ref().map(CityCode::as_str),
                scope.period.is_all(),
                ids.start().as_bytes(),
                ids.end().as_bytes(),
            ),
            |row| {
                Ok((
                    schema::read_city(row, "city")?,
                    row.get::<_, i64>("counted")?.cast_unsigned(),
                ))
            },
        )?
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
    scope: &Scope,
    counted: oneshot::Sender<(u64, BTreeMap<CityCode, u64>)>,
    blocks: &mpsc::Sender<Result<Vec<Row>, StoreError>>,
) -> rusqlite::Result<()> {
    let mut connection = schema::open(path)?;
    let transaction = connection.transaction()?;
    let counts = counts(&transaction, scope)?;
    let cities = scope.order.sorted(&counts);
    if counted.send((sequence(&transaction)?, counts)).is_err() {
        return Ok(());
    }
    let mut statement = transaction.prepare(concat!(
        "SELECT ",
        schema::row_columns!(),
        " FROM registrations WHERE city = ?1 AND id BETWEEN ?2 AND ?3 ORDER BY id"
    ))?;
    let ids = scope.period.ids();
    let mut block = Vec::with_capacity(BLOCK_ROWS);
    for (city, _) in cities {
        let of_city = (city.as_str(), ids.start().as_bytes(), ids.end().as_bytes());
        let mut rows = statement.query(of_city)?;
        while let Some(row) = rows.next()? {
            block.push(read_row(row)?);
            if block.len() == BLOCK_ROWS {
                let full = std::mem::replace(&mut block, Vec::with_capacity(BLOCK_ROWS));
                if blocks.blocking_send(Ok(full)).is_err() {
                    return Ok(());
                }
            }
        }
    }
    if !block.is_empty() {
        // Fails only when the report has dropped its receiver.
        let _ = blocks.blocking_send(Ok(block));
    }
    Ok(())
}
