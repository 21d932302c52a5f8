//! Volumes that belong together: one snapshot of all of them, by the real controllers, and what becomes of it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{http::find, real::CallFault, until::ends};
use serde_json::{Value, json};

use super::{CONTENTS, Scene, items};
use crate::scene::{SOON, ask_with_cluster, namespace_goes, send, until};

const GROUPS: &str = "/apis/groupsnapshot.storage.k8s.io/v1/volumegroupsnapshots";
const GROUP_CONTENTS: &str = "/apis/groupsnapshot.storage.k8s.io/v1/volumegroupsnapshotcontents";

impl Scene {
    /// A namespace with three claims, of which two belong together. Each volume has a file that says whose it is.
    async fn grouped() -> Result<Self> {
        let scene = Self::new().await?;
        scene.namespace("shop").await?;
        scene.claims("shop", 3).await?;
        for n in 0..3 {
            let handle = scene.csi.bound("shop", &format!("data-{n}")).await?;
            std::fs::write(scene.csi.content(&handle).join("whose"), format!("data-{n}"))?;
        }
        for n in 0..2 {
            scene.label(n, json!({"velero.io/volume-group": "db", "app": format!("db-{n}")})).await?;
        }
        scene.running.close().await?;
        Ok(scene)
    }

    async fn label(&self, n: usize, labels: Value) -> Result<()> {
        let path = format!("/api/v1/namespaces/shop/persistentvolumeclaims/data-{n}");
        send(&self.cluster.client(), "PATCH", &path, Some(json!({"metadata": {"labels": labels}}))).await.map(|_| ())
    }

    /// How often the driver has done this.
    async fn done(&self, method: &str) -> Result<usize> {
        let calls = self.csi.calls().await?;
        let names = calls.iter().filter(|call| call.method == method && call.code == "OK").map(|call| &call.name);
        Ok(names.collect::<std::collections::BTreeSet<_>>().len())
    }

