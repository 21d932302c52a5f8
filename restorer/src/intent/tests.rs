//! What is kept of an object, rule by rule: each test is named by the rule's id.

mod kinds;
mod properties;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::*;
use crate::reason::Standing;

/// An object with its managedFields apart.
pub(crate) fn full(json: serde_json::Value) -> Full {
    let mut value = Value::from_serde(&json);
    let managed = hindcast_journal::exact::split_managed_fields(&mut value);
    Full { value, managed }
}

pub(crate) fn key(kind: &str, name: &str) -> ObjectKey {
    let (group, resource) = kind.split_once('/').unwrap_or(("", kind));
    let text = |text: &str| text.to_owned();
    ObjectKey { namespace: text("shop"), group: text(group), resource: text(resource), name: text(name) }
}

/// One rule tried on both sides of an object.
struct Trial {
    kept: Vec<Kept>,
    wanted: Full,
    live: Option<Full>,
}

impl Trial {
    fn new(kind: &str, wanted: serde_json::Value, live: Option<serde_json::Value>) -> Self {
        Self::around(kind, wanted, live, &Surroundings::default())
    }

    fn around(kind: &str, wanted: serde_json::Value, live: Option<serde_json::Value>, around: &Surroundings) -> Self {
        let (wanted, live) = (full(wanted), live.map(full));
        let kept = kept(&key(kind, "web"), Some(&wanted), live.as_ref(), around);
        for kept in &kept {
            assert!(crate::rules::find(kept.rule).is_some(), "{} is not in the table", kept.rule);
        }
        Self { kept, wanted, live }
    }

    /// What would be sent.
    fn target(&self) -> serde_json::Value {
        target(&self.wanted.value, self.live.as_ref().map(|live| &live.value), &self.kept).to_serde()
    }

    /// Whether nothing has to be done.
    fn is_equal(&self) -> bool {
        let live = self.live.as_ref().expect("a live object to compare with");
        form(&self.wanted.value, &self.kept) == form(&live.value, &self.kept)
    }

    /// The rule that keeps a path.
    fn rule(&self, path: &str) -> Option<&'static str> {
        self.kept.iter().find(|kept| kept.path == path).map(|kept| kept.rule)
    }
}

/// Managed fields of one manager.
fn managed(manager: &str, subresource: &str, fields: &serde_json::Value) -> serde_json::Value {
    let operation = if subresource.is_empty() { "Apply" } else { "Update" };
    json!({"manager": manager, "operation": operation, "subresource": subresource, "fieldsType": "FieldsV1", "fieldsV1": fields})
}

fn scaler(words: &str) -> Scaler {
    Scaler::try_from(words.to_owned()).expect("a scaler")
}

fn scaled_by(words: &str) -> Surroundings {
    let scaled = BTreeMap::from([(key("apps/deployments", "web"), BTreeSet::from([scaler(words)]))]);
    Surroundings { scaled, ..Surroundings::default() }
}

#[test]
fn server_metadata_is_never_sent_as_it_was() {
    let metadata = |uid: &str, rv: &str, generation: u32| {
        json!({"metadata": {"name": "web", "uid": uid, "resourceVersion": rv, "generation": generation,
            "creationTimestamp": "2026-11-01T14:00:00Z", "selfLink": "/x", "generateName": "web-"}, "data": {"a": "1"}})
    };
    let trial = Trial::new("/configmaps", metadata("u1", "7", 1), Some(metadata("u2", "99", 4)));
    assert!(trial.is_equal());
    assert_eq!(trial.target(), metadata("u2", "99", 4));
    assert!(trial.kept.iter().all(|kept| kept.quiet), "{:?}", trial.kept);
    let new = Trial::new("/configmaps", metadata("u1", "7", 1), None);
    assert_eq!(new.target(), json!({"metadata": {"name": "web", "generateName": "web-"}, "data": {"a": "1"}}));
}

#[test]
fn server_metadata_of_templates_is_no_difference() {
    let template = |metadata: serde_json::Value| json!({"spec": {"template": {"metadata": metadata, "spec": {}}}});
    let old = template(json!({"creationTimestamp": null, "labels": {"a": "b"}}));
    assert!(Trial::new("apps/deployments", old, Some(template(json!({"labels": {"a": "b"}})))).is_equal());
}

#[test]
fn status_is_never_written() {
    let object = |ready: u32| json!({"spec": {"size": 1}, "status": {"ready": ready}});
    let trial = Trial::new("shop.example/carts", object(3), Some(object(0)));
    assert!(trial.is_equal());
    assert_eq!(trial.target(), object(0));
    assert_eq!(Trial::new("shop.example/carts", object(3), None).target(), json!({"spec": {"size": 1}}));
}

