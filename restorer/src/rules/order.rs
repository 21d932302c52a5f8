//! When each change is made, so that the moment in which things don't fit together is as short as can be.
//!
//! **Invariants.** (1) What others need comes before them; what takes away comes after what gives. (2) What intercepts
//! writes comes last, so that it cannot stop the rest. (3) Who lets go of a field does so before it is put back.

use hindcast_journal::exact::Value;

use super::size;
use crate::plan::Verb;

/// The groups, in their order, in words.
pub const GROUPS: &[&str] = &[
    "definitions of custom resources",
    "namespaces",
    "configuration: ConfigMaps, Secrets, accounts, roles, classes, growing quotas, volumes and claims",
    "Services and network policies; autoscalers that change or go, before they set again what is put back",
    "workloads",
    "custom resources and everything else",
    "new autoscalers, disruption budgets, ingresses",
    "deletes",
    "shrinking quotas, limit ranges",
    "webhook configurations and admission policies",
    "API services",
    "deletes of namespaces and definitions",
];

/// Kinds whose objects set fields of others: `spec.replicas`, or the requests of containers.
pub const SCALERS: &[&str] = &["autoscaling/horizontalpodautoscalers", VERTICAL, "keda.sh/scaledobjects"];

/// The one of them that sets requests.
pub const VERTICAL: &str = "autoscaling.k8s.io/verticalpodautoscalers";

const CONFIGURATION: &[&str] = &[
    "/configmaps",
    "/persistentvolumeclaims",
    "/persistentvolumes",
    "/secrets",
    "/serviceaccounts",
    "networking.k8s.io/ingressclasses",
    "node.k8s.io/runtimeclasses",
    "rbac.authorization.k8s.io/clusterrolebindings",
    "rbac.authorization.k8s.io/clusterroles",
    "rbac.authorization.k8s.io/rolebindings",
    "rbac.authorization.k8s.io/roles",
    "resource.k8s.io/deviceclasses",
    "scheduling.k8s.io/priorityclasses",
    "snapshot.storage.k8s.io/volumesnapshotclasses",
    "storage.k8s.io/csidrivers",
    "storage.k8s.io/storageclasses",
    "storage.k8s.io/volumeattributesclasses",
];

const WORKLOADS: &[&str] = &[
    "/pods",
    "/podtemplates",
    "/replicationcontrollers",
    "apps/daemonsets",
    "apps/deployments",
    "apps/replicasets",
    "apps/statefulsets",
    "batch/cronjobs",
    "batch/jobs",
];

/// The group that a change belongs to: lower first.
pub fn wave(kind_key: &str, verb: Verb, wanted: Option<&Value>, live: Option<&Value>) -> u8 {
    if verb == Verb::Delete {
        return match kind_key {
            "/namespaces" | "apiextensions.k8s.io/customresourcedefinitions" => 11,
            kind if SCALERS.contains(&kind) => 3,
            _ => 7,
        };
    }
    match kind_key {
        "apiextensions.k8s.io/customresourcedefinitions" => 0,
        "/namespaces" => 1,
        "/resourcequotas" => {
            if shrinks(wanted, live) {
                8
            } else {
                2
            }
        }
        "/limitranges" => 8,
        "apiregistration.k8s.io/apiservices" => 10,
        "/services" | "/endpoints" | "discovery.k8s.io/endpointslices" | "networking.k8s.io/networkpolicies" => 3,
        kind if SCALERS.contains(&kind) => {
            if verb == Verb::Update {
                3
            } else {
                6
            }
        }
        "networking.k8s.io/ingresses" | "policy/poddisruptionbudgets" => 6,
        kind if kind.starts_with("admissionregistration.k8s.io/") => 9,
        kind if CONFIGURATION.contains(&kind) => 2,
        kind if WORKLOADS.contains(&kind) => 4,
        _ => 5,
    }
}

/// Whether a quota gets smaller anywhere: a new limit, or a lower one.
fn shrinks(wanted: Option<&Value>, live: Option<&Value>) -> bool {
    let hard = |quota: Option<&Value>| quota?.pointer("/spec/hard")?.as_object().cloned();
    let (wanted, live) = (hard(wanted).unwrap_or_default(), hard(live).unwrap_or_default());
    let amount = |value: Option<&Value>| match value {
        Some(Value::String(text)) => size::parse(text),
        Some(Value::Number(number)) => size::parse(number.as_str()),
        _ => None,
    };
    wanted.iter().any(|(name, limit)| match (amount(Some(limit)), amount(live.get(name))) {
        (Some(then), Some(now)) => then < now,
        // What was unlimited is limited then, or nothing can be told.
        _ => live.get(name) != Some(limit),
    })
}
