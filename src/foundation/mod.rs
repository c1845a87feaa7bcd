//! Building blocks that would serve any program: encryption and keyed hashes (`seal`), charts, languages, telemetry
//! (logs and metrics), the clock, request coalescing (`single_flight`).
//!
//! Called by every layer above. It imports none of them, and never knows of people, cities or requests.

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
