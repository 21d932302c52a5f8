//! Strategic merge patches, for Kubernetes' own kinds: maps are merged, and lists where the kind says by which key.
//!
//! Understood are `$patch` (`merge`, `replace`, `delete`) in maps and in elements, `$retainKeys`, and `$deleteFromPrimitiveList/…`. **Not
//! understood**, and refused: `$setElementOrder/…`, which only programs write, and patches of custom kinds (as in Velero: there a merge
//! patch does it). Whether a field exists is not asked here, where Velero refuses unknown ones: the server does.
//!
//! **Invariant.** A list that no row of the table is about is replaced as a whole, as the server does it.

use hindcast_journal::{
    exact::{Object, Value},
    fold::ObjectKey,
};

use super::super::pods;
use crate::kinds::is_built_in;

/// How the elements of a list are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Elements {
    /// By a field that names them.
    By(&'static str),
    /// As a set of texts.
    Set,
    /// Not at all.
    Replaced,
}

use Elements::{By, Set};

/// Lists of any kind.
const ANY: &[(&str, Elements)] =
    &[("metadata/finalizers", Set), ("metadata/ownerReferences", By("uid")), ("status/conditions", By("type"))];

/// Lists in a template for Pods.
const PODS: &[(&str, Elements)] = &[
    ("metadata/finalizers", Set),
    ("metadata/ownerReferences", By("uid")),
    ("spec/containers", By("name")),
    ("spec/ephemeralContainers", By("name")),
    ("spec/hostAliases", By("ip")),
    ("spec/imagePullSecrets", By("name")),
    ("spec/initContainers", By("name")),
    ("spec/resourceClaims", By("name")),
    ("spec/schedulingGates", By("name")),
    ("spec/topologySpreadConstraints", By("topologyKey")),
    ("spec/volumes", By("name")),
];

/// Lists in a container.
const CONTAINERS: &[(&str, Elements)] = &[
    ("env", By("name")),
    ("ports", By("containerPort")),
    ("volumeDevices", By("devicePath")),
    ("volumeMounts", By("mountPath")),
];

const LISTS_OF_CONTAINERS: [&str; 3] = ["spec/containers/", "spec/ephemeralContainers/", "spec/initContainers/"];

/// Lists of single kinds.
const KINDS: &[(&str, &str, Elements)] = &[
    ("/nodes", "spec/podCIDRs", Set),
    ("/nodes", "status/addresses", By("type")),
    ("/pods", "status/hostIPs", By("ip")),
    ("/pods", "status/podIPs", By("ip")),
    ("/serviceaccounts", "secrets", By("name")),
    ("/services", "spec/ports", By("port")),
    ("admissionregistration.k8s.io/mutatingadmissionpolicies", "spec/matchConditions", By("name")),
    ("admissionregistration.k8s.io/mutatingwebhookconfigurations", "webhooks", By("name")),
    ("admissionregistration.k8s.io/mutatingwebhookconfigurations", "webhooks/matchConditions", By("name")),
    ("admissionregistration.k8s.io/validatingadmissionpolicies", "spec/matchConditions", By("name")),
    ("admissionregistration.k8s.io/validatingadmissionpolicies", "spec/variables", By("name")),
    ("admissionregistration.k8s.io/validatingwebhookconfigurations", "webhooks", By("name")),
    ("admissionregistration.k8s.io/validatingwebhookconfigurations", "webhooks/matchConditions", By("name")),
    ("storage.k8s.io/csinodes", "spec/drivers", By("name")),
];

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Merges a patch into an object; what is wrong with it otherwise.
pub(super) fn merge(key: &ObjectKey, value: &mut Value, patch: &Value) -> Result<(), String> {
    if !is_built_in(&key.group) {
        return Err(format!(
            "strategic patches are for Kubernetes' own kinds, and {} is of {}: use mergePatches",
            key.resource, key.group
        ));
    }
    let kind = key.kind_key();
    map(&kind, &mut String::new(), value, patch)
}

/// How the elements of the list at a path are merged.
fn elements(kind: &str, path: &str) -> Elements {
    let of = |rows: &[(&str, Elements)], path: &str| rows.iter().find(|(at, _)| *at == path).map(|(_, how)| *how);
    let in_template = || {
        let (_, template) = pods::templates().find(|(with, _)| *with == kind)?;
        let rest = path.strip_prefix(&template.replace(' ', "/"))?.trim_start_matches('/');
        let in_container = LISTS_OF_CONTAINERS.iter().find_map(|list| of(CONTAINERS, rest.strip_prefix(list)?));
        of(PODS, rest).or(in_container)
    };
    let own = || KINDS.iter().find(|(with, at, _)| *with == kind && *at == path).map(|(_, _, how)| *how);
    of(ANY, path).or_else(own).or_else(in_template).unwrap_or(Elements::Replaced)
}

