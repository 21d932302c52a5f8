//! Snapshots of CSI volumes that are moved into the bucket.
//!
//! **How.** A snapshot is taken as any other ([`Csi`]) and fixes the moment: writers are let go. When it is ready, a claim is made
//! from it where movers run, and a mover copies its files from there, on any node. Then the claim goes, and the snapshot, and
//! what is kept is in the bucket alone, as if it had been copied from where it was mounted.
//!
//! **Words**: its [`Stage`] is how far one is; the *vessel* is the claim made from the snapshot.
//!
//! **Invariants.** (1) The snapshot goes only when the repository was seen to have its files [`Moved::cleared`]. (2) The vessel's volume
//! goes first: some storage systems want that. (3) What cannot be removed now is no reason to say that a volume was not
//! kept: a snapshot that its point does not have is found by whoever looks for what was left. (4) A vessel's volume goes with it, whatever its class says.
//!
//! Not here: which volumes are moved (`plan`), putting files back (as of any that are kept by files).

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use hindcast_cluster::path::{collection, object};
use hindcast_journal::{
    Error, Result,
    error::ErrorKind,
    parts::Micros,
    point::{Order, Tag, Taken, Volume, tags},
};
use serde_json::{Value, json};

use super::{BOUND, Came, Files, Stand, WAITS, folder};
use crate::{
    api::is_going,
    csi::{Csi, GROUP, VERSION, contents, snapshots},
    driver::{self, SAID, Standing, VolumeDriver},
    scene::text,
};

/// The driver's name in what was asked for. What is kept in the end is of the driver of files.
pub(crate) const NAME: &str = "move";

/// A detail: the claim that is made from the snapshot.
pub(super) const VESSEL: &str = "vessel";
/// A detail: how far it is; none when it is kept.
const STAGE: &str = "stage";
/// A detail: the volume that the vessel is bound to.
const VOLUME: &str = "volume";
/// A detail: since when it is cleared.
const SINCE: &str = "since";

/// How long what was made from the snapshot may take to go before the snapshot is deleted all the same, in microseconds.
const GOES: Micros = 300_000_000;

/// Moves snapshots.
#[derive(Debug)]
pub struct Moved {
    csi: Csi,
    files: Arc<Files>,
}

/// How far one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its snapshot is being taken.
    Snapshot,
    /// Its files are being copied.
    Copy,
    /// They are kept; what they were copied from goes.
    Clear,
    /// They are kept, and nothing else is left.
    Kept,
}

impl Stage {
    fn of(taken: &Taken) -> Self {
        match taken.details.get(STAGE).map(String::as_str) {
            Some("snapshot") => Self::Snapshot,
            Some("copy") => Self::Copy,
            Some("clear") => Self::Clear,
            _ => Self::Kept,
        }
    }

    fn set(self, taken: &mut Taken) {
        let name = match self {
            Self::Snapshot => "snapshot",
            Self::Copy => "copy",
            Self::Clear => "clear",
            Self::Kept => {
                taken.details.remove(STAGE);
                return;
            }
        };
        taken.details.insert(STAGE.to_owned(), name.to_owned());
    }
}

impl Moved {
    /// By these snapshots and these movers.
    pub fn new(csi: Csi, files: Arc<Files>) -> Self {
        Self { csi, files }
    }

    /// What is known of a snapshot by its driver, beside what was known.
    fn of_csi(taken: &Taken, mut now: Taken) -> Taken {
        let mut details = taken.details.clone();
        details.append(&mut now.details);
        Taken { driver: NAME.to_owned(), details, ..now }
    }

    /// What the bucket has of one, which its snapshot's moment and driver go with.
    fn in_bucket(taken: &Taken, mut kept: Taken) -> Taken {
        for (key, value) in &taken.details {
            kept.details.entry(key.clone()).or_insert_with(|| value.clone());
        }
        Stage::Clear.set(&mut kept);
        kept.time = taken.time.or(kept.time);
        kept
    }

