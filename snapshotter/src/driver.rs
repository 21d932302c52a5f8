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
use hindcast_journal::Result;
pub use hindcast_journal::point::{Mounted, Order, Tag, Taken, Volume, tags};
use serde::{Deserialize, Serialize};

/// The names of the drivers that Hindcast has itself: no plugin may have one of them.
pub const OWN: [&str; 6] = ["csi", "files", "move", "aws", "azure", "gcp"];

/// A detail: what is in the way of one that is waited for.
pub(crate) const SAID: &str = "said";

/// One with what is in its way, if something is.
pub(crate) fn saying(mut now: Taken, what: String) -> Taken {
    now.details.remove(SAID);
    now.details.extend((!what.is_empty()).then(|| (SAID.to_owned(), what)));
    now
}

/// How a snapshot stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its moment is not fixed yet: writers still have to be held.
    Asked,
    /// The same, while it is being copied.
    Copying(Copied),
    /// Its moment is fixed; it is being copied or uploaded: percent, where the storage system says it.
    Cut(Option<u8>),
    /// The same, while it is being moved elsewhere.
    Moving(Copied),
    /// A volume can be made from it.
    Ready,
    /// It came to nothing.
    Failed(String),
    /// There is no such snapshot.
    Gone,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Bytes that are done.
    pub done: u64,
    /// Of so many, as far as that is known.
    pub total: Option<u64>,
    /// Seconds that it may take still.
    pub left: Option<u64>,
}

impl Copied {
    /// Several together: done when the last one is. `None` of none.
    pub(crate) fn all(copies: impl Iterator<Item = Self>) -> Option<Self> {
        let add = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        copies.reduce(|all, one| Self {
            done: all.done.saturating_add(one.done),
            total: add(all.total, one.total),
            left: all.left.zip(one.left).map(|(a, b)| a.max(b)),
        })
    }
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

/// What a restore made to fill a claim from a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    /// What people call it.
    pub title: String,
    /// Where it is.
    pub path: String,
    /// Which one it is.
    pub uid: String,
}

/// Takes snapshots in one storage system. See the promises at the top of this module.
#[async_trait]
pub trait VolumeDriver: Send + Sync + fmt::Debug {
    /// Its name in recovery points: `csi`, `aws`, `azure`, `gcp`, or a plugin's.
    fn name(&self) -> &str;

    /// These are about to be asked about by [`VolumeDriver::takes`]: who has to ask elsewhere does it now, and tells by the
    /// reason if that failed.
    async fn consider(&self, _volumes: &[Volume]) {}

    /// Whether it can take this volume; the reason if not.
    fn takes(&self, volume: &Volume) -> std::result::Result<(), String>;

    /// Asks for all of them at once; one answer for each order, in their order. Returns as soon as the storage system has
    /// accepted each, not when it is ready.
    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>>;

    /// What was found of an order, with what only the order knows.
    fn ordered(&self, _order: &Order, found: Taken) -> Taken {
        found
    }

    /// How one stands, and what is known of it by now (size, moment, handle).
    async fn look(&self, taken: &Taken) -> Result<(Taken, Standing)>;

    /// Every snapshot that bears this cluster and id.
    async fn find(&self, cluster: &str, id: &str) -> Result<Vec<Taken>>;

    /// Every snapshot that bears this cluster, by the id of the point it bears: what a look for leaks compares with the bucket.
    async fn all(&self, cluster: &str) -> Result<Vec<Taken>>;

    /// Deletes one, and returns when it is gone or going without anything more to do.
    async fn delete(&self, taken: &Taken) -> Result<()>;

    /// What restores made to fill claims from its snapshots and that need not stay.
    async fn helpers(&self) -> Result<Vec<Helper>> {
        Ok(Vec::new())
    }

    /// Removes one of these.
    async fn remove(&self, _helper: &Helper) -> Result<()> {
        Ok(())
    }

    /// Clears storage of what nobody keeps, if that costs room here and is due.
    async fn tidy(&self) -> Result<()> {
        Ok(())
    }

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
