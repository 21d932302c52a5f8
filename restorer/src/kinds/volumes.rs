//! Claims and volumes, snapshots of them, and the classes and drivers they come from.

use hindcast_cluster::quantity::Quantity;
use hindcast_journal::{exact::Value, fold::ObjectKey, point::tags};

use super::{Anew, Changed, Family, Kind, Made, Needed, Rule, Sides, Staged, Verdict, shapers, text};
use crate::{
    full::Full,
    kept::{Fresh, Keeping, Row, Surroundings},
    permission::{Permission, Widen},
    reason::{Loss, Ruled, Standing},
};

/// Claims, by their kind key.
pub(crate) const CLAIMS: &str = "/persistentvolumeclaims";

/// Volumes, by their plural name; they are of the core.
pub(crate) const VOLUMES: &str = "persistentvolumes";

/// The API group of snapshots.
pub(crate) const SNAPSHOT_GROUP: &str = "snapshot.storage.k8s.io";
/// Snapshots, by their plural name.
pub(crate) const SNAPSHOTS: &str = "volumesnapshots";
/// The API group of snapshots of groups.
const GROUPS: &str = "groupsnapshot.storage.k8s.io";
/// What stands for a snapshot of the storage system, by its plural name.
pub(crate) const CONTENTS: &str = "volumesnapshotcontents";

/// Whether an object is a claim.
pub(crate) fn is_claim(key: &ObjectKey) -> bool {
    key.group.is_empty() && key.resource == "persistentvolumeclaims"
}

/// Whether a claim was filled from a snapshot by a restore: by the name of its source.
pub(crate) fn is_filled(claim: &Value) -> bool {
    text(claim, "/spec/dataSource/name").starts_with("hindcast-fill-")
}

/// A volume, as an object.
pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: String::new(), group: String::new(), resource: VOLUMES.to_owned(), name: name.to_owned() }
}

const fn snapshot(group: &'static str, resource: &'static str) -> Kind {
    Kind {
        spared: Some(hindcasts_own),
        judge: Some(taken_of_data),
        destroys: Some(|_| Some(Loss::Snapshot)),
        rows: SNAPSHOT_BINDING,
        ..Kind::configuration(group, resource)
    }
}

