//! What a change needs beside being sent, rule by rule: each test is named by the rule's id.

use serde_json::{Value as Json, json};

use super::super::*;
use crate::{
    intent::tests::full,
    kinds::{
        crds::{holds, pruned_fields},
        volumes::rebind,
    },
    plan::{Propagation, Verb},
};
use hindcast_journal::exact::Value;

fn value(json: &Json) -> Value {
    Value::from_serde(json)
}

fn fixed(kind: &str, target: &Json, live: &Json) -> Vec<String> {
    recreate(kind, &value(target), &value(live))
}

fn spec(member: &str, content: Json) -> Json {
    json!({"spec": {member: content}})
}

#[test]
fn destroys_data_names_what_is_lost() {
    let lost = |kind: &str, object: Json| destroys(kind, &full(object));
    let claim = lost("/persistentvolumeclaims", spec("volumeName", json!("pv-1"))).expect("data");
    assert!(claim.to_string().contains("pv-1"), "{claim}");
    for kind in
        ["/persistentvolumes", "/namespaces", "apiextensions.k8s.io/customresourcedefinitions", "/pods", "batch/jobs"]
    {
        assert!(lost(kind, json!({})).is_some(), "{kind}");
    }
    assert!(lost("snapshot.storage.k8s.io/volumesnapshots", json!({})).is_some());
    assert!(lost("groupsnapshot.storage.k8s.io/volumegroupsnapshots", json!({})).is_some());
    let finished = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
    assert_eq!(lost("batch/jobs", finished), None);
    let owned = json!({"metadata": {"ownerReferences": [{"kind": "ReplicaSet", "name": "w", "controller": true}]}});
    assert_eq!(lost("/pods", owned), None);
    let policy = |when: &str| spec("persistentVolumeClaimRetentionPolicy", json!({"whenDeleted": when}));
    assert!(lost("apps/statefulsets", policy("Delete")).is_some());
    assert_eq!(lost("apps/statefulsets", policy("Retain")), None);
    for kind in ["apps/deployments", "/configmaps", "/secrets", "/services", "shop.example/carts"] {
        assert_eq!(lost(kind, json!({})), None, "{kind}");
    }
}

#[test]
fn statefulset_orphan_is_for_all_but_what_can_change() {
    let kind = "apps/statefulsets";
    let mutable = json!({"spec": {"replicas": 3, "template": {"a": 1}, "updateStrategy": {}, "ordinals": {}, "minReadySeconds": 1,
        "persistentVolumeClaimRetentionPolicy": {}, "revisionHistoryLimit": 1}});
    assert_eq!(fixed(kind, &mutable, &json!({"spec": {}})), Vec::<String>::new());
    for member in ["serviceName", "selector", "podManagementPolicy", "volumeClaimTemplates"] {
        assert_eq!(fixed(kind, &spec(member, json!("a")), &spec(member, json!("b"))), [format!("/spec/{member}")]);
    }
    assert_eq!(recreate_needs(kind), None);
    assert_eq!(propagation(kind, true), Propagation::Orphan);
}

#[test]
fn selector_recreate_needs_its_flag() {
    for kind in ["apps/deployments", "apps/daemonsets", "apps/replicasets"] {
        assert_eq!(fixed(kind, &spec("selector", json!({"a": "b"})), &spec("selector", json!({}))), ["/spec/selector"]);
        assert!(fixed(kind, &spec("template", json!(1)), &spec("template", json!(2))).is_empty());
        assert_eq!(recreate_needs(kind), Some(Permission::Recreate));
        assert_eq!(propagation(kind, true), Propagation::Background);
    }
}

