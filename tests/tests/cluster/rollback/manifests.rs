//! After a rollback the original manager's next apply works as if nothing had happened.

use anyhow::{Result, ensure};
use hindcast_tests::{oracle::request, rollback::client_side_patch};
use serde_json::{Value, json};

use super::Stage;
use crate::scene::send;

const APPLY: &str = "application/apply-patch+yaml";

async fn apply(
    stage: &Stage,
    path: &str,
    manager: &str,
    force: bool,
    manifest: &Value,
) -> Result<Value> {
    let path = format!("{path}?fieldManager={manager}&force={force}");
    let (status, body) =
        request(&stage.client, "PATCH", &path, Some(manifest.to_string().into_bytes()), APPLY)
            .await?;
    let text = String::from_utf8_lossy(&body);
    ensure!((200..300).contains(&status), "apply by {manager} to {path}: {status} {text}");
    Ok(serde_json::from_slice(&body)?)
}

fn deployment(image: &str, extra: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "labels": { "release": extra } },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": image, "env": [{ "name": "RELEASE", "value": extra }] }] },
            },
        },
    })
}

fn map(data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "app" }, "data": data })
}

fn service(port: u64) -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "name": "http", "port": port, "protocol": "TCP" }] } })
}

pub(super) async fn server_side(stage: &Stage) -> Result<()> {
    let ns = "server-side";
    stage.namespace(ns).await?;
    let web = format!("/apis/apps/v1/namespaces/{ns}/deployments/web");
    let (app, svc) = (
        format!("/api/v1/namespaces/{ns}/configmaps/app"),
        format!("/api/v1/namespaces/{ns}/services/web"),
    );
    let good = [
        (&web, deployment("registry.local/good:1", "one")),
        (&app, map(json!({ "mode": "good", "shared": "x" }))),
        (&svc, service(80)),
    ];
    for (path, manifest) in &good {
        apply(stage, path, "ci", false, manifest).await?;
    }
    // A second manager owns a field beside.
    apply(stage, &app, "tuner", false, &map(json!({ "tuned": "1" }))).await?;
    let at = stage.moment(ns).await?;

    // One is edited by hand, one applied anew, one taken over by force, one deleted.
    apply(stage, &web, "ci", false, &deployment("registry.local/bad:2", "two")).await?;
    stage.patch(&format!("{web}?fieldManager=kubectl-edit"), json!({ "spec": { "minReadySeconds": 7, "template": { "spec": { "containers": [{ "name": "c", "image": "registry.local/hand:3" }] } } } })).await?;
    apply(stage, &app, "thief", true, &map(json!({ "mode": "stolen", "tuned": "9" }))).await?;
    stage.delete(&svc).await?;
    stage.restore(&["-n", ns, "--at", &at]).await?;

    // The next deploy, without force; and again what is there, which must change nothing.
    for (path, manifest) in &good {
        let before = stage.get(path).await?;
        let after = apply(stage, path, "ci", false, manifest).await?;
        ensure!(
            applied(&before) == applied(&after),
            "an apply of what is there changed something: {before}\n{after}"
        );
    }
    let next =
        apply(stage, &web, "ci", false, &deployment("registry.local/good:4", "four")).await?;
    let container = &next["spec"]["template"]["spec"]["containers"][0];
    ensure!(
        container["image"] == "registry.local/good:4"
            && container["env"] == json!([{ "name": "RELEASE", "value": "four" }]),
        "{next}"
    );
    // What `ci` no longer names goes, which shows that it is `ci`'s alone.
    let next = apply(stage, &app, "ci", false, &map(json!({ "mode": "better" }))).await?;
    ensure!(next["data"] == json!({ "mode": "better", "tuned": "1" }), "{next}");
    let next = apply(stage, &app, "tuner", false, &map(json!({ "tuned": "2" }))).await?;
    ensure!(next["data"] == json!({ "mode": "better", "tuned": "2" }), "{next}");
    apply(stage, &svc, "ci", false, &service(81)).await?;
    Ok(())
}

/// What an object has of `ci`, with the moment it wrote it; controllers may write beside.
fn applied(object: &Value) -> [Value; 5] {
    let managed = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let own = managed.filter(|m| m["manager"] == "ci").cloned().collect();
    let of = |part: &str| object[part].clone();
    [own, object["metadata"]["labels"].clone(), of("spec"), of("data"), of("binaryData")]
}

pub(super) async fn client_side(stage: &Stage) -> Result<()> {
    let ns = "client-side";
    stage.namespace(ns).await?;
    let maps = format!("/api/v1/namespaces/{ns}/configmaps");
    let path = format!("{maps}/app");
    let by = "?fieldManager=kubectl-client-side-apply";
    let first = client_side_patch(&json!({}), map(json!({ "kept": "1", "dropped-later": "1" })));
    send(&stage.client, "POST", &format!("{maps}{by}"), Some(first)).await?;
    let at = stage.moment(ns).await?;
    let live = stage.get(&path).await?;
    send(
        &stage.client,
        "PATCH",
        &format!("{path}{by}"),
        Some(client_side_patch(&live, map(json!({ "kept": "2", "bad": "1" })))),
    )
    .await?;
    ensure!(stage.get(&path).await?["data"] == json!({ "kept": "2", "bad": "1" }));

    stage.restore(&["-n", ns, "--at", &at]).await?;
    let live = stage.get(&path).await?;
    ensure!(live["data"] == json!({ "kept": "1", "dropped-later": "1" }), "{live}");
    // The next apply drops a key, which works only if what was applied last is remembered as it was then.
    let next = send(
        &stage.client,
        "PATCH",
        &format!("{path}{by}"),
        Some(client_side_patch(&live, map(json!({ "kept": "3" })))),
    )
    .await?;
    ensure!(next["data"] == json!({ "kept": "3" }), "{next}");
    Ok(())
}
