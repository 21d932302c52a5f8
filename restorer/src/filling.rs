//! What claims get their data from where their volumes are gone, or are to be as they were: snapshots of recovery points, or
//! the files that they kept.
//!
//! **Words.** A claim is *filled* from a snapshot when it is created with that as its source. A *helper* is what stands for the
//! snapshot meanwhile: a `VolumeSnapshot` and its `VolumeSnapshotContent`, made for one claim and gone once it is bound. For
//! files, the helpers are a claim where movers run and the Pod that puts them there; its volume is then *handed over*. A
//! claim that stands is *swapped* when it is filled anew: its volume is kept beside, so that the swap can be taken back.
//!
//! **Invariants.** (1) A claim is filled only with data of its own: a snapshot counts that was taken of this very claim, or of
//! the volume it was bound to [`nearest`]. (2) Nothing newer than the moment is put into a claim: the point's cut is not behind it.
//! (3) A helper retains its snapshot: whatever becomes of it, the recovery point keeps what it has.
//!
//! Not here: what a plan makes of that (`plan::filling`), and how it is carried out (`apply::filling`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hindcast_cluster::quantity::Quantity;
use hindcast_journal::{
    Result,
    cut::{Cut, CutPoint, MAIN},
    exact::{self, Object, Value},
    fold::ObjectKey,
    parts::Micros,
    point::{Point, PointVolume, Points, tags},
    store::Store,
};
use hindcast_mover::pod::{Place, Template};

pub(crate) use crate::kinds::volumes::{CONTENTS, SNAPSHOT_GROUP as GROUP, SNAPSHOTS, is_filled};
use crate::{Desired, Live, Selection, kinds::volumes::is_claim, selection::Volumes};

#[cfg(test)]
mod tests;

/// The version that helpers are made in.
pub(crate) const VERSION: &str = "v1";

/// The driver's name in recovery points of volumes that were kept file by file.
const FILES: &str = "files";

/// The CSI drivers that take the snapshots of a cloud's own driver by their names.
const CLOUDS: [(&str, &str); 3] =
    [("aws", "ebs.csi.aws.com"), ("azure", "disk.csi.azure.com"), ("gcp", "pd.csi.storage.gke.io")];

/// A snapshot that a claim can be filled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filling {
    /// The recovery point's name.
    pub point: String,
    /// The moment of its cut.
    pub time: Micros,
    /// Bytes that a volume of it needs at least; 0 if that is not known.
    pub size: u64,
    /// What its helpers are called.
    pub name: String,
    /// In which form they are kept.
    pub from: From,
}

/// In which form data are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// As a snapshot of a storage system.
    Snapshot {
        /// The CSI driver.
        driver: String,
        /// The storage system's name of it.
        handle: String,
        /// `Filesystem` or `Block`.
        mode: String,
    },
    /// As files in the bucket.
    Files {
        /// What they were kept as.
        id: String,
        /// What puts them back, if it is there.
        movers: Option<Arc<Movers>>,
    },
}

/// What puts files back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movers {
    /// What its Pods are made of.
    pub template: Template,
    /// Where the files are.
    pub place: Place,
}

/// A claim of the past, by what tells it from others of its name.
#[derive(Debug, Clone, Copy)]
struct Claim<'a> {
    key: &'a ObjectKey,
    uid: &'a str,
    volume: &'a str,
}

/// The claims of the moment that may have to be filled.
pub(crate) fn claims(selection: &Selection, desired: &Desired, live: &Live) -> BTreeSet<ObjectKey> {
    let stands = |key: &ObjectKey| live.objects.get(key).is_some_and(|present| !present.terminating);
    let wanted = |key: &ObjectKey| match selection.volumes {
        Volumes::None => false,
        Volumes::Missing => !stands(key),
        Volumes::All => true,
    };
    let claims = desired.objects.keys().filter(|key| is_claim(key) && !desired.is_own() && wanted(key));
    claims.cloned().collect()
}

/// What these claims can be filled from, in the points of a journal. A point that cannot be read is passed over: it is told of
/// by `point list`.
pub(crate) async fn find(
    store: &Store,
    desired: &Desired,
    claims: &BTreeSet<ObjectKey>,
    movers: Option<&Arc<Movers>>,
) -> Result<BTreeMap<ObjectKey, Filling>> {
    if claims.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (points, _) = Points::new(store).made().await?;
    let of = |key: &ObjectKey| {
        let wanted = desired.objects.get(key)?;
        let full = wanted.object.as_ref().ok()?;
        let volume = full.value.pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default();
        let mut filling = nearest(&points, &desired.cut, Claim { key, uid: &wanted.uid, volume })?;
        if let From::Files { movers: at_hand, .. } = &mut filling.from {
            *at_hand = movers.cloned();
        }
        Some((key.clone(), filling))
    };
    Ok(claims.iter().filter_map(of).collect())
}

