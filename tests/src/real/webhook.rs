//! An admission webhook whose verdicts a test decides.
//!
//! It is reached by `clientConfig.url` on loopback, and signed by the cluster's own authority. Dropping it takes
//! the server away and leaves its configuration, as a crashed webhook would; [`Webhook::remove`] takes both.

use super::cluster::Cluster;
use super::https::{self, Body, HttpsServer};
use crate::until::{SOON, until};
use anyhow::Result;
use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a webhook says to one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Admitted as it is.
    Allow,
    /// Refused with this message.
    Deny(String),
    /// Admitted with this JSON patch (an array of operations) applied. Of mutating webhooks only.
    Patch(Value),
}

/// Whether a webhook may change what it admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookKind {
    /// Admits or refuses.
    Validating,
    /// May also change.
    Mutating,
}

/// A running, registered webhook.
pub struct Webhook {
    server: HttpsServer,
    asked: Arc<AtomicU64>,
    client: Client,
    kind: WebhookKind,
    name: String,
}

impl Webhook {
    /// Starts the server, registers it as `name`, and returns once the API server asks it, which takes it a while.
    ///
    /// `rules` are those of a webhook configuration, such as
    /// `[{"apiGroups": [""], "apiVersions": ["*"], "resources": ["pods"], "operations": ["*"]}]`. `decide` gets
    /// the `request` of each `AdmissionReview`. While the webhook is down, what it is asked about is refused.
    pub async fn start(
        cluster: &Cluster,
        name: &str,
        kind: WebhookKind,
        rules: Value,
        decide: impl Fn(&Value) -> Verdict + Send + Sync + 'static,
    ) -> Result<Self> {
        let (asked, probed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (count, seen) = (Arc::clone(&asked), Arc::clone(&probed));
        let identity = cluster.authority().serving(&[])?;
        let server = HttpsServer::start(identity, move |request| {
            if request.uri().path() == "/probe" {
                seen.fetch_add(1, Ordering::Relaxed);
                return review(&request, |_| Verdict::Allow);
            }
            count.fetch_add(1, Ordering::Relaxed);
            review(&request, &decide)
        })
        .await?;
        let webhook = Self { server, asked, client: cluster.client(), kind, name: name.to_owned() };
        let configuration = webhook.configuration(rules, &cluster.authority().pem());
        webhook.api().create(&PostParams::default(), &serde_json::from_value(configuration)?).await?;
        webhook.wait_until_asked(&probed).await?;
        Ok(webhook)
    }

    /// How many requests it was asked about.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Stops answering, as a crashed webhook would.
    pub async fn down(&mut self) {
        self.server.down().await;
    }

    /// Answers again.
    pub async fn up(&mut self) -> Result<()> {
        self.server.up().await
    }

    /// Takes the configuration away, and the server with it.
    pub async fn remove(self) -> Result<()> {
        self.api().delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }

    fn kind_name(&self) -> &'static str {
        match self.kind {
            WebhookKind::Validating => "ValidatingWebhookConfiguration",
            WebhookKind::Mutating => "MutatingWebhookConfiguration",
        }
    }

    fn api(&self) -> Api<DynamicObject> {
        let group = "admissionregistration.k8s.io";
        let gvk = GroupVersionKind::gvk(group, "v1", self.kind_name());
        Api::all_with(self.client.clone(), &ApiResource::from_gvk(&gvk))
    }

    /// Two webhooks in one configuration, which the API server takes up as a whole: the test's, and one for
    /// [`Self::wait_until_asked`] that sees nothing else.
    fn configuration(&self, rules: Value, ca: &str) -> Value {
        let webhook = |name: &str, path: &str, rules: Value, selector: Value| {
            json!({
                "name": format!("{name}.{}.testbed", self.name),
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{}{path}", self.server.port()),
                    "caBundle": BASE64_STANDARD.encode(ca),
                },
                "rules": rules,
                "objectSelector": selector,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 5,
            })
        };
        let probed = json!([{
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"],
        }]);
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": self.kind_name(),
            "metadata": {"name": self.name},
            "webhooks": [
                webhook("probe", "/probe", probed, json!({"matchLabels": {"testbed-probe": self.name}})),
                webhook("decide", "/decide", rules, json!({"matchExpressions": [
                    {"key": "testbed-probe", "operator": "DoesNotExist"},
                ]})),
            ],
        })
    }

    async fn wait_until_asked(&self, probed: &AtomicU64) -> Result<()> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), "default");
        let probe = serde_json::from_value(json!({
            "metadata": {"generateName": "probe-", "labels": {"testbed-probe": self.name}},
        }))?;
        let dry_run = PostParams { dry_run: true, ..Default::default() };
        until(format!("the API server asks the webhook {}", self.name), SOON * 2, async || {
            // Refused when other rules of this configuration deny it; that it was asked is what counts.
            let _ = maps.create(&dry_run, &probe).await;
            Ok(probed.load(Ordering::Relaxed) > 0)
        })
        .await?;
        Ok(())
    }
}

/// Answers one `AdmissionReview`.
fn review(request: &Request<Bytes>, decide: impl Fn(&Value) -> Verdict) -> Response<Body> {
    let Ok(review) = serde_json::from_slice::<Value>(request.body()) else {
        return https::json(400, &json!({"message": "not an AdmissionReview"}));
    };
    let asked = &review["request"];
    let mut response = json!({"uid": asked["uid"], "allowed": true});
    match decide(asked) {
        Verdict::Allow => {}
        Verdict::Deny(message) => {
            response["allowed"] = json!(false);
            response["status"] = json!({"code": 403, "message": message});
        }
        Verdict::Patch(patch) => {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(BASE64_STANDARD.encode(patch.to_string()));
        }
    }
    https::json(200, &json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}))
}
