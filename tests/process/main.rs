//! The real program, run as its operators run it: started, sent requests, signalled, killed.
//!
//! `testkit::Server` starts and ends it; each module keeps one of its promises.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod audit;
mod away;
mod charts;
mod check;
mod copy;
mod cost;
mod crowd;
mod drain;
mod durability;
mod late;
mod logs;
mod loki;
mod lost;
mod metrics;
mod privacy;
mod report;
mod s3;
mod shutdown;
mod startup;
mod unread;
