//! Answers what was, at any moment, out of the journal alone.
//!
//! Start reading at [`Timeline`].

mod timeline;

pub use timeline::{Event, History, Object, Protection, Range, Status, Timeline, View};
