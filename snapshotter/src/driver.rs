//! Volume drivers: who takes, looks at, finds and deletes the snapshots of volumes.
//!
//! **Words**: a [`Volume`] is what the journal says of a persistent volume and its claim. An [`Order`] asks for one
//! snapshot and carries its [`Tag`], which the snapshot bears in the storage system. [`Taken`] is what is kept of a
//! snapshot in the recovery point.
//!
//! **What every driver promises**, and the one suite of behaviour asks of each:
//!
//! 1. *The intent comes first.* Nothing is made whose tag is not in the bucket already; every snapshot bears its tag from
//!    the request that makes it, never by a second one.
//! 2. *Asked twice, made once.* [`VolumeDriver::create`] with a tag that a snapshot bears gives that snapshot, whether the
//!    first answer was lost or the process died; names or tags decide that, not memory.
//! 3. *What was made is found.* [`VolumeDriver::find`] gives every snapshot of a recovery point, also half-made and failed
//!    ones, and says so if it could not look everywhere. A storage system that lists new snapshots late is waited for.
//! 4. *Gone is deleted.* Deleting what is not there is a success; what does not bear a tag of this cluster is refused.
//! 5. *One volume's failure is its own.* The orders of one call fail one by one.
//! 6. *No wait is without bound*: throttling and long-running operations are waited for on the injected clock and end with
//!    an error that says what was waited for.
//!
//! Errors are sorted by remedy ([`hindcast_journal::error::ErrorKind`]): `Unavailable` may pass, `Denied` wants rights,
//! `Refused` wants something outside mended (a quota), `Invalid` another setting, `NotFound` a volume that is there.
//!
//! Not here: which volumes are taken, when, and what becomes of a point whose volume failed.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use hindcast_journal::{Result, parts::Micros};
use serde::{Deserialize, Serialize};

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
        KEYS.iter().find_map(|key| self.topology.get(*key)?.first()).map(String::as_str)
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
    /// Volumes with the same group are taken at one moment, where the driver can.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// More tags, as the user wants them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// A snapshot that was asked for and accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// What it bears.
    pub tag: Tag,
    /// The driver that took it ([`VolumeDriver::name`]).
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

/// How a snapshot stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its moment is not fixed yet: writers still have to be held.
    Asked,
    /// Its moment is fixed; it is being copied or uploaded: percent, where the storage system says it.
    Cut(Option<u8>),
    /// A volume can be made from it.
    Ready,
    /// It came to nothing.
    Failed(String),
    /// There is no such snapshot.
    Gone,
}

/// Where a disk is to be made from a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// What the disk bears, so that asking twice makes one.
    pub token: String,
    /// The zone; the snapshot's own volume's if empty.
    pub zone: String,
    /// Bytes; at least the snapshot's.
    pub capacity: u64,
    /// What the storage class asks for: type, iops, throughput, encryption.
    pub parameters: BTreeMap<String, String>,
    /// More tags.
    pub tags: BTreeMap<String, String>,
}

/// A disk that was made from a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// What a persistent volume's source names: `volumeHandle` or the built-in source's id.
    pub handle: String,
    /// The zone it is in; empty if it is in none.
    pub zone: String,
    /// Bytes.
    pub capacity: u64,
    /// Whether it can be attached.
    pub ready: bool,
}

/// Takes snapshots in one storage system. See the promises at the top of this module.
#[async_trait]
pub trait VolumeDriver: Send + Sync + fmt::Debug {
    /// Its name in recovery points: `csi`, `aws`, `azure`, `gcp`, or a plugin's.
    fn name(&self) -> &str;

    /// Whether it can take this volume; the reason if not.
    fn takes(&self, volume: &Volume) -> std::result::Result<(), String>;

    /// Asks for all of them at once; one answer for each order, in their order. Returns as soon as the storage system has
    /// accepted each, not when it is ready.
    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>>;

    /// How one stands, and what is known of it by now (size, moment, handle).
    async fn look(&self, taken: &Taken) -> Result<(Taken, Standing)>;

    /// Every snapshot that bears this cluster and id.
    async fn find(&self, cluster: &str, id: &str) -> Result<Vec<Taken>>;

    /// Every snapshot that bears this cluster, by the id of the point it bears: what a look for leaks compares with the bucket.
    async fn all(&self, cluster: &str) -> Result<Vec<Taken>>;

    /// Deletes one, and returns when it is gone or going without anything more to do.
    async fn delete(&self, taken: &Taken) -> Result<()>;

    /// Makes disks from its snapshots, where a volume is not made by asking Kubernetes for it.
    fn disks(&self) -> Option<&dyn Disks> {
        None
    }
}

/// Makes disks from snapshots, for persistent volumes that name them.
#[async_trait]
pub trait Disks: Send + Sync {
    /// Makes one; asked again with the same token, gives the same.
    async fn make(&self, taken: &Taken, wish: &Wish) -> Result<Disk>;

    /// How one stands; `None` if it is not there.
    async fn disk(&self, handle: &str) -> Result<Option<Disk>>;

    /// Deletes one that was made here and is in no use. One that is not there is deleted.
    async fn remove(&self, handle: &str) -> Result<()>;
}