/// The newest snapshot of a claim that is no newer than a cut.
fn nearest(points: &[Point], cut: &Cut, claim: Claim<'_>) -> Option<Filling> {
    let main = |cut: &Cut| cut.domains.get(MAIN).copied();
    let end = main(cut)?;
    let before = points.iter().filter(|point| point.is_usable());
    let before = before.filter_map(|point| Some((main(&point.cut())?, point)));
    let before = before.filter(|(at, _)| order(*at) <= order(end));
    let of_it = before.filter_map(|(at, point)| {
        let filling = point.volumes.iter().filter(|volume| is_of(volume, claim)).find_map(|v| filling(point, v))?;
        Some((order(at), filling))
    });
    of_it.max_by_key(|(at, _)| *at).map(|(_, filling)| filling)
}

fn order(point: CutPoint) -> (u32, u64) {
    (point.incarnation, point.rv)
}

/// Whether a volume of a point is what the claim held then. A volume that was provisioned for a claim bears that claim's uid
/// in its name, and no other ever has that name.
fn is_of(volume: &PointVolume, claim: Claim<'_>) -> bool {
    let of = &volume.volume;
    if of.namespace != claim.key.namespace || of.claim != claim.key.name {
        return false;
    }
    let same_claim = !of.claim_uid.is_empty() && of.claim_uid == claim.uid;
    same_claim || (of.name == claim.volume && of.name.starts_with("pvc-"))
}

fn filling(point: &Point, volume: &PointVolume) -> Option<Filling> {
    let taken = volume.taken.as_ref().filter(|taken| !taken.handle.is_empty())?;
    let from = if taken.driver == FILES {
        From::Files { id: taken.handle.clone(), movers: None }
    } else {
        let driver = match CLOUDS.iter().find(|(cloud, _)| *cloud == taken.driver) {
            Some((_, driver)) => (*driver).to_owned(),
            None => taken.details.get("driver").filter(|driver| !driver.is_empty())?.clone(),
        };
        From::Snapshot { driver, handle: taken.handle.clone(), mode: volume.volume.mode.clone() }
    };
    Some(Filling {
        point: point.about.name.clone(),
        time: point.time,
        size: taken.size,
        name: format!("hindcast-fill-{}-{}", taken.tag.id, taken.tag.index),
        from,
    })
}

/// A helper that is to be created: where, what, and what to say of it.
pub(crate) struct Help {
    pub(crate) key: ObjectKey,
    pub(crate) value: Value,
    pub(crate) said: String,
}

impl Filling {
    /// The helpers for a claim, each after the one before it, as far as they can be made.
    pub(crate) fn helpers(&self, claim: &ObjectKey, then: &Value) -> Vec<Help> {
        match &self.from {
            From::Snapshot { driver, handle, mode } => {
                let key = |namespace: &str, resource: &str| self.key(namespace, GROUP, resource);
                vec![
                    Help {
                        key: key("", CONTENTS),
                        value: self.content(claim, (driver, handle, mode)),
                        said: format!("it stands for the snapshot in recovery point {}", self.point),
                    },
                    Help {
                        key: key(&claim.namespace, SNAPSHOTS),
                        value: self.snapshot(claim),
                        said: "it goes again, with its content, once the claim is bound; the snapshot stays".to_owned(),
                    },
                ]
            }
            From::Files { movers: None, .. } => Vec::new(),
            From::Files { id, movers: Some(movers) } => {
                let namespace = movers.template.namespace();
                vec![
                    Help {
                        key: self.key(namespace, "", "persistentvolumeclaims"),
                        value: self.vessel(namespace, claim, then),
                        said: format!("its volume is filled, retained, and handed over to claim {}", title(claim)),
                    },
                    Help {
                        key: self.key(namespace, "", "pods"),
                        value: self.mover(movers, id, claim),
                        said: format!("it puts the files of recovery point {} back, and goes again", self.point),
                    },
                ]
            }
        }
    }

    fn key(&self, namespace: &str, group: &str, resource: &str) -> ObjectKey {
        ObjectKey {
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: self.name.clone(),
        }
    }

    /// The claim whose volume is filled for another one.
    fn vessel(&self, namespace: &str, claim: &ObjectKey, then: &Value) -> Value {
        let of = then.get("spec").and_then(Value::as_object);
        let members = ["accessModes", "resources", "storageClassName", "volumeMode", "volumeAttributesClassName"];
        let spec: Object = members.into_iter().filter_map(|m| Some((m, of?.get(m)?.clone()))).collect();
        let mut made = self.made("v1", "PersistentVolumeClaim", Some(namespace), claim, Value::Object(spec));
        self.grow(&mut made);
        made
    }

