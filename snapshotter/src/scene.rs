//! What a point is planned from: the objects of the journal that say which volumes and hooks there are.
//!
//! **Invariants.** (1) One fold of a few kinds, whatever else the cluster holds [`Scene::read`]. (2) A kind that was not
//! protected at the moment is named, never taken for empty [`Scene::unknown`].

use std::collections::BTreeMap;

use hindcast_cluster::quantity::Quantity;
use hindcast_journal::{
    Past, Result,
    fold::{Knowledge, Scope},
    point::Volume,
};
use serde_json::Value;

const CLAIMS: &str = "/persistentvolumeclaims";
const VOLUMES: &str = "/persistentvolumes";
const PODS: &str = "/pods";
const NAMESPACES: &str = "/namespaces";
const SNAPSHOT_CLASSES: &str = "snapshot.storage.k8s.io/volumesnapshotclasses";
const GROUP_CLASSES: &str = "groupsnapshot.storage.k8s.io/volumegroupsnapshotclasses";

/// The objects of a moment that matter to recovery points.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// Claims, by namespace and name.
    pub claims: BTreeMap<(String, String), Value>,
    /// Persistent volumes, by name.
    pub volumes: BTreeMap<String, Value>,
    /// Pods, by namespace and name.
    pub pods: BTreeMap<(String, String), Value>,
    /// Namespaces, by name.
    pub namespaces: BTreeMap<String, Value>,
    /// Snapshot classes.
    pub snapshot_classes: BTreeMap<String, Value>,
    /// Classes of snapshots of groups.
    pub group_classes: BTreeMap<String, Value>,
    /// Kinds of these that the journal knows nothing of at the moment.
    pub unknown: Vec<String>,
    /// Whether the cluster serves snapshots of volumes.
    pub snapshots: bool,
}

impl Scene {
    /// The scene of a moment.
    pub async fn read(past: &Past) -> Result<Self> {
        let kinds = [CLAIMS, VOLUMES, PODS, NAMESPACES, SNAPSHOT_CLASSES, GROUP_CLASSES];
        let scope = Scope { kinds: Some(kinds.map(str::to_owned).to_vec()), ..Scope::default() };
        let answer = past.state(&scope).await?;
        let mut scene = Self::default();
        for kind in kinds {
            match answer.state.kinds.get(kind) {
                Some(known) if !matches!(known.known_at(past.moment()), Knowledge::Not(_)) => {
                    scene.snapshots |= kind == SNAPSHOT_CLASSES;
                }
                // What is not built in need not be there at all.
                None if [SNAPSHOT_CLASSES, GROUP_CLASSES].contains(&kind) => {}
                _ => scene.unknown.push(kind.trim_start_matches('/').to_owned()),
            }
        }
        for (key, entry) in &answer.state.objects {
            // An object that cannot be read stands for itself in the journal; here it is as if it were not there.
            let Ok(value) = serde_json::from_slice::<Value>(&entry.public()) else { continue };
            let named = (key.namespace.clone(), key.name.clone());
            match key.kind_key().as_str() {
                CLAIMS => _ = scene.claims.insert(named, value),
                PODS => _ = scene.pods.insert(named, value),
                VOLUMES => _ = scene.volumes.insert(key.name.clone(), value),
                NAMESPACES => _ = scene.namespaces.insert(key.name.clone(), value),
                GROUP_CLASSES => _ = scene.group_classes.insert(key.name.clone(), value),
                SNAPSHOT_CLASSES => _ = scene.snapshot_classes.insert(key.name.clone(), value),
                _ => {}
            }
        }
        Ok(scene)
    }

