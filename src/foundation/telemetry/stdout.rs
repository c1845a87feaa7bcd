//! Log lines to standard output, which may be a pipe that nobody reads or a disk that is full.
//!
//! A thread writes them; whoever logs leaves a line in a bounded queue and goes on. What finds no room there, or no
//! place to go, is dropped and counted. A process that is killed takes with it what still waits: milliseconds' worth
//! where somebody reads.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait: some four megabytes.
const WAITING: usize = 8192;

/// How long the last lines may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Time between two looks whether they are.
const LOOK: Duration = Duration::from_millis(2);

/// Where lines are left; `None` is the end of them.
#[derive(Clone)]
pub(super) struct Lines(SyncSender<Option<Vec<u8>>>);

/// The writing, as whoever ends it holds it.
pub(super) struct Writing {
    lines: Lines,
    thread: JoinHandle<()>,
}

/// Begins to write to standard output.
///
/// # Errors
/// When no thread can be had.
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
    /// Gives the last lines a moment to be written. Whoever does not read must not keep the process.
    pub(super) async fn end(self) {
        let until = Instant::now() + LAST_WORDS;
        let mut told = false;
        while !self.thread.is_finished() && Instant::now() < until {
            // The queue may be full.
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
