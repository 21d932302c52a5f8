//! SQL engines read a journal in place, from a folder and from MinIO, as a Delta table and as files alone, and say what `hindcast log` and
//! `hindcast get --at` say.
//!
//! The journal is of three days of the committed mix, the last hour of it busy, so that merged files of every level are there and
//! segments behind them; the binary merged them. The questions are those of `deploy/sql/questions.sql`. What the right answers are, is
//! counted here from what the binary answers.

#[expect(dead_code, reason = "the figures take more of it")]
#[path = "../../benches/figures/feed.rs"]
mod feed;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Stdio,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use hindcast_journal::{Journal, Parts, parts::Micros};
use hindcast_tests::{
    real::{
        Minio,
        engines::{self, Rows, Source},
        process::Workdir,
    },
    workload::{Sort, Verb, Workload},
};
use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path as Name};
use serde_json::Value;

use self::feed::{CLUSTER, Feed, Paced};

const QUESTIONS: &str = include_str!("../../../deploy/sql/questions.sql");

const SEED: u64 = 6;
const OBJECTS: u64 = 300;
const SECOND: Micros = 1_000_000;

/// A journal, and what is asked of it.
struct World {
    dir: Workdir,
    /// Two revisions.
    from: u64,
    to: u64,
    /// An object that changed often: group, resource, namespace and name.
    object: [String; 4],
}

impl World {
    fn bucket(&self) -> String {
        self.dir.path().join("bucket").display().to_string()
    }

    /// Writes the journal, and has the binary merge it.
    async fn new() -> Result<Self> {
        let dir = Workdir::new()?;
        let bucket = dir.path().join("bucket");
        std::fs::create_dir_all(&bucket)?;
        let clock = Arc::new(Paced::default());
        let parts = Parts { clock: clock.clone(), ..Parts::system() };
        let journal = feed::on(Arc::new(LocalFileSystem::new_with_prefix(&bucket)?), parts);
        let revisions = write(&journal, &clock).await?;
        let mut counted: BTreeMap<[String; 4], u64> = BTreeMap::new();
        for (_, key) in &revisions {
            *counted.entry(key.clone()).or_default() += 1;
        }
        let busy = counted
            .into_iter()
            .filter(|([_, resource, namespace, _], _)| resource == "configmaps" && !namespace.is_empty());
        let object = busy.max_by_key(|(_, count)| *count).context("a config map changed")?.0;
        let at =
            |share: usize| revisions.get(revisions.len() * share / 100).map(|(rv, _)| *rv).context("there are changes");
        let world = Self { from: at(40)?, to: at(85)?, object, dir };
        let compacted = world.ask(&["compact"]).await?;
        for level in 1..=3 {
            ensure!(compacted.contains(&format!("of level {level}")), "no file of level {level}:\n{compacted}");
        }
        ensure!(compacted.contains("delta table: version 0"), "{compacted}");
        Ok(world)
    }

