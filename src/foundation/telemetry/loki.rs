//! Log lines to Loki, or to what speaks its push protocol, beside standard output.
//!
//! tracing-loki drops lines silently when its channel is full, buffers without a bound while Loki is unavailable, and
//! does not report deliveries; but it reports failed requests, and once it is shut down it ends when no request is in
//! flight. So one [`Pusher`] after the other is filled and shut down: what it had is then known to be delivered or
//! lost, and a layer before them drops (sheds) what is beyond a bound.

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

use super::AUDIT;

/// Bound of the lines that wait for Loki: some two megabytes, which it takes in one request.
const WAITING: u64 = 4096;

/// Audit lines that may wait beyond that, and their part of the channel.
const RESERVED: u64 = 1024;
const RESERVED_IN_CHANNEL: u64 = 128;

/// Lines after which the next pusher takes over.
const FILLED: u64 = WAITING / 2;

/// Capacity of tracing-loki's bounded channel, in lines.
const CHANNEL: u64 = 512;

/// Shutdown timeout: how long delivery of the last lines may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Allowance for a timer that fires late.
const LATE: Duration = Duration::from_millis(20);

/// Targets that are excluded to avoid a feedback loop: a push would cause lines to push.
const OF_PUSHING: [&str; 5] = ["tracing_loki", "reqwest", "hyper", "h2", "rustls"];

/// A layer of the registry.
type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// The push task, as whoever shuts it down holds it.
pub(super) struct Pushing {
    shared: Arc<Shared>,
    last: CancellationToken,
    turns: JoinHandle<()>,
}

/// Starts to push: the layer that takes the lines, the one that observes losses, and the push task.
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
    /// Waits, within a timeout, for the lines in flight, and logs how many did not arrive.
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

/// Rotates pushers: shuts one down when it is filled and another has taken its place; `last` shuts down the last one.
async fn take_turns(shared: Arc<Shared>, url: Url, instance: String, last: CancellationToken) {
    loop {
        tokio::select! {
            () = shared.filled.notified() => {}
            () = last.cancelled() => {}
        }
        let is_last = last.is_cancelled();
        // During its backoff after a failure it would end without another retry.
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
            // Lines that came meanwhile came too late.
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
    /// Lines of the pusher that is being shut down.
    ending: AtomicU64,
    /// Notified when the current pusher is filled.
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

    /// When the backoff of the current pusher ends.
    fn rest(&self) -> Instant {
        self.current().lines.rest()
    }
}

/// One instance of tracing-loki, with its background task.
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
        // Without it Tokio's cooperative budget would make the task yield before its channel is empty.
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

    /// Shuts it down: awaits its last request, and returns how many lines did not arrive.
    async fn end(self) -> u64 {
        self.controller.shutdown().await;
        let ended = self.task.await;
        // After a failure its lines wait for a retry that will not be made.
        let failed = ended.is_err() || Instant::now() < self.lines.rest();
        if failed { self.lines.waiting() } else { 0 }
    }
}

/// The lines of a pusher since its start, by how far they have come.
#[derive(Default)]
struct Lines {
    /// Let through by the bounds.
    begun: AtomicU64,
    /// In the channel or received from it.
    sent: AtomicU64,
    /// Received from the channel.
    taken: AtomicU64,
    /// Given up by tracing-loki.
    dropped: AtomicU64,
    /// When its backoff ends: it makes no attempt before, because the last one failed.
    rest: Mutex<Option<Instant>>,
}

impl Lines {
    /// Lines that are not given up: delivered ones are among them until the pusher ends.
    fn waiting(&self) -> u64 {
        let begun = self.begun.load(SeqCst);
        begun.saturating_sub(self.dropped.load(SeqCst))
    }

    /// Reserves room for one line, beside the `before` lines of the pusher before; `false` when there is none. A part
    /// of it is kept for audit lines, which a flood of others does not drop.
    fn begin(&self, before: u64, is_audit: bool) -> bool {
        let (channel, most) = if is_audit {
            (CHANNEL, WAITING + RESERVED)
        } else {
            (CHANNEL - RESERVED_IN_CHANNEL, WAITING)
        };
        let room = |begun: u64| {
            let in_channel = begun.saturating_sub(self.taken.load(SeqCst));
            let waiting = before + begun.saturating_sub(self.dropped.load(SeqCst));
            (in_channel < channel && waiting < most).then_some(begun + 1)
        };
        self.begun.fetch_update(SeqCst, SeqCst, room).is_ok()
    }

    fn rest(&self) -> Instant {
        let rest = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.unwrap_or_else(|| Instant::now() - LATE)
    }
}

/// Load shedding: lets lines through while there is room for them, and drops and counts the rest.
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
        let is_audit = event.metadata().target() == AUDIT;
        if current.lines.begin(self.0.ending.load(SeqCst), is_audit) {
            current.layer.on_event(event, context);
            current.lines.sent.fetch_add(1, SeqCst);
        } else {
            let reason = if is_audit { "audit" } else { "overflow" };
            metrics::counter!("padron_loki_lines_dropped_total", "reason" => reason).increment(1);
        }
        if current.lines.waiting() >= FILLED {
            self.0.filled.notify_one();
        }
    }
}

/// What tracing-loki reported of itself since [`Watched`] asked last, on this thread.
#[derive(Clone, Copy, Default)]
struct Told {
    /// Consecutive failed attempts.
    failures: Option<u64>,
    dropped: u64,
}

thread_local! {
    static TOLD: Cell<Told> = Cell::default();
}

/// Observes what tracing-loki logs of itself.
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

/// tracing-loki's task; what it reports while it is polled is booked to its pusher.
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
            // It drains its channel first.
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
                    // It registers the timer of its next attempt only when it is polled again.
                    continue;
                }
            }
            return polled;
        }
    }
}

/// tracing-loki's exponential backoff after so many consecutive failures.
fn rest_after(failures: u64) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(2)).unwrap_or(u32::MAX);
    let rest = 500_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    match failures {
        0 | 1 => Duration::ZERO,
        _ => Duration::from_millis(rest.min(600_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_leaves_room_for_audit_lines() {
        for taken_from_channel in [false, true] {
            let lines = Lines::default();
            let taken = |is_audit| {
                let mut taken = 0;
                while lines.begin(0, is_audit) {
                    taken += 1;
                    if taken_from_channel {
                        lines.taken.fetch_add(1, SeqCst);
                    }
                }
                taken
            };
            let room = if taken_from_channel {
                (WAITING, RESERVED)
            } else {
                (CHANNEL - RESERVED_IN_CHANNEL, RESERVED_IN_CHANNEL)
            };
            assert_eq!((taken(false), taken(true)), room);
        }
    }
}
