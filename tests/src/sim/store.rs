//! The simulated bucket: create-if-absent over memory, with the ways a store fails.
//!
//! **Words.** The *bucket* is what is stored; a [`Store`] is one process's way to it. **Invariants.** (1) A PUT that
//! was sent takes effect by itself, at its own time, whatever becomes of the process. (2) Nothing is ever
//! overwritten: a create of what exists is refused, any other kind of put too; only what recovery points were is removed, what merged files
//! hold too, and, where the past is thinned out, what has expired. (3) Each PUT that took effect is in
//! [`Bucket::puts`] with who did it. (4) What has expired is kept aside, so that it can be told what would be read with it
//! [`Bucket::whole`]. Not here: multipart uploads, copies (the journal uses neither).

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use hindcast_journal::parts::Micros;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

use super::{
    faults::Fault,
    world::{EPOCH, Process, World},
};

/// A PUT that took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The process that sent it.
    pub by: String,
    /// Its name.
    pub path: String,
    /// When it took effect.
    pub at: Micros,
}

/// What a store was asked, as S3 counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requests {
    /// Creates.
    pub writes: u64,
    /// Pages of listings.
    pub lists: u64,
    /// Reads of objects, parts of them and names.
    pub reads: u64,
}

impl Requests {
    /// What was asked since.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            writes: self.writes - earlier.writes,
            lists: self.lists - earlier.lists,
            reads: self.reads - earlier.reads,
        }
    }

    /// What S3 asks for that, in dollars: 0.005 for a thousand writes or listings, 0.0004 for a thousand reads. Removing is free.
    pub fn dollars(self) -> f64 {
        (self.writes + self.lists) as f64 * 0.005 / 1000.0 + self.reads as f64 * 0.0004 / 1000.0
    }
}

/// How many names a page of a listing has.
const PAGE: u64 = 1000;

/// What is stored. Clones share it.
#[derive(Debug, Clone)]
pub struct Bucket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    world: Arc<World>,
    memory: InMemory,
    puts: Mutex<Vec<Put>>,
    landed: Mutex<BTreeMap<String, Micros>>,
    down_until: AtomicI64,
    requests: Mutex<Requests>,
    /// Whether what has expired may be removed.
    expires: AtomicBool,
    /// What was.
    expired: Mutex<BTreeMap<Path, bytes::Bytes>>,
}

impl Bucket {
    /// An empty bucket.
    pub fn new(world: &Arc<World>) -> Self {
        Self(Arc::new(Inner {
            world: world.clone(),
            memory: InMemory::new(),
            puts: Mutex::default(),
            landed: Mutex::default(),
            down_until: AtomicI64::new(0),
            requests: Mutex::default(),
            expires: AtomicBool::new(false),
            expired: Mutex::default(),
        }))
    }

    /// Lets what has expired be removed.
    pub fn may_expire(&self) {
        self.0.expires.store(true, Ordering::Relaxed);
    }

    /// The same bucket as if nothing had ever expired.
    pub async fn whole(&self) -> Self {
        use object_store::ObjectStoreExt as _;
        let whole = Self::new(&self.0.world);
        let aside = self.0.expired.lock().expect("no holder panics").clone();
        let aside = aside.into_iter().map(|(path, bytes)| (path.to_string(), bytes));
        for (path, bytes) in self.contents().await.into_iter().chain(aside) {
            let bytes = match path.contains("/meta/manifest/") {
                true => without_expiry(&bytes),
                false => bytes,
            };
            if !path.contains("/meta/expiry/") {
                whole.0.memory.put(&Path::from(path), bytes.into()).await.expect("memory takes it");
            }
        }
        whole
    }

    /// A process's way to it.
    pub fn store(&self, process: &Arc<Process>) -> Arc<dyn ObjectStore> {
        Arc::new(Store { bucket: self.clone(), process: process.clone() })
    }

