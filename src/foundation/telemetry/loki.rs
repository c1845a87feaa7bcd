//! Log lines to Loki, or to what speaks its push protocol, beside standard output.
//!
//! tracing-loki drops lines without a word when its channel is full, keeps any number of them while Loki is away,
//! and does not say when lines have arrived; but it says when a request failed, and once it is told to end it ends
//! when no request is under way. So one [`Pusher`] after the other is filled and ended: what it had is then delivered
//! or known to be lost, and a layer before them refuses what is beyond a bound.

use std::{
    cell::Cell,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer, Registry, filter::filter_fn, layer::Context as LayerContext, registry::LookupSpan,
};
use url::Url;

/// Lines that may wait for Loki: some two megabytes, which it takes in one request.
const WAITING: u64 = 4096;

/// Lines after which the next pusher takes over.
const FILLED: u64 = WAITING / 2;

/// Lines that tracing-loki's channel holds.
const CHANNEL: u64 = 512;

/// How long the last lines may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How much later than asked a timer may wake.
const LATE: Duration = Duration::from_millis(20);

/// What speaks of the pushing itself, and would have it go on for ever.
const OF_PUSHING: [&str; 5] = ["tracing_loki", "reqwest", "hyper", "h2", "rustls"];

/// A layer of the registry's.
type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// The pushing, as whoever ends it holds it.
pub(super) struct Pushing {
    shared: Arc<Shared>,
    last: CancellationToken,
    turns: JoinHandle<()>,
}

/// Begins to push: the layer that takes the lines, the one that hears of losses, and the pushing.
pub(super) fn push(url: &Url, instance: &str) -> (Boxed, Boxed, Pushing) {
    let shared = Arc::new(Shared {
        current: RwLock::new(Pusher::start(url, instance)),
        ending: AtomicU64::new(0),
        filled: Notify::new(),
    });
    let not_of_pushing = filter_fn(|meta| {
        let of_pushing = |name: &&str| meta.target().starts_with(*name);
        // Of spans only those of requests, whose fields belong to the lines that they cause.
        let of_requests = meta.target().starts_with(env!("CARGO_PKG_NAME"));
        (meta.is_event() || of_requests) && !OF_PUSHING.iter().any(of_pushing)
    });
    let lines = Bounded(shared.clone()).with_filter(not_of_pushing).boxed();
    let losses = Losses.with_filter(filter_fn(|meta| {
        meta.is_event() && meta.target() == "tracing_loki"
    }));
    let last = CancellationToken::new();
    let turns = take_turns(
        shared.clone(),
        url.clone(),
        instance.to_owned(),
        last.clone(),
    );
    let pushing = Pushing {
        shared,
        last,
        turns: tokio::spawn(turns),
    };
    (lines, losses.boxed(), pushing)
}

impl Pushing {
    /// Waits a moment for what is on its way, and says how much did not arrive.
    pub(super) async fn end(mut self) {
        self.last.cancel();
        let ended = timeout(LAST_WORDS, &mut self.turns).await;
        self.turns.abort();
        let lines = self.shared.waiting();
        if ended.is_err() || lines > 0 {
            tracing::warn!(lines, "the last lines did not reach Loki");
        }
    }
}

/// Ends the pusher of each turn when it is filled and another has taken its place; `last` ends the last one.
async fn take_turns(shared: Arc<Shared>, url: Url, instance: String, last: CancellationToken) {
    loop {
        tokio::select! {
            () = shared.filled.notified() => {}
            () = last.cancelled() => {}
        }
        let is_last = last.is_cancelled();
        // While it rests after a failure it would end without another attempt.
        let mut rest = shared.rest();
        while Instant::now() < rest {
            tokio::select! {
                () = sleep_until(rest) => {}
                () = last.cancelled(), if !is_last => break,
            }
            rest = shared.rest();
        }
        if last.is_cancelled() != is_last {
            continue;
        }
        let next = Pusher::start(&url, &instance);
        let filled = {
            let mut current = shared
                .current
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            shared.ending.store(current.lines.waiting(), SeqCst);
            std::mem::replace(&mut *current, next)
        };
        let undelivered = filled.end().await;
        if is_last {
            // What came meanwhile came too late.
            shared.ending.store(undelivered, SeqCst);
            return;
        }
        metrics::counter!("padron_loki_lines_dropped_total", "reason" => "undelivered")
            .increment(undelivered);
        shared.ending.store(0, SeqCst);
    }
}

struct Shared {
    current: RwLock<Pusher>,
    /// Lines of the pusher that is being ended.
    ending: AtomicU64,
    /// Rings when the current pusher is filled.
    filled: Notify,
}

impl Shared {
    fn current(&self) -> RwLockReadGuard<'_, Pusher> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> u64 {
        let current = self.current();
        current.lines.waiting() + self.ending.load(SeqCst)
    }

    /// Until when the current pusher rests.
    fn rest(&self) -> Instant {
        self.current().lines.rest()
    }
}

/// One tracing-loki.
struct Pusher {
    layer: tracing_loki::Layer,
    controller: tracing_loki::BackgroundTaskController,
    task: JoinHandle<()>,
    lines: Arc<Lines>,
}