    /// The Pod that fills it.
    fn mover(&self, movers: &Movers, id: &str, claim: &ObjectKey) -> Value {
        let labels = serde_json::json!({(tags::FILLS): "claim", (tags::CLUSTER): movers.place.cluster});
        let mut pod = movers.template.puts_back((&self.name, &labels), &movers.place, id, &self.name);
        let annotations = pod.pointer_mut("/metadata/annotations").and_then(serde_json::Value::as_object_mut);
        if let Some(annotations) = annotations {
            annotations.insert(tags::POINT.to_owned(), self.point.clone().into());
            annotations.insert(tags::CLAIM.to_owned(), title(claim).into());
        }
        // What serde_json writes is JSON.
        exact::parse(pod.to_string().as_bytes()).unwrap_or(Value::Null)
    }

    /// The `VolumeSnapshot` for a claim.
    fn snapshot(&self, claim: &ObjectKey) -> Value {
        let spec = object([("source", object([("volumeSnapshotContentName", text(&self.name))]))]);
        self.helper("VolumeSnapshot", Some(&claim.namespace), claim, spec)
    }

    /// What stands for the snapshot of the storage system.
    fn content(&self, claim: &ObjectKey, (driver, handle, mode): (&str, &str, &str)) -> Value {
        let reference = [
            ("apiVersion", text(&format!("{GROUP}/{VERSION}"))),
            ("kind", text("VolumeSnapshot")),
            ("name", text(&self.name)),
            ("namespace", text(&claim.namespace)),
        ];
        let mut spec = vec![
            ("deletionPolicy", text("Retain")),
            ("driver", text(driver)),
            ("source", object([("snapshotHandle", text(handle))])),
            ("volumeSnapshotRef", object(reference)),
        ];
        if !mode.is_empty() {
            spec.push(("sourceVolumeMode", text(mode)));
        }
        self.helper("VolumeSnapshotContent", None, claim, object(spec))
    }

    fn helper(&self, kind: &str, namespace: Option<&str>, claim: &ObjectKey, spec: Value) -> Value {
        self.made(&format!("{GROUP}/{VERSION}"), kind, namespace, claim, spec)
    }

    fn made(&self, version: &str, kind: &str, namespace: Option<&str>, claim: &ObjectKey, spec: Value) -> Value {
        let mut metadata = vec![
            ("name", text(&self.name)),
            ("labels", object([(tags::FILLS, text("claim"))])),
            ("annotations", object([(tags::POINT, text(&self.point)), (tags::CLAIM, text(&title(claim)))])),
        ];
        if let Some(namespace) = namespace {
            metadata.push(("namespace", text(namespace)));
        }
        object([("apiVersion", text(version)), ("kind", text(kind)), ("metadata", object(metadata)), ("spec", spec)])
    }

    /// Makes a claim that is to be created come from it; what is worth knowing of that.
    pub(crate) fn fill(&self, claim: &mut Value) -> Option<String> {
        let spec = claim.get_mut("spec").and_then(Value::as_object_mut)?;
        spec.remove("dataSource");
        spec.remove("dataSourceRef");
        spec.remove("volumeName");
        if matches!(self.from, From::Snapshot { .. }) {
            let source = [("apiGroup", text(GROUP)), ("kind", text("VolumeSnapshot")), ("name", text(&self.name))];
            spec.insert("dataSource", object(source));
        }
        self.grow(claim)
    }

    /// Makes a claim as large as it has to be.
    fn grow(&self, claim: &mut Value) -> Option<String> {
        let spec = claim.get_mut("spec").and_then(Value::as_object_mut)?;
        let asked = spec.get("resources").and_then(|r| r.pointer("/requests/storage")?.as_str());
        let asked = asked.and_then(Quantity::parse).map(Quantity::ceil);
        if self.size == 0 || asked.is_some_and(|asked| asked >= self.size) {
            return None;
        }
        let requests = object([("storage", text(&self.size.to_string()))]);
        let resources = spec.get_mut("resources").and_then(Value::as_object_mut);
        match resources {
            Some(resources) => {
                resources.insert("requests", requests);
            }
            None => {
                spec.insert("resources", object([("requests", requests)]));
            }
        }
        Some(format!("its size becomes {} bytes: the snapshot needs as much", self.size))
    }
}

/// Takes out of a claim that it comes from a helper.
pub(crate) fn unfill(claim: &mut Value) {
    if is_filled(claim)
        && let Some(spec) = claim.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.remove("dataSource");
        spec.remove("dataSourceRef");
    }
}

/// Whether an object is such a helper.
pub(crate) fn is_helper(object: &Value) -> bool {
    object.pointer("/metadata/labels").and_then(|labels| labels.get(tags::FILLS)).is_some()
}

/// What an annotation says.
pub(crate) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(name)?.as_str()
}

/// A claim as people call it.
pub(crate) fn title(claim: &ObjectKey) -> String {
    format!("{}/{}", claim.namespace, claim.name)
}

fn text(value: &str) -> Value {
    Value::from(value)
}

/// An object of these members.
pub(crate) fn object<'k>(members: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    Value::Object(members.into_iter().collect::<Object>())
}