    async fn snapshot(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        let (now, standing) = self.csi.look(taken).await?;
        let mut now = Self::of_csi(taken, now);
        if standing != Standing::Ready {
            return Ok((now, standing));
        }
        Stage::Copy.set(&mut now);
        now.details.insert(WAITS.to_owned(), "true".to_owned());
        Ok((now, Standing::Cut(None)))
    }

    async fn copied(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        let mut now = taken.clone();
        if taken.details.contains_key(WAITS) {
            if !self.files.is_full(taken) {
                let mut seated = self.files.seat(std::slice::from_ref(&now)).await;
                now = seated.pop().unwrap_or(Ok(now))?;
            }
            return Ok((now, Standing::Cut(None)));
        }
        now.details.remove(SAID);
        let Some(pod) = self.files.mover(&taken.tag).await? else {
            // A mover that is gone has kept them, or nobody will.
            return Ok(match self.files.kept(&taken.tag).await? {
                Some(kept) => (Self::in_bucket(&now, kept), Standing::Cut(None)),
                None => (now, Standing::Gone),
            });
        };
        if let Err(error) = self.vessel(&mut now).await {
            // It may pass; its mover waits meanwhile.
            return Ok((driver::saying(now, Error::causes(&error)), Standing::Cut(None)));
        }
        // How long a volume takes to be made from a snapshot is its driver's affair.
        if let (Stand::Pending(waits), false) = (Stand::of(&pod), now.details.contains_key(VOLUME)) {
            return Ok((driver::saying(now, waits), Standing::Cut(None)));
        }
        let (moving, standing) = self.files.moving(&pod, now.clone()).await?;
        Ok(match standing {
            Standing::Ready => (Self::in_bucket(&now, moving), Standing::Cut(None)),
            Standing::Copying(copied) => (moving, Standing::Moving(copied)),
            Standing::Asked => (moving, Standing::Cut(None)),
            standing => (moving, standing),
        })
    }

