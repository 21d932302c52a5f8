//! Each quirk that is known of an S3-compatible store: it works all the same, or what is said names the quirk and the remedy.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use hindcast_journal::{Journal, Parts, Writer, layout::Layout, store::Store, writer::Identity};
use hindcast_tests::{
    real::{Minio, process::Workdir},
    stores::{Opened, Quirk, QuirkyS3, World, suite},
};

use super::{SOON, has, status};

/// What a writer is told that claims a journal, with the hint.
async fn claimed((inner, prefix): &Opened) -> Result<(), String> {
    let journal = Journal::open(inner.clone(), prefix, suite::CLUSTER, Parts::system());
    let probed = async {
        journal.store().probe().await?;
        let identity = Identity { writer: "w".to_owned(), instance: "w".to_owned() };
        Writer::claim(&journal, identity, None).await
    };
    match tokio::time::timeout(SOON, probed).await {
        Err(_) => Err("no answer".to_owned()),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{error}\nhint: {}", error.hint().unwrap_or_default())),
    }
}

async fn refused(world: &World) -> Result<String> {
    claimed(&world.open()?).await.err().context("the store was taken")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_quirk_of_an_s3_compatible_store_works_or_is_named_with_its_remedy() -> Result<()> {
    let minio = Minio::start().await?;
    let front = async |prefix: &str, quirk: Quirk| QuirkyS3::start(&minio, prefix, quirk).await;
    let home = Workdir::new()?;

    let quirky = front("overwrites", Quirk::IgnoresConditions).await?;
    has(&refused(quirky.world()).await?, &["be created twice", "hint: ", "If-None-Match"]).context("no conditions")?;

    let quirky = front("conflicts", Quirk::ConflictForPrecondition).await?;
    suite::one_of_many_creates_wins(&quirky.world().open()?).await.context("409 for 412")?;

    let quirky = front("slow", Quirk::SlowLists(Duration::from_millis(500))).await?;
    suite::the_newest_writer_wins(&quirky.world().open()?).await.context("slow lists")?;
    status(quirky.world(), &home).await?.is(0, &[suite::CLUSTER]).context("slow lists")?;

    let quirky = front("tells-back", Quirk::TellsBack).await?;
    let said = status(&quirky.world().with("AWS_SESSION_TOKEN", "planted"), &home).await?;
    said.is(2, &["the credentials have expired", "R1"]).context("tells back")?;
    ensure!(!said.text.contains("planted") && !said.text.contains("authorization"), "{}", said.text);

    let quirky = front("busy", Quirk::Busy(12)).await?;
    suite::the_newest_writer_wins(&quirky.world().open()?).await.context("asks for fewer requests")?;
    ensure!(quirky.asked() > 12);

    regions(&minio, &home).await.context("regions")?;
    addresses(&minio).await.context("path style and host style")?;

    let quirky = front("payers", Quirk::RequesterPays).await?;
    has(&refused(quirky.world()).await?, &["refused permission", "requesterPays=true"]).context("nobody pays")?;
    let payer = quirky.world().asking("requesterPays=true");
    suite::the_newest_writer_wins(&payer.open()?).await.context("the requester pays")?;
    let payer = quirky.world().with("AWS_REQUEST_PAYER", "requester");
    suite::the_newest_fact_is_found(&payer.open()?).await.context("by the environment")?;

    let quirky = front("sums", Quirk::WantsChecksums).await?;
    has(&refused(quirky.world()).await?, &["wants a checksum", "checksumAlgorithm=SHA256"]).context("no checksum")?;
    let summed = quirky.world().asking("checksumAlgorithm=SHA256");
    suite::what_is_written_is_read(&summed.open()?).await.context("with a checksum")?;

    let quirky = front("removes", Quirk::NoBulkDelete).await?;
    suite::what_is_removed_is_gone(&quirky.world().open()?).await.context("no bulk delete")?;

    let quirky = front("tags", Quirk::NoTags).await?;
    let tagged = quirky.world().asking("tagging=team=shop,env=prod");
    has(&refused(&tagged).await?, &["knows no tags", "leave `tagging` out"]).context("no tags")?;
    suite::the_newest_writer_wins(&quirky.world().open()?).await.context("without tags")?;

    clock(&minio, &home).await.context("clocks")
}

async fn regions(minio: &Minio, home: &Workdir) -> Result<()> {
    let quirky = QuirkyS3::start(minio, "regions", Quirk::InRegion("eu-west-1")).await?;
    let said = refused(quirky.world()).await?;
    has(&said, &["is in another region", "the region is eu-west-1", "region=eu-west-1"])?;
    has(&status(quirky.world(), home).await?.text, &["is in another region", "AWS_REGION=eu-west-1"])?;
    suite::the_newest_writer_wins(&quirky.world().asking("region=eu-west-1").open()?).await?;
    suite::the_newest_fact_is_found(&quirky.world().with("AWS_REGION", "eu-west-1").open()?).await?;

    let quirky = QuirkyS3::start(minio, "there", Quirk::SendsElsewhere(Some("ap-south-1"))).await?;
    has(&refused(quirky.world()).await?, &["is in another region", "the region is ap-south-1"])?;
    has(&status(quirky.world(), home).await?.text, &["is in another region", "region=ap-south-1"])?;

    let quirky = QuirkyS3::start(minio, "elsewhere", Quirk::SendsElsewhere(None)).await?;
    has(&refused(quirky.world()).await?, &["is in another region, or at another endpoint", "get-bucket-location"])
}

/// No name of this machine resolves to a bucket's host, so the fronts are reached as a proxy for plain http.
async fn addresses(minio: &Minio) -> Result<()> {
    let through = async |prefix: &str, quirk: Quirk| {
        let quirky = QuirkyS3::start(minio, prefix, quirk).await?;
        let world = quirky.world().with("AWS_ENDPOINT", "http://store.test").with("AWS_PROXY_URL", &quirky.url());
        anyhow::Ok((quirky, world))
    };
    let (_front, world) = through("hosts", Quirk::HostStyle("store.test")).await?;
    has(&refused(&world).await?, &["wants the bucket in the host's name", "s3ForcePathStyle=false"])?;
    suite::the_newest_writer_wins(&world.asking("s3ForcePathStyle=false").open()?).await.context("by the URL")?;
    let by_env = world.with("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true");
    suite::any_name_comes_back(&by_env.open()?).await.context("by the environment")?;
    // The bucket may stand in the endpoint already.
    let named = by_env.with("AWS_ENDPOINT", &format!("http://{}.store.test", minio.bucket()));
    suite::the_newest_fact_is_found(&named.open()?).await.context("with the bucket in the endpoint")?;

    let (_front, world) = through("paths", Quirk::PathStyle).await?;
    let said = refused(&world.asking("s3ForcePathStyle=false")).await?;
    has(&said, &["there is no such bucket", "s3ForcePathStyle=true"])?;
    suite::the_newest_writer_wins(&world.asking("s3ForcePathStyle=true").open()?).await?;

    let number = World::new(minio.url("numbers"), minio.env()).asking("s3ForcePathStyle=false");
    has(&number.refused()?, &["is an address, which no bucket's name can stand before", "s3ForcePathStyle=true"])
}

async fn clock(minio: &Minio, home: &Workdir) -> Result<()> {
    let quirky = QuirkyS3::start(minio, "clock", Quirk::ClockAhead(10)).await?;
    suite::written(&quirky.world().open()?).await.context("within a quarter of an hour")?;
    status(quirky.world(), home).await?.is(0, &[suite::CLUSTER])?;
    for minutes in [40, -40] {
        let quirky = QuirkyS3::start(minio, "clock", Quirk::ClockAhead(minutes)).await?;
        has(&refused(quirky.world()).await?, &["clock and the store's are too far apart", "hint: set the clock"])?;
        let said = status(quirky.world(), home).await?;
        said.is(2, &["clock and the store's are too far apart", "hint: set the clock"])?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_go_with_each_object() -> Result<()> {
    let minio = Minio::start().await?;
    let (inner, prefix) = World::new(minio.url("tagged"), minio.env()).asking("tagging=team=shop,env=a/b").open()?;
    let store = Store::new(inner, Layout::new(&prefix, "t"), Parts::system());
    let path = store.layout().segment(1);
    store.create(&path, Bytes::from_static(b"1")).await?;
    has(&minio.kept(&path)?, &["team=shop", "env=a%2Fb"])
}
