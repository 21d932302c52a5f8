//! `restore`: how fast a plan is made and carried out, beside a bare client that sends the same requests.
//!
//! **Words**: a plan *alone* is made by the library from a cut that is closed; the binary also closes the cut of now.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hindcast_journal::cut::At;
use hindcast_restorer::{
    Prepared, Records, Selection, Session, Timeline,
    apply::{Became, Settings, Stage},
    selection::What,
};
use hindcast_tests::{
    http::{create, request, send},
    manifests::{NAMESPACES, namespace as namespace_of},
    oracle::subject::{Hindcast, Place, Running},
    real::{Cluster, process::Workdir},
};
use kube::Client;
use serde_json::json;
use tokio::sync::watch;

use crate::{
    live::{config_map, memory_of},
    millis, row,
};

const BINARY: &str = env!("CARGO_BIN_EXE_hindcast-under-test");

/// How many requests the bare client has under way: as many as a restore at most.
const AT_ONCE: usize = 32;

/// Objects of a namespace.
const EACH: u64 = 1_000;

pub(crate) async fn restore(quick: bool) -> Result<()> {
    let dir = Workdir::new()?;
    let cluster = Cluster::builder().compaction_interval(Duration::from_hours(1)).start().await?;
    let hindcast =
        Hindcast::new(BINARY, dir.path(), Place::folder(&dir.path().join("journal"))?, cluster.kubeconfig())?;
    let client = cluster.client();
    let namespaces = if quick { 10 } else { 100 };
    let begun = Instant::now();
    for n in 0..namespaces {
        fill(&client, &format!("ns-{n}"), EACH).await?;
    }
    eprintln!("restore: {} objects created in {:.0} s", namespaces * EACH, begun.elapsed().as_secs_f64());
    let running = hindcast.launch(&[])?;
    running.wait_ready(Duration::from_mins(5)).await?;
    let all = namespaces * EACH;
    one_namespace(&hindcast, &running, &client, all).await?;
    everything(&hindcast, &running, all).await?;
    requests(&hindcast, &running, &client, if quick { 500 } else { 3_000 }).await?;
    running.stop().await
}