    /// Waits until nothing of a point stands in the user's namespace.
    async fn namespace_is_clean(&self) -> Result<()> {
        let client = self.cluster.client();
        until("the namespace is as it was", SOON, async || {
            let snapshots = items(&client, "/apis/snapshot.storage.k8s.io/v1/namespaces/shop/volumesnapshots").await?;
            Ok(snapshots.is_empty() && items(&client, GROUPS).await?.is_empty())
        })
        .await
        .map(|_| ())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volumes_that_belong_together_are_taken_at_one_instant() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::grouped().await?;
    let client = scene.cluster.client();
    let plan = scene.point(&["create", "g", "-n", "shop", "--plan", "-o", "json"]).await?;
    let groups = |point: &Value| {
        let all = point["volumes"].as_array().into_iter().flatten();
        all.map(|one| (one["claim"].clone(), one["group"].clone(), one["by"].clone())).collect::<Vec<_>>()
    };
    let of = |claim: &str, group: Value| (json!(claim), group, json!("csi"));
    let wanted = vec![of("data-0", json!("db")), of("data-1", json!("db")), of("data-2", Value::Null)];
    ensure!(groups(&plan.is(0, &[])?.json()?) == wanted, "{plan}");

    let made = scene.point(&["create", "g", "-n", "shop", "-o", "json"]).await?;
    let made = made.is(0, &[])?.json()?;
    ensure!(made["state"] == "complete" && groups(&made) == wanted, "{made}");
    ensure!(made["warnings"] == json!([]), "{made}");
    ensure!(scene.done("CreateVolumeGroupSnapshot").await? == 1, "one snapshot of both");
    ensure!(scene.done("CreateSnapshot").await? == 1, "and one of the third");
    let times: Vec<&Value> = made["volumes"].as_array().into_iter().flatten().map(|one| &one["snapshotTime"]).collect();
    ensure!(times.len() == 3 && times[0] == times[1] && times[0].is_string(), "of one instant: {made}");
    scene.namespace_is_clean().await?;
    scene.point(&["show", "g"]).await?.is(0, &["csi, group db"])?;
    scene.point(&["gc", "--plan"]).await?.is(0, &["nothing was left behind"])?;

    // A namespace that goes takes none of it along, and all of it comes back.
    namespace_goes(&client, "shop", Duration::from_mins(1)).await?;
    ensure!(scene.done("DeleteVolumeGroupSnapshot").await? == 0 && scene.done("DeleteSnapshot").await? == 0);
    let address = scene.running.address.as_str();
    let restore = ["restore", "-n", "shop", "--at", "point:g", "--yes", "--no-check", "--run-address", address];
    ask_with_cluster(&scene.hindcast, &restore).await?.is(0, &[])?;
    for n in 0..3 {
        let claim = format!("data-{n}");
        let handle = scene.csi.bound("shop", &claim).await?;
        let whose = std::fs::read_to_string(scene.csi.content(&handle).join("whose"))?;
        ensure!(whose == claim, "{claim} is filled from the snapshot of {whose}");
    }
    scene.point(&["gc", "--plan"]).await?.is(0, &["nothing was left behind"])?;

    // Deleting needs the handles alone: the cluster has lost all that stood for the group.
    for folder in [GROUP_CONTENTS, CONTENTS] {
        for content in items(&client, folder).await? {
            let name = content["metadata"]["name"].as_str().context("it has a name")?.to_owned();
            let path = format!("{folder}/{name}");
            send(&client, "DELETE", &path, None).await?;
            until("the content is gone", SOON, async || Ok(find(&client, &path).await?.is_none())).await?;
        }
    }
    ensure!(scene.done("DeleteVolumeGroupSnapshot").await? == 0 && scene.done("DeleteSnapshot").await? == 0);
    scene.point(&["delete", "g", "--yes"]).await?.is(0, &["deleted g"])?;
    ensure!(scene.done("DeleteVolumeGroupSnapshot").await? == 1, "the group goes with the point");
    ensure!(scene.done("DeleteSnapshot").await? == 1, "and the third one by itself");
    for folder in [GROUP_CONTENTS, CONTENTS] {
        ensure!(items(&client, folder).await?.is_empty(), "nothing of it is left in {folder}");
    }

    // And with all that stands for it.
    scene.running.close().await?;
    scene.point(&["create", "h", "-n", "shop"]).await?.is(0, &["complete"])?;
    scene.point(&["delete", "h", "--yes"]).await?.is(0, &["deleted h"])?;
    ensure!(scene.done("DeleteVolumeGroupSnapshot").await? == 2);
    for folder in [GROUP_CONTENTS, CONTENTS] {
        ensure!(items(&client, folder).await?.is_empty(), "nothing of it is left in {folder}");
    }
    scene.running.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_whole_or_nothing_and_outlives_whoever_made_it() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let scene = Scene::grouped().await?;
    let client = scene.cluster.client();
    // Where one of them is not to be taken, the group's snapshot would take it all the same.
    let said = scene.point(&["create", "some", "-n", "shop", "-l", "app=db-0"]).await?;
    said.is(0, &["complete", "one by one, not at one instant", "claim data-1 is not of this point"])?;
    ensure!(scene.done("CreateVolumeGroupSnapshot").await? == 0 && scene.done("CreateSnapshot").await? == 1);

    // One that is refused fails both, by name, with what the driver says; the third is taken.
    let refused = CallFault::fails("CreateVolumeGroupSnapshot").code(3, "these volumes are of different pools");
    scene.csi.fault(refused).await?;
    let made = scene.point(&["create", "full", "-n", "shop", "--snapshot-timeout", "5s", "-o", "json"]).await?;
    scene.csi.clear_faults().await?;
    let made = made.is(1, &["different pools"])?.json()?;
    let whys: BTreeMap<String, bool> = made["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| (one["claim"].as_str().unwrap_or_default().to_owned(), one["snapshot"].is_string()))
        .collect();
    let wanted = [("data-0", false), ("data-1", false), ("data-2", true)];
    ensure!(whys == wanted.map(|(claim, there)| (claim.to_owned(), there)).into(), "{made}");
    scene.nothing_left(Duration::from_mins(2)).await?;
    scene.namespace_is_clean().await?;

    // A process that is killed while the driver works: the next one makes the point of the group, or deletes it.
    scene.csi.fault(CallFault::hangs("CreateVolumeGroupSnapshot")).await?;
    for name in ["kept", "dropped"] {
        let args = ["point", "create", name, "-n", "shop", "--run-address", &scene.running.address];
        let mut child = scene.hindcast.command(&args, true).spawn()?;
        let asked = async || {
            let calls = scene.csi.calls().await?;
            let hanging = calls.iter().filter(|call| call.method == "CreateVolumeGroupSnapshot" && call.ended == 0);
            Ok(hanging.map(|call| &call.name).collect::<std::collections::BTreeSet<_>>().len()
                > usize::from(name == "dropped"))
        };
        until("the driver is asked for the group", SOON, asked).await?;
        child.kill().await?;
    }
    scene.csi.clear_faults().await?;
    until("its hold has run out, and it is deleted", Duration::from_mins(4), async || {
        Ok(scene.point(&["delete", "dropped", "--yes"]).await?.code == 0)
    })
    .await?;
    let made = until("it is made of what is there", Duration::from_mins(4), async || {
        scene.point(&["gc"]).await?;
        Ok(scene.point(&["show", "kept", "-o", "json"]).await?.code == 0)
    });
    ends("the point is made", Duration::from_mins(5), made).await??;
    let made = scene.point(&["show", "kept", "-o", "json"]).await?.json()?;
    let groups = made["volumes"].as_array().into_iter().flatten().filter(|one| one["group"] == "db").count();
    ensure!(made["state"] == "complete" && groups == 2, "{made}");
    scene.nothing_left(Duration::from_mins(2)).await?;
    scene.namespace_is_clean().await?;
    for name in ["kept", "full", "some"] {
        scene.point(&["delete", name, "--yes"]).await?.is(0, &["deleted"])?;
    }
    for folder in [GROUP_CONTENTS, CONTENTS] {
        ensure!(items(&client, folder).await?.is_empty(), "nothing is left in {folder}");
    }
    scene.running.stop().await
}
