//! The way from the report's writer to the client: a few chunks ahead of it, then at its pace.
//!
//! The end is a message of its own, so that a writer that was lost is never taken for one that was done.

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;

use super::ReportError;

/// Chunks that may wait for the client.
const CHUNKS_AHEAD: usize = 4;

/// How long a client may take nothing: its snapshot keeps the store from tidying up.
pub(super) const STALL: Duration = Duration::from_mins(2);

/// How long a report that was cut waits to say why.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Where the bytes go: a few chunks ahead of the client, then at its pace.
pub(super) struct Sink(mpsc::Sender<Result<Chunk, ReportError>>);

/// What the client gets next. Without an end it has not got the whole.
pub(super) enum Chunk {
    Bytes(Bytes),
    End,
}

impl Sink {
    pub(super) async fn send(&self, bytes: Vec<u8>) -> Result<(), ReportError> {
        self.put(Chunk::Bytes(bytes.into())).await
    }

    /// Says that the report is whole.
    pub(super) async fn end(&self) -> Result<(), ReportError> {
        self.put(Chunk::End).await
    }

    /// Says why the report is not: if there is room soon, and else the missing end says it.
    pub(super) async fn fail(&self, error: ReportError) {
        let _ = tokio::time::timeout(LAST_WORD, self.0.send(Err(error))).await;
    }

    async fn put(&self, chunk: Chunk) -> Result<(), ReportError> {
        match tokio::time::timeout(STALL, self.0.send(Ok(chunk))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ReportError::Left),
            Err(_) => Err(ReportError::Stalled),
        }
    }
}

/// A sink, and what [`stream`] makes the client's side of.
pub(super) fn channel() -> (Sink, mpsc::Receiver<Result<Chunk, ReportError>>) {
    let (sink, chunks) = mpsc::channel(CHUNKS_AHEAD);
    (Sink(sink), chunks)
}

/// The bytes as the client gets them; an error when they end before the report does.
pub(super) fn stream(
    chunks: mpsc::Receiver<Result<Chunk, ReportError>>,
) -> impl Stream<Item = Result<Bytes, ReportError>> + Send + 'static {
    futures::stream::unfold(Some(chunks), async |chunks| {
        let mut chunks = chunks?;
        match chunks.recv().await {
            Some(Ok(Chunk::Bytes(bytes))) => Some((Ok(bytes), Some(chunks))),
            Some(Ok(Chunk::End)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err(ReportError::Cut), None)),
        }
    })
}
