//! The bounded channel from the report's writer to the client: a few chunks ahead of it, then at its pace
//! (backpressure).
//!
//! The end is a message of its own, so that a writer that panicked or was cancelled is never taken for one that was
//! done. What the client's side takes is counted for the audit line.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;
use tokio::{sync::mpsc, time::timeout};

use super::ReportError;

/// Capacity of the bounded channel: chunks that may wait for the client.
const CHUNKS_AHEAD: usize = 4;

/// Write-stall timeout: a stalled client pins the store's read snapshot, which blocks its checkpoints.
pub(super) const STALL: Duration = Duration::from_mins(2);

/// The writer's side.
pub(super) struct Sink {
    chunks: mpsc::Sender<Chunk>,
    shared: Arc<Mutex<Shared>>,
}

/// What the client gets next. Without an end it has not got the whole.
enum Chunk {
    Bytes {
        bytes: Bytes,
        /// Registrations in it.
        rows: u64,
    },
    End,
}

/// State that both sides share.
#[derive(Default)]
struct Shared {
    taken: Taken,
    whole: bool,
    /// Why the report is cut; nothing is handed over after it.
    error: Option<ReportError>,
}

/// What was handed over to the client's connection.
#[derive(Clone, Copy, Default)]
pub(super) struct Taken {
    /// Registrations.
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Sink {
    /// Sends bytes that hold `rows` registrations, once there is room for them (backpressure).
    ///
    /// # Errors
    /// When the client has disconnected, or takes nothing for [`STALL`], the write-stall timeout.
    pub(super) async fn send(&self, bytes: Vec<u8>, rows: u64) -> Result<(), ReportError> {
        let bytes = bytes.into();
        self.put(Chunk::Bytes { bytes, rows }).await
    }

    /// Says that the report is whole, and waits until the client has all of it.
    ///
    /// # Errors
    /// As [`Sink::send`].
    pub(super) async fn end(&self) -> Result<(), ReportError> {
        self.put(Chunk::End).await?;
        let taken = timeout(STALL, self.chunks.closed()).await;
        taken.map_err(|_| ReportError::Stalled)?;
        let whole = lock(&self.shared).whole;
        whole.then_some(()).ok_or(ReportError::Left)
    }

    /// Cuts the report: the client gets the error next, or no end.
    pub(super) fn cut(&self, error: ReportError) {
        lock(&self.shared).error = Some(error);
    }

    /// What the client has so far; no more once the report is cut or whole.
    pub(super) fn taken(&self) -> Taken {
        lock(&self.shared).taken
    }

    async fn put(&self, chunk: Chunk) -> Result<(), ReportError> {
        match timeout(STALL, self.chunks.send(chunk)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ReportError::Left),
            Err(_) => Err(ReportError::Stalled),
        }
    }
}

/// A sink, and the client's side of it: the bytes, or an error when they end before the report does.
pub(super) fn channel() -> (
    Sink,
    impl Stream<Item = Result<Bytes, ReportError>> + Send + 'static,
) {
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let shared = Arc::new(Mutex::new(Shared::default()));
    let sink = Sink {
        chunks: sender,
        shared: shared.clone(),
    };
    let stream = futures::stream::unfold(Some((chunks, shared)), async |state| {
        let (mut chunks, shared) = state?;
        let chunk = chunks.recv().await;
        let bytes = lock(&shared).take(chunk).transpose()?;
        let ended = bytes.is_err();
        Some((bytes, (!ended).then_some((chunks, shared))))
    });
    (sink, stream)
}

impl Shared {
    /// The bytes to hand over; none at the end of a whole report.
    fn take(&mut self, chunk: Option<Chunk>) -> Result<Option<Bytes>, ReportError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        match chunk {
            Some(Chunk::Bytes { bytes, rows }) => {
                self.taken.rows += rows;
                self.taken.bytes += bytes.len() as u64;
                Ok(Some(bytes))
            }
            Some(Chunk::End) => {
                self.whole = true;
                Ok(None)
            }
            None => Err(ReportError::Cut),
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
