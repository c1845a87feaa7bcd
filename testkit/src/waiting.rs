//! Polling for what another process does.

use std::{
    thread,
    time::{Duration, Instant},
};

/// The timeout of every wait: only a test that fails waits for it.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Polls `look` until it returns something.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(pause(what, begun)).await;
    }
}

/// As [`until`], without a runtime.
pub fn until_blocking<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        thread::sleep(pause(what, begun));
    }
}

/// The poll interval: a tenth of what has been waited so far, so that what is soon there is seen at once, and what
/// takes long is left in peace.
fn pause(what: &str, begun: Instant) -> Duration {
    let waited = begun.elapsed();
    assert!(waited < PATIENCE, "waited in vain for {what}");
    (waited / 10).clamp(Duration::from_millis(5), Duration::from_millis(250))
}
