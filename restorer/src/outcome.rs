//! What became of an action, and what a later reading showed.

use serde::{Deserialize, Serialize};

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// It was done.
    Done,
    /// It was so already.
    Already,
    /// Somebody changed the object since the plan was made; it was left alone.
    Conflict,
    /// The server does not allow it.
    Refused,
    /// It did not work.
    Failed,
    /// It was not begun.
    Skipped,
}

/// What a later reading showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verified {
    /// It is as wanted.
    Equal,
    /// It is as wanted, but for what is left to its owners.
    EqualButForControllerOwned,
    /// It is as wanted, but for what a rule keeps though people set it.
    EqualButForKept,
    /// The server or a webhook made something else of it.
    ChangedByAdmission,
    /// It is otherwise.
    Different,
}
