//! A scripted scene: a server, a bucket and one process at a time, with nothing left to chance but the seed's small
//! delays.
//!
//! Where a fault has a sequence of its own, that is told here step by step; what many seeds find is in
//! [`super::cluster`]. **Words**: a *run* is one process from its start to its stop.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use hindcast_compactor::Policy;
use hindcast_journal::{
    Journal, Reader,
    facts::Gap,
    seal::{DataKeys, Key},
    segment::FrontierVector,
    writer::Sabotage,
};
use hindcast_watcher::{ErrorKind, Handle, KindStatus, Settings};
use object_store::path::Path;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    api::Server,
    check::PREFIX,
    json::{Json, obj},
    life::{Setup, life},
    store::{Bucket, Requests},
    world::{Process, World},
};

/// A server and a bucket.
pub struct Scene {
    /// The world they are in.
    pub world: Arc<World>,
    /// The API server.
    pub server: Server,
    pub(super) bucket: Bucket,
    runs: u64,
}

/// A process that protects the cluster.
pub struct Run {
    /// Its handle.
    pub handle: Handle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), (ErrorKind, String)>>,
}

impl Scene {
    /// A scene whose Events count apart.
    pub fn new(seed: u64) -> Self {
        let world = World::new(seed, []);
        let server = Server::start(&world, true);
        Self { bucket: Bucket::new(&world), server, world, runs: 0 }
    }

    /// Starts a process.
    pub fn run(&mut self, settings: Settings) -> Run {
        self.run_with(settings, None, Vec::new())
    }

    /// Starts a process that compacts too, and seals with these keys.
    pub fn run_with(&mut self, settings: Settings, checkpoints: Option<Policy>, keys: Vec<Arc<Key>>) -> Run {
        self.runs += 1;
        let process = Process::new(format!("r{}", self.runs), &self.world);
        let (handle, commands) = hindcast_watcher::channel();
        let (stop, stopped) = oneshot::channel();
        let stopped = stopped.map(|_| ());
        let keys = Arc::new(DataKeys::new(&self.server.cluster(), keys, process.parts()));
        let keys = (!keys.keys().is_empty()).then_some(keys);
        let setup = Setup { settings, sabotage: Sabotage::None, checkpoints, keys, ha: None };
        let ends = (handle.clone(), commands);
        let life = life(process, self.server.clone(), self.bucket.clone(), setup, ends, stopped);
        Run { handle, stop, task: tokio::task::spawn_local(life) }
    }

    /// What the bucket was asked so far.
    pub fn requests(&self) -> Requests {
        self.bucket.requests()
    }

    /// The names of what the bucket holds in a folder of the journal.
    pub async fn names(&self, folder: &str) -> Vec<String> {
        let folder = format!("/{folder}/");
        self.bucket.contents().await.into_iter().map(|(name, _)| name).filter(|name| name.contains(&folder)).collect()
    }

    /// Lets time pass in which nothing is written but leases.
    pub async fn pass(&self, seconds: u64) {
        self.world.sleep(Duration::from_secs(seconds)).await;
    }

    /// Writes an object, new or there.
    pub fn write(&self, kind: &str, name: &str, value: u64) -> u64 {
        let spec = |value: u64| obj([("n", value.into())]);
        let created = self.server.create(kind, "shop", name, obj([("spec", spec(value))]));
        let change = |object: &mut Json| object.set("spec", spec(value));
        created.or_else(|_| self.server.update(kind, "shop", name, ("kubectl", ""), change)).expect("it is served")
    }

    /// The journal, without faults on the way to it.
    pub fn journal(&self) -> Journal {
        let reader = Process::new("reader", &self.world);
        Journal::open(self.bucket.direct(), &Path::from(PREFIX), &self.server.cluster(), reader.parts())
    }

    /// The journal as a process reaches it.
    pub fn journal_of(&self, process: &Arc<Process>) -> Journal {
        Journal::open(self.bucket.store(process), &Path::from(PREFIX), &self.server.cluster(), process.parts())
    }

    /// How far each domain is closed in the bucket.
    pub async fn closed(&self) -> FrontierVector {
        self.journal().end(0).await.expect("the bucket is whole").frontier
    }

    /// The intervals of a kind in which its watch was broken, as the bucket has them.
    pub async fn gaps(&self, kind: &str) -> Vec<Gap> {
        let mut reader = Reader::open(&self.journal()).await.expect("the bucket is whole");
        let state = reader.resume().await.expect("the journal folds");
        let gaps = state.kinds.get(kind).map(|kind| kind.gaps.iter().map(|(_, gap)| gap.clone()).collect());
        gaps.unwrap_or_default()
    }

    /// By how many seconds the closed time of a domain lags behind.
    pub async fn lag(&self, domain: &str) -> i64 {
        let time = self.closed().await.get(domain).map_or(0, |point| point.time);
        (self.world.now() - time) / 1_000_000
    }
}

impl Run {
    /// How a kind is doing.
    pub fn kind(&self, key: &str) -> KindStatus {
        self.handle.status().kinds.get(key).cloned().expect("a kind that is known of")
    }

    /// Stops it gracefully.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.expect("it does not panic").expect("it stops gracefully");
    }
}
