//! Figures against real servers: a private API server and etcd, MinIO, and `hindcast run` as a process.
//!
//! **Words**: a write is *answered* when the client has the server's answer; it is *durable* when the segment that
//! holds its revision is in the bucket. A tail asks MinIO for the next segment's name every few milliseconds (HEAD, by
//! a client of its own), so durable is seen late by at most one such round, never early.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    http::{MERGE, create_unless_there, request},
    manifests::{self, NAMESPACES, namespace},
    oracle::subject::{Hindcast, Place, Running},
    real::{Cluster, Minio, Part, process::Workdir},
    until::until,
};
use kube::Client;
use object_store::ObjectStoreExt as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{SEED, millis, quantile, row};

const BINARY: &str = env!("CARGO_BIN_EXE_hindcast-under-test");
/// Config maps that the writers write to in turn.
const TARGETS: u64 = 300;
/// The tail asks again after this long.
const ROUND: Duration = Duration::from_millis(4);

/// Servers, and `hindcast` before them.
struct World {
    cluster: Cluster,
    minio: Minio,
    hindcast: Hindcast,
    _dir: Workdir,
}

impl World {
    async fn start(prefix: &str) -> Result<Self> {
        let dir = Workdir::new()?;
        let cluster = Cluster::builder().compaction_interval(Duration::from_hours(1)).start().await?;
        let minio = Minio::start().await?;
        let place = Place::minio(&minio, prefix, minio.port());
        let hindcast = Hindcast::new(BINARY, dir.path(), place, cluster.kubeconfig())?;
        let client = cluster.client();
        create_unless_there(&client, NAMESPACES, &namespace("bench")).await?;
        for n in 0..TARGETS {
            create_unless_there(&client, "/api/v1/namespaces/bench/configmaps", &config_map("target", n, 1_000))
                .await?;
        }
        Ok(Self { cluster, minio, hindcast, _dir: dir })
    }

    /// The same servers with another journal.
    fn journal(&mut self, prefix: &str) {
        self.hindcast.place = Place::minio(&self.minio, prefix, self.minio.port());
    }
}

/// A config map of about that many bytes, whose content nothing compresses away.
pub(crate) fn config_map(name: &str, n: u64, bytes: usize) -> Value {
    let text: String =
        (0..bytes / 20).map(|i| format!("key.{i:04}: {:07}\n", (n * 7919 + i as u64) % 9_999_991)).collect();
    let mut map = manifests::config_map(&format!("{name}-{n}"), json!({ "turn": "0", "text": text }));
    map["metadata"]["labels"] = json!({ "app": "bench" });
    map
}

/// Writes at a steady rate until told to stop; revision and moment of each answer. A write that is refused or gets no
/// answer is left out.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<(u64, Instant)>>>,
    tasks: JoinSet<()>,
}

impl Load {
    fn start(cluster: &Cluster, rate: f64) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        // A write that changes nothing has no revision of its own: no two loads write the same values.
        static LOADS: AtomicU64 = AtomicU64::new(1);
        let load = LOADS.fetch_add(1, Ordering::Relaxed);
        let turn = Arc::new(AtomicU64::new(0));
        let begun = tokio::time::Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..24 {
            let client = cluster.client();
            let (stop, answers, turn) = (stop.clone(), answers.clone(), turn.clone());
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let n = turn.fetch_add(1, Ordering::Relaxed);
                    // The rate is the load.
                    tokio::time::sleep_until(begun + Duration::from_secs_f64(n as f64 / rate)).await;
                    if let Some(answer) = write(&client, load, n).await {
                        answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
                    }
                }
            });
        }
        Self { stop, answers, tasks }
    }

    fn count(&self) -> usize {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    async fn stop(mut self) -> Vec<(u64, Instant)> {
        self.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn write(client: &Client, load: u64, n: u64) -> Option<(u64, Instant)> {
    let path = format!("/api/v1/namespaces/bench/configmaps/target-{}", n.wrapping_mul(SEED) % TARGETS);
    let patch = format!("{{\"data\":{{\"turn\":\"{load}-{n}\"}}}}").into_bytes();
    let (status, body) = request(client, "PATCH", &path, Some(patch), MERGE).await.ok()?;
    let answered = Instant::now();
    let object: Value = (status == 200).then(|| serde_json::from_slice(&body).ok())??;
    let rv = object.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()?;
    Some((rv, answered))
}

/// When each segment was first seen in the bucket.
struct Tail {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Vec<(u64, Instant)>>>,
}

impl Tail {
    async fn start(world: &World) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (over, store) = (stop.clone(), world.minio.store());
        let journal = world.hindcast.place.journal().await?;
        let mut next = journal.end(0).await?.segment + 1;
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                match store.head(&journal.store().layout().segment(next)).await {
                    Ok(_) => {
                        seen.push((next, Instant::now()));
                        next += 1;
                    }
                    Err(object_store::Error::NotFound { .. }) => {
                        // The tail's round is part of the figure.
                        tokio::time::sleep(ROUND).await;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(seen)
        });
        Ok(Self { stop, task })
    }

    /// Revision → when it was durable.
    async fn stop(self, world: &World) -> Result<HashMap<u64, Instant>> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.task.await??;
        let journal = world.hindcast.place.journal().await?;
        let mut durable = HashMap::new();
        for (n, at) in seen {
            for row in journal.segment(n).await?.rows.iter().filter(|row| row.op.is_object()) {
                durable.entry(row.rv).or_insert(at);
            }
        }
        Ok(durable)
    }
}

