//! Namespaces and definitions that came since: they go with all that they hold, or not at all.

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::manifests::{DEFINITIONS, NAMESPACES, claim_spec, config_map, definition, empty_config_map};
use serde_json::{Value, json};

use super::{Stage, codes, verbs};
use crate::scene::{SOON, create_when_served, until};

const NS: &str = "later";
const HOME: &str = "/api/v1/namespaces/later";
const MAPS: &str = "/api/v1/namespaces/later/configmaps";
const DEFINITION: &str = "rooms.holders.example.com";
/// What has this label is rolled back: the cluster has other users.
const MINE: &str = "scene=holders";

fn mine(name: &str, mut rest: Value) -> Value {
    rest["metadata"] = json!({ "name": name, "labels": { "scene": "holders" } });
    rest
}

async fn put_in(stage: &Stage) -> Result<()> {
    stage.post(NAMESPACES, mine(NS, json!({}))).await?;
    stage.post(MAPS, mine("c", json!({ "data": { "k": "v" } }))).await?;
    stage.post(&format!("{HOME}/persistentvolumeclaims"), mine("data", json!({ "spec": claim_spec() }))).await?;
    Ok(())
}

async fn is_there(stage: &Stage) -> Result<bool> {
    Ok(stage.find(HOME).await?.is_some())
}

/// A namespace that was added goes once all that is in it may go, and the undo brings all of it back.
pub(super) async fn an_added_namespace(stage: &Stage) -> Result<()> {
    let at = stage.moment("default").await?;
    put_in(stage).await?;
    stage.post(MAPS, empty_config_map("strangers")).await?;
    let scope = |kinds: &'static str| ["-A", "-l", MINE, "--at", at.as_str(), "--allow-delete", kinds];
    let reason = async |kinds: &'static str| -> Result<String> {
        let (said, plan) = stage.plan(&scope(kinds)).await?;
        let codes = codes(&plan.left);
        ensure!(codes.contains(&format!("Namespace/{NS} holds-others")), "{codes:?} {said}");
        ensure!(!verbs(&plan.actions).iter().any(|verb| verb.contains("Namespace/")), "{said}");
        Ok(said.out)
    };
    let left = reason("namespaces").await?;
    ensure!(
        left.contains("configmaps/strangers in later") && left.contains("persistentvolumeclaims/data in later"),
        "{left}"
    );
    let left = reason("namespaces,persistentvolumeclaims").await?;
    ensure!(!left.contains("persistentvolumeclaims/data in later"), "{left}");
    ensure!(is_there(stage).await?);

    stage.delete(&format!("{MAPS}/strangers")).await?;
    let restored = stage.restore(&scope("namespaces,persistentvolumeclaims")).await?;
    let went = ["delete ConfigMap/c", "delete Namespace/later", "delete PersistentVolumeClaim/data"];
    ensure!(verbs(&restored.actions) == went, "{:?}", restored.actions);
    ensure!(!is_there(stage).await?);
    stage.undo(&restored).await?;
    ensure!(stage.get(&format!("{MAPS}/c")).await?["data"]["k"] == "v");
    stage.get(&format!("{HOME}/persistentvolumeclaims/data")).await?;
    Ok(())
}

/// A namespace that a restore made is taken back by its undo, but not from under somebody who has moved in.
pub(super) async fn a_namespace_that_a_restore_made(stage: &Stage) -> Result<()> {
    stage.delete(&format!("{HOME}/persistentvolumeclaims/data")).await?;
    let at = stage.moment("default").await?;
    stage.delete(HOME).await?;
    until("the namespace is gone", SOON, async || Ok(!is_there(stage).await?)).await?;
    let restored = stage.restore(&["-n", NS, "--at", &at]).await?;
    ensure!(
        verbs(&restored.actions) == ["create ConfigMap/c", &format!("create Namespace/{NS}")],
        "{:?}",
        restored.actions
    );
    stage.post(MAPS, config_map("strangers", json!({ "k": "mine" }))).await?;
    let undone = stage.undo(&restored).await?;
    ensure!(verbs(&undone.actions) == ["delete ConfigMap/c"], "{:?}", undone.actions);
    ensure!(codes(&undone.left) == [format!("Namespace/{NS} holds-others")], "{:?}", undone.left);
    ensure!(stage.get(&format!("{MAPS}/strangers")).await?["data"]["k"] == "mine");

    stage.delete(&format!("{MAPS}/strangers")).await?;
    let undone = stage.undo(&restored).await?;
    ensure!(verbs(&undone.actions) == [format!("delete Namespace/{NS}")], "{:?}", undone.actions);
    ensure!(!is_there(stage).await?);
    Ok(())
}

/// A definition that was added goes after its objects, in whichever namespace; not while others' are left.
pub(super) async fn an_added_definition(stage: &Stage) -> Result<()> {
    let at = stage.moment("default").await?;
    let mut definition = definition("holders.example.com", "rooms", "Room");
    definition["metadata"]["labels"] = json!({ "scene": "holders" });
    stage.post(DEFINITIONS, definition).await?;
    let rooms = |ns: &str| format!("/apis/holders.example.com/v1/namespaces/{ns}/rooms");
    let typed = json!({ "apiVersion": "holders.example.com/v1", "kind": "Room" });
    create_when_served(&stage.client, &rooms("default"), &mine("one", typed.clone())).await?;
    let mut strangers = typed;
    strangers["metadata"] = json!({ "name": "strangers" });
    create_when_served(&stage.client, &rooms("kube-public"), &strangers).await?;
    let scope = ["-A", "-l", MINE, "--at", at.as_str(), "--allow-delete", "customresourcedefinitions"];
    let planned = async |left: &[String]| -> Result<bool> {
        let said =
            crate::scene::ask_with_cluster(&stage.hindcast, &[&["plan", "-o", "json"], scope.as_slice()].concat())
                .await?;
        // Until what is known of the new kind is closed, a plan says so instead.
        let Ok(plan) = serde_json::from_str::<super::Plan>(&said.out) else { return Ok(false) };
        Ok(codes(&plan.left) == left && verbs(&plan.actions).contains(&"delete Room/one".to_owned()))
    };
    let stays = [format!("CustomResourceDefinition/{DEFINITION} holds-others")];
    until("the definition stays for a stranger's object", SOON, async || planned(&stays).await).await?;
    stage.delete(&format!("{}/strangers", rooms("kube-public"))).await?;
    until("the definition goes with its own", SOON, async || planned(&[]).await).await?;
    let restored = stage.restore(&scope).await?;
    let order: Vec<String> = restored.actions.iter().map(|action| format!("{} {}", action.verb, action.id())).collect();
    let position =
        |wanted: &str| order.iter().position(|action| action == wanted).with_context(|| format!("{wanted}: {order:?}"));
    ensure!(position("delete Room/one")? < position(&format!("delete CustomResourceDefinition/{DEFINITION}"))?);
    stage.undo(&restored).await?;
    stage.get(&format!("{}/one", rooms("default"))).await?;
    Ok(())
}
