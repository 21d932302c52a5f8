//! Nothing is deleted, and nothing put back, that the journal cannot vouch for.
//!
//! One cluster is protected by several journals at once, each with a hole of its own; objects that came after the
//! moment are live throughout, and none of them may go.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    manifests::{DEFAULT_CONFIG_MAPS, empty_config_map},
    oracle,
    real::{Cluster, Part, process::Workdir},
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::json;

use super::{Stage, codes, verbs};
use crate::scene::{ask_with_cluster, create, moment, on_folder, send};

const NS: &str = "evidence";
const MAPS: &str = "/api/v1/namespaces/evidence/configmaps";
const SECRETS: &str = "/api/v1/namespaces/evidence/secrets";
const ACCOUNTS: &str = "/api/v1/namespaces/evidence/serviceaccounts";

/// How often the server forgets: short, so that a journal can miss something for good within the test.
const HISTORY: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_deleted_without_evidence() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = oracle::builder().compaction_interval(HISTORY).start().await?;
    let dir = Workdir::new()?;
    let admin = Stage { client: cluster.client(), hindcast: on_folder(&dir, "whole", cluster.kubeconfig())? };
    admin.namespace(NS).await?;
    for (path, name) in [(MAPS, "old"), (SECRETS, "old"), (ACCOUNTS, "old")] {
        admin.post(path, json!({ "metadata": { "name": name, "labels": { "v": "1" } } })).await?;
    }
    kinds_that_were_not_protected(&cluster, &dir, &admin).await.context("kinds that were not protected")?;
    what_a_lost_gap_hides(&cluster, &dir, &admin).await.context("a lost gap")?;
    journals_that_are_not_of_this(&dir, &admin).await.context("another cluster's journal")
}

/// Excluded by choice, forbidden by RBAC, protected only since later: each is left alone, whole.
async fn kinds_that_were_not_protected(cluster: &Cluster, dir: &Workdir, admin: &Stage) -> Result<()> {
    let protector = cluster.user("protector", all_but_accounts(&admin.client).await?).await?;
    let under = |name: &str, kubeconfig: &Path| on_folder(dir, name, kubeconfig.to_owned());
    let admins = cluster.kubeconfig();
    let excluded = under("excluded", &admins)?;
    let mut forbidden = under("forbidden", &protector)?;
    let later = under("later", &admins)?;
    let mut runs = Vec::new();
    runs.push(excluded.run(&["--exclude", "secrets"]).await?);
    runs.push(forbidden.run(&[]).await?);
    let early = later.run(&["--exclude", "secrets"]).await?;
    let at = moment(&early).await?;
    early.stop().await?;
    runs.push(later.run(&[]).await?);
    forbidden.kubeconfig = admins;

    for path in [MAPS, SECRETS, ACCOUNTS] {
        admin.post(path, json!({ "metadata": { "name": "new" } })).await?;
        admin.patch(&format!("{path}/old"), json!({ "metadata": { "labels": { "v": "2" } } })).await?;
    }
    for (hindcast, kind, reason) in
        [(excluded, "Secret", "excluded"), (forbidden, "ServiceAccount", "forbidden"), (later, "Secret", "excluded")]
    {
        let stage = Stage { client: admin.client.clone(), hindcast };
        let (said, plan) = stage.plan(&["-n", NS, "--at", &at]).await?;
        ensure!(plan.actions.iter().all(|a| a.kind != kind), "{kind} is acted on: {said}");
        ensure!(plan.actions.iter().any(|a| a.id() == "ConfigMap/new" && a.verb == "delete"), "{said}");
        ensure!(plan.actions.iter().any(|a| a.id() == "ConfigMap/old" && a.verb == "update"), "{said}");
        // Told as a reservation, beside what differs.
        said.is(1, &["not protected", reason])?;
        let one = format!("{}/new", kind.to_lowercase());
        let said = ask_with_cluster(&stage.hindcast, &["restore", &one, "-n", NS, "--at", &at, "--yes"]).await?;
        said.is(2, &["not protected", reason])?;
        ensure!(
            stage.find(&format!("/api/v1/namespaces/{NS}/{}s/new", kind.to_lowercase())).await?.is_some(),
            "{said}"
        );
    }
    for run in runs {
        run.stop().await?;
    }
    for path in [MAPS, SECRETS, ACCOUNTS] {
        admin.delete(&format!("{path}/new")).await?;
    }
    Ok(())
}

