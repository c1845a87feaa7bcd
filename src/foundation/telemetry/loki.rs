//! Log lines to Loki, beside standard output.
//!
//! tracing-loki drops lines without a word when its channel is full, keeps any number of them while
//! Loki is away, and does not say when lines have arrived. So a layer before it refuses what is beyond
//! a bound, a layer beside it counts what it gives up, and a future around its task sees when it is done.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst, fence},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry, filter::filter_fn, layer::Context as LayerContext, registry::LookupSpan,
};
use url::Url;

/// Lines that may wait for Loki: some two megabytes, which it takes in one request.
const WAITING: u64 = 4096;

/// Lines that tracing-loki's channel holds.
const CHANNEL: u64 = 512;

/// How long the last lines may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Time between two looks whether they have.
const LOOK: Duration = Duration::from_millis(10);

/// What speaks of the pushing itself, and would have it go on for ever.
const OF_PUSHING: [&str; 5] = ["tracing_loki", "reqwest", "hyper", "h2", "rustls"];

/// A layer of the registry's.
type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// The pushing, as whoever ends it holds it.
pub(super) struct Pushing {
    lines: Arc<Lines>,
    task: JoinHandle<()>,
}

/// Begins to push: the layer that takes the lines, the one that counts losses, and the pushing.
pub(super) fn push(url: &Url, instance: &str) -> (Boxed, Boxed, Pushing) {
    let built = tracing_loki::builder()
        .label("app", env!("CARGO_PKG_NAME"))
        .and_then(|builder| builder.label("instance", instance))
        .and_then(|builder| builder.build_url(url.clone()));
    let (inner, task) = built.expect("two labels that differ, and an address that has a host");
    let lines = Arc::new(Lines::default());
    let not_of_pushing = filter_fn(|meta| {
        let of_pushing = |name: &&str| meta.target().starts_with(*name);
        // Spans belong to libraries: nothing here opens one.
        meta.is_event() && !OF_PUSHING.iter().any(of_pushing)
    });
    let bounded = Bounded {
        inner,
        lines: lines.clone(),
    };
    let losses = Losses(lines.clone()).with_filter(filter_fn(|meta| {
        meta.is_event() && meta.target() == "tracing_loki"
    }));
    // Without it tokio's turns would end the task's before its channel is empty.
    let task = tokio::task::unconstrained(Watched {
        task,
        lines: lines.clone(),
    });
    let task = tokio::spawn(task);
    let pushing = Pushing { lines, task };
    (
        bounded.with_filter(not_of_pushing).boxed(),
        losses.boxed(),
        pushing,
    )
}

impl Pushing {
    /// Waits a moment for what is on its way, and says how much did not arrive.
    pub(super) async fn end(self) {
        let arriving = async {
            while self.lines.waiting() > 0 {
                sleep(LOOK).await;
            }
        };
        let arrived = tokio::time::timeout(LAST_WORDS, arriving).await;
        self.task.abort();
        if arrived.is_err() {
            let lines = self.lines.waiting();
            tracing::warn!(lines, "the last lines did not reach Loki");
        }
    }
}

/// Lines since the start, by how far they have come.
#[derive(Default)]
struct Lines {
    /// Let through by the bounds.
    begun: AtomicU64,
    /// In the channel or beyond.
    sent: AtomicU64,
    /// Beyond the channel.
    taken: AtomicU64,
    /// Arrived or given up.
    settled: AtomicU64,
    /// Requests that failed.
    failures: AtomicU64,
}

impl Lines {
    fn waiting(&self) -> u64 {
        let begun = self.begun.load(SeqCst);
        begun.saturating_sub(self.settled.load(SeqCst))
    }

    /// Whether there is room for one line more, which is then taken.
    fn begin(&self) -> bool {
        let room = |begun: u64| {
            let in_channel = begun.saturating_sub(self.taken.load(SeqCst));
            let waiting = begun.saturating_sub(self.settled.load(SeqCst));
            (in_channel < CHANNEL && waiting < WAITING).then_some(begun + 1)
        };
        self.begun.fetch_update(SeqCst, SeqCst, room).is_ok()
    }
}

/// Lets lines through while there is room for them.
struct Bounded {
    inner: tracing_loki::Layer,
    lines: Arc<Lines>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Bounded {
    fn on_event(&self, event: &Event<'_>, context: LayerContext<'_, S>) {
        if self.lines.begin() {
            self.inner.on_event(event, context);
            self.lines.sent.fetch_add(1, SeqCst);
        } else {
            metrics::counter!("padron_loki_lines_dropped_total", "reason" => "overflow")
                .increment(1);
        }
    }
}

/// Counts what tracing-loki says of itself.
struct Losses(Arc<Lines>);

impl<S: Subscriber> Layer<S> for Losses {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        event.record(&mut Reading(&self.0));
    }
}

struct Reading<'a>(&'a Lines);

impl Visit for Reading<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "error_count" => {
                self.0.failures.fetch_add(1, SeqCst);
                metrics::counter!("padron_loki_push_failures_total").increment(1);
            }
            "num_dropped" => {
                self.0.settled.fetch_add(value, SeqCst);
                metrics::counter!("padron_loki_lines_dropped_total", "reason" => "undelivered")
                    .increment(value);
            }
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// tracing-loki's task, watched from without: a future that nothing but its channel can wake has
/// neither a request under way nor one to repeat, so every line that it took has arrived.
struct Watched {
    task: tracing_loki::BackgroundTask,
    lines: Arc<Lines>,
}

impl Future for Watched {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let sent = self.lines.sent.load(SeqCst);
            let failures = self.lines.failures.load(SeqCst);
            let bell = Arc::new(Bell {
                waker: context.waker().clone(),
                rung: AtomicBool::new(false),
            });
            let waker = Waker::from(bell.clone());
            let polled = Pin::new(&mut self.task).poll(&mut Context::from_waker(&waker));
            drop(waker);
            self.lines.taken.store(sent, SeqCst);
            if polled.is_ready() {
                return polled;
            }
            // After a failure it forgets to set its alarm for the next attempt until it is polled again.
            if self.lines.failures.load(SeqCst) != failures {
                continue;
            }
            // One is held here, and one by the channel. Whoever rings lets go of theirs afterwards.
            let holders = Arc::strong_count(&bell);
            fence(SeqCst);
            if holders <= 2 && !bell.rung.load(SeqCst) {
                self.lines.settled.store(sent, SeqCst);
            }
            return Poll::Pending;
        }
    }
}

/// A waker that knows whether it was used.
struct Bell {
    waker: Waker,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, SeqCst);
        self.waker.wake_by_ref();
    }
}
