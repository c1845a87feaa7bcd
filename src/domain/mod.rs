//! The domain model: the words of the register as types, each with a `parse` that is its only way in.
//!
//! Called by every layer above. Pure: no I/O, no clock, and never any knowledge of HTTP or of where things are stored.
//! Whatever a type here holds was validated; whatever holds personal data is redacted in `Debug`.

pub mod city;
pub mod marker;
pub mod photo;
pub mod registration;
pub mod totals;