#[test]
fn immutable_fields_need_delete_and_create() {
    let cases = [
        ("batch/jobs", spec("template", json!(1)), spec("template", json!(2)), "/spec/template"),
        ("/secrets", json!({"type": "Opaque"}), json!({"type": "kubernetes.io/tls"}), "/type"),
        ("/configmaps", json!({"data": {"a": "1"}}), json!({"data": {}, "immutable": true}), "/data"),
        ("/secrets", json!({"data": {"a": "1"}, "immutable": true}), json!({"data": {}, "immutable": true}), "/data"),
        (
            "/persistentvolumeclaims",
            spec("storageClassName", json!("a")),
            spec("storageClassName", json!("b")),
            "/spec/storageClassName",
        ),
        ("/persistentvolumes", spec("csi", json!("a")), spec("csi", json!("b")), "/spec/csi"),
        ("storage.k8s.io/storageclasses", json!({"provisioner": "a"}), json!({"provisioner": "b"}), "/provisioner"),
        ("scheduling.k8s.io/priorityclasses", json!({"value": 1}), json!({"value": 2}), "/value"),
        (
            "apiextensions.k8s.io/customresourcedefinitions",
            spec("scope", json!("Cluster")),
            spec("scope", json!("Namespaced")),
            "/spec/scope",
        ),
        ("/services", spec("clusterIP", json!("None")), spec("clusterIP", json!("10.0.0.1")), "/spec/clusterIP"),
        ("/resourcequotas", spec("scopes", json!(["BestEffort"])), spec("scopes", json!([])), "/spec/scopes"),
        ("/pods", spec("hostNetwork", json!(true)), json!({"spec": {}}), "/spec/hostNetwork"),
        (
            "/pods",
            spec("containers", json!([{"name": "a", "env": []}])),
            spec("containers", json!([{"name": "a"}])),
            "/spec/containers",
        ),
    ];
    for (kind, target, live, path) in cases {
        assert_eq!(fixed(kind, &target, &live)[0], path, "{kind}");
        assert_eq!(fixed(kind, &live, &live), Vec::<String>::new(), "{kind}");
    }
    let mutable = [
        ("/configmaps", json!({"data": {"a": "1"}}), json!({"data": {}})),
        (
            "/pods",
            spec("containers", json!([{"name": "a", "image": "x:1"}])),
            spec("containers", json!([{"name": "a", "image": "x:2"}])),
        ),
        ("/services", json!({"spec": {"type": "ExternalName"}}), spec("clusterIP", json!("10.0.0.1"))),
        ("/persistentvolumeclaims", spec("resources", json!(2)), spec("resources", json!(1))),
        ("shop.example/carts", spec("a", json!(1)), spec("a", json!(2))),
    ];
    for (kind, target, live) in mutable {
        assert_eq!(fixed(kind, &target, &live), Vec::<String>::new(), "{kind}");
    }
    assert_eq!(recreate_needs("batch/jobs"), Some(Permission::RerunJobs));
    assert_eq!(recreate_needs("/configmaps"), None);
    assert_eq!(recreate_needs("/services"), Some(Permission::Recreate));
    for kind in ["/persistentvolumeclaims", "/persistentvolumes", "apiextensions.k8s.io/customresourcedefinitions"] {
        assert!(recreate_needs(kind).is_some_and(|needed| needed.destroys()), "{kind}");
    }
}

#[test]
fn role_ref_is_put_back_by_delete_and_create() {
    for kind in ["rbac.authorization.k8s.io/rolebindings", "rbac.authorization.k8s.io/clusterrolebindings"] {
        assert_eq!(fixed(kind, &json!({"roleRef": {"name": "a"}}), &json!({"roleRef": {"name": "b"}})), ["/roleRef"]);
        assert_eq!(recreate_needs(kind), None);
    }
}

#[test]
fn propagation_is_said_for_every_kind() {
    for kind in ["apps/deployments", "apps/statefulsets", "batch/jobs", "/replicationcontrollers", "shop.example/carts"]
    {
        assert_eq!(propagation(kind, false), Propagation::Background, "{kind}");
    }
}

#[test]
fn cronjob_suspended_until_all_is_done() {
    let mut body = value(&json!({"spec": {"schedule": "* * * * *"}}));
    assert!(suspend("batch/cronjobs", &mut body));
    assert_eq!(body.pointer("/spec/suspend").and_then(Value::as_bool), Some(true));
    let mut body = value(&json!({"spec": {"suspend": true}}));
    assert!(!suspend("batch/cronjobs", &mut body), "it was suspended then too");
    let mut body = value(&json!({"spec": {}}));
    assert!(!suspend("batch/jobs", &mut body));
    assert_eq!(body, value(&json!({"spec": {}})));
}

