//! A report that ends otherwise than by its end: its audit line and its count are written all the same.

use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use jiff::tz::TimeZone;
use padron::{
    app::report::{self, Format, ReportSpec},
    domain::{city::Cities, registration::Period},
    foundation::{lang::Lang, seal::Keyring, telemetry::AUDIT},
};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::store::sqlite_file;

/// Audit lines, as they were written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Why a report ends.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    ByPanic,
    WithTheRuntime,
}

fn aborted() -> u64 {
    let metrics = padron::foundation::telemetry::metrics().unwrap().render();
    let series = "padron_reports_total{format=\"xlsx\",outcome=\"aborted\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn a_report_that_panics_or_is_dropped_has_its_end_line_and_is_counted() {
    for ends in [Ends::ByPanic, Ends::WithTheRuntime] {
        let before = aborted();
        let lines = Lines::default();
        let to = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || to.clone());
        let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (store, _folder) = sqlite_file().await;
            let spec = ReportSpec {
                format: Format::Xlsx,
                city: None,
                period: Period::default(),
                lang: Lang::default(),
                zone: TimeZone::UTC,
                instance: "test".into(),
                origin: "http://localhost".parse().unwrap(),
                cities: Arc::new(Cities::embedded().unwrap()),
                keyring: Arc::new(Keyring::generate()),
                actor: "somebody".to_owned(),
            };
            let snapshot = store.rows(&spec.scope()).await.unwrap();
            let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
            let tracker = TaskTracker::new();
            let report = report::stream(snapshot, spec, place, &tracker, async move |_| {
                assert!(ends != Ends::ByPanic, "on purpose");
                std::future::pending().await
            });
            tokio::spawn(report.for_each(async |_| ()));
            tracker.close();
            let patience = std::time::Duration::from_secs(2);
            let ended = tokio::time::timeout(patience, tracker.wait()).await;
            assert_eq!(ended.is_ok(), ends == Ends::ByPanic);
        });
        drop(runtime);
        let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let cut = |line: &&str| line.contains(AUDIT) && line.contains("report cut");
        assert_eq!(lines.lines().filter(cut).count(), 1, "{lines}");
        assert!(lines.contains("somebody"), "{lines}");
        assert_eq!(aborted(), before + 1);
    }
}
