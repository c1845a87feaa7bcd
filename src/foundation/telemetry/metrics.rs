//! The metrics: one list of all of them, and their rendering in Prometheus' text format.
//!
//! Modules record by name; the list says what the names mean, on `/metrics` and in the operator's documentation, and
//! which values their labels may have (their cardinality).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tokio_util::sync::CancellationToken;

/// Interval of the upkeep, which drains recorded samples into the histograms.
const UPKEEP: Duration = Duration::from_secs(5);

/// Bucket bounds of the latency histograms, in seconds.
const SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

const REPORT_DURATION: &str = "padron_report_duration_seconds";

/// The same for whole reports.
const REPORT_SECONDS: [f64; 11] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 120.0, 300.0, 600.0,
];

/// The type of a metric in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from zero at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts samples by size, in buckets.
    Histogram,
}

/// A label and the bound of its cardinality.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Every value it can have; none where the settings or the catalogue of cities bound it.
    pub values: &'static [&'static str],
}

/// A metric, as listed.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is to Prometheus.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [Label],
    /// What it tells: its help text.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    let kind = Kind::Counter;
    Metric {
        name,
        kind,
        labels,
        help,
    }
}

const fn gauge(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    let kind = Kind::Gauge;
    Metric {
        name,
        kind,
        labels,
        help,
    }
}

const fn histogram(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    let kind = Kind::Histogram;
    Metric {
        name,
        kind,
        labels,
        help,
    }
}

const fn label(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values }
}

/// The route's template; `none` where there is no such route.
const ROUTE: Label = label("route", &[]);
const METHOD: Label = label("method", &["GET", "HEAD", "POST", "other"]);
const STATUS: Label = label("status", &["1xx", "2xx", "3xx", "4xx", "5xx"]);
const FORMAT: Label = label("format", &["xlsx", "csv"]);

/// Every metric.
pub const METRICS: &[Metric] = &[
    counter(
        "padron_http_requests_total",
        &[ROUTE, METHOD, STATUS],
        "Answers; the route is a template, or none where there is no such route",
    ),
    histogram(
        "padron_http_request_duration_seconds",
        &[ROUTE, METHOD, STATUS],
        "From a request's head to its answer's head; a report's body comes after it",
    ),
    counter(
        "padron_registrations_total",
        &[label("outcome", &["accepted", "replayed"])],
        "Registrations that were acknowledged; replayed when the same request had been before",
    ),
    counter(
        "padron_registrations_refused_total",
        &[label(
            "reason",
            &[
                "invalid",
                "already-registered",
                "idempotency-key-reused",
                "too-large",
                "unsupported-media",
                "malformed",
                "too-many",
                "busy",
                "unavailable",
                "timeout",
                "internal",
            ],
        )],
        "Registrations that were refused, by the type of the problem; malformed also when the client hung up midway",
    ),
    counter(
        "padron_photo_bytes_total",
        &[],
        "Bytes of the photos of accepted registrations, cleaned",
    ),
    histogram(
        "padron_store_operation_duration_seconds",
        &[
            label(
                "operation",
                &[
                    "insert",
                    "find",
                    "erase",
                    "rows",
                    "totals",
                    "recent",
                    "unnamed",
                    "board",
                    "save_board",
                    "add_session",
                    "session",
                    "end_session",
                    "claim",
                    "register",
                    "ping",
                ],
            ),
            label(
                "outcome",
                &["ok", "unavailable", "uncertain", "corrupt", "refused"],
            ),
        ],
        "Calls of the record store",
    ),
    histogram(
        "padron_photos_operation_duration_seconds",
        &[
            label("operation", &["put", "open", "remove", "ping"]),
            label(
                "outcome",
                &["ok", "unavailable", "late", "missing", "corrupt", "refused"],
            ),
        ],
        "Calls of the photo store",
    ),
    gauge(
        "padron_tier_up",
        &[label("tier", &["store", "photos"])],
        "1 when the tier answered within a second, asked every 5 s; otherwise 0",
    ),
    counter(
        "padron_background_tasks_ended_total",
        &[label(
            "task",
            &[
                "board",
                "health",
                "markers",
                "metrics",
                "ops listener",
                "sweep",
            ],
        )],
        "Tasks that must run as long as the process and have ended; restart it",
    ),
    histogram(
        "padron_mongodb_command_duration_seconds",
        &[label("command", &[]), label("outcome", &["ok", "failed"])],
        "Commands to MongoDB; only with a store there",
    ),
    gauge(
        "padron_mongodb_connections",
        &[label("state", &["open", "in_use"])],
        "Connections to MongoDB; only with a store there",
    ),
    gauge(
        "padron_board_version",
        &[],
        "Version of the totals that this replica's chart shows",
    ),
    gauge(
        "padron_board_as_of_timestamp_seconds",
        &[],
        "When the newest snapshot in those totals was taken",
    ),
    gauge(
        "padron_board_checked_timestamp_seconds",
        &[],
        "When the record store last answered whether there are newer ones, asked every 0.5 s",
    ),
    gauge(
        "padron_board_registrations",
        &[label("city", &[]), label("name", &[])],
        "Registrations of a city in those totals",
    ),
    counter(
        "padron_charts_drawn_total",
        &[],
        "Charts that were drawn; each of the 400 is drawn once for a version, and only when somebody asks",
    ),
    counter(
        "padron_reports_total",
        &[FORMAT, label("outcome", &["finished", "aborted"])],
        "Reports that were begun, by how they ended",
    ),
    counter("padron_report_rows_total", &[], "Rows of finished reports"),
    histogram(
        REPORT_DURATION,
        &[FORMAT],
        "Finished reports, from their snapshot to their last byte",
    ),
    counter(
        "padron_sweeps_total",
        &[label("outcome", &["finished", "failed"])],
        "Sweeps for photos that no record names",
    ),
    counter(
        "padron_sweep_removed_total",
        &[],
        "Photos that sweeps removed",
    ),
    gauge(
        "padron_sweep_finished_timestamp_seconds",
        &[],
        "When a sweep of this process last finished",
    ),
    gauge(
        "padron_uploads_in_flight",
        &[],
        "Registrations that are being received or stored",
    ),
    gauge(
        "padron_upload_memory_bytes",
        &[],
        "Memory for uploads, as set",
    ),
    gauge(
        "padron_upload_memory_available_bytes",
        &[],
        "What uploads under way have left of it",
    ),
    gauge(
        "padron_build_info",
        &[label("version", &[]), label("replica", &[])],
        "What runs here; always 1",
    ),
    counter(
        "padron_log_lines_dropped_total",
        &[label("reason", &["unread", "audit", "failed"])],
        "Log lines that standard output did not get: unread when too many waited, audit when these were audit lines, failed when it took none",
    ),
    counter(
        "padron_loki_lines_dropped_total",
        &[label("reason", &["overflow", "audit", "undelivered"])],
        "Log lines that Loki did not get: overflow when too many waited, audit when these were audit lines, undelivered when given up after retries",
    ),
    counter(
        "padron_loki_push_failures_total",
        &[],
        "Requests to Loki that failed; they are repeated",
    ),
    counter(
        "process_cpu_seconds_total",
        &[],
        "Processor time, user and system",
    ),
    gauge("process_resident_memory_bytes", &[], "Resident memory"),
    gauge("process_virtual_memory_bytes", &[], "Virtual memory"),
    gauge(
        "process_virtual_memory_max_bytes",
        &[],
        "Bound of the virtual memory",
    ),
    gauge("process_open_fds", &[], "Open file descriptors"),
    gauge("process_max_fds", &[], "Bound of the open file descriptors"),
    gauge(
        "process_start_time_seconds",
        &[],
        "When the process started",
    ),
    gauge("process_threads", &[], "Threads"),
];

