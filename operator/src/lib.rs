//! Recovery points, schedules, restores, volume locations and journals as objects of the cluster, and what makes them true.
//!
//! [`api`] has the kinds; [`run`] reconciles them, in the process that writes the journal, and [`journals`] follows the object that this
//! process takes its settings from. What a schedule decides, how a point is made
//! and how a restore goes, is not here: these are the libraries' that the command line calls too.
//!
//! **Invariants of absence.** (1) The bucket is the truth: nothing is known only by an object of the cluster. (2) No object stops
//! another, and none stops protection. (3) A restore writes with the rights of the account that it names, never with our own.
//!
//! Start reading at [`run`], then `schedules`, `points`, `restores`, `locations`, and apart from them [`journals`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod account;
pub mod api;
pub mod journals;
mod keeper;
mod local;
mod locations;
mod operator;
mod places;
mod points;
mod request;
mod restores;
mod run;
mod schedules;
mod shelf;
mod status;
mod watched;
mod words;
mod works;

pub use places::{Keys, Opener, Place};
pub use run::{Parts, Settings, run};
