//! What never leaves without being asked for: the values of Secrets.
//!
//! **Words**: a *sealed path* is a place whose value the journal treats as secret (its rule is the journal's:
//! `seal::sealed_paths`); a *placeholder* stands for a value with its length and keyed hash.
//!
//! **Invariants.**
//! 1. Whatever way a journal keeps Secrets (sealed, dropped, in clear), an object or patch that went through
//!    here holds no value under a sealed path (`tests.rs`).
//! 2. A hash is keyed with the journal's key; without the key there is none, for a plain hash of a short
//!    password can be guessed.
//!
//! Not here: opening sealed values, which `--show-secrets` asks of the journal.

use hindcast_journal::{
    Op, Row,
    exact::{self, Value},
    seal::{self, Key},
};

#[cfg(test)]
mod tests;

const LAST_APPLIED: &str =
    "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

/// Hides the sealed values of an object.
pub(crate) fn object(group: &str, resource: &str, object: &mut Value, key: Option<&Key>) {
    for path in seal::sealed_paths(group, resource, object) {
        if let Some(value) = object.pointer_mut(&path) {
            hide(value, &path, key);
        }
    }
}

/// Whether an object that went through here has something hidden in it.
pub(crate) fn hides(group: &str, resource: &str, object: &Value) -> bool {
    seal::sealed_paths(group, resource, object)
        .iter()
        .any(|path| object.pointer(path).and_then(Value::as_str).is_some_and(is_placeholder))
}

/// Hides the sealed values that an RFC 6902 patch brings. A patch has no object to look at: of a `ConfigMap` all data
/// counts as sealed where `helm` says that it is a Helm release, and the payload by its name in any case.
pub(crate) fn patch(group: &str, resource: &str, patch: &mut Value, helm: bool, key: Option<&Key>) {
    let fields: &[&str] = match (group, resource, helm) {
        ("", "secrets", _) => &["/data", "/stringData", LAST_APPLIED],
        ("", "configmaps", true) => &["/data", "/binaryData"],
        ("", "configmaps", false) => &["/data/release"],
        _ => return,
    };
    for operation in patch.as_array_mut().into_iter().flatten() {
        let place = operation.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(value) = operation.get_mut("value") {
            below(&place, value, fields, key);
        }
    }
}

/// Hides in a value that stands at `path` whatever is sealed there, above or below.
fn below(path: &str, value: &mut Value, fields: &[&str], key: Option<&Key>) {
    let inside = fields.iter().any(|field| {
        path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let above =
        fields.iter().any(|field| field.strip_prefix(path).is_some_and(|r| r.starts_with('/')));
    // A map of values shows which of them there are; their keys are no secret.
    let is_map = fields.contains(&path) && path.matches('/').count() == 1;
    match value {
        Value::Object(members) if above || is_map => {
            for (name, value) in members.iter_mut() {
                below(&format!("{path}/{}", seal::escape_pointer(name)), value, fields, key);
            }
        }
        Value::Null if inside => {}
        value if inside => hide(value, path, key),
        _ => {}
    }
}

fn hide(value: &mut Value, path: &str, key: Option<&Key>) {
    let shown = match value.as_str() {
        Some(text) if is_placeholder(text) => seal::short_placeholder(text),
        _ => seal::placeholder(value, path, key, 4),
    };
    *value = Value::from(shown);
}

/// Whether a text is what the journal writes in place of a value, to the letter: nothing else may pass as one.
pub(crate) fn is_placeholder(text: &str) -> bool {
    if text == "<not stored: no key>" {
        return true;
    }
    let Some(inner) = text.strip_prefix("<redacted ").and_then(|t| t.strip_suffix('>')) else {
        return false;
    };
    let Some((count, rest)) = inner.split_once(" bytes") else { return false };
    let hash = match rest {
        "" => "",
        rest => match rest.strip_prefix(" hmac:") {
            Some(hash) if !hash.is_empty() => hash,
            _ => return false,
        },
    };
    !count.is_empty()
        && count.len() <= 8
        && count.bytes().all(|b| b.is_ascii_digit())
        && hash.len() <= 32
        && hash.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The body of a row with its sealed values hidden. Bytes that cannot be read are not shown at all.
pub(crate) fn bytes(row: &Row, body: &[u8], is_patch: bool, key: Option<&Key>) -> Value {
    let (group, resource) = (row.group.as_str(), row.resource.as_str());
    // A Secret that is no JSON still is a Secret.
    let Ok(mut value) = exact::parse(body) else {
        return Value::from(format!("<unreadable, {} bytes>", body.len()));
    };
    if row.op == Op::Unreadable {
        unreadable(group, resource, &mut value, key);
    } else if is_patch {
        patch(group, resource, &mut value, row.name.starts_with("sh.helm.release."), key);
    } else {
        object(group, resource, &mut value, key);
    }
    value
}

/// Hides the raw bytes that stand for an object that is no JSON, where its kind has sealed values.
pub(crate) fn unreadable(group: &str, resource: &str, value: &mut Value, key: Option<&Key>) {
    if !seal::may_seal(group, resource) {
        return;
    }
    if let Some(raw) = value.get_mut("raw") {
        hide(raw, "/raw", key);
    }
}