pub(super) const FAMILY: Family = Family {
    kinds: &[
        Kind {
            made: Made::ByPod,
            create: Some(come_back_empty),
            destroys: Some(|claim| Some(data(claim))),
            rows: &[CLAIM_ANNOTATIONS, CLAIM_SOURCE],
            keep: Some(binding),
            mutable: Some(&["resources", "volumeAttributesClassName", "volumeName"]),
            anew: Anew::Destroys,
            on_change: Some(empty),
            needs: Some(storage_class),
            ..Kind::configuration("", "persistentvolumeclaims")
        },
        Kind {
            judge: Some(is_gone),
            destroys: Some(|_| Some(Loss::Volume)),
            destroys_by_change: Some(reclaimed),
            staged: Some(Staged {
                member: "persistentVolumeReclaimPolicy",
                held: || Value::from("Retain"),
                ready: |volume| text(volume, "/status/phase") == "Bound",
            }),
            rows: VOLUME_ANNOTATIONS,
            keep: Some(claim_of),
            mutable: Some(&[
                "accessModes",
                "capacity",
                "claimRef",
                "mountOptions",
                "persistentVolumeReclaimPolicy",
                "storageClassName",
                "volumeAttributesClassName",
            ]),
            anew: Anew::Destroys,
            beside: true,
            ..Kind::configuration("", VOLUMES)
        },
        snapshot(SNAPSHOT_GROUP, SNAPSHOTS),
        snapshot(SNAPSHOT_GROUP, CONTENTS),
        snapshot(GROUPS, "volumegroupsnapshots"),
        snapshot(GROUPS, "volumegroupsnapshotcontents"),
        Kind::configuration(GROUPS, "volumegroupsnapshotclasses"),
        Kind::configuration("snapshot.storage.k8s.io", "volumesnapshotclasses"),
        Kind {
            immutable: &["/provisioner", "/parameters", "/reclaimPolicy", "/volumeBindingMode"],
            stricter: Some(shapers::default_class),
            beside: true,
            ..Kind::configuration("storage.k8s.io", "storageclasses")
        },
        Kind {
            immutable: &["/driverName", "/parameters"],
            ..Kind::configuration("storage.k8s.io", "volumeattributesclasses")
        },
        Kind::configuration("storage.k8s.io", "csidrivers"),
    ],
    rules: &[
        Rule {
            id: "pvc-volume",
            kinds: &["/persistentvolumeclaims"],
            what: "`spec.volumeName` stays as it is live. A new claim names its old volume only if that is there for it.",
            why: "The binding is the volume controllers'; a claim for a lost volume would wait for ever.",
        },
        Rule {
            id: "pvc-size",
            kinds: &["/persistentvolumeclaims", "/persistentvolumes"],
            what: "A size never shrinks.",
            why: "Volumes cannot; the server refuses it.",
        },
        Rule {
            id: "pvc-empty",
            kinds: &["/persistentvolumeclaims"],
            what: "A claim whose volume is gone is created from the newest recovery point, no newer than the moment, that has a snapshot of it. Without one it is created only with `{empty-volumes}`; the plan says: claim re-created EMPTY. If its storage was kept (reclaim policy Retain) the plan says so: the volume is put back first, in a namespace with `{cluster-scoped}`.",
            why: "The application would start on nothing and may take that for a new installation.",
        },
        Rule {
            id: "pvc-annotations",
            kinds: &["/persistentvolumeclaims"],
            what: "Binding marks, storage provisioner and selected node stay as they are live; a new claim gets its own.",
            why: "With old marks the controllers take a claim for bound that is not.",
        },
        Rule {
            id: "pvc-source",
            kinds: &["/persistentvolumeclaims"],
            what: "`spec.dataSource` stays as it is live, also where a restore filled the claim from a recovery point.",
            why: "It says where the first data came from, and nothing of those of today.",
        },
        Rule {
            id: "pvc-swap",
            kinds: &["/persistentvolumeclaims"],
            what: "Where the data of all claims are asked for, a claim that stands is deleted and created again from the newest recovery point that has a snapshot of it. What runs on it is stopped (0 replicas) before, and started when all else is done; the volume it leaves is retained and kept beside, and an undo gives it back. A claim whose Pods cannot be stopped so is left.",
            why: "A claim never changes its volume, and none is swapped under what runs.",
        },
        Rule {
            id: "pv-claim",
            kinds: &["/persistentvolumes"],
            what: "`spec.claimRef` stays as it is live. A new volume, or a released one whose claim comes back, names the claim without its old uid.",
            why: "A volume that names a dead uid is never bound to the claim of that name.",
        },
        Rule {
            id: "pv-annotations",
            kinds: &["/persistentvolumes"],
            what: "The annotations of the binding and the provisioner stay as they are live.",
            why: "The provisioner finds what it must delete by them.",
        },
        Rule {
            id: "pv-reclaimed",
            kinds: &["/persistentvolumes"],
            what: "A volume that was deleted and whose reclaim policy was `Delete` is not created.",
            why: "Its storage went with it: the object would point at nothing.",
        },
        Rule {
            id: "volume-snapshot",
            kinds: SNAPSHOT_KINDS,
            what: "A snapshot that was taken of claims or volumes is not created again.",
            why: "To create it is to take one, of the data of now.",
        },
        Rule {
            id: "volume-snapshot-binding",
            kinds: SNAPSHOT_KINDS,
            what: "The uid in `spec.volumeSnapshotRef` or `spec.volumeGroupSnapshotRef` and the snapshot controller's annotations stay as they are live; a new object gets its own.",
            why: "The snapshot controller binds the two by them.",
        },
        Rule {
            id: "point-snapshot",
            kinds: SNAPSHOT_KINDS,
            what: "What stands for a snapshot of a recovery point is left alone.",
            why: "It is made and deleted with its point, or with the claim that is filled from it.",
        },
    ],
};

