//! What is done to an object, and to what it owns.

use serde::{Deserialize, Serialize};

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// It is missing. With a live object, that one is being deleted: it is waited for, then created.
    Create,
    /// It differs.
    Update,
    /// It differs where it cannot be changed: deleted, leaving what it owns, and created again.
    Recreate,
    /// It was added since.
    Delete,
}

/// What becomes of what an object owns when the object is deleted; the API server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Propagation {
    /// Deleted by the garbage collector, afterwards.
    #[default]
    Background,
    /// Deleted first.
    Foreground,
    /// Left, without an owner.
    Orphan,
}
