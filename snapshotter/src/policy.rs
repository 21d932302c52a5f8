//! Volume policies: what is done with which volume, read from the text that Velero's users have.
//!
//! The text is that of a `ConfigMap` of resource policies, with exactly one data key, in YAML, of version `v1`. Every condition of a policy must
//! hold; the first policy whose conditions hold decides; a volume for which none does is under no policy.
//!
//! **Invariants.** (1) What is in the text is understood or refused: an unknown field or value is an error that says its path and line. This is
//! stricter than Velero with values (a volume type, a phase, an access mode that there is none of would never match there).
//! (2) A condition says of a volume what it says in Velero [`Condition::holds`].
//!
//! Not here: the filters by name and label of single namespaces, which a point's scope has; asking the cluster for the facts;
//! doing what an action says.
//!
//! Start reading at [`ResourcePolicies`].

use std::collections::{BTreeMap, BTreeSet};

use hindcast_journal::{Error, Result};
use serde_json::Value;

mod class;
mod files;
mod read;
#[cfg(test)]
mod tests;
mod tree;

pub use class::{ClassOf, SnapshotClass, snapshot_class};
pub use files::{Approach, FileVolumes, LeftOut, file_volumes};
pub use hindcast_cluster::quantity::Quantity;

/// What a `ConfigMap` of resource policies says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResourcePolicies {
    volumes: Vec<VolumePolicy>,
    scope: Option<ResourceScope>,
}

#[derive(Debug, Clone, PartialEq)]
struct VolumePolicy {
    conditions: Vec<Condition>,
    action: Action,
}

/// What is done with a volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// In which way.
    pub kind: ActionKind,
    /// What else is said of it: `dataMover` and `snapshotClass` of snapshots, and whatever a plugin takes.
    pub parameters: BTreeMap<String, Value>,
}

/// In which way a volume is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    /// Not at all.
    Skip,
    /// File by file.
    FsBackup,
    /// By a snapshot.
    Snapshot,
    /// By a plugin.
    Custom,
}

/// What of a volume is looked at: of a volume with a claim what both say; of one that stands in a Pod what the Pod says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeFacts {
    /// `spec.capacity.storage` of the volume. One without counts as of none, as in Velero.
    pub capacity: Option<Quantity>,
    /// `spec.storageClassName` of the volume.
    pub storage_class: Option<String>,
    /// Where it is an export of NFS.
    pub nfs: Option<Nfs>,
    /// Where a driver of CSI has it.
    pub csi: Option<Csi>,
    /// The name of the field that says what it is: `csi`, `nfs`, `hostPath`, …
    pub volume_type: Option<String>,
    /// The labels of the claim.
    pub claim_labels: BTreeMap<String, String>,
    /// `status.phase` of the claim.
    pub claim_phase: Option<String>,
    /// `spec.volumeMode` of the claim.
    pub claim_volume_mode: Option<String>,
    /// `spec.accessModes` of the claim.
    pub claim_access_modes: BTreeSet<String>,
}

/// An export of NFS. In a condition an empty text says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nfs {
    /// The server.
    pub server: String,
    /// The path.
    pub path: String,
}

/// A volume of a driver of CSI. In a condition an empty driver is any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Csi {
    /// The driver.
    pub driver: String,
    /// The attributes; in a condition those that are asked for.
    pub attributes: BTreeMap<String, String>,
}

/// What must be so of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// Not below the one and not above the other; nothing is no bound.
    Capacity(Quantity, Quantity),
    StorageClass(Vec<String>),
    Nfs(Nfs),
    Csi(Csi),
    VolumeTypes(Vec<String>),
    ClaimLabels(BTreeMap<String, String>),
    ClaimPhase(Vec<String>),
    ClaimVolumeMode(Vec<String>),
    /// Exactly these.
    ClaimAccessModes(BTreeSet<String>),
}

