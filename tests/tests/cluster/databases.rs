//! Databases that come back: real ones on a real node, with writers running and the hooks of `deploy/recipes`. What a point
//! has is what was committed before it; data are put back where they are lost, rolled back in place, and that is undone.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    http::{create, find, send},
    oracle::subject::{Hindcast, Running},
    real::{Cluster, Csi, Image, Node, process::Workdir},
};
use kube::Client;
use serde_json::{Value, json};

use crate::{
    node,
    scene::{SOON, Said, ask_within, namespace, namespace_goes, on_folder, until},
};

/// A database, and how it is spoken with.
#[derive(Clone, Copy)]
struct Database {
    name: &'static str,
    image: Image,
    /// The file of its hooks.
    recipe: &'static str,
    env: (&'static str, &'static str),
    client: &'static [&'static str],
    /// Makes the table of the writer.
    make: &'static str,
}

const POSTGRES: Database = Database {
    name: "pg",
    image: Image::Postgres,
    recipe: "postgresql.yaml",
    env: ("PGHOST", "/tmp"),
    client: &["psql", "-U", "postgres", "-qtAc"],
    make: "CREATE TABLE t (n int PRIMARY KEY); CREATE TABLE orders (a int); INSERT INTO orders VALUES (42)",
};

const MARIADB: Database = Database {
    name: "my",
    image: Image::Mariadb,
    recipe: "mariadb.yaml",
    env: ("MYSQL_UNIX_PORT", "/tmp/mysql.sock"),
    client: &["mariadb", "--no-defaults", "-S", "/tmp/mysql.sock", "-uroot", "-NBe"],
    make: "CREATE DATABASE s; CREATE TABLE s.t (n int PRIMARY KEY); CREATE TABLE s.orders (a int); INSERT INTO s.orders VALUES (42)",
};

impl Database {
    fn table(&self, name: &str) -> String {
        if self.name == "my" { format!("s.{name}") } else { name.to_owned() }
    }

    /// The annotations of its recipe, as they stand in the file.
    fn hooks(&self) -> Result<BTreeMap<String, String>> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/recipes").join(self.recipe);
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let patch: Value = serde_saphyr::from_str(&text)?;
        let annotations = &patch["spec"]["template"]["metadata"]["annotations"];
        Ok(serde_json::from_value(annotations.clone())?)
    }

    /// Its `StatefulSet`, with its data on a volume.
    fn set(&self) -> Result<Value> {
        let mut set = node::database(self.name, self.image, &[self.client, &["SELECT 1"]].concat());
        let template = &mut set["spec"]["template"];
        template["metadata"]["annotations"] = json!(self.hooks()?);
        template["spec"]["terminationGracePeriodSeconds"] = json!(10);
        template["spec"]["containers"][0]["env"] = json!([{"name": self.env.0, "value": self.env.1}]);
        Ok(set)
    }
}

/// The node is dropped before what its Pods write to.
struct Scene {
    running: Running,
    node: Arc<Node>,
    _csi: Csi,
    client: Client,
    hindcast: Hindcast,
    _dir: Workdir,
    _cluster: Cluster,
}

impl Scene {
    async fn new() -> Result<Self> {
        let cluster = Cluster::builder().controller_manager().start().await?;
        let node = Node::start(&cluster).await?;
        let csi = Csi::start(&node).await?;
        let dir = Workdir::new()?;
        let hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
        let running = hindcast.run(&[]).await?;
        let client = cluster.client();
        Ok(Self { running, node: Arc::new(node), _csi: csi, client, hindcast, _dir: dir, _cluster: cluster })
    }

    async fn ask(&self, args: &[&str]) -> Result<Said> {
        let address = ["--run-address", &self.running.address];
        let args = [args, &address].concat();
        ask_within(&self.hindcast, &args, Duration::from_mins(5)).await
    }

    /// Makes the namespace with the database in it.
    async fn make(&self, database: &Database) -> Result<()> {
        self.node.load(database.image).await?;
        let name = database.name;
        namespace(&self.client, name).await?;
        create(&self.client, &format!("/apis/apps/v1/namespaces/{name}/statefulsets"), database.set()?).await?;
        self.up(database).await?;
        self.sql(database, database.make).await?;
        Ok(())
    }

    /// Waits until the database answers.
    async fn up(&self, database: &Database) -> Result<()> {
        let (name, pod) = (database.name, format!("{}-0", database.name));
        let path = format!("/api/v1/namespaces/{name}/pods/{pod}");
        until(format!("{pod} is made"), 2 * SOON, async || Ok(find(&self.client, &path).await?.is_some())).await?;
        self.node.ready(name, &pod).await?;
        Ok(())
    }

