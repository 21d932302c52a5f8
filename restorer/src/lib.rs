//! Answers what was, at any moment, out of the journal alone; and makes it so again.
//!
//! **Reading**: [`Timeline`] is the state at a moment and the changes between two; [`blame`] and [`diff`] are made of it.
//!
//! **Restoring** is done by a [`Session`]. It goes in three steps, and only the last one writes:
//! 1. gather: [`Desired`] (the journal, or a restore's record for `undo`), [`Live`] (the cluster), [`Known`] (what the
//!    journal knows of now: the evidence for deletes);
//! 2. [`plan`], a pure function of these: a [`Plan`] that can be printed and kept, and the bodies it stands for;
//! 3. [`apply`]: carries a plan out, with a [`Record`] in the bucket that makes it resumable and undoable.
//!
//! What a restore may touch is said by one table, [`rules`]; what of an object is anybody's intent by [`intent`]. What becomes of objects that are
//! put somewhere else, under other names, is said by a [`mapping`], a step between 1 and 2.

pub mod apply;
pub mod ask;
pub mod blame;
pub mod bypass;
mod caller;
mod desired;
pub mod diff;
mod ending;
mod filling;
mod full;
pub mod intent;
mod json;
mod kept;
mod kinds;
pub mod lists;
mod live;
pub mod mapping;
pub mod message;
mod names;
mod outcome;
pub mod outline;
mod permission;
pub mod plan;
pub mod reason;
pub mod record;
mod references;
pub mod reservation;
pub mod rules;
mod said;
pub mod selection;
pub mod session;
mod timeline;
mod verb;

pub use apply::Outcome;
pub use bypass::Bypassed;
use desired::{Desired, Known};
pub use ending::{Ending, Hold};
pub use filling::Movers;
use live::Live;
pub use plan::{Plan, Prepared};
pub use record::{Record, Records};
pub use selection::Selection;
pub use session::Session;
pub use timeline::{Event, Follow, History, Jump, Object, Protection, Range, Status, Timeline, Turn, Unsure, View};
