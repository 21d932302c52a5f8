//! A web shop under its controllers: Deployments with an autoscaler, configuration, a Service; and Jobs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Stage, codes, never, verbs};
use crate::scene::{SOON, until};

const NS: &str = "shop";

fn deployment(name: &str, image: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": 2,
            // Without nodes no Pod gets ready; this strategy doesn't wait for that.
            "strategy": { "type": "Recreate" },
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "c", "image": image, "envFrom": [{ "configMapRef": { "name": "app" } }] }] },
            },
        },
    })
}

/// A bad deploy, and back: the good `ReplicaSet` works again, the autoscaler's replicas stay, nothing is left over.
pub(super) async fn a_web_shop(stage: &Stage) -> Result<()> {
    stage.namespace(NS).await?;
    let core = format!("/api/v1/namespaces/{NS}");
    let apps = format!("/apis/apps/v1/namespaces/{NS}");
    stage
        .post(
            &format!("{core}/configmaps"),
            json!({ "metadata": { "name": "app" }, "data": { "mode": "good", "url": "http://api" } }),
        )
        .await?;
    stage
        .post(&format!("{core}/configmaps"), json!({ "metadata": { "name": "theme" }, "data": { "colour": "blue" } }))
        .await?;
    stage
        .post(
            &format!("{core}/secrets"),
            json!({ "metadata": { "name": "db" }, "stringData": { "password": "right" } }),
        )
        .await?;
    stage.post(&format!("{core}/services"), json!({ "metadata": { "name": "web" }, "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] } })).await?;
    for name in ["web", "api"] {
        stage.post(&format!("{apps}/deployments"), deployment(name, "registry.local/good:1")).await?;
    }
    let hpa = json!({ "metadata": { "name": "web" }, "spec": { "minReplicas": 2, "maxReplicas": 10,
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } } });
    stage.post(&format!("/apis/autoscaling/v2/namespaces/{NS}/horizontalpodautoscalers"), hpa).await?;
    let good = replica_set(stage, "web", "registry.local/good:1").await?;
    replica_set(stage, "api", "registry.local/good:1").await?;
    let service = stage.get(&format!("{core}/services/web")).await?;
    let at = stage.moment(NS).await?;

    // The bad deploy; meanwhile the autoscaler scales.
    stage.patch(&format!("{apps}/deployments/web"), json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "registry.local/bad:2" }] } } } })).await?;
    stage.patch(&format!("{core}/configmaps/app"), json!({ "data": { "url": null, "mode": "bad" } })).await?;
    stage.patch(&format!("{core}/secrets/db"), json!({ "stringData": { "password": "wrong" } })).await?;
    stage.delete(&format!("{core}/services/web")).await?;
    stage.post(&format!("{apps}/deployments"), deployment("stray", "registry.local/stray:1")).await?;
    stage.patch(&format!("{apps}/deployments/web/scale"), json!({ "spec": { "replicas": 6 } })).await?;
    let bad = replica_set(stage, "web", "registry.local/bad:2").await?;
    replica_set(stage, "stray", "registry.local/stray:1").await?;
    ensure!(bad != good);

    let scope = ["-n", NS, "--at", at.as_str()];
    let (said, plan) = stage.plan(&scope).await?;
    said.is(1, &[])?;
    let wanted = [
        "create Service/web",
        "delete Deployment/stray",
        "update ConfigMap/app",
        "update Deployment/web",
        "update Secret/db",
    ];
    ensure!(verbs(&plan.actions) == wanted, "{:?}", verbs(&plan.actions));
    let web = plan.actions.iter().find(|a| a.id() == "Deployment/web").context("web is planned")?;
    ensure!(web.changes.iter().all(|c| !c.path.ends_with("/replicas")), "{:?}", web.changes);
    let kept = web.kept.iter().find(|k| k.path == "/spec/replicas").with_context(|| format!("{said}"))?;
    ensure!(kept.owner.as_deref().is_some_and(|o| o.contains("HorizontalPodAutoscaler")), "{kept:?}");

    let restored = stage.restore(&scope).await?;
    let web = stage.get(&format!("{apps}/deployments/web")).await?;
    ensure!(web["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.local/good:1", "{web}");
    ensure!(
        stage.get(&format!("{core}/configmaps/app")).await?["data"] == json!({ "mode": "good", "url": "http://api" })
    );
    ensure!(stage.get(&format!("{core}/secrets/db")).await?["data"]["password"] == "cmlnaHQ=");
    let again = stage.get(&format!("{core}/services/web")).await?;
    ensure!(again["spec"]["clusterIP"] == service["spec"]["clusterIP"], "the Service has another address");
    until("the good ReplicaSet has the autoscaler's replicas and the bad one none", SOON, async || {
        let sets = replica_sets(stage, "web").await?;
        let of =
            |name: &str| sets.iter().find(|s| s["metadata"]["name"] == name).map(|s| s["spec"]["replicas"].clone());
        Ok(of(&good) == Some(json!(6)) && of(&bad) == Some(json!(0)))
    })
    .await?;
    until("nothing of the stray is left", SOON, async || {
        let pods = stage.list(&format!("{core}/pods?labelSelector=app%3Dstray")).await?;
        Ok(replica_sets(stage, "stray").await?.is_empty() && pods.is_empty())
    })
    .await?;
    never("the autoscaler's replicas are fought over", Duration::from_secs(5), async || {
        let web = stage.get(&format!("{apps}/deployments/web")).await?;
        Ok(web["spec"]["replicas"] != 6 || replica_sets(stage, "web").await?.len() != 2)
    })
    .await?;

    stage.undo(&restored).await?;
    let web = stage.get(&format!("{apps}/deployments/web")).await?;
    ensure!(web["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.local/bad:2", "{web}");
    ensure!(web["spec"]["replicas"] == 6);
    ensure!(stage.find(&format!("{core}/services/web")).await?.is_none(), "the undo takes the Service away again");
    stage.get(&format!("{apps}/deployments/stray")).await?;
    ensure!(replica_sets(stage, "web").await?.len() == 2, "the undo uses the ReplicaSet that is there");
    Ok(())
}

async fn replica_sets(stage: &Stage, app: &str) -> Result<Vec<Value>> {
    stage.list(&format!("/apis/apps/v1/namespaces/{NS}/replicasets?labelSelector=app%3D{app}")).await
}

/// The name of the `ReplicaSet` that runs an image, once the controllers have made it.
async fn replica_set(stage: &Stage, app: &str, image: &str) -> Result<String> {
    let find = async || -> Result<Option<String>> {
        let sets = replica_sets(stage, app).await?;
        let set = sets.iter().find(|s| s["spec"]["template"]["spec"]["containers"][0]["image"] == image);
        let set = set.filter(|s| s["status"]["replicas"].as_u64().is_some_and(|n| n > 0));
        Ok(set.and_then(|s| s["metadata"]["name"].as_str().map(str::to_owned)))
    };
    until(&format!("a ReplicaSet of {app} runs {image}"), SOON, async || Ok(find().await?.is_some())).await?;
    find().await?.context("it was there")
}

fn job(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "registry.local/job:1" }] } } },
    })
}