    /// The bucket itself, without faults, latency or gate.
    pub fn direct(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.0.memory.clone())
    }

    /// Every PUT that took effect, in order.
    pub fn puts(&self) -> Vec<Put> {
        self.0.puts.lock().expect("no holder panics").clone()
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Requests {
        *self.0.requests.lock().expect("no holder panics")
    }

    fn asked(&self, count: impl FnOnce(&mut Requests)) {
        count(&mut self.0.requests.lock().expect("no holder panics"));
    }

    /// Answers errors for a while.
    pub fn go_down(&self, period: Duration) {
        self.0.world.fired(Fault::StoreDown);
        let until = self.0.world.now() + period.as_micros() as Micros;
        self.0.down_until.store(until, Ordering::Relaxed);
    }

    /// Every object, by name.
    pub async fn contents(&self) -> Vec<(String, bytes::Bytes)> {
        use object_store::ObjectStoreExt as _;
        let mut listed: Vec<Path> =
            self.0.memory.list(None).filter_map(|m| async { m.ok() }).map(|m| m.location).collect().await;
        listed.sort();
        let mut out = Vec::new();
        for path in listed {
            let got = self.0.memory.get(&path).await.expect("what is listed is there");
            out.push((path.to_string(), got.bytes().await.expect("memory can be read")));
        }
        out
    }

    fn is_down(&self) -> bool {
        self.0.world.now() < self.0.down_until.load(Ordering::Relaxed) && !self.0.world.faults.is_calm()
    }

    /// Takes effect now.
    async fn land(&self, by: &str, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        assert!(matches!(options.mode, PutMode::Create), "{path} is put without create-if-absent");
        let size = payload.content_length();
        let done = self.0.memory.put_opts(path, payload, options).await;
        let world = &self.0.world;
        match &done {
            Ok(_) => {
                world.note(format_args!("{by} creates {path} ({size} B)"));
                let put = Put { by: by.to_owned(), path: path.to_string(), at: world.now() };
                self.0.landed.lock().expect("no holder panics").insert(put.path.clone(), put.at);
                self.0.puts.lock().expect("no holder panics").push(put);
            }
            Err(_) => world.note(format_args!("{by} finds {path} taken")),
        }
        done
    }
}

/// A manifest that does not know that anything has expired.
fn without_expiry(manifest: &[u8]) -> bytes::Bytes {
    let mut manifest: serde_json::Value = serde_json::from_slice(manifest).expect("a manifest is JSON");
    if let Some(fields) = manifest.as_object_mut() {
        fields.remove("expired");
    }
    manifest.to_string().into()
}

/// One process's way to the bucket.
#[derive(Debug)]
struct Store {
    bucket: Bucket,
    process: Arc<Process>,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("simulated store")
    }
}

fn failure(what: &str) -> Error {
    Error::Generic { store: "simulated", source: what.to_owned().into() }
}

impl Store {
    /// On the way to the bucket, for a read.
    async fn reading(&self) -> Result<()> {
        self.process.step().await;
        let world = self.process.world();
        world.dawdle(1, 15).await;
        let fails = self.bucket.is_down() || world.fires(Fault::ReadError);
        self.process.running().await;
        if fails { Err(failure("503 service unavailable")) } else { Ok(()) }
    }

    fn dated(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let landed = self.bucket.0.landed.lock().expect("no holder panics");
        let at = landed.get(meta.location.as_ref()).copied().unwrap_or(EPOCH);
        meta.last_modified = std::time::UNIX_EPOCH.into();
        meta.last_modified += Duration::from_micros(at as u64);
        meta
    }
}

/// What becomes of a PUT on its way.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Lands,
    Fails,
    FailsAfter,
    LosesAnswer,
    Late,
    Conflict,
}

/// Draws the fate of a PUT, and how long it takes.
fn fate(world: &World) -> (Fate, u64) {
    let slow = if world.fires(Fault::PutSlow) { world.draw(|rng| rng.between(1_000, 20_000)) } else { 0 };
    let took = slow + world.draw(|rng| rng.between(2, 40));
    let fates = [
        (Fault::PutErrorBefore, Fate::Fails),
        (Fault::PutErrorAfter, Fate::FailsAfter),
        (Fault::PutLostAnswer, Fate::LosesAnswer),
        (Fault::PutLate, Fate::Late),
        (Fault::PutConflict, Fate::Conflict),
    ];
    for (fault, fate) in fates {
        if world.fires(fault) {
            return (fate, took);
        }
    }
    (Fate::Lands, took)
}

