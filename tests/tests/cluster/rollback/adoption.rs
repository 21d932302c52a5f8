//! What comes to belong to an object after it was looked at: children born since the plan, and what it takes over.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    manifests::{config_map, deployment, empty_config_map, role},
    real::process::Workdir,
    until::never,
};
use serde_json::{Value, json};

use super::{Stage, verbs};
use crate::scene::{SOON, ask_with_cluster, send, until};

/// A child is born between the plan and its restore: its owner is not deleted over it, and the child is named.
pub(super) async fn a_child_born_since_the_plan_keeps_its_owner(stage: &Stage, dir: &Workdir) -> Result<()> {
    let ns = "born";
    stage.namespace(ns).await?;
    let roles = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles");
    let maps = format!("/api/v1/namespaces/{ns}/configmaps");
    let at = stage.moment(ns).await?;
    let head = stage.post(&roles, role("head")).await?;
    let file = dir.path().join("born.json");
    let file = file.to_str().context("a path")?;
    let said = ask_with_cluster(&stage.hindcast, &["plan", "-n", ns, "--at", &at, "--out", file]).await?;
    said.is(1, &["Role/head"])?;

    let mut born = empty_config_map("child");
    born["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "name": "head", "uid": head["metadata"]["uid"],
    }]);
    stage.post(&maps, born).await?;
    let (said, restored) = stage.try_restore(&["--plan", file]).await?;
    said.is(2, &["configmaps/child in born is still there and would go with it"])?;
    ensure!(restored.summary.refused == 1, "{said}");
    let whole = async || -> Result<bool> {
        Ok(stage.find(&format!("{roles}/head")).await?.is_some()
            && stage.find(&format!("{maps}/child")).await?.is_some())
    };
    never("the child was collected", Duration::from_secs(5), async || Ok(!whole().await?)).await?;

    // A new plan sees it, and takes both.
    let (said, plan) = stage.plan(&["-n", ns, "--at", &at]).await?;
    ensure!(verbs(&plan.actions) == ["delete ConfigMap/child", "delete Role/head"], "{said}");
    Ok(())
}

/// A Deployment that comes back takes over the `ReplicaSet` that was left of it; the undo takes the Deployment away, and
/// neither the `ReplicaSet` nor its Pods.
pub(super) async fn what_was_taken_over_is_let_go_by_an_undo(stage: &Stage) -> Result<()> {
    let ns = "adoption";
    stage.namespace(ns).await?;
    let deployments = format!("/apis/apps/v1/namespaces/{ns}/deployments");
    let sets = format!("/apis/apps/v1/namespaces/{ns}/replicasets");
    let pods = format!("/api/v1/namespaces/{ns}/pods");
    let mut web = deployment("web", "web:1");
    web["spec"]["replicas"] = json!(3);
    stage.post(&deployments, web).await?;
    let running = async || Ok(stage.list(&pods).await?.len() == 3);
    until("three Pods are there", SOON, running).await?;
    let at = stage.moment(ns).await?;
    send(&stage.client, "DELETE", &format!("{deployments}/web?propagationPolicy=Orphan"), None).await?;
    let gone = async || Ok(stage.find(&format!("{deployments}/web")).await?.is_none());
    until("the Deployment is gone", SOON, gone).await?;
    let left = stage.list(&sets).await?;
    ensure!(left.len() == 1 && stage.list(&pods).await?.len() == 3, "{left:?}");

    // The server stamps to the second, and what is older than its owner is what was taken over.
    let stamp = |object: &Value| object["metadata"]["creationTimestamp"].to_string();
    until("another second", SOON, async || {
        let probe = json!({ "metadata": { "generateName": "moment-" } });
        let made = stage.post(&format!("/api/v1/namespaces/{ns}/configmaps"), probe).await?;
        Ok(stamp(&made) > stamp(&left[0]))
    })
    .await?;
    let restored = stage.restore(&["deploy/web", "-n", ns, "--at", &at]).await?;
    ensure!(verbs(&restored.actions) == ["create Deployment/web"], "{:?}", restored.actions);
    let uid = stage.get(&format!("{deployments}/web")).await?["metadata"]["uid"].clone();
    until("it takes the ReplicaSet over", SOON, async || {
        let sets = stage.list(&sets).await?;
        Ok(sets.len() == 1 && sets[0]["metadata"]["ownerReferences"][0]["uid"] == uid)
    })
    .await?;

    stage.undo(&restored).await?;
    until("the Deployment is gone again", SOON, gone).await?;
    let stays = async || -> Result<bool> {
        let sets = stage.list(&sets).await?;
        let same = sets.len() == 1 && sets[0]["metadata"]["uid"] == left[0]["metadata"]["uid"];
        Ok(same && stage.list(&pods).await?.len() == 3)
    };
    never("what was there before the restore was deleted", Duration::from_secs(5), async || Ok(!stays().await?)).await
}

/// Somebody labels what a restore changed: the undo takes the rest back, and says whose the label is.
pub(super) async fn an_undo_goes_around_a_label(stage: &Stage) -> Result<()> {
    let ns = "labelled";
    stage.namespace(ns).await?;
    let maps = format!("/api/v1/namespaces/{ns}/configmaps");
    stage.post(&maps, config_map("app", json!({ "mode": "then" }))).await?;
    let at = stage.moment(ns).await?;
    stage.patch(&format!("{maps}/app"), json!({ "data": { "mode": "now" } })).await?;
    let restored = stage.restore(&["cm/app", "-n", ns, "--at", &at]).await?;
    let label = json!({ "metadata": { "labels": { "team": "blue" } } });
    send(&stage.client, "PATCH", &format!("{maps}/app?fieldManager=alice"), Some(label)).await?;
    let id = restored.id.as_deref().context("a restore has an id")?;
    let said = ask_with_cluster(&stage.hindcast, &["undo", id, "--yes"]).await?;
    said.is(0, &["what was changed since the restore stays: metadata.labels by alice"])?;
    let app = stage.get(&format!("{maps}/app")).await?;
    ensure!(app["data"]["mode"] == "now" && app["metadata"]["labels"]["team"] == "blue", "{app}");
    let managers = app["metadata"]["managedFields"].to_string();
    ensure!(managers.contains("alice") && !managers.contains("hindcast"), "{managers}");
    Ok(())
}
