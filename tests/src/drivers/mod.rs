//! What every driver of volumes has to do, asked of each in the same words.
//!
//! A [`World`] is a storage system on this machine and a driver of it: it makes volumes, says for itself how many snapshots
//! there are, and strikes with faults. [`suite`] is the behaviour. Start reading there.

pub mod suite;

use anyhow::Result;
use async_trait::async_trait;
use hindcast_snapshotter::{
    cloud::Limits,
    driver::{Order, Tag, Volume, VolumeDriver},
};
use std::time::Duration;

use crate::clouds::Faults;

/// A storage system, and drivers of it.
#[async_trait]
pub trait World: Send + Sync {
    /// A driver, as a process makes one when it starts. `earlier`: another may have died right before.
    async fn driver(&self, earlier: bool) -> Result<Box<dyn VolumeDriver>>;

    /// A driver whose credentials nobody knows.
    async fn stranger(&self) -> Result<Box<dyn VolumeDriver>>;

    /// A new volume.
    async fn volume(&self) -> Result<Volume>;

    /// Takes a volume away.
    async fn lose(&self, volume: &Volume) -> Result<()>;

    /// How many snapshots bear this cluster, as the storage system says without the driver.
    async fn count(&self, cluster: &str) -> Result<usize>;

    /// The handle of a snapshot that somebody else made of this volume.
    async fn foreign(&self, volume: &Volume) -> Result<String>;

    /// Whether there is a snapshot of this handle.
    async fn has(&self, handle: &str) -> Result<bool>;

    /// How many disks were made from a snapshot, without the driver.
    async fn disks_of(&self, handle: &str) -> Result<usize>;

    /// Another zone than the volumes'.
    fn other_zone(&self) -> String;

    /// What strikes.
    fn faults(&self) -> &Faults;

    /// How long its drivers wait for what.
    fn limits(&self) -> Limits {
        limits()
    }
}

/// An order of a volume's snapshot, for a point of its own.
pub fn order(volume: Volume, index: u32) -> Order {
    let tag = Tag { cluster: "c".into(), point: "Nightly 1".into(), id: "0a".repeat(16), index };
    Order::bare(tag, volume)
}

/// Limits that fit a cloud on this machine, and pages that are soon full.
pub fn limits() -> Limits {
    Limits {
        request: Duration::from_secs(5),
        patience: Duration::from_secs(4),
        operation: Duration::from_secs(4),
        settle: LATE + Duration::from_millis(200),
        pause: Duration::from_millis(4),
        at_once: 8,
        page: 5,
    }
}

/// How late a cloud lists what it made, where that is tried.
pub const LATE: Duration = Duration::from_millis(400);
