//! Manifests: a random one of a kind, the status a controller would write, and the definitions of the custom kinds.
//!
//! **Invariants.** (1) The same generator state gives the same manifest. (2) Every value of a Secret begins with
//! [`PLANTED`], so that a search of any output finds what must not be there. (3) What the server refuses to change is
//! the same in every manifest of a name, except where a history means to meet that ([`Sort::RoleBinding`]).

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};

use super::sorts::{GROUP, Sort};
use crate::{manifests::definition_with_schema, sim::rng::Rng};

/// What Secret values begin with.
pub const PLANTED: &str = "planted-in-a-secret-";

/// The definitions of the custom kinds.
pub fn definitions() -> Vec<Value> {
    let free = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let shop = json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "size": { "type": "integer", "default": 1 },
                    "replicas": { "type": "integer" },
                    "mode": { "type": "string", "enum": ["auto", "manual"], "default": "auto" },
                    "tags": { "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" },
                    "shelves": {
                        "type": "array",
                        "items": {
                            "type": "object", "required": ["name"],
                            "properties": { "name": { "type": "string" }, "width": { "type": "number" } },
                        },
                        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    },
                    "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                },
            },
            "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        },
    });
    let scale = json!({ "status": {}, "scale": {
        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" } });
    [("blobs", "Blob", free, json!({})), ("shops", "Shop", shop, scale)]
        .into_iter()
        .map(|(plural, kind, schema, subresources)| {
            let mut definition = definition_with_schema(GROUP, plural, kind, schema);
            definition["spec"]["versions"][0]["subresources"] = subresources;
            definition
        })
        .collect()
}

/// A random manifest.
pub fn manifest(sort: Sort, name: &str, draw: &mut Rng) -> Value {
    let mut object = json!({
        "apiVersion": sort.api_version(),
        "kind": sort.kind(),
        "metadata": { "name": name, "labels": { "app": name } },
    });
    if draw.below(2) == 0 {
        object["metadata"]["labels"]["tier"] = json!(format!("t{}", draw.below(4)));
    }
    if draw.below(2) == 0 {
        object["metadata"]["annotations"] = json!({ "example.com/note": text(draw) });
    }
    for (field, value) in main(sort, name, draw) {
        object[field] = value;
    }
    // Made by hand, and marked so or not at all.
    if sort == Sort::EndpointSlice && draw.below(2) == 0 {
        object["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = json!("cluster-admins");
    }
    // From then on it can only be deleted and made again.
    if matches!(sort, Sort::ConfigMap | Sort::Secret) && draw.below(4) == 0 {
        object["immutable"] = json!(true);
    }
    object
}

/// The main fields of a kind: those that a PUT replaces.
pub fn main_fields(sort: Sort) -> &'static [&'static str] {
    match sort {
        Sort::ConfigMap => &["data", "binaryData", "immutable"],
        Sort::Secret => &["data", "immutable"],
        Sort::EndpointSlice => &["endpoints", "ports"],
        Sort::ServiceAccount => &["secrets", "imagePullSecrets", "automountServiceAccountToken"],
        Sort::Role => &["rules"],
        Sort::RoleBinding => &["subjects"],
        Sort::PersistentVolumeClaim | Sort::Pod => &[],
        _ => &["spec"],
    }
}

fn main(sort: Sort, name: &str, draw: &mut Rng) -> Vec<(&'static str, Value)> {
    match sort {
        Sort::ConfigMap => {
            let mut fields = vec![("data", texts(draw))];
            if draw.below(4) == 0 {
                fields.push(("binaryData", json!({ "b": BASE64_STANDARD.encode([0_u8, 255, draw.below(200) as u8]) })));
            }
            fields
        }
        Sort::Secret => {
            let value = |draw: &mut Rng| BASE64_STANDARD.encode(format!("{PLANTED}{:016x}", draw.number()));
            let keys = ["user", "password", "token"].into_iter().filter(|_| draw.below(3) > 0);
            let keys: Vec<_> = keys.collect();
            let data = keys.into_iter().map(|key| (key.to_owned(), json!(value(draw)))).collect();
            vec![("data", Value::Object(data)), ("type", json!("Opaque"))]
        }
        Sort::Service => vec![("spec", service(name, draw))],
        Sort::Deployment => vec![("spec", deployment(name, draw))],
        Sort::StatefulSet => vec![("spec", stateful_set(name, draw))],
        Sort::DaemonSet => {
            let most = draw.between(1, 4);
            vec![(
                "spec",
                json!({
                    "selector": { "matchLabels": { "app": name } },
                    "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": most } },
                    "template": template(name, "Always", draw),
                }),
            )]
        }
        Sort::CronJob => vec![(
            "spec",
            json!({
                "schedule": format!("{} 3 * * *", draw.below(60)),
                "suspend": draw.below(2) == 0,
                "jobTemplate": { "spec": { "backoffLimit": draw.below(5), "template": template(name, "Never", draw) } },
            }),
        )],
        Sort::ServiceAccount => vec![
            ("automountServiceAccountToken", json!(draw.below(2) == 0)),
            ("imagePullSecrets", json!([{ "name": format!("pull-{}", draw.below(3)) }])),
        ],
        Sort::Role => vec![("rules", rules(draw))],
        Sort::RoleBinding => vec![
            (
                "roleRef",
                json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": format!("r{}", draw.below(2)) }),
            ),
            (
                "subjects",
                json!([{ "kind": "ServiceAccount", "name": format!("sa-{}", draw.below(4)), "namespace": "default" }]),
            ),
        ],
        Sort::Ingress => vec![("spec", ingress(draw))],
        Sort::NetworkPolicy => vec![(
            "spec",
            json!({
                "podSelector": { "matchLabels": { "app": format!("a{}", draw.below(3)) } },
                "policyTypes": ["Ingress"],
                "ingress": [{ "ports": [{ "protocol": "TCP", "port": draw.between(1, 9000) }] }],
            }),
        )],
        Sort::PodDisruptionBudget => vec![("spec", budget(name, draw))],
        Sort::HorizontalPodAutoscaler => vec![("spec", autoscaler(draw))],
        Sort::PersistentVolumeClaim => vec![(
            "spec",
            json!({
                "accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": { "requests": { "storage": "1Gi" } },
            }),
        )],
        Sort::ResourceQuota => vec![(
            "spec",
            json!({
                "hard": { "configmaps": (1000 + draw.below(9)).to_string(), "requests.cpu": format!("{}", 100 + draw.below(50)) },
            }),
        )],
        Sort::LimitRange => vec![("spec", range(draw))],
        Sort::EndpointSlice => vec![
            ("addressType", json!("IPv4")),
            ("endpoints", json!([{ "addresses": [format!("10.9.8.{}", draw.below(200))], "conditions": {} }])),
            ("ports", json!([{ "name": "http", "port": draw.between(1, 9000), "protocol": "TCP" }])),
        ],
        Sort::Pod => vec![("spec", pod(draw))],
        Sort::Blob => vec![("spec", any(draw, 0))],
        Sort::Shop => vec![("spec", shop(draw))],
    }
}

