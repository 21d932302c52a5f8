//! What a point is going to take: volumes, by which driver and class, and hooks. Pure.
//!
//! **Words**: a volume is *ordered* or *left*; one that is left is missing unless that was wanted.
//!
//! **Invariants.** (1) Every claim of the scope is ordered or left, with the reason [`plan`]. (2) A volume that several claims
//! or Pods use is ordered once. (3) What a policy says goes before what the driver could do. (4) Only labels and namespaces
//! of the scope decide what belongs to it.

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{
    Result,
    labels::Selector,
    point::{Hook, Left, Order, PointScope, Tag, Volume, Volumes},
};
use serde_json::Value;

use crate::{
    driver::VolumeDriver,
    hooks::{self, HookSpec},
    policy::{self, ActionKind, Quantity, ResourcePolicies, SnapshotClass, VolumeFacts, snapshot_class},
    scene::{Scene, map, text, texts},
};

/// What keeps a claim or a Pod out of every point.
const EXCLUDE: &str = "velero.io/exclude-from-backup";

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The point's name.
    pub name: String,
    /// The schedule it is made by.
    pub schedule: String,
    /// What it is of.
    pub scope: PointScope,
    /// How volumes are taken.
    pub volumes: Volumes,
    /// How long it is kept, in microseconds; `None` for ever.
    pub ttl: Option<i64>,
    /// Labels of the point.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the point, which may name snapshot classes.
    pub annotations: BTreeMap<String, String>,
    /// Hooks beside those of the Pods' annotations.
    pub hooks: Vec<HookSpec>,
    /// What is done with which volume, before all else.
    pub policies: Option<ResourcePolicies>,
}

/// What will be done.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    /// The revision of the closed cut that it was made of.
    pub revision: u64,
    /// Snapshots to ask for.
    pub orders: Vec<Order>,
    /// The driver of each.
    pub drivers: Vec<String>,
    /// Volumes that are left.
    pub left: Vec<Left>,
    /// Hooks in their order.
    pub hooks: Vec<Hook>,
    /// The round that each hook runs in: those of one run at once.
    pub rounds: Vec<usize>,
    /// Pods whose hooks cannot be understood: they count as failed.
    pub wrong: BTreeMap<(String, String), String>,
    /// What is already less than wished.
    pub warnings: Vec<String>,
}

/// Plans a point.
pub fn plan(
    scene: &Scene,
    request: &Request,
    drivers: &[&dyn VolumeDriver],
    cluster: &str,
    id: &str,
) -> Result<Planned> {
    let mut out = Planned::default();
    out.warnings.extend(
        scene
            .unknown
            .iter()
            .map(|kind| format!("{kind} were not protected: what a point should hold of them is not known")),
    );
    for namespace in request.scope.namespaces.iter().filter(|name| !name.contains(['*', '?'])) {
        if !scene.namespaces.contains_key(namespace) {
            out.warnings.push(format!("there is no namespace {namespace}"));
        }
    }
    let reach = Reach::of(scene, &request.scope)?;
    let classes: Vec<SnapshotClass> = scene.snapshot_classes.values().map(class).collect();
    for (claim, volume) in reach.claims {
        let volume = match volume {
            Ok(volume) => volume,
            Err(left) => {
                out.left.push(left);
                continue;
            }
        };
        match decide(scene, request, drivers, &classes, claim, &volume) {
            Err((why, wanted)) => out.left.push(Left { volume, why, wanted }),
            Ok((driver, class)) => {
                let index = out.orders.len() as u32;
                let tag = Tag { cluster: cluster.to_owned(), point: request.name.clone(), id: id.to_owned(), index };
                out.orders.push(Order { tag, volume, class, tags: BTreeMap::new() });
                out.drivers.push(driver);
            }
        }
    }
    let found = hooks::find(reach.pods, &request.hooks);
    let found = found.map_err(|why| hindcast_journal::Error::invalid("hooks", why))?;
    (out.rounds, out.hooks) = found.hooks.into_iter().unzip();
    out.wrong = found.wrong;
    Ok(out)
}

/// The volumes of a scope: each claim's that has one.
pub(crate) fn volumes(scene: &Scene, scope: &PointScope) -> Result<Vec<Volume>> {
    Ok(Reach::of(scene, scope)?.claims.into_iter().filter_map(|(_, volume)| volume.ok()).collect())
}

/// What of a scene belongs to a scope.
struct Reach<'s> {
    pods: Vec<(&'s (String, String), &'s Value)>,
    /// Claims with their volumes, each volume once; or why a claim has none.
    claims: Vec<(&'s Value, std::result::Result<Volume, Left>)>,
}

impl<'s> Reach<'s> {
    fn of(scene: &'s Scene, scope: &PointScope) -> Result<Self> {
        let selector = Selector::parse(&scope.selector)?;
        let labelled = |object: &Value| {
            let labels = map(object, "/metadata/labels");
            selector.matches(|key| labels.get(key).map(String::as_str))
        };
        let of_scope =
            |namespace: &str, object: &Value| scope.wants(namespace) && labelled(object) && !excluded(object);
        let pods: Vec<_> = scene.pods.iter().filter(|((namespace, _), pod)| of_scope(namespace, pod)).collect();
        let mut mounted: BTreeSet<(String, String)> = BTreeSet::new();
        for ((namespace, _), pod) in &pods {
            mounted.extend(claims_of(pod).into_iter().map(|claim| (namespace.clone(), claim)));
        }
        let mut by_claim: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for ((namespace, name), pod) in &scene.pods {
            for claim in claims_of(pod) {
                by_claim.entry((namespace.clone(), claim)).or_default().push(name.clone());
            }
        }
        let (mut claims, mut seen) = (Vec::new(), BTreeSet::new());
        for (key, claim) in &scene.claims {
            let (namespace, name) = key;
            // A claim belongs to the scope by its own labels or by those of a Pod that mounts it.
            if !scope.wants(namespace) || !(labelled(claim) || mounted.contains(key)) || excluded(claim) {
                continue;
            }
            match scene.volume(namespace, name, claim) {
                Ok(volume) if seen.insert(volume.name.clone()) => {
                    let pods = by_claim.remove(key).unwrap_or_default();
                    claims.push((claim, Ok(Volume { pods, ..volume })));
                }
                Ok(_) => {}
                Err(why) => {
                    let volume = Volume { namespace: namespace.clone(), claim: name.clone(), ..Volume::default() };
                    // Nothing was ever written to what has no volume.
                    let wanted = text(claim, "/spec/volumeName").is_empty();
                    claims.push((claim, Err(Left { volume, why, wanted })));
                }
            }
        }
        Ok(Self { pods, claims })
    }
}

