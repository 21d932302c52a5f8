//! What people write, read as what it means: a moment, a kind, a path into an object, a scope.
//!
//! Whoever is asked in words reads them here: a command line and the objects of a cluster mean the same by the same text.
//!
//! **Invariant.** What could mean two things, or nothing, is refused with what it could mean; nothing is guessed.

pub mod kinds;
pub mod moment;
pub mod paths;
pub mod scope;