    /// The volume of a claim, as far as it is bound; the reason if not.
    pub(crate) fn volume(&self, namespace: &str, name: &str, claim: &Value) -> std::result::Result<Volume, String> {
        let volume = text(claim, "/spec/volumeName");
        if volume.is_empty() {
            let phase = text(claim, "/status/phase");
            return Err(format!("has no volume yet (phase {})", if phase.is_empty() { "unknown" } else { &phase }));
        }
        let Some(pv) = self.volumes.get(&volume) else { return Err(format!("its volume {volume} is not there")) };
        let (driver, handle) = source(pv);
        let class = text(claim, "/spec/storageClassName");
        Ok(Volume {
            namespace: namespace.to_owned(),
            claim: name.to_owned(),
            claim_uid: text(claim, "/metadata/uid"),
            name: volume,
            driver,
            handle,
            class: if class.is_empty() { text(pv, "/spec/storageClassName") } else { class },
            capacity: size(pv, "/spec/capacity/storage"),
            mode: match text(pv, "/spec/volumeMode") {
                mode if mode.is_empty() => "Filesystem".to_owned(),
                mode => mode,
            },
            fs_type: text(pv, "/spec/csi/fsType"),
            access_modes: texts(pv, "/spec/accessModes"),
            topology: topology(pv),
            attributes: map(pv, "/spec/csi/volumeAttributes"),
            labels: map(claim, "/metadata/labels"),
            pods: Vec::new(),
            reclaim: text(pv, "/spec/persistentVolumeReclaimPolicy"),
        })
    }
}

/// What provides a volume, and the storage system's name of it.
fn source(pv: &Value) -> (String, String) {
    let built_in = [
        ("awsElasticBlockStore", "volumeID", "kubernetes.io/aws-ebs"),
        ("azureDisk", "diskURI", "kubernetes.io/azure-disk"),
        ("gcePersistentDisk", "pdName", "kubernetes.io/gce-pd"),
        ("nfs", "path", "nfs"),
        ("hostPath", "path", "hostPath"),
        ("local", "path", "local"),
    ];
    let driver = text(pv, "/spec/csi/driver");
    if !driver.is_empty() {
        return (driver, text(pv, "/spec/csi/volumeHandle"));
    }
    for (source, id, driver) in built_in {
        if pv.pointer(&format!("/spec/{source}")).is_some() {
            return (driver.to_owned(), text(pv, &format!("/spec/{source}/{id}")));
        }
    }
    ("unknown".to_owned(), String::new())
}

/// The topology that a volume's node affinity allows, and the older labels of it.
fn topology(pv: &Value) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in map(pv, "/metadata/labels") {
        if key.starts_with("topology.kubernetes.io/") || key.starts_with("failure-domain.beta.kubernetes.io/") {
            out.insert(key, vec![value]);
        }
    }
    let terms = pv.pointer("/spec/nodeAffinity/required/nodeSelectorTerms").and_then(Value::as_array);
    for term in terms.into_iter().flatten() {
        let expressions = term.get("matchExpressions").and_then(Value::as_array);
        for expression in expressions.into_iter().flatten() {
            let key = text(expression, "/key");
            let entry = out.entry(key).or_default();
            for value in texts(expression, "/values") {
                if !entry.contains(&value) {
                    entry.push(value);
                }
            }
        }
    }
    out.retain(|key, values| !key.is_empty() && !values.is_empty());
    out
}

/// The text at a pointer; empty if there is none.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The texts in the list at a pointer.
pub(crate) fn texts(value: &Value, pointer: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The texts in the map at a pointer.
pub(crate) fn map(value: &Value, pointer: &str) -> BTreeMap<String, String> {
    let map = value.pointer(pointer).and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The size at a pointer in bytes; 0 for what is none.
pub(crate) fn size(value: &Value, pointer: &str) -> u64 {
    Quantity::parse(&text(value, pointer)).map_or(0, Quantity::ceil)
}

/// The claims that a Pod mounts, those of ephemeral volumes too.
pub(crate) fn claims_of(pod: &Value) -> Vec<String> {
    mounts_of(pod).into_iter().map(|(_, claim)| claim).collect()
}

/// The volumes of a Pod that are claims, each with the claim.
pub(crate) fn mounts_of(pod: &Value) -> Vec<(String, String)> {
    let name = text(pod, "/metadata/name");
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
    let claim = |volume: &Value| {
        let (own, claim) = (text(volume, "/name"), text(volume, "/persistentVolumeClaim/claimName"));
        match (claim.is_empty(), volume.get("ephemeral").is_some()) {
            (false, _) => Some((own, claim)),
            (true, true) => Some((own.clone(), format!("{name}-{own}"))),
            (true, false) => None,
        }
    };
    volumes.into_iter().flatten().filter_map(claim).collect()
}
