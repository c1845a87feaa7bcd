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
    raw_batch_cursor::{RawBatch, SessionRawBatchCursor},
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
    store::{BLOCK_ROWS, Row, StoreError},
};

/// Capacity of the bounded channel of blocks: how far the store may read ahead of the report.
pub(super) const BLOCKS_AHEAD: usize = 4;

/// A read snapshot, its rows open for reading.
pub(super) struct Moment {
    pub(super) sequence: u64,
    pub(super) as_of: Timestamp,
    pub(super) counts: BTreeMap<CityCode, u64>,
    pub(super) rows: Reading,
}

/// Takes a snapshot of one city or of all, counts, and opens the cursor of the rows; `limit` is the server's timeout
/// for the count.
pub(super) async fn moment(
    registrations: &Collection<RawDocumentBuf>,
    city: Option<CityCode>,
    limit: Duration,
) -> Result<Moment, StoreError> {
    let (fixed, counts, mut session) = fix(registrations, city, limit).await?;
    let batch = u32::try_from(BLOCK_ROWS).unwrap_or(u32::MAX);
    let found = registrations
        .find(of_city(city))
        .sort(doc! { "city": 1, "_id": 1 })
        .hint(Hint::Name(BY_CITY.to_owned()))
        .projection(documents::row_fields())
        .batch_size(batch)
        .read_concern(ReadConcern::snapshot())
        .session(&mut session)
        .batch()
        .await;
    let cursor = found.map_err(|error| of_read(&error))?;
    Ok(Moment {
        sequence: fixed.sequence,
        as_of: fixed.as_of,
        counts,
        rows: Reading { cursor, session },
    })
}

/// The counts alone.
pub(super) async fn totals(
    registrations: &Collection<RawDocumentBuf>,
    limit: Duration,
) -> Result<Counted, StoreError> {
    let (fixed, counts, _session) = fix(registrations, None, limit).await?;
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
    city: Option<CityCode>,
    limit: Duration,
) -> Result<(Fixed, BTreeMap<CityCode, u64>, ClientSession), StoreError> {
    let latest = now();
    let started = registrations.client().start_session().snapshot(true).await;
    let mut session = started.map_err(|error| of_read(&error))?;
    let counts = counts(registrations, city, limit, &mut session).await?;
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
    city: Option<CityCode>,
    limit: Duration,
    session: &mut ClientSession,
) -> Result<BTreeMap<CityCode, u64>, StoreError> {
    let pipeline = [
        doc! { "$match": of_city(city) },
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

/// The cursor of a snapshot's rows, with its session.
pub(super) struct Reading {
    cursor: SessionRawBatchCursor,
    session: ClientSession,
}

impl Reading {
    /// Sends the rows at the receiver's pace (backpressure); ends early when the receiver was dropped.
    pub(super) async fn send(mut self, blocks: mpsc::Sender<Result<Vec<Row>, StoreError>>) {
        let mut batches = self.cursor.stream(&mut self.session);
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|error| of_read(&error));
            let block = batch.and_then(|batch| block(&batch));
            if block.as_ref().is_ok_and(Vec::is_empty) {
                continue;
            }
            let last = block.is_err();
            if blocks.send(block).await.is_err() || last {
                return;
            }
        }
    }
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

fn of_city(city: Option<CityCode>) -> Document {
    city.map_or_else(Document::new, |city| doc! { "city": city.as_str() })
}
