//! Black-box tests through the real router on the embedded tiers: what a client sees.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod app;
mod charts;
mod faults;
mod logs;
mod openapi;
mod pages;
mod problems;
mod registrations;
mod reports;
mod staff;
mod streams;
