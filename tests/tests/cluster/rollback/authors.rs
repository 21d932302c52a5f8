//! What `log`, `blame` and `diff` tell of who wrote what, of what came and went, and of a restore; and that paths are read as
//! they are printed.
//!
//! Who writes through which subresource is what the real server makes of it, managedFields and their seconds included.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{manifests::deployment, until::ends};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::Stage;
use crate::scene::{SOON, Said, ask_with_cluster, rv, send, until};

const NS: &str = "authors";
const MAPS: &str = "/api/v1/namespaces/authors/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/authors/deployments";

/// The changes of an object, oldest first.
async fn log(stage: &Stage, object: &str) -> Result<Vec<Value>> {
    let said = ask_with_cluster(&stage.hindcast, &["log", object, "-n", NS, "-o", "json"]).await?;
    let mut changes: Vec<Value> = said.is(0, &[])?.out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    changes.reverse();
    Ok(changes)
}

/// The change of an object that a write's answer is.
async fn change(stage: &Stage, object: &str, answer: &Value) -> Result<Value> {
    let wanted: u64 = rv(answer).parse()?;
    let mut found = None;
    until(format!("the log holds revision {wanted} of {object}"), SOON, async || {
        found = log(stage, object).await?.into_iter().find(|change| change["rev"] == wanted);
        Ok(found.is_some())
    })
    .await?;
    found.context("it was waited for")
}

fn by(change: &Value) -> (&str, &str) {
    (change["manager"].as_str().unwrap_or_default(), change["subresource"].as_str().unwrap_or_default())
}

pub(super) async fn who_did_what(stage: &Stage) -> Result<()> {
    stage.namespace(NS).await?;
    let mut web = deployment("web", "registry.local/web:1");
    web["metadata"]["labels"] = json!({ "app": "web", "team": "shop" });
    let made = stage.post(&format!("{DEPLOYMENTS}?fieldManager=kubectl-create"), web).await?;
    // Within the second of the creation, as a script does it.
    let path = format!("{DEPLOYMENTS}/web/scale?fieldManager=kubectl");
    let scaled = stage.patch(&path, json!({ "spec": { "replicas": 2 } })).await?;
    let path = format!("{DEPLOYMENTS}/web?fieldManager=kubectl-edit");
    let removed = stage.patch(&path, json!({ "metadata": { "labels": { "team": null } } })).await?;
    ensure!(by(&change(stage, "deploy/web", &made).await?).0 == "kubectl-create");
    let scale = change(stage, "deploy/web", &scaled).await?;
    ensure!(by(&scale) == ("kubectl", "scale"), "{scale:#}");
    // The server keeps no mark of who takes a field away.
    let removal = change(stage, "deploy/web", &removed).await?;
    ensure!(by(&removal) == ("", ""), "{removal:#}");
    let said = ask_with_cluster(&stage.hindcast, &["log", "deploy/web", "-n", NS]).await?;
    said.is(0, &["kubectl (scale)", "unknown", "-metadata.labels.team"])?;
    let said = ask_with_cluster(&stage.hindcast, &["blame", "deploy/web", "-n", NS]).await?;
    let replicas = said.out.lines().find(|line| line.contains("replicas: 2")).context("blame has the replicas")?;
    ensure!(replicas.contains("kubectl (scale)"), "{said}");
    let at = stage.moment(NS).await?;
    a_restore(stage, &at).await.context("a restore")?;
    two_moments(stage).await.context("two moments")?;
    coming_and_going(stage).await.context("coming and going")?;
    to_nobody(stage).await.context("a log that nobody reads")
}

/// All of a restore's writes are its own, and what it printed can be asked for.
async fn a_restore(stage: &Stage, at: &str) -> Result<()> {
    let worse = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "registry.local/web:2" }] } } } });
    stage.patch(&format!("{DEPLOYMENTS}/web?fieldManager=ci"), worse).await?;
    let one = ["deploy/web", "-n", NS, "--at", at];
    paths(stage, &one).await.context("paths")?;
    // No node ever runs the Pods.
    let restore = stage.restore(&[&one[..], &["--no-wait"]].concat()).await?;
    ensure!(restore.actions.len() == 1, "{restore:?}");
    let read = async || -> Result<Vec<Value>> {
        let changes = log(stage, "deploy/web").await?;
        Ok(changes.into_iter().filter(|change| by(change).0 == "hindcast").collect())
    };
    until("both writes of the restore are in the log", SOON, async || Ok(read().await?.len() == 2)).await?;
    let writes = read().await?;
    ensure!(writes[1]["completes"] == writes[0]["pos"], "{writes:#?}");
    let lines = async |args: &[&str]| -> Result<usize> {
        let said = ask_with_cluster(&stage.hindcast, &[&["log", "deploy/web", "-n", NS], args].concat()).await?;
        Ok(said.is(0, &[])?.out.lines().filter(|line| line.contains(" hindcast ")).count())
    };
    ensure!((lines(&[]).await?, lines(&["--all"]).await?) == (1, 2));
    Ok(())
}

