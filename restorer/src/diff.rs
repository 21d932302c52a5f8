//! What differs between two states: which objects, and which of their fields.
//!
//! **Words**: the *server's own* fields are those that change by themselves ([`OWN`]); an object is *derived* when a
//! controller made it from another one.
//!
//! **Invariants.** (1) [`fields`] is empty exactly if the values are equal. (2) Its paths are JSON pointers into the old
//! value, or into the new one for what only that has. (3) Elements of lists are matched by what names them
//! (`lists`), so that a container put first does not look as if every one had changed.
//!
//! Not here: what may be shown (`cli`'s redaction), what a restore does about a difference ([`crate::plan`]).

use std::collections::BTreeMap;

use hindcast_journal::{exact::Value, fold::ObjectKey, seal::escape_pointer};
use serde::{Deserialize, Serialize};

use crate::{Object, json, lists};

/// Fields that change by themselves, and say nothing of what anybody wanted.
pub const OWN: [&str; 4] =
    ["/metadata/creationTimestamp", "/metadata/generation", "/metadata/resourceVersion", "/metadata/uid"];

/// A field that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// JSON pointer.
    pub path: String,
    /// Live.
    #[serde(with = "json::value")]
    pub from: Option<Value>,
    /// As it is to be.
    #[serde(with = "json::value")]
    pub to: Option<Value>,
}

/// How much of an object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Neither status nor the server's own fields.
    Wanted,
    /// All of it.
    All,
}

impl Detail {
    /// The part of an object that is looked at.
    #[must_use]
    pub fn of(self, mut object: Value) -> Value {
        if self == Self::All {
            return object;
        }
        if let Some(members) = object.as_object_mut() {
            members.remove("status");
        }
        for field in OWN {
            let name = field.rsplit('/').next().unwrap_or_default();
            let metadata = object.as_object_mut().and_then(|o| o.get_mut("metadata"));
            if let Some(metadata) = metadata.and_then(Value::as_object_mut) {
                metadata.remove(name);
            }
        }
        object
    }
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// It is the same object, and differs.
    Changed,
    /// Another object has its name.
    Recreated,
}

impl How {
    /// The word that outputs have.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Recreated => "recreated",
        }
    }
}

/// An object that differs between two states.
#[derive(Debug, Clone)]
pub struct Difference<'v> {
    /// What became of it.
    pub how: How,
    /// As it was.
    pub from: Option<&'v Object>,
    /// As it is.
    pub to: Option<&'v Object>,
}

impl<'v> Difference<'v> {
    /// The object: as it is, or as it last was.
    pub fn object(&self) -> Option<&'v Object> {
        self.to.or(self.from)
    }

    /// Whether a controller made it from another object, on each side that there is.
    pub fn is_derived(&self) -> bool {
        [self.from, self.to].into_iter().flatten().all(is_derived)
    }
}

/// Whether a controller made the object from another one: Pods, `ReplicaSets`, `EndpointSlices`.
fn is_derived(object: &Object) -> bool {
    let controls = |owner: &Value| owner.get("controller").and_then(Value::as_bool) == Some(true);
    let owners = object.value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.is_some_and(|owners| owners.iter().any(controls))
        // Endpoints have no owner; their controller leaves this label on what it keeps.
        || object
            .value
            .pointer("/metadata/labels/endpoints.kubernetes.io~1managed-by")
            .is_some()
}

/// The objects that differ, in the order of their keys.
pub fn objects<'v>(from: &'v [Object], to: &'v [Object], detail: Detail) -> Vec<Difference<'v>> {
    let mut sides: BTreeMap<ObjectKey, (Option<&Object>, Option<&Object>)> = BTreeMap::new();
    for object in from {
        sides.entry(ObjectKey::of(&object.row)).or_default().0 = Some(object);
    }
    for object in to {
        sides.entry(ObjectKey::of(&object.row)).or_default().1 = Some(object);
    }
    let how = |sides: &(Option<&Object>, Option<&Object>)| match sides {
        (None, _) => Some(How::Added),
        (_, None) => Some(How::Removed),
        (Some(from), Some(to)) if from.row.uid != to.row.uid => Some(How::Recreated),
        (Some(from), Some(to)) => {
            let same = from.value == to.value || detail.of(from.value.clone()) == detail.of(to.value.clone());
            (!same).then_some(How::Changed)
        }
    };
    sides.into_values().filter_map(|sides| Some(Difference { how: how(&sides)?, from: sides.0, to: sides.1 })).collect()
}

/// The fields that differ, each as small as it can be named.
pub fn fields(from: &Value, to: &Value) -> Vec<FieldChange> {
    let mut out = Vec::new();
    walk(Some(from), Some(to), &mut String::new(), &mut out);
    out
}

fn walk(from: Option<&Value>, to: Option<&Value>, path: &mut String, out: &mut Vec<FieldChange>) {
    match (from, to) {
        (from, to) if from == to => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut names: Vec<&str> = old.keys().chain(new.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                below(path, &escape_pointer(name), |path| {
                    walk(old.get(name), new.get(name), path, out);
                });
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if !old.is_empty() && !new.is_empty() => {
            let matched = lists::pair(old, new);
            if matched.reordered {
                out.push(change(path, from, to));
                return;
            }
            for (left, right) in matched.pairs {
                let index = left.or(right).unwrap_or_default();
                let left = left.and_then(|at| old.get(at));
                let right = right.and_then(|at| new.get(at));
                below(path, &index.to_string(), |path| walk(left, right, path, out));
            }
        }
        (from, to) => out.push(change(path, from, to)),
    }
}

fn change(path: &str, from: Option<&Value>, to: Option<&Value>) -> FieldChange {
    FieldChange { path: path.to_owned(), from: from.cloned(), to: to.cloned() }
}

fn below(path: &mut String, token: &str, work: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    path.push_str(token);
    work(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests;
