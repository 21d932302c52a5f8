//! The sample plugin, in Go (`servers/plugin-sample`): a process that keeps snapshots of folders, and that asks us before each
//! call what goes wrong.
//!
//! **Words**: *mischief* is what a plugin alone can do wrong: crash, hang, answer wrongly. What storage systems do is said by
//! [`Faults`], as of every cloud.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use hindcast_snapshotter::driver::{Order, Tag, Volume};
use http::Request;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::{
    faults::{Fault, Faults, Op},
    serve::{Reply, Server, answer},
};
use crate::real::{
    Program,
    process::{Process, Workdir},
};

/// A call, what goes wrong with it, and how often.
type Mischief = Mutex<Vec<(&'static str, &'static str, usize)>>;

/// A running sample. Dropping it ends it and removes what it holds.
#[derive(Debug)]
pub struct SamplePlugin {
    process: Process,
    socket: PathBuf,
    _server: Server,
    faults: Arc<Faults>,
    mischief: Arc<Mischief>,
    number: AtomicU32,
    dir: Workdir,
}

impl SamplePlugin {
    /// Whose volumes it takes.
    pub const DRIVER: &str = "folders.sample.hindcast.dev";
    /// Where they are.
    pub const ZONE: &str = "zone-a";

    /// Builds it if needed, and starts it.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with more arguments.
    pub async fn start_with(args: &[&str]) -> Result<Self> {
        let dir = Workdir::new()?;
        let socket = dir.path().join("sample.sock");
        Self::start_at(&socket, dir, args).await
    }

    /// One that listens where another one did.
    pub async fn in_place_of(other: &Self, args: &[&str]) -> Result<Self> {
        Self::start_at(&other.socket, Workdir::new()?, args).await
    }

    async fn start_at(socket: &Path, dir: Workdir, args: &[&str]) -> Result<Self> {
        let program = tokio::task::spawn_blocking(|| Program::PluginSample.ensure()).await??;
        let (faults, mischief) = (Arc::<Faults>::default(), Arc::<Mischief>::default());
        let (strikes, wrongs) = (Arc::clone(&faults), Arc::clone(&mischief));
        let server = Server::start(move |request| {
            let said = strike(&strikes, &wrongs, &request).to_string();
            async move { Reply::Answer(answer(200, "application/json", said)) }
        })
        .await?;
        let text = |path: &Path| path.display().to_string();
        let process = Process::new("plugin-sample", program, dir.path())
            .args(["-socket".to_owned(), text(socket), "-strikes".to_owned(), server.url()])
            .args(["-store".to_owned(), text(&dir.path().join("store"))])
            .args(["-seen".to_owned(), text(&dir.path().join("seen"))])
            .args(args.iter().copied());
        let sample =
            Self { process, socket: socket.to_owned(), _server: server, faults, mischief, number: 0.into(), dir };
        sample.restart().await?;
        Ok(sample)
    }

    /// Starts it again, if it ended.
    pub async fn restart(&self) -> Result<()> {
        self.process.start()?;
        let within = Duration::from_secs(30);
        self.process.wait_ready(within, || async { UnixStream::connect(&self.socket).await.is_ok() }).await
    }

    /// Waits until it ends by itself, and starts it again, as a supervisor does.
    pub async fn supervise(&self) -> Result<()> {
        self.process.wait(Duration::from_secs(30)).await?;
        self.restart().await
    }

    /// Ends it.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// What its storage system does.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The next so many calls of this name go wrong like this (`strikes.go` has the words).
    pub fn misbehave(&self, call: &'static str, how: &'static str, times: usize) {
        self.mischief.lock().unwrap_or_else(PoisonError::into_inner).push((call, how, times));
    }

    /// It does nothing wrong from here on.
    pub fn behave(&self) {
        self.mischief.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The items that its transforms were given, each as it was sent.
    pub fn seen(&self) -> String {
        fs::read_to_string(self.dir.path().join("seen")).unwrap_or_default()
    }

    /// A new volume with a file in it.
    pub fn volume(&self) -> Result<Volume> {
        let handle = format!("vol-{}", self.number.fetch_add(1, Ordering::Relaxed));
        let folder = self.kept("volumes").join(&handle);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("data"), &handle)?;
        fs::write(folder.with_extension("json"), json!({"zone": Self::ZONE, "bytes": 1 << 20}).to_string())?;
        Ok(Volume {
            namespace: "shop".into(),
            claim: format!("data-{handle}"),
            driver: Self::DRIVER.into(),
            handle,
            capacity: 1 << 20,
            topology: [("topology.sample/zone".to_owned(), vec![Self::ZONE.to_owned()])].into(),
            ..Volume::default()
        })
    }

