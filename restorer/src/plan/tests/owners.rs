//! Owner references: mapped, dropped, followed.

use super::scene::{Scene, key, target, value};
use crate::plan::{OwnerRef, Wave};

fn owned(by: &str, uid: &str) -> String {
    format!(
        r#"{{"metadata":{{"ownerReferences":[{{"apiVersion":"example.com/v1","kind":"Widget","name":"{by}","uid":"{uid}"}}]}},"data":{{}}}}"#
    )
}

const UID: &str = "/metadata/ownerReferences/0/uid";

#[test]
fn an_owner_that_is_there_gives_its_uid_of_now() {
    let scene = Scene::shop()
        .then_as("Widget w", "old", "{}")
        .now_as("Widget w", "new", "{}")
        .then("ConfigMap c", &owned("w", "old"));
    assert_eq!(target(&scene.plan()).pointer(UID), Some(&value(r#""new""#)));
    let mut outside = Scene::shop().then("ConfigMap c", &owned("w", "old"));
    outside.live.owners.insert(key("Widget w"), "new".into());
    assert_eq!(target(&outside.plan()).pointer(UID), Some(&value(r#""new""#)));
}

#[test]
fn an_owner_that_comes_comes_first_and_is_mapped_later() {
    let scene = Scene::shop()
        .then("Widget w", &owned("top", "t"))
        .then("Widget top", "{}")
        .then("ConfigMap c", &owned("w", "u"));
    assert_eq!(scene.lines(), ["create widget top", "create widget w", "create configmap c"]);
    let prepared = scene.plan();
    let bodies = prepared.bodies.get(&key("ConfigMap c")).expect("bodies");
    assert_eq!(bodies.owners, [OwnerRef { at: 0, owner: key("Widget w") }]);
    let waves: Vec<Wave> = prepared.plan.actions.iter().map(|a| a.wave).collect();
    assert!(waves.windows(2).all(|pair| matches!(pair, [a, b] if a < b)), "{waves:?}");
}

#[test]
fn an_owner_that_is_gone_is_dropped_and_said() {
    let scene = Scene::shop().then("ConfigMap c", &owned("w", "u"));
    let prepared = scene.plan();
    assert_eq!(target(&prepared).pointer("/metadata/ownerReferences"), None);
    let warnings = &prepared.plan.actions.first().expect("an action").warnings;
    assert!(warnings.iter().any(|w| w.contains("owner Widget w is not there")), "{warnings:?}");
    let deleted = scene.now("Widget w", "{}");
    assert_eq!(deleted.lines(), ["create configmap c", "delete widget w"]);
    let prepared = deleted.plan();
    let bodies = prepared.bodies.get(&key("ConfigMap c")).expect("bodies");
    assert_eq!(bodies.target.as_ref().and_then(|t| t.pointer("/metadata/ownerReferences")), None);
}

#[test]
fn a_reference_that_stands_may_stay() {
    let then = owned("w", "u").replace(r#""data":{}"#, r#""data":{"a":"1"}"#);
    let scene = Scene::shop().then("ConfigMap c", &then).now("ConfigMap c", &owned("w", "u"));
    assert_eq!(target(&scene.plan()).pointer(UID), Some(&value(r#""u""#)));
}

#[test]
fn a_live_child_gets_the_uid_that_its_owner_has_now() {
    let then = owned("w", "old").replace(r#""data":{}"#, r#""data":{"a":"1"}"#);
    let scene = Scene::shop()
        .then_as("Widget w", "old", "{}")
        .now_as("Widget w", "new", "{}")
        .then("ConfigMap c", &then)
        .now("ConfigMap c", &owned("w", "old"));
    assert_eq!(target(&scene.plan()).pointer(UID), Some(&value(r#""new""#)));
    let same = Scene::shop()
        .then_as("Widget w", "old", "{}")
        .now_as("Widget w", "new", "{}")
        .then("ConfigMap c", &owned("w", "old"))
        .now("ConfigMap c", &owned("w", "new"));
    assert_eq!(same.lines(), [""; 0], "another uid alone is no difference");
}

#[test]
fn children_go_after_their_owner_unless_they_keep_another() {
    let scene = Scene::shop().now_as("Widget w", "x", "{}").now("ConfigMap c", &owned("w", "x"));
    assert_eq!(scene.lines(), ["delete widget w", "delete configmap c"], "each is an action: an undo knows both");
    let two = r#"{"metadata":{"ownerReferences":[{"apiVersion":"example.com/v1","kind":"Widget","name":"w","uid":"x"},{"apiVersion":"example.com/v1","kind":"Widget","name":"v","uid":"y"}]}}"#;
    let scene = Scene::shop().now_as("Widget w", "x", "{}").now("ConfigMap c", two);
    assert_eq!(scene.lines(), ["delete configmap c", "delete widget w"]);
    let (map, widget) = (scene.plan().plan.actions[0].wave, scene.plan().plan.actions[1].wave);
    assert!(map < widget, "else the collector would change it under us: {map:?} {widget:?}");
}

#[test]
fn a_circle_of_owners_ends() {
    let scene = Scene::shop().then("Widget a", &owned("b", "u")).then("Widget b", &owned("a", "u"));
    assert_eq!(scene.plan().plan.actions.len(), 2);
}
