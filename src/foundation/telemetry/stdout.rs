//! Log lines to standard output, which may be a pipe that nobody reads or a disk that is full.
//!
//! A writer thread takes them from a bounded channel, so that whoever logs never blocks: there is no backpressure.
//! Lines that find the channel full, or cannot be written, are dropped and counted. A process that is killed loses
//! what is still queued: milliseconds' worth where somebody reads.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tracing_subscriber::fmt::MakeWriter;

/// Capacity of the channel, in lines: some four megabytes.
const WAITING: usize = 8192;

/// Shutdown timeout: how long writing the last lines may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Poll interval of the shutdown.
const LOOK: Duration = Duration::from_millis(2);

/// The sending half of the channel; `None` ends the writer thread.
#[derive(Clone)]
pub(super) struct Lines(SyncSender<Option<Vec<u8>>>);

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
    let (sender, lines) = sync_channel(WAITING);
    let thread = thread::Builder::new()
        .name("log-lines".into())
        .spawn(move || write_all(&lines))?;
    let lines = Lines(sender);
    let writing = Writing {
        lines: lines.clone(),
        thread,
    };
    Ok((lines, writing))
}

fn write_all(lines: &Receiver<Option<Vec<u8>>>) {
    while let Ok(Some(line)) = lines.recv() {
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
            told = told || self.lines.0.try_send(None).is_ok();
            sleep(LOOK).await;
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Takes a whole line at once, as tracing-subscriber hands it over.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Some(line.to_vec())).is_err() {
            dropped("unread");
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
