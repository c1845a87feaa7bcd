//! The report: the full list and the total, streamed while it is read from one snapshot of the store.
//!
//! Called by `http/reports`. `feed` cuts the store's blocks into segments; on the blocking pool (`pool`) each
//! is decrypted, serialised and compressed, several at once; what comes out is joined in order by `workbook` or `csv`
//! and handed to the client at its pace (`sink`: backpressure, write-stall timeout). It never buffers more than the
//! segments in flight, and never writes to disk. A failure ends the stream before the archive's end, so that a cut
//! file never opens.
//!
//! A column is its name in `Texts::columns`, its width and style in `frame`, and its value in `rows` and `csv`.

mod archive;
mod csv;
mod decrypt;
mod feed;
mod frame;
mod pool;
mod rows;
mod sink;
#[cfg(test)]
mod tests;
mod workbook;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::Stream;
use jiff::{Timestamp, tz::TimeZone};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use self::{
    feed::Feed,
    sink::{STALL, Sink, Taken},
};
use crate::{
    domain::city::{Cities, City, CityCode},
    domain::registration::Period,
    domain::totals::Counted,
    foundation::lang::{Lang, Texts},
    foundation::origin::Origin,
    foundation::seal::{Keyring, OpenError},
    foundation::telemetry::AUDIT,
    store::{Scope, Snapshot, StoreError},
};

/// Shortest deadline of a report.
const FLOOR: Duration = Duration::from_secs(30);

/// What each row adds to the deadline: 75 bytes of a workbook, so a client must take about 75 kB a second.
const PER_ROW: Duration = Duration::from_millis(1);

/// Registrations on one sheet, which has 1,048,576 lines, and the first is the header.
const MAX_ROWS: u64 = 1_048_575;

/// The two forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A workbook: a Summary and one list of everybody.
    Xlsx,
    /// One table, its cells separated by this: `,` as RFC 4180 has it, or `;` as Excel expects it in Spanish.
    Csv(char),
}

impl Format {
    /// What the name of its file ends with.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Xlsx => "xlsx",
            Self::Csv(_) => "csv",
        }
    }
}

/// What a report says besides the rows.
#[derive(Clone)]
pub struct ReportSpec {
    /// Its form.
    pub format: Format,
    /// The only city in it; all when `None`.
    pub city: Option<City>,
    /// When those in it registered.
    pub period: Period,
    /// Language of its words.
    pub lang: Lang,
    /// Zone of its times.
    pub zone: TimeZone,
    /// The replica that writes it.
    pub instance: Arc<str>,
    /// What the photos' addresses begin with.
    pub origin: Origin,
    /// Names of the cities.
    pub cities: Arc<Cities>,
    /// Decrypts the rows.
    pub keyring: Arc<Keyring>,
    /// Who asked, for the audit lines.
    pub actor: String,
}

impl ReportSpec {
    /// What its snapshot must be of.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope {
            city: self.city.as_ref().map(|city| city.code),
            period: self.period,
            order: self.cities.alphabetical(self.lang).clone(),
        }
    }
}

