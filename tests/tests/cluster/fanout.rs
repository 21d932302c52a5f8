//! The fan-out to a real broker of Kafka: what is committed comes at least once and in order, whatever is killed, and
//! what the broker refuses is told.
//!
//! The log is written straight into a journal by its own writer, at a pace that no API server here has. What came is asked
//! of Kafka's console consumer, and compared with the rows of the log by another reader of JSON.

mod refused;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use hindcast_journal::{
    Change, Journal, Parts, Row, Writer,
    cut::MAIN,
    encode::{Base, Encoder, Observation},
    facts::{self, Discovery, Gap, Grade},
    row::{Body, Op, Source},
    seal::{DataKeys, Secrets},
    segment::{FrontierPoint, FrontierVector},
    writer::Identity,
};
use hindcast_tests::{
    oracle::subject::{Hindcast, Place},
    real::{
        Kafka,
        kafka::Record,
        process::{Process, Workdir},
        tls::Authority,
    },
};
use object_store::{local::LocalFileSystem, path::Path};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::scene::{BINARY, SOON, ask, until};

const CLUSTER: &str = "0a000000-0000-4000-8000-000000000017";

/// Objects of each kind.
const OBJECTS: u64 = 40;

/// Segments a second, and rows in each: 2,000 changes a second.
const SEGMENTS: u64 = 4;
const ROWS: u64 = 500;

/// A journal in a folder, written by hand.
struct Log {
    hindcast: Hindcast,
    journal: Journal,
    writer: Writer,
    encoder: Encoder,
    bases: BTreeMap<String, Base>,
    rv: u64,
}

fn kind(resource: &str, kind: &str) -> Discovery {
    Discovery {
        resource: resource.into(),
        kind: kind.into(),
        version: "v1".into(),
        domain: MAIN.into(),
        ..Discovery::default()
    }
}

impl Log {
    /// Begins with what every journal begins with: kinds, and their protection.
    async fn begin(dir: &Workdir) -> Result<Self> {
        let folder = dir.path().join("journal");
        let hindcast = Hindcast::new(BINARY, dir.path(), Place::folder(&folder)?, PathBuf::new())?;
        let store = Arc::new(LocalFileSystem::new_with_prefix(&folder)?);
        let journal = Journal::open(store, &Path::default(), CLUSTER, Parts::system());
        let keys = Arc::new(DataKeys::new(CLUSTER, hindcast.keys()?, Parts::system()));
        let identity = Identity { writer: "test/1".into(), instance: "test".into() };
        let writer = Writer::claim(&journal, identity, Some(keys)).await?;
        let encoder = Encoder::new(Secrets::Sealed(hindcast.key()?));
        let mut log = Self { hindcast, journal, writer, encoder, bases: BTreeMap::new(), rv: 100 };
        let mut facts = Vec::new();
        for kind in [kind("pods", "Pod"), kind("secrets", "Secret")] {
            facts.push(Change { body: facts::body(&kind)?, ..facts::about(Op::Discovery, &kind, 0, 1) });
            facts.push(Change { time_hi: 1000, ..facts::about(Op::CoverBegin, &kind, 0, 1) });
        }
        log.commit(facts).await?;
        Ok(log)
    }

    async fn commit(&mut self, changes: Vec<Change>) -> Result<()> {
        let point = FrontierPoint { incarnation: 0, rv: self.rv, time: now() };
        self.writer.stage(changes, FrontierVector::from([(MAIN.to_owned(), point)])).await?;
        self.writer.commit().await?;
        Ok(())
    }

