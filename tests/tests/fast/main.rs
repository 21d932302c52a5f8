//! Tests that need nothing but this machine's processor: the simulator and the rules of the tree.

mod checkpoints;
mod follow;
mod sim;
mod tidy;
