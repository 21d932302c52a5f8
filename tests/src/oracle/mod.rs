//! The oracle: random writers against a real API server, every acknowledged answer recorded, and a checker that holds
//! the journal against what was answered.
//!
//! **Words**: an [`Answer`] is one acknowledged write: what the server said, and between which moments of our clock.
//!
//! **Invariants.** (1) The oracle knows nothing of the watcher or of the journal's encoding: it keeps the bytes the
//! server answered. (2) Every answer is accounted for in exactly one class of [`Verdict`], and an answer in none of
//! them fails the check. (3) The load is bounded in count and stops by itself.

mod check;
mod load;
pub mod subject;

pub use check::{Listed, Met, Swap, Verdict, check, exact_lists_agree};
pub use load::{
    Answer, Attempt, EVENTS, Kind, Load, Verb, Written, begin, builder, kinds, newest_revision, now, prepare, run,
};
