//! `read`: the past of a journal of 500,000 changes in a folder, by the library and by the binary.
//!
//! The journal is written straight through `Writer`, 100 changes a segment, with checkpoints and merged files when the compactor's
//! default policy makes them due, by the workload's clock. `HINDCAST_FIGURES_DIR` keeps it for the next run.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hindcast_compactor::{self as compactor, Policy, Tail, merge::Merger};
use hindcast_journal::{Journal, Parts, cut::At, fold::Scope, parts::Micros};
use hindcast_restorer::{Range, Timeline, View};
use hindcast_tests::{
    real::process::Workdir,
    sim::rng::Rng,
    workload::{Class, Sort, Workload},
};
use object_store::local::LocalFileSystem;
use serde::{Deserialize, Serialize};

use crate::{
    SEED, Took, Watch,
    feed::{self, Feed, Paced},
    millis, row,
};

const BINARY: &str = env!("CARGO_BIN_EXE_hindcast-under-test");
const PER_SEGMENT: usize = 100;
/// Moments asked for in each figure.
const MOMENTS: usize = 7;
/// How often segments are removed that merged files hold too, by the workload's clock.
const TRIM: Micros = 3_600_000_000;

/// What a question needs to know of the journal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) begin: Micros,
    pub(crate) end: Micros,
    /// A pod and a config map that live through all of it.
    pub(crate) pod: (String, String),
    config: (String, String),
    bytes: u64,
    checkpoints: u64,
    /// How long writing took, and merging of it.
    pub(crate) wrote: Took,
    pub(crate) merging: Took,
    /// Rows that were taken into merged files, each as often as it was.
    pub(crate) merged: u64,
}

/// Takes the figures.
pub(crate) async fn read(quick: bool) -> Result<()> {
    let changes = if quick { 80_000 } else { 500_000 };
    let dir = Workdir::new()?;
    let (bucket, written) = kept(&dir, "journal", changes, if quick { 2_000 } else { 20_000 }).await?;
    let journal = on_folder(&bucket, Parts::system())?;
    let size = written.bytes as f64 / 1e6;
    row(
        "read: the journal",
        "",
        &format!("{size:.0} MB of segments"),
        &format!("{changes} changes, {PER_SEGMENT} a segment, {} checkpoints, folder", written.checkpoints),
    );

    let mut draw = Rng::new(SEED);
    let span = (written.end - written.begin) as u64;
    let mut moments: Vec<Micros> = (0..MOMENTS).map(|_| written.begin + draw.below(span) as i64).collect();
    // The farthest from any checkpoint is the dearest: it is asked for too.
    moments.push(worst(&journal).await?.unwrap_or(written.end - 1));
    let pod = one("/pods", &written.pod);
    let config = one("/configmaps", &written.config);
    let namespace = Scope { namespace: Some(written.pod.0.clone()), ..Scope::default() };
    for (what, scope) in [
        ("show pod", &pod),
        ("show config map", &config),
        ("get namespace", &namespace),
        ("get everything", &Scope::default()),
    ] {
        let (mut times, mut objects) = (Vec::new(), 0);
        for &moment in &moments {
            let begun = Watch::start();
            let mut timeline = Timeline::open(&journal, Vec::new()).await?;
            let at = timeline.at(&At::Time(moment)).await?;
            let view = View::of(&at, scope).await?;
            times.push(begun.stop());
            ensure!(!view.objects.is_empty(), "{what} at {moment} shows nothing");
            objects = view.objects.len();
        }
        told(
            &format!("read: {what}, library"),
            "",
            times,
            &format!("`Timeline::resolve` + `view`, one thread; {objects} objects"),
        );
    }
    let (pod_name, ns) = (format!("pods/{}", written.pod.1), written.pod.0.clone());
    let all = "pods,configmaps,deployments,replicasets,secrets,deliveries";
    for (what, args) in [
        ("show pod", vec!["show", &pod_name, "-n", &ns]),
        ("get namespace", vec!["get", all, "-n", &ns]),
        ("get pods -A", vec!["get", "pods", "-A"]),
    ] {
        let mut times = Vec::new();
        for &moment in &moments {
            times.push(run(&bucket, &args, Some(moment))?);
        }
        told(
            &format!("read: {what}, binary"),
            "",
            times,
            &format!("`hindcast {} --at T`, process start to end", args.first().copied().unwrap_or_default()),
        );
    }
    for (what, back) in [("last hour", 3_600_000_000), ("all of it", i64::MAX / 2)] {
        let begun = Watch::start();
        let mut timeline = Timeline::open(&journal, Vec::new()).await?;
        let range = Range { since: Some(written.end.saturating_sub(back).max(written.begin - 1)), ..Range::default() };
        let history = timeline.history(&range, &pod).await?;
        told(
            &format!("read: log of one pod, {what}"),
            "",
            vec![begun.stop()],
            &format!("`Timeline::history`, {} changes of it", history.events.len()),
        );
    }
    Ok(())
}

