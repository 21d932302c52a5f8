//! Persistent disks of Google Compute Engine: volumes of `pd.csi.storage.gke.io` and of `kubernetes.io/gce-pd`, zonal and
//! regional.
//!
//! A snapshot's name is its tag's, and names are unique in a project, so the name decides: whoever finds it taken reads it and
//! looks at its labels. All requests of one call bear one `requestId`. Compute Engine answers with an operation; how a
//! snapshot stands, its own status says, and the operation why it came to nothing.
//!
//! Labels may hold neither dots nor slashes nor capitals, so `hindcast.dev/id` is `hindcast-id` here, and what the label
//! of the point or the claim cannot tell exactly, the description does.
//!
//! Rights it needs: `compute.disks.createSnapshot`, `compute.snapshots.create`, `.setLabels`, `.get`, `.list`, `.delete`,
//! `compute.globalOperations.get`; for restores `compute.snapshots.useReadOnly`, `compute.disks.create`, `.setLabels`,
//! `.get`, `.delete`, `compute.zoneOperations.get` and `compute.regionOperations.get`.
//!
//! Not here: instant snapshots, which stay on the disk's own storage. Start reading at [`PersistentDisks::open`].

mod connect;
mod disks;
mod names;
mod sort;

use std::collections::BTreeMap;

use async_trait::async_trait;
use google_cloud_compute_v1::{
    client::{Disks as Zonal, RegionDisks as Regional, Snapshots},
    model::{Operation, Snapshot, operation, snapshot::Status},
};
use hindcast_journal::{
    Parts, Result,
    error::{Error, ErrorKind},
};

pub use self::connect::{Credentials, Settings};
use self::{
    names::{Place, described, labels, of_disk, request_id, tag_of},
    sort::{failed, fault, is_not_found, is_taken},
};
use super::{
    Limits,
    once::Once,
    ours::{bears, is_of},
    patience::{Fault, Patience},
    text::{gibibytes, moment},
};
use crate::driver::{Disks, Order, Standing, Tag, Taken, Volume, VolumeDriver};

/// The name of this driver in recovery points.
const NAME: &str = "gcp";
/// Whose volumes it takes.
const DRIVERS: [&str; 2] = ["pd.csi.storage.gke.io", "kubernetes.io/gce-pd"];

/// What is kept of a snapshot beside its name.
mod details {
    pub(super) const PROJECT: &str = "project";
    pub(super) const DISK: &str = "disk";
    pub(super) const OPERATION: &str = "operation";
}

/// The driver of persistent disks, whose snapshots are in one project.
#[derive(Debug)]
pub struct PersistentDisks {
    project: String,
    snapshots: Snapshots,
    zonal: Zonal,
    regional: Regional,
    patience: Patience,
    once: Once,
}

impl PersistentDisks {
    /// A driver by these settings. Where they are silent, the application default credentials say who asks, as for every
    /// program that uses Google's libraries.
    pub async fn open(settings: Settings, limits: Limits, parts: Parts) -> Result<Self> {
        let once = Once::new(parts.clock.monotonic(), false);
        let (snapshots, zonal, regional) = connect::clients(&settings).await?;
        let patience = Patience { parts, limits };
        Ok(Self { project: settings.project, snapshots, zonal, regional, patience, once })
    }

    fn place(&self, volume: &Volume) -> Result<Place, String> {
        of_disk(&volume.handle, volume.zone(), &self.project)
    }

