//! Recovery points on a real API server with a real snapshot controller and CSI driver: what they take, what they say is
//! missing, what they cost, and that they outlive what they are of.

mod groups;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all};
use hindcast_tests::{
    http::{JSON, find, request},
    oracle::subject::{Hindcast, Running},
    real::{CallFault, Cluster, Csi, process::Workdir},
    until::{never, succeeds},
};
use kube::Client;
use serde_json::{Value, json};

use crate::scene::{
    SOON, Said, ask, ask_with_cluster, create, namespace, namespace_goes, on_folder, rule, send, until, volume_by_hand,
};

const CONTENTS: &str = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents";

/// A protected cluster with volumes and snapshots of them, without a node.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) csi: Csi,
    pub(crate) hindcast: Hindcast,
    pub(crate) running: Running,
    dir: Workdir,
}

impl Scene {
    pub(crate) async fn new() -> Result<Self> {
        let cluster = Cluster::builder().controller_manager().eager_controllers().start().await?;
        let csi = Csi::start_without_node(&cluster).await?;
        let dir = Workdir::new()?;
        let hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
        let running = hindcast.run(&[]).await?;
        Ok(Self { cluster, csi, hindcast, running, dir })
    }

    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        namespace(&self.cluster.client(), name).await
    }

    async fn claims(&self, namespace: &str, count: usize) -> Result<()> {
        let names: Vec<String> = (0..count).map(|n| format!("data-{n}")).collect();
        try_join_all(names.iter().map(|name| self.csi.claim(namespace, name, None))).await?;
        try_join_all(names.iter().map(|name| self.csi.bound(namespace, name))).await?;
        Ok(())
    }

    async fn point(&self, args: &[&str]) -> Result<Said> {
        let address = &self.running.address;
        ask_with_cluster(&self.hindcast, &[&["point"], args, &["--run-address", address]].concat()).await
    }

    /// Waits until only what points have is there. What still is, and what the sidecars know of it, is told.
    async fn nothing_left(&self, within: Duration) -> Result<()> {
        succeeds("only what points have is there", within, async || {
            let said = self.point(&["gc", "--plan"]).await?;
            if said.code == 0 {
                return Ok(());
            }
            // As `run` does every ten minutes.
            self.point(&["gc"]).await?;
            let client = self.cluster.client();
            let snapshots = items(&client, "/apis/snapshot.storage.k8s.io/v1/volumesnapshots").await?;
            bail!("{said}\n{:#}\n{:#}", json!(snapshots), json!(items(&client, CONTENTS).await?))
        })
        .await
    }

    /// What the driver has: the snapshots that were made and not deleted.
    async fn snapshots(&self) -> Result<usize> {
        let calls = self.csi.calls().await?;
        let ok = |method: &str| {
            let names = calls.iter().filter(|call| call.method == method && call.code == "OK");
            names.map(|call| call.name.clone()).collect::<std::collections::BTreeSet<_>>().len()
        };
        Ok(ok("CreateSnapshot") - ok("DeleteSnapshot"))
    }
}

