//! The rules that the plan carries out by itself: each test is named by the rule's id.

use super::scene::{Scene, key, only, target, value};
use crate::{
    live::NamespacePhase,
    plan::{OwnerRef, Verb},
};

const DYING: &str = r#"{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"data":{}}"#;

fn owned_by(name: &str) -> String {
    let owner = format!(r#"{{"apiVersion":"example.com/v1","kind":"Widget","name":"{name}","uid":"old"}}"#);
    format!(r#"{{"metadata":{{"ownerReferences":[{owner}]}},"data":{{}}}}"#)
}

#[test]
fn owners_first_and_mapped_once_they_are_there() {
    let scene = Scene::shop().then("ConfigMap child", &owned_by("w")).then("Widget w", "{}");
    assert_eq!(scene.lines(), ["create widget w", "create configmap child"]);
    let prepared = scene.plan();
    let bodies = prepared.bodies.get(&key("ConfigMap child")).expect("bodies");
    assert_eq!(bodies.owners, [OwnerRef { at: 0, owner: key("Widget w") }]);
}

#[test]
fn owner_missing_is_dropped_and_said() {
    let prepared = Scene::shop().then("ConfigMap child", &owned_by("w")).plan();
    assert_eq!(target(&prepared).pointer("/metadata/ownerReferences"), None);
    let warnings = &only(&prepared).warnings;
    assert!(warnings.iter().any(|warning| warning.contains("Widget w is not there")), "{warnings:?}");
}

#[test]
fn owned_deleted_is_an_action_after_its_owner() {
    let owner = r#"{"metadata":{"uid":"old"}}"#;
    let scene = Scene::shop().now("ConfigMap child", &owned_by("w")).now_as("Widget w", "old", owner);
    assert_eq!(scene.lines(), ["delete widget w", "delete configmap child"]);
    let prepared = scene.plan();
    let bodies = prepared.bodies.get(&key("ConfigMap child")).expect("bodies");
    assert_eq!(bodies.owners, [OwnerRef { at: 0, owner: key("Widget w") }]);
    assert!(bodies.before.is_some(), "an undo brings it back");
}

#[test]
fn terminating_objects_are_waited_for() {
    let prepared = Scene::shop().then("ConfigMap a", r#"{"data":{"a":"1"}}"#).now("ConfigMap a", DYING).plan();
    let action = only(&prepared);
    assert!(action.verb == Verb::Create && action.live.is_some(), "{action:?}");
    assert!(action.warnings.iter().any(|warning| warning.contains("waited for")), "{:?}", action.warnings);
}

#[test]
fn namespace_created_before_what_is_in_it() {
    let then = r#"{"metadata":{"labels":{"team":"a"},"annotations":{"n":"1"}},"spec":{"finalizers":["kubernetes"]}}"#;
    let mut scene = Scene::shop().then("Namespace shop", then).then("ConfigMap a", "{}");
    scene.live.namespaces.clear();
    assert_eq!(scene.lines(), ["create namespace shop", "create configmap a"]);
    let prepared = scene.plan();
    let sent = prepared.bodies.get(&key("Namespace shop")).and_then(|bodies| bodies.target.as_ref()).expect("a target");
    assert_eq!(sent.pointer("/metadata/labels"), Some(&value(r#"{"team":"a"}"#)));
    assert_eq!(sent.pointer("/metadata/annotations"), Some(&value(r#"{"n":"1"}"#)));
    assert_eq!(sent.pointer("/spec/finalizers"), None);
    scene.live.namespaces.insert("shop".into(), NamespacePhase::Terminating);
    scene.desired.objects.remove(&key("Namespace shop"));
    assert_eq!(scene.lines(), ["leave create configmap a: terminating"]);
}

#[test]
fn immutable_fields_of_a_claim_are_not_worth_its_data() {
    let claim = |class: &str| format!(r#"{{"spec":{{"storageClassName":"{class}"}}}}"#);
    let what = "PersistentVolumeClaim data";
    let mut scene = Scene::shop().then(what, &claim("a")).now(what, &claim("b")).widen(|w| w.allow_recreate = true);
    let left = "leave update persistentvolumeclaim data: needs-recreate unless --allow-delete persistentvolumeclaims";
    assert_eq!(scene.lines(), [left]);
    scene = scene.widen(|w| w.allow_delete.push("/persistentvolumeclaims".into()));
    assert_eq!(scene.lines(), ["recreate persistentvolumeclaim data"]);
}

#[test]
fn statefulset_orphan_sends_nothing_of_the_old_one() {
    let set = |service: &str| {
        format!(r#"{{"metadata":{{"generation":3}},"spec":{{"serviceName":"{service}"}},"status":{{"replicas":1}}}}"#)
    };
    let scene = Scene::shop().then_as("StatefulSet db", "old", &set("a")).now_as("StatefulSet db", "new", &set("b"));
    let prepared = scene.plan();
    assert_eq!(only(&prepared).verb, Verb::Recreate);
    let sent = target(&prepared);
    assert_eq!(sent.pointer("/spec/serviceName"), Some(&value(r#""a""#)));
    for path in ["/metadata/uid", "/metadata/resourceVersion", "/metadata/generation", "/status"] {
        assert_eq!(sent.pointer(path), None, "{path}");
    }
}
