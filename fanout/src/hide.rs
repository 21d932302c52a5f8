//! What never leaves: the values that the journal treats as secret.
//!
//! A sealed value is a placeholder in the row already, and stays as it is stored. What a journal holds in clear
//! (`--plaintext-secrets`, or rows of before a place was named) becomes a placeholder here, without a hash: who reads the
//! target need not be who may read the journal.
//!
//! **Invariant.** However a journal keeps them, no value under a sealed path is in what comes from here, and no plain
//! hash of it, from which a short one could be guessed (`tests`).

use bytes::Bytes;
use hindcast_journal::{
    Row,
    exact::{self, Value},
    row::Op,
    seal::{self, Rules},
};

/// The body of a row, with its secret values hidden.
pub(crate) fn body(row: &Row, bytes: &Bytes, is_patch: bool, rules: &Rules) -> Bytes {
    let (group, resource) = (row.group.as_str(), row.resource.as_str());
    if !rules.may_seal(group, resource) {
        return bytes.clone();
    }
    // The journal's own bytes are JSON; what is not could hide anything.
    let Ok(mut value) = exact::parse(bytes) else {
        return Bytes::from_static(b"null");
    };
    if row.op == Op::Unreadable {
        if let Some(raw) = value.get_mut("raw") {
            cover(raw, "/raw");
        }
    } else if is_patch {
        patch(row, &mut value, rules);
    } else {
        for path in rules.sealed_paths(group, resource, &value) {
            if let Some(place) = value.pointer_mut(&path) {
                cover(place, &path);
            }
        }
    }
    exact::to_canonical(&value).into()
}

/// Whether secret values could be guessed from the hashes of a row, since they are no keyed ones.
pub(crate) fn guesses(row: &Row, rules: &Rules) -> bool {
    has_values(row, rules) && row.cells.is_empty() && row.hash_key.is_empty()
}

/// Whether every object of the kind has secret values.
fn has_values(row: &Row, rules: &Rules) -> bool {
    (row.group.is_empty() && row.resource == "secrets") || rules.is_named(&row.group, &row.resource)
}

/// A patch has no object to look at, so whatever could be a copy of a value counts as one.
fn patch(row: &Row, patch: &mut Value, rules: &Rules) {
    let kind = (row.group.as_str(), row.resource.as_str());
    let helm = row.name.starts_with("sh.helm.release.");
    let doubt = has_values(row, rules) && row.hash_key.is_empty();
    for operation in patch.as_array_mut().into_iter().flatten() {
        let place = operation.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(value) = operation.get_mut("value") else { continue };
        for path in rules.in_patch(kind, &place, value, helm, doubt) {
            if let Some(value) = value.pointer_mut(&path) {
                cover(value, &format!("{place}{path}"));
            }
        }
    }
}

fn cover(value: &mut Value, path: &str) {
    if !value.as_str().is_some_and(seal::is_placeholder) {
        *value = Value::from(seal::placeholder(value, path, None, 0));
    }
}
