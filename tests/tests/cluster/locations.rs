//! Disks of a cloud, taken by its own API because a command says where: a point has them, and they go with it.

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    clouds::Ec2,
    real::{Cluster, process::Workdir},
};
use serde_json::json;

use crate::scene::{ask_with_cluster, namespace, on_folder, volume_by_hand};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disks_of_a_cloud_are_taken_where_a_command_says() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::builder().controller_manager().start().await?;
    let amazon = Ec2::start().await?;
    let disk = amazon.volume(1, "eu-west-1a").await?;
    let client = cluster.client();
    namespace(&client, "shop").await?;
    let csi = json!({"driver": "ebs.csi.aws.com", "volumeHandle": disk});
    volume_by_hand(&client, "data", "1Gi", &json!({"csi": csi, "persistentVolumeReclaimPolicy": "Retain"})).await?;
    let dir = Workdir::new()?;
    let mut hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
    for (name, value) in [("AWS_ACCESS_KEY_ID", "AKIATESTBED"), ("AWS_SECRET_ACCESS_KEY", "a secret of the testbed")] {
        hindcast.place.env.push((name.to_owned(), value.to_owned()));
    }
    let location = format!("aws:region=eu-west-1,endpoint={}", amazon.url());
    let running = hindcast.run(&["--volume-location", &location]).await?;
    let point = async |args: &[&str]| {
        let with = ["--run-address", &running.address, "--volume-location", &location];
        ask_with_cluster(&hindcast, &[&["point"], args, &with].concat()).await
    };

    let made = point(&["create", "p", "-n", "shop", "-o", "json"]).await?;
    let made = made.is(0, &[])?.json()?;
    ensure!(made["state"] == "complete", "{made}");
    let snapshot = made["volumes"][0]["snapshot"].as_str().context("it has a snapshot")?.to_owned();
    ensure!(amazon.has(&snapshot).await?, "the cloud has it");
    point(&["gc", "--plan"]).await?.is(0, &["nothing was left behind"])?;
    // Whoever does not say where cannot take it away, and says so.
    let without =
        ask_with_cluster(&hindcast, &["point", "delete", "p", "--yes", "--run-address", &running.address]).await?;
    without.is(2, &["volume driver aws", "is not there in this process"])?;
    ensure!(amazon.has(&snapshot).await?, "it is still there");
    point(&["delete", "p", "--yes"]).await?.is(0, &["deleted p"])?;
    ensure!(!amazon.has(&snapshot).await?, "it went with its point");
    let wrong = [
        "point",
        "create",
        "q",
        "-n",
        "shop",
        "--volume-location",
        "oracle:region=x",
        "--run-address",
        &running.address,
    ];
    ask_with_cluster(&hindcast, &wrong).await?.is(2, &["there is no driver", "aws, azure, gcp"])?;
    running.stop().await
}