#[test]
fn finalizers_stay_as_they_are_live() {
    let with = |finalizers: serde_json::Value| json!({"metadata": {"name": "web", "finalizers": finalizers}});
    let live = with(json!(["shop.example/cleanup"]));
    let trial = Trial::new("shop.example/carts", json!({"metadata": {"name": "web"}}), Some(live.clone()));
    assert!(trial.is_equal());
    assert_eq!(trial.target(), live);
    assert_eq!(trial.rule("/metadata/finalizers"), Some("finalizers"));
    let gone = Trial::new("shop.example/carts", live, Some(json!({"metadata": {"name": "web"}})));
    assert_eq!(gone.target(), json!({"metadata": {"name": "web"}}));
}

#[test]
fn finalizers_that_people_changed_are_a_difference_and_put_back_when_they_are_asked_for() {
    let with = |finalizers: &[&str]| json!({"metadata": {"name": "web", "finalizers": finalizers}});
    let standing = |then: serde_json::Value, now: serde_json::Value| {
        let trial = Trial::new("shop.example/carts", then, Some(now));
        trial.kept.iter().find(|kept| kept.rule == "finalizers").expect("finalizers are kept").standing
    };
    let of = |name: &str| with(&[name]);
    assert_eq!(standing(of("shop.example/cleanup"), with(&[])), Standing::Wanting, "it was taken away");
    assert_eq!(standing(with(&[]), of("shop.example/cleanup")), Standing::Machines, "its program put it there");
    assert_eq!(standing(of("kubernetes.io/pvc-protection"), with(&[])), Standing::Machines, "it is put there again");
    let mut by_hand = of("shop.example/stay");
    let field = json!({"f:metadata": {"f:finalizers": {".": {}, "v:\"shop.example/stay\"": {}}}});
    by_hand["metadata"]["managedFields"] = json!([managed("kubectl-edit", "", &field)]);
    assert_eq!(standing(with(&[]), by_hand), Standing::Wanting, "a person put it there");
    let around = Surroundings { asked: Some("/metadata/finalizers".to_owned()), ..Surroundings::default() };
    let (then, now) = (of("shop.example/cleanup"), with(&[]));
    assert_eq!(Trial::around("shop.example/carts", then.clone(), Some(now), &around).target(), then);
}

#[test]
fn finalizers_of_a_new_object_are_those_of_then_but_for_a_deletions() {
    let then = json!({"metadata": {"finalizers": ["foregroundDeletion", "shop.example/cleanup", "orphan"]}});
    let trial = Trial::new("shop.example/carts", then, None);
    assert_eq!(trial.target(), json!({"metadata": {"finalizers": ["shop.example/cleanup"]}}));
}

#[test]
fn leader_annotation_stays_as_it_is_live() {
    let lock = |leader: &str| json!({"metadata": {"annotations": {"control-plane.alpha.kubernetes.io/leader": leader, "a": "b"}}});
    let trial = Trial::new("/configmaps", lock("old"), Some(lock("new")));
    assert!(trial.is_equal());
    assert_eq!(trial.target(), lock("new"));
    assert_eq!(Trial::new("/configmaps", lock("old"), None).target(), json!({"metadata": {"annotations": {"a": "b"}}}));
}

#[test]
fn deployment_revision_stays_as_it_is_live() {
    let deployment = |revision: Option<&str>, image: &str| {
        let annotations = revision.map(|revision| json!({"deployment.kubernetes.io/revision": revision}));
        let mut out = json!({"metadata": {"name": "web"}, "spec": {"image": image}});
        if let Some(annotations) = annotations {
            out["metadata"]["annotations"] = annotations;
        }
        out
    };
    let trial = Trial::new("apps/deployments", deployment(Some("1"), "x:1"), Some(deployment(Some("2"), "x:2")));
    assert_eq!(trial.target(), deployment(Some("2"), "x:1"));
    // Before the controller had seen it, it had no annotations at all.
    let trial = Trial::new("apps/deployments", deployment(None, "x:1"), Some(deployment(Some("1"), "x:1")));
    assert!(trial.is_equal());
    assert_eq!(trial.target(), deployment(Some("1"), "x:1"));
    assert_eq!(Trial::new("apps/deployments", deployment(Some("1"), "x:1"), None).target(), deployment(None, "x:1"));
}

#[test]
fn daemonset_generation_stays_as_it_is_live() {
    let set = |n: &str| json!({"metadata": {"annotations": {"deprecated.daemonset.template.generation": n}}});
    let trial = Trial::new("apps/daemonsets", set("1"), Some(set("5")));
    assert!(trial.is_equal());
    assert_eq!(trial.target(), set("5"));
}