/// Renders the metrics of this process for a scrape.
pub struct Metrics {
    handle: PrometheusHandle,
    process: Collector,
}

impl Metrics {
    /// Everything in Prometheus' text format; the figures of the process itself are read now.
    #[must_use]
    pub fn render(&self) -> String {
        self.process.collect();
        self.handle.render()
    }

    /// Drains recorded samples into the histograms every few seconds until shutdown (`stop`); otherwise they would
    /// pile up in memory until the next scrape.
    pub async fn upkeep(&self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(UPKEEP))
            .await
            .is_some()
        {
            self.handle.run_upkeep();
        }
    }
}

/// The metrics of this process; the first call installs the recorder.
///
/// # Errors
/// When another recorder is installed already.
pub fn metrics() -> anyhow::Result<&'static Metrics> {
    static METER: Mutex<Option<&'static Metrics>> = Mutex::new(None);
    let mut meter = METER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(meter) = *meter {
        return Ok(meter);
    }
    let of_reports = Matcher::Full(REPORT_DURATION.to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(of_reports, &REPORT_SECONDS)?
        .build_recorder();
    let made: &'static Metrics = Box::leak(Box::new(Metrics {
        handle: recorder.handle(),
        process: Collector::default(),
    }));
    ::metrics::set_global_recorder(recorder)?;
    for metric in METRICS {
        metric.introduce();
    }
    *meter = Some(made);
    Ok(made)
}

impl Metric {
    /// Describes it. A counter with bounded labels is initialised to 0: Prometheus misses the first increment of a
    /// series that did not exist before.
    fn introduce(&self) {
        let Self { name, help, .. } = *self;
        let unit = if name.ends_with("_seconds") || name.ends_with("_seconds_total") {
            Unit::Seconds
        } else if name.ends_with("_bytes") || name.ends_with("_bytes_total") {
            Unit::Bytes
        } else {
            Unit::Count
        };
        match self.kind {
            Kind::Gauge => ::metrics::describe_gauge!(name, unit, help),
            Kind::Histogram => ::metrics::describe_histogram!(name, unit, help),
            Kind::Counter => {
                ::metrics::describe_counter!(name, unit, help);
                for labels in combinations(self.labels) {
                    ::metrics::counter!(name, &labels).increment(0);
                }
            }
        }
    }
}

/// All combinations of label values; none when a label is unbounded.
fn combinations(labels: &[Label]) -> Vec<Vec<(&'static str, &'static str)>> {
    labels.iter().fold(vec![Vec::new()], |before, label| {
        let with = |value: &&'static str| {
            let pair = (label.name, *value);
            before
                .iter()
                .map(move |labels| [labels.as_slice(), &[pair]].concat())
        };
        label.values.iter().flat_map(with).collect()
    })
}
