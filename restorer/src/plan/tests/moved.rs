//! Kinds that have moved on since the moment, and namespaces that do not go.

use std::sync::Arc;

use super::scene::{Scene, key, object, only, target};
use crate::{
    desired::Full,
    ending::{Ending, Hold},
    kinds::{crds, namespaces::home},
    live::NamespacePhase,
    reason::{Moved, Reason},
};

const OLD: &str = r#"{"apiVersion":"example.com/v1beta1","spec":{"size":1,"colour":"red"}}"#;

fn definition(conversion: &str) -> Arc<Full> {
    let body = format!(
        r#"{{"spec":{{"group":"example.com","names":{{"kind":"Widget","plural":"widgets"}},"conversion":{conversion},"versions":[
            {{"name":"v1","served":true,"schema":{{"openAPIV3Schema":{{"properties":{{"spec":{{"properties":{{"size":{{}}}}}}}}}}}}}},
            {{"name":"v1beta1","served":false}}]}}}}"#
    );
    let value = object("CustomResourceDefinition widgets.example.com", "d", 150, &body);
    Arc::new(Full { value, managed: None })
}

fn moved(conversion: &str) -> Scene {
    let mut scene = Scene::shop();
    scene.live.definitions.insert(crds::definition("example.com", "widgets"), definition(conversion));
    scene
}

#[test]
fn what_converts_by_name_alone_is_written_in_the_version_that_is_served() {
    let created = moved(r#"{"strategy":"None"}"#).then("Widget w", OLD).plan();
    assert_eq!(only(&created).version, "v1");
    assert_eq!(target(&created).get("apiVersion").and_then(|api| api.as_str()), Some("example.com/v1"));
    let said = only(&created).warnings.join("\n");
    assert!(said.contains("written as v1"), "{said}");
    // What its schema drops is told, and is no part of what is sent.
    assert_eq!(only(&created).kept.iter().map(|kept| kept.field.path.as_str()).collect::<Vec<_>>(), ["/spec/colour"]);
    let changed = moved("{}").then("Widget w", OLD).now("Widget w", r#"{"spec":{"size":2}}"#).plan();
    assert_eq!(only(&changed).version, "v1");
    assert!(only(&changed).changes.iter().any(|change| change.path == "/spec/size"), "{changed:?}");
}

#[test]
fn what_only_a_webhook_converts_names_the_change_and_keeps_what_is_newer() {
    let mut scene =
        moved(r#"{"strategy":"Webhook"}"#).then("Widget w", OLD).now("Widget newer", r#"{"spec":{"size":2}}"#);
    let since = Moved { definition: "widgets.example.com".to_owned(), pos: 812, time: 1_000_000_060_000_000 };
    scene.known.moved.insert("example.com/widgets".to_owned(), since);
    assert_eq!(scene.lines(), ["leave delete widget newer: not-served", "leave create widget w: not-served"]);
    let left = scene.plan().plan.left;
    let why: Vec<String> = left.iter().map(|left| left.reason.to_string()).collect();
    assert!(why[0].contains("v1beta1 is not served now; newer ones are not deleted"), "{why:?}");
    assert!(why[1].contains("stopped serving it at 2001-09-09T01:47:40Z (position 812)"), "{why:?}");
}

#[test]
fn a_definition_that_the_plan_puts_back_serves_the_old_version_again() {
    let crd = |served: bool| {
        format!(
            r#"{{"spec":{{"group":"example.com","names":{{"kind":"Widget","plural":"widgets"}},"conversion":{{"strategy":"Webhook"}},
                "versions":[{{"name":"v1","served":true}},{{"name":"v1beta1","served":{served}}}]}}}}"#
        )
    };
    let scene = Scene::new(crate::selection::What::All)
        .then("Widget w", OLD)
        .then("CustomResourceDefinition widgets.example.com", &crd(true))
        .now("CustomResourceDefinition widgets.example.com", &crd(false));
    assert_eq!(scene.lines(), ["update customresourcedefinition widgets.example.com", "create widget w"]);
}

