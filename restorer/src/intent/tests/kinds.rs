//! What is kept of an object of one kind, rule by rule: each test is named by the rule's id.

use super::*;

#[test]
fn job_selector_and_labels_are_the_live_jobs() {
    let job = |uid: &str, image: &str| {
        let labels = json!({"app": "web", "controller-uid": uid, "batch.kubernetes.io/controller-uid": uid,
            "job-name": "web", "batch.kubernetes.io/job-name": "web"});
        json!({"metadata": {"labels": labels.clone()}, "spec": {"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
            "template": {"metadata": {"labels": labels}, "spec": {"image": image}}}})
    };
    assert!(Trial::new("batch/jobs", job("u1", "x"), Some(job("u2", "x"))).is_equal());
    let new = Trial::new("batch/jobs", job("u1", "x"), None).target();
    let expected = json!({"metadata": {"labels": {"app": "web"}},
        "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"image": "x"}}}});
    assert_eq!(new, expected);
    let mut manual = job("u1", "x");
    manual["spec"]["manualSelector"] = json!(true);
    assert_eq!(Trial::new("batch/jobs", manual.clone(), None).target(), manual);
}

#[test]
fn pod_placement_is_the_live_pods() {
    let pod = |token: &str, node: &str, image: &str| {
        let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
        json!({"spec": {"nodeName": node, "priority": 5, "serviceAccountName": "web",
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": format!("kube-api-access-{token}")}, {"name": format!("web-token-{token}")}],
            "containers": [{"name": "web", "image": image, "volumeMounts": [mount("data", "/data"),
                mount(&format!("kube-api-access-{token}"), "/t"), mount(&format!("web-token-{token}"), "/u")]}],
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 20}]}})
    };
    let trial = Trial::new("/pods", pod("aaaaa", "n1", "x:1"), Some(pod("bbbbb", "n2", "x:2")));
    assert_eq!(trial.target(), pod("bbbbb", "n2", "x:1"));
    let new = Trial::new("/pods", pod("aaaaa", "n1", "x:1"), None).target();
    let expected = json!({"spec": {"serviceAccountName": "web", "volumes": [{"name": "data", "emptyDir": {}}],
        "containers": [{"name": "web", "image": "x:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 20}]}});
    assert_eq!(new, expected);
}

#[test]
fn pvc_source_is_the_live_claims() {
    let claim = |source: Option<&str>| {
        let mut claim = json!({"metadata": {"name": "web"}, "spec": {"accessModes": ["ReadWriteOnce"]}});
        if let Some(name) = source {
            claim["spec"]["dataSource"] = json!({"kind": "VolumeSnapshot", "name": name});
            claim["spec"]["dataSourceRef"] = json!({"kind": "VolumeSnapshot", "name": name});
        }
        claim
    };
    let trial = Trial::new("/persistentvolumeclaims", claim(None), Some(claim(Some("s"))));
    assert!(trial.is_equal());
    assert_eq!(trial.target(), claim(Some("s")));
    assert_eq!(Trial::new("/persistentvolumeclaims", claim(Some("s")), None).target(), claim(Some("s")));
}

#[test]
fn volume_snapshot_binding_is_the_controllers() {
    let content = |uid: Option<&str>| {
        let mut reference = json!({"name": "s", "namespace": "shop"});
        if let Some(uid) = uid {
            reference["uid"] = json!(uid);
            reference["resourceVersion"] = json!("7");
        }
        json!({"metadata": {"name": "c"}, "spec": {"source": {"snapshotHandle": "h"}, "volumeSnapshotRef": reference}})
    };
    let kind = "snapshot.storage.k8s.io/volumesnapshotcontents";
    assert!(Trial::new(kind, content(None), Some(content(Some("u")))).is_equal());
    assert_eq!(Trial::new(kind, content(Some("dead")), None).target(), content(None));
}

#[test]
fn pvc_volume_is_the_live_claims_and_comes_back_only_if_it_is_there() {
    let claim = |volume: Option<&str>| {
        let mut claim = json!({"metadata": {"name": "web"}, "spec": {"accessModes": ["ReadWriteOnce"]}});
        if let Some(volume) = volume {
            claim["spec"]["volumeName"] = json!(volume);
        }
        claim
    };
    let trial = Trial::new("/persistentvolumeclaims", claim(Some("pv-1")), Some(claim(Some("pv-2"))));
    assert_eq!(trial.target(), claim(Some("pv-2")));
    assert_eq!(trial.rule("/spec/volumeName"), Some("pvc-volume"));
    assert_eq!(Trial::new("/persistentvolumeclaims", claim(Some("pv-1")), None).target(), claim(None));
    let with = |of: &str, phase: &str| {
        let volume =
            Volume { claim: Some(("shop".to_owned(), of.to_owned())), phase: phase.to_owned(), ..Volume::default() };
        let volumes = BTreeMap::from([("pv-1".to_owned(), volume)]);
        Surroundings { volumes, ..Surroundings::default() }
    };
    let back =
        |around: &Surroundings| Trial::around("/persistentvolumeclaims", claim(Some("pv-1")), None, around).target();
    assert_eq!(back(&with("web", "Released")), claim(Some("pv-1")));
    assert_eq!(back(&with("other", "Bound")), claim(None));
    assert_eq!(back(&with("web", "Failed")), claim(None));
}

#[test]
fn pvc_size_never_shrinks() {
    let claim = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
    let sent = |then: &str, now: &str| Trial::new("/persistentvolumeclaims", claim(then), Some(claim(now))).target();
    assert_eq!(sent("1Gi", "1.5Gi"), claim("1.5Gi"));
    assert_eq!(sent("2Gi", "1.5Gi"), claim("2Gi"));
    assert_eq!(sent("1Gi", "1024Mi"), claim("1Gi"));
    let volume = |size: &str| json!({"spec": {"capacity": {"storage": size}}});
    assert!(Trial::new("/persistentvolumes", volume("1Gi"), Some(volume("2Gi"))).is_equal());
}

#[test]
fn pvc_annotations_of_the_binding_are_the_live_claims() {
    let claim = |node: &str| {
        json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
            "volume.kubernetes.io/selected-node": node, "volume.kubernetes.io/storage-provisioner": "csi",
            "volume.beta.kubernetes.io/storage-provisioner": "csi", "team": "a"}}})
    };
    assert!(Trial::new("/persistentvolumeclaims", claim("n1"), Some(claim("n2"))).is_equal());
    let new = Trial::new("/persistentvolumeclaims", claim("n1"), None).target();
    assert_eq!(new, json!({"metadata": {"annotations": {"team": "a"}}}));
}

#[test]
fn pv_claim_is_the_live_volumes_and_loses_its_uid_in_a_new_one() {
    let volume = |claim: &str, uid: &str| json!({"spec": {"claimRef": {"kind": "PersistentVolumeClaim", "namespace": "shop", "name": claim, "uid": uid, "resourceVersion": "7"}}});
    assert!(Trial::new("/persistentvolumes", volume("a", "u1"), Some(volume("b", "u2"))).is_equal());
    let new = Trial::new("/persistentvolumes", volume("a", "u1"), None).target();
    assert_eq!(new, json!({"spec": {"claimRef": {"kind": "PersistentVolumeClaim", "namespace": "shop", "name": "a"}}}));
}

#[test]
fn pv_annotations_of_the_provisioner_are_the_live_volumes() {
    let volume = |by: &str| json!({"metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": by, "pv.kubernetes.io/bound-by-controller": "yes"}}});
    assert!(Trial::new("/persistentvolumes", volume("a"), Some(volume("b"))).is_equal());
    let new = Trial::new("/persistentvolumes", volume("a"), None).target();
    assert_eq!(new, json!({"metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": "a"}}}));
}

