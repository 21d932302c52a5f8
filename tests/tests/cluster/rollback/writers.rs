//! Others write while a restore runs: status gets in nobody's way, intent is never overwritten.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hindcast_tests::{
    manifests::{self, deployment},
    oracle,
    real::process::Workdir,
    rollback::answer::Restore,
    sim::rng::Rng,
    until::{SOON, until_every},
};
use kube::Client;
use serde_json::{Value, json};

use super::Stage;
use crate::scene::{ask_with_cluster, send};

const NS: &str = "writers";
const COUNT: usize = 200;

fn path(n: usize) -> String {
    format!("/apis/apps/v1/namespaces/{NS}/deployments/web-{n}")
}

fn image(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]["containers"][0]["image"]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_beside_a_restore_are_neither_in_the_way_nor_overwritten() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = oracle::builder().start().await?;
    let dir = Workdir::new()?;
    let (stage, running) = Stage::open(&cluster, &dir).await?;
    stage.namespace(NS).await?;
    let all = async |image: &'static str| -> Result<()> {
        stream::iter(0..COUNT)
            .map(|n| {
                let client = stage.client.clone();
                async move { send(&client, "PATCH", &path(n), Some(manifests::image(image))).await }
            })
            .buffer_unordered(16)
            .try_for_each(|_| async { Ok(()) })
            .await
    };
    for n in 0..COUNT {
        let web = deployment(&format!("web-{n}"), "registry.local/good:1");
        stage.post(&format!("/apis/apps/v1/namespaces/{NS}/deployments"), web).await?;
    }
    let at = stage.moment(NS).await?;
    all("registry.local/bad:2").await?;
    status_is_in_nobodys_way(&stage, &at).await.context("a writer of status")?;
    all("registry.local/bad:3").await?;
    intent_is_not_overwritten(&stage, &at).await.context("a writer of spec")?;
    running.stop().await
}

/// 50 a second, at random over all of them: each restored Deployment has moved on since it was read.
async fn status_is_in_nobodys_way(stage: &Stage, at: &str) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let writes = Arc::new(AtomicU64::new(0));
    let writer = tokio::spawn(write_status(stage.client.clone(), stop.clone(), writes.clone()));
    let began = tokio::time::Instant::now();
    let (said, restore) = stage.try_restore(&["-n", NS, "--at", at]).await?;
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    writer.await??;
    let n = writes.load(Ordering::Relaxed);
    said.is(0, &[])?;
    ensure!(restore.actions.iter().filter(|a| a.kind == "Deployment").count() == COUNT, "{said}");
    ensure!(
        (restore.summary.conflicts, restore.summary.failed, restore.summary.refused) == (0, 0, 0),
        "{:?}",
        restore.summary
    );
    ensure!(n >= 50, "only {n} writes of status in {took:?}");
    for item in stage.list(&format!("/apis/apps/v1/namespaces/{NS}/deployments")).await? {
        ensure!(image(&item) == "registry.local/good:1", "{item}");
    }
    println!("writers: {COUNT} Deployments in {:.1} s beside {n} writes of status", took.as_secs_f64());
    Ok(())
}

async fn write_status(client: Client, stop: Arc<AtomicBool>, writes: Arc<AtomicU64>) -> Result<()> {
    let mut draw = Rng::new(50);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    // Several at once, so that a slow answer doesn't slow the rate.
    let mut sent = tokio::task::JoinSet::new();
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        let at = format!("{}/status?fieldManager=controller", path(draw.below(COUNT as u64) as usize));
        let patch = json!({ "status": { "observedGeneration": draw.below(1_000_000) + 1 } });
        let (client, writes) = (client.clone(), writes.clone());
        sent.spawn(async move {
            send(&client, "PATCH", &at, Some(patch)).await?;
            writes.fetch_add(1, Ordering::Relaxed);
            anyhow::Ok(())
        });
        while let Some(done) = sent.try_join_next() {
            done??;
        }
    }
    while let Some(done) = sent.join_next().await {
        done??;
    }
    Ok(())
}

/// Once the plan is made, somebody changes some of them, each once. Whoever came first, the change stands; where it
/// came first, the restore says so.
async fn intent_is_not_overwritten(stage: &Stage, at: &str) -> Result<()> {
    let restores = restores(stage)?;
    let args = ["restore", "--yes", "-o", "json", "-n", NS, "--at", at];
    let restoring = ask_with_cluster(&stage.hindcast, &args);
    let writing = async {
        // The record is made when the plan stands and before the first write.
        let recorded = async || Ok(self::restores(stage)? != restores);
        until_every(Duration::from_millis(2), "the restore has a record", SOON * 2, recorded).await?;
        let mut draw = Rng::new(7);
        let mut order: Vec<usize> = (0..COUNT).collect();
        order.sort_by_cached_key(|_| draw.number());
        let changed: Vec<(usize, Value)> = stream::iter(order.into_iter().take(80))
            .map(|n| async move {
                let patch = json!({ "spec": { "minReadySeconds": n + 1, "template": { "spec": { "containers": [
                    { "name": "c", "image": format!("registry.local/hotfix:{n}") }] } } } });
                let answer =
                    send(&stage.client, "PATCH", &format!("{}?fieldManager=alice", path(n)), Some(patch)).await?;
                anyhow::Ok((n, answer))
            })
            .buffer_unordered(4)
            .try_collect()
            .await?;
        anyhow::Ok(changed)
    };
    let (said, changed) = tokio::join!(restoring, writing);
    let (said, changed) = (said?, changed?);
    let restore: Restore = serde_json::from_str(&said.out).with_context(|| format!("{said}"))?;
    let results: BTreeMap<&str, &str> =
        restore.actions.iter().filter_map(|a| Some((a.name.as_str(), a.result.as_deref()?))).collect();
    let mut first = 0;
    for n in 0..COUNT {
        let live = stage.get(&path(n)).await?;
        let result = results.get(format!("web-{n}").as_str()).copied().unwrap_or("none");
        let Some((_, answer)) = changed.iter().find(|(m, _)| *m == n) else {
            ensure!(image(&live) == "registry.local/good:1" && result == "done", "web-{n}: {result}, {}", image(&live));
            continue;
        };
        ensure!(
            image(&live) == image(answer) && live["spec"]["minReadySeconds"] == n + 1,
            "web-{n} was overwritten: {live}"
        );
        match result {
            "conflict" => first += 1,
            // The restore's write came first, and this one after.
            "done" => {}
            _ => anyhow::bail!("web-{n}: {result}\n{said}"),
        }
    }
    ensure!(first > 0, "no change came before the restore's own write, so nothing is shown: {said}");
    ensure!(restore.summary.conflicts == first, "{} conflicts counted, {first} found", restore.summary.conflicts);
    said.is(1, &["conflict"])?;
    println!(
        "writers: of {} changes of spec, {first} came first and were reported, none was overwritten",
        changed.len()
    );
    Ok(())
}

fn restores(stage: &Stage) -> Result<usize> {
    let root = stage.hindcast.place.url.trim_start_matches("file://");
    let clusters = std::fs::read_dir(root)?.flatten();
    Ok(clusters.filter_map(|c| std::fs::read_dir(c.path().join("restores")).ok()).map(Iterator::count).sum())
}