    /// Takes a volume away.
    pub fn lose(&self, handle: &str) -> Result<()> {
        Ok(fs::remove_file(self.kept("volumes").join(handle).with_extension("json"))?)
    }

    /// How many snapshots there are.
    pub fn snapshots(&self) -> Result<usize> {
        Ok(self.entries("snapshots")?.len())
    }

    /// How many snapshots bear this cluster.
    pub fn count(&self, cluster: &str) -> Result<usize> {
        Ok(self.entries("snapshots")?.values().filter(|entry| entry["tag"]["cluster"] == cluster).count())
    }

    /// The handle of a snapshot that somebody else made of a volume.
    pub fn foreign(&self, volume: &str) -> Result<String> {
        let handle = format!("foreign-{}", self.number.fetch_add(1, Ordering::Relaxed));
        let folder = self.kept("snapshots").join(&handle);
        fs::create_dir_all(&folder)?;
        let entry = json!({"volume": volume, "zone": Self::ZONE, "bytes": 1 << 20, "time": 1});
        fs::write(folder.with_extension("json"), entry.to_string())?;
        Ok(handle)
    }

    /// Whether there is a snapshot of this handle.
    pub fn has(&self, handle: &str) -> Result<bool> {
        Ok(self.entries("snapshots")?.contains_key(handle))
    }

    /// How many disks were made from a snapshot.
    pub fn disks_of(&self, handle: &str) -> Result<usize> {
        Ok(self.entries("volumes")?.values().filter(|entry| entry["source"] == handle).count())
    }

    fn kept(&self, kind: &str) -> PathBuf {
        self.dir.path().join("store").join(kind)
    }

    fn entries(&self, kind: &str) -> Result<BTreeMap<String, Value>> {
        let mut entries = BTreeMap::new();
        for file in fs::read_dir(self.kept(kind))? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let name = path.file_stem().context("it has a name")?.to_string_lossy().into_owned();
                entries.insert(name, serde_json::from_str(&fs::read_to_string(&path)?)?);
            }
        }
        Ok(entries)
    }
}

/// An order of a volume's snapshot.
pub fn sample_order(cluster: &str, index: u32, volume: Volume) -> Order {
    let tag = Tag { cluster: cluster.into(), point: "nightly".into(), id: "0a".repeat(16), index };
    Order::bare(tag, volume)
}

/// What strikes a call.
fn strike(faults: &Faults, mischief: &Mischief, request: &Request<bytes::Bytes>) -> Value {
    let call = request.uri().query().and_then(|query| query.strip_prefix("call=")).unwrap_or_default();
    let late = faults.late().as_millis() as u64;
    let said = |fault: &str, after: u64| json!({"fault": fault, "afterMs": after * 1000, "lateMs": late});
    let mut mischief = mischief.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, how, left)) = mischief.iter_mut().find(|(of, _, left)| *of == call && *left > 0) {
        *left -= 1;
        return said(how, 0);
    }
    let op = match call {
        "Create" => Op::Create,
        "Look" => Op::Look,
        "List" => Op::List,
        "Delete" => Op::Delete,
        "MakeDisk" => Op::Make,
        "LookDisk" => Op::Disk,
        "RemoveDisk" => Op::Remove,
        _ => return said("", 0),
    };
    match faults.strike(op) {
        None => said("", 0),
        Some(Fault::Throttled(after)) => said("throttled", after.unwrap_or_default()),
        Some(Fault::Broken) => said("broken", 0),
        Some(Fault::Unknown) => said("unknown", 0),
        Some(Fault::Forbidden) => said("forbidden", 0),
        Some(Fault::Quota) => said("quota", 0),
        Some(Fault::Lost) => said("lost", 0),
        Some(Fault::Cut) => said("cut", 0),
    }
}
