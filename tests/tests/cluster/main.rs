//! What only a real API server can show. `cargo cluster` runs these alone.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod access;
mod bad_input;
mod coverage;
mod databases;
#[cfg(feature = "kafka")]
mod fanout;
mod files;
mod ha;
mod journal_kind;
mod later;
mod lives;
mod locations;
mod movers;
mod node;
mod operator;
mod oracle;
mod plugins;
mod points;
mod quiet;
mod restore;
mod rollback;
mod scale;
mod scene;
mod secrets;
mod soak;
mod stores;
mod stuck;
mod testbed;
mod told;
mod verify;

/// Trials whose figures are held to a bound run alone: on two cores two at once measure each other.
static FIGURES: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());