async fn items(client: &Client, path: &str) -> Result<Vec<Value>> {
    let list = find(client, path).await?.with_context(|| format!("there is no {path}"))?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_has_the_volumes_of_its_scope_and_outlives_its_namespace() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::new().await?;
    let client = scene.cluster.client();
    scene.namespace("shop").await?;
    scene.namespace("bank").await?;
    scene.claims("shop", 3).await?;
    scene.claims("bank", 1).await?;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    create(&client, "/api/v1/namespaces/shop/configmaps", map).await?;

    let plan = scene.point(&["create", "first", "-n", "shop", "--plan", "-o", "json"]).await?;
    let plan = plan.is(0, &[])?.json()?;
    ensure!(plan["volumes"].as_array().is_some_and(|all| all.len() == 3), "three volumes: {plan}");
    ensure!(scene.snapshots().await? == 0, "a plan takes nothing");

    let made = scene.point(&["create", "first", "-n", "shop", "-o", "json"]).await?;
    let made = made.is(0, &[])?.json()?;
    ensure!(made["state"] == "complete" && made["missing"] == json!([]), "{made}");
    let volumes = made["volumes"].as_array().context("it has volumes")?;
    ensure!(volumes.len() == 3 && volumes.iter().all(|volume| volume["snapshot"].is_string()), "{made}");
    ensure!(volumes.iter().all(|volume| volume["zone"] == Csi::ZONE), "{made}");
    let rev = made["cut"]["main"].as_u64().context("it has a cut")?;
    let between = [made["between"][0].as_u64(), made["between"][1].as_u64()];
    ensure!(between[0] <= Some(rev) && Some(rev) <= between[1], "the cut lies where the volumes were taken: {made}");
    ensure!(scene.snapshots().await? == 3, "three snapshots");
    // The user's namespace is left as it was.
    let snapshots = "/apis/snapshot.storage.k8s.io/v1/namespaces/shop/volumesnapshots";
    ensure!(items(&client, snapshots).await?.is_empty(), "nothing of ours stays in the namespace");

    // A name is a moment, and the newest has one of its own.
    send(&client, "PATCH", "/api/v1/namespaces/shop/configmaps/m", Some(json!({"data": {"a": "2"}}))).await?;
    scene.running.close().await?;
    for at in ["point:first", "point:latest"] {
        let then = ask(&scene.hindcast, &["show", "cm/m", "-n", "shop", "--at", at]).await?;
        then.is(0, &["a: \"1\"", "point first is of"])?;
    }
    ask(&scene.hindcast, &["diff", "-n", "shop", "--from", "point:first"]).await?.is(1, &["+  a: \"2\""])?;
    ask(&scene.hindcast, &["get", "cm", "-n", "shop", "--at", "point:nope"])
        .await?
        .is(2, &["no recovery point of that name"])?;
    let again = scene.point(&["create", "first", "-n", "shop"]).await?;
    again.is(2, &["there is a recovery point of that name"])?;
    // A checkpoint stands at its cut.
    let files = ask(&scene.hindcast, &["journal", "ls"]).await?;
    files.is(0, &["checkpoints/"])?;

    // A namespace that goes takes no recovery point along.
    namespace_goes(&client, "shop", Duration::from_mins(1)).await?;
    ensure!(scene.snapshots().await? == 3, "its snapshots stay");
    ensure!(scene.point(&["gc", "--plan"]).await?.code == 0, "nothing was left behind");
    ask(&scene.hindcast, &["get", "cm", "-n", "shop", "--at", "point:first"]).await?.is(0, &["m "])?;

    // Deleting needs the handle alone: of one of them the cluster knows nothing any more.
    let contents = items(&client, CONTENTS).await?;
    ensure!(contents.len() == 3, "{contents:?}");
    let lost = contents[0]["metadata"]["name"].as_str().context("it has a name")?;
    send(&client, "DELETE", &format!("{CONTENTS}/{lost}"), None).await?;
    until("the content is gone", SOON, async || Ok(find(&client, &format!("{CONTENTS}/{lost}")).await?.is_none()))
        .await?;
    ensure!(scene.snapshots().await? == 3, "its snapshot stays");
    // A content that is made for a handle is not deleted before its sidecar has seen it: its snapshot would stay.
    scene.csi.pause_snapshotter()?;
    let deleted = scene.point(&["delete", "first", "--yes"]);
    let looked = async {
        let all = async || Ok::<_, anyhow::Error>(items(&client, CONTENTS).await?);
        let given = |content: &&Value| content["spec"]["source"]["snapshotHandle"].is_string();
        until("a content is made for it", SOON, async || Ok(all().await?.iter().any(|one| given(&one)))).await?;
        never("it is deleted unseen", Duration::from_secs(2), async || {
            Ok(all().await?.iter().filter(given).any(|one| one["metadata"]["deletionTimestamp"].is_string()))
        })
        .await?;
        scene.csi.resume_snapshotter()
    };
    let (deleted, looked) = tokio::join!(deleted, looked);
    looked?;
    deleted?.is(0, &["deleted first"])?;
    ensure!(scene.snapshots().await? == 0, "its snapshots go with it");
    ensure!(items(&client, CONTENTS).await?.is_empty(), "and so do their contents");
    scene.point(&["list"]).await?.is(0, &["no recovery points"])?;
    scene.point(&["delete", "first", "--yes"]).await?.is(2, &["no recovery point of that name"])?;
    scene.running.stop().await
}

