//! What the garbage collector would take after a delete.

use hindcast_journal::facts::Uncovered;

use super::scene::{Scene, key, only};
use crate::{
    desired::Source,
    live::Listed,
    plan::{Propagation, Verb},
};

const CLAIM: &str = "PersistentVolumeClaim data";

fn owned(owner: &str, uid: &str) -> String {
    format!(
        r#"{{"metadata":{{"ownerReferences":[{{"apiVersion":"example.com/v1","kind":"Widget","name":"{owner}","uid":"{uid}"}}]}}}}"#
    )
}

/// A widget that came since.
fn stray() -> Scene {
    Scene::shop().now_as("Widget w", "x", "{}")
}

fn reason(scene: &Scene, name: &str) -> String {
    let left = scene.plan().plan.left;
    left.into_iter().find(|left| left.key.name == name).map(|left| left.reason.to_string()).unwrap_or_default()
}

#[test]
fn data_does_not_go_with_an_owner_unasked() {
    let scene = stray().now_as(CLAIM, "p", &owned("w", "x"));
    let flag = "--allow-delete persistentvolumeclaims";
    let left = [
        format!("leave delete widget w: holds-others unless {flag}"),
        format!("leave delete persistentvolumeclaim data: destroys-data unless {flag}"),
    ];
    let mut lines = scene.lines();
    lines.sort_by_key(|line| !line.contains("widget"));
    assert_eq!(lines, left);
    assert_eq!(
        reason(&scene, "w"),
        "what this plan leaves alone would go with it: persistentvolumeclaims/data in shop"
    );
    let scene = scene.widen(|w| w.allow_delete = vec!["/persistentvolumeclaims".into()]);
    assert_eq!(scene.lines(), ["delete widget w", "delete persistentvolumeclaim data"]);
}

#[test]
fn owners_of_owners_stay_as_well_and_what_else_they_own_goes_alone() {
    let scene = stray()
        .now_as("Widget child", "y", &owned("w", "x"))
        .now_as("ConfigMap c", "c", &owned("w", "x"))
        .now_as(CLAIM, "p", &owned("child", "y"));
    let lines = scene.lines();
    assert!(lines.contains(&"delete configmap c".to_owned()), "{lines:?}");
    for owner in ["w", "child"] {
        let left = format!("leave delete widget {owner}: holds-others unless --allow-delete persistentvolumeclaims");
        assert!(lines.contains(&left), "{lines:?}");
    }
}

#[test]
fn another_owner_that_stays_keeps_its_own() {
    let two = r#"{"metadata":{"ownerReferences":[{"apiVersion":"example.com/v1","kind":"Widget","name":"w","uid":"x"},{"apiVersion":"example.com/v1","kind":"Widget","name":"v","uid":"v"}]}}"#;
    let scene = stray().then_as("Widget v", "v", "{}").now_as("Widget v", "v", "{}").now_as(CLAIM, "p", two);
    let lines = scene.lines();
    assert!(lines.contains(&"delete widget w".to_owned()), "{lines:?}");
}

#[test]
fn what_was_there_is_freed_first_or_keeps_its_owner() {
    let scene = stray().then_as("ConfigMap c", "c", "{}").now_as("ConfigMap c", "c", &owned("w", "x"));
    assert_eq!(scene.lines(), ["update configmap c", "delete widget w"]);
    let prepared = scene.plan();
    let held = &prepared.bodies.get(&key("Widget w")).expect("bodies").held;
    assert_eq!(
        held.iter().map(|place| place.name.as_str()).collect::<Vec<_>>(),
        ["c"],
        "it is looked at before the delete"
    );

    // Here nothing frees it: it is sealed, and there is no key.
    let mut sealed = stray().then_as("ConfigMap c", "c", "{}").now_as("ConfigMap c", "c", &owned("w", "x"));
    sealed.desired.objects.get_mut(&key("ConfigMap c")).expect("wanted").object = Err("sealed".into());
    assert!(sealed.lines().contains(&"leave delete widget w: holds-others".to_owned()), "{:?}", sealed.lines());
}