fn service(name: &str, draw: &mut Rng) -> Value {
    let ports: Vec<_> = ["http", "admin", "grpc"]
        .into_iter()
        .enumerate()
        .filter(|(n, _)| *n == 0 || draw.below(2) == 0)
        .map(|(n, port)| json!({ "name": port, "port": 80 + n, "targetPort": 8000 + n, "protocol": "TCP" }))
        .collect();
    json!({
        "selector": { "app": name, "track": format!("t{}", draw.below(3)) },
        "ports": ports,
        "type": if draw.below(4) == 0 { "NodePort" } else { "ClusterIP" },
        "sessionAffinity": if draw.below(3) == 0 { "ClientIP" } else { "None" },
    })
}

fn deployment(name: &str, draw: &mut Rng) -> Value {
    let mut spec = json!({
        "selector": { "matchLabels": { "app": name } },
        "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "30%", "maxUnavailable": draw.below(3) } },
        "minReadySeconds": draw.below(20),
        "template": template(name, "Always", draw),
    });
    if draw.below(3) > 0 {
        spec["replicas"] = json!(draw.below(6));
    }
    spec
}

fn stateful_set(name: &str, draw: &mut Rng) -> Value {
    json!({
        "serviceName": "peers",
        "selector": { "matchLabels": { "app": name } },
        "replicas": draw.below(6),
        "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": draw.below(3) } },
        "template": template(name, "Always", draw),
        "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } }],
    })
}