#[test]
fn quota_order_is_growing_first_and_shrinking_last() {
    let quota = |hard: Json| value(&json!({"spec": {"hard": hard}}));
    let order = |then: Json, now: Json| wave("/resourcequotas", Verb::Update, Some(&quota(then)), Some(&quota(now)));
    assert_eq!(order(json!({"pods": "10"}), json!({"pods": "5"})), Turn::Loosens as u8);
    assert_eq!(order(json!({"pods": "5"}), json!({"pods": "10"})), Turn::Limits as u8);
    assert_eq!(order(json!({"pods": "5", "memory": "1Gi"}), json!({"pods": "5"})), Turn::Limits as u8, "a new limit");
    assert_eq!(order(json!({"pods": "5"}), json!({"pods": "5", "memory": "1Gi"})), Turn::Loosens as u8);
    assert_eq!(order(json!({"memory": "1024Mi"}), json!({"memory": "1Gi"})), Turn::Configuration as u8);
    assert_eq!(wave("/resourcequotas", Verb::Create, Some(&quota(json!({"pods": "5"}))), None), Turn::Limits as u8);
    assert_eq!(wave("/resourcequotas", Verb::Delete, None, Some(&quota(json!({"pods": "5"})))), Turn::Loosens as u8);
}

fn creates(kind: &str) -> u8 {
    wave(kind, Verb::Create, None, None)
}

#[test]
fn limit_range_last_of_what_is_in_a_namespace() {
    for kind in ["apps/deployments", "/pods", "shop.example/carts", "policy/poddisruptionbudgets"] {
        assert!(creates("/limitranges") > creates(kind), "{kind}");
    }
}

#[test]
fn webhooks_last_but_for_api_services() {
    for kind in find("webhooks-last").expect("a rule of the table").kinds {
        for other in ["/limitranges", "/pods", "shop.example/carts"] {
            assert!(creates(kind) > creates(other), "{kind} and {other}");
        }
    }
}

#[test]
fn namespace_security_that_grows_comes_after_the_pods() {
    let namespace =
        |level: &str| value(&json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}}));
    let order =
        |then: &str, now: &str| wave("/namespaces", Verb::Update, Some(&namespace(then)), Some(&namespace(now)));
    assert!(order("restricted", "privileged") > creates("/pods"));
    assert!(order("privileged", "restricted") < creates("/pods"));
    assert!(order("baseline", "baseline") < creates("/pods"));
}

#[test]
fn api_services_last_of_all_that_is_written() {
    let last = creates("apiregistration.k8s.io/apiservices");
    assert!(last > creates("admissionregistration.k8s.io/validatingwebhookconfigurations"));
    assert_eq!(usize::from(wave("/namespaces", Verb::Delete, None, None)), GROUPS.len() - 1);
    assert!(last < wave("/namespaces", Verb::Delete, None, None));
}

#[test]
fn what_others_need_comes_before_them() {
    let order = [
        "apiextensions.k8s.io/customresourcedefinitions",
        "/namespaces",
        "/configmaps",
        "/services",
        "apps/deployments",
        "shop.example/carts",
        "autoscaling/horizontalpodautoscalers",
    ];
    assert!(order.is_sorted_by_key(|kind| creates(kind)));
    assert!(order.iter().all(|kind| creates(kind) < wave("/configmaps", Verb::Delete, None, None)));
}

#[test]
fn immutable_fields_are_not_told_of_a_secret_that_is_made_anew_for_its_type() {
    let secret = |immutable: Option<bool>, sort: &str| {
        let mut secret = json!({"type": sort, "data": {"k": "djE="}});
        if let Some(immutable) = immutable {
            secret["immutable"] = json!(immutable);
        }
        value(&secret)
    };
    let said = |immutable: Option<bool>| {
        let (then, now) = (secret(immutable, "Opaque"), secret(immutable, "shop.example/token"));
        assert_eq!(recreate("/secrets", &then, &now), ["/type"]);
        warnings("/secrets", &then, &then, Some(&now), true).join("; ")
    };
    for not in [None, Some(false)] {
        assert!(!said(not).contains("immutable"), "{}", said(not));
    }
    assert!(said(Some(true)).contains("it is immutable"), "{}", said(Some(true)));
}

#[test]
fn load_balancer_address_that_goes_with_a_change_is_warned_of() {
    let service = |sort: &str| value(&spec("type", json!(sort)));
    let said = |to: &str, from: &str| warnings("/services", &service(to), &service(to), Some(&service(from)), false);
    assert!(said("ClusterIP", "LoadBalancer").join("").contains("load balancer goes"));
    assert!(said("LoadBalancer", "LoadBalancer").is_empty() && said("ClusterIP", "NodePort").is_empty());
}

