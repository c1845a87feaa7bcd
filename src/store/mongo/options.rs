//! The driver's options: timeouts, connection pool, read and write concern.

use std::time::Duration;

use mongodb::{
    event::EventHandler,
    options::{
        Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
    },
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{SELECTION, measure};
use crate::store::StoreError;

/// Heartbeat interval of the driver's monitor. A connection that went silent is given up when this and the connect
/// timeout, [`CONNECT`], have passed, so that the deadline leaves time for a retry on another.
const HEARTBEAT: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(2);

/// Write-concern timeout (`wtimeout`): how long a majority may take to confirm a write.
const MAJORITY: Duration = Duration::from_secs(5);

/// Size of the connection pool to each server, and the idle timeout of a connection in it.
const CONNECTIONS: u32 = 50;
const IDLE: Duration = Duration::from_mins(1);

/// The options of the URL, with a service's defaults for what it leaves out. Durability (write concern) and
/// consistency (read concern, read preference) are fixed: they are not the URL's to say.
pub(super) async fn options(url: &SecretString) -> Result<ClientOptions, StoreError> {
    // The driver's error message may hold a part of the password.
    let parsed = ClientOptions::parse(url.expose_secret()).await;
    let mut options = parsed.map_err(|_| {
        StoreError::Unusable(
            "not a MongoDB URL; write mongodb://USER:PASSWORD@HOST:PORT/DATABASE, the password \
             percent-encoded"
                .into(),
        )
    })?;
    options.app_name.get_or_insert_with(|| "padron".to_owned());
    options.max_pool_size.get_or_insert(CONNECTIONS);
    options.max_idle_time.get_or_insert(IDLE);
    options.server_selection_timeout.get_or_insert(SELECTION);
    options.connect_timeout.get_or_insert(CONNECT);
    options.heartbeat_freq.get_or_insert(HEARTBEAT);
    options.write_concern = Some(
        WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .journal(true)
            .w_timeout(MAJORITY)
            .build(),
    );
    options.read_concern = Some(ReadConcern::majority());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.command_event_handler = Some(EventHandler::callback(measure::command));
    options.cmap_event_handler = Some(EventHandler::callback(measure::connection));
    Ok(options)
}
