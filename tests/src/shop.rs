//! The application of the demo: what is deployed, how it is broken, and its state as the API server tells it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Client;
use serde_json::{Value, json};

use crate::{
    http::{JSON, STRATEGIC_MERGE, find, send_as},
    manifests::{self, DEFINITIONS, NAMESPACES, autoscaler, config_map, custom, definition_with_schema, namespace},
    until::succeeds,
};

const COUPONS: &str = "/apis/shop.example/v1/namespaces/shop/coupons";
const CORE: &str = "/api/v1/namespaces/shop";
const APPS: &str = "/apis/apps/v1/namespaces/shop";
const AUTOSCALERS: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers";

/// Deploys it.
pub async fn deploy(client: &Client) -> Result<()> {
    create(client, NAMESPACES, namespace("shop")).await?;
    create(client, DEFINITIONS, coupon_kind()).await?;
    let settings = json!({ "database": "postgres://db.shop.svc/shop", "currency": "USD", "theme": "dark" });
    create(client, &format!("{CORE}/configmaps"), config_map("settings", settings)).await?;
    let database = json!({ "metadata": { "name": "db" }, "data": { "password": "aHVudGVyMjI=" } });
    create(client, &format!("{CORE}/secrets"), database).await?;
    for (name, replicas) in [("web", 2), ("worker", 1)] {
        create(client, &format!("{APPS}/deployments"), deployment(name, replicas)).await?;
    }
    let web = json!({
        "metadata": { "name": "web" }, "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
    });
    create(client, &format!("{CORE}/services"), web).await?;
    create(client, AUTOSCALERS, autoscaler("web", 2, 6)).await?;
    for (name, percent) in [("welcome", 10), ("summer", 25)] {
        served(client, custom("shop.example/v1", "Coupon", name, json!({ "percent": percent }))).await?;
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
    as_ci(client, "DELETE", &format!("{CORE}/services/web"), None).await?;
    as_ci(client, "DELETE", &format!("{COUPONS}/welcome"), None).await?;
    create(client, &format!("{CORE}/configmaps"), config_map("stray", json!({ "left": "behind" }))).await
}

/// What the owners of the shop meant, of every object of theirs: read from the API server, nothing of Hindcast in
/// between.
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
        let list = find(client, &collection).await?.with_context(|| format!("{collection} is not served"))?;
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
    let schema = json!({ "type": "object", "properties": { "spec": spec } });
    definition_with_schema("shop.example", "coupons", "Coupon", schema)
}

fn deployment(name: &str, replicas: u64) -> Value {
    let mut deployment = manifests::deployment(name, "registry.local/shop:v1");
    deployment["metadata"]["labels"] = json!({ "app": name });
    deployment["spec"]["replicas"] = json!(replicas);
    let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    container["name"] = json!(name);
    container["envFrom"] = json!([{ "configMapRef": { "name": "settings" } }]);
    deployment
}

/// Creates a coupon as soon as its new kind is served.
async fn served(client: &Client, coupon: Value) -> Result<()> {
    let made = async || create(client, COUPONS, coupon.clone()).await;
    succeeds("coupons are served", Duration::from_secs(20), made).await
}

async fn create(client: &Client, path: &str, object: Value) -> Result<()> {
    as_ci(client, "POST", path, Some((object, JSON))).await
}

async fn patch(client: &Client, path: &str, change: Value) -> Result<()> {
    as_ci(client, "PATCH", path, Some((change, STRATEGIC_MERGE))).await
}

/// One write by the field manager `ci`.
async fn as_ci(client: &Client, method: &str, path: &str, body: Option<(Value, &str)>) -> Result<()> {
    let (body, content_type) = body.map_or((None, ""), |(body, content_type)| (Some(body), content_type));
    send_as(client, method, &format!("{path}?fieldManager=ci"), content_type, body.as_ref()).await?;
    Ok(())
}
