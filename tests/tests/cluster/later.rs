//! A version that was missed, and is recovered after the definition of its kind has changed: the server reads it
//! through the new definition, and nobody takes that for what was.

use anyhow::{Context as _, Result, ensure};
use hindcast_tests::{
    http::{JSON_PATCH, send_as},
    manifests::{DEFINITIONS, custom, definition_with_schema},
    oracle::subject::{Hindcast, Running},
    real::{Cluster, Mode, Proxy, process::Workdir},
};
use kube::Client;
use serde_json::json;

use crate::scene::{SOON, ask, ask_with_cluster, create, create_when_served, on_folder, rv, send, until};

const GIZMOS: &str = "/apis/example.com/v1/namespaces/default/gizmos";

/// The schema of the kind, with this for the field `mode`.
fn schema(mode: &serde_json::Value) -> serde_json::Value {
    json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer"}, "mode": mode,
    }}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_default_that_a_later_definition_brought_is_told_and_never_taken_for_intent() -> Result<()> {
    let _beside = crate::FIGURES.read().await;
    let cluster = Cluster::start().await?;
    let client = cluster.client();
    let between = Proxy::start(cluster.port()).await?;
    let definition = definition_with_schema("example.com", "gizmos", "Gizmo", schema(&json!({"type": "string"})));
    create(&client, DEFINITIONS, definition).await?;
    create_when_served(&client, GIZMOS, &custom("example.com/v1", "Gizmo", "g", json!({"size": 1}))).await?;

    let dir = Workdir::new()?;
    let mut hindcast = on_folder(&dir, "main", cluster.kubeconfig_via(between.port())?)?;
    let running = hindcast.run(&[]).await?;
    running.close().await?;
    let missed = missed(&client, &between).await.context("a write that is missed")?;
    let at = format!("rev:{missed}");
    until("the write is recovered", SOON, async || {
        let said = ask(&hindcast, &["show", "gizmo/g", "-n", "default", "--at", &at]).await?;
        Ok(running.close().await.is_ok() && said.out.contains("size: 2"))
    })
    .await?;
    every_answer_tells(&client, &hindcast, &running, &at).await.context("every answer tells of it")?;
    hindcast.kubeconfig = cluster.kubeconfig();
    not_intent(&hindcast, &at).await.context("a plan")?;
    running.stop().await
}

/// Missed: a write, then a definition with a default. The write is read with that from now on; its revision.
async fn missed(client: &Client, between: &Proxy) -> Result<String> {
    between.set(Mode::Refuse).await?;
    let g = format!("{GIZMOS}/g");
    let missed = send(client, "PATCH", &g, Some(json!({"spec": {"size": 2}}))).await?;
    ensure!(missed["spec"].get("mode").is_none(), "no default yet: {missed}");
    let patch = json!([{
        "op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema",
        "value": schema(&json!({"type": "string", "default": "fast"})),
    }]);
    let named = format!("{DEFINITIONS}/gizmos.example.com");
    send_as(client, "PATCH", &named, JSON_PATCH, Some(&patch)).await.context("changing the definition")?;
    until("the default is read", SOON, async || Ok(send(client, "GET", &g, None).await?["spec"]["mode"] == "fast"))
        .await?;
    between.set(Mode::Pass).await?;
    Ok(rv(&missed))
}

/// `show`, `log`, `blame` and `diff` tell how the version was read; of one that was seen as it was written they do not.
async fn every_answer_tells(client: &Client, hindcast: &Hindcast, running: &Running, at: &str) -> Result<()> {
    let why = "recovered after the definition of the kind had changed, and read through the later one";
    ask(hindcast, &["show", "gizmo/g", "-n", "default", "--at", at]).await?.is(3, &[why])?;
    ask(hindcast, &["log", "gizmo/g", "-n", "default"]).await?.is(3, &["modify!", why])?;
    ask(hindcast, &["blame", "gizmo/g", "-n", "default", "--at", at]).await?.is(3, &[why])?;
    let later =
        send(client, "PATCH", &format!("{GIZMOS}/g"), Some(json!({"spec": {"size": 3, "mode": "slow"}}))).await?;
    running.close().await?;
    let later = format!("rev:{}", rv(&later));
    ask(hindcast, &["diff", "gizmo/g", "-n", "default", "--from", at, "--to", &later]).await?.is(3, &[why])?;
    ask(hindcast, &["show", "gizmo/g", "-n", "default", "--at", &later]).await?.is(0, &["slow"])?.never(&[why])?;
    Ok(())
}

/// A plan to the version leaves out what the later definition added.
async fn not_intent(hindcast: &Hindcast, at: &str) -> Result<()> {
    let said = ask_with_cluster(hindcast, &["plan", "gizmo/g", "-n", "default", "--at", at, "-o", "json"]).await?;
    let plan = said.is(1, &["what it added is left out: /spec/mode"])?.json()?;
    let changes = plan["actions"][0]["changes"].as_array().context("the plan changes the object")?;
    ensure!(changes.iter().any(|change| change["path"].as_str().is_some_and(|path| path.contains("size"))), "{plan:#}");
    ensure!(!serde_json::to_string(changes)?.contains("fast"), "the default is taken for intent: {plan:#}");
    Ok(())
}
