//! Black-box tests through the real router: what a client sees.
//!
//! They run on the embedded tiers, or on servers that two variables name: see `place`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod app;
mod browser;
mod charts;
mod drafts;
mod faults;
mod logs;
mod openapi;
mod pages;
mod place;
mod problems;
mod registrations;
mod reports;
mod staff;
mod streams;
