//! A Secret's value is nowhere but where it was asked for.
//!
//! **Invariants.** The scan that finds nothing in a sealed journal finds the value in one that holds it in clear, and
//! in the answer to `--show-secrets`: so it is not blind.

mod forgotten;
mod keys;
mod scan;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use hindcast_journal::{
    Parts,
    seal::{Key, KeyFile},
};
use hindcast_tests::{
    oracle::{
        self,
        subject::{Hindcast, Running},
    },
    real::{Cluster, process::Workdir},
};
use kube::Client;
use serde_json::json;

use self::scan::{FIRST, HELM, SECOND, Scan};
use crate::scene::{Said, ask, ask_with_cluster, create, on_folder, rv, send};

/// A Secret whose value also stands in the annotation of `kubectl apply`.
fn secret(name: &str, value: &str) -> serde_json::Value {
    let data = json!({"password": BASE64_STANDARD.encode(value), "other": "b3RoZXI="});
    let applied = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"password": value}, "data": data});
    json!({
        "metadata": {
            "name": name,
            "labels": {"planted": "yes"},
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": applied.to_string(),
                "kapp.k14s.io/original": applied.to_string(),
                "objectset.rio.cattle.io/applied": BASE64_STANDARD.encode(applied.to_string()),
                "banzaicloud.com/last-applied": applied.to_string(),
                "example.com/note": format!("the password is {value}, remember it"),
                "example.com/copy": BASE64_STANDARD.encode(json!({"note": value}).to_string()),
            },
        },
        "data": data,
    })
}

/// Values planted before and after the start, changed, deleted, and in the payloads of Helm.
async fn plant(client: &Client, prefix: &str) -> Result<()> {
    let core = "/api/v1/namespaces/default";
    let path = |name: &str| format!("{core}/secrets/{prefix}-{name}");
    create(client, &format!("{core}/secrets"), secret(&format!("{prefix}-new"), FIRST)).await?;
    let changed = secret("", SECOND);
    let change = json!({
        "metadata": {"annotations": changed["metadata"]["annotations"]},
        "data": {"password": changed["data"]["password"]},
    });
    for name in ["old", "new"] {
        send(client, "PATCH", &path(name), Some(json!({"metadata": {"labels": {"round": "two"}}}))).await?;
        send(client, "PATCH", &path(name), Some(change.clone())).await?;
        send(client, "PATCH", &path(name), Some(json!({"stringData": {"token": FIRST}}))).await?;
    }
    let helm = json!({
        "metadata": {"name": format!("{prefix}.v1"), "labels": {"owner": "helm", "name": "shop"}},
        "data": {"release": BASE64_STANDARD.encode(HELM)},
    });
    create(client, &format!("{core}/configmaps"), helm).await?;
    create(client, &format!("{core}/secrets"), secret(&format!("{prefix}-gone"), SECOND)).await?;
    send(client, "DELETE", &path("gone"), None).await?;
    Ok(())
}

/// Every way to ask, each with what it says on both streams.
async fn everything(hindcast: &Hindcast, prefix: &str, at: &str, cluster: bool) -> Result<Vec<Said>> {
    let (new, helm) = (format!("secret/{prefix}-new"), format!("cm/{prefix}.v1"));
    let mut questions: Vec<Vec<&str>> = vec![
        vec!["status"],
        vec!["status", "-v"],
        vec!["journal", "ls"],
        vec!["journal", "cat", "1-100000"],
        vec!["log", "-A", "--all"],
        vec!["log", "-A", "-l", "planted"],
        vec!["log", &new, "-n", "default", "--all"],
        vec!["get", "secrets,cm", "-A", "--at", at],
        vec!["get", "secrets", "-A", "-o", "wide", "--at", at],
        vec!["get", "secrets", "-A", "-o", "name", "--at", at],
        vec!["get", "secrets,cm", "-A"],
        vec!["show", &new, "-n", "default", "--at", at],
        vec!["show", &helm, "-n", "default", "--at", at],
        vec!["show", &new, "-n", "default"],
        vec!["show", "secret/none", "-n", "default", "-vv"],
    ];
    for format in ["json", "yaml"] {
        questions.extend([
            vec!["status", "-o", format],
            vec!["journal", "ls", "-o", format],
            vec!["journal", "cat", "1-100000", "-o", format],
            vec!["log", "-A", "--all", "-o", format],
            vec!["get", "secrets,cm", "-A", "--at", at, "-o", format],
            vec!["show", &new, "-n", "default", "--at", at, "-o", format],
            vec!["show", &helm, "-n", "default", "--at", at, "-o", format],
        ]);
    }
    let mut said = Vec::new();
    for args in questions {
        let answer = if cluster { ask_with_cluster(hindcast, &args).await? } else { ask(hindcast, &args).await? };
        ensure!(answer.code == 0 || answer.code == 3 || args.contains(&"secret/none"), "{answer}");
        said.push(answer);
    }
    let all: String = said.iter().map(|said| said.out.as_str()).collect();
    ensure!(all.contains(&format!("{prefix}-new")) && all.contains("password"), "the names are shown");
    Ok(said)
}

