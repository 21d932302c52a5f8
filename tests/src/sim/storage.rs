//! A storage system for the simulator: volumes are names, snapshots are facts, and the process that asks may die before
//! it is asked and after.
//!
//! **Invariants.** (1) A snapshot's moment is the server's revision when it was asked for, so that a test can say whether it
//! lies where the point claims. (2) What a dead process had asked for stands. (3) Every request burns a step of the
//! process's fuse, before it takes effect and after.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use hindcast_journal::{
    Error, Result,
    parts::Micros,
    point::{Hook, Order, Phase, Tag, Taken, Volume},
    row::Revision,
};
use hindcast_snapshotter::{
    Exec, Now,
    driver::{Standing, VolumeDriver},
};
use hindcast_watcher::Handle;

use super::{api::Server, world::Process};

/// How long until a snapshot has its moment, and until it is ready.
const CUT: Micros = 1_000_000;
const READY: Micros = 3_000_000;

/// What a claim's snapshots are to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is refused at once.
    Refused,
    /// It is accepted and fails.
    Fails,
    /// It is never ready.
    Hangs,
}

/// A snapshot.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What it bears.
    pub tag: Tag,
    /// The claim.
    pub claim: String,
    /// The server's revision when it was asked for.
    pub revision: Revision,
    asked: Micros,
}

/// The storage system, shared by all processes.
#[derive(Debug, Default)]
pub struct Storage {
    snapshots: Mutex<BTreeMap<String, Snapshot>>,
    fates: Mutex<BTreeMap<String, Fate>>,
    /// Hooks that ran: Pod and phase, in order.
    hooks: Mutex<Vec<(String, Phase)>>,
}

impl Storage {
    /// What there is, by handle.
    pub fn snapshots(&self) -> BTreeMap<String, Snapshot> {
        self.snapshots.lock().expect("no holder panics").clone()
    }

    /// Says what snapshots of a claim come to.
    pub fn fate(&self, claim: &str, fate: Option<Fate>) {
        let mut fates = self.fates.lock().expect("no holder panics");
        match fate {
            Some(fate) => _ = fates.insert(claim.to_owned(), fate),
            None => _ = fates.remove(claim),
        }
    }

    fn fate_of(&self, claim: &str) -> Option<Fate> {
        self.fates.lock().expect("no holder panics").get(claim).copied()
    }

    /// The Pods whose writers are held: a hook before ran, and none after since.
    pub fn held(&self) -> Vec<String> {
        let mut held: BTreeMap<String, bool> = BTreeMap::new();
        for (pod, phase) in self.hooks.lock().expect("no holder panics").iter() {
            held.insert(pod.clone(), *phase == Phase::Pre);
        }
        held.into_iter().filter(|(_, held)| *held).map(|(pod, _)| pod).collect()
    }

    /// How many hooks after ran.
    pub fn thawed(&self) -> usize {
        self.hooks.lock().expect("no holder panics").iter().filter(|(_, phase)| *phase == Phase::Post).count()
    }

    /// Forgets which hooks ran.
    pub fn forget_hooks(&self) {
        self.hooks.lock().expect("no holder panics").clear();
    }
}

/// One process's way to the storage system, the Pods and the watcher.
pub struct Reach {
    process: Arc<Process>,
    storage: Arc<Storage>,
    server: Server,
    handle: Handle,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reach")
    }
}

impl Reach {
    /// The way of a process.
    pub fn new(process: &Arc<Process>, storage: &Arc<Storage>, server: &Server, handle: &Handle) -> Self {
        Self { process: process.clone(), storage: storage.clone(), server: server.clone(), handle: handle.clone() }
    }

    fn taken(handle: &str, snapshot: &Snapshot) -> Taken {
        Taken {
            tag: snapshot.tag.clone(),
            driver: "model".to_owned(),
            handle: handle.to_owned(),
            size: 7,
            time: Some(snapshot.asked),
            details: BTreeMap::new(),
        }
    }

    fn all(&self, wants: impl Fn(&Tag) -> bool) -> Vec<Taken> {
        let snapshots = self.storage.snapshots();
        snapshots.iter().filter(|(_, one)| wants(&one.tag)).map(|(handle, one)| Self::taken(handle, one)).collect()
    }
}

#[async_trait]
impl VolumeDriver for Reach {
    fn name(&self) -> &'static str {
        "model"
    }

    fn takes(&self, volume: &Volume) -> std::result::Result<(), String> {
        if volume.driver == "model.example.com" { Ok(()) } else { Err(format!("is of {}", volume.driver)) }
    }

    async fn create(&self, orders: &[Order]) -> Vec<Result<Taken>> {
        let mut out = Vec::new();
        for order in orders {
            self.process.step().await;
            let claim = &order.volume.claim;
            if self.storage.fate_of(claim) == Some(Fate::Refused) {
                out.push(Err(Error::invalid(format!("volume {claim}"), "the quota has no room")));
                continue;
            }
            let (handle, revision) = (order.tag.name(), self.server.revision());
            let fresh =
                Snapshot { tag: order.tag.clone(), claim: claim.clone(), revision, asked: self.process.world().now() };
            let stands = {
                let mut snapshots = self.storage.snapshots.lock().expect("no holder panics");
                snapshots.entry(handle.clone()).or_insert(fresh).clone()
            };
            self.process.step().await;
            out.push(Ok(Self::taken(&handle, &stands)));
        }
        out
    }

    async fn look(&self, taken: &Taken) -> Result<(Taken, Standing)> {
        self.process.step().await;
        let Some(snapshot) = self.storage.snapshots().remove(&taken.handle) else {
            return Ok((taken.clone(), Standing::Gone));
        };
        let age = self.process.world().now() - snapshot.asked;
        let standing = match self.storage.fate_of(&snapshot.claim) {
            Some(Fate::Fails) if age > CUT => Standing::Failed("the disk is broken".to_owned()),
            Some(Fate::Hangs) if age > CUT => Standing::Cut(Some(50)),
            _ if age > READY => Standing::Ready,
            _ if age > CUT => Standing::Cut(None),
            _ => Standing::Asked,
        };
        Ok((Self::taken(&taken.handle, &snapshot), standing))
    }

    async fn find(&self, cluster: &str, id: &str) -> Result<Vec<Taken>> {
        self.process.step().await;
        Ok(self.all(|tag| tag.cluster == cluster && tag.id == id))
    }

    async fn all(&self, cluster: &str) -> Result<Vec<Taken>> {
        self.process.step().await;
        Ok(self.all(|tag| tag.cluster == cluster))
    }

    async fn delete(&self, taken: &Taken) -> Result<()> {
        self.process.step().await;
        self.storage.snapshots.lock().expect("no holder panics").remove(&taken.handle);
        self.process.step().await;
        Ok(())
    }
}

#[async_trait]
impl Exec for Reach {
    async fn run(&self, hook: &Hook) -> Result<(), String> {
        self.process.step().await;
        self.storage.hooks.lock().expect("no holder panics").push((hook.pod.clone(), hook.phase));
        self.process.step().await;
        if hook.command.iter().any(|word| word == "fail") { Err("exit 1".to_owned()) } else { Ok(()) }
    }
}

#[async_trait]
impl Now for Reach {
    async fn revision(&self) -> Result<Revision> {
        self.process.step().await;
        Ok(self.server.revision())
    }

    async fn close(&self) -> Result<()> {
        self.process.step().await;
        let closed = self.handle.close().await;
        closed.map(|_| ()).map_err(|e| Error::invalid("close", e.to_string()))
    }
}
