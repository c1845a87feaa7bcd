//! A read snapshot: counts, then rows, read in one snapshot session.
//!
//! MongoDB fixes the snapshot of a session at its first read. SecantusDB, on which most of this is tested, takes a
//! new one for each command, so that a report amid writes may find other rows than it counted; it is then cut and
//! never wrong.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use mongodb::{
    ClientSession, Collection,
    bson::{Document, RawBsonRef, RawDocumentBuf, doc},
    options::{Hint, ReadConcern},
    raw_batch_cursor::RawBatch,
};
use tokio::sync::mpsc;

use super::{
    documents::{self, Fields},
    failure::of_read,
    schema::BY_CITY,
};
use crate::{
    domain::city::CityCode,
    domain::totals::Counted,
    foundation::clock::now,
    store::{BLOCK_ROWS, Row, Scope, StoreError},
};

/// Capacity of the bounded channel of blocks: how far the store may read ahead of the report.
pub(super) const BLOCKS_AHEAD: usize = 4;

/// Rows of several cities that are asked for at once and put in order here: fewer questions, and memory that is
/// bounded.
const TOGETHER: u64 = 8_192;

/// A read snapshot, its rows open for reading.
pub(super) struct Moment {
    pub(super) sequence: u64,
    pub(super) as_of: Timestamp,
    pub(super) counts: BTreeMap<CityCode, u64>,
    pub(super) rows: Reading,
}

/// Takes a snapshot of `scope` and counts; `limit` is the server's timeout for the count.
pub(super) async fn moment(
    registrations: Collection<RawDocumentBuf>,
    scope: &Scope,
    limit: Duration,
) -> Result<Moment, StoreError> {
    let (fixed, counts, session) = fix(&registrations, scope, limit).await?;
    let rows = Reading {
        registrations,
        groups: groups(scope.order.sorted(&counts)),
        scope: scope.clone(),
        session,
    };
    Ok(Moment {
        sequence: fixed.sequence,
        as_of: fixed.as_of,
        counts,
        rows,
    })
}

/// The counts alone.
pub(super) async fn totals(
    registrations: &Collection<RawDocumentBuf>,
    limit: Duration,
) -> Result<Counted, StoreError> {
    let (fixed, counts, _session) = fix(registrations, &Scope::default(), limit).await?;
    Ok(Counted {
        sequence: fixed.sequence,
        as_of: fixed.as_of,
        city: None,
        counts,
    })
}

/// When a session reads. The replica set's cluster time (a logical clock) is the sequence number: it never falls
/// back, whatever the wall clock of a new primary says, and stays ahead where such a clock once was.
struct Fixed {
    sequence: u64,
    as_of: Timestamp,
}

/// A snapshot session, whose first read has fixed the snapshot: its time, and the counts.
async fn fix(
    registrations: &Collection<RawDocumentBuf>,
    scope: &Scope,
    limit: Duration,
) -> Result<(Fixed, BTreeMap<CityCode, u64>, ClientSession), StoreError> {
    let latest = now();
    let started = registrations.client().start_session().snapshot(true).await;
    let mut session = started.map_err(|error| of_read(&error))?;
    let counts = counts(registrations, scope, limit, &mut session).await?;
    let fixed = session.snapshot_time().and_then(|time| {
        let second = Timestamp::from_second(time.time.into()).ok()?;
        Some(Fixed {
            sequence: u64::from(time.time) << 32 | u64::from(time.increment),
            as_of: second.min(latest),
        })
    });
    let fixed =
        fixed.ok_or_else(|| StoreError::Unavailable("the server did not tell its time".into()))?;
    Ok((fixed, counts, session))
}

async fn counts(
    registrations: &Collection<RawDocumentBuf>,
    scope: &Scope,
    limit: Duration,
    session: &mut ClientSession,
) -> Result<BTreeMap<CityCode, u64>, StoreError> {
    let pipeline = [
        doc! { "$match": filter(scope) },
        doc! { "$group": { "_id": "$city", "count": { "$sum": 1 } } },
    ];
    let counted = registrations
        .aggregate(pipeline)
        .session(&mut *session)
        .with_type::<RawDocumentBuf>()
        .hint(Hint::Name(BY_CITY.to_owned()))
        // Set here, because a session leaves the collection's read concern as it is.
        .read_concern(ReadConcern::snapshot())
        .max_time(limit)
        .await;
    let mut counted = counted.map_err(|error| of_read(&error))?;
    let mut documents = counted.stream(session);
    let mut counts = BTreeMap::new();
    while let Some(document) = documents
        .try_next()
        .await
        .map_err(|error| of_read(&error))?
    {
        let fields = Fields(&document);
        counts.insert(fields.city("_id")?, fields.number("count")?.cast_unsigned());
    }
    Ok(counts)
}

