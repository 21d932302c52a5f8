//! Amazon EBS: volumes of `ebs.csi.aws.com` and of `kubernetes.io/aws-ebs`.
//!
//! A snapshot is made by `CreateSnapshot` with its tags in the same request. EC2 has no idempotence for it, and lists what it
//! made with a delay, so the tags decide: they are looked for before each request, after a lost answer not before the
//! settling time is over ([`super::once`]). A volume is made with a client token and with a tag, looked for first.
//!
//! One driver looks after one region, its settings' or the SDK's; volumes elsewhere are refused by name. Pauses are ours
//! ([`super::patience`]): the SDK is told to try once.
//!
//! Rights it needs: `ec2:CreateSnapshot`, `ec2:CreateTags`, `ec2:DescribeSnapshots`, `ec2:DeleteSnapshot`; for restores
//! `ec2:CreateVolume`, `ec2:DescribeVolumes`, `ec2:DeleteVolume`; of an encrypted volume the use of its key.
//!
//! Not here: `CreateSnapshots`, which takes all volumes of one instance at one moment: its tags are the same for each, so none
//! would bear its own from the request that makes it, and a claim's volumes seldom share an instance. Nor fast snapshot
//! restore, which is charged by the hour and only warms a volume up; copies to another region; the archive tier. Start
//! reading at [`Ebs::open`].

mod connect;
mod disks;
mod sort;

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use aws_sdk_ec2::{
    Client,
    types::{Filter, ResourceType, Snapshot, SnapshotState, Tag as Pair, TagSpecification},
};
use futures::{StreamExt as _, stream};
use hindcast_journal::{Parts, Result, error::Error};

pub use self::connect::{Credentials, Settings};
use self::sort::{code, fault};
use super::{
    Limits,
    once::Once,
    patience::{Fault, Patience},
    text::{cut, gibibytes},
};
use crate::driver::{Disks, Order, Standing, Tag, Taken, Volume, VolumeDriver, tags};

/// The name of this driver in recovery points.
const NAME: &str = "aws";
/// Whose volumes it takes.
const DRIVERS: [&str; 2] = ["ebs.csi.aws.com", "kubernetes.io/aws-ebs"];

/// What is kept of a snapshot beside its id.
mod details {
    pub(super) const REGION: &str = "region";
    pub(super) const ZONE: &str = "zone";
    pub(super) const VOLUME: &str = "volume";
}

/// The driver of Amazon EBS in one region.
#[derive(Debug)]
pub struct Ebs {
    client: Client,
    region: String,
    patience: Patience,
    once: Once,
}

impl Ebs {
    /// A driver by these settings. Where they are silent, environment, profile, web identity and the machine's own role say
    /// what is needed, as for every program that uses the SDK.
    pub async fn open(settings: Settings, limits: Limits, parts: Parts) -> Result<Self> {
        let once = Once::new(parts.clock.monotonic(), settings.earlier);
        let (client, region) = connect::client(settings).await?;
        Ok(Self { client, region, patience: Patience { parts, limits }, once })
    }