/// Answer to durable, and the processor time of `run` meanwhile.
pub(crate) async fn latency(quick: bool) -> Result<()> {
    let mut world = World::start("latency-0").await?;
    let seconds = if quick { 15 } else { 60 };
    let runs = [
        ("1s", 100.0, "p50 ≤ 1.2 s, p99 ≤ 2 s"),
        ("100ms", 100.0, "p99 ≤ 300 ms"),
        ("1s", 500.0, ""),
        ("100ms", 500.0, ""),
    ];
    for (i, (linger, rate, target)) in runs.into_iter().enumerate() {
        world.journal(&format!("latency-{i}"));
        let running = world.hindcast.run(&["--linger", linger]).await?;
        // The first lists and their segments are not part of the figure.
        running.close().await?;
        // An idle process: what it does after its start is not measured.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let tail = Tail::start(&world).await?;
        let pid = running.process.pid().context("it runs")?;
        let load = Load::start(&world.cluster, rate);
        // The load gets up to its rate.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (spent, counted, begun) = (cpu(pid)?, load.count(), Instant::now());
        // As long as the figure is taken.
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let (spent, counted, span) = (cpu(pid)? - spent, load.count() - counted, begun.elapsed().as_secs_f64());
        let answers = load.stop().await;
        running.close().await?;
        // Dozens of the tail's rounds: it has seen what the close made durable.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let durable = tail.stop(&world).await?;
        let resident = resident(pid)?;
        running.stop().await?;
        let mut waits = Vec::with_capacity(answers.len());
        for (rv, answered) in &answers {
            let at = durable.get(rv).with_context(|| format!("revision {rv} was answered, but is in no segment"))?;
            waits.push(at.saturating_duration_since(*answered));
        }
        waits.sort_unstable();
        let at = |share| millis(quantile(&waits, share));
        let done = counted as f64 / span;
        row(
            &format!("answer → durable, linger {linger}, {rate:.0}/s"),
            target,
            &format!("p50 {}, p99 {}, most {}", at(0.5), at(0.99), at(1.0)),
            &format!(
                "{} writes, {done:.0}/s reached; MinIO; seen by HEAD every {} ms, so late by ≤ {} ms and a request",
                waits.len(),
                ROUND.as_millis(),
                ROUND.as_millis()
            ),
        );
        row(
            &format!("CPU of `run`, linger {linger}, {rate:.0}/s"),
            if rate < 200.0 && linger == "1s" { "≤ 3 % of a core" } else { "" },
            &format!("{:.1} % of a core", spent / span * 100.0),
            &format!("utime + stime over {span:.0} s at {done:.0} changes/s; resident {resident} MiB"),
        );
    }
    Ok(())
}

/// Seconds of processor time that a process has used.
fn cpu(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let behind = text.rsplit_once(')').context("a process has a name")?.1;
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).context("a number of ticks");
    // Fields 14 and 15 of stat; behind the name the third is the first. A tick is a hundredth of a second on Linux.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// MiB of memory that a process has in use.
fn resident(pid: u32) -> Result<u64> {
    memory_of(pid, "VmRSS:")
}

pub(crate) fn memory_of(pid: u32, field: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)).context("status tells of memory")?;
    let kib: u64 = line.split_whitespace().next().and_then(|n| n.parse().ok()).context("a number of KiB")?;
    Ok(kib / 1024)
}

/// `POST /close`, idle and under load.
pub(crate) async fn close(quick: bool) -> Result<()> {
    let world = World::start("close").await?;
    let running = world.hindcast.run(&[]).await?;
    let (idle, busy) = if quick { (3, 6) } else { (10, 40) };
    let mut times = Vec::new();
    for _ in 0..idle {
        // Idle, as the row says.
        tokio::time::sleep(Duration::from_secs(5)).await;
        times.push(one_close(&running).await?);
    }
    tell_close("idle for 5 s", times);
    let load = Load::start(&world.cluster, 100.0);
    let mut times = Vec::new();
    for _ in 0..busy {
        // At different moments of the linger.
        tokio::time::sleep(Duration::from_millis(700)).await;
        times.push(one_close(&running).await?);
    }
    load.stop().await;
    tell_close("under 100 writes/s", times);
    running.stop().await
}

