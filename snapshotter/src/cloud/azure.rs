//! Azure managed disks: volumes of `disk.csi.azure.com` and of `kubernetes.io/azure-disk`.
//!
//! A snapshot is incremental, lies in one resource group, and its name is its tag's: a PUT of the same name makes no second, so
//! the name decides. Before each PUT the name is read, for a PUT would change the tags of what somebody else has there. What
//! Azure goes on with by itself after an answer, a long-running operation, is asked for where it says
//! ([`arm`]); of a snapshot its own state is looked at, and the operation only for why it came to nothing.
//!
//! Tag names may not hold slashes, so `hindcast.dev/id` is `hindcast.dev-id` here. Azure lists a resource group's snapshots
//! without a filter; what bears the tags is picked here.
//!
//! Rights it needs, in the group: `Microsoft.Compute/snapshots/{read,write,delete}`, of the disks
//! `Microsoft.Compute/disks/{read,beginGetAccess/action}`; for restores `Microsoft.Compute/disks/{write,delete}`.
//!
//! Not here: copies to another region, private endpoints of a disk access. Start reading at [`ManagedDisks::open`].

mod arm;
mod disks;
mod identity;
mod names;
mod sort;

use std::collections::BTreeMap;

use async_trait::async_trait;
use azure_mgmt_compute::package_2024_07_01::models::{
    CreationData, Resource, Snapshot, SnapshotProperties, creation_data::CreateOption,
};
use hindcast_journal::{
    Parts, Result,
    error::{Error, ErrorKind},
};

pub use self::identity::Credentials;
use self::{
    arm::{Arm, Operation, Standing as Done},
    names::{Id, Kind, tag_of, tags_of},
};
use super::{
    Limits,
    once::Once,
    ours::{bears, is_of},
    patience::Patience,
    text::gibibytes,
};
use crate::driver::{Disks, Order, Standing, Tag, Taken, Volume, VolumeDriver};

/// The name of this driver in recovery points.
const NAME: &str = "azure";
/// Whose volumes it takes.
const DRIVERS: [&str; 2] = ["disk.csi.azure.com", "kubernetes.io/azure-disk"];

/// What is kept of a snapshot beside its id.
mod details {
    pub(super) const DISK: &str = "disk";
    pub(super) const LOCATION: &str = "location";
    pub(super) const ZONE: &str = "zone";
    pub(super) const SKU: &str = "sku";
    pub(super) const OPERATION: &str = "operation";
}

/// How to reach Azure, as whom, and where snapshots are.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The subscription of the snapshots.
    pub subscription: String,
    /// Their resource group, which is there.
    pub resource_group: String,
    /// Another address than that of Azure's public cloud.
    pub endpoint: Option<String>,
    /// Where tokens are given, if not by Azure's public cloud.
    pub authority: Option<String>,
    /// As whom.
    pub credentials: Credentials,
}

/// The driver of managed disks, whose snapshots are in one resource group.
#[derive(Debug)]
pub struct ManagedDisks {
    subscription: String,
    group: String,
    arm: Arm,
    patience: Patience,
    once: Once,
}

impl ManagedDisks {
    /// A driver by these settings.
    pub fn open(settings: Settings, limits: Limits, parts: Parts) -> Result<Self> {
        const WHAT: &str = "the client of Azure";
        for (name, value) in [("subscription", &settings.subscription), ("resource group", &settings.resource_group)] {
            if value.is_empty() {
                let hint = format!("set the volume location's {name}");
                return Err(Error::invalid(WHAT, format!("no {name} is set")).with_hint(hint));
            }
        }
        let once = Once::new(parts.clock.monotonic(), false);
        let patience = Patience { parts, limits };
        let arm = Arm::new(&settings, patience.clone())?;
        Ok(Self { subscription: settings.subscription, group: settings.resource_group, arm, patience, once })
    }

    fn id(&self, kind: Kind, name: &str) -> Id {
        Id { subscription: self.subscription.clone(), group: self.group.clone(), kind, name: name.to_owned() }
    }

