//! Telemetry: log lines, metrics, and where they go.
//!
//! `cli` starts it before anything else and shuts it down last. Lines go to standard output (text on a terminal, JSON
//! otherwise), and to Loki where that is asked for. Whoever logs never blocks: queues are bounded, and lines that find
//! them full are dropped and counted. It is never given personal data; a test plants some and looks.

mod loki;
mod metrics;
mod stdout;

use std::{fmt, io::IsTerminal as _, time::Instant};

use anyhow::Context as _;

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, ParseError, filter_fn},
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{Format, Json, JsonFields, Writer},
    },
    layer::{Filter, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};
use url::Url;

pub use self::metrics::{Kind, Label, METRICS, Metric, Metrics, metrics};

/// Target of the audit log: who did what to people's data. These lines are written at every log level, `off` among
/// them.
pub const AUDIT: &str = "padron::audit";

/// Measures latency and outcome of a call in `histogram`, whose labels are `operation` and `outcome`: `ok`, or what
/// `failure` makes of the error.
///
/// # Errors
/// Those of the call.
pub async fn measured<T, E>(
    histogram: &'static str,
    operation: &'static str,
    failure: impl FnOnce(&E) -> &'static str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let begun = Instant::now();
    let result = call.await;
    let outcome = result.as_ref().err().map_or("ok", failure);
    ::metrics::histogram!(histogram, "operation" => operation, "outcome" => outcome)
        .record(begun.elapsed());
    result
}

/// Logging that has been started.
#[must_use]
pub struct Logging {
    stdout: stdout::Writing,
    loki: Option<loki::Pushing>,
}

/// Starts logging with the filter `filter`, in the syntax of `RUST_LOG`, for the replica `instance`. With `loki` it
/// must be called inside a Tokio runtime.
///
/// # Errors
/// When `filter` cannot be parsed, or the writer thread cannot be started.
pub fn start_logging(filter: &str, instance: &str, loki: Option<&Url>) -> anyhow::Result<Logging> {
    let wanted =
        || levels(filter).context("RUST_LOG: not a filter; use for example info or padron=debug");
    let (to_stdout, writing) = stdout::write().context("standard output has no thread")?;
    let lines = tracing_subscriber::fmt::layer().with_writer(to_stdout);
    let lines = if std::io::stdout().is_terminal() {
        lines.boxed()
    } else {
        lines
            .event_format(Central::new(instance))
            .fmt_fields(JsonFields::new())
            .boxed()
    };
    let mut layers = vec![lines.with_filter(wanted()?).boxed()];
    let loki = match loki {
        Some(url) => {
            let (lines, losses, pushing) = loki::push(url, instance);
            layers.push(lines.with_filter(wanted()?).boxed());
            layers.push(losses);
            Some(pushing)
        }
        None => None,
    };
    tracing_subscriber::registry().with(layers).init();
    Ok(Logging {
        stdout: writing,
        loki,
    })
}

impl Logging {
    /// Flushes the last lines, within a timeout.
    pub async fn end(self) {
        if let Some(pushing) = self.loki {
            pushing.end().await;
        }
        self.stdout.end().await;
    }
}

/// The log filter: what is asked for, and at every level the audit lines with the span of their request; but from
/// libraries nothing below `info`, where some show what they carry.
fn levels(filter: &str) -> Result<impl Filter<Registry> + use<>, ParseError> {
    let own = |target: &str| target.starts_with(env!("CARGO_PKG_NAME"));
    let bound = filter_fn(move |meta| own(meta.target()) || *meta.level() <= Level::INFO);
    let audit =
        move |meta: &Metadata<'_>| meta.target() == AUDIT || meta.is_span() && own(meta.target());
    let audit = filter_fn(audit).with_max_level_hint(Level::INFO);
    Ok(EnvFilter::try_new(filter)?.and(bound).or(audit))
}

/// JSON lines that name the replica, because the lines of all replicas are collected in one place.
struct Central {
    line: Format<Json>,
    /// As a JSON string.
    instance: String,
}

impl Central {
    fn new(instance: &str) -> Self {
        Self {
            line: tracing_subscriber::fmt::format()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false),
            instance: serde_json::Value::from(instance).to_string(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Central
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.line
            .format_event(context, Writer::new(&mut line), event)?;
        let open = line.trim_end().strip_suffix('}').ok_or(fmt::Error)?;
        write!(writer, "{open}")?;
        // The fields of the request's span, beside the line's own.
        if let Some(span) = context.lookup_current()
            && let Some(fields) = span.extensions().get::<FormattedFields<N>>()
            && let Some(fields) = fields
                .strip_prefix('{')
                .and_then(|fields| fields.strip_suffix('}'))
            && !fields.is_empty()
        {
            write!(writer, ",{fields}")?;
        }
        writeln!(writer, ",\"instance\":{}}}", self.instance)
    }
}
