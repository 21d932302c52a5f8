//! What of the past is thinned out, as the manifest says it: every reader meets it first.
//!
//! **Words**: the *base* is the checkpoint from which on the log is whole; what stands before it is answered by the cuts that were
//! kept alone, which the statement names (`expiry.rs`).
//!
//! **Invariant.** It only moves on: a statement of a lower number never takes the place of one of a higher
//! [`super::Manifest::thin`].

use serde::{Deserialize, Serialize};

use crate::{Position, parts::Micros};

/// Up to where the past is thinned out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// The number of its statement, `meta/expiry/<number>`.
    pub number: u64,
    /// The statement's SHA-256.
    pub sha256: String,
    /// The position of the base.
    pub base: Position,
    /// By when everything in the base was committed: every later moment is answered.
    pub whole: Micros,
    /// The first segment that the log still has.
    pub segment: u64,
    /// The first position in it.
    pub first: Position,
    /// The oldest moment that is kept.
    pub oldest: Micros,
    /// How many cuts are kept, the base among them.
    pub kept: u64,
    /// How many checkpoints stood before the base.
    pub gone: u64,
    /// When it was decided.
    pub time: Micros,
}
