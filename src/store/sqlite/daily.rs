//! Registrations by time: counts that triggers keep, in the same transactions, so that nobody scans the table.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Sqlite;
use crate::store::{Daily, Recent, StoreError};

/// A quarter of an hour.
macro_rules! quarter_millis {
    () => {
        "900000"
    };
}

#[async_trait]
impl Daily for Sqlite {
    async fn recent(&self, since: Timestamp) -> Result<Recent, StoreError> {
        self.read(move |connection| {
            let transaction = connection.transaction()?;
            let total = transaction
                .prepare_cached("SELECT coalesce(sum(count), 0) FROM city_counts")?
                .query_row([], |row| row.get(0).map(i64::cast_unsigned))?;
            let quarters = transaction
                .prepare_cached(concat!(
                    "SELECT quarter * ",
                    quarter_millis!(),
                    ", count FROM quarter_counts WHERE quarter >= ?1 / ",
                    quarter_millis!(),
                    " AND count > 0"
                ))?
                .query_map([since.as_millisecond()], |row| {
                    let start = super::schema::read_time(row, 0)?;
                    Ok((start, row.get::<_, i64>(1)?.cast_unsigned()))
                })?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Recent { total, quarters })
        })
        .await
    }
}
