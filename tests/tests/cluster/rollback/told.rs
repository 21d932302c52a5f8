//! What is called equal, what is left to whom, and how a command ends by that; under the real controllers.

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::manifests::{DEFINITIONS, claim_spec, custom, definition_with_schema, deployment, service};
use serde_json::{Value, json};

use super::{Stage, codes, verbs};
use crate::scene::{SOON, ask_with_cluster, create_when_served, until};

const NS: &str = "told";
const CORE: &str = "/api/v1/namespaces/told";
const WEB: &str = "/apis/apps/v1/namespaces/told/deployments/web";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/told/endpointslices";

/// Every row of the table of exit codes that needs a cluster, in the order in which one restore leads to the next.
pub(super) async fn what_is_equal(stage: &Stage) -> Result<()> {
    stage.namespace(NS).await?;
    stage.post(&format!("{CORE}/services"), service("web", 80)).await?;
    stage.post("/apis/apps/v1/namespaces/told/deployments", deployment("web", "registry.local/web:1")).await?;
    scale(stage, "kubectl", 4).await?;
    stage.post(SLICES, slice()).await?;
    let kept = json!({ "metadata": { "name": "kept", "finalizers": ["shop.example/stay"] }, "data": { "k": "v" } });
    stage.post(&format!("{CORE}/configmaps"), kept).await?;
    pods(stage, 4).await?;
    let at = stage.moment(NS).await?;
    by_hand(stage, &at).await.context("what people did by hand")?;
    finalizers(stage, &at).await.context("finalizers")?;
    wanting(stage, &at).await.context("for want of a flag")
}

async fn scale(stage: &Stage, manager: &str, replicas: u64) -> Result<()> {
    stage.patch(&format!("{WEB}/scale?fieldManager={manager}"), json!({ "spec": { "replicas": replicas } })).await?;
    Ok(())
}