#[test]
fn an_owner_is_not_created_again_over_its_children() {
    let map = |v: &str| format!(r#"{{"immutable":true,"data":{{"v":"{v}"}}}}"#);
    let child = r#"{"metadata":{"creationTimestamp":"2001-01-01T00:00:00Z","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"a"}]}}"#;
    let scene = Scene::shop().then_as("ConfigMap a", "a", &map("then")).now_as("ConfigMap a", "a", &map("now"));
    assert_eq!(only(&scene.plan()).verb, Verb::Recreate);
    let mut beside = scene.with_dependent("Secret s", "s", child);
    assert_eq!(beside.lines(), ["leave update configmap a: holds-others"], "what is not asked for is not touched");
    beside.live.dependents.clear();
    // What the plan may write lets its old owner go first, and gets the new one after.
    let scene = beside.then_as("Secret s", "s", child).now_as("Secret s", "s", child);
    assert_eq!(scene.lines(), ["recreate configmap a", "update secret s"]);
    let prepared = scene.plan();
    let bodies = |what: &str| prepared.bodies.get(&key(what)).expect("bodies");
    assert_eq!(bodies("ConfigMap a").held.first().map(|place| place.name.as_str()), Some("s"));
    assert_eq!(bodies("Secret s").owners.first().map(|of| of.owner.clone()), Some(key("ConfigMap a")));
}

#[test]
fn what_was_taken_over_is_let_go_and_what_was_made_goes() {
    let at = |second: u32, owner: Option<(&str, &str)>| {
        let owners = owner.map(|(name, uid)| {
            format!(
                r#","ownerReferences":[{{"apiVersion":"apps/v1","kind":"Deployment","name":"{name}","uid":"{uid}","controller":true}}]"#
            )
        });
        format!(
            r#"{{"metadata":{{"creationTimestamp":"2026-01-01T00:00:{second:02}Z"{}}}}}"#,
            owners.unwrap_or_default()
        )
    };
    let scene = |adopted: u32| {
        let mut scene = Scene::shop()
            .now_as("Deployment web", "d", &at(10, None))
            .with_dependent("ReplicaSet adopted", "r1", &at(adopted, Some(("web", "d"))))
            .with_dependent("ReplicaSet made", "r2", &at(10, Some(("web", "d"))));
        scene.desired.source = Source::Undo("r".into());
        scene.desired.created.insert(key("Deployment web"), "d".into());
        scene
    };
    let prepared = scene(5).plan();
    let [web, made] = prepared.plan.actions.as_slice() else { panic!("{:?}", prepared.plan.actions) };
    assert_eq!((web.verb, web.propagation, web.key.name.as_str()), (Verb::Delete, Propagation::Orphan, "web"));
    assert!(web.warnings.iter().any(|w| w.ends_with("stays: replicasets.apps/adopted in shop")), "{:?}", web.warnings);
    assert_eq!((made.verb, made.key.name.as_str()), (Verb::Delete, "made"));
    assert!(made.wave > web.wave, "it is deleted when nothing makes it again");
    // All of it was made by the owner: it goes with it, as ever.
    let prepared = scene(11).plan();
    assert_eq!(only(&prepared).propagation, Propagation::Background);
}

#[test]
fn what_goes_along_is_named() {
    let scene =
        || stray().now_as("ConfigMap c", "c", &owned("w", "x")).unprotected("/configmaps", Uncovered::Forbidden);
    let made = scene();
    let prepared = made.plan();
    let said = &only(&prepared).warnings;
    assert!(
        said.iter().any(|w| w == "what it owns goes with it, and no undo brings that back: configmaps/c in shop"),
        "{said:?}"
    );
    assert_eq!(made.lines(), ["delete widget w", "leave delete configmap c: owned"]);
    assert_eq!(reason(&made, "c"), "it goes with its owner widgets.example.com/w in shop");
    // It is older than the moment, and nothing is known of its past.
    let older = owned("w", "x").replacen(
        "{\"ownerReferences\"",
        "{\"creationTimestamp\":\"2001-01-01T00:00:00Z\",\"ownerReferences\"",
        1,
    );
    let old = stray().now_as("ConfigMap c", "c", &older).unprotected("/configmaps", Uncovered::Forbidden);
    assert!(old.lines().contains(&"leave delete widget w: holds-others".to_owned()), "{:?}", old.lines());
}

#[test]
fn dependents_outside_of_the_selection_count() {
    let mut scene = stray().now_as(CLAIM, "p", &owned("w", "x"));
    let beside = scene.live.objects.remove_entry(&key(CLAIM));
    scene.live.dependents.extend(beside);
    assert_eq!(scene.lines(), ["leave delete widget w: holds-others unless --allow-delete persistentvolumeclaims"]);
}

#[test]
fn what_cannot_be_seen_is_told() {
    let mut scene = stray();
    scene.live.unseen.insert("batch/jobs".into(), "jobs.batch is forbidden".into());
    let said: Vec<String> = scene.plan().plan.reservations.iter().map(ToString::to_string).collect();
    let expected = "jobs.batch: whether what is deleted owns any of them could not be seen, and such would go with it: jobs.batch is forbidden";
    assert!(said.iter().any(|said| said == expected), "{said:?}");
    // A kind that the plan is about as well is told of once.
    let refused = Listed::Forbidden("jobs.batch is forbidden".to_owned());
    scene.live.kinds.insert("batch/jobs".into(), refused);
    let said: Vec<String> = scene.plan().plan.reservations.iter().map(ToString::to_string).collect();
    let told: Vec<_> = said.iter().filter(|said| said.starts_with("jobs.batch:")).collect();
    let expected = "jobs.batch: this user may not read them: jobs.batch is forbidden; nothing is done to them, but those that are owned by what \
                    is deleted would go with it";
    assert_eq!(told, [expected]);
    let mut quiet = Scene::shop();
    quiet.live.unseen = scene.live.unseen;
    assert_eq!(quiet.plan().plan.reservations, [], "nothing is deleted");
}

#[test]
fn an_undo_takes_what_was_made_of_its_own_but_no_data() {
    let undo = |what: &str| {
        let mut scene = stray().now_as(what, "c", &owned("w", "x"));
        scene.desired.source = Source::Undo("r".into());
        scene.desired.created.insert(key("Widget w"), "x".into());
        let beside = scene.live.objects.remove_entry(&key(what));
        scene.live.dependents.extend(beside);
        scene.lines()
    };
    assert_eq!(undo("Deployment web"), ["delete widget w"]);
    assert_eq!(undo(CLAIM), ["leave delete widget w: holds-others unless --allow-delete persistentvolumeclaims"]);
}

/// An undo takes back what the restore created; what was there before the restore and belongs to that by now was no part of it.
#[test]
fn an_undo_takes_nothing_along_that_was_there_before_the_restore() {
    let at = |second: u32, owner: Option<(&str, &str, &str, &str)>| {
        let owners = owner.map(|(api, kind, name, uid)| {
            format!(r#","ownerReferences":[{{"apiVersion":"{api}","kind":"{kind}","name":"{name}","uid":"{uid}"}}]"#)
        });
        let owners = owners.unwrap_or_default();
        format!(r#"{{"metadata":{{"creationTimestamp":"2026-01-01T00:00:{second:02}Z"{owners}}}}}"#)
    };
    let undo = |older: u32| {
        let mut scene = Scene::shop()
            .now_as("Widget w", "w", &at(10, None))
            // Nobody controls it: somebody only ties its life to the new owner's.
            .with_dependent("ConfigMap tied", "c", &at(older, Some(("example.com/v1", "Widget", "w", "w"))));
        scene.desired.source = Source::Undo("r".into());
        scene.desired.created.insert(key("Widget w"), "w".into());
        scene
    };
    let prepared = undo(5).plan();
    let action = only(&prepared);
    assert_eq!((action.verb, action.propagation), (Verb::Delete, Propagation::Orphan));
    assert!(action.warnings.iter().any(|w| w.ends_with("stays: configmaps/tied in shop")), "{:?}", action.warnings);
    // What was made of the new owner goes with it, and is named.
    let prepared = undo(11).plan();
    assert_eq!(only(&prepared).propagation, Propagation::Background);
    assert!(only(&prepared).warnings.iter().any(|w| w.contains("no undo brings that back: configmaps/tied")));
    // Further down nothing lets it go: then the owner stays.
    let deep = undo(11).with_dependent("Secret old", "s", &at(5, Some(("v1", "ConfigMap", "tied", "c"))));
    assert_eq!(deep.lines(), ["leave delete widget w: holds-others"]);
    assert_eq!(reason(&deep, "w"), "what this plan leaves alone would go with it: secrets/old in shop");
}

#[test]
fn a_run_that_goes_on_keeps_the_cron_job_that_began_it() {
    let job = |status: &str| {
        format!(
            r#"{{"metadata":{{"ownerReferences":[{{"apiVersion":"batch/v1","kind":"CronJob","name":"c","uid":"c","controller":true}}]}},"status":{status}}}"#
        )
    };
    let scene =
        |status: &str| Scene::shop().now_as("CronJob c", "c", "{}").with_dependent("Job run", "j", &job(status));
    assert_eq!(scene("{}").lines(), ["leave delete cronjob c: holds-others unless --allow-delete jobs"]);
    let allowed = scene("{}").widen(|widen| widen.allow_delete = vec!["batch/jobs".into()]);
    assert_eq!(allowed.lines(), ["delete cronjob c"]);
    let finished = r#"{"conditions":[{"type":"Complete","status":"True"}]}"#;
    assert_eq!(scene(finished).lines(), ["delete cronjob c"]);
}

/// Ten thousand owners go with what they own: what goes with each is found without looking at all of it each time.
#[test]
#[expect(clippy::disallowed_methods, reason = "this measures the machine")]
fn what_goes_with_each_of_many_is_found_at_once() {
    let mut scene = Scene::shop();
    for n in 0..10_000 {
        scene = scene.now_as(&format!("Widget w{n}"), &format!("w{n}"), "{}").with_dependent(
            &format!("ConfigMap of{n}"),
            &format!("c{n}"),
            &owned(&format!("w{n}"), &format!("w{n}")),
        );
    }
    let began = std::time::Instant::now();
    let prepared = scene.plan();
    let took = began.elapsed();
    assert_eq!(prepared.plan.actions.len(), 10_000);
    assert!(prepared.plan.actions.iter().all(|action| action.warnings.len() == 1));
    assert!(took < std::time::Duration::from_secs(30), "{took:?}");
}