/// What was done stays done, what ran isn't run again unasked, and a schedule comes back without firing.
pub(super) async fn jobs(stage: &Stage) -> Result<()> {
    let ns = "jobs";
    stage.namespace(ns).await?;
    let batch = format!("/apis/batch/v1/namespaces/{ns}");
    for name in ["complete", "running"] {
        stage.post(&format!("{batch}/jobs"), job(name)).await?;
    }
    let yearly = json!({ "metadata": { "name": "yearly" }, "spec": {
        "schedule": "0 3 1 1 *", "jobTemplate": { "spec": job("x")["spec"].clone() } } });
    stage.post(&format!("{batch}/cronjobs"), yearly).await?;
    let pods = format!("/api/v1/namespaces/{ns}/pods");
    until("the Jobs have Pods", SOON, async || Ok(stage.list(&pods).await?.len() == 2)).await?;
    // As a kubelet would report it; the controller takes it from there.
    for pod in stage.list(&format!("{pods}?labelSelector=job-name%3Dcomplete")).await? {
        let name = pod["metadata"]["name"].as_str().context("a Pod has a name")?;
        stage.patch(&format!("{pods}/{name}/status"), json!({ "status": { "phase": "Succeeded" } })).await?;
    }
    until("the Job is complete", SOON, async || {
        let job = stage.get(&format!("{batch}/jobs/complete")).await?;
        Ok(job["status"].get("completionTime").is_some())
    })
    .await?;
    let at = stage.moment(ns).await?;
    for path in ["jobs/complete", "jobs/running", "cronjobs/yearly"] {
        stage.delete(&format!("{batch}/{path}")).await?;
    }
    stage.post(&format!("{batch}/jobs"), job("later")).await?;
    until("the Jobs are gone", SOON, async || Ok(stage.list(&format!("{batch}/jobs")).await?.len() == 1)).await?;
    until("their Pods are gone", SOON, async || Ok(stage.list(&pods).await?.len() == 1)).await?;

    let scope = ["-n", ns, "--at", at.as_str()];
    let (said, plan) = stage.plan(&scope).await?;
    ensure!(verbs(&plan.actions) == ["create CronJob/yearly"], "{said}");
    let left: Vec<String> =
        codes(&plan.left).into_iter().map(|l| l.split(' ').next().unwrap_or_default().to_owned()).collect();
    for job in ["Job/running", "Job/later"] {
        ensure!(left.iter().any(|l| l == job), "{job} is not left alone: {said}");
    }
    let running = plan.left.iter().find(|l| l.id() == "Job/running").context("running is left")?;
    ensure!(running.flag.as_deref() == Some("--rerun-jobs"), "{running:?}");
    let pods_are_theirs = plan.left.iter().filter(|l| l.kind == "Pod").all(|l| l.code == "owned");
    ensure!(pods_are_theirs, "a Job's Pods are its own: {said}");

    stage.restore(&scope).await?;
    let yearly = stage.get(&format!("{batch}/cronjobs/yearly")).await?;
    ensure!(yearly["spec"]["suspend"] == false, "{yearly}");
    never("a Job is run again", Duration::from_secs(5), async || {
        Ok(stage.list(&format!("{batch}/jobs")).await?.len() != 1)
    })
    .await
}