    async fn take(&self, order: &Order) -> Result<Taken> {
        let what = format!("snapshot of {}", order.volume.title());
        self.takes(&order.volume).map_err(|reason| Error::invalid(&what, reason))?;
        let source = Id::parse(&order.volume.handle, Kind::Disk).map_err(|reason| Error::invalid(&what, reason))?;
        let id = self.id(Kind::Snapshot, &order.tag.name());
        let _turn = self.once.turn(&id.name).await;
        // Where the disk is, the snapshot has to be; and one that is gone is named as what it is.
        let disk = self.patience.ride(&what, || self.arm.disk(&what, &source)).await?;
        let disk = disk.ok_or_else(|| {
            let reason = format!("there is no disk {source}");
            Error::not_found(&what, reason).with_hint("check the subscription, and whether it was deleted")
        })?;
        let location = disk.resource.location.clone();
        let mut asked = CreationData::new(CreateOption::Copy);
        asked.source_resource_id = Some(source.to_string());
        let mut properties = SnapshotProperties::new(asked);
        properties.incremental = Some(true);
        let mut resource = Resource::new(location.clone());
        resource.tags = Some(tags_of(order));
        let mut body = Snapshot::new(resource);
        body.properties = Some(properties);
        let ask = || async {
            if let Some(there) = self.arm.snapshot(&what, &id).await? {
                return match tag_of(there.resource.tags.as_ref()) == Some(order.tag.clone()) {
                    true => Ok((Some(there), None)),
                    false => Err(super::patience::Fault::last(taken_by_another(&what, &id))),
                };
            }
            Ok((None, self.arm.put_snapshot(&what, &id, &body).await?))
        };
        let (there, operation) = self.patience.ride(&what, ask).await?;
        let mut taken = match there {
            Some(there) => self.taken(&there, order.tag.clone()),
            None => Taken {
                tag: order.tag.clone(),
                driver: NAME.to_owned(),
                handle: id.to_string(),
                size: gibibytes(disk.properties.as_ref().and_then(|p| p.disk_size_gb).unwrap_or_default().into()),
                time: None,
                details: BTreeMap::new(),
            },
        };
        let zone = disk.zones.first().map(|zone| format!("{location}-{zone}")).unwrap_or_default();
        let sku = disk.sku.as_ref().and_then(|sku| serde_json::to_value(sku.name.as_ref()?).ok());
        let sku = sku.and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default();
        let more = [
            (details::DISK, source.to_string()),
            (details::LOCATION, location),
            (details::ZONE, zone),
            (details::SKU, sku),
            (details::OPERATION, operation.map(|operation| operation.url).unwrap_or_default()),
        ];
        let more = more.into_iter().filter(|(_, value)| !value.is_empty());
        taken.details.extend(more.map(|(name, value)| (name.to_owned(), value)));
        Ok(taken)
    }

    /// What is kept of a snapshot that was read.
    fn taken(&self, snapshot: &Snapshot, tag: Tag) -> Taken {
        let name = snapshot.resource.name.clone().unwrap_or_else(|| tag.name());
        let properties = snapshot.properties.as_ref();
        let source = properties.and_then(|properties| properties.creation_data.source_resource_id.clone());
        let details = [(details::LOCATION, Some(snapshot.resource.location.clone())), (details::DISK, source)];
        let details = details.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Taken {
            tag,
            driver: NAME.to_owned(),
            handle: self.id(Kind::Snapshot, &name).to_string(),
            size: properties.and_then(|p| p.disk_size_gb).map(|size| gibibytes(size.into())).unwrap_or_default(),
            time: properties.and_then(|p| p.time_created).map(|time| (time.unix_timestamp_nanos() / 1000) as i64),
            details: details.collect(),
        }
    }

    /// Every snapshot of the group that bears a tag of this cluster.
    async fn listed(&self, what: &str, cluster: &str) -> Result<Vec<Taken>> {
        let list = || async {
            let (mut found, mut next) = (Vec::new(), None);
            loop {
                let page = self.arm.snapshots(what, &self.subscription, &self.group, next).await?;
                let ours = page.value.iter().filter_map(|snapshot| {
                    let tag = tag_of(snapshot.resource.tags.as_ref()).filter(|tag| tag.cluster == cluster)?;
                    Some(self.taken(snapshot, tag))
                });
                found.extend(ours);
                next = page.next_link.filter(|link| !link.is_empty());
                if next.is_none() {
                    return Ok(found);
                }
            }
        };
        self.patience.ride(what, list).await
    }

