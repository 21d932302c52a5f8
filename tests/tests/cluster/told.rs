//! The newest seal in the cluster: told with the rights of `deploy/seal.yaml`, and what it says of a bucket that was put back.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    http::find,
    manifests::empty_config_map,
    oracle::subject::Hindcast,
    real::{Cluster, process::Workdir},
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Client;
use serde_json::Value;

use crate::scene::{ask, ask_with_cluster, create, moment, on_folder, rule, send};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Where a process that is no Pod tells it.
const TOLD: &str = "/api/v1/namespaces/kube-system/configmaps";

/// The rule of `deploy/seal.yaml`: lists of YAML on one line are JSON.
fn granted() -> Result<PolicyRule> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/seal.yaml");
    let text = std::fs::read_to_string(file)?;
    let list = |field: &str| -> Result<Vec<String>> {
        let lines = text.lines().map(|line| line.trim().trim_start_matches("- "));
        let found = lines.filter_map(|line| line.strip_prefix(field)?.strip_prefix(": ["));
        let [one] = found.collect::<Vec<_>>()[..] else { anyhow::bail!("one {field}") };
        Ok(serde_json::from_str(&format!("[{one}"))?)
    };
    let (groups, resources, verbs) = (list("apiGroups")?, list("resources")?, list("verbs")?);
    Ok(PolicyRule { api_groups: Some(groups), resources: Some(resources), verbs, ..PolicyRule::default() })
}

/// The notices there are.
async fn notices(client: &Client) -> Result<Vec<Value>> {
    let list = send(client, "GET", &format!("{TOLD}?labelSelector=hindcast.dev/newest-seal"), None).await?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// Protects for a moment, in which something changes, and ends.
async fn protect(hindcast: &Hindcast, client: &Client, map: &str) -> Result<()> {
    let running = hindcast.run(&["--seal-in-cluster"]).await?;
    create(client, MAPS, empty_config_map(map)).await?;
    moment(&running).await?;
    running.stop().await
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => _ = std::fs::copy(entry.path(), target)?,
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_was_put_back_is_found_by_the_seal_that_stands_in_the_cluster() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let client = cluster.client();
    let dir = Workdir::new()?;
    let reader = rule(&["*"], &["*"], &["get", "list", "watch"]);

    // Whoever may not write it protects all the same.
    let hindcast = on_folder(&dir, "main", cluster.user("teller", vec![reader.clone()]).await?)?;
    protect(&hindcast, &client, "first").await?;
    ensure!(notices(&client).await?.is_empty());
    ask(&hindcast, &["verify"]).await?.is(0, &[])?;

    cluster.user("teller", vec![reader, granted()?]).await?;
    protect(&hindcast, &client, "second").await?;
    let [notice] = &notices(&client).await?[..] else { anyhow::bail!("one notice") };
    let first: Value = serde_json::from_str(notice["data"]["seal"].as_str().context("a seal")?)?;
    let name = notice["metadata"]["name"].as_str().context("a name")?.to_owned();
    let said = ask_with_cluster(&hindcast, &["verify", "--live", "-o", "json"]).await?.json()?;
    ensure!(said["stands"]["position"] == first["pos"] && said["stands"]["checked"] == true, "{said:#}");
    ensure!(
        said["stands"]["chain"] == said["sealed"]["chain"] && said["findings"] == serde_json::json!([]),
        "{said:#}"
    );

    // A later one replaces it; then the bucket is put back to what it was.
    let journal = dir.path().join("main/journal");
    let aside = dir.path().join("aside");
    copy(&journal, &aside)?;
    protect(&hindcast, &client, "third").await?;
    let told = async || -> Result<Value> {
        let notice = find(&client, &format!("{TOLD}/{name}")).await?.context("the notice")?;
        Ok(serde_json::from_str(notice["data"]["seal"].as_str().context("a seal")?)?)
    };
    let second = told().await?;
    ensure!(second["pos"].as_u64() > first["pos"].as_u64(), "{second:#}");
    let said = ask_with_cluster(&hindcast, &["verify", "--live", "-o", "json"]).await?.json()?;
    ensure!(said["findings"] == serde_json::json!([]), "{said:#}");
    std::fs::remove_dir_all(&journal)?;
    copy(&aside, &journal)?;

    // By itself it is whole; the cluster says that it is not the newest.
    ask(&hindcast, &["verify"]).await?.is(0, &[])?;
    let said = ask_with_cluster(&hindcast, &["verify", "--live", "-o", "json"]).await?;
    let said = said.is(1, &[])?.json()?;
    let reasons: Vec<&str> =
        said["findings"].as_array().context("findings")?.iter().filter_map(|f| f["reason"].as_str()).collect();
    let told_of = format!("the seal that configmap kube-system/{name} of the cluster tells of");
    ensure!(reasons.iter().any(|reason| reason.contains(&told_of)), "{said:#}");

    // Who goes on with it does not write over what stands, however far it comes.
    protect(&hindcast, &client, "fourth").await?;
    protect(&hindcast, &client, "fifth").await?;
    ensure!(told().await? == second, "{:#}", told().await?);
    ask_with_cluster(&hindcast, &["verify", "--live"]).await?.is(1, &[&told_of])?;
    Ok(())
}