#[test]
fn a_scope_that_changed_is_named_as_that() {
    let mut scene = Scene::new(crate::selection::What::All)
        .then("Widget w", r#"{"spec":{"size":1}}"#)
        .now("Widget other", r#"{"spec":{"size":1}}"#);
    scene.known.kinds.get_mut("example.com/widgets").expect("a kind").discovery.namespaced = false;
    assert_eq!(scene.lines(), ["leave delete widget other: scope-changed", "leave create widget w: scope-changed"]);
    let left = scene.plan().plan.left;
    let why = left.iter().map(|left| left.reason.to_string()).collect::<Vec<_>>();
    assert_eq!(why[0], "Widget was namespaced then and is cluster-scoped now: one of its name is another object");
    assert_eq!(why[0], why[1]);
}

fn ending(scene: &mut Scene, holds: Vec<Hold>) {
    scene.live.namespaces.insert("shop".to_owned(), NamespacePhase::Terminating);
    scene.live.endings.insert("shop".to_owned(), Ending { namespace: "shop".to_owned(), holds });
}

const GOING: &str = r#"{"metadata":{"deletionTimestamp":"2001-09-09T01:46:40Z"}}"#;

#[test]
fn into_a_namespace_that_cannot_finish_nothing_is_planned_for_one_reason() {
    let scene = Scene::shop().then("Namespace shop", "{}").now("Namespace shop", GOING);
    let mut scene = scene.then("ConfigMap a", "{}").then("ConfigMap b", "{}");
    ending(&mut scene, vec![Hold::DeadApi { name: "v1.dead.x".to_owned(), service: None, said: String::new() }]);
    let plan = scene.plan().plan;
    assert!(plan.actions.is_empty(), "{:?}", plan.actions);
    let mut why: Vec<String> = plan.left.iter().map(|left| left.reason.to_string()).collect();
    assert_eq!(why.len(), 3);
    why.dedup();
    assert!(why.len() == 1 && why[0].contains("kubectl delete apiservice v1.dead.x"), "{why:?}");
}

#[test]
fn a_namespace_that_waits_for_a_finalizer_is_waited_for_and_says_so_once() {
    let scene = Scene::shop().then("Namespace shop", "{}").now("Namespace shop", GOING);
    let held = r#"{"metadata":{"deletionTimestamp":"2001-09-09T01:46:40Z","finalizers":["a.b/c"]}}"#;
    let mut scene = scene.then("ConfigMap a", "{}").now("ConfigMap a", held).then("ConfigMap b", "{}");
    let hold = Hold::Finalizer { finalizer: "a.b/c".to_owned(), count: "1 object".to_owned(), objects: Vec::new() };
    ending(&mut scene, vec![hold]);
    let plan = scene.plan().plan;
    assert!(plan.left.is_empty(), "{:?}", plan.left);
    let said: Vec<&String> = plan.actions.iter().flat_map(|action| &action.warnings).collect();
    let told: Vec<_> = said.iter().filter(|said| said.contains("a.b/c")).collect();
    assert!(told.len() == 1 && told[0].contains("for a minute at most"), "{said:?}");
    let of = plan.actions.iter().find(|action| action.warnings.contains(told[0])).map(|action| &action.key);
    assert_eq!(of, Some(&home("shop")));
}

#[test]
fn what_is_being_deleted_says_what_it_waits_for() {
    let held = r#"{"metadata":{"deletionTimestamp":"2001-09-09T01:46:40Z","finalizers":["a.b/c"]}}"#;
    let left = Scene::shop().now("ConfigMap a", held).plan().plan.left;
    assert_eq!(left.first().map(|left| left.reason.clone()), Some(Reason::Terminating(vec!["a.b/c".to_owned()])));
    assert_eq!(left.first().map(|left| &left.key), Some(&key("ConfigMap a")));
}

const CLAIM: &str = r#"{"spec":{"volumeName":"v"}}"#;
const VOLUME: &str =
    r#"{"spec":{"persistentVolumeReclaimPolicy":"Retain","claimRef":{"namespace":"shop","name":"d","uid":"u"}}}"#;

#[test]
fn pvc_empty_names_the_volume_whose_storage_was_kept() {
    let scene = || Scene::shop().then("PersistentVolumeClaim d", CLAIM).then("PersistentVolume v", VOLUME);
    assert_eq!(
        scene().lines(),
        [
            "leave create persistentvolume v: cluster-scoped unless --with-cluster-scoped",
            "leave create persistentvolumeclaim d: pvc-empty unless --with-cluster-scoped"
        ]
    );
    let with = scene().widen(|widen| widen.with_cluster_scoped = true);
    assert_eq!(with.lines(), ["create persistentvolume v", "create persistentvolumeclaim d"]);
    let claim =
        with.plan().bodies.get(&key("PersistentVolumeClaim d")).and_then(|b| b.target.clone()).expect("a target");
    assert_eq!(claim.pointer("/spec/volumeName").and_then(|name| name.as_str()), Some("v"));
    // Of the claim alone nothing can be done to the volume.
    let mut alone = Scene::shop().then("PersistentVolumeClaim d", CLAIM);
    alone.desired.retained.insert("v".to_owned());
    assert_eq!(alone.lines(), ["leave create persistentvolumeclaim d: pvc-empty unless --allow-empty-volumes"]);
    let left = alone.plan().plan.left;
    assert!(left.iter().all(|left| left.reason.to_string().contains("with the volume put back first")), "{left:?}");
}

#[test]
fn cronjob_missed_run_that_starts_at_once_is_named() {
    let cron = |suspended: bool, more: &str| {
        format!(
            r#"{{"spec":{{"schedule":"*/10 * * * *","suspend":{suspended}{more}}},
                "status":{{"lastScheduleTime":"2001-09-09T01:00:00Z"}}}}"#
        )
    };
    let plan = |more: &str| {
        Scene::shop().then("CronJob tick", &cron(false, more)).now("CronJob tick", &cron(true, more)).plan()
    };
    // It is 2001-09-09T01:47:40Z.
    let resumed = plan("");
    let said = only(&resumed).warnings.join("\n");
    assert!(said.contains("resumed when all else is done; the run of 2001-09-09T01:40:00Z, missed"), "{said}");
    assert!(resumed.bodies.values().all(|bodies| bodies.unsuspend));
    let late = plan(r#","startingDeadlineSeconds":60"#);
    assert!(only(&late).warnings.join("\n").contains("has missed no run"), "{late:?}");
    let stays = Scene::shop().then("CronJob tick", &cron(true, "")).now("CronJob tick", &cron(false, "")).plan();
    assert!(only(&stays).warnings.is_empty() && stays.bodies.values().all(|bodies| !bodies.unsuspend));
}
