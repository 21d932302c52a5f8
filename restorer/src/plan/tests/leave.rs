//! What is left alone, and why: evidence, protection, gaps, scope.

use hindcast_journal::{
    cut::CutPoint,
    facts::{CoverEnd, Grade, Uncovered},
    fold::Cover,
};

use super::scene::{CUT, Scene, TIME, key, only};
use crate::{
    desired::{Full, Source},
    live::Listed,
    selection::What,
};

fn lines(scene: &Scene, expected: &[&str]) {
    assert_eq!(scene.lines(), expected);
}

fn reason(scene: &Scene) -> String {
    scene.plan().plan.left.first().expect("something left").reason.to_string()
}

#[test]
fn nothing_is_deleted_without_evidence() {
    let added = || Scene::shop().now("ConfigMap x", "{}");
    lines(&added(), &["delete configmap x"]);
    let evidence = only(&added().plan()).evidence.clone().expect("evidence");
    assert!(evidence.contains("uid u") && evidence.contains("position 150"), "{evidence}");
    lines(&added().unprotected("/configmaps", Uncovered::Excluded), &["leave delete configmap x: not-protected"]);
    assert!(reason(&added().unprotected("/configmaps", Uncovered::Forbidden)).contains("forbidden by RBAC"));
    let mut unknown = added();
    unknown.desired.kinds.remove("/configmaps");
    lines(&unknown, &["leave delete configmap x: not-protected"]);
    let mut unseen = added();
    unseen.known.present.clear();
    lines(&unseen, &["leave delete configmap x: no-evidence"]);
    assert!(reason(&unseen).contains("closed up to 2001-09-09T01:47:40Z"), "{}", reason(&unseen));
    let mut other = added();
    other.known.present.insert(key("ConfigMap x"), ("v".into(), 150));
    lines(&other, &["leave delete configmap x: no-evidence"]);
    assert!(reason(&other).contains("uid v"));
    let mut elsewhere = added();
    elsewhere.desired.cut.domains.clear();
    lines(&elsewhere, &["leave delete configmap x: not-protected"]);
}

