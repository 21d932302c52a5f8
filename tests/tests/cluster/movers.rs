//! Volumes file by file, on a real node: Pods copy them into the bucket, and back into new volumes; in place too; and what
//! becomes of a copy whose processes die.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    http::{create, find},
    oracle::subject::{Hindcast, Place, Running},
    real::{Cluster, Csi, Fault, HttpProxy, Image, Minio, Node, process::Workdir},
};
use kube::Client;
use serde_json::{Value, json};

use crate::scene::{BINARY, SOON, Said, ask_within, namespace, namespace_goes, until};

const POD: &str = "/api/v1/namespaces/shop/pods";
const MOVERS: &str = "/api/v1/namespaces/movers/pods";
const VESSELS: &str = "/api/v1/namespaces/movers/persistentvolumeclaims";
/// What each entry of the volume is: owner, mode, size, time and content. Of its root, which is no entry of the format, the time
/// is not kept.
const PICTURE: &str = "cd /data && stat -c '%a %u %g' . && find . -mindepth 1 | sort | while read -r f; do stat -c '%n %a %u %g %Y' \"$f\"; \
                       if [ -f \"$f\" ] && [ ! -L \"$f\" ]; then stat -c %s \"$f\"; md5sum < \"$f\"; fi; \
                       if [ -L \"$f\" ]; then readlink \"$f\"; fi; done";
const FILL: &str = "cd /data && mkdir -p a/b && for i in $(seq 1 200); do echo $i > a/b/$i; done && \
                    head -c 3000000 /dev/urandom > big && ln -s ../big a/link && chmod 750 a && chown 1234:55 a/b/7 && \
                    touch -d '2020-01-02 03:04:05' a/b/9";

struct Scene {
    running: Running,
    node: Node,
    csi: Csi,
    client: Client,
    hindcast: Hindcast,
    template: String,
    /// Before the bucket, for the movers.
    proxy: HttpProxy,
    _minio: Minio,
    _dir: Workdir,
    _cluster: Cluster,
}