const CLAIM_ANNOTATIONS: Row = Row {
    rule: "pvc-annotations",
    places: &[
        "metadata annotations pv.kubernetes.io/*",
        "metadata annotations volume.kubernetes.io/selected-node",
        "metadata annotations volume.kubernetes.io/storage-provisioner",
        "metadata annotations volume.beta.kubernetes.io/storage-provisioner",
        "metadata annotations volume.kubernetes.io/storage-resizer",
    ],
    owner: "the volume controllers",
    fresh: Fresh::Absent,
    quiet: true,
};

const CLAIM_SOURCE: Row = Row {
    rule: "pvc-source",
    places: &["spec dataSource", "spec dataSourceRef"],
    owner: "whoever made the claim",
    fresh: Fresh::AsThen,
    quiet: true,
};

/// What stands for snapshots of volumes, and of groups of them.
const SNAPSHOT_KINDS: &[&str] = &[
    "snapshot.storage.k8s.io/volumesnapshots",
    "snapshot.storage.k8s.io/volumesnapshotcontents",
    "groupsnapshot.storage.k8s.io/volumegroupsnapshots",
    "groupsnapshot.storage.k8s.io/volumegroupsnapshotcontents",
];

const SNAPSHOT_BINDING: &[Row] = &[Row {
    rule: "volume-snapshot-binding",
    places: &[
        "spec volumeSnapshotRef !uid",
        "spec volumeSnapshotRef !resourceVersion",
        "spec volumeGroupSnapshotRef !uid",
        "spec volumeGroupSnapshotRef !resourceVersion",
        "metadata annotations snapshot.storage.kubernetes.io/*",
        "metadata annotations groupsnapshot.storage.kubernetes.io/*",
    ],
    owner: "the snapshot controller",
    fresh: Fresh::Absent,
    quiet: true,
}];

const VOLUME_ANNOTATIONS: &[Row] = &[
    Row {
        rule: "pv-annotations",
        places: &["metadata annotations pv.kubernetes.io/bound-by-controller"],
        owner: "the volume controllers",
        fresh: Fresh::Absent,
        quiet: true,
    },
    Row {
        rule: "pv-annotations",
        places: &["metadata annotations pv.kubernetes.io/*", "metadata annotations volume.kubernetes.io/*"],
        owner: "the volume's provisioner",
        fresh: Fresh::AsThen,
        quiet: true,
    },
];

/// Of a claim that has to be created: its data may be gone.
fn come_back_empty(wanted: &Full, around: &Surroundings, widen: &Widen) -> Verdict {
    let text = |path: &str| text(&wanted.value, path);
    let (namespace, name, volume) = (text("/metadata/namespace"), text("/metadata/name"), text("/spec/volumeName"));
    // A claim that never had a volume has nothing to lose.
    let filling = around.fillings.get(&format!("{namespace}/{name}"));
    let filled = filling.is_some_and(Option::is_none);
    if filled || widen.allow_empty_volumes || volume.is_empty() || around.can_bind(volume, namespace, name) {
        return Verdict::Act;
    }
    let belongs_to = around.volumes.get(volume).and_then(|volume| volume.claim.clone());
    let comes = around.retained.get(volume);
    let unless = if comes == Some(&true) { Permission::ClusterScoped } else { Permission::EmptyVolumes };
    let unused = filling.cloned().flatten();
    let retained = comes.is_some();
    Verdict::unless(Ruled::EmptyClaim { volume: volume.to_owned(), belongs_to, retained, unused }, unless)
}

fn data(claim: &Value) -> Loss {
    let volume = text(claim, "/spec/volumeName");
    Loss::Claim((!volume.is_empty()).then(|| volume.to_owned()))
}

fn binding(of: &mut Keeping<'_>) {
    let owner = "the volume controllers";
    let volume = of.wanted.and_then(|claim| claim.value.pointer("/spec/volumeName")?.as_str());
    let there = volume.is_some_and(|volume| of.around.can_bind(volume, &of.key.namespace, &of.key.name));
    let fresh = if there { Fresh::AsThen } else { Fresh::Absent };
    of.add_pattern("spec volumeName", "pvc-volume", owner, fresh, false);
    grown(of, "spec resources requests storage");
}