    /// Sees to it that the claim that a mover waits for is there, and that its volume will go with it.
    async fn vessel(&self, now: &mut Taken) -> Result<()> {
        if now.details.contains_key(VOLUME) {
            return Ok(());
        }
        let Some(claim) = self.files.api.get(&self.claim_path(&now.tag)).await? else {
            for (path, body) in self.vessels(now) {
                if let Came::Absent = self.files.api.create(&path, &body).await? {
                    return Err(Error::new(ErrorKind::Refused, path, "is not served, or its namespace is not there"));
                }
            }
            return Ok(());
        };
        let name = text(&claim, "/spec/volumeName");
        if name.is_empty() {
            return Ok(());
        }
        let path = volume_path(&name);
        let volume = self.volume(&name).await?.unwrap_or_default();
        if text(&volume, "/spec/claimRef/uid") == text(&claim, "/metadata/uid")
            && text(&volume, "/spec/persistentVolumeReclaimPolicy") != "Delete"
        {
            let goes = json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}});
            self.files.api.patch(&path, &goes).await?;
        }
        now.details.insert(VOLUME.to_owned(), name);
        now.details.insert(BOUND.to_owned(), self.files.api.parts.clock.now().to_string());
        Ok(())
    }

    /// What stands for the snapshot where movers run, and the claim made from it.
    fn vessels(&self, of: &Taken) -> [(String, Value); 3] {
        let detail = |name: &str| of.details.get(name).map_or("", String::as_str);
        let (name, namespace) = (vessel_of(&of.tag), self.files.template.namespace());
        let metadata = |within: Option<&str>| {
            let annotations = json!({(tags::POINT): of.tag.point, (tags::CLAIM): format!("{namespace}/{name}")});
            let mut metadata = json!({"name": name, "labels": {(tags::FILLS): "mover"}, "annotations": annotations});
            if let Some(within) = within {
                metadata["namespace"] = json!(within);
            }
            metadata
        };
        let version = format!("{GROUP}/{VERSION}");
        let mut content = json!({
            "apiVersion": version, "kind": "VolumeSnapshotContent", "metadata": metadata(None),
            "spec": {
                "deletionPolicy": "Retain", "driver": detail("driver"), "source": {"snapshotHandle": of.handle},
                "volumeSnapshotRef": {"apiVersion": version, "kind": "VolumeSnapshot", "name": name, "namespace": namespace},
                "sourceVolumeMode": "Filesystem",
            },
        });
        if !detail("class").is_empty() {
            content["spec"]["volumeSnapshotClassName"] = json!(detail("class"));
        }
        let snapshot = json!({
            "apiVersion": version, "kind": "VolumeSnapshot", "metadata": metadata(Some(namespace)),
            "spec": {"source": {"volumeSnapshotContentName": name}},
        });
        let size = detail("capacity").parse::<u64>().unwrap_or(0).max(of.size);
        let modes: Vec<&str> = detail("accessModes").split(',').filter(|mode| !mode.is_empty()).collect();
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata(Some(namespace)),
            "spec": {
                "accessModes": modes, "storageClassName": detail("storageClass"), "volumeMode": "Filesystem",
                "resources": {"requests": {"storage": size.to_string()}},
                "dataSource": {"apiGroup": GROUP, "kind": "VolumeSnapshot", "name": name},
            },
        });
        [(contents(), content), (snapshots(namespace), snapshot), (self.files.vessels(), claim)]
    }

    /// A volume, if it is there and may be seen: nothing but patience depends on it where classes delete their volumes.
    async fn volume(&self, name: &str) -> Result<Option<Value>> {
        match self.files.api.get(&volume_path(name)).await {
            Err(error) if error.kind() == ErrorKind::Denied => Ok(None),
            volume => volume,
        }
    }

    fn claim_path(&self, tag: &Tag) -> String {
        object(&self.files.vessels(), &vessel_of(tag))
    }

    /// Removes what was made from a snapshot; whether all of it is gone.
    async fn emptied(&self, taken: &Taken) -> Result<bool> {
        let api = &self.files.api;
        let name = vessel_of(&taken.tag);
        let claim = self.claim_path(&taken.tag);
        let own = [claim, object(&snapshots(self.files.template.namespace()), &name), object(&contents(), &name)];
        let mut gone = true;
        // A claim does not go while there is a Pod that has it, also one that has ended.
        if let Some(pod) = self.files.mover(&taken.tag).await? {
            gone = false;
            if !is_going(&pod) {
                self.files.remove_mover(&pod).await?;
            }
        }
        for path in own {
            let Some(stands) = api.get(&path).await? else { continue };
            // Nobody else's.
            if stands.pointer("/metadata/labels").and_then(|labels| labels.get(tags::FILLS)).is_none() {
                continue;
            }
            gone = false;
            if !is_going(&stands) {
                api.remove(&path, &text(&stands, "/metadata/uid")).await?;
            }
        }
        if let Some(volume) = taken.details.get(VOLUME) {
            gone &= self.volume(volume).await?.is_none();
        }
        Ok(gone)
    }

    async fn cleared(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        let mut now = taken.clone();
        let clock = self.files.api.parts.clock.now();
        let since = now.details.entry(SINCE.to_owned()).or_insert_with(|| clock.to_string()).parse().unwrap_or(clock);
        let goes = clock.saturating_sub(since) < GOES;
        let cleared = async {
            if !self.emptied(taken).await? && goes {
                return Ok(false);
            }
            self.csi.delete(&Taken { handle: String::new(), ..taken.clone() }).await.map(|()| true)
        };
        match cleared.await {
            Ok(true) => {}
            Ok(false) => return Ok((now, Standing::Cut(None))),
            Err(error) if error.kind() == ErrorKind::Unavailable && goes => return Ok((now, Standing::Cut(None))),
            Err(error) => {
                tracing::warn!(error = %Error::causes(&error), "{} is in the bucket, and its snapshot could not be deleted yet", taken.tag);
            }
        }
        now.details.retain(|key, _| KEPT.contains(&key.as_str()));
        Ok((Taken { driver: super::NAME.to_owned(), ..now }, Standing::Ready))
    }
}

