//! Recovery points: volume snapshots, and where in the journal they fall.
//!
//! A point is planned from the journal alone ([`scene`], [`plan`], pure), made by [`Maker::take`] and taken away by
//! [`Maker::delete`]; [`Maker::reconcile`] finishes what a process left behind. What a point is in the bucket is
//! [`hindcast_journal::point`]; drivers of volumes stand behind [`driver::VolumeDriver`].
//!
//! **Invariants of absence.** (1) No object of the scope is read from the API server: the journal has them. (2) Which
//! volumes, hooks and snapshots there are to be is decided by pure functions. (3) Nothing here writes to a storage system
//! what the bucket does not know of already.
//!
//! Start reading at [`Maker`], then [`plan`].

mod api;
pub mod cloud;
mod csi;
pub mod driver;
mod exec;
mod files;
mod go;
mod hooks;
mod make;
mod now;
pub mod plan;
pub mod policy;
pub mod retention;
mod scene;
pub mod schedule;

pub use csi::Csi;
pub use exec::{Exec, PodExec};
pub use files::{Files, Moved};
pub use hooks::{ExecSpec, HookSpec};
pub use make::{Drivers, Left, Limits, Maker, Mended, Passing, Told};
pub use now::{Closer, Now, Written};
pub use plan::{Request, plan};
pub use scene::Scene;