#[test]
fn hpa_status_annotations_stay_as_they_are_live() {
    let hpa = |metrics: &str, max: u32| json!({"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/current-metrics": metrics}}, "spec": {"maxReplicas": max}});
    let trial = Trial::new("autoscaling/horizontalpodautoscalers", hpa("[1]", 4), Some(hpa("[2]", 9)));
    assert_eq!(trial.target(), hpa("[2]", 4));
}

#[test]
fn endpoints_trigger_time_stays_as_it_is_live() {
    let at =
        |time: &str| json!({"metadata": {"annotations": {"endpoints.kubernetes.io/last-change-trigger-time": time}}});
    for kind in ["/endpoints", "discovery.k8s.io/endpointslices"] {
        assert!(Trial::new(kind, at("1"), Some(at("2"))).is_equal(), "{kind}");
    }
}

#[test]
fn namespace_fields_stay_as_they_are_live() {
    let namespace = |uids: &str, team: &str| {
        json!({"metadata": {"labels": {"kubernetes.io/metadata.name": "shop", "team": team},
            "annotations": {"openshift.io/sa.scc.uid-range": uids}}, "spec": {"finalizers": ["kubernetes"]}})
    };
    let trial = Trial::new("/namespaces", namespace("1/10", "a"), Some(namespace("2/10", "b")));
    assert_eq!(trial.target(), namespace("2/10", "a"));
    let new = Trial::new("/namespaces", namespace("1/10", "a"), None).target();
    assert_eq!(
        new,
        json!({"metadata": {"labels": {"team": "a"}, "annotations": {"openshift.io/sa.scc.uid-range": "1/10"}}})
    );
}

#[test]
fn owner_uid_is_the_live_owners() {
    let owned = |uid: &str, blocks: bool| {
        json!({"metadata": {"ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "root", "uid": uid, "blockOwnerDeletion": blocks}]}})
    };
    assert!(Trial::new("/secrets", owned("old", true), Some(owned("new", true))).is_equal());
    let trial = Trial::new("/secrets", owned("old", true), Some(owned("new", false)));
    assert_eq!(trial.target(), owned("new", true));
    let other = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "new"}]}});
    assert!(!Trial::new("/secrets", owned("old", true), Some(other)).is_equal());
}

#[test]
fn hpa_replicas_stay_as_they_are_live() {
    let deployment = |replicas: u32, image: &str| json!({"spec": {"replicas": replicas, "image": image}});
    let around = scaled_by("HorizontalPodAutoscaler web");
    let trial = Trial::around("apps/deployments", deployment(2, "x:1"), Some(deployment(17, "x:2")), &around);
    assert_eq!(trial.target(), deployment(17, "x:1"));
    let kept = trial.kept.iter().find(|kept| kept.path == "/spec/replicas").expect("replicas are kept");
    assert_eq!((kept.rule, kept.owner.as_str(), kept.quiet), ("hpa-replicas", "HorizontalPodAutoscaler web", false));
    // Not even when they are asked for: the autoscaler would undo it.
    let around = Surroundings { asked: Some("/spec/replicas".to_owned()), ..around };
    let trial = Trial::around("apps/deployments", deployment(2, "x:1"), Some(deployment(17, "x:1")), &around);
    assert!(trial.is_equal());
    let around = scaled_by("HorizontalPodAutoscaler web");
    let stopped = Trial::around("apps/deployments", deployment(2, "x:1"), Some(deployment(0, "x:1")), &around);
    let kept = stopped.kept.iter().find(|kept| kept.path == "/spec/replicas").expect("replicas are kept");
    assert!(kept.owner.contains("does not scale up from 0"), "{}", kept.owner);
    assert_eq!(kept.standing, Standing::Wanting, "somebody did that");
    let new = Trial::around("apps/deployments", deployment(2, "x:1"), None, &around);
    assert_eq!(new.target(), deployment(2, "x:1"), "nothing says better where to start");
}