/// Addresses that people keep, as the documentation of the label shows it.
fn slice() -> Value {
    json!({
        "metadata": { "name": "outside", "labels": {
            "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "cluster-admins" } },
        "addressType": "IPv4",
        "ports": [{ "name": "", "port": 80, "protocol": "TCP" }],
        "endpoints": [{ "addresses": ["192.0.2.1"] }],
    })
}

async fn pods(stage: &Stage, count: usize) -> Result<()> {
    until(&format!("{count} Pods"), SOON, async || Ok(stage.list(&format!("{CORE}/pods")).await?.len() == count))
        .await?;
    Ok(())
}

/// A scale by hand and hand-made addresses are put back; then nothing differs but what controllers make, and that is 0.
async fn by_hand(stage: &Stage, at: &str) -> Result<()> {
    let scope = ["-n", NS, "--at", at];
    scale(stage, "kubectl", 1).await?;
    stage.delete(&format!("{SLICES}/outside")).await?;
    pods(stage, 1).await?;
    let (said, plan) = stage.plan(&scope).await?;
    ensure!(verbs(&plan.actions) == ["create EndpointSlice/outside", "update Deployment/web"], "{said}");
    said.is(1, &["/spec/replicas"])?;
    stage.restore(&scope).await?;
    ensure!(stage.get(WEB).await?["spec"]["replicas"] == 4);
    ensure!(stage.get(&format!("{SLICES}/outside")).await?["endpoints"][0]["addresses"][0] == "192.0.2.1");
    pods(stage, 4).await?;
    let (said, plan) = stage.plan(&scope).await?;
    said.is(0, &[])?;
    let others = plan.left.iter().any(|left| left.kind == "Pod" && left.standing == "machines");
    ensure!(others && plan.left.iter().all(|left| left.standing == "machines"), "Pods differ, by controllers: {said}");
    let said = ask_with_cluster(&stage.hindcast, &[&["restore", "--yes"][..], &scope].concat()).await?;
    said.is(0, &["nothing to do; 0 left alone", "made by controllers"])?;
    Ok(())
}

/// A finalizer that somebody took away is told with the path that puts it back.
async fn finalizers(stage: &Stage, at: &str) -> Result<()> {
    let map = format!("{CORE}/configmaps/kept");
    let took = json!({ "metadata": { "finalizers": null } });
    stage.patch(&format!("{map}?fieldManager=kubectl-patch"), took.clone()).await?;
    let scope = ["-n", NS, "--at", at];
    let words = ["metadata.finalizers", "--path metadata.finalizers puts it back", "1 kept in part"];
    ask_with_cluster(&stage.hindcast, &[&["plan"][..], &scope].concat()).await?.is(1, &words)?;
    // The rest is put back, and what is kept is told as that.
    stage.patch(&map, json!({ "data": { "k": "bad" } })).await?;
    let said = ask_with_cluster(&stage.hindcast, &[&["restore", "--yes"][..], &scope].concat()).await?;
    said.is(1, &["equal but for metadata.finalizers, which is left"])?.never(&["which a controller owns"])?;
    ensure!(stage.get(&map).await?["data"]["k"] == "v");
    let one = ["ConfigMap/kept", "-n", NS, "--at", at, "--path", "metadata.finalizers"];
    stage.restore(&one).await?;
    ensure!(stage.get(&map).await?["metadata"]["finalizers"][0] == "shop.example/stay");
    let (said, _) = stage.plan(&scope).await?;
    said.is(0, &[])?;
    stage.patch(&map, took).await?;
    Ok(())
}

/// What is left alone for want of a flag is 1, though nothing else is to be done; also of an undo.
async fn wanting(stage: &Stage, at: &str) -> Result<()> {
    let scope = ["PersistentVolumeClaim/added", "-n", NS, "--at", at];
    let claim = json!({ "metadata": { "name": "added" }, "spec": claim_spec() });
    stage.post(&format!("{CORE}/persistentvolumeclaims"), claim).await?;
    let said = ask_with_cluster(&stage.hindcast, &[&["restore", "--yes"][..], &scope].concat()).await?;
    let words = ["nothing to do; 1 left alone", "--allow-delete persistentvolumeclaims does it", "nothing was done"];
    said.is(1, &words)?;
    stage.restore(&[&scope[..], &["--allow-delete", "persistentvolumeclaims"]].concat()).await?;
    Ok(())
}

/// A finalizer of a program keeps its object; a definition that lost a field, or does not take an object, is told.
pub(super) async fn custom_objects(stage: &Stage) -> Result<()> {
    const BOXES: &str = "/apis/told.example.com/v1/namespaces/default/boxes";
    const DEFINITION: &str = "boxes.told.example.com";
    let schema = |colour: Value, size: &str| {
        let mut fields = json!({ "size": { "type": size } });
        if !colour.is_null() {
            fields["colour"] = colour;
        }
        json!({ "type": "object", "properties": { "spec": { "type": "object", "properties": fields } } })
    };
    let defined = |schema: Value| definition_with_schema("told.example.com", "boxes", "Box", schema);
    let one = |name: &str, spec: Value| custom("told.example.com/v1", "Box", name, spec);
    stage.post(DEFINITIONS, defined(schema(json!({ "type": "string" }), "integer"))).await?;
    create_when_served(&stage.client, BOXES, &one("red", json!({ "size": 1, "colour": "red" }))).await?;
    let at = stage.moment("default").await?;
    let scope = ["-n", "default", "--only", "box/red,box/added", "--at", at.as_str()];
    // What a program cleans up after is not deleted by default.
    let mut added = one("added", json!({ "size": 2 }));
    added["metadata"]["finalizers"] = json!(["finalizer.managedresource.crossplane.io"]);
    stage.post(BOXES, added).await?;
    let (said, plan) = stage.plan(&scope).await?;
    ensure!(codes(&plan.left) == ["Box/added outside-cloud"], "{said}");
    said.is(1, &["Crossplane deletes the resource in the cloud", "--allow-delete boxes.told.example.com"])?;
    let (said, restored) = stage.try_restore(&scope).await?;
    ensure!(restored.actions.is_empty(), "{said}");
    said.is(1, &[])?;
    let (said, plan) = stage.plan(&[&scope[..], &["--allow-delete", "boxes.told.example.com"]].concat()).await?;
    ensure!(verbs(&plan.actions) == ["delete Box/added"], "{said}");

    // The definition loses a field, and the server drops it from what is read.
    stage.patch(&format!("{BOXES}/red"), json!({ "spec": { "size": 3 } })).await?;
    let versions = |schema: Value| json!({ "spec": { "versions": defined(schema)["spec"]["versions"] } });
    let path = format!("{DEFINITIONS}/{DEFINITION}");
    stage.patch(&path, versions(schema(Value::Null, "string"))).await?;
    until("the new schema holds", SOON, async || {
        Ok(stage.patch(&format!("{BOXES}/red"), json!({ "spec": { "size": "large" } })).await.is_ok())
    })
    .await?;
    let only = ["-n", "default", "--only", "box/red,crd/boxes.told.example.com", "--at", at.as_str(), "--check"];
    let asked = async |args: &[&str], code: i32, words: &[&str]| -> Result<bool> {
        let said = ask_with_cluster(&stage.hindcast, &[&["plan"][..], &only, args].concat()).await?;
        // Until what is known of the kind is closed again, a plan says so instead.
        if said.code == 2 {
            return Ok(false);
        }
        said.is(code, words)?.never(&["spec.colour: (not set) →"])?;
        Ok(true)
    };
    let dropped = ["stays spec.colour: (not set)", "the definition of its kind has no such field now"];
    until("a plan without the field", SOON * 2, async || asked(&[], 1, &dropped).await).await?;
    let whole = [&["plan"][..], &only, &["--with-cluster-scoped"]].concat();
    let said = ask_with_cluster(&stage.hindcast, &whole).await?;
    let later = format!("checked once its definition {DEFINITION} is put back");
    said.is(1, &["spec.colour: (not set) → red", &later])?.never(&["the server would refuse it"])?;
    Ok(())
}

/// A plan of the whole cluster counts what people changed of the system, and names the flag.
pub(super) async fn of_the_system(stage: &Stage) -> Result<()> {
    const SCHEMA: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/told";
    let schema = json!({ "metadata": { "name": "told" }, "spec": {
        "matchingPrecedence": 9000, "priorityLevelConfiguration": { "name": "global-default" }, "rules": [] } });
    stage.post("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", schema).await?;
    let at = stage.moment("default").await?;
    let system = async || -> Result<(String, Vec<String>)> {
        let said = ask_with_cluster(&stage.hindcast, &["plan", "-A", "-o", "json", "--at", &at]).await?;
        let plan = said.json()?;
        let named = plan["system"].as_array().into_iter().flatten();
        let named = named.map(|of| format!("{}/{}", of["kind"], of["name"]).replace('"', "")).collect();
        Ok((plan["notes"].to_string(), named))
    };
    let (_, before) = system().await?;
    ensure!(before.is_empty(), "machines beat, and nobody did anything: {before:?}");
    stage.patch(SCHEMA, json!({ "spec": { "matchingPrecedence": 8000 } })).await?;
    stage.post("/api/v1/namespaces/kube-system/configmaps", json!({ "metadata": { "name": "told" } })).await?;
    let (notes, named) = system().await?;
    ensure!(named == ["FlowSchema/told", "ConfigMap/told"], "{named:?}");
    ensure!(notes.contains("2 objects of the system differ") && notes.contains("--include-system"), "{notes}");
    Ok(())
}