    async fn take(&self, order: &Order) -> Result<Taken> {
        let what = format!("snapshot of {}", order.volume.title());
        self.takes(&order.volume).map_err(|reason| Error::invalid(&what, reason))?;
        let place = self.place(&order.volume).map_err(|reason| Error::invalid(&what, reason))?;
        let name = order.tag.name();
        let _turn = self.once.turn(&name).await;
        let id = request_id(&self.patience.parts);
        let snapshot = Snapshot::new()
            .set_name(&name)
            .set_source_disk(place.path())
            .set_labels(labels(order))
            .set_description(described(order));
        let ask = || async {
            let request = self.snapshots.insert().set_project(&self.project).set_request_id(&id);
            let request = request.set_body(snapshot.clone());
            let right = "compute.disks.createSnapshot, compute.snapshots.create and compute.snapshots.setLabels";
            let asked = async {
                match request.send().await {
                    Ok(operation) => Ok(Some(operation)),
                    Err(error) if is_taken(&error) => Ok(None),
                    Err(error) => Err(fault(&what, right, &error)),
                }
            };
            let operation = self.patience.answer(&what, asked).await?;
            if let Some(failed) = operation.as_ref().and_then(|operation| failed(&what, operation)) {
                return Err(failed);
            }
            Ok(operation)
        };
        let mut taken = Taken {
            tag: order.tag.clone(),
            driver: NAME.to_owned(),
            handle: name,
            size: order.volume.capacity,
            time: None,
            details: self.details(&place.path()),
        };
        match self.patience.ride(&what, ask).await? {
            Some(operation) => {
                let name = operation.name.unwrap_or_default();
                taken.details.insert(details::OPERATION.to_owned(), name);
                Ok(taken)
            }
            // The name is taken: by what an earlier request made, or by somebody else.
            None => match self.snapshot(&what, &taken.handle).await? {
                Some(snapshot) if tag_of(&snapshot).is_some_and(|tag| tag == order.tag) => {
                    Ok(self.taken(&snapshot, order.tag.clone()))
                }
                Some(_) => {
                    let reason = format!("its name {} is taken by a snapshot without its labels", taken.handle);
                    Err(Error::new(ErrorKind::Refused, what, reason)
                        .with_hint("delete that snapshot if nobody needs it"))
                }
                None => Err(Error::new(ErrorKind::Unavailable, what, "its name is taken and nothing is there")),
            },
        }
    }

    fn details(&self, disk: &str) -> BTreeMap<String, String> {
        [(details::PROJECT, self.project.as_str()), (details::DISK, disk)].map(|(k, v)| (k.into(), v.into())).into()
    }

    /// What is kept of a snapshot that was read.
    fn taken(&self, snapshot: &Snapshot, tag: Tag) -> Taken {
        let disk = snapshot.source_disk.as_deref().unwrap_or_default();
        let disk = disk.find("projects/").map_or(disk, |at| &disk[at..]);
        Taken {
            tag,
            driver: NAME.to_owned(),
            handle: snapshot.name.clone().unwrap_or_default(),
            size: gibibytes(snapshot.disk_size_gb.unwrap_or_default()),
            time: snapshot.creation_timestamp.as_deref().and_then(moment),
            details: self.details(disk),
        }
    }

    /// The snapshot of this name; `None` if there is none.
    async fn snapshot(&self, what: &str, name: &str) -> Result<Option<Snapshot>> {
        let ask = || async {
            let asked = async {
                match self.snapshots.get().set_project(&self.project).set_snapshot(name).send().await {
                    Ok(snapshot) => Ok(Some(snapshot)),
                    Err(error) if is_not_found(&error) => Ok(None),
                    Err(error) => Err(fault(what, "compute.snapshots.get", &error)),
                }
            };
            self.patience.answer(what, asked).await
        };
        self.patience.ride(what, ask).await
    }

    /// How an operation on snapshots stands; `None` if it is not known any more.
    async fn operation(&self, what: &str, name: &str) -> Result<Option<Operation>> {
        let ask = || async {
            let asked = async {
                match self.snapshots.get_operation().set_project(&self.project).set_operation(name).send().await {
                    Ok(operation) => Ok(Some(operation)),
                    Err(error) if is_not_found(&error) => Ok(None),
                    Err(error) => Err(fault(what, "compute.globalOperations.get", &error)),
                }
            };
            self.patience.answer(what, asked).await
        };
        self.patience.ride(what, ask).await
    }

