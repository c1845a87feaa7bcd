//! The tasks that run as long as the process does.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::app::health::Health;

/// The background tasks of a server. One that panics, or ends although nothing asked it to, is a failure of the
/// process: it is logged, counted, and `/readyz` says so until the process is restarted.
pub(super) struct Background {
    health: Arc<Health>,
    tasks: TaskTracker,
}

impl Background {
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            tasks: TaskTracker::new(),
        }
    }

    /// Runs `task` until it ends after `stop`.
    pub(super) fn spawn<F>(
        &self,
        name: &'static str,
        stop: &CancellationToken,
        task: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let running = tokio::spawn(task(stop.clone()));
        let (health, stop) = (self.health.clone(), stop.clone());
        self.tasks.spawn(async move {
            let panicked = running.await.is_err();
            if panicked || !stop.is_cancelled() {
                health.task_ended(name, panicked);
            }
        });
    }

    /// Waits for all of them, which were told to stop.
    pub(super) async fn end(self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
