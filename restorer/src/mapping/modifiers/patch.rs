//! JSON patches and merge patches on exact values.

use hindcast_journal::{
    exact::{self, Object, Value},
    seal::{escape_pointer, pointer_tokens},
};

/// One operation of a JSON patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) op: Op,
    pub(super) path: String,
    pub(super) from: String,
    pub(super) value: Value,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
}

impl Op {
    pub(super) const ALL: [(&str, Self); 6] = [
        ("add", Self::Add),
        ("remove", Self::Remove),
        ("replace", Self::Replace),
        ("move", Self::Move),
        ("copy", Self::Copy),
        ("test", Self::Test),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }
}

/// Applies operations; whether none of their tests failed. Otherwise, or on an error, the value is to be discarded.
pub(super) fn json(value: &mut Value, operations: &[Operation]) -> Result<bool, String> {
    for operation in operations {
        let Operation { op, path, from, value: wanted } = operation;
        let wrong = |reason: &dyn std::fmt::Display| format!("{} {path}: {reason}", op.name());
        let path = counted(value, path, matches!(op, Op::Add | Op::Move | Op::Copy)).map_err(|e| wrong(&e))?;
        if *op == Op::Test {
            // What is not there is as good as null.
            if value.pointer(&path).unwrap_or(&Value::Null) != wanted {
                return Ok(false);
            }
            continue;
        }
        let mut members: Vec<(&str, Value)> = vec![("op", op.name().into()), ("path", path.as_str().into())];
        match op {
            Op::Add | Op::Replace => members.push(("value", wanted.clone())),
            Op::Move | Op::Copy => {
                members.push(("from", counted(value, from, false).map_err(|e| wrong(&e))?.into()));
            }
            Op::Remove | Op::Test => {}
        }
        let patch = Value::Array(vec![Value::Object(members.into_iter().collect::<Object>())]);
        exact::apply(value, &patch).map_err(|e| wrong(&e.reason))?;
    }
    Ok(true)
}

/// The pointer with indices that count from the end of their lists made plain ones; what is added may be behind the last.
fn counted(value: &Value, pointer: &str, adds: bool) -> Result<String, &'static str> {
    let tokens = pointer_tokens(pointer);
    let mut here = Some(value);
    let mut out = String::new();
    for (n, token) in tokens.iter().enumerate() {
        let list = here.and_then(Value::as_array);
        let back = token.strip_prefix('-').and_then(|back| back.parse::<usize>().ok());
        let token = match (list, back) {
            (Some(list), Some(back)) => {
                let room = list.len() + usize::from(adds && n + 1 == tokens.len());
                room.checked_sub(back).ok_or("the list has not so many elements")?.to_string()
            }
            _ => escape_pointer(token),
        };
        out.push('/');
        out.push_str(&token);
        here = here.and_then(|here| here.pointer(&format!("/{token}")));
    }
    Ok(out)
}

/// RFC 7386: members are merged, `null` takes one out, all else replaces.
pub(super) fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if value.as_object().is_none() {
        *value = Value::Object(Object::new());
    }
    let Some(members) = value.as_object_mut() else { return };
    for (name, patch) in patch.iter() {
        if patch.is_null() {
            members.remove(name);
            continue;
        }
        if !members.contains_key(name) {
            members.insert(name, Value::Null);
        }
        if let Some(member) = members.get_mut(name) {
            merge(member, patch);
        }
    }
}