fn map(kind: &str, path: &mut String, value: &mut Value, patch: &Value) -> Result<(), String> {
    let Some(patch) = patch.as_object() else { return Err(format!("{}: the patch is no mapping", at(path))) };
    match directive(patch) {
        None | Some("merge") => {}
        Some("replace") => {
            *value = cleaned(&Value::Object(patch.clone()));
            return Ok(());
        }
        Some("delete") => {
            *value = Value::Object(Object::new());
            return Ok(());
        }
        Some(other) => return Err(format!("{}: there is no `$patch: {other}`", at(path))),
    }
    if value.as_object().is_none() {
        *value = Value::Object(Object::new());
    }
    let Some(members) = value.as_object_mut() else { return Ok(()) };
    retain(members, patch, path)?;
    for (name, new) in patch.iter() {
        if name == PATCH || name == RETAIN {
            continue;
        }
        if name.starts_with(ORDER) {
            return Err(format!("{}: `{name}` is not understood: leave it out", at(path)));
        }
        if let Some(list) = name.strip_prefix(DELETE) {
            let gone = new.as_array().ok_or_else(|| format!("{}: `{name}` is no list", at(path)))?;
            if let Some(list) = members.get_mut(list).and_then(Value::as_array_mut) {
                list.retain(|one| !gone.contains(one));
            }
            continue;
        }
        if new.is_null() {
            members.remove(name);
            continue;
        }
        let length = path.len();
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(name);
        match (members.get_mut(name), new) {
            (Some(old @ Value::Object(_)), Value::Object(_)) => map(kind, path, old, new)?,
            (Some(Value::Array(old)), Value::Array(new)) => list(kind, path, old, new)?,
            _ => {
                members.insert(name, cleaned(new));
            }
        }
        path.truncate(length);
    }
    Ok(())
}

/// Takes out what is not to stay.
fn retain(members: &mut Object, patch: &Object, path: &str) -> Result<(), String> {
    let Some(keys) = patch.get(RETAIN) else { return Ok(()) };
    let keys = keys.as_array().ok_or_else(|| format!("{}: `{RETAIN}` is no list", at(path)))?;
    let stays = |name: &str| keys.iter().any(|key| key.as_str() == Some(name));
    if let Some(more) = patch.keys().find(|name| !name.starts_with('$') && !stays(name)) {
        return Err(format!("{}: `{RETAIN}` does not name {more}, which the patch sets", at(path)));
    }
    let gone: Vec<String> = members.keys().filter(|name| !stays(name)).map(str::to_owned).collect();
    for name in gone {
        members.remove(&name);
    }
    Ok(())
}

fn list(kind: &str, path: &mut String, old: &mut Vec<Value>, new: &[Value]) -> Result<(), String> {
    let is = |element: &Value, what: &str| element.as_object().and_then(directive) == Some(what);
    let plain = || new.iter().filter(|element| !is(element, "replace")).map(cleaned);
    match elements(kind, path) {
        _ if new.iter().any(|element| is(element, "replace")) => *old = plain().collect(),
        Elements::Replaced => *old = plain().collect(),
        Set => {
            for one in new {
                if !old.contains(one) {
                    old.push(one.clone());
                }
            }
        }
        By(field) => {
            for element in new {
                let name = element.get(field).filter(|name| !name.is_null());
                let name = name.ok_or_else(|| format!("{}: an element has no {field}, which names it", at(path)))?;
                let found = old.iter().position(|one| one.get(field) == Some(name));
                match found.and_then(|found| Some((found, old.get_mut(found)?))) {
                    Some((found, _)) if is(element, "delete") => {
                        old.remove(found);
                    }
                    Some((_, one)) => map(kind, path, one, element)?,
                    None if is(element, "delete") => {}
                    None => old.push(cleaned(element)),
                }
            }
        }
    }
    Ok(())
}

fn directive(patch: &Object) -> Option<&str> {
    patch.get(PATCH)?.as_str()
}

/// A value without what is said to the merge.
fn cleaned(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let stays = members.iter().filter(|(name, value)| !is_said(name) && !value.is_null());
            Value::Object(stays.map(|(name, value)| (name, cleaned(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(cleaned).collect()),
        _ => value.clone(),
    }
}

fn is_said(name: &str) -> bool {
    name == PATCH || name == RETAIN || name.starts_with(ORDER) || name.starts_with(DELETE)
}

fn at(path: &str) -> &str {
    if path.is_empty() { "the patch" } else { path }
}
