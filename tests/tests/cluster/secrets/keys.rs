//! Keys that change, are others, come late or do not work: nothing is lost, nothing looks changed that is not, and the
//! rest goes on.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use hindcast_journal::{
    Parts,
    seal::{Key, KeyFile},
};
use hindcast_tests::{
    manifests::{self, DEFAULT_CONFIG_MAPS, NAMESPACES, config_map, empty_config_map, namespace},
    oracle::subject::{Hindcast, Running},
    real::{Cluster, process::Workdir},
};
use kube::Client;
use serde_json::{Value, json};

use super::scan::{FIRST, SECOND, Scan};
use crate::scene::{SOON, Said, ask, ask_with_cluster, create, on_folder, run_to_its_end, send, until};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

/// A Secret, with its value in another annotation too.
fn secret(name: &str, value: &str) -> Value {
    let mut secret = manifests::secret(name, json!({"password": value, "user": "somebody"}));
    secret["metadata"]["labels"] = json!({"planted": "yes"});
    secret["metadata"]["annotations"] = json!({"example.com/note": format!("was {value}")});
    secret
}

async fn set(client: &Client, name: &str, value: &str) -> Result<()> {
    send(client, "PATCH", &format!("{SECRETS}/{name}"), Some(json!({"stringData": {"password": value}}))).await?;
    Ok(())
}

async fn label(client: &Client, name: &str, value: &str) -> Result<()> {
    send(client, "PATCH", &format!("{SECRETS}/{name}"), Some(json!({"metadata": {"labels": {"round": value}}})))
        .await?;
    Ok(())
}

/// The live value of a Secret.
async fn live(client: &Client, name: &str) -> Result<String> {
    let object = send(client, "GET", &format!("{SECRETS}/{name}"), None).await?;
    let text = object["data"]["password"].as_str().context("a password")?.to_owned();
    Ok(String::from_utf8(BASE64_STANDARD.decode(text)?)?)
}

/// A moment of now, surely after what was written.
async fn moment(running: &Running) -> Result<String> {
    // What was written is received first: until then it may be after any moment of now.
    running.close().await?;
    crate::scene::moment(running).await
}

async fn shown(hindcast: &Hindcast, name: &str, at: &str) -> Result<Said> {
    ask(hindcast, &["show", &format!("secret/{name}"), "-n", "default", "--at", at, "--show-secrets", "-o", "json"])
        .await
}

/// The value of a Secret at a moment.
async fn stored(hindcast: &Hindcast, name: &str, at: &str) -> Result<String> {
    let said = shown(hindcast, name, at).await?;
    let text = said.is(0, &[])?.json()?["data"]["password"].as_str().context("a password")?.to_owned();
    Ok(String::from_utf8(BASE64_STANDARD.decode(text)?)?)
}

async fn diff(hindcast: &Hindcast, from: &str, to: &str) -> Result<Said> {
    ask(hindcast, &["diff", "secrets", "-n", "default", "--from", from, "--to", to, "-o", "json"]).await
}

/// The changed paths of each object of a difference.
fn paths(diff: &Said) -> Result<Vec<String>> {
    let objects = diff.json()?["objects"].as_array().context("objects")?.clone();
    let of = |object: &Value| {
        let changes = object["changes"].as_array().cloned().unwrap_or_default();
        changes
            .iter()
            .map(|c| format!("{}{}", object["name"].as_str().unwrap_or(""), c["path"].as_str().unwrap_or("")))
            .collect::<Vec<_>>()
    };
    Ok(objects.iter().flat_map(of).collect())
}

/// A journal that was sealed with one key and then with another: the Secret `changed` had another value in between, of
/// `kept` only a label was changed.
struct Rotated {
    client: Client,
    hindcast: Hindcast,
    /// Before the rotation.
    first: String,
    /// After it, with the other value.
    second: String,
    /// With the first value again.
    third: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rotation_of_the_key_secrets_read_compare_and_restore_as_before() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let dir = Workdir::new()?;
    let (it, running) = Rotated::start(&cluster, &dir).await.context("a rotation under `run`")?;
    it.values_of_both_keys_open().await.context("values of both keys")?;
    it.only_what_changed_is_shown_as_changed().await.context("diff, log and blame over the rotation")?;
    let said = it.a_restore_over_the_rotation_is_undone_after_another(running).await;
    let said = said.context("a restore over the rotation")?;
    it.the_older_key_alone_says_what_it_lacks(&dir).await.context("the older key alone")?;
    let mut scan = Scan::new();
    scan.bucket(&it.hindcast, &dir.path().join("rotation/journal")).await?;
    for said in &said {
        scan.answer(said);
    }
    ensure!(scan.traces.is_empty(), "traces: {:#?}", scan.traces);
    Ok(())
}

