//! `years`: the past of a journal of 10,000,000 changes of 100,000 objects: how fast it is answered, from a folder and from a store
//! that takes 30 ms for each answer, what a change takes once it is merged, and how fast merging is.
//!
//! Written as for `read` ([`crate::read::write`]), with segments removed behind merged files as `run` does it. `HINDCAST_FIGURES_DIR`
//! keeps it for the next run.

use std::{
    fmt,
    ops::Range as Bytes,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use hindcast_journal::{Journal, Parts, cut::At, fold::Scope, parts::Micros};
use hindcast_restorer::{Range, Timeline, View};
use hindcast_tests::{real::process::Workdir, sim::rng::Rng};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, local::LocalFileSystem, path::Path,
};

use crate::{
    SEED, Took, Watch, feed, millis,
    read::{self, Written},
    row,
};

/// Moments asked for in each figure.
const MOMENTS: usize = 7;
/// How long an answer of the slow store takes.
const AWAY: Duration = Duration::from_millis(30);
const HOUR: Micros = 3_600_000_000;

/// Takes the figures.
pub(crate) async fn years(quick: bool) -> Result<()> {
    let (changes, objects) = if quick { (300_000, 5_000) } else { (10_000_000, 100_000) };
    let dir = Workdir::new()?;
    let (bucket, written) = read::kept(&dir, "years", changes, objects).await?;
    let journal = read::on_folder(&bucket, Parts::system())?;
    sizes(&journal, &written, changes).await?;

    let mut draw = Rng::new(SEED);
    let span = (written.end - written.begin) as u64;
    let moments: Vec<Micros> = (0..MOMENTS).map(|_| written.begin + draw.below(span) as i64).collect();
    let pod = read::one("/pods", &written.pod);
    let (name, ns) = (format!("pods/{}", written.pod.1), written.pod.0.clone());
    let all = "pods,configmaps,deployments,replicasets,secrets,deliveries,endpointslices,nodes";
    for (what, target, args) in [
        ("show of one object", "≤ 60 ms", vec!["show", &name, "-n", &ns]),
        ("get pods -A", "≤ 1 s", vec!["get", "pods", "-A"]),
        ("get of everything", "≤ 2 s", vec!["get", all, "-A"]),
    ] {
        let times =
            moments.iter().map(|moment| read::run(&bucket, &args, Some(*moment))).collect::<Result<Vec<_>>>()?;
        let how = format!("`hindcast {} --at T`, process start to end; folder", args.join(" "));
        read::told(&format!("years: {what}"), target, times, &how);
    }
    let hour = jiff::Timestamp::from_microsecond(written.end - HOUR)?.to_string();
    for (what, target, args) in [
        ("log of one object, all of it", "≤ 100 ms", vec!["log", &name, "-n", &ns]),
        ("log of a namespace, 1 h", "≤ 300 ms", vec!["log", "-n", &ns, "--since", &hour]),
    ] {
        let times = (0..MOMENTS).map(|_| read::run(&bucket, &args, None)).collect::<Result<Vec<_>>>()?;
        read::told(&format!("years: {what}"), target, times, "the binary, process start to end; folder");
    }

    // The same questions of a store that is far away: what its reader waits for.
    let far = Arc::new(Far { folder: LocalFileSystem::new_with_prefix(&bucket)?, asked: AtomicU64::new(0) });
    let journal = feed::on(far.clone(), Parts::system());
    let (mut times, mut most) = (Vec::new(), 0);
    for &moment in &moments {
        far.asked.store(0, Ordering::Relaxed);
        let begun = Watch::start();
        let mut timeline = Timeline::open(&journal, Vec::new()).await?;
        let past = timeline.at(&At::Time(moment)).await?;
        ensure!(!View::of(&past, &pod).await?.objects.is_empty(), "the pod is there at {moment}");
        times.push(begun.stop());
        most = most.max(far.asked.load(Ordering::Relaxed));
    }
    let how = format!("`Timeline`, each answer of the store takes 30 ms; {most} requests at most");
    read::told("years: show of one object, far away", "≤ 400 ms and ≤ 15 GETs", times, &how);
    let namespace = Scope { namespace: Some(ns.clone()), ..Scope::default() };
    for (what, scope, back) in [("one object, all of it", &pod, None), ("a namespace, 1 h", &namespace, Some(HOUR))] {
        far.asked.store(0, Ordering::Relaxed);
        let begun = Watch::start();
        let mut timeline = Timeline::open(&journal, Vec::new()).await?;
        let range = Range { since: back.map(|back| written.end - back), ..Range::default() };
        let history = timeline.history(&range, scope).await?;
        let took = begun.stop();
        let (events, asked) = (history.events.len(), far.asked.load(Ordering::Relaxed));
        let how = format!("`Timeline::history`, {events} changes; {asked} requests of 30 ms");
        read::told(&format!("years: log of {what}, far away"), "", vec![took], &how);
    }
    Ok(())
}

/// What it takes in the bucket, and how fast it was merged.
async fn sizes(journal: &Journal, written: &Written, changes: usize) -> Result<()> {
    let manifest = hindcast_journal::checkpoint::Manifest::read(journal).await?;
    let days = manifest.days(journal, 1).await?;
    let rows: u64 = days.iter().map(|file| file.rows.1 - file.rows.0 + 1).sum();
    let bytes: u64 = days.iter().map(|file| file.bytes).sum();
    let each = bytes as f64 / rows.max(1) as f64;
    let how = format!("{changes} changes and what there was at first; {} files of a day with {rows} rows", days.len());
    row("years: stored, merged", "≤ 60 B/change", &format!("{each:.1} B/row"), &how);
    let Took { wall, cpu } = written.merging;
    let rate = written.merged as f64 / cpu.as_secs_f64().max(1e-9);
    let how =
        format!("{} rows taken into files of any level in {} ({} CPU)", written.merged, millis(wall), millis(cpu));
    row("years: merging", "≥ 1,000,000/s", &format!("{rate:.0} rows/s of a core"), &how);
    let rate = changes as f64 / written.wrote.cpu.as_secs_f64().max(1e-9);
    let how = "all of it on one thread: the workload, rows, segments, checkpoints, merging";
    row("years: the journal written", "", &format!("{rate:.0} changes/s of a core"), how);
    Ok(())
}

/// A folder that is far away, and how often it was asked.
#[derive(Debug)]
struct Far {
    folder: LocalFileSystem,
    asked: AtomicU64,
}

impl fmt::Display for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a folder far away")
    }
}

impl Far {
    async fn way(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        // The time itself is what such a store is made of.
        tokio::time::sleep(AWAY).await;
    }
}

#[async_trait]
impl ObjectStore for Far {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.way().await;
        self.folder.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.folder.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.way().await;
        self.folder.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Bytes<u64>]) -> object_store::Result<Vec<bytes::Bytes>> {
        let one = |range: Bytes<u64>| async move {
            self.way().await;
            let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
            self.folder.get_opts(location, options).await?.bytes().await
        };
        futures::stream::iter(ranges.iter().cloned().map(one)).buffered(8).try_collect().await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.folder.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.folder.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.way().await;
        self.folder.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.folder.copy_opts(from, to, options).await
    }
}
