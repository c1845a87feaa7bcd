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

use super::{schema::OpenFile, unavailable_or_corrupt};
use crate::store::StoreError;

/// Capacity of the bounded channel of writes; when it is full, callers wait (backpressure).
const QUEUE: usize = 1024;

/// A write in the queue, and who waits for it.
trait Write: Send {
    /// Runs inside the transaction; again in another one, after a rollback.
    fn run(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()>;

    /// Tells the caller what became of it. The caller may be gone (cancelled); the write stands all the same.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Waiting<T, F> {
    write: F,
    written: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Write for Waiting<T, F>
where
    T: Send,
    F: Fn(&Transaction<'_>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        self.written = Some((self.write)(transaction)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let answer = match (outcome, self.written) {
            (Ok(()), Some(written)) => Ok(written),
            (Ok(()), None) => Err(StoreError::Unavailable("the write was not run".into())),
            (Err(error), _) => Err(error),
        };
        let _ = self.answer.send(answer);
    }
}

type Batch = Vec<Box<dyn Write>>;

pub(super) struct Writer {
    /// `None` is the shutdown message.
    queue: mpsc::Sender<Option<Box<dyn Write>>>,
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
    /// A write that fails is rolled back alone, and costs the others a second transaction: a conflict should be a
    /// value, not an error. Only when the transaction itself fails does every caller get an error.
    pub(super) async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            write,
            written: None,
            answer,
        };
        let sent = self.queue.send(Some(Box::new(waiting))).await;
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
    mut writes: mpsc::Receiver<Option<Box<dyn Write>>>,
    group: usize,
) {
    while let Some(first) = writes.blocking_recv() {
        let mut batch = Batch::new();
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
    mut batch: Batch,
) -> Result<(), StoreError> {
    // On an error the reply channels are dropped: callers learn that nothing was written.
    file.is_still_there()?;
    let behavior = TransactionBehavior::Immediate;
    let transaction = connection
        .transaction_with_behavior(behavior)
        .map_err(unavailable_or_corrupt)?;
    let failed = batch
        .iter_mut()
        .find_map(|write| write.run(&transaction).err());
    let transaction = match failed {
        None => transaction,
        Some(error) => {
            tracing::error!(%error, "a write failed; the others of its commit are written again");
            // Fails where SQLite has rolled it back already.
            let _ = transaction.rollback();
            let transaction = connection
                .transaction_with_behavior(behavior)
                .map_err(unavailable_or_corrupt)?;
            batch = without_failing(&transaction, batch)?;
            transaction
        }
    };
    let committed = transaction.commit();
    // A commit into a file that was removed meanwhile is acknowledged to nobody.
    let kept = file.is_still_there();
    for write in batch {
        write.answer(match (&committed, &kept) {
            (Ok(()), Ok(())) => Ok(()),
            (Ok(()), Err(gone)) => Err(StoreError::Uncertain(gone.to_string().into())),
            (Err(error), _) if is_certain(error) => {
                Err(StoreError::Unavailable(error.to_string().into()))
            }
            (Err(error), _) => Err(StoreError::Uncertain(error.to_string().into())),
        });
    }
    committed.map_err(unavailable_or_corrupt)?;
    kept
}

/// Runs each write of a batch that has failed in a savepoint of its own, tells those that fail, and returns the rest.
/// Not done at once for every batch: the pages that a savepoint keeps cost a full one a third of its throughput.
fn without_failing(transaction: &Transaction<'_>, batch: Batch) -> Result<Batch, StoreError> {
    let mut written = Batch::with_capacity(batch.len());
    for mut write in batch {
        let run = |sql| transaction.execute(sql, []).map_err(unavailable_or_corrupt);
        run("SAVEPOINT one")?;
        match write.run(transaction) {
            Ok(()) => written.push(write),
            Err(error) => {
                // Fails where SQLite has rolled back the whole transaction by itself, as after an error of the disk:
                // what came after would be committed one by one.
                run("ROLLBACK TO one")?;
                write.answer(Err(unavailable_or_corrupt(error)));
            }
        }
        run("RELEASE one")?;
    }
    Ok(written)
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