/// The driver and class of a volume, or why it is left and whether that was wanted.
fn decide(
    scene: &Scene,
    request: &Request,
    drivers: &[&dyn VolumeDriver],
    classes: &[SnapshotClass],
    claim: &Value,
    volume: &Volume,
) -> std::result::Result<(String, String), (String, bool)> {
    if request.volumes == Volumes::None {
        return Err(("no volumes were asked for".to_owned(), true));
    }
    let facts = facts(scene, claim, volume);
    let mut class_of_policy = None;
    if let Some(action) = request.policies.as_ref().and_then(|policies| policies.action(&facts)) {
        match action.kind {
            ActionKind::Skip => return Err(("a volume policy leaves it out".to_owned(), true)),
            ActionKind::Snapshot => {
                class_of_policy = action.parameters.get("snapshotClass").and_then(Value::as_str).map(str::to_owned);
            }
            ActionKind::FsBackup => {
                return Err(("a volume policy wants its files, which are not kept by this version".to_owned(), false));
            }
            ActionKind::Custom => {
                return Err(("a volume policy gives it to a plugin, and there is none".to_owned(), false));
            }
        }
    }
    let mut whys = Vec::new();
    for driver in drivers {
        if let Err(why) = driver.takes(volume) {
            whys.push(why);
            continue;
        }
        if driver.name() != crate::csi::NAME {
            return Ok((driver.name().to_owned(), String::new()));
        }
        if !scene.snapshots {
            whys.push("the cluster serves no volume snapshots (snapshot.storage.k8s.io)".to_owned());
            continue;
        }
        if let Some(class) = &class_of_policy {
            return Ok((driver.name().to_owned(), class.clone()));
        }
        let annotations = map(claim, "/metadata/annotations");
        match snapshot_class(classes, &volume.driver, &volume.title(), &annotations, &request.annotations) {
            Ok(class) => return Ok((driver.name().to_owned(), class.name.clone())),
            Err(error) => whys.push(error.thing_and_reason().1),
        }
    }
    whys.dedup();
    Err(match whys.is_empty() {
        true => ("there is no driver for volumes".to_owned(), false),
        false => (whys.join("; "), false),
    })
}

/// What policies look at.
fn facts(scene: &Scene, claim: &Value, volume: &Volume) -> VolumeFacts {
    let Some(pv) = scene.volumes.get(&volume.name) else { return VolumeFacts::default() };
    let some = |text: String| if text.is_empty() { None } else { Some(text) };
    let csi = pv.pointer("/spec/csi").is_some();
    let nfs = pv.pointer("/spec/nfs").is_some();
    let sources = pv.get("spec").and_then(Value::as_object);
    // Of a volume's members, the one that is an object of its own source.
    let beside = ["capacity", "claimRef", "nodeAffinity", "mountOptions"];
    let source =
        sources.into_iter().flatten().find(|(key, value)| value.is_object() && !beside.contains(&key.as_str()));
    VolumeFacts {
        capacity: Quantity::parse(&text(pv, "/spec/capacity/storage")),
        storage_class: some(text(pv, "/spec/storageClassName")),
        nfs: nfs.then(|| policy::Nfs { server: text(pv, "/spec/nfs/server"), path: text(pv, "/spec/nfs/path") }),
        csi: csi.then(|| policy::Csi {
            driver: text(pv, "/spec/csi/driver"),
            attributes: map(pv, "/spec/csi/volumeAttributes"),
        }),
        volume_type: source.map(|(key, _)| key.clone()),
        claim_labels: map(claim, "/metadata/labels"),
        claim_phase: some(text(claim, "/status/phase")),
        claim_volume_mode: some(text(claim, "/spec/volumeMode")),
        claim_access_modes: texts(claim, "/spec/accessModes").into_iter().collect(),
    }
}

fn class(object: &Value) -> SnapshotClass {
    SnapshotClass {
        name: text(object, "/metadata/name"),
        driver: text(object, "/driver"),
        labels: map(object, "/metadata/labels"),
        annotations: map(object, "/metadata/annotations"),
    }
}

/// The claims that a Pod mounts, those of ephemeral volumes too.
fn claims_of(pod: &Value) -> Vec<String> {
    let name = text(pod, "/metadata/name");
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
    let claim = |volume: &Value| {
        let claim = text(volume, "/persistentVolumeClaim/claimName");
        match (claim.is_empty(), volume.get("ephemeral").is_some()) {
            (false, _) => Some(claim),
            (true, true) => Some(format!("{name}-{}", text(volume, "/name"))),
            (true, false) => None,
        }
    };
    volumes.into_iter().flatten().filter_map(claim).collect()
}

fn excluded(object: &Value) -> bool {
    map(object, "/metadata/labels").get(EXCLUDE).is_some_and(|value| value == "true")
}
