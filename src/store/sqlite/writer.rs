//! The one writer thread: group commit of whatever writes have queued up; callers are answered after the commit.
//!
//! A commit waits for the disk's flush; meanwhile the next writes queue up and share the next commit. So the
//! throughput of durable writes grows with the number of concurrent callers instead of being the disk's rate of
//! flushes.

use std::{
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::schema::OpenFile;
use crate::store::StoreError;

/// Capacity of the bounded channel of writes; when it is full, callers wait (backpressure).
const QUEUE: usize = 1024;

/// Runs inside the transaction; what it returns is called after the commit, with the commit's outcome.
type Write = Box<dyn FnOnce(&Transaction<'_>) -> Result<Answer, rusqlite::Error> + Send>;
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

pub(super) struct Writer {
    /// `None` is the shutdown message.
    queue: mpsc::Sender<Option<Write>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread; at most `group` writes share a commit.
    pub(super) fn start(connection: Connection, file: OpenFile, group: usize) -> Self {
        let (queue, writes) = mpsc::channel(QUEUE);
        let thread = std::thread::spawn(move || run(connection, &file, writes, group));
        Self {
            queue,
            thread: Mutex::new(Some(thread)),
        }
    }

    /// Runs `write` in a transaction that it may share with other writes, and returns once it is durable.
    ///
    /// When one write of the transaction fails, all of it is rolled back and every caller gets an error. So a
    /// conflict must be a value, not an error.
    pub(super) async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let write: Write = Box::new(move |transaction| {
            let value = write(transaction)?;
            Ok(Box::new(move |committed: Result<(), StoreError>| {
                // The caller may be gone (cancelled); the write stands all the same.
                let _ = answer.send(committed.map(|()| value));
            }))
        });
        let sent = self.queue.send(Some(write)).await;
        sent.map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
        // If the transaction fails before its commit, the reply channels are dropped unsent: the caller sees
        // `RecvError`.
        answered
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the write was rolled back".into())))
    }

    /// Graceful shutdown: commits what has queued up and joins the thread; later writes are refused.
    pub(super) async fn close(&self) {
        // Fails only when the thread has ended already.
        let _ = self.queue.send(None).await;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A panic of the writer is ignored: there is nothing left to wait for.
        let _ = tokio::task::spawn_blocking(|| thread.map(JoinHandle::join)).await;
    }
}

fn run(
    mut connection: Connection,
    file: &OpenFile,
    mut writes: mpsc::Receiver<Option<Write>>,
    group: usize,
) {
    while let Some(first) = writes.blocking_recv() {
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Some(write) => batch.push(write),
                None => writes.close(),
            }
            next = (batch.len() < group)
                .then(|| writes.try_recv().ok())
                .flatten();
        }
        if batch.is_empty() {
            continue;
        }
        if let Err(error) = commit(&mut connection, file, batch) {
            tracing::error!(%error, "a commit failed; its writers were told");
        }
    }
}

fn commit(
    connection: &mut Connection,
    file: &OpenFile,
    batch: Vec<Write>,
) -> Result<(), StoreError> {
    // On an error the reply channels are dropped: callers learn that nothing was written.
    file.is_still_there()?;
    let behavior = TransactionBehavior::Immediate;
    let transaction = connection
        .transaction_with_behavior(behavior)
        .map_err(failed)?;
    let mut answers = Vec::with_capacity(batch.len());
    for write in batch {
        answers.push(write(&transaction).map_err(failed)?);
    }
    let committed = transaction.commit();
    // A commit into a file that was removed meanwhile is acknowledged to nobody.
    let kept = file.is_still_there();
    for answer in answers {
        answer(match (&committed, &kept) {
            (Ok(()), Ok(())) => Ok(()),
            (Ok(()), Err(gone)) => Err(StoreError::Uncertain(gone.to_string().into())),
            (Err(error), _) if is_certain(error) => {
                Err(StoreError::Unavailable(error.to_string().into()))
            }
            (Err(error), _) => Err(StoreError::Uncertain(error.to_string().into())),
        });
    }
    committed.map_err(failed)?;
    kept
}

fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.into())
}

/// Whether a failed commit has surely written nothing. After an I/O error it may yet be found in the write-ahead log
/// when the file is opened again.
fn is_certain(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::ReadOnly
        )
    )
}