/// A key file of another key by the same name.
fn another_key(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("another.key");
    let key = Key::generate("test", "2026-01-01T00:00:00Z", &Parts::system());
    fs::write(&path, KeyFile { keys: vec![key] }.to_text())?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(path)
}

struct Protected {
    hindcast: Hindcast,
    folder: PathBuf,
    running: Running,
    at: String,
}

/// Protects the cluster, plants, and closes the moment after.
async fn protect(cluster: &Cluster, dir: &Workdir, prefix: &str, args: &[&str]) -> Result<Protected> {
    let client = cluster.client();
    let old = secret(&format!("{prefix}-old"), FIRST);
    create(&client, "/api/v1/namespaces/default/secrets", old).await?;
    let hindcast = on_folder(dir, prefix, cluster.kubeconfig())?;
    let args = [&["-vv", "--log-format", "json"], args].concat();
    let running = hindcast.run(&args).await?;
    plant(&client, prefix).await?;
    let at = format!("rev:{}", oracle::newest_revision(&client, &oracle::kinds()[0]).await?);
    running.close().await?;
    Ok(Protected { hindcast, folder: dir.path().join(prefix).join("journal"), running, at })
}

impl Protected {
    /// What the process itself says.
    async fn process(&self, scan: &mut Scan) -> Result<()> {
        for (method, path) in [("GET", "/metrics"), ("GET", "/readyz"), ("GET", "/healthz"), ("POST", "/close")] {
            let (_, body) = self.running.http(method, path).await?;
            ensure!(!body.is_empty(), "{path} says something");
            scan.look(path, body.as_bytes());
        }
        let log = fs::read(self.running.process.log())?;
        ensure!(!log.is_empty(), "the process logs");
        scan.look("the process's log", &log);
        Ok(())
    }

