//! The real program, run as its operators run it: started, asked over sockets, signalled, killed.
//!
//! `server` starts and ends it; each other module keeps one of its promises.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod away;
mod check;
mod copy;
mod crowd;
mod durability;
mod logs;
mod loki;
mod lost;
mod metrics;
mod people;
mod planted;
mod privacy;
mod report;
mod s3;
mod server;
mod shutdown;
mod startup;
