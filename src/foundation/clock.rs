//! The one place that reads the clock.
//!
//! Called at the edges: by handlers, commands and background tasks. Below them, time is an argument.

use jiff::Timestamp;

/// The current time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
