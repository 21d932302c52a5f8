//! Whose fields they are, after we wrote them: set again as it was at the moment.
//!
//! A write makes its writer the owner of what it changes, whatever managedFields it carries; the next `kubectl apply
//! --server-side` of the one who owned it before then fails. A second request that changes nothing but managedFields
//! gives the fields back.
//!
//! **Words**: an *entry* is one item of managedFields: a manager, its operation and subresource, the fields it owns.
//!
//! **Invariants.** (1) What controllers own stays as it is live: their entries describe fields that a restore keeps. What they
//! alone own is given to nobody else, or the next plan would take it for somebody's.
//! (2) Our own manager is left as an owner of nothing. (3) Managers that came later own nothing of what was put back, so
//! that the old ones meet no conflict with them. (4) Where managedFields of the moment are not known, nothing is set.

use hindcast_journal::exact::{Object, Value};

use super::request::MANAGER;
use crate::kept::owners;

/// The managedFields to set; `None` when those that stand are right or nothing is known of the moment.
pub(crate) fn wanted(past: Option<&Value>, live: Option<&Value>, created: bool) -> Option<Value> {
    let past = past?.as_array()?;
    let live = live.and_then(Value::as_array).unwrap_or_default();
    let mut out: Vec<Value> = Vec::with_capacity(past.len() + live.len());
    let alone = if created { Object::new() } else { alone(live) };
    let written = all_fields(live.iter().filter(|entry| is_ours(entry)));
    for entry in past {
        if is_ours(entry) {
            continue;
        }
        // What was written through a subresource, as the replicas of a scaler: its writer's again where it was put back.
        if !subresource(entry).is_empty() {
            out.extend(within(entry, &written));
            continue;
        }
        // An object that was just created has no controllers' fields but those that it was created with.
        if is_controller(entry) && !created {
            continue;
        }
        out.extend(without(entry, &alone));
    }
    for entry in live {
        if is_ours(entry) || !is_machines(entry) {
            continue;
        }
        match out.iter_mut().find(|e| same_manager(e, entry)) {
            Some(standing) => *standing = entry.clone(),
            None => out.push(entry.clone()),
        }
    }
    if same_entries(&out, live) {
        return None;
    }
    if out.is_empty() {
        // An empty list is taken for "not given"; one empty entry takes all of them away.
        out.push(Value::Object(Object::new()));
    }
    Some(Value::Array(out))
}

/// Whether an entry describes what a restore keeps: a controller's, or what was written through a subresource.
fn is_machines(entry: &Value) -> bool {
    is_controller(entry) || !subresource(entry).is_empty()
}

fn fields(entry: &Value) -> Object {
    entry.get("fieldsV1").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The fields of several entries.
fn all_fields<'v>(entries: impl IntoIterator<Item = &'v Value>) -> Object {
    let mut out = Object::new();
    entries.into_iter().for_each(|entry| join(&mut out, &fields(entry)));
    out
}

/// The fields that stand in machines' entries and in no others.
fn alone(live: &[Value]) -> Object {
    let (machines, others): (Vec<&Value>, Vec<&Value>) = live.iter().partition(|entry| is_machines(entry));
    let out = all_fields(machines);
    others.iter().fold(out, |out, entry| minus(&out, &fields(entry)))
}

/// An entry without some fields; none if it owns nothing else.
fn without(entry: &Value, fields: &Object) -> Option<Value> {
    let mut entry = entry.clone();
    let own = entry.get_mut("fieldsV1").and_then(Value::as_object_mut);
    if let Some(own) = own.filter(|own| !own.is_empty()) {
        *own = minus(own, fields);
        if own.is_empty() {
            return None;
        }
    }
    Some(entry)
}

/// An entry with none but some fields; none if it owns none of them.
fn within(entry: &Value, fields: &Object) -> Option<Value> {
    let mut entry = entry.clone();
    let own = entry.get_mut("fieldsV1").and_then(Value::as_object_mut)?;
    *own = minus(own, &minus(own, fields));
    (!own.is_empty()).then_some(entry)
}

/// Adds a set of fields to another. A field is a member without members.
fn join(into: &mut Object, fields: &Object) {
    for (name, below) in fields.iter() {
        match into.get_mut(name).and_then(Value::as_object_mut) {
            Some(standing) => join(standing, below.as_object().unwrap_or(&Object::new())),
            None => {
                into.insert(name, below.clone());
            }
        }
    }
}

/// The fields of one set that another does not have.
fn minus(fields: &Object, others: &Object) -> Object {
    let mut out = Object::new();
    for (name, below) in fields.iter() {
        let inner = (below.as_object(), others.get(name).and_then(Value::as_object));
        let (Some(below_here), Some(there)) = inner else {
            out.insert(name, below.clone());
            continue;
        };
        match (below_here.is_empty(), there.is_empty()) {
            // The field itself.
            (true, true) => {}
            (true, false) | (false, true) => {
                out.insert(name, below.clone());
            }
            (false, false) => {
                let rest = minus(below_here, there);
                if !rest.is_empty() {
                    out.insert(name, Value::Object(rest));
                }
            }
        }
    }
    out
}

/// The request's body: nothing but managedFields, guarded by the revision.
pub(crate) fn patch(managed: Value, rv: &str, uid: &str) -> Value {
    let metadata: Object =
        [("managedFields", managed), ("resourceVersion", rv.into()), ("uid", uid.into())].into_iter().collect();
    Value::Object([("metadata", Value::Object(metadata))].into_iter().collect())
}

fn member<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn subresource(entry: &Value) -> &str {
    member(entry, "subresource")
}

fn is_ours(entry: &Value) -> bool {
    member(entry, "manager") == MANAGER
}

fn same_manager(one: &Value, other: &Value) -> bool {
    ["manager", "operation", "subresource", "apiVersion"].iter().all(|name| member(one, name) == member(other, name))
}

/// In any order.
fn same_entries(one: &[Value], other: &[Value]) -> bool {
    one.len() == other.len() && one.iter().all(|entry| other.contains(entry))
}

/// Whether the entry's fields are nobody's intent, in the words of the rules.
fn is_controller(entry: &Value) -> bool {
    owners::is_machine(member(entry, "manager"))
}

#[cfg(test)]
mod tests;