#[test]
fn vpa_requests_stay_as_they_are_live() {
    let deployment = |cpu: Option<&str>, limit: &str, sidecar: bool| {
        let mut resources = json!({"limits": {"cpu": limit}});
        if let Some(cpu) = cpu {
            resources["requests"] = json!({"cpu": cpu});
        }
        let mut containers = vec![json!({"name": "web", "resources": resources})];
        if sidecar {
            containers.insert(0, json!({"name": "proxy", "resources": {"requests": {"cpu": "9"}}}));
        }
        json!({"spec": {"template": {"spec": {"containers": containers}}}})
    };
    let resized =
        BTreeMap::from([(key("apps/deployments", "web"), BTreeSet::from([scaler("VerticalPodAutoscaler web")]))]);
    let around = Surroundings { resized, ..Surroundings::default() };
    let wanted = deployment(Some("100m"), "1", false);
    let trial = Trial::around("apps/deployments", wanted.clone(), Some(deployment(Some("700m"), "2", true)), &around);
    // The container is found by its name, and the one that was added goes with its requests.
    assert_eq!(trial.target(), deployment(Some("700m"), "1", false));
    let none = Trial::around("apps/deployments", wanted.clone(), Some(deployment(None, "1", false)), &around);
    assert_eq!(none.target(), deployment(None, "1", false));
    let nobody = Trial::new("apps/deployments", wanted.clone(), Some(deployment(Some("700m"), "2", false)));
    assert_eq!(nobody.target(), wanted);
}

fn replicas(count: u32, manager: &str, subresource: &str) -> serde_json::Value {
    let book = managed(manager, subresource, &json!({"f:spec": {"f:replicas": {}}}));
    json!({"metadata": {"managedFields": [book]}, "spec": {"replicas": count}})
}

#[test]
fn scale_written_fields_of_autoscalers_stay_as_they_are_live_on_either_side() {
    let plain = |count: u32| replicas(count, "ci", "");
    let cases = [
        (replicas(2, "kube-controller-manager", "scale"), replicas(5, "kube-controller-manager", "scale")),
        (plain(2), replicas(5, "kube-controller-manager", "scale")),
        (plain(2), replicas(5, "keda", "scale")),
        (plain(2), replicas(5, "cluster-proportional-autoscaler", "scale")),
        (replicas(2, "keda", "scale"), plain(5)),
    ];
    for (wanted, live) in cases {
        let trial = Trial::new("apps/deployments", wanted, Some(live.clone()));
        assert_eq!(trial.rule("/spec/replicas"), Some("scale-written"), "{live}");
        assert_eq!(trial.target()["spec"]["replicas"], json!(5));
    }
    let trial = Trial::new("apps/deployments", plain(2), Some(plain(5)));
    assert_eq!(trial.target()["spec"]["replicas"], json!(2), "what CI deployed is CI's intent");
}

#[test]
fn scale_written_fields_of_people_are_intent_where_no_autoscaler_is() {
    let plain = |count: u32| replicas(count, "ci", "");
    let by_hand = |count: u32| replicas(count, "kubectl", "scale");
    let unknown = |count: u32| replicas(count, "night-shift", "scale");
    let sides = [
        (plain(4), by_hand(1)),
        (by_hand(4), plain(1)),
        (by_hand(4), by_hand(1)),
        (plain(4), unknown(1)),
        (replicas(4, "kube-controller-manager", "scale"), by_hand(1)),
    ];
    for (wanted, live) in sides {
        let trial = Trial::new("apps/deployments", wanted.clone(), Some(live.clone()));
        assert_eq!(trial.rule("/spec/replicas"), None, "{live}");
        assert_eq!(trial.target()["spec"]["replicas"], json!(4), "{live}");
        let scaled = Trial::around("apps/deployments", wanted, Some(live), &scaled_by("ScaledObject web"));
        assert_eq!(scaled.target()["spec"]["replicas"], json!(1), "an autoscaler is there");
    }
}

#[test]
fn hpa_replicas_that_are_off_are_put_back_when_they_alone_are_asked_for() {
    let around =
        |asked: &str| Surroundings { asked: Some(asked.to_owned()), ..scaled_by("HorizontalPodAutoscaler web") };
    let back = |asked: &str, live: u32| {
        let live = Some(replicas(live, "kubectl", "scale"));
        let trial = Trial::around("apps/deployments", replicas(3, "ci", ""), live, &around(asked));
        trial.target()["spec"]["replicas"].clone()
    };
    assert_eq!(back("/spec/replicas", 0), json!(3));
    assert_eq!(back("/spec", 0), json!(0), "only the field itself");
    assert_eq!(back("/spec/replicas", 5), json!(5), "the autoscaler works, and would undo it");
}