fn claim_of(of: &mut Keeping<'_>) {
    let owner = "the volume controllers";
    if of.live.is_some() {
        of.add_pattern("spec claimRef", "pv-claim", owner, Fresh::AsThen, false);
    }
    for field in ["!uid", "!resourceVersion"] {
        of.add_pattern(&format!("spec claimRef {field}"), "pv-claim", owner, Fresh::Absent, true);
    }
    grown(of, "spec capacity storage");
}

/// A size is kept where it would shrink.
fn grown(of: &mut Keeping<'_>, pattern: &str) {
    let (Some(wanted), Some(live)) = (of.wanted, of.live) else { return };
    for place in of.places(pattern) {
        let quantity = |full: &Full| place.get(&full.value).and_then(Value::as_str).and_then(Quantity::parse);
        if quantity(live).zip(quantity(wanted)).is_some_and(|(live, wanted)| live > wanted) {
            let owner = "a volume cannot shrink";
            of.add_as(Standing::Rule, place, "pvc-size", owner, Fresh::AsThen, false);
        }
    }
}

fn empty(changed: &Changed<'_>) -> Vec<String> {
    let volume = text(changed.then, "/spec/volumeName");
    let empty = changed.live.is_none() && volume != text(changed.target, "/spec/volumeName");
    empty.then(|| format!("claim re-created EMPTY: its volume {volume} is not there")).into_iter().collect()
}

/// The class that a claim, or a template of one, names.
pub(crate) fn storage_class(claim: &Value) -> Option<Needed<'_>> {
    let class = text(claim, "/spec/storageClassName");
    (!class.is_empty()).then_some(("storage.k8s.io", "storageclasses", class))
}

/// Whether the storage behind a volume was deleted with it.
fn is_gone(sides: &Sides<'_>, _: &Widen) -> Option<Verdict> {
    let gone = sides.live.is_none() && sides.wanted.is_some_and(|volume| !outlives_its_object(volume));
    gone.then(|| Verdict::leave(Ruled::ReclaimedVolume))
}

/// A volume whose claim is gone keeps its data as long as its reclaim policy says so.
fn reclaimed(target: &Value, live: &Value) -> Option<Loss> {
    let waits = matches!(text(live, "/status/phase"), "Released" | "Failed");
    (waits && keeps_storage(live) && !keeps_storage(target)).then_some(Loss::Reclaimed)
}

/// Whether the storage behind a `PersistentVolume` is kept when the object is deleted.
pub(crate) fn outlives_its_object(volume: &Full) -> bool {
    keeps_storage(&volume.value)
}

/// The same, of the object itself.
pub(crate) fn keeps_storage(volume: &Value) -> bool {
    text(volume, "/spec/persistentVolumeReclaimPolicy") == "Retain"
}

/// A released volume made ready for a claim that is created again: its reference to the old claim loses the uid.
pub(crate) fn rebind(volume: &Value) -> Option<Value> {
    let mut volume = volume.clone();
    let claim = volume.pointer_mut("/spec/claimRef").and_then(Value::as_object_mut)?;
    let bound = claim.remove("uid").is_some();
    claim.remove("resourceVersion");
    bound.then_some(volume)
}

/// Whether an object stands for a snapshot of a recovery point.
fn hindcasts_own(sides: &Sides<'_>) -> Option<Ruled> {
    let own = |object: &Value| {
        let labels = object.pointer("/metadata/labels");
        labels.is_some_and(|labels| [tags::ID, tags::FILLS].iter().any(|label| labels.get(label).is_some()))
    };
    sides.each().any(own).then_some(Ruled::PointSnapshot)
}

fn taken_of_data(sides: &Sides<'_>, _: &Widen) -> Option<Verdict> {
    let source = sides.coming()?.pointer("/spec/source")?;
    let dynamic = ["persistentVolumeClaimName", "volumeHandle", "selector", "volumeHandles"];
    let dynamic = dynamic.iter().any(|member| source.get(member).is_some());
    dynamic.then(|| Verdict::leave(Ruled::VolumeSnapshot))
}
