//! Definitions of custom resources, and what a change of one does to the objects that are there.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{
    exact::{self, Value},
    fold::ObjectKey,
    seal::escape_pointer,
};

use super::{Anew, Changed, Family, Holds, Kind, Rule, Sides, Turn, Verdict, text};
use crate::{
    permission::Widen,
    reason::{Loss, Ruled},
};

/// Definitions, by their kind key.
pub(crate) const DEFINITIONS: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// Their API group and plural name.
const NAME: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");

pub(super) const FAMILY: Family = Family {
    kinds: &[Kind {
        judge: Some(stored_otherwise),
        destroys: Some(|crd| Some(Loss::Objects(text(crd, "/spec/names/kind").to_owned()))),
        holds: Some(Holds::Definition),
        ca_bundle: Some("spec conversion webhook clientConfig !caBundle"),
        immutable: &["/spec/group", "/spec/scope", "/spec/names/plural"],
        anew: Anew::Destroys,
        solo: Some(|_| false),
        adjust: Some(preserve_unknown),
        on_change: Some(prunes),
        turn: Turn::Definitions,
        goes: Turn::Holders,
        beside: true,
        ..Kind::of(NAME.0, NAME.1)
    }],
    rules: &[
        Rule {
            id: "crd-stored-versions",
            kinds: &["apiextensions.k8s.io/customresourcedefinitions"],
            what: "A definition that lacks a version which objects are stored in is not put back.",
            why: "These objects could not be read any more.",
        },
        Rule {
            id: "crd-prunes",
            kinds: &["apiextensions.k8s.io/customresourcedefinitions"],
            what: "Where fields of the schema go, the plan names them and counts the objects that hold them. Fields of a custom object that its definition does not have by now are not put back; the plan names them.",
            why: "The server drops such fields from each object that is written. Put the definition back first.",
        },
        Rule {
            id: "crd-preserve-unknown",
            kinds: &["apiextensions.k8s.io/customresourcedefinitions"],
            what: "`preserveUnknownFields: true` becomes `x-kubernetes-preserve-unknown-fields` in each schema when a definition is created.",
            why: "The server accepts only that by now; it means the same.",
        },
    ],
};

/// The definition of a custom resource's kind.
pub(crate) fn definition(group: &str, resource: &str) -> ObjectKey {
    ObjectKey {
        namespace: String::new(),
        group: NAME.0.to_owned(),
        resource: NAME.1.to_owned(),
        name: format!("{resource}.{group}"),
    }
}

fn stored_otherwise(sides: &Sides<'_>, _: &Widen) -> Option<Verdict> {
    let missing = stored_versions_lost(sides.then()?, sides.now()?);
    (!missing.is_empty()).then(|| Verdict::leave(Ruled::StoredVersions(missing)))
}

fn versions(crd: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let list = crd.pointer("/spec/versions").and_then(Value::as_array).unwrap_or_default();
    list.iter().filter_map(|version| Some((version.get("name")?.as_str()?, version)))
}

/// Versions that objects are stored in, live, and that the wanted definition does not have.
fn stored_versions_lost(wanted: &Value, live: &Value) -> Vec<String> {
    let has: BTreeSet<&str> = versions(wanted).map(|(name, _)| name).collect();
    let stored = live.pointer("/status/storedVersions").and_then(Value::as_array).unwrap_or_default();
    stored.iter().filter_map(Value::as_str).filter(|name| !has.contains(name)).map(str::to_owned).collect()
}

