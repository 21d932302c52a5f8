//! What a plan tells of what it does not do: what reaches elsewhere, what is kept or dropped, what is of the system.

use super::scene::{Scene, TIME, key, object, only};
use crate::{
    desired::{Source, Wanted},
    live::Counted,
    reason::Standing,
    selection::What,
};

fn lines(scene: &Scene, expected: &[&str]) {
    assert_eq!(scene.lines(), expected);
}

fn reason(scene: &Scene) -> String {
    scene.plan().plan.left.first().expect("something left").reason.to_string()
}

#[test]
fn what_reaches_elsewhere_is_listed_and_takes_its_own_flag() {
    let widget = |finalizers: &str| format!(r#"{{"metadata":{{"finalizers":[{finalizers}]}}}}"#);
    let with = |finalizers: &str| Scene::shop().now("Widget w", &widget(finalizers));
    let left = "unless --allow-delete widgets";
    let unknown = with(r#""example.com/cleanup""#);
    lines(&unknown, &[&format!("leave delete widget w: destroys-outside {left}")]);
    assert!(reason(&unknown).contains("finalizer example.com/cleanup"), "{}", reason(&unknown));
    let managed = with(r#""finalizer.managedresource.crossplane.io""#);
    lines(&managed, &[&format!("leave delete widget w: outside-cloud {left}")]);
    assert!(reason(&managed).contains("Crossplane deletes the resource in the cloud"), "{}", reason(&managed));
    lines(&managed.widen(|w| w.allow_delete = vec!["example.com/widgets".into()]), &["delete widget w"]);
    lines(&with(""), &["delete widget w"]);
    lines(&with(r#""foregroundDeletion""#), &["delete widget w"]);
    // Nor with its owner, nor by an undo.
    let owned = r#"{"metadata":{"finalizers":["example.com/cleanup"],
        "ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":"o"}]}}"#;
    let with_owner = Scene::shop().now_as("ConfigMap owner", "o", "{}").now_as("Widget w", "w", owned);
    let stays = with_owner.lines();
    assert!(stays.iter().all(|line| line.starts_with("leave")), "{stays:?}");
    let mut undo = unknown;
    undo.desired.source = Source::Undo("r".into());
    undo.desired.created.insert(key("Widget w"), "u".into());
    lines(&undo, &[&format!("leave delete widget w: destroys-outside {left}")]);
}

#[test]
fn what_a_definition_does_not_have_is_not_promised() {
    let definition = |fields: &str| {
        format!(
            r#"{{"spec":{{"group":"example.com","names":{{"kind":"Widget","plural":"widgets"}},"versions":[{{"name":"v1",
            "schema":{{"openAPIV3Schema":{{"type":"object","properties":{{"spec":{{"type":"object","properties":{{{fields}}}}}}}}}}}}}]}}}}"#
        )
    };
    let size = r#""size":{"type":"integer"}"#;
    let both = format!(r#"{size},"colour":{{"type":"string"}}"#);
    let crd = "CustomResourceDefinition widgets.example.com";
    let scene = |then: &str, now: &str| Scene::shop().then("Widget w", then).now("Widget w", now);
    let (then, now) = (r#"{"spec":{"size":1,"colour":"red"}}"#, r#"{"spec":{"size":2}}"#);
    let narrow = scene(then, now).then(crd, &definition(&both)).now(crd, &definition(size));
    let prepared = narrow.plan();
    let action = only(&prepared);
    assert_eq!(action.changes.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["/spec/size"]);
    let kept = action.kept.first().expect("what is left out");
    assert_eq!(
        (kept.field.path.as_str(), kept.rule.as_str(), kept.standing),
        ("/spec/colour", "crd-prunes", Standing::Unable)
    );
    let target = prepared.bodies.get(&key("Widget w")).and_then(|b| b.target.clone()).expect("a target");
    assert_eq!(target.pointer("/spec/colour"), None);
    // If that is all, nothing is done, and it is told all the same.
    let alone = scene(r#"{"spec":{"size":2,"colour":"red"}}"#, now).now(crd, &definition(size)).plan().plan;
    assert!(!alone.actions.iter().any(|action| action.key == key("Widget w")), "{:?}", alone.actions);
    assert!(alone.kept.iter().any(|of| of.key == key("Widget w")), "{:?}", alone.kept);
    // The definition that the same plan puts back has it.
    let wide = narrow.widen(|w| w.with_cluster_scoped = true).plan().plan;
    let of_widget = wide.actions.iter().find(|action| action.key == key("Widget w")).expect("an action");
    assert_eq!(of_widget.changes.len(), 2, "{of_widget:?}");
    // Without a schema, and where anything is kept, nothing is left out.
    for open in
        [definition(r#""colour":{"type":"string"},"size":{}"#), r#"{"spec":{"versions":[{"name":"v1"}]}}"#.to_owned()]
    {
        assert_eq!(only(&scene(then, now).then(crd, &open).now(crd, &open).plan()).changes.len(), 2);
    }
}

#[test]
fn what_is_kept_is_no_part_of_what_is_as_it_was() {
    let cart = |finalizers: &str| format!(r#"{{"metadata":{{"finalizers":[{finalizers}]}},"spec":{{"size":1}}}}"#);
    let scene = || Scene::shop().then("Widget w", &cart(r#""example.com/cleanup""#)).now("Widget w", &cart(""));
    let plan = scene().plan().plan;
    assert_eq!((plan.actions.len(), plan.unchanged, plan.kept.len()), (0, 0, 1), "{plan:?}");
    let of = plan.kept.first().and_then(|of| of.fields.first()).expect("a field");
    assert_eq!((of.field.path.as_str(), of.standing), ("/metadata/finalizers", Standing::Wanting));
    let mut asked = scene();
    asked.selection.path = Some("/metadata/finalizers".into());
    assert_eq!(only(&asked.plan()).changes.len(), 1);
    let mut other = scene();
    other.selection.path = Some("/spec".into());
    let plan = other.plan().plan;
    assert_eq!((plan.actions.len(), plan.unchanged, plan.kept.len()), (0, 1, 0), "only what was asked for is told");
}

#[test]
fn what_is_left_stands_to_what_was_asked_for() {
    let standing = |scene: &Scene| scene.plan().plan.left.first().expect("something left").standing();
    let owned = r#"{"metadata":{"ownerReferences":[{"kind":"Deployment","name":"web","controller":true}]}}"#;
    assert_eq!(standing(&Scene::shop().now("ReplicaSet web-1", owned)), Standing::Machines);
    let finished = r#"{"status":{"completionTime":"2026-01-01T00:00:00Z"}}"#;
    assert_eq!(standing(&Scene::shop().then("Job j", finished)), Standing::Rule);
    assert_eq!(standing(&Scene::shop().now("Pod p", "{}")), Standing::Wanting);
    assert_eq!(standing(&Scene::shop().then("ClusterRole r", "{}")), Standing::Beside);
    let mut unseen = Scene::shop().now("ConfigMap x", "{}");
    unseen.known.present.clear();
    assert_eq!(standing(&unseen), Standing::Unable);
    // What a record keeps says the same.
    let plan = Scene::shop().now("Pod p", "{}").plan().plan;
    let again = crate::plan::Plan::from_json("p", &plan.to_json()).expect("a plan");
    assert_eq!(again.left.first().map(crate::plan::Left::standing), Some(Standing::Wanting));
}

#[test]
fn differences_of_the_system_are_counted_where_all_but_it_is_asked_for() {
    let at = |seconds: i64| jiff::Timestamp::from_second(TIME / 1_000_000 + seconds).expect("a time").to_string();
    let made = |seconds: i64| format!(r#"{{"metadata":{{"creationTimestamp":"{}"}}}}"#, at(seconds));
    let mut scene = Scene::new(What::All);
    let mut then = |what: &str, body: &str| {
        let full = std::sync::Arc::new(crate::desired::Full { value: object(what, "u", 50, body), managed: None });
        let wanted = Wanted { pos: 50, uid: "u".into(), rv: "50".into(), object: Ok(full), redact: Vec::new() };
        scene.desired.system.insert(key(what), wanted);
    };
    then("Node gone", "{}");
    then("Node patched", r#"{"metadata":{"labels":{"zone":"a"}}}"#);
    then("Node beats", r#"{"status":{"n":1}}"#);
    then("Lease kube-system/leader", r#"{"spec":{"n":1}}"#);
    then("ConfigMap kube-system/dns", r#"{"data":{"a":"1"}}"#);
    then("ConfigMap kube-system/same", "{}");
    then("ConfigMap kube-system/kube-root-ca.crt", "{}");
    let mut now = |what: &str, body: &str| {
        let full = std::sync::Arc::new(crate::desired::Full { value: object(what, "u", 60, body), managed: None });
        scene.live.system.insert(key(what), Counted::Stands(full));
    };
    now("Node patched", r#"{"metadata":{"labels":{"zone":"b"}}}"#);
    now("Node beats", r#"{"status":{"n":2}}"#);
    now("Lease kube-system/leader", r#"{"spec":{"n":2}}"#);
    now("ConfigMap kube-system/dns", r#"{"data":{"a":"2"}}"#);
    now("ConfigMap kube-system/added", &made(5));
    now("ConfigMap kube-system/older", &made(-5));
    scene.live.system.insert(key("ConfigMap kube-system/same"), Counted::Same);
    for kind in ["/nodes", "/configmaps", "coordination.k8s.io/leases"] {
        scene.live.system_kinds.insert(kind.into());
    }
    let plan = scene.plan().plan;
    let named: Vec<&str> = plan.system.iter().map(|of| of.key.name.as_str()).collect();
    assert_eq!(named, ["gone", "patched", "added", "dns"]);
    assert!(plan.actions.is_empty() && plan.left.is_empty());
    let note = plan.notes.first().map(ToString::to_string).unwrap_or_default();
    assert!(note.starts_with("4 objects of the system differ") && note.contains("nodes/gone"), "{note}");
    scene.live.system_kinds.clear();
    assert!(scene.plan().plan.system.is_empty(), "what was not read says nothing");
}
