//! A quiet cluster, and a reader that has the bucket alone: it knocks, and is answered.
//!
//! A real API server and MinIO, with a proxy before it that counts, and refuses what a policy would.

use anyhow::{Context as _, Result, ensure};
use futures::TryStreamExt as _;
use hindcast_tests::{
    manifests::{DEFAULT_CONFIG_MAPS, empty_config_map},
    oracle::subject::{Hindcast, Place},
    real::{Cluster, Fault, HttpProxy, Minio, process::Workdir},
};

use object_store::{ObjectStore as _, ObjectStoreExt as _};

use crate::scene::{BINARY, ask, create};

/// Now, as `--at` takes it.
fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_with_the_bucket_alone_is_answered_by_a_knock_and_a_cache_changes_no_answer() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let minio = Minio::start().await?;
    let proxy = HttpProxy::start(minio.port()).await?;
    let dir = Workdir::new()?;
    quiet(&cluster, &minio, &proxy, &dir).await.context("quiet")?;
    with_a_cache(&cluster, &minio, &dir).await.context("with a cache")
}

/// A reader that knocks, may not, or is not answered.
async fn quiet(cluster: &Cluster, minio: &Minio, proxy: &HttpProxy, dir: &Workdir) -> Result<()> {
    let hindcast = Hindcast::new(BINARY, dir.path(), Place::minio(minio, "quiet", proxy.port()), cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    create(&cluster.client(), DEFAULT_CONFIG_MAPS, empty_config_map("written")).await?;
    running.close().await?;

    // What is of now is answered within the time that a reader waits unasked, and with a knock that is gone then.
    let (puts, deletes) = (proxy.requests("PUT"), proxy.requests("DELETE"));
    create(&cluster.client(), DEFAULT_CONFIG_MAPS, empty_config_map("just-now")).await?;
    ask(&hindcast, &["get", "cm", "--at", &now()]).await?.is(0, &["written", "just-now"])?;
    let puts = proxy.requests("PUT") - puts;
    ensure!((2..=4).contains(&puts), "the change, the knock, its answer and perhaps a frontier, not {puts} writes");

    // Where nothing may be removed, the next is answered too.
    let kept = proxy.inject("DELETE", "/meta/knock/", u64::MAX, Fault::Refused(403, "AccessDenied"));
    ask(&hindcast, &["get", "cm", "--at", &now()]).await?.is(0, &["just-now"])?;
    ensure!(proxy.requests("DELETE") > deletes, "what was answered is removed, or that is tried");
    kept.withdraw();

    // Who may not knock is told what would help, and so is who is not answered.
    let rule = proxy.inject("PUT", "/meta/knock/", u64::MAX, Fault::Refused(403, "AccessDenied"));
    let said = ask(&hindcast, &["get", "cm", "--wait", "4s", "--at", &now()]).await?;
    said.is(2, &["later than the journal knows", "meta/knock/*", "--run-address", "--allow-stale"])?;
    ensure!(rule.struck() == 1, "it asks once: {rule:?}");
    rule.withdraw();
    running.stop().await?;
    let said = ask(&hindcast, &["get", "cm", "--wait", "4s", "--at", &now()]).await?;
    said.is(2, &["later than the journal knows", "was asked for more and has not answered"])?;
    let said = ask(&hindcast, &["verify"]).await?;
    ensure!(said.to_string().contains("nothing is missing, late, foreign or altered"), "{said}");
    Ok(())
}

/// Readers with a cache: they say the same, also of another bucket under the same names.
async fn with_a_cache(cluster: &Cluster, minio: &Minio, dir: &Workdir) -> Result<()> {
    let hindcast =
        Hindcast::new(BINARY, dir.path(), Place::minio(minio, "cached", minio.port()), cluster.kubeconfig())?;
    let folder = dir.path().join("cache");
    let cache = folder.display().to_string();
    for life in ["first", "second"] {
        let running = hindcast.run(&[]).await?;
        create(&cluster.client(), DEFAULT_CONFIG_MAPS, empty_config_map(life)).await?;
        running.close().await?;
        running.stop().await?;
        let question = ["log", "cm", "-A", "--all", "-o", "json"];
        let plain = ask(&hindcast, &question).await?;
        for _ in 0..2 {
            let cached = ask(&hindcast, &[&question[..], &["--cache", cache.as_str()]].concat()).await?;
            ensure!(cached.is(0, &[life])?.out == plain.out, "{cached}\n--- without a cache\n{plain}");
        }
        ensure!(folder.join("hindcast-entries").read_dir()?.count() > 0, "there is something in it");
        let store = minio.store();
        let names: Vec<_> = store.list(None).map_ok(|meta| meta.location).try_collect().await?;
        for name in names.iter().filter(|name| name.as_ref().contains("cached")) {
            store.delete(name).await?;
        }
    }
    Ok(())
}
