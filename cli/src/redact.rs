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
    exact::{self, Value},
    seal::{self, Key},
};

#[cfg(test)]
mod tests;

const LAST_APPLIED: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

/// Hides the sealed values of an object.
pub(crate) fn object(group: &str, resource: &str, object: &mut Value, key: Option<&Key>) {
    for path in seal::sealed_paths(group, resource, object) {
        if let Some(value) = object.pointer_mut(&path) {
            hide(value, &path, key);
        }
    }
}

/// Hides the sealed values that an RFC 6902 patch brings. A patch has no object to look at, so of a ConfigMap all
/// data counts as sealed where `helm` says that it may be a Helm release.
pub(crate) fn patch(group: &str, resource: &str, patch: &mut Value, helm: bool, key: Option<&Key>) {
    let secret = group.is_empty() && resource == "secrets";
    let helm = group.is_empty() && resource == "configmaps" && helm;
    if !secret && !helm {
        return;
    }
    for operation in patch.as_array_mut().into_iter().flatten() {
        let path = operation.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(value) = operation.get_mut("value") {
            below(&path, value, secret, key);
        }
    }
}

/// Hides in a value that stands at `path` whatever is sealed there, above or below.
fn below(path: &str, value: &mut Value, secret: bool, key: Option<&Key>) {
    let fields: &[&str] =
        if secret { &["/data", "/stringData", LAST_APPLIED] } else { &["/data", "/binaryData"] };
    let inside = fields.iter().any(|field| {
        path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let above = fields.iter().any(|field| field.strip_prefix(path).is_some_and(|r| r.starts_with('/')));
    let is_field = fields.contains(&path) && path != LAST_APPLIED;
    match value {
        Value::Object(members) if above || is_field => {
            for (name, value) in members.iter_mut() {
                below(&format!("{path}/{}", seal::escape_pointer(name)), value, secret, key);
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

/// Hides the sealed values in the canonical bytes of a row's body. Bytes that cannot be read are not shown at all.
pub(crate) fn bytes(group: &str, resource: &str, body: &[u8], is_patch: bool, key: Option<&Key>) -> Value {
    match exact::parse(body) {
        Ok(mut value) if is_patch => {
            patch(group, resource, &mut value, true, key);
            value
        }
        Ok(mut value) => {
            object(group, resource, &mut value, key);
            value
        }
        // A Secret that is no JSON still is a Secret.
        Err(_) => Value::from(format!("<unreadable, {} bytes>", body.len())),
    }
}