async fn one_close(running: &Running) -> Result<Duration> {
    let begun = Instant::now();
    running.close().await?;
    Ok(begun.elapsed())
}

fn tell_close(when: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share| millis(quantile(&times, share));
    row(
        &format!("cut closed on demand, {when}"),
        "≤ 3 s",
        &format!("p50 {}, most {}", at(0.5), at(1.0)),
        &format!("`POST /close` to its answer, {} times; linger 1 s, MinIO", times.len()),
    );
}

/// Resident memory with 100,000 objects.
pub(crate) async fn memory(quick: bool) -> Result<()> {
    let world = World::start("memory").await?;
    let objects = if quick { 5_000 } else { 100_000 };
    let turn = Arc::new(AtomicU64::new(TARGETS));
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..24 {
        let (client, turn) = (world.cluster.client(), turn.clone());
        tasks.spawn(async move {
            loop {
                let n = turn.fetch_add(1, Ordering::Relaxed);
                if n >= objects {
                    return anyhow::Ok(());
                }
                // From 0.5 to 4 KB.
                let bytes = 500 << (n % 4);
                let map = config_map("target", n, bytes);
                create_unless_there(&client, "/api/v1/namespaces/bench/configmaps", &map).await?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    eprintln!("memory: {objects} objects created in {:.0} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let running = world.hindcast.launch(&[])?;
    running.wait_ready(Duration::from_mins(5)).await?;
    let ready = begun.elapsed();
    running.close().await?;
    let pid = running.process.pid().context("it runs")?;
    let first = resident(pid)?;
    let load = Load::start(&world.cluster, 100.0);
    // The load that the memory is measured under.
    tokio::time::sleep(Duration::from_secs(if quick { 5 } else { 30 })).await;
    load.stop().await;
    let (now, most) = (resident(pid)?, memory_of(pid, "VmHWM:")?);
    let state = metric(&running, "hindcast_state_cache_bytes").await? / f64::from(1 << 20);
    row(
        &format!("resident memory, {objects} objects"),
        "",
        &format!("{first} MiB when all is durable, {now} MiB after 30 s of writes, {most} MiB at most"),
        &format!(
            "config maps of 0.5 to 4 KB; retained versions take {state:.0} MiB of it; protected {:.1} s after start",
            ready.as_secs_f64()
        ),
    );
    running.stop().await
}

/// The sum of a metric over its labels.
async fn metric(running: &Running, name: &str) -> Result<f64> {
    let (status, body) = running.http("GET", "/metrics").await?;
    ensure!(status == 200, "GET /metrics: {status}");
    let lines = body.lines().filter(|line| line.starts_with(name));
    Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
}

/// Versions recovered per second after an API server restart while `run` was away.
///
/// It has to be stopped for that: what a server sends to a process that only stands still waits in the sockets, and
/// then nothing is missing. The new server's watch caches begin at its start, so the old cursors are refused and the
/// versions in between are read from etcd's history.
pub(crate) async fn heal(quick: bool) -> Result<()> {
    let world = World::start("heal").await?;
    let running = world.hindcast.run(&[]).await?;
    running.close().await?;
    running.stop().await?;
    let rate = 100.0;
    let load = Load::start(&world.cluster, rate);
    // The load that is missed.
    tokio::time::sleep(Duration::from_secs(if quick { 10 } else { 40 })).await;
    let missed = load.stop().await.len();
    world.cluster.restart(Part::Apiserver).await?;
    let load = Load::start(&world.cluster, rate);
    let begun = Instant::now();
    let running = world.hindcast.launch(&[])?;
    let mut healed = 0.0;
    until(format!("{missed} versions are recovered"), Duration::from_mins(5), async || {
        healed = metric(&running, "hindcast_healed_versions_total").await.unwrap_or(0.0);
        Ok(healed as usize >= missed)
    })
    .await?;
    let span = begun.elapsed();
    running.wait_ready(Duration::from_mins(1)).await?;
    running.close().await?;
    let whole = begun.elapsed();
    load.stop().await;
    row(
        "healing rate",
        "",
        &format!("{:.0} versions/s", healed / span.as_secs_f64()),
        &format!(
            "{missed} writes at {rate:.0}/s missed while stopped, API server killed and restarted; recovered {:.1} s after the start of `run`, under the same load (ready and closed after {:.1} s)",
            span.as_secs_f64(),
            whole.as_secs_f64()
        ),
    );
    running.stop().await
}
