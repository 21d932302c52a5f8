//! Random writers: what they write, and what the server answered.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use hindcast_journal::exact;
use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    http::{APPLY, JSON, MERGE, answers_with, create_unless_there, request},
    manifests::{DEFINITIONS, NAMESPACES, definition, namespace},
    sim::rng::Rng,
    until::until,
};

/// A kind that is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// `/api/v1` or `/apis/group/version`.
    pub api: &'static str,
    /// API group.
    pub group: &'static str,
    /// Plural name.
    pub resource: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Whether objects have a namespace.
    pub namespaced: bool,
    /// Whether there is a `status` subresource to write.
    pub status: bool,
    /// Whether there is a `scale` subresource.
    pub scale: bool,
}

impl Kind {
    /// As rows name it.
    pub fn key(&self) -> String {
        format!("{}/{}", self.group, self.resource)
    }
}

const fn kind(api: &'static str, group: &'static str, resource: &'static str, kind: &'static str) -> Kind {
    Kind { api, group, resource, kind, namespaced: true, status: false, scale: false }
}

/// Events, which may be in a domain of their own and are protected only where that was asked for.
pub const EVENTS: Kind = kind("/api/v1", "", "events", "Event");

/// The kinds that writers use in the main domain.
pub fn kinds() -> Vec<Kind> {
    vec![
        kind("/api/v1", "", "configmaps", "ConfigMap"),
        kind("/api/v1", "", "secrets", "Secret"),
        kind("/api/v1", "", "serviceaccounts", "ServiceAccount"),
        Kind { status: true, ..kind("/api/v1", "", "pods", "Pod") },
        Kind { status: true, ..kind("/api/v1", "", "persistentvolumeclaims", "PersistentVolumeClaim") },
        Kind { status: true, scale: true, ..kind("/apis/apps/v1", "apps", "deployments", "Deployment") },
        kind("/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io", "roles", "Role"),
        Kind {
            namespaced: false,
            ..kind("/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io", "clusterroles", "ClusterRole")
        },
        kind("/apis/oracle.hindcast.dev/v1", "oracle.hindcast.dev", "blobs", "Blob"),
        Kind { status: true, ..kind("/apis/oracle.hindcast.dev/v1", "oracle.hindcast.dev", "gauges", "Gauge") },
    ]
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// POST.
    Create,
    /// PUT.
    Replace,
    /// PATCH of the object.
    Patch,
    /// PATCH of `status`.
    Status,
    /// PATCH of `scale`.
    Scale,
    /// DELETE.
    Delete,
}

/// One acknowledged write.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The kind.
    pub kind: Kind,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// What was asked.
    pub verb: Verb,
    /// What the server answered, as received.
    pub body: Vec<u8>,
    /// Microseconds since 1970 before the request was sent.
    pub sent: i64,
    /// Microseconds since 1970 after the answer was there.
    pub answered: i64,
}

impl Answer {
    /// Whether it shows the last moment of an object: what a delete is answered with, and what is left of a terminating
    /// object when its last finalizer goes. The latter is never stored, and names the revision of the state before.
    pub fn terminated(&self, object: &exact::Value) -> bool {
        self.verb == Verb::Delete
            || (object.pointer("/metadata/deletionTimestamp").is_some()
                && object.pointer("/metadata/finalizers").is_none())
    }

    /// The object as it was stored by this write, if the answer is that.
    pub fn stored(&self) -> Option<exact::Value> {
        let object = exact::parse(&self.body).ok()?;
        (self.verb != Verb::Scale && !self.terminated(&object)).then_some(object)
    }
}

/// One write whose fate is unknown: it got no answer, or one that says nothing about its effect.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The kind.
    pub kind: Kind,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Microseconds since 1970 before the request was sent.
    pub sent: i64,
}

/// What a load wrote.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// What was acknowledged, in no particular order.
    pub answers: Vec<Answer>,
    /// What may have been written in addition.
    pub attempts: Vec<Attempt>,
}

enum Outcome {
    Answered(Answer),
    /// Certainly without effect.
    Refused,
    Unknown(Attempt, Option<anyhow::Error>),
}

/// The size of a load.
#[derive(Debug, Clone)]
pub struct Load {
    /// Seed of everything random.
    pub seed: u64,
    /// Writers at once.
    pub writers: u64,
    /// Acknowledged writes in all.
    pub writes: u64,
    /// At most this many a second in all; unbounded if `None`.
    pub rate: Option<f64>,
    /// Prefix of namespaces and cluster-scoped names.
    pub prefix: String,
    /// What is written.
    pub kinds: Vec<Kind>,
}

/// Microseconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}

/// A cluster that takes what the writers write: there is no controller that would make service accounts for its pods.
pub fn builder() -> crate::real::Builder {
    crate::real::Cluster::builder().apiserver_flag("--disable-admission-plugins=ServiceAccount")
}

/// Makes the CRDs and namespaces that [`run`] writes to, and waits until they take objects.
pub async fn prepare(client: &Client, load: &Load) -> Result<()> {
    for (plural, kind, subresources) in [("blobs", "Blob", json!({})), ("gauges", "Gauge", json!({ "status": {} }))] {
        let mut definition = definition("oracle.hindcast.dev", plural, kind);
        definition["spec"]["versions"][0]["subresources"] = subresources;
        create_unless_there(client, DEFINITIONS, &definition).await?;
    }
    for n in 0..3 {
        create_unless_there(client, NAMESPACES, &namespace(&format!("{}-{n}", load.prefix))).await?;
    }
    for plural in ["blobs", "gauges"] {
        let path = format!("/apis/oracle.hindcast.dev/v1/{plural}?limit=1");
        // A server that has just got a definition may close connections: that is waited out as well.
        let served = async || Ok(answers_with(client, &path, 200).await.unwrap_or(false));
        until(format!("{plural} are served"), Duration::from_secs(20), served).await?;
    }
    Ok(())
}

/// The newest revision of a kind's domain.
pub async fn newest_revision(client: &Client, kind: &Kind) -> Result<u64> {
    let (_, body) = request(client, "GET", &format!("{}/{}?limit=1", kind.api, kind.resource), None, "").await?;
    let list: Value = serde_json::from_slice(&body)?;
    let rv = list.pointer("/metadata/resourceVersion").and_then(Value::as_str).context("a list has a revision")?;
    Ok(rv.parse()?)
}

/// Starts the writers in the background. Whether a request may go without an answer: see [`run`].
pub fn begin(client: &Client, load: &Load, forgiving: bool) -> JoinHandle<Result<Written>> {
    let (client, load) = (client.clone(), load.clone());
    tokio::spawn(async move { run(&client, &load, forgiving).await })
}