impl Scene {
    async fn new() -> Result<Self> {
        let cluster = Cluster::builder().controller_manager().start().await?;
        let node = Node::start(&cluster).await?;
        let csi = Csi::start(&node).await?;
        let minio = Minio::start().await?;
        let proxy = HttpProxy::start(minio.port()).await?;
        let dir = Workdir::new()?;
        let place = Place::minio(&minio, "journal", minio.port());
        let hindcast = Hindcast::new(BINARY, dir.path(), place, cluster.kubeconfig())?;
        let client = cluster.client();
        for name in ["movers", "shop"] {
            namespace(&client, name).await?;
        }
        let template = dir.path().join("mover.json");
        std::fs::write(&template, self::template(&node, &minio, &proxy).to_string())?;
        let template = template.display().to_string();
        let running = hindcast.run(&["--mover", &template]).await?;
        let scene =
            Self { running, node, csi, client, hindcast, template, proxy, _minio: minio, _dir: dir, _cluster: cluster };
        let said = scene.ask(&["mover", "password"]).await?;
        let password = said.is(0, &[])?.out.trim().to_owned();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hindcast-files"}, "stringData": {"password": password},
        });
        create(&scene.client, "/api/v1/namespaces/movers/secrets", secret).await?;
        Ok(scene)
    }

    /// With what a command has to know of the scene.
    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [args, &["--run-address", &self.running.address, "--mover", &self.template]].concat()
    }

    async fn ask(&self, args: &[&str]) -> Result<Said> {
        ask_within(&self.hindcast, &self.args(args), Duration::from_mins(4)).await
    }

    /// A process that can be killed.
    fn command(&self, args: &[&str]) -> tokio::process::Command {
        self.hindcast.command(&self.args(args), true)
    }

    /// A point whose process was killed, once its hold has run out and it is made of what is there.
    async fn adopted(&self, name: &str) -> Result<Value> {
        until("the point is made", Duration::from_mins(4), async || {
            self.ask(&["point", "gc"]).await?;
            let shown = self.ask(&["point", "show", name, "-o", "json"]).await?;
            Ok(shown.code == 0)
        })
        .await?;
        self.ask(&["point", "show", name, "-o", "json"]).await?.is(0, &[])?.json()
    }

    /// Makes the workload and its claim.
    async fn make(&self) -> Result<()> {
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": Csi::CLASS_WAITING,
                "resources": {"requests": {"storage": "64Mi"}},
            },
        });
        create(&self.client, "/api/v1/namespaces/shop/persistentvolumeclaims", claim).await?;
        let container = json!({
            "name": "main", "image": Image::Busybox.reference(), "imagePullPolicy": "Never",
            "command": ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        });
        let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "strategy": {"type": "Recreate"},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"terminationGracePeriodSeconds": 5, "containers": [container], "volumes": volumes},
                },
            },
        });
        create(&self.client, "/apis/apps/v1/namespaces/shop/deployments", deployment).await?;
        Ok(())
    }

    /// The Pod of the workload, when it is ready.
    async fn pod(&self) -> Result<String> {
        let mut name = None;
        until("the workload has its Pod", 3 * SOON, async || {
            let list = find(&self.client, POD).await?.unwrap_or_default();
            let pods = list["items"].as_array().cloned().unwrap_or_default();
            let lives = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect::<Vec<_>>();
            name = match lives[..] {
                [pod] => pod["metadata"]["name"].as_str().map(str::to_owned),
                _ => None,
            };
            Ok(name.is_some())
        })
        .await?;
        let name = name.context("it was waited for")?;
        self.node.ready("shop", &name).await?;
        Ok(name)
    }

    async fn sh(&self, command: &str) -> Result<String> {
        let pod = self.pod().await?;
        self.node.exec("shop", &pod, &["/bin/sh", "-c", command]).await?.ok()
    }

    /// Nothing that was made for a copy is left where movers run.
    async fn nothing_left(&self) -> Result<()> {
        until("movers and their claims are gone", SOON, async || {
            let mut left = Vec::new();
            for path in [MOVERS, VESSELS] {
                let list = find(&self.client, path).await?.unwrap_or_default();
                left.extend(list["items"].as_array().cloned().unwrap_or_default());
            }
            Ok(left.is_empty())
        })
        .await?;
        self.ask(&["point", "gc", "--plan"]).await?.is(0, &["nothing was left behind"])?;
        Ok(())
    }

    /// Of snapshots nothing is left, in the cluster and in the storage system.
    async fn no_snapshot_left(&self) -> Result<()> {
        for kind in ["volumesnapshots", "volumesnapshotcontents"] {
            let list = find(&self.client, &format!("/apis/snapshot.storage.k8s.io/v1/{kind}")).await?;
            let items = list.context("it is served")?["items"].clone();
            ensure!(items.as_array().is_some_and(Vec::is_empty), "{items}");
        }
        let entries = std::fs::read(self.csi.dir().join("store/entries.json"))?;
        let left = serde_json::from_slice::<Value>(&entries)?["Snapshots"].clone();
        ensure!(left.as_object().is_some_and(serde_json::Map::is_empty), "left in the storage system: {left}");
        Ok(())
    }

    /// The claim and its volume.
    async fn volume(&self) -> Result<(Value, Value)> {
        let claim = find(&self.client, "/api/v1/namespaces/shop/persistentvolumeclaims/data").await?;
        let claim = claim.context("the claim is there")?;
        let name = claim["spec"]["volumeName"].as_str().context("it is bound")?;
        let volume =
            find(&self.client, &format!("/api/v1/persistentvolumes/{name}")).await?.context("its volume is")?;
        Ok((claim, volume))
    }

    /// Ends a trial; of one that failed it shows what stands.
    async fn end(self, tried: Result<()>) -> Result<()> {
        if tried.is_err() {
            self.show().await?;
        }
        tried?;
        self.running.stop().await
    }

    async fn show(&self) -> Result<()> {
        for args in [
            &["get", "deployment,pod,pvc,event", "-A", "-o", "wide"][..],
            &["get", "pv", "-o", "yaml"],
            &["get", "pod", "-n", "movers", "-o", "yaml"],
            &["logs", "-n", "movers", "--tail", "20", "-l", "hindcast.dev/cluster"],
        ] {
            println!("{}", self.node.kubectl(args).await?.out);
        }
        Ok(())
    }
}

