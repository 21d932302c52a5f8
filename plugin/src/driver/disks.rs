//! Disks that a plugin makes from its snapshots.
//!
//! As of snapshots, the token decides whether one was made already, so a lost answer is asked for again.

use async_trait::async_trait;
use hindcast_journal::Result;
use hindcast_snapshotter::driver::{Disk, Disks, Taken, Wish};

use super::{PluginDriver, convert};
use crate::{
    check::Answer,
    wire::{self, Method},
};

#[async_trait]
impl Disks for PluginDriver {
    async fn make(&self, taken: &Taken, wish: &Wish) -> Result<Disk> {
        let what = format!("disk from the snapshot {}", taken.handle);
        let request = convert::wish(taken, wish);
        let ask = || self.plugin.call::<_, wire::MakeDiskResponse>(&what, Method::MAKE_DISK, request.clone());
        let answered = self.patience().ride(&what, ask).await?;
        let who = self.plugin.title();
        let answer = Answer { who: &who, what: &what, method: Method::MAKE_DISK };
        let disk = convert::disk(answer, answer.there("disk", answered.disk)?)?;
        if disk.capacity < taken.size.max(wish.capacity) {
            let wanted = taken.size.max(wish.capacity);
            return Err(answer.wrong(format!("a disk of {} bytes, where {wanted} are asked for", disk.capacity)));
        }
        if !wish.zone.is_empty() && disk.zone != wish.zone {
            return Err(answer.wrong(format!("a disk in the zone {:?}, not in {}", disk.zone, wish.zone)));
        }
        Ok(disk)
    }

    async fn disk(&self, handle: &str) -> Result<Option<Disk>> {
        let what = format!("disk {handle}");
        let request = wire::LookDiskRequest { handle: handle.to_owned() };
        let ask = || self.plugin.call::<_, wire::LookDiskResponse>(&what, Method::LOOK_DISK, request.clone());
        let Some(disk) = self.patience().ride(&what, ask).await?.disk else { return Ok(None) };
        let who = self.plugin.title();
        let answer = Answer { who: &who, what: &what, method: Method::LOOK_DISK };
        let disk = convert::disk(answer, disk)?;
        match disk.handle == handle {
            true => Ok(Some(disk)),
            false => Err(answer.wrong(format!("it is asked about {handle}, and answers about {}", disk.handle))),
        }
    }

    async fn remove(&self, handle: &str) -> Result<()> {
        let what = format!("deletion of the disk {handle}");
        let request = wire::RemoveDiskRequest { handle: handle.to_owned() };
        self.gone::<_, wire::RemoveDiskResponse>(&what, Method::REMOVE_DISK, request).await
    }
}