    /// Follows an operation to its end.
    async fn followed(&self, what: &str, operation: Option<Operation>) -> Result<()> {
        let Some(operation) = operation else {
            return Ok(());
        };
        self.patience.sleep(operation.after).await;
        let look = || async {
            let ask = || self.arm.operation(what, &operation.url);
            match self.patience.ride(what, ask).await? {
                Done::Going(after) => {
                    self.patience.sleep(after).await;
                    Ok(None)
                }
                Done::Done => Ok(Some(())),
                Done::Failed(fault) => Err(fault.into()),
            }
        };
        self.patience.until(what, look).await
    }
}

fn taken_by_another(what: &str, id: &Id) -> Error {
    let reason = format!("the name {} is taken by what does not bear its tags", id.name);
    Error::new(ErrorKind::Refused, what, reason).with_hint("delete what has that name if nobody needs it")
}

#[async_trait]
impl VolumeDriver for ManagedDisks {
    fn name(&self) -> &str {
        NAME
    }

    fn takes(&self, volume: &Volume) -> std::result::Result<(), String> {
        is_of(volume, &DRIVERS)?;
        Id::parse(&volume.handle, Kind::Disk).map(drop)
    }

    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>> {
        self.once.sweep(self.patience.now(), self.patience.limits.settle);
        self.patience.each(orders.iter().map(|order| self.take(order)).collect()).await
    }

    async fn look(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        let what = format!("snapshot {}", taken.tag.name());
        let id = Id::parse(&taken.handle, Kind::Snapshot).map_err(|reason| Error::invalid(&what, reason))?;
        let Some(snapshot) = self.patience.ride(&what, || self.arm.snapshot(&what, &id)).await? else {
            let Some(operation) = taken.details.get(details::OPERATION) else {
                return Ok((taken.clone(), Standing::Gone));
            };
            let standing = match self.patience.ride(&what, || self.arm.operation(&what, operation)).await? {
                Done::Going(_) => Standing::Asked,
                Done::Done => Standing::Gone,
                Done::Failed(fault) => Standing::Failed(fault.error().thing_and_reason().1),
            };
            return Ok((taken.clone(), standing));
        };
        let mut seen = self.taken(&snapshot, taken.tag.clone());
        seen.handle.clone_from(&taken.handle);
        for (name, value) in &taken.details {
            seen.details.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let properties = snapshot.properties.as_ref();
        let state = properties.and_then(|properties| properties.provisioning_state.as_deref());
        let percent = properties.and_then(|properties| properties.completion_percent);
        let standing = match (state, percent) {
            (Some("Failed" | "Canceled"), _) => Standing::Failed("Azure says that it failed, and not why".to_owned()),
            (Some("Deleting"), _) => Standing::Gone,
            (Some("Succeeded"), Some(percent)) if percent < 100.0 => Standing::Cut(Some(percent.max(0.0) as u8)),
            (Some("Succeeded"), _) => Standing::Ready,
            _ => Standing::Asked,
        };
        Ok((seen, standing))
    }

    async fn find(&self, cluster: &str, id: &str) -> Result<Vec<Taken>> {
        let what = format!("snapshots of the recovery point {id}");
        let mut found = self.patience.settled(|| self.listed(&what, cluster)).await?;
        found.retain(|taken| taken.tag.id == id);
        Ok(found)
    }

    async fn all(&self, cluster: &str) -> Result<Vec<Taken>> {
        self.listed(&format!("snapshots of the cluster {cluster}"), cluster).await
    }

    async fn delete(&self, taken: &Taken) -> Result<()> {
        let what = format!("deletion of the snapshot {}", taken.tag.name());
        let id = Id::parse(&taken.handle, Kind::Snapshot).map_err(|reason| Error::invalid(&what, reason))?;
        let Some(snapshot) = self.patience.ride(&what, || self.arm.snapshot(&what, &id)).await? else {
            return Ok(());
        };
        bears(&what, tag_of(snapshot.resource.tags.as_ref()).as_ref(), &taken.tag)?;
        let operation = self.patience.ride(&what, || self.arm.delete_snapshot(&what, &id)).await?;
        self.followed(&what, operation).await
    }

    fn disks(&self) -> Option<&dyn Disks> {
        Some(self)
    }
}