fn template(app: &str, restart: &str, draw: &mut Rng) -> Value {
    let containers: Vec<_> = (0..draw.between(1, 3))
        .map(|n| {
            let env: Vec<_> =
                (0..draw.below(4)).map(|e| json!({ "name": format!("E{e}"), "value": text(draw) })).collect();
            json!({
                "name": format!("c{n}"),
                "image": format!("registry.local/app:{}", draw.below(99)),
                "env": env,
                "resources": { "requests": { "cpu": format!("{}m", 10 + draw.below(90)) } },
            })
        })
        .collect();
    let mut template = json!({
        "metadata": { "labels": { "app": app }, "annotations": { "example.com/build": draw.below(50).to_string() } },
        "spec": { "containers": containers, "restartPolicy": restart },
    });
    if draw.below(2) == 0 {
        template["spec"]["tolerations"] = json!([{ "key": format!("k{}", draw.below(3)), "operator": "Exists" }]);
    }
    if draw.below(2) == 0 {
        template["spec"]["volumes"] =
            json!([{ "name": "config", "configMap": { "name": format!("configmap-{}", draw.below(2)) } }]);
    }
    template
}

fn rules(draw: &mut Rng) -> Value {
    let rules: Vec<_> = (0..draw.between(1, 3))
        .map(|_| json!({ "apiGroups": [""], "resources": ["pods", format!("r{}", draw.below(5))], "verbs": ["get", format!("v{}", draw.below(5))] }))
        .collect();
    json!(rules)
}

fn ingress(draw: &mut Rng) -> Value {
    let backend = json!({ "service": { "name": format!("service-{}", draw.below(2)), "port": { "number": 80 } } });
    let path = json!({ "path": format!("/p{}", draw.below(5)), "pathType": "Prefix", "backend": backend });
    json!({ "rules": [{ "host": format!("h{}.example.com", draw.below(5)), "http": { "paths": [path] } }] })
}

fn budget(name: &str, draw: &mut Rng) -> Value {
    let most = if draw.below(2) == 0 { json!(draw.below(4)) } else { json!(format!("{}%", draw.below(90))) };
    json!({ "selector": { "matchLabels": { "app": name } }, "maxUnavailable": most })
}

fn autoscaler(draw: &mut Rng) -> Value {
    let (kind, name) =
        if draw.below(2) == 0 { ("Deployment", "deployment-0") } else { ("StatefulSet", "statefulset-0") };
    let target = json!({ "type": "Utilization", "averageUtilization": draw.between(20, 90) });
    json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": kind, "name": name },
        "minReplicas": draw.between(1, 3),
        "maxReplicas": draw.between(4, 9),
        "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": target } }],
    })
}

/// What a namespace's claims and containers must and will be like: too little for the claims here, enough, or a default
/// for containers that say nothing.
fn range(draw: &mut Rng) -> Value {
    let limit = match draw.below(3) {
        0 => json!({ "type": "PersistentVolumeClaim", "max": { "storage": "500Mi" } }),
        1 => json!({ "type": "PersistentVolumeClaim", "max": { "storage": format!("{}Gi", draw.between(2, 5)) } }),
        _ => json!({ "type": "Container", "defaultRequest": { "memory": format!("{}Mi", draw.between(10, 90)) } }),
    };
    json!({ "limits": [limit] })
}

/// A Pod that nothing runs; one in two says what memory it asks for.
fn pod(draw: &mut Rng) -> Value {
    let mut container = json!({ "name": "main", "image": format!("registry.local/app:{}", draw.below(9)) });
    if draw.below(2) == 0 {
        container["resources"] = json!({ "requests": { "memory": "7Mi" } });
    }
    json!({ "containers": [container], "schedulerName": "nobody" })
}

