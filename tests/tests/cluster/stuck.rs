//! One kind that its server can no longer deliver: it is let go, the others go on closing, and it is protected again
//! later.

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    manifests::{DEFAULT_CONFIG_MAPS, config_map},
    oracle::subject::Hindcast,
    real::{Cluster, process::Workdir},
    soak::Conversion,
};
use serde_json::{Value, json};

use crate::scene::{SOON, ask, create, kinds, moment, on_folder, until};

/// How `status` tells of the parts.
async fn parts(hindcast: &Hindcast) -> Result<Value> {
    let name = format!("parts.{}", Conversion::KIND.group);
    let kinds = kinds(hindcast).await?;
    kinds.into_iter().find(|kind| kind["name"] == *name).context("status tells of the parts")
}

/// A conversion webhook that nobody answers makes every list and watch of its kind fail, while the server is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_whose_conversion_fails_is_let_go_and_all_others_close() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let client = cluster.client();
    let conversion = Conversion::start(&cluster).await?;
    let dir = Workdir::new()?;
    let hindcast = on_folder(&dir, "journal", cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    let before = moment(&running).await?;
    ask(&hindcast, &["get", "parts", "-n", "default", "--at", &before]).await?.is(0, &["one"])?;

    conversion.nobody_answers().await?;
    create(&client, DEFAULT_CONFIG_MAPS, config_map("later", json!({"k": "v"}))).await?;
    let took =
        until("the parts are let go", SOON, async || Ok(parts(&hindcast).await?["protected"] == json!(false))).await?;
    println!("let go after {took:?}");
    let reason = parts(&hindcast).await?["reason"].as_str().unwrap_or_default().to_owned();
    ensure!(reason.contains("cannot be followed") && reason.contains("conversion webhook"), "why: {reason}");
    let covered = format!("hindcast_covered{{kind=\"{}\"}}", Conversion::KIND.key());
    ensure!(running.metric(&covered).await? == Some(0.0), "no {covered} 0 in the metrics");
    let (status, ready) = running.http("GET", "/readyz").await?;
    ensure!(status == 200, "the rest is protected: {status} {ready}");

    // Everybody else is closed at a moment in which the parts cannot be read, and that is said where they are asked
    // for.
    let during = moment(&running).await?;
    let here = ["-n", "default", "--at", &during];
    ask(&hindcast, &[&["get", "cm"][..], &here].concat()).await?.is(0, &["later", "(closed)"])?;
    ask(&hindcast, &[&["get", "parts"][..], &here].concat())
        .await?
        .is(2, &["not protected at ", "cannot be followed", "conversion webhook"])?;
    ask(&hindcast, &[&["get", "cm,parts"][..], &here].concat()).await?.is(3, &["later", "cannot be followed"])?;

    conversion.answered().await?;
    until("the parts are protected again", SOON, async || Ok(parts(&hindcast).await?["protected"] == json!(true)))
        .await?;
    conversion.size(2).await?;
    // What was written is received first: until then it may be after any moment of now.
    running.close().await?;
    let after = moment(&running).await?;
    for (at, size) in [(&after, "size: 2"), (&during, "size: 1")] {
        // What it missed was recovered from the server's history: the time in between reads as if it had been followed.
        ask(&hindcast, &["show", "parts/one", "-n", "default", "--at", at]).await?.is(0, &[size, "(closed)"])?;
    }
    running.stop().await
}
