//! Clouds on loopback: what the drivers of their disks are tried against.
//!
//! - [`Ec2`]: Amazon's, by moto, behind a front of ours that pages its lists and strikes with [`Faults`].
//! - [`Gce`]: Google's, written here from its published reference, strict.
//! - [`ArmServer`]: Microsoft's, likewise.
//! - [`SamplePlugin`]: folders of this machine, by a plugin in Go.
//!
//! What strikes is said in words that mean the same in every cloud ([`Fault`], [`Op`]); each server says it in its own
//! status, code and body. Start reading at [`crate::drivers`], which asks the same of all of them.

pub mod arm;
pub mod ec2;
mod faults;
mod gce;
mod plugin;
mod rules;
mod serve;

pub use arm::ArmServer;
pub use ec2::Ec2;
pub use faults::{Fault, Faults, Op};
pub use gce::{Gce, SUBJECT};
pub use plugin::{SamplePlugin, sample_order};
pub(crate) use serve::{Reply, Server, answer};