fn shop(draw: &mut Rng) -> Value {
    let shelves: Vec<_> =
        (0..draw.below(4)).map(|n| json!({ "name": format!("s{n}"), "width": draw.below(40) as f64 / 4.0 })).collect();
    let tags: Vec<_> = (0..5).filter(|_| draw.below(2) == 0).map(|n| format!("tag{n}")).collect();
    let mut spec = json!({ "shelves": shelves, "tags": tags, "free": any(draw, 1) });
    if draw.below(2) == 0 {
        spec["size"] = json!(draw.below(100));
    }
    if draw.below(2) == 0 {
        spec["mode"] = json!("manual");
    }
    if draw.below(2) == 0 {
        spec["replicas"] = json!(draw.below(6));
    }
    spec
}

/// The status that a controller might write.
pub fn status(sort: Sort, draw: &mut Rng) -> Value {
    let n = draw.below(5);
    let status = match sort {
        Sort::Deployment => json!({ "observedGeneration": n, "replicas": n, "updatedReplicas": n }),
        Sort::StatefulSet => {
            json!({ "observedGeneration": n, "replicas": n, "currentRevision": format!("rev-{n}") })
        }
        Sort::DaemonSet => {
            json!({ "currentNumberScheduled": n, "desiredNumberScheduled": n, "numberMisscheduled": 0, "numberReady": n })
        }
        Sort::CronJob => {
            json!({ "lastScheduleTime": format!("2026-01-01T00:00:{:02}Z", draw.below(60)) })
        }
        Sort::Ingress => {
            json!({ "loadBalancer": { "ingress": [{ "ip": format!("10.1.2.{n}") }] } })
        }
        Sort::PodDisruptionBudget => {
            json!({ "currentHealthy": n, "desiredHealthy": n, "disruptionsAllowed": n, "expectedPods": n })
        }
        Sort::HorizontalPodAutoscaler => {
            json!({ "currentReplicas": n, "desiredReplicas": n, "currentMetrics": [], "conditions": [] })
        }
        Sort::PersistentVolumeClaim => json!({ "phase": "Pending", "conditions": [
            { "type": "Resizing", "status": "True", "message": format!("step {n}") }] }),
        _ => json!({ "replicas": n, "seen": text(draw) }),
    };
    json!({ "status": status })
}

/// Texts under keys.
fn texts(draw: &mut Rng) -> Value {
    let keys: Vec<u64> = (0..6).filter(|_| draw.below(2) == 0).collect();
    Value::Object(keys.into_iter().map(|n| (format!("k{n}"), json!(text(draw)))).collect())
}

/// Texts that are easily broken: other scripts, breaks, what looks like a number, a pointer or JSON.
fn text(draw: &mut Rng) -> String {
    match draw.below(9) {
        0 => "line\nbreak\t\"quoted\" back\\slash".to_owned(),
        1 => "žluťoučký 漢字 🦀".to_owned(),
        2 => "1.10".to_owned(),
        3 => "{\"json\":[1,2,{}]}".to_owned(),
        4 => "~1a/b~0".to_owned(),
        5 => String::new(),
        6 => "x".repeat(draw.below(900) as usize),
        _ => format!("plain {}", draw.below(1000)),
    }
}

/// Any object, with keys and numbers that are easily broken.
fn any(draw: &mut Rng, depth: u64) -> Value {
    let keys = ["a", "b/c", "d~e", "", "1", "nested"];
    let mut map = Map::new();
    for key in keys {
        if draw.below(2) == 0 {
            continue;
        }
        let value = match draw.below(9) {
            0 => json!(draw.number() as i64),
            1 => json!(draw.below(1000) as f64 / 8.0),
            2 => json!(1e21),
            3 => json!(draw.below(2) == 0),
            4 => json!([]),
            5 => json!({}),
            6 => json!([text(draw), draw.below(5), { "k": draw.below(5) }]),
            7 if depth < 3 => any(draw, depth + 1),
            _ => json!(text(draw)),
        };
        map.insert(key.to_owned(), value);
    }
    Value::Object(map)
}
