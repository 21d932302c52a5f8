//! A journal in a folder: what is read of it costs the same however many segments there are, and lists none of them.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures::{TryStreamExt as _, stream::BoxStream};
use hindcast_journal::{Journal, Parts, Reader, cut::At};
use hindcast_tests::{
    real::process::Workdir,
    stores::{World, suite},
};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, local::LocalFileSystem, path::Path,
};

/// A store that counts what it is asked, and keeps the folders that were listed whole.
#[derive(Debug)]
struct Counted {
    store: Arc<dyn ObjectStore>,
    requests: AtomicU64,
    listed: Mutex<Vec<String>>,
}

impl Counted {
    fn list_of(&self, prefix: Option<&Path>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.listed.lock().unwrap().push(prefix.map(ToString::to_string).unwrap_or_default());
    }

    /// How many requests there were since this was asked last, and of which folders.
    fn take(&self) -> (u64, Vec<String>) {
        (self.requests.swap(0, Ordering::Relaxed), std::mem::take(&mut *self.listed.lock().unwrap()))
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Counted {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.store.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.store.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.store.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.store.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.list_of(prefix);
        self.store.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.list_of(prefix);
        self.store.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

/// A journal with so many rows in a folder, and what reading it the usual ways cost in requests.
async fn cost_of_reading(segments: u64) -> Result<u64> {
    let dir = Workdir::new()?;
    let world = World::new(format!("file://{}", dir.path().display()), Vec::<(String, String)>::new());
    let (store, prefix) = world.open()?;
    // Written without waiting for the disk, which is not what is counted.
    let unsynced = Arc::new(LocalFileSystem::new_with_prefix(dir.path())?);
    suite::written_with(&(unsynced, prefix.clone()), segments).await?;
    let counted = Arc::new(Counted { store, requests: AtomicU64::new(0), listed: Mutex::default() });
    let journal = Journal::open(counted.clone(), &prefix, suite::CLUSTER, Parts::system());

    Journal::clusters(&*counted, &prefix).await?;
    let numbers = journal.segments_after(0).await?;
    ensure!(numbers.end > segments, "{numbers:?}");
    let newest: Vec<_> = journal.read(numbers.end - 3..numbers.end).try_collect().await?;
    ensure!(newest.len() == 3);
    journal.boundary().await?;
    journal.store().newest_fact("alias").await?;
    let (requests, listed) = counted.take();
    let logs: Vec<&String> = listed.iter().filter(|folder| folder.ends_with("/wal")).collect();
    ensure!(logs.is_empty(), "finding the end lists {logs:?}");

    let mut reader = Reader::open(&journal).await?;
    reader.at(&At::Now).await?;
    reader.refresh().await?;
    let (_, listed) = counted.take();
    let logs: Vec<&String> = listed.iter().filter(|folder| folder.ends_with("/wal")).collect();
    ensure!(logs.is_empty(), "a reader lists {logs:?}");

    // Who goes on writing looks once at what is behind the end, lest a hole be taken for it.
    journal.end(0).await?;
    let (_, listed) = counted.take();
    ensure!(listed.iter().filter(|folder| folder.ends_with("/wal")).count() == 1, "{listed:?}");
    Ok(requests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_a_folder_lists_no_segments_however_many_there_are() -> Result<()> {
    let (few, many) = (cost_of_reading(20).await?, cost_of_reading(600).await?);
    ensure!(many <= few + 60, "{few} requests of 20 segments, {many} of 600");
    ensure!(many <= 160, "{many} requests");
    Ok(())
}
