//! JSON pointers as people write paths.
//!
//! **Invariant.** A path names one place: an element stands in brackets, by its name where the list that it is in is at
//! hand and its elements have names, else by its index; a member that is no plain word is quoted.

use std::fmt::Write as _;

use hindcast_journal::{exact::Value, seal::unescape_pointer};
use hindcast_restorer::lists;

/// `spec.containers[0].image`, `metadata.labels["a.b/c"]`
pub(crate) fn spell(pointer: &str) -> String {
    spelled(pointer, None)
}

/// `spec.containers[web].image`, after the object that the pointer is into.
pub(crate) fn spell_in(pointer: &str, object: &Value) -> String {
    spelled(pointer, Some(object))
}

fn spelled(pointer: &str, object: Option<&Value>) -> String {
    let mut out = String::new();
    let mut at = object;
    for token in pointer.split('/').skip(1) {
        let token = unescape_pointer(token);
        let index = token.parse::<usize>().ok().filter(|_| token.bytes().all(|b| b.is_ascii_digit()));
        let list = at.and_then(Value::as_array);
        // Without the object at hand a number is taken for an index, which it is but in maps that count.
        let is_element = list.is_some() || (at.is_none() && index.is_some());
        // A plan names elements in the path itself: `[name=web]`, `[order]`.
        let named = token.strip_prefix('[').and_then(|t| t.strip_suffix(']')).filter(|_| is_element || at.is_none());
        let next = match (list, index, named) {
            (Some(list), Some(index), _) => list.get(index),
            (Some(list), None, Some(named)) => lists::labelled(list, named).and_then(|at| list.get(at)),
            _ => at.and_then(|value| value.get(&token)),
        };
        if let Some(named) = named {
            let own = named.strip_prefix("name=").filter(|name| !name.is_empty());
            let _ = write!(out, "[{}]", own.unwrap_or(named));
        } else if is_element {
            let _ = write!(out, "[{}]", name(list, next).unwrap_or(&token));
        } else if token.is_empty() || token.contains(['.', '/', '[', ' ']) {
            let _ = write!(out, "[{token:?}]");
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&token);
        }
        at = next;
    }
    if out.is_empty() { "(everything)".to_owned() } else { out }
}

/// The name of an element that no other one of its list has.
fn name<'v>(list: Option<&[Value]>, element: Option<&'v Value>) -> Option<&'v str> {
    let name = |element: &'v Value| element.get("name").and_then(Value::as_str);
    let own = name(element?).filter(|own| !own.is_empty() && !own.contains(']'))?;
    let like = list?.iter().filter(|e| e.get("name").and_then(Value::as_str) == Some(own)).count();
    (like == 1).then_some(own)
}

#[cfg(test)]
mod tests;
