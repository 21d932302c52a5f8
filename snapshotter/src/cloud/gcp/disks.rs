//! Persistent disks made from snapshots.
//!
//! A disk's name is made of the wish's token, so the name decides whether it is there. Regional snapshots' disks are made
//! where they were unless a zone is wished for, or where the class asks for `regional-pd`.

use async_trait::async_trait;
use google_cloud_compute_v1::{
    Result as Answer,
    model::{CustomerEncryptionKey, Disk as Made, Operation, disk::Status, operation},
};
use hindcast_journal::{
    Result,
    error::{Error, ErrorKind},
};

use super::{
    PersistentDisks, details,
    names::{Place, of_disk, region_of, request_id},
    ours,
    sort::{failed, fault, is_not_found, is_taken},
};
use crate::{
    cloud::{
        ours::not_made_here,
        patience::Fault,
        text::{gibibytes, in_gibibytes, label},
    },
    driver::{Disk, Disks, Taken, Wish},
};

/// The label of a disk that was made here: the token of the wish.
const DISK: &str = "hindcast-disk";

impl PersistentDisks {
    /// Where the disk is to be.
    fn wanted(&self, what: &str, taken: &Taken, wish: &Wish) -> Result<(Place, Vec<String>)> {
        let disk = label(&wish.token);
        let source = taken.details.get(details::DISK).map(String::as_str).unwrap_or_default();
        let source = of_disk(source, None, &self.project).ok();
        let regional = wish.parameters.get("replication-type").is_some_and(|kind| kind == "regional-pd");
        let project = self.project.clone();
        // Two zones, joined as Kubernetes joins them in labels.
        if let Some((one, two)) = wish.zone.split_once("__") {
            let zones = [one, two].map(|zone| format!("projects/{project}/zones/{zone}")).to_vec();
            return Ok((Place::Region { region: region_of(one).to_owned(), project, disk }, zones));
        }
        match source {
            _ if regional => Err(Error::invalid(what, "its class asks for a regional disk, and its zone is one")
                .with_hint("map its zone to two, joined: us-central1-a__us-central1-b")),
            _ if !wish.zone.is_empty() => Ok((Place::Zone { project, zone: wish.zone.clone(), disk }, Vec::new())),
            Some(Place::Zone { zone, .. }) => Ok((Place::Zone { project, zone, disk }, Vec::new())),
            Some(Place::Region { .. }) | None => Err(Error::invalid(what, "it is not known in which zone to make it")
                .with_hint("map its zone to one, or to two, joined: us-central1-a__us-central1-b")),
        }
    }

    async fn read(&self, what: &str, place: &Place) -> Result<Option<Made>, Fault> {
        let asked = async {
            let answer = match place {
                Place::Zone { project, zone, disk } => {
                    self.zonal.get().set_project(project).set_zone(zone).set_disk(disk).send().await
                }
                Place::Region { project, region, disk } => {
                    self.regional.get().set_project(project).set_region(region).set_disk(disk).send().await
                }
            };
            found(answer).map_err(|error| fault(what, "compute.disks.get", &error))
        };
        self.patience.answer(what, asked).await
    }

    /// Follows an operation on a disk to its end.
    async fn followed(&self, what: &str, place: &Place, begun: Operation) -> Result<()> {
        let name = begun.name.clone().unwrap_or_default();
        let look = || async {
            let ask = || async {
                let asked = async {
                    let answer = match place {
                        Place::Zone { project, zone, .. } => {
                            let request = self.zonal.get_operation().set_project(project).set_zone(zone);
                            request.set_operation(&name).send().await
                        }
                        Place::Region { project, region, .. } => {
                            let request = self.regional.get_operation().set_project(project).set_region(region);
                            request.set_operation(&name).send().await
                        }
                    };
                    found(answer).map_err(|error| fault(what, "compute.zoneOperations.get", &error))
                };
                self.patience.answer(what, asked).await
            };
            // What is not known any more was done long ago.
            let Some(operation) = self.patience.ride(what, ask).await? else {
                return Ok(Some(()));
            };
            match failed(what, &operation) {
                Some(fault) => Err(Error::from(fault)),
                None => Ok((operation.status == Some(operation::Status::Done)).then_some(())),
            }
        };
        match failed(what, &begun) {
            Some(fault) => Err(fault.into()),
            None => self.patience.until(what, look).await,
        }
    }

    /// What the class asks for.
    fn asked_for(&self, what: &str, place: &Place, zones: Vec<String>, taken: &Taken, wish: &Wish) -> Result<Made> {
        let number = |name: &str| match wish.parameters.get(name) {
            Some(text) => text.trim_end_matches("Mi").parse::<i64>().map(Some).map_err(|_| {
                Error::invalid(what, format!("{name} is {text:?} in its storage class, which is no number"))
            }),
            None => Ok(None),
        };
        let (path, disk) = match place {
            Place::Zone { project, zone, disk } => (format!("projects/{project}/zones/{zone}"), disk),
            Place::Region { project, region, disk } => (format!("projects/{project}/regions/{region}"), disk),
        };
        let mut labels = vec![(DISK.to_owned(), label(&wish.token))];
        labels.extend(wish.tags.iter().map(|(name, text)| (label(name), label(text))));
        let kind = wish.parameters.get("type").map(|kind| format!("{path}/diskTypes/{kind}"));
        let key = wish.parameters.get("disk-encryption-kms-key");
        let key = key.map(|key| CustomerEncryptionKey::new().set_kms_key_name(key));
        let made = Made::new()
            .set_name(disk)
            .set_labels(labels)
            .set_size_gb(in_gibibytes(wish.capacity, taken.size))
            .set_source_snapshot(format!("projects/{}/global/snapshots/{}", self.project, taken.handle))
            .set_replica_zones(zones)
            .set_or_clear_type(kind)
            .set_or_clear_disk_encryption_key(key)
            .set_or_clear_provisioned_iops(number("provisioned-iops-on-create")?)
            .set_or_clear_provisioned_throughput(number("provisioned-throughput-on-create")?);
        Ok(made)
    }
}

