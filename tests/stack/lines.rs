//! Whether the log server has what the programs wrote, line by line.

use std::{collections::BTreeMap, fs, time::Duration};

use jiff::{Timestamp, ToSpan as _};
use reqwest::Client;
use serde_json::Value;
use testkit::until;

use crate::{servers::REPLICAS, watch::logs_query};

/// What a log server that is killed may lose: lines that it had not flushed to its disk yet. It flushes once a second,
/// its lines and its index, and the lines have come a moment after they were written.
const UNWRITTEN_SECONDS: i64 = 6;

/// The programs whose lines are compared: those of the logs go on writing while they are.
fn compared() -> impl Iterator<Item = &'static str> {
    REPLICAS
        .into_iter()
        .chain(["nginx", "mongodb", "s3", "toxiproxy"])
}

/// How often each line of a program is there, with when it was written last.
type Lines = BTreeMap<String, (usize, Timestamp)>;

/// What Docker would have kept of a program.
fn written(program: &str) -> Lines {
    // The rotated one as well, where there is one.
    let path = format!("/var/log/containers/{program}/{program}-json.log");
    let text = [format!("{path}.1"), path].map(|path| fs::read_to_string(path).unwrap_or_default());
    let text = text.concat();
    let mut lines = Lines::new();
    for entry in text.lines() {
        let entry: Value = serde_json::from_str(entry).unwrap();
        let line = entry["log"].as_str().unwrap().trim_end_matches('\n');
        let at: Timestamp = entry["time"].as_str().unwrap().parse().unwrap();
        // VictoriaLogs puts a sentence of its own in the place of nothing.
        if !line.is_empty() {
            let seen = lines.entry(line.to_owned()).or_insert((0, at));
            *seen = (seen.0 + 1, at);
        }
    }
    lines
}

/// How often the log server has each line of a program.
async fn arrived(client: &Client, program: &str) -> BTreeMap<String, usize> {
    let query = format!(r#"instance:="{program}" | fields _msg"#);
    let mut lines = BTreeMap::new();
    for line in logs_query(client, &query).await.unwrap() {
        *lines
            .entry(line["_msg"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    lines
}

/// Waits until each line of each program has arrived exactly once.
pub(crate) async fn all_are_equal(client: &Client) {
    let mut compared_lines = 0;
    for program in compared() {
        let what = format!("every line of {program}");
        compared_lines += until(&what, async || {
            let written = written(program);
            let arrived = arrived(client, program).await;
            let lines = written.values().map(|(times, _)| *times).sum::<usize>();
            let equal = written
                .into_iter()
                .map(|(line, (times, _))| (line, times))
                .eq(arrived);
            equal.then_some(lines)
        })
        .await;
    }
    assert!(compared_lines > 50, "{compared_lines} lines");
    println!("{compared_lines} lines, each arrived once");
}

/// Waits until what was written so far has arrived, and is on the log server's disk.
pub(crate) async fn all_are_safe(client: &Client) {
    every_one_arrived(client, &[]).await;
    tokio::time::sleep(Duration::from_secs(UNWRITTEN_SECONDS.unsigned_abs())).await;
}

/// Waits until each line has arrived, but for those that a killed log server may have lost. A killed agent delivers at
/// least once: it repeats what it had not noted as read (its checkpoint).
pub(crate) async fn every_one_arrived(client: &Client, killed: &[Timestamp]) {
    let lost_with_a_kill = |at: Timestamp| {
        let unwritten = UNWRITTEN_SECONDS.seconds();
        killed
            .iter()
            .any(|kill| (*kill - unwritten..=*kill + unwritten).contains(&at))
    };
    for program in compared() {
        let mut missing = Vec::new();
        let mut told = false;
        let (lines, lost, repeated) = until(&format!("every line of {program}"), async || {
            let written = written(program);
            let arrived = arrived(client, program).await;
            let (mut lost, mut repeated) = (0, 0);
            missing.clear();
            for (line, (times, at)) in &written {
                let here = arrived.get(line).copied().unwrap_or_default();
                repeated += here.saturating_sub(*times);
                match here < *times {
                    true if lost_with_a_kill(*at) => lost += 1,
                    true => missing.push((*at, line.clone())),
                    false => {}
                }
            }
            missing.sort();
            // On the way, or lost: said once, for whoever waits in vain.
            if !missing.is_empty() && !std::mem::replace(&mut told, true) {
                let ends = [&missing[0], &missing[missing.len() - 1]];
                println!(
                    "{program}: {} lines are not there yet, of which {ends:?}; killed at {killed:?}",
                    missing.len()
                );
            }
            missing
                .is_empty()
                .then_some((written.len(), lost, repeated))
        })
        .await;
        println!(
            "{program}: {lines} lines, {lost} lost with a killed log server, {repeated} repeated"
        );
    }
}