/// Fields that the live definition has and the wanted one does not, by version, in words of a path (`spec.colour`,
/// `spec.parts[].size`): the server drops them from each object that is written afterwards.
pub(crate) fn pruned_fields(wanted: &Value, live: &Value) -> BTreeMap<String, Vec<String>> {
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

/// Takes out of an object what the schema of its version does not have, as the server would; the places, as JSON pointers.
pub(crate) fn prune(crd: &Value, version: &str, object: &mut Value) -> Vec<String> {
    let keeps_all = crd.pointer("/spec/preserveUnknownFields").and_then(Value::as_bool) == Some(true);
    let schema = versions(crd).find(|(name, _)| *name == version);
    let schema = schema.and_then(|(_, version)| version.pointer("/schema/openAPIV3Schema"));
    let (Some(schema), false, Some(root)) = (schema, keeps_all, object.as_object_mut()) else { return Vec::new() };
    let mut dropped = Vec::new();
    // What every object has is no matter of a schema, and a status is never written.
    let names: Vec<String> = root.keys().filter(|name| !COMMON.contains(name)).map(str::to_owned).collect();
    for name in names {
        prune_member(root, &name, schema, "", &mut dropped);
    }
    dropped
}

/// What is not said by the schema of a kind.
const COMMON: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

fn prune_member(object: &mut exact::Object, name: &str, schema: &Value, path: &str, dropped: &mut Vec<String>) {
    let here = format!("{path}/{}", escape_pointer(name));
    let says = |word: &str| schema.get(word).and_then(Value::as_bool) == Some(true);
    if says("x-kubernetes-embedded-resource") && COMMON.iter().take(3).any(|common| *common == name) {
        return;
    }
    let other = schema.get("additionalProperties");
    match (schema.get("properties").and_then(|known| known.get(name)), other) {
        (Some(known), _) | (None, Some(known @ Value::Object(_))) => {
            if let Some(value) = object.get_mut(name) {
                prune_value(value, known, &here, dropped);
            }
        }
        _ if says("x-kubernetes-preserve-unknown-fields") || other.and_then(Value::as_bool) == Some(true) => {}
        _ => {
            object.remove(name);
            dropped.push(here);
        }
    }
}

fn prune_value(value: &mut Value, schema: &Value, path: &str, dropped: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            let names: Vec<String> = object.keys().map(str::to_owned).collect();
            for name in names {
                prune_member(object, &name, schema, path, dropped);
            }
        }
        Value::Array(list) => {
            let Some(schema) = schema.get("items") else { return };
            for (at, element) in list.iter_mut().enumerate() {
                prune_value(element, schema, &format!("{path}/{at}"), dropped);
            }
        }
        _ => {}
    }
}

/// Whether an object holds a field that [`pruned_fields`] named.
pub(crate) fn holds(object: &Value, field: &str) -> bool {
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

/// `preserveUnknownFields: true` is of the first version of CRDs; today's says the same in each schema.
fn preserve_unknown(body: &mut Value) -> Vec<String> {
    let Some(spec) = body.get_mut("spec").and_then(Value::as_object_mut) else { return Vec::new() };
    if spec.get("preserveUnknownFields").and_then(Value::as_bool) != Some(true) {
        return Vec::new();
    }
    spec.insert("preserveUnknownFields", Value::from(false));
    let versions = spec.get_mut("versions").and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema").and_then(Value::as_object_mut) {
            schema.insert("x-kubernetes-preserve-unknown-fields", Value::from(true));
        }
    }
    vec!["preserveUnknownFields is no longer accepted: each schema preserves unknown fields instead".to_owned()]
}

fn prunes(changed: &Changed<'_>) -> Vec<String> {
    let pruned = changed.live.map(|live| pruned_fields(changed.target, live)).unwrap_or_default();
    let said = |(version, fields): (String, Vec<String>)| {
        let fields = fields.join(", ");
        format!("{version} loses {fields}: objects lose these fields when they are written again")
    };
    pruned.into_iter().map(said).collect()
}

/// Whether a definition converts objects between its versions by changing their `apiVersion`, and nothing else.
pub(crate) fn converts_by_name(crd: &Value) -> bool {
    matches!(text(crd, "/spec/conversion/strategy"), "" | "None")
}

/// Whether a definition serves a version.
pub(crate) fn serves(crd: &Value, version: &str) -> bool {
    versions(crd).any(|(name, of)| name == version && of.get("served").and_then(Value::as_bool) == Some(true))
}
