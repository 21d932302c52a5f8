//! What only a real API server can show. `cargo cluster` runs these alone.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod oracle;
mod soak;
mod testbed;