    /// Every snapshot with these labels, over all pages.
    async fn listed(&self, what: &str, bearing: &[(&str, &str)]) -> Result<Vec<Taken>> {
        let filter = names::filter(bearing);
        let list = || async {
            let (mut found, mut token) = (Vec::new(), None::<String>);
            loop {
                let request = self.snapshots.list().set_project(&self.project).set_filter(&filter);
                let request = request.set_max_results(u32::from(self.patience.limits.page));
                let request = request.set_or_clear_page_token(token.take());
                let asked =
                    async { request.send().await.map_err(|error| fault(what, "compute.snapshots.list", &error)) };
                let page = self.patience.answer(what, asked).await?;
                found.extend(page.items.iter().filter_map(|snapshot| Some(self.taken(snapshot, tag_of(snapshot)?))));
                token = page.next_page_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    return Ok(found);
                }
            }
        };
        self.patience.ride(what, list).await
    }

    /// That a snapshot is in this driver's project.
    fn here(&self, what: &str, taken: &Taken) -> Result<()> {
        match taken.details.get(details::PROJECT) {
            Some(project) if *project != self.project => {
                let reason = format!("it is in the project {project}, and this driver looks after {}", self.project);
                Err(Error::invalid(what, reason).with_hint(format!("set the volume location's project to {project}")))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl VolumeDriver for PersistentDisks {
    fn name(&self) -> &str {
        NAME
    }

    fn takes(&self, volume: &Volume) -> std::result::Result<(), String> {
        is_of(volume, &DRIVERS)?;
        self.place(volume).map(drop)
    }

    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>> {
        self.once.sweep(self.patience.now(), self.patience.limits.settle);
        self.patience.each(orders.iter().map(|order| self.take(order)).collect()).await
    }

    async fn look(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        let what = format!("snapshot {}", taken.handle);
        self.here(&what, taken)?;
        let operation = taken.details.get(details::OPERATION).filter(|name| !name.is_empty());
        let Some(snapshot) = self.snapshot(&what, &taken.handle).await? else {
            let Some(name) = operation else {
                return Ok((taken.clone(), Standing::Gone));
            };
            let standing = match self.operation(&what, name).await? {
                Some(operation) => match failed(&what, &operation) {
                    Some(fault) => Standing::Failed(fault.error().thing_and_reason().1),
                    None if operation.status == Some(operation::Status::Done) => Standing::Gone,
                    None => Standing::Asked,
                },
                None => Standing::Gone,
            };
            return Ok((taken.clone(), standing));
        };
        let mut seen = self.taken(&snapshot, taken.tag.clone());
        seen.details.extend(operation.map(|name| (details::OPERATION.to_owned(), name.clone())));
        // Until it is uploading, what is written to the disk may still be in it.
        let standing = match snapshot.status {
            Some(Status::Ready) => Standing::Ready,
            Some(Status::Uploading) => Standing::Cut(None),
            Some(Status::Failed) => Standing::Failed("Compute Engine says that it failed, and not why".to_owned()),
            Some(Status::Deleting) => Standing::Gone,
            _ => Standing::Asked,
        };
        Ok((seen, standing))
    }

    async fn find(&self, cluster: &str, id: &str) -> Result<Vec<Taken>> {
        let what = format!("snapshots of the recovery point {id}");
        let bearing = [(names::CLUSTER, cluster), (names::ID, id)];
        self.patience.settled(|| self.listed(&what, &bearing)).await
    }

    async fn all(&self, cluster: &str) -> Result<Vec<Taken>> {
        self.listed(&format!("snapshots of the cluster {cluster}"), &[(names::CLUSTER, cluster)]).await
    }

    async fn delete(&self, taken: &Taken) -> Result<()> {
        let what = format!("deletion of the snapshot {}", taken.handle);
        self.here(&what, taken)?;
        let Some(snapshot) = self.snapshot(&what, &taken.handle).await? else {
            return Ok(());
        };
        bears(&what, tag_of(&snapshot).as_ref(), &taken.tag)?;
        let id = request_id(&self.patience.parts);
        let ask = || async {
            let request = self.snapshots.delete().set_project(&self.project).set_snapshot(&taken.handle);
            let request = request.set_request_id(&id);
            let asked = async {
                match request.send().await {
                    Ok(operation) => Ok(Some(operation)),
                    Err(error) if is_not_found(&error) => Ok(None),
                    Err(error) => Err(fault(&what, "compute.snapshots.delete", &error)),
                }
            };
            self.patience.answer(&what, asked).await
        };
        let Some(operation) = self.patience.ride(&what, ask).await? else {
            return Ok(());
        };
        let name = operation.name.clone().unwrap_or_default();
        let done = || async {
            let Some(operation) = self.operation(&what, &name).await? else {
                // It is not known any more: the snapshot says what became of it.
                return Ok(self.snapshot(&what, &taken.handle).await?.is_none().then_some(()));
            };
            match failed(&what, &operation) {
                Some(fault) if fault.error().kind() == ErrorKind::NotFound => Ok(Some(())),
                Some(fault) => Err(Error::from(fault)),
                None => Ok((operation.status == Some(operation::Status::Done)).then_some(())),
            }
        };
        self.patience.until(&what, done).await
    }

    fn disks(&self) -> Option<&dyn Disks> {
        Some(self)
    }
}

/// An error of ours as a fault that does not pass.
fn ours(error: Error) -> Fault {
    Fault::last(error)
}