/// The journal of a figure, written now or by an earlier run that kept it.
pub(crate) async fn kept(dir: &Workdir, what: &str, changes: usize, objects: u64) -> Result<(PathBuf, Written)> {
    let kept = std::env::var_os("HINDCAST_FIGURES_DIR").map(PathBuf::from);
    let folder = kept.unwrap_or_else(|| dir.path().to_owned()).join(format!("{what}-{changes}"));
    let note = folder.join("written.json");
    if !note.exists() && folder.exists() {
        // A run that was stopped half-way left a journal that no second one can go on with.
        std::fs::remove_dir_all(&folder)?;
    }
    let bucket = folder.join("bucket");
    if !note.exists() {
        let written = write(&bucket, changes, objects).await?;
        std::fs::write(&note, serde_json::to_vec(&written)?)?;
    }
    let written: Written = serde_json::from_slice(&std::fs::read(&note)?)?;
    Ok((bucket, written))
}

pub(crate) fn told(figure: &str, target: &str, mut times: Vec<Took>, how: &str) {
    times.sort_unstable();
    let text = |took: &Took| format!("{} ({} CPU)", millis(took.wall), millis(took.cpu));
    let (median, most) = (times.get(times.len() / 2), times.last());
    let text = match (median, most) {
        (Some(median), Some(most)) if times.len() > 1 => format!("{} median, {} most", text(median), text(most)),
        (Some(once), _) => text(once),
        _ => String::new(),
    };
    row(figure, target, &text, how);
}

/// Processor time of all children that have ended, in hundredths of a second.
fn of_children() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let behind = text.rsplit_once(')').context("a process has a name")?.1;
    let ticks =
        |i: usize| behind.split_whitespace().nth(i).and_then(|f| f.parse::<u64>().ok()).context("a number of ticks");
    Ok(Duration::from_millis((ticks(13)? + ticks(14)?) * 10))
}

pub(crate) fn one(kind: &str, of: &(String, String)) -> Scope {
    Scope { kinds: Some(vec![kind.to_owned()]), namespace: Some(of.0.clone()), name: Some(of.1.clone()) }
}

pub(crate) fn on_folder(folder: &Path, parts: Parts) -> Result<Journal> {
    std::fs::create_dir_all(folder)?;
    Ok(feed::on(Arc::new(LocalFileSystem::new_with_prefix(folder)?), parts))
}

/// Just before the newest checkpoint but one: the longest tail that a moment can have.
async fn worst(journal: &Journal) -> Result<Option<Micros>> {
    let manifest = hindcast_journal::checkpoint::Manifest::read(journal).await?;
    let [.., before, _] = manifest.checkpoints.as_slice() else { return Ok(None) };
    Ok(Some(before.time() - 1))
}