/// Whoever may not keep the volume that a claim would leave does not give the claim up, and the data stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_stays_where_its_volume_cannot_be_kept() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::new().await?;
    let client = scene.cluster.client();
    scene.namespace("shop").await?;
    scene.claims("shop", 1).await?;
    scene.point(&["create", "good", "-n", "shop"]).await?.is(0, &[])?;
    let path = "/api/v1/namespaces/shop/persistentvolumeclaims/data-0";
    let claim = find(&client, path).await?.context("it is there")?;

    let write = ["create", "update", "patch", "delete"];
    let may = vec![
        rule(&["*"], &["*"], &["get", "list", "watch"]),
        rule(&[""], &["persistentvolumeclaims"], &write),
        rule(&["snapshot.storage.k8s.io"], &["*"], &write),
    ];
    let mut clerk = scene.hindcast.clone();
    clerk.kubeconfig = scene.cluster.user("clerk", may).await?;
    let scope = ["restore", "-n", "shop", "--at", "point:good", "--volumes", "all", "--yes", "--no-check"];
    let said = ask_with_cluster(&clerk, &[&scope[..], &["--run-address", &scene.running.address]].concat()).await?;
    said.is(1, &["is not retained and would be deleted with it"])?;
    let now = find(&client, path).await?.context("it is still there")?;
    ensure!(now["metadata"]["uid"] == claim["metadata"]["uid"], "it was given up: {now}");
    let volume = now["spec"]["volumeName"].as_str().context("it is bound")?;
    let volume = find(&client, &format!("/api/v1/persistentvolumes/{volume}")).await?.context("its volume is there")?;
    ensure!(volume["status"]["phase"] == "Bound" && volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_is_missing_by_name_and_what_is_left_behind_is_found() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::new().await?;
    let client = scene.cluster.client();
    scene.namespace("shop").await?;
    scene.claims("shop", 2).await?;
    // A volume that nobody can take, and a claim whose annotation names a class that is not there.
    volume_by_hand(&client, "local", "1Mi", &json!({"hostPath": {"path": "/nowhere"}})).await?;
    let class = json!({"metadata": {"annotations": {"velero.io/csi-volumesnapshot-class": "nope"}}});
    send(&client, "PATCH", "/api/v1/namespaces/shop/persistentvolumeclaims/data-1", Some(class)).await?;
    let made = scene.point(&["create", "p", "-n", "shop"]).await?;
    made.is(1, &["partial", "shop/local", "hostPath", "shop/data-1", "there is no such VolumeSnapshotClass"])?;
    // What a policy leaves out is not missing.
    let policies = scene.dir.path().join("policies.yaml");
    let text = "version: v1\nvolumePolicies:\n- conditions:\n    volumeTypes: [hostPath]\n  action:\n    type: skip\n";
    std::fs::write(&policies, text)?;
    let file = policies.display().to_string();
    let none = json!({"metadata": {"annotations": {"velero.io/csi-volumesnapshot-class": null}}});
    send(&client, "PATCH", "/api/v1/namespaces/shop/persistentvolumeclaims/data-1", Some(none)).await?;
    let made = scene.point(&["create", "q", "-n", "shop", "--volume-policies", &file]).await?;
    made.is(0, &["complete", "a volume policy leaves it out"])?;
    let made = scene.point(&["show", "q", "-o", "json"]).await?.is(0, &[])?.json()?;
    let own = made["id"].as_str().and_then(|id| id.get(..16)).context("it has an id")?.to_owned();
    std::fs::write(&policies, "version: v2\n")?;
    let refused = scene.point(&["create", "r", "-n", "shop", "--volume-policies", &file]).await?;
    refused.is(2, &["version", "policies.yaml"])?;

    // A driver whose snapshots are never ready.
    scene.csi.fault(CallFault::not_ready("CreateSnapshot")).await?;
    scene.csi.fault(CallFault::not_ready("ListSnapshots")).await?;
    let made = scene.point(&["create", "late", "-n", "shop", "--snapshot-timeout", "5s"]).await?;
    scene.csi.clear_faults().await?;
    made.is(1, &["partial", "was not ready within 5 s"])?;
    // What was not ready in time is no part of the point, and is deleted.
    scene.nothing_left(Duration::from_mins(1)).await?;

    // What a driver says is told with what came of it: here that no more are to be had.
    scene.csi.fault(CallFault::fails("CreateSnapshot").code(8, "the quota of 10 snapshots is exceeded")).await?;
    let made = scene.point(&["create", "full", "-n", "shop", "--snapshot-timeout", "5s"]).await?;
    scene.csi.clear_faults().await?;
    made.is(1, &["partial", "shop/data-0", "fixed no moment within 5 s", "the quota of 10 snapshots is exceeded"])?;
    hooks_that_cannot_run(&scene).await?;
    // The sidecar rests longer and longer before it tries again.
    scene.nothing_left(Duration::from_mins(5)).await?;

    // A snapshot that bears the tag of a point that never was is found and deleted; others are nobody's to delete.
    let uid = find(&client, "/api/v1/namespaces/kube-system").await?.context("there is one")?;
    let stray = |name: &str, labels: Value| {
        json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
            "metadata": {"name": name, "labels": labels},
            "spec": {"volumeSnapshotClassName": Csi::SNAPSHOT_CLASS, "source": {"persistentVolumeClaimName": "data-0"}},
        })
    };
    let snapshots = "/apis/snapshot.storage.k8s.io/v1/namespaces/shop/volumesnapshots";
    let id = format!("{own}0123456789abcdef");
    let ours = json!({
        "hindcast.dev/cluster": uid["metadata"]["uid"], "hindcast.dev/id": id, "hindcast.dev/volume": "0",
    });
    create(&client, snapshots, stray(&format!("hindcast-{id}-0"), ours)).await?;
    create(&client, snapshots, stray("somebody-elses", json!({}))).await?;
    // One of another journal of this cluster.
    let another = format!("hindcast-{}-0", "f".repeat(32));
    let theirs = json!({
        "hindcast.dev/cluster": uid["metadata"]["uid"], "hindcast.dev/id": "f".repeat(32), "hindcast.dev/volume": "0",
    });
    create(&client, snapshots, stray(&another, theirs)).await?;
    scene.csi.taken("shop", &another).await?;
    scene.csi.taken("shop", "somebody-elses").await?;
    scene.csi.taken("shop", &format!("hindcast-{id}-0")).await?;
    scene.point(&["gc", "--plan"]).await?.is(1, &[&format!("hindcast-{id}-0"), "is of no point"])?;
    scene.point(&["gc"]).await?.is(0, &["done"])?;
    scene.point(&["gc", "--plan"]).await?.is(0, &["nothing was left behind"])?;
    ensure!(items(&client, snapshots).await?.len() == 2, "others' snapshots stay");
    scene.running.stop().await
}

