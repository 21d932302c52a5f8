//! The testbed, the simulator and the tests of the whole.
pub mod real;
pub mod sim;
