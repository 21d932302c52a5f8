//! What only a real API server can show. `cargo cluster` runs these alone.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod bad_input;
mod coverage;
mod oracle;
mod scale;
mod scene;
mod secrets;
mod soak;
mod testbed;
