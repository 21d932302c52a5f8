//! What of an object is somebody's intent, and what the server and controllers set.
//!
//! **Words**: the *intent form* is the exact form without what a rule keeps; a [`Kept`] path is one that the rules leave to its
//! owner.
//!
//! **Invariants.** (1) `target` differs from the live object only where the intent forms differ. (2) Keeping is symmetrical:
//! a path kept on one side is kept on the other.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{exact::Value, fold::ObjectKey};

use crate::desired::Full;

/// What the rules need to know of other objects.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// What scales an object, live or at the moment: the object and the scaler, in words (`HorizontalPodAutoscaler web`).
    pub scaled: BTreeMap<ObjectKey, BTreeSet<String>>,
}

/// A path that is left to its owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// JSON pointer into the live object (into the wanted one if the live one has no such place).
    pub path: String,
    /// The rule's id.
    pub rule: &'static str,
    /// Who sets it, in words: `HorizontalPodAutoscaler web`, `the server`.
    pub owner: String,
}

/// The paths of an object that are no intent, from both sides of it.
pub fn kept(_key: &ObjectKey, _wanted: Option<&Full>, _live: Option<&Full>, _around: &Surroundings) -> Vec<Kept> {
    Vec::new()
}

/// The intent form: the object without the kept paths.
pub fn form(value: &Value, _kept: &[Kept]) -> Value {
    value.clone()
}

/// The object to send so that the live one has the wanted intent: the wanted object, with the kept paths as they are live.
pub fn target(wanted: &Value, _live: Option<&Value>, _kept: &[Kept]) -> Value {
    wanted.clone()
}

/// The 8-byte hash of an intent form, in hex.
pub fn hash(form: &Value) -> String {
    let canonical = hindcast_journal::exact::to_canonical(form);
    let hash = hindcast_journal::exact::state_hash(&canonical);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of an object's own intent, without a second side: what an undo compares with.
pub fn fingerprint(key: &ObjectKey, object: &Full, around: &Surroundings) -> String {
    hash(&form(&object.value, &kept(key, Some(object), Some(object), around)))
}
