//! Manifests of the objects that tests make, and the paths that they are posted to.
//!
//! A manifest says what a test is about and nothing more; what else it needs is set on the value, as in
//! `manifest["metadata"]["labels"]`. Random ones for histories are in `rollback/bodies.rs` and `workload/objects.rs`.

use serde_json::{Value, json};

/// Where namespaces are made.
pub const NAMESPACES: &str = "/api/v1/namespaces";
/// Where definitions of custom kinds are made.
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Where config maps of the namespace `default` are made.
pub const DEFAULT_CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A schema that takes everything.
pub fn any_schema() -> Value {
    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// An object of a custom kind.
pub fn custom(api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// A namespace.
pub fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

/// A config map with this data.
pub fn config_map(name: &str, data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

/// A config map without data.
pub fn empty_config_map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } })
}

/// A Secret with these values, given as text.
pub fn secret(name: &str, values: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": values })
}

/// A service account.
pub fn service_account(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name } })
}

/// A Service for the Pods with the label `app` of its own name.
pub fn service(name: &str, port: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "name": "http", "port": port, "protocol": "TCP" }] },
    })
}

/// A Deployment of one container `c`, whose Pods have the label `app` of its name.
pub fn deployment(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "c", "image": image }] },
            },
        },
    })
}

/// The patch that sets the image of such a Deployment's container.
pub fn image(image: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } })
}

/// An autoscaler of the Deployment of its name.
pub fn autoscaler(name: &str, least: u64, most: u64) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": name },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "minReplicas": least, "maxReplicas": most,
        },
    })
}

/// A role without rules: an owner that costs nothing.
pub fn role(name: &str) -> Value {
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": name }, "rules": [] })
}

/// The spec of a claim that nothing provisions.
pub fn claim_spec() -> Value {
    json!({
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
        "storageClassName": "none",
    })
}

/// A definition of a namespaced kind in the one version `v1`, with this schema.
pub fn definition_with_schema(group: &str, plural: &str, kind: &str, schema: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": { "plural": plural, "singular": kind.to_lowercase(), "kind": kind },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
        },
    })
}

/// A definition of a namespaced kind in the one version `v1` that takes everything.
pub fn definition(group: &str, plural: &str, kind: &str) -> Value {
    definition_with_schema(group, plural, kind, any_schema())
}