impl Pusher {
    fn start(url: &Url, instance: &str) -> Self {
        let built = tracing_loki::builder()
            .label("app", env!("CARGO_PKG_NAME"))
            .and_then(|builder| builder.label("instance", instance))
            // Where VictoriaLogs finds the text of a line; Loki does not know it.
            .and_then(|builder| builder.http_header("VL-Msg-Field", "message"))
            .and_then(|builder| builder.build_controller_url(url.clone()));
        let (layer, controller, task) =
            built.expect("two labels that differ, a header, and an address that has a host");
        let lines = Arc::new(Lines::default());
        // Without it tokio's turns would end the task's before its channel is empty.
        let task = tokio::task::unconstrained(Watched {
            task,
            lines: lines.clone(),
        });
        Self {
            layer,
            controller,
            task: tokio::spawn(task),
            lines,
        }
    }

    /// Waits until its last request has an answer; gives how many lines did not arrive.
    async fn end(self) -> u64 {
        self.controller.shutdown().await;
        let ended = self.task.await;
        // After a failure its lines wait for an attempt that will not be made.
        let failed = ended.is_err() || Instant::now() < self.lines.rest();
        if failed { self.lines.waiting() } else { 0 }
    }
}

/// The lines of a pusher since its start, by how far they have come.
#[derive(Default)]
struct Lines {
    /// Let through by the bounds.
    begun: AtomicU64,
    /// In the channel or beyond.
    sent: AtomicU64,
    /// Beyond the channel.
    taken: AtomicU64,
    /// Given up.
    dropped: AtomicU64,
    /// Until when it makes no attempt, because the last one failed.
    rest: Mutex<Option<Instant>>,
}

impl Lines {
    /// Lines that are not given up: those that have arrived are among them until the pusher ends.
    fn waiting(&self) -> u64 {
        let begun = self.begun.load(SeqCst);
        begun.saturating_sub(self.dropped.load(SeqCst))
    }

    /// Whether there is room for one line more, which is then taken, beside so many of the pusher before.
    fn begin(&self, before: u64) -> bool {
        let room = |begun: u64| {
            let in_channel = begun.saturating_sub(self.taken.load(SeqCst));
            let waiting = before + begun.saturating_sub(self.dropped.load(SeqCst));
            (in_channel < CHANNEL && waiting < WAITING).then_some(begun + 1)
        };
        self.begun.fetch_update(SeqCst, SeqCst, room).is_ok()
    }

    fn rest(&self) -> Instant {
        let rest = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.unwrap_or_else(|| Instant::now() - LATE)
    }
}

/// Lets lines through while there is room for them.
struct Bounded(Arc<Shared>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Bounded {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: LayerContext<'_, S>) {
        let current = self.0.current();
        current.layer.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: LayerContext<'_, S>) {
        let current = self.0.current();
        current.layer.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: LayerContext<'_, S>) {
        let current = self.0.current();
        if current.lines.begin(self.0.ending.load(SeqCst)) {
            current.layer.on_event(event, context);
            current.lines.sent.fetch_add(1, SeqCst);
        } else {
            metrics::counter!("padron_loki_lines_dropped_total", "reason" => "overflow")
                .increment(1);
        }
        if current.lines.waiting() >= FILLED {
            self.0.filled.notify_one();
        }
    }
}

/// What tracing-loki said of itself since [`Watched`] asked last, on this thread.
#[derive(Clone, Copy, Default)]
struct Told {
    /// Attempts that have failed in a row.
    failures: Option<u64>,
    dropped: u64,
}

thread_local! {
    static TOLD: Cell<Told> = Cell::default();
}

/// Hears what tracing-loki says of itself.
struct Losses;

impl<S: Subscriber> Layer<S> for Losses {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        let mut told = TOLD.get();
        event.record(&mut told);
        TOLD.set(told);
    }
}

impl Visit for Told {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "error_count" => self.failures = Some(value),
            "num_dropped" => self.dropped += value,
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// tracing-loki's task, with what it says while it is polled written down where it belongs.
struct Watched {
    task: tracing_loki::BackgroundTask,
    lines: Arc<Lines>,
}

impl Future for Watched {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let sent = self.lines.sent.load(SeqCst);
            TOLD.take();
            let polled = Pin::new(&mut self.task).poll(context);
            let told = TOLD.take();
            // It empties its channel first.
            self.lines.taken.store(sent, SeqCst);
            if told.dropped > 0 {
                self.lines.dropped.fetch_add(told.dropped, SeqCst);
                metrics::counter!("padron_loki_lines_dropped_total", "reason" => "undelivered")
                    .increment(told.dropped);
            }
            if let Some(failures) = told.failures {
                metrics::counter!("padron_loki_push_failures_total").increment(1);
                let until = Instant::now() + rest_after(failures) + LATE;
                *self
                    .lines
                    .rest
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(until);
                if polled.is_pending() {
                    // It forgets to set its alarm for the next attempt until it is polled again.
                    continue;
                }
            }
            return polled;
        }
    }
}

/// How long tracing-loki rests after so many failures in a row.
fn rest_after(failures: u64) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(2)).unwrap_or(u32::MAX);
    let rest = 500_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    match failures {
        0 | 1 => Duration::ZERO,
        _ => Duration::from_millis(rest.min(600_000)),
    }
}
