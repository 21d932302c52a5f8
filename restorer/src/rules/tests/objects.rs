//! What the rules say of objects, rule by rule: each test is named by the rule's id.

use serde_json::{Value as Json, json};

use super::super::*;
use crate::{
    full::Full,
    intent::{Surroundings, Volume, tests::full},
    selection::Widen,
};

/// The rule that leaves an object alone and what would have to be allowed.
fn left(
    kind: &str,
    wanted: Option<Json>,
    live: Option<Json>,
    widen: &Widen,
) -> Option<(&'static str, Option<Permission>)> {
    let (wanted, live) = (wanted.map(full), live.map(full));
    match verdict(kind, wanted.as_ref(), live.as_ref(), widen) {
        Verdict::Act => None,
        Verdict::Leave { rule, unless } => {
            assert!(find(rule.id()).is_some(), "{} is not in the table", rule.id());
            assert!(!rule.to_string().is_empty());
            Some((rule.id(), unless))
        }
    }
}

/// The rule that leaves an object alone when it is missing, and when it was added.
fn never(kind: &str, object: Json) -> Option<&'static str> {
    let missing = left(kind, Some(object.clone()), None, &Widen::default());
    let everything = Widen {
        with_cluster_scoped: true,
        include_system: true,
        allow_recreate: true,
        rerun_jobs: true,
        ..Widen::default()
    };
    assert_eq!(left(kind, None, Some(object), &everything), missing, "{kind}: added, with every flag");
    assert!(missing.as_ref().is_none_or(|(_, unless)| unless.is_none()), "{kind}: no permission helps");
    missing.map(|(rule, _)| rule)
}

fn created(kind: &str, wanted: Json) -> Option<&'static str> {
    left(kind, Some(wanted), None, &Widen::default()).map(|(rule, _)| rule)
}

fn named(name: &str) -> Json {
    json!({"metadata": {"name": name, "namespace": "shop"}})
}

fn marked(name: &str, value: &str) -> Json {
    json!({"metadata": {"name": "web", "labels": {name: value}}})
}

fn owned(api: &str, kind: &str, controller: bool) -> Json {
    json!({"metadata": {"name": "web-1", "ownerReferences": [
        {"apiVersion": api, "kind": kind, "name": "web", "uid": "u", "controller": controller}]}})
}

/// Kinds that are never touched, by the rule that says so.
fn all_kinds_of(id: &str) {
    let rule = find(id).expect("a rule of the table");
    for kind in rule.kinds {
        assert_eq!(never(kind, named("web")), Some(rule.id), "{kind}");
    }
}

#[test]
fn node_is_never_touched() {
    all_kinds_of("node");
}

#[test]
fn node_state_is_never_touched() {
    all_kinds_of("node-state");
}

#[test]
fn event_is_never_touched() {
    all_kinds_of("event");
}

#[test]
fn lease_is_never_touched() {
    all_kinds_of("lease");
}

#[test]
fn certificate_request_is_never_touched() {
    all_kinds_of("certificate-request");
}

#[test]
fn server_state_is_never_touched() {
    all_kinds_of("server-state");
}

#[test]
fn controller_revision_is_never_touched() {
    all_kinds_of("controller-revision");
}

#[test]
fn service_addresses_are_never_touched() {
    all_kinds_of("service-addresses");
}

#[test]
fn backup_run_is_never_touched() {
    all_kinds_of("backup-run");
}

#[test]
fn api_server_service_is_never_touched() {
    let of = |namespace: &str| json!({"metadata": {"name": "kubernetes", "namespace": namespace}});
    for kind in find("api-server-service").expect("a rule of the table").kinds {
        assert_eq!(never(kind, of("default")), Some("api-server-service"), "{kind}");
        assert_eq!(never(kind, of("shop")), None, "{kind}");
    }
}

#[test]
fn root_ca_is_never_touched() {
    for name in ["kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"] {
        assert_eq!(never("/configmaps", named(name)), Some("root-ca"));
    }
    assert_eq!(never("/configmaps", named("web")), None);
    assert_eq!(never("/secrets", named("kube-root-ca.crt")), None);
}

#[test]
fn default_service_account_is_never_touched() {
    assert_eq!(never("/serviceaccounts", named("default")), Some("default-service-account"));
    assert_eq!(never("/serviceaccounts", named("web")), None);
    assert_eq!(never("/configmaps", named("default")), None);
}

