//! The kill matrix (chaos test): people register without a pause while everything that can die, freeze, fill up or be
//! cut off does so, in turn and at random moments. After each fault the register is compared with what was
//! acknowledged. At the end the lines of all programs are compared with what the log server has.
//!
//! `PADRON_CHAOS_FAULTS` says how many faults (one of each kind when it is not set; each comes once before any comes
//! again), and `PADRON_CHAOS_SEED` seeds their order and times, so that a run can be repeated.

mod audit;
mod fault;
mod load;

use std::{collections::BTreeMap, env, time::Duration};

use fastrand::Rng;
use padron::foundation::clock::now;

use self::{audit::audit, fault::Fault, load::Load};
use crate::{
    lines,
    stack::{Stack, Tiers},
    watch::start_logs,
};

/// Most latency of a request that no fault holds up; a frozen program is silent for longer.
const UNHURRIED: Duration = Duration::from_secs(5);

/// What became of the faults of one kind.
#[derive(Default)]
struct Line {
    times: u32,
    registered: usize,
    sent_again: u32,
    longest: Duration,
    swept: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs the stack; .ci/run starts it"]
async fn nothing_is_lost_or_doubled_whatever_dies() {
    let faults = number("PADRON_CHAOS_FAULTS").map_or_else(
        || Fault::every().len(),
        |faults| usize::try_from(faults).unwrap(),
    );
    let seed = number("PADRON_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{faults} faults, PADRON_CHAOS_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let mut stack = Stack::start(Tiers::BehindToxiproxy);
    stack.logs = start_logs().into();
    let mut log_server_killed = Vec::new();
    let mut load = Load::new();
    lines::all_are_safe(&load.client).await;
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for (number, fault) in order(faults, &mut random).into_iter().enumerate() {
        let before = load.registered();
        load.start();
        pause(&mut random, 300..1_500).await;
        if fault.kills_log_server() {
            log_server_killed.push(now());
        }
        fault.strike(&mut stack);
        pause(&mut random, fault.lasts()).await;
        fault.heal(&mut stack);
        pause(&mut random, 200..1_000).await;
        let sent = load.stop().await;
        stack.wait_until_ready();
        let swept = audit(&load, &sent).await;
        let line = lines.entry(fault.to_string()).or_default();
        line.times += 1;
        line.registered += load.registered() - before;
        line.sent_again += sent.iter().map(|sent| sent.attempts - 1).sum::<u32>();
        line.longest = line
            .longest
            .max(sent.iter().map(|sent| sent.took).max().unwrap_or_default());
        line.swept += swept;
        // A fault that nobody felt would prove nothing.
        let waited = line.longest > UNHURRIED;
        if fault.is_of_logs() {
            assert!(!waited, "somebody waited: {fault}");
        } else {
            assert!(waited || !fault.is_silence(), "nobody waited: {fault}");
        }
        println!(
            "{:>3}/{faults} {fault}: {} registered, all kept once",
            number + 1,
            load.registered() - before
        );
    }
    audit::every_photo(&load).await;
    lines::every_one_arrived(&load.client, &log_server_killed).await;
    print(&lines, load.registered());
}

/// Each kind of fault once, in random order, then again.
fn order(faults: usize, random: &mut Rng) -> Vec<Fault> {
    let mut order = Vec::new();
    while order.len() < faults {
        let mut every = Fault::every();
        random.shuffle(&mut every);
        order.extend(every);
    }
    order.truncate(faults);
    order
}

async fn pause(random: &mut Rng, milliseconds: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(random.u64(milliseconds))).await;
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}: not a number")),
    )
}

fn print(lines: &BTreeMap<String, Line>, registered: usize) {
    println!(
        "| fault | times | registered meanwhile | sent again | longest wait | lost | doubled | photos without a record, swept |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (fault, line) in lines {
        println!(
            "| {fault} | {} | {} | {} | {:.1} s | 0 | 0 | {} |",
            line.times,
            line.registered,
            line.sent_again,
            line.longest.as_secs_f64(),
            line.swept
        );
    }
    println!("{registered} registrations in all; a lost or doubled one ends the run.");
}
