//! padron registers people for vaccination: a form, encrypted records and photos, a streaming report,
//! a chart of totals.
//!
//! The folders of `src/` are its layers. Imports point down this list, never up and never in a circle
//! (`.ci/import-rule` holds that):
//!
//! | layer | folder | owns |
//! |---|---|---|
//! | entrances | [`cli`] | arguments and sub-commands |
//! | | [`server`] | the life of the process: settings, startup, connections, graceful shutdown |
//! | | [`http`] | routes, middleware, rate limits, pages, problems |
//! | what is done | [`app`] | intake, report, board, charts, sweep |
//! | tiers | [`store`] | the records, on SQLite or MongoDB |
//! | | [`photos`] | the photos, in a folder or on S3 |
//! | domain | [`domain`] | registration, city, photo, totals: what may be stored, and how it is parsed |
//! | foundation | [`foundation`] | encryption, drawing, languages, logs, the clock: nothing of the domain |

pub mod app;
pub mod cli;
pub mod domain;
pub mod foundation;
pub mod http;
pub mod photos;
pub mod server;
pub mod store;

pub use server::{Listeners, serve};
