//! A kind that is stored in one version and served in another, so that every list and watch of it needs a conversion.

use anyhow::Result;
use kube::Client;
use serde_json::{Value, json};

use crate::{
    http::{create, send},
    manifests::{DEFINITIONS, any_schema, custom, definition},
    oracle::Kind,
    real::Cluster,
    until::{SOON, succeeds},
};

const GROUP: &str = "stuck.example.com";

/// The kind `Part`, served as `v2`, with the object `one` in the namespace `default`.
pub struct Conversion {
    client: Client,
}

impl Conversion {
    /// The kind.
    pub const KIND: Kind = Kind {
        api: "/apis/stuck.example.com/v2",
        group: GROUP,
        resource: "parts",
        kind: "Part",
        namespaced: true,
        status: false,
        scale: false,
    };

    const PATH: &str = "/apis/stuck.example.com/v2/namespaces/default/parts";

    /// Defines it, and returns when it is served.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let schema = json!({ "openAPIV3Schema": any_schema() });
        let mut parts = definition(GROUP, "parts", "Part");
        parts["spec"]["versions"] = json!([
            {"name": "v1", "served": false, "storage": true, "schema": schema},
            {"name": "v2", "served": true, "storage": false, "schema": schema},
        ]);
        let client = cluster.client();
        create(&client, DEFINITIONS, parts).await?;
        let one = custom(&format!("{GROUP}/v2"), "Part", "one", json!({"size": 1}));
        succeeds("parts are served", SOON, async || create(&client, Self::PATH, one.clone()).await).await?;
        Ok(Self { client })
    }

    /// From now on a webhook converts, and no server answers at its address.
    pub async fn nobody_answers(&self) -> Result<()> {
        self.convert(json!({
            "strategy": "Webhook",
            "webhook": {
                "conversionReviewVersions": ["v1"],
                "clientConfig": {"url": "https://127.0.0.1:1/convert", "caBundle": null},
            },
        }))
        .await
    }

    /// From now on no webhook is needed.
    pub async fn answered(&self) -> Result<()> {
        self.convert(json!({"strategy": "None", "webhook": null})).await
    }

    /// Writes to its object.
    pub async fn size(&self, size: u32) -> Result<()> {
        let patch = json!({"spec": {"size": size}});
        send(&self.client, "PATCH", &format!("{}/one", Self::PATH), Some(patch)).await?;
        Ok(())
    }

    async fn convert(&self, conversion: Value) -> Result<()> {
        let patch = json!({"spec": {"conversion": conversion}});
        send(&self.client, "PATCH", &format!("{DEFINITIONS}/parts.{GROUP}"), Some(patch)).await?;
        Ok(())
    }
}