#[test]
fn automanaged_api_service_is_never_touched() {
    let kind = "apiregistration.k8s.io/apiservices";
    let label = "kube-aggregator.kubernetes.io/automanaged";
    assert_eq!(never(kind, marked(label, "onstart")), Some("automanaged-api-service"));
    assert_eq!(never(kind, marked(label, "true")), Some("automanaged-api-service"));
    assert_eq!(never(kind, marked(label, "false")), None);
    assert_eq!(never(kind, marked("a", "b")), None);
}

#[test]
fn mirror_pod_is_never_touched() {
    let mirror = json!({"metadata": {"name": "etcd", "annotations": {"kubernetes.io/config.mirror": "abc"}}});
    assert_eq!(never("/pods", mirror), Some("mirror-pod"));
    assert_eq!(never("/pods", named("web")), None);
}

#[test]
fn terminating_then_counts_as_absent() {
    let object = json!({"metadata": {"name": "web", "deletionTimestamp": "2026-11-01T14:00:00Z"}});
    assert_eq!(created("/configmaps", object.clone()), Some("terminating-then"));
    assert!(absent_then(&full(object.clone())));
    assert!(!absent_then(&full(named("web"))));
    // Live only: it was added since, and is on its way already.
    assert_eq!(left("/configmaps", None, Some(object), &Widen::default()), None);
}

#[test]
fn owned_objects_follow_their_owners() {
    for (kind, api, owner) in [
        ("apps/replicasets", "apps/v1", "Deployment"),
        ("/pods", "apps/v1", "ReplicaSet"),
        ("/pods", "postgresql.cnpg.io/v1", "Cluster"),
        ("batch/jobs", "batch/v1", "CronJob"),
        ("discovery.k8s.io/endpointslices", "v1", "Service"),
        ("/persistentvolumeclaims", "v1", "Pod"),
    ] {
        assert_eq!(never(kind, owned(api, owner, true)), Some("owned"), "{kind} of {owner}");
        assert_ne!(created(kind, owned(api, owner, false)), Some("owned"), "{kind} of {owner}");
    }
    assert_eq!(
        never("apps/deployments", owned("shop.example/v1", "Shop", true)),
        None,
        "an operator's Deployment is restored"
    );
    assert_eq!(never("/persistentvolumeclaims", owned("apps/v1", "StatefulSet", true)), None);
}

#[test]
fn pod_finished_is_never_created() {
    let pod = |uid: &str, phase: &str| json!({"metadata": {"name": "web", "uid": uid}, "status": {"phase": phase}});
    assert_eq!(created("/pods", pod("u", "Succeeded")), Some("pod-finished"));
    assert_eq!(created("/pods", pod("u", "Failed")), Some("pod-finished"));
    assert_eq!(created("/pods", pod("u", "Running")), None);
    let live = |wanted: Json, live: Json| left("/pods", Some(wanted), Some(live), &Widen::default());
    assert_eq!(live(pod("u", "Succeeded"), pod("u", "Succeeded")), None, "its labels may be put back");
    assert_eq!(live(pod("u", "Succeeded"), pod("v", "Running")), Some(("pod-finished", None)));
}

fn job(uid: &str, condition: Option<&str>) -> Json {
    let conditions: Vec<Json> = condition.into_iter().map(|sort| json!({"type": sort, "status": "True"})).collect();
    json!({"metadata": {"name": "web", "uid": uid}, "spec": {}, "status": {"conditions": conditions}})
}

#[test]
fn job_finished_is_never_created() {
    let rerun = Widen { rerun_jobs: true, ..Widen::default() };
    for end in ["Complete", "Failed"] {
        assert_eq!(left("batch/jobs", Some(job("u", Some(end))), None, &rerun), Some(("job-finished", None)));
    }
    assert_eq!(
        left("batch/jobs", Some(job("u", Some("Complete"))), Some(job("v", None)), &rerun),
        Some(("job-finished", None))
    );
    assert_eq!(left("batch/jobs", Some(job("u", Some("Complete"))), Some(job("u", Some("Complete"))), &rerun), None);
    let stamped = json!({"metadata": {"name": "web"}, "status": {"completionTime": "2026-11-01T14:00:00Z"}});
    assert_eq!(created("batch/jobs", stamped), Some("job-finished"));
}

#[test]
fn job_running_is_created_only_when_asked() {
    let running = job("u", Some("Suspended"));
    assert_eq!(
        left("batch/jobs", Some(running.clone()), None, &Widen::default()),
        Some(("job-running", Some(Permission::RerunJobs)))
    );
    assert_eq!(left("batch/jobs", Some(running), None, &Widen { rerun_jobs: true, ..Widen::default() }), None);
    let suspended = json!({"metadata": {"name": "web"}, "spec": {"suspend": true}});
    assert_eq!(created("batch/jobs", suspended), None, "nothing runs");
    assert_eq!(
        left("batch/jobs", None, Some(job("u", None)), &Widen::default()),
        None,
        "whether it may go is said by what it destroys"
    );
}

