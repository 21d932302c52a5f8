//! What of an object is somebody's intent, and what the server and controllers set.
//!
//! **Words**: the *intent form* is the exact form without what a rule keeps; a [`Kept`] path is one that the rules leave to its
//! owner.
//!
//! **Invariants.** (1) `target` differs from the live object only where the intent forms differ. (2) Keeping is symmetrical:
//! a path kept on one side is kept on the other. (3) `form(target(wanted, live))` is `form(wanted)`, number tokens included.
//!
//! Where: `fields` has what is true of any kind, [`kinds`](crate::kinds) what is true of one; [`crate::kept`] finds the
//! fields. Why: `rules`, under the same ids.

use hindcast_journal::{
    exact::{self, Value},
    fold::ObjectKey,
    seal::{self, Key},
};

use crate::{full::Full, kept::Keeping};

mod fields;

pub use crate::kept::{Fresh, Kept, Place, Scaler, ScalerSort, Step, Surroundings, Volume};

/// The paths of an object that are no intent, from both sides of it.
pub fn kept(key: &ObjectKey, wanted: Option<&Full>, live: Option<&Full>, around: &Surroundings) -> Vec<Kept> {
    let mut keeping = Keeping::new(key, wanted, live, around);
    fields::find(&mut keeping);
    let mut kept = keeping.found();
    kept.sort();
    kept
}

/// An intent form, and where in it stands what no output may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) value: Value,
    /// JSON pointers into the form: an element that was cut out of a list has moved those behind it.
    pub(crate) sealed: Vec<String>,
}

impl Form {
    /// The form of an object with these sealed places.
    pub(crate) fn new(value: &Value, kept: &[Kept], sealed: &[String]) -> Self {
        let mut form = Self { value: value.clone(), sealed: sealed.to_vec() };
        let kept = outermost_first(kept);
        for kept in &kept {
            kept.place.cut_under(&mut form.value, &mut form.sealed);
        }
        for kept in kept.iter().rev() {
            kept.place.prune(&mut form.value);
        }
        form
    }

    /// Its hash.
    pub(crate) fn digest(&self, key: Option<&Key>) -> String {
        digest(&self.value, &self.sealed, key)
    }

    /// Its hash, as that of an object that stands: where values do not count, its revision tells that they are the same.
    pub(crate) fn standing(&self, object: &Value, key: Option<&Key>) -> String {
        let hash = self.digest(key);
        if key.is_some() || self.sealed.is_empty() {
            return hash;
        }
        let revision = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        format!("{hash}@{revision}")
    }
}

/// The intent form: the object without the kept paths, and without what is empty then.
pub fn form(value: &Value, kept: &[Kept]) -> Value {
    Form::new(value, kept, &[]).value
}

/// The object to send so that the live one has the wanted intent: the wanted object, with the kept paths as they are live.
pub fn target(wanted: &Value, live: Option<&Value>, kept: &[Kept]) -> Value {
    let mut target = wanted.clone();
    for kept in outermost_first(kept) {
        match (live, kept.fresh) {
            (Some(live), _) => match kept.place.get(live) {
                Some(value) => kept.place.set(&mut target, value.clone()),
                None => kept.place.cut(&mut target),
            },
            (None, Fresh::Absent) => kept.place.cut(&mut target),
            (None, Fresh::AsThen) => {}
        }
    }
    target
}

/// A target made ready to be created where the live object has just been deleted: what only the old one could have is
/// left out, what was kept of it stays.
pub fn anew(target: &Value, kept: &[Kept]) -> Value {
    let mut anew = target.clone();
    for kept in outermost_first(kept).into_iter().filter(|kept| kept.fresh == Fresh::Absent) {
        kept.place.cut(&mut anew);
    }
    anew
}

/// Whole elements before fields in them, which could not be found without the fields that name them.
fn outermost_first(kept: &[Kept]) -> Vec<&Kept> {
    let mut kept: Vec<&Kept> = kept.iter().collect();
    kept.sort_by_key(|kept| kept.place.steps.len());
    kept
}

/// The 8-byte hash of an intent form, in hex.
pub fn hash(form: &Value) -> String {
    let canonical = exact::to_canonical(form);
    let hash = exact::state_hash(&canonical);
    format!("{:016x}", u64::from_be_bytes(hash))
}

/// The hash of an intent form: keyed where it has values that no output may show, since a plain hash of a short one can be
/// guessed. Without a key such values do not count: then the resourceVersion has to tell ([`Form::standing`]).
pub fn digest(form: &Value, redact: &[String], key: Option<&Key>) -> String {
    if redact.is_empty() {
        return hash(form);
    }
    if let Some(key) = key {
        let hash = u64::from_be_bytes(key.state_hash(&exact::to_canonical(form)));
        return format!("{hash:016x}");
    }
    let mut form = form.clone();
    for path in redact {
        if let Some(place) = form.pointer_mut(path) {
            *place = Value::from(seal::placeholder(place, path, None, 0));
        }
    }
    hash(&form)
}

/// The hash of an object's own intent, without a second side: what an undo compares with. Keyed, where the object has
/// values that no output may show.
pub fn fingerprint(key: &ObjectKey, object: &Full, around: &Surroundings, hmac: Option<&Key>) -> String {
    // Which part was asked for is no part of what the object is.
    let around = Surroundings { asked: None, ..around.clone() };
    let kept = kept(key, Some(object), Some(object), &around);
    let sealed = around.rules.sealed_paths(&key.group, &key.resource, &object.value);
    Form::new(&object.value, &kept, &sealed).standing(&object.value, hmac)
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
pub(crate) mod tests;
