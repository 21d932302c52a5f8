//! One kind that its server cannot give any more: it is let go, the rest goes on closing, and it is taken up again.

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    oracle::subject::Hindcast,
    real::{Cluster, process::Workdir},
};
use serde_json::{Value, json};

use crate::scene::{SOON, ask, create, create_when_served, crd, kinds, moment, on_folder, send, until};

const GROUP: &str = "stuck.example.com";
const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/parts.stuck.example.com";

/// A definition that is stored in one version and served in another.
fn definition() -> Value {
    let mut crd = crd(GROUP, "parts", "Part");
    let version = crd["spec"]["versions"][0].clone();
    let named = |name: &str, served: bool, storage: bool| {
        let mut version = version.clone();
        (version["name"], version["served"], version["storage"]) = (name.into(), served.into(), storage.into());
        version
    };
    crd["spec"]["versions"] = json!([named("v1", false, true), named("v2", true, false)]);
    crd
}

/// How `status` tells of the parts.
async fn parts(hindcast: &Hindcast) -> Result<Value> {
    let name = format!("parts.{GROUP}");
    let kinds = kinds(hindcast).await?;
    kinds.into_iter().find(|kind| kind["name"] == *name).context("status tells of the parts")
}

/// A conversion webhook that nobody answers makes every list and watch of its kind fail, while the server is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_whose_conversion_fails_is_let_go_and_all_others_close() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let client = cluster.client();
    create(&client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition()).await?;
    let path = format!("/apis/{GROUP}/v2/namespaces/default/parts");
    let part = json!({
        "apiVersion": format!("{GROUP}/v2"), "kind": "Part", "metadata": {"name": "one"}, "spec": {"size": 1},
    });
    create_when_served(&client, &path, &part).await?;
    let dir = Workdir::new()?;
    let hindcast = on_folder(&dir, "journal", cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    let before = moment(&running).await?;
    ask(&hindcast, &["get", "parts", "-n", "default", "--at", &before]).await?.is(0, &["one"])?;

    let convert = |conversion: Value| json!({"spec": {"conversion": conversion}});
    let nobody = json!({
        "strategy": "Webhook",
        "webhook": {
            "conversionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://127.0.0.1:1/convert", "caBundle": null},
        },
    });
    send(&client, "PATCH", CRD, Some(convert(nobody))).await?;
    let config = json!({"metadata": {"name": "later"}, "data": {"k": "v"}});
    create(&client, "/api/v1/namespaces/default/configmaps", config).await?;
    let took = until("the parts are let go", SOON, async || {
        Ok(parts(&hindcast).await?["protected"] == json!(false))
    })
    .await?;
    println!("let go after {took:?}");
    let reason = parts(&hindcast).await?["reason"].as_str().unwrap_or_default().to_owned();
    ensure!(reason.contains("cannot be followed") && reason.contains("conversion webhook"), "why: {reason}");
    let (_, metrics) = running.http("GET", "/metrics").await?;
    let covered = format!("hindcast_covered{{kind=\"{GROUP}/parts\"}} 0");
    ensure!(metrics.contains(&covered), "no {covered} in the metrics");
    let (status, ready) = running.http("GET", "/readyz").await?;
    ensure!(status == 200, "the rest is protected: {status} {ready}");

    // Everybody else is closed at a moment in which the parts cannot be read, and that is said where they are asked for.
    let during = moment(&running).await?;
    let here = ["-n", "default", "--at", &during];
    ask(&hindcast, &[&["get", "cm"][..], &here].concat()).await?.is(0, &["later", "(closed)"])?;
    ask(&hindcast, &[&["get", "parts"][..], &here].concat())
        .await?
        .is(2, &["not protected at ", "cannot be followed", "conversion webhook"])?;
    ask(&hindcast, &[&["get", "cm,parts"][..], &here].concat())
        .await?
        .is(3, &["later", "cannot be followed"])?;

    send(&client, "PATCH", CRD, Some(convert(json!({"strategy": "None", "webhook": null})))).await?;
    until("the parts are protected again", SOON, async || {
        Ok(parts(&hindcast).await?["protected"] == json!(true))
    })
    .await?;
    let patch = json!({"spec": {"size": 2}});
    send(&client, "PATCH", &format!("{path}/one"), Some(patch)).await?;
    // What was written is received first: until then it may be after any moment of now.
    running.close().await?;
    let after = moment(&running).await?;
    for (at, size) in [(&after, "size: 2"), (&during, "size: 1")] {
        // What it missed was recovered from the server's history: the time in between reads as if it had been followed.
        ask(&hindcast, &["show", "parts/one", "-n", "default", "--at", at]).await?.is(0, &[size, "(closed)"])?;
    }
    running.stop().await
}