/// The store's side of a PUT: runs to its end whatever becomes of the one who sent it.
async fn deliver(
    bucket: Bucket,
    by: String,
    path: Path,
    payload: PutPayload,
    options: PutOptions,
) -> Result<PutResult> {
    let world = bucket.0.world.clone();
    if bucket.is_down() {
        world.dawdle(2, 40).await;
        return Err(failure("503 service unavailable"));
    }
    let (fate, took) = fate(&world);
    world.sleep(Duration::from_millis(took)).await;
    match fate {
        Fate::Lands => bucket.land(&by, &path, payload, options).await,
        Fate::Fails => Err(failure("500 before effect")),
        Fate::FailsAfter => {
            bucket.land(&by, &path, payload, options).await?;
            Err(failure("connection reset after effect"))
        }
        Fate::LosesAnswer => {
            let _ = bucket.land(&by, &path, payload, options).await;
            world.sleep(Duration::from_mins(2)).await;
            Err(failure("no answer"))
        }
        Fate::Late => {
            let delay = world.draw(|rng| rng.between(50, 45_000));
            let late = bucket.clone();
            tokio::spawn(async move {
                late.0.world.sleep(Duration::from_millis(delay)).await;
                let _ = late.land(&by, &path, payload, options).await;
            });
            Err(failure("timed out, on its way"))
        }
        Fate::Conflict => {
            Err(Error::AlreadyExists { path: path.to_string(), source: "409 ConditionalRequestConflict".into() })
        }
    }
}

#[async_trait]
impl ObjectStore for Store {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.bucket.asked(|requests| requests.writes += 1);
        self.process.step().await;
        let (bucket, by) = (self.bucket.clone(), self.process.name.clone());
        let under_way = tokio::spawn(deliver(bucket, by, location.clone(), payload, opts));
        self.process.sent_put();
        let out = under_way.await.expect("the store's side does not panic");
        self.process.step().await;
        out
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(failure("multipart uploads are not simulated"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.bucket.asked(|requests| requests.reads += 1);
        self.reading().await?;
        let mut got = self.bucket.0.memory.get_opts(location, options).await?;
        got.meta = self.dated(got.meta);
        Ok(got)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (process, bucket) = (self.process.clone(), self.bucket.clone());
        let removed = paths.then(move |path| {
            let (process, bucket) = (process.clone(), bucket.clone());
            async move {
                let path = path?;
                // Recovery points that were deleted, what merged files hold too, manifests that others follow, and knocks that were
                // answered are all that ever goes.
                let may_go = ["/points/", "/meta/manifest/", "/meta/knock/", "/wal/", "/log/0/", "/log/1/", "/log/2/"];
                let of_days = ["/log/3/", "/checkpoints/"].iter().any(|folder| path.as_ref().contains(folder));
                let expires = of_days && bucket.0.expires.load(Ordering::Relaxed);
                if !expires && !may_go.iter().any(|folder| path.as_ref().contains(folder)) {
                    return Err(failure("nothing may be deleted here"));
                }
                process.step().await;
                if expires && let Ok(got) = object_store::ObjectStoreExt::get(&bucket.0.memory, &path).await {
                    let bytes = got.bytes().await?;
                    bucket.0.expired.lock().expect("no holder panics").insert(path.clone(), bytes);
                }
                bucket.0.world.note(format_args!("{} removes {path}", process.name));
                object_store::ObjectStoreExt::delete(&bucket.0.memory, &path).await?;
                process.step().await;
                Ok(path)
            }
        });
        removed.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list_with_offset(prefix, &Path::default())
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let store = Self { bucket: self.bucket.clone(), process: self.process.clone() };
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        let listed = async move {
            if let Err(e) = store.reading().await {
                return vec![Err(e)];
            }
            let all = store.bucket.0.memory.list(prefix.as_ref());
            let all: Vec<Result<ObjectMeta>> = all.collect().await;
            let pages = (all.len() as u64).div_ceil(PAGE).max(1);
            store.bucket.asked(|requests| requests.lists += pages);
            let after = all.into_iter().filter(|m| m.as_ref().map_or(true, |m| m.location > offset));
            let mut listed: Vec<_> = after.map(|m| m.map(|m| store.dated(m))).collect();
            let world = store.process.world();
            let log = prefix.is_some_and(|prefix| prefix.as_ref().ends_with("/wal"));
            if log && listed.len() > 1 && world.fires(Fault::ListHole) {
                let _ = listed.remove(world.draw(|rng| rng.below(listed.len() as u64)) as usize);
            }
            listed
        };
        futures::stream::once(listed).flat_map(futures::stream::iter).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.bucket.asked(|requests| requests.lists += 1);
        self.reading().await?;
        let mut listed = self.bucket.0.memory.list_with_delimiter(prefix).await?;
        listed.objects = listed.objects.into_iter().map(|m| self.dated(m)).collect();
        Ok(listed)
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(failure("copies are not simulated"))
    }
}
