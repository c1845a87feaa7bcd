//! What the driver tells of its commands and connections, as metrics.

use std::sync::atomic::{AtomicI64, Ordering};

use metrics::{gauge, histogram};
use mongodb::event::{cmap::CmapEvent, command::CommandEvent};

/// The commands that are sent from here; what the driver sends by itself is `other`.
const COMMANDS: [&str; 12] = [
    "aggregate",
    "collMod",
    "create",
    "createIndexes",
    "delete",
    "find",
    "findAndModify",
    "getMore",
    "hello",
    "insert",
    "ping",
    "update",
];

pub(super) fn command(event: CommandEvent) {
    let (name, outcome, duration) = match event {
        CommandEvent::Succeeded(event) => (event.command_name, "ok", event.duration),
        CommandEvent::Failed(event) => (event.command_name, "failed", event.duration),
        _ => return,
    };
    let command = COMMANDS.into_iter().find(|known| *known == name);
    histogram!(
        "padron_mongodb_command_duration_seconds",
        "command" => command.unwrap_or("other"),
        "outcome" => outcome
    )
    .record(duration);
}

/// The connections of one client.
#[derive(Default)]
pub(super) struct Connections {
    open: AtomicI64,
    in_use: AtomicI64,
}

impl Connections {
    /// Counts by itself, because the metrics may begin after the first connection.
    pub(super) fn heed(&self, event: &CmapEvent) {
        let (state, count, change) = match event {
            CmapEvent::ConnectionCreated(_) => ("open", &self.open, 1),
            CmapEvent::ConnectionClosed(_) => ("open", &self.open, -1),
            CmapEvent::ConnectionCheckedOut(_) => ("in_use", &self.in_use, 1),
            CmapEvent::ConnectionCheckedIn(_) => ("in_use", &self.in_use, -1),
            _ => return,
        };
        let now = count.fetch_add(change, Ordering::Relaxed) + change;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a pool holds fewer than 2⁵² connections"
        )]
        gauge!("padron_mongodb_connections", "state" => state).set(now as f64);
    }
}
