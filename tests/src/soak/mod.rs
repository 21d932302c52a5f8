//! Long trials against real servers: faults under load, outages longer than the server's history, stores that are put
//! back, and writers that race for one journal. Each trial has a size, so that a short form of the very same runs in
//! CI.
//!
//! Invariants: every fault is counted when it has had its effect, and a trial fails if one it was asked for never
//! happened; the load is bounded and ends by itself.

mod conversion;
mod failover;
mod faults;
mod history;
mod lives;
mod rivals;

pub use conversion::Conversion;
pub use failover::{Failover, Outcome as FailoverOutcome, failover, past_the_window};
pub use faults::{Faults, faults};
pub use history::past_the_history;
pub use lives::{Lives, lives};
pub use rivals::{Rivals, rivals};
