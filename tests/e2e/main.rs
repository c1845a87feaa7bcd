//! The real program before the programs that people use: spreadsheet readers and a browser.
//!
//! All of it is ignored where those are not installed; `.ci/run` installs them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod browser;
mod print;
mod readers;
