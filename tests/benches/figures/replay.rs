//! An API server that replays: it lists the objects of the start, and each watch sends prepared lines once released.
//!
//! A tower service under `kube::Client`, without sockets and TLS: what is measured is the watcher. A frame is one line,
//! as a server flushes each event; after a few frames the stream yields, as a socket would run dry.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hindcast_tests::workload::{Sort, Step};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body;
use tokio::sync::watch;

use crate::ingest::Told;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Frames until a stream yields.
const BURST: usize = 16;

/// The server.
#[derive(Clone)]
pub(crate) struct Server {
    held: Arc<Held>,
    go: watch::Receiver<bool>,
    release: Arc<watch::Sender<bool>>,
}

struct Held {
    /// Path → its list.
    lists: BTreeMap<String, Bytes>,
    /// The same without items.
    samples: BTreeMap<String, Bytes>,
    /// Path → its watch.
    streams: BTreeMap<String, Vec<Bytes>>,
    core: Bytes,
    groups: Bytes,
}

fn path(sort: Sort) -> String {
    let (group, version, resource, _) = sort.names();
    if group.is_empty() { format!("/api/{version}/{resource}") } else { format!("/apis/{group}/{version}/{resource}") }
}

/// Aggregated discovery of the core group, or of the others.
fn discovery(core: bool) -> Bytes {
    let group = |sort: &Sort| {
        let (group, version, resource, kind) = sort.names();
        let scope = if *sort == Sort::Node { "Cluster" } else { "Namespaced" };
        serde_json::json!({
            "metadata": if group.is_empty() { serde_json::json!({}) } else { serde_json::json!({ "name": group }) },
            "versions": [{ "version": version, "freshness": "Current", "resources": [{
                "resource": resource, "scope": scope, "singularResource": kind.to_lowercase(),
                "responseKind": { "group": group, "version": version, "kind": kind },
                "verbs": ["get", "list", "watch"],
            }] }],
        })
    };
    let of = Sort::ALL.iter().filter(|sort| sort.names().0.is_empty() == core);
    let items: Vec<_> = of.map(group).collect();
    let list = serde_json::json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    Bytes::from(list.to_string())
}

impl Server {
    pub(crate) fn new(initial: &[Step], stream: &[Told]) -> Self {
        let rv = initial.last().map_or(0, |step| step.rv);
        let list = |items: &str| {
            let head = format!(
                "{{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{{\"resourceVersion\":\"{rv}\"}},\"items\":["
            );
            Bytes::from(format!("{head}{items}]}}"))
        };
        let mut held = Held {
            lists: BTreeMap::new(),
            samples: BTreeMap::new(),
            streams: BTreeMap::new(),
            core: discovery(true),
            groups: discovery(false),
        };
        for sort in Sort::ALL {
            let items: Vec<&str> = initial.iter().filter(|s| s.sort == sort).map(|s| s.object.as_str()).collect();
            held.lists.insert(path(sort), list(&items.join(",")));
            held.samples.insert(path(sort), list(""));
            let lines = stream.iter().filter(|told| told.step.sort == sort).map(|told| told.line.clone());
            held.streams.insert(path(sort), lines.collect());
        }
        let (release, go) = watch::channel(false);
        Self { held: Arc::new(held), go, release: Arc::new(release) }
    }

    /// Lets every watch send.
    pub(crate) fn release(&self) {
        self.release.send_replace(true);
    }

    fn answer(&self, path: &str, query: &str) -> Answer {
        let held = &self.held;
        let body = match path {
            "/version" => Bytes::from_static(b"{}"),
            "/api" => held.core.clone(),
            "/apis" => held.groups.clone(),
            _ if query.contains("watch=1") => return self.watch(path),
            _ if query.contains("limit=1&") || query.ends_with("limit=1") => match held.samples.get(path) {
                Some(list) => list.clone(),
                None => return missing(),
            },
            _ => match held.lists.get(path) {
                Some(list) => list.clone(),
                None => return missing(),
            },
        };
        Response::new(Full::new(body).boxed_unsync())
    }

    fn watch(&self, path: &str) -> Answer {
        let (held, path, go) = (self.held.clone(), path.to_owned(), self.go.clone());
        let lines = futures::stream::unfold((0_usize, go), move |(at, mut go)| {
            let line = held.streams.get(&path).and_then(|lines| lines.get(at)).cloned();
            async move {
                let _ = go.wait_for(|go| *go).await;
                if at.is_multiple_of(BURST) {
                    tokio::task::yield_now().await;
                }
                match line {
                    Some(line) => Some((Ok::<_, Infallible>(http_body::Frame::data(line)), (at + 1, go))),
                    None => std::future::pending().await,
                }
            }
        });
        Response::new(StreamBody::new(lines).boxed_unsync())
    }
}

fn missing() -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(b"{\"message\":\"no such thing\"}")).boxed_unsync());
    *answer.status_mut() = http::StatusCode::NOT_FOUND;
    answer
}

impl tower::Service<Request<Body>> for Server {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let uri = request.uri();
        ready(Ok(self.answer(uri.path(), uri.query().unwrap_or_default())))
    }
}

impl hindcast_cluster::Connector for Server {
    fn connect(&self) -> Result<kube::Client, hindcast_cluster::NoClient> {
        Ok(kube::Client::new(self.clone(), "default"))
    }
}