impl Rotated {
    async fn start(cluster: &Cluster, dir: &Workdir) -> Result<(Self, Running)> {
        let client = cluster.client();
        let hindcast = on_folder(dir, "rotation", cluster.kubeconfig())?;
        for name in ["kept", "changed"] {
            create(&client, SECRETS, secret(name, FIRST)).await?;
        }
        let running = hindcast.run(&[]).await?;
        let first = moment(&running).await?;
        running.stop().await?;

        hindcast.rotate().await?;
        let running = hindcast.run(&[]).await?;
        label(&client, "kept", "two").await?;
        set(&client, "changed", SECOND).await?;
        let second = moment(&running).await?;
        set(&client, "changed", FIRST).await?;
        let third = moment(&running).await?;
        Ok((Self { client, hindcast, first, second, third }, running))
    }

    /// What was sealed with the first key, with the second, and with both, opens.
    async fn values_of_both_keys_open(&self) -> Result<()> {
        for (at, value) in [(&self.first, FIRST), (&self.second, SECOND), (&self.third, FIRST)] {
            ensure!(stored(&self.hindcast, "changed", at).await? == value, "at {at}");
            ensure!(stored(&self.hindcast, "kept", at).await? == FIRST, "at {at}");
        }
        Ok(())
    }

    /// A value that did not change is not shown as changed, also if it was another in between; one that did is.
    async fn only_what_changed_is_shown_as_changed(&self) -> Result<()> {
        let hindcast = &self.hindcast;
        let said = diff(hindcast, &self.first, &self.second).await?;
        let changed = paths(said.is(1, &[])?)?;
        ensure!(changed == ["changed/data/password", "kept/metadata/labels/round"], "{changed:?} in {said}");
        let said = diff(hindcast, &self.first, &self.third).await?;
        ensure!(paths(&said)? == ["kept/metadata/labels/round"], "{said}");
        let said = ask(hindcast, &["log", "secret/kept", "-n", "default", "--all", "-o", "json"]).await?;
        let newest: Value = serde_json::from_str(said.is(0, &[])?.out.lines().next().context("a line")?)?;
        ensure!(newest["paths"] == json!(["/metadata/labels/round"]), "{said}");
        let said = ask(hindcast, &["blame", "secret/kept", "-n", "default", "-o", "json"]).await?;
        let fields = said.is(0, &[])?.json()?["fields"].as_array().context("fields")?.clone();
        let pos = |path: &str| fields.iter().find(|f| f["path"] == path).map(|f| f["pos"].clone());
        ensure!(pos("/data/password").is_some() && pos("/data/password") != pos("/metadata/labels/round"), "{said}");
        Ok(())
    }

    /// A restore to before the rotation, and its undo after yet another one; what both said.
    async fn a_restore_over_the_rotation_is_undone_after_another(&self, running: Running) -> Result<[Said; 2]> {
        let (client, hindcast) = (&self.client, &self.hindcast);
        send(client, "DELETE", &format!("{SECRETS}/kept"), None).await?;
        set(client, "changed", SECOND).await?;
        running.close().await?;
        let only = ["--only", "secret/kept,secret/changed", "--at", &self.first, "--yes", "-o", "json"];
        let restored = ask_with_cluster(hindcast, &[&["restore", "-n", "default"][..], &only].concat()).await?;
        let id = restored.is(0, &[])?.json()?["id"].as_str().context("a restore has an id")?.to_owned();
        ensure!(live(client, "kept").await? == FIRST && live(client, "changed").await? == FIRST, "{restored}");
        running.stop().await?;
        hindcast.rotate().await?;
        let running = hindcast.run(&[]).await?;
        running.close().await?;
        let undone = ask_with_cluster(hindcast, &["undo", &id, "--yes"]).await?;
        undone.is(0, &[])?;
        ensure!(live(client, "changed").await? == SECOND, "{undone}");
        running.stop().await?;
        Ok([restored, undone])
    }

    async fn the_older_key_alone_says_what_it_lacks(&self, dir: &Workdir) -> Result<()> {
        let mut older = self.hindcast.clone();
        let file = KeyFile::parse("the file", &fs::read(&older.key_file)?)?;
        older.key_file = write_keys(dir.path(), "older.key", file.keys.last().cloned().into_iter().collect())?;
        ensure!(stored(&older, "changed", &self.first).await? == FIRST);
        shown(&older, "kept", &self.second).await?.is(2, &["which the key file does not hold", "hint: "])?;
        Ok(())
    }
}