/// Movers run the binary under test, with this machine's libraries.
fn template(node: &Node, minio: &Minio, proxy: &HttpProxy) -> Value {
    let binary = std::path::Path::new(BINARY);
    let (folder, name) = (binary.parent().expect("it is in a folder"), binary.file_name().expect("it has a name"));
    let env: Vec<Value> =
        minio.env_via(proxy.port()).into_iter().map(|(k, v)| json!({"name": k, "value": v})).collect();
    let password = json!({"name": "HINDCAST_FILES_PASSWORD_FILE", "value": "/secret/password"});
    let mounts =
        [("/usr", "usr"), ("/lib", "lib"), ("/lib64", "lib64"), ("/etc/ssl", "ssl"), ("/bin-under-test", "binary")];
    let mounts = mounts.map(|(path, name)| json!({"name": name, "mountPath": path, "readOnly": true}));
    let env: Vec<Value> = env.into_iter().chain([password]).collect();
    let own = json!({"name": "password", "mountPath": "/secret"});
    let mounts: Vec<Value> = mounts.into_iter().chain([own]).collect();
    let host = |name: &str, path: &str| json!({"name": name, "hostPath": {"path": path}});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "movers", "annotations": {
            "hindcast.dev/kubelet-dir": node.kubelet_dir().display().to_string(), "hindcast.dev/movers-per-node": "1",
        }},
        "spec": {
            "hostNetwork": true,
            "containers": [{
                "name": "mover", "image": Image::Busybox.reference(), "imagePullPolicy": "Never",
                "command": [format!("/bin-under-test/{}", name.display())],
                "env": env,
                "volumeMounts": mounts,
            }],
            "volumes": [
                host("usr", "/usr"), host("lib", "/usr/lib"), host("lib64", "/usr/lib64"), host("ssl", "/etc/ssl"),
                host("binary", &folder.display().to_string()),
                {"name": "password", "secret": {"secretName": "hindcast-files"}},
            ],
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_volume_come_back_in_a_new_one_and_in_place() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::new().await?;
    let tried = comes_back(&scene).await;
    scene.end(tried).await
}

