//! Recovery points whose volumes a plugin takes, on a real API server: chosen by its volumes or by a policy, and named wherever
//! it fails: by the command line, in the point, and in the status of its object.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hindcast_snapshotter::driver::Volume;
use hindcast_tests::{
    clouds::SamplePlugin,
    http::find,
    oracle::subject::{Hindcast, Running},
    real::{Cluster, process::Workdir},
};
use serde_json::{Value, json};

use crate::scene::{SOON, Said, ask_with_cluster, create, create_when_served, on_folder, until};

const OURS: &str = "/apis/hindcast.dev/v1alpha1/namespaces/hindcast/recoverypoints";

/// A protected cluster, and a plugin that its `run` is told of before it is there.
struct Scene {
    cluster: Cluster,
    hindcast: Hindcast,
    running: Running,
    sample: SamplePlugin,
    _dir: Workdir,
}

impl Scene {
    async fn new() -> Result<Self> {
        let sample = SamplePlugin::start().await?;
        sample.kill();
        let cluster = Cluster::builder().controller_manager().eager_controllers().start().await?;
        let dir = Workdir::new()?;
        let hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
        let running = hindcast.run(&["--plugin", &sample.address()]).await?;
        let scene = Self { cluster, hindcast, running, sample, _dir: dir };
        for name in ["shop", "hindcast"] {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            create(&scene.cluster.client(), "/api/v1/namespaces", namespace).await?;
        }
        Ok(scene)
    }

    /// A claim that is bound to a volume of the plugin's.
    async fn claim(&self, volume: &Volume) -> Result<()> {
        let client = self.cluster.client();
        let (claim, modes) = (&volume.claim, ["ReadWriteOnce"]);
        let persistent = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": format!("pv-{claim}")},
            "spec": {
                "capacity": {"storage": "1Mi"}, "accessModes": modes, "persistentVolumeReclaimPolicy": "Retain",
                "csi": {"driver": volume.driver, "volumeHandle": volume.handle},
                "claimRef": {"namespace": "shop", "name": claim},
            },
        });
        create(&client, "/api/v1/persistentvolumes", persistent).await?;
        let wanted = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim},
            "spec": {
                "accessModes": modes, "storageClassName": "", "volumeName": format!("pv-{claim}"),
                "resources": {"requests": {"storage": "1Mi"}},
            },
        });
        create(&client, "/api/v1/namespaces/shop/persistentvolumeclaims", wanted).await?;
        let path = format!("/api/v1/namespaces/shop/persistentvolumeclaims/{claim}");
        until("the claim is bound", SOON, async || {
            Ok(find(&client, &path).await?.is_some_and(|claim| claim["status"]["phase"] == "Bound"))
        })
        .await?;
        Ok(())
    }

    async fn point(&self, args: &[&str]) -> Result<Said> {
        let plugin = self.sample.address();
        let more = ["--run-address", &self.running.address, "--plugin", &plugin];
        ask_with_cluster(&self.hindcast, &[&["point"], args, &more].concat()).await
    }

    /// Makes a point by an object, and waits until it is made; its phase, and all that its status says.
    async fn by_object(&self, name: &str) -> Result<(String, String)> {
        let point = json!({
            "apiVersion": "hindcast.dev/v1alpha1", "kind": "RecoveryPoint", "metadata": {"name": name},
            "spec": {"namespaces": ["shop"]},
        });
        create_when_served(&self.cluster.client(), OURS, &point).await?;
        let mut last = Value::Null;
        let made = until("the point is made", Duration::from_mins(2), async || {
            last = find(&self.cluster.client(), &format!("{OURS}/{name}")).await?.unwrap_or_default();
            Ok(matches!(last["status"]["phase"].as_str(), Some("Complete" | "Partial" | "Failed")))
        });
        made.await.with_context(|| format!("{last}\n{}", self.running.process.log_tail()))?;
        let phase = last["status"]["phase"].as_str().context("it has a phase")?.to_owned();
        Ok((phase, last["status"].to_string()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_takes_volumes_and_is_named_wherever_it_fails() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::new().await?;
    let (address, volume) = (scene.sample.address(), scene.sample.volume()?);
    scene.claim(&volume).await?;

    // It is not there yet: protection goes on, and what needs it says so.
    ask_with_cluster(&scene.hindcast, &["plugin", "check", &address])
        .await?
        .is(2, &["nobody listens on its socket", "start it again"])?;
    scene.point(&["create", "early", "-n", "shop"]).await?.is(2, &[&address, "nobody listens", "start it again"])?;
    for (_, definition) in hindcast_operator::api::definitions() {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        create(&scene.cluster.client(), path, serde_json::to_value(definition)?).await?;
    }
    let (phase, status) = scene.by_object("without").await?;
    ensure!(phase == "Partial" && status.contains(&address) && status.contains("nobody listens"), "{phase}: {status}");

    // It is there, and met by who needs it.
    scene.sample.restart().await?;
    let checked = ask_with_cluster(&scene.hindcast, &["plugin", "check", &address, "-o", "json"]).await?;
    let checked = checked.is(0, &[])?.json()?;
    ensure!(checked["name"] == "sample" && checked["health"] == "serving", "{checked}");
    let text = ask_with_cluster(&scene.hindcast, &["plugin", "check", &address]).await?;
    text.is(0, &["sample", "serving", SamplePlugin::DRIVER, "transform label: Deployment.apps, Secret"])?;
    let (phase, status) = scene.by_object("with").await?;
    ensure!(phase == "Complete", "{phase}: {status}");
    let made = scene.point(&["create", "first", "-n", "shop", "-o", "json"]).await?;
    let made = made.is(0, &[])?.json()?;
    let snapshot = made["volumes"][0]["snapshot"].as_str().context("it has one")?;
    ensure!(made["state"] == "complete" && scene.sample.has(snapshot)?, "{made}");

    // A policy names the plugin; one that is not there is named too.
    let policy = |plugin: &str| {
        format!(
            "version: v1\nvolumePolicies:\n- conditions: {{}}\n  action: {{type: custom, parameters: {{plugin: {plugin}}}}}\n"
        )
    };
    let folder = Workdir::new()?;
    for (plugin, code, says) in
        [("sample", 0, "\"complete\""), ("nobody", 1, "to the plugin nobody, which is not there")]
    {
        let file = folder.path().join(plugin);
        std::fs::write(&file, policy(plugin))?;
        let file = file.display().to_string();
        let args = ["create", plugin, "-n", "shop", "-o", "json", "--volume-policies", &file];
        scene.point(&args).await?.is(code, &[says])?;
    }

    // It crashes whenever it is asked: the point says by whom it has nothing.
    let before = scene.sample.snapshots()?;
    scene.sample.misbehave("Create", "crash", 1000);
    let crashed = scene.point(&["create", "crashed", "-n", "shop"]).await?;
    crashed.is(1, &["plugin sample", "partial", &volume.title(), "start it again"])?;
    ask_with_cluster(&scene.hindcast, &["point", "show", "crashed"]).await?.is(0, &["plugin sample"])?;
    // Deleting waits for it, and says so; then it is done.
    scene.point(&["delete", "first", "--yes"]).await?.is(2, &[&address, "nobody listens"])?;
    scene.sample.behave();
    scene.sample.restart().await?;
    ensure!(scene.sample.snapshots()? == before, "what was half made is none");
    scene.point(&["delete", "first", "--yes"]).await?.is(0, &["deleted first"])?;
    ensure!(scene.sample.snapshots()? == before - 1);
    scene.running.stop().await
}
