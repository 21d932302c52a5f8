//! Namespaces and definitions that go, and what they hold.

use hindcast_journal::facts::Uncovered;

use super::scene::{Scene, key};
use crate::{desired::Source, live::Held, selection::What};

const NAMESPACE: &str = "/namespaces";
const DEFINITION: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// A cluster in which `shop` came since, with `kinds` that may be deleted.
fn came(kinds: &[&str]) -> Scene {
    let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    let scene = Scene::new(What::All).widen(|w| w.allow_delete = kinds);
    scene.now_as("Namespace shop", "n", "{}").now_as("ConfigMap c", "c", "{}")
}

fn reason(scene: &Scene, name: &str) -> String {
    let left = scene.plan().plan.left;
    left.into_iter().find(|left| left.key.name == name).map(|left| left.reason.to_string()).unwrap_or_default()
}

#[test]
fn holds_others_goes_after_what_it_holds() {
    let left = "leave delete namespace shop: destroys-data unless --allow-delete namespaces";
    assert_eq!(came(&[]).lines(), ["delete configmap c", left]);
    let scene = came(&[NAMESPACE]).now_as("ConfigMap kube-root-ca.crt", "r", "{}");
    let machines = "leave delete configmap kube-root-ca.crt: owned";
    assert_eq!(scene.lines(), ["delete configmap c", "delete namespace shop", machines]);
    assert_eq!(reason(&scene, "kube-root-ca.crt"), "it goes with its namespace shop");
    let waves: Vec<_> = scene.plan().plan.actions.iter().map(|action| action.wave).collect();
    assert!(waves.is_sorted_by(|a, b| a < b), "{waves:?}");
}

#[test]
fn a_namespace_stays_for_what_stays_in_it() {
    let scene = came(&[NAMESPACE]).now_as("PersistentVolumeClaim data", "p", "{}");
    let claims = "--allow-delete persistentvolumeclaims";
    let left = [
        format!("leave delete namespace shop: holds-others unless {claims}"),
        format!("leave delete persistentvolumeclaim data: destroys-data unless {claims}"),
    ];
    assert_eq!(scene.lines(), [&["delete configmap c".to_owned()], left.as_slice()].concat());
    assert_eq!(
        reason(&scene, "shop"),
        "what this plan leaves alone would go with it: persistentvolumeclaims/data in shop"
    );
    let scene = scene.widen(|w| w.allow_delete.push("/persistentvolumeclaims".into()));
    assert_eq!(scene.lines().len(), 3, "{:?}", scene.lines());

    let unproven = came(&[NAMESPACE]).unprotected("/configmaps", Uncovered::Forbidden);
    let left = ["leave delete namespace shop: holds-others", "leave delete configmap c: not-protected"];
    assert_eq!(unproven.lines(), left);

    let mut beside = came(&[NAMESPACE]).now_as("Secret s", "s", r#"{"metadata":{"labels":{"app":"web"}}}"#);
    beside = beside.now_as("Namespace shop", "n", r#"{"metadata":{"labels":{"app":"web"}}}"#);
    beside.selection.labels = "app=web".to_owned();
    assert_eq!(
        beside.lines(),
        ["delete secret s", "leave delete namespace shop: holds-others"],
        "c is no part of the selection"
    );
}

#[test]
fn what_could_not_be_read_keeps_its_holder() {
    let mut scene = came(&[NAMESPACE]);
    let unread = [("example.com/widgets".to_owned(), "widgets is forbidden".to_owned())].into();
    scene.live.held.insert(key("Namespace shop"), Held { unread, ..Held::default() });
    assert_eq!(scene.lines(), ["delete configmap c", "leave delete namespace shop: holds-others"]);
    assert!(
        reason(&scene, "shop").ends_with("widgets.example.com (widgets is forbidden)"),
        "{}",
        reason(&scene, "shop")
    );
}

#[test]
fn a_definition_goes_after_its_objects_wherever_they_are() {
    let scene = |what| {
        let scene =
            Scene::new(what).widen(|w| (w.allow_delete, w.with_cluster_scoped) = (vec![DEFINITION.into()], true));
        let definition = r#"{"spec":{"group":"example.com","names":{"plural":"widgets","kind":"Widget"}}}"#;
        let scene = scene.now_as("CustomResourceDefinition widgets.example.com", "d", definition);
        scene.now_as("Widget w", "w", "{}").now_as("Widget other/x", "x", "{}")
    };
    let all = scene(What::All).lines();
    assert_eq!(all, ["delete widget x", "delete widget w", "delete customresourcedefinition widgets.example.com"]);
    let one = scene(What::Namespace("shop".into()));
    assert_eq!(
        one.lines(),
        ["delete widget w", "leave delete customresourcedefinition widgets.example.com: holds-others"]
    );
    assert!(
        reason(&one, "widgets.example.com").ends_with("widgets.example.com/x in other"),
        "{}",
        reason(&one, "widgets.example.com")
    );
}

#[test]
fn an_undo_takes_its_own_namespace_back_but_nobody_elses_work() {
    let undo = |mut scene: Scene| {
        scene.desired.source = Source::Undo("r".into());
        scene.selection.widen.allow_delete.clear();
        for (what, uid) in [("Namespace shop", "n"), ("ConfigMap c", "c")] {
            scene.desired.created.insert(key(what), uid.into());
        }
        scene
    };
    assert_eq!(undo(came(&[])).lines(), ["delete configmap c", "delete namespace shop"]);
    let mut others = undo(came(&[]).now_as("Secret s", "s", "{}"));
    // An undo reads what it is about, and what its namespace holds.
    let stranger = key("Secret s");
    let objects = others.live.objects.remove_entry(&stranger).into_iter().collect();
    others.live.held.insert(key("Namespace shop"), Held { objects, ..Held::default() });
    assert_eq!(others.lines(), ["delete configmap c", "leave delete namespace shop: holds-others"]);
    assert!(reason(&others, "shop").ends_with("secrets/s in shop"), "{}", reason(&others, "shop"));
}

#[test]
fn a_definition_is_created_again_only_when_it_holds_nothing_else() {
    let definition = |scope: &str| {
        format!(
            r#"{{"spec":{{"group":"example.com","scope":"{scope}","names":{{"plural":"widgets","kind":"Widget"}}}}}}"#
        )
    };
    let what = "CustomResourceDefinition widgets.example.com";
    let scene = Scene::new(What::All).widen(|w| w.allow_delete = vec![DEFINITION.into()]);
    let scene = scene.then_as(what, "old", &definition("Namespaced")).now_as(what, "new", &definition("Cluster"));
    assert_eq!(scene.lines(), ["recreate customresourcedefinition widgets.example.com"]);
    let scene = scene.now_as("Widget w", "w", "{}").unprotected("example.com/widgets", Uncovered::Forbidden);
    let left = "leave update customresourcedefinition widgets.example.com: holds-others";
    assert!(scene.lines().contains(&left.to_owned()), "{:?}", scene.lines());
}