/// What came to be while nobody watched may have been there before: left, unless the gap is accepted.
async fn what_a_lost_gap_hides(cluster: &Cluster, dir: &Workdir, admin: &Stage) -> Result<()> {
    let hindcast = on_folder(dir, "gap", cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    running.close().await?;
    let at = moment(&running).await?;
    running.process.kill();
    // The server tells the second in which an object was made: within that of the moment it might have been there.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    admin.post(MAPS, empty_config_map("unseen")).await?;
    // The server compacts to what was newest one interval before, and its watch cache goes with a restart.
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < HISTORY * 3 {
        admin
            .patch(
                &format!("{MAPS}/old"),
                json!({ "metadata": { "labels": { "tick": begun.elapsed().as_millis().to_string() } } }),
            )
            .await?;
        // Time passes and revisions with it: that is what makes the server forget.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    cluster.kill(Part::Apiserver)?;
    cluster.restart(Part::Apiserver).await?;
    let running = hindcast.run(&[]).await?;
    admin.post(MAPS, empty_config_map("seen")).await?;
    // Until its watch is found broken and made good, the kind is only known not to be known.
    running.close().await?;

    let stage = Stage { client: admin.client.clone(), hindcast };
    let scope = ["-n", NS, "--at", at.as_str()];
    let (said, plan) = stage.plan(&scope).await?;
    // A reservation if the gap begins at the moment itself; after it, it matters only to what may be deleted.
    ensure!(matches!(said.code, 1 | 3) && said.out.contains("lost"), "{said}");
    ensure!(verbs(&plan.actions).iter().all(|v| !v.starts_with("delete")), "{said}");
    let unseen = plan.left.iter().find(|l| l.id() == "ConfigMap/unseen").with_context(|| format!("{said}"))?;
    ensure!((unseen.code.as_str(), unseen.flag.as_deref()) == ("lost-gap", Some("--accept-gap")), "{unseen:?}");
    let (said, _) = stage.try_restore(&scope).await?;
    ensure!(stage.find(&format!("{MAPS}/unseen")).await?.is_some(), "{said}");
    let (said, plan) = stage.plan(&[&scope[..], &["--accept-gap"]].concat()).await?;
    ensure!(verbs(&plan.actions).contains(&"delete ConfigMap/unseen".to_owned()), "{said}");
    running.stop().await
}

/// The journal of another cluster is refused; so is a moment after the end of the journal.
async fn journals_that_are_not_of_this(dir: &Workdir, admin: &Stage) -> Result<()> {
    let other = Cluster::start().await?;
    let hindcast = on_folder(dir, "other", other.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    let at = moment(&running).await?;
    running.stop().await?;
    let mut astray = hindcast.clone();
    astray.kubeconfig = admin.hindcast.kubeconfig.clone();
    for verb in ["plan", "restore"] {
        let mut args = vec![verb, "-n", NS, "--at", &at];
        if verb == "restore" {
            args.push("--yes");
        }
        let said = ask_with_cluster(&astray, &args).await?;
        said.is(2, &["is cluster", "the journal is of"])?;
    }
    ensure!(admin.find(&format!("{MAPS}/old")).await?.is_some());

    let after = format!("{:.6}", jiff::Timestamp::now());
    create(&other.client(), DEFAULT_CONFIG_MAPS, empty_config_map("late")).await?;
    // As long as the server remembers what came since, the journal's end can be bridged.
    other.kill(Part::Apiserver)?;
    other.restart(Part::Apiserver).await?;
    let stage = Stage { client: other.client(), hindcast };
    for verb in ["plan", "restore"] {
        let mut args = vec![verb, "-n", "default", "--at", &after, "--wait", "1s"];
        if verb == "restore" {
            args.push("--yes");
        }
        let said = ask_with_cluster(&stage.hindcast, &args).await?;
        said.is(2, &["later than the journal knows"])?;
    }
    // Nobody saw it come: the journal ended before.
    let said = ask_with_cluster(&stage.hindcast, &["plan", "-n", "default", "--at", &at, "-o", "json"]).await?;
    if !said.out.is_empty() {
        let plan: hindcast_tests::rollback::answer::Plan = serde_json::from_str(&said.out)?;
        ensure!(plan.actions.is_empty(), "{said}");
        ensure!(codes(&plan.left).iter().any(|l| l == "ConfigMap/late no-evidence"), "{said}");
    }
    ensure!(stage.find("/api/v1/namespaces/default/configmaps/late").await?.is_some());
    Ok(())
}

/// Rights to read everything but service accounts. RBAC only adds, so the rest is named.
async fn all_but_accounts(client: &kube::Client) -> Result<Vec<PolicyRule>> {
    let names = |list: &serde_json::Value, field: &str| -> Vec<String> {
        let items = list[field].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["name"].as_str().map(str::to_owned)).collect()
    };
    let groups = names(&send(client, "GET", "/apis", None).await?, "groups");
    let core = names(&send(client, "GET", "/api/v1", None).await?, "resources");
    let allowed = core.into_iter().filter(|name| !name.starts_with("serviceaccounts")).collect();
    let rule = |groups: Vec<String>, resources: Vec<String>| PolicyRule {
        api_groups: Some(groups),
        resources: Some(resources),
        verbs: ["get", "list", "watch"].map(str::to_owned).to_vec(),
        ..PolicyRule::default()
    };
    Ok(vec![rule(groups, vec!["*".to_owned()]), rule(vec![String::new()], allowed)])
}
