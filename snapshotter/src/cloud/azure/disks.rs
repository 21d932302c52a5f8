//! Managed disks made from snapshots.
//!
//! A disk's name is made of the wish's token, so the name decides whether it is there. Disks are made in the resource group
//! that the class names, else in that of the snapshots.

use async_trait::async_trait;
use azure_mgmt_compute::package_2024_07_01::models::{
    CreationData, Disk as Made, DiskProperties, DiskSku, Encryption, Resource, creation_data::CreateOption, disk_sku,
};
use hindcast_journal::{
    Result,
    error::{Error, ErrorKind},
};
use serde_json::{Value, json};

use super::{
    ManagedDisks, details,
    names::{Id, Kind, tag_name, zone_of},
    taken_by_another,
};
use crate::{
    cloud::{
        ours::{DISK, not_made_here},
        patience::Fault,
        text::{gibibytes, in_gibibytes, label},
    },
    driver::{Disk, Disks, Taken, Wish},
};

/// A parameter of a storage class, which the CSI driver reads in any case.
fn parameter<'w>(wish: &'w Wish, name: &str) -> Option<&'w str> {
    wish.parameters.iter().find(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// What the class asks for.
fn asked_for(what: &str, taken: &Taken, wish: &Wish) -> Result<Made> {
    let number = |name: &str| match parameter(wish, name) {
        Some(text) => text
            .parse::<i64>()
            .map(Some)
            .map_err(|_| Error::invalid(what, format!("{name} is {text:?} in its storage class, which is no number"))),
        None => Ok(None),
    };
    let kept = |name: &str| taken.details.get(name).map(String::as_str).unwrap_or_default();
    let home = kept(details::LOCATION);
    let zone = if wish.zone.is_empty() { kept(details::ZONE) } else { &wish.zone };
    let (location, number_of_zone) = if zone.is_empty() { (home, "") } else { zone_of(zone, home) };
    if location != home {
        let reason = format!("the zone {zone} is not in {home}, where the snapshot is");
        return Err(Error::invalid(what, reason).with_hint(format!("map it to a zone of {home}")));
    }
    let sku = parameter(wish, "skuName").or_else(|| parameter(wish, "storageAccountType"));
    let sku = sku.unwrap_or_else(|| kept(details::SKU));
    let mut tags = vec![(tag_name(DISK), Value::from(wish.token.as_str()))];
    tags.extend(wish.tags.iter().map(|(name, value)| (tag_name(name), Value::from(value.as_str()))));
    let mut resource = Resource::new(home.to_owned());
    resource.tags = Some(Value::Object(tags.into_iter().rev().collect()));
    let mut source = CreationData::new(CreateOption::Copy);
    source.source_resource_id = Some(taken.handle.clone());
    let mut properties = DiskProperties::new(source);
    properties.disk_size_gb = Some(in_gibibytes(wish.capacity, taken.size) as i32);
    properties.disk_iops_read_write = number("DiskIOPSReadWrite")?;
    properties.disk_m_bps_read_write = number("DiskMBpsReadWrite")?;
    if let Some(set) = parameter(wish, "diskEncryptionSetID") {
        let mut encryption = Encryption::new();
        encryption.disk_encryption_set_id = Some(set.to_owned());
        properties.encryption = Some(encryption);
    }
    let mut made = Made::new(resource);
    made.properties = Some(properties);
    // What is zone-redundant is in all zones.
    if !number_of_zone.is_empty() && !sku.ends_with("_ZRS") {
        made.zones = vec![number_of_zone.to_owned()];
    }
    if !sku.is_empty() {
        let name = serde_json::from_value::<disk_sku::Name>(json!(sku));
        let name = name.map_err(|_| Error::invalid(what, format!("Azure has no kind of disk {sku:?}")))?;
        let mut kind = DiskSku::new();
        kind.name = Some(name);
        made.sku = Some(kind);
    }
    Ok(made)
}

fn token_of(made: &Made) -> Option<&str> {
    made.resource.tags.as_ref()?.get(tag_name(DISK))?.as_str()
}

fn disk_of(id: &Id, made: &Made) -> Disk {
    let properties = made.properties.as_ref();
    let state = properties.and_then(|properties| properties.provisioning_state.as_deref());
    let location = &made.resource.location;
    Disk {
        handle: id.to_string(),
        zone: made.zones.first().map(|zone| format!("{location}-{zone}")).unwrap_or_default(),
        capacity: properties.and_then(|p| p.disk_size_gb).map(|size| gibibytes(size.into())).unwrap_or_default(),
        ready: state == Some("Succeeded"),
    }
}

#[async_trait]
impl Disks for ManagedDisks {
    async fn make(&self, taken: &Taken, wish: &Wish) -> Result<Disk> {
        let what = format!("disk from the snapshot {}", taken.tag.name());
        if wish.token.is_empty() {
            return Err(Error::internal(what, "it was wished for without a token"));
        }
        let body = asked_for(&what, taken, wish)?;
        let mut id = self.id(Kind::Disk, &label(&wish.token));
        if let Some(group) = parameter(wish, "resourceGroup") {
            group.clone_into(&mut id.group);
        }
        let _turn = self.once.turn(&wish.token).await;
        let ask = || async {
            match self.arm.disk(&what, &id).await? {
                Some(there) if token_of(&there) == Some(wish.token.as_str()) => Ok(None),
                Some(_) => Err(Fault::last(taken_by_another(&what, &id))),
                None => self.arm.put_disk(&what, &id, &body).await,
            }
        };
        let operation = self.patience.ride(&what, ask).await?;
        self.followed(&what, operation).await?;
        let made = self.patience.ride(&what, || self.arm.disk(&what, &id)).await?;
        let gone = || Error::new(ErrorKind::Unavailable, &what, "it was made, and is not there");
        Ok(disk_of(&id, &made.ok_or_else(gone)?))
    }

    async fn disk(&self, handle: &str) -> Result<Option<Disk>> {
        let what = format!("disk {handle}");
        let id = Id::parse(handle, Kind::Disk).map_err(|reason| Error::invalid(&what, reason))?;
        let Some(made) = self.patience.ride(&what, || self.arm.disk(&what, &id)).await? else {
            return Ok(None);
        };
        match made.properties.as_ref().and_then(|properties| properties.provisioning_state.as_deref()) {
            Some("Failed" | "Canceled") => Err(Error::new(ErrorKind::Refused, what, "Azure could not make it")
                .with_hint("see in the activity log of its resource group why")),
            Some("Deleting") => Ok(None),
            _ => Ok(Some(disk_of(&id, &made))),
        }
    }

    async fn remove(&self, handle: &str) -> Result<()> {
        let what = format!("deletion of the disk {handle}");
        let id = Id::parse(handle, Kind::Disk).map_err(|reason| Error::invalid(&what, reason))?;
        let Some(made) = self.patience.ride(&what, || self.arm.disk(&what, &id)).await? else {
            return Ok(());
        };
        if token_of(&made).is_none() {
            return Err(not_made_here(&what));
        }
        let operation = self.patience.ride(&what, || self.arm.delete_disk(&what, &id)).await?;
        self.followed(&what, operation).await
    }
}
