//! `verify --live`: a journal from which changes are truly missing, beside the cluster that has them.

use std::sync::Arc;

use anyhow::{Result, ensure};
use hindcast_journal::{Parts, Writer, cut::MAIN, seal::DataKeys, writer::Identity};
use hindcast_tests::{
    manifests::empty_config_map,
    real::{Cluster, process::Workdir},
};
use serde_json::Value;

use crate::scene::{ask, ask_with_cluster, create, moment, on_folder, rv, send};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_from_a_journal_the_cluster_itself_says() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let client = cluster.client();
    for name in ["kept", "changed", "gone"] {
        create(&client, MAPS, empty_config_map(name)).await?;
    }
    let dir = Workdir::new()?;
    let hindcast = on_folder(&dir, "main", cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    moment(&running).await?;

    // While it runs, the cluster has what the journal has.
    let said = ask_with_cluster(&hindcast, &["verify", "--live"]).await?;
    said.never(&["missing ", "extra ", "different "])?;
    let said = ask_with_cluster(&hindcast, &["verify", "--live", "-o", "json"]).await?.json()?;
    ensure!(said["live"]["differences"].as_array().is_some_and(Vec::is_empty), "{said:#}");
    ensure!(said["live"]["kinds"].as_u64() > Some(40) && said["live"]["objects"].as_u64() > Some(40), "{said:#}");
    ensure!(said["findings"].as_array().is_some_and(Vec::is_empty), "{said:#}");

    // Stopped, it has sealed everything.
    running.stop().await?;
    let said = ask(&hindcast, &["verify", "-o", "json"]).await?;
    let said = said.is(0, &[])?.json()?;
    ensure!(said["sealed"]["checked"] == true && said["unsealed"]["segments"] == 1, "{said:#}");
    ensure!(said["unsealed"]["files"].as_array().is_some_and(Vec::is_empty), "{said:#}");

    // Nobody records these, and then a writer says that the log is closed behind them.
    create(&client, MAPS, empty_config_map("missed")).await?;
    send(&client, "DELETE", &format!("{MAPS}/gone"), None).await?;
    let mut changed = send(&client, "GET", &format!("{MAPS}/changed"), None).await?;
    changed["data"] = serde_json::json!({"a": "b"});
    let changed = send(&client, "PUT", &format!("{MAPS}/changed"), Some(changed)).await?;
    let list = send(&client, "GET", &format!("{MAPS}?limit=1"), None).await?;
    let reached: u64 = rv(&list).parse()?;
    let journal = hindcast.place.journal().await?;
    let keys = DataKeys::new(journal.cluster(), hindcast.keys()?, Parts::system());
    let identity = Identity { writer: "liar".to_owned(), instance: "liar".to_owned() };
    let mut writer = Writer::claim(&journal, identity, Some(Arc::new(keys))).await?;
    let mut frontier = writer.frontier().clone();
    if let Some(point) = frontier.get_mut(MAIN) {
        (point.rv, point.time) = (reached, Parts::system().clock.now());
    }
    writer.stage(Vec::new(), frontier).await?;
    writer.commit().await?;

    // By itself the journal is whole: its writer wrote nothing that is wrong. The cluster says what is not there.
    let said = ask_with_cluster(&hindcast, &["verify", "--live", "-o", "json"]).await?;
    let said = said.is(1, &[])?.json()?;
    ensure!(said["findings"].as_array().is_some_and(Vec::is_empty), "{said:#}");
    let of = |name: &str| -> Option<&Value> {
        said["live"]["differences"].as_array()?.iter().find(|d| d["resource"] == "configmaps" && d["name"] == name)
    };
    for (name, verdict) in [("missed", "missing"), ("gone", "extra"), ("changed", "different")] {
        ensure!(of(name).is_some_and(|d| d["verdict"] == verdict && d["namespace"] == "default"), "{name}: {said:#}");
    }
    ensure!(of("kept").is_none(), "{said:#}");
    let version = of("changed").map(|d| d["cluster"]["resourceVersion"].to_string());
    ensure!(version == Some(rv(&changed)), "{version:?} {said:#}");
    let text = ask_with_cluster(&hindcast, &["verify", "--live"]).await?;
    text.is(1, &["default/missed", "default/gone", "default/changed", "remedy: "])?.never(&["default/kept"])?;
    Ok(())
}
