//! Background tasks: spawned, supervised, and awaited at the shutdown.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::app::health::Health;

/// The background tasks of a server. One that panics, or ends before its cancellation, is a failure of the process:
/// it is logged, counted, and `/readyz` reports it until the process is restarted.
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

    /// Spawns `task`, which must run until `stop` is cancelled.
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

    /// Joins all of them, once their tokens are cancelled.
    pub(super) async fn end(self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        foundation::seal::Keyring,
        photos::{Photos, PhotosUrl, S3, S3Style},
        store::{self, StoreUrl},
    };

    async fn health(folder: &std::path::Path) -> Arc<Health> {
        let url = StoreUrl::Sqlite(folder.join("padron.db"));
        let store = store::connect(&url).await.unwrap();
        let s3 = S3 {
            endpoint: None,
            region: String::new(),
            style: S3Style::Path,
            access_key: None,
            secret_key: None,
        };
        let url = PhotosUrl::File(folder.to_owned());
        let photos = Photos::connect(&url, &s3, Arc::new(Keyring::generate())).unwrap();
        Arc::new(Health::new(store, photos))
    }

    #[tokio::test]
    async fn a_background_task_that_ends_by_itself_makes_the_process_unready() {
        let folder = tempfile::tempdir().unwrap();
        for ends in ["it ends", "it panics"] {
            let health = health(folder.path()).await;
            let background = Background::new(health.clone());
            assert_eq!(health.fault().await, None);
            background.spawn("test", &CancellationToken::new(), async move |_| {
                assert_ne!(ends, "it panics", "on purpose");
            });
            background.end().await;
            assert!(health.fault().await.is_some(), "{ends}");
        }
    }

    #[tokio::test]
    async fn a_background_task_that_was_told_to_stop_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let health = health(folder.path()).await;
        let background = Background::new(health.clone());
        let stop = CancellationToken::new();
        background.spawn("test", &stop, async move |stop| stop.cancelled().await);
        stop.cancel();
        background.end().await;
        assert_eq!(health.fault().await, None);
    }
}