    /// One page after another of the snapshots that bear these tags.
    async fn list(&self, what: &str, bearing: &[(&str, &str)]) -> Result<Vec<Taken>, Fault> {
        let filter =
            |(name, value): &(&str, &str)| Filter::builder().name(format!("tag:{name}")).values(*value).build();
        let filters: Vec<Filter> = bearing.iter().map(filter).collect();
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let request = self.client.describe_snapshots().owner_ids("self").set_filters(Some(filters.clone()));
            let request = request.max_results(i32::from(self.patience.limits.page)).set_next_token(next);
            let asked = async { request.send().await.map_err(|error| fault(what, "ec2:DescribeSnapshots", &error)) };
            let page = self.patience.answer(what, asked).await?;
            found.extend(page.snapshots().iter().filter_map(|snapshot| self.taken(snapshot)));
            next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// The same, asked for until it is answered.
    async fn listed(&self, what: &str, bearing: &[(&str, &str)]) -> Result<Vec<Taken>> {
        self.patience.ride(what, || self.list(what, bearing)).await
    }

    /// The snapshot that bears this tag, if it is listed. Of several, which only others can have made, the first.
    async fn marked(&self, what: &str, tag: &Tag) -> Result<Option<Taken>, Fault> {
        let index = tag.index.to_string();
        let bearing = [(tags::CLUSTER, &*tag.cluster), (tags::ID, &*tag.id), (tags::INDEX, &*index)];
        let mut found = self.list(what, &bearing).await?;
        found.sort_by(|a, b| (a.time, &a.handle).cmp(&(b.time, &b.handle)));
        Ok(found.into_iter().next())
    }

    async fn take(&self, order: &Order) -> Result<Taken> {
        let what = format!("snapshot of {}", order.volume.title());
        self.takes(&order.volume).map_err(|reason| Error::invalid(&what, reason))?;
        let name = order.tag.name();
        let settle = self.patience.limits.settle;
        let _turn = self.once.turn(&name).await;
        // Looked for once, and again only where a request may have been carried out: EC2 has enough to do when it refuses.
        let looked = AtomicBool::new(false);
        let taken = self.patience.ride(&what, || async {
            if !looked.load(Ordering::Relaxed) {
                if let Some(found) = self.marked(&what, &order.tag).await? {
                    return Ok(found);
                }
                looked.store(true, Ordering::Relaxed);
            }
            if let Some(rest) = self.once.doubt(&name, self.patience.now(), settle) {
                self.patience.sleep(rest).await;
                if let Some(found) = self.marked(&what, &order.tag).await? {
                    return Ok(found);
                }
            }
            self.once.asking(&name, self.patience.now());
            let asked = self.patience.answer(&what, self.ask(&what, order)).await;
            match &asked {
                // It may have been carried out as late as this.
                Err(fault) if fault.is_lost() => self.once.asking(&name, self.patience.now()),
                Err(_) => self.once.refused(&name),
                Ok(_) => {}
            }
            asked
        });
        let mut taken = taken.await?;
        if let Some(zone) = zone(&order.volume) {
            taken.details.insert(details::ZONE.to_owned(), zone.to_owned());
        }
        Ok(taken)
    }

    /// The one request that makes a snapshot.
    async fn ask(&self, what: &str, order: &Order) -> Result<Taken, Fault> {
        let volume = volume_id(&order.volume.handle).unwrap_or_default();
        let request = self.client.create_snapshot().volume_id(volume);
        let request = request.description(cut(&format!("Hindcast: {what}, {}", order.tag), 255));
        let request = request.tag_specifications(marks(ResourceType::Snapshot, &pairs(order)));
        let answer =
            request.send().await.map_err(|error| fault(what, "ec2:CreateSnapshot and ec2:CreateTags", &error))?;
        let handle = answer.snapshot_id().unwrap_or_default();
        if handle.is_empty() {
            return Err(Fault::lost(Error::internal(what, "EC2 made a snapshot and did not say its id")));
        }
        Ok(Taken {
            tag: order.tag.clone(),
            driver: NAME.to_owned(),
            handle: handle.to_owned(),
            size: gibibytes(answer.volume_size().unwrap_or_default().into()),
            time: answer.start_time().map(micros),
            details: self.details(volume),
        })
    }

    /// What is kept of a listed snapshot; `None` if its tags are not ours.
    fn taken(&self, snapshot: &Snapshot) -> Option<Taken> {
        let tag = tag_of(snapshot.tags())?;
        Some(Taken {
            tag,
            driver: NAME.to_owned(),
            handle: snapshot.snapshot_id()?.to_owned(),
            size: gibibytes(snapshot.volume_size().unwrap_or_default().into()),
            time: snapshot.start_time().map(micros),
            details: self.details(snapshot.volume_id().unwrap_or_default()),
        })
    }

    fn details(&self, volume: &str) -> std::collections::BTreeMap<String, String> {
        [(details::REGION, self.region.as_str()), (details::VOLUME, volume)].map(|(k, v)| (k.into(), v.into())).into()
    }

    /// The snapshot of this id; `None` if EC2 knows of none.
    async fn snapshot(&self, what: &str, taken: &Taken) -> Result<Option<Snapshot>> {
        self.here(what, taken)?;
        let ask = || async {
            let request = self.client.describe_snapshots().snapshot_ids(&taken.handle);
            let asked = async {
                match request.send().await {
                    Ok(answer) => Ok(answer.snapshots().first().cloned()),
                    Err(error) if code(&error) == Some("InvalidSnapshot.NotFound") => Ok(None),
                    Err(error) => Err(fault(what, "ec2:DescribeSnapshots", &error)),
                }
            };
            self.patience.answer(what, asked).await
        };
        let found = self.patience.ride(what, ask).await?;
        let name = taken.tag.name();
        match self.once.doubt(&name, self.patience.now(), self.patience.limits.settle) {
            // It was made a moment ago, and EC2 may not show it yet.
            Some(rest) if found.is_none() => {
                self.patience.sleep(rest).await;
                self.patience.ride(what, ask).await
            }
            _ => Ok(found),
        }
    }

    /// That a snapshot is in this driver's region.
    fn here(&self, what: &str, taken: &Taken) -> Result<()> {
        match taken.details.get(details::REGION) {
            Some(region) if *region != self.region => {
                let reason = format!("it is in {region}, and this driver looks after {}", self.region);
                Err(Error::invalid(what, reason).with_hint(format!("set the volume location's region to {region}")))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl VolumeDriver for Ebs {
    fn name(&self) -> &str {
        NAME
    }

    fn takes(&self, volume: &Volume) -> std::result::Result<(), String> {
        if !DRIVERS.contains(&volume.driver.as_str()) {
            return Err(format!("its driver is {}, not one of {}", volume.driver, DRIVERS.join(", ")));
        }
        if volume_id(&volume.handle).is_none() {
            return Err(format!("{:?} is no id of an EBS volume", volume.handle));
        }
        match zone(volume) {
            Some(zone) if region_of(zone) != self.region => {
                Err(format!("it is in the zone {zone}, and this driver looks after the region {}", self.region))
            }
            _ => Ok(()),
        }
    }

    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>> {
        self.once.sweep(self.patience.now(), self.patience.limits.settle);
        let all: Vec<_> = orders.iter().map(|order| self.take(order)).collect();
        stream::iter(all).buffered(self.patience.limits.at_once.max(1)).collect().await
    }

    async fn look(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        let what = format!("snapshot {}", taken.handle);
        let Some(snapshot) = self.snapshot(&what, taken).await? else {
            return Ok((taken.clone(), Standing::Gone));
        };
        let mut seen = taken.clone();
        seen.size = gibibytes(snapshot.volume_size().unwrap_or_default().into());
        seen.time = snapshot.start_time().map(micros).or(seen.time);
        // EBS fixes the moment when it accepts the request; what is pending is being copied.
        let standing = match snapshot.state() {
            Some(SnapshotState::Completed) => Standing::Ready,
            Some(SnapshotState::Error) => {
                let message = snapshot.state_message().filter(|m| !m.is_empty());
                Standing::Failed(message.unwrap_or("EC2 says that it failed, and not why").to_owned())
            }
            Some(SnapshotState::Recoverable | SnapshotState::Recovering) => {
                Standing::Failed("it was deleted and is in the recycle bin".to_owned())
            }
            _ => Standing::Cut(snapshot.progress().and_then(|p| p.trim_end_matches('%').parse().ok())),
        };
        Ok((seen, standing))
    }

    async fn find(&self, cluster: &str, id: &str) -> Result<Vec<Taken>> {
        let what = format!("snapshots of the recovery point {id}");
        let bearing = [(tags::CLUSTER, cluster), (tags::ID, id)];
        // Who asks may have died right after a request: what it made is listed after the settling time at the latest.
        let early = self.listed(&what, &bearing).await?;
        self.patience.sleep(self.patience.limits.settle).await;
        let mut found = self.listed(&what, &bearing).await?;
        let missing: Vec<Taken> = early.into_iter().filter(|e| found.iter().all(|f| f.handle != e.handle)).collect();
        found.extend(missing);
        Ok(found)
    }

    async fn all(&self, cluster: &str) -> Result<Vec<Taken>> {
        self.listed(&format!("snapshots of the cluster {cluster}"), &[(tags::CLUSTER, cluster)]).await
    }

    async fn delete(&self, taken: &Taken) -> Result<()> {
        let what = format!("deletion of the snapshot {}", taken.handle);
        let Some(snapshot) = self.snapshot(&what, taken).await? else {
            return Ok(());
        };
        if tag_of(snapshot.tags()).is_none_or(|tag| (&tag.cluster, &tag.id) != (&taken.tag.cluster, &taken.tag.id)) {
            return Err(super::ours::foreign(&what, &taken.tag));
        }
        let ask = || async {
            let asked = async {
                match self.client.delete_snapshot().snapshot_id(&taken.handle).send().await {
                    Ok(_) => Ok(()),
                    Err(error) if code(&error) == Some("InvalidSnapshot.NotFound") => Ok(()),
                    Err(error) => Err(fault(&what, "ec2:DeleteSnapshot", &error)),
                }
            };
            self.patience.answer(&what, asked).await
        };
        self.patience.ride(&what, ask).await
    }

    fn disks(&self) -> Option<&dyn Disks> {
        Some(self)
    }
}

/// The id in a handle: `vol-…`, or `aws://zone/vol-…` of a built-in source.
fn volume_id(handle: &str) -> Option<&str> {
    let id = handle.rsplit('/').next()?;
    let digits = id.strip_prefix("vol-")?;
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

/// The zone that a volume says, or that its built-in source names.
fn zone(volume: &Volume) -> Option<&str> {
    volume.zone().or_else(|| volume.handle.strip_prefix("aws://")?.split('/').next()).filter(|zone| !zone.is_empty())
}

/// The region of a zone: `us-west-2` of `us-west-2b`, and of the local zone `us-west-2-lax-1a`.
fn region_of(zone: &str) -> &str {
    let digit = zone.find(|c: char| c.is_ascii_digit());
    let end = digit.map(|at| at + zone[at..].chars().take_while(char::is_ascii_digit).count());
    end.map_or(zone, |end| &zone[..end])
}

/// What a snapshot bears. Ours go before the user's.
fn pairs(order: &Order) -> Vec<(String, String)> {
    let own = [
        ("Name", order.tag.name()),
        (tags::CLUSTER, order.tag.cluster.clone()),
        (tags::POINT, order.tag.point.clone()),
        (tags::ID, order.tag.id.clone()),
        (tags::INDEX, order.tag.index.to_string()),
        (tags::CLAIM, order.volume.title()),
    ];
    let own: Vec<(String, String)> = own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let more = order.tags.iter().filter(|(name, _)| own.iter().all(|(own, _)| own != *name));
    let more: Vec<(String, String)> = more.map(|(name, value)| (name.clone(), value.clone())).collect();
    own.into_iter().chain(more).collect()
}

/// Tags in the request that makes what bears them. EC2 takes 128 and 256 characters.
fn marks(of: ResourceType, pairs: &[(String, String)]) -> TagSpecification {
    let pair = |(name, value): &(String, String)| Pair::builder().key(cut(name, 128)).value(cut(value, 256)).build();
    TagSpecification::builder().resource_type(of).set_tags(Some(pairs.iter().map(pair).collect())).build()
}

/// Which snapshot these tags name.
fn tag_of(pairs: &[Pair]) -> Option<Tag> {
    let value = |name: &str| pairs.iter().find(|pair| pair.key() == Some(name))?.value();
    Some(Tag {
        cluster: value(tags::CLUSTER)?.to_owned(),
        point: value(tags::POINT).unwrap_or_default().to_owned(),
        id: value(tags::ID)?.to_owned(),
        index: value(tags::INDEX)?.parse().ok()?,
    })
}

fn micros(time: &aws_sdk_ec2::primitives::DateTime) -> i64 {
    (time.as_nanos() / 1000) as i64
}

#[cfg(test)]
mod tests;
