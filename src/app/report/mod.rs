//! The report: the full list and the total, streamed while it is read from one snapshot of the store.
//!
//! Called by `http/reports`. `feed` cuts the store's blocks into pieces of tabs; in `forms` each is opened,
//! written and compressed on the blocking pool, several at once; what comes out is joined in order and
//! handed to the client as fast as it takes it. Nothing is held but the pieces in hand, nothing is
//! written to disk. A failure ends the stream before the archive's end, so that a cut file never opens.

mod archive;
mod csv;
mod feed;
mod forms;
mod rows;
mod sink;
mod skeleton;
mod tabs;
mod template;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use futures::Stream;
use jiff::tz::TimeZone;
use tokio_util::task::TaskTracker;

use self::{forms::Report, sink::STALL};
use crate::{
    domain::city::{Cities, City},
    domain::totals::Counted,
    foundation::lang::Lang,
    foundation::origin::Origin,
    foundation::seal::{Keyring, OpenError},
    store::{Snapshot, StoreError},
};

/// The two forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A workbook: a Summary tab and a tab for each city.
    Xlsx,
    /// One table.
    Csv,
}

impl Format {
    /// What the name of its file ends with.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Xlsx => "xlsx",
            Self::Csv => "csv",
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
    /// Opens the rows.
    pub keyring: Arc<Keyring>,
    /// Who asked, for the audit line.
    pub actor: String,
}

/// Why a report was cut.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The store failed midway.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row cannot be opened.
    #[error("registration {0} cannot be opened: {1}")]
    Sealed(crate::domain::registration::Reference, #[source] OpenError),
    /// The store sent other rows than it counted.
    #[error("the snapshot's rows are not those that it counted")]
    Torn,
    /// The workbook's frame could not be made.
    #[error(transparent)]
    Template(#[from] template::Error),
    /// A row does not go into CSV.
    #[error(transparent)]
    Csv(#[from] ::csv::Error),
    /// A worker was lost.
    #[error("a worker was lost: {0}")]
    Worker(#[from] tokio::task::JoinError),
    /// The client left.
    #[error("the client left")]
    Left,
    /// The writer ended before the report did.
    #[error("the report was cut")]
    Cut,
    /// The client took nothing for too long.
    #[error("the client took nothing for {} s", STALL.as_secs())]
    Stalled,
}

/// Streams a report; `done` gets what was counted before the last bytes are sent, so that whoever has
/// the whole report also finds it on the chart.
pub fn stream<D, F>(
    snapshot: Snapshot,
    spec: ReportSpec,
    tracker: &TaskTracker,
    done: D,
) -> impl Stream<Item = Result<Bytes, ReportError>> + Send + 'static
where
    D: FnOnce(Counted) -> F + Send + 'static,
    F: Future<Output = Result<(), StoreError>> + Send,
{
    let (sink, chunks) = sink::channel();
    let begun = Instant::now();
    tracker.spawn(async move {
        let (actor, format) = (spec.actor.clone(), spec.format);
        let city = spec.city.as_ref().map_or("all".to_owned(), |city| city.code.to_string());
        let report = Report::new(spec, snapshot.as_of);
        let written = report.write(snapshot, &sink, done).await;
        let ended = match written {
            Ok(rows) => sink.end().await.map(|()| rows),
            Err(error) => Err(error),
        };
        let count = |outcome| {
            let labels = [("format", format.extension()), ("outcome", outcome)];
            metrics::counter!("padron_reports_total", &labels).increment(1);
        };
        match ended {
            Ok(rows) => {
                count("finished");
                metrics::counter!("padron_report_rows_total").increment(rows);
                metrics::histogram!("padron_report_duration_seconds", "format" => format.extension())
                    .record(begun.elapsed());
                tracing::info!(target: "padron::audit", actor, city, ?format, rows, "report finished");
            }
            Err(error) => {
                count("aborted");
                tracing::warn!(target: "padron::audit", actor, city, ?format, %error, "report cut");
                sink.fail(error).await;
            }
        }
    });
    sink::stream(chunks)
}