/// 50 of 1,000 objects changed, planned and put back by the binary.
async fn one_namespace(hindcast: &Hindcast, running: &Running, client: &Client, all: u64) -> Result<()> {
    let how = format!("{EACH} config maps of about 1 KB, 50 changed, in a cluster of {all} objects, on a folder");
    let (mut alone, mut called, mut restored, mut waits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut most = 0;
    for _ in 0..5 {
        let at = change(running, client, "ns-0", 50).await?;
        let time = format!("{at:.6}");
        let scope = ["-n", "ns-0", "--at", time.as_str(), "-o", "json", "-v"];
        running.close().await?;
        let (prepared, took) = planned(hindcast, client, "ns-0", at.as_microsecond()).await?;
        alone.push(took);
        ensure!(prepared.plan.actions.len() == 50, "{} actions", prepared.plan.actions.len());
        let call = timed(hindcast, &[&["plan"], &scope[..]].concat(), &[1]).await?;
        let restore = timed(hindcast, &[&["restore", "--yes"], &scope[..]].concat(), &[0]).await?;
        eprintln!(
            "restore: planned {} ({} waited), put back {} ({} waited)",
            millis(call.took),
            millis(call.waited),
            millis(restore.took),
            millis(restore.waited)
        );
        called.push(call.took.saturating_sub(call.waited));
        restored.push(restore.took.saturating_sub(restore.waited));
        waits.extend([call.waited, restore.waited]);
        most = most.max(restore.peak);
    }
    for times in [&mut alone, &mut called, &mut restored, &mut waits] {
        times.sort_unstable();
    }
    row(
        "restore: a namespace planned",
        "≤ 2 s",
        &format!(
            "p50 {}, most {}; by the binary p50 {}, most {}",
            millis(alone[2]),
            millis(alone[4]),
            millis(called[2]),
            millis(called[4])
        ),
        &how,
    );
    row(
        "restore: a namespace put back",
        "≤ 3 s",
        &format!("p50 {}, most {}; {most} MiB at most", millis(restored[2]), millis(restored[4])),
        "as above, by the binary: planned, checked by dry runs, recorded, carried out and read again",
    );
    row(
        "restore: the wait for a closed cut",
        "",
        &format!("p50 {}, most {}", millis(waits[5]), millis(waits[9])),
        "beside each of these calls of the binary, and not in their times: until all that happened up to now is in the journal",
    );
    Ok(())
}

/// The whole cluster planned.
async fn everything(hindcast: &Hindcast, running: &Running, all: u64) -> Result<()> {
    let now = format!("{:.6}", jiff::Timestamp::now());
    running.close().await?;
    running.close().await?;
    let call = timed(hindcast, &["plan", "-A", "--at", &now, "-o", "json", "-v"], &[0, 1]).await?;
    row(
        "restore: a whole cluster planned",
        "",
        &format!(
            "{} and {} waited for a closed cut; {} MiB at most",
            millis(call.took.saturating_sub(call.waited)),
            millis(call.waited),
            call.peak
        ),
        &format!("`plan -A` of {all} objects that are as they were"),
    );
    Ok(())
}

/// Writes per second of a restore that creates everything in a namespace anew, and of a client that does nothing else.
async fn requests(hindcast: &Hindcast, running: &Running, client: &Client, count: u64) -> Result<()> {
    fill(client, "lost", count).await?;
    // So that the moment surely lies behind all of them: bounds of a time may be a second wide.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let at = jiff::Timestamp::now().as_microsecond();
    running.close().await?;
    let path = "/api/v1/namespaces/lost/configmaps";
    let mut ratios = Vec::new();
    for round in 0..3 {
        let (status, _) = request(client, "DELETE", path, None, "").await?;
        ensure!(status == 200, "deleting all: {status}");
        running.close().await?;
        let bare = bare(client, &format!("bare-{round}"), count).await?;
        let (rate, writes) = ours(hindcast, client, at).await?;
        ratios.push((rate / bare, rate, bare, writes));
    }
    ratios.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, rate, bare, writes) = ratios[1];
    row(
        "restore: writes per second",
        "≥ 80 % of a bare client",
        &format!(
            "{rate:.0}/s; bare {bare:.0}/s; {:.0} % (of three: {:.0} to {:.0} %)",
            ratio * 100.0,
            ratios[0].0 * 100.0,
            ratios[2].0 * 100.0
        ),
        &format!(
            "{count} config maps created anew, {writes} writes with those that give the fields back to their owners; the bare client sends as many of both, {AT_ONCE} at once, just before"
        ),
    );
    Ok(())
}