    /// Writes a checkpoint, so that the values stand in one.
    async fn checkpoint(&self) -> Result<()> {
        let journal = self.hindcast.place.journal().await?;
        let report = hindcast_compactor::execute(&journal, "test", 0).await?;
        report.checkpoint.context("something is closed, so there is a checkpoint")?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_value_is_nowhere_but_where_it_was_asked_for() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let dir = Workdir::new()?;
    sealed(&cluster, &dir).await?;
    in_clear(&cluster, &dir).await?;
    not_stored(&cluster, &dir).await
}

async fn sealed(cluster: &Cluster, dir: &Workdir) -> Result<()> {
    let it = protect(cluster, dir, "sealed", &[]).await?;
    let mut scan = Scan::new();
    let asked = [
        everything(&it.hindcast, "sealed", &it.at, false).await?,
        everything(&it.hindcast, "sealed", &it.at, true).await?,
    ];
    asked.iter().flatten().for_each(|said| scan.answer(said));
    it.checkpoint().await?;
    everything(&it.hindcast, "sealed", "now", false).await?.iter().for_each(|said| scan.answer(said));
    it.process(&mut scan).await?;

    let show = ["show", "secret/sealed-new", "-n", "default", "--at", &it.at, "--show-secrets"];
    let mut wrong = it.hindcast.clone();
    wrong.key_file = another_key(dir.path())?;
    let refused = ask(&wrong, &show).await?;
    scan.answer(refused.is(2, &["error: keys/", "does not open with key \"test\"", "hint: "])?);
    everything(&wrong, "sealed", &it.at, true).await?.iter().for_each(|said| scan.answer(said));
    // A store under a writer holds files for a moment that are gone when they are read.
    it.running.stop().await?;
    let count = scan.bucket(&it.hindcast, &it.folder).await?;
    ensure!(scan.traces.is_empty(), "traces: {:#?}", scan.traces);
    println!(
        "secrets: {count} files and all answers scanned, {} bytes, {} spellings, no trace",
        scan.bytes,
        scan.spellings.len()
    );

    // Asked for, with the key, it is there; the scan would have seen it.
    let shown = ask(&it.hindcast, &[&show[..], &["-o", "json"]].concat()).await?;
    let live = send(&cluster.client(), "GET", "/api/v1/namespaces/default/secrets/sealed-new", None).await?;
    ensure!(shown.is(0, &[])?.json()? == crate::scene::exact(live.clone()), "{shown}");
    let at = format!("rev:{}", rv(&live));
    ask(&it.hindcast, &["get", "secrets", "-n", "default", "--at", &at, "-o", "yaml", "--show-secrets"])
        .await?
        .is(0, &[&BASE64_STANDARD.encode(SECOND)])?;
    scan.answer(&shown);
    ensure!(!scan.traces.is_empty(), "the scan is blind");
    Ok(())
}

async fn in_clear(cluster: &Cluster, dir: &Workdir) -> Result<()> {
    let it = protect(cluster, dir, "clear", &["--plaintext-secrets"]).await?;
    let mut scan = Scan::new();
    let asked = [
        everything(&it.hindcast, "clear", &it.at, false).await?,
        everything(&it.hindcast, "clear", &it.at, true).await?,
    ];
    asked.iter().flatten().for_each(|said| scan.answer(said));
    it.process(&mut scan).await?;
    ensure!(scan.traces.is_empty(), "a value in clear is shown only when asked for: {:#?}", scan.traces);
    it.checkpoint().await?;
    it.running.stop().await?;
    scan.bucket(&it.hindcast, &it.folder).await?;
    for (place, column) in
        [("wal/", "values of object"), ("wal/", "values of patch"), ("checkpoints/", "values of object")]
    {
        ensure!(
            scan.traces.iter().any(|trace| trace.contains(place) && trace.contains(column)),
            "no trace in {place} {column}: {:#?}",
            scan.traces
        );
    }
    Ok(())
}

/// Without a key values are dropped; the names stay.
async fn not_stored(cluster: &Cluster, dir: &Workdir) -> Result<()> {
    let client = cluster.client();
    create(&client, "/api/v1/namespaces/default/secrets", secret("dropped-old", FIRST)).await?;
    let mut hindcast = on_folder(dir, "dropped", cluster.kubeconfig())?;
    hindcast.key_file = PathBuf::new();
    let running = hindcast.run(&[]).await?;
    plant(&client, "dropped").await?;
    let at = format!("rev:{}", oracle::newest_revision(&client, &oracle::kinds()[0]).await?);
    running.close().await?;
    let it = Protected { hindcast, folder: dir.path().join("dropped/journal"), running, at };
    let mut scan = Scan::new();
    it.checkpoint().await?;
    everything(&it.hindcast, "dropped", &it.at, true).await?.iter().for_each(|said| scan.answer(said));
    it.process(&mut scan).await?;
    it.running.stop().await?;
    scan.bucket(&it.hindcast, &it.folder).await?;
    let show = ["show", "secret/dropped-new", "-n", "default", "--at", &it.at, "--show-secrets"];
    scan.answer(&ask(&it.hindcast, &show).await?);
    ensure!(scan.traces.is_empty(), "traces: {:#?}", scan.traces);
    ask(&it.hindcast, &["status"]).await?.is(0, &["Secrets not restorable: no key"])?;
    Ok(())
}
