//! What handlers share, built once by `serve`.

use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::{access::Access, board::Board, charts::Charts, health::Health, intake::Intake},
    domain::city::Cities,
    foundation::{origin::Origin, seal::Keyring},
    http::{limits::Limits, memory::UploadMemory},
    photos::Photos,
    store::Store,
};

/// The shared parts of one server.
pub struct AppState {
    /// The catalogue.
    pub cities: Arc<Cities>,
    /// The records.
    pub store: Arc<dyn Store>,
    /// The photos.
    pub photos: Photos,
    /// Keys and keyed hashes.
    pub keyring: Arc<Keyring>,
    /// Totals.
    pub board: Arc<Board>,
    /// Their charts.
    pub charts: Charts,
    /// The way in for people.
    pub intake: Intake,
    /// The way in for staff.
    pub access: Access,
    /// Whether this process can do its work.
    pub health: Arc<Health>,
    /// Name of this replica.
    pub instance: Arc<str>,
    /// What people type to reach the form.
    pub origin: Origin,
    /// Zone of the times in reports and charts.
    pub time_zone: TimeZone,
    /// Memory of the uploads under way.
    pub uploads: Arc<UploadMemory>,
    /// How much one address may ask.
    pub limits: Arc<Limits>,
    /// Reports that may still begin.
    pub reports: Arc<Semaphore>,
    /// Cancelled when the shutdown begins.
    pub draining: CancellationToken,
    /// Work that the shutdown waits for although no client may.
    pub tracker: TaskTracker,
}
