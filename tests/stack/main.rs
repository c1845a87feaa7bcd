//! The whole stack on this machine: three replicas behind nginx, the reverse proxy, over a server that speaks
//! MongoDB's protocol and an S3 server, each under the name and with the configuration files of compose.yaml.
//!
//! Runs inside `.ci/in-stack`, where those names are addresses, one test after the other:
//! `.ci/in-stack cargo test --test stack -- --ignored --test-threads=1`.
//!
//! The record server is SecantusDB, which is not mongod: it speaks the protocol over the real
//! `WiredTiger` engine. `tests/backends` takes a real MongoDB when `PADRON_TEST_MONGODB` names one.

#![expect(
    clippy::unwrap_used,
    reason = "what is not as a test expects it fails the test"
)]

mod alerts;
mod away;
mod chaos;
mod client;
mod dashboards;
mod front;
mod lines;
mod logs;
mod privacy;
mod program;
mod replicas;
mod servers;
mod stack;
mod up;
mod watch;
