//! Values that are forgotten while everything runs: nobody reads them any more, and what stands is sealed anew.

use std::time::Duration;

use anyhow::{Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use hindcast_tests::{
    manifests,
    oracle::subject::Hindcast,
    real::{Cluster, process::Workdir},
};
use serde_json::json;

use crate::scene::{Said, ask, ask_with_cluster, create, moment, namespace, on_folder, until};

/// A look of `run` at what was told, and reading again.
const ANEW: Duration = Duration::from_mins(3);

async fn shown(hindcast: &Hindcast, place: &str, at: &str) -> Result<Said> {
    let args = ["show", "secret/db", "-n", place, "--at", at, "--show-secrets", "-o", "json"];
    ask(hindcast, &args).await
}

fn has(said: &Said, value: &str) -> bool {
    said.code == 0 && said.out.contains(&BASE64_STANDARD.encode(value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forgotten_nobody_reads_and_what_stands_is_sealed_anew() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let client = cluster.client();
    let dir = Workdir::new()?;
    for place in ["shop", "bank"] {
        namespace(&client, place).await?;
        let secret = manifests::secret("db", json!({"password": format!("of {place}")}));
        create(&client, &format!("/api/v1/namespaces/{place}/secrets"), secret).await?;
    }
    let hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    running.close().await?;
    let then = moment(&running).await?;
    ensure!(has(&shown(&hindcast, "shop", &then).await?, "of shop"));

    let plan = ask(&hindcast, &["forget", "-n", "shop", "--plan"]).await?;
    plan.is(1, &["sealed values of namespace shop", "secrets shop/db"])?;
    ensure!(has(&shown(&hindcast, "shop", &then).await?, "of shop"), "a plan changes nothing");
    let done = ask(&hindcast, &["forget", "-n", "shop", "--yes", "--reason", "leaked"]).await?;
    done.is(0, &["forgotten: namespace shop, 1 data key destroyed; statement 1"])?;

    shown(&hindcast, "shop", &then).await?.is(2, &["was forgotten on "])?;
    ensure!(has(&shown(&hindcast, "bank", &then).await?, "of bank"), "all else reads as before");
    // What stands is what stood then, so the value is not needed to say that nothing is to be done.
    let plan = ask_with_cluster(&hindcast, &["plan", "-n", "shop", "--at", &then]).await?;
    plan.is(0, &["nothing to do"])?;

    // Without any change of it in the cluster, the value that stands is in the journal again.
    until("what stands is sealed anew", ANEW, async || {
        running.close().await?;
        Ok(has(&shown(&hindcast, "shop", "now").await?, "of shop"))
    })
    .await?;
    shown(&hindcast, "shop", &then).await?.is(2, &["was forgotten on "])?;
    running.stop().await?;
    let said = ask(&hindcast, &["verify", "-o", "json"]).await?.json()?;
    ensure!(said["findings"] == json!([]), "{said:#}");

    // A start finds by itself what it lacks: here everything is forgotten while nothing runs.
    ask(&hindcast, &["forget", "-n", "shop", "--yes"]).await?.is(0, &["statement 2"])?;
    let again = hindcast.run(&[]).await?;
    until("a start seals it anew", ANEW, async || {
        again.close().await?;
        Ok(has(&shown(&hindcast, "shop", "now").await?, "of shop"))
    })
    .await?;
    again.stop().await?;
    Ok(())
}