#[test]
fn controller_written_fields_stay_as_they_are_live() {
    let fields = json!({"f:metadata": {"f:annotations": {".": {}, "f:seen": {}}}, "f:spec": {"f:class": {}}});
    let object = |seen: &str, class: &str, size: u32, manager: &str| {
        let book = [managed(manager, "", &fields), managed("ci", "", &json!({"f:spec": {"f:size": {}}}))];
        json!({"metadata": {"managedFields": book, "annotations": {"seen": seen}}, "spec": {"class": class, "size": size}})
    };
    let trial = Trial::new(
        "/persistentvolumeclaims",
        object("1", "old", 1, "kube-controller-manager"),
        Some(object("2", "new", 2, "kube-controller-manager")),
    );
    assert_eq!(
        trial.target(),
        json!({"metadata": {"annotations": {"seen": "2"}}, "spec": {"class": "new", "size": 1}})
    );
    assert_eq!(trial.rule("/spec/class"), Some("controller-written"));
    let operator = Trial::new(
        "/persistentvolumeclaims",
        object("1", "old", 1, "shop-operator"),
        Some(object("2", "new", 2, "shop-operator")),
    );
    assert_eq!(operator.target()["spec"]["class"], json!("old"), "an operator deploys; it is no part of Kubernetes");
    let new = Trial::new("/persistentvolumeclaims", object("1", "old", 1, "kube-controller-manager"), None);
    assert_eq!(new.target()["spec"]["class"], json!("old"), "a new object is made as it was");
}

#[test]
fn controller_written_fields_that_a_person_set_since_are_put_back() {
    let claim = |manager: &str, label: Option<&str>| {
        let book = managed(manager, "", &json!({"f:metadata": {"f:labels": {"f:app": {}}}}));
        let mut claim = json!({"metadata": {"name": "data-db-0", "managedFields": [book]}});
        if let Some(label) = label {
            claim["metadata"]["labels"] = json!({"app": label});
        }
        claim
    };
    let sent = |live: serde_json::Value| {
        let wanted = claim("kube-controller-manager", Some("db"));
        Trial::new("/persistentvolumeclaims", wanted, Some(live)).target()["metadata"]["labels"].clone()
    };
    assert_eq!(sent(claim("kubectl-label", Some("oops"))), json!({"app": "db"}));
    assert_eq!(sent(claim("kube-controller-manager", Some("new"))), json!({"app": "new"}));
    assert_eq!(sent(claim("ci", None)), json!(null), "what the controller took away stays away");
}

#[test]
fn controller_written_elements_are_found_by_name() {
    let item = |name: &str| json!({"name": name, "image": "p:1"});
    let book = |owner: &str| {
        let fields =
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"proxy\"}": {".": {}, "f:name": {}, "f:image": {}}}}});
        json!([managed(owner, "", &fields)])
    };
    let live =
        json!({"metadata": {"managedFields": book("kubelet")}, "spec": {"containers": [item("proxy"), item("web")]}});
    let wanted = json!({"metadata": {}, "spec": {"containers": [item("web"), item("job")]}});
    let trial = Trial::new("shop.example/carts", wanted.clone(), Some(live.clone()));
    assert_eq!(trial.rule("/spec/containers/0"), Some("controller-written"));
    assert_eq!(trial.target()["spec"]["containers"], json!([item("web"), item("job"), item("proxy")]));
    // A person who owns any of it makes it theirs.
    let mut shared = live;
    shared["metadata"]["managedFields"] = json!([
        book("kubelet")[0],
        managed("ci", "", &json!({"f:spec": {"f:containers": {"k:{\"name\":\"proxy\"}": {"f:image": {}}}}}))
    ]);
    let trial = Trial::new("shop.example/carts", wanted.clone(), Some(shared));
    assert_eq!(trial.target()["spec"], wanted["spec"]);
}

#[test]
fn an_object_made_anew_keeps_what_was_kept_and_nothing_of_the_old_one() {
    let set = |uid: &str, count: u32, service: &str| json!({"metadata": {"name": "web", "uid": uid, "resourceVersion": "9"}, "spec": {"replicas": count, "serviceName": service}, "status": {"a": 1}});
    let scaled = BTreeMap::from([(key("apps/statefulsets", "web"), BTreeSet::from([scaler("ScaledObject web")]))]);
    let around = Surroundings { scaled, ..Surroundings::default() };
    let trial = Trial::around("apps/statefulsets", set("u1", 2, "old"), Some(set("u2", 9, "new")), &around);
    let target = target(&trial.wanted.value, trial.live.as_ref().map(|live| &live.value), &trial.kept);
    let anew = anew(&target, &trial.kept).to_serde();
    assert_eq!(anew, json!({"metadata": {"name": "web"}, "spec": {"replicas": 9, "serviceName": "old"}}));
}

#[test]
fn every_rule_that_keeps_a_field_is_in_the_table() {
    for rule in fields::rules() {
        assert!(crate::rules::find(rule).is_some(), "{rule}");
    }
}
