//! The simulated bucket: create-if-absent over memory, with the ways a store fails.
//!
//! **Words.** The *bucket* is what is stored; a [`Store`] is one process's way to it. **Invariants.** (1) A PUT that
//! was sent takes effect by itself, at its own time, whatever becomes of the process. (2) Nothing is ever
//! overwritten: a create of what exists is refused, any other kind of put too; only what recovery points were is removed. (3) Each PUT that took effect is in
//! [`Bucket::puts`] with who did it. Not here: multipart uploads, copies (the journal uses neither).

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
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
        }))
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
                // Recovery points that were deleted, and what merged files hold too, are all that ever goes.
                let may_go = ["/points/", "/wal/", "/log/1/", "/log/2/"];
                if !may_go.iter().any(|folder| path.as_ref().contains(folder)) {
                    return Err(failure("nothing may be deleted here"));
                }
                process.step().await;
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
        self.reading().await?;
        let mut listed = self.bucket.0.memory.list_with_delimiter(prefix).await?;
        listed.objects = listed.objects.into_iter().map(|m| self.dated(m)).collect();
        Ok(listed)
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(failure("copies are not simulated"))
    }
}
