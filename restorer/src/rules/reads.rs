//! Which `ConfigMap`s and Secrets a workload reads, and whether its running Pods notice a change.

use std::collections::BTreeSet;

use hindcast_journal::exact::Value;

use crate::kinds::{
    self,
    secrets::{CONFIG_MAPS, SECRETS},
};

/// A `ConfigMap` or Secret, by kind key and name.
pub type Source = (&'static str, String);

/// What a Pod reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Read once, when a container starts: through the environment, or mounted by `subPath`. Running Pods keep the old.
    pub at_start: BTreeSet<Source>,
    /// Mounted as a volume: the files follow within a minute or so.
    pub followed: BTreeSet<Source>,
}

/// The spec of the Pods that an object makes, or of the Pod that it is.
pub fn pod_spec<'v>(kind_key: &str, object: &'v Value) -> Option<&'v Value> {
    object.pointer(kinds::find(kind_key).pods)
}

/// What the Pods of this spec read.
pub fn reads(pod_spec: &Value) -> Reads {
    let mut out = Reads::default();
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let containers: Vec<&Value> = lists.iter().flat_map(|list| elements(pod_spec, list)).collect();
    for container in &containers {
        environment(container, &mut out.at_start);
    }
    let by_sub_path: BTreeSet<&str> = containers
        .iter()
        .flat_map(|container| elements(container, "volumeMounts"))
        .filter(|mount| mount.get("subPath").is_some() || mount.get("subPathExpr").is_some())
        .filter_map(|mount| mount.get("name")?.as_str())
        .collect();
    for volume in elements(pod_spec, "volumes") {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
        let into = if by_sub_path.contains(name) { &mut out.at_start } else { &mut out.followed };
        let projected = volume.get("projected").map(|projected| elements(projected, "sources")).unwrap_or_default();
        source(volume, ("configMap", "name"), ("secret", "secretName"), into);
        for part in projected {
            source(part, ("configMap", "name"), ("secret", "name"), into);
        }
    }
    out
}

fn elements<'v>(value: &'v Value, list: &str) -> &'v [Value] {
    value.get(list).and_then(Value::as_array).unwrap_or_default()
}

fn environment(container: &Value, into: &mut BTreeSet<Source>) {
    for variable in elements(container, "env") {
        if let Some(from) = variable.get("valueFrom") {
            source(from, ("configMapKeyRef", "name"), ("secretKeyRef", "name"), into);
        }
    }
    for from in elements(container, "envFrom") {
        source(from, ("configMapRef", "name"), ("secretRef", "name"), into);
    }
}

fn source(value: &Value, config_map: (&str, &str), secret: (&str, &str), into: &mut BTreeSet<Source>) {
    for (kind, (member, field)) in [(CONFIG_MAPS, config_map), (SECRETS, secret)] {
        if let Some(name) = value.get(member).and_then(|part| part.get(field)?.as_str()) {
            into.insert((kind, name.to_owned()));
        }
    }
}
