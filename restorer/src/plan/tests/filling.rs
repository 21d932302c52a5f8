//! Claims whose data come from a recovery point: what is created for them, what stops, and what is never lost.

use std::sync::Arc;

use hindcast_journal::{exact::Value, fold::ObjectKey};
use hindcast_mover::pod::{Place, Template};

use super::scene::{Scene, TIME, key, object, value};
use crate::{
    desired::{Full, Source},
    filling::{Filling, From, Movers},
    live::{Present, Swap},
    message::Note,
    plan::{Prepared, Verb},
    rules,
    selection::Volumes,
};

const CLAIM: &str =
    r#"{"spec":{"volumeName":"pvc-u","storageClassName":"fast","resources":{"requests":{"storage":"1Gi"}}}}"#;

fn filling() -> Filling {
    Filling {
        point: "nightly".into(),
        time: TIME - 3_600_000_000,
        size: 1 << 20,
        name: "hindcast-fill-0-0".into(),
        from: From::Snapshot { driver: "csi.example.com".into(), handle: "snap-1".into(), mode: "Filesystem".into() },
    }
}

fn full(value: Value) -> Arc<Full> {
    Arc::new(Full { value, managed: None })
}

impl Scene {
    fn with_snapshot(mut self, claim: &str) -> Self {
        self.live.fillings.insert(key(claim), filling());
        self
    }

    fn with_volume(mut self, name: &str, body: &str) -> Self {
        let volume = full(object(&format!("PersistentVolume {name}"), name, 7, body));
        self.live.volumes.insert(name.into(), volume);
        self
    }

    /// The claim stands, on a volume that a Pod of a workload uses.
    fn with_swap(mut self, claim: &str, volume: &str, users: &[&str]) -> Self {
        self.selection.volumes = Volumes::All;
        let users: Vec<ObjectKey> = users.iter().map(|user| key(user)).collect();
        for user in &users {
            let what = format!("StatefulSet {}", user.name);
            let stands = full(object(&what, "s", 150, r#"{"spec":{"replicas":3}}"#));
            let present = Present { uid: "s".into(), rv: "150".into(), terminating: false, object: stands };
            self.live.users.insert(user.clone(), present);
        }
        let volume = self.live.volumes.get(volume).cloned();
        self.live.swaps.insert(key(claim), Swap { volume, users, hindered: None });
        self
    }
}

fn target<'p>(prepared: &'p Prepared, what: &str) -> &'p Value {
    prepared.bodies.get(&key(what)).and_then(|bodies| bodies.target.as_ref()).expect("it is acted on")
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    value.pointer(path).and_then(Value::as_str)
}

/// The kinds and names of what is done, in its order.
fn order(prepared: &Prepared) -> Vec<String> {
    let mut actions: Vec<_> = prepared.plan.actions.iter().collect();
    actions.sort_by_key(|action| action.wave);
    actions.iter().map(|action| format!("{:?} {}", action.verb, action.key.resource).to_lowercase()).collect()
}

#[test]
fn a_claim_whose_volume_is_gone_comes_from_the_snapshot_by_helpers_that_come_first() {
    let scene = Scene::shop().then("PersistentVolumeClaim d", CLAIM).with_snapshot("PersistentVolumeClaim d");
    let prepared = scene.plan();
    assert_eq!(
        order(&prepared),
        ["create volumesnapshotcontents", "create volumesnapshots", "create persistentvolumeclaims"]
    );
    let claim = target(&prepared, "PersistentVolumeClaim d");
    assert_eq!(at(claim, "/spec/dataSource/name"), Some("hindcast-fill-0-0"));
    assert_eq!((at(claim, "/spec/volumeName"), at(claim, "/spec/storageClassName")), (None, Some("fast")));
    let warnings =
        prepared.plan.actions.iter().flat_map(|action| &action.warnings).cloned().collect::<Vec<_>>().join("; ");
    assert!(warnings.contains("recovery point nightly, 1 h 0 min before") && !warnings.contains("EMPTY"), "{warnings}");
    let notes = &prepared.plan.notes;
    assert!(matches!(&notes[..], [Note::Filled { claims, .. }] if *claims == ["shop/d"]), "{notes:?}");
}

#[test]
fn a_claim_whose_files_were_kept_waits_for_them_and_is_not_told_empty() {
    let template = "{kind: Pod, metadata: {namespace: hc}, spec: {containers: [{name: mover, image: i}]}}";
    let template = Template::parse("t", template).expect("a template");
    let place = Place { journal: "s3://b".into(), cluster: "c".into() };
    let from = From::Files { id: "abc".into(), movers: Some(Arc::new(Movers { template, place })) };
    let mut scene = Scene::shop().then("PersistentVolumeClaim d", CLAIM);
    scene.live.fillings.insert(key("PersistentVolumeClaim d"), Filling { from, ..filling() });
    let prepared = scene.plan();
    let order = order(&prepared);
    assert_eq!(order, ["create persistentvolumeclaims", "create pods", "create persistentvolumeclaims"]);
    let namespaces = prepared.plan.actions.iter().map(|action| (action.wave, action.key.namespace.as_str()));
    assert_eq!(namespaces.max().map(|(_, namespace)| namespace), Some("shop"), "the claim comes last");
    let claim = target(&prepared, "PersistentVolumeClaim d");
    assert_eq!((at(claim, "/spec/dataSource/name"), at(claim, "/spec/volumeName")), (None, None));
    let warnings =
        prepared.plan.actions.iter().flat_map(|action| &action.warnings).cloned().collect::<Vec<_>>().join("; ");
    assert!(warnings.contains("handed over to claim shop/d") && !warnings.contains("EMPTY"), "{warnings}");
}

