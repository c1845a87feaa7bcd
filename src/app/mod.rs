//! What padron does, its use cases: each module is one act of the register, and the only one that may do it.
//!
//! Called by the handlers of [`http`](crate::http), the commands of [`cli`](crate::cli) and the background tasks of
//! [`server`](crate::server). It works on types of the [`domain`](crate::domain) and asks the tiers through their
//! contracts; it never sees a request, and never knows which backend answers.

pub mod access;
pub mod board;
pub mod charts;
pub mod drafts;
pub mod health;
pub mod intake;
pub mod live;
pub mod markers;
pub mod report;
pub mod sweep;
