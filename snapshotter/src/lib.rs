//! Recovery points: volume snapshots and where in the journal they fall.
//!
//! What decides is pure, and takes the time as an argument: when a point is made ([`schedule`]), which one goes
//! ([`retention`]), what is done with which volume ([`policy`]).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod policy;
pub mod retention;
pub mod schedule;