#[test]
fn without_snapshots_served_a_lost_claim_is_left_and_told_why() {
    let mut scene = Scene::shop().then("PersistentVolumeClaim d", CLAIM).with_snapshot("PersistentVolumeClaim d");
    scene.live.unfilled.insert(key("PersistentVolumeClaim d"), "no snapshots are served".into());
    let left = scene.plan().plan.left;
    assert!(left.iter().any(|left| left.reason.to_string().contains("no snapshots are served")), "{left:?}");
    let bare = Scene::shop().then("PersistentVolumeClaim d", CLAIM).plan().plan.left;
    assert!(bare.iter().any(|left| left.reason.to_string().contains("no recovery point")), "{bare:?}");
}

#[test]
fn a_volume_that_waits_for_its_claim_comes_before_a_snapshot_unless_all_data_are_asked_for() {
    let waits = r#"{"spec":{"claimRef":{"namespace":"shop","name":"d","uid":"old"},"persistentVolumeReclaimPolicy":"Retain"},
        "status":{"phase":"Released"}}"#;
    let scene = || {
        let scene = Scene::shop().widen(|w| w.with_cluster_scoped = true).then("PersistentVolumeClaim d", CLAIM);
        scene.with_snapshot("PersistentVolumeClaim d").with_volume("pvc-u", waits)
    };
    let prepared = scene().plan();
    assert_eq!(order(&prepared), ["update persistentvolumes", "create persistentvolumeclaims"]);
    assert_eq!(at(target(&prepared, "PersistentVolumeClaim d"), "/spec/volumeName"), Some("pvc-u"));
    let mut all = scene();
    all.selection.volumes = Volumes::All;
    let prepared = all.plan();
    // The volume with the newest data is not even told of the claim.
    assert!(!prepared.bodies.contains_key(&key("PersistentVolume pvc-u")));
    assert_eq!(at(target(&prepared, "PersistentVolumeClaim d"), "/spec/volumeName"), None);
}

const BOUND: &str = r#"{"spec":{"claimRef":{"namespace":"shop","name":"d","uid":"u"},"persistentVolumeReclaimPolicy":"Delete"},
    "status":{"phase":"Bound"}}"#;

#[test]
fn pvc_swap_stops_what_runs_keeps_the_volume_and_starts_it_again() {
    let scene = Scene::shop()
        .then("PersistentVolumeClaim d", CLAIM)
        .now("PersistentVolumeClaim d", CLAIM)
        .with_snapshot("PersistentVolumeClaim d")
        .with_volume("pvc-u", BOUND)
        .with_swap("PersistentVolumeClaim d", "pvc-u", &["StatefulSet db"]);
    let prepared = scene.plan();
    let order = order(&prepared);
    assert_eq!(order.first().map(String::as_str), Some("update statefulsets"), "{order:?}");
    assert_eq!(order.last().map(String::as_str), Some("recreate persistentvolumeclaims"), "{order:?}");
    assert!(order.contains(&"update persistentvolumes".to_owned()));
    assert_eq!(at(target(&prepared, "PersistentVolume pvc-u"), "/spec/persistentVolumeReclaimPolicy"), Some("Retain"));
    let stopped = &prepared.bodies[&key("StatefulSet db")];
    assert!(stopped.unsuspend);
    assert_eq!(target(&prepared, "StatefulSet db").pointer("/spec/replicas"), Some(&value("3")));
    let claim = target(&prepared, "PersistentVolumeClaim d");
    assert_eq!((at(claim, "/spec/volumeName"), at(claim, "/spec/dataSource/name")), (None, Some("hindcast-fill-0-0")));
}

#[test]
fn a_claim_that_cannot_be_let_go_of_is_left_as_it_is() {
    let mut scene = Scene::shop()
        .then("PersistentVolumeClaim d", CLAIM)
        .now("PersistentVolumeClaim d", CLAIM)
        .with_snapshot("PersistentVolumeClaim d")
        .with_volume("pvc-u", BOUND)
        .with_swap("PersistentVolumeClaim d", "pvc-u", &[]);
    let swap = scene.live.swaps.get_mut(&key("PersistentVolumeClaim d")).expect("it is there");
    swap.hindered = Some("Pod x runs on it".into());
    let plan = scene.plan().plan;
    assert!(plan.actions.is_empty(), "{:?}", plan.actions);
    assert!(plan.left.iter().any(|left| left.reason.to_string().contains("Pod x")), "{:?}", plan.left);
}