/// Cities that follow each other, together: alone, or with up to [`TOGETHER`] rows in all.
fn groups(cities: Vec<(CityCode, u64)>) -> Vec<Vec<CityCode>> {
    let mut groups: Vec<Vec<CityCode>> = Vec::new();
    let mut room = 0;
    for (city, rows) in cities {
        match groups.last_mut() {
            Some(group) if rows <= room => group.push(city),
            _ => {
                groups.push(vec![city]);
                room = TOGETHER;
            }
        }
        room = room.saturating_sub(rows);
    }
    groups
}

/// The rows of a snapshot, with its session.
pub(super) struct Reading {
    registrations: Collection<RawDocumentBuf>,
    groups: Vec<Vec<CityCode>>,
    scope: Scope,
    session: ClientSession,
}

impl Reading {
    /// Sends the rows at the receiver's pace (backpressure); ends early when the receiver was dropped.
    pub(super) async fn send(mut self, blocks: mpsc::Sender<Result<Vec<Row>, StoreError>>) {
        if let Err(error) = self.send_all(&blocks).await {
            // Fails only when the report has dropped its receiver.
            let _ = blocks.send(Err(error)).await;
        }
    }

    async fn send_all(
        &mut self,
        blocks: &mpsc::Sender<Result<Vec<Row>, StoreError>>,
    ) -> Result<(), StoreError> {
        let batch = u32::try_from(BLOCK_ROWS).unwrap_or(u32::MAX);
        let order = &self.scope.order;
        let mut rows = Vec::new();
        for group in &self.groups {
            let mut filter = filter(&self.scope);
            let codes: Vec<_> = group.iter().map(CityCode::as_str).collect();
            filter.insert("city", doc! { "$in": codes });
            let found = self
                .registrations
                .find(filter)
                .sort(doc! { "city": 1, "_id": 1 })
                .projection(documents::row_fields())
                .batch_size(batch)
                .read_concern(ReadConcern::snapshot())
                .session(&mut self.session)
                .batch()
                .await;
            let mut cursor = found.map_err(|error| of_read(&error))?;
            let mut batches = cursor.stream(&mut self.session);
            let before = rows.len();
            while let Some(batch) = batches.next().await {
                rows.extend(block(&batch.map_err(|error| of_read(&error))?)?);
                if group.len() == 1 && !send_full(&mut rows, blocks).await {
                    return Ok(());
                }
            }
            if group.len() > 1 {
                rows[before..].sort_by_key(|row: &Row| order.rank(row.envelope.city));
                if !send_full(&mut rows, blocks).await {
                    return Ok(());
                }
            }
        }
        if !rows.is_empty() {
            let _ = blocks.send(Ok(rows)).await;
        }
        Ok(())
    }
}

/// Sends all full blocks of `rows`; `false` when the receiver was dropped.
async fn send_full(
    rows: &mut Vec<Row>,
    blocks: &mpsc::Sender<Result<Vec<Row>, StoreError>>,
) -> bool {
    while rows.len() >= BLOCK_ROWS {
        let rest = rows.split_off(BLOCK_ROWS);
        let full = std::mem::replace(rows, rest);
        if blocks.send(Ok(full)).await.is_err() {
            return false;
        }
    }
    true
}

fn block(batch: &RawBatch) -> Result<Vec<Row>, StoreError> {
    let unreadable = || StoreError::Corrupt("a batch of rows".into());
    let documents = batch.doc_slices().map_err(|_| unreadable())?;
    let rows = documents.into_iter().map(|document| {
        let document = document.ok().and_then(RawBsonRef::as_document);
        documents::row(document.ok_or_else(unreadable)?)
    });
    rows.collect()
}

fn filter(scope: &Scope) -> Document {
    let mut filter = Document::new();
    if let Some(city) = scope.city {
        filter.insert("city", city.as_str());
    }
    if !scope.period.is_all() {
        let ids = scope.period.ids();
        let [first, last] = [ids.start(), ids.end()].map(|&id| documents::uuid(id));
        filter.insert("_id", doc! { "$gte": first, "$lte": last });
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cities_are_asked_for_together_up_to_a_bound() {
        let city = |number: usize| -> CityCode { format!("{number:05}").parse().expect("a code") };
        let of = |counts: &[u64]| -> Vec<usize> {
            let cities = counts.iter().enumerate();
            let groups = groups(cities.map(|(number, &rows)| (city(number), rows)).collect());
            let all: Vec<_> = (0..counts.len()).map(city).collect();
            assert_eq!(groups.concat(), all, "each once and in order");
            groups.iter().map(Vec::len).collect()
        };
        assert_eq!(of(&[]), [0; 0]);
        assert_eq!(of(&[1; 1_121]), [1_121]);
        assert_eq!(of(&[TOGETHER, 1, TOGETHER - 1, 1]), [1, 2, 1]);
        assert_eq!(of(&[TOGETHER + 1, 1, 1, 2 * TOGETHER]), [1, 2, 1]);
    }
}
