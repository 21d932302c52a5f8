//! Recovery points: volume snapshots and where in the journal they fall.

pub mod cloud;
pub mod driver;