#[test]
fn run_once_objects_are_created_only_when_asked() {
    for kind in find("run-once").expect("a rule of the table").kinds {
        assert_eq!(
            left(kind, Some(named("r")), None, &Widen::default()),
            Some(("run-once", Some(Permission::RerunJobs))),
            "{kind}"
        );
        assert_eq!(left(kind, Some(named("r")), None, &Widen { rerun_jobs: true, ..Widen::default() }), None, "{kind}");
        assert_eq!(left(kind, Some(named("r")), Some(named("r")), &Widen::default()), None, "{kind}");
    }
}

fn secret(name: &str, sort: &str, metadata: Json) -> Json {
    let mut secret = json!({"type": sort, "metadata": metadata});
    secret["metadata"]["name"] = json!(name);
    secret
}

#[test]
fn account_token_made_by_the_controller_is_left() {
    let token = "kubernetes.io/service-account-token";
    let of = |name: &str| json!({"annotations": {"kubernetes.io/service-account.name": name}});
    assert_eq!(never("/secrets", secret("web-token-x7k2p", token, of("web"))), Some("account-token"));
    assert_eq!(never("/secrets", secret("web-token", token, of("web"))), None, "somebody asked for it");
    assert_eq!(never("/secrets", secret("web-token-x7k2p", "Opaque", of("web"))), None);
}

#[test]
fn bootstrap_token_is_left() {
    let token = secret("bootstrap-token-abc", "bootstrap.kubernetes.io/token", json!({}));
    assert_eq!(never("/secrets", token), Some("bootstrap-token"));
}

#[test]
fn cert_manager_secret_is_left() {
    let annotated = json!({"annotations": {"cert-manager.io/certificate-name": "web"}});
    assert_eq!(never("/secrets", secret("web-tls", "kubernetes.io/tls", annotated)), Some("cert-manager-secret"));
    assert_eq!(never("/secrets", owned("cert-manager.io/v1", "Certificate", true)), Some("cert-manager-secret"));
    assert_eq!(never("/secrets", secret("web-tls", "kubernetes.io/tls", json!({}))), None);
    // What people set to ask for something is no mark of a program.
    let watched = json!({"labels": {"controller.cert-manager.io/fao": "true"}});
    assert_eq!(never("/secrets", secret("ca", "kubernetes.io/tls", watched)), None);
    let next = |value: &str| json!({"labels": {"cert-manager.io/next-private-key": value}});
    assert_eq!(never("/secrets", secret("key", "Opaque", next("true"))), Some("cert-manager-secret"));
    assert_eq!(never("/secrets", secret("key", "Opaque", next("mine"))), None);
}

/// A mark that these managers wrote.
fn written(marks: &str, name: &str, value: &str, managers: &[&str]) -> Json {
    let fields = json!({"f:metadata": {format!("f:{marks}"): {format!("f:{name}"): {}}}});
    let entry = |manager: &&str| json!({"manager": manager, "operation": "Update", "fieldsV1": fields});
    let book: Vec<Json> = managers.iter().map(entry).collect();
    json!({"metadata": {"name": "web", marks: {name: value}, "managedFields": book}})
}

#[test]
fn cert_manager_secret_that_a_hand_copied_is_intent() {
    let name = "cert-manager.io/certificate-name";
    let of = |managers: &[&str]| never("/secrets", written("annotations", name, "web", managers));
    assert_eq!(of(&["cert-manager-certificates-issuing"]), Some("cert-manager-secret"));
    assert_eq!(of(&["kubectl-client-side-apply"]), None);
    assert_eq!(of(&["helm", "kubectl-edit"]), None);
    assert_eq!(of(&["kubectl-edit", "cert-manager-certificates-issuing"]), Some("cert-manager-secret"));
    assert_eq!(of(&["company-tool"]), Some("cert-manager-secret"), "who that is cannot be told");
}

#[test]
fn external_secret_is_left() {
    for api in ["external-secrets.io/v1", "generators.external-secrets.io/v1", "secrets.hashicorp.com/v1beta1"] {
        assert_eq!(never("/secrets", owned(api, "ExternalSecret", true)), Some("external-secret"), "{api}");
    }
    assert_eq!(never("/secrets", marked("reconcile.external-secrets.io/managed", "true")), Some("external-secret"));
    assert_eq!(never("/secrets", owned("notexternal-secrets.io/v1", "X", true)), None);
}

