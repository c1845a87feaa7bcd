//! Log lines to standard output, which may be a pipe that nobody reads or a disk that is full.
//!
//! A writer thread takes them from a bounded channel, so that whoever logs never blocks: there is no backpressure.
//! Lines that find the channel full, or cannot be written, are dropped and counted. A part of it is reserved for audit
//! lines, which a flood of others does not drop; when even that is full they are dropped too, and counted apart. A
//! process that is killed loses what is still queued: milliseconds' worth where somebody reads.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::AUDIT;

/// Lines that may wait: some four megabytes.
const WAITING: usize = 8192;

/// Audit lines that may wait beyond that.
const RESERVED: usize = 4096;

/// Shutdown timeout: how long writing the last lines may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Poll interval of the shutdown.
const LOOK: Duration = Duration::from_millis(2);

/// The sending half of the channel; `None` ends the writer thread.
#[derive(Clone)]
pub(super) struct Lines {
    channel: SyncSender<Option<Vec<u8>>>,
    /// How many wait in it.
    waiting: Arc<AtomicUsize>,
}

/// Takes one line.
pub(super) struct Line<'a> {
    lines: &'a Lines,
    is_audit: bool,
}

/// The writer thread, as whoever shuts it down holds it.
pub(super) struct Writing {
    lines: Lines,
    thread: JoinHandle<()>,
}

/// Starts the writer thread.
///
/// # Errors
/// When the thread cannot be started.
pub(super) fn write() -> io::Result<(Lines, Writing)> {
    let (lines, receiver) = channel();
    let count = lines.waiting.clone();
    let thread = thread::Builder::new()
        .name("log-lines".into())
        .spawn(move || write_all(&receiver, &count))?;
    let writing = Writing {
        lines: lines.clone(),
        thread,
    };
    Ok((lines, writing))
}

fn channel() -> (Lines, Receiver<Option<Vec<u8>>>) {
    let (channel, receiver) = sync_channel(WAITING + RESERVED);
    let waiting = Arc::default();
    (Lines { channel, waiting }, receiver)
}

fn write_all(lines: &Receiver<Option<Vec<u8>>>, waiting: &AtomicUsize) {
    while let Ok(Some(line)) = lines.recv() {
        waiting.fetch_sub(1, SeqCst);
        if io::stdout().write_all(&line).is_err() {
            dropped("failed");
        }
    }
}

fn dropped(reason: &'static str) {
    metrics::counter!("padron_log_lines_dropped_total", "reason" => reason).increment(1);
}

impl Writing {
    /// Flushes the last lines, within a timeout: a stalled reader must not keep the process alive.
    pub(super) async fn end(self) {
        let until = Instant::now() + LAST_WORDS;
        let mut told = false;
        while !self.thread.is_finished() && Instant::now() < until {
            // A full channel does not take the end marker yet.
            told = told || self.lines.channel.try_send(None).is_ok();
            sleep(LOOK).await;
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            lines: self,
            is_audit: false,
        }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line {
            lines: self,
            is_audit: meta.target() == AUDIT,
        }
    }
}

/// Takes a whole line at once, as tracing-subscriber hands it over.
impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Lines { channel, waiting } = self.lines;
        let (room, reason) = if self.is_audit {
            (WAITING + RESERVED, "audit")
        } else {
            (WAITING, "unread")
        };
        let one_more = |waiting: usize| (waiting < room).then_some(waiting + 1);
        if waiting.fetch_update(SeqCst, SeqCst, one_more).is_err() {
            dropped(reason);
        } else if channel.try_send(Some(line.to_vec())).is_err() {
            waiting.fetch_sub(1, SeqCst);
            dropped(reason);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_drops_no_audit_line_until_the_room_for_those_is_full() {
        let (lines, receiver) = channel();
        let write = |is_audit: bool, line: &[u8]| {
            let mut to = Line {
                lines: &lines,
                is_audit,
            };
            assert_eq!(to.write(line).unwrap(), line.len());
        };
        for _ in 0..2 * WAITING {
            write(false, b"request");
        }
        for _ in 0..2 * RESERVED {
            write(true, b"audit");
        }
        let taken: Vec<_> = receiver.try_iter().flatten().collect();
        let audit = taken.iter().filter(|line| *line == b"audit").count();
        assert_eq!((taken.len(), audit), (WAITING + RESERVED, RESERVED));
    }

    #[test]
    fn audit_lines_are_told_apart_by_their_target() {
        use tracing_subscriber::layer::SubscriberExt as _;
        let (lines, receiver) = channel();
        for _ in 0..WAITING {
            lines.make_writer().write_all(b"request").unwrap();
        }
        let layer = tracing_subscriber::fmt::layer().with_writer(lines);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!("another");
            tracing::info!(target: AUDIT, "report begun");
        });
        let last = receiver.try_iter().flatten().nth(WAITING).unwrap();
        let last = String::from_utf8(last).unwrap();
        assert!(last.contains("report begun"), "{last}");
    }
}