    async fn sql(&self, database: &Database, sql: &str) -> Result<String> {
        sql_of(&self.node, database, sql).await
    }

    /// What the writer's table holds, which has no gap: how many rows.
    async fn rows(&self, database: &Database) -> Result<u64> {
        let table = database.table("t");
        let said = self.sql(database, &format!("SELECT count(*), coalesce(max(n), 0) FROM {table}")).await?;
        let numbers: Vec<u64> = said.split(['|', '\t']).map(|n| n.trim().parse()).collect::<Result<_, _>>()?;
        ensure!(numbers.len() == 2 && numbers[0] == numbers[1], "rows are missing in between: {said}");
        Ok(numbers[0])
    }

    /// Prints what stands, for whoever has to find out why.
    async fn show(&self, name: &str) -> Result<()> {
        let kinds = "statefulset,pod,pvc,volumesnapshot,event";
        for args in [&["get", kinds, "-n", name, "-o", "wide"][..], &["get", "pv,volumesnapshotcontent", "-o", "wide"]]
        {
            println!("{}", self.node.kubectl(args).await?.out);
        }
        Ok(())
    }

    async fn uid(&self, path: &str) -> Result<Option<String>> {
        let found = find(&self.client, path).await?;
        Ok(found.and_then(|found| Some(found["metadata"]["uid"].as_str()?.to_owned())))
    }
}

async fn sql_of(node: &Node, database: &Database, sql: &str) -> Result<String> {
    let pod = format!("{}-0", database.name);
    Ok(node.exec(database.name, &pod, &[database.client, &[sql]].concat()).await?.ok()?.trim().to_owned())
}