#[test]
fn service_cluster_ip_stays_unless_somebody_asked_for_one() {
    let service = |ip: &str, selector: &str| json!({"spec": {"clusterIP": ip, "clusterIPs": [ip], "selector": {"app": selector}}});
    let trial = Trial::new("/services", service("10.0.0.1", "a"), Some(service("10.0.0.2", "b")));
    assert_eq!(trial.target(), service("10.0.0.2", "a"));
    assert_eq!(trial.rule("/spec/clusterIP"), Some("service-cluster-ip"));
    assert_eq!(
        Trial::new("/services", service("10.0.0.1", "a"), None).target(),
        service("10.0.0.1", "a"),
        "the old one is asked for"
    );
    let mut asked = service("10.0.0.1", "a");
    asked["metadata"] = json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": r#"{"spec":{"clusterIP":"10.0.0.1"}}"#}});
    assert_eq!(
        Trial::new("/services", asked, Some(service("10.0.0.2", "a"))).target()["spec"]["clusterIP"],
        json!("10.0.0.1")
    );
    let mut booked = service("10.0.0.2", "a");
    booked["metadata"] = json!({"managedFields": [managed("ci", "", &json!({"f:spec": {"f:clusterIP": {}}}))]});
    assert_eq!(
        Trial::new("/services", service("10.0.0.1", "a"), Some(booked)).target()["spec"]["clusterIP"],
        json!("10.0.0.1")
    );
    // Headless or not is not allocated.
    assert_eq!(
        Trial::new("/services", service("None", "a"), Some(service("10.0.0.2", "a"))).target()["spec"]["clusterIP"],
        json!("None")
    );
    let external = json!({"spec": {"type": "ExternalName", "externalName": "x"}});
    assert_eq!(Trial::new("/services", external.clone(), Some(service("10.0.0.2", "a"))).target(), external);
}

