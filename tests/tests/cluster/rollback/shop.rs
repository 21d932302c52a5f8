//! A web shop under its controllers: Deployments with an autoscaler, configuration, a Service; and Jobs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    manifests::{self, autoscaler, config_map, secret, service},
    until::never,
};
use serde_json::{Value, json};

use super::{Stage, codes, verbs};
use crate::scene::{SOON, until};

const NS: &str = "shop";
const CORE: &str = "/api/v1/namespaces/shop";
const APPS: &str = "/apis/apps/v1/namespaces/shop";
const GOOD: &str = "registry.local/good:1";
const BAD: &str = "registry.local/bad:2";

fn deployment(name: &str, image: &str) -> Value {
    let mut deployment = manifests::deployment(name, image);
    deployment["spec"]["replicas"] = json!(2);
    // Without nodes no Pod gets ready; this strategy doesn't wait for that.
    deployment["spec"]["strategy"] = json!({ "type": "Recreate" });
    let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    container["envFrom"] = json!([{ "configMapRef": { "name": "app" } }]);
    deployment
}

/// A bad deploy, and back: the good `ReplicaSet` works again, the autoscaler's replicas stay, nothing is left over.
pub(super) async fn a_web_shop(stage: &Stage) -> Result<()> {
    let shop = Shop::deploy(stage).await.context("deploying the shop")?;
    let bad = shop.bad_deploy().await.context("the bad deploy")?;
    shop.a_plan_leaves_the_replicas_to_the_autoscaler().await.context("the plan")?;
    let restored = stage.restore(&shop.scope()).await.context("the restore")?;
    shop.stands_as_it_was().await.context("the shop after the restore")?;
    shop.controllers_settle_on_the_good_one(&bad).await.context("the controllers after the restore")?;
    stage.undo(&restored).await.context("the undo")?;
    shop.stands_as_the_bad_deploy_left_it().await.context("the shop after the undo")
}

/// The shop at its moment.
struct Shop<'a> {
    stage: &'a Stage,
    /// The moment.
    at: String,
    /// The `ReplicaSet` that ran then.
    good: String,
    /// The address that the Service had then.
    address: Value,
}

impl<'a> Shop<'a> {
    async fn deploy(stage: &'a Stage) -> Result<Self> {
        stage.namespace(NS).await?;
        let settings = config_map("app", json!({ "mode": "good", "url": "http://api" }));
        stage.post(&format!("{CORE}/configmaps"), settings).await?;
        stage.post(&format!("{CORE}/configmaps"), config_map("theme", json!({ "colour": "blue" }))).await?;
        stage.post(&format!("{CORE}/secrets"), secret("db", json!({ "password": "right" }))).await?;
        stage.post(&format!("{CORE}/services"), service("web", 80)).await?;
        for name in ["web", "api"] {
            stage.post(&format!("{APPS}/deployments"), deployment(name, GOOD)).await?;
        }
        let autoscalers = format!("/apis/autoscaling/v2/namespaces/{NS}/horizontalpodautoscalers");
        stage.post(&autoscalers, autoscaler("web", 2, 10)).await?;
        let good = replica_set(stage, "web", GOOD).await?;
        replica_set(stage, "api", GOOD).await?;
        let address = stage.get(&format!("{CORE}/services/web")).await?["spec"]["clusterIP"].clone();
        Ok(Self { stage, at: stage.moment(NS).await?, good, address })
    }

    fn scope(&self) -> [&str; 4] {
        ["-n", NS, "--at", &self.at]
    }

    async fn web(&self) -> Result<Value> {
        self.stage.get(&format!("{APPS}/deployments/web")).await
    }

    async fn runs(&self, image: &str) -> Result<()> {
        let web = self.web().await?;
        ensure!(web["spec"]["template"]["spec"]["containers"][0]["image"] == image, "{web}");
        Ok(())
    }

    /// Breaks it, while the autoscaler scales; the `ReplicaSet` that runs since.
    async fn bad_deploy(&self) -> Result<String> {
        let stage = self.stage;
        stage.patch(&format!("{APPS}/deployments/web"), manifests::image(BAD)).await?;
        stage.patch(&format!("{CORE}/configmaps/app"), json!({ "data": { "url": null, "mode": "bad" } })).await?;
        stage.patch(&format!("{CORE}/secrets/db"), json!({ "stringData": { "password": "wrong" } })).await?;
        stage.delete(&format!("{CORE}/services/web")).await?;
        stage.post(&format!("{APPS}/deployments"), deployment("stray", "registry.local/stray:1")).await?;
        stage.patch(&format!("{APPS}/deployments/web/scale"), json!({ "spec": { "replicas": 6 } })).await?;
        let bad = replica_set(stage, "web", BAD).await?;
        replica_set(stage, "stray", "registry.local/stray:1").await?;
        ensure!(bad != self.good);
        Ok(bad)
    }

    async fn a_plan_leaves_the_replicas_to_the_autoscaler(&self) -> Result<()> {
        let (said, plan) = self.stage.plan(&self.scope()).await?;
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
        Ok(())
    }

    async fn stands_as_it_was(&self) -> Result<()> {
        let stage = self.stage;
        self.runs(GOOD).await?;
        let settings = stage.get(&format!("{CORE}/configmaps/app")).await?;
        ensure!(settings["data"] == json!({ "mode": "good", "url": "http://api" }), "{settings}");
        ensure!(stage.get(&format!("{CORE}/secrets/db")).await?["data"]["password"] == "cmlnaHQ=");
        let again = stage.get(&format!("{CORE}/services/web")).await?;
        ensure!(again["spec"]["clusterIP"] == self.address, "the Service has another address");
        Ok(())
    }

    async fn controllers_settle_on_the_good_one(&self, bad: &str) -> Result<()> {
        let stage = self.stage;
        until("the good ReplicaSet has the autoscaler's replicas and the bad one none", SOON, async || {
            let sets = replica_sets(stage, "web").await?;
            let of =
                |name: &str| sets.iter().find(|s| s["metadata"]["name"] == name).map(|s| s["spec"]["replicas"].clone());
            Ok(of(&self.good) == Some(json!(6)) && of(bad) == Some(json!(0)))
        })
        .await?;
        until("nothing of the stray is left", SOON, async || {
            let pods = stage.list(&format!("{CORE}/pods?labelSelector=app%3Dstray")).await?;
            Ok(replica_sets(stage, "stray").await?.is_empty() && pods.is_empty())
        })
        .await?;
        never("the autoscaler's replicas are fought over", Duration::from_secs(5), async || {
            Ok(self.web().await?["spec"]["replicas"] != 6 || replica_sets(stage, "web").await?.len() != 2)
        })
        .await
    }

    async fn stands_as_the_bad_deploy_left_it(&self) -> Result<()> {
        let stage = self.stage;
        self.runs(BAD).await?;
        ensure!(self.web().await?["spec"]["replicas"] == 6);
        ensure!(stage.find(&format!("{CORE}/services/web")).await?.is_none(), "the undo takes the Service away again");
        stage.get(&format!("{APPS}/deployments/stray")).await?;
        ensure!(replica_sets(stage, "web").await?.len() == 2, "the undo uses the ReplicaSet that is there");
        Ok(())
    }
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