/// Runs the writers until `load.writes` are acknowledged. Requests that get no answer are attempts if it is
/// `forgiving`; otherwise they end the run.
pub async fn run(client: &Client, load: &Load, forgiving: bool) -> Result<Written> {
    let written = Arc::new(Mutex::new(Written::default()));
    let count = Arc::new(AtomicU64::new(0));
    let start = tokio::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..load.writers {
        let (client, load, written, count) = (client.clone(), load.clone(), written.clone(), count.clone());
        tasks.spawn(async move {
            let mut writer = Writer {
                draw: Rng::new(load.seed ^ (writer + 1).wrapping_mul(0x51ed_2701)),
                client,
                prefix: load.prefix.clone(),
                kinds: load.kinds.clone(),
                number: writer,
            };
            loop {
                let n = count.fetch_add(1, Ordering::Relaxed);
                if n >= load.writes {
                    return Ok(());
                }
                if let Some(rate) = load.rate {
                    // The rate is what the load is asked for.
                    tokio::time::sleep_until(start + Duration::from_secs_f64(n as f64 / rate)).await;
                }
                match writer.write().await {
                    Ok(Outcome::Answered(answer)) => {
                        written.lock().expect("no panic under it").answers.push(answer);
                        continue;
                    }
                    Ok(Outcome::Refused) => {}
                    Ok(Outcome::Unknown(_, Some(error))) if !forgiving => {
                        return Err(error);
                    }
                    Ok(Outcome::Unknown(attempt, _)) => {
                        written.lock().expect("no panic under it").attempts.push(attempt);
                        back_off().await;
                    }
                    Err(_) if forgiving => back_off().await,
                    Err(e) => return Err(e),
                }
                count.fetch_sub(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(std::mem::take(&mut *written.lock().expect("no panic under it")))
}

/// A pause after a write that got no answer.
async fn back_off() {
    // The server is away: writers at full speed would load the machine that it has to come up on.
    tokio::time::sleep(Duration::from_millis(200)).await;
}

struct Writer {
    draw: Rng,
    client: Client,
    prefix: String,
    kinds: Vec<Kind>,
    number: u64,
}

impl Writer {
    /// One random write.
    async fn write(&mut self) -> Result<Outcome> {
        let kind = self.draw.below(self.kinds.len() as u64) as usize;
        let kind = *self.kinds.get(kind).context("kinds is not empty")?;
        // Writers share names, so that they meet on the same objects.
        let (namespace, name) = (
            if kind.namespaced { format!("{}-{}", self.prefix, self.draw.below(3)) } else { String::new() },
            format!("{}-o{}", self.prefix, self.draw.below(12)),
        );
        let collection = if kind.namespaced {
            format!("{}/namespaces/{namespace}/{}", kind.api, kind.resource)
        } else {
            format!("{}/{}", kind.api, kind.resource)
        };
        let path = format!("{collection}/{name}");
        let roll = self.draw.below(100);
        let (verb, method, path, body, content_type) = match roll {
            0..22 => {
                let object = self.object(&kind, &namespace, &name)?;
                (Verb::Create, "POST", collection, Some(object), JSON)
            }
            22..34 => match self.replacement(&kind, &path).await? {
                Some(body) => (Verb::Replace, "PUT", path, Some(body), JSON),
                None => return Ok(Outcome::Refused),
            },
            34..62 => {
                let patch = self.patch(&kind);
                (Verb::Patch, "PATCH", path, Some(serde_json::to_vec(&patch)?), MERGE)
            }
            62..70 => {
                let object = self.object(&kind, &namespace, &name)?;
                let path = format!("{path}?fieldManager=applier-{}&force=true", self.draw.below(3));
                (Verb::Patch, "PATCH", path, Some(object), APPLY)
            }
            70..78 if kind.scale => {
                let patch = json!({ "spec": { "replicas": self.draw.below(9) } });
                (Verb::Scale, "PATCH", format!("{path}/scale"), Some(serde_json::to_vec(&patch)?), MERGE)
            }
            70..86 if kind.status => {
                let patch = self.status(&kind);
                (Verb::Status, "PATCH", format!("{path}/status"), Some(serde_json::to_vec(&patch)?), MERGE)
            }
            70..90 => {
                let held = self.draw.below(2) == 0;
                let finalizers = if held { json!(["oracle.hindcast.dev/hold"]) } else { json!(null) };
                let patch = json!({ "metadata": { "finalizers": finalizers } });
                (Verb::Patch, "PATCH", path, Some(serde_json::to_vec(&patch)?), MERGE)
            }
            _ => {
                let path = format!("{path}?gracePeriodSeconds=0&propagationPolicy=Background");
                (Verb::Delete, "DELETE", path, None, "")
            }
        };
        let sent = now();
        let attempt = Attempt { kind, namespace: namespace.clone(), name: name.clone(), sent };
        let (status, body) = match request(&self.client, method, &path, body, content_type).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Outcome::Unknown(attempt, Some(error))),
        };
        let answered = now();
        match status {
            200..300 => Ok(Outcome::Answered(Answer { kind, namespace, name, verb, body, sent, answered })),
            500..600 => Ok(Outcome::Unknown(attempt, None)),
            // A Pod may be marked as being deleted by then.
            409 if verb == Verb::Delete => Ok(Outcome::Unknown(attempt, None)),
            // Refusals that come of meeting other writers; anything else is a mistake in the writers.
            404 | 409 | 429 => Ok(Outcome::Refused),
            // YAML, which an apply is sent as, has no control characters.
            400 if verb == Verb::Patch => Ok(Outcome::Refused),
            422 if matches!(verb, Verb::Replace | Verb::Patch | Verb::Status | Verb::Create) => Ok(Outcome::Refused),
            _ => bail!("{method} {path}: {status} {}", String::from_utf8_lossy(&body)),
        }
    }

    fn object(&mut self, kind: &Kind, namespace: &str, name: &str) -> Result<Vec<u8>> {
        let mut object = json!({
            "apiVersion": kind.api.trim_start_matches("/apis/").trim_start_matches("/api/"),
            "kind": kind.kind,
            "metadata": {
                "name": name,
                "labels": { "app": format!("a{}", self.draw.below(4)), "writer": format!("w{}", self.number) },
                "annotations": { "odd": self.odd() },
            },
        });
        let spec = match kind.resource {
            "pods" => {
                json!({ "spec": { "containers": [{ "name": "c", "image": format!("registry.local/app:{}", self.draw.below(99)) }] } })
            }
            "events" => {
                let about = json!({ "kind": "Pod", "namespace": namespace, "name": "x" });
                json!({ "involvedObject": about, "type": "Normal", "reason": "Oracle", "message": self.odd() })
            }
            "persistentvolumeclaims" => {
                json!({ "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } })
            }
            "deployments" => {
                let labels = json!({ "app": "x" });
                json!({ "spec": {
                    "replicas": self.draw.below(9),
                    "selector": { "matchLabels": labels },
                    "template": { "metadata": { "labels": labels }, "spec": { "containers": [
                        { "name": "c", "image": format!("registry.local/app:{}", self.draw.below(99)) }] } },
                } })
            }
            "roles" | "clusterroles" => {
                json!({ "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", format!("v{}", self.draw.below(9))] }] })
            }
            _ => self.patch(kind),
        };
        merge(&mut object, spec);
        Ok(serde_json::to_vec(&object)?)
    }

    /// The object as it stands with something changed: a PUT on its resourceVersion.
    async fn replacement(&mut self, kind: &Kind, path: &str) -> Result<Option<Vec<u8>>> {
        let (status, body) = request(&self.client, "GET", path, None, "").await?;
        if status != 200 {
            return Ok(None);
        }
        let mut object: Value = serde_json::from_slice(&body)?;
        // One in four is a no-op.
        if self.draw.below(4) > 0 {
            merge(&mut object, self.patch(kind));
        }
        Ok(Some(serde_json::to_vec(&object)?))
    }

    /// A change of the main part of an object.
    fn patch(&mut self, kind: &Kind) -> Value {
        let key = format!("k{}", self.draw.below(6));
        match kind.resource {
            "configmaps" => json!({ "data": { key: self.odd() } }),
            "secrets" => {
                json!({ "stringData": { key: format!("planted-{}-{}", self.draw.number(), "s".repeat(self.draw.below(40) as usize)) } })
            }
            "blobs" | "gauges" => json!({ "spec": { key: self.value(0) } }),
            "roles" | "clusterroles" => {
                json!({ "metadata": { "annotations": { key: self.odd() } } })
            }
            "deployments" => {
                json!({ "spec": { "replicas": self.draw.below(9) }, "metadata": { "annotations": { key: self.odd() } } })
            }
            _ => json!({ "metadata": { "labels": { key: format!("v{}", self.draw.below(9)) } } }),
        }
    }

    fn status(&mut self, kind: &Kind) -> Value {
        match kind.resource {
            "pods" => json!({ "status": { "phase": "Running", "message": self.odd() } }),
            "deployments" => {
                json!({ "status": { "observedGeneration": 1, "replicas": self.draw.below(9) } })
            }
            "persistentvolumeclaims" => json!({ "status": { "phase": "Pending", "conditions": [
                { "type": "Resizing", "status": "True", "message": self.odd() }] } }),
            _ => json!({ "status": { "value": self.value(0) } }),
        }
    }

    /// Text of many kinds: controls, quotes, other scripts, long runs.
    fn odd(&mut self) -> String {
        match self.draw.below(8) {
            0 => "line\nbreak\ttab \"quoted\" back\\slash".to_owned(),
            1 => "\u{1b}[31mred\u{7} \u{0001}\u{007f}".to_owned(),
            2 => "žluťoučký 漢字 🦀 \u{2028}\u{feff}".to_owned(),
            3 => "x".repeat(self.draw.below(3000) as usize),
            4 => {
                if self.draw.below(20) == 0 {
                    "big ".repeat(40_000)
                } else {
                    String::new()
                }
            }
            5 => "{\"json\":[1,2,{}]}".to_owned(),
            _ => format!("plain {}", self.draw.below(1000)),
        }
    }

    /// Any JSON, with odd numbers.
    fn value(&mut self, depth: u64) -> Value {
        match self.draw.below(if depth > 3 { 7 } else { 9 }) {
            0 => json!(self.draw.number() as i64),
            1 => json!(self.draw.below(1000) as f64 / 8.0),
            2 => json!(1e21),
            3 => json!(self.draw.below(2) == 0),
            4 => json!(self.odd()),
            5 => json!(-0.0),
            6 => json!(i64::MAX),
            7 => Value::Array((0..self.draw.below(4)).map(|_| self.value(depth + 1)).collect()),
            _ => {
                let n = self.draw.below(4);
                Value::Object((0..n).map(|i| (format!("f~/{i}"), self.value(depth + 1))).collect())
            }
        }
    }
}

fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch,
    }
}
