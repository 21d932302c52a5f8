//! etcd is put back to an older copy, with its own tool: what is answered is what the server has, and what it had
//! before is still told of.

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    manifests::{DEFAULT_CONFIG_MAPS, config_map},
    oracle::subject::{Hindcast, Running},
    real::{Cluster, process::Workdir},
};
use kube::Client;
use serde_json::{Value, json};

use crate::scene::{SOON, Said, ask, ask_with_cluster, create, exact, moment, on_folder, rv, send, until};

const MAPS: &str = DEFAULT_CONFIG_MAPS;

struct Scene {
    cluster: Cluster,
    client: Client,
    hindcast: Hindcast,
}

impl Scene {
    async fn map(&self, name: &str) -> Result<()> {
        create(&self.client, MAPS, config_map(name, json!({"v": "first"}))).await.map(|_| ())
    }

    /// Writes `value` to the config map `kept`; its revision.
    async fn write(&self, value: &str) -> Result<u64> {
        let patch = json!({"data": {"v": value}});
        Ok(rv(&send(&self.client, "PATCH", &format!("{MAPS}/kept"), Some(patch)).await?).parse()?)
    }

    /// Writes until the server's counter is beyond `rv`.
    async fn overtake(&self, rv: u64) -> Result<()> {
        let mut at = 0;
        while at <= rv {
            at = self.write(&format!("after {at}")).await?;
        }
        Ok(())
    }

    async fn at(&self, verb: &[&str], at: &str) -> Result<Said> {
        ask(&self.hindcast, &[verb, &["-n", "default", "--at", at]].concat()).await
    }

    async fn shown(&self, at: &str) -> Result<Said> {
        self.at(&["show", "cm/kept"], at).await
    }

    /// Waits until the answer of now is what the server has.
    async fn as_the_server_has_it(&self, running: &Running) -> Result<()> {
        let live = objects(&send(&self.client, "GET", MAPS, None).await?)?;
        let get = || self.at(&["get", "cm", "-o", "json"], "now");
        let same = until("the answer is what the server has", SOON, async || {
            let closed = running.close().await.is_ok();
            let said = get().await?;
            Ok(closed && said.code == 0 && objects(&said.json()?)? == live)
        });
        match same.await {
            Ok(took) => println!("as the server has it after {took:?}"),
            Err(error) => return Err(error.context(format!("{}\nbut the server has {live:#?}", get().await?))),
        }
        Ok(())
    }
}

/// Metadata and data of each object of a list, in the exact form.
fn objects(list: &Value) -> Result<Vec<(Value, Value)>> {
    let items = list["items"].as_array().context("a list has items")?;
    Ok(items
        .iter()
        .map(|item| exact(item.clone()))
        .map(|item| (item["metadata"].clone(), item["data"].clone()))
        .collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_vanished_with_a_life_of_the_counter_is_told_and_never_current() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let dir = Workdir::new()?;
    let hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
    let scene = Scene { client: cluster.client(), cluster, hindcast };
    for name in ["kept", "returns"] {
        scene.map(name).await?;
    }
    let running = scene.hindcast.run(&[]).await?;
    watched_and_bumped(&scene, &running).await?;
    watched_and_given_again(&scene, &running).await?;
    running.stop().await?;
    unwatched_and_overtaken(&scene).await
}

/// As etcd's own instructions say: beyond all that was known.
async fn watched_and_bumped(scene: &Scene, running: &Running) -> Result<()> {
    let copy = scene.cluster.copy_etcd().await?;
    scene.map("vanishes").await?;
    send(&scene.client, "DELETE", &format!("{MAPS}/returns"), None).await?;
    let undone = scene.write("undone").await?;
    running.close().await?;
    let shortly_before = format!("{:.6}", jiff::Timestamp::now());
    scene.cluster.put_back(&copy, &["--bump-revision=1000000000", "--mark-compacted"]).await?;
    scene.as_the_server_has_it(running).await?;

    let plan = ask_with_cluster(&scene.hindcast, &["plan", "-n", "default", "--at", "now", "-o", "json"]).await?;
    ensure!(plan.is(0, &[])?.json()?["actions"] == json!([]), "a plan to now has something to do: {plan}");
    let log = ask(&scene.hindcast, &["log", "cm", "-n", "default"]).await?;
    let jumps = log.err.matches("the server's store was put back to an older copy").count();
    ensure!(jumps == 1, "{jumps} lines tell of the jump: {log}");
    let before = scene.at(&["get", "cm"], &shortly_before).await?;
    before.is(3, &["vanishes", "put back to an older copy", "the last that is known"])?.never(&["returns"])?;
    scene.shown(&format!("rev:{undone}")).await?.is(0, &["v: undone\n"])?;
    Ok(())
}

/// Without a bump revisions are given a second time.
async fn watched_and_given_again(scene: &Scene, running: &Running) -> Result<()> {
    scene.write("of both").await?;
    let copy = scene.cluster.copy_etcd().await?;
    let undone = scene.write("first given").await?;
    running.close().await?;
    scene.cluster.put_back(&copy, &[]).await?;
    scene.as_the_server_has_it(running).await?;
    scene.overtake(undone).await?;
    scene.as_the_server_has_it(running).await?;

    let (first, second) = (format!("rev:{undone}@1"), format!("rev:{undone}@2"));
    let asked = scene.shown(&format!("rev:{undone}")).await?;
    asked.is(2, &["stands in 2 lives of the counter", &first, &second])?;
    scene.shown(&first).await?.is(0, &["v: first given\n"])?;
    // The server has its own history of the second.
    let exact = format!("{MAPS}?resourceVersion={undone}&resourceVersionMatch=Exact");
    let said = scene.at(&["get", "cm", "-o", "json"], &second).await?;
    ensure!(
        objects(&said.is(0, &[])?.json()?)? == objects(&send(&scene.client, "GET", &exact, None).await?)?,
        "{said}"
    );
    Ok(())
}

/// The revisions up to the old cursor are those of other writes when somebody looks again.
async fn unwatched_and_overtaken(scene: &Scene) -> Result<()> {
    let running = scene.hindcast.run(&[]).await?;
    let copy = scene.cluster.copy_etcd().await?;
    scene.map("vanishes-too").await?;
    let undone = scene.write("undone again").await?;
    // What was written is received first: until then it may be after any moment of now.
    running.close().await?;
    let then = moment(&running).await?;
    running.process.kill();
    scene.cluster.put_back(&copy, &[]).await?;
    scene.overtake(undone + 20).await?;
    let running = scene.hindcast.run(&[]).await?;
    scene.as_the_server_has_it(&running).await?;
    scene.at(&["get", "cm"], "now").await?.is(0, &["kept"])?.never(&["vanishes"])?;
    for at in [then, format!("rev:{undone}@2")] {
        scene.shown(&at).await?.is(0, &["v: undone again\n"])?;
    }
    running.stop().await
}
