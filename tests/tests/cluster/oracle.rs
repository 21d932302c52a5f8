//! The journal against the answers of a real API server: every acknowledged write, exactly.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    oracle::{
        self, Load, Met, Verdict,
        subject::{Hindcast, Place, Running},
    },
    real::{Cluster, Minio, process::Workdir},
};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_hindcast-under-test");

fn load(prefix: &str, writes: u64) -> Load {
    Load { seed: 0x0dd5_eed5, writers: 16, writes, rate: None, prefix: prefix.to_owned(), kinds: oracle::kinds() }
}

async fn cluster() -> Result<Cluster> {
    oracle::builder().compaction_interval(Duration::from_hours(1)).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_is_reproduced_exactly_on_a_folder() -> Result<()> {
    let dir = Workdir::new()?;
    let place = Place::folder(&dir.path().join("journal"))?;
    every_acknowledged_write(dir.path(), place, 20_000).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_is_reproduced_exactly_on_minio() -> Result<()> {
    let dir = Workdir::new()?;
    let minio = Minio::start().await?;
    let place = Place::minio(&minio, "oracle", minio.port());
    every_acknowledged_write(dir.path(), place, 20_000).await
}

async fn every_acknowledged_write(dir: &Path, place: Place, writes: u64) -> Result<()> {
    let _alone = crate::FIGURES.write().await;
    let cluster = cluster().await?;
    let client = cluster.client();
    let load = load("oracle", writes);
    oracle::prepare(&client, &load).await?;
    let hindcast = Hindcast::new(BINARY, dir, place, cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    let low = oracle::newest_revision(&client, &load.kinds[0]).await?;

    let written = oracle::run(&client, &load, false).await?;
    let stored = written.answers.iter().filter(|a| a.stored().is_some());
    let last = stored.max_by_key(|a| a.answered).context("there were writes")?.clone();
    asked_at_once(&hindcast, &running, &last).await?;
    running.close().await?;

    let journal = hindcast.place.journal().await?;
    let verdict = oracle::check(&journal, &hindcast.keys()?, &written, &Met::default()).await?;
    println!("oracle: {verdict}");
    verdict.accounted()?;
    ensure!(verdict.exact + verdict.deletes == written.answers.len(), "{verdict}");
    ensure!(
        (verdict.born_and_gone, verdict.lost, verdict.gaps) == (0, 0, (0, 0)),
        "without faults nothing is missing: {verdict}"
    );
    verdict.on_the_clock()?;
    let p99 = Verdict::quantile(&verdict.spread_live, 0.99);
    ensure!(p99 <= 1_000_000, "the spread of time bounds is {p99} µs at p99");

    let high = oracle::newest_revision(&client, &load.kinds[0]).await?;
    running.close().await?;
    let compared = oracle::exact_lists_agree(&client, &journal, &hindcast.keys()?, 30, (low, high), 7).await?;
    ensure!(compared == 30);
    running.stop().await
}

/// Straight after a write: exact with access to the cluster, exact through the running process, and with the bucket
/// alone exact or said to be open.
async fn asked_at_once(hindcast: &Hindcast, running: &Running, last: &oracle::Answer) -> Result<()> {
    let text = String::from_utf8_lossy(&last.body);
    let body: serde_json::Value = serde_json::from_str(&text)?;
    let rv =
        body.pointer("/metadata/resourceVersion").and_then(|v| v.as_str()).context("a stored state has a revision")?;
    let name = format!("{}.{}/{}", last.kind.resource, last.kind.group, last.name);
    let name = if last.kind.group.is_empty() { format!("{}/{}", last.kind.resource, last.name) } else { name };
    let at = format!("rev:{rv}");
    let mut args = vec!["show", &name, "--at", &at, "-o", "json", "--show-secrets"];
    if last.kind.namespaced {
        args.extend(["-n", &last.namespace]);
    }
    let mut expected = body.clone();
    if let Some(metadata) = expected.pointer_mut("/metadata").and_then(|m| m.as_object_mut()) {
        metadata.remove("managedFields");
    }
    let via = ["--run-address".to_owned(), running.address.clone()];
    let mut with_run = args.clone();
    with_run.extend(via.iter().map(String::as_str));
    let mut alone = args.clone();
    alone.extend(["--wait", "3s"]);
    for (args, cluster, codes) in [(&args, true, &[0][..]), (&with_run, false, &[0]), (&alone, false, &[0, 3])] {
        let output = hindcast.call(args, cluster).await?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().unwrap_or(-1);
        ensure!(codes.contains(&code), "{args:?}: exit {code}: {stderr}");
        if code == 0 {
            let shown: serde_json::Value = serde_json::from_slice(&output.stdout).with_context(|| stderr.clone())?;
            ensure!(shown == expected, "{args:?} shows\n{shown:#}\nbut the answer was\n{expected:#}\n{stderr}");
        } else {
            ensure!(stderr.contains("open"), "an open cut is named: {stderr}");
        }
    }
    Ok(())
}
