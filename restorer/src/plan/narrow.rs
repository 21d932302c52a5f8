//! A part of an object: reading it, and putting it into another version of the object.
//!
//! **Words**: a *path* is a JSON pointer in which an element of a list may be named by its fields:
//! `/spec/template/spec/containers/[name=web]/image`.

use hindcast_journal::{
    exact::{Object, Value},
    seal::{escape_pointer, pointer_tokens},
};

use crate::lists;

/// The value at a path.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    pointer_tokens(path).iter().try_fold(value, |value, token| match value {
        Value::Object(members) => members.get(token),
        Value::Array(list) => list.get(index(list, token)?),
        _ => None,
    })
}

/// The JSON pointer of the value at a path.
pub(crate) fn pointer(value: &Value, path: &str) -> Option<String> {
    let mut here = value;
    let mut out = String::new();
    for token in pointer_tokens(path) {
        let token = match here {
            Value::Array(list) => index(list, &token)?.to_string(),
            _ => escape_pointer(&token),
        };
        here = here.pointer(&format!("/{token}"))?;
        out.push('/');
        out.push_str(&token);
    }
    Some(out)
}

/// Sets the value at a path, or takes it away; whether that was possible. Maps on the way are made where they are missing;
/// elements of lists are not.
pub(super) fn put(value: &mut Value, path: &str, new: Option<&Value>) -> bool {
    let tokens = pointer_tokens(path);
    match tokens.split_last() {
        None => {
            *value = new.cloned().unwrap_or_default();
            true
        }
        Some((last, way)) => place(value, way, last, new),
    }
}

fn place(value: &mut Value, way: &[String], end: &str, new: Option<&Value>) -> bool {
    let Some((token, rest)) = way.split_first() else { return here(value, end, new) };
    match value {
        Value::Object(members) => {
            if members.get(token).is_none_or(Value::is_null) {
                let listed = rest.first().map_or(end, String::as_str).starts_with('[');
                if new.is_none() || listed {
                    return new.is_none();
                }
                members.insert(token.as_str(), Value::Object(Object::new()));
            }
            members.get_mut(token).is_some_and(|child| place(child, rest, end, new))
        }
        Value::Array(list) => {
            let Some(child) = index(list, token).and_then(|at| list.get_mut(at)) else { return new.is_none() };
            place(child, rest, end, new)
        }
        _ => new.is_none(),
    }
}

fn here(value: &mut Value, token: &str, new: Option<&Value>) -> bool {
    match (value, new) {
        (Value::Object(members), Some(new)) => {
            members.insert(token, new.clone());
            true
        }
        (Value::Object(members), None) => {
            members.remove(token);
            true
        }
        (Value::Array(list), new) => match (index(list, token), new) {
            (Some(at), Some(new)) => list.get_mut(at).is_some_and(|element| {
                *element = new.clone();
                true
            }),
            (Some(at), None) => {
                list.remove(at);
                true
            }
            (None, Some(new)) => {
                list.push(new.clone());
                true
            }
            (None, None) => true,
        },
        (_, new) => new.is_none(),
    }
}

/// Which element a token means: its index, or the one that it labels.
fn index(list: &[Value], token: &str) -> Option<usize> {
    match token.strip_prefix('[').and_then(|token| token.strip_suffix(']')) {
        Some(label) if label.contains('=') => lists::labelled(list, label),
        _ => token.parse().ok().filter(|at| *at < list.len()),
    }
}
