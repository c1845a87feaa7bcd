//! The driver's events, as metrics of its commands and of its connection pool.

use metrics::{gauge, histogram};
use mongodb::event::{cmap::CmapEvent, command::CommandEvent};

/// Label values: the commands that padron sends; what the driver sends by itself is `other` (bounded cardinality).
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

#[expect(clippy::needless_pass_by_value, reason = "as the driver calls it")]
pub(super) fn connection(event: CmapEvent) {
    let (state, change) = match event {
        CmapEvent::ConnectionCreated(_) => ("open", 1.0),
        CmapEvent::ConnectionClosed(_) => ("open", -1.0),
        CmapEvent::ConnectionCheckedOut(_) => ("in_use", 1.0),
        CmapEvent::ConnectionCheckedIn(_) => ("in_use", -1.0),
        _ => return,
    };
    gauge!("padron_mongodb_connections", "state" => state).increment(change);
}
