//! What a point is going to take: volumes, by which driver and class, and hooks. Pure.
//!
//! **Words**: a volume is *ordered* or *left*; one that is left is missing unless that was wanted.
//!
//! **Invariants.** (1) Every claim of the scope is ordered or left, with the reason [`plan`]. (2) A volume that several claims
//! or Pods use is ordered once. (3) What a policy says goes before what the driver could do. (4) Only labels and namespaces
//! of the scope decide what belongs to it.

mod groups;

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{
    Result,
    labels::Selector,
    point::{Hook, Left, Mounted, Order, PointScope, Tag, Volume, Volumes, tags},
};
use serde_json::Value;

use crate::{
    driver::{OWN, VolumeDriver},
    files,
    hooks::{self, HookSpec},
    policy::{
        self, Action, ActionKind, Approach, ClassOf, LeftOut, Quantity, ResourcePolicies, SnapshotClass, VolumeFacts,
        file_volumes, snapshot_class,
    },
    scene::{Scene, claims_of, map, mounts_of, text, texts},
};

/// What keeps a claim or a Pod out of every point.
const EXCLUDE: &str = "velero.io/exclude-from-backup";

/// The parameter of a policy's `custom` that names the plugin.
const PLUGIN: &str = "plugin";

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
    /// Whether snapshots of CSI drivers are moved into the bucket.
    pub moves: bool,
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
    let uses = uses(scene);
    let choosing = Choosing { scene, request, drivers, classes: &classes, uses: &uses };
    for (claim, volume) in reach.claims {
        let volume = match volume {
            Ok(volume) => volume,
            Err(left) => {
                out.left.push(left);
                continue;
            }
        };
        match choosing.decide(claim, &volume) {
            Err((why, wanted)) => out.left.push(Left { volume, why, wanted }),
            Ok(Choice { driver, class, mounted }) => {
                let index = out.orders.len() as u32;
                let tag = Tag { cluster: cluster.to_owned(), point: request.name.clone(), id: id.to_owned(), index };
                out.orders.push(Order { class, mounted, ..Order::bare(tag, volume) });
                out.drivers.push(driver);
            }
        }
    }
    groups::group(scene, request, &mut out);
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

/// By what a volume is taken.
struct Choice {
    driver: String,
    class: String,
    mounted: Option<Mounted>,
}

/// Why a volume is left, and whether that was wanted.
type Leaving = (String, bool);

/// How the Pods that mount a claim use it.
#[derive(Default)]
struct Use {
    /// A node on which one runs, and its uid.
    runs: Option<(String, String)>,
    /// An annotation wants its files.
    opted_in: bool,
    /// An annotation does not.
    opted_out: bool,
}

/// How each claim is used, by namespace and name.
fn uses(scene: &Scene) -> BTreeMap<(String, String), Use> {
    let mut out: BTreeMap<(String, String), Use> = BTreeMap::new();
    for ((namespace, _), pod) in &scene.pods {
        let wanted = file_volumes(pod, Approach::OptIn).taken;
        let unwanted = file_volumes(pod, Approach::OptOut).left_out;
        let runs = text(pod, "/status/phase") == "Running" && !text(pod, "/spec/nodeName").is_empty();
        for (volume, claim) in mounts_of(pod) {
            let used = out.entry((namespace.clone(), claim)).or_default();
            used.opted_in |= wanted.contains(&volume);
            used.opted_out |= unwanted.iter().any(|(name, why)| *name == volume && *why == LeftOut::OptedOut);
            if runs && used.runs.is_none() {
                used.runs = Some((text(pod, "/spec/nodeName"), text(pod, "/metadata/uid")));
            }
        }
    }
    out
}

/// What a choice is made of.
struct Choosing<'p> {
    scene: &'p Scene,
    request: &'p Request,
    drivers: &'p [&'p dyn VolumeDriver],
    classes: &'p [SnapshotClass],
    uses: &'p BTreeMap<(String, String), Use>,
}

