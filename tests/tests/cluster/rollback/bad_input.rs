//! What cannot be meant or cannot be done is told with the thing, the reason and the remedy; nothing is written.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    manifests::{config_map, empty_config_map},
    oracle::{
        self,
        subject::{Hindcast, Place},
    },
    real::{Cluster, Mode, Proxy, process::Workdir},
    until::{SOON, until_every},
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::{Value, json};

use super::Stage;
use crate::scene::{Said, ask_with_cluster};

const NS: &str = "input";
const MAP: &str = "/api/v1/namespaces/input/configmaps/app";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_of_a_restore_is_told_and_nothing_is_written() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = oracle::builder().start().await?;
    let dir = Workdir::new()?;
    let (stage, running) = Stage::open(&cluster, &dir).await?;
    // A restore waits two minutes for a server that is gone: time enough for all the rest.
    tokio::try_join!(async { refused(&stage, &cluster, &dir).await }, async {
        unreachable_midway(&stage, &cluster).await.context("the context goes away")
    },)?;
    running.stop().await
}

async fn refused(stage: &Stage, cluster: &Cluster, dir: &Workdir) -> Result<()> {
    let at = bad_change(stage, NS, MAP).await?;
    let before = stage.get(MAP).await?;
    scopes(stage, &at).await.context("scopes")?;
    plan_files(stage, dir, &at).await.context("plan files")?;
    ids(stage).await.context("ids")?;
    rights(stage, cluster, &at).await.context("rights")?;
    records(stage, dir, &at).await.context("records")?;
    ensure!(stage.get(MAP).await?["data"] == before["data"], "something was written");
    Ok(())
}

/// A map in a namespace of its own that was changed for the worse; the moment before.
async fn bad_change(stage: &Stage, ns: &str, map: &str) -> Result<String> {
    stage.namespace(ns).await?;
    let maps = map.trim_end_matches("/app");
    stage.post(maps, config_map("app", json!({ "k": "good" }))).await?;
    let at = stage.moment(ns).await?;
    stage.patch(map, json!({ "data": { "k": "bad" } })).await?;
    Ok(at)
}

async fn ask(hindcast: &Hindcast, args: &[&str]) -> Result<Said> {
    ask_with_cluster(hindcast, args).await
}

