//! JSON Patch (RFC 6902) applied to exact values.
//!
//! Invariants: keys and indices are read as RFC 6901 says (`~0`, `~1`, `-` for the end of a list, no leading
//! zeros); no operation can nest a value beyond [`MAX_DEPTH`]. `test` compares tokens, not magnitudes.
//!
//! An application that fails leaves the value half patched: the caller discards it.

use std::borrow::Cow;

use super::{
    MAX_DEPTH,
    error::{PatchError, PatchReason},
    value::Value,
};

/// Applies a patch in place. On an error the document is left as the failing operation found it, which is
/// neither the old state nor the new one: discard it.
pub fn apply(document: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let Value::Array(operations) = patch else {
        let reason = PatchReason::NotAnArray;
        return Err(PatchError { index: 0, path: String::new(), reason });
    };
    for (index, operation) in operations.iter().enumerate() {
        apply_one(document, operation).map_err(|reason| {
            let named = operation.get("path").and_then(Value::as_str).unwrap_or_default();
            PatchError { index, path: named.to_owned(), reason }
        })?;
    }
    Ok(())
}

fn apply_one(document: &mut Value, operation: &Value) -> Result<(), PatchReason> {
    let pointer = |member: &'static str| {
        let text = operation.get(member).and_then(Value::as_str).ok_or(PatchReason::Missing(member))?;
        tokens(text).ok_or(PatchReason::InvalidPointer)
    };
    let value = || operation.get("value").ok_or(PatchReason::Missing("value"));
    let name = operation.get("op").and_then(Value::as_str).ok_or(PatchReason::Missing("op"))?;
    let path = pointer("path")?;
    match name {
        "add" => add(document, &path, value()?.clone()),
        "remove" => remove(document, &path).map(drop),
        "replace" => {
            let value = value()?;
            fits(&path, value)?;
            *find(document, &path)? = value.clone();
            Ok(())
        }
        "move" => {
            let from = pointer("from")?;
            if path.len() > from.len() && path.starts_with(&from) {
                return Err(PatchReason::IntoItself);
            }
            let value = remove(document, &from)?;
            add(document, &path, value)
        }
        "copy" => {
            let from = pointer("from")?;
            let value = find(document, &from)?.clone();
            add(document, &path, value)
        }
        "test" => {
            let value = value()?;
            if find(document, &path)? == value { Ok(()) } else { Err(PatchReason::TestFailed) }
        }
        _ => Err(PatchReason::UnknownOperation),
    }
}

fn add(document: &mut Value, path: &[Cow<'_, str>], value: Value) -> Result<(), PatchReason> {
    fits(path, &value)?;
    let Some((token, parents)) = path.split_last() else {
        *document = value;
        return Ok(());
    };
    match find(document, parents)? {
        Value::Object(object) => {
            object.insert(&**token, value);
            Ok(())
        }
        Value::Array(list) => {
            let at = if token == "-" { Some(list.len()) } else { index(token) };
            let at = at.filter(|at| *at <= list.len()).ok_or(PatchReason::InvalidIndex)?;
            list.insert(at, value);
            Ok(())
        }
        _ => Err(PatchReason::NotFound),
    }
}

fn remove(document: &mut Value, path: &[Cow<'_, str>]) -> Result<Value, PatchReason> {
    let Some((token, parents)) = path.split_last() else {
        return Err(PatchReason::WholeDocument);
    };
    match find(document, parents)? {
        Value::Object(object) => object.remove(token).ok_or(PatchReason::NotFound),
        Value::Array(list) => {
            let at = index(token).filter(|at| *at < list.len()).ok_or(PatchReason::InvalidIndex)?;
            Ok(list.remove(at))
        }
        _ => Err(PatchReason::NotFound),
    }
}

fn find<'v>(document: &'v mut Value, path: &[Cow<'_, str>]) -> Result<&'v mut Value, PatchReason> {
    path.iter().try_fold(document, |value, token| match value {
        Value::Object(object) => object.get_mut(token).ok_or(PatchReason::NotFound),
        Value::Array(list) => index(token).and_then(|at| list.get_mut(at)).ok_or(PatchReason::InvalidIndex),
        _ => Err(PatchReason::NotFound),
    })
}

/// Whether a value put at a path keeps the whole within the depth that every reader here relies on.
fn fits(path: &[Cow<'_, str>], value: &Value) -> Result<(), PatchReason> {
    fn within(value: &Value, room: usize) -> bool {
        match value {
            Value::Array(list) => room > 0 && list.iter().all(|value| within(value, room - 1)),
            Value::Object(object) => room > 0 && object.iter().all(|(_, value)| within(value, room - 1)),
            _ => true,
        }
    }
    let room = MAX_DEPTH.checked_sub(path.len()).ok_or(PatchReason::TooDeep)?;
    if within(value, room) { Ok(()) } else { Err(PatchReason::TooDeep) }
}

/// The decoded tokens of a JSON pointer; none if it is not one.
pub(super) fn tokens(pointer: &str) -> Option<Vec<Cow<'_, str>>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    pointer.strip_prefix('/')?.split('/').map(unescape).collect()
}

fn unescape(token: &str) -> Option<Cow<'_, str>> {
    if !token.contains('~') {
        return Some(Cow::Borrowed(token));
    }
    let mut parts = token.split('~');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        if let Some(rest) = part.strip_prefix('0') {
            out.push('~');
            out.push_str(rest);
        } else {
            out.push('/');
            out.push_str(part.strip_prefix('1')?);
        }
    }
    Some(Cow::Owned(out))
}

/// A token as an index of a list: digits without a leading zero.
pub(super) fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with(['0', '+', '-']);
    if plain { token.parse().ok() } else { None }
}