impl Choosing<'_> {
    /// By what a volume is taken: a policy decides first, then what was asked for, then annotations, then what there is.
    fn decide(&self, claim: &Value, volume: &Volume) -> std::result::Result<Choice, Leaving> {
        let wish = self.request.volumes;
        if wish == Volumes::None {
            return Err(("no volumes were asked for".to_owned(), true));
        }
        let none = Use::default();
        let used = self.uses.get(&(volume.namespace.clone(), volume.claim.clone())).unwrap_or(&none);
        let mut class_of_policy = None;
        let mut by_policy = false;
        let facts = facts(self.scene, claim, volume);
        if let Some(action) = self.request.policies.as_ref().and_then(|policies| policies.action(&facts)) {
            by_policy = true;
            match action.kind {
                ActionKind::Skip => return Err(("a volume policy leaves it out".to_owned(), true)),
                ActionKind::Snapshot => {
                    class_of_policy = action.parameters.get("snapshotClass").and_then(Value::as_str).map(str::to_owned);
                }
                ActionKind::FsBackup => {
                    return self
                        .files(used, volume)
                        .map_err(|why| (format!("a volume policy wants its files: {why}"), false));
                }
                ActionKind::Custom => {
                    return by_plugin(self.drivers, action, volume).map_err(|why| (why, false));
                }
            }
        }
        let wants_files = match wish {
            Volumes::Files => !used.opted_out,
            Volumes::Auto => used.opted_in,
            Volumes::None | Volumes::Snapshot => false,
        };
        if wants_files && !by_policy {
            return self.files(used, volume).map_err(|why| (why, false));
        }
        let mut whys = match self.snapshot(claim, volume, class_of_policy.as_deref()) {
            Ok(choice) => return Ok(choice),
            Err(whys) => whys,
        };
        if wish == Volumes::Auto && !by_policy && !used.opted_out {
            match self.files(used, volume) {
                Ok(choice) => return Ok(choice),
                Err(why) => whys.push(format!("file by file: {why}")),
            }
        }
        whys.dedup();
        Err((whys.join("; "), false))
    }

    /// File by file, by a mover beside the Pod that has it mounted.
    fn files(&self, used: &Use, volume: &Volume) -> std::result::Result<Choice, String> {
        if !self.drivers.iter().any(|driver| driver.name() == files::NAME) {
            return Err("what copies files, a template of movers, was not given".to_owned());
        }
        let folder = files::folder(volume)?;
        let Some((node, pod)) = used.runs.clone() else {
            return Err("no running Pod has it mounted".to_owned());
        };
        let mounted = Some(Mounted { node, pod, folder });
        Ok(Choice { driver: files::NAME.to_owned(), class: String::new(), mounted })
    }

    /// By a snapshot; why not, driver by driver.
    fn snapshot(
        &self,
        claim: &Value,
        volume: &Volume,
        class: Option<&str>,
    ) -> std::result::Result<Choice, Vec<String>> {
        let mut whys = Vec::new();
        for driver in self.drivers.iter().filter(|driver| ![files::NAME, files::MOVED].contains(&driver.name())) {
            if let Err(why) = driver.takes(volume) {
                whys.push(why);
                continue;
            }
            let of =
                |by: &str, class: &str| Ok(Choice { driver: by.to_owned(), class: class.to_owned(), mounted: None });
            if driver.name() != crate::csi::NAME {
                return of(driver.name(), "");
            }
            if !self.scene.snapshots {
                whys.push("the cluster serves no volume snapshots (snapshot.storage.k8s.io)".to_owned());
                continue;
            }
            let by = match self.request.moves.then(|| self.moved(volume)) {
                None => driver.name(),
                Some(Ok(name)) => name,
                Some(Err(why)) => {
                    whys.push(format!("its snapshot is to be moved into the bucket: {why}"));
                    continue;
                }
            };
            if let Some(class) = class {
                return of(by, class);
            }
            let annotations = map(claim, "/metadata/annotations");
            let classes = self.classes;
            match snapshot_class(
                ClassOf::Snapshots,
                classes,
                &volume.driver,
                &volume.title(),
                &annotations,
                &self.request.annotations,
            ) {
                Ok(class) => return of(by, &class.name),
                Err(error) => whys.push(error.thing_and_reason().1),
            }
        }
        if whys.is_empty() {
            whys.push("there is no driver for volumes".to_owned());
        }
        Err(whys)
    }

    /// By a snapshot that is moved into the bucket.
    fn moved(&self, volume: &Volume) -> std::result::Result<&'static str, String> {
        let Some(driver) = self.drivers.iter().find(|driver| driver.name() == files::MOVED) else {
            return Err("what copies files, a template of movers, was not given".to_owned());
        };
        driver.takes(volume).map(|()| files::MOVED)
    }
}

/// Whether what a driver is called is no name: a plugin that was never met is called by its address.
pub(crate) fn is_nameless(name: &str) -> bool {
    name.contains("://")
}

/// The plugin that a policy names, and no class.
fn by_plugin(drivers: &[&dyn VolumeDriver], action: &Action, volume: &Volume) -> std::result::Result<Choice, String> {
    let Some(name) = action.parameters.get(PLUGIN).and_then(Value::as_str) else {
        return Err(
            "a volume policy gives it to a plugin and does not name it: `parameters: {plugin: NAME}`".to_owned()
        );
    };
    let named = drivers.iter().find(|driver| driver.name() == name && !OWN.contains(&name));
    let Some(driver) = named else {
        // One that was never met has no name yet, and says why.
        let silent: Vec<String> = drivers
            .iter()
            .filter(|driver| is_nameless(driver.name()))
            .filter_map(|driver| driver.takes(volume).err())
            .collect();
        let why = if silent.is_empty() { String::new() } else { format!("; {}", silent.join("; ")) };
        return Err(format!("a volume policy gives it to the plugin {name}, which is not there in this process{why}"));
    };
    driver.takes(volume)?;
    Ok(Choice { driver: name.to_owned(), class: String::new(), mounted: None })
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

fn excluded(object: &Value) -> bool {
    let labels = map(object, "/metadata/labels");
    labels.contains_key(tags::FILLS) || labels.get(EXCLUDE).is_some_and(|value| value == "true")
}
