//! The files of volumes in the bucket of MinIO: moved by the real binary, killed on the way, read by the real `restic`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use futures::TryStreamExt as _;
use hindcast_journal::{Parts, layout::Layout, store::Store};
use hindcast_tests::{
    oracle::subject::{Hindcast, Place},
    real::{Fault, HttpProxy, Minio, Program, process::Workdir},
    sim::rng::Rng,
    trees::{Picture, plant},
};
use object_store::ObjectStore as _;
use serde_json::Value;

use crate::scene::{BINARY, ask};

const CLUSTER: &str = "0a000000-0000-4000-8000-00000000f11e";
/// What a copy of this tree may take.
const LONG: Duration = Duration::from_mins(2);
const BIG: u64 = 70 << 20;

/// A tree with a file of several packs.
fn tree(folder: &Path) -> Result<Picture> {
    fs::create_dir(folder)?;
    plant(folder, 11, 80)?;
    let mut rng = Rng::new(12);
    let big: Vec<u8> = (0..BIG / 8).flat_map(|_| rng.number().to_le_bytes()).collect();
    fs::write(folder.join("big"), big)?;
    Picture::of(folder)
}

/// The packs in the bucket, with their sizes.
async fn packs(minio: &Minio) -> Result<Vec<(String, u64)>> {
    let folder = format!("files/{CLUSTER}/files/data").into();
    let listed: Vec<_> = minio.store().list(Some(&folder)).try_collect().await?;
    let mut packs: Vec<_> = listed.into_iter().map(|found| (found.location.to_string(), found.size)).collect();
    packs.sort();
    Ok(packs)
}

/// The last line of JSON.
fn outcome(said: &str) -> Result<Value> {
    Ok(serde_json::from_str(said.lines().last().context("it says what came of it")?)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_mover_sends_nothing_twice_and_restic_reads_what_it_kept() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let minio = Minio::start().await?;
    let proxy = HttpProxy::start(minio.port()).await?;
    let dir = Workdir::new()?;
    let place = Place::minio(&minio, "files", proxy.port());
    let hindcast = Hindcast::new(BINARY, dir.path(), place, PathBuf::new())?;
    let layout = Layout::new(&"files".into(), CLUSTER);
    Store::new(Arc::new(minio.store()), layout, Parts::system()).probe().await?;
    let source = dir.path().join("source");
    let picture = tree(&source)?;

    let from = source.display().to_string();
    let args = ["mover", "backup", &from, "--point", "p1", "--volume", "0", "--claim", "shop/data", "-o", "json"];
    // Killed where it costs most: every pack is there, and no index knows of one.
    let index = proxy.inject("PUT", "/files/index/", 1, Fault::HangBefore);
    let mut child = hindcast.command(&args, false).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    index.wait(1, LONG).await?;
    child.kill().await?;
    index.withdraw();
    let before = packs(&minio).await?;
    let size: u64 = before.iter().map(|(_, size)| size).sum();
    ensure!(before.len() >= 5 && size > BIG, "{before:?}");
    let said = ask(&hindcast, &args).await?;
    let kept = outcome(&said.is(0, &[])?.out)?;
    ensure!(packs(&minio).await? == before, "packs were sent again");
    ensure!(kept["added"].as_u64().is_some_and(|added| added < 1 << 20), "{kept}");
    let id = kept["id"].as_str().context("it has an id")?;

    // Once more is the same one.
    let again = outcome(&ask(&hindcast, &args).await?.is(0, &[])?.out)?;
    ensure!(again["id"] == id, "{again}");

    let target = dir.path().join("target");
    let said = ask(&hindcast, &["mover", "restore", id, &target.display().to_string(), "-o", "json"]).await?;
    let restored = outcome(&said.is(0, &[])?.out)?;
    ensure!(restored["differs"].as_array().is_some_and(Vec::is_empty), "{restored}");
    let differences = picture.differences(&Picture::of(&target)?);
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    restic(&hindcast, &minio, id, &picture).await
}

/// `restic` itself checks every byte, and puts the same tree back.
async fn restic(hindcast: &Hindcast, minio: &Minio, id: &str, picture: &Picture) -> Result<()> {
    let program = tokio::task::spawn_blocking(|| Program::Restic.ensure()).await??;
    let password = ask(hindcast, &["mover", "password"]).await?.is(0, &[])?.out.trim().to_owned();
    let dir = Workdir::new()?;
    let run = async |args: &[&str]| -> Result<String> {
        let mut restic = tokio::process::Command::new(&program);
        let url = format!("s3:http://127.0.0.1:{}/{}/files/{CLUSTER}/files", minio.port(), minio.bucket());
        restic.args(["--no-cache", "--no-lock", "--repo", &url]).args(args).envs(minio.env());
        restic.env("RESTIC_PASSWORD", &password).env("HOME", dir.path()).kill_on_drop(true);
        let out = restic.stdin(Stdio::null()).output().await?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        ensure!(
            out.status.success(),
            "restic {args:?}: {}\n{said}{}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(said)
    };
    run(&["check", "--read-data"]).await?;
    let listed: Value = serde_json::from_str(&run(&["snapshots", "--json"]).await?)?;
    ensure!(listed[0]["id"] == id && listed.as_array().is_some_and(|list| list.len() == 1), "{listed}");
    let tags = listed[0]["tags"].as_array().context("it has tags")?;
    ensure!(tags.iter().any(|tag| tag == "point:p1") && listed[0]["hostname"] == CLUSTER, "{listed}");
    let target = dir.path().join("target");
    run(&["restore", id, "--target", &target.display().to_string()]).await?;
    let mut differences = picture.differences(&Picture::of(&target)?);
    // The root is no entry of the format.
    differences.retain(|difference| !difference.starts_with("\".\""));
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}
