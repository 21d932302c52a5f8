//! What a restore may touch: the one table that says so, and prints itself.
//!
//! **Words**: a *rule* is a row of the table; a [`Verdict`] is what the rules say of one object.

use crate::{desired::Full, selection::Widen};

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// A short name, which plans print and tests are named by: `hpa-replicas`.
    pub id: &'static str,
    /// The kinds it is about, as kind keys; empty for all.
    pub kinds: &'static [&'static str],
    /// What is done.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
}

/// What the rules say of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may be restored.
    Act,
    /// It is left alone.
    Leave {
        /// The rule's id.
        rule: &'static str,
        /// Why, in words about this object.
        reason: String,
        /// The flag that would do it, if there is one: `--rerun-jobs`.
        flag: Option<&'static str>,
    },
}

/// Every rule, in the order they are printed.
pub fn all() -> &'static [Rule] {
    &[]
}

/// What the rules say of one object, given both sides of it.
pub fn verdict(_kind_key: &str, _wanted: Option<&Full>, _live: Option<&Full>, _widen: &Widen) -> Verdict {
    Verdict::Act
}
