//! From what drivers are asked to the messages of a plugin, and back, checked.

use hindcast_journal::{Result, parts::Micros};
use hindcast_snapshotter::driver::{Disk, Order, Tag, Taken, Volume, Wish};

use crate::{
    check::Answer,
    wire::{self, Texts},
};

/// How far the moment of a snapshot may be ahead of this machine's clock.
const AHEAD: Micros = 24 * 3600 * 1_000_000;

/// The tag that a snapshot bears, if it bears one.
pub(super) fn tag(answer: Answer<'_>, tag: Option<wire::Tag>) -> Result<Option<Tag>> {
    let Some(tag) = tag else { return Ok(None) };
    for (what, text) in [("cluster", &tag.cluster), ("point", &tag.point), ("id", &tag.id)] {
        if text.is_empty() || text.len() > 253 || text.contains(char::is_control) {
            return Err(answer.wrong(format!("the {what} in a tag is none")));
        }
    }
    Ok(Some(Tag { cluster: tag.cluster, point: tag.point, id: tag.id, index: tag.index }))
}

/// A snapshot of a plugin's driver.
pub(super) fn taken(answer: Answer<'_>, driver: &str, tag: Tag, taken: wire::Taken, now: Micros) -> Result<Taken> {
    answer.handle(&taken.handle)?;
    answer.bytes(taken.size)?;
    answer.details(&taken.details)?;
    if taken.time.is_some_and(|time| time <= 0 || time > now.saturating_add(AHEAD)) {
        return Err(answer.wrong("its moment is none, or lies ahead"));
    }
    let wire::Taken { handle, size, time, details, .. } = taken;
    Ok(Taken { tag, driver: driver.to_owned(), handle, size, time, details })
}

/// A disk.
pub(super) fn disk(answer: Answer<'_>, disk: wire::Disk) -> Result<Disk> {
    answer.handle(&disk.handle)?;
    answer.zone(&disk.zone)?;
    answer.bytes(disk.capacity)?;
    Ok(Disk { handle: disk.handle, zone: disk.zone, capacity: disk.capacity, ready: disk.ready })
}

/// What a disk is wished for with.
pub(super) fn wish(taken: &Taken, wish: &Wish) -> wire::MakeDiskRequest {
    wire::MakeDiskRequest {
        taken: Some(taken.into()),
        token: wish.token.clone(),
        zone: wish.zone.clone(),
        capacity: wish.capacity,
        parameters: wish.parameters.clone(),
        tags: wish.tags.clone(),
    }
}

impl From<&Tag> for wire::Tag {
    fn from(tag: &Tag) -> Self {
        let Tag { cluster, point, id, index } = tag.clone();
        Self { cluster, point, id, index }
    }
}

impl From<&Taken> for wire::Taken {
    fn from(taken: &Taken) -> Self {
        Self {
            tag: Some((&taken.tag).into()),
            handle: taken.handle.clone(),
            size: taken.size,
            time: taken.time,
            details: taken.details.clone(),
        }
    }
}

impl From<&Volume> for wire::Volume {
    fn from(volume: &Volume) -> Self {
        let volume = volume.clone();
        let topology = volume.topology.into_iter().map(|(key, texts)| (key, Texts { texts }));
        Self {
            namespace: volume.namespace,
            claim: volume.claim,
            claim_uid: volume.claim_uid,
            name: volume.name,
            driver: volume.driver,
            handle: volume.handle,
            class: volume.class,
            capacity: volume.capacity,
            mode: volume.mode,
            fs_type: volume.fs_type,
            access_modes: volume.access_modes,
            topology: topology.collect(),
            attributes: volume.attributes,
            labels: volume.labels,
            pods: volume.pods,
            reclaim: volume.reclaim,
        }
    }
}

impl From<&Order> for wire::Order {
    fn from(order: &Order) -> Self {
        Self { tag: Some((&order.tag).into()), volume: Some((&order.volume).into()), tags: order.tags.clone() }
    }
}