    /// The next version of an object, with this much to carry; every tenth is a Secret, and some are deleted.
    fn change(&mut self, n: u64, carry: usize) -> Change {
        self.rv += 1;
        let rv = self.rv;
        let kind = if n % 10 == 9 { kind("secrets", "Secret") } else { kind("pods", "Pod") };
        let (namespace, name) = (["shop", "other"][n as usize % 2], format!("n{}", n % OBJECTS));
        let key = format!("{} {namespace}/{name}", kind.kind);
        let time = now();
        if n % 97 == 96
            && let Some(base) = self.bases.remove(&key)
        {
            return Change {
                namespace: namespace.into(),
                name,
                uid: base.uid,
                base_rv: Some(base.rv),
                base_hash: base.hash,
                time_lo: time,
                time_hi: time,
                ..facts::about(Op::Delete, &kind, 0, rv)
            };
        }
        let object = json!({
            "apiVersion": "v1", "kind": kind.kind,
            "metadata": {"name": name, "namespace": namespace, "uid": format!("u-{key}"), "resourceVersion": rv.to_string()},
            "data": {"v": base64(&format!("secret-{rv}"))},
            "status": {"n": rv, "carried": "x".repeat(carry)},
        });
        let bytes = object.to_string();
        let seen = Observation {
            kind: &kind,
            incarnation: 0,
            rv,
            source: Source::Watch,
            time_lo: time,
            time_hi: time,
            bytes: bytes.as_bytes(),
        };
        let encoded = self.encoder.observe(&seen, self.bases.get(&key));
        self.bases.insert(key, encoded.base);
        encoded.change
    }

    /// Writes for so many seconds, and reports the segments.
    async fn load(&mut self, seconds: u64, written: &watch::Sender<u64>) -> Result<()> {
        let mut n = 0;
        for segment in 0..seconds * SEGMENTS {
            let mut changes = Vec::new();
            for _ in 0..ROWS {
                changes.push(self.change(n, 60));
                n += 7;
            }
            if segment == 5 {
                changes.push(gap(self.rv)?);
            }
            self.commit(changes).await?;
            written.send_replace(segment + 1);
            // The pace of the load.
            tokio::time::sleep(Duration::from_millis(1000 / SEGMENTS)).await;
        }
        Ok(())
    }

    /// Every row of the log.
    async fn rows(&self) -> Result<Vec<Row>> {
        let mut tail = self.journal.tail(1).await?;
        let mut out = Vec::new();
        while let Some(run) = tail.ready().await? {
            out.extend(run.rows.iter().cloned());
        }
        Ok(out)
    }

    /// `hindcast fanout kafka` with this topic, as a process that can be killed.
    fn fanout(&self, dir: &Workdir, brokers: &str, topic: &str, more: &[&str]) -> Process {
        let args = ["fanout", "kafka", "--journal", &self.hindcast.place.url, "--brokers", brokers, "--topic", topic];
        Process::new(&format!("fanout-{topic}"), BINARY.into(), dir.path())
            .args(args)
            .args(more.iter().copied())
            .env("HOME", &dir.path().display().to_string())
            .env("KUBECONFIG", &dir.path().join("none").display().to_string())
    }