impl Condition {
    fn holds(&self, volume: &VolumeFacts) -> bool {
        let one_of = |list: &[String], is: Option<&str>| is.is_some_and(|is| list.iter().any(|one| one == is));
        match self {
            Self::Capacity(least, most) => {
                let capacity = volume.capacity.unwrap_or_default();
                *least <= capacity && (most.is_zero() || capacity <= *most)
            }
            Self::StorageClass(classes) => one_of(classes, volume.storage_class.as_deref()),
            Self::Nfs(asked) => volume.nfs.as_ref().is_some_and(|nfs| {
                let is = |asked: &str, is: &str| asked.is_empty() || asked == is;
                is(&asked.server, &nfs.server) && is(&asked.path, &nfs.path)
            }),
            Self::Csi(asked) => volume.csi.as_ref().is_some_and(|csi| {
                let attribute = |name: &str| csi.attributes.get(name).map_or("", String::as_str);
                // Where the volume has no attributes at all, none is even an empty one.
                let any = asked.attributes.is_empty() || !csi.attributes.is_empty();
                asked.driver.is_empty()
                    || asked.driver == csi.driver && any && asked.attributes.iter().all(|(k, v)| attribute(k) == v)
            }),
            Self::VolumeTypes(types) => one_of(types, volume.volume_type.as_deref()),
            Self::ClaimLabels(labels) => labels.iter().all(|(k, v)| volume.claim_labels.get(k) == Some(v)),
            Self::ClaimPhase(phases) => one_of(phases, volume.claim_phase.as_deref()),
            Self::ClaimVolumeMode(modes) => one_of(modes, volume.claim_volume_mode.as_deref()),
            Self::ClaimAccessModes(modes) => *modes == volume.claim_access_modes,
        }
    }
}

/// Which kinds of resources belong to a point.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceScope {
    cluster: Lists,
    namespaced: Lists,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Lists {
    included: BTreeSet<String>,
    excluded: BTreeSet<String>,
}

impl ResourceScope {
    /// Whether a kind belongs to a point, given every way to write its name (`deployments.apps`, `deployments`); nothing where the scope does
    /// not say.
    pub fn takes(&self, names: &[&str], namespaced: bool) -> Option<bool> {
        let lists = if namespaced { &self.namespaced } else { &self.cluster };
        let named = |list: &BTreeSet<String>| names.iter().any(|name| list.contains(*name));
        match (named(&lists.excluded), named(&lists.included), lists.included.is_empty()) {
            (true, ..) => Some(false),
            (false, true, _) => Some(true),
            (false, false, true) => None,
            (false, false, false) => Some(false),
        }
    }
}

impl ResourcePolicies {
    /// What the data of a `ConfigMap` say.
    pub fn of_config_map(name: &str, data: &BTreeMap<String, String>) -> Result<Self> {
        let what = format!("resource policies {name}");
        let mut entries = data.iter();
        match (entries.next(), entries.next()) {
            (Some((key, text)), None) => Self::parse(&format!("{what}: {key}"), text),
            (None, _) => Err(Error::invalid(what, "the ConfigMap has no data")
                .with_hint("put the policies under one key of its data, as in `policies.yaml`")),
            (Some(_), Some(_)) => {
                let keys: Vec<&str> = data.keys().map(String::as_str).collect();
                Err(Error::invalid(what, format!("the ConfigMap has {} data keys: {}", keys.len(), keys.join(", ")))
                    .with_hint("leave one key, which holds the policies"))
            }
        }
    }

    /// What a text says; `what` is how errors call it.
    pub fn parse(what: &str, text: &str) -> Result<Self> {
        read::policies(what, text)
    }

    /// What is done with a volume, as the first policy that holds of it says.
    pub fn action(&self, volume: &VolumeFacts) -> Option<&Action> {
        let holds = |policy: &&VolumePolicy| policy.conditions.iter().all(|condition| condition.holds(volume));
        self.volumes.iter().find(holds).map(|policy| &policy.action)
    }

    /// Which kinds belong to a point, if that is said.
    pub fn scope(&self) -> Option<&ResourceScope> {
        self.scope.as_ref()
    }
}