/// Why a report was cut.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The store failed midway.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row cannot be decrypted.
    #[error("registration {0} cannot be opened: {1}")]
    Sealed(crate::domain::registration::Reference, #[source] OpenError),
    /// The store sent other rows than it counted.
    #[error("the snapshot's rows are not those that it counted")]
    Torn,
    /// The workbook's frame could not be made.
    #[error(transparent)]
    Frame(#[from] frame::FrameError),
    /// A row does not go into CSV.
    #[error(transparent)]
    Csv(#[from] ::csv::Error),
    /// A worker panicked or was cancelled.
    #[error("a worker was lost: {0}")]
    Worker(#[from] tokio::task::JoinError),
    /// The client disconnected.
    #[error("the client left")]
    Left,
    /// The writer ended before the report did.
    #[error("the report was cut")]
    Cut,
    /// Write-stall timeout: the client took nothing for too long.
    #[error("the client took nothing for {} s", STALL.as_secs())]
    Stalled,
    /// Deadline exceeded: the client took all of it too slowly, or the store gave it so.
    #[error("the report took longer than {} s", .0.as_secs())]
    Late(Duration),
}

/// The deadline of a report of `rows` rows, which is also how long it may pin its read snapshot of the store: 30 s
/// and 1 ms for each row.
#[must_use]
pub fn time_limit(rows: u64) -> Duration {
    FLOOR + PER_ROW.saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX))
}

/// Streams a report of a snapshot of its [`ReportSpec::scope`]; `done` gets what was counted before the last bytes are sent, so that whoever has the whole
/// report also finds it on the chart; nothing of a report that is only of a period. The report holds `place`, its permit of the concurrency limit, until it ends.
///
/// An audit line is written at once, and another when the client has the whole or the report is cut.
pub fn stream<D, F>(
    snapshot: Snapshot,
    spec: ReportSpec,
    place: OwnedSemaphorePermit,
    tracker: &TaskTracker,
    done: D,
) -> impl Stream<Item = Result<Bytes, ReportError>> + Send + 'static
where
    D: FnOnce(Counted) -> F + Send + 'static,
    F: Future<Output = Result<(), StoreError>> + Send,
{
    stream_in_sheets(snapshot, spec, MAX_ROWS, place, tracker, done)
}

/// [`stream`] with at most `max_rows` (≥ 3) registrations on a sheet.
fn stream_in_sheets<D, F>(
    snapshot: Snapshot,
    spec: ReportSpec,
    max_rows: u64,
    place: OwnedSemaphorePermit,
    tracker: &TaskTracker,
    done: D,
) -> impl Stream<Item = Result<Bytes, ReportError>> + Send + 'static
where
    D: FnOnce(Counted) -> F + Send + 'static,
    F: Future<Output = Result<(), StoreError>> + Send,
{
    let (sink, chunks) = sink::channel();
    let limit = time_limit(snapshot.rows());
    let mut audited = Audited::begin(&spec, snapshot.rows(), sink);
    let writing = async move {
        let _place = place;
        let report = Arc::new(Report {
            spec,
            sequence: snapshot.sequence,
            as_of: snapshot.as_of,
            max_rows,
        });
        let written = timeout(limit, report.write(snapshot, &audited.sink, done)).await;
        let written = written.unwrap_or(Err(ReportError::Late(limit)));
        audited.error = written.as_ref().err().map(ToString::to_string);
        if let Err(error) = written {
            audited.sink.cut(error);
        }
    };
    tracker.spawn(writing.in_current_span());
    chunks
}

/// A report between its two audit lines; the second is written when this is dropped, by a panic or a shutdown too.
struct Audited {
    actor: String,
    city: String,
    format: &'static str,
    begun: Instant,
    sink: Sink,
    /// Why it is cut, until it is known to be whole.
    error: Option<String>,
}

impl Audited {
    fn begin(spec: &ReportSpec, rows: u64, sink: Sink) -> Self {
        let city = spec.city.as_ref();
        let city = city.map_or("all".to_owned(), |city| city.code.to_string());
        let actor = spec.actor.clone();
        let format = spec.format.extension();
        tracing::info!(target: AUDIT, actor, city, format, rows, "report begun");
        Self {
            actor,
            city,
            format,
            begun: Instant::now(),
            sink,
            error: Some(ReportError::Cut.to_string()),
        }
    }
}

impl Drop for Audited {
    /// Rows and bytes are those that were handed over to the client's connection.
    fn drop(&mut self) {
        let Self {
            actor,
            city,
            format,
            ..
        } = &*self;
        let (actor, city, format) = (actor.as_str(), city.as_str(), *format);
        let Taken { rows, bytes } = self.sink.taken();
        let duration = self.begun.elapsed();
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let outcome = if self.error.is_none() {
            "finished"
        } else {
            "aborted"
        };
        metrics::counter!("padron_reports_total", "format" => format, "outcome" => outcome)
            .increment(1);
        if let Some(error) = &self.error {
            tracing::warn!(target: AUDIT, actor, city, format, rows, bytes, duration_ms, error, "report cut");
        } else {
            metrics::counter!("padron_report_rows_total").increment(rows);
            metrics::histogram!("padron_report_duration_seconds", "format" => format)
                .record(duration);
            tracing::info!(target: AUDIT, actor, city, format, rows, bytes, duration_ms, "report finished");
        }
    }
}

/// One report, as its workers share it.
struct Report {
    spec: ReportSpec,
    sequence: u64,
    as_of: Timestamp,
    /// Registrations on a sheet.
    max_rows: u64,
}

impl Report {
    /// Writes it all, until the client has it.
    async fn write<D, F>(
        self: Arc<Self>,
        snapshot: Snapshot,
        sink: &Sink,
        done: D,
    ) -> Result<(), ReportError>
    where
        D: FnOnce(Counted) -> F,
        F: Future<Output = Result<(), StoreError>>,
    {
        let mut counts = snapshot.counts;
        if let Some(city) = &self.spec.city {
            // A city without registrations has its line all the same.
            counts.entry(city.code).or_insert(0);
        }
        let sorted = self.spec.scope().order.sorted(&counts);
        let feed = Feed::new(sorted.clone(), self.max_rows, snapshot.blocks);
        // Once the feed has ended, the rows are those that were counted.
        match self.spec.format {
            Format::Xlsx => {
                let named = |(code, rows)| (self.spec.cities.named(code), rows);
                let cities: Vec<_> = sorted.into_iter().map(named).collect();
                let archive = workbook::write(&self, &cities, feed, sink).await?;
                self.tell(counts, done).await;
                archive.finish().await?;
            }
            Format::Csv(separator) => {
                let (last, rows) = csv::write(&self, separator, feed, sink).await?;
                self.tell(counts, done).await;
                sink.send(last, rows).await?;
            }
        }
        sink.end().await
    }

    fn texts(&self) -> &'static Texts {
        self.spec.lang.texts()
    }

    /// The line of its sheet, from 1, where the registration with this number stands.
    fn line(&self, number: u64) -> u64 {
        frame::HEADER_LINES + (number - 1) % self.max_rows + 1
    }

    /// Its period in words.
    fn period(&self) -> String {
        let ReportSpec {
            lang, zone, period, ..
        } = &self.spec;
        lang.period(period.since, period.until, zone)
    }

    async fn tell<D, F>(&self, counts: BTreeMap<CityCode, u64>, done: D)
    where
        D: FnOnce(Counted) -> F,
        F: Future<Output = Result<(), StoreError>>,
    {
        if !self.spec.period.is_all() {
            return;
        }
        let counted = Counted {
            sequence: self.sequence,
            as_of: self.as_of,
            city: self.spec.city.as_ref().map(|city| city.code),
            counts,
        };
        if let Err(error) = done(counted).await {
            // The report is right all the same; the next one refreshes the chart.
            tracing::error!(%error, "the board could not be refreshed");
        }
    }
}