/// Commits one row after the other until it is told to stop.
struct Writer {
    /// The newest row that is known to be committed.
    committed: Arc<AtomicU64>,
    /// The newest row that was begun.
    begun: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Writer {
    fn start(node: &Arc<Node>, database: Database) -> Self {
        let (committed, begun, stop) =
            (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (node, ours) = (node.clone(), (committed.clone(), begun.clone(), stop.clone()));
        let task = tokio::spawn(async move {
            let (committed, begun, stop) = ours;
            let table = database.table("t");
            while !stop.load(Ordering::SeqCst) {
                let next = committed.load(Ordering::SeqCst) + 1;
                begun.store(next, Ordering::SeqCst);
                if sql_of(&node, &database, &format!("INSERT INTO {table} VALUES ({next})")).await.is_ok() {
                    committed.store(next, Ordering::SeqCst);
                }
            }
        });
        Self { committed, begun, stop, task }
    }

    async fn past(&self, rows: u64) -> Result<()> {
        until("rows are written", 2 * SOON, async || Ok(self.committed.load(Ordering::SeqCst) >= rows)).await?;
        Ok(())
    }

    async fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await?;
        Ok(self.committed.load(Ordering::SeqCst))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_database_comes_back_with_what_was_committed_before_the_point() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::new().await?;
    for database in [POSTGRES, MARIADB] {
        let name = database.name;
        let done = async {
            lost_and_restored(&scene, &database).await.with_context(|| format!("{name} is lost"))?;
            rolled_back_in_place(&scene, &database).await.with_context(|| format!("{name} in place"))
        };
        let done = done.await;
        if done.is_err() {
            scene.show(name).await?;
        }
        done?;
    }
    Ok(())
}

/// The namespace goes with its volume, and comes back with the data of the point.
async fn lost_and_restored(scene: &Scene, database: &Database) -> Result<()> {
    scene.make(database).await?;
    let name = database.name;
    let writer = Writer::start(&scene.node, *database);
    writer.past(3).await?;
    let before = writer.committed.load(Ordering::SeqCst);
    let point = format!("{name}-first");
    let made = scene.ask(&["point", "create", &point, "-n", name, "-o", "json"]).await?;
    let after = writer.begun.load(Ordering::SeqCst);
    let made = made.is(0, &[])?.json()?;
    ensure!(made["state"] == "complete", "{made}");
    ensure!(made["hooks"].as_array().is_some_and(|hooks| !hooks.is_empty()), "its hooks ran: {made}");
    writer.past(after + 2).await?;
    let last = writer.end().await?;

    namespace_goes(&scene.client, name, Duration::from_mins(2)).await?;
    let at = format!("point:{point}");
    let plan = scene.ask(&["plan", "-n", name, "--at", &at]).await?;
    plan.is(1, &["1 volume as of recovery point", &point])?.never(&["EMPTY"])?;
    let scope = ["restore", "-n", name, "--at", &at, "--yes", "--wait-rollout", "3m"];
    scene.ask(&scope).await?.is(0, &[&format!("data-{name}-0")])?;
    scene.up(database).await?;
    let rows = scene.rows(database).await?;
    println!(
        "{name}: {before} committed before, {rows} restored, {after} begun when the point was made, {last} in the end"
    );
    ensure!(before <= rows && rows <= after, "{before} <= {rows} <= {after}");
    ensure!(scene.sql(database, &format!("SELECT a FROM {}", database.table("orders"))).await? == "42");
    let helpers = format!("/apis/snapshot.storage.k8s.io/v1/namespaces/{name}/volumesnapshots");
    let helpers = find(&scene.client, &helpers).await?.context("snapshots are listed")?;
    ensure!(helpers["items"] == json!([]), "no helper stays: {helpers}");
    let contents = find(&scene.client, "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents").await?;
    let contents = contents.context("contents are listed")?["items"].as_array().map_or(0, Vec::len);
    let points = scene.ask(&["point", "list", "-o", "json"]).await?.json()?;
    let points = points["points"].as_array().map_or(0, Vec::len);
    ensure!(contents == points, "each point keeps its snapshot and nothing else stands: {contents} of {points}");
    Ok(())
}

/// A bad migration: the volume is rolled back under the claim, together with the resources, and that is undone.
async fn rolled_back_in_place(scene: &Scene, database: &Database) -> Result<()> {
    let name = database.name;
    let (orders, point) = (database.table("orders"), format!("{name}-second"));
    scene.sql(database, &format!("INSERT INTO {orders} VALUES (43)")).await?;
    scene.ask(&["point", "create", &point, "-n", name]).await?.is(0, &[])?;
    let rows = scene.rows(database).await?;
    let set = format!("/apis/apps/v1/namespaces/{name}/statefulsets/{name}");
    let label = json!({"metadata": {"labels": {"migration": "bad"}}});
    send(&scene.client, "PATCH", &set, Some(label)).await?;
    let broken = format!("DROP TABLE {orders}; INSERT INTO {} VALUES ({})", database.table("t"), rows + 1);
    scene.sql(database, &broken).await?;
    scene.running.close().await?;

    let at = format!("point:{point}");
    let claim = format!("/api/v1/namespaces/{name}/persistentvolumeclaims/data-{name}-0");
    let (first, pod) = (scene.uid(&claim).await?, format!("/api/v1/namespaces/{name}/pods/{name}-0"));
    let ran = scene.uid(&pod).await?;
    // Without being asked for, the data of a claim that stands are left alone.
    scene.ask(&["plan", "-n", name, "--at", &at]).await?.never(&["persistentvolumeclaims"])?;
    let scope = ["-n", name, "--at", &at, "--volumes", "all"];
    scene.ask(&[&["plan"][..], &scope].concat()).await?.is(1, &["it is stopped (0 replicas)", "kept beside"])?;
    ensure!(scene.uid(&pod).await? == ran, "a plan stops nothing");
    let going = ["--yes", "--wait-rollout", "3m", "-o", "json"];
    let done = scene.ask(&[&["restore"][..], &scope, &going].concat()).await?;
    let done = done.is(0, &[])?.json()?;
    let id = done["id"].as_str().context("it has an id")?.to_owned();
    scene.up(database).await?;
    let read = format!("SELECT a FROM {orders} ORDER BY a");
    ensure!(scene.sql(database, &read).await? == "42\n43", "the table is back");
    ensure!(scene.rows(database).await? == rows, "and what was written since is not there");
    ensure!(scene.uid(&claim).await? != first, "the claim is another one");
    let stands = find(&scene.client, &set).await?.context("it is there")?;
    ensure!(stands["metadata"]["labels"]["migration"].is_null() && stands["spec"]["replicas"] == 1, "{stands}");

    // What was there before the restore is still there.
    scene.ask(&["undo", &id, "--yes", "--wait-rollout", "3m"]).await?.is(0, &[])?;
    scene.up(database).await?;
    ensure!(scene.rows(database).await? == rows + 1, "the newest row is back");
    ensure!(scene.sql(database, &read).await.is_err(), "and the table is dropped again");
    let stands = find(&scene.client, &set).await?.context("it is there")?;
    ensure!(stands["metadata"]["labels"]["migration"] == "bad" && stands["spec"]["replicas"] == 1, "{stands}");
    Ok(())
}
