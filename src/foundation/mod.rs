//! What would serve any program: encryption, drawing, languages, logs, the clock, the sharing of calls.
//!
//! Used by every layer above. Nothing here knows of people, cities or requests.

pub mod accept;
pub mod chart;
pub mod clock;
pub mod lang;
pub mod origin;
pub mod paste;
pub mod path;
pub mod seal;
pub mod single_flight;
pub mod telemetry;
