//! What keeps Pods to a template: Deployments, `StatefulSets`, `DaemonSets`, and the sets and revisions made of them.

use hindcast_journal::exact::Value;

use super::{Anew, Counted, Family, Kind, Made, Rule, STOPS, Turn, text};
use crate::{
    kept::{Fresh, Row},
    reason::{Loss, Ruled},
};

/// What the server stamps in templates.
pub(super) const TEMPLATE: Row = Row {
    rule: "server-metadata",
    places: &[
        "spec template metadata creationTimestamp",
        "spec jobTemplate metadata creationTimestamp",
        "spec jobTemplate spec template metadata creationTimestamp",
    ],
    owner: "the server",
    fresh: Fresh::Absent,
    quiet: true,
};

const REVISION: Row = Row {
    rule: "deployment-revision",
    places: &[
        "metadata annotations deployment.kubernetes.io/*",
        "metadata annotations deprecated.deployment.rollback.to",
    ],
    owner: "the Deployment controller",
    fresh: Fresh::Absent,
    quiet: true,
};

const GENERATION: Row = Row {
    rule: "daemonset-generation",
    places: &["metadata annotations deprecated.daemonset.template.generation"],
    owner: "the server",
    fresh: Fresh::Absent,
    quiet: true,
};

/// A kind with a template for Pods.
const fn workload(resource: &'static str) -> Kind {
    Kind { turn: Turn::Workloads, rows: &[TEMPLATE], keeps_pods: true, ..Kind::of("apps", resource) }
}

pub(super) const FAMILY: Family = Family {
    kinds: &[
        Kind {
            rows: &[TEMPLATE, GENERATION],
            immutable: &["/spec/selector"],
            rollout: Some(daemons),
            ..workload("daemonsets")
        },
        Kind {
            rows: &[TEMPLATE, REVISION],
            immutable: &["/spec/selector"],
            staged: Some(STOPS),
            rollout: Some(replicas_available),
            ..workload("deployments")
        },
        Kind {
            mutable: Some(&[
                "replicas",
                "template",
                "updateStrategy",
                "ordinals",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
                "revisionHistoryLimit",
            ]),
            // Its Pods are left and adopted, so that nobody notices.
            anew: Anew::Freely,
            orphans: true,
            destroys: Some(claims_deleted),
            destroys_by_change: Some(claims_scaled),
            staged: Some(STOPS),
            rollout: Some(replicas_ready),
            ..workload("statefulsets")
        },
        Kind {
            made: Made::ByController,
            rows: &[TEMPLATE, REVISION],
            immutable: &["/spec/selector"],
            staged: Some(STOPS),
            ..workload("replicasets")
        },
        Kind {
            turn: Turn::Workloads,
            rows: &[TEMPLATE],
            staged: Some(STOPS),
            ..Kind::of("", "replicationcontrollers")
        },
        Kind { made: Made::ByController, ..Kind::never("apps", "controllerrevisions", &Ruled::ControllerRevision) },
    ],
    rules: &[
        Rule {
            id: "deployment-revision",
            kinds: &["apps/deployments", "apps/replicasets"],
            what: "The annotations `deployment.kubernetes.io/…` and the deprecated rollback mark stay as they are live.",
            why: "The Deployment controller counts on: a rollback is revision 3, not 1 again.",
        },
        Rule {
            id: "daemonset-generation",
            kinds: &["apps/daemonsets"],
            what: "The annotation `deprecated.daemonset.template.generation` stays as it is live.",
            why: "The server counts it up with each change of the template.",
        },
        Rule {
            id: "statefulset-orphan",
            kinds: &["apps/statefulsets"],
            what: "Where a field differs that cannot change, the StatefulSet is deleted with its Pods left running, created again, and adopts them.",
            why: "Everything but replicas, template, update strategy, ordinals, claim retention, `minReadySeconds` and history limit is fixed. Pods must not restart for it.",
        },
        Rule {
            id: "selector-recreate",
            kinds: &["apps/deployments", "apps/daemonsets", "apps/replicasets"],
            what: "A changed `spec.selector` needs delete and create, which is only done with `{recreate}`.",
            why: "The Pods of the other selector cannot be adopted: they go, and new ones start.",
        },
        Rule {
            id: "controller-revision",
            kinds: &["apps/controllerrevisions"],
            what: "ControllerRevisions are left alone.",
            why: "The StatefulSet or DaemonSet controller makes them of the template.",
        },
    ],
};

/// The claims of a set that takes them along when it is deleted.
fn claims_deleted(set: &Value) -> Option<Loss> {
    (text(set, "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted") == "Delete").then_some(Loss::Claims)
}

/// The claims of the replicas that go.
fn claims_scaled(target: &Value, live: &Value) -> Option<Loss> {
    let replicas = |side: &Value| side.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let (now, then) = (replicas(live), replicas(target));
    let deletes = takes_claims_when_scaled(target) || takes_claims_when_scaled(live);
    (then < now && deletes).then_some(Loss::Scaled { then, now })
}

fn status(workload: &Value, name: &str) -> i64 {
    workload.get("status").and_then(|status| status.get(name)?.as_i64()).unwrap_or(0)
}

fn replicas(workload: &Value) -> i64 {
    workload.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}

fn daemons(set: &Value) -> Counted {
    Counted {
        wanted: status(set, "desiredNumberScheduled"),
        updated: status(set, "updatedNumberScheduled"),
        ready: status(set, "numberAvailable"),
        total: status(set, "currentNumberScheduled"),
    }
}

fn replicas_ready(set: &Value) -> Counted {
    Counted {
        wanted: replicas(set),
        updated: status(set, "updatedReplicas"),
        ready: status(set, "readyReplicas"),
        total: status(set, "replicas"),
    }
}

fn replicas_available(deployment: &Value) -> Counted {
    Counted { ready: status(deployment, "availableReplicas"), ..replicas_ready(deployment) }
}

/// Whether a Pod runs, or is about to, on a claim of its namespace.
pub(crate) fn mounts(pod: &Value, claim: &str) -> bool {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).unwrap_or_default();
    let named = |volume: &Value| match volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str) {
        Some(name) => name == claim,
        // The claim of an ephemeral volume is named after its Pod.
        None => {
            volume.get("ephemeral").is_some() && {
                let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
                format!("{}-{name}", text(pod, "/metadata/name")) == claim
            }
        }
    };
    !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") && volumes.iter().any(named)
}

/// Whether a `StatefulSet` deletes the claims of replicas that go.
pub(crate) fn takes_claims_when_scaled(set: &Value) -> bool {
    text(set, "/spec/persistentVolumeClaimRetentionPolicy/whenScaled") == "Delete"
}
