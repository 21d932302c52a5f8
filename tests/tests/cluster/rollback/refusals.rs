//! The server refuses some of the writes: each is told with its words, the rest is done, and the exit code is 1.

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    manifests::{config_map, empty_config_map, secret, service},
    oracle,
    real::{Cluster, Verdict, Webhook, WebhookKind, process::Workdir},
};
use serde_json::json;

use super::{Stage, rights};
use crate::scene::{ask_with_cluster, rule};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_is_told_and_the_rest_is_done() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = oracle::builder().start().await?;
    let dir = Workdir::new()?;
    let (stage, running) = Stage::open(&cluster, &dir).await?;
    by_rbac(&stage, &cluster).await.context("RBAC")?;
    rights::a_binding_that_cannot_be_made_again_stays(&stage, &cluster).await.context("rights to bind")?;
    rights::whoever_restores_keeps_their_rights(&stage, &cluster).await.context("own rights")?;
    by_a_webhook(&stage, &cluster).await.context("a webhook")?;
    by_quota(&stage).await.context("quota")?;
    running.stop().await
}

/// Two `ConfigMaps`, two Secrets and a Service at the moment; changed or deleted since.
async fn scene(stage: &Stage, ns: &str) -> Result<String> {
    let core = format!("/api/v1/namespaces/{ns}");
    for name in ["one", "two"] {
        stage.post(&format!("{core}/configmaps"), config_map(name, json!({ "k": "good" }))).await?;
        stage.post(&format!("{core}/secrets"), secret(name, json!({ "k": "good" }))).await?;
    }
    stage.post(&format!("{core}/services"), service("web", 80)).await?;
    let at = stage.moment(ns).await?;
    for name in ["one", "two"] {
        stage.patch(&format!("{core}/configmaps/{name}"), json!({ "data": { "k": "bad" } })).await?;
        stage.patch(&format!("{core}/secrets/{name}"), json!({ "stringData": { "k": "bad" } })).await?;
    }
    stage.delete(&format!("{core}/services/web")).await?;
    Ok(at)
}

/// A restore of which exactly these are refused, with these words, and all others done.
async fn refused(stage: &Stage, ns: &str, at: &str, refused: &[&str], words: &[&str]) -> Result<()> {
    let (said, restore) = stage.try_restore(&["-n", ns, "--at", at]).await?;
    for action in &restore.actions {
        let expected = if refused.contains(&action.id().as_str()) { "refused" } else { "done" };
        ensure!(
            action.result.as_deref() == Some(expected),
            "{}: {:?}, not {expected}: {said}",
            action.id(),
            action.result
        );
        if expected == "refused" {
            let message = action.message.clone().unwrap_or_default();
            ensure!(words.iter().all(|w| message.contains(w)), "{}: {message}", action.id());
        }
    }
    ensure!(restore.summary.refused == refused.len() as u64, "{:?}", restore.summary);
    ensure!(restore.actions.len() > refused.len(), "something else must have been to do: {said}");
    said.is(1, words)?;
    let core = format!("/api/v1/namespaces/{ns}");
    for (resource, kind) in [("configmaps", "ConfigMap"), ("secrets", "Secret")] {
        for name in ["one", "two"] {
            let live = stage.get(&format!("{core}/{resource}/{name}")).await?;
            let good = live["data"]["k"] == "good" || live["data"]["k"] == "Z29vZA==";
            ensure!(good != refused.contains(&format!("{kind}/{name}").as_str()), "{kind}/{name}: {live}");
        }
    }
    let service = stage.find(&format!("{core}/services/web")).await?;
    ensure!(service.is_some() != refused.contains(&"Service/web"), "the Service");
    Ok(())
}

async fn by_rbac(stage: &Stage, cluster: &Cluster) -> Result<()> {
    stage.namespace("rbac").await?;
    let at = scene(stage, "rbac").await?;
    let may = vec![
        rule(&["*"], &["*"], &["get", "list", "watch"]),
        rule(&[""], &["configmaps", "services"], &["create", "update", "patch", "delete"]),
    ];
    let mut hindcast = stage.hindcast.clone();
    hindcast.kubeconfig = cluster.user("deployer", may).await?;
    let deployer = Stage { client: stage.client.clone(), hindcast };
    refused(&deployer, "rbac", &at, &["Secret/one", "Secret/two"], &["cannot", "secrets"]).await?;

    // Whoever cannot look for what an object owns is told so before it goes.
    let at = stage.moment("rbac").await?;
    stage.post("/api/v1/namespaces/rbac/configmaps", empty_config_map("added")).await?;
    let mut hindcast = stage.hindcast.clone();
    hindcast.kubeconfig = cluster.user("core-only", vec![rule(&[""], &["*"], &["*"])]).await?;
    let scope = ["plan", "ConfigMap/added", "-n", "rbac", "--at", at.as_str()];
    let said = ask_with_cluster(&hindcast, &scope).await?;
    let unseen = "whether what is deleted owns any of them could not be seen, and such would go with it";
    said.is(1, &["ConfigMap/added", unseen, "is forbidden"])?;
    let said = ask_with_cluster(&stage.hindcast, &scope).await?;
    ensure!(said.out.contains("ConfigMap/added") && !said.out.contains(unseen), "{said}");
    Ok(())
}

async fn by_a_webhook(stage: &Stage, cluster: &Cluster) -> Result<()> {
    stage.namespace("webhook").await?;
    let at = scene(stage, "webhook").await?;
    let rules = json!([{ "apiGroups": [""], "apiVersions": ["*"], "resources": ["configmaps"], "operations": ["*"] }]);
    let webhook = Webhook::start(cluster, "guard", WebhookKind::Validating, rules, |request| {
        if request["name"] == "one" && request["namespace"] == "webhook" {
            Verdict::Deny("one is guarded by the security team".to_owned())
        } else {
            Verdict::Allow
        }
    })
    .await?;
    refused(stage, "webhook", &at, &["ConfigMap/one"], &["one is guarded by the security team"]).await?;
    webhook.remove().await
}

async fn by_quota(stage: &Stage) -> Result<()> {
    let ns = "quota";
    stage.namespace(ns).await?;
    let quotas = format!("/api/v1/namespaces/{ns}/resourcequotas");
    stage.post(&quotas, json!({ "metadata": { "name": "few" }, "spec": { "hard": { "services": "1" } } })).await?;
    let at = scene(stage, ns).await?;
    // As the quota controller would write it: another Service has the only place.
    stage
        .patch(
            &format!("{quotas}/few/status"),
            json!({ "status": { "hard": { "services": "1" }, "used": { "services": "1" } } }),
        )
        .await?;
    refused(stage, ns, &at, &["Service/web"], &["exceeded quota"]).await
}
