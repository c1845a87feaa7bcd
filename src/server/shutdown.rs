//! Graceful shutdown: when it begins, what it waits for, and its deadline.
//!
//! `main` and the tests make one and hand it to `serve`. The first signal begins the drain: no new
//! connection is accepted, requests in flight may finish until the deadline. A second signal exits
//! at once, which loses nothing that was acknowledged.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long the last log line gets to be written before the exit.
const LAST_LINE: Duration = Duration::from_millis(50);

/// Exit status after a second signal: 128 + SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

/// A cancellation token that begins the drain, a tracker of the work that must finish first, and its deadline.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// Cancelled when the drain begins.
    pub token: CancellationToken,
    /// Tasks that must finish even though their client may have disconnected.
    pub tracker: TaskTracker,
    /// Timeout of the drain.
    pub deadline: Duration,
}

impl Shutdown {
    /// A shutdown that nothing has asked for yet.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        Self {
            token: CancellationToken::new(),
            tracker: TaskTracker::new(),
            deadline,
        }
    }

    /// Begins the drain at SIGTERM or Ctrl-C, and ends the process at the second of them.
    ///
    /// # Errors
    /// When the operating system takes no signal handlers.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (token, deadline) = (self.token.clone(), self.deadline);
        tokio::spawn(async move {
            let mut signalled = async || {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            signalled().await;
            tracing::info!(
                deadline_s = deadline.as_secs(),
                "draining; signal again to end at once"
            );
            token.cancel();
            signalled().await;
            tracing::warn!("ended by a second signal");
            // The log is written by a thread, which `exit` does not wait for.
            tokio::time::sleep(LAST_LINE).await;
            std::process::exit(INTERRUPTED);
        });
        Ok(())
    }
}
