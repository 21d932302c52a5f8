//! The testbed, the simulator and the tests of the whole.
pub mod oracle;
pub mod real;
pub mod rollback;
pub mod shop;
pub mod sim;
pub mod soak;
pub mod workload;