#[test]
fn a_claim_whose_volume_cannot_be_seen_is_not_given_up() {
    let scene = Scene::shop()
        .then("PersistentVolumeClaim d", CLAIM)
        .now("PersistentVolumeClaim d", CLAIM)
        .with_snapshot("PersistentVolumeClaim d")
        .with_swap("PersistentVolumeClaim d", "pvc-u", &["StatefulSet db"]);
    let plan = scene.plan().plan;
    assert!(plan.actions.is_empty(), "{:?}", plan.actions);
    assert!(plan.left.iter().any(|left| left.reason.to_string().contains("cannot be read")), "{:?}", plan.left);
}

#[test]
fn all_data_asked_for_says_which_claims_have_no_snapshot() {
    let mut scene = Scene::shop().then("PersistentVolumeClaim d", CLAIM).now("PersistentVolumeClaim d", CLAIM);
    scene.selection.volumes = Volumes::All;
    let plan = scene.plan().plan;
    assert!(plan.left.iter().any(|left| left.reason.code() == "pvc-swap"), "{:?}", plan.left);
}

/// An undo gives the claim its volume back, and the policy it had only when all else is done: released and to be deleted, it
/// would be gone.
#[test]
fn an_undo_gives_the_volume_back_and_never_leaves_it_to_be_reclaimed() {
    let policy = |policy: &str, phase: &str| {
        format!(
            r#"{{"spec":{{"claimRef":{{"namespace":"shop","name":"d","uid":"u"}},"persistentVolumeReclaimPolicy":"{policy}"}},
            "status":{{"phase":"{phase}"}}}}"#
        )
    };
    let new = r#"{"spec":{"volumeName":"pvc-new","storageClassName":"fast","resources":{"requests":{"storage":"1Gi"}},
        "dataSource":{"apiGroup":"snapshot.storage.k8s.io","kind":"VolumeSnapshot","name":"hindcast-fill-0-0"}}}"#;
    let bound = r#"{"spec":{"claimRef":{"namespace":"shop","name":"d","uid":"n"},"persistentVolumeReclaimPolicy":"Delete"},
        "status":{"phase":"Bound"}}"#;
    let scene = |hindered: Option<&str>| {
        let mut scene = Scene::shop()
            .then("PersistentVolumeClaim d", CLAIM)
            .then_as("PersistentVolume pvc-u", "pvc-u", &policy("Delete", "Bound"))
            .now_as("PersistentVolumeClaim d", "n", new)
            .now_as("PersistentVolume pvc-u", "pvc-u", &policy("Retain", "Released"))
            .with_volume("pvc-u", &policy("Retain", "Released"))
            .with_volume("pvc-new", bound)
            .with_swap("PersistentVolumeClaim d", "pvc-new", &["StatefulSet db"]);
        scene.selection.volumes = Volumes::All;
        scene.desired.source = Source::Undo("r".into());
        let swap = scene.live.swaps.get_mut(&key("PersistentVolumeClaim d")).expect("it is there");
        swap.hindered = hindered.map(str::to_owned);
        scene
    };
    let prepared = scene(None).plan();
    let volume = target(&prepared, "PersistentVolume pvc-u");
    assert_eq!(at(volume, "/spec/persistentVolumeReclaimPolicy"), Some("Delete"));
    assert_eq!(volume.pointer("/spec/claimRef/uid"), None, "it is no one's until the claim is there");
    assert!(
        prepared.bodies[&key("PersistentVolume pvc-u")].unsuspend,
        "it is deleted if that is said before it is bound"
    );
    let mut first = volume.clone();
    assert!(rules::suspend("/persistentvolumes", &mut first));
    assert_eq!(at(&first, "/spec/persistentVolumeReclaimPolicy"), Some("Retain"));
    assert_eq!(rules::waits("/persistentvolumes", &first), Some(("persistentVolumeReclaimPolicy", false)));
    let claim = target(&prepared, "PersistentVolumeClaim d");
    assert_eq!((at(claim, "/spec/volumeName"), at(claim, "/spec/dataSource/name")), (Some("pvc-u"), None));
    assert_eq!(
        at(target(&prepared, "PersistentVolume pvc-new"), "/spec/persistentVolumeReclaimPolicy"),
        Some("Retain")
    );
    let verb =
        |what: &str| prepared.plan.actions.iter().find(|action| action.key == key(what)).map(|action| action.verb);
    assert_eq!(verb("PersistentVolumeClaim d"), Some(Verb::Recreate));

    let kept = scene(Some("Pod x runs on it")).plan();
    assert!(
        !kept.bodies.contains_key(&key("PersistentVolume pvc-u")),
        "its data would be deleted: {:?}",
        kept.plan.actions
    );
    let left = kept.plan.left.iter().find(|left| left.key == key("PersistentVolume pvc-u")).expect("it is told");
    assert!(left.reason.to_string().contains("deleted at once"), "{}", left.reason);
}