/// What is said of one that is kept.
const KEPT: [&str; 6] = ["claim", "files", "added", super::MISSED, "driver", "class"];

/// What the claim is called that is made from a snapshot.
fn vessel_of(tag: &Tag) -> String {
    format!("hindcast-move-{}-{}", tag.id, tag.index)
}

fn volume_path(name: &str) -> String {
    object(&collection("", "v1", "", "persistentvolumes"), name)
}

#[async_trait]
impl VolumeDriver for Moved {
    fn name(&self) -> &str {
        NAME
    }

    fn takes(&self, volume: &Volume) -> std::result::Result<(), String> {
        self.csi.takes(volume)?;
        folder(volume)?;
        match volume.class.is_empty() {
            true => Err("has no storage class, which the claim made from its snapshot needs".to_owned()),
            false => Ok(()),
        }
    }

    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>> {
        let asked = self.csi.create(orders).await;
        let begun = |(order, taken): (&Order, Taken)| {
            let mut taken = self.ordered(order, taken);
            Stage::Snapshot.set(&mut taken);
            taken
        };
        orders.iter().zip(asked).map(|(order, taken)| taken.map(|taken| begun((order, taken)))).collect()
    }

    fn ordered(&self, order: &Order, mut found: Taken) -> Taken {
        let volume = &order.volume;
        let details = [
            ("claim", volume.title()),
            ("node", String::new()),
            ("capacity", volume.capacity.to_string()),
            ("accessModes", volume.access_modes.join(",")),
            ("storageClass", volume.class.clone()),
            (VESSEL, vessel_of(&order.tag)),
        ];
        found.details.extend(details.map(|(key, value)| (key.to_owned(), value)));
        Taken { driver: NAME.to_owned(), ..found }
    }

    async fn look(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        match Stage::of(taken) {
            Stage::Snapshot => self.snapshot(taken).await,
            Stage::Copy => self.copied(taken).await,
            Stage::Clear => self.cleared(taken).await,
            Stage::Kept => self.files.look(taken).await,
        }
    }

    async fn find(&self, cluster: &str, id: &str) -> Result<Vec<Taken>> {
        let mut found: BTreeMap<u32, Taken> = BTreeMap::new();
        for mut taken in self.csi.find(cluster, id).await? {
            Stage::Snapshot.set(&mut taken);
            found.insert(taken.tag.index, Taken { driver: NAME.to_owned(), ..taken });
        }
        for mut of_files in self.files.find(cluster, id).await? {
            let index = of_files.tag.index;
            let snapshot = found.remove(&index);
            let now = match (of_files.handle.is_empty(), snapshot) {
                (false, Some(snapshot)) => Self::in_bucket(&snapshot, of_files),
                (false, None) => {
                    Stage::Clear.set(&mut of_files);
                    of_files
                }
                // A mover is at work, of a snapshot that is ready then.
                (true, snapshot) => {
                    let mut now = snapshot.unwrap_or(of_files);
                    Stage::Copy.set(&mut now);
                    now
                }
            };
            found.insert(index, Taken { driver: NAME.to_owned(), ..now });
        }
        Ok(found.into_values().collect())
    }

    /// Nothing that the drivers of snapshots and of files do not find themselves.
    async fn all(&self, _cluster: &str) -> Result<Vec<Taken>> {
        Ok(Vec::new())
    }

    async fn delete(&self, taken: &Taken) -> Result<()> {
        self.files.is_own(&taken.tag)?;
        self.files.gone(&taken.tag).await?;
        self.emptied(taken).await?;
        // In the bucket it has another handle.
        let handle = match Stage::of(taken) {
            Stage::Snapshot | Stage::Copy => taken.handle.clone(),
            Stage::Clear | Stage::Kept => String::new(),
        };
        self.csi.delete(&Taken { handle, ..taken.clone() }).await?;
        self.files.delete(taken).await
    }
}