/// Creates objects and sets their owners as a restore does, and nothing else; requests per second.
async fn bare(client: &Client, namespace: &str, count: u64) -> Result<f64> {
    create(client, NAMESPACES, namespace_of(namespace)).await?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let begun = Instant::now();
    stream::iter(0..count)
        .map(|n| {
            let path = &path;
            async move {
                let made = create(client, path, config_map("map", n, 900)).await?;
                let mut managed = made["metadata"]["managedFields"].clone();
                managed[0]["manager"] = json!("somebody");
                let of = |field: &str| made["metadata"][field].clone();
                let patch = json!({ "metadata": { "uid": of("uid"), "resourceVersion": of("resourceVersion"), "managedFields": managed } });
                let name = made["metadata"]["name"].as_str().unwrap_or_default();
                send(client, "PATCH", &format!("{path}/{name}"), Some(patch)).await
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(count as f64 * 2.0 / begun.elapsed().as_secs_f64())
}

/// The same by a restore: writes per second between its first and the end of its waves, and how many.
async fn ours(hindcast: &Hindcast, client: &Client, at: i64) -> Result<(f64, u64)> {
    let (prepared, _) = planned(hindcast, client, "lost", at).await?;
    let (session, mut timeline) = session(hindcast, client).await?;
    let records = Records::of(&mut timeline, None).await?;
    let restore = session.begin(&records, prepared, &|_| {}).await?;
    let before = writes(client).await?;
    let waves = Mutex::new(None);
    let begun = Instant::now();
    let listener = |progress: hindcast_restorer::apply::Progress<'_>| {
        if progress.stage == Stage::Verifying {
            waves.lock().expect("no panic under it").get_or_insert(begun.elapsed());
        }
    };
    let (_keep, cancel) = watch::channel(false);
    let outcome = restore.apply(&Settings::default(), &listener, cancel).await?;
    ensure!(outcome.actions.iter().all(|a| a.became == Became::Done), "not all was done");
    let took = waves.into_inner()?.context("it came to verify")?;
    let count = writes(client).await? - before;
    Ok((count as f64 / took.as_secs_f64(), count))
}

/// The library over the journal, as it stands now.
async fn session(hindcast: &Hindcast, client: &Client) -> Result<(Session, Timeline)> {
    const PATIENCE: Duration = Duration::from_secs(15);
    let timeline = Timeline::open(&hindcast.place.journal().await?, vec![hindcast.key()?]).await?;
    Ok((Session::open(client.clone(), &timeline, PATIENCE, PATIENCE).await?, timeline))
}

/// A namespace's plan, by the library, and how long that took without the wait for what is on its way into the bucket.
async fn planned(hindcast: &Hindcast, client: &Client, namespace: &str, at: i64) -> Result<(Prepared, Duration)> {
    let selection = Selection::of(What::Namespace(namespace.to_owned()));
    let begun = Instant::now();
    let (session, mut timeline) = session(hindcast, client).await?;
    let then = timeline.at(&At::Time(at)).await?;
    let compared = session.plan(&mut timeline, &then, &selection).await?;
    Ok((compared.prepared, begun.elapsed().saturating_sub(compared.waited)))
}

/// How many writes of config maps the API server has served.
async fn writes(client: &Client) -> Result<u64> {
    let (_, body) = request(client, "GET", "/metrics", None, "").await?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let ours = |line: &&str| {
        line.starts_with("apiserver_request_total{")
            && line.contains(r#"resource="configmaps""#)
            && [r#"verb="POST""#, r#"verb="PUT""#, r#"verb="PATCH""#].iter().any(|verb| line.contains(verb))
    };
    Ok(text.lines().filter(ours).filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
}

/// Changes that many objects of a namespace after a moment, and gives the moment.
async fn change(running: &Running, client: &Client, namespace: &str, count: u64) -> Result<jiff::Timestamp> {
    let at = jiff::Timestamp::now();
    // What comes surely comes after it.
    tokio::time::sleep(Duration::from_millis(600)).await;
    running.close().await?;
    let turn = jiff::Timestamp::now().as_microsecond();
    for n in 0..count {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/map-{}", n * (EACH / count));
        send(client, "PATCH", &path, Some(json!({ "data": { "turn": turn.to_string() } }))).await?;
    }
    Ok(at)
}

/// A call of the binary.
struct Call {
    took: Duration,
    /// The part of it that it waited for the cut of now, by its own account.
    waited: Duration,
    /// The most memory it had, in MiB.
    peak: u64,
}

/// Runs the binary with `-v`.
async fn timed(hindcast: &Hindcast, args: &[&str], codes: &[i32]) -> Result<Call> {
    let begun = Instant::now();
    let mut command = hindcast.command(args, true);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn()?;
    let pid = child.id().context("it runs")?;
    let over = tokio::spawn(async move { child.wait_with_output().await.map(|output| (output, begun.elapsed())) });
    let mut peak = 0;
    while !over.is_finished() {
        peak = peak.max(memory_of(pid, "VmHWM:").unwrap_or_default());
        // How often the memory is looked at.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (output, took) = over.await??;
    let code = output.status.code().unwrap_or(-1);
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(codes.contains(&code), "{args:?}: exit {code}: {said}");
    let waited = said.lines().find_map(|line| line.strip_prefix("waited ")?.split_whitespace().next()?.parse().ok());
    let waited = Duration::from_millis(waited.with_context(|| format!("it does not say how long it waited: {said}"))?);
    Ok(Call { took, waited, peak })
}

async fn fill(client: &Client, namespace: &str, count: u64) -> Result<()> {
    create(client, NAMESPACES, namespace_of(namespace)).await?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    stream::iter(0..count)
        .map(|n| {
            let path = &path;
            async move { create(client, path, config_map("map", n, 900)).await }
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| async { Ok(()) })
        .await
}
