//! Waiting for what another process does.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up; only a test that fails waits for it.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Looks again and again until there is something to see.
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

/// A tenth of what has been waited so far: what is soon there is seen at once, and what takes long is left in
/// peace.
fn pause(what: &str, begun: Instant) -> Duration {
    let waited = begun.elapsed();
    assert!(waited < PATIENCE, "waited in vain for {what}");
    (waited / 10).clamp(Duration::from_millis(5), Duration::from_millis(250))
}
