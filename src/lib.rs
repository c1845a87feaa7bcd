//! padron registers people for vaccination: a form, sealed records and photos, a streaming report,
//! a chart of totals.
//!
//! Imports point down this list, never up (`.ci/import-rule` keeps it):
//!
//! | module | owns |
//! |---|---|
//! | [`cli`] | arguments and sub-commands |
//! | [`serve`](fn@serve) | the server, called by `cli` and by tests |
//! | [`http`] | routes, middleware, pages, problems |
//! | [`app`] | what handlers share |
//! | [`tiers`] | records, photos and keys of one register |
//! | [`intake`] | photo first, record second |
//! | [`board`] | totals and charts in memory |
//! | [`report`] | the streaming workbook |
//! | [`chart`] | totals → PNG or SVG |
//! | [`sweep`] | removes photos that no record names |
//! | [`store`] | the records |
//! | [`photos`] | the photos |
//! | [`registration`], [`city`], [`totals`] | the domain |
//! | [`seal`], [`photo`] | sealing; cleaning of images |
//! | [`config`], [`telemetry`], [`shutdown`], [`lang`], [`clock`] | settings, logs, the end, the words, the time |

pub mod app;
pub mod board;
pub mod chart;
pub mod city;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod intake;
pub mod lang;
pub mod photo;
pub mod photos;
pub mod registration;
pub mod report;
pub mod seal;
mod serve;
pub mod shutdown;
pub mod store;
pub mod sweep;
pub mod telemetry;
pub mod tiers;
pub mod totals;

pub use serve::{Listeners, serve};