#[test]
fn load_balancer_address_is_warned_of() {
    let service = |sort: &str| value(&json!({"spec": {"type": sort}}));
    let warned = |sort: &str, live: Option<&Value>, again: bool| {
        warnings("/services", &service(sort), &service(sort), live, again).len()
    };
    assert_eq!(warned("LoadBalancer", None, false), 1);
    assert_eq!(warned("LoadBalancer", Some(&service("LoadBalancer")), true), 1);
    assert_eq!(warned("LoadBalancer", Some(&service("LoadBalancer")), false), 0);
    assert_eq!(warned("ClusterIP", None, false), 0);
}

#[test]
fn finalizers_of_other_programs_are_warned_of() {
    let object = value(
        &json!({"metadata": {"finalizers": ["kubernetes.io/pvc-protection", "shop.example/cleanup", "service.kubernetes.io/x"]}}),
    );
    let warned = warnings("shop.example/carts", &object, &object, None, false);
    assert!(warned.len() == 1 && warned[0].contains("shop.example/cleanup"), "{warned:?}");
}

#[test]
fn pvc_empty_is_warned_of() {
    let claim = |volume: Option<&str>| value(&json!({"spec": {"volumeName": volume}}));
    let warned = |target: Option<&str>, then: Option<&str>| {
        warnings("/persistentvolumeclaims", &claim(target), &claim(then), None, false).join("")
    };
    assert!(warned(None, Some("pv-1")).starts_with("claim re-created EMPTY"));
    assert_eq!(warned(Some("pv-1"), Some("pv-1")) + &warned(None, None), "");
}

#[test]
fn service_cluster_ip_that_is_taken_is_given_up() {
    let mut body =
        value(&json!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "healthCheckNodePort": 1,
        "ports": [{"port": 80, "nodePort": 30080}]}}));
    let invalid = |field: &str, value: &str| {
        format!(r#"Service "web" is invalid: spec.{field}: Invalid value: {value}: failed to allocate"#)
    };
    let ip = invalid("clusterIPs", r#"["10.0.0.1"]"#);
    let fixed = ip.replace("failed to allocate", "may not change once set");
    assert_eq!(without_taken("/services", &mut body, &fixed), None, "it is not taken");
    let said = without_taken("/services", &mut body, &ip).expect("it has one");
    assert_eq!(said, "its address 10.0.0.1 is taken: it has another one");
    assert_eq!(without_taken("/services", &mut body, &ip), None, "it has none any more");
    let mut headless = value(&json!({"spec": {"clusterIP": "None", "ports": [{"port": 80}]}}));
    assert_eq!(without_taken("/services", &mut headless, &ip), None);
    let mut other = value(&json!({"spec": {"clusterIP": "x"}}));
    assert_eq!(without_taken("/configmaps", &mut other, &ip), None);
    assert_eq!(without_taken("/services", &mut body, &invalid("ports[0].nodePort", "3008")), None, "another port");
    for (field, taken, said) in [
        ("ports[0].nodePort", "30080", "its node port 30080 is taken"),
        ("healthCheckNodePort", "1", "its health check port 1 is taken"),
    ] {
        let found = without_taken("/services", &mut body, &invalid(field, taken)).expect("it has one");
        assert!(found.starts_with(said), "{found}");
    }
    assert_eq!(body.to_serde(), json!({"spec": {"ports": [{"port": 80}]}}));
}

#[test]
fn service_node_port_that_was_given_instead_is_known_again() {
    let service = |ip: &str, ports: &[(u64, &str, Option<u64>)]| {
        let port = |(port, protocol, node): &(u64, &str, Option<u64>)| {
            let mut one = json!({"port": port, "protocol": protocol});
            if let Some(node) = node {
                one["nodePort"] = json!(node);
            }
            one
        };
        let ports: Vec<_> = ports.iter().map(port).collect();
        value(&json!({"spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": ports}}))
    };
    let wanted =
        service("10.0.0.1", &[(80, "TCP", Some(30_080)), (80, "UDP", Some(30_081)), (81, "TCP", Some(30_082))]);
    let now = service("10.0.0.7", &[(80, "UDP", Some(30_081)), (80, "TCP", Some(31_000)), (82, "TCP", Some(30_082))]);
    let (given, words) = as_given("/services", &wanted, &now).expect("two are other ones");
    let expected =
        service("10.0.0.7", &[(80, "TCP", Some(31_000)), (80, "UDP", Some(30_081)), (81, "TCP", Some(30_082))]);
    assert_eq!(given, expected, "a port is itself by number and protocol, wherever it stands");
    assert_eq!(words, "its address is 10.0.0.7, not 10.0.0.1; its node port is 31000, not 30080");
    assert_eq!(as_given("/services", &wanted, &wanted), None);
    assert_eq!(as_given("/configmaps", &wanted, &now), None);
    // One that has none, or that is to have none, was not given another.
    let without = service("None", &[(80, "TCP", None)]);
    assert_eq!(as_given("/services", &without, &now), None);
    assert_eq!(as_given("/services", &now, &without), None);
}