#[test]
fn what_may_have_been_there_at_the_moment_is_not_deleted() {
    let made = |stamp: &str| {
        let body = format!(r#"{{"metadata":{{"creationTimestamp":"{stamp}"}}}}"#);
        Scene::shop().now("ConfigMap x", &body)
    };
    // The moment is 01:46:40, and changes around it may be before or after.
    let mut close = made("2001-09-09T01:46:40Z");
    lines(&close, &["delete configmap x"]);
    close.desired.uncertain = true;
    lines(&close, &["leave delete configmap x: no-evidence"]);
    assert!(reason(&close).contains("ask for a position or a revision"), "{}", reason(&close));
    let mut after = made("2001-09-09T01:46:41Z");
    after.desired.uncertain = true;
    lines(&after, &["delete configmap x"]);
}

#[test]
fn a_kind_has_to_be_protected_throughout() {
    let with = |covers: Vec<Cover>| {
        let mut scene = Scene::shop().now("ConfigMap x", "{}");
        scene.known.kinds.get_mut("/configmaps").expect("a kind").covers = covers;
        scene
    };
    let point = |rv| CutPoint { incarnation: 0, rv };
    let end = |rv| Some((point(rv), TIME + 1, CoverEnd { reason: Uncovered::BufferFull, detail: String::new() }));
    let from = |rv, time, end| Cover { from: point(rv), from_time: time, end };
    lines(&with(vec![from(1, 0, None)]), &["delete configmap x"]);
    lines(&with(vec![from(CUT, TIME, None)]), &["delete configmap x"]);
    // Nothing was written between: the point is the same, the moment is not.
    lines(&with(vec![from(CUT, TIME + 1, None)]), &["leave delete configmap x: not-protected"]);
    let broken = with(vec![from(1, 0, end(120)), from(130, TIME + 2, None)]);
    lines(&broken, &["leave delete configmap x: not-protected"]);
    assert!(reason(&broken).contains("let go: buffer full"), "{}", reason(&broken));
    lines(&with(vec![from(1, 0, end(120))]), &["leave delete configmap x: not-protected"]);
    lines(&with(vec![]), &["leave delete configmap x: not-protected"]);
    let before = with(vec![from(1, 0, end(50)), from(60, 5, None)]);
    lines(&before, &["delete configmap x"]);
}

#[test]
fn a_lost_gap_after_the_cut_takes_a_flag_and_a_healed_one_does_not() {
    let gap = |from, to, grade| Scene::shop().now("ConfigMap x", "{}").gap("/configmaps", from, to, grade);
    lines(&gap(110, 120, Grade::Lost), &["leave delete configmap x: lost-gap unless --accept-gap"]);
    lines(&gap(90, 101, Grade::Lost), &["leave delete configmap x: lost-gap unless --accept-gap"]);
    lines(&gap(90, 100, Grade::Lost), &["delete configmap x"]);
    lines(&gap(110, 120, Grade::Healed), &["delete configmap x"]);
    lines(&gap(110, 120, Grade::Lost).widen(|w| w.accept_gap = true), &["delete configmap x"]);
    let inside = gap(90, 101, Grade::Lost).then("ConfigMap y", "{}").now("ConfigMap y", "{}");
    assert!(
        inside
            .plan()
            .plan
            .reservations
            .iter()
            .map(ToString::to_string)
            .any(|r| r.contains("configmaps") && r.contains("lost"))
    );
    let another = Scene::shop().now("ConfigMap x", "{}").gap("/secrets", 110, 120, Grade::Lost);
    lines(&another, &["delete configmap x"]);
}

#[test]
fn what_destroys_data_is_listed_and_takes_its_own_flag() {
    let claim = || Scene::shop().now("PersistentVolumeClaim d", r#"{"spec":{"volumeName":"v"}}"#);
    lines(
        &claim(),
        &["leave delete persistentvolumeclaim d: destroys-data unless --allow-delete persistentvolumeclaims"],
    );
    lines(
        &claim().widen(|w| w.allow_delete = vec!["/secrets".into()]),
        &claim().lines().iter().map(String::as_str).collect::<Vec<_>>(),
    );
    lines(
        &claim().widen(|w| w.allow_delete = vec!["/persistentvolumeclaims".into()]),
        &["delete persistentvolumeclaim d"],
    );
    let mut unproven = claim().widen(|w| w.allow_delete = vec!["/persistentvolumeclaims".into()]);
    unproven.known.present.clear();
    lines(&unproven, &["leave delete persistentvolumeclaim d: no-evidence"]);
    lines(
        &Scene::shop().now("Job j", r#"{"status":{"active":1}}"#),
        &["leave delete job j: destroys-data unless --allow-delete jobs"],
    );
    let done = r#"{"status":{"completionTime":"2026-01-01T00:00:00Z"}}"#;
    lines(&Scene::shop().now("Job j", done), &["delete job j"]);
    lines(&Scene::shop().now("Pod p", "{}"), &["leave delete pod p: destroys-data unless --allow-delete pods"]);
    lines(
        &Scene::shop().now("Namespace shop", "{}"),
        &["leave delete namespace shop: destroys-data unless --allow-delete namespaces"],
    );
}

#[test]
fn a_stateful_set_that_deletes_its_claims_is_not_made_smaller() {
    let set = |replicas: u64, policy: &str| {
        format!(
            r#"{{"spec":{{"replicas":{replicas},"persistentVolumeClaimRetentionPolicy":{{"whenScaled":"{policy}"}}}}}}"#
        )
    };
    let scene = |then: &str, now: &str| Scene::shop().then("StatefulSet db", then).now("StatefulSet db", now);
    let left = "leave update statefulset db: destroys-data unless --allow-delete statefulsets";
    lines(&scene(&set(2, "Delete"), &set(5, "Delete")), &[left]);
    lines(&scene(&set(2, "Retain"), &set(5, "Delete")), &[left]);
    lines(
        &scene(&set(2, "Delete"), &set(5, "Delete")).widen(|w| w.allow_delete = vec!["apps/statefulsets".into()]),
        &["update statefulset db"],
    );
    lines(&scene(&set(2, "Retain"), &set(5, "Retain")), &["update statefulset db"]);
    lines(&scene(&set(5, "Delete"), &set(2, "Delete")), &["update statefulset db"]);
}

#[test]
fn lost_claims_come_back_empty_only_by_flag() {
    let claim = || Scene::shop().then("PersistentVolumeClaim d", r#"{"spec":{"volumeName":"v"}}"#);
    lines(&claim(), &["leave create persistentvolumeclaim d: pvc-empty unless --allow-empty-volumes"]);
    let scene = claim().widen(|w| w.allow_empty_volumes = true);
    lines(&scene, &["create persistentvolumeclaim d"]);
    let warnings = only(&scene.plan()).warnings.clone();
    assert!(warnings.iter().any(|w| w.contains("re-created EMPTY")), "{warnings:?}");
    lines(&Scene::shop().then("PersistentVolumeClaim d", "{}"), &["create persistentvolumeclaim d"]);
}

#[test]
fn a_claim_comes_back_to_its_released_volume_which_has_to_be_told() {
    let volume = r#"{"spec":{"claimRef":{"namespace":"shop","name":"d","uid":"old"}},"status":{"phase":"Released"}}"#;
    let scene = || {
        let mut scene = Scene::shop().then("PersistentVolumeClaim d", r#"{"spec":{"volumeName":"v"}}"#);
        let stands = super::scene::object("PersistentVolume v", "pv", 7, volume);
        let full = crate::desired::Full { value: stands, managed: None };
        scene.live.volumes.insert("v".into(), std::sync::Arc::new(full));
        scene
    };
    lines(&scene(), &["leave create persistentvolumeclaim d: cluster-scoped unless --with-cluster-scoped"]);
    let wide = scene().widen(|w| w.with_cluster_scoped = true);
    lines(&wide, &["update persistentvolume v", "create persistentvolumeclaim d"]);
    let prepared = wide.plan();
    let told = prepared.bodies.get(&key("PersistentVolume v")).and_then(|b| b.target.clone()).expect("a target");
    assert_eq!(told.pointer("/spec/claimRef/uid"), None);
    assert_eq!(told.pointer("/spec/claimRef/name"), Some(&super::scene::value(r#""d""#)));
    let claim = prepared.bodies.get(&key("PersistentVolumeClaim d")).and_then(|b| b.target.clone()).expect("a target");
    assert_eq!(claim.pointer("/spec/volumeName"), Some(&super::scene::value(r#""v""#)));
}

#[test]
fn cluster_scoped_needs_are_reported_and_changed_by_flag() {
    let scene = || {
        Scene::shop()
            .then("ClusterRole reader", r#"{"rules":[{"verbs":["get"]}]}"#)
            .now("ClusterRole reader", r#"{"rules":[{"verbs":["*"]}]}"#)
            .then("ClusterRole same", r#"{"rules":[]}"#)
            .now("ClusterRole same", r#"{"rules":[]}"#)
            .then("ClusterRole gone", r#"{"rules":[]}"#)
    };
    let flag = "cluster-scoped unless --with-cluster-scoped";
    lines(
        &scene(),
        &[&format!("leave create clusterrole gone: {flag}"), &format!("leave update clusterrole reader: {flag}")],
    );
    lines(&scene().widen(|w| w.with_cluster_scoped = true), &["create clusterrole gone", "update clusterrole reader"]);
    let mut all = scene();
    all.selection.what = What::All;
    lines(&all, &["create clusterrole gone", "update clusterrole reader"]);
}

#[test]
fn the_clusters_own_is_left_unless_it_is_asked_for() {
    let config = |what: What| {
        let mut scene = Scene::new(what);
        scene.live.namespaces.insert("kube-system".into(), crate::live::NamespacePhase::Active);
        scene.then("ConfigMap kube-system/a", "{}").now("Lease kube-node-lease/n", "{}")
    };
    lines(&config(What::All), &[]);
    lines(
        &config(What::All).widen(|w| w.include_system = true),
        &["create configmap a", "leave delete lease n: lease"],
    );
    lines(
        &config(What::Namespace("kube-system".into())),
        &["leave create configmap a: system unless --include-system"],
    );
    let own = config(What::Namespace("kube-system".into())).widen(|w| w.include_system = true);
    lines(&own, &["create configmap a"]);
    let node = What::Object { kind: "/nodes".into(), namespace: String::new(), name: "n".into() };
    lines(&Scene::new(node).then("Node n", "{}"), &["leave create node n: system unless --include-system"]);
}

#[test]
fn narrowing_by_labels_looks_at_both_sides_and_only_at_names() {
    let labelled =
        |app: &str, data: &str| format!(r#"{{"metadata":{{"labels":{{"app":"{app}"}}}},"data":{{"d":"{data}"}}}}"#);
    let mut scene = Scene::shop()
        .then("ConfigMap then", &labelled("web", "1"))
        .now("ConfigMap then", &labelled("db", "2"))
        .then("ConfigMap now", &labelled("db", "1"))
        .now("ConfigMap now", &labelled("web", "2"))
        .then("ConfigMap never", &labelled("db", "1"))
        .now("ConfigMap never", &labelled("db", "2"));
    scene.selection.labels = "app=web".into();
    lines(&scene, &["update configmap now", "update configmap then"]);
    scene.selection.labels = "app=(".into();
    lines(&scene, &[]);
    scene.selection.labels = String::new();
    scene.selection.only = vec![("/configmaps".into(), "never".into())];
    lines(&scene, &["update configmap never"]);
    scene.selection.only = Vec::new();
    scene.selection.what = What::Object { kind: "/configmaps".into(), namespace: "shop".into(), name: "then".into() };
    lines(&scene, &["update configmap then"]);
}

#[test]
fn a_kind_that_cannot_be_read_or_written_is_left_with_the_servers_words() {
    for (listed, code) in [
        (Listed::Forbidden("no list on configmaps".into()), "forbidden"),
        (Listed::Failed("503".into()), "unreadable"),
        (Listed::NotServed("404".into()), "not-served"),
    ] {
        let mut scene = Scene::shop().then("ConfigMap a", "{}");
        scene.live.kinds.insert("/configmaps".into(), listed);
        lines(&scene, &[&format!("leave create configmap a: {code}")]);
        assert_eq!(scene.plan().plan.reservations.len(), usize::from(code != "not-served"), "{code}");
    }
    let mut scene = Scene::shop().then("ConfigMap a", "{}");
    scene.live.kinds.remove("/configmaps");
    lines(&scene, &["leave create configmap a: not-served"]);
    let mut scene = Scene::shop();
    scene.live.kinds.insert("example.com/widgets".into(), Listed::NotServed("404".into()));
    assert!(scene.plan().plan.reservations.is_empty(), "there were none of it");
}

#[test]
fn versions_that_are_gone_are_named() {
    let scene = || Scene::shop().then("Widget w", r#"{"apiVersion":"example.com/v1beta1","spec":{"a":1}}"#);
    lines(&scene(), &["leave create widget w: not-served"]);
    let both = scene().now("Widget w", r#"{"spec":{"a":2}}"#);
    lines(&both, &["leave update widget w: not-served"]);
    assert!(reason(&both).contains("v1beta1"), "{}", reason(&both));
    let mut served = scene();
    served.live.served.insert("example.com/widgets".into(), vec!["v1".into(), "v1beta1".into()]);
    lines(&served, &["create widget w"]);
    assert_eq!(only(&served.plan()).version, "v1beta1");
}

#[test]
fn custom_resources_come_with_their_definition() {
    let crd =
        r#"{"spec":{"group":"example.com","names":{"plural":"widgets","kind":"Widget"},"versions":[{"name":"v1"}]}}"#;
    let mut scene = Scene::shop().then("Widget w", "{}").then("CustomResourceDefinition widgets.example.com", crd);
    scene.live.kinds.insert("example.com/widgets".into(), Listed::NotServed("404".into()));
    scene.live.served.remove("example.com/widgets");
    lines(
        &scene,
        &[
            "leave create customresourcedefinition widgets.example.com: cluster-scoped unless --with-cluster-scoped",
            "leave create widget w: not-served unless --with-cluster-scoped",
        ],
    );
    let scene = scene.widen(|w| w.with_cluster_scoped = true);
    lines(&scene, &["create customresourcedefinition widgets.example.com", "create widget w"]);
}

#[test]
fn a_definitions_rollback_says_whose_fields_are_cut() {
    let crd = |field: &str| {
        format!(
            r#"{{"spec":{{"group":"example.com","names":{{"plural":"widgets"}},"versions":[{{"name":"v1","schema":{{"openAPIV3Schema":{{"type":"object","properties":{{"spec":{{"type":"object","properties":{{"a":{{}}{field}}}}}}}}}}}}}]}}}}"#
        )
    };
    let scene = Scene::shop()
        .then("CustomResourceDefinition widgets.example.com", &crd(""))
        .now("CustomResourceDefinition widgets.example.com", &crd(r#","b":{}"#))
        .then("Widget one", r#"{"spec":{"a":1}}"#)
        .now("Widget one", r#"{"spec":{"a":1,"b":2}}"#)
        .then("Widget two", r#"{"spec":{"a":1}}"#)
        .now("Widget two", r#"{"spec":{"a":1}}"#)
        .widen(|w| w.with_cluster_scoped = true);
    let prepared = scene.plan();
    let warnings = &prepared.plan.actions.first().expect("the definition").warnings;
    assert!(warnings.iter().any(|w| w.contains("spec.b")), "{warnings:?}");
    assert!(warnings.iter().any(|w| w.contains("1 of 2 objects")), "{warnings:?}");
}

#[test]
fn objects_of_kinds_without_a_past_are_left_where_they_were_made_since() {
    let mut scene = Scene::shop().unprotected("/configmaps", Uncovered::Excluded);
    scene.live.unprotected.insert(key("ConfigMap new"), "2030-01-01T00:00:00Z".into());
    scene.live.unprotected.insert(key("ConfigMap old"), "2000-01-01T00:00:00Z".into());
    let scene = scene.unprotected("coordination.k8s.io/leases", Uncovered::Excluded);
    let mut scene = scene.widen(|w| w.include_system = true);
    scene.live.unprotected.insert(key("Lease l"), "2030-01-01T00:00:00Z".into());
    lines(&scene, &["leave delete configmap new: not-protected"]);
    assert!(reason(&scene).contains("excluded"));
    let reservations: Vec<String> = scene.plan().plan.reservations.iter().map(ToString::to_string).collect();
    assert!(reservations.iter().any(|r| r.contains("configmaps") && r.contains("excluded")), "{reservations:?}");
    assert!(reservations.iter().all(|r| !r.contains("leases")), "{reservations:?}");
}

#[test]
fn of_a_kind_that_was_not_defined_then_there_was_nothing() {
    let scene = |definitions: Option<&str>| {
        let mut scene = Scene::shop().now("Widget w", "{}");
        scene.desired.kinds.remove("example.com/widgets");
        scene.desired.definitions = definitions.map(|name| std::collections::BTreeSet::from([name.to_owned()]));
        scene.known.kinds.get_mut("example.com/widgets").expect("a kind").discovery.crd_uid = "d".into();
        scene
    };
    lines(&scene(Some("others.example.com")), &["delete widget w"]);
    assert!(scene(Some("others.example.com")).plan().plan.reservations.is_empty());
    lines(&scene(Some("widgets.example.com")), &["leave delete widget w: not-protected"]);
    lines(&scene(None), &["leave delete widget w: not-protected"]);
    assert_eq!(scene(None).plan().plan.reservations.len(), 1);
    let definitions = "apiextensions.k8s.io/customresourcedefinitions";
    let lost = scene(Some("others.example.com")).gap(definitions, 110, 120, Grade::Lost);
    lines(&lost, &["leave delete widget w: lost-gap unless --accept-gap"]);
    let mut unseen = scene(Some("others.example.com"));
    unseen.known.present.clear();
    lines(&unseen, &["leave delete widget w: no-evidence"]);
}

#[test]
fn what_controllers_make_is_theirs() {
    let pod = r#"{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-1","uid":"r","controller":true}]}}"#;
    let scene = Scene::shop().then("Pod a", pod).now("Pod b", pod);
    lines(&scene, &["leave create pod a: owned", "leave delete pod b: owned"]);
}

#[test]
fn an_undo_looks_at_what_the_restore_touched_and_deletes_what_it_created() {
    let mut scene = Scene::new(What::Namespace("shop".into()))
        .then("ConfigMap changed", r#"{"data":{"a":"before"}}"#)
        .now("ConfigMap changed", r#"{"data":{"a":"restored"}}"#)
        .now("ConfigMap created", r#"{"data":{"a":"new"}}"#)
        .then("ConfigMap deleted", r#"{"data":{"a":"was"}}"#);
    scene.desired.source = Source::Undo("r1".into());
    scene.known.present.clear();
    scene.known.kinds.clear();
    for name in ["changed", "created"] {
        let key = key(&format!("ConfigMap {name}"));
        let present = scene.live.objects.get(&key).expect("there");
        let print = crate::intent::fingerprint(&key, &present.object, &crate::intent::Surroundings::default(), None);
        scene.desired.touched.insert(key, print);
    }
    scene.desired.touched.insert(key("ConfigMap deleted"), String::new());
    scene.desired.created.insert(key("ConfigMap created"), "u".into());
    lines(&scene, &["update configmap changed", "create configmap deleted", "delete configmap created"]);
    let plan = scene.plan().plan;
    assert_eq!(plan.undoes.as_deref(), Some("r1"));
    let evidence = plan.actions.last().and_then(|a| a.evidence.clone()).expect("evidence");
    assert!(evidence.contains("restore r1 created it"), "{evidence}");
    scene.desired.created.insert(key("ConfigMap created"), "another".into());
    scene.desired.touched.remove(&key("ConfigMap created"));
    lines(
        &scene,
        &["update configmap changed", "create configmap deleted", "leave delete configmap created: no-evidence"],
    );
    for name in ["changed", "deleted"] {
        scene.desired.touched.insert(key(&format!("ConfigMap {name}")), "meanwhile".into());
    }
    lines(
        &scene,
        &[
            "leave update configmap changed: changed-since",
            "leave delete configmap created: no-evidence",
            "leave create configmap deleted: changed-since",
        ],
    );
}

#[test]
fn an_undo_goes_around_what_others_changed_and_says_whose_it_is() {
    let map =
        |data: &str, label: &str| format!(r#"{{"metadata":{{"labels":{{{label}}}}},"data":{{"a":"{data}","b":"b"}}}}"#);
    let name = "ConfigMap c";
    let managed = r#"[{"manager":"alice","operation":"Update","fieldsV1":{"f:metadata":{"f:labels":{"f:team":{}}}}}]"#;
    let scene = |now: &str| {
        let mut scene = Scene::shop().then(name, &map("before", "")).now(name, now);
        scene.desired.source = Source::Undo("r1".into());
        let left = Full { value: super::scene::object(name, "u", 140, &map("restored", "")), managed: None };
        let print = crate::intent::fingerprint(&key(name), &left, &crate::intent::Surroundings::default(), None);
        scene.desired.touched.insert(key(name), print);
        scene.desired.left.insert(key(name), std::sync::Arc::new(left));
        let present = scene.live.objects.get_mut(&key(name)).expect("there");
        let object = std::sync::Arc::make_mut(&mut present.object);
        object.managed = Some(super::scene::value(managed));
        scene
    };
    // Another place: the rest is put back, and the label stays.
    let labelled = scene(&map("restored", r#""team":"blue""#));
    lines(&labelled, &["update configmap c"]);
    let prepared = labelled.plan();
    let action = super::scene::only(&prepared);
    assert_eq!(action.changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["/data/a"]);
    assert_eq!(action.warnings, ["what was changed since the restore stays: metadata.labels.team by alice"]);
    let target = super::scene::target(&prepared).to_string();
    assert!(target.contains(r#""a":"before""#) && target.contains(r#""team":"blue""#), "{target}");
    // The same place: it is theirs.
    let clash = scene(&map("theirs", ""));
    lines(&clash, &["leave update configmap c: changed-since"]);
    assert_eq!(reason(&clash), "it was changed since the restore: data.a");
    // What the restore created is not deleted under a change of others.
    let mut created = scene(&map("restored", r#""team":"blue""#));
    created.desired.objects.clear();
    created.desired.created.insert(key(name), "u".into());
    lines(&created, &["leave delete configmap c: changed-since"]);
    assert_eq!(reason(&created), "it was changed since the restore: metadata.labels.team by alice");
}

#[test]
fn an_undo_beside_others_puts_lists_back_into_their_order() {
    let name = "Deployment web";
    let web = |init: &[&str], label: &str| {
        let init: Vec<String> = init.iter().map(|name| format!(r#"{{"name":"{name}","image":"i"}}"#)).collect();
        format!(
            r#"{{"metadata":{{"labels":{{{label}}}}},"spec":{{"template":{{"spec":{{"initContainers":[{}],"containers":[{{"name":"main","image":"i"}}]}}}}}}}}"#,
            init.join(",")
        )
    };
    let scene = |before: &[&str], restored: &[&str], now: &[&str]| {
        let mut scene = Scene::shop().then(name, &web(before, "")).now(name, &web(now, r#""team":"blue""#));
        scene.desired.source = Source::Undo("r1".into());
        let left = Full { value: super::scene::object(name, "u", 140, &web(restored, "")), managed: None };
        let print = crate::intent::fingerprint(&key(name), &left, &crate::intent::Surroundings::default(), None);
        scene.desired.touched.insert(key(name), print);
        scene.desired.left.insert(key(name), std::sync::Arc::new(left));
        scene
    };
    let order = |scene: &Scene| -> Vec<String> {
        let prepared = scene.plan();
        let list = super::scene::target(&prepared).pointer("/spec/template/spec/initContainers").cloned();
        let list = list.as_ref().and_then(hindcast_journal::exact::Value::as_array).unwrap_or_default().to_vec();
        list.iter().filter_map(|one| one.get("name")?.as_str().map(str::to_owned)).collect()
    };
    // Init containers run in their order: one that the restore took away comes back to its place.
    assert_eq!(order(&scene(&["migrate", "seed"], &["seed"], &["seed"])), ["migrate", "seed"]);
    assert_eq!(order(&scene(&["a", "b", "c"], &["c", "a", "b"], &["c", "a", "b"])), ["a", "b", "c"]);
    // What somebody added stays where it is, behind what it is behind.
    assert_eq!(order(&scene(&["a", "b"], &["b"], &["b", "theirs"])), ["a", "b", "theirs"]);
    // Where they put the list into an order of their own, nobody can say which it is to be.
    lines(&scene(&["a", "b", "c"], &["b", "c"], &["c", "b"]), &["leave update deployment web: changed-since"]);
}

/// Without a key the hash of what a restore left cannot count values: that somebody changed one is told by the revision.
#[test]
fn an_undo_without_a_key_sees_a_value_that_was_changed_since() {
    let name = "Secret s";
    let secret = |value: &str| format!(r#"{{"data":{{"password":"{value}"}}}}"#);
    let scene = |now: &str, rv: u64| {
        let mut scene = Scene::shop().then(name, &secret("YmVmb3Jl")).now(name, &secret(now));
        scene.desired.source = Source::Undo("r1".into());
        let left = Full { value: super::scene::object(name, "u", rv, &secret("cmVzdG9y")), managed: None };
        let print = crate::intent::fingerprint(&key(name), &left, &crate::intent::Surroundings::default(), None);
        scene.desired.touched.insert(key(name), print);
        scene.desired.left.insert(key(name), std::sync::Arc::new(left));
        scene
    };
    lines(&scene("cmVzdG9y", 150), &["update secret s"]);
    lines(&scene("dGhlaXJz", 140), &["leave update secret s: changed-since"]);
    // A plan that was kept is held to the same.
    let hash = |now: &str| super::scene::only(&scene(now, 150).plan()).live.as_ref().map(|live| live.hash.clone());
    assert!(hash("cmVzdG9y").is_some_and(|hash| hash.ends_with("@150")));
}