async fn comes_back(scene: &Scene) -> Result<()> {
    scene.make().await?;
    scene.sh(FILL).await?;
    let first = scene.sh(PICTURE).await?;
    ensure!(first.contains("./a/b/7 644 1234 55"), "{first}");

    let made = scene.ask(&["point", "create", "p1", "-n", "shop", "--volumes", "files", "-o", "json"]).await?;
    let made = made.is(0, &[])?.json()?;
    ensure!(made["state"] == "complete", "{made}");
    ensure!(made["volumes"][0]["snapshot"].as_str().is_some_and(|id| id.len() == 64), "{made}");
    ensure!(made["volumes"][0]["size"].as_u64().is_some_and(|size| size > 3_000_000), "{made}");
    scene.nothing_left().await?;

    // Lost with its namespace.
    namespace_goes(&scene.client, "shop", 2 * SOON).await?;
    let plan = scene.ask(&["plan", "-n", "shop", "--at", "point:p1"]).await?;
    plan.is(1, &["it puts the files of recovery point p1 back", "handed over to claim shop/data"])?;
    scene.ask(&["restore", "-n", "shop", "--at", "point:p1", "--yes"]).await?.is(0, &[])?;
    let back = scene.sh(PICTURE).await?;
    ensure!(back == first, "what came back is not what was kept:\n{back}\n--- instead of\n{first}");
    let (claim, volume) = scene.volume().await?;
    ensure!(claim["spec"]["dataSource"].is_null() && claim["status"]["phase"] == "Bound", "{claim}");
    ensure!(volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete", "{volume}");
    ensure!(volume["metadata"]["labels"]["hindcast.dev/fills"].is_null(), "{volume}");
    scene.nothing_left().await?;

    // In place: data of now are kept beside, and come back with the undo.
    scene.ask(&["point", "create", "p2", "-n", "shop", "--volumes", "files"]).await?.is(0, &[])?;
    scene.sh("cd /data && rm a/b/1 && echo other > a/b/2 && echo more > more").await?;
    let changed = scene.sh(PICTURE).await?;
    let said =
        scene.ask(&["restore", "-n", "shop", "--at", "point:p2", "--volumes", "all", "--yes", "-o", "json"]).await?;
    said.is(0, &[])?;
    let back = scene.sh(PICTURE).await?;
    ensure!(back == first, "it was rolled back to\n{back}\n--- instead of\n{first}");
    let (_, volume) = scene.volume().await?;
    ensure!(volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete", "{volume}");
    let done = said.json()?;
    let id = done["id"].as_str().context("it has an id")?.to_owned();
    scene.ask(&["undo", &id, "--yes"]).await?.is(0, &[])?;
    let undone = scene.sh(PICTURE).await?;
    ensure!(undone == changed, "it was undone to\n{undone}\n--- instead of\n{changed}");
    scene.nothing_left().await?;

    // Points go with what they kept.
    for name in ["p1", "p2"] {
        scene.ask(&["point", "delete", name, "--yes"]).await?.is(0, &[])?;
    }
    let listed = scene.ask(&["mover", "list"]).await?;
    ensure!(listed.is(0, &[])?.out.trim().is_empty(), "{listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_outlives_its_process_and_its_mover() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::new().await?;
    let tried = outlives(&scene).await;
    scene.end(tried).await
}

async fn outlives(scene: &Scene) -> Result<()> {
    scene.make().await?;
    scene.sh(FILL).await?;
    // Held back right before it counts; the process that waits for it is killed, then the mover.
    let held = scene.proxy.inject("PUT", "/files/snapshots/", 1, Fault::HangBefore);
    let mut child = scene.command(&["point", "create", "p1", "-n", "shop", "--volumes", "files"]).spawn()?;
    held.wait(1, 2 * SOON).await?;
    child.kill().await?;
    let movers = find(&scene.client, MOVERS).await?.context("it is served")?;
    let mover = movers["items"][0]["metadata"]["name"].as_str().context("there is a mover")?.to_owned();
    scene.node.kill_container("movers", &mover).await?;
    held.withdraw();
    // Its hold runs out; then what it left is adopted: the mover that was started again has kept the files meanwhile.
    let made = scene.adopted("p1").await?;
    ensure!(made["state"] == "complete" && made["volumes"][0]["snapshot"].is_string(), "{made}");
    scene.nothing_left().await?;
    let listed = scene.ask(&["mover", "list"]).await?;
    ensure!(listed.is(0, &[])?.out.lines().count() == 1, "{listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_moved_into_the_bucket_also_by_another_process() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::new().await?;
    let tried = is_moved(&scene).await;
    scene.end(tried).await
}

async fn is_moved(scene: &Scene) -> Result<()> {
    scene.make().await?;
    scene.sh(FILL).await?;
    let first = scene.sh(PICTURE).await?;
    let made = scene.ask(&["point", "create", "p1", "-n", "shop", "--move", "-o", "json"]).await?;
    let made = made.is(0, &[])?.json()?;
    ensure!(made["state"] == "complete", "{made}");
    ensure!(made["volumes"][0]["snapshot"].as_str().is_some_and(|id| id.len() == 64), "{made}");
    scene.nothing_left().await?;
    scene.no_snapshot_left().await?;

    // The moment is the snapshot's, whenever its files are copied, and by whom; and what is on its way can be deleted.
    let held = scene.proxy.inject("PUT", "/files/snapshots/", 2, Fault::HangBefore);
    let mut children = Vec::new();
    for name in ["p2", "p3"] {
        children.push(scene.command(&["point", "create", name, "-n", "shop", "--move"]).spawn()?);
    }
    held.wait(2, 3 * SOON).await?;
    scene.sh("echo late > /data/late && rm /data/a/b/1").await?;
    for child in &mut children {
        child.kill().await?;
    }
    until("its hold has run out, and it is deleted", Duration::from_mins(4), async || {
        Ok(scene.ask(&["point", "delete", "p3", "--yes"]).await?.code == 0)
    })
    .await?;
    held.withdraw();
    let made = scene.adopted("p2").await?;
    ensure!(made["state"] == "complete", "{made}");
    scene.nothing_left().await?;
    scene.no_snapshot_left().await?;
    scene.ask(&["restore", "-n", "shop", "--at", "point:p2", "--volumes", "all", "--yes"]).await?.is(0, &[])?;
    let back = scene.sh(PICTURE).await?;
    ensure!(back == first, "what came back is not what the snapshot had:\n{back}\n--- instead of\n{first}");
    for name in ["p1", "p2"] {
        scene.ask(&["point", "delete", name, "--yes"]).await?.is(0, &[])?;
    }
    scene.nothing_left().await?;
    scene.no_snapshot_left().await?;
    let listed = scene.ask(&["mover", "list"]).await?;
    ensure!(listed.is(0, &[])?.out.trim().is_empty(), "{listed}");
    Ok(())
}
