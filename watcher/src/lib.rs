//! Turns the API server's watches into changes, in order, without gaps.
//!
//! [`run`] protects a cluster until it is told to stop or fenced: it discovers every kind, lists and watches each,
//! turns events into rows, and commits them to the journal. A [`Handle`] closes cuts and reads its status.
//!
//! With [`ha`] two or more processes agree on which of them does, and the others stand by.
//!
//! **Invariants of absence.** (1) Nothing here writes to the cluster, but for the Lease of [`ha`]. (2) Time, sleep and randomness come from
//! [`hindcast_journal::Parts`] alone, requests go through the given clients alone, so that a seeded run can be
//! repeated. (3) No failure of one kind stops another.
//!
//! Start reading at [`run`], then `stream`, then `core`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod access;
mod buffer;
mod clock;
mod close;
mod core;
mod domains;
mod error;
mod flush;
mod forgotten;
pub mod ha;
mod handle;
mod heal;
mod knock;
mod life;
mod listen;
mod metrics;
mod mute;
mod prove;
mod reread;
mod retained;
mod run;
mod settings;
mod stream;
mod timekeeper;
mod wanted;
mod watchdog;

pub use error::{Error, ErrorKind, Result};
pub use handle::{Commands, DurableState, Handle, KindStatus, Phase, Proof, Status, channel};
pub use metrics::Metrics;
pub use run::{Parts, run};
pub use settings::Settings;
