//! Where the operations of a patch are, with list elements called by their names: a container by its name, not by its
//! index.
//!
//! **Invariant.** A name is that of the very element: it is looked up in the object as it stands before the operation, and
//! where that is not known no place is given. Of kinds with sealed places none is: a name may be one of them.

use std::collections::BTreeMap;

use hindcast_journal::{
    exact::{self, Value},
    fold::{ObjectKey, State},
    row::{Body, Row},
    seal::{Rules, unescape_pointer},
};

use crate::lists;

/// The objects of a range in public form, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Places {
    objects: BTreeMap<ObjectKey, Value>,
    rules: Rules,
}

impl Places {
    /// From the state that a range begins with.
    pub(super) fn of(state: &State, rules: &Rules) -> Self {
        let known = state.objects.iter().filter_map(|(key, entry)| {
            let value = exact::parse_canonical(&entry.public()).ok()?;
            Some((key.clone(), value))
        });
        Self { objects: known.collect(), rules: rules.clone() }
    }

    /// Knows no object any more, until it is written in full.
    pub(super) fn forget(&mut self) {
        self.objects.clear();
    }

    /// The place of each operation of a row's patch, and the text that stood there; none where they are not known. The
    /// object goes on to what it is after.
    pub(super) fn step(&mut self, row: &Row) -> (Vec<String>, Vec<Option<Value>>) {
        if self.rules.is_named(&row.group, &row.resource) {
            return Default::default();
        }
        let key = ObjectKey::of(row);
        match &row.body {
            Body::Patch(bytes) => {
                let known = self.objects.remove(&key).zip(exact::parse(bytes).ok());
                let Some((places, stood, after)) = known.and_then(|(object, patch)| walk(object, &patch)) else {
                    return Default::default();
                };
                self.objects.insert(key, after);
                return (places, stood);
            }
            Body::Object(bytes) if row.op.is_object() => match exact::parse(bytes) {
                Ok(object) => _ = self.objects.insert(key, object),
                Err(_) => _ = self.objects.remove(&key),
            },
            Body::Object(_) | Body::None => _ = self.objects.remove(&key),
        }
        Default::default()
    }
}

/// The place of each operation, the text that stood there, and the object after all of them.
fn walk(mut object: Value, patch: &Value) -> Option<(Vec<String>, Vec<Option<Value>>, Value)> {
    let operations = patch.as_array()?;
    let mut places = Vec::with_capacity(operations.len());
    let mut stood = Vec::with_capacity(operations.len());
    for operation in operations {
        let (place, kind) = (operation.get("path")?.as_str()?, operation.get("op")?.as_str()?);
        stood.push(object.pointer(place).filter(|value| kind == "replace" && value.as_str().is_some()).cloned());
        places.push(match (kind, place.rsplit_once('/')) {
            // What is added to a list stands before what has its index.
            ("add", Some((parent, own))) => format!("{}/{own}", named(&object, parent)),
            _ => named(&object, place),
        });
        exact::apply(&mut object, &Value::Array(vec![operation.clone()])).ok()?;
    }
    Some((places, stood, object))
}

/// A pointer with the elements of lists labelled, as far as they are there and name themselves.
fn named(object: &Value, pointer: &str) -> String {
    let mut out = String::with_capacity(pointer.len());
    let mut at = Some(object);
    for token in pointer.split('/').skip(1) {
        let list = at.and_then(Value::as_array);
        let index = token.parse::<usize>().ok().filter(|index| list.is_some_and(|list| *index < list.len()));
        let label = list.zip(index).and_then(|(list, index)| lists::label(list, index, &|_| false));
        out.push('/');
        out.push_str(label.as_deref().unwrap_or(token));
        at = match (list, index) {
            (Some(list), Some(index)) => list.get(index),
            (Some(_), None) => None,
            _ => at.and_then(|value| value.get(&unescape_pointer(token))),
        };
    }
    out
}
