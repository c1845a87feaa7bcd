//! Log lines and metrics: where they go.
//!
//! `main` starts it before anything else. Lines go to standard output: text when a person looks at a
//! terminal, JSON otherwise. No module ever gives it personal data; a test plants some and looks.

use std::{
    io::IsTerminal as _,
    sync::{Mutex, PoisonError},
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::ParseError, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Upper bounds of the latency histograms, in seconds.
const SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Starts logging at the level that `filter` says, in the form of `RUST_LOG`.
///
/// # Errors
/// When `filter` cannot be parsed.
pub fn start_logging(filter: &str) -> Result<(), ParseError> {
    // At `trace` it writes the paths of requests, and they may hold anything.
    let silenced = "tower_http=off".parse()?;
    let filter = EnvFilter::try_new(filter)?.add_directive(silenced);
    let layer = if std::io::stdout().is_terminal() {
        tracing_subscriber::fmt::layer().boxed()
    } else {
        tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .boxed()
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .init();
    Ok(())
}

/// What renders the metrics of this process in Prometheus' text form; the first call starts counting.
///
/// # Errors
/// When something else in the process counts already.
pub fn metrics() -> anyhow::Result<&'static PrometheusHandle> {
    static HANDLE: Mutex<Option<&'static PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = *handle {
        return Ok(handle);
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .build_recorder();
    let rendering: &'static PrometheusHandle = Box::leak(Box::new(recorder.handle()));
    ::metrics::set_global_recorder(recorder)?;
    *handle = Some(rendering);
    Ok(rendering)
}
