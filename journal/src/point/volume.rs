//! Volumes and their snapshots, as recovery points keep them and as those read them who make volumes again.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::parts::Micros;

/// A persistent volume and its claim, as the journal has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume {
    /// The claim's namespace.
    pub namespace: String,
    /// The claim's name.
    pub claim: String,
    /// The claim's uid.
    pub claim_uid: String,
    /// The volume's name.
    pub name: String,
    /// What provides it: the CSI driver's name, or of a volume built into Kubernetes `kubernetes.io/aws-ebs` and the like.
    pub driver: String,
    /// The storage system's name of it: `volumeHandle`, or the id in a built-in source.
    pub handle: String,
    /// Its storage class.
    pub class: String,
    /// Its capacity in bytes.
    pub capacity: u64,
    /// `Filesystem` or `Block`.
    pub mode: String,
    /// The file system on it, if it is said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
    /// Its access modes.
    pub access_modes: Vec<String>,
    /// The zones and regions it can be attached in, by topology key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub topology: BTreeMap<String, Vec<String>>,
    /// `volumeAttributes` of a CSI volume.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The claim's labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The Pods that mount it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
    /// The volume's `persistentVolumeReclaimPolicy`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reclaim: String,
}

impl Volume {
    /// What people call it: the claim.
    pub fn title(&self) -> String {
        format!("{}/{}", self.namespace, self.claim)
    }

    /// The zone it is in, by the keys that clouds use.
    pub fn zone(&self) -> Option<&str> {
        const KEYS: [&str; 5] = [
            "topology.kubernetes.io/zone",
            "topology.ebs.csi.aws.com/zone",
            "topology.gke.io/zone",
            "topology.disk.csi.azure.com/zone",
            "failure-domain.beta.kubernetes.io/zone",
        ];
        let known = KEYS.iter().find_map(|key| self.topology.get(*key)?.first());
        // Other drivers have keys of their own, named alike.
        let alike =
            || self.topology.iter().find(|(key, _)| key.ends_with("/zone")).and_then(|(_, zones)| zones.first());
        known.or_else(alike).map(String::as_str)
    }
}

/// What a snapshot bears, so that it is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The uid of the cluster's kube-system.
    pub cluster: String,
    /// The name of the recovery point.
    pub point: String,
    /// The recovery point's own id, drawn when it was begun: 32 hexadecimal digits.
    pub id: String,
    /// Which of its volumes, from 0.
    pub index: u32,
}

impl Tag {
    /// A name that is this snapshot's alone: short enough for every storage system, valid wherever a DNS label is.
    pub fn name(&self) -> String {
        format!("hindcast-{}-{}", self.id, self.index)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of point {}", self.name(), self.point)
    }
}

/// The names of the tags (labels, where those may not hold dots and slashes: see the driver).
pub mod tags {
    /// The cluster.
    pub const CLUSTER: &str = "hindcast.dev/cluster";
    /// The point's name.
    pub const POINT: &str = "hindcast.dev/point";
    /// The point's id.
    pub const ID: &str = "hindcast.dev/id";
    /// Which volume.
    pub const INDEX: &str = "hindcast.dev/volume";
    /// A label of what stands for a snapshot while a claim is filled from it.
    pub const FILLS: &str = "hindcast.dev/fills";
    /// The claim, for people who look at the storage system: `namespace/name`.
    pub const CLAIM: &str = "hindcast.dev/claim";
}

/// One snapshot to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What it bears.
    pub tag: Tag,
    /// Of what.
    pub volume: Volume,
    /// The snapshot class, where there are such.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub class: String,
    /// More tags, as the user wants them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Where its files are, if they are to be kept one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounted: Option<Mounted>,
    /// The group that it is snapshotted with at one instant, if it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

impl Order {
    /// One that says no more than what it bears, and of what.
    pub fn bare(tag: Tag, volume: Volume) -> Self {
        Self { tag, volume, class: String::new(), tags: BTreeMap::new(), mounted: None, group: None }
    }
}

/// Volumes of a namespace that are snapshotted at one instant: those whose claims have a label in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Group {
    /// The label.
    pub label: String,
    /// Its value.
    pub value: String,
    /// The class of the group's snapshot.
    pub class: String,
    /// How many volumes are of it.
    pub of: usize,
}

/// Where a volume's files are: mounted on a node, for a Pod that runs there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mounted {
    /// The node.
    pub node: String,
    /// The Pod's uid.
    pub pod: String,
    /// The folder below the one that the kubelet has for the Pod.
    pub folder: String,
}

/// A snapshot that was asked for and accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// What it bears.
    pub tag: Tag,
    /// The driver that took it.
    pub driver: String,
    /// The storage system's name of it.
    pub handle: String,
    /// Bytes a volume made from it needs at least; 0 while that is not known.
    #[serde(default)]
    pub size: u64,
    /// The moment of the data, as the storage system says; `None` while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Micros>,
    /// What else is needed to make a volume from it or to delete it: region, resource group, project, snapshot class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

impl Taken {
    /// A detail: the group of volumes that it was taken with.
    pub const GROUP: &str = "volumeGroup";

    /// The group of volumes that it was taken with, at one instant.
    pub fn group(&self) -> Option<&str> {
        self.details.get(Self::GROUP).map(String::as_str)
    }

    /// One of which nothing is known but what it bears and who took it.
    pub fn bare(tag: Tag, driver: &str) -> Self {
        Self { tag, driver: driver.to_owned(), handle: String::new(), size: 0, time: None, details: BTreeMap::new() }
    }
}
