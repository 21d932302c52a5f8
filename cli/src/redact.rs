//! What never leaves without being asked for: the values of Secrets.
//!
//! **Words**: a *sealed path* is a place whose value the journal treats as secret (its rule is the journal's:
//! `seal::Rules`); a *placeholder* stands for a value with its length and keyed hash.
//!
//! **Invariants.**
//! 1. Whatever way a journal keeps Secrets (sealed, dropped, in clear), an object or patch that went through
//!    here holds no value under a sealed path (`tests.rs`).
//! 2. A hash is keyed with the journal's key; without the key there is none, for a plain hash of a short
//!    password can be guessed.
//!
//! Not here: opening sealed values, which `--show-secrets` asks of the journal.

use hindcast_journal::{
    Row,
    exact::{self, Value},
    row::Op,
    seal::{self, Key, NOT_STORED, Rules},
};
use hindcast_restorer::Object;

#[cfg(test)]
mod tests;

/// What hides values: the rules of the journal, and the key that shown hashes are made with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hide<'a> {
    rules: &'a Rules,
    key: Option<&'a Key>,
}

impl<'a> Hide<'a> {
    pub(crate) fn new(rules: &'a Rules, key: Option<&'a Key>) -> Self {
        Self { rules, key }
    }

    /// Whether hidden values could be guessed from the hashes of a row, since they are no keyed ones.
    pub(crate) fn guesses(&self, row: &Row) -> bool {
        let secret = row.group.is_empty() && row.resource == "secrets";
        (secret || self.rules.is_named(&row.group, &row.resource)) && row.cells.is_empty() && row.hash_key.is_empty()
    }
}

/// An object with its Secret values hidden.
pub(crate) fn hidden(object: &Object, hide: Hide<'_>) -> Value {
    let mut value = object.value.clone();
    let row = &object.row;
    if object.unreadable.is_some() {
        unreadable(&row.group, &row.resource, &mut value, hide);
    } else {
        for path in &object.unstored {
            if let Some(place) = value.pointer_mut(path) {
                *place = Value::from(NOT_STORED);
            }
        }
        version(row, &mut value, hide);
    }
    value
}

/// Hides the sealed values of an object.
pub(crate) fn object(group: &str, resource: &str, object: &mut Value, hide: Hide<'_>) {
    for path in hide.rules.sealed_paths(group, resource, object) {
        if let Some(value) = object.pointer_mut(&path) {
            hide_value(value, &path, hide.key);
        }
    }
}

/// Hides the sealed values of a version as a row or the state has it. Of one that was written before copies in annotations
/// were sealed, and whose values are, nobody can tell which annotation holds one: all are hidden.
pub(crate) fn version(row: &Row, value: &mut Value, hide: Hide<'_>) {
    object(&row.group, &row.resource, value, hide);
    let is_sealed = |value: &Value| value.as_str().is_some_and(is_placeholder);
    let data = value.get("data").and_then(Value::as_object);
    let blind = in_doubt(row) && data.is_some_and(|data| data.iter().any(|(_, value)| is_sealed(value)));
    let annotations = value.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"));
    if let (true, Some(annotations)) = (blind, annotations.and_then(Value::as_object_mut)) {
        for (_, value) in annotations.iter_mut().filter(|(_, value)| !is_sealed(value)) {
            hide_value(value, "", hide.key);
        }
    }
}

/// Whether a row is of a Secret, and may be of before copies in annotations were sealed, or hold values in clear.
fn in_doubt(row: &Row) -> bool {
    row.group.is_empty() && row.resource == "secrets" && row.hash_key.is_empty()
}

/// Whether an object that went through here has something hidden in it.
pub(crate) fn hides(group: &str, resource: &str, object: &Value, hide: Hide<'_>) -> bool {
    hide.rules
        .sealed_paths(group, resource, object)
        .iter()
        .any(|path| object.pointer(path).and_then(Value::as_str).is_some_and(is_placeholder))
}

/// Hides the sealed values that an RFC 6902 patch brings. A patch has no object to look at: of a `ConfigMap` all data
/// counts as sealed where `helm` says that it is a Helm release, and the payload by its name in any case.
/// `doubt` says that it may hold copies of values in clear.
fn patch(kind: (&str, &str), patch: &mut Value, helm: bool, doubt: bool, hide: Hide<'_>) {
    for operation in patch.as_array_mut().into_iter().flatten() {
        let place = operation.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(value) = operation.get_mut("value") else { continue };
        for path in hide.rules.in_patch(kind, &place, value, helm, doubt) {
            if let Some(value) = value.pointer_mut(&path) {
                hide_value(value, &format!("{place}{path}"), hide.key);
            }
        }
    }
}

fn hide_value(value: &mut Value, path: &str, key: Option<&Key>) {
    let shown = match value.as_str() {
        Some(text) if is_placeholder(text) => seal::short_placeholder(text),
        _ => seal::placeholder(value, path, key, 4),
    };
    *value = Value::from(shown);
}

pub(crate) use hindcast_journal::seal::is_placeholder;

/// The body of a row with its sealed values hidden. Bytes that cannot be read are not shown at all.
pub(crate) fn bytes(row: &Row, body: &[u8], is_patch: bool, hide: Hide<'_>) -> Value {
    let (group, resource) = (row.group.as_str(), row.resource.as_str());
    // A Secret that is no JSON still is a Secret.
    let Ok(mut value) = exact::parse(body) else {
        return Value::from(format!("<unreadable, {} bytes>", body.len()));
    };
    if row.op == Op::Unreadable {
        unreadable(group, resource, &mut value, hide);
    } else if is_patch {
        let helm = row.name.starts_with("sh.helm.release.");
        patch((group, resource), &mut value, helm, in_doubt(row), hide);
    } else {
        version(row, &mut value, hide);
    }
    value
}

/// Hides the raw bytes that stand for an object that is no JSON, where its kind has sealed values.
pub(crate) fn unreadable(group: &str, resource: &str, value: &mut Value, hide: Hide<'_>) {
    if !hide.rules.may_seal(group, resource) {
        return;
    }
    if let Some(raw) = value.get_mut("raw") {
        hide_value(raw, "/raw", hide.key);
    }
}
