//! Speaks with plugins: volume drivers and item transforms of others, each a process of its own in any language.
//!
//! **Words.** A *plugin* listens at an [`Address`] and serves what `proto/hindcast/plugin/v1/plugin.proto` says. Its
//! *[`Capabilities`]* are what it declared when it was *met*, by the handshake that every connection begins with. A
//! *wrong answer* is one that no right plugin gives.
//!
//! **Invariants.**
//! 1. Every call ends: by its answer, by the connection's end, or by its deadline on the injected clock (`line`).
//! 2. A plugin that crashed is named with the remedy, and met again by the next call; one that another has taken the place
//!    of is not asked.
//! 3. What comes back is checked as a user's input is, before anything is made of it (`bounds`, `check`): a wrong answer is
//!    refused.
//! 4. A plugin is given what it declared: volumes of its drivers, items of its kinds, and no sealed value unless it
//!    declared that it needs them ([`Plugin::transform`]).
//! 5. An item stays what it is: API version, kind, namespace, name and uid.
//! 6. Whoever listens is of a user who may (`peer`), and no two plugins of one process have one name ([`Plugin::beside`]).
//!
//! Not here: starting and stopping plugins, which is their supervisor's; what is made of their answers.
//!
//! Start reading at [`Plugin::connect`], then [`PluginDriver`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where a library must not"))]

mod address;
mod bounds;
mod check;
mod driver;
mod line;
mod peer;
mod sort;
mod transform;
mod wire;

#[cfg(test)]
mod fake;

pub use address::Address;
pub use check::{Capabilities, Kind, Transform, Volumes};
pub use driver::PluginDriver;
pub use line::{Health, Plugin};
pub use transform::{Item, Outcome};
