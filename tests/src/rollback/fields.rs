//! What "as it was" means, kind by kind: a list of fields, written by hand.
//!
//! It is the test's own opinion of what a user means by rolling back, and deliberately not the restorer's table. What
//! isn't in the list (revision, uid, stamps, managedFields, status) is not compared between a moment and what was put
//! back; between two states that nothing should have touched, everything but revision and managedFields is
//! ([`untouched`]).

use serde_json::{Map, Value, json};

use super::Sort;

/// What of an object is not compared this time, with the reason in the variant's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Except {
    /// `spec.replicas`: an autoscaler sets them.
    pub replicas: bool,
    /// A Service's addresses: another instance got others.
    pub addresses: bool,
    /// Its node ports: the server gives them to nobody.
    pub node_ports: bool,
}

/// The fields of a kind that a rollback must bring back.
pub fn restored(sort: Sort) -> &'static [&'static str] {
    match sort {
        Sort::ConfigMap => &["data", "binaryData", "immutable"],
        Sort::Secret => &["data", "type", "immutable"],
        Sort::ServiceAccount => &["secrets", "imagePullSecrets", "automountServiceAccountToken"],
        Sort::Role => &["rules"],
        Sort::RoleBinding => &["roleRef", "subjects"],
        Sort::EndpointSlice => &["addressType", "endpoints", "ports"],
        Sort::Service
        | Sort::Deployment
        | Sort::StatefulSet
        | Sort::DaemonSet
        | Sort::CronJob
        | Sort::Ingress
        | Sort::NetworkPolicy
        | Sort::PodDisruptionBudget
        | Sort::HorizontalPodAutoscaler
        | Sort::PersistentVolumeClaim
        | Sort::ResourceQuota
        | Sort::LimitRange
        | Sort::Pod
        | Sort::Blob
        | Sort::Shop => &["spec"],
    }
}

/// The part of an object that a rollback must bring back. For owners that is who they are, not which instance.
pub fn project(sort: Sort, object: &Value, except: Except) -> Value {
    let mut out = Map::new();
    for field in ["labels", "annotations"] {
        let mut value = object["metadata"][field].as_object().cloned().unwrap_or_default();
        // The server counts a DaemonSet's templates in an annotation, whoever writes.
        value.remove("deprecated.daemonset.template.generation");
        // What a range gave to a Pod, in words.
        value.remove("kubernetes.io/limit-ranger");
        if !value.is_empty() {
            out.insert(format!("metadata.{field}"), Value::Object(value));
        }
    }
    let owners: Vec<Value> = object["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|owner| json!([owner["apiVersion"], owner["kind"], owner["name"], owner["controller"]]))
        .collect();
    if !owners.is_empty() {
        out.insert("metadata.ownerReferences".to_owned(), json!(owners));
    }
    for field in restored(sort) {
        if let Some(value) = object.get(*field) {
            out.insert((*field).to_owned(), value.clone());
        }
    }
    let Some(spec) = out.get_mut("spec").and_then(Value::as_object_mut) else {
        return Value::Object(out);
    };
    if except.replicas {
        spec.remove("replicas");
    }
    if sort == Sort::PersistentVolumeClaim {
        spec.remove("volumeName");
    }
    if sort == Sort::Service && except.addresses {
        for field in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
            spec.remove(field);
        }
    }
    if sort == Sort::Service && except.node_ports {
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            port.as_object_mut().map(|port| port.remove("nodePort"));
        }
    }
    Value::Object(out)
}

/// Everything in an object that nobody but its writers may change.
pub fn untouched(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    object
}

/// The first places where two values differ, for messages.
pub fn differences(a: &Value, b: &Value) -> Vec<String> {
    fn walk(path: &str, a: &Value, b: &Value, into: &mut Vec<String>) {
        if a == b || into.len() > 8 {
            return;
        }
        match (a, b) {
            (Value::Object(x), Value::Object(y)) => {
                let keys: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
                for key in keys {
                    let (x, y) = (x.get(key).unwrap_or(&Value::Null), y.get(key).unwrap_or(&Value::Null));
                    walk(&format!("{path}/{key}"), x, y, into);
                }
            }
            (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
                for (n, (x, y)) in x.iter().zip(y).enumerate() {
                    walk(&format!("{path}/{n}"), x, y, into);
                }
            }
            _ => into.push(format!("{path}: {} ≠ {}", short(a), short(b))),
        }
    }
    let mut into = Vec::new();
    walk("", a, b, &mut into);
    into
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 160 { text.chars().take(160).chain("…".chars()).collect() } else { text }
}