/// `None` for what is not there.
fn found<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Disks for PersistentDisks {
    async fn make(&self, taken: &Taken, wish: &Wish) -> Result<Disk> {
        let what = format!("disk from the snapshot {}", taken.handle);
        self.here(&what, taken)?;
        if wish.token.is_empty() {
            return Err(Error::internal(what, "it was wished for without a token"));
        }
        let (place, zones) = self.wanted(&what, taken, wish)?;
        let body = self.asked_for(&what, &place, zones, taken, wish)?;
        let _turn = self.once.turn(&wish.token).await;
        let id = request_id(&self.patience.parts);
        let ask = || async {
            if let Some(made) = self.read(&what, &place).await? {
                return match made.labels.get(DISK) == Some(&label(&wish.token)) {
                    true => Ok(None),
                    false => {
                        let reason = format!("its name is taken by {}, which no restore made", place.path());
                        let error = Error::new(ErrorKind::Refused, &what, reason);
                        Err(ours(error.with_hint("delete that disk if nobody needs it")))
                    }
                };
            }
            let asked = async {
                let answer = match &place {
                    Place::Zone { project, zone, .. } => {
                        let request = self.zonal.insert().set_project(project).set_zone(zone);
                        request.set_request_id(&id).set_body(body.clone()).send().await
                    }
                    Place::Region { project, region, .. } => {
                        let request = self.regional.insert().set_project(project).set_region(region);
                        request.set_request_id(&id).set_body(body.clone()).send().await
                    }
                };
                match answer {
                    Ok(operation) => Ok(Some(operation)),
                    // Made by a request whose answer was lost, since it was looked for.
                    Err(error) if is_taken(&error) => Ok(None),
                    Err(error) => Err(fault(&what, "compute.disks.create and compute.snapshots.useReadOnly", &error)),
                }
            };
            self.patience.answer(&what, asked).await
        };
        if let Some(operation) = self.patience.ride(&what, ask).await? {
            self.followed(&what, &place, operation).await?;
        }
        let made = self.patience.ride(&what, || self.read(&what, &place)).await?;
        let gone = || Error::new(ErrorKind::Unavailable, &what, "it was made, and is not there");
        Ok(disk_of(&place, &made.ok_or_else(gone)?))
    }

    async fn disk(&self, handle: &str) -> Result<Option<Disk>> {
        let what = format!("disk {handle}");
        let place = of_disk(handle, None, &self.project).map_err(|reason| Error::invalid(&what, reason))?;
        let made = self.patience.ride(&what, || self.read(&what, &place)).await?;
        match made {
            Some(made) if made.status == Some(Status::Failed) => {
                let error = Error::new(ErrorKind::Refused, what, "Compute Engine could not make it");
                Err(error.with_hint("see in the console's list of operations why"))
            }
            Some(made) if made.status == Some(Status::Deleting) => Ok(None),
            made => Ok(made.map(|made| disk_of(&place, &made))),
        }
    }

    async fn remove(&self, handle: &str) -> Result<()> {
        let what = format!("deletion of the disk {handle}");
        let place = of_disk(handle, None, &self.project).map_err(|reason| Error::invalid(&what, reason))?;
        let Some(made) = self.patience.ride(&what, || self.read(&what, &place)).await? else {
            return Ok(());
        };
        if !made.labels.contains_key(DISK) {
            return Err(not_made_here(&what));
        }
        let id = request_id(&self.patience.parts);
        let ask = || async {
            let asked = async {
                let answer = match &place {
                    Place::Zone { project, zone, disk } => {
                        let request = self.zonal.delete().set_project(project).set_zone(zone).set_disk(disk);
                        request.set_request_id(&id).send().await
                    }
                    Place::Region { project, region, disk } => {
                        let request = self.regional.delete().set_project(project).set_region(region).set_disk(disk);
                        request.set_request_id(&id).send().await
                    }
                };
                found(answer).map_err(|error| fault(&what, "compute.disks.delete", &error))
            };
            self.patience.answer(&what, asked).await
        };
        match self.patience.ride(&what, ask).await? {
            Some(operation) => self.followed(&what, &place, operation).await,
            None => Ok(()),
        }
    }
}

fn disk_of(place: &Place, made: &Made) -> Disk {
    let zone = match place {
        Place::Zone { zone, .. } => zone.clone(),
        Place::Region { .. } => {
            let zones = made.replica_zones.iter().filter_map(|zone| zone.rsplit('/').next());
            zones.collect::<Vec<_>>().join("__")
        }
    };
    Disk {
        handle: place.path(),
        zone,
        capacity: gibibytes(made.size_gb.unwrap_or_default()),
        ready: made.status == Some(Status::Ready),
    }
}