#[test]
fn service_node_port_is_put_back_whoever_chose_it() {
    let service = |health: u32, node: u32, target: u32| {
        json!({"spec": {"healthCheckNodePort": health, "ports": [
            {"port": 80, "protocol": "TCP", "targetPort": target, "nodePort": node}]}})
    };
    let trial = Trial::new("/services", service(1, 30080, 1), Some(service(2, 31000, 2)));
    assert_eq!(trial.target(), service(2, 30080, 1), "the server does not let a health check's be changed");
    assert_eq!(trial.rule("/spec/ports/0/nodePort"), None);
    assert_eq!(trial.rule("/spec/healthCheckNodePort"), Some("service-node-port"));
    let without = json!({"spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 1}]}});
    assert_eq!(
        Trial::new("/services", without.clone(), Some(service(2, 31000, 1))).target(),
        without,
        "no node port any more"
    );
}

#[test]
fn ca_bundle_stays_as_it_is_live_and_comes_back_where_there_is_none() {
    let webhooks = |bundles: &[(&str, &str)]| {
        let webhook = |(name, bundle): &(&str, &str)| json!({"name": name, "clientConfig": {"url": "https://x", "caBundle": bundle}});
        json!({"webhooks": bundles.iter().map(webhook).collect::<Vec<_>>()})
    };
    for kind in [
        "admissionregistration.k8s.io/mutatingwebhookconfigurations",
        "admissionregistration.k8s.io/validatingwebhookconfigurations",
    ] {
        let live = webhooks(&[("new", "NEW"), ("b", "B2"), ("a", "A2")]);
        let trial = Trial::new(kind, webhooks(&[("a", "A1"), ("b", "B1")]), Some(live));
        assert_eq!(trial.target(), webhooks(&[("a", "A2"), ("b", "B2")]));
        assert_eq!(trial.rule("/webhooks/2/clientConfig/caBundle"), Some("ca-bundle"));
        let none = json!({"webhooks": [{"name": "a", "clientConfig": {"url": "https://x"}}]});
        assert_eq!(Trial::new(kind, webhooks(&[("a", "A1")]), Some(none)).target(), webhooks(&[("a", "A1")]));
    }
    let service = |bundle: &str| json!({"spec": {"caBundle": bundle, "group": "x"}});
    let trial = Trial::new("apiregistration.k8s.io/apiservices", service("old"), Some(service("new")));
    assert_eq!(trial.target(), service("new"));
    let crd = |bundle: &str| json!({"spec": {"conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"caBundle": bundle}}}}});
    let trial = Trial::new("apiextensions.k8s.io/customresourcedefinitions", crd("old"), Some(crd("new")));
    assert_eq!(trial.target(), crd("new"));
    let plain = json!({"spec": {"conversion": {"strategy": "None"}}});
    let trial = Trial::new("apiextensions.k8s.io/customresourcedefinitions", plain.clone(), Some(crd("new")));
    assert_eq!(trial.target(), plain, "no webhook is made up for a certificate");
}

#[test]
fn injected_trust_stays_as_it_is_live() {
    let bundle = |ca: &str, mark: &str| json!({"metadata": {"labels": {"config.openshift.io/inject-trusted-cabundle": mark}}, "data": {"ca": ca}});
    let trial = Trial::new("/configmaps", bundle("old", "true"), Some(bundle("new", "true")));
    assert_eq!(trial.target(), bundle("new", "true"));
    assert_eq!(trial.rule("/data"), Some("injected-trust"));
    for mark in ["false", "", "no"] {
        assert!(!Trial::new("/configmaps", bundle("old", mark), Some(bundle("new", mark))).is_equal(), "{mark}");
    }
}

#[test]
fn account_token_data_is_the_live_secrets() {
    let secret = |uid: &str, token: &str| {
        json!({"type": "kubernetes.io/service-account-token", "metadata": {"annotations": {"kubernetes.io/service-account.name": "web",
            "kubernetes.io/service-account.uid": uid}}, "data": {"token": token, "ca.crt": token, "namespace": "bnM=", "mine": "MQ=="}})
    };
    assert!(Trial::new("/secrets", secret("u1", "old"), Some(secret("u2", "new"))).is_equal());
    let new = Trial::new("/secrets", secret("u1", "old"), None).target();
    let expected = json!({"type": "kubernetes.io/service-account-token",
        "metadata": {"annotations": {"kubernetes.io/service-account.name": "web"}}, "data": {"mine": "MQ=="}});
    assert_eq!(new, expected);
}

#[test]
fn service_account_secrets_are_the_live_accounts() {
    let account = |token: &str| json!({"secrets": [{"name": format!("web-token-{token}")}, {"name": "mine"}]});
    let trial = Trial::new("/serviceaccounts", account("aaaaa"), Some(account("bbbbb")));
    assert!(trial.is_equal());
    assert_eq!(trial.target(), json!({"secrets": [{"name": "mine"}, {"name": "web-token-bbbbb"}]}));
    assert_eq!(Trial::new("/serviceaccounts", account("aaaaa"), None).target(), json!({"secrets": [{"name": "mine"}]}));
}

#[test]
fn aggregated_cluster_role_keeps_its_gathered_rules() {
    let kind = "rbac.authorization.k8s.io/clusterroles";
    let role = |verb: &str| json!({"aggregationRule": {"clusterRoleSelectors": []}, "rules": [{"verbs": [verb]}]});
    assert!(Trial::new(kind, role("get"), Some(role("list"))).is_equal());
    assert_eq!(Trial::new(kind, role("get"), None).target(), json!({"aggregationRule": {"clusterRoleSelectors": []}}));
    let plain = json!({"rules": [{"verbs": ["get"]}]});
    assert_eq!(Trial::new(kind, plain.clone(), Some(role("list"))).target(), plain, "it was no aggregate then");
}