    /// The fan-out of this name, as `status` tells of it.
    async fn told(&self, name: &str) -> Result<Option<Value>> {
        let status = ask(&self.hindcast, &["status", "-o", "json"]).await?.is(0, &[])?.json()?;
        let all = status["clusters"][0]["fanouts"].as_array().cloned().unwrap_or_default();
        Ok(all.into_iter().find(|fanout| fanout["name"] == name))
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

fn base64(text: &str) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

fn gap(rv: u64) -> Result<Change> {
    let gap = Gap {
        from: rv - 10,
        to: rv,
        grade: Grade::Lost,
        time_from: now(),
        time_to: now(),
        reason: "the watch was broken".into(),
        recovered: 0,
        unknown: Vec::new(),
        unknown_total: 0,
    };
    Ok(Change { body: facts::body(&gap)?, ..facts::about(Op::Gap, &kind("pods", "Pod"), 0, rv) })
}

/// What a consumer has to be told of a row, said again from the row alone.
fn event_of(row: &Row) -> Result<Value> {
    let time = |time: i64| Ok::<_, anyhow::Error>(format!("{:.6}", jiff::Timestamp::from_microsecond(time)?));
    let type_ = match row.op {
        Op::Add | Op::Modify | Op::Delete | Op::Reread | Op::Unreadable => format!("change.{}", row.op),
        Op::CoverBegin => "coverage.begin".into(),
        Op::CoverEnd => "coverage.end".into(),
        op => op.to_string(),
    };
    let about = match row.op.is_object() {
        true => format!("{}/{}/{}", row.resource, row.namespace, row.name),
        false => row.resource.clone(),
    };
    let mut event = json!({
        "specversion": "1.0",
        "id": format!("{CLUSTER}/{}", row.pos),
        "source": format!("//hindcast.dev/clusters/{CLUSTER}"),
        "type": format!("dev.hindcast.{type_}"),
        "subject": about,
        "time": time(row.time_hi)?,
        "timelo": time(row.time_lo)?,
        "datacontenttype": "application/json",
        "position": row.pos.to_string(),
        "sequence": format!("{:020}", row.pos),
        "partitionkey": format!("{CLUSTER}/{about}"),
        "rv": row.rv.to_string(),
        "domain": "main",
        "incarnation": "0",
        "op": row.op.as_str(),
        "origin": row.source.as_str(),
    });
    if !row.uid.is_empty() {
        event["uid"] = json!(row.uid);
    }
    let hex = |hash: [u8; 8]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut data = Map::new();
    for (name, value) in [
        ("cluster", CLUSTER.to_owned()),
        ("position", row.pos.to_string()),
        ("op", row.op.to_string()),
        ("source", row.source.to_string()),
        ("domain", row.domain.clone()),
        ("incarnation", "0".to_owned()),
        ("version", row.version.clone()),
        ("resource", row.resource.clone()),
        ("kind", row.kind.clone()),
        ("namespace", row.namespace.clone()),
        ("name", row.name.clone()),
        ("uid", row.uid.clone()),
        ("resourceVersion", row.rv.to_string()),
        ("baseResourceVersion", row.base_rv.map(|rv| rv.to_string()).unwrap_or_default()),
        ("stateHash", row.state_hash.map(hex).unwrap_or_default()),
        ("baseHash", row.base_hash.map(hex).unwrap_or_default()),
        ("hashKey", row.hash_key.clone()),
        ("timeLow", time(row.time_lo)?),
        ("timeHigh", time(row.time_hi)?),
    ] {
        if !value.is_empty() {
            data.insert(name.to_owned(), json!(value));
        }
    }
    // Of a Secret's delete there is no hash under a key, and a plain one could be guessed.
    if row.resource == "secrets" && row.hash_key.is_empty() && row.cells.is_empty() {
        data.remove("stateHash");
        data.remove("baseHash");
    }
    let body = match &row.body {
        Body::None => None,
        Body::Patch(bytes) => Some(("patch", bytes)),
        Body::Object(bytes) if row.op.is_object() => Some(("object", bytes)),
        Body::Object(bytes) => Some(("fact", bytes)),
    };
    if let Some((name, bytes)) = body {
        data.insert(name.to_owned(), serde_json::from_slice(bytes)?);
    }
    event["data"] = Value::Object(data);
    Ok(event)
}

/// What a message says, whichever way it is written.
fn said(record: &Record) -> Result<Value> {
    let content = record.headers.get("content-type").context("its type")?;
    if content == "application/cloudevents+json; charset=UTF-8" {
        ensure!(record.headers.len() == 1, "{:?}", record.headers);
        return Ok(serde_json::from_str(&record.value)?);
    }
    let mut whole = Map::new();
    for (name, value) in &record.headers {
        let name = name.strip_prefix("ce_").unwrap_or("datacontenttype");
        whole.insert(name.to_owned(), json!(value));
    }
    whole.insert("data".to_owned(), serde_json::from_str(&record.value)?);
    Ok(Value::Object(whole))
}

/// Holds what came against the log: each row of these at least once and as it is, in order per key for whoever ignores what
/// is not above the last, a key in one partition, and nothing else. How many messages there were.
fn compare(records: &[Record], rows: &[&Row]) -> Result<usize> {
    let by_position: BTreeMap<u64, &Row> = rows.iter().map(|row| (row.pos, *row)).collect();
    let mut kept: BTreeMap<&str, (u32, Vec<u64>)> = BTreeMap::new();
    for record in records {
        let event = said(record)?;
        let position: u64 = event["position"].as_str().context("a position")?.parse()?;
        let row = by_position.get(&position).with_context(|| format!("{position} was not asked for"))?;
        let should = event_of(row)?;
        ensure!(event == should, "position {position}:\n{event:#}\nand not\n{should:#}");
        ensure!(event["partitionkey"] == record.key, "{}", record.key);
        let secret = event["data"]["resource"] == "secrets";
        ensure!(!secret || !record.value.contains(&base64("secret-")[..8]), "a value in clear: {}", record.value);
        let (partition, positions) = kept.entry(&record.key).or_insert((record.partition, Vec::new()));
        ensure!(*partition == record.partition, "{} is in two partitions", record.key);
        if positions.last().is_none_or(|last| position > *last) {
            positions.push(position);
        }
    }
    let came: BTreeSet<u64> = kept.values().flat_map(|(_, positions)| positions.iter().copied()).collect();
    let lacking: Vec<&u64> = by_position.keys().filter(|position| !came.contains(position)).take(10).collect();
    ensure!(lacking.is_empty(), "of {} rows these did not come, or not in order: {lacking:?}", rows.len());
    Ok(records.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_comes_in_order_though_the_broker_and_the_fanout_are_killed_under_load() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let dir = Workdir::new()?;
    let kafka = Kafka::start(&Authority::new("kafka")?).await?;
    for topic in ["whole", "parts", "kinds", "kinds.pods"] {
        kafka.topic(topic, 3, &[]).await?;
    }
    let mut log = Log::begin(&dir).await?;
    let every = ["--from", "beginning", "--cursor-every", "1s"];
    let fanout = log.fanout(&dir, &kafka.brokers(), "whole", &every);
    fanout.start()?;

    let (written, mut reached) = watch::channel(0);
    let strike = async {
        let mut at = async |segment: u64| reached.wait_for(|reached| *reached >= segment).await.map(|_| ());
        at(5).await?;
        kafka.kill();
        at(10).await?;
        kafka.restart().await?;
        at(14).await?;
        fanout.kill();
        at(16).await?;
        fanout.start()?;
        at(19).await?;
        // Under load, and at once after the other.
        kafka.kill();
        fanout.kill();
        kafka.restart().await?;
        fanout.start()?;
        Ok::<_, anyhow::Error>(())
    };
    tokio::try_join!(log.load(6, &written), strike)?;

    let last = log.writer.last();
    let reached = async || {
        ensure!(fanout.exited()?.is_none(), "it ended: {}", fanout.log_tail());
        Ok(log.told("kafka-whole").await?.is_some_and(|told| told["position"] == last && told["behind"] == 0))
    };
    until("all of it is acknowledged", SOON, reached).await.with_context(|| fanout.log_tail())?;
    fanout.stop(SOON).await?;
    let rows = log.rows().await?;
    let all: Vec<&Row> = rows.iter().collect();
    ensure!(all.len() > 12_000, "{} rows", all.len());
    let records = kafka.consume("whole").await?;
    let count = compare(&records, &all)?;
    println!("fan-out: {} rows, {count} messages", all.len());

    // From the middle on, in the other form, to the end of the log.
    let from = all[all.len() / 2].pos;
    let position = from.to_string();
    let args = ["--format", "binary", "--from", &position, "--once"];
    let middle = log.fanout(&dir, &kafka.brokers(), "parts", &args);
    // And of some, each kind with a topic of its own.
    let args = ["--from", "beginning", "--once", "--topic-per-kind", "-n", "shop", "-k", "pods"];
    let some = log.fanout(&dir, &kafka.brokers(), "kinds", &args);
    for process in [&middle, &some] {
        process.start()?;
    }
    for process in [&middle, &some] {
        ensure!(process.wait(SOON).await?.code() == Some(0), "{}", process.log_tail());
    }
    let (parts, kinds) = tokio::try_join!(kafka.consume("parts"), kafka.consume("kinds.pods"))?;
    let behind: Vec<&Row> = all.iter().copied().filter(|row| row.pos >= from).collect();
    ensure!(compare(&parts, &behind)? == behind.len(), "nothing was killed, so nothing is repeated");
    let pods = |row: &&Row| row.resource == "pods" && (!row.op.is_object() || row.namespace == "shop");
    let pods: Vec<&Row> = all.iter().copied().filter(pods).collect();
    ensure!(compare(&kinds, &pods)? == pods.len() && pods.iter().any(|row| row.op == Op::Gap), "{} pods", pods.len());
    Ok(())
}