/// What a plan prints as a path is taken as one; what is nowhere is refused with the nearest that there is.
async fn paths(stage: &Stage, one: &[&str]) -> Result<()> {
    let (said, plan) = stage.plan(one).await?;
    let changes = said.json()?["actions"][0]["changes"].as_array().cloned().unwrap_or_default();
    ensure!(plan.actions.len() == 1 && !changes.is_empty(), "{said}");
    let text = ask_with_cluster(&stage.hindcast, &[&["plan"], one].concat()).await?;
    let printed =
        text.out.lines().filter_map(|line| Some(line.trim().split_once(": ")?.0)).find(|p| p.starts_with("spec"));
    let printed = printed.with_context(|| format!("a path in {text}"))?;
    ensure!(printed == "spec.template.spec.containers[c].image", "{text}");
    for path in [printed, changes[0]["path"].as_str().unwrap_or_default()] {
        let said = ask_with_cluster(&stage.hindcast, &[&["plan", "--path", path], one].concat()).await?;
        said.is(1, &["1 to change"])?;
    }
    let nowhere = ask_with_cluster(&stage.hindcast, &[&["plan", "--path", "spec.replica"], one].concat()).await?;
    nowhere.is(
        2,
        &["path spec.replica: is in no object of deployments.apps/web -n authors", "did you mean spec.replicas?"],
    )?;
    Ok(())
}

/// Both moments of a `diff` are closed through the cluster, and whatever arrives in the bucket between them, both hold.
async fn two_moments(stage: &Stage) -> Result<()> {
    for round in 0..4 {
        let (before, after) = (format!("before-{round}"), format!("after-{round}"));
        let map = |name: &str| json!({ "metadata": { "name": name } });
        let made = stage.post(MAPS, map(&before)).await?;
        let from = format!("rev:{}", rv(&made));
        stage.post(MAPS, map(&after)).await?;
        let said = ask_with_cluster(&stage.hindcast, &["diff", "cm", "-n", NS, "--from", &from, "--to", "now"]).await?;
        said.is(1, &[&format!("configmaps/{after} -n {NS}: added")])?.never(&[&format!("configmaps/{before} ")])?;
    }
    Ok(())
}

/// What controllers make and take away stands in the log as that.
async fn coming_and_going(stage: &Stage) -> Result<()> {
    stage.delete(&format!("{DEPLOYMENTS}/web")).await?;
    let told =
        async || -> Result<Said> { ask_with_cluster(&stage.hindcast, &["log", "-n", NS, "--limit", "500"]).await };
    let gone = |said: &Said| {
        let lines = said.out.lines().filter(|line| line.contains("replicasets.apps/web-"));
        let ops: Vec<&str> = lines.filter_map(|line| line.split_whitespace().nth(4)).collect();
        ["add", "delete"].map(|op| ops.iter().filter(|it| **it == op).count())
    };
    until("the ReplicaSets have come and gone in the log", SOON, async || {
        let [came, went] = gone(&told().await?);
        Ok(came > 0 && came == went)
    })
    .await?;
    Ok(())
}

/// A log that is followed ends when its reader goes away, though nothing more is written.
async fn to_nobody(stage: &Stage) -> Result<()> {
    let mut command = stage.hindcast.command(&["log", "cm/before-0", "-n", NS, "--follow"], true);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let first = ends("the first line comes", SOON, lines.next_line()).await??;
    ensure!(first.is_some_and(|line| line.contains("before-0")), "the log of the map");
    drop(lines);
    let ended = ends("it ends", SOON, child.wait_with_output()).await??;
    let err = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(ended.status.code() == Some(0) && !err.contains("panicked"), "{:?} {err}", ended.status);
    send(&stage.client, "DELETE", &format!("{MAPS}/before-0"), None).await?;
    Ok(())
}
