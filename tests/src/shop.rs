//! The application of the demo: what is deployed, how it is broken, and its state as the API server tells it.

use anyhow::{Result, ensure};
use kube::Client;
use serde_json::{Value, json};

use crate::oracle::request;

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const COUPONS: &str = "/apis/shop.example/v1/namespaces/shop/coupons";
const CORE: &str = "/api/v1/namespaces/shop";
const APPS: &str = "/apis/apps/v1/namespaces/shop";
const AUTOSCALERS: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers";

/// Deploys it.
pub async fn deploy(client: &Client) -> Result<()> {
    create(client, "/api/v1/namespaces", json!({ "metadata": { "name": "shop" } })).await?;
    create(client, CRDS, coupon_kind()).await?;
    create(
        client,
        &format!("{CORE}/configmaps"),
        json!({
            "metadata": { "name": "settings" },
            "data": { "database": "postgres://db.shop.svc/shop", "currency": "USD", "theme": "dark" },
        }),
    )
    .await?;
    create(
        client,
        &format!("{CORE}/secrets"),
        json!({
            "metadata": { "name": "db" }, "data": { "password": "aHVudGVyMjI=" },
        }),
    )
    .await?;
    for (name, replicas) in [("web", 2), ("worker", 1)] {
        create(client, &format!("{APPS}/deployments"), deployment(name, replicas)).await?;
    }
    create(
        client,
        &format!("{CORE}/services"),
        json!({
            "metadata": { "name": "web" }, "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
        }),
    )
    .await?;
    create(
        client,
        AUTOSCALERS,
        json!({
            "metadata": { "name": "web" },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
                "minReplicas": 2, "maxReplicas": 6,
            },
        }),
    )
    .await?;
    for (name, percent) in [("welcome", 10), ("summer", 25)] {
        let coupon = json!({
            "apiVersion": "shop.example/v1", "kind": "Coupon",
            "metadata": { "name": name }, "spec": { "percent": percent },
        });
        served(client, coupon).await?;
    }
    Ok(())
}

/// The last good change.
pub async fn good_change(client: &Client) -> Result<()> {
    let change = json!({ "data": { "currency": "EUR" } });
    patch(client, &format!("{CORE}/configmaps/settings"), change).await
}

/// The change that breaks it.
pub async fn bad_deploy(client: &Client) -> Result<()> {
    let image = json!({ "name": "web", "image": "registry.local/shop:v2-broken" });
    let template = json!({ "spec": { "template": { "spec": { "containers": [image] } } } });
    patch(client, &format!("{APPS}/deployments/web"), template).await?;
    patch(client, &format!("{CORE}/configmaps/settings"), json!({ "data": { "database": null } })).await?;
    send(client, "DELETE", &format!("{CORE}/services/web"), None).await?;
    send(client, "DELETE", &format!("{COUPONS}/welcome"), None).await?;
    let stray = json!({ "metadata": { "name": "stray" }, "data": { "left": "behind" } });
    create(client, &format!("{CORE}/configmaps"), stray).await
}

/// What the owners of the shop meant, of every object of theirs: read from the API server, nothing of Hindcast in between.
pub async fn intent(client: &Client) -> Result<Value> {
    let mut all = serde_json::Map::new();
    for (collection, fields) in [
        (format!("{CORE}/configmaps"), &["data"][..]),
        (format!("{CORE}/secrets"), &["data", "type"]),
        (format!("{CORE}/services"), &["spec/selector", "spec/ports", "spec/type"]),
        (format!("{APPS}/deployments"), &["spec"]),
        (AUTOSCALERS.to_owned(), &["spec"]),
        (COUPONS.to_owned(), &["spec"]),
    ] {
        let (status, body) = request(client, "GET", &collection, None, "").await?;
        ensure!(status == 200, "GET {collection}: {status}");
        let list: Value = serde_json::from_slice(&body)?;
        for item in list.get("items").and_then(Value::as_array).into_iter().flatten() {
            let name = item.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            // Every namespace has one, and the controller manager writes it.
            if name == "kube-root-ca.crt" {
                continue;
            }
            let picked = fields.iter().map(|f| item.pointer(&format!("/{f}")).cloned().unwrap_or_default());
            all.insert(format!("{collection}/{name}"), picked.collect());
        }
    }
    Ok(Value::Object(all))
}

fn coupon_kind() -> Value {
    let percent = json!({ "type": "integer", "minimum": 1, "maximum": 90 });
    let spec = json!({ "type": "object", "properties": { "percent": percent } });
    json!({
        "metadata": { "name": "coupons.shop.example" },
        "spec": {
            "group": "shop.example", "scope": "Namespaced",
            "names": { "plural": "coupons", "singular": "coupon", "kind": "Coupon" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": spec } } },
            }],
        },
    })
}

fn deployment(name: &str, replicas: u64) -> Value {
    let labels = json!({ "app": name });
    let settings = json!([{ "configMapRef": { "name": "settings" } }]);
    json!({
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": name, "image": "registry.local/shop:v1", "envFrom": settings }] },
            },
        },
    })
}

/// Creates a coupon as soon as its new kind is served.
async fn served(client: &Client, coupon: Value) -> Result<()> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while let Err(error) = create(client, COUPONS, coupon.clone()).await {
        if tokio::time::Instant::now() > deadline {
            return Err(error);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn create(client: &Client, path: &str, object: Value) -> Result<()> {
    send(client, "POST", path, Some((object, "application/json"))).await
}

async fn patch(client: &Client, path: &str, change: Value) -> Result<()> {
    send(client, "PATCH", path, Some((change, "application/strategic-merge-patch+json"))).await
}

async fn send(client: &Client, method: &str, path: &str, body: Option<(Value, &str)>) -> Result<()> {
    let (bytes, content_type) = match body {
        Some((body, content_type)) => (Some(serde_json::to_vec(&body)?), content_type),
        None => (None, ""),
    };
    let path = format!("{path}?fieldManager=ci");
    let (status, answer) = request(client, method, &path, bytes, content_type).await?;
    ensure!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
    Ok(())
}
