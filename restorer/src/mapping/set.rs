//! One place of an object set to a value, or taken out.
//!
//! **Invariants.** (1) Maps on the way are made where they are missing; elements of lists are not: an error names what is not there.
//! (2) What an object is called is not set here but for its name; its namespace and kind stay.

use hindcast_journal::{
    Error, Result,
    exact::{self, Object, Value},
    fold::ObjectKey,
    seal::{escape_pointer, pointer_tokens},
};
use serde::{Deserialize, Serialize};

use super::{Change, Filter, Why};
use crate::{ask::paths, lists, names::object};

/// A place and what it is set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Set {
    /// The place, as people write paths: `spec.template.spec.containers[web].image`.
    pub path: String,
    /// What it is set to; `null` takes it out.
    pub value: Value,
    /// Of which objects.
    pub only: Filter,
}

/// How it is kept: the value as its JSON, so that its numbers stay as they were written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    path: String,
    value: String,
    #[serde(default)]
    only: Filter,
}

impl From<Set> for Written {
    fn from(Set { path, value, only }: Set) -> Self {
        Self { path, value: value.to_string(), only }
    }
}

impl TryFrom<Written> for Set {
    type Error = String;

    fn try_from(Written { path, value, only }: Written) -> Result<Self, String> {
        let value = exact::parse(value.as_bytes()).map_err(|e| format!("the value of {path} is no JSON: {e}"))?;
        Ok(Self { path, value, only })
    }
}

impl Set {
    /// `PATH=VALUE`; what is no JSON is a text.
    pub fn parse(text: &str, only: Filter) -> Result<Self> {
        let refuse = |reason: &str| {
            Error::invalid(format!("`{text}`"), reason).with_hint("write PATH=VALUE, as in spec.replicas=2")
        };
        let at = equals(text).ok_or_else(|| refuse("it has no `=` behind a path"))?;
        let (path, value) = text.split_at_checked(at).ok_or_else(|| refuse("it is no text"))?;
        let value = value.strip_prefix('=').unwrap_or(value);
        let value = exact::parse(value.as_bytes()).unwrap_or_else(|_| Value::from(value));
        let set = Self { path: path.to_owned(), value, only };
        set.check()?;
        Ok(set)
    }

    /// Refuses a path that is none.
    pub(super) fn check(&self) -> Result<()> {
        let pointer = paths::pointer(&self.path).map_err(|reason| {
            Error::invalid(format!("path `{}`", self.path), reason).with_hint("as in spec.replicas")
        })?;
        if pointer.is_empty() {
            return Err(Error::invalid(format!("path `{}`", self.path), "it is all of the object")
                .with_hint("name the place that is to change"));
        }
        self.only.check()
    }

    /// Sets the place in an object.
    pub(super) fn apply(&self, key: &ObjectKey, value: &mut Value, changed: &mut Vec<Change>) -> Result<()> {
        let wrong = |reason: String| {
            Error::invalid(format!("{}: {}", object(key), self.path), reason)
                .with_hint("name another path, or say which objects are meant by kind, name, namespace or labels")
        };
        let pointer = paths::pointer(&self.path).map_err(|reason| wrong(reason.to_owned()))?;
        let tokens = pointer_tokens(&pointer);
        let Some((last, way)) = tokens.split_last() else { return Err(wrong("it is all of the object".to_owned())) };
        let mut path = String::new();
        let mut here = value;
        for (n, token) in way.iter().enumerate() {
            here = match here {
                Value::Object(members) => {
                    if members.get(token).is_none_or(Value::is_null) {
                        if self.value.is_null() {
                            return Ok(());
                        }
                        if tokens.get(n + 1).is_some_and(|next| is_element(next)) {
                            return Err(wrong(format!("there is no list {token}")));
                        }
                        members.insert(token.as_str(), Value::Object(Object::new()));
                    }
                    path.push_str(&format!("/{}", escape_pointer(token)));
                    members.get_mut(token).ok_or_else(|| wrong(format!("there is no {token}")))?
                }
                Value::Array(list) => {
                    let at = index(list, token).ok_or_else(|| wrong(format!("there is no element {token}")))?;
                    path.push_str(&format!("/{at}"));
                    list.get_mut(at).ok_or_else(|| wrong(format!("there is no element {token}")))?
                }
                _ => return Err(wrong(format!("before {token} stands a single value"))),
            };
        }
        let to = (!self.value.is_null()).then(|| self.value.clone());
        let (from, token) = match here {
            Value::Object(members) => {
                let from = match &to {
                    Some(to) => members.insert(last.as_str(), to.clone()),
                    None => members.remove(last),
                };
                (from, escape_pointer(last))
            }
            Value::Array(list) => {
                let at = index(list, last).ok_or_else(|| wrong(format!("there is no element {last}")))?;
                let from = match &to {
                    Some(to) => list.get_mut(at).map(|element| std::mem::replace(element, to.clone())),
                    None => Some(list.remove(at)),
                };
                (from, at.to_string())
            }
            _ => return Err(wrong(format!("before {last} stands a single value"))),
        };
        if from != to {
            changed.push(Change { why: Why::Set, path: format!("{path}/{token}"), from, to });
        }
        Ok(())
    }
}

/// Where the path ends: at the first `=` outside of brackets.
fn equals(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if depth > 0 => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth = depth.saturating_sub(1),
            '=' if depth == 0 => return (at > 0).then_some(at),
            _ => {}
        }
    }
    None
}

/// Whether a token can only mean an element, where nothing stands that would tell.
fn is_element(token: &str) -> bool {
    token.starts_with('[') || token.bytes().all(|b| b.is_ascii_digit())
}

/// Which element a token means: its index, or the one that it labels.
fn index(list: &[Value], token: &str) -> Option<usize> {
    match token.strip_prefix('[').and_then(|token| token.strip_suffix(']')) {
        Some(label) if label.contains('=') => lists::labelled(list, label),
        _ => token.parse().ok().filter(|at| *at < list.len()),
    }
}

/// Refuses what became of an object where it would be one of another kind or namespace.
pub(super) fn stays_itself(key: &ObjectKey, becomes: &ObjectKey, value: &Value) -> Result<()> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let wrong = |reason: String, hint: &str| Err(Error::invalid(object(key), reason).with_hint(hint));
    if becomes.name.is_empty() {
        return wrong("it would have no name".to_owned(), "take out what sets metadata.name to nothing");
    }
    let namespace = text("/metadata/namespace").unwrap_or(&becomes.namespace);
    if namespace != becomes.namespace {
        let reason = format!("it would be in {namespace}, and not in {}", becomes.namespace);
        return wrong(reason, "namespaces are mapped with all that names them, not set by themselves");
    }
    let group =
        text("/apiVersion").map_or(key.group.as_str(), |api| api.split_once('/').map_or("", |(group, _)| group));
    if group != key.group {
        return wrong(format!("it would be of the API group {group:?}"), "an object stays one of its kind");
    }
    Ok(())
}