/// A hook of a container that is not there, and one of a Pod that cannot be reached: the volumes of those Pods are not taken.
async fn hooks_that_cannot_run(scene: &Scene) -> Result<()> {
    let client = scene.cluster.client();
    let pods = "/api/v1/namespaces/shop/pods";
    for (name, claim, container) in [("odd", "data-0", "nope"), ("deaf", "data-1", "main")] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "annotations": {
                "pre.hook.backup.velero.io/command": "sync", "pre.hook.backup.velero.io/container": container,
            }},
            "spec": {
                "nodeName": "nowhere", "containers": [{"name": "main", "image": "none"}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
            },
        });
        create(&client, pods, pod).await?;
        let runs = json!({"status": {"phase": "Running"}});
        send(&client, "PATCH", &format!("{pods}/{name}/status"), Some(runs)).await?;
    }
    let made = scene.point(&["create", "hooked", "-n", "shop"]).await?;
    made.is(1, &["partial", "there is no container nope, only main", "a hook before it failed in Pod deaf"])?;
    for name in ["odd", "deaf"] {
        let now = json!({"gracePeriodSeconds": 0});
        send(&client, "DELETE", &format!("{pods}/{name}"), Some(now)).await?;
    }
    Ok(())
}

/// How many requests of a verb for a resource the API server has answered.
async fn requests(client: &Client, resource: &str, verb: &str) -> Result<u64> {
    let (_, body) = request(client, "GET", "/metrics", None, JSON).await?;
    let text = String::from_utf8_lossy(&body);
    let of = |line: &&str| {
        line.starts_with("apiserver_request_total{")
            && line.contains(&format!("resource=\"{resource}\""))
            && line.contains(&format!("verb=\"{verb}\""))
    };
    let values = text.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum::<f64>() as u64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_volumes_are_taken_at_once_and_ten_thousand_resources_cost_nothing() -> Result<()> {
    let _alone = crate::FIGURES.write().await;
    let scene = Scene::new().await?;
    let client = scene.cluster.client();
    scene.namespace("shop").await?;
    let names = futures::stream::iter(0..10_000);
    names
        .map(async |n| {
            let map = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m-{n}")}, "data": {"a": "1"},
            });
            create(&client, "/api/v1/namespaces/shop/configmaps", map).await
        })
        .buffer_unordered(16)
        .try_for_each(async |_| Ok(()))
        .await?;
    scene.running.close().await?;
    let kinds = ["configmaps", "persistentvolumeclaims", "persistentvolumes", "pods"];
    let count = async || {
        let mut all = Vec::new();
        for kind in kinds {
            all.push([requests(&client, kind, "GET").await?, requests(&client, kind, "LIST").await?]);
        }
        anyhow::Ok(all)
    };
    let (before, began) = (count().await?, Instant::now());
    let made = scene.point(&["create", "all", "-n", "shop", "-o", "json"]).await?;
    let took = began.elapsed();
    let after = count().await?;
    ensure!(made.is(0, &[])?.json()?["state"] == "complete", "{made}");
    // Closing the cut asks each kind that lags for one object, twice at most; nothing reads what the point is of.
    for ((kind, before), after) in kinds.iter().zip(&before).zip(&after) {
        let [gets, lists] = [after[0] - before[0], after[1] - before[1]];
        println!("points: {kind}: {gets} GET, {lists} LIST of one object for a point of 10,000 resources");
    }
    let of_claims_controllers = after[0][0] - before[0][0];
    ensure!(of_claims_controllers == 0, "no ConfigMap was read: {of_claims_controllers}");
    ensure!(after[0][1] - before[0][1] <= 4, "ConfigMaps were listed {} times", after[0][1] - before[0][1]);
    println!("points: a point of 10,000 resources without volumes took {took:.1?}, process and all");

    scene.claims("shop", 100).await?;
    let began = Instant::now();
    let made = scene.point(&["create", "volumes", "-n", "shop", "-o", "json"]).await?;
    let took = began.elapsed();
    let point = made.is(0, &[])?.json()?;
    ensure!(point["volumes"].as_array().is_some_and(|all| all.len() == 100), "a hundred volumes");
    // When each was asked for, the journal says; when the driver came to it depends on the sidecars and the machine.
    scene.running.close().await?;
    let log = ["log", "volumesnapshots", "-n", "shop", "--all", "--limit", "1000", "-o", "json"];
    let log = ask(&scene.hindcast, &log).await?;
    let mut asked: Vec<jiff::Timestamp> = Vec::new();
    for line in log.is(0, &[])?.out.lines() {
        let change: Value = serde_json::from_str(line)?;
        if change["op"] == "add" {
            asked.push(change["time"].as_str().context("a change has a time")?.parse()?);
        }
    }
    ensure!(asked.len() == 100, "{} snapshots were asked for: {log}", asked.len());
    let spread = asked
        .iter()
        .max()
        .zip(asked.iter().min())
        .map_or(0, |(last, first)| last.as_millisecond() - first.as_millisecond());
    let calls = scene.csi.calls().await?;
    let taken: Vec<i64> = calls.iter().filter(|call| call.method == "CreateSnapshot").map(|call| call.began).collect();
    let driver = taken.iter().max().zip(taken.iter().min()).map_or(0, |(last, first)| last - first) / 1000;
    println!(
        "points: 100 volumes: asked for within {spread} ms, by the driver within {driver} ms, the point {took:.1?}"
    );
    ensure!(taken.len() >= 100, "{} snapshots", taken.len());
    ensure!(spread <= 2000, "the snapshots were asked for within {spread} ms");
    scene.point(&["delete", "volumes", "--yes"]).await?.is(0, &[])?;
    ensure!(scene.snapshots().await? == 0, "its snapshots go with it");
    scene.running.stop().await
}