fn write_keys(dir: &Path, name: &str, keys: Vec<Key>) -> Result<std::path::PathBuf> {
    let path = dir.join(name);
    fs::write(&path, KeyFile { keys }.to_text())?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_with_another_key_file_is_refused_before_it_fences_a_healthy_one() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let (dir, client) = (Workdir::new()?, cluster.client());
    create(&client, SECRETS, secret("guarded", FIRST)).await?;
    let hindcast = on_folder(&dir, "another", cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    let epoch = newest_epoch(&hindcast).await?;
    for name in ["test", "stranger"] {
        let mut other = hindcast.clone();
        let key = Key::generate(name, "2026-01-01T00:00:00Z", &Parts::system());
        other.key_file = write_keys(dir.path(), &format!("{name}.key"), vec![key])?;
        run_to_its_end(&other, &[]).await?.is(2, &["key", "test", "hint: "])?;
    }
    ensure!(newest_epoch(&hindcast).await? == epoch, "the journal was claimed");
    // The healthy one goes on.
    set(&client, "guarded", SECOND).await?;
    let at = moment(&running).await?;
    ensure!(stored(&hindcast, "guarded", &at).await? == SECOND);
    running.stop().await
}

async fn newest_epoch(hindcast: &Hindcast) -> Result<u64> {
    Ok(hindcast.place.journal().await?.end(0).await?.epoch)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_given_later_has_the_older_values_read_again_and_stored() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let (dir, client) = (Workdir::new()?, cluster.client());
    create(&client, SECRETS, secret("early", FIRST)).await?;
    let with_key = on_folder(&dir, "later", cluster.kubeconfig())?;
    let mut without = with_key.clone();
    without.key_file = std::path::PathBuf::new();
    let running = without.run(&[]).await?;
    let before = moment(&running).await?;
    running.stop().await?;
    // What is read again has the revision of its list: in a cluster in which nobody writes that would be the moment's.
    create(&client, DEFAULT_CONFIG_MAPS, empty_config_map("since")).await?;

    ask(&without, &["status"]).await?.is(0, &["values of 1 object are not stored", "secrets default/early"])?;
    ask(&with_key, &["show", "secret/early", "-n", "default", "--at", &before, "--show-secrets"])
        .await?
        .is(3, &["values of secrets default/early are not stored"])?;
    let get = ["get", "secrets", "-n", "default", "--at", &before];
    ask(&with_key, &get).await?.is(0, &["values of secrets default/early are not stored"])?;

    let running = with_key.run(&[]).await?;
    let after = read_again_once(&with_key, running, &before).await.context("reading the values again")?;
    restored_from_then_on(&client, &with_key, (&before, &after)).await.context("a restore")?;
    let mut scan = Scan::new();
    scan.bucket(&with_key, &dir.path().join("later/journal")).await?;
    ensure!(scan.traces.is_empty(), "traces: {:#?}", scan.traces);
    Ok(())
}

/// With the key the values are stored, nothing seems changed by that, and the next start finds nothing to read again; a
/// moment after it.
async fn read_again_once(hindcast: &Hindcast, running: Running, before: &str) -> Result<String> {
    let journal = hindcast.place.journal().await?;
    until("the values are read again", SOON, async || {
        running.close().await?;
        Ok(ask(hindcast, &["status", "-o", "json"]).await?.json()?["clusters"][0]["valuesNotStored"] == 0)
    })
    .await?;
    let after = moment(&running).await?;
    ensure!(stored(hindcast, "early", &after).await? == FIRST);
    let said = diff(hindcast, before, &after).await?;
    said.is(3, &["are not stored at one of the moments"])?;
    ensure!(paths(&said)?.is_empty(), "nobody changed it: {said}");
    // The next start finds nothing to read again.
    let rows = journal.end(0).await?.last;
    running.stop().await?;
    let running = hindcast.run(&[]).await?;
    running.close().await?;
    let segments = journal.segments_after(0).await?;
    let mut again = 0;
    for number in segments {
        let segment = journal.segment(number).await?;
        again += segment.rows.iter().filter(|row| row.pos > rows && row.op.as_str() == "reread").count();
    }
    ensure!(again == 0, "{again} objects were read again once more");
    running.stop().await?;
    Ok(after)
}

/// The Secret cannot be restored to a moment before its value was stored, and can to one after.
async fn restored_from_then_on(client: &Client, hindcast: &Hindcast, (before, after): (&str, &str)) -> Result<()> {
    let running = hindcast.run(&[]).await?;
    send(client, "DELETE", &format!("{SECRETS}/early"), None).await?;
    running.close().await?;
    let planned = ask_with_cluster(hindcast, &["plan", "secret/early", "-n", "default", "--at", before]).await?;
    ensure!(planned.out.contains("its values were not stored"), "{planned}");
    let restore = ["restore", "secret/early", "-n", "default", "--at", after, "--yes"];
    ask_with_cluster(hindcast, &restore).await?.is(0, &[])?;
    ensure!(live(client, "early").await? == FIRST);
    running.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_values_cannot_be_sealed_their_kind_is_let_go_and_comes_back_by_itself() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let (dir, client) = (Workdir::new()?, cluster.client());
    let hindcast = on_folder(&dir, "unsealable", cluster.kubeconfig())?;
    let running = hindcast.run(&[]).await?;
    let journal = hindcast.place.journal().await?;
    let folder = dir.path().join("unsealable/journal").join(journal.cluster());
    let (keys, away) = (folder.join("keys"), folder.join("keys.away"));
    fs::create_dir_all(&keys)?;
    // A store that takes everything but data keys.
    fs::rename(&keys, &away)?;
    fs::write(&keys, "in the way")?;
    create(&client, NAMESPACES, namespace("fresh")).await?;
    let secrets = "/api/v1/namespaces/fresh/secrets";
    create(&client, secrets, secret("late", FIRST)).await?;
    let configs = "/api/v1/namespaces/fresh/configmaps";
    until("the kind is let go, with the reason", SOON * 2, async || {
        Ok(ask(&hindcast, &["status"]).await?.out.contains("its values cannot be sealed"))
    })
    .await?;
    // The rest goes on, and what misses the kind says so.
    create(&client, configs, config_map("meanwhile", json!({"a": "b"}))).await?;
    let at = moment(&running).await?;
    ask(&hindcast, &["get", "cm/meanwhile", "-n", "fresh", "--at", &at]).await?.is(0, &["meanwhile"])?;
    ask(&hindcast, &["get", "secrets", "-n", "fresh", "--at", &at])
        .await?
        .is(2, &["not protected", "cannot be sealed"])?;

    fs::remove_file(&keys)?;
    fs::rename(&away, &keys)?;
    until("the kind is back", SOON * 2, async || {
        running.close().await?;
        let status = ask(&hindcast, &["status", "-o", "json"]).await?.json()?;
        let kinds = status["clusters"][0]["kinds"].as_array().cloned().unwrap_or_default();
        let back = kinds.iter().any(|kind| kind["name"] == "secrets" && kind["protected"] == true);
        Ok(back && status["clusters"][0]["valuesNotStored"] == 0)
    })
    .await?;
    let at = moment(&running).await?;
    let said =
        ask(&hindcast, &["show", "secret/late", "-n", "fresh", "--at", &at, "--show-secrets", "-o", "json"]).await?;
    ensure!(said.json()?["data"]["password"] == BASE64_STANDARD.encode(FIRST), "{said}");
    running.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_policy_seals_is_nowhere_in_clear_and_comes_back_with_a_restore() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let (dir, client) = (Workdir::new()?, cluster.client());
    let hindcast = on_folder(&dir, "policy", cluster.kubeconfig())?;
    let configs = "/api/v1/namespaces/default/configmaps";
    let applied = json!({"data": {"password": FIRST}}).to_string();
    let config = json!({
        "metadata": {"name": "app", "annotations": {"banzaicloud.com/last-applied": applied, "note": format!("uses {FIRST}")}},
        "data": {"password": FIRST, "url": "http://shown"},
    });
    create(&client, configs, config).await?;
    let running = hindcast.run(&["--seal", "configmaps:/data/password"]).await?;
    let at = moment(&running).await?;
    send(
        &client,
        "PATCH",
        &format!("{configs}/app"),
        Some(json!({"data": {"password": SECOND, "url": "http://other"}})),
    )
    .await?;
    running.close().await?;
    let mut scan = Scan::new();
    let questions: [&[&str]; 9] = [
        &["show", "cm/app", "-n", "default"],
        &["get", "cm", "-n", "default", "-o", "yaml"],
        &["log", "cm/app", "-n", "default", "--all", "-o", "json"],
        &["blame", "cm/app", "-n", "default"],
        &["diff", "cm", "-n", "default", "--from", &at, "--to", "now"],
        &["journal", "cat", "1-100000"],
        &["plan", "cm/app", "-n", "default", "--at", &at],
        &["plan", "cm/app", "-n", "default", "--at", &at, "-o", "json"],
        &["status"],
    ];
    for args in questions {
        let said = ask_with_cluster(&hindcast, args).await?;
        ensure!(said.code == 0 || said.code == 1, "{said}");
        scan.answer(&said);
    }
    ask(&hindcast, &["show", "cm/app", "-n", "default", "--at", &at]).await?.is(0, &["http://shown", "<redacted "])?;
    let restored = ask_with_cluster(&hindcast, &["restore", "cm/app", "-n", "default", "--at", &at, "--yes"]).await?;
    restored.is(0, &[])?;
    scan.answer(&restored);
    let now = send(&client, "GET", &format!("{configs}/app"), None).await?;
    ensure!(now["data"]["password"] == FIRST && now["data"]["url"] == "http://shown", "{now}");
    running.stop().await?;
    scan.bucket(&hindcast, &dir.path().join("policy/journal")).await?;
    ensure!(scan.traces.is_empty(), "traces: {:#?}", scan.traces);
    Ok(())
}
