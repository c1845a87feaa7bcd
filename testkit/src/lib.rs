//! What the test binaries and the benches share, each thing once. Not part of the service: only
//! dev-dependencies name it.
//!
//! It is a crate and no module, so that each test binary links one copy, unused parts are no dead code there,
//! and no file is included by path. It takes padron as its users see it. A unit test inside `src/` has another
//! padron, the one under test, and may take from here only what names none of padron's types, such as
//! [`make_checksums_right`].

#![expect(
    clippy::unwrap_used,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on says where it stopped"
)]
#![expect(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "whatever is made here is made to be used"
)]

mod backends;
mod clients;
mod config;
mod doubles;
mod form;
mod people;
mod photos;
mod planted;
mod process;
mod records;
mod server;
mod waiting;

pub use self::{
    backends::{S3_KEY, bucket, database_url, drop_database},
    clients::{client, client_builder, free_addresses, install_tls},
    config::config,
    doubles::{Call, FailingStore, Fault, SECRET},
    form::Form,
    people::{Human, random},
    photos::{CARD, make_checksums_right, noise},
    planted::Search,
    process::{Process, Signal},
    records::{document_tag, idempotency_tag, photo_key, registration, time},
    server::{Home, Server},
    waiting::{PATIENCE, until, until_blocking},
};
