//! An aggregated API: a group that the API server passes on to a server of the testbed, which can be down.
//!
//! It serves one namespaced kind, `Gadget` of `testbed.hindcast.io/v1`: discovery, get, list and watch. It counts
//! revisions of its own, so it is a revision domain of its own. What exists is decided by the test, not by clients.
//!
//! - It keeps every event, so that any revision can be listed and watched from, until [`AggregatedApi::compact`].
//! - Its objects survive [`AggregatedApi::down`], as a store behind a crashed server would.
//!
//! The API server finds it through a Service of type `ExternalName`, the only kind that leads to loopback.

use super::cluster::Cluster;
use super::https::{self, Body, HttpsServer};
use crate::until::succeeds;
use anyhow::Result;
use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The group it serves.
pub const GROUP: &str = "testbed.hindcast.io";
const SERVICE: &str = "aggregated";
const SERVICE_NAMESPACE: &str = "kube-system";

/// A running, registered aggregated API.
pub struct AggregatedApi {
    server: HttpsServer,
    store: Arc<Store>,
    client: Client,
}

#[derive(Debug)]
struct Store {
    state: Mutex<State>,
    /// The revision, for watchers to wait on.
    revision: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// Every event, in order; the n-th has revision n + 1.
    events: Vec<Event>,
    /// Revisions below this are gone.
    compacted: u64,
}

#[derive(Clone, Debug)]
struct Event {
    kind: &'static str,
    object: Value,
}

impl AggregatedApi {
    /// Starts the server, registers it, and returns when the API server passes requests on to it.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let store = Arc::new(Store { state: Mutex::default(), revision: watch::Sender::new(0) });
        let name = format!("{SERVICE}.{SERVICE_NAMESPACE}.svc");
        let identity = cluster.authority().serving(&[&name])?;
        let handled = Arc::clone(&store);
        let server = HttpsServer::start(identity, move |request| answer(&handled, &request)).await?;
        let api = Self { server, store, client: cluster.client() };
        api.register(&cluster.authority().pem()).await?;
        api.wait_until_served(Duration::from_mins(1)).await?;
        Ok(api)
    }

    /// Creates or changes a gadget; returns its resourceVersion.
    pub fn put(&self, namespace: &str, name: &str, spec: Value) -> u64 {
        self.store.write(namespace, name, Some(spec))
    }

    /// Deletes a gadget; returns the delete's own resourceVersion.
    pub fn delete(&self, namespace: &str, name: &str) -> u64 {
        self.store.write(namespace, name, None)
    }

    /// Forgets every revision before the current one: older ones are answered with 410.
    pub fn compact(&self) {
        let mut state = self.store.state();
        state.compacted = state.events.len() as u64;
    }

    /// Stops serving; requests to the group are answered with 503 by the API server.
    pub async fn down(&mut self) {
        self.server.down().await;
    }

    /// Serves again, the same objects, and returns when the API server passes requests on.
    pub async fn up(&mut self) -> Result<()> {
        self.server.up().await?;
        self.wait_until_served(Duration::from_mins(2)).await
    }

    /// Takes the registration away: the group is gone from discovery.
    pub async fn unregister(&self) -> Result<()> {
        let name = format!("v1.{GROUP}");
        self.api_services().delete(&name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Registers it again after [`Self::unregister`] or in a cluster that lost it. `ca` is the cluster's authority.
    async fn register(&self, ca: &str) -> Result<()> {
        let service = json!({
            "metadata": {"name": SERVICE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        });
        let services: Api<k8s_openapi::api::core::v1::Service> =
            Api::namespaced(self.client.clone(), SERVICE_NAMESPACE);
        services.create(&PostParams::default(), &serde_json::from_value(service)?).await?;
        let api_service = json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": format!("v1.{GROUP}")},
            "spec": {
                "group": GROUP,
                "version": "v1",
                "groupPriorityMinimum": 1000,
                "versionPriority": 10,
                "caBundle": BASE64_STANDARD.encode(ca),
                "service": {
                    "name": SERVICE, "namespace": SERVICE_NAMESPACE, "port": self.server.port(),
                },
            },
        });
        let api_service = serde_json::from_value(api_service)?;
        self.api_services().create(&PostParams::default(), &api_service).await?;
        Ok(())
    }

    fn api_services(&self) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("apiregistration.k8s.io", "v1", "APIService");
        Api::all_with(self.client.clone(), &ApiResource::from_gvk(&gvk))
    }

    async fn wait_until_served(&self, within: Duration) -> Result<()> {
        succeeds(format!("the API server passes {GROUP} on"), within, async || {
            let list = http::Request::get(format!("/apis/{GROUP}/v1/gadgets")).body(Vec::new())?;
            self.client.request_text(list).await?;
            Ok(())
        })
        .await
    }
}

impl Store {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panicking holder leaves a consistent value behind: each change is one push or one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, namespace: &str, name: &str, spec: Option<Value>) -> u64 {
        let mut state = self.state();
        let revision = state.events.len() as u64 + 1;
        let before = state.at(u64::MAX).remove(&key(namespace, name));
        let kind = match (&before, &spec) {
            (None, _) => "ADDED",
            (Some(_), Some(_)) => "MODIFIED",
            (Some(_), None) => "DELETED",
        };
        let mut object = before.unwrap_or_else(|| {
            json!({
                "apiVersion": format!("{GROUP}/v1"),
                "kind": "Gadget",
                "metadata": {
                    "namespace": namespace,
                    "name": name,
                    "uid": format!("00000000-0000-4000-8000-{revision:012}"),
                    "creationTimestamp": "2020-01-01T00:00:00Z",
                },
            })
        });
        object["metadata"]["resourceVersion"] = json!(revision.to_string());
        if let Some(spec) = spec {
            object["spec"] = spec;
        }
        state.events.push(Event { kind, object });
        drop(state);
        self.revision.send_replace(revision);
        revision
    }
}