#[test]
fn sealed_secret_is_left() {
    assert_eq!(never("/secrets", owned("bitnami.com/v1alpha1", "SealedSecret", true)), Some("sealed-secret"));
    let marked = |name: &str, value: &str| {
        let annotations = json!({"annotations": {format!("sealedsecrets.bitnami.com/{name}"): value}});
        never("/secrets", secret("web", "Opaque", annotations))
    };
    assert_eq!(marked("managed", "true"), Some("sealed-secret"), "it was handed over");
    assert_eq!(marked("managed", "false"), None);
    assert_eq!(marked("cluster-wide", "true"), None, "that says where it may be unsealed");
}

#[test]
fn endpoints_of_a_service_are_left() {
    let made =
        json!({"metadata": {"name": "web", "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "x"}}});
    assert_eq!(never("/endpoints", made), Some("endpoints"));
    assert_eq!(
        never("/endpoints", marked("endpoints.kubernetes.io/managed-by", "endpoint-controller")),
        Some("endpoints")
    );
    assert_eq!(never("/endpoints", named("outside")), None, "somebody wrote these");
    let managed = "endpoints.kubernetes.io/managed-by";
    assert_eq!(never("/endpoints", marked(managed, "cluster-admins")), None, "and these");
    let stamp = "endpoints.kubernetes.io/last-change-trigger-time";
    let by = |manager: &str| never("/endpoints", written("annotations", stamp, "x", &[manager]));
    assert_eq!(by("kube-controller-manager"), Some("endpoints"));
    assert_eq!(by("kubectl-create"), None, "a copy");
}

#[test]
fn endpoint_slice_with_a_manager_is_left() {
    let kind = "discovery.k8s.io/endpointslices";
    let label = "endpointslice.kubernetes.io/managed-by";
    assert_eq!(never(kind, marked(label, "endpointslice-controller.k8s.io")), Some("endpoint-slice"));
    assert_eq!(never(kind, marked(label, "endpointslicemirroring-controller.k8s.io")), Some("endpoint-slice"));
    assert_eq!(never(kind, marked(label, "cluster-admins")), None, "people keep these");
    assert_eq!(never(kind, marked(label, "")), None);
    assert_eq!(never(kind, named("outside")), None);
}

#[test]
fn volume_snapshot_is_not_taken_again() {
    let of = |source: Json| json!({"metadata": {"name": "s"}, "spec": {"source": source}});
    let kind = "snapshot.storage.k8s.io/volumesnapshots";
    assert_eq!(created(kind, of(json!({"persistentVolumeClaimName": "data"}))), Some("volume-snapshot"));
    assert_eq!(created(kind, of(json!({"volumeSnapshotContentName": "c"}))), None);
    let content = "snapshot.storage.k8s.io/volumesnapshotcontents";
    assert_eq!(created(content, of(json!({"volumeHandle": "v"}))), Some("volume-snapshot"));
    assert_eq!(created(content, of(json!({"snapshotHandle": "v"}))), None);
    let group = "groupsnapshot.storage.k8s.io/volumegroupsnapshots";
    assert_eq!(created(group, of(json!({"selector": {"matchLabels": {"a": "b"}}}))), Some("volume-snapshot"));
    assert_eq!(created(group, of(json!({"volumeGroupSnapshotContentName": "c"}))), None);
    let content = "groupsnapshot.storage.k8s.io/volumegroupsnapshotcontents";
    assert_eq!(created(content, of(json!({"volumeHandles": ["v"]}))), Some("volume-snapshot"));
    assert_eq!(created(content, of(json!({"groupSnapshotHandles": {}}))), None);
}

#[test]
fn point_snapshot_is_left_alone() {
    for label in ["hindcast.dev/id", "hindcast.dev/fills"] {
        let object = json!({"metadata": {"name": "s", "labels": {label: "x"}}, "spec": {"source": {}}});
        for kind in [
            "snapshot.storage.k8s.io/volumesnapshots",
            "snapshot.storage.k8s.io/volumesnapshotcontents",
            "groupsnapshot.storage.k8s.io/volumegroupsnapshots",
            "groupsnapshot.storage.k8s.io/volumegroupsnapshotcontents",
        ] {
            assert_eq!(created(kind, object.clone()), Some("point-snapshot"));
        }
    }
}

#[test]
fn pv_reclaimed_with_its_storage_is_not_created() {
    let volume = |policy: &str| json!({"metadata": {"name": "pv"}, "spec": {"persistentVolumeReclaimPolicy": policy}});
    assert_eq!(created("/persistentvolumes", volume("Delete")), Some("pv-reclaimed"));
    assert_eq!(created("/persistentvolumes", volume("Retain")), None);
    assert_eq!(left("/persistentvolumes", Some(volume("Delete")), Some(volume("Retain")), &Widen::default()), None);
}

#[test]
fn pvc_empty_is_created_only_when_asked() {
    let wanted = full(json!({"metadata": {"name": "data", "namespace": "shop"}, "spec": {"volumeName": "pv-1"}}));
    let claim =
        |claim: &Full, around: &Surroundings, widen: &Widen| create("/persistentvolumeclaims", claim, around, widen);
    let mut around = Surroundings::default();
    let refused = |around: &Surroundings| match claim(&wanted, around, &Widen::default()) {
        Verdict::Leave { rule, unless } => Some((rule.id(), unless, rule.to_string())),
        Verdict::Act => None,
    };
    let (rule, unless, reason) = refused(&around).expect("its volume is gone");
    assert_eq!((rule, unless), ("pvc-empty", Some(Permission::EmptyVolumes)));
    assert!(reason.contains("pv-1 is gone"), "{reason}");
    assert_eq!(claim(&wanted, &around, &Widen { allow_empty_volumes: true, ..Widen::default() }), Verdict::Act);
    let of = |name: &str| Volume { claim: Some(("shop".into(), name.into())), ..Volume::default() };
    around.volumes.insert("pv-1".into(), of("other"));
    assert!(refused(&around).is_some_and(|(_, _, reason)| reason.contains("shop/other")));
    around.volumes.insert("pv-1".into(), of("data"));
    assert_eq!(refused(&around), None);
    let unbound = full(json!({"metadata": {"name": "data", "namespace": "shop"}, "spec": {}}));
    assert_eq!(claim(&unbound, &Surroundings::default(), &Widen::default()), Verdict::Act, "it had nothing to lose");
}

#[test]
fn rbac_system_is_changed_only_when_asked() {
    let system = Widen { include_system: true, ..Widen::default() };
    for kind in find("rbac-system").expect("a rule of the table").kinds {
        for object in [
            named("system:node"),
            marked("kubernetes.io/bootstrapping", "rbac-defaults"),
            json!({"metadata": {"name": "view", "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}}}),
        ] {
            assert_eq!(
                left(kind, Some(object.clone()), None, &Widen::default()),
                Some(("rbac-system", Some(Permission::System)))
            );
            assert_eq!(left(kind, Some(object), None, &system), None);
        }
        assert_eq!(created(kind, named("web")), None);
    }
}

#[test]
fn flowcontrol_system_is_changed_only_when_asked() {
    let kind = "flowcontrol.apiserver.k8s.io/flowschemas";
    let auto =
        |value: &str| json!({"metadata": {"name": "x", "annotations": {"apf.kubernetes.io/autoupdate-spec": value}}});
    assert_eq!(created(kind, auto("true")), Some("flowcontrol-system"));
    assert_eq!(created(kind, named("exempt")), Some("flowcontrol-system"));
    assert_eq!(created(kind, auto("false")), None);
    assert_eq!(left(kind, Some(auto("true")), None, &Widen { include_system: true, ..Widen::default() }), None);
}

#[test]
fn system_priority_class_is_changed_only_when_asked() {
    let kind = "scheduling.k8s.io/priorityclasses";
    assert_eq!(created(kind, named("system-node-critical")), Some("system-priority-class"));
    assert_eq!(created(kind, named("web")), None);
}

#[test]
fn crd_stored_versions_are_not_taken_away() {
    let kind = "apiextensions.k8s.io/customresourcedefinitions";
    let crd = |versions: &[&str]| {
        let list: Vec<Json> = versions.iter().map(|name| json!({"name": name})).collect();
        json!({"metadata": {"name": "carts"}, "spec": {"versions": list}, "status": {"storedVersions": versions}})
    };
    let of = |wanted: Json, live: Json| left(kind, Some(wanted), Some(live), &Widen::default());
    assert_eq!(of(crd(&["v1"]), crd(&["v1", "v2"])), Some(("crd-stored-versions", None)));
    assert_eq!(of(crd(&["v1", "v2"]), crd(&["v1"])), None);
    assert_eq!(created(kind, crd(&["v1"])), None);
}
