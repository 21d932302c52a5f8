//! What a change of a `CustomResourceDefinition` does to the objects that are there.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::exact::{self, Value};

use crate::reason::Reason;

fn versions(crd: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let list = crd.pointer("/spec/versions").and_then(Value::as_array).unwrap_or_default();
    list.iter().filter_map(|version| Some((version.get("name")?.as_str()?, version)))
}

/// Versions that objects are stored in, live, and that the wanted definition does not have.
pub(crate) fn stored_versions_lost(wanted: &Value, live: &Value) -> Vec<String> {
    let has: BTreeSet<&str> = versions(wanted).map(|(name, _)| name).collect();
    let stored = live.pointer("/status/storedVersions").and_then(Value::as_array).unwrap_or_default();
    stored.iter().filter_map(Value::as_str).filter(|name| !has.contains(name)).map(str::to_owned).collect()
}

/// Fields that the live definition has and the wanted one does not, by version, in words of a path (`spec.colour`,
/// `spec.parts[].size`): the server drops them from each object that is written afterwards.
pub fn pruned_fields(wanted: &Value, live: &Value) -> BTreeMap<String, Vec<String>> {
    let wanted: BTreeMap<&str, &Value> = versions(wanted).collect();
    let mut out = BTreeMap::new();
    for (name, version) in versions(live) {
        let schema = |version: &Value| version.pointer("/schema/openAPIV3Schema").cloned();
        let (Some(now), Some(then)) = (schema(version), wanted.get(name).and_then(|version| schema(version))) else {
            continue;
        };
        let mut fields = Vec::new();
        lost(&now, &then, "", &mut fields);
        if !fields.is_empty() {
            out.insert(name.to_owned(), fields);
        }
    }
    out
}

fn lost(now: &Value, then: &Value, path: &str, fields: &mut Vec<String>) {
    if then.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool) == Some(true) {
        return;
    }
    let known = then.get("properties");
    for (name, schema) in now.get("properties").and_then(Value::as_object).into_iter().flat_map(exact::Object::iter) {
        let here = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match known.and_then(|known| known.get(name)) {
            Some(then) => lost(schema, then, &here, fields),
            // A map of anything takes the field as it is.
            None if then.get("additionalProperties").is_some() => {}
            None => fields.push(here),
        }
    }
    for (member, mark) in [("items", "[]"), ("additionalProperties", ".*")] {
        if let (Some(now), Some(then)) = (now.get(member), then.get(member)) {
            lost(now, then, &format!("{path}{mark}"), fields);
        }
    }
}

/// Whether an object holds a field that [`pruned_fields`] named.
pub fn holds(object: &Value, field: &str) -> bool {
    let mut here = vec![object];
    for part in field.split('.') {
        let name = part.trim_end_matches("[]");
        let lists = (part.len() - name.len()) / 2;
        here = here.into_iter().flat_map(|value| members(value, name)).collect();
        for _ in 0..lists {
            here = here.into_iter().flat_map(|value| value.as_array().unwrap_or_default()).collect();
        }
    }
    !here.is_empty()
}

fn members<'v>(value: &'v Value, name: &str) -> Vec<&'v Value> {
    let map = value.as_object();
    if name == "*" {
        return map.into_iter().flat_map(|map| map.iter().map(|(_, value)| value)).collect();
    }
    map.and_then(|map| map.get(name)).into_iter().collect()
}

/// Why an object recorded in a version cannot be written now; none if it can.
pub fn not_served(version: &str, served: &[String]) -> Option<Reason> {
    if served.is_empty() || served.iter().any(|name| name == version) {
        return None;
    }
    Some(Reason::VersionGone { version: version.to_owned(), served: served.to_vec() })
}