    /// What the binary answers.
    async fn ask(&self, args: &[&str]) -> Result<String> {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_hindcast-under-test"));
        command.args(args).args(["--journal", &format!("file://{}", self.bucket())]).env_clear().env("TZ", "UTC");
        command.env("HOME", self.dir.path()).env("KUBECONFIG", self.dir.path().join("none"));
        let done = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let code = done.status.code().unwrap_or(-1);
        ensure!(matches!(code, 0 | 3), "{args:?}: exit {code}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(String::from_utf8(done.stdout)?)
    }

    /// All changes, as `log` tells them.
    async fn log(&self, of: &[&str]) -> Result<Vec<Change>> {
        let args = [of, &["--all", "--limit", "1000000", "-o", "json"]].concat();
        let lines = self.ask(&args).await?;
        lines.lines().map(|line| Ok(Change::of(serde_json::from_str(line)?))).collect()
    }

    /// The objects at a revision, as `get` tells them, by their keys.
    async fn get(&self, rv: u64) -> Result<BTreeMap<String, Value>> {
        let list: Value = serde_json::from_str(
            &self.ask(&["get", &kinds(), "-A", "--at", &format!("rev:{rv}"), "-o", "json"]).await?,
        )?;
        let items = list.get("items").and_then(Value::as_array).context("a list has items")?;
        let of_kind = |kind: &str| Sort::ALL.into_iter().map(Sort::names).find(|names| names.3 == kind);
        let keyed = items.iter().map(|item| -> Result<(String, Value)> {
            let (group, _, resource, _) =
                of_kind(&text(item, "/kind")).context("it is of a kind that was asked for")?;
            let [namespace, name] = ["/metadata/namespace", "/metadata/name"].map(|at| text(item, at));
            Ok((format!("{group}/{resource}/{namespace}/{name}"), item.clone()))
        });
        keyed.collect()
    }
}

/// A text in JSON; empty if there is none.
fn text(value: &Value, at: &str) -> String {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The revision of an object.
fn revision(item: &Value) -> String {
    text(item, "/metadata/resourceVersion")
}

/// All kinds, as they are asked for.
fn kinds() -> String {
    let names = Sort::ALL.map(|sort| match sort.names() {
        ("", _, resource, _) => resource.to_owned(),
        (group, _, resource, _) => format!("{resource}.{group}"),
    });
    names.join(",")
}

/// A change, as `log` tells it.
struct Change {
    said: Value,
    key: String,
    op: String,
    rv: u64,
    pos: u64,
}

impl Change {
    fn of(said: Value) -> Self {
        let [group, resource, namespace, name] =
            ["group", "resource", "namespace", "name"].map(|part| text(&said, &format!("/object/{part}")));
        let number = |at: &str| said.pointer(at).and_then(Value::as_u64).unwrap_or_default();
        let (rv, pos, op) = (number("/rev"), number("/pos"), text(&said, "/op"));
        Self { key: format!("{group}/{resource}/{namespace}/{name}"), op, rv, pos, said }
    }

    fn says(&self, at: &str) -> String {
        text(&self.said, at)
    }
}

/// Writes three days: the revision of each change in order, with its object.
async fn write(journal: &Journal, clock: &Paced) -> Result<Vec<(u64, [String; 4])>> {
    let key = feed::key();
    let mut workload = Workload::new(SEED, OBJECTS);
    let (mut feed, mut written) = (Feed::new(&key), Vec::new());
    let initial = workload.initial();
    let mut now = workload.time();
    clock.set(now);
    let mut writer = feed::writer(journal, &key).await?;
    let mut rows: Vec<_> = initial.iter().map(|step| feed.observe(step, step.object.as_bytes())).collect();
    rows.extend(feed::covers(workload.rv(), now)?);
    feed::commit(&mut writer, rows, feed::frontier(workload.rv(), now)).await?;
    // Two days and most of a third, with three changes every eight minutes; then an hour with one every four seconds.
    let calm = std::iter::repeat_n((3, 480 * SECOND), 507);
    for (changes, pause) in calm.chain(std::iter::repeat_n((1, 4 * SECOND), 900)) {
        now += pause;
        let mut rows = Vec::new();
        for _ in 0..changes {
            let mut step = workload.next_step();
            step.time = now - 1000;
            rows.push(feed.observe(&step, step.object.as_bytes()));
            let (group, _, resource, _) = step.sort.names();
            let key = [group.to_owned(), resource.to_owned(), step.namespace.clone(), step.name.clone()];
            if step.verb != Verb::Deleted {
                written.push((step.rv, key));
            }
        }
        clock.set(now);
        feed::commit(&mut writer, rows, feed::frontier(workload.rv(), now)).await?;
    }
    Ok(written)
}

/// The questions, ready to be asked.
fn questions(world: &World) -> Vec<String> {
    let [group, resource, namespace, name] = &world.object;
    let (from, to) = (world.from.to_string(), world.to.to_string());
    let filled = [
        ("{group}", group),
        ("{resource}", resource),
        ("{namespace}", namespace),
        ("{name}", name),
        ("{from}", &from),
        ("{to}", &to),
    ];
    let sql: Vec<&str> = QUESTIONS.lines().filter(|line| !line.starts_with("--")).collect();
    let sql = filled.iter().fold(sql.join("\n"), |sql, (what, with)| sql.replace(what, with));
    sql.split(';').map(str::trim).filter(|question| !question.is_empty()).map(str::to_owned).collect()
}

fn row<const N: usize>(values: [String; N]) -> Vec<Option<String>> {
    values.map(Some).to_vec()
}

/// How many there are of each.
fn counted(of: impl Iterator<Item = Vec<Option<String>>>) -> Rows {
    let mut counts: BTreeMap<Vec<Option<String>>, u64> = BTreeMap::new();
    of.for_each(|row| *counts.entry(row).or_default() += 1);
    let with_count = |(mut row, count): (Vec<Option<String>>, u64)| {
        row.push(Some(count.to_string()));
        row
    };
    counts.into_iter().map(with_count).collect()
}

/// What the binary answers to each question.
async fn right(world: &World) -> Result<Vec<Rows>> {
    let [group, resource, namespace, name] = &world.object;
    let begin = "2025-01-01";
    let log = world.log(&["log", &kinds(), "-A", "--since", begin]).await?;
    let typed = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
    let history = world.log(&["log", &format!("{typed}/{name}"), "-n", namespace]).await?;
    let (then, now) = (world.get(world.from).await?, world.get(world.to).await?);
    let changes_of = |op: &'static str| log.iter().filter(move |change| change.op == op);

    let mut busiest: Vec<(u64, String)> = Vec::new();
    for mut row in counted(changes_of("modify").map(|change| row([change.key.clone()]))) {
        let count = row.pop().flatten().and_then(|count| count.parse().ok()).context("a count")?;
        busiest.push((count, row.pop().flatten().context("a key")?));
    }
    busiest.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    busiest.truncate(10);

    let in_namespace = log.iter().filter(|change| change.says("/object/namespace") == *namespace);
    let between = |change: &&Change| world.from < change.rv && change.rv <= world.to;
    let pods = |op: &'static str| changes_of(op).filter(|change| change.says("/object/resource") == "pods");
    let came: BTreeMap<String, u64> = pods("add").map(|change| (change.says("/object/uid"), change.rv)).collect();
    let lived = pods("delete").map(|change| {
        let uid = change.says("/object/uid");
        let from = came.get(&uid).map(u64::to_string);
        vec![Some(uid), from, Some(change.rv.to_string())]
    });
    let added: BTreeSet<(String, u64)> = changes_of("add").map(|change| (change.key.clone(), change.rv)).collect();
    let unchanged = now.iter().filter(|(key, item)| {
        let rv = revision(item).parse().unwrap_or_default();
        added.contains(&((*key).clone(), rv)) && text(item, "/kind") != "Secret"
    });
    let touches = |change: &&Change| {
        let paths = change.said.get("paths").and_then(Value::as_array).into_iter().flatten();
        paths.filter_map(Value::as_str).any(|path| path.starts_with("/data/"))
    };
    let data = changes_of("modify").filter(|change| change.says("/object/resource") == "configmaps").filter(touches);
    let mut differ: BTreeMap<String, (Option<u64>, u64)> = BTreeMap::new();
    for change in log.iter().rev().filter(|change| change.rv <= world.to) {
        let known = differ.entry(change.key.clone()).or_default();
        *known = if change.rv <= world.from { (Some(change.rv), change.rv) } else { (known.0, change.rv) };
    }
    differ.retain(|_, (_, newest)| *newest > world.from);
    // What came, went or changed by what `get` says, is among them; what came and went in between is only there.
    for key in then.keys().chain(now.keys()) {
        ensure!(differ.contains_key(key) == (then.get(key) != now.get(key)), "{key}");
    }

    Ok(vec![
        counted(log.iter().map(|change| row([change.op.clone()]))),
        history
            .iter()
            .map(|change| {
                row([change.pos.to_string(), change.rv.to_string(), change.op.clone(), change.says("/manager")])
            })
            .collect(),
        counted(in_namespace.map(|change| row([change.says("/manager"), change.says("/object/resource")]))),
        busiest.into_iter().map(|(count, key)| row([key, count.to_string()])).collect(),
        counted(log.iter().map(|change| row([change.says("/time").chars().take(10).collect()]))),
        changes_of("delete")
            .filter(between)
            .map(|change| row([change.pos.to_string(), change.key.clone(), change.says("/object/uid")]))
            .collect(),
        now.iter().map(|(key, item)| row([key.clone(), text(item, "/metadata/uid"), revision(item)])).collect(),
        counted(now.values().map(|item| row([text(item, "/metadata/namespace"), text(item, "/kind")]))),
        lived.collect(),
        unchanged.map(|(key, item)| row([key.clone(), item.to_string()])).collect(),
        data.map(|change| row([change.pos.to_string(), change.key.clone()])).collect(),
        differ
            .into_iter()
            .map(|(key, (then, now))| vec![Some(key), then.map(|rv| rv.to_string()), Some(now.to_string())])
            .collect(),
    ])
}

/// Rows in an order, with JSON as a value has it.
fn settled(rows: &Rows) -> Vec<Vec<Option<String>>> {
    let value = |text: &String| match serde_json::from_str::<Value>(text) {
        Ok(value @ Value::Object(_)) => value.to_string(),
        _ => text.clone(),
    };
    let mut rows: Vec<Vec<Option<String>>> =
        rows.iter().map(|row| row.iter().map(|cell| cell.as_ref().map(value)).collect()).collect();
    rows.sort();
    rows
}

/// Copies the journal into a bucket.
async fn copy(bucket: &Path, into: &dyn ObjectStore, below: &str) -> Result<()> {
    let from = LocalFileSystem::new_with_prefix(bucket)?;
    let listed = from.list_with_delimiter(None).await?;
    let mut folders = listed.common_prefixes;
    while let Some(folder) = folders.pop() {
        let listed = from.list_with_delimiter(Some(&folder)).await?;
        folders.extend(listed.common_prefixes);
        for object in listed.objects {
            let bytes = from.get(&object.location).await?.bytes().await?;
            into.put(&Name::from(format!("{below}/{}", object.location)), bytes.into()).await?;
        }
    }
    Ok(())
}

/// Asks engines of sources, and compares each answer.
async fn agree(world: &World, which: &[&'static str], sources: Vec<Source>) -> Result<()> {
    let questions = questions(world);
    ensure!(questions.len() == 12, "{}", questions.len());
    let right = right(world).await?;
    for (n, rows) in right.iter().enumerate() {
        ensure!(!rows.is_empty(), "question {} has no answer to compare", n + 1);
    }
    for engine in which.iter().copied() {
        let (asked, of) = (questions.clone(), sources.clone());
        let answers = tokio::task::spawn_blocking(move || engines::ask(engine, &of, &asked)).await??;
        ensure!(answers.len() == sources.len(), "{engine}");
        for (source, answers) in sources.iter().zip(&answers) {
            for (n, (answer, right)) in answers.iter().zip(&right).enumerate() {
                let (answer, right) = (settled(answer), settled(right));
                let first = answer.iter().zip(&right).find(|(a, b)| a != b);
                ensure!(
                    answer == right,
                    "{engine}, {source:?}, question {}: {} rows for {}, first {first:?}",
                    n + 1,
                    answer.len(),
                    right.len()
                );
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_agree_with_log_and_get_on_twelve_questions() -> Result<()> {
    let world = World::new().await?;
    let minio = Minio::start().await?;
    copy(Path::new(&world.bucket()), &minio.store(), "a").await?;
    let folder = format!("{}/{CLUSTER}", world.bucket());
    let stored = format!("a/{CLUSTER}");
    let sources = vec![
        Source::folder(&folder, true),
        Source::folder(&folder, false),
        Source::minio(&minio, &stored, true),
        Source::minio(&minio, &stored, false),
    ];
    agree(&world, &["duckdb", "pyarrow", "datafusion"], sources).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "Spark and Delta's library for it are half a gigabyte: HINDCAST_SPARK names a python that has pyspark, JARS the library"]
async fn spark_agrees_with_log_and_get_on_twelve_questions() -> Result<()> {
    let world = World::new().await?;
    let folder = format!("{}/{CLUSTER}", world.bucket());
    agree(&world, &["spark"], vec![Source::folder(&folder, true)]).await
}