#[test]
fn pv_claim_of_a_released_volume_is_freed() {
    let volume = value(
        &json!({"spec": {"claimRef": {"namespace": "shop", "name": "data", "uid": "u", "resourceVersion": "1"}}}),
    );
    let free = rebind(&volume).expect("it was bound").to_serde();
    assert_eq!(free, json!({"spec": {"claimRef": {"namespace": "shop", "name": "data"}}}));
    assert_eq!(rebind(&value(&free)), None);
}

#[test]
fn crd_prunes_are_named_and_counted() {
    let crd =
        |schema: Json| value(&json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}}));
    let property = |properties: Json| json!({"properties": {"spec": {"properties": properties}}});
    let now =
        crd(property(json!({"colour": {}, "size": {}, "parts": {"items": {"properties": {"weight": {}, "name": {}}}},
        "by": {"additionalProperties": {"properties": {"x": {}}}}})));
    let then = crd(property(json!({"size": {}, "parts": {"items": {"properties": {"name": {}}}},
        "by": {"additionalProperties": {"properties": {}}}})));
    let fields = pruned_fields(&then, &now).remove("v1").expect("fields are lost");
    assert_eq!(fields, ["spec.by.*.x", "spec.colour", "spec.parts[].weight"]);
    assert!(pruned_fields(&now, &then).is_empty());
    let open = crd(json!({"properties": {"spec": {"x-kubernetes-preserve-unknown-fields": true}}}));
    assert!(pruned_fields(&open, &now).is_empty());
    let object = value(&json!({"spec": {"parts": [{"name": "a"}, {"weight": 1}], "by": {"k": {"x": 1}}}}));
    let held: Vec<bool> = fields.iter().map(|field| holds(&object, field)).collect();
    assert_eq!(held, [true, false, true]);
    let warned = warnings("apiextensions.k8s.io/customresourcedefinitions", &then, &then, Some(&now), false).join("");
    assert!(warned.contains("v1 loses spec.by.*.x, spec.colour"), "{warned}");
}

#[test]
fn crd_preserve_unknown_is_said_in_the_schemas() {
    let mut body = value(
        &json!({"spec": {"preserveUnknownFields": true, "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {}}}]}}),
    );
    assert_eq!(adjust("apiextensions.k8s.io/customresourcedefinitions", &mut body).len(), 1);
    let expected = json!({"spec": {"preserveUnknownFields": false,
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"x-kubernetes-preserve-unknown-fields": true}}}]}});
    assert_eq!(body.to_serde(), expected);
    assert!(adjust("apiextensions.k8s.io/customresourcedefinitions", &mut body).is_empty());
}

#[test]
fn webhook_side_effects_are_what_the_server_accepts() {
    let mut body = value(
        &json!({"webhooks": [{"name": "a", "sideEffects": "Some"}, {"name": "b", "sideEffects": "NoneOnDryRun"}]}),
    );
    let said = adjust("admissionregistration.k8s.io/validatingwebhookconfigurations", &mut body);
    assert!(said.len() == 1 && said[0].contains("webhook a"), "{said:?}");
    let effects = ["/webhooks/0/sideEffects", "/webhooks/1/sideEffects"]
        .map(|path| body.pointer(path).and_then(Value::as_str).map(str::to_owned));
    assert_eq!(effects, [Some("None".to_owned()), Some("NoneOnDryRun".to_owned())]);
}

#[test]
fn version_not_served_is_named() {
    let served = ["v1".to_owned(), "v1beta2".to_owned()];
    assert_eq!(not_served("v1", &served, None), None);
    assert_eq!(
        not_served("v1beta1", &served, None).map(|reason| reason.to_string()).as_deref(),
        Some("it was recorded in a version that is gone: v1beta1 is not served; the server has v1, v1beta2")
    );
    assert_eq!(not_served("v1beta1", &[], None), None, "nothing is known");
}