impl State {
    /// What existed at a revision, by key.
    fn at(&self, revision: u64) -> BTreeMap<String, Value> {
        let mut objects = BTreeMap::new();
        for event in self.events.iter().take(revision as usize) {
            let metadata = &event.object["metadata"];
            let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
            let key = key(&text("namespace"), &text("name"));
            if event.kind == "DELETED" {
                objects.remove(&key);
            } else {
                objects.insert(key, event.object.clone());
            }
        }
        objects
    }
}

fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

fn answer(store: &Arc<Store>, request: &Request<Bytes>) -> Response<Body> {
    let path = request.uri().path().trim_end_matches('/');
    let prefix = format!("/apis/{GROUP}/v1");
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let Some(rest) = path.strip_prefix(&prefix) else {
        // Version-less discovery and OpenAPI: the API server does without.
        return failure(404, "NotFound", "not served here");
    };
    match rest.split('/').skip(1).collect::<Vec<_>>()[..] {
        [] => https::json(200, &discovery()),
        ["gadgets"] => collection(store, None, &query),
        ["namespaces", namespace, "gadgets"] => collection(store, Some(namespace), &query),
        ["namespaces", namespace, "gadgets", name] => match store.state().at(u64::MAX).get(&key(namespace, name)) {
            Some(object) => https::json(200, object),
            None => failure(404, "NotFound", "no such gadget"),
        },
        _ => failure(404, "NotFound", "not served here"),
    }
}

fn discovery() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "APIResourceList",
        "groupVersion": format!("{GROUP}/v1"),
        "resources": [{
            "name": "gadgets",
            "singularName": "gadget",
            "namespaced": true,
            "kind": "Gadget",
            "verbs": ["get", "list", "watch"],
        }],
    })
}

fn collection(store: &Arc<Store>, namespace: Option<&str>, query: &BTreeMap<String, String>) -> Response<Body> {
    let value = |name: &str| query.get(name).map(String::as_str);
    let state = store.state();
    let newest = state.events.len() as u64;
    let asked = value("resourceVersion").and_then(|rv| rv.parse().ok()).unwrap_or(0_u64);
    if value("watch").is_some_and(|watch| watch == "true" || watch == "1") {
        if asked != 0 && asked < state.compacted {
            return failure(410, "Expired", "too old resource version");
        }
        let from = if asked == 0 { newest } else { asked };
        let bookmarks = value("allowWatchBookmarks") == Some("true");
        drop(state);
        let stream = watch(Arc::clone(store), namespace.map(str::to_owned), from, bookmarks);
        let some = stream.filter(|lines| std::future::ready(!lines.is_empty()));
        let frames = some.map(|lines| Ok(Frame::data(Bytes::from(lines))));
        return Response::builder()
            .header("content-type", "application/json")
            .body(BodyExt::boxed(StreamBody::new(frames)))
            .expect("the parts are constant and valid");
    }
    let exact = value("resourceVersionMatch") == Some("Exact");
    if exact && asked < state.compacted {
        return failure(410, "Expired", "the provided resource version is too old");
    }
    let revision = if exact { asked } else { newest };
    let items: Vec<Value> = state.at(revision).into_values().filter(|object| is_in(object, namespace)).collect();
    https::json(
        200,
        &json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": "GadgetList",
            "metadata": {"resourceVersion": revision.to_string()},
            "items": items,
        }),
    )
}

/// The events after `from` as lines, then those to come, with a bookmark now and then.
fn watch(
    store: Arc<Store>,
    namespace: Option<String>,
    from: u64,
    bookmarks: bool,
) -> impl Stream<Item = String> + Send + Sync {
    let revision = store.revision.subscribe();
    futures::stream::unfold((store, revision, from), move |(store, mut revision, seen)| {
        let namespace = namespace.clone();
        async move {
            let more = revision.wait_for(|revision| *revision > seen);
            let waited = tokio::time::timeout(Duration::from_secs(1), more).await.is_err();
            let state = store.state();
            let newest = state.events.len() as u64;
            let mut lines: Vec<String> = state
                .events
                .iter()
                .skip(seen as usize)
                .filter(|event| is_in(&event.object, namespace.as_deref()))
                .map(|event| format!("{}\n", json!({"type": event.kind, "object": event.object})))
                .collect();
            drop(state);
            if waited && bookmarks {
                let metadata = json!({"resourceVersion": newest.to_string()});
                let api_version = format!("{GROUP}/v1");
                let object = json!({"apiVersion": api_version, "kind": "Gadget", "metadata": metadata});
                lines.push(format!("{}\n", json!({"type": "BOOKMARK", "object": object})));
            }
            Some((lines.concat(), (store, revision, newest)))
        }
    })
}

fn is_in(object: &Value, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace)
}

fn failure(code: u16, reason: &str, message: &str) -> Response<Body> {
    https::json(
        code,
        &json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure",
            "code": code, "reason": reason, "message": message,
        }),
    )
}
