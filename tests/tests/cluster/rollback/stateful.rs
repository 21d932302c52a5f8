//! A `StatefulSet` with claims: what cannot be changed is changed all the same, and neither Pods nor claims notice.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Stage, verbs};
use crate::scene::{SOON, until};

const NS: &str = "stateful";

fn set(image: &str, service: &str) -> Value {
    json!({
        "metadata": { "name": "db" },
        "spec": {
            "serviceName": service,
            "replicas": 2,
            // Without nodes no Pod gets ready, and none may be rolled behind our back.
            "podManagementPolicy": "Parallel",
            "updateStrategy": { "type": "OnDelete" },
            "selector": { "matchLabels": { "app": "db" } },
            "template": {
                "metadata": { "labels": { "app": "db" } },
                "spec": { "containers": [{ "name": "c", "image": image }] },
            },
            "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } }],
        },
    })
}

/// Names and uids of a list.
async fn uids(stage: &Stage, path: &str) -> Result<BTreeMap<String, String>> {
    let of = |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    Ok(stage.list(path).await?.iter().map(|o| (of(o, "name"), of(o, "uid"))).collect())
}

pub(super) async fn claims_and_pods_stay(stage: &Stage) -> Result<()> {
    stage.namespace(NS).await?;
    let sets = format!("/apis/apps/v1/namespaces/{NS}/statefulsets");
    let (pods, claims) =
        (format!("/api/v1/namespaces/{NS}/pods"), format!("/api/v1/namespaces/{NS}/persistentvolumeclaims"));
    stage.post(&sets, set("registry.local/db:1", "old")).await?;
    until("both Pods and claims are made", SOON, async || {
        Ok(stage.list(&pods).await?.len() == 2 && stage.list(&claims).await?.len() == 2)
    })
    .await?;
    let (pods_then, claims_then) = (uids(stage, &pods).await?, uids(stage, &claims).await?);
    let at = stage.moment(NS).await?;
    let scope = ["-n", NS, "--at", at.as_str()];

    // What can be changed is.
    let image = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "registry.local/db:2" }] } } } });
    stage.patch(&format!("{sets}/db"), image).await?;
    let (said, plan) = stage.plan(&scope).await?;
    ensure!(verbs(&plan.actions) == ["update StatefulSet/db"], "{said}");
    stage.restore(&scope).await?;
    ensure!(uids(stage, &pods).await? == pods_then && uids(stage, &claims).await? == claims_then);

    // What cannot: as an upgrade does it, the set is replaced and its Pods are adopted.
    crate::scene::send(&stage.client, "DELETE", &format!("{sets}/db?propagationPolicy=Orphan"), None).await?;
    until("the set is gone", SOON, async || Ok(stage.find(&format!("{sets}/db")).await?.is_none())).await?;
    stage.post(&sets, set("registry.local/db:1", "new")).await?;
    adopted(stage, &sets, &pods).await?;
    let (said, plan) = stage.plan(&scope).await?;
    ensure!(verbs(&plan.actions) == ["recreate StatefulSet/db"], "{said}");
    let restored = stage.restore(&scope).await?;
    ensure!(stage.get(&format!("{sets}/db")).await?["spec"]["serviceName"] == "old");
    adopted(stage, &sets, &pods).await?;
    ensure!(uids(stage, &pods).await? == pods_then, "a Pod was replaced");
    ensure!(uids(stage, &claims).await? == claims_then, "a claim was replaced");

    stage.undo(&restored).await?;
    ensure!(stage.get(&format!("{sets}/db")).await?["spec"]["serviceName"] == "new");
    adopted(stage, &sets, &pods).await?;
    ensure!(uids(stage, &pods).await? == pods_then && uids(stage, &claims).await? == claims_then);
    Ok(())
}

/// The Pods belong to the set that is there.
async fn adopted(stage: &Stage, sets: &str, pods: &str) -> Result<()> {
    until("the Pods are adopted", SOON, async || {
        let Some(set) = stage.find(&format!("{sets}/db")).await? else { return Ok(false) };
        let pods = stage.list(pods).await?;
        Ok(pods.len() == 2
            && pods.iter().all(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == set["metadata"]["uid"]))
    })
    .await?;
    Ok(())
}
