//! The words of the register as types, each with a `parse` that is its only way in.
//!
//! Pure: no I/O, no clock, no knowledge of HTTP or of where things are stored. Whatever a type here holds was
//! validated; whatever names a person prints nothing of it.

pub mod city;
pub mod marker;
pub mod photo;
pub mod registration;
pub mod totals;
