//! Health and readiness of this process: whether both tiers answer, and no background task has ended.
//!
//! Asked by `/readyz` and the announcement of a start; [`Health::watch`] tells the log and the metrics. It never
//! restarts anything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{photos::Photos, store::Store};

/// Timeout of a tier's ping.
const ANSWER: Duration = Duration::from_secs(1);

/// Polling interval of [`Health::watch`].
const WATCH: Duration = Duration::from_secs(5);

/// How long an answer is cached, so that probes do not become load.
const VALID: Duration = Duration::from_secs(2);

/// Which tiers answered within a second, and why the others did not.
#[derive(Debug)]
pub struct Answering {
    /// The records.
    pub store: Result<(), String>,
    /// The photos.
    pub photos: Result<(), String>,
}

impl Answering {
    /// Whether both did.
    #[must_use]
    pub fn all(&self) -> bool {
        self.store.is_ok() && self.photos.is_ok()
    }
}

async fn answer<E: std::error::Error>(
    ping: impl Future<Output = Result<(), E>>,
) -> Result<(), String> {
    match tokio::time::timeout(ANSWER, ping).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs())),
    }
}

/// The health of one process.
pub struct Health {
    store: Arc<dyn Store>,
    photos: Photos,
    /// The cached answer: when both tiers were last pinged, and whether both answered.
    asked: Mutex<Option<(Instant, bool)>>,
    /// Whether a task that must run as long as the process does has ended.
    task_ended: AtomicBool,
}

impl Health {
    /// The health of a process over these tiers.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, photos: Photos) -> Self {
        Self {
            store,
            photos,
            asked: Mutex::default(),
            task_ended: AtomicBool::new(false),
        }
    }

    /// Pings both tiers at once.
    pub async fn ask(&self) -> Answering {
        let (store, photos) = tokio::join!(answer(self.store.ping()), answer(self.photos.ping()));
        Answering { store, photos }
    }

    /// Why a load balancer should send requests to another replica; `None` when both tiers answered in the last two
    /// seconds and every background task runs. Concurrent callers share one answer.
    pub async fn fault(&self) -> Option<&'static str> {
        if self.task_ended.load(Ordering::Relaxed) {
            return Some("a background task has ended; restart this replica");
        }
        let mut asked = self.asked.lock().await;
        let all = match *asked {
            Some((when, all)) if when.elapsed() < VALID => all,
            _ => {
                let all = self.ask().await.all();
                *asked = Some((Instant::now(), all));
                all
            }
        };
        (!all).then_some("the record store or the photo store is away")
    }

    /// Makes this process unready for good, because the background task `name` has ended although nothing asked it to.
    pub fn task_ended(&self, name: &'static str, panicked: bool) {
        tracing::error!(
            task = name,
            panicked,
            "a background task has ended; restart this replica"
        );
        metrics::counter!("padron_background_tasks_ended_total", "task" => name).increment(1);
        self.task_ended.store(true, Ordering::Relaxed);
    }

    /// Pings both tiers every few seconds until `stop`, and tells the log and the metrics.
    pub async fn watch(&self, stop: CancellationToken) {
        let (mut store_up, mut photos_up) = (true, true);
        loop {
            let now = self.ask().await;
            for (tier, up, answer) in [
                ("store", &mut store_up, now.store),
                ("photos", &mut photos_up, now.photos),
            ] {
                metrics::gauge!("padron_tier_up", "tier" => tier)
                    .set(f64::from(u8::from(answer.is_ok())));
                match &answer {
                    Err(error) if *up => tracing::error!(tier, error, "the tier is away"),
                    Ok(()) if !*up => tracing::info!(tier, "the tier is back"),
                    _ => {}
                }
                *up = answer.is_ok();
            }
            let pause = tokio::time::sleep(WATCH);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }
}