async fn scopes(stage: &Stage, at: &str) -> Result<()> {
    let all: &[(&[&str], &[&str])] = &[
        (&[], &["KIND/NAME", "-n", "-A"]),
        (&["app", "-n", NS], &["app", "KIND/NAME"]),
        (&["configmap/", "-n", NS], &["KIND/NAME"]),
        (&["/app", "-n", NS], &["KIND/NAME"]),
        (&["gizmo/app", "-n", NS], &["gizmo"]),
        (&["cm/app", "-A"], &["-A"]),
        (&["-n", NS, "-A"], &["-A", "--namespace"]),
        (&["cm/never-was", "-n", NS], &["never-was"]),
        (&["-n", "never-was"], &["never-was"]),
        (&["-n", NS, "-l", "a in ("], &["a in ("]),
        (&["-n", NS, "--only", "app"], &["app"]),
        (&["-n", NS, "--path", "spec..template"], &["spec..template"]),
        (&["-n", NS, "--allow-delete", "gizmos"], &["gizmos"]),
    ];
    let mut wrong = Vec::new();
    for (scope, words) in all {
        for verb in [&["plan"][..], &["restore", "--yes"]] {
            let said = ask(&stage.hindcast, &[verb, scope, &["--at", at]].concat()).await?;
            wrong.extend(said.is(2, words).err().map(|e| e.to_string()));
        }
    }
    let later = "later than the journal knows";
    for (moment, words) in [("rev:999999999", later), ("half past", "half past"), ("rev:x", "rev:x")] {
        let args = ["restore", "-n", NS, "--at", moment, "--yes", "--wait", "1s"];
        wrong.extend(ask(&stage.hindcast, &args).await?.is(2, &[words]).err().map(|e| e.to_string()));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Nobody is asked where there is no terminal.
    ask(&stage.hindcast, &["restore", "-n", NS, "--at", at]).await?.is(2, &["--yes"])?;
    ask(&stage.hindcast, &["restore", "-n", NS]).await?.is(2, &["--at"])?;
    Ok(())
}

async fn plan_files(stage: &Stage, dir: &Workdir, at: &str) -> Result<()> {
    let file = dir.path().join("plan.json");
    let name = file.display().to_string();
    let said = ask(&stage.hindcast, &["plan", "-n", NS, "--at", at, "--out", &name]).await?;
    said.is(1, &[])?;
    let good = fs::read_to_string(&file)?;
    ensure!(!good.contains("\"good\"") && !good.contains("\"bad\""), "a plan file holds no bodies: {good}");
    let bad = |name: &str, text: &str| -> Result<String> {
        let path = dir.path().join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let altered = |what: &dyn Fn(&mut Value)| -> Result<String> {
        let mut plan: Value = serde_json::from_str(&good)?;
        what(&mut plan);
        Ok(plan.to_string())
    };
    let foreign = altered(&|plan| replace(plan, "cluster", &json!("00000000-0000-4000-8000-000000000000")))?;
    let newer = altered(&|plan| plan["apiVersion"] = json!("hindcast.dev/v9"))?;
    let cases = [
        (dir.path().join("not-there.json").display().to_string(), "not-there.json"),
        (bad("empty.json", "")?, "empty.json"),
        (bad("half.json", &good[..good.len() / 2])?, "half.json"),
        (bad("other.json", "{\"kind\":\"Pod\"}")?, "other.json"),
        (bad("newer.json", &newer)?, "hindcast.dev/v9"),
        (bad("foreign.json", &foreign)?, "cluster"),
    ];
    for (file, word) in &cases {
        let said = ask(&stage.hindcast, &["restore", "--plan", file, "--yes"]).await?;
        said.is(2, &[word]).with_context(|| file.clone())?;
    }
    let both = ask(&stage.hindcast, &["restore", "-n", NS, "--at", at, "--plan", &name, "--yes"]).await?;
    both.is(2, &["--plan"])?;
    // Stale: somebody changed what the plan looked at.
    stage.patch(MAP, json!({ "data": { "k": "worse" } })).await?;
    let said = ask(&stage.hindcast, &["restore", "--plan", &name, "--yes"]).await?;
    ensure!(matches!(said.code, 1 | 2), "{said}");
    said.is(said.code, &["ConfigMap/app"])?;
    ensure!(stage.get(MAP).await?["data"]["k"] == "worse", "a stale plan was carried out: {said}");
    stage.patch(MAP, json!({ "data": { "k": "bad" } })).await?;
    Ok(())
}

/// Sets a field wherever it is.
fn replace(value: &mut Value, field: &str, with: &Value) {
    match value {
        Value::Object(map) => {
            if map.get(field).is_some_and(Value::is_string) {
                map.insert(field.to_owned(), with.clone());
            }
            map.values_mut().for_each(|value| replace(value, field, with));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| replace(value, field, with)),
        _ => {}
    }
}

async fn ids(stage: &Stage) -> Result<()> {
    for id in ["never-was", "../../etc", "", "a/b"] {
        for args in [vec!["undo", id, "--yes"], vec!["restore", "--resume", id, "--yes"]] {
            let said = ask(&stage.hindcast, &args).await?;
            said.is(2, &[if id.is_empty() { "restore" } else { id }]).with_context(|| format!("{args:?}"))?;
        }
    }
    Ok(())
}

/// What a user may not do is told by verb and kind.
async fn rights(stage: &Stage, cluster: &Cluster, at: &str) -> Result<()> {
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let rule = |resources: &[&str], verbs: &[&str]| PolicyRule {
        api_groups: Some(strings(&["*"])),
        resources: Some(strings(resources)),
        verbs: strings(verbs),
        ..PolicyRule::default()
    };
    // Reads all, writes nothing.
    let mut reader = stage.hindcast.clone();
    reader.kubeconfig = cluster.user("reader", vec![rule(&["*"], &["get", "list", "watch"])]).await?;
    let said = ask(&reader, &["restore", "-n", NS, "--at", at, "--yes"]).await?;
    said.is(2, &["configmaps", "update"])?;
    // Reads nothing at all.
    let mut nobody = stage.hindcast.clone();
    nobody.kubeconfig = cluster.user("nobody", vec![rule(&["pods"], &["get"])]).await?;
    let said = ask(&nobody, &["plan", "-n", NS, "--at", at]).await?;
    ensure!(matches!(said.code, 2 | 3), "{said}");
    said.is(said.code, &["forbidden"])?;
    Ok(())
}

/// Without a place for its record a restore doesn't begin; it can be given another.
async fn records(stage: &Stage, dir: &Workdir, at: &str) -> Result<()> {
    // The same journal by another way, in which `restores` is a file and not a folder.
    let root = PathBuf::from(stage.hindcast.place.url.trim_start_matches("file://"));
    let uid = fs::read_dir(&root)?.flatten().next().context("a cluster")?.file_name();
    let blocked = dir.path().join("blocked");
    fs::create_dir_all(blocked.join(&uid))?;
    for entry in fs::read_dir(root.join(&uid))?.flatten() {
        if entry.file_name() != "restores" {
            std::os::unix::fs::symlink(entry.path(), blocked.join(&uid).join(entry.file_name()))?;
        }
    }
    fs::write(blocked.join(&uid).join("restores"), "in the way")?;
    let mut hindcast = stage.hindcast.clone();
    hindcast.place = Place::folder(&blocked)?;
    let said = ask(&hindcast, &["restore", "-n", NS, "--at", at, "--yes"]).await?;
    said.is(2, &["--record-dir"])?;
    ensure!(stage.get(MAP).await?["data"]["k"] == "bad", "a restore without a record: {said}");
    let elsewhere = dir.path().join("records").display().to_string();
    let said =
        ask(&hindcast, &["restore", "-n", NS, "--at", at, "--yes", "--record-dir", &elsewhere, "-o", "json"]).await?;
    said.is(0, &[])?;
    ensure!(stage.get(MAP).await?["data"]["k"] == "good", "{said}");
    let id = said.json()?["id"].as_str().context("an id")?.to_owned();
    ask(&hindcast, &["undo", &id, "--yes", "--record-dir", &elsewhere]).await?.is(0, &[])?;
    ensure!(stage.get(MAP).await?["data"]["k"] == "bad", "the undo out of another folder");
    Ok(())
}

/// The way to the server ends in the middle: told, and resumed once it is back.
async fn unreachable_midway(stage: &Stage, cluster: &Cluster) -> Result<()> {
    const NS: &str = "midway";
    const MAPS: &str = "/api/v1/namespaces/midway/configmaps";
    const MAP: &str = "/api/v1/namespaces/midway/configmaps/app";
    let at = bad_change(stage, NS, MAP).await?;
    for n in 0..200 {
        stage.post(MAPS, empty_config_map(&format!("extra-{n}"))).await?;
    }
    let proxy = Proxy::start(cluster.port()).await?;
    let mut hindcast = stage.hindcast.clone();
    hindcast.kubeconfig = cluster.kubeconfig_via(proxy.port())?;
    let args = ["restore", "-n", NS, "--at", &at, "--yes", "-o", "json"];
    let cut = async {
        let begun = async || Ok(stage.list(MAPS).await?.len() < 202 || stage.get(MAP).await?["data"]["k"] != "bad");
        until_every(Duration::from_millis(1), "the first write of the restore is seen", SOON * 2, begun).await?;
        proxy.set(Mode::Refuse).await
    };
    // It waits for the server for two minutes.
    let restore = hindcast.call_within(&args, true, Duration::from_mins(4));
    let (output, cut) = tokio::join!(restore, cut);
    cut?;
    let said = Said::new(args.join(" "), &output?);
    ensure!(matches!(said.code, 1 | 2), "{said}");
    said.is(said.code, &["--resume"])?;
    let id = said.err.split_whitespace().skip_while(|w| *w != "--resume").nth(1).context("the id follows")?.to_owned();
    let id = id.trim_matches(|c: char| !c.is_alphanumeric() && c != '-').to_owned();
    let said = ask(&stage.hindcast, &["restore", "--resume", &id, "--yes"]).await?;
    said.is(0, &[])?;
    ensure!(stage.get(MAP).await?["data"]["k"] == "good", "{said}");
    ensure!(stage.list(MAPS).await?.len() == 2, "extras are left: {said}");
    Ok(())
}
