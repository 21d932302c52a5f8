//! What becomes of an object: created, changed, made anew, deleted.

use super::scene::{Scene, key, object, only, target, value};
use crate::{
    Prepared,
    desired::Source,
    intent::{Surroundings, fingerprint},
    message::Note,
    plan::{Propagation, Verb},
    selection::What,
};

fn lines(scene: &Scene, expected: &[&str]) {
    assert_eq!(scene.lines(), expected);
}

#[test]
fn missing_is_created_changed_updated_added_deleted_and_equal_left() {
    let scene = Scene::shop()
        .then("ConfigMap gone", r#"{"data":{"a":"1"}}"#)
        .then("ConfigMap changed", r#"{"data":{"a":"1"}}"#)
        .now("ConfigMap changed", r#"{"data":{"a":"2"}}"#)
        .now("ConfigMap added", r#"{"data":{"a":"3"}}"#)
        .then("ConfigMap same", r#"{"data":{"a":"4"}}"#)
        .now("ConfigMap same", r#"{"data":{"a":"4"}}"#);
    lines(&scene, &["update configmap changed", "create configmap gone", "delete configmap added"]);
    let prepared = scene.plan();
    assert_eq!(prepared.plan.unchanged, 1);
    assert_eq!(prepared.bodies.len(), 3);
    assert_eq!(prepared.plan, scene.plan().plan, "the same inputs give the same plan");
}

#[test]
fn an_update_carries_both_sides() {
    let scene = Scene::shop()
        .then("ConfigMap a", r#"{"data":{"a":"1","b":"x"}}"#)
        .now("ConfigMap a", r#"{"data":{"a":"2"},"status":{"n":1}}"#);
    let prepared = scene.plan();
    let action = only(&prepared);
    let changes: Vec<String> = action
        .changes
        .iter()
        .map(|c| {
            format!(
                "{} {:?} {:?}",
                c.path,
                c.from.as_ref().map(ToString::to_string),
                c.to.as_ref().map(ToString::to_string)
            )
        })
        .collect();
    assert_eq!(changes, [r#"/data/a Some("\"2\"") Some("\"1\"")"#, r#"/data/b None Some("\"x\"")"#]);
    let live = action.live.as_ref().expect("a live object");
    assert_eq!((live.uid.as_str(), live.rv.as_str(), live.hash.len()), ("u", "150", 16));
    let wanted = action.wanted.as_ref().expect("a wanted version");
    assert_eq!((wanted.pos, wanted.uid.as_str(), wanted.hash.len()), (50, "u", 16));
    assert_ne!(live.hash, wanted.hash);
    assert_eq!(target(&prepared).pointer("/data"), Some(&value(r#"{"a":"1","b":"x"}"#)));
    assert_eq!(target(&prepared).pointer("/status"), Some(&value(r#"{"n":1}"#)), "status is not ours");
    let bodies = prepared.bodies.get(&key("ConfigMap a")).expect("bodies");
    assert_eq!(
        bodies.before.as_ref().map(|f| &f.value),
        Some(&object("ConfigMap a", "u", 150, r#"{"data":{"a":"2"},"status":{"n":1}}"#))
    );
}

#[test]
fn what_only_controllers_changed_is_unchanged() {
    for (then, now) in [
        (r#"{"spec":{"replicas":1},"status":{"a":1}}"#, r#"{"spec":{"replicas":1},"status":{"a":2}}"#),
        (
            r#"{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"1"}},"spec":{"replicas":1}}"#,
            r#"{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"3"},"generation":7},"spec":{"replicas":1}}"#,
        ),
    ] {
        let scene = Scene::shop().then("Deployment web", then).now("Deployment web", now);
        lines(&scene, &[]);
        assert_eq!(scene.plan().plan.unchanged, 1);
    }
}

#[test]
fn the_same_version_is_unchanged_though_its_values_are_sealed() {
    let mut scene =
        Scene::shop().then("Secret s", r#"{"data":{"a":"MQ=="}}"#).now("Secret s", r#"{"data":{"a":"MQ=="}}"#);
    let wanted = scene.desired.objects.get_mut(&key("Secret s")).expect("a secret");
    wanted.object = Err("sealed, and there is no key".into());
    wanted.redact = vec!["/data/a".into()];
    lines(&scene, &["leave update secret s: sealed"]);
    scene.live.objects.get_mut(&key("Secret s")).expect("a secret").rv = "50".into();
    lines(&scene, &[]);
    let wanted = scene.desired.objects.get_mut(&key("Secret s")).expect("a secret");
    (wanted.rv, wanted.redact) = ("49".into(), Vec::new());
    lines(&scene, &["leave update secret s: unreadable"]);
}

#[test]
fn a_scaler_that_goes_or_turns_away_leaves_the_replicas_to_the_plan() {
    let of = |name: &str| {
        format!(r#"{{"spec":{{"scaleTargetRef":{{"apiVersion":"apps/v1","kind":"Deployment","name":"{name}"}}}}}}"#)
    };
    let scene = || {
        Scene::shop()
            .then("Deployment web", r#"{"spec":{"replicas":2}}"#)
            .now("Deployment web", r#"{"spec":{"replicas":5}}"#)
    };
    let goes = scene().now("HorizontalPodAutoscaler added", &of("web"));
    lines(&goes, &["delete horizontalpodautoscaler added", "update deployment web"]);
    let turns = scene().then("HorizontalPodAutoscaler a", &of("api")).now("HorizontalPodAutoscaler a", &of("web"));
    lines(&turns, &["update horizontalpodautoscaler a", "update deployment web"]);
    // What scales it then scales it again.
    let back = scene().then("HorizontalPodAutoscaler a", &of("web")).now("HorizontalPodAutoscaler a", &of("api"));
    lines(&back, &["update horizontalpodautoscaler a"]);
    // What the plan leaves there goes on scaling it.
    let mut stays = scene().now("HorizontalPodAutoscaler added", &of("web"));
    stays.selection.only = vec![("apps/deployments".to_owned(), "web".to_owned())];
    lines(&stays, &[]);
    // One that was being deleted then scales nothing.
    let dying = of("web").replacen('{', r#"{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"#, 1);
    lines(&scene().then("HorizontalPodAutoscaler a", &dying), &["update deployment web"]);
}

#[test]
fn an_undo_gives_replicas_back_with_the_scaler_that_the_restore_took() {
    let hpa = r#"{"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}}"#;
    let mut scene = Scene::shop()
        .then("HorizontalPodAutoscaler added", hpa)
        .then("Deployment web", r#"{"spec":{"replicas":5}}"#)
        .now("Deployment web", r#"{"spec":{"replicas":2}}"#);
    scene.desired.source = Source::Undo("r".into());
    scene.desired.touched.insert(key("HorizontalPodAutoscaler added"), String::new());
    let web = key("Deployment web");
    let present = scene.live.objects.get(&web).expect("there");
    let left = fingerprint(&web, &present.object, &Surroundings::default(), None);
    scene.desired.touched.insert(web, left);
    lines(&scene, &["update deployment web", "create horizontalpodautoscaler added"]);
}

#[test]
fn replicas_of_what_is_scaled_are_kept_and_said() {
    let hpa = r#"{"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}}"#;
    let scene = Scene::shop()
        .then("HorizontalPodAutoscaler web", hpa)
        .now("HorizontalPodAutoscaler web", hpa)
        .then("Deployment web", r#"{"spec":{"replicas":2,"minReadySeconds":1}}"#)
        .now("Deployment web", r#"{"spec":{"replicas":5,"minReadySeconds":2}}"#);
    let prepared = scene.plan();
    let action = only(&prepared);
    assert_eq!(action.changes.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["/spec/minReadySeconds"]);
    let kept = action.kept.first().expect("a kept field");
    assert_eq!((kept.field.path.as_str(), kept.rule.as_str()), ("/spec/replicas", "hpa-replicas"));
    assert_eq!(kept.owner, "HorizontalPodAutoscaler web");
    assert_eq!((kept.field.from.clone(), kept.field.to.clone()), (Some(value("5")), Some(value("2"))));
    assert_eq!(target(&prepared).pointer("/spec/replicas"), Some(&value("5")));
}

#[test]
fn secret_values_are_placeholders_on_both_sides_and_hashes_are_keyed() {
    let scene = Scene::shop()
        .then("Secret s", r#"{"data":{"pw":"b25l","same":"eA=="},"type":"Opaque"}"#)
        .now("Secret s", r#"{"data":{"pw":"dHdv","same":"eA=="},"type":"Opaque"}"#);
    let plain = only(&scene.plan()).clone();
    let scene = scene.hashed();
    let prepared = scene.plan();
    let action = only(&prepared);
    assert_eq!(action.changes.len(), 1, "only what differs: {:?}", action.changes);
    let change = action.changes.first().expect("a change");
    let text = format!("{:?} {:?}", change.from, change.to);
    assert!(!text.contains("b25l") && !text.contains("dHdv"), "{text}");
    assert!(text.contains("<redacted 3 bytes hmac:"), "{text}");
    assert_ne!(change.from, change.to);
    let hash = |a: &crate::plan::Action| a.live.as_ref().map(|l| l.hash.clone());
    assert_ne!(hash(action), hash(&plain), "a plain hash of a short value can be guessed");
    assert_eq!(target(&prepared).pointer("/data/pw"), Some(&value(r#""b25l""#)), "the body has the value itself");
    assert_eq!(prepared.bodies.get(&action.key).map(|b| b.redact.len()), Some(2));
    let created = Scene::shop().then("Secret s", r#"{"data":{"pw":"b25l"}}"#).plan();
    assert!(!format!("{:?}", created.plan).contains("b25l"));
}

#[test]
fn another_object_of_the_name_is_updated_and_said() {
    let scene = Scene::shop().then_as("ConfigMap a", "old", r#"{"data":{"a":"1"}}"#).now_as(
        "ConfigMap a",
        "new",
        r#"{"data":{"a":"2"}}"#,
    );
    let prepared = scene.plan();
    let action = only(&prepared);
    assert_eq!(action.verb, Verb::Update);
    assert!(
        action.warnings.iter().any(|w| w.contains("created again since (uid then old, now new)")),
        "{:?}",
        action.warnings
    );
}

#[test]
fn what_is_being_deleted_is_waited_for_and_what_was_counts_as_absent() {
    let dying = r#"{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["x.io/f"]},"data":{}}"#;
    let scene = Scene::shop().then("ConfigMap a", r#"{"data":{"a":"1"}}"#).now("ConfigMap a", dying);
    let prepared = scene.plan();
    let action = only(&prepared);
    assert_eq!((action.verb, action.live.as_ref().map(|l| l.uid.as_str())), (Verb::Create, Some("u")));
    assert!(action.warnings.iter().any(|w| w.contains("waited for") && w.contains("x.io/f")), "{:?}", action.warnings);
    lines(&Scene::shop().then("ConfigMap a", dying), &[]);
    lines(&Scene::shop().now("ConfigMap a", dying), &["leave delete configmap a: terminating"]);
    let again = Scene::shop().then_as("ConfigMap a", "old", dying).now_as("ConfigMap a", "new", r#"{"data":{}}"#);
    lines(&again, &["delete configmap a"]);
}

#[test]
fn immutable_fields_take_a_recreate_and_only_what_disturbs_takes_a_flag() {
    let selector = |app: &str| format!(r#"{{"spec":{{"selector":{{"matchLabels":{{"app":"{app}"}}}}}}}}"#);
    let scene = Scene::shop().then("Deployment web", &selector("a")).now("Deployment web", &selector("b"));
    lines(&scene, &["leave update deployment web: needs-recreate unless --allow-recreate"]);
    let scene = scene.widen(|w| w.allow_recreate = true);
    lines(&scene, &["recreate deployment web"]);
    let service = |name: &str| format!(r#"{{"spec":{{"serviceName":"{name}"}}}}"#);
    let scene = Scene::shop().then("StatefulSet db", &service("a")).now("StatefulSet db", &service("b"));
    let prepared = scene.plan();
    let action = only(&prepared);
    assert_eq!((action.verb, action.propagation), (Verb::Recreate, Propagation::Orphan));
    assert_eq!(action.changes.len(), 1);
    let role = |name: &str| {
        format!(r#"{{"roleRef":{{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"{name}"}}}}"#)
    };
    let scene = Scene::shop().then("RoleBinding b", &role("a")).now("RoleBinding b", &role("b"));
    lines(&scene, &["recreate rolebinding b"]);
    let held = role("b").replacen('{', r#"{"metadata":{"finalizers":["example.com/hold"]},"#, 1);
    let prepared = Scene::shop().then("RoleBinding b", &role("a")).now("RoleBinding b", &held).plan();
    let said = &only(&prepared).warnings;
    assert!(said.iter().any(|w| w == "it goes once its finalizers are done: example.com/hold"), "{said:?}");
}

#[test]
fn cron_jobs_come_suspended_unless_they_were() {
    for (body, unsuspend) in [
        (r#"{"spec":{"schedule":"* * * * *"}}"#, true),
        (r#"{"spec":{"suspend":true}}"#, false),
        (r#"{"spec":{"suspend":false}}"#, true),
    ] {
        let prepared = Scene::shop().then("CronJob nightly", body).plan();
        let bodies = prepared.bodies.get(&key("CronJob nightly")).expect("bodies");
        assert_eq!(bodies.unsuspend, unsuspend, "{body}");
        let said = only(&prepared).warnings.iter().any(|w| w.contains("suspended"));
        assert_eq!(said, unsuspend, "{body}");
    }
}

#[test]
fn a_path_changes_what_lies_under_it_and_nothing_else() {
    let then = r#"{"metadata":{"labels":{"a":"1"}},"spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"web","image":"x:1"}]}}}}"#;
    let now = r#"{"metadata":{"labels":{"a":"2"}},"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"side","image":"s"},{"name":"web","image":"x:2"}]}}}}"#;
    let with = |path: &str| {
        let mut scene = Scene::shop()
            .then("Deployment web", then)
            .now("Deployment web", now)
            .then("ConfigMap gone", "{}")
            .now("ConfigMap added", "{}");
        scene.selection.path = Some(path.into());
        scene
    };
    let scene = with("/spec/template");
    lines(
        &scene,
        &["update deployment web", "leave delete configmap added: path", "leave create configmap gone: path"],
    );
    let prepared = scene.plan();
    let sent = target(&prepared);
    assert_eq!(sent.pointer("/metadata/labels/a"), Some(&value(r#""2""#)));
    assert_eq!(sent.pointer("/spec/replicas"), Some(&value("3")));
    assert_eq!(sent.pointer("/spec/template/spec/containers"), Some(&value(r#"[{"image":"x:1","name":"web"}]"#)));
    let prepared = with("/spec/template/spec/containers/[name=web]/image").plan();
    let containers = target(&prepared).pointer("/spec/template/spec/containers").map(ToString::to_string);
    assert_eq!(containers.as_deref(), Some(r#"[{"image":"s","name":"side"},{"image":"x:1","name":"web"}]"#));
    assert_eq!(
        only(&prepared).changes.first().map(|c| c.path.as_str()),
        Some("/spec/template/spec/containers/[name=web]/image")
    );
    let scene = with("/spec/strategy");
    assert_eq!(scene.plan().plan.actions, [], "nothing differs there");
}

#[test]
fn of_the_namespace_itself_only_labels_and_annotations_go_back() {
    let scene = Scene::shop()
        .then("Namespace shop", r#"{"metadata":{"labels":{"a":"1"},"annotations":{"n":"1"}},"spec":{"x":1}}"#)
        .now("Namespace shop", r#"{"metadata":{"labels":{"a":"2"},"annotations":{"n":"1"}},"spec":{"x":2}}"#);
    let prepared = scene.plan();
    assert_eq!(only(&prepared).changes.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["/metadata/labels/a"]);
    assert_eq!(target(&prepared).pointer("/spec/x"), Some(&value("2")));
}

#[test]
fn a_namespace_that_is_gone_comes_first_and_its_objects_with_it() {
    let mut scene = Scene::shop().then("Namespace shop", "{}").then("ConfigMap a", "{}");
    scene.live.namespaces.clear();
    lines(&scene, &["create namespace shop", "create configmap a"]);
    let dying = r#"{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}}"#;
    let mut scene = scene.now("Namespace shop", dying).now("ConfigMap a", "{}").now("ConfigMap added", "{}");
    scene.live.namespaces.insert("shop".into(), crate::live::NamespacePhase::Terminating);
    lines(&scene, &["create namespace shop", "create configmap a", "leave delete configmap added: terminating"]);
    let waits = |prepared: &Prepared| prepared.plan.actions.iter().all(|a| a.live.is_some());
    assert!(waits(&scene.plan()), "each waits until what is there is gone");
    let mut one = Scene::new(What::Object { kind: "/configmaps".into(), namespace: "shop".into(), name: "a".into() });
    one = one.then("Namespace shop", "{}").then("ConfigMap a", "{}");
    lines(&one, &["create configmap a"]);
    one.live.namespaces.clear();
    lines(&one, &["create namespace shop", "create configmap a"]);
    one.desired.objects.remove(&key("Namespace shop"));
    lines(&one, &["leave create configmap a: no-namespace"]);
    one.live.namespaces.insert("shop".into(), crate::live::NamespacePhase::Terminating);
    lines(&one, &["leave create configmap a: terminating"]);
}

#[test]
fn workloads_that_keep_old_configuration_are_named_or_rolled() {
    let web = r#"{"spec":{"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","envFrom":[{"configMapRef":{"name":"app"}}]}]}}}}"#;
    let owner = r#"{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"u","controller":true}]},"#;
    let made = web.replacen('{', owner, 1);
    let scene = || {
        Scene::shop()
            .then("ConfigMap app", r#"{"data":{"a":"1"}}"#)
            .now("ConfigMap app", r#"{"data":{"a":"2"}}"#)
            .then("Deployment web", web)
            .now("Deployment web", web)
            .then("ReplicaSet web-1", &made)
            .now("ReplicaSet web-1", &made)
    };
    lines(&scene(), &["update configmap app"]);
    let notes = scene().plan().plan.notes;
    assert_eq!(notes.len(), 1, "not of what a controller made: {notes:?}");
    assert!(
        notes.iter().any(|n| matches!(n, Note::KeepsOldValues { workload, reads } if workload == "Deployment web" && reads == "ConfigMap app")),
        "{notes:?}"
    );
    let rolled = scene().widen(|w| w.restart = true);
    lines(&rolled, &["update configmap app", "update deployment web"]);
    let prepared = rolled.plan();
    let bodies = prepared.bodies.get(&key("Deployment web")).expect("bodies");
    let stamp = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
    assert!(bodies.target.as_ref().and_then(|t| t.pointer(stamp)).is_some());
    assert_eq!(
        bodies.target.as_ref().and_then(|t| t.pointer("/spec/template/metadata/labels/a")),
        Some(&value(r#""b""#))
    );
    let bare = web.replace(r#""metadata":{"labels":{"a":"b"}},"#, "");
    let bare = scene().now("Deployment web", &bare).then("Deployment web", &bare).widen(|w| w.restart = true).plan();
    let target = bare.bodies.get(&key("Deployment web")).and_then(|b| b.target.clone()).expect("a target");
    assert!(target.pointer(stamp).is_some());
    let changed = web.replace(r#""name":"c""#, r#""name":"d""#);
    let rolls = scene().now("Deployment web", &changed).plan();
    assert!(rolls.plan.notes.is_empty(), "its template changes anyway: {:?}", rolls.plan.notes);
}

#[test]
fn only_workloads_whose_controllers_replace_pods_are_rolled() {
    let reads = r#""template":{"spec":{"containers":[{"name":"c","envFrom":[{"configMapRef":{"name":"app"}}]}]}}"#;
    let set = format!(r#"{{"spec":{{{reads}}}}}"#);
    let by_hand = format!(r#"{{"spec":{{"updateStrategy":{{"type":"OnDelete"}},{reads}}}}}"#);
    let scene = Scene::shop()
        .then("ConfigMap app", r#"{"data":{"a":"1"}}"#)
        .now("ConfigMap app", r#"{"data":{"a":"2"}}"#)
        .now("ReplicaSet alone", &set)
        .then("ReplicaSet alone", &set)
        .now("StatefulSet held", &by_hand)
        .then("StatefulSet held", &by_hand)
        .now("StatefulSet db", &set)
        .then("StatefulSet db", &set)
        .widen(|w| w.restart = true);
    lines(&scene, &["update configmap app", "update statefulset db"]);
    let notes: Vec<String> = scene.plan().plan.notes.iter().map(ToString::to_string).collect();
    let said = |of: &str, what: &str| notes.iter().any(|note| note.starts_with(of) && note.contains(what));
    assert!(said("ReplicaSet alone", "keep the old values"), "{notes:?}");
    assert!(said("StatefulSet held", "keep the old values"), "{notes:?}");
    assert!(said("StatefulSet db", "its Pods are rolled"), "{notes:?}");
    // A changed template of theirs replaces nothing either.
    let other = set.replace(r#""name":"c""#, r#""name":"d""#);
    let notes = scene.then("ReplicaSet alone", &other).plan().plan.notes;
    assert!(notes.iter().any(|note| note.to_string().starts_with("ReplicaSet alone")), "{notes:?}");
}

#[test]
fn who_will_undo_it_is_named() {
    let helm = |image: &str| {
        format!(
            r#"{{"metadata":{{"annotations":{{"meta.helm.sh/release-name":"shop","meta.helm.sh/release-namespace":"shop"}}}},"data":{{"i":"{image}"}}}}"#
        )
    };
    let scene = Scene::shop().then("ConfigMap a", &helm("1")).now("ConfigMap a", &helm("2"));
    let notes = scene.plan().plan.notes;
    assert!(
        notes
            .iter()
            .map(ToString::to_string)
            .any(|n| n.contains("ConfigMap a") && n.contains("Helm release shop/shop")),
        "{notes:?}"
    );
}

#[test]
fn a_bypass_of_webhooks_is_told_where_something_is_done() {
    let scene = Scene::shop().then("ConfigMap a", "{}").widen(|w| w.bypass_webhooks = true);
    assert!(scene.plan().plan.notes.iter().any(|n| n.to_string().contains("hindcast-bypass")));
    let idle = Scene::shop().widen(|w| w.bypass_webhooks = true);
    assert!(idle.plan().plan.notes.is_empty());
}

#[test]
fn numbers_keep_their_tokens() {
    let scene = Scene::shop()
        .then("Widget w", r#"{"spec":{"n":1.10,"big":18446744073709551617}}"#)
        .now("Widget w", r#"{"spec":{"n":1.1,"big":18446744073709551617}}"#);
    let prepared = scene.plan();
    let change = only(&prepared).changes.first().expect("a change").clone();
    assert_eq!(format!("{} {}", change.from.expect("live"), change.to.expect("then")), "1.1 1.10");
    assert_eq!(
        target(&prepared).pointer("/spec/big").map(ToString::to_string).as_deref(),
        Some("18446744073709551617")
    );
}
