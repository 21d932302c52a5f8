//! EBS volumes made from snapshots.
//!
//! The token of the wish is the client token of the request and a tag of the volume, which is looked for first: EC2
//! remembers client tokens for a while only.

use async_trait::async_trait;
use aws_sdk_ec2::types::{Filter, ResourceType, Volume, VolumeState, VolumeType};
use hindcast_journal::{
    Result,
    error::{Error, ErrorKind},
};

use super::{
    Ebs, before, details, marks, region_of,
    sort::{code, fault},
    volume_id,
};
use crate::{
    cloud::{
        ours::{DISK, not_made_here},
        patience::Fault,
        text::{cut, gibibytes, in_gibibytes},
    },
    driver::{Disk, Disks, Taken, Wish},
};

impl Ebs {
    /// The volume that bears this token, if it is listed.
    async fn borne(&self, what: &str, token: &str) -> Result<Option<Volume>, Fault> {
        let filter = Filter::builder().name(format!("tag:{DISK}")).values(token).build();
        let mut next = None;
        loop {
            let request = self.client.describe_volumes().filters(filter.clone()).set_next_token(next);
            let asked = async { request.send().await.map_err(|error| fault(what, "ec2:DescribeVolumes", &error)) };
            let page = self.patience.answer(what, asked).await?;
            let gone = |volume: &&Volume| !matches!(volume.state(), Some(VolumeState::Deleted | VolumeState::Deleting));
            if let Some(volume) = page.volumes().iter().find(gone) {
                return Ok(Some(volume.clone()));
            }
            next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(None);
            }
        }
    }

    /// The volume of this id; `None` if EC2 knows of none.
    async fn volume(&self, what: &str, id: &str) -> Result<Option<Volume>> {
        let ask = || async {
            let asked = async {
                match self.client.describe_volumes().volume_ids(id).send().await {
                    Ok(answer) => Ok(answer.volumes().first().cloned()),
                    Err(error) if code(&error) == Some("InvalidVolume.NotFound") => Ok(None),
                    Err(error) => Err(fault(what, "ec2:DescribeVolumes", &error)),
                }
            };
            self.patience.answer(what, asked).await
        };
        let found = self.patience.ride(what, ask).await?;
        Ok(found.filter(|volume| !matches!(volume.state(), Some(VolumeState::Deleted))))
    }

    /// The one request that makes a volume.
    async fn ask_disk(&self, what: &str, taken: &Taken, wish: &Wish, zone: &str) -> Result<Disk, Fault> {
        let number = |name: &str| match wish.parameters.get(name) {
            Some(value) => value.parse::<i32>().map(Some).map_err(|_| {
                Error::invalid(what, format!("{name} is {value:?} in its storage class, which is no number"))
            }),
            None => Ok(None),
        };
        let size = in_gibibytes(wish.capacity, taken.size) as i32;
        let encrypted = wish.parameters.get("encrypted").map(|value| value == "true");
        let iops = match (number("iops")?, number("iopsPerGB")?) {
            (None, Some(each)) => Some(each.saturating_mul(size)),
            (iops, _) => iops,
        };
        let pairs = before(&[(DISK, wish.token.clone()), ("Name", wish.token.clone())], &wish.tags);
        let request = self.client.create_volume().snapshot_id(&taken.handle).availability_zone(zone).size(size);
        let request = request.client_token(cut(&wish.token, 64)).set_iops(iops).set_throughput(number("throughput")?);
        let request = request.set_volume_type(wish.parameters.get("type").map(|name| VolumeType::from(name.as_str())));
        let request = request.set_encrypted(encrypted).set_kms_key_id(wish.parameters.get("kmsKeyId").cloned());
        let request = request.tag_specifications(marks(ResourceType::Volume, &pairs));
        let answer =
            request.send().await.map_err(|error| fault(what, "ec2:CreateVolume and ec2:CreateTags", &error))?;
        let id = answer.volume_id().filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Fault::lost(Error::internal(what, "EC2 made a volume and did not say its id")))?;
        Ok(Disk {
            handle: id.to_owned(),
            zone: answer.availability_zone().unwrap_or(zone).to_owned(),
            capacity: gibibytes(answer.size().unwrap_or(size).into()),
            ready: is_ready(answer.state()),
        })
    }
}

#[async_trait]
impl Disks for Ebs {
    async fn make(&self, taken: &Taken, wish: &Wish) -> Result<Disk> {
        let what = format!("volume from the snapshot {}", taken.handle);
        self.here(&what, taken)?;
        if wish.token.is_empty() {
            return Err(Error::internal(what, "it was wished for without a token"));
        }
        let zone = Some(wish.zone.as_str()).filter(|zone| !zone.is_empty());
        let zone = zone.or_else(|| taken.details.get(details::ZONE).map(String::as_str)).ok_or_else(|| {
            Error::invalid(&what, "it is not known in which zone to make it").with_hint("map the volume's zone to one")
        })?;
        if region_of(zone) != self.region {
            let reason = format!("the zone {zone} is not in {}, where the snapshot is", self.region);
            return Err(Error::invalid(what, reason).with_hint(format!("map it to a zone of {}", self.region)));
        }
        let _turn = self.once.turn(&wish.token).await;
        let make = || async {
            if let Some(volume) = self.borne(&what, &wish.token).await? {
                return Ok(disk_of(&volume));
            }
            self.patience.answer(&what, self.ask_disk(&what, taken, wish, zone)).await
        };
        self.patience.ride(&what, make).await
    }

    async fn disk(&self, handle: &str) -> Result<Option<Disk>> {
        let what = format!("volume {handle}");
        let id = volume_id(handle).ok_or_else(|| Error::invalid(&what, "it is no id of an EBS volume"))?;
        let Some(volume) = self.volume(&what, id).await? else {
            return Ok(None);
        };
        if matches!(volume.state(), Some(VolumeState::Error)) {
            return Err(Error::new(ErrorKind::Refused, what, "EC2 could not make it")
                .with_hint("see in the EC2 console why: most often its key may not be used"));
        }
        Ok(Some(disk_of(&volume)))
    }

    async fn remove(&self, handle: &str) -> Result<()> {
        let what = format!("deletion of the volume {handle}");
        let id = volume_id(handle).ok_or_else(|| Error::invalid(&what, "it is no id of an EBS volume"))?;
        let Some(volume) = self.volume(&what, id).await? else {
            return Ok(());
        };
        if volume.tags().iter().all(|pair| pair.key() != Some(DISK)) {
            return Err(not_made_here(&what));
        }
        let ask = || async {
            let asked = async {
                match self.client.delete_volume().volume_id(id).send().await {
                    Ok(_) => Ok(()),
                    Err(error) if code(&error) == Some("InvalidVolume.NotFound") => Ok(()),
                    Err(error) => Err(fault(&what, "ec2:DeleteVolume", &error)),
                }
            };
            self.patience.answer(&what, asked).await
        };
        self.patience.ride(&what, ask).await
    }
}

fn is_ready(state: Option<&VolumeState>) -> bool {
    matches!(state, Some(VolumeState::Available | VolumeState::InUse))
}

fn disk_of(volume: &Volume) -> Disk {
    Disk {
        handle: volume.volume_id().unwrap_or_default().to_owned(),
        zone: volume.availability_zone().unwrap_or_default().to_owned(),
        capacity: gibibytes(volume.size().unwrap_or_default().into()),
        ready: is_ready(volume.state()),
    }
}