#[test]
fn rbac_escalation_names_the_missing_verb() {
    let message = r#"user "ci" is attempting to grant RBAC permissions not currently held: {APIGroups:[""]}"#;
    let said = escalation("rbac.authorization.k8s.io/rolebindings", "web", message).expect("it is about rights");
    assert!(said.contains("verb bind"), "{said}");
    let said = escalation("rbac.authorization.k8s.io/roles", "web", message).expect("it is about rights");
    assert!(said.contains("verb escalate"), "{said}");
    assert_eq!(escalation("rbac.authorization.k8s.io/roles", "web", "forbidden"), None);
    assert_eq!(escalation("/configmaps", "web", message), None);
}

#[test]
fn gitops_owner_is_named_with_what_stops_it() {
    let with = |labels: Json, annotations: Json| {
        gitops(&value(&json!({"metadata": {"labels": labels, "annotations": annotations}})))
    };
    let argo =
        with(json!({}), json!({"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"})).expect("Argo CD");
    assert!(argo.contains("application shop ") && argo.contains("argocd app set shop --sync-policy none"), "{argo}");
    let spaced = with(json!({}), json!({"argocd.argoproj.io/tracking-id": "team_shop:apps/Deployment:shop/web"}))
        .expect("Argo CD");
    assert!(spaced.contains("argocd app set shop --app-namespace team --sync-policy none"), "{spaced}");
    assert!(
        with(json!({"argocd.argoproj.io/instance": "shop"}), json!({})).is_some_and(|said| said.contains("Argo CD"))
    );
    let flux = |tool: &str| {
        let labels = json!({format!("{tool}.toolkit.fluxcd.io/name"): "web", format!("{tool}.toolkit.fluxcd.io/namespace"): "flux"});
        with(labels, json!({"meta.helm.sh/release-name": "web"})).expect("Flux")
    };
    assert!(flux("kustomize").contains("flux suspend kustomization web -n flux"), "{}", flux("kustomize"));
    assert!(flux("helm").contains("flux suspend helmrelease web -n flux"), "{}", flux("helm"));
    let helm = with(json!({}), json!({"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}))
        .expect("Helm");
    assert!(helm.contains("helm rollback web -n shop"), "{helm}");
    assert_eq!(with(json!({"app.kubernetes.io/instance": "web"}), json!({})), None);
}

#[test]
fn config_at_start_is_what_running_pods_do_not_notice() {
    let spec = json!({
        "containers": [{"name": "web",
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "password", "key": "p"}}}, {"name": "B", "value": "x"}],
            "envFrom": [{"configMapRef": {"name": "settings"}}],
            "volumeMounts": [{"name": "one", "mountPath": "/a", "subPath": "a"}, {"name": "two", "mountPath": "/b"}]}],
        "initContainers": [{"name": "init", "envFrom": [{"secretRef": {"name": "early"}}]}],
        "volumes": [{"name": "one", "configMap": {"name": "pinned"}}, {"name": "two", "secret": {"secretName": "certs"}},
            {"name": "three", "projected": {"sources": [{"configMap": {"name": "part"}}, {"secret": {"name": "other"}}]}}]});
    let at_start =
        [("/configmaps", "pinned"), ("/configmaps", "settings"), ("/secrets", "early"), ("/secrets", "password")];
    let followed = [("/configmaps", "part"), ("/secrets", "certs"), ("/secrets", "other")];
    let set = |list: &[(&'static str, &str)]| list.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect();
    assert_eq!(reads(&value(&spec)), Reads { at_start: set(&at_start), followed: set(&followed) });
}

#[test]
fn the_pods_of_each_workload_are_found() {
    let pods = json!({"containers": []});
    for (kind, object) in [
        ("/pods", json!({"spec": pods})),
        ("apps/deployments", json!({"spec": {"template": {"spec": pods}}})),
        ("argoproj.io/rollouts", json!({"spec": {"template": {"spec": pods}}})),
        ("batch/cronjobs", json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": pods}}}}})),
    ] {
        assert_eq!(pod_spec(kind, &value(&object)), Some(&value(&pods)), "{kind}");
    }
}

#[test]
fn webhook_bypassed_then_is_switched_on() {
    let kind = "admissionregistration.k8s.io/validatingwebhookconfigurations";
    let mut then = value(&json!({"webhooks": [{"name": "a", "matchConditions": [
        {"name": "hindcast-bypass", "expression": "\"restore r1\" == \"over\""},
    ]}]}));
    assert!(super::super::without_meanwhile(kind, &mut then));
    assert_eq!(then, value(&json!({"webhooks": [{"name": "a"}]})));
    assert!(!super::super::without_meanwhile(kind, &mut then));
}
