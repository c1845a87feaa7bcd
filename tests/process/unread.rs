//! *Nobody waits for the log*: a standard output that nobody reads, or that is full, costs log lines, which are
//! dropped and counted, and no request: there is no backpressure from it.

use std::{fs, io::Read as _, process::Stdio};

use futures::{StreamExt as _, stream};
use testkit::{Home, Server};

/// More than a pipe and the bounded channel before it hold together, whatever the length of a line.
const REQUESTS: usize = 10_000;

/// Capacity of the channel, as `src/foundation/telemetry/stdout.rs` has it.
const WAITING: u64 = 8192;

async fn ask(server: &Server) {
    let asking = stream::iter(0..REQUESTS).map(async |_| {
        let answer = server.get("/nothing-here").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404);
    });
    asking.buffer_unordered(32).collect::<()>().await;
}

async fn dropped(server: &Server, reason: &str) -> u64 {
    let series = format!("padron_log_lines_dropped_total{{reason=\"{reason}\"}} ");
    let metrics = server.metrics().await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standard_output_that_nobody_reads_stops_no_request() {
    let home = Home::new();
    let mut server = home.start_onto(Stdio::piped).await;
    ask(&server).await;
    let unread = dropped(&server, "unread").await;
    assert!(unread > 0);
    let mut pipe = server.take_stdout();
    server.terminate();
    // Shutdown does not wait for a reader.
    assert!(server.ended().await.success());
    let mut lines = String::new();
    pipe.read_to_string(&mut lines).unwrap();
    // What is not in the pipe was dropped or queued, but for the line that was being written.
    let asked = lines.matches(r#""status":404"#).count() as u64;
    assert!(asked + unread + WAITING + 1 >= REQUESTS as u64);
    assert!(asked + unread <= REQUESTS as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_the_last_line() {
    let home = Home::new();
    let mut server = home.start_onto(Stdio::piped).await;
    ask(&server).await;
    let unread = dropped(&server, "unread").await;
    let mut pipe = server.take_stdout();
    server.terminate();
    let mut lines = String::new();
    pipe.read_to_string(&mut lines).unwrap();
    assert!(server.ended().await.success());
    let asked = lines.matches(r#""status":404"#).count() as u64;
    assert_eq!(asked + unread, REQUESTS as u64, "each is there or counted");
    assert!(lines.trim_end().lines().last().unwrap().contains("stopped"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_the_disk_does_not_take_are_counted() {
    let home = Home::new();
    let full = || {
        let device = fs::File::options().write(true).open("/dev/full");
        device.unwrap().into()
    };
    let server = home.start_onto(full).await;
    assert!(dropped(&server, "failed").await > 0);
    assert_eq!(dropped(&server, "unread").await, 0);
}
