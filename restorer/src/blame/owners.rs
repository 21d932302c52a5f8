//! Whose field it is, after managedFields.
//!
//! **Words**: a *field set* is the tree that the API server writes under `fieldsV1`: `f:` before a member's name, `k:`
//! before the fields that name an element, `v:` before an element itself, `i:` before its index.
//!
//! **Invariant.** A field that several managers own is the one's who wrote last; one that none owns is nobody's.

use hindcast_journal::{
    exact::{self, Value},
    seal::unescape_pointer,
};

/// The manager that owns the value at a pointer, its operation and its subresource.
pub(super) fn of(managed: &Value, object: &Value, pointer: &str) -> Option<(String, String, String)> {
    let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let path: Vec<&str> = pointer.split('/').skip(1).collect();
    let owns = |entry: &&Value| entry.get("fieldsV1").is_some_and(|fields| holds(fields, object, &path));
    let newest = managed.as_array()?.iter().filter(owns).max_by_key(|entry| text(entry, "time"))?;
    Some((text(newest, "manager"), text(newest, "operation"), text(newest, "subresource")))
}

/// Whether a field set holds the path; one that ends above it holds the whole value there.
fn holds(fields: &Value, value: &Value, path: &[&str]) -> bool {
    let Some((token, rest)) = path.split_first() else { return true };
    let Some(members) = fields.as_object() else { return false };
    if members.is_empty() {
        return true;
    }
    let token = unescape_pointer(token);
    let (below, next) = match value {
        Value::Object(object) => (members.get(&format!("f:{token}")), object.get(&token)),
        Value::Array(list) => {
            let at = token.parse::<usize>().ok();
            let element = at.and_then(|at| list.get(at));
            let names = |key: &str| element.is_some_and(|element| names(key, element, &token));
            (members.iter().find(|(key, _)| names(key)).map(|(_, below)| below), element)
        }
        _ => (None, None),
    };
    match (below, next) {
        (Some(below), Some(next)) => holds(below, next, rest),
        _ => false,
    }
}

/// Whether a key of a field set names the element.
fn names(key: &str, element: &Value, index: &str) -> bool {
    let Some((how, what)) = key.split_once(':') else { return false };
    let parsed = || exact::parse(what.as_bytes()).ok();
    match how {
        "k" => parsed().is_some_and(|name| {
            name.as_object().is_some_and(|name| name.iter().all(|(k, v)| element.get(k) == Some(v)))
        }),
        "v" => parsed().is_some_and(|value| value == *element),
        "i" => what == index,
        _ => false,
    }
}
