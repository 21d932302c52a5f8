//! Tests that need nothing but this machine's processor: the simulator and the rules of the tree.
#![allow(clippy::disallowed_methods, reason = "a test reads its own switches")]

mod beside;
mod checkpoints;
mod circles;
mod dependencies;
mod files;
mod follow;
mod fuzz;
mod idle;
mod plugins;
mod points;
mod sim;
mod tidy;
mod tree;