async fn write(bucket: &Path, changes: usize, objects: u64) -> Result<Written> {
    let key = feed::key();
    let mut workload = Workload::new(SEED, objects);
    let clock = Arc::new(Paced::default());
    clock.set(workload.time());
    let journal = on_folder(bucket, Parts { clock: clock.clone(), ..Parts::system() })?;
    let journal = &journal;
    let mut writer = feed::writer(journal, &key).await?;
    let policy = Policy::default();
    let mut merger = Merger::new(policy.levels);
    let (mut grown, mut trimmed) = (0, workload.time());
    let (begun, mut merging, mut merged) = (Watch::start(), Took::default(), 0);
    let mut feed = Feed::new(&key);
    let initial = workload.initial();
    let begin = workload.time();
    let mut rows: Vec<_> = initial.iter().map(|step| feed.observe(step, step.object.as_bytes())).collect();
    let (mut pod, mut config) = (None, None);
    rows.extend(feed::covers(workload.rv(), begin)?);
    let mut tail = Tail::default();
    let mut bytes = 0;
    for chunk in rows.chunks(10_000) {
        let done = feed::commit(&mut writer, chunk.to_vec(), feed::frontier(workload.rv(), begin)).await?;
        tail = tail.with(&done);
        bytes += done.bytes;
    }
    // Pods may be deleted in between: the one to ask for is found at the end, among those that were there at the start.
    let mut gone = std::collections::HashSet::new();
    let mut touched = std::collections::HashMap::new();
    let mut chunk = Vec::with_capacity(PER_SEGMENT);
    let mut checkpoints = 0;
    for _ in 0..changes {
        let step = workload.next_step();
        if step.class == Class::PodDelete {
            gone.insert(step.name.clone());
        }
        *touched.entry((step.sort, step.name.clone())).or_insert(0_u64) += 1;
        chunk.push(feed.observe(&step, step.object.as_bytes()));
        if chunk.len() < PER_SEGMENT {
            continue;
        }
        let frontier = feed::frontier(workload.rv(), workload.time());
        clock.set(workload.time());
        let done = feed::commit(&mut writer, std::mem::take(&mut chunk), frontier).await?;
        tail = tail.with(&done);
        bytes += done.bytes;
        grown += done.bytes;
        if merger.is_due(workload.time(), grown) {
            grown = 0;
            let begun = Watch::start();
            while let Some(made) = merger.step(journal, done.segment).await? {
                merged += (made.rows.1 + 1).saturating_sub(made.rows.0);
            }
            let took = begun.stop();
            merging = Took { wall: merging.wall + took.wall, cpu: merging.cpu + took.cpu };
        }
        if let Some(keep) = policy.keep.filter(|_| workload.time() - trimmed >= TRIM) {
            trimmed = workload.time();
            if let Some(trim) = compactor::trimmable(journal, keep).await? {
                trim.execute(journal).await?;
            }
        }
        if compactor::plan(tail, &policy).is_some() {
            let report = compactor::execute(journal, "figures", writer.epoch()).await?;
            checkpoints += u64::from(report.checkpoint.is_some());
            tail = report.tail;
        }
    }
    let mut candidates: Vec<_> = initial.iter().collect();
    candidates
        .sort_by_key(|step| std::cmp::Reverse(touched.get(&(step.sort, step.name.clone())).copied().unwrap_or(0)));
    for step in candidates {
        let place = (step.namespace.clone(), step.name.clone());
        match step.sort {
            Sort::Pod if pod.is_none() && !gone.contains(&step.name) => pod = Some(place),
            Sort::ConfigMap if config.is_none() => config = Some(place),
            _ => {}
        }
    }
    Ok(Written {
        begin,
        end: workload.time(),
        pod: pod.context("a pod lived through all of it")?,
        config: config.context("there are config maps")?,
        bytes,
        checkpoints,
        wrote: begun.stop(),
        merging,
        merged,
    })
}

/// One call of the binary, from its start to its end.
pub(crate) fn run(bucket: &Path, args: &[&str], moment: Option<Micros>) -> Result<Took> {
    let mut command = Command::new(BINARY);
    command.args(args).args(["--journal", &format!("file://{}", bucket.display())]);
    if let Some(moment) = moment {
        command.args(["--at", &jiff::Timestamp::from_microsecond(moment)?.to_string()]);
    }
    command.env("TZ", "UTC").env("HOME", bucket).env("KUBECONFIG", bucket.join("none")).env_remove("HINDCAST_KEY_FILE");
    let (begun, before) = (Instant::now(), of_children()?);
    let done = command.output()?;
    let time = Took { wall: begun.elapsed(), cpu: of_children()?.saturating_sub(before) };
    let code = done.status.code().unwrap_or(-1);
    ensure!(matches!(code, 0 | 3), "{args:?}: exit {code}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(time)
}
