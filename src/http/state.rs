//! The shared state of the handlers, built once by `serve`.

use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::{
        access::Access, board::Board, charts::Charts, drafts::Drafts, health::Health,
        intake::Intake, live::Live,
    },
    domain::city::Cities,
    foundation::{origin::Origin, seal::Keyring},
    http::{limits::Limits, memory::UploadMemory},
    photos::Photos,
    store::Store,
};

/// The office that keeps the data, as the privacy notice names it.
#[derive(Clone, Debug, Default)]
pub struct Office {
    /// Its name.
    pub name: Option<String>,
    /// How people reach it.
    pub contact: Option<String>,
}

/// The shared parts of one server.
pub struct AppState {
    /// The catalogue.
    pub cities: Arc<Cities>,
    /// The records.
    pub store: Arc<dyn Store>,
    /// The photos.
    pub photos: Photos,
    /// Encryption keys and keyed hashes.
    pub keyring: Arc<Keyring>,
    /// Totals.
    pub board: Arc<Board>,
    /// Counts of what is there now.
    pub live: Arc<Live>,
    /// Charts of both.
    pub charts: Charts,
    /// Intake of registrations.
    pub intake: Intake,
    /// Authentication of staff.
    pub access: Access,
    /// Readiness: whether this process can do its work.
    pub health: Arc<Health>,
    /// Name of this replica.
    pub instance: Arc<str>,
    /// Forms that are not registered yet.
    pub drafts: Arc<Drafts>,
    /// Who keeps the data.
    pub office: Office,
    /// What people type to reach the form.
    pub origin: Origin,
    /// Zone of the times in reports and charts.
    pub time_zone: TimeZone,
    /// Memory budget of the uploads in flight.
    pub uploads: Arc<UploadMemory>,
    /// Rate limits of each client address.
    pub limits: Arc<Limits>,
    /// Concurrency limit of reports: a permit for each that may still begin.
    pub reports: Arc<Semaphore>,
    /// Cancelled when the shutdown begins.
    pub draining: CancellationToken,
    /// Tasks that the graceful shutdown waits for, even when their client has disconnected.
    pub tracker: TaskTracker,
}
