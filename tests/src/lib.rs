//! The testbed, the simulator and the tests of the whole.
#![allow(clippy::disallowed_methods, reason = "the testbed composes the real clock, and waits for real servers")]

pub mod clouds;
pub mod drivers;
pub mod fuzz;
pub mod http;
pub mod manifests;
pub mod oracle;
pub mod real;
pub mod rollback;
pub mod shop;
pub mod sim;
pub mod soak;
pub mod stores;
pub mod trees;
pub mod until;
pub mod workload;
